"""Rows of reductions, shapes and indexing."""

import numpy as np
from rows import Case, K, L, R, S

inf = np.inf
INT = (S(K([1, 2], "int32")), TypeError, "dtype")
AXIS = [
    (S(K(np.ones((2, 3))), axis=2), TypeError, "axis"),
    (S(K(np.ones((2, 3))), axis=-3), TypeError, "axis"),
]
TWICE = [
    (S(K(np.ones((2, 3))), axis=(0, 0)), ValueError, "duplicate"),
    (S(K(np.ones((2, 3))), axis="a"), TypeError, "axis"),
]


def reduced(low=-2.0, high=2.0, keepdims=True):
    shapes = [
        S(R((2, 3, 4), low, high)),
        S(R((2, 3, 4), low, high), axis=0),
        S(R((2, 3, 4), low, high), axis=-1),
        S(R((2, 3, 4), low, high), axis=(0, 2)),
        S(R((2, 3, 4), low, high), axis=(-1, 1)),
        S(R((2, 1, 4), low, high), axis=1),
        S(R((), low, high)),
        S(R((0, 3), low, high), axis=1),
    ]
    if keepdims:
        shapes += [
            S(R((2, 3, 4), low, high), axis=1, keepdims=True),
            S(R((2, 3), low, high), keepdims=True),
            S(R((2, 3, 4), low, high), axis=(2, 0), keepdims=True),
        ]
    return shapes


TIES = [
    S(L([[1.0, 1.0, 0.0], [2.0, 2.0, 2.0]])),
    S(L([[1.0, 1.0, 0.0], [2.0, 2.0, 2.0]]), axis=1),
    S(L([[0.0, -0.0], [inf, inf], [-inf, -inf]]), axis=1, keepdims=True),
]

CASES = [
    Case("sum", [*reduced(), S(R((0, 3)), axis=0)], edges=[S(L([1e30, inf]))], errors=[INT, *AXIS, *TWICE]),
    Case("mean", reduced(), errors=[INT, *AXIS, *TWICE]),
    Case(
        "average",
        [
            *reduced(),
            S(R((2, 3)), axis=1, weights=K([1.0, 2.0, 3.0])),
            S(R((2, 3)), weights=R((2, 3), 0.5, 1.0)),
            S(R((2, 3)), axis=-1, weights=R((3,), 0.5, 1.0), keepdims=True),
        ],
        errors=[(S(K(np.ones((2, 3))), axis=(0, 1), weights=K(np.ones((2, 3)))), ValueError, "tuple axis")],
    ),
    Case("max", reduced(), edges=TIES, errors=[INT, *AXIS, *TWICE], order=1),
    Case("min", reduced(), edges=TIES, errors=[INT, *AXIS, *TWICE], order=1),
    Case(
        "prod",
        [*reduced(0.5, 1.5), S(R((0, 3)), axis=0)],
        edges=[S(L([[0.0, 2.0, 3.0], [0.0, 0.0, 3.0]]), axis=1), S(L([[0.0, 2.0], [1.0, -3.0]]))],
        errors=[INT, *AXIS, *TWICE],
    ),
    Case(
        "logsumexp",
        reduced(keepdims=False),
        edges=[S(L([[1e30, 0.0], [-1e30, -1e30], [100.0, -100.0]]), axis=1), S(L([[-inf, 0.0], [-inf, -inf]]), axis=1)],
        errors=[INT, *AXIS],
        better="-inf for all -inf",
    ),
    Case(
        "argmax",
        [
            S(R((2, 3, 4))),
            S(R((2, 3, 4)), axis=1),
            S(R((2, 3, 4)), axis=-1),
            S(R((2, 1)), axis=1),
            S(R((3,))),
            S(R((0, 3)), axis=1),
        ],
        edges=TIES[:2],
        errors=[INT, *AXIS, (S(K(np.ones((2, 3))), axis=(0, 1)), TypeError, "axis")],
        order=1,
    ),
    Case(
        "argmin",
        [
            S(R((2, 3, 4))),
            S(R((2, 3, 4)), axis=1),
            S(R((2, 3, 4)), axis=-1),
            S(R((2, 1)), axis=1),
            S(R((3,))),
            S(R((0, 3)), axis=1),
        ],
        edges=TIES[:2],
        errors=[INT, *AXIS],
        order=1,
    ),
    Case(
        "reshape",
        [
            S(R((2, 6)), (3, 4)),
            S(R((2, 6)), (-1, 3)),
            S(R((2, 6)), [12]),
            S(R((1, 1)), ()),
            S(R((0, 3)), (3, 0)),
            S(R((2, 3)), (2, 3, 1)),
        ],
        errors=[
            (S(K(np.ones((2, 3))), (4, 2)), TypeError, "prod(x.shape)"),
            (S(K(np.ones((2, 3))), (-1, 4)), TypeError, "known_size"),
            (S(K(np.ones((2, 3))), (-1, -1)), AssertionError, "at most one"),
            (S(K(np.ones((0, 3))), (0, -1)), ValueError, "-1"),
        ],
    ),
    Case(
        "x.reshape",
        [S(R((2, 6)), (3, 4)), S(R((2, 6)), (4, -1))],
        call="x0.reshape(*x1)",
        errors=[(S(K(np.ones((2, 3))), (4, 2)), TypeError, "8")],
    ),
    Case(
        "flatten",
        [S(R((2, 6))), S(R(())), S(R((0, 3))), S(R((1, 1, 1))), S(R((2, 3, 4))), S(R((3, 1)))],
        errors=[(S(None), TypeError, "NoneType")],
    ),
    Case(
        "transpose",
        [
            S(R((2, 3, 4))),
            S(R((2, 3, 4)), (1, 2, 0)),
            S(R((2, 3, 4)), axes=(-1, 0, 1)),
            S(R(())),
            S(R((0, 3))),
            S(R((1, 3)), (1, 0)),
        ],
        errors=[
            (S(K(np.ones((2, 3))), (0, 0)), ValueError, "permutation"),
            (S(K(np.ones((2, 3))), (0,)), ValueError, "permutation"),
            (S(K(np.ones((2, 3))), (0, 2)), ValueError, "permutation"),
        ],
    ),
    Case("x.T", [S(R((2, 3))), S(R((2, 3, 4)))], call="x0.T"),
    Case("x.transpose", [S(R((2, 3, 4)), (2, 0, 1))], call="x0.transpose(*x1)"),
    Case("x.mean", [S(R((2, 3, 4)))], call="x0.mean(axis=1, keepdims=True)"),
    Case(
        "swapaxes",
        [
            S(R((2, 3, 4)), 0, 2),
            S(R((2, 3, 4)), -1, 1),
            S(R((2, 3)), 0, 0),
            S(R((0, 3)), 0, 1),
            S(R((1, 3)), 1, 0),
            S(R((2, 3, 4, 5)), 1, -2),
        ],
        errors=[(S(K(np.ones((2, 3))), 0, 2), TypeError, "axis")],
    ),
    Case(
        "concat",
        [
            S([R((2, 3)), R((2, 1))]),
            S([R((2, 3)), R((1, 3)), R((3, 3))], axis=0),
            S([R((2, 3, 4)), R((2, 3, 1))], axis=-1),
            S([R((2, 3))]),
            S([R((2, 0)), R((2, 3))]),
            S((R((2, 1)), R((2, 1)))),
        ],
        errors=[
            (S([K(np.ones((2, 3))), K(np.ones((3, 3)))]), TypeError, "x0.shape[0] == x1.shape[0]"),
            (S([K(np.ones((2, 3))), K(np.ones((2, 3)), "float16")]), TypeError, "float16"),
            (S([K(np.ones((2, 3)))], axis=2), TypeError, "axis"),
            (S([]), TypeError, "at least one"),
        ],
    ),
    Case(
        "stack",
        [
            S([R((2, 3)), R((2, 3))]),
            S([R((2, 3)), R((2, 3)), R((2, 3))], axis=1),
            S([R((2, 3)), R((2, 3))], axis=-1),
            S([R(()), R(())]),
            S([R((2,))]),
            S([R((0, 2)), R((0, 2))], axis=2),
        ],
        errors=[
            (S([K(np.ones((2, 3))), K(np.ones((3, 3)))]), TypeError, "shape"),
            (S([K(np.ones((2, 3)))], axis=3), TypeError, "axis"),
        ],
    ),
    Case(
        "split_axis",
        [
            S(R((2, 6)), 3, 1),
            S(R((2, 6)), [1, 4], 1),
            S(R((2, 6)), K([2], "int32"), axis=-1),
            S(R((4, 3)), 2, 0),
            S(R((2, 3)), [], 1),
            S(R((2, 3)), [0, 3], 1),
            S(R((2, 3)), 1, 1, force_tuple=False),
        ],
        errors=[
            (S(K(np.ones((2, 3))), 2, 1), TypeError, "sections"),
            (S(K(np.ones((2, 3))), [4], 1), TypeError, "max_index"),
        ],
    ),
    Case(
        "separate",
        [S(R((2, 3))), S(R((2, 3)), axis=1), S(R((2, 3, 4)), axis=-1), S(R((1, 3))), S(R((2, 0))), S(R((3,)))],
        errors=[(S(K(np.ones((2, 3))), axis=2), TypeError, "axis")],
    ),
    Case(
        "squeeze",
        [
            S(R((1, 2, 1))),
            S(R((1, 2, 1)), axis=0),
            S(R((1, 2, 1)), axis=(0, -1)),
            S(R((2, 3))),
            S(R((1, 1))),
            S(R((1, 0)), axis=0),
        ],
        errors=[
            (S(K(np.ones((1, 3))), axis=2), TypeError, "axis"),
            (S(K(np.ones((1, 3))), axis="a"), TypeError, "axis"),
        ],
    ),
    Case(
        "expand_dims",
        [S(R((2, 3)), 0), S(R((2, 3)), 1), S(R((2, 3)), -1), S(R((2, 3)), 2), S(R(()), 0), S(R((0, 2)), -3)],
        errors=[(S(K(np.ones((2, 3))), 3), TypeError, "axis")],
    ),
    Case(
        "broadcast_to",
        [
            S(R((3,)), (2, 3)),
            S(R((2, 1)), (2, 3)),
            S(R(()), (2, 2)),
            S(R((1, 3, 1)), (4, 2, 3, 2)),
            S(R((1,)), (0,)),
            S(R((2, 3)), [2, 3]),
        ],
        errors=[(S(K(np.ones((2, 3))), (2, 4)), TypeError, "shape"), (S(K(np.ones((2, 3))), (3,)), TypeError, "ndim")],
    ),
    Case(
        "broadcast",
        [
            S(R((3,)), R((2, 1))),
            S(R((2, 3)), R((2, 3))),
            S(R(()), R((2,)), R((3, 1))),
            S(R((1, 3)), R((0, 1))),
            S(R((1,)), R((1,))),
            S(R((2, 1, 3)), R((4, 1))),
        ],
        errors=[(S(K(np.ones((2, 3))), K(np.ones((2, 4)))), TypeError, "broadcast")],
    ),
    Case(
        "cast",
        [
            S(R((2, 3)), "float16"),
            S(R((2, 3)), np.float16),
            S(R((2, 3)), "float32"),
            S(R(()), "float16"),
            S(R((0,)), "float16"),
            S(R((2, 1)), "int32"),
        ],
        errors=[(S(K(np.ones(2)), "nonsense"), TypeError, "nonsense"), (S(2.0, "float16"), AttributeError, "dtype")],
        order=1,
    ),
    Case(
        "pad_sequence",
        [
            S([R((3,)), R((1,)), R((2,))]),
            S([R((3, 2)), R((1, 2))], length=5),
            S([R((3, 2)), R((1, 2))], padding=-1),
            S([R((2,))]),
            S([R((0, 2)), R((1, 2))]),
            S([R((2, 1, 3)), R((2, 1, 3))], length=2, padding=0.5),
        ],
        errors=[
            (S([K(np.ones((2, 3))), K(np.ones((2, 4)))]), TypeError, "shape[1:]"),
            (S([K(np.ones((3, 3)))], length=2), TypeError, "length"),
        ],
    ),
    Case(
        "transpose_sequence",
        [
            S([R((3, 2)), R((2, 2)), R((2, 2)), R((1, 2))]),
            S([R((2,)), R((2,))]),
            S([R((2, 1))]),
            S([R((3, 2)), R((3, 2)), R((1, 2))]),
            S([R((2,)), R((0,))]),
            S([R((2, 2, 2)), R((1, 2, 2))]),
        ],
        errors=[(S([K(np.ones((1, 3))), K(np.ones((2, 3)))]), TypeError, "shape[0]")],
    ),
    Case(
        "get_item",
        [
            S(R((4, 5, 3)), (1, slice(1, 3))),
            S(R((4, 5)), 2),
            S(R((4, 5)), -1),
            S(R((4, 5)), slice(None, None, -1)),
            S(R((4, 5)), (slice(None), slice(-3, None, 2))),
            S(R((4, 5)), (Ellipsis, None, 1)),
            S(R((4, 5)), (None, slice(2, 2))),
            S(R((4, 5)), [0, 2, 2]),
            S(R((4, 5)), ([0, 2, 2], [1, 1, 1])),
            S(R((4, 5, 3)), (slice(1, 3), K([[0, 1], [4, 4]], "int32"))),
            S(R((4, 5, 3)), (K([0, 1], "int32"), slice(None), K([2, 0], "int64"))),
            S(R((4, 5, 3)), (1, slice(0, 2), K([2, 0, 0], "int32"))),
            S(R((4, 5, 3)), (K([-1, 0], "int32"), 2)),
            S(R((4, 5)), K([[True, False, True, False, True]] * 4, "bool")),
            S(R((4, 5)), (K([True, False, False, True], "bool"), slice(1, 4))),
            S(R((4, 5)), ()),
            S(R((1, 0)), (0, slice(None))),
            S(R(()), None),
            S(R((4, 5)), (slice(-10, 10), slice(3, 1))),
            S(R((2, 3)), True),
            S(R((2, 3)), (K(False, "bool"), slice(1, 2))),
            S(R((2, 3)), (Ellipsis, K(True, "bool"), 1)),
            S(R((2, 3)), (K([1, 0], "int32"), K(True, "bool"), None)),
            S(R(()), K(True, "bool")),
        ],
        errors=[
            (S(K(np.ones((2, 3))), ([0, 1], [0, 1, 2])), IndexError, "do not broadcast"),
            (S(K(np.ones((2, 3))), 2), IndexError, "out of bounds"),
            (S(K(np.ones((2, 3))), (0, 0, 0)), IndexError, "too many"),
            (S(K(np.ones((2, 3))), K([5], "int32")), IndexError, "out of bounds"),
        ],
    ),
    Case("x[...]", [S(R((4, 5)))], call="x0[1:3, -1] + x0[0, 0]"),
]

RETAINS = {
    "sum": (),
    "mean": (),
    "max": ("x",),
    "prod": ("x",),
    "logsumexp": ("x", "y0"),
    "reshape": (),
    "transpose": (),
    "broadcast_to": (),
    "cast": (),
}
for case in CASES:
    case.retains = RETAINS.get(case.name)
