"""`gradient_check`: right gradients pass, wrong ones do not, and everything is as it was afterwards."""

import contextlib

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain.gradient_check import NondifferentiableError, check_backward, check_double_backward, numerical_grad

RNG = np.random.RandomState(0)
X, GY, GGX = (RNG.uniform(-1, 1, (3, 4)).astype("f") for _ in range(3))
DOUBLE = {"dtype": np.float64}


class Power(jaxchain.FunctionNode):
    """The cube, with a factor in its gradient and in that of its gradient."""

    def __init__(self, first=3.0, second=6.0):
        self.first, self.second = first, second

    def forward(self, inputs):
        self.retain_inputs((0,))
        return (inputs[0] ** 3,)

    def backward(self, indexes, grads):
        (x,) = self.get_retained_inputs()
        return (x**2 * self.first * grads[0] if self.second == 6 else Slope(self.second).apply((x, grads[0]))[0],)


class Slope(jaxchain.FunctionNode):
    """The gradient of the cube, with a factor in its own."""

    def __init__(self, factor):
        self.factor = factor

    def forward(self, inputs):
        self.retain_inputs((0, 1))
        return (3 * inputs[0] ** 2 * inputs[1],)

    def backward(self, indexes, grads):
        x, g = self.get_retained_inputs()
        return self.factor * x * g * grads[0], 3 * x**2 * grads[0]


def power(*factors):
    return lambda x: Power(*factors).apply((x,))[0]


PASS = [
    ("tanh", lambda: check_backward(F.tanh, X, GY, **DOUBLE)),
    ("float32", lambda: check_backward(F.tanh, X, GY, eps=1e-2, atol=1e-2, rtol=1e-2)),
    ("integers have none", lambda: check_backward(F.softmax_cross_entropy, (X, np.int32([0, 1, 3])), None, **DOUBLE)),
    ("two outputs", lambda: check_backward(lambda a, b: (a * b, a + b), (X, GY), (GY, GGX), **DOUBLE)),
    ("an output without", lambda: check_backward(lambda a, b: (a * b, a + b), (X, GY), (GY, None), **DOUBLE)),
    ("smooth", lambda: check_backward(F.exp, X, GY, detect_nondifferentiable=True, **DOUBLE)),
    ("cube", lambda: check_backward(power(), X, GY, **DOUBLE)),
    ("cube twice", lambda: check_double_backward(power(), X, GY, GGX, **DOUBLE)),
    ("cube's slope twice", lambda: check_double_backward(power(3.0, 6.0 + 1e-9), X, GY, GGX, **DOUBLE)),
]
FAIL = [
    ("wrong", AssertionError, lambda: check_backward(power(2.0), X, GY, **DOUBLE)),
    ("wrong twice", AssertionError, lambda: check_double_backward(power(3.0, 5.0), X, GY, GGX, **DOUBLE)),
    ("not without", AssertionError, lambda: check_backward(F.exp, X, GY, no_grads=[True], **DOUBLE)),
    (
        "kink",
        NondifferentiableError,
        lambda: check_backward(abs, X * 0, GY * 0 + 1, detect_nondifferentiable=True, **DOUBLE),
    ),
    ("dtype", ValueError, lambda: check_backward(F.exp, X, GY, dtype=np.int32)),
    ("not a number", ValueError, lambda: check_backward(F.exp, X, None)),
    ("shape", ValueError, lambda: check_backward(F.exp, X, GY[:1])),
    ("immutable", TypeError, lambda: numerical_grad(lambda: X, (F.exp(X).array,), (GY,))),
]


@pytest.mark.parametrize("check", [c for _, c in PASS], ids=[n for n, _ in PASS])
def test_right_gradients_pass(check):
    check()


@pytest.mark.parametrize(("error", "check"), [c[1:] for c in FAIL], ids=[c[0] for c in FAIL])
def test_others_do_not(error, check):
    with pytest.raises(error):
        check()


def test_parameters_are_checked_and_as_they_were():
    link = L.Linear(4, 2)
    kept = np.asarray(link.W.array)
    gy = RNG.uniform(-1, 1, (3, 2)).astype("f")
    check_backward(link, X, gy, (link.W, link.b), **DOUBLE)
    ggw, ggb = (RNG.uniform(-1, 1, p.shape) for p in (link.W, link.b))
    check_double_backward(lambda x: link(x) ** 2, X, gy, GGX, (link.W, link.b), (ggw, ggb), **DOUBLE)
    assert link.W.dtype == np.float32 and np.array_equal(link.W.array, kept) and link.W.grad is None
    with pytest.raises(AssertionError, match="slope is"):
        check_backward(lambda x: link(x) + F.sum(link.b.array), X, gy, (link.b,), **DOUBLE)
    assert link.b.dtype == np.float32 and F.exp(X).dtype == np.float32


def test_numerical_grad():
    z = np.array([1.0, 2.0, 3.0])
    (g,) = numerical_grad(lambda: (z**2,), (z,), (np.ones(3),))
    np.testing.assert_allclose(g, [2, 4, 6], rtol=1e-6)
    assert z.tolist() == [1, 2, 3]
    for eps in (0, -1.0):
        with pytest.raises(AssertionError, match="eps: expected a positive number"):
            numerical_grad(lambda: (z**2,), (z,), (np.ones(3),), eps)
    for outside in (np.log, lambda x: 2 * x):  # of the domain, and at infinity: no kink is seen
        x = np.array([-10.0 if outside is np.log else np.inf])
        with np.errstate(invalid="ignore"):
            numerical_grad(lambda f=outside, x=x: (f(x),), (x,), (np.ones(1),), detect_nondifferentiable=True)


@pytest.mark.parametrize(
    ("f", "x", "eps", "kink"),
    [
        (lambda x: x * x + 2, 0.0, 1e-3, False),  # the slopes to both sides differ as those of a kink do
        (lambda x: -3 * x**3 + 2 * x**2 + 1, 0.0, 1e-3, False),
        (lambda x: -3 * x**3 + 2 * x**2 + 1, 0.0, 1e-1, True),
        (abs, 8e-4, 1e-3, True),
        (abs, 1.2e-3, 1e-3, False),
        (lambda x: np.stack([x * 1e3, abs(x)]), 0.0, 1e-3, True),  # a small output beside a large one
        (np.log, 0.0, 1e-3, True),
        (np.zeros_like, 0.0, 1e-3, False),
    ],
)
def test_kinks_are_told_from_extrema(f, x, eps, kink):
    x = np.array([x], np.float32)
    gy = np.ones_like(f(np.ones(1, np.float32)))
    raised = pytest.raises(NondifferentiableError, match="output 0 is") if kink else contextlib.nullcontext()
    with raised, np.errstate(all="ignore"):
        numerical_grad(lambda: (f(x),), (x,), (gy,), eps, detect_nondifferentiable=True)


def test_five_points_are_more_precise_than_two():
    x, gy = np.array([1.0]), np.ones(1)
    errors = [abs(numerical_grad(lambda: (np.exp(x),), (x,), (gy,), 1e-2, d)[0][0] - np.e) for d in (False, True)]
    assert errors[1] < 1e-3 * errors[0]
