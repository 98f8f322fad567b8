"""A network as Caffe describes it: layers by name, run in order on blobs by name."""

from __future__ import annotations

import contextlib
import functools
import operator
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from jaxchain import functions as F
from jaxchain.core.config import using_config
from jaxchain.link import Chain, Link
from jaxchain.links.caffe.wire import Message
from jaxchain.links.convolution import Convolution2D, Deconvolution2D
from jaxchain.links.linear import Linear, Scale
from jaxchain.links.normalization import BatchNormalization

Layer = Link | Callable[..., Any]


class CaffeFunction(Chain):
    """The network of a caffemodel file, with its weights. Layers with weights are child links by their Caffe names.

    Layers that it does not know are left out with a warning, data layers silently. A layer whose inputs are not there
    is not run.

    Args:
        model_path: Path of the binary caffemodel file, of Caffe's present format or of the one before it (V1).

    Raises:
        ValueError: The file is no caffemodel.
        RuntimeError: A layer has a setting that is not supported.

    Attributes:
        forwards: What runs each layer, by name.
        layers: (name, names of the inputs, names of the outputs) of each layer, in order.
        split_map: What Caffe's copies of blobs are copies of.
    """

    def __init__(self, model_path: str | os.PathLike[str]) -> None:
        super().__init__()
        with open(model_path, "rb") as file:
            net = Message("Net", file.read())
        if not (net.layer or net.layers):
            raise ValueError(f"CaffeFunction: expected a caffemodel, got {os.fspath(model_path)}: it has no layers")
        self.forwards: dict[str, Layer] = {}
        self.layers: list[tuple[str, list[str], list[str]]] = []
        self.split_map: dict[str, str] = {}
        self._in_test_mode: set[str] = set()
        for layer in net.layer or net.layers:
            self._add(layer, layer.type if isinstance(layer.type, str) else _V1_TYPES.get(layer.type))

    def _add(self, layer: Message, kind: str | None) -> None:
        if kind == "Split":
            self.split_map.update(dict.fromkeys(layer.top, layer.bottom[0]))
        elif kind in _BUILDERS:
            made = self.forwards[layer.name] = _BUILDERS[kind](layer)
            if isinstance(made, Link):
                self.add_link(layer.name, made)
            if kind == "BatchNorm" and layer.batch_norm_param.use_global_stats:
                self._in_test_mode.add(layer.name)
            bottoms = [self.split_map[name] if name in self.split_map else name for name in layer.bottom]
            self.layers.append((layer.name, bottoms, list(layer.top)))
        elif kind != "Data":
            warnings.warn(
                f'Skip the layer "{layer.name}", since CaffeFunction does not support {kind or layer.type} layer',
                stacklevel=3,
            )

    def forward(
        self, inputs: Mapping[str, Any], outputs: Iterable[str], disable: Iterable[str] = ()
    ) -> tuple[Any, ...]:
        """Run the layers.

        Args:
            inputs: Blobs by name, e.g. ``{"data": x}``.
            outputs: Names of the blobs that are asked for.
            disable: Names of layers to leave out.

        Returns:
            The blobs asked for.

        Raises:
            KeyError: A blob was not computed.
        """
        blobs = dict(inputs)
        disable = set(disable)
        for name, bottoms, tops in self.layers:
            if name in disable or not all(b in blobs for b in bottoms):
                continue
            function = self.forwards[name]
            if isinstance(function, Link):
                function = self[name]  # that of a copy is another
            with using_config("train", False) if name in self._in_test_mode else contextlib.nullcontext():
                results = function(*(blobs[b] for b in bottoms))
            blobs.update(zip(tops, results if isinstance(results, tuple | list) else [results], strict=False))
        outputs = list(outputs)
        missing = [name for name in outputs if name not in blobs]
        if missing:
            raise KeyError(f"CaffeFunction: no blobs {missing}: there are {sorted(blobs)}")
        return tuple(blobs[name] for name in outputs)


# -- layers ------------------------------------------------------------------------------------------------------------


def _data(blob: Message) -> Any:
    """Return the numbers of a blob, in its shape."""
    flat = blob.data if len(blob.data) or not len(blob.double_data) else blob.double_data
    shape = (blob.num, blob.channels, blob.height, blob.width) if blob.num > 0 else tuple(blob.shape.dim)
    return np.asarray(flat, np.float32).reshape(shape)


def _window(param: Message, name: str, default: int) -> Any:
    """Return a size for both axes: from ``<name>_h`` and ``<name>_w``, or from ``<name>``."""
    name, both = ("kernel", "kernel_size") if name == "kernel" else (name, name)
    h, w = getattr(param, f"{name}_h"), getattr(param, f"{name}_w")
    if h > 0 or (name == "pad" and w > 0):
        return h, w
    value = getattr(param, both)
    if isinstance(value, int):
        return value
    return value[0] if len(value) == 1 else tuple(value) or default


def _convolution(kind: Any, transposed: bool, layer: Message) -> Link:
    param = layer.convolution_param
    if any(d != 1 for d in param.dilation):
        raise RuntimeError(f"CaffeFunction: {layer.name}: dilated convolution is not supported")
    blob, group = _data(layer.blobs[0]), param.group
    n, m = blob.shape[0], blob.shape[1]
    W = np.zeros((n, m * group, *blob.shape[2:]), np.float32)
    for i in range(group):  # groups as one convolution with zeros between them, as in Chainer's files
        rows = slice(i * n // group, (i + 1) * n // group)
        W[rows, i * m : (i + 1) * m] = blob[rows]
    return kind(
        n if transposed else m * group,
        m * group if transposed else n,
        _window(param, "kernel", 0),
        _window(param, "stride", 1),
        _window(param, "pad", 0),
        nobias=not param.bias_term,
        initialW=W,
        initial_bias=_data(layer.blobs[1]).ravel() if param.bias_term else None,
    )


def _inner_product(layer: Message) -> Link:
    param = layer.inner_product_param
    if param.axis != 1:
        raise RuntimeError(f"CaffeFunction: {layer.name}: non-default axis in InnerProduct is not supported")
    W = _data(layer.blobs[0])
    if W.ndim not in (2, 4):
        raise RuntimeError(f"CaffeFunction: {layer.name}: {W.ndim}-dimensional array is not supported")
    W = W.reshape(W.shape[-2:])
    bias = _data(layer.blobs[1]).ravel() if param.bias_term else None
    return Linear(W.shape[1], W.shape[0], nobias=not param.bias_term, initialW=W, initial_bias=bias)


def _lrn(layer: Message) -> Layer:
    param = layer.lrn_param
    if param.norm_region != 0:
        raise RuntimeError(f"CaffeFunction: {layer.name}: within-channel LRN is not supported")
    n, k, alpha, beta = param.local_size, float(param.k), float(param.alpha) / param.local_size, float(param.beta)
    return lambda x: F.local_response_normalization(x, n=n, k=k, alpha=alpha, beta=beta)


def _pooling(layer: Message) -> Layer:
    param = layer.pooling_param
    if param.pool not in (0, 1):
        raise RuntimeError(f"CaffeFunction: {layer.name}: stochastic pooling is not supported")
    function = F.max_pooling_2d if param.pool == 0 else F.average_pooling_2d
    size, stride, pad = _window(param, "kernel", 0), _window(param, "stride", 1), _window(param, "pad", 0)
    whole = param.global_pooling and not size
    return lambda x: function(x, x.shape[2:] if whole else size, stride=stride, pad=pad)


def _relu(layer: Message) -> Layer:
    slope = float(layer.relu_param.negative_slope)
    return (lambda x: F.leaky_relu(x, slope=slope)) if slope else F.relu


def _batch_norm(layer: Message) -> Link:
    param = layer.batch_norm_param
    mean, var = (_data(blob).ravel() for blob in layer.blobs[:2])
    if len(layer.blobs) >= 3:  # Caffe keeps sums, and what to divide them by
        factor = _data(layer.blobs[2]).ravel()[0]
        mean, var = mean / factor, var / factor
    return BatchNormalization(
        len(mean),
        decay=float(param.moving_average_fraction),
        eps=float(param.eps),
        use_gamma=False,
        use_beta=False,
        initial_avg_mean=mean,
        initial_avg_var=var,
    )


def _eltwise(layer: Message) -> Layer:
    operation, coefficients = layer.eltwise_param.operation, [float(c) for c in layer.eltwise_param.coeff]
    if operation not in (0, 1, 2):
        raise ValueError(f"CaffeFunction: {layer.name}: no element-wise operation {operation}")
    if operation == 1 and coefficients:
        return lambda *xs: functools.reduce(operator.add, [x * c for x, c in zip(xs, coefficients, strict=True)])
    function = (operator.mul, operator.add, F.maximum)[operation]
    return lambda *xs: functools.reduce(function, xs)


def _scale(layer: Message) -> Link:
    param, blobs = layer.scale_param, [_data(blob) for blob in layer.blobs]
    if len(layer.bottom) == 1:
        link = Scale(param.axis, blobs[0].shape, bool(param.bias_term))
        link.W.array = blobs.pop(0)
    else:
        link = Scale(param.axis, bias_term=bool(param.bias_term), bias_shape=blobs[0].shape if blobs else None)
    if param.bias_term:
        link.bias.b.array = blobs[0].reshape(link.bias.b.shape)
    return link


def _slice(layer: Message) -> Layer:
    param = layer.slice_param
    axis = param.axis if "axis" in param else param.slice_dim
    where = list(param.slice_point) or len(layer.top)
    return lambda x: F.split_axis(x, where, axis)


def _softmax(layer: Message) -> Layer:
    if layer.softmax_param.axis != 1:
        raise RuntimeError(f"CaffeFunction: {layer.name}: softmax along a non-channel axis is not supported")
    return F.softmax_cross_entropy if layer.type in ("SoftmaxWithLoss", 21) else F.softmax


def _concat(layer: Message) -> Layer:
    param = layer.concat_param
    axis = param.axis if param.axis != 1 else param.concat_dim
    return lambda *xs: F.concat(xs, axis=axis)


def _dropout(layer: Message) -> Layer:
    ratio = float(layer.dropout_param.dropout_ratio)
    return lambda x: F.dropout(x, ratio=ratio)


def _reshape(layer: Message) -> Layer:
    shape = tuple(layer.reshape_param.shape.dim)
    return lambda x: F.reshape(x, shape)


_BUILDERS: dict[str | None, Callable[[Message], Layer]] = {
    "BatchNorm": _batch_norm,
    "Concat": _concat,
    "Convolution": functools.partial(_convolution, Convolution2D, False),
    "Deconvolution": functools.partial(_convolution, Deconvolution2D, True),
    "Dropout": _dropout,
    "Eltwise": _eltwise,
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "Pooling": _pooling,
    "ReLU": _relu,
    "Reshape": _reshape,
    "Scale": _scale,
    "Sigmoid": lambda layer: F.sigmoid,
    "Slice": _slice,
    "Softmax": _softmax,
    "SoftmaxWithLoss": _softmax,
}
_V1_TYPES = {
    3: "Concat",
    4: "Convolution",
    5: "Data",
    6: "Dropout",
    14: "InnerProduct",
    15: "LRN",
    17: "Pooling",
    18: "ReLU",
    19: "Sigmoid",
    20: "Softmax",
    21: "SoftmaxWithLoss",
    22: "Split",
    25: "Eltwise",
    33: "Slice",
    39: "Deconvolution",
}
