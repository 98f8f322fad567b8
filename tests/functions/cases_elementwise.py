"""Rows of activations, arithmetic and elementwise functions."""

import numpy as np
from rows import Case, K, L, R, S

inf, nan = np.inf, np.nan
FAR = [-inf, -1e30, -100.0, -1.0, -0.0, 0.0, 1e-30, 1.0, 100.0, 1e30, inf, nan]
SHAPES = [S(R((3, 4))), S(R((2, 1, 3))), S(R(())), S(R((0, 3))), S(R((1,))), S(R((2, 3, 4, 5)))]
INT = (S(K([1, 2], "int32")), TypeError, "dtype")


def unary(name, **kw):
    kw.setdefault("edges", [S(L(FAR))])
    return Case(name, kw.pop("samples", SHAPES), errors=kw.pop("errors", [INT]), **kw)


def positive(shapes=SHAPES):
    return [S(R(s.args[0].shape, 0.2, 3.0)) for s in shapes]


def options(*extra):
    """The shapes, each with the options in turn."""
    return [S(*s.args, **extra[i % len(extra)]) for i, s in enumerate(SHAPES)]


PAIRS = [(3, 4), (3, 4)], [(2, 3), (3,)], [(2, 1, 4), (3, 1)], [(), (2, 2)], [(0, 3), (1, 3)], [(1, 1), (1, 1)]


def pairs(low=-2.0, high=2.0):
    return [S(R(a, low, high), R(b, low, high)) for a, b in PAIRS]


MISFIT = [
    (S(K(np.ones((2, 3))), K(np.ones((2, 4)))), TypeError, "broadcast"),
    (S(K(np.ones(2)), K(np.ones(2), "float16")), TypeError, "float32 != float16"),
]
NO_NUMBER = (S(K(np.ones(2)), None), TypeError, "NoneType")
BOOL = (S(K([True], "bool")), TypeError, "dtype")

CASES = [
    unary("relu"),
    unary("leaky_relu", samples=options({}, {"slope": 0.1}, {"slope": -0.5}), floats={"slope": 0.3}),
    unary(
        "elu",
        samples=options({}, {"alpha": 0.5}, {"alpha": 2.0}),
        floats={"alpha": 0.3},
        edges=[S(L(FAR)), S(L([89.0, 12.0, -89.0]))],
    ),
    unary("sigmoid"),
    unary("tanh"),
    unary("softplus", samples=options({}, {"beta": 2.0}, {"beta": 0.5}), floats={"beta": 0.7}),
    unary(
        "clipped_relu",
        samples=options({"z": 1.0}, {}, {"z": 0.5}),
        edges=[S(L([-1.0, 0.0, 0.5, 1.0, 2.0, inf, nan]), z=1.0)],
        floats={"z": 1.25},
        errors=[INT, (S(K([1.0]), 1), TypeError, "float"), (S(K([1.0]), 0.0), AssertionError, "positive")],
    ),
    unary(
        "hard_sigmoid",
        samples=[S(R(s.args[0].shape, -4.0, 4.0)) for s in SHAPES],
        edges=[S(L([-2.5, 2.5, -inf, inf, 0.0, 2.499, nan]))],
    ),
    Case(
        "softmax",
        [S(R((3, 4))), S(R((3, 4)), axis=0), S(R((2, 3, 4)), axis=-1), S(R((2, 1))), S(R((0, 3))), S(R((2, 3, 2, 2)))],
        edges=[S(L([[1e30, 0.0], [-1e30, -1e30], [100.0, -100.0]])), S(L([[-inf, 0.0, 1.0]]))],
        errors=[INT, (S(K(np.ones(3))), TypeError, "axis"), (S(K(np.ones((2, 3))), axis=-3), TypeError, "axis")],
    ),
    Case(
        "log_softmax",
        [S(R((3, 4))), S(R((3, 4)), axis=0), S(R((2, 3, 4)), axis=-1), S(R((2, 1))), S(R((0, 3))), S(R((2, 3, 2, 2)))],
        edges=[S(L([[1e30, 0.0], [-100.0, -100.0], [100.0, -100.0]])), S(L([[-inf, 0.0, 1.0]]))],
        errors=[INT, (S(K(np.ones(3))), TypeError, "axis")],
    ),
    unary("exp"),
    Case("log", positive(), edges=[S(L([0.0, 1e-30, inf, 1.0]))], errors=[INT]),
    Case("sqrt", positive(), edges=[S(L([0.0, 1e30, inf, 4.0]))], errors=[INT]),
    unary("sin", edges=[S(L([0.0, 100.0, -1.5707964]))]),
    unary("cos", edges=[S(L([0.0, 100.0, -1.5707964]))]),
    unary("square"),
    unary("absolute", label="|_|"),
    Case(
        "maximum",
        pairs(),
        edges=[
            S(L([1.0, 0.0, -inf, inf, 2.0, 1e30, nan, 1.0]), L([1.0, 0.0, -inf, inf, 3.0, -1e30, 1.0, nan])),
            S(L([[1.0], [2.0]]), L([1.0, 2.0])),
        ],
        errors=MISFIT,
    ),
    Case(
        "minimum",
        pairs(),
        edges=[
            S(L([1.0, 0.0, -inf, inf, 2.0, 1e30, nan, 1.0]), L([1.0, 0.0, -inf, inf, 3.0, -1e30, 1.0, nan])),
            S(L([[1.0], [2.0]]), L([1.0, 2.0])),
        ],
        errors=MISFIT,
    ),
    Case(
        "clip",
        [
            S(R((3, 4)), -1.0, 1.0),
            S(R((3, 4)), -1, 1),
            S(R((3, 4)), None, 0.5),
            S(R((3, 4)), 0.5, None),
            S(R((0, 3)), -1.0, 1.0),
            S(R(()), 0.0, 1.0),
        ],
        edges=[S(L([-1.0, 1.0, 0.0, 1e30, -inf, inf, nan]), -1.0, 1.0), S(L([nan, 3.0, -3.0, 1.0]), None, 1.0)],
        errors=[
            (S(K(np.ones(2)), 1.0, -1.0), ValueError, "less"),
            (S(K(np.ones(2)), None, None), ValueError, "either"),
            (S(K([1], "int32"), 0.0, 1.0), TypeError, "dtype"),
        ],
        floats={1: -0.75, 2: 1.5},
    ),
    Case(
        "where",
        [
            S(K([[True, False], [False, True]], "bool"), R((2, 2)), R((2, 2))),
            S(K([True, False], "bool"), R((3, 2)), R((2,))),
            S(K(True, "bool"), R((2,)), R((2,))),
            S(K([[True], [False]], "bool"), R(()), R((2, 3))),
            S(K(np.ones((0, 2)), "bool"), R((0, 2)), R((0, 2))),
            S(K([True], "bool"), R((1,)), R((3, 1))),
        ],
        edges=[S(K([True, False, True], "bool"), L([inf, inf, nan]), L([-inf, 1.0, 2.0]))],
        errors=[
            (S(K([1, 0], "int32"), K([1.0, 2.0]), K([1.0, 2.0])), TypeError, "bool"),
            (S(K([True], "bool"), K([1.0]), K([1.0], "float16")), TypeError, "float16"),
        ],
    ),
    Case(
        "add",
        [
            *pairs(),
            S(R((2, 3)), R((3,)), R((2, 1))),
            S(R((2,))),
            S(R((2,)), 3),
            S(R((2,)), R((2,)), R((2,)), R((2,))),
        ],
        errors=MISFIT,
    ),
    Case("operator +", pairs(), call="x0 + x1", edges=[S(L([inf, -inf, 1e30]), L([inf, inf, 1e30]))], errors=MISFIT),
    Case("operator -", pairs(), call="x0 - x1", errors=MISFIT),
    Case("operator *", pairs(), call="x0 * x1", edges=[S(L([inf, 0.0, 1e30]), L([2.0, inf, 1e30]))], errors=MISFIT),
    Case(
        "operator /",
        [S(R(a), R(b, 0.5, 2.0)) for a, b in PAIRS],
        call="x0 / x1",
        edges=[S(L([1.0, 0.0, 1e30, 1.0]), L([0.0, 2.0, 1e25, 1e-30]))],
        errors=MISFIT,
        better="0 / 0 and overflow of intermediate products",
    ),
    Case(
        "operator **",
        [S(R(a, 0.5, 2.0), R(b)) for a, b in PAIRS],
        call="x0 ** x1",
        edges=[S(L([2.0, 4.0, 0.5]), L([0.0, 0.5, -1.0]))],
        errors=MISFIT,
    ),
    Case("operator //", pairs(0.5, 2.0), call="x0 // x1", label=None, errors=[*MISFIT, NO_NUMBER], order=1),
    Case(
        "operator @",
        [
            S(R((2, 3)), R((3, 4))),
            S(R((3,)), R((3,))),
            S(R((2, 3)), R((3,))),
            S(R((5, 2, 3)), R((3, 4))),
            S(R((0, 3)), R((3, 2))),
            S(R((1, 1)), R((1, 1))),
        ],
        call="x0 @ x1",
        errors=[(S(K(np.ones((2, 3))), K(np.ones((2, 4)))), TypeError, "shape"), NO_NUMBER],
    ),
    Case("operator neg", SHAPES, call="-x0", errors=[BOOL]),
    Case("operator abs", SHAPES, call="abs(x0)", edges=[S(L([0.0, -inf, inf, -1e-30, nan]))], errors=[BOOL]),
    Case("x + 1", SHAPES, call="x0 + 1", floats={}),
    Case("1 + x", SHAPES, call="1 + x0"),
    Case(
        "x + c",
        [
            S(R((2, 3)), c=1.5),
            S(R((2, 3)), c=-2.25),
            S(R((2, 3)), c=0.5),
            S(R(()), c=0.5),
            S(R((0,)), c=0.5),
            S(R((1, 1)), c=0.5),
        ],
        call="x0 + c",
        floats={"c": 7.5},
    ),
    Case("x - 1", SHAPES, call="x0 - 1"),
    Case("1 - x", SHAPES, call="1 - x0"),
    Case("x * 2", SHAPES, call="x0 * 2"),
    Case(
        "x * c",
        [
            S(R((2, 3)), c=1.5),
            S(R((2, 3)), c=-2.25),
            S(R((2, 3)), c=0.5),
            S(R(()), c=0.5),
            S(R((0,)), c=0.5),
            S(R((1, 1)), c=0.5),
        ],
        call="x0 * c",
        floats={"c": 7.5},
    ),
    Case("x / 4", SHAPES, call="x0 / 4"),
    Case("1 / x", positive(), call="1 / x0", edges=[S(L([0.0, inf, 1e30]))], better="overflow of x * x"),
    Case("x ** 2", SHAPES, call="x0 ** 2", edges=[S(L(FAR))], better="overflow"),
    Case("x ** 3", SHAPES, call="x0 ** 3", edges=[S(L([-2.0, 0.0, 2.0]))]),
    Case("x ** 0", SHAPES, call="x0 ** 0", edges=[S(L([0.0, 2.0, -1.0]))], better="0 * x ** -1 is 0 at 0", order=1),
    Case("x ** -1", positive(), call="x0 ** -1"),
    Case(
        "x ** c",
        [
            S(R((2, 3), 0.5, 2.0), c=1.5),
            S(R((2, 3), 0.5, 2.0), c=-0.25),
            S(R((2, 3), 0.5, 2.0), c=0.5),
            S(R((), 0.5, 2.0), c=0.5),
            S(R((0,)), c=0.5),
            S(R((1, 1), 0.5, 2.0), c=0.5),
        ],
        call="x0 ** c",
        floats={"c": 2.5},
        edges=[S(L([0.0, 1.0, 4.0]), c=1.5)],
    ),
    Case("2 ** x", SHAPES, call="2 ** x0"),
    Case(
        "x + int array",
        [
            S(R((2, 3)), K([1, 2, 3], "int32")),
            S(R((2, 3)), K([[1], [2]], "int64")),
            S(R((2, 3)), K([True, False, True], "bool")),
        ],
        call="x0 + x1",
    ),
    Case("x * float64 array", [S(R((2, 3)), K([1, 2, 3], "float64"))], call="x0 * x1", dtypes=()),
    Case(
        "matmul",
        [
            S(R((2, 3)), R((3, 4))),
            S(R((3, 2)), R((4, 3)), transa=True, transb=True),
            S(R((5, 2, 3)), R((5, 3, 4))),
            S(R((5, 2, 3)), R((3, 4))),
            S(R((3,)), R((3, 4))),
            S(R((3,)), R((5, 4, 3)), transb=True),
            S(R((5, 3, 2)), R((3,)), transa=True),
            S(R((1, 5, 2, 3)), R((4, 1, 3, 2))),
            S(R((2, 0)), R((0, 3))),
            S(R((2, 0, 3)), R((2, 3, 2))),
            S(R((2, 1, 0)), R((1, 0, 2))),
        ],
        errors=[
            (S(K(np.ones((2, 1, 2))), K(np.ones((3, 2, 1)))), TypeError, "broadcast"),
            (S(K(np.ones((2, 3))), K(np.ones((4, 3)))), TypeError, "a.shape[-1] == b.shape[-2]"),
            (S(K(1.0), K(np.ones(2))), TypeError, "a.ndim >= 1"),
        ],
    ),
]

RETAINS = {
    "relu": ("y0",),
    "sigmoid": ("y0",),
    "tanh": ("y0",),
    "softmax": ("y0",),
    "log_softmax": ("y0",),
    "exp": ("y0",),
    "sqrt": ("y0",),
    "log": ("x",),
    "leaky_relu": ("x",),
    "absolute": ("self",),
    "operator +": (),
    "operator *": ("lhs", "rhs"),
    "operator -": (),
    "x * 2": (),
    "where": ("condition",),
    "matmul": ("a", "b"),
}
for case in CASES:
    case.retains = RETAINS.get(case.name)
