"""The convolution at the bottom of every convolution op, in a form that is fast on the backend.

XLA's CPU backend has a fast kernel for one and two axes without groups only. With groups it runs a naive loop: 2.7 s
for the gradient of (8, 128, 28, 28) in 32 groups, where 32 convolutions take 19 ms; over three axes it is slow, too. So
is the gradient of the filters over two: benchmarks/kernels.py compares it with the products made here.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxchain.core.op import Array

Padding = Sequence[tuple[int, int]]
APART = 32  # groups up to which each is a convolution of its own: more take long to compile
SHIFTS = 64  # elements of a filter up to which a sum over them is one fused loop
PLACES = 16  # a filter's gradient is a product for each sample if it has less than this many times the places of one


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
    on_cpu = jax.default_backend() == "cpu"
    if on_cpu:
        if groups > 1 and W.shape[1] == 1 and math.prod(W.shape[2:]) <= SHIFTS:
            return _channel_by_channel(x, W, stride, padding, dilate)
        if 1 < groups <= APART:
            parts = zip(jnp.split(x, groups, 1), jnp.split(W, groups, 0), strict=True)
            return jnp.concatenate([correlate(a, b, stride, padding, dilate, 1) for a, b in parts], 1)
        if groups > 1:
            return _as_product(x, W, stride, padding, dilate, groups)
    if x.ndim > (4 if on_cpu else 5):  # for more than three axes XLA has no kernel on GPUs: it ends the process
        return _plane_by_plane(x, W, stride, padding, dilate, groups)
    if on_cpu:
        x, padding = _padded_ahead(x, W.shape[2:], stride, padding, dilate)
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


def filters_gradient(
    x: Array,
    gy: Array,
    shape: Sequence[int],
    stride: Sequence[int],
    padding: Padding,
    dilate: Sequence[int],
    groups: int,
) -> Array:
    """Return the gradient of `correlate` with respect to its filters, of ``shape``; ``gy`` is its result's."""
    kernel = tuple(shape[2:])
    plain = jax.default_backend() == "cpu" and groups == 1 and x.ndim < 5
    if plain and math.prod(kernel) <= math.prod(gy.shape[2:]):
        return _element_by_element(x, gy, kernel, tuple(stride), tuple(padding), tuple(dilate))
    (gW,) = jax.linear_transpose(
        lambda W: correlate(x, W, stride, padding, dilate, groups), jax.ShapeDtypeStruct(tuple(shape), x.dtype)
    )(gy)
    return gW


def _padded_ahead(
    x: Array, kernel: Sequence[int], stride: Sequence[int], padding: Padding, dilate: Sequence[int]
) -> tuple[Array, Padding]:
    """Return the data, padded along the axes whose padding must not be part of the convolution, and what is left of it.

    In the transpose, XLA takes an axis of two elements in steps of two, padded by one, for an axis of groups. If
    another axis has a larger filter it swaps the operands, their shapes do not fit, and the compiler ends the process.
    """
    axes = zip(kernel, stride, padding, dilate, strict=True)
    ahead = [k == s == 2 and low == d == 1 for k, s, (low, _), d in axes]
    if all(ahead) or not any(ahead):
        return x, padding
    first = [(low, high, 0) if a else (0, 0, 0) for a, (low, high) in zip(ahead, padding, strict=True)]
    rest = [(0, 0) if a else (low, high) for a, (low, high) in zip(ahead, padding, strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (0, 0, 0), *first]), rest


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


def _plane_by_plane(
    x: Array, W: Array, stride: Sequence[int], padding: Padding, dilate: Sequence[int], groups: int
) -> Array:
    """Convolve as a sum of convolutions over one axis less, the planes of the first one beside each other."""
    ones = [1] * (x.ndim - 3)
    found = _windows(
        x, (W.shape[2], *ones), (stride[0], *ones), (padding[0], *[(0, 0) for _ in ones]), (dilate[0], *ones)
    )
    layers = [jnp.moveaxis(part, 2, 1) for _, part in found]  # (n, planes, c, ...)
    ahead = layers[0].shape[:2]
    terms = (
        correlate(layer.reshape(-1, *layer.shape[2:]), W[:, :, i], stride[1:], padding[1:], dilate[1:], groups)
        for i, layer in enumerate(layers)
    )
    y = functools.reduce(operator.add, terms)
    return jnp.moveaxis(y.reshape(*ahead, *y.shape[1:]), 1, 2)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _element_by_element(
    x: Array, gy: Array, kernel: Sequence[int], stride: Sequence[int], padding: Padding, dilate: Sequence[int]
) -> Array:
    """Return the filters' gradient: for each of their elements the product of ``gy`` and of what it met in ``x``."""
    dtype, wide = x.dtype, jnp.promote_types(x.dtype, np.float32)
    reach = [(m - 1) * s + 1 for m, s in zip(gy.shape[2:], stride, strict=True)]
    x = lax.pad(x, jnp.zeros((), dtype), [(0, 0, 0), (0, 0, 0), *((low, high, 0) for low, high in padding)])
    each_sample = gy.shape[1] * x.shape[1] <= PLACES * math.prod(gy.shape[2:])
    if not each_sample:  # the batch and the places are one axis
        x, gy = x.swapaxes(0, 1)[None], gy.swapaxes(0, 1)[None]
    ahead = x.ndim - len(kernel)
    places = math.prod(gy.shape[2:])
    gy = gy.reshape(*gy.shape[:2], places)

    def product(element: Array) -> Array:
        part = lax.dynamic_slice(x, (*[0] * ahead, *element), (*x.shape[:ahead], *reach))
        part = lax.slice(part, [0] * x.ndim, part.shape, (*[1] * ahead, *stride)).reshape(*x.shape[:2], places)
        return lax.dot_general(gy, part, (([2], [2]), ([0], [0])), preferred_element_type=wide).sum(0)

    gW = lax.map(product, np.array(list(np.ndindex(*kernel))) * dilate)
    return jnp.moveaxis(gW, 0, -1).reshape(*gW.shape[1:], *kernel).astype(dtype)


def _element_by_element_forward(x: Array, gy: Array, *rest: Any) -> tuple[Array, tuple[Array, Array]]:
    return _element_by_element(x, gy, *rest), (x, gy)


def _element_by_element_backward(
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Padding,
    dilate: Sequence[int],
    residuals: tuple[Array, Array],
    gW: Array,
) -> tuple[Array, Array]:
    x, gy = residuals
    return transposed(gy, gW, x.shape, stride, padding, dilate, 1), correlate(x, gW, stride, padding, dilate, 1)


_element_by_element.defvjp(_element_by_element_forward, _element_by_element_backward)
