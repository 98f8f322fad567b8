"""Rows of mathematics: trigonometry and special functions. SciPy 1.10 is needed to record them."""

import numpy as np
from cases_elementwise import FAR, INT, SHAPES, positive, unary
from rows import Case, K, L, R, S

inf, nan = np.inf, np.nan


def within(low, high):
    """The shapes, filled from an interval."""
    return [S(R(s.args[0].shape, low, high)) for s in SHAPES]


TRIGONOMETRY = [
    unary("tan", samples=within(-1.4, 1.4), edges=[S(L([0.0, -0.0, 1.5707964, -1.5, 100.0, inf]))]),
    unary("arcsin", samples=within(-0.9, 0.9), edges=[S(L([-1.0, -0.0, 0.0, 1.0, 1.5, 1e-30, -inf]))]),
    unary("arccos", samples=within(-0.9, 0.9), edges=[S(L([-1.0, -0.0, 0.0, 1.0, 1.5, 1e-30, -inf]))]),
    unary("arctan"),
    Case(
        "arctan2",
        [
            S(R(s.args[0].shape), R(s.args[0].shape)) for s in SHAPES
        ],  # Chainer's gradient has the wrong shape where it broadcasts
        edges=[
            S(
                L([0.0, -0.0, 0.0, -0.0, 1.0, -1.0, inf, -inf, 1e10, 1e-10, 0.0]),
                L([1.0, 1.0, -1.0, -1.0, 0.0, 0.0, 1.0, -1.0, 1e-10, 1e10, 0.0]),
            )
        ],
        errors=[
            (S(K(np.ones((2, 3))), K(np.ones((2, 4)))), TypeError, "broadcast"),
            (S(K([1, 2], "int32"), K([1.0, 2.0])), TypeError, "dtype"),
        ],
    ),
    unary("sinh", edges=[S(L([-inf, -100.0, -1.0, -0.0, 0.0, 1e-30, 1.0, 100.0, inf]))]),
    unary("cosh", edges=[S(L([-inf, -100.0, -1.0, -0.0, 0.0, 1e-30, 1.0, 100.0, inf]))]),
    unary("arctanh", samples=within(-0.9, 0.9), edges=[S(L([-1.0, -0.0, 0.0, 1.0, 1.5, 1e-30, inf]))]),
]

SPECIAL = [
    unary("erf"),
    unary("erfc", edges=[S(L(FAR)), S(L([5.0, 9.0, -5.0]))]),
    unary(
        "erfcx",  # far values as constants: Chainer's gradient, 2 (x y - 1 / sqrt(pi)), cancels there
        edges=[
            S(L([-5.0, -1.0, -0.0, 0.0, 1.0, 4.99, 5.01])),
            S(K([-inf, -30.0, 9.0, 9.3, 11.0, 26.6, 1e4, 1e30, inf])),
        ],
    ),
    unary("erfinv", samples=within(-0.9, 0.9), edges=[S(L([-1.0, -0.99, -0.0, 0.0, 1e-30, 0.99, 1.0, 1.5]))]),
    unary("erfcinv", samples=within(0.1, 1.9), edges=[S(L([0.0, 1e-30, 1e-5, 1.0, 1.9, 2.0, 2.5, -1.0]))]),
    unary("ndtr", edges=[S(L(FAR)), S(L([-5.0, -10.0, 5.0]))]),
    unary("ndtri", samples=within(0.1, 0.9), edges=[S(L([0.0, 1e-30, 1e-5, 0.5, 0.99, 1.0, 1.5, -1.0]))]),
    unary("log_ndtr", edges=[S(L([-inf, -1e10, -100.0, -20.0, -1.0, -0.0, 0.0, 1.0, 5.0, 100.0, inf]))]),
    unary(
        "lgamma",
        samples=positive(),
        edges=[
            S(L([-2.5, -2.0, -0.5, 1e-30, 0.5, 10.0, 1e10, inf])),
            S(L([1.0, 2.0, 10.0])),
            S(L([0.0, -0.0])),
        ],
    ),
    unary(
        "digamma",
        samples=positive(),
        edges=[S(L([-2.5, -2.0, -0.5, 1e-10, 0.5, 1.0, 10.0, 1e10, inf])), S(L([0.0, -0.0]))],
    ),
    Case(
        "polygamma",
        [
            S(K(np.full((3, 4), 1), "int32"), R((3, 4), 0.2, 3.0)),
            S(K([[2]], "int32"), R((1, 1), 0.2, 3.0)),
            S(K([0, 1, 2, 3], "int32"), R((4,), 0.5, 3.0)),
            S(K(1, "int32"), R((), 0.2, 3.0)),
            S(K(np.ones((0, 3)), "int32"), R((0, 3), 0.2, 3.0)),
            S(K(np.full((2, 3), 4), "int64"), R((2, 3), 1.0, 3.0)),
        ],
        edges=[S(K([1, 1, 2, 1, 1, 2], "int32"), L([-0.5, 0.0, 1e3, inf, 1e-5, 10.0]))],
        errors=[
            (S(K([1.0]), K([1.0])), TypeError, "integer"),
            (S(K([1], "int32"), K([1], "int32")), TypeError, "dtype"),
            (S(K([1, 2], "int32"), K([1.0, 2.0, 3.0])), TypeError, "broadcast"),
        ],
    ),
    Case(
        "zeta",
        [
            S(2.5, R((3, 4), 0.2, 3.0)),
            S(K([2.0, 3.0, 4.0, 5.0]), R((3, 4), 0.5, 3.0)),
            S(K(2.0), R((), 0.2, 3.0)),
            S(3, R((2, 1, 3), 0.5, 3.0)),
            S(3.0, R((0, 3), 0.2, 3.0)),
            S(K([[1.5, 2.5]]), R((1, 2), 0.2, 3.0)),
        ],
        edges=[S(2.0, L([-0.5, 0.0, -1.0, 1e3, inf, 1e-5])), S(1.0, L([0.5, 2.0])), S(0.5, L([0.5, 2.0]))],
        errors=[
            (S(2.0, K([1], "int32")), TypeError, "dtype"),
            (S(K([1.0, 2.0]), K([1.0, 2.0, 3.0])), TypeError, "broadcast"),
        ],
        floats={0: 3.5},
    ),
]

HALVES = [-2.5, -2.0, -1.5, -0.5, -0.0, 0.0, 0.5, 1.5, 2.0, 2.5, 1e30, -inf, inf, nan]


def stepped(name):
    return Case(name, [*SHAPES, S(K([-3, 0, 2], "int32"))], edges=[S(L(HALVES))], order=1)


ELEMENTWISE = [
    unary("expm1"),
    Case("log1p", positive(), edges=[S(L([-1.0, -0.5, -0.0, 0.0, 1e-30, 1e30, inf, -2.0]))]),
    Case("log2", positive(), edges=[S(L([0.0, 1e-30, inf, 1.0, 8.0, -1.0]))]),
    Case("log10", positive(), edges=[S(L([0.0, 1e-30, inf, 1.0, 1000.0, -1.0]))]),
    Case("rsqrt", positive(), edges=[S(L([0.0, 1e-10, 1e10, inf, 4.0, -1.0]))], label=None),
    stepped("floor"),
    stepped("ceil"),
    stepped("fix"),
    stepped("sign"),
    Case(
        "fmod",
        [
            S(R((3, 4)), R((3, 4), 0.3, 1.0)),
            S(R((2, 1, 3)), R((2, 1, 3), -1.0, -0.3)),
            S(R(()), R((), 0.3, 1.0)),
            S(R((0, 3)), R((0, 3))),
            S(R((1,), 4.0, 5.0), R((1,), 0.3, 1.0)),
            S(R((2, 3, 4, 5)), R((2, 3, 4, 5), 0.3, 1.0)),
        ],
        edges=[S(L([4.0, -4.0, 0.0, 1.0, 5.0, inf]), L([2.0, 2.0, 2.0, inf, -3.0, 2.0]))],
        errors=[
            (S(K(np.ones((2, 3))), K(np.ones((2, 4)))), TypeError, "broadcast"),
            (S(K(np.ones(2)), K(np.ones(2), "float16")), TypeError, "float32 != float16"),
            (S(K([1], "int32"), K([1], "int32")), TypeError, "dtype"),
        ],
    ),
    Case(
        "linear_interpolate",
        [S(R(s.args[0].shape, 0.0, 1.0), R(s.args[0].shape), R(s.args[0].shape)) for s in SHAPES],
        edges=[S(L([0.0, 1.0, 0.5, 2.0, 1.0]), L([1.0, 1e30, 2.0, 3.0, inf]), L([1e30, 1.0, 2.0, -3.0, 1.0]))],
        errors=[
            (S(K(np.ones(2)), K(np.ones(2)), K(np.ones(3))), TypeError, "shape"),
            (S(K(np.ones(2)), K(np.ones(2)), K(np.ones(2), "float16")), TypeError, "float16"),
            (S(K([1], "int32"), K([1], "int32"), K([1], "int32")), TypeError, "dtype"),
        ],
    ),
    Case(
        "identity",
        [*SHAPES, S(R((2, 3)), R((4,))), S(R((2,)), K([1, 2], "int32"))],
        edges=[S(L(FAR)), S(L([inf]), L([nan]))],
    ),
]

NO_CHECK = ("floor", "ceil", "fix", "sign", "identity")
CASES = [*TRIGONOMETRY, *SPECIAL, *ELEMENTWISE]
for case in CASES:
    if not case.errors and case.name not in NO_CHECK:
        case.errors = [INT]
