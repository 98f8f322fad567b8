"""`jaxchain view`, and what is behind it."""

import json
import time

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import optimizers
from jaxchain.cli import main
from jaxchain.core import movement
from jaxchain.views.show import show
from jaxchain.views.timing import node_times

PROGRAM = """
import jaxchain
import jaxchain.functions as F
import jaxchain.links as L


class MLP(jaxchain.Chain):
    def __init__(self, n):
        super().__init__()
        with self.init_scope():
            self.l1, self.l2 = L.Linear(4, n), L.Linear(n, 3)

    def forward(self, x):
        return self.l2(F.relu(self.l1(x)))
"""


@pytest.fixture
def target(tmp_path):
    file = tmp_path / "seen_model.py"
    file.write_text(PROGRAM)
    return f"{file}:MLP"


def test_files_of_both_modes(target, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["view", target, "--args", "5", "--input", "2,4", "--out", str(out), "--format", "dot,html,json,text"]
    assert main(arguments) == 0
    names = {f"{view}.{kind}" for view in ("graph", "jaxpr") for kind in ("dot", "json", "txt")}
    assert {p.name for p in out.iterdir()} == names | {"hlo.txt", "explorer.html"}
    assert sorted(capsys.readouterr().out.split()) == sorted(str(p) for p in out.iterdir())
    assert "LinearFunction" in (out / "graph.dot").read_text()
    assert json.loads((out / "jaxpr.json").read_text())["kind"] == "jaxpr"
    assert (out / "hlo.txt").read_text().startswith("HloModule")


@pytest.mark.parametrize(
    ("mode", "there", "missing"), [("eager", "ReLU", "lambda"), ("static", "lambda", "LinearFunction\n")]
)
def test_text_of_one_mode(target, capsys, mode, there, missing):
    assert main(["view", target, "--args", "5", "--input", "2,4", "--mode", mode]) == 0
    out = capsys.readouterr().out
    assert there in out and missing not in out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--format", "svg"], "--out"),
        (["--format", "pdf"], "expected some of dot"),
        (["--mode", "eager", "--format", "html", "--out", "somewhere"], "static mode"),
        (["--args", "5, 6, 7"], "arguments go into --args"),
    ],
)
def test_mistakes(target, capsys, more, message):
    assert main(["view", target, "--input", "2,4", *more]) == 2
    assert message in capsys.readouterr().err


def test_the_model_is_left_as_it_was():
    model = L.BatchNormalization(4)
    before = np.asarray(model.avg_mean).copy()
    show(model, np.arange(8, dtype=np.float32).reshape(2, 4))
    np.testing.assert_array_equal(np.asarray(model.avg_mean), before)


def test_html_of_eager_mode_alone_is_an_error(tmp_path):
    views = show(lambda x: F.tanh(x), jaxchain.Variable(np.ones(3, np.float32)), mode="eager")
    with pytest.raises(ValueError, match="static mode"):
        views.save(tmp_path, ["html"])


def test_the_graph_of_what_has_no_parameters():
    x = np.float32([[1, 2], [3, 4]])
    views = show(lambda x, k: F.sum(F.relu(F.reshape(x, (4,)))) * k, x, 2)
    assert [n.label for n in views.graph.to_graph().of_kind("function")] == ["Reshape", "ReLU", "Sum", "_ * 2"]
    report = jaxchain.contrast(lambda x: F.relu(x), x, repeats=1, gradients=False)
    assert [n.label for n in report.graph.to_graph().of_kind("function")] == ["ReLU"]


def test_the_graph_of_what_takes_arrays_only():
    model = L.Linear(2, 3)

    def call(x):
        return model(np.pad(x, 0) if isinstance(x, np.ndarray) else x.no_such_attribute)

    views = show(call, np.ones((4, 2), np.float32), mode="eager")
    assert [n.label for n in views.graph.to_graph().of_kind("function")] == ["LinearFunction"]


class Slow(jaxchain.FunctionNode):
    """Takes long, forward and backward."""

    def forward(self, inputs):
        time.sleep(0.03)
        return (inputs[0] * 2,)

    def backward(self, indexes, grads):
        time.sleep(0.03)
        return (grads[0] * 2,)


def test_the_time_of_a_function_is_its_own():
    """Not that of the functions that it calls."""
    link = L.Linear(4, 4)

    def step(x):
        loss = F.sum(F.forget(lambda y: Slow().apply((link(y),))[0], x))
        loss.backward()
        return F.sum(link(x))

    times = node_times(step, (jaxchain.Variable(np.ones((2, 4), np.float32)),), {}, lambda: None, rounds=1)
    labels = [label for label, _, _ in times]
    assert labels.count("Forget") == labels.count("Slow") - 1 == 1  # one call more: it ran again
    assert sum(seconds > 0.02 for _, _, seconds in times) == 2, times


@pytest.mark.cpu
def test_what_only_moves_data_is_measured_compiled(monkeypatch):
    """In a program it is moved by NumPy until compiling pays: slower, for hundreds of calls."""
    moved, run = [], movement.Steps.__call__
    monkeypatch.setattr(movement.Steps, "__call__", lambda steps, arrays: moved.append(1) or run(steps, arrays))
    x = jaxchain.Variable(np.ones((3, 5, 7), np.float32))

    def call(x):
        return F.transpose(x, (2, 0, 1))

    ((_, _, seconds),) = node_times(call, (x,), {}, lambda: None, rounds=1)
    assert seconds > 0 and not moved
    assert call(x).array.shape == (7, 3, 5) and moved


def test_the_time_of_gradients_is_no_function_s():
    link = L.Linear(700, 700)
    optimizer = optimizers.SGD().setup(link)

    def step(x):
        for _ in range(3):
            loss = F.sum(link(x))
            link.cleargrads()
            loss.backward()
            optimizer.update()
        return loss

    times = node_times(step, (jaxchain.Variable(np.ones((700, 700), np.float32)),), {}, lambda: None, rounds=3)
    product, total = times[2][2], times[1][2]
    assert total < product, times
