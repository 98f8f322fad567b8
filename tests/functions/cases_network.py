"""Rows of connections, convolution, pooling, normalization, noise, recurrence, losses and evaluation."""

import numpy as np
from cases_rnn import misfits
from rows import Case, I, K, L, R, S

inf = np.inf


def ones(*shape):
    return K(np.ones(shape))


def n_step(layers, lengths, n_in, n_units):
    ws = [[R((n_units, n_in if k == 0 and i < 4 else n_units)) for i in range(8)] for k in range(layers)]
    bs = [[R((n_units,)) for _ in range(8)] for _ in range(layers)]
    h = (layers, lengths[0], n_units)
    return S(layers, 0.0, R(h), R(h), ws, bs, [R((n, n_in)) for n in lengths])


def bn(shape, channels, **kw):
    return S(R(shape), R(channels, 0.5, 1.5), R(channels), **kw)


def fixed_bn(shape, channels, **kw):
    return S(R(shape), R(channels, 0.5, 1.5), R(channels), R(channels), R(channels, 0.5, 1.5), **kw)


CASES = [
    Case(
        "linear",
        [
            S(R((3, 4)), R((2, 4)), R((2,))),
            S(R((3, 4)), R((2, 4))),
            S(R((3, 2, 2)), R((2, 4)), R((2,))),
            S(R((2, 3, 4)), R((5, 4)), R((5,)), n_batch_axes=2),
            S(R((0, 4)), R((2, 4)), R((2,))),
            S(R((1, 1)), R((1, 1)), R((1,))),
            S(R((2, 3, 2, 2)), R((5, 4)), n_batch_axes=2),
        ],
        errors=[
            (S(ones(2, 3), ones(5, 4)), TypeError, "x.shape[1] == W.shape[1]"),
            (S(ones(2, 3), ones(5, 3), ones(4)), TypeError, "b.shape[0]"),
            (S(ones(2, 3), ones(5, 3), n_batch_axes=0), ValueError, "n_batch_axes"),
            (S(K([[1, 2]], "int32"), ones(1, 2)), TypeError, "dtype"),
            (S(ones(2, 3), ones(5, 3), K([1.0] * 5, "float16")), TypeError, "float16"),
        ],
    ),
    Case(
        "embed_id",
        [
            S(I((3,), 5), R((5, 2))),
            S(I((3, 2), 5), R((5, 2))),
            S(K([0, 0, 1], "int32"), R((5, 2))),
            S(K([-1, 0, 4], "int32"), R((5, 2)), ignore_label=-1),
            S(K([3, 0, 4], "int64"), R((5, 2)), ignore_label=3),
            S(I((0,), 5), R((5, 2))),
            S(I((2, 1, 2), 3), R((3, 1))),
        ],
        errors=[(S(ones(2), ones(3, 2)), TypeError, "integer"), (S(K([1], "int32"), ones(3)), TypeError, "ndim")],
    ),
    Case(
        "convolution_2d",
        [
            S(R((2, 3, 5, 6)), R((4, 3, 3, 3)), R((4,))),
            S(R((2, 3, 5, 6)), R((4, 3, 3, 2)), stride=2, pad=1),
            S(R((2, 3, 6, 7)), R((4, 3, 3, 3)), R((4,)), stride=(2, 3), pad=(1, 0), cover_all=True),
            S(R((2, 2, 7, 7)), R((3, 2, 3, 3)), R((3,)), dilate=2, pad=1),
            S(R((2, 4, 5, 5)), R((6, 2, 3, 3)), R((6,)), groups=2),
            S(R((1, 1, 1, 1)), R((1, 1, 1, 1)), R((1,))),
            S(R((2, 3, 6, 6)), R((4, 3, 3, 3)), stride=2),
            S(R((2, 2, 8, 8)), R((3, 2, 2, 3)), stride=2, dilate=(2, 1), pad=2, cover_all=True),
        ],
        errors=[
            (S(ones(1, 2, 5, 5), ones(1, 3, 3, 3)), TypeError, "x.shape[1] == W.shape[1] * groups"),
            (S(ones(1, 1, 2, 3), ones(1, 1, 3, 3)), AssertionError, "Height in the output should be positive"),
            (S(ones(1, 1, 3, 2), ones(1, 1, 3, 3)), AssertionError, "Width"),
            (S(ones(1, 1, 3, 3), ones(1, 1, 3, 3), dilate=0), ValueError, "Dilate"),
            (S(ones(1, 3, 3), ones(1, 1, 3, 3)), TypeError, "ndim"),
            (S(ones(1, 4, 3, 3), ones(3, 2, 3, 3), groups=2), ValueError, "W.shape[0] % groups == 0"),
            (S(ones(1, 1, 3, 3), ones(1, 1, 1, 1), pad=-1), ValueError, "pad >= 0"),
        ],
        rtol=1e-4,
        fills=("ties",),
    ),
    Case(
        "deconvolution_2d",
        [
            S(R((2, 3, 4, 5)), R((3, 4, 3, 3)), R((4,))),
            S(R((2, 3, 4, 5)), R((3, 4, 3, 2)), stride=2, pad=1),
            S(R((2, 3, 4, 5)), R((3, 4, 3, 3)), R((4,)), stride=(2, 3), pad=(1, 0), outsize=(8, 16)),
            S(R((2, 2, 4, 4)), R((2, 3, 3, 3)), R((3,)), dilate=2, pad=1),
            S(R((2, 4, 4, 4)), R((4, 3, 3, 3)), R((6,)), groups=2),
            S(R((1, 1, 1, 1)), R((1, 1, 1, 1)), R((1,))),
            S(R((2, 3, 4, 4)), R((3, 2, 3, 3)), stride=2, outsize=(9, 10)),
        ],
        errors=[
            (S(ones(1, 2, 5, 5), ones(3, 1, 3, 3)), TypeError, "shape"),
            (S(ones(1, 1, 2, 2), ones(1, 1, 3, 3), outsize=(20, 20)), TypeError, "outsize"),
            (S(ones(1, 3, 2, 2), ones(3, 1, 3, 3), groups=2), ValueError, "x.shape[1] % groups == 0"),
            (S(ones(1, 1, 2, 2), ones(1, 3, 3, 3), ones(2)), ValueError, "b.shape[0] == 3"),
        ],
        rtol=1e-4,
        fills=("ties",),
    ),
    Case(
        "max_pooling_2d",
        [
            S(R((2, 3, 6, 6)), 2),
            S(R((2, 3, 7, 5)), 3, stride=2, pad=1),
            S(R((2, 3, 7, 5)), (3, 2), stride=(2, 1), cover_all=False),
            S(R((2, 1, 5, 5)), 2, stride=3),
            S(R((1, 1, 1, 1)), 1),
            S(R((2, 2, 7, 7)), 3, stride=2, pad=1, cover_all=False),
            S(R((1, 2, 9, 9)), 2, stride=4, cover_all=False),
        ],
        edges=[
            S(L(np.zeros((1, 1, 4, 4))), 2),
            S(L(np.round(np.sin(np.arange(36.0).reshape(1, 1, 6, 6)))), 3, stride=1),
            S(L([[[[inf, -inf, inf], [1e30, 0.0, inf], [-inf, -inf, -inf]]]]), 2, stride=1),
            S(L(np.zeros((1, 1, 5, 5))), 3, stride=2, pad=1),
        ],
        errors=[
            (S(ones(2, 3, 4), 2), ValueError, "dimensions"),
            (S(ones(1, 1, 2, 2), 5, cover_all=False), AssertionError, "positive"),
        ],
        order=1,
    ),
    Case(
        "average_pooling_2d",
        [
            S(R((2, 3, 6, 6)), 2),
            S(R((2, 3, 7, 5)), 3, stride=2, pad=1),
            S(R((2, 3, 7, 5)), (3, 2), stride=(2, 1)),
            S(R((2, 1, 5, 5)), 2, stride=3),
            S(R((1, 1, 1, 1)), 1),
            S(R((2, 2, 7, 7)), 3, stride=1, pad=1),
        ],
        errors=[(S(ones(2, 3, 4), 2), TypeError, "ndim")],
    ),
    Case(
        "batch_normalization",
        [
            bn((5, 3), (3,)),
            bn((4, 3, 2, 2), (3,)),
            bn((4, 3, 2), (3, 2)),
            bn((4, 3, 2), (3,), axis=(0, 2)),
            bn((4, 3, 2), (4,), axis=(1, 2)),
            bn((4, 1), (1,), eps=1e-2),
            bn((3, 4), (3,), axis=1),
            bn((2, 0), (0,)),
            bn((0, 2), (2,)),
        ],
        edges=[S(L([[1.0, 2.0], [1.0, 4.0]]), L([1.0, 2.0]), L([0.5, 0.0]))],
        errors=[
            (S(ones(4, 3), ones(2), ones(2)), TypeError, "x.shape[1] == gamma.shape[0]"),
            (S(ones(4, 3), ones(3), ones(2)), TypeError, "shape"),
            (S(ones(4, 3), ones(3), ones(3), axis=(1, 0)), RuntimeError, "ascending"),
        ],
        floats={"eps": 3e-3},
        rtol=1e-4,
    ),
    Case(
        "fixed_batch_normalization",
        [
            fixed_bn((5, 3), (3,)),
            fixed_bn((4, 3, 2, 2), (3,)),
            fixed_bn((4, 3, 2), (3, 2)),
            fixed_bn((4, 3, 2), (3,), axis=(0, 2)),
            fixed_bn((0, 3), (3,)),
            fixed_bn((4, 1), (1,), eps=1e-2),
        ],
        errors=[(S(ones(4, 3), ones(2), ones(2), ones(2), ones(2)), TypeError, "x.shape[1] == gamma.shape[0]")],
        rtol=1e-4,
    ),
    Case(
        "layer_normalization",
        [
            bn((5, 3), (3,)),
            bn((1, 4), (4,)),
            bn((5, 3), (3,), eps=1e-2),
            bn((0, 3), (3,)),
            bn((2, 7), (7,)),
            bn((4, 2), (2,)),
        ],
        errors=[
            (S(ones(4, 3), ones(2), ones(2)), TypeError, "shape"),
            (S(ones(4, 3, 2), ones(2), ones(2)), TypeError, "ndim"),
        ],
        rtol=1e-4,
    ),
    Case(
        "dropout",
        [
            S(R((2, 3)), mask=K([[0, 2, 2], [2, 0, 2]])),
            S(R((2, 3)), 0.3, mask=K([0, 2, 2])),
            S(R((2, 1)), mask=K(2.0)),
            S(R((0, 2)), mask=K(np.ones((0, 2)))),
            S(R((1,)), mask=K([0.0])),
            S(R((2, 3)), 0.0),
        ],
        edges=[S(L([inf, 1.0]), mask=K([2.0, 0.0]))],
        errors=[
            (S(ones(2), 1.0), ValueError, "dropout_ratio"),
            (S(ones(2), -0.1), ValueError, "dropout_ratio"),
            (S(K([1], "int32")), TypeError, "dtype"),
        ],
    ),
    Case(
        "gaussian",
        [
            S(R((2, 3)), R((2, 3)), eps=K([[0, 1, 2], [-1, 0.5, 0]])),
            S(R(()), R(()), eps=K(1.5)),
            S(R((0, 2)), R((0, 2)), eps=K(np.ones((0, 2)))),
            S(R((1,)), R((1,)), eps=K([0.0])),
            S(R((2,)), R((2,)), eps=K([0.0, 3.0])),
            S(R((1, 2)), R((1, 2)), eps=K([[1.0, 3.0]])),
        ],
        errors=[(S(ones(2), ones(3)), TypeError, "shape")],
    ),
    Case(
        "lstm",
        [
            S(R((3, 2)), R((3, 8))),
            S(R((3, 2)), R((2, 8))),
            S(R((3, 1)), R((3, 4))),
            S(R((2, 2, 3)), R((2, 8, 3))),
            S(R((0, 2)), R((0, 8))),
            S(R((4, 3)), R((1, 12))),
        ],
        edges=[S(L([[0.0]]), L([[inf, -inf, 100.0, -100.0]]))],
        errors=[(S(ones(3, 2), ones(3, 7)), TypeError, "4 *"), (S(ones(3, 2), ones(4, 8)), TypeError, "shape[0]")],
    ),
    Case(
        "n_step_lstm",
        [
            n_step(1, (3, 2, 2, 1), 4, 2),
            n_step(2, (2, 2), 3, 2),
            n_step(2, (3, 1, 1), 2, 3),
            n_step(1, (1,), 1, 1),
            n_step(1, (2, 2, 2), 3, 2),
            n_step(3, (2, 1), 2, 2),
        ],
        errors=misfits("lstm", 1),
        label=None,
        rtol=1e-4,
    ),
    Case(
        "softmax_cross_entropy",
        [
            S(R((4, 3)), I((4,), 3)),
            S(R((4, 3)), K([0, -1, 2, -1], "int32")),
            S(R((4, 3)), K([0, -1, 2, -1], "int32"), normalize=False),
            S(R((4, 3)), I((4,), 3), reduce="no"),
            S(R((4, 3)), K([0, 1, 2, 1], "int64"), ignore_label=1, class_weight=K([0.5, 1.0, 2.0])),
            S(R((2, 3, 2, 2)), I((2, 2, 2), 3, -1)),
            S(R((2, 3, 2)), I((2, 2), 3), class_weight=K([0.5, 1.0, 2.0]), reduce="no"),
            S(R((2, 3)), K([[0.2, 0.3, 0.5], [1, 0, 0]])),
            S(R((2, 3)), K([[0.2, 0.3, 0.5], [1, 0, 0]]), reduce="no", soft_target_loss="kl-divergence"),
            S(R((3, 1)), I((3,), 1)),
            S(R((2, 3)), K([-1, -1], "int32")),
        ],
        edges=[
            S(L([[1e30, 0.0], [0.0, 1e30], [100.0, -100.0]]), K([0, 0, 1], "int32"), reduce="no"),
            S(L([[0.0, 0.0]]), K([1], "int32")),
        ],
        errors=[
            (S(ones(2, 3), K([0.0, 1.0])), TypeError, "shape"),
            (S(ones(2, 3), K([0, 1, 2], "int32")), TypeError, "shape[0]"),
            (S(ones(2, 3), K([0, 1], "int32"), reduce="sum"), ValueError, "reduce"),
            (S(K([[1, 2]], "int32"), K([0], "int32")), TypeError, "dtype"),
        ],
    ),
    Case(
        "sigmoid_cross_entropy",
        [
            S(R((4, 3)), I((4, 3), 2)),
            S(R((4, 3)), I((4, 3), 2, -1)),
            S(R((4, 3)), I((4, 3), 2, -1), normalize=False),
            S(R((4, 3)), I((4, 3), 2, -1), reduce="no"),
            S(R((3,)), K([-1, -1, -1], "int32")),
            S(R((1, 1)), I((1, 1), 2)),
        ],
        edges=[S(L([0.0, 0.0, 1e30, -1e30, 100.0, -100.0]), K([0, 1, 1, 1, 0, 0], "int32"), reduce="no")],
        errors=[
            (S(ones(2, 3), K([0, 1], "int32")), TypeError, "shape"),
            (S(ones(2), ones(2)), TypeError, "integer"),
            (S(ones(1), K([0], "int32"), reduce="x"), ValueError, "reduce"),
        ],
    ),
    Case(
        "mean_squared_error",
        [
            S(R((3, 4)), R((3, 4))),
            S(R(()), R(())),
            S(R((1,)), R((1,))),
            S(R((2, 3, 4)), R((2, 3, 4))),
            S(R((5,)), R((5,))),
            S(R((2, 1)), R((2, 1))),
        ],
        edges=[S(L([1.0, 2.0]), L([1.0, 1e15]))],
        errors=[
            (S(ones(2), ones(3)), TypeError, "shape"),
            (S(ones(2), K([1.0, 1.0], "float16")), TypeError, "float16"),
        ],
    ),
    Case(
        "mean_absolute_error",
        [
            S(R((3, 4)), R((3, 4))),
            S(R(()), R(())),
            S(R((1,)), R((1,))),
            S(R((2, 3, 4)), R((2, 3, 4))),
            S(R((5,)), R((5,))),
            S(R((2, 1)), R((2, 1))),
        ],
        edges=[S(L([1.0, 2.0, 0.0]), L([1.0, 1e30, 0.0]))],
        errors=[(S(ones(2), ones(3)), TypeError, "shape")],
    ),
    Case(
        "huber_loss",
        [
            S(R((3, 4)), R((3, 4)), 1.0),
            S(R((3, 4)), R((3, 4)), 0.5, reduce="no"),
            S(R((3, 4, 2)), R((3, 4, 2)), delta=2.0),
            S(R((1, 1)), R((1, 1)), 1.0),
            S(R((0, 2)), R((0, 2)), 1.0),
            S(R((2, 0)), R((2, 0)), 1.0),
        ],
        edges=[S(L([[1.0, -1.0, 0.0, 1e15, -3.0]]), L([[0.0, 0.0, 0.0, 0.0, 0.0]]), 1.0, reduce="no")],
        errors=[
            (S(ones(2, 2), ones(2, 3), 1.0), TypeError, "shape"),
            (S(ones(2), ones(2), 1.0), ValueError, "ndim"),
            (S(ones(2, 2), ones(2, 2), 1.0, reduce="mean"), ValueError, "reduce"),
            (S(ones(2, 2), ones(2, 2), -1.0), ValueError, "delta must not be negative, got -1.0"),
        ],
        floats={2: 0.75},
    ),
    Case(
        "accuracy",
        [
            S(R((6, 3)), I((6,), 3)),
            S(R((6, 3)), K([0, 1, -1, 2, -1, 0], "int32"), ignore_label=-1),
            S(R((2, 3, 4)), I((2, 4), 3)),
            S(R((6, 3, 1, 1)), I((6,), 3)),
            S(R((2, 3)), K([0, 0], "int32"), ignore_label=0),
            S(R((1, 1)), I((1,), 1)),
        ],
        edges=[S(L([[1.0, 1.0], [0.0, 0.0]]), K([0, 1], "int32"))],
        errors=[
            (S(ones(2, 3), ones(2)), TypeError, "integer"),
            (S(ones(2, 3), K([1], "int32")), TypeError, "shape[0]"),
        ],
        order=1,
        label=None,
    ),
    Case(
        "binary_accuracy",
        [
            S(R((6,)), I((6,), 2)),
            S(R((3, 2)), I((3, 2), 2, -1)),
            S(R((2,)), K([-1, -1], "int32")),
            S(R((1,)), I((1,), 2)),
            S(R((2, 3, 2)), I((2, 3, 2), 2)),
            S(R((4, 1)), I((4, 1), 2)),
        ],
        edges=[S(L([0.0, -0.0, -1e-30]), K([0, 1, 0], "int32"))],
        errors=[(S(ones(2), ones(2)), TypeError, "integer"), (S(ones(2), K([1], "int32")), TypeError, "shape")],
        order=1,
        label=None,
    ),
]

RETAINS = {
    "linear": ("x", "W"),
    "convolution_2d": ("x", "W"),
    "max_pooling_2d": ("x",),
    "average_pooling_2d": (),
    "batch_normalization": ("x", "gamma", "y1", "y2"),
    "dropout": ("mask",),
    "gaussian": ("ln_var", "y1"),
    "lstm": ("c_prev", "x"),
    "softmax_cross_entropy": ("x", "t"),
    "mean_squared_error": ("x0", "x1"),
    "embed_id": ("x",),
}
for case in CASES:
    case.retains = RETAINS.get(case.name)
