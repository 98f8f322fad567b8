"""The Trainer's example: both modes write the same log, and a stopped run goes on exactly."""

from __future__ import annotations

import json

import numpy as np
import pytest
from example_files import load

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib").use("Agg")


@pytest.fixture(scope="module")
def example():
    return load("digits_trainer/train.py")


def timeless(log):
    return [{k: v for k, v in entry.items() if k != "elapsed_time"} for entry in log]


def run(example, out, mode, epochs, *more):
    return timeless(example.main(["--mode", mode, "--epochs", str(epochs), "--out", str(out), *more]))


def test_both_modes_learn_the_same(example, tmp_path, capsys):
    logs = {mode: run(example, tmp_path / mode, mode, 3) for mode in ("eager", "static")}
    for eager, static in zip(logs["eager"], logs["static"], strict=True):
        assert list(eager) == list(static)
        np.testing.assert_allclose(list(static.values()), list(eager.values()), rtol=1e-4, atol=1e-6)
    assert logs["static"][-1]["validation/main/accuracy"] > 0.85
    text = capsys.readouterr().out
    header = text.splitlines()[0]
    assert header.split() == [
        "epoch",
        "main/loss",
        "validation/main/loss",
        "main/accuracy",
        "validation/main/accuracy",
        "lr",
        "elapsed_time",
    ]
    assert "this epoch [" in text and "Estimated time to finish" in text
    found = {p.name for p in (tmp_path / "static").iterdir()}
    assert found >= {"log", "loss.png", "accuracy.png", "cg.dot", "cg.jaxpr", "snapshot_iter_45", "snapshot_iter_68"}
    assert timeless(json.loads((tmp_path / "static" / "log").read_text())) == logs["static"]


@pytest.mark.parametrize("mode_", ["eager", "static"])
def test_a_stopped_run_goes_on_exactly(example, tmp_path, mode_, capsys):
    whole = run(example, tmp_path / "whole", mode_, 3)
    first = run(example, tmp_path / "parts", mode_, 2)
    assert first == whole[:2]
    assert run(example, tmp_path / "parts", mode_, 3, "--resume", "--seed", "7") == whole
