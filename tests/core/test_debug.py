"""Debug mode in both modes: the first NaN, with its node and the user's line, and nothing written."""

import pathlib
import re

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Chain, Variable, optimizers

X = np.ones((2, 3), np.float32)
MODES = ["eager", "static"]


@pytest.fixture(autouse=True)
def debug():
    with jaxchain.using_config("debug", True):
        yield


def line_of(text):
    """Return the number of the line of this file that ends with a comment."""
    lines = pathlib.Path(__file__).read_text().splitlines()
    return next(i for i, line in enumerate(lines, 1) if line.endswith(f"# {text}"))


class Model(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l = L.Linear(3, 2, initialW=1.0)

    def forward(self, x):
        h = self.l(x)
        h = F.log(h)  # log
        return F.sum(h) * 0.5


@pytest.mark.parametrize("mode", MODES)
def test_a_step_names_the_first_node_and_writes_nothing(mode):
    model = Model()
    optimizer = optimizers.Adam().setup(model)

    def step(x):
        loss = model(x)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    call = jaxchain.static(step) if mode == "static" else step
    call(X)
    before = np.array(model.l.W.array), optimizer.t
    with pytest.raises(
        RuntimeError, match=rf"NaN is detected on the result of log\nat .*:{line_of('log')}, in forward"
    ):
        call(-X)
    np.testing.assert_array_equal(model.l.W.array, before[0])
    assert optimizer.t == before[1]
    assert np.isfinite(float(call(X).array))


@pytest.mark.parametrize("mode", MODES)
def test_a_link_names_the_node_inside(mode):
    model = Model()
    with jaxchain.using_config("mode", mode):
        model(X)
        with pytest.raises(RuntimeError, match=rf"result of log\nat .*:{line_of('log')}, in forward"):
            model(-X)


class Root(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l = L.Linear(3, 2, initialW=0.0, nobias=True)

    def forward(self, x):
        h = self.l(x)
        return F.sqrt(h) * 0.0  # sqrt


@pytest.mark.parametrize("mode", MODES)
def test_a_link_of_ours_names_the_line_of_its_call(mode):
    link = getattr(jaxchain.Sequential(F.log, L.Linear(3, 2)), "static" if mode == "static" else "eager")()
    with pytest.raises(RuntimeError, match=rf"result of log\nat .*test_debug.py:{line_of('the call')}, in"):
        link(-X)  # the call


@pytest.mark.parametrize("mode", MODES)
def test_a_nan_in_the_backward_pass_of_a_link(mode):
    model = Root()
    with jaxchain.using_config("mode", mode):
        y = F.sum(model(X))
        with pytest.raises(RuntimeError, match=rf"result of sqrt \(backward\)\nat .*:{line_of('sqrt')}, in forward"):
            y.backward()


@pytest.mark.parametrize("mode", MODES)
def test_a_nan_in_the_backward_pass_of_a_step(mode):
    model = Root()

    def step(x):
        loss = F.sum(model(x))
        model.cleargrads()
        loss.backward()
        return loss

    call = jaxchain.static(step) if mode == "static" else step
    with pytest.raises(RuntimeError, match=rf"result of sqrt \(backward\)\nat .*:{line_of('sqrt')}, in forward"):
        call(X)


def of_scan(x):
    return jaxchain.scan(
        lambda h, r: (h, F.log(r)),  # in scan
        Variable(np.float32(0)),
        x,
    )[1]


def of_scan_backward(x):
    y = jaxchain.scan(
        lambda h, r: (h + F.sum(F.sqrt(r * 0)), None),  # in scan backward
        Variable(np.float32(0)),
        x,
    )[0]
    x.cleargrad()
    (y * 0).backward()
    return x.grad


def of_cond(x):
    return jaxchain.cond(
        F.sum(x).array < 0,
        lambda: F.log(x),  # in cond
        lambda: x,
    )


def of_while(x):
    return jaxchain.while_loop(
        lambda s: s[0] < 3,
        lambda s: (s[0] + 1, F.log(s[1])),  # in while
        (0, Variable(x.array, requires_grad=False)),
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("function", "node", "text"),
    [
        (of_scan, "log", "in scan"),
        (of_scan_backward, "sqrt (backward)", "in scan backward"),
        (of_cond, "log", "in cond"),
        (of_while, "log", "in while"),
    ],
)
def test_a_nan_inside_a_loop_or_branch(function, node, text, mode):
    call = jaxchain.static(function) if mode == "static" else function
    message = rf"NaN is detected on the result of {re.escape(node)}\nat .*:{line_of(text)}, in <lambda>"
    with pytest.raises(RuntimeError, match=message):
        call(Variable(-X))


CHECKED = {
    "softmax_cross_entropy": (lambda t: F.softmax_cross_entropy(X, t), np.int32([0, -1]), np.int32([0, 3])),
    "embed_id": (lambda t: F.embed_id(t, X), np.int32([0, 1]), np.int32([0, 2])),
    "select_item": (lambda t: F.select_item(X, t), np.int32([0, 2]), np.int32([0, 3])),
    "permutate": (lambda t: F.permutate(X, t), np.int32([1, 0]), np.int32([1, 1])),
    "inv": (F.inv, np.eye(2, dtype=np.float32), np.zeros((2, 2), np.float32)),
}


@pytest.mark.parametrize("name", CHECKED)
def test_what_a_function_checks_of_values_it_checks_in_compiled_calls_too(name):
    function, good, bad = CHECKED[name]
    call = jaxchain.static(lambda x: function(x))
    for _ in range(2):
        np.testing.assert_array_equal(call(good).array, function(good).array)
        with pytest.raises(ValueError) as eager:
            function(bad)
        with pytest.raises(ValueError, match=re.escape(str(eager.value).splitlines()[0])):
            call(bad)
    assert len(call.explain().compiles) == 1


def test_without_debug_mode_a_nan_is_a_value():
    with jaxchain.using_config("debug", False):
        assert np.isnan(float(jaxchain.static(Model())(-X).array))
