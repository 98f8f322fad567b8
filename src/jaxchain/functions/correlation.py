"""The convolution at the bottom of every convolution op, in a form that is fast on the backend.

XLA's CPU backend has a fast kernel for one and two axes without groups only. With groups it runs a naive loop: 2.7 s
for the gradient of (8, 128, 28, 28) in 32 groups, where 32 convolutions take 19 ms; over three axes it is slow, too.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxchain.core.op import Array

Padding = Sequence[tuple[int, int]]
APART = 32  # groups up to which each is a convolution of its own: more take long to compile
SHIFTS = 64  # elements of a filter up to which a sum over them is one fused loop


def correlate(x: Array, W: Array, stride: Sequence[int], padding: Padding, dilate: Sequence[int], groups: int) -> Array:
    """Return the cross-correlation of ``x (n, c, ...)`` with ``W (o, c / groups, ...)``.

    Args:
        x: Data, of the dtype of ``W``.
        W: Filters.
        stride: Step along each axis.
        padding: Zeros before and after each axis; fewer than none cuts off.
        dilate: Distance of the filter's elements along each axis.
        groups: Number of groups of channels that are convolved apart.
    """
    if jax.default_backend() == "cpu":
        if groups > 1 and W.shape[1] == 1 and math.prod(W.shape[2:]) <= SHIFTS:
            return _channel_by_channel(x, W, stride, padding, dilate)
        if 1 < groups <= APART:
            parts = zip(jnp.split(x, groups, 1), jnp.split(W, groups, 0), strict=True)
            return jnp.concatenate([correlate(a, b, stride, padding, dilate, 1) for a, b in parts], 1)
        if groups > 1:
            return _as_product(x, W, stride, padding, dilate, groups)
        if x.ndim == 5:
            return _plane_by_plane(x, W, stride, padding, dilate)
    return lax.conv_general_dilated(x, W, stride, padding, rhs_dilation=dilate, feature_group_count=groups)


def transposed(
    x: Array,
    W: Array,
    shape: Sequence[int],
    stride: Sequence[int],
    padding: Padding,
    dilate: Sequence[int],
    groups: int,
) -> Array:
    """Return what the transpose of `correlate` makes of ``x``; ``shape`` is that of the result."""
    (y,) = jax.linear_transpose(
        lambda y: correlate(y, W, stride, padding, dilate, groups), jax.ShapeDtypeStruct(tuple(shape), W.dtype)
    )(x)
    return y


def has_fast_kernel(ndim: int, groups: int) -> bool:
    """Return whether the backend's own convolution of arrays with so many axes, in so many groups, is fast."""
    return jax.default_backend() != "cpu" or (groups == 1 and ndim < 5)


def _windows(
    x: Array, kernel: Sequence[int], stride: Sequence[int], padding: Padding, dilate: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], Array]]:
    """Yield each element of a filter with the part of ``x`` that it meets, ``(n, c, ...)`` in the output's size."""
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (0, 0, 0), *((low, high, 0) for low, high in padding)])
    axes = list(zip(x.shape[2:], kernel, stride, dilate, strict=True))
    reach = [(n - (k - 1) * d - 1) // s * s + 1 for n, k, s, d in axes]
    for at in np.ndindex(*kernel):
        start = [i * d for i, d in zip(at, dilate, strict=True)]
        stop = [a + r for a, r in zip(start, reach, strict=True)]
        yield at, lax.slice(x, (0, 0, *start), (*x.shape[:2], *stop), (1, 1, *stride))


def _channel_by_channel(x: Array, W: Array, stride: Sequence[int], padding: Padding, dilate: Sequence[int]) -> Array:
    """Convolve where each group is one channel: a sum of shifted inputs, in float32 at least."""
    dtype, wide = W.dtype, jnp.promote_types(W.dtype, np.float32)
    if W.shape[0] != x.shape[1]:
        x = jnp.repeat(x, W.shape[0] // x.shape[1], 1)
    filters = W.astype(wide).reshape(W.shape[0], *W.shape[2:])
    column = (-1, *[1] * (x.ndim - 2))
    found = _windows(x.astype(wide), W.shape[2:], stride, padding, dilate)
    terms = (part * filters[(slice(None), *at)].reshape(column) for at, part in found)
    return functools.reduce(operator.add, terms).astype(dtype)


def _as_product(
    x: Array, W: Array, stride: Sequence[int], padding: Padding, dilate: Sequence[int], groups: int
) -> Array:
    """Convolve in groups as a product of matrices for each group."""
    columns = jnp.stack([part for _, part in _windows(x, W.shape[2:], stride, padding, dilate)], 2)
    n, size = x.shape[0], columns.shape[3:]
    columns = columns.reshape(n, groups, -1, math.prod(size))
    y = jnp.einsum("gok,ngkp->ngop", W.reshape(groups, W.shape[0] // groups, -1), columns)
    return y.reshape(n, W.shape[0], *size)


def _plane_by_plane(x: Array, W: Array, stride: Sequence[int], padding: Padding, dilate: Sequence[int]) -> Array:
    """Convolve over three axes as a sum of convolutions over two, the planes of the first one beside each other."""
    found = _windows(x, (W.shape[2], 1, 1), (stride[0], 1, 1), (padding[0], (0, 0), (0, 0)), (dilate[0], 1, 1))
    layers = [jnp.moveaxis(part, 2, 1) for _, part in found]  # (n, planes, c, h, w)
    ahead = layers[0].shape[:2]
    terms = (
        lax.conv_general_dilated(
            layer.reshape(-1, *layer.shape[2:]), W[:, :, i], stride[1:], padding[1:], rhs_dilation=dilate[1:]
        )
        for i, layer in enumerate(layers)
    )
    y = functools.reduce(operator.add, terms)
    return jnp.moveaxis(y.reshape(*ahead, *y.shape[1:]), 1, 2)
