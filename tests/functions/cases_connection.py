"""Rows of convolutions over any number of axes, and of the connections made from them."""

import numpy as np
from rows import Case, K, R, S


def ones(*shape):
    return K(np.ones(shape))


CASES = [
    Case(
        "convolution_nd",
        [
            S(R((2, 3, 4, 4, 5)), R((4, 3, 2, 3, 2)), R((4,))),
            S(R((2, 3, 7)), R((4, 3, 3)), stride=2, pad=1),
            S(R((2, 3, 6, 7)), R((4, 3, 3, 3)), R((4,)), stride=(2, 3), pad=(1, 0), cover_all=True),
            S(R((2, 2, 7, 7)), R((3, 2, 3, 3)), R((3,)), dilate=(2, 1), pad=1),
            S(R((2, 4, 5, 5)), R((6, 2, 3, 3)), R((6,)), groups=2),
            S(R((1, 1, 3, 3, 3, 3)), R((2, 1, 2, 2, 2, 2)), R((2,))),
        ],
        edges=[S(R((1, 1, 1)), R((1, 1, 1)), R((1,)))],
        errors=[
            (S(ones(1, 2, 5), ones(1, 3, 3)), TypeError, "x.shape[1] == W.shape[1] * groups"),
            (S(ones(1, 1, 2), ones(1, 1, 3)), AssertionError, "positive"),
            (S(ones(1, 1, 5), ones(1, 1, 3), stride=(1, 2)), AssertionError, "sizes"),
            (S(ones(1, 1, 5), ones(1, 1, 3, 3)), TypeError, "ndim"),
        ],
        rtol=1e-4,
    ),
    Case(
        "convolution_1d",
        [
            S(R((2, 3, 7)), R((4, 3, 3)), R((4,))),
            S(R((2, 3, 8)), R((4, 3, 3)), stride=2, pad=1),
            S(R((2, 3, 8)), R((4, 3, 3)), R((4,)), stride=3, cover_all=True),
            S(R((2, 2, 9)), R((3, 2, 3)), dilate=3, pad=2),
            S(R((2, 4, 5)), R((6, 2, 3)), R((6,)), groups=2),
            S(R((1, 1, 1)), R((1, 1, 1))),
        ],
        errors=[(S(ones(1, 1, 3, 3), ones(1, 1, 3, 3)), ValueError, "should be 1")],
        rtol=1e-4,
        fills=("ties",),
    ),
    Case(
        "convolution_3d",
        [
            S(R((2, 2, 4, 3, 4)), R((3, 2, 2, 2, 3)), R((3,))),
            S(R((1, 2, 5, 4, 4)), R((3, 2, 3, 2, 2)), stride=2, pad=1),
            S(R((1, 2, 5, 4, 4)), R((3, 2, 2, 3, 2)), R((3,)), stride=(2, 1, 3), pad=(1, 0, 1), cover_all=True),
            S(R((1, 2, 5, 5, 5)), R((2, 2, 2, 2, 2)), dilate=(1, 2, 3)),
            S(R((1, 4, 3, 3, 3)), R((2, 2, 2, 2, 2)), R((2,)), groups=2),
            S(R((1, 1, 1, 1, 1)), R((1, 1, 1, 1, 1))),
        ],
        errors=[(S(ones(1, 1, 3, 3), ones(1, 1, 3, 3)), ValueError, "should be 3")],
        rtol=1e-4,
    ),
    Case(
        "deconvolution_nd",
        [
            S(R((2, 3, 2, 3, 2)), R((3, 2, 2, 3, 2)), R((2,))),
            S(R((2, 3, 4)), R((3, 4, 3)), stride=2, pad=1),
            S(R((2, 3, 4, 5)), R((3, 4, 3, 3)), R((4,)), stride=(2, 3), pad=(1, 0), outsize=(8, 16)),
            S(R((2, 2, 4, 4)), R((2, 3, 3, 3)), R((3,)), dilate=(2, 1), pad=1),
            S(R((2, 4, 4, 4)), R((4, 3, 3, 3)), R((6,)), groups=2),
            S(R((1, 1, 2, 2, 2, 2)), R((1, 2, 2, 2, 2, 2)), R((2,))),
        ],
        edges=[S(R((1, 1, 1)), R((1, 1, 1)), R((1,)))],
        errors=[
            (S(ones(1, 2, 5), ones(3, 1, 3)), TypeError, "shape"),
            (S(ones(1, 1, 2), ones(1, 1, 3), outsize=(20,)), TypeError, "outsize"),
            (S(ones(1, 1, 2), ones(1, 1, 1), pad=1), AssertionError, "positive"),
            (S(ones(1, 1, 2), ones(2, 1, 1), pad=1), TypeError, "x.shape[1] == W.shape[0]"),
        ],
        rtol=1e-4,
    ),
    Case(
        "deconvolution_1d",
        [
            S(R((2, 3, 4)), R((3, 4, 3)), R((4,))),
            S(R((2, 3, 4)), R((3, 4, 3)), stride=2, pad=1),
            S(R((2, 3, 4)), R((3, 4, 3)), R((4,)), stride=2, outsize=(10,)),
            S(R((2, 2, 4)), R((2, 3, 3)), dilate=2),
            S(R((2, 4, 4)), R((4, 3, 3)), R((6,)), groups=2),
            S(R((1, 1, 1)), R((1, 1, 1))),
        ],
        errors=[(S(ones(1, 1, 3, 3), ones(1, 1, 3, 3)), ValueError, "should be 1")],
        rtol=1e-4,
        fills=("ties",),
    ),
    Case(
        "deconvolution_3d",
        [
            S(R((2, 2, 2, 3, 2)), R((2, 3, 2, 2, 3)), R((3,))),
            S(R((1, 2, 3, 2, 2)), R((2, 3, 3, 2, 3)), stride=2, pad=1),
            S(R((1, 2, 2, 2, 2)), R((2, 3, 3, 3, 3)), R((3,)), stride=(2, 1, 3), outsize=(6, 4, 8)),
            S(R((1, 2, 2, 2, 2)), R((2, 2, 2, 2, 2)), dilate=(1, 2, 3)),
            S(R((1, 4, 2, 2, 2)), R((4, 1, 2, 2, 2)), R((2,)), groups=2),
            S(R((1, 1, 1, 1, 1)), R((1, 1, 1, 1, 1))),
        ],
        errors=[(S(ones(1, 1, 3, 3), ones(1, 1, 3, 3)), ValueError, "should be 3")],
        rtol=1e-4,
        fills=("ties",),
    ),
    Case(
        "dilated_convolution_2d",
        [
            S(R((2, 2, 7, 6)), R((3, 2, 3, 2)), R((3,)), dilate=2),
            S(R((2, 2, 7, 7)), R((3, 2, 3, 3)), stride=2, pad=1, dilate=(2, 1)),
            S(R((2, 2, 8, 8)), R((3, 2, 2, 3)), R((3,)), 3, 1, 2, True),
            S(R((1, 2, 5, 5)), R((2, 2, 3, 3))),
            S(R((1, 1, 1, 1)), R((1, 1, 1, 1)), dilate=3),
            S(R((1, 2, 6, 9)), R((2, 2, 2, 2)), pad=(0, 2), dilate=(1, 4)),
        ],
        errors=[(S(ones(1, 2, 5, 5), ones(1, 3, 3, 3)), TypeError, "shape")],
        rtol=1e-4,
        fills=("ties",),
    ),
    Case(
        "depthwise_convolution_2d",
        [
            S(R((2, 3, 4, 5)), R((2, 3, 3, 3)), R((6,))),
            S(R((2, 3, 6, 5)), R((2, 3, 3, 2)), stride=2, pad=1),
            S(R((2, 2, 7, 7)), R((1, 2, 3, 3)), R((2,)), stride=(2, 3), pad=(1, 0)),
            S(R((1, 1, 4, 4)), R((3, 1, 2, 2)), R((3,))),
            S(R((1, 4, 3, 3)), R((1, 4, 1, 1))),
            S(R((1, 1, 1, 1)), R((1, 1, 1, 1))),
        ],
        errors=[(S(ones(1, 2, 5, 5), ones(1, 3, 3, 3)), TypeError, "shape")],
        rtol=1e-4,
    ),
    Case(
        "shift",
        [
            S(R((2, 9, 3, 4))),
            S(R((2, 20, 5, 5))),
            S(R((2, 4, 5, 5)), ksize=(1, 3), dilate=2),
            S(R((1, 7, 4, 5)), ksize=(3, 1), dilate=(1, 2)),
            S(R((1, 27, 6, 7)), ksize=(5, 5)),
            S(R((1, 3, 2, 2)), ksize=1),
        ],
        errors=[(S(ones(1, 8, 3, 3)), TypeError, "shape[1]"), (S(ones(1, 9, 3, 3), ksize=2), ValueError, "odd")],
    ),
    Case(
        "bilinear",
        [
            S(R((3, 4)), R((3, 2)), R((4, 2, 5)), R((4, 5)), R((2, 5)), R((5,))),
            S(R((3, 4)), R((3, 2)), R((4, 2, 5))),
            S(R((3, 2, 2)), R((3, 2, 1)), R((4, 2, 5))),
            S(R((3, 2, 2)), R((3, 3)), R((4, 3, 1)), R((4, 1)), R((3, 1)), R((1,))),
            S(R((1, 1)), R((1, 1)), R((1, 1, 1))),
            S(R((2, 3)), R((2, 3)), R((3, 3, 2)), R((3, 2)), R((3, 2)), R((2,))),
        ],
        errors=[
            (S(ones(2, 3), ones(2, 4), ones(3, 3, 2)), TypeError, "W.shape[1]"),
            (S(ones(2, 3), ones(2, 3), ones(3, 3, 2), ones(3, 2)), ValueError, "None"),
        ],
        borrowed=("float16", "float64"),
    ),
    Case(
        "local_convolution_2d",
        [
            S(R((2, 3, 4, 5)), R((2, 2, 3, 3, 3, 3)), R((2, 2, 3))),
            S(R((2, 3, 4, 5)), R((2, 2, 3, 3, 3, 3))),
            S(R((2, 2, 7, 6)), R((3, 3, 2, 2, 3, 3)), R((3, 3, 2)), stride=(2, 3)),
            S(R((1, 2, 6, 6)), R((2, 3, 3, 2, 2, 2)), stride=2),
            S(R((1, 1, 1, 1)), R((1, 1, 1, 1, 1, 1)), R((1, 1, 1))),
            S(R((2, 1, 5, 3)), R((2, 4, 3, 1, 2, 1))),
        ],
        errors=[(S(ones(1, 1, 2, 2), ones(1, 1, 1, 1, 3, 3)), TypeError, "x.shape[2] >= 3")],
        rtol=1e-4,
    ),
    Case(
        "deformable_convolution_2d_sampler",
        [
            S(R((2, 3, 4, 5)), R((2, 18, 2, 3)), R((2, 3, 3, 3)), R((2,))),
            S(R((2, 3, 4, 5)), R((2, 18, 4, 5)), R((2, 3, 3, 3)), pad=1),
            S(R((1, 2, 7, 6)), R((1, 12, 3, 2)), R((3, 2, 3, 2)), R((3,)), stride=(2, 3), pad=(0, 1)),
            S(R((1, 1, 4, 4)), R((1, 8, 3, 3), 0.1, 0.9), R((1, 1, 2, 2))),
            S(R((1, 2, 5, 5)), R((1, 18, 2, 2), -8.0, 8.0), R((1, 2, 3, 3)), stride=2),
            S(R((2, 1, 3, 3)), R((2, 2, 3, 3)), R((2, 1, 1, 1)), R((2,))),
        ],
        errors=[(S(ones(1, 1, 3, 3), ones(1, 9, 1, 1), ones(1, 1, 3, 3)), ValueError, "offset")],
        rtol=1e-4,
        borrowed=("float16", "float64"),
        fills=("ties",),
    ),
]
