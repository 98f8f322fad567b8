"""Rows of the rectifiers, the noise that is no dropout, and the normalizations that are not over batches alone."""

import numpy as np
from rows import Case, K, L, R, S

inf = np.inf


def ones(*shape, dtype="float32"):
    return K(np.ones(shape), dtype)


def renormalization(shape, kept, rmax, dmax, mean, var, **kw):
    return S(R(shape), R(kept, 0.5, 1.5), R(kept), rmax, dmax, running_mean=K(mean), running_var=K(var), **kw)


def whitening(groups, size, seed):
    """A mean and a projection."""
    rng = np.random.RandomState(seed)
    return K(rng.uniform(-1, 1, (groups, size))), K(rng.uniform(-1, 1, (groups, size, size)))


nan = np.nan
KINKS = [-1e30, -1.0, -0.0, 0.0, 1e-30, 6.0, 1e30, inf, nan]

CASES = [
    Case(
        "crelu",
        [
            S(R((2, 3))),
            S(R((2, 3)), 0),
            S(R((2, 3, 4)), axis=-1),
            S(R((3,)), axis=0),
            S(R((0, 2))),
            S(R((1, 1, 2)), axis=-2),
        ],
        edges=[S(L([[0.0, -0.0, inf, -inf, 1e30]]))],
        errors=[
            (S(ones(2)), TypeError, "axis"),
            (S(ones(2, 3), axis=0.5), TypeError, "axis"),
            (S(ones(2, 3, dtype="int32")), TypeError, "dtype"),
        ],
        retains=("x",),
    ),
    Case(
        "maxout",
        [
            S(R((2, 6)), 2),
            S(R((2, 6)), 3, axis=1),
            S(R((4, 3)), 2, 0),
            S(R((2, 4, 3)), pool_size=4),
            S(R((2, 3)), 1),
            S(R((1, 2, 2, 3)), 3, axis=3),
        ],
        edges=[S(L([[1.0, 1.0, 0.0, -0.0, inf, inf, -inf, 2.0]]), 2), S(L([[3.0, 3.0, 3.0]]), 3)],
        errors=[
            (S(ones(2, 3), 2), TypeError, "pool_size"),
            (S(ones(2, 3), 0), ValueError, "positive"),
            (S(ones(2, 3), -1), ValueError, "positive"),
        ],
    ),
    Case(
        "prelu",
        [
            S(R((4, 3)), R((3,))),
            S(R((4, 3, 2)), R((3,))),
            S(R((4, 3, 2)), R((3, 2))),
            S(R((4, 3)), R(())),
            S(R((1, 1)), R((1,))),
            S(R((3,)), R(())),
            S(R((0, 2)), R((2,))),
        ],
        edges=[
            S(L([[0.0, -0.0, inf, 1e30, -1e30]]), L([2.0, 3.0, -1.0, 0.0, 0.5])),
            S(L([[0.0, -0.0, inf, 1e30, -2.0]]), L(0.0)),
        ],
        errors=[
            (S(ones(4, 3), ones(2)), TypeError, "shape"),
            (S(ones(3), ones(3)), TypeError, "ndim"),
            (S(ones(4, 3), ones(3, dtype="float16")), TypeError, "float16"),
            (S(ones(4, 3, dtype="int32"), ones(3, dtype="int32")), TypeError, "dtype"),
        ],
        retains=("x", "W"),
    ),
    Case(
        "relu6",
        [S(R((2, 3), -9, 9)), S(R((), -9, 9)), S(R((0, 2))), S(R((1,))), S(R((2, 1, 2), 5, 8)), S(R((3, 2)))],
        edges=[S(L(KINKS))],
        errors=[(S(ones(2, dtype="int32")), TypeError, "dtype")],
    ),
    Case(
        "rrelu",
        [
            S(R((2, 3)), r=K([[0.2, 0.3, 0.1], [0.15, 0.25, 0.3]])),
            S(R((3,)), 0.1, 0.9, r=K([0.2, 0.3, 0.8])),
            S(R(()), l=0.0, u=0.5, r=K(0.25)),
            S(R((0, 2)), r=K(np.ones((0, 2)))),
            S(R((2, 1)), r=K([[0.5], [0.5]]), return_r=False),
            S(R((3, 2), 0.0, 2.0)),  # nothing negative: whatever is drawn
        ],
        edges=[S(L([0.0, -0.0, 1e30, inf, -1e30]), r=K([0.5, 0.5, 0.5, 0.5, 0.5]))],
        errors=[
            (S(ones(2), -0.1), ValueError, "lower"),
            (S(ones(2), 0.5, 1.0), ValueError, "upper"),
            (S(ones(2), 0.5, 0.5), ValueError, "less than"),
            (S(ones(2), r=ones(3)), TypeError, "shape"),
            (S(ones(2), r=ones(2, dtype="float16")), TypeError, "float16"),
            (S(ones(2, dtype="int32")), TypeError, "dtype"),
        ],
        floats={"l": 0.2, "u": 0.6},
        retains=("y0", "y1"),
    ),
    Case(
        "selu",
        [
            S(R((2, 3))),
            S(R((2, 3)), 1.0, 2.5),
            S(R((2, 3)), alpha=0.5),
            S(R(()), scale=0.5),
            S(R((0, 2))),
            S(R((1, 1))),
        ],
        edges=[S(L([0.0, -0.0, 1e30, inf, -1e30, 100.0, -100.0]))],
        errors=[(S(ones(2, dtype="int32")), TypeError, "dtype")],
        floats={"alpha": 0.7, "scale": 1.3},
    ),
    Case(
        "swish",
        [
            S(R((4, 3)), R((3,))),
            S(R((4, 3, 2)), R((3,))),
            S(R((4, 3, 2)), R((3, 2))),
            S(R((4, 3)), R(())),
            S(R((1, 1)), R((1,))),
            S(R((0, 2)), R((2,))),
        ],
        edges=[S(L([[0.0, -0.0, 100.0, -100.0, 1e4, -1e4]]), L([1.0, 2.0, 1.0, 1.0, 0.0, 1.0]))],
        errors=[
            (S(ones(4, 3), ones(2)), TypeError, "shape"),
            (S(ones(3), ones(3)), TypeError, "ndim"),
            (S(ones(4, 3), ones(3, dtype="float16")), TypeError, "float16"),
        ],
        retains=("x", "beta"),
    ),
    Case(
        "gumbel_softmax",
        [
            S(R((2, 3)), 1e6),  # so hot that the noise is lost
            S(R((2, 3, 2)), tau=1e6),
            S(R((2, 3)), 1e6, axis=0),
            S(R((2, 3)), 1e6, -1),
            S(R((2, 1)), 0.1),
            S(R((0, 2)), 1e6),
            S(R(())),
        ],
        errors=[(S(ones(2, 3), axis=2), TypeError, "axis")],
        floats={1: 2e6},
        rtol=2e-5,
        borrowed=("float64",),  # the noise shows in its last digits
        order=1,
    ),
    Case(
        "simplified_dropconnect",
        [
            S(R((2, 3)), R((4, 3)), R((4,)), mask=K(np.arange(24).reshape(2, 4, 3) % 3 > 0, "bool")),
            S(R((2, 3)), R((4, 3)), mask=K(np.arange(24).reshape(2, 4, 3) % 2), ratio=0.25),
            S(R((2, 3)), R((4, 3)), R((4,)), 0.1, mask=K(np.arange(12).reshape(4, 3) % 2), use_batchwise_mask=False),
            S(R((2, 3)), R((4, 3)), R((4,)), 0.9, False),
            S(R((2, 3, 2)), R((1, 6)), None, 0.0),
            S(R((1, 1)), R((1, 1)), mask=K([[[1.0]]])),
            S(R((2, 3)), R((4, 3)), ratio=0.0, use_batchwise_mask=False),
        ],
        errors=[
            (S(ones(2, 3), ones(4, 2)), TypeError, "W.shape[1]"),
            (S(ones(3), ones(4, 3)), TypeError, "ndim"),
            (S(ones(2, 3), ones(4, 3), ones(3)), TypeError, "shape"),
            (S(ones(2, 3), ones(4, 3), mask=ones(4, 3)), TypeError, "mask.shape"),
            (S(ones(2, 3), ones(4, 3), mask=ones(2, 4, 3), use_batchwise_mask=False), TypeError, "mask.shape"),
        ],
        floats={"ratio": 0.4},
        better="0 * infinity in what is left out",
    ),
    Case(
        "zoneout",
        [
            S(R((2, 3)), R((2, 3)), 0.0),
            S(R((2, 3)), R((2, 3)), 1.0),
            S(R((1,)), R((1,)), ratio=1.0),
            S(R((0, 2)), R((0, 2))),
            S(R((2, 1, 2)), R((2, 1, 2)), 1),
            S(R((4,)), R((4,)), 0),
        ],
        errors=[(S(ones(2), ones(3)), TypeError, "broadcast")],
        floats={2: 0.3},
        retains=(),
        better="0 * infinity in what is left out",
    ),
    Case(
        "batch_renormalization",
        [
            renormalization((5, 3), (3,), 3.0, 2.0, [0.1, -0.2, 0.3], [1.0, 0.5, 2.0]),
            renormalization((5, 3), (3,), 1.1, 0.1, [1.0, -2.0, 0.3], [9.0, 0.1, 1.0]),
            renormalization((4, 2, 3), (2,), 2.0, 1.0, [0.0, 0.5], [1.0, 1.0], eps=1e-3),
            renormalization((4, 2, 3), (2, 3), 2.0, 1.0, np.zeros((2, 3)), np.ones((2, 3))),
            renormalization((5, 3), (3,), 1, 0, [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]),
            renormalization((3, 1), (1,), 1.5, 0.5, [0.0], [1.0], decay=0.5, update_statistics=True),
        ],
        edges=[
            S(L([[1.0], [1.0]]), L([2.0]), L([1.0]), 2.0, 1.0, running_mean=K([1.0]), running_var=K([1e-3]))  # constant
        ],
        errors=[
            (S(ones(2, 3), ones(3), ones(3), 1, 0), TypeError, "running_mean is required"),
            (S(ones(2, 3), ones(3), ones(3), 1, 0, running_mean=ones(3)), TypeError, "running_var is required"),
            (
                S(ones(2, 3), ones(2), ones(2), 1, 0, running_mean=ones(2), running_var=ones(2)),
                TypeError,
                "shape",
            ),
        ],
        order=1,  # the correction is a constant to the gradient
        rtol=2e-5,
        floats={3: 2.5, 4: 1.5},
        label=None,
    ),
    Case(
        "fixed_batch_renormalization",
        [
            S(R((5, 3)), R((3,)), R((3,)), R((3,)), R((3,), 0.5, 2.0)),
            S(R((4, 2, 3)), R((2,)), R((2,)), R((2,)), R((2,), 0.5, 2.0), eps=1e-3),
            S(R((1, 1)), R((1,)), R((1,)), R((1,)), R((1,), 0.5, 2.0)),
            S(R((2, 2, 2)), R((2, 2)), R((2, 2)), R((2, 2)), R((2, 2), 0.5, 2.0)),
            S(R((0, 2)), R((2,)), R((2,)), R((2,)), R((2,), 0.5, 2.0)),
            S(R((3, 1, 2)), R((1,)), R((1,)), R((1,)), R((1,), 0.5, 2.0), 0.1),
        ],
        errors=[(S(ones(2, 3), ones(2), ones(2), ones(2), ones(2)), TypeError, "shape")],
        warns="fixed_batch_renormalization is deprecated",
        fills=("ties", "unknown"),
    ),
    Case(
        "decorrelated_batch_normalization",
        [
            S(R((9, 4)), groups=2),
            S(R((9, 4)), groups=1, eps=1e-2),
            S(R((6, 4, 3)), groups=2),
            S(R((5, 2, 2, 3)), groups=2),
            S(R((8, 3)), groups=1),
            S(R((4, 16)), eps=0.1),
        ],
        edges=[S(L([[1.0, 2.0], [1.0, 2.0]]), groups=1)],  # constant
        errors=[
            (S(ones(2, 3), groups=2), TypeError, "shape[1]"),
            (S(ones(3), groups=1), TypeError, "ndim"),
            (S(ones(2, 2, dtype="int32"), groups=1), TypeError, "dtype"),
        ],
        borrowed=("float16",),  # NumPy has no eigenvalues in half precision
        rtol=2e-4,  # of eigenvalues in float32
        floats={"eps": 1e-3},
    ),
    Case(
        "fixed_decorrelated_batch_normalization",
        [
            S(R((5, 4)), *whitening(2, 2, 0), groups=2),
            S(R((5, 4)), *whitening(1, 4, 1), 1),
            S(R((3, 4, 2)), *whitening(2, 2, 2), groups=2),
            S(R((2, 2, 2, 3)), *whitening(1, 2, 3), groups=1),
            S(R((1, 1)), *whitening(1, 1, 4), groups=1),
            S(R((2, 32)), *whitening(16, 2, 5)),
        ],
        errors=[
            (S(ones(2, 3), ones(1, 3), ones(1, 3, 3), groups=2), TypeError, "shape[1]"),
            (S(ones(2, 2), ones(1, 2, dtype="float16"), ones(1, 2, 2), groups=1), TypeError, "float16"),
        ],
    ),
    Case(
        "group_normalization",
        [
            S(R((3, 8)), 2, R((8,)), R((8,))),
            S(R((3, 4, 5)), 2, R((4,)), R((4,)), 1e-3),
            S(R((2, 6, 2, 3)), 3, R((6,)), R((6,)), eps=1e-2),
            S(R((2, 4, 3)), 1, R((4,)), R((4,))),
            S(R((2, 4, 3)), 4, R((4,)), R((4,))),
            S(R((1, 6)), 1, R((6,)), R((6,))),
        ],
        edges=[
            S(L([[1.0, 1.0, 5.0, 5.0]]), 2, L([1.0, 2.0, 3.0, 4.0]), L([0.0, 1.0, 2.0, 3.0])),  # constant groups
            S(L([[1.0, 3.0]]), 2, L([1.0, 2.0]), L([0.5, 1.0])),  # groups of one
        ],
        errors=[
            (S(ones(2, 3), 2, ones(3), ones(3)), ValueError, "multiple"),
            (S(ones(2, 3), 2, ones(2), ones(2)), TypeError, "shape"),
            (S(ones(2, 3), 1.0, ones(3), ones(3)), TypeError, "groups"),
            (S(ones(2, 3), 1, ones(2), ones(2)), TypeError, "shape"),
            (S(ones(2, 3), 1, ones(3), ones(3, dtype="float16")), TypeError, "float16"),
            (S(ones(3), 1, ones(3), ones(3)), TypeError, "ndim"),
        ],
        floats={"eps": 1e-3},
    ),
    Case(
        "local_response_normalization",
        [
            S(R((2, 7))),
            S(R((2, 7, 3)), 3, 1, 0.5, 0.5),
            S(R((2, 6, 2, 2)), n=4, k=1.5, alpha=0.1, beta=1.0),
            S(R((1, 1))),
            S(R((2, 2)), n=7, alpha=0.3),
            S(R((2, 3)), n=1, alpha=0.3),
        ],
        edges=[S(L([[0.0, -0.0, 1e6, -1e6, 1.0]]), alpha=1.0), S(L([[0.0, 0.0, 0.0]]), 3, 1.0, 1.0)],
        errors=[(S(ones(3)), TypeError, "ndim"), (S(ones(2, 2, dtype="int32")), TypeError, "dtype")],
        floats={"k": 1.7, "alpha": 0.2, "beta": 0.8},
    ),
    Case(
        "normalize",
        [
            S(R((2, 3))),
            S(R((2, 3)), 0.1),
            S(R((2, 3, 4)), axis=(1, 2)),
            S(R((2, 3, 4)), eps=0.5, axis=2),
            S(R((3,)), axis=0),
            S(R((1, 4))),
            S(R((2, 3)), axis=-1),
        ],
        edges=[S(L([[0.0, 0.0], [-0.0, 0.0], [3.0, 4.0], [1e15, 0.0]])), S(L([[0.0, 0.0], [1.0, 0.0]]), axis=0)],
        errors=[
            (S(ones(2, 3), axis=2), TypeError, "axis"),
            (S(ones(2, 2, dtype="int32")), TypeError, "dtype"),
        ],
        floats={"eps": 0.01},
    ),
]
