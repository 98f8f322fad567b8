"""Training against real Chainer 7.8.1: triggers, schedules, whole runs with what they print and write."""

from __future__ import annotations

import json
import pathlib
import warnings

import numpy as np
import pytest
import training_cases as cases

import jaxchain
from jaxchain import training

CONFORMANCE = pathlib.Path(__file__).parent.parent / "conformance"


GOLDEN = json.loads((CONFORMANCE / "golden" / "training.json").read_text())


@pytest.mark.parametrize("name", cases.TRIGGERS)
def test_triggers(name):
    make = cases.TRIGGERS[name]
    assert cases.fires(jaxchain, make) == GOLDEN["triggers"][name]
    assert cases.fires(jaxchain, make, resume_at=8) == GOLDEN["triggers"][f"{name}, resumed"]
    every_other = GOLDEN["triggers"].get(f"{name}, every other call")
    if every_other is not None:
        assert cases.fires(jaxchain, make, every=2) == every_other


@pytest.mark.parametrize("name", cases.STOPPERS)
def test_stop_triggers(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert cases.fires(jaxchain, cases.STOPPERS[name]) == GOLDEN["triggers"][name]


@pytest.mark.parametrize("name", cases.STOPPERS)
def test_stop_triggers_go_on_after_a_snapshot(name):
    """Chainer's forget what they saw; ours go on as if nothing had happened."""
    assert cases.fires(jaxchain, cases.STOPPERS[name], resume_at=8) == GOLDEN["triggers"][name]


def test_text_of_triggers():
    found = training.get_trigger((3, "epoch"))
    assert [str(found), list(found.get_training_length()), training.get_trigger(None)(None)] == GOLDEN["triggers"][
        "text"
    ]


@pytest.mark.parametrize("name", cases.SHIFTS)
def test_schedules(name):
    make = cases.SHIFTS[name]
    values = cases.moves(jaxchain, make)
    np.testing.assert_allclose(values, GOLDEN["shifts"][name], rtol=1e-12)
    resumed = cases.moves(jaxchain, make, 5)
    # Chainer's multistep and warm-up start over after a snapshot; ours go on where they were, as the other five do
    assert resumed == [*values[:6], values[5], *values[6:]]
    if f"{name}, resumed" in GOLDEN["shifts"]:
        np.testing.assert_allclose(resumed, GOLDEN["shifts"][f"{name}, resumed"], rtol=1e-12)


@pytest.fixture(scope="module", params=["eager", "static"])
def run(request):
    return cases.run(jaxchain, request.param)


@pytest.mark.parametrize("what", ["names", "order", "printed", "bar", "elapsed", "epoch", "log", "log_10"])
def test_a_run_prints_and_logs_the_same(run, what):
    assert run[what] == GOLDEN["run"][what]


def test_a_run_ends_with_the_same_parameters(run):
    assert run["parameters"].keys() == GOLDEN["run"]["parameters"].keys()
    for name, values in GOLDEN["run"]["parameters"].items():
        np.testing.assert_allclose(run["parameters"][name], values, rtol=2e-5, atol=2e-6, err_msg=name)
    assert run["evaluated"] == GOLDEN["run"]["evaluated"]


def test_a_run_writes_the_same_files(run):
    assert set(run["files"]) - {"cg.png"} == {*GOLDEN["run"]["files"], "cg.jaxpr"}


def test_snapshots_have_chainers_keys_and_the_random_streams(run):
    ours, theirs = set(run["snapshot"]), set(GOLDEN["run"]["snapshot"])
    assert theirs <= ours
    added = {key.split("/")[0] if key.startswith("random/") else key.rsplit("/", 2)[-2] for key in ours - theirs}
    assert added <= {"random", "MicroAverage", "parameter_statistics", "_trigger", "_summary"} | {
        str(i) for i in range(200)
    }
    assert {"random/ops", "random/initializers", "random/numpy", "random/python"} <= ours
    assert run["model"] == GOLDEN["run"]["model"]


def test_the_graph_is_drawn_as_chainer_draws_it(run):
    def shape(dot):
        return dot.count("->"), dot.count("octagon"), dot.count("record"), dot.count("LinearFunction")

    ours, theirs = shape(run["graph"]), shape(GOLDEN["run"]["graph"])
    assert ours[3] == theirs[3] == 2 and ours[2] == theirs[2]


def test_errors_in_the_loop(mode):
    failing = cases.failing_run(jaxchain, mode)
    assert failing["events"] == GOLDEN["failing"]["events"]
    assert failing["files"] == GOLDEN["failing"]["files"]
    assert failing["stderr"] == GOLDEN["failing"]["stderr"]


def test_a_quiet_run_still_says_that_a_handler_failed():
    failing = cases.failing_run(jaxchain, show=False)
    assert failing["events"] == GOLDEN["failing"]["events"]
    assert failing["stderr"] == GOLDEN["failing"]["stderr"][3:]


def test_early_stopping_of_a_run(mode):
    assert cases.stopped_run(jaxchain, mode) == GOLDEN["stopped"]


def test_parallel_updates_add_up_the_gradients_of_the_parts(mode):
    for name, values in cases.parallel_run(jaxchain, mode).items():
        np.testing.assert_allclose(values, GOLDEN["parallel"][name], rtol=2e-5, atol=2e-6, err_msg=name)


def test_wrong_uses_get_the_same_errors():
    assert cases.messages(jaxchain) == GOLDEN["messages"]


def test_arguments_have_the_same_names_order_and_defaults():
    ours = cases.signatures(jaxchain)
    for name, parameters in GOLDEN["signatures"].items():
        assert ours[name] == parameters, name


def test_a_snapshot_of_chainer_is_resumed(tmp_path, mode):
    updater, model, evaluator = cases.build(jaxchain, mode=mode)
    trainer = training.Trainer(updater, (5, "iteration"), out=str(tmp_path))
    trainer.extend(evaluator)
    trainer.extend(training.extensions.LogReport(trigger=(2, "iteration"), log_name=None))
    trainer.extend(training.extensions.ExponentialShift("lr", 0.9))
    trainer.extend(training.extensions.PlotReport("main/loss"))
    jaxchain.serializers.load_npz(CONFORMANCE / "golden" / "chainer_snapshot.npz", trainer)
    assert updater.iteration == 5 and len(trainer.get_extension("LogReport").log) == 2
    shift = trainer.get_extension("ExponentialShift")
    shift.initialize(trainer)
    losses = []
    for _ in range(5):
        updater.update()
        shift(trainer)
        losses.append(float(model.loss.array))
    np.testing.assert_allclose(losses, GOLDEN["losses after the snapshot"], rtol=1e-5)
