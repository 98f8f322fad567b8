"""Function hooks of a thread: what they see, TimerHook, PrintHook."""

from __future__ import annotations

import io
import threading

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
from jaxchain import FunctionHook, Variable
from jaxchain.function_hooks import PrintHook, TimerHook

X = np.ones((2, 3), np.float32)


class Record(FunctionHook):
    name = "Record"

    def __init__(self):
        self.events = []

    def added(self, function):
        self.events.append(("added", function))

    def deleted(self, function):
        self.events.append(("deleted", function))

    def forward_preprocess(self, function, in_data):
        self.events.append(("forward", function.label, [x.shape for x in in_data]))

    def forward_postprocess(self, function, in_data):
        self.events.append(("forward done", function.label))

    def backward_preprocess(self, function, in_data, out_grad):
        self.events.append(("backward", function.label, [g.shape for g in out_grad]))

    def backward_postprocess(self, function, in_data, out_grad):
        self.events.append(("backward done", function.label))


def test_every_function_of_the_thread_is_seen():
    x = Variable(X)
    with Record() as hook:
        F.sum(F.relu(x)).backward()
    F.relu(x)
    assert hook.events == [
        ("added", None),
        ("forward", "ReLU", [(2, 3)]),
        ("forward done", "ReLU"),
        ("forward", "Sum", [(2, 3)]),
        ("forward done", "Sum"),
        ("backward", "Sum", [()]),
        ("backward done", "Sum"),
        ("backward", "ReLU", [(2, 3)]),
        ("backward done", "ReLU"),
        ("deleted", None),
    ]


def test_the_same_name_twice_is_an_error():
    with Record(), pytest.raises(KeyError, match="already exists"), Record():
        pass


def test_an_exception_takes_the_hook_away():
    with pytest.raises(ZeroDivisionError), Record():
        _ = 1 / 0
    with Record():
        pass


def test_other_threads_are_not_seen():
    with Record() as hook:
        thread = threading.Thread(target=lambda: F.relu(X))
        thread.start()
        thread.join()
    assert [event[0] for event in hook.events] == ["added", "deleted"]


def test_static_functions_are_seen_while_they_are_traced():
    run = jaxchain.static(lambda x: F.relu(x))
    for expected in (1, 0):
        with Record() as hook:
            run(X)
        assert sum(event[0] == "forward" for event in hook.events) == expected


def test_timer():
    hook = TimerHook()
    with hook:
        F.sum(F.relu(F.relu(Variable(X)))).backward()
    assert [label for label, _ in hook.call_history] == ["ReLU", "ReLU", "Sum", "Sum", "ReLU", "ReLU"]
    summary = hook.summary()
    assert summary["ReLU"]["occurrence"] == 4 and summary["Sum"]["occurrence"] == 2
    assert hook.total_time() == pytest.approx(sum(r["elapsed_time"] for r in summary.values()))


def test_the_timer_names_functions_as_classes():
    """One row for all numbers: ``_ * 2`` and ``_ * 3`` are both `MulConstant`. So are the classes named themselves."""
    x, names = Variable(X), []
    with TimerHook() as hook:
        y = F.exp(-((x * 2 * 3 + x) ** 2))
    while y.creator is not None:
        names.append(type(y.creator).__name__)
        y = y.creator.inputs[0].get_variable()
    assert names[::-1] == ["MulConstant", "MulConstant", "Add", "PowVarConst", "Neg", "Exp"]
    assert [name for name, _ in hook.call_history] == names[::-1]


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("auto", "FunctionName  ElapsedTime  Occurrence\n        ReLU      20.00ms           2\n"),
        ("sec", "         Sum      0.00sec           1\n"),
        ("auto_foreach", "         Sum       5.00us           1\n"),
    ],
)
def test_timer_report(unit, expected):
    hook = TimerHook()
    hook.call_history = [("ReLU", 0.015), ("ReLU", 0.005), ("Sum", 5e-6)]
    out = io.StringIO()
    hook.print_report(unit, out)
    assert expected in out.getvalue()


def test_print():
    out = io.StringIO()
    with PrintHook(file=out):
        F.sum(F.relu(Variable(X))).backward()
    text = out.getvalue()
    assert text.startswith("function\tReLU\ninput data\n") and "shape: (2, 3)" in text
    assert text.count("output gradient") == 2
    with pytest.warns(DeprecationWarning):
        PrintHook(sep="")
