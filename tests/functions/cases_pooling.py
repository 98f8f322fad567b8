"""Rows of pooling over any number of axes, the way back from it, and pooling over regions of interest."""

import numpy as np
from rows import Case, I, K, L, R, S

inf, nan = np.inf, np.nan


def ones(*shape):
    return K(np.ones(shape))


def maxima(name, n):
    """Rows of max_pooling_1d and 3d: the same windows over n axes."""
    d = (7, 5, 4)[:n]
    wide = np.round(2 * np.sin(np.arange(float(np.prod(d) * 2)))).reshape(1, 2, *d)
    return Case(
        name,
        [
            S(R((2, 3, *(6,) * n)), 2),
            S(R((2, 1, *d)), 3, stride=2, pad=1),
            S(R((2, 2, *d)), (3, 2, 2)[:n], stride=(2, 1, 1)[:n], cover_all=False),
            S(R((1, 1, *d)), 2, stride=3),
            S(R((1, 1, *(1,) * n)), 1),
            S(R((1, 2, *d)), 2, pad=(1, 0, 1)[:n], cover_all=False),
        ],
        edges=[
            S(L(np.zeros((1, 1, *(3,) * n))), 2, stride=1),
            S(L(wide), 2, stride=1),
            S(L(np.resize([inf, -inf, 1e30, 0.0, inf], (1, 1, *d))), 2, stride=1),
            S(L(np.full((1, 1, *(2,) * n), -2.0)), 1, pad=1),
            S(L(np.resize([1.0, 2.0, nan], (1, 1, *d))), 2, stride=1),
        ],
        errors=[
            (S(ones(2, 3), 2), ValueError, "dimensions"),
            (S(ones(*(1,) * (n + 3)), 2), ValueError, "dimensions"),
            (S(ones(1, 1, *(2,) * n), 5, cover_all=False), AssertionError, "positive"),
            (S(ones(0, 1, *(2,) * n), 1), TypeError, "size"),
            (S(ones(1, 1, *(2,) * n), 1, stride=0), ValueError, "at least 1"),
        ],
        order=1,
    )


def means(name, n):
    d = (7, 5, 4)[:n]
    return Case(
        name,
        [
            S(R((2, 3, *(6,) * n)), 2),
            S(R((2, 1, *d)), 3, stride=2, pad=1),
            S(R((2, 1, *d)), 3, stride=2, pad=1, pad_value=None),
            S(R((2, 2, *d)), (3, 2, 2)[:n], stride=(2, 1, 1)[:n]),
            S(R((1, 1, *(1,) * n)), 1),
            S(R((1, 2, *d)), 2, stride=1, pad=(1, 0, 1)[:n], pad_value=None),
        ],
        edges=[
            S(L(np.resize([inf, 1.0, 1e30, 0.0], (1, 1, *d))), 2, stride=1),
            S(L(np.full((1, 1, *(2,) * n), -2.0)), 1, pad=1),
        ],
        errors=[
            (S(ones(2, 3), 2), ValueError, "dimension"),
            (S(ones(1, 1, *(2,) * n), 5), AssertionError, "positive"),
            (S(ones(1, 1, *(2,) * n), 1, pad_value=1), ValueError, "pad_value"),
            (S(ones(1, 1, *(2,) * n), 1, stride=0), ValueError, "at least 1"),
        ],
    )


# Nothing is left; Chainer 7.8.1 raises ZeroDivisionError over two axes, and its gradients have the wrong shape.
EMPTY = {n: S(ones(1, 1, *(1,) * n), 1, pad=1) for n in (1, 3)}


def back(name, n, **more):
    d = (4, 3, 2)[:n]
    return Case(
        name,
        [
            S(R((2, 3, *d)), 2),
            S(R((2, 1, *d)), 2, cover_all=False),
            S(R((2, 1, *d)), 3, stride=2, pad=1),
            S(R((1, 2, *d)), (3, 2, 2)[:n], stride=(1, 2, 1)[:n], cover_all=False),
            S(R((1, 1, *(1,) * n)), 1),
            S(R((1, 1, *d)), 2, stride=3),
            S(R((1, 1, *d)), 2, outsize=tuple(2 * m for m in d)),
        ],
        edges=[S(L(np.resize([inf, -0.0, 1e30, -1.0], (1, 1, *d))), 2), *([EMPTY[n]] if n in EMPTY else [])],
        errors=[(S(ones(1, 1, *d), 2, outsize=(20,) * n), TypeError, "shape"), *more.pop("errors", [])],
    )


def other_axes(n):
    return [(S(ones(*(1,) * (n + 3)), 2), ValueError, "dimensions")]


ROIS = [[0.0, 0.0, 4.0, 4.0], [1.2, 0.4, 5.6, 3.1], [2.0, 3.0, 2.0, 3.0], [-1.0, -2.0, 9.0, 8.0]]
OUTSIDE = [[9.0, 9.0, 12.0, 12.0], [5.0, 5.0, 7.5, 9.0], [4.0, 4.0, 1.0, 1.0], [-8.0, 1.0, -6.0, 3.0]]
AT = K([0, 1, 0, 1], "int32")
TIES = np.round(2 * np.sin(np.arange(2 * 2 * 6 * 5.0))).reshape(2, 2, 6, 5)


def regions(name, **more):
    x = R((2, 3, 6, 5))
    return Case(
        name,
        [
            S(x, K(ROIS), AT, 2, 1.0),
            S(x, K(ROIS), AT, (3, 2), 1),
            S(x, K(np.array(ROIS) * 2), AT, (2, 3), 0.5),
            S(x, K(ROIS[:1]), K([1], "int32"), 1, 1.0),
            S(R((1, 1, 4, 9)), K([[0.0, 0.0, 4.0, 9.0]]), K([0], "int32"), 4, 1.0),
            S(x, K(np.array(ROIS) / 4), AT, (1, 4), 4.0),
        ],
        edges=[S(L(TIES), K(ROIS), AT, 2, 1.0), S(x, K(OUTSIDE), AT, 2, 1.0)],
        errors=[
            (S(ones(1, 1, 4, 4), ones(1, 5), K([0], "int32"), 1, 1.0), TypeError, "rois.shape[1] == 4"),
            (S(ones(1, 1, 4, 4), ones(1, 4), K([0, 0], "int32"), 1, 1.0), TypeError, "roi_indices"),
            (S(ones(1, 1, 4, 4), ones(1, 4), K([1], "int32"), 1, 1.0), IndexError, "out of bounds for axis 0"),
            (S(ones(1, 1, 4, 4), ones(1, 4), K([0.0]), 1, 1.0), TypeError, "integer"),
            (S(ones(1, 4, 4), ones(1, 4), K([0], "int32"), 1, 1.0), TypeError, "ndim"),
            (S(ones(1, 1, 4, 4), ones(1, 4), K([0], "int32"), 0, 1.0), TypeError, "outsize"),
            (S(ones(1, 1, 4, 4), ones(1, 4), K([0], "int32"), (1, 2.5), 1.0), TypeError, "outsize"),
            (S(ones(1, 1, 4, 4), ones(1, 4), K([0], "int32"), 1, -1.0), TypeError, "spatial_scale"),
            (S(ones(1, 1, 4, 4), ones(1, 4), K([0], "int32"), (1,), 1.0), ValueError, "outsize"),
            *more.pop("errors", []),
        ],
        rtol=1e-4,
        **more,
    )


def aligned(name, **more):
    case = regions(
        name,
        borrowed=("float16", "float64"),
        errors=[
            (S(ones(1, 1, 4, 4), ones(1, 4), K([0], "int32"), 1, 1.0, 0), TypeError, "sampling_ratio"),
            (S(ones(1, 1, 4, 4), ones(1, 4), K([0], "int32"), 1, 1.0, (1,)), TypeError, "sampling_ratio"),
        ],
        **more,
    )
    x = R((2, 3, 6, 5))
    case.samples += [
        S(x, K(ROIS), AT, 2, 1.0, 2),
        S(x, K(ROIS), AT, 2, 1.0, sampling_ratio=(1, 3)),
        S(x, K(ROIS), AT, 2, 1.0, sampling_ratio=(None, 2)),
    ]
    return case


CASES = [
    maxima("max_pooling_1d", 1),
    maxima("max_pooling_3d", 3),
    Case(
        "max_pooling_nd",
        [
            S(R((2, 3, 7)), 3, stride=2),
            S(R((2, 3, 6, 5)), 2),
            S(R((1, 2, 4, 3, 4)), (2, 1, 3), pad=(1, 0, 1)),
            S(R((1, 1, 3, 3, 2, 3)), 2),
            S(R((1, 1, 5, 5)), (2, 3), stride=(1, 2), cover_all=False),
            S(R((3, 1, 1)), 1),
        ],
        edges=[
            S(L(np.zeros((1, 1, 3, 2, 3))), 2, stride=1),
            S(L(np.round(2 * np.sin(np.arange(380.0))).reshape(1, 2, 19, 10)), (9, 10), cover_all=False),
            S(L(np.resize([1.0, 2.0, 2.0], (1, 2, 14))), 10, pad=4),
            S(L(np.resize([1.0, nan, 2.0, nan, inf], (1, 1, 2, 24))), (2, 12)),
            S(L(np.resize([0.0, -0.0, -inf], (2, 1, 11))), 11, stride=3),
        ],
        errors=[
            (S(ones(2, 3), 2), ValueError, "at least one spatial dimension"),
            (S(ones(1, 1, 4, 4), (2, 2, 2)), AssertionError, "2 sizes"),
            (S(K([[[1, 2]]], "int32"), 1), TypeError, "float"),
        ],
        order=1,
    ),
    means("average_pooling_1d", 1),
    means("average_pooling_3d", 3),
    means("average_pooling_nd", 2),
    back("unpooling_1d", 1, errors=other_axes(1)),
    back("unpooling_2d", 2, errors=[(S(ones(1, 1, 3), 2), TypeError, "ndim")]),
    back("unpooling_3d", 3, errors=other_axes(3)),
    back("unpooling_nd", 2, errors=[(S(ones(2, 3), 2), ValueError, "at least one spatial dimension")]),
    Case(
        "upsampling_2d",
        [
            S(R((2, 3, 3, 2)), I((2, 3, 3, 2), 4), 2),
            S(R((2, 1, 3, 2)), I((2, 1, 3, 2), 4), 2, cover_all=False),
            S(R((1, 2, 3, 3)), I((1, 2, 3, 3), 9), 3, stride=2, pad=1),
            S(R((1, 1, 2, 3)), I((1, 1, 2, 3), 6), (3, 2), stride=(2, 3), cover_all=False),
            S(R((1, 1, 1, 1)), K([[[[0]]]], "int32"), 1),
            S(R((1, 1, 2, 2)), I((1, 1, 2, 2), 4), 2, outsize=(4, 4)),
        ],
        edges=[S(L([[[[inf, -0.0], [1e30, -1.0]]]]), K([[[[3, 2], [1, 0]]]], "int32"), 2, cover_all=False)],
        errors=[
            (S(ones(1, 1, 2, 2), K([[[[0, 0, 0]]]], "int32"), 2), TypeError, "indexes.shape"),
            (S(ones(1, 1, 2, 2), ones(1, 1, 2, 2), 2), TypeError, "indexes.dtype is int"),
            (S(ones(1, 1, 1, 1), K([[[[0]]]], "int32"), 2, outsize=(9, 9)), TypeError, "shape"),
        ],
    ),
    Case(
        "spatial_pyramid_pooling_2d",
        [
            S(R((2, 3, 8, 8)), 3, "max"),
            S(R((2, 3, 7, 5)), 2, "max"),
            S(R((1, 2, 4, 9)), 3, "max"),
            S(R((1, 1, 1, 1)), 1, "max"),
            S(R((2, 1, 3, 3)), 2, pooling="max"),
            S(R((1, 2, 6, 4)), 1, "max"),
        ],
        edges=[S(L(np.zeros((1, 1, 4, 4))), 2, "max")],
        errors=[
            (S(ones(1, 1, 4, 4), 2), ValueError, "Unsupported"),
            (S(ones(1, 1, 4, 4), 2, "average"), ValueError, "Unsupported"),
        ],
        order=1,
        label=None,
    ),
    regions("roi_max_pooling_2d", order=1),
    regions("roi_average_pooling_2d"),
    aligned("roi_max_align_2d", order=1),
    aligned("roi_average_align_2d"),
    Case(
        "roi_pooling_2d",
        [
            S(R((2, 3, 6, 5)), K(np.insert(ROIS, 0, [0, 1, 0, 1], 1)), 2, 2, 1.0),
            S(R((2, 3, 6, 5)), K(np.insert(ROIS, 0, [0, 1, 0, 1], 1)), 3, 2, 1),
            S(R((2, 3, 6, 5)), K(np.insert(np.array(ROIS) * 2, 0, [0, 1, 0, 1], 1)), 2, 3, 0.5),
            S(R((2, 3, 6, 5)), K([[1.0, 0.0, 0.0, 4.0, 4.0]]), 1, 1, 1.0),
            S(R((1, 1, 4, 9)), K([[0.0, 0.0, 0.0, 8.0, 3.0]]), 4, 3, 1.0),
            S(R((2, 3, 6, 5)), K(np.insert(np.array(ROIS) / 4, 0, [0, 1, 0, 1], 1)), 1, 4, 4.0),
        ],
        edges=[
            S(L(TIES), K(np.insert(ROIS, 0, [0, 1, 0, 1], 1)), 2, 2, 1.0),
            S(R((2, 3, 6, 5)), K(np.insert(OUTSIDE[:2], 0, [0, 1], 1)), 2, 2, 1.0),
            # upside down: Chainer's forward takes one pixel, its backward forgets it
            S(K(TIES), K(np.insert(OUTSIDE[2:], 0, [0, 1], 1)), 2, 2, 1.0),
        ],
        errors=[
            (S(ones(1, 1, 4, 4), ones(1, 4), 1, 1, 1.0), TypeError, "rois.shape[1] == 5"),
            (S(ones(1, 1, 4, 4), ones(1, 5), 0, 1, 1.0), TypeError, "outsize"),
        ],
        order=1,
        rtol=1e-4,
    ),
]
