"""Rows of losses: distances, likelihoods, sampled vocabularies, sequences."""

import numpy as np
from rows import Case, I, K, L, R, S

inf = np.inf


def ones(*shape):
    return K(np.ones(shape))


def ints(*values, dtype="int32"):
    return K(np.array(values), dtype)


def pairs(*shapes, **kw):
    return [S(R(s), R(s), **kw) for s in shapes]


SHAPES = [(3, 4), (), (1,), (2, 3, 4), (0, 2), (2, 1)]
PAIR_ERRORS = [
    (S(ones(2), ones(3)), TypeError, "shape"),
    (S(ones(2), K([1.0, 1.0], "float16")), TypeError, "float16"),
    (S(K([1, 2], "int32"), K([1, 2], "int32")), TypeError, "dtype"),
]
TIES = S(L([1.0, 0.0, inf, -inf, 1e15, -3.0]), L([1.0, -0.0, 1.0, 1.0, 1.0, -3.0]))


def likelihood(*shapes, **kw):
    return S(*[R(s) for s in shapes], **kw)


def ctc(times, batch, vocabulary, labels, blank, **kw):
    return S([R((batch, vocabulary)) for _ in range(times)], K(np.array(labels), "int32"), blank, **kw)


def crf(lengths, k, **kw):
    return S(R((k, k)), [R((n, k)) for n in lengths], [I((n,), k) for n in lengths], **kw)


def viterbi(lengths, k):
    return S(R((k, k)), [R((n, k)) for n in lengths])


def clustering(shape, n_labels, *args, **kw):
    n, c, h, w = shape
    return S(R(shape), I((n, h, w), n_labels + 1), *args, c, **kw)


def negative(n, d, v, samples, labels, reduce="sum"):
    """Draw from a table: the sampler of a program is a function, here the rows of x3."""
    return S(R((n, d)), K(np.array(labels), "int32"), R((v, d)), K(np.array(samples), "int32"), reduce=reduce)


CASES = [
    Case("absolute_error", pairs(*SHAPES), edges=[TIES], errors=PAIR_ERRORS, retains=("x0", "x1")),
    Case("squared_error", pairs(*SHAPES), edges=[TIES], errors=PAIR_ERRORS, retains=("x0", "x1")),
    Case("squared_difference", pairs(*SHAPES), edges=[TIES], errors=PAIR_ERRORS),
    Case(
        "contrastive",
        [
            S(R((4, 3)), R((4, 3)), ints(1, 0, 1, 0)),
            S(R((4, 3)), R((4, 3)), ints(1, 0, 1, 0), margin=3.5),
            S(R((4, 3)), R((4, 3)), ints(0, 0, 0, 0), 4.0, reduce="no"),
            S(R((1, 1)), R((1, 1)), ints(1)),
            S(R((2, 5)), R((2, 5)), ints(0, 1, dtype="int64"), 10),
            S(R((3, 2)), R((3, 2)), ints(0, 2, -1), 3.0, reduce="no"),
        ],
        edges=[
            S(L([[1.0, 2.0], [3.0, 4.0]]), L([[1.0, 2.0], [3.0, 4.0]]), ints(0, 1)),  # no distance
            S(L([[0.0, 0.0], [0.0, 0.0]]), L([[1.0, 0.0], [0.0, 1e-9]]), ints(0, 0)),  # at the margin; very near
            S(L([[1e15, 0.0], [1e15, 1.0]]), L([[0.0, 0.0], [-1e15, 0.0]]), ints(0, 1), reduce="no"),
        ],
        errors=[
            (S(ones(2, 2), ones(2, 2), ints(0, 1), margin=0), ValueError, "margin"),
            (S(ones(2, 2), ones(2, 2), ints(0, 1), reduce="sum"), ValueError, "reduce"),
            (S(ones(2, 2), ones(2, 3), ints(0, 1)), TypeError, "shape"),
            (S(ones(2, 2), ones(2, 2), ints(0, 1, 1)), TypeError, "shape[0]"),
            (S(ones(2, 2), ones(2, 2), ones(2)), TypeError, "y.dtype"),
            (S(ones(0, 2), ones(0, 2), K(np.zeros(0), "int32")), TypeError, "> 0"),
        ],
        retains=("x0", "x1", "y"),
    ),
    Case(
        "triplet",
        [
            S(R((4, 3)), R((4, 3)), R((4, 3))),
            S(R((4, 3)), R((4, 3)), R((4, 3)), margin=5.0),
            S(R((4, 3)), R((4, 3)), R((4, 3)), 3.0, "no"),
            S(R((1, 1)), R((1, 1)), R((1, 1))),
            S(R((2, 6)), R((2, 6)), R((2, 6)), 1),
            S(R((5, 2)), R((5, 2)), R((5, 2)), 0.5),
        ],
        edges=[
            S(L([[0.0], [0.0]]), L([[0.0], [1.0]]), L([[1.0], [1.0]]), margin=1),  # exactly at 0
            S(L([[1e15], [1e15]]), L([[1e15], [0.0]]), L([[0.0], [1e15]]), reduce="no"),
        ],
        errors=[
            (S(ones(2, 2), ones(2, 2), ones(2, 2), -1), ValueError, "margin"),
            (S(ones(2, 2), ones(2, 2), ones(2, 2), reduce="sum"), ValueError, "reduce"),
            (S(ones(2, 2), ones(2, 2), ones(2, 3)), TypeError, "shape"),
            (S(ones(0, 2), ones(0, 2), ones(0, 2)), TypeError, "> 0"),
        ],
        floats={"margin": 0.3},
    ),
    Case(
        "hinge",
        [
            S(R((4, 3)), I((4,), 3)),
            S(R((4, 3)), I((4,), 3), norm="L2"),
            S(R((4, 3)), I((4,), 3), reduce="no"),
            S(R((4, 3)), I((4,), 3), "L2", "no"),
            S(R((1, 1)), ints(0)),
            S(R((3, 2)), ints(-1, 0, -2, dtype="int64")),
        ],
        edges=[
            S(L([[1.0, -1.0, 0.0], [-1.0, 1.0, inf]]), ints(0, 1), reduce="no"),
            S(L([[1.0, -1.0, 1e15], [-1e15, 1.0, 0.0]]), ints(0, 1), "L2", "no"),
        ],
        errors=[
            (S(ones(2, 2), ints(0, 1), "L3"), NotImplementedError, "norm"),
            (S(ones(2, 2), ints(0, 1), reduce="sum"), ValueError, "reduce"),
            (S(ones(2, 2), ones(2)), TypeError, "t.dtype"),
            (S(ones(2, 2), ints(0, 1, 1)), TypeError, "shape[0]"),
            (S(ones(2), ints(0, 1)), TypeError, "ndim"),
        ],
    ),
    Case(
        "cross_covariance",
        [
            S(R((5, 3)), R((5, 2))),
            S(R((5, 3)), R((5, 2)), reduce="no"),
            S(R((1, 2)), R((1, 3))),
            S(R((2, 1)), R((2, 1)), "no"),
            S(R((7, 4)), R((7, 4))),
            S(R((3, 1)), R((3, 5)), "half_squared_sum"),
        ],
        edges=[S(L([[1.0], [1.0]]), L([[2.0], [5.0]])), S(L([[1e8], [0.0]]), L([[2.0], [5.0]]))],
        errors=[
            (S(ones(2, 2), ones(3, 2)), TypeError, "shape[0]"),
            (S(ones(2, 2), ones(2)), TypeError, "ndim"),
            (S(ones(2, 2), ones(2, 2), "mean"), ValueError, "reduce"),
        ],
        rtol=2e-5,
        retains=("y", "z"),
    ),
    Case(
        "decov",
        [S(R((5, 3))), S(R((5, 3)), reduce="no"), S(R((1, 2))), S(R((2, 1)), "no"), S(R((7, 4))), S(R((3, 2)), "no")],
        edges=[S(L([[1.0, 2.0], [1.0, 5.0]])), S(L([[1e8, 0.0], [0.0, 1.0]]))],
        errors=[(S(ones(2)), TypeError, "ndim"), (S(ones(2, 2), "mean"), ValueError, "reduce")],
        rtol=2e-5,
        retains=("h",),
    ),
    Case(
        "discriminative_margin_based_clustering_loss",
        [
            clustering((3, 3, 2, 4), 3, 0.5, 1.5),
            clustering((2, 2, 3, 3), 2, 0.1, 3.0, norm=1, alpha=2.0, beta=0.5, gamma=0.1),
            clustering((1, 4, 3, 2), 4, 0.5, 1.5),
            clustering((1, 3, 2, 2), 0, 0.5, 1.5),  # no pixel has an instance
            clustering((2, 2, 4, 1), 5, 0.0, 0.2, gamma=1.0),
            clustering((3, 3, 2, 4), 3, 0.5, 1.5, norm=2),
        ],
        edges=[
            S(L(np.zeros((2, 2, 2, 2))), I((2, 2, 2), 3), 0.5, 1.5, 2),
            S(L(np.arange(8.0).reshape(1, 2, 2, 2) % 3), ints([[1, 1], [2, 0]]), 0.5, 0.25, 2),
        ],
        errors=[
            (S(ones(1, 2, 2, 2), ints([[1, 1], [1, 1]]), 0.5, 1.5, 3), AssertionError, "max_embedding_dim"),
            (S(ones(1, 2, 2, 2), ints([[1, 1], [1, 1]]), 0.5, 1.5, 0), ValueError, "positive"),
            (S(ones(1, 2, 2, 2), ints([[1, 1], [1, 1]]), 0.5, 1.5, 2, norm=3), ValueError, "norm"),
            (S(ones(1, 2, 2, 2), ints([[1, 1]]), 0.5, 1.5, 2), TypeError, "shape"),
        ],
        floats={2: 0.6, 3: 1.25},
        label=None,
        better="Chainer's gradient is NaN where a distance is 0 and norm is 2",
        rtol=2e-5,
    ),
    Case(
        "bernoulli_nll",
        [
            likelihood((3, 4), (3, 4)),
            likelihood((3, 4), (3, 4), reduce="mean"),
            likelihood((3, 4), (3, 4), reduce="no"),
            likelihood((4,), (3, 1), reduce="no"),
            likelihood((), ()),
            S(I((3, 2), 2), R((3, 2))),
            likelihood((0, 2), (0, 2)),
        ],
        edges=[
            S(L([0.0, 1.0, 1.0, 0.0, 0.5]), L([100.0, -100.0, 1e30, -1e30, 0.0]), "no"),
            S(L([1.0, 0.0]), L([-inf, inf]), "no"),
        ],
        errors=[
            (S(ones(2), ones(2), "max"), ValueError, "reduce"),
            (S(ones(2), ones(3)), TypeError, "broadcast"),
            (S(K([1.0], "float16"), ones(1)), TypeError, "float16"),
        ],
        label=None,
        retains=("x", "y"),
    ),
    Case(
        "gaussian_kl_divergence",
        [
            likelihood((3, 4), (3, 4)),
            likelihood((3, 4), (3, 4), reduce="mean"),
            likelihood((3, 4), (3, 4), reduce="no"),
            likelihood((4,), (3, 1), reduce="no"),
            likelihood((), ()),
            S(ints(1, 2), R((2,))),
            likelihood((0, 2), (0, 2)),
        ],
        edges=[S(L([0.0, 1e15, 0.0, 0.0]), L([0.0, 0.0, -1e30, 80.0]), "no"), S(L([inf]), L([inf]))],
        errors=[
            (S(ones(2), ones(2), "max"), ValueError, "reduce"),
            (S(ones(2), ones(3)), TypeError, "broadcast"),
            (S(K([1.0], "float16"), ones(1)), TypeError, "float16"),
        ],
        label=None,
        retains=("mean", "ln_var"),
    ),
    Case(
        "gaussian_nll",
        [
            likelihood((3, 4), (3, 4), (3, 4)),
            likelihood((3, 4), (3, 4), (3, 4), reduce="mean"),
            likelihood((3, 4), (3, 4), (3, 4), reduce="no"),
            likelihood((4,), (3, 1), (), reduce="no"),
            likelihood((), (), ()),
            S(ints(1, 2), R((2,)), R((2,))),
            likelihood((0, 2), (0, 2), (0, 2)),
        ],
        edges=[
            S(L([0.0, 1e15, 0.0, 1.0]), L([0.0, 0.0, 1.0, 1.0]), L([0.0, 0.0, -80.0, 1e30]), "no"),
            S(L([inf]), L([0.0]), L([0.0])),
        ],
        errors=[
            (S(ones(2), ones(2), ones(2), "max"), ValueError, "reduce"),
            (S(ones(2), ones(2), ones(3)), TypeError, "broadcast"),
            (S(ones(1), ones(1), K([1.0], "float16")), TypeError, "float16"),
        ],
        label=None,
        rtol=2e-5,
        retains=("x", "mean", "ln_var"),
    ),
    Case(
        "black_out",
        [
            S(R((4, 3)), I((4,), 5), R((5, 3)), I((4, 2), 5)),
            S(R((4, 3)), I((4,), 5), R((5, 3)), I((4, 2), 5), reduce="no"),
            S(R((2, 3)), ints(1, 1), R((3, 3)), ints([1, 1, 0], [2, 2, 2]), "no"),  # the label among the samples
            S(R((1, 1)), ints(0), R((2, 1)), ints([1])),
            S(R((2, 2)), ints(-1, 0, dtype="int64"), R((4, 2)), ints([0, -2], [3, 1], dtype="int64")),
            S(R((3, 2)), I((3,), 2), R((2, 2)), K(np.zeros((3, 0)), "int32")),
            S(R((3, 2)), I((3,), 4), R((4, 2)), ints([0, 3])),  # the same samples for all
        ],
        edges=[S(L([[0.0, 0.0]]), ints(1), L([[1.0, 2.0], [3.0, 4.0]]), ints([0, 1]))],
        errors=[
            (S(ones(2, 3), ints(0, 1), ones(5, 4), ints([0], [1])), TypeError, "shape"),
            (S(ones(2, 3), ones(2), ones(5, 3), ints([0], [1])), TypeError, "t.dtype"),
            (S(ones(2, 3), ints(0, 1), ones(5, 3), ints([0], [0], [0])), TypeError, "shape[0]"),
        ],
        label=None,
        rtol=2e-5,
    ),
    Case(
        "negative_sampling",
        [
            negative(4, 3, 5, [[0, 1, 2], [1, 3, 3], [2, 4, 0], [0, 0, 0]], [1, 0, 4, 2]),
            negative(4, 3, 5, [[0, 1, 2], [1, 3, 3], [2, 4, 0], [0, 0, 0]], [1, -1, 4, 2]),  # one is ignored
            negative(2, 3, 4, [[0, 1], [1, 3]], [1, 3], reduce="no"),
            negative(2, 3, 4, [[0, 1], [1, 3]], [-1, -1], reduce="no"),
            negative(1, 1, 1, [[0, 0]], [0]),
            negative(3, 2, 2, [[0], [1], [0]], [1, 0, 0]),
        ],
        call="F.negative_sampling(x0, x1, x2, lambda s: x3.copy(), x3.shape[1] - 1, reduce)",
        edges=[
            S(
                L([[100.0], [-100.0], [0.0]]),
                ints(0, 1, 0),
                L([[1.0], [1e20]]),
                ints([0, 1], [0, 1], [0, 0]),
                reduce="sum",
            ),
        ],
        errors=[
            (S(ones(1, 2), ones(1), ones(2, 2), ints([0, 1]), reduce="sum"), TypeError, "int32"),
            (S(ones(1, 2), ints(0), ones(2, 3), ints([0, 1]), reduce="no"), TypeError, "shape"),
            (S(ones(1, 2), ints(0), ones(2, 2), ints([0, 1]), reduce="mean"), ValueError, "reduce"),
        ],
        retains=("x", "t", "W"),
    ),
    Case(
        "connectionist_temporal_classification",
        [
            ctc(5, 2, 4, [[1, 2], [3, 1]], 0),
            ctc(6, 2, 3, [[1, 1, 2], [2, 2, 2]], 0, reduce="no"),  # a label repeated needs a blank between
            ctc(6, 3, 4, [[1, 2, 0], [3, 0, 0], [1, 1, 2]], 3, label_length=ints(2, 1, 3), reduce="no"),
            ctc(6, 3, 4, [[1, 2], [2, 2], [0, 1]], 3, input_length=ints(6, 4, 2), reduce="no"),
            ctc(5, 2, 3, [[1, 2], [2, 1]], 0, input_length=ints(3, 5), label_length=ints(1, 2)),
            ctc(3, 2, 3, [[0, 1], [1, 0]], 2, label_length=ints(0, 2)),  # nothing but blanks
            ctc(1, 1, 2, [[1]], 0),
            ctc(2, 1, 3, [[-1, 1]], 0, label_length=ints(0)),  # padding is not read
            ctc(4, 1, 3, np.zeros((1, 0)), 0),
            ctc(7, 1, 3, [[1, 0, 1]], 0),  # the blank as a label
        ],
        edges=[
            S([L([[0.0, 0.0]]), L([[0.0, 0.0]])], ints([1]), 0),
            S([L([[40.0, -40.0, 0.0]]), L([[0.0, 40.0, -40.0]]), L([[-40.0, 0.0, 40.0]])], ints([1, 2]), 0),
            S([L([[-40.0, 40.0]]), L([[40.0, -40.0]])], ints([1]), 0),
            S([K([[1.0, 2.0, 3.0]])], ints([1, 2]), 0, reduce="no"),  # no alignment fits
            S([K([[1.0, 2.0, 3.0]]), K([[1.0, 0.0, 3.0]])], ints([1, 1]), 0, reduce="no"),
            S([L([[0.0, -inf, 0.0]]), L([[0.0, 0.0, 0.0]])], ints([1]), 0),
            S([L([[1e30, 0.0]]), L([[1e30, 1e30]])], ints([1]), 0),
        ],
        errors=[
            (S([ones(1, 2)], ints([1]), 2), AssertionError, "blank_symbol"),
            (S([ones(1, 2)], ints([1]), "a"), TypeError, "blank_symbol"),
            (S(ones(1, 2), ints([1]), 0), TypeError, "list"),
            (S([ones(1, 2)], ones(1, 1), 0), TypeError, "int32"),
            (S([ones(1, 2)], ints([1], [1]), 0), TypeError, "shape"),
            (S([ones(1, 2)], ints([1]), 0, reduce="sum"), ValueError, "reduce"),
        ],
        rtol=2e-5,
    ),
    Case(
        "crf1d",
        [
            crf((3, 3, 3), 4),
            crf((4, 3, 3, 1), 3),
            crf((4, 2, 1, 1), 3, reduce="no"),
            crf((2,), 3, reduce="no"),
            crf((2,), 1),
            crf((2, 2, 2, 2, 1), 2, reduce="mean"),
        ],
        edges=[
            S(L(np.zeros((2, 2))), [L([[0.0, 0.0]]), L([[0.0, 0.0]])], [ints(0), ints(1)]),
            S(L([[0.0, 80.0], [-80.0, 0.0]]), [L([[1e3, 0.0]]), L([[0.0, 1e3]])], [ints(0), ints(0)]),
            S(L([[0.0, -inf], [0.0, 0.0]]), [L([[1.0, 0.0]]), L([[0.0, 1.0]])], [ints(0), ints(0)]),
            S(L([[0.0, -inf], [0.0, -inf]]), [L([[1.0, 0.0]]), L([[0.0, 1.0]])], [ints(0), ints(0)]),
        ],
        errors=[
            (S(ones(2, 2), [ones(1, 3)], [ints(0)]), AssertionError, "cost.shape[0]"),
            (S(ones(2, 2), [ones(1, 2), ones(2, 2)], [ints(0), ints(0, 1)]), TypeError, "shape[0]"),
            (S(ones(2, 2), [ones(1, 2)], [ints(0, 1)]), TypeError, "shape"),
            (S(ones(2, 2), [ones(1, 2)], [ints(0)], reduce="sum"), ValueError, "reduce"),
        ],
        label=None,
        better="a label that cannot be reached is NaN in Chainer",
        rtol=2e-5,
    ),
    Case(
        "argmax_crf1d",
        [
            viterbi((3, 3, 3), 4),
            viterbi((4, 3, 3, 1), 3),
            viterbi((4, 2, 1, 1), 3),
            viterbi((2,), 3),
            viterbi((1, 1), 1),
            viterbi((2, 2, 2, 2, 1), 2),
        ],
        call="[(r := F.argmax_crf1d(x0, x1))[0], *[F.expand_dims(p, 0) for p in r[1]]]",
        edges=[
            S(L(np.zeros((2, 2))), [L(np.zeros((2, 2))), L(np.zeros((1, 2)))]),  # all sequences tie
            S(L([[0.0, -inf], [0.0, 0.0]]), [L([[1.0, 0.0]]), L([[0.0, 1.0]])]),
        ],
        errors=[(S(ones(2, 2), [ones(1, 2), ones(2, 2)]), TypeError, "shape[0]")],
        label=None,
    ),
]
