"""Rows of mathematics: trigonometry and special functions. SciPy 1.10 is needed to record them."""

import numpy as np
from cases_elementwise import FAR, INT, SHAPES, positive, unary
from rows import Case, I, K, L, R, S

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
            S(L([-5.0, -1.0, -0.0, 0.0, 1.0])),
            S(K([-inf, -30.0, 4.99, 5.01, 9.0, 9.3, 11.0, 26.6, 1e4, 1e30, inf])),
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
            (S(K([1, 2], "int32"), K([1.0, 2.0, 3.0])), ValueError, "broadcast"),
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
            (S(K([1.0, 2.0]), K([1.0, 2.0, 3.0])), ValueError, "broadcast"),
        ],
        floats={0: 3.5},
    ),
]

HALVES = [-2.5, -2.0, -1.5, -0.5, -0.0, 0.0, 0.5, 1.5, 2.0, 2.5, 1e30, -inf, inf, nan]


def stepped(name):
    errors = [(S(None), TypeError, "NoneType")]
    if name == "sign":
        errors.append((S(K([True], "bool")), TypeError, "dtype"))
    samples = [*SHAPES, S(K([-3, 0, 2], "int32")), *([] if name == "sign" else [S(K([True, False], "bool"))])]
    return Case(name, samples, edges=[S(L(HALVES))], errors=errors, order=1)


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
        errors=[(S(2.0), TypeError, "got float"), (S([1.0]), TypeError, "got list")],
    ),
]


def ones(*shape):
    return K(np.ones(shape))


SQUARE = [(3, 3), (1, 1), (2, 2), (4, 4), (5, 5), (3, 3)]
# x + 3 on the diagonal: far from singular
DIAGONAL = "x0 + 3 * np.eye(x0.shape[-1], dtype=x0.dtype)"
ROW, COL = K([0, 1, 1, 0], "int32"), K([2, 0, 1, 2], "int32")
ROWS, COLS = K([[0, 1, 1], [0, 0, -1]], "int32"), K([[2, 0, 1], [0, 1, -1]], "int32")
SPARSE = "(lambda sp: (setattr(sp, 'data', x0), {})[1])(utils.CooMatrix(x0.array, x2, x3, (2, 3)))"

LINALG = [
    Case(
        "batch_l2_norm_squared",
        [S(R((3, 4))), S(R((2, 1, 3))), S(R((1, 1))), S(R((2, 0))), S(R((1, 3, 1))), S(R((2, 3, 4, 5)))],
        edges=[S(L([[inf, 1.0], [1e-30, 0.0], [-3.0, 4.0]]))],
        errors=[(S(ones(3)), TypeError, "x.ndim >= 2"), (S(K([[1]], "int32")), TypeError, "dtype")],
    ),
    Case(
        "batch_matmul",
        [
            S(R((2, 3, 4)), R((2, 4, 5))),
            S(R((2, 4, 3)), R((2, 4, 5)), transa=True),
            S(R((2, 3, 4)), R((2, 5, 4)), transb=True),
            S(R((2, 4, 3)), R((2, 5, 4)), transa=True, transb=True),
            S(R((2, 3)), R((2, 3)), transa=True),
            S(R((2, 3)), R((2, 5)), transb=True),
            S(R((2, 3, 4)), R((2, 4))),
            S(R((1, 1, 1)), R((1, 1, 1))),
        ],
        errors=[
            (S(ones(2, 3, 4), ones(2, 3, 4)), TypeError, "columns of a == rows of b"),
            (S(ones(2), ones(2)), TypeError, "ndim"),
            (S(ones(1, 1, 1), ones(2, 1, 1)), TypeError, "shape[0]"),
        ],
        borrowed=("float16", "float64"),
        warns="batch_matmul is deprecated",
        fills=("ties", "unknown"),
    ),
    Case(
        "tensordot",
        [
            S(R((5, 3, 2)), R((3, 2, 4))),
            S(R((3, 2)), R((2, 4)), axes=1),
            S(R((3,)), R((4,)), axes=0),
            S(R((2, 3, 4)), R((4, 3, 5)), axes=([2, 1], [0, 1])),
            S(R((2, 3, 4)), R((3, 5)), axes=(1, 0)),
            S(R((2, 3, 4)), R((3, 2, 5)), axes=((0, 1), (1, 0))),
            S(R((2, 0)), R((0, 3)), axes=1),
            S(R((2, 3)), R((2, 3)), axes=2),
        ],
        errors=[
            (S(ones(2, 3), ones(2, 3), axes=1), ValueError, "shape mismatch"),
            (S(ones(2, 3), ones(2, 3), axes=([0], [0, 1])), ValueError, "count mismatch"),
            (S(ones(2, 3), ones(2, 3), axes=(1, 2, 3)), ValueError, "pair"),
            (S(ones(2, 3), ones(2, 3), axes="ab"), TypeError, "axes must be"),
            (S(ones(3), ones(3), axes=2), ValueError, "ndim"),
            (S(K([[1]], "int32"), ones(1, 1), axes=1), TypeError, "dtype"),
        ],
        fills=("ties", "unknown"),
    ),
    Case("inv", [S(R(s)) for s in SQUARE], call=f"F.inv({DIAGONAL})", errors=[(S(ones(2, 3)), TypeError, "broadcast")]),
    Case(
        "batch_inv",
        [S(R(s)) for s in [(2, 3, 3), (1, 1, 1), (3, 2, 2), (1, 4, 4), (2, 5, 5), (4, 3, 3)]],
        call=f"F.batch_inv({DIAGONAL})",
    ),
    Case(
        "inv of what is no matrix",
        [S(R((2, 2), 1.0, 2.0))],
        call="F.inv(x0)",
        dtypes=(),
        order=1,
        errors=[
            (S(ones(2, 3)), TypeError, "a.shape[-2] == a.shape[-1]"),
            (S(ones(2)), TypeError, "a.ndim == 2"),
            (S(ones(2, 2, 2)), TypeError, "a.ndim == 2"),
            (S(K([[1]], "int32")), TypeError, "dtype"),
        ],
    ),
    Case(
        "det",
        [S(R(s)) for s in SQUARE],
        edges=[S(L([[1e10, 0.0], [0.0, 1e-10]]))],
        errors=[
            (S(ones(2, 3)), TypeError, "a.shape[-2] == a.shape[-1]"),
            (S(K([[1]], "int32")), TypeError, "dtype"),
        ],
    ),
    Case(
        "batch_det",
        [S(R(s)) for s in [(2, 3, 3), (1, 1, 1), (3, 2, 2), (1, 4, 4), (2, 5, 5), (4, 3, 3)]],
        errors=[(S(ones(2, 2)), TypeError, "a.ndim == 3"), (S(ones(2, 2, 3)), TypeError, "a.shape[-2]")],
        fills=("ties",),
    ),
    Case(
        "cholesky",
        [S(R(s)) for s in SQUARE],
        call="F.cholesky(F.matmul(x0, x0, transb=True) + np.eye(len(x0), dtype=x0.dtype))",
        edges=[S(L([[1e10, 0.0], [1.0, 1e-10]]))],
        borrowed=("float16",),  # NumPy has no float16
    ),
    Case(
        "cholesky of a lower triangle",
        [S(L([[4.0, 99.0], [1.0, 9.0]]))],
        call="F.cholesky(x0)",
        dtypes=(),
        order=1,
        errors=[(S(ones(2, 3)), TypeError, "a.shape[-2] == a.shape[-1]"), (S(ones(2)), TypeError, "a.ndim == 2")],
    ),
    Case(
        "sparse_matmul",
        [
            S(R((4,)), R((3, 2)), ROW, COL),
            S(R((4,)), R((3, 1)), ROW, COL),
            S(R((4,)), R((3, 5)), ROW, COL),
            S(R((2, 3)), R((2, 3, 2)), ROWS, COLS),
            S(R((2, 3)), R((2, 3, 4)), ROWS, COLS),
            S(R((2, 3)), R((2, 3, 1)), ROWS, COLS),
        ],
        call=SPARSE.format("F.sparse_matmul(sp, x1)"),
        borrowed=("float16",),  # SciPy has no float16
        errors=[
            (S(ones(4), ones(4, 2), ROW, COL), TypeError, "columns of sp"),
            (S(ones(4), ones(1, 3, 2), ROW, COL), TypeError, "ndim"),
            (S(ones(2, 3), ones(3, 3, 2), ROWS, COLS), TypeError, "shape[0]"),
        ],
    ),
]
for name, call, left, right in (
    ("transa", "F.sparse_matmul(sp, x1, transa=True)", (2, 4), (2, 2, 4)),
    ("transb", "F.sparse_matmul(sp, x1, transb=True)", (4, 3), (2, 4, 3)),
    ("second", "F.sparse_matmul(x1, sp)", (4, 2), (2, 4, 2)),
    ("second, both", "F.sparse_matmul(x1, sp, transa=True, transb=True)", (3, 4), (2, 3, 4)),
):
    LINALG.append(
        Case(
            f"sparse_matmul {name}",
            [S(R((2, 3)), R(right), ROWS, COLS), S(R((3,)), R(left), K([0, 1, 1], "int32"), K([2, 0, 1], "int32"))],
            call=SPARSE.format(call),
            borrowed=("float16",),
        )
    )

COMPLEX = [(3, 4), (5,), (2, 3, 6), (1,), (2, 1), (0, 4)]
WAYS = [
    Case(
        name,
        [S((R(s), R(s))) for s in COMPLEX],
        edges=[S((L([1e30, 0.0, -1e30, 1.0]), L([0.0, 0.0, 0.0, 0.0])))],
        errors=[
            (S((ones(2), ones(3))), TypeError, "shape"),
            (S((ones(2), K([1.0, 2.0], "float16"))), TypeError, "dtype"),
            (S((K(1.0), K(1.0))), TypeError, "ndim"),
            (S((K([1], "int32"), K([1], "int32"))), TypeError, "dtype"),
        ],
    )
    for name in ("fft", "ifft")
]

EINSUM = [
    Case(
        "einsum",
        [
            S("ij,jk->ik", R((2, 3)), R((3, 4))),
            S("ij,ik,jkl->il", R((3, 4)), R((3, 5)), R((4, 5, 6))),
            S("...j,...k,jkl", R((2, 3, 4)), R((2, 3, 5)), R((4, 5, 6))),
            S("ii->i", R((3, 3))),
            S("ii", R((3, 3))),
            S("ij->ji", R((2, 3))),
            S("ba", R((2, 3))),
            S("i,j->ij", R((2,)), R((3,))),
            S("ij->", R((2, 0))),
            S("...i->i...", R((2, 3, 4))),
            S("a...b,b...c -> a...c", R((2, 5, 3)), R((3, 5, 4))),
            S(R((2, 3)), [0, 1], R((3, 4)), [1, 2], [0, 2]),
            S(R((2, 3)), [Ellipsis, 1], R((3, 4)), [1, 2]),
            S("ij,ij,ij->j", R((2, 3)), R((2, 3)), R((2, 3))),
            S("i->", R((1,))),
            S("...", R(())),
        ],
        edges=[S("i,i->", L([inf, 1.0]), L([1.0, -inf])), S("i,i->i", L([0.0, 1e30]), L([inf, 1.0]))],
        errors=[
            (S("ij,jk->ik", ones(2, 3), ones(4, 4)), TypeError, "3 != 4"),
            (S("ij->ik", ones(2, 3)), ValueError, "did not appear"),
            (S("ij,jk", ones(2, 3)), ValueError, "number of"),
            (S("i$->i", ones(2, 3)), ValueError, "valid symbol"),
            (S("i-j", ones(2, 3)), ValueError, "->"),
            (S("i->j->k", ones(2, 3)), ValueError, "->"),
            (S("i..j", ones(2, 3)), ValueError, "llipses"),
            (S("i->ii", ones(2)), ValueError, "twice"),
            (S("...i->i", ones(2, 3)), ValueError, "..."),
            (S(), ValueError, "no input"),
            (S(ones(2, 3), ["a", 1]), TypeError, "int or Ellipsis"),
            (S("ijk", ones(2, 3)), TypeError, "ndim"),
            (S("i", K([1], "int32")), TypeError, "floating"),
        ],
    )
]

SMALLER = [((2, 3), (1, 3)), ((2, 3), (2, 1)), ((2, 3, 4), (3, 1)), ((2, 3), ()), ((0, 3), (1, 3)), ((2, 3), (2, 3))]
SPREAD = [((3, 4), (4,)), ((2, 3, 4), (3,)), ((2, 3, 4), (3, 4)), ((2, 3, 4), (1, 4)), ((0, 3), (3,)), ((1, 1), (1,))]
BROADCASTING = [
    *(
        Case(
            name,
            [
                *(S(R(a), R(b)) for a, b in SPREAD),
                S(R((2, 3, 4)), R((2,)), axis=0),
                S(R((2, 3, 4)), R((4,)), axis=2),
                S(R((2, 3)), R(())),
            ],
            edges=[S(L([[1.0, inf]]), L([0.0, 1.0]))],
            errors=[
                (S(ones(2, 3), ones(4)), TypeError, "shape"),
                (S(ones(2, 3), K(np.ones(3), "float16")), TypeError, "float16"),
            ],
        )
        for name in ("bias", "scale")
    ),
    Case(
        "sum_to",
        [S(R(a), b) for a, b in SMALLER],
        edges=[S(L([[inf, -inf], [1.0, 1e30]]), (1, 2))],
        errors=[(S(ones(2, 3), (2,)), TypeError, "broadcasts"), (S(ones(2), (1, 1, 2)), TypeError, "broadcasts")],
    ),
]

ALONG = [
    S(R((3, 4))),
    S(R((3, 4)), axis=0),
    S(R((3, 4)), axis=-1),
    S(R((2, 3, 4)), axis=1),
    S(R((1,))),
    S(R((0, 3)), axis=1),
    S(R((2, 1)), axis=1),
    S(R(())),
]
CUMULATIVE = [
    Case(
        name,
        ALONG,
        edges=[S(L([1.0, 0.0, 2.0, 0.0, 3.0])), S(L([1.0, 2.0, inf, 3.0]))],
        errors=[
            (S(ones(2, 3), axis=2), TypeError, "axis"),
            (S(ones(2, 3), axis=-3), TypeError, "axis"),
            (S(ones(2, 3), axis=(0,)), TypeError, "int or None"),
            INT,
        ],
    )
    for name in ("cumsum", "cumprod")
]

LABELS = [
    S(R((8, 3)), I((8,), 3)),
    S(R((8, 3)), I((8,), 3), label_num=3),
    S(R((8, 3)), K([0, 1, -1, 2, -1, 0, 1, 2], "int32")),
    S(R((2, 3, 4)), I((2, 4), 3), label_num=3),
    S(R((6, 3, 1, 1)), I((6,), 3), label_num=4),
    S(R((6, 4)), K([0, 1, 3, 3, 0, 1], "int64"), ignore_label=3, label_num=3),
    S(R((1, 1)), I((1,), 1)),
]
MISLABELLED = [
    (S(ones(2, 3), ones(2), label_num=3), TypeError, "integer"),
    (S(ones(2, 3), K([1], "int32"), label_num=3), TypeError, "shape[0]"),
    (S(ones(2, 3, 4), K([1, 0], "int32"), label_num=3), TypeError, "shape"),
    (S(K([[1]], "int32"), K([1], "int32")), TypeError, "dtype"),
]
EVALUATION = [
    *(
        Case(
            name,
            LABELS,
            edges=[S(L([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]), K([1, 2], "int32"))],
            errors=MISLABELLED,
            order=1,
        )
        for name in ("precision", "recall", "f1_score")
    ),
    Case(
        "classification_summary",
        [*LABELS, S(R((8, 3)), I((8,), 3), beta=2.0), S(R((8, 3)), I((8,), 3), 3, 0.5)],
        edges=[S(L([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]), K([1, 2], "int32"))],
        errors=MISLABELLED,
        floats={"beta": 1.5},
        order=1,
    ),
    Case(
        "r2_score",
        [
            S(R((6,)), R((6,))),
            S(R((6, 2)), R((6, 2))),
            S(R((6, 2)), R((6, 2)), multioutput="raw_values"),
            S(R((4, 2, 3)), R((4, 2, 3)), multioutput="raw_values"),
            S(R((1, 2)), R((1, 2))),
            S(R((5, 1)), R((5, 1)), None, "raw_values"),
        ],
        edges=[S(L([[1.0, 2.0], [3.0, 2.0]]), L([[1.0, 1.0], [1.0, 2.0]]), multioutput="raw_values")],
        errors=[
            (S(ones(2), ones(3)), TypeError, "shape"),
            (S(ones(2), ones(2), sample_weight=1), NotImplementedError, "sample_weight"),
            (S(ones(2), ones(2), multioutput="mean"), ValueError, "multioutput"),
            (S(K([1], "int32"), ones(1)), TypeError, "dtype"),
        ],
        order=1,
    ),
]

CASES = [*TRIGONOMETRY, *SPECIAL, *ELEMENTWISE, *LINALG, *WAYS, *EINSUM, *BROADCASTING, *CUMULATIVE, *EVALUATION]
for case in CASES:
    if not case.errors and not case.name.startswith("sparse"):
        case.errors = [INT]

RETAINS = {
    "tan": ("y0",),
    "arcsin": ("x",),
    "arctan": ("x",),
    "arctan2": ("x1", "x2"),
    "sinh": ("x",),
    "erf": ("x",),
    "erfcx": ("x", "y0"),
    "erfinv": ("y0",),
    "erfcinv": ("y0",),
    "ndtr": ("x",),
    "ndtri": ("y0",),
    "log_ndtr": ("x",),
    "lgamma": ("x",),
    "digamma": ("x",),
    "zeta": ("q",),
    "expm1": ("y0",),
    "rsqrt": ("y0",),
    "log1p": ("x",),
    "log2": ("x",),
    "fmod": ("x", "divisor"),
    "linear_interpolate": ("p", "x", "y"),
    "inv": ("y0",),
    "cholesky": ("y0",),
    "tensordot": ("a", "b"),
    "batch_l2_norm_squared": ("x",),
    "fft": (),
    "sum_to": (),
    "cumsum": (),
}
for case in CASES:
    case.retains = RETAINS.get(case.name)
