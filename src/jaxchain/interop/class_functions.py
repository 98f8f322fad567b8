"""What Chainer's classes of functions compute, where it is not jaxchain's function with its own arguments.

A function here says how its class is made and applied: positional-only parameters (or ``*xs``) are the inputs of
`apply`, the other ones the arguments of the class, under Chainer's names. A dictionary behind the outputs has what the
class keeps as attributes. ``config.in_recomputing`` is True where the function runs for the gradient.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, cast

import jax.numpy as jnp
import numpy as np

import jaxchain.functions as F
from jaxchain.core.config import config, using_config
from jaxchain.core.variable import as_array
from jaxchain.functions.decorrelation import decorrelated_batch_normalization_with_statistics
from jaxchain.functions.draws import draw
from jaxchain.functions.renormalization import batch_renormalization_with_statistics
from jaxchain.utils import CooMatrix


def _convolution_2d(x, W, b=None, /, stride=1, pad=0, cover_all=False, *, dilate=1, groups=1, **_):
    return F.convolution_2d(x, W, b, stride, pad, cover_all, dilate=dilate, groups=groups)


def _deconvolution_2d(x, W, b=None, /, stride=1, pad=0, outsize=None, *, dilate=1, groups=1, **_):
    return F.deconvolution_2d(x, W, b, stride, pad, outsize, dilate=dilate, groups=groups)


def _convolution_nd(x, W, b=None, /, ndim=0, stride=1, pad=0, cover_all=False, dilate=1, groups=1):
    return F.convolution_nd(x, W, b, stride, pad, cover_all, dilate, groups)


def _deconvolution_nd(x, W, b=None, /, ndim=0, stride=1, pad=0, outsize=None, dilate=1, groups=1):
    return F.deconvolution_nd(x, W, b, stride, pad, outsize, dilate, groups)


def _average_pooling_2d(x, /, ksize, stride=None, pad=0, cover_all=True, return_indices=False):
    return F.average_pooling_2d(x, ksize, stride, pad)


def _average_pooling_nd(x, /, ndim, ksize, stride=None, pad=0, cover_all=False, pad_value=0):
    return F.average_pooling_nd(x, ksize, stride, pad, pad_value)


def _max_pooling_nd(x, /, ndim, ksize, stride=None, pad=0, cover_all=True, return_indices=False):
    y, indexes = F.max_pooling_nd(x, ksize, stride, pad, cover_all, return_indices=True)
    return y, {"indexes": indexes}


def _unpooling_nd(x, /, ndim, ksize, stride=None, pad=0, outsize=None, cover_all=True):
    return F.unpooling_nd(x, ksize, stride, pad, outsize, cover_all)


def _unpooling_2d(x, /, ksize, stride=None, pad=0, outsize=None, cover_all=True):
    return F.unpooling_2d(x, ksize, stride, pad, outsize, cover_all)


def _upsampling_2d(x, /, indexes, ksize, stride=None, pad=0, outsize=None, cover_all=True):
    return F.upsampling_2d(x, indexes, ksize, stride, pad, outsize, cover_all)


def _dropout(x, /, dropout_ratio, mask=None, return_mask=False):
    with using_config("train", True):
        y, mask = cast(Any, F.dropout(x, dropout_ratio, mask=mask, return_mask=True))
    return y, {"mask": mask}


def _gaussian(mean, ln_var, /, eps=None):
    y, eps = F.gaussian(mean, ln_var, eps=eps, return_eps=True)
    return y, {"eps": eps}


def _rrelu(x, /, lower=1.0 / 8, upper=1.0 / 3, r=None):
    y, r = F.rrelu(x, lower, upper, r=r, return_r=True)
    return y, {"r": r}


def _simplified_dropconnect(x, W, b=None, /, ratio=0.5, mask=None, use_batchwise_mask=True):
    if mask is None:
        shape = (x.shape[0], *W.shape) if use_batchwise_mask else W.shape
        mask = draw("uniform", shape, "float32") >= ratio
    y = F.simplified_dropconnect(x, W, b, ratio, mask=mask, use_batchwise_mask=use_batchwise_mask)
    return y, {"mask": mask}


def _zoneout(h, x, /, zoneout_ratio):
    new = draw("uniform", x.shape, "float32") >= zoneout_ratio
    return F.where(new, x, h), {"flag_h": ~new, "flag_x": new}


def _batch_normalization(x, gamma, beta, /, eps=2e-5, mean=None, var=None, decay=0.9, axis=None, impl_selector=None):
    if config.in_recomputing:
        y = F.batch_normalization(x, gamma, beta, eps=eps, axis=axis)
        return y, {"running_mean": mean, "running_var": var}
    old = [_statistic(mean, gamma.shape, gamma.dtype, 0), _statistic(var, gamma.shape, gamma.dtype, 1)]
    y, *new = F.batch_normalization_with_statistics(x, gamma, beta, *old, eps=eps, decay=decay, axis=axis)
    return y, {"running_mean": _written(mean, new[0]), "running_var": _written(var, new[1])}


def _batch_renormalization(
    x, gamma, beta, /, eps=2e-5, mean=None, var=None, decay=0.9, rmax=1, dmax=0, update_statistics=True
):
    old = [_statistic(mean, gamma.shape, gamma.dtype, 0), _statistic(var, gamma.shape, gamma.dtype, 1)]
    y, *new = batch_renormalization_with_statistics(x, gamma, beta, old[0], old[1], rmax, dmax, eps, decay)
    if not update_statistics or config.in_recomputing:
        return y, {"running_mean": mean, "running_var": var}
    return y, {"running_mean": _written(mean, new[0]), "running_var": _written(var, new[1])}


def _decorrelated_batch_normalization(x, /, groups=16, eps=2e-5, mean=None, projection=None, decay=0.9):
    if config.in_recomputing:
        y = F.decorrelated_batch_normalization(x, groups=groups, eps=eps)
        return y, {"running_mean": mean, "running_projection": projection}
    size = x.shape[1] // groups
    old = [
        _statistic(mean, (groups, size), x.dtype, 0),
        np.tile(np.eye(size, dtype=x.dtype), (groups, 1, 1)) if projection is None else as_array(projection),
    ]
    y, *new = decorrelated_batch_normalization_with_statistics(x, *old, groups=groups, eps=eps, decay=decay)
    return y, {"running_mean": _written(mean, new[0]), "running_projection": _written(projection, new[1])}


def _statistic(given: Any, shape: tuple[int, ...], dtype: Any, initial: float) -> Any:
    return np.full(shape, initial, dtype) if given is None else as_array(given)


def _written(given: Any, new: Any) -> Any:
    """Return new statistics, where possible in the array that was given."""
    if not isinstance(given, np.ndarray):
        return new
    given[...] = np.asarray(new)
    return given


def _group_normalization(x, gamma, beta, /, groups, eps=1e-5):
    return F.group_normalization(x, groups, gamma, beta, eps)


def _ctc(input_length, label_length, t, x, /, blank_symbol, reduce="mean"):
    xs = F.separate(x, 0)
    return F.connectionist_temporal_classification(xs, t, blank_symbol, input_length, label_length, reduce)


def _negative_sampling(x, t, W, /, sampler, sample_size, reduce="sum", samples=None):
    # the labels, which stand in the first column, take their places again
    sample = sampler if samples is None else lambda shape: samples
    loss, samples = F.negative_sampling(x, t, W, sample, sample_size, reduce, return_samples=True)
    return loss, {"samples": samples}


def _einsum(*xs, in_subs, out_sub):
    return F.einsum(f"{in_subs}->{out_sub}".replace("@", "..."), *xs)


def _coo_matmul(
    data, dense, /, sp_row, sp_col, sp_shape, sp_order="other", transa=False, transb=False, transc=False, dtype=None
):
    sparse = CooMatrix(data.array, sp_row, sp_col, sp_shape, order=sp_order)
    sparse.data = data
    y = F.sparse_matmul(sparse, dense, transa, transb)
    y = F.swapaxes(y, -1, -2) if transc else y
    return y if dtype is None else F.cast(y, dtype)


def _zeta(q, /, x):
    return F.zeta(jnp.asarray(as_array(x), q.dtype), q)


CLASSES: dict[str, tuple[str, Callable[..., Any]]] = {
    "Absolute": ("|_|", abs),
    "Neg": ("__neg__", operator.neg),
    "Add": ("_ + _", F.add),
    "AddConstant": ("_ + {}", lambda x, /, value: x + value),
    "Sub": ("_ - _", operator.sub),
    "SubFromConstant": ("{} - _", lambda x, /, value: value - x),
    "Mul": ("_ * _", operator.mul),
    "MulConstant": ("_ * {}", lambda x, /, value: x * value),
    "Div": ("_ / _", operator.truediv),
    "DivFromConstant": ("{} / _", lambda x, /, value: value / x),
    "PowVarVar": ("_ ** _", operator.pow),
    "PowVarConst": ("_ ** {}", lambda x, /, value: x**value),
    "PowConstVar": ("{} ** _", lambda x, /, value: value**x),
    "BatchDet": ("det", F.batch_det),
    "AveragePooling2D": ("", _average_pooling_2d),
    "AveragePoolingND": ("", _average_pooling_nd),
    "MaxPoolingND": ("", _max_pooling_nd),
    "Convolution2DFunction": ("", _convolution_2d),
    "ConvolutionND": ("", _convolution_nd),
    "Deconvolution2DFunction": ("", _deconvolution_2d),
    "DeconvolutionND": ("", _deconvolution_nd),
    "Unpooling2D": ("", _unpooling_2d),
    "UnpoolingND": ("", _unpooling_nd),
    "Upsampling2D": ("", _upsampling_2d),
    "ScatterAdd": ("", lambda a, b, /, slices: F.scatter_add(a, slices, b)),
    "Where": ("", lambda x, y, /, condition: F.where(condition, x, y)),
    "Concat": ("", lambda *xs, axis=1: F.concat(xs, axis)),
    "Stack": ("", lambda *xs, axis: F.stack(xs, axis)),
    "Hstack": ("", lambda *xs: F.hstack(xs)),
    "Vstack": ("", lambda *xs: F.vstack(xs)),
    "Dstack": ("", lambda *xs: F.dstack(xs)),
    "PadSequence": ("", lambda *xs, length, padding: F.pad_sequence(xs, length, padding)),
    "TransposeSequence": ("", lambda *xs, length: F.transpose_sequence(xs)),
    "FFT": ("", lambda real, imag, /, method: getattr(F, method)((real, imag))),
    "EinSum": ("", _einsum),
    "Zeta": ("zeta", _zeta),
    "Mean": ("", lambda x, /, axis, keepdims: F.average(x, axis, keepdims=keepdims)),
    "CooMatMul": ("", _coo_matmul),
    "Dropout": ("", _dropout),
    "Gaussian": ("", _gaussian),
    "RReLU": ("", _rrelu),
    "SimplifiedDropconnect": ("", _simplified_dropconnect),
    "Zoneout": ("", _zoneout),
    "BatchNormalization": ("", _batch_normalization),
    "BatchRenormalizationFunction": ("", _batch_renormalization),
    "DecorrelatedBatchNormalization": ("", _decorrelated_batch_normalization),
    "GroupNormalization": ("", _group_normalization),
    "ConnectionistTemporalClassification": ("", _ctc),
    "NegativeSamplingFunction": ("", _negative_sampling),
}
"""Label of the class's nodes (empty: the class's name) and function, by the class's name.

``{}`` in a label stands for a number.
"""
