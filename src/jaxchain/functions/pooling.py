"""Maximum and mean over windows, of any number of axes. Data ``(n, c, ...)``."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, op
from jaxchain.core.variable import as_array
from jaxchain.functions.checks import pair, sizes, spatial
from jaxchain.functions.composed import composed
from jaxchain.functions.convolution import Sizes, conv_outsize, positive
from jaxchain.functions.half import at_least_single
from jaxchain.functions.shape import concat, reshape

Padding = list[tuple[int, int]]
WIDE = 8  # elements of a window along an axis above which windows beside each other become an axis: no long programs


def _geometry(x: Array, ksize: Sizes, stride: Sizes, pad: Sizes, cover_all: bool) -> tuple[Sizes, Padding]:
    """Return (output size, padding) over the spatial axes."""
    axes = list(zip(x.shape[2:], ksize, stride, pad, strict=True))
    out = tuple(conv_outsize(n, k, s, p, cover_all) for n, k, s, p in axes)
    positive(out)
    return out, [(p, max(0, (m - 1) * s + k - n - p)) for m, (n, k, s, p) in zip(out, axes, strict=True)]


def _padded(x: Array, padding: Padding) -> Array:
    return lax.pad(x, jnp.array(-jnp.inf, x.dtype), [(0, 0, 0), (0, 0, 0), *((a, b, 0) for a, b in padding)])


def _along(x: Array, axis: int, k: int, s: int, m: int) -> list[Array]:
    """Return what stands at each offset of the windows along one axis."""
    return [lax.slice_in_dim(x, i, i + (m - 1) * s + 1, s, axis) for i in range(k)]


def _are_wide_blocks(k: int, s: int, m: int) -> bool:
    return k > WIDE and (s == k or m == 1)


def _blocks(x: Array, axis: int, k: int, m: int) -> Array:
    """Return the windows along one axis, which lie beside each other, as an axis of their own behind it."""
    x = lax.slice_in_dim(x, 0, m * k, axis=axis)
    return x.reshape(*x.shape[:axis], m, k, *x.shape[axis + 1 :])


def _spread(gy: Array, x: Array, axis: int, k: int, m: int) -> Array:
    """Return the gradient of the maxima of `_blocks`: each goes to the first that is the largest; NaN is."""
    blocks, zero = _blocks(x, axis, k, m), jnp.zeros((), gy.dtype)
    first = jnp.argmax(blocks, axis + 1, keepdims=True) == lax.broadcasted_iota(np.int32, blocks.shape, axis + 1)
    gx = jnp.where(first, jnp.expand_dims(gy, axis + 1), zero)
    gx = gx.reshape(*gx.shape[:axis], m * k, *gx.shape[axis + 2 :])
    return lax.pad(gx, zero, [(0, n - own, 0) for n, own in zip(x.shape, gx.shape, strict=True)])


def _interleave(parts: Sequence[Array], axis: int) -> Array:
    """Put arrays together whose positions along an axis are congruent modulo their number."""
    if len(parts) == 1:
        return parts[0]
    shape = parts[0].shape
    return jnp.stack(parts, axis + 1).reshape(*shape[:axis], shape[axis] * len(parts), *shape[axis + 1 :])


def _first_largest(values: Sequence[Array]) -> list[Array]:
    """Return where each array is the first that is the largest; NaN is larger than all.

    Each is compared with the others, not with their maximum: a compiler that computes values twice, in two ways, may
    find no element equal to it.
    """
    best, beats = values[0], []
    for value in values[1:]:
        beats.append(~((value <= best) | jnp.isnan(best)))
        best = jnp.maximum(best, value)
    beats = [jnp.ones(best.shape, bool), *beats]
    return [functools.reduce(lambda a, b: a & ~b, beats[i + 1 :], beats[i]) for i in range(len(beats))]


@op(label="MaxPoolingND")
def _max_pooling(
    x: Float[Array, "n c ..."], ksize: Sizes, stride: Sizes, pad: Sizes, cover_all: bool
) -> Float[Array, "n c ..."]:
    expect(x.size > 0, "x.size > 0", x.size)
    out, padding = _geometry(x, ksize, stride, pad, cover_all)
    return _stages(_padded(x, padding), ksize, stride, out)[-1]


def _stages(x: Array, ksize: Sizes, stride: Sizes, out: Sizes) -> list[Array]:
    """Return padded `x`, and its maxima over one axis more each, the last first: k + k of them, not k * k."""
    stages = [x]
    for axis, (k, s, m) in reversed(list(enumerate(zip(ksize, stride, out, strict=True), 2))):
        if _are_wide_blocks(k, s, m):
            stages.append(_blocks(stages[-1], axis, k, m).max(axis + 1))
        else:
            stages.append(functools.reduce(jnp.maximum, _along(stages[-1], axis, k, s, m)))
    return stages


@_max_pooling.vjp
def _(gy, y, x, ksize, stride, pad, cover_all):
    # XLA's own derivative, select_and_scatter, is 3 to 11 times slower on CPU: 52 ms for (32, 64, 28, 28) and 2 x 2
    # windows, where this takes 1.5. Axis by axis, each offset gets the gradients of the windows whose first maximum
    # stands there, in one of the grids of positions that are congruent modulo the stride.
    out, padding = _geometry(x, ksize, stride, pad, cover_all)
    stages = _stages(_padded(lax.optimization_barrier(x), padding), ksize, stride, out)[:-1]
    zero = jnp.zeros((), gy.dtype)
    for axis, (k, s, m) in enumerate(zip(ksize, stride, out, strict=True), 2):
        full = stages.pop()
        if _are_wide_blocks(k, s, m):
            gy = _spread(gy, full, axis, k, m)
            continue
        size = max(-(-full.shape[axis] // s), m + (k - 1) // s)
        grids: list[Any] = [None] * s
        for offset, first in enumerate(_first_largest(_along(full, axis, k, s, m))):
            phase, shift = offset % s, [(0, 0, 0)] * gy.ndim
            shift[axis] = (offset // s, size - m - offset // s, 0)
            share = lax.pad(jnp.where(first, gy, zero), zero, shift)
            grids[phase] = share if grids[phase] is None else grids[phase] + share
        gx = _interleave([jnp.zeros_like(grids[0]) if g is None else g for g in grids], axis)
        gy = lax.slice_in_dim(gx, 0, full.shape[axis], axis=axis)
    starts = (0, 0, *(before for before, _ in padding))
    return lax.slice(gy, starts, [start + n for start, n in zip(starts, x.shape, strict=True)])


@jax.jit(static_argnums=(1, 2, 3, 4))
def _max_indices(x: Array, ksize: Sizes, stride: Sizes, pad: Sizes, cover_all: bool) -> Array:
    # axis by axis, the last first, as `_stages`: all k * k positions at once took minutes to compile for wide windows
    out, padding = _geometry(x, ksize, stride, pad, cover_all)
    best, size = _padded(x, padding), 1
    index = jnp.zeros(best.shape, int)
    for axis, (k, s, m) in reversed(list(enumerate(zip(ksize, stride, out, strict=True), 2))):
        places = [i * size + place for i, place in enumerate(_along(index, axis, k, s, m))]
        best, index = functools.reduce(_larger, zip(_along(best, axis, k, s, m), places, strict=True))
        size *= k
    return index


def _larger(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return the larger values and their places, the first at ties; NaN is larger than all."""
    is_larger = ~((other[0] <= one[0]) | jnp.isnan(one[0]))
    return jnp.where(is_larger, other[0], one[0]), jnp.where(is_larger, other[1], one[1])


def windows(x: Any, ksize: Any, stride: Any, pad: Any) -> tuple[Sizes, Sizes, Sizes]:
    """Return size, step and padding of windows over the spatial axes of `x`.

    Raises:
        ValueError: There is no spatial axis, or a size or a step is not positive.
    """
    ndim = len(x.shape) - 2
    if ndim <= 0:
        raise ValueError("pooling operation requires at least one spatial dimension.")
    return *_positive(sizes(ksize, ndim), sizes(ksize if stride is None else stride, ndim)), sizes(pad, ndim)


def _positive(ksize: Sizes, stride: Sizes) -> tuple[Sizes, Sizes]:
    if min(*ksize, *stride) < 1:
        raise ValueError(f"expected windows and steps of at least 1, got ksize {ksize} and stride {stride}")
    return ksize, stride


@composed
def max_pooling_nd(
    x, ksize: Any, stride: Any = None, pad: Any = 0, cover_all: bool = True, return_indices: bool = False
):
    """Largest element of each window.

    Args:
        x: ``(n, c, d1, ..., dN)``, floating dtype.
        ksize: Window size, an int or one for each axis.
        stride: Step of the windows; None for ``ksize``.
        pad: Padding with -inf on either side, an int or one for each axis.
        cover_all: Round the output size up, so that every element is in some window.
        return_indices: Also return, as an array, where in its window each element stood.

    Returns:
        ``(n, c, o1, ..., oN)``, dtype of ``x``; -inf for a window that lies in the padding.

    At ties: the gradient goes to the first of the tied elements, row by row.

    Raises:
        InvalidType: ``x`` is not floating or has no elements.
        ValueError: ``x`` has no axis after the channels.
        AssertionError: The output would be empty.

    Source: Ranzato et al. 2007, Unsupervised learning of invariant feature hierarchies.

    Examples:
        >>> F.max_pooling_nd(np.arange(16.0, dtype=np.float32).reshape(1, 1, 4, 4), 2).array[0, 0]
        Array([[ 5.,  7.],
               [13., 15.]], dtype=float32)
    """
    window = (*windows(x, ksize, stride, pad), bool(cover_all))
    y = _max_pooling(x, *window)
    return (y, _max_indices(jnp.asarray(as_array(x)), *window)) if return_indices else y


@composed
def max_pooling_1d(
    x, ksize: Any, stride: Any = None, pad: Any = 0, cover_all: bool = True, return_indices: bool = False
):
    """Largest element of each window: `max_pooling_nd` of ``(n, c, d)``.

    Args:
        x: ``(n, c, d)``, floating dtype.
        ksize: Window size.
        stride: Step of the windows; None for ``ksize``.
        pad: Padding with -inf on either side.
        cover_all: Round the output size up, so that every element is in some window.
        return_indices: Also return where in its window each element stood.

    Returns:
        ``(n, c, o)``, dtype of ``x``.

    At ties: the gradient goes to the first of the tied elements.

    Raises:
        ValueError: ``x`` has other than three axes.

    Source: Ranzato et al. 2007, Unsupervised learning of invariant feature hierarchies.

    Examples:
        >>> F.max_pooling_1d(np.float32([[[1, 3, 7, 5, 2]]]), 2).array
        Array([[[3., 7., 2.]]], dtype=float32)
    """
    spatial(x, 1)
    return max_pooling_nd(x, ksize, stride, pad, cover_all, return_indices)


@composed
def max_pooling_2d(
    x, ksize: Any, stride: Any = None, pad: Any = 0, cover_all: bool = True, return_indices: bool = False
):
    """Largest element of each window: `max_pooling_nd` of ``(n, c, h, w)``.

    Args:
        x: ``(n, c, h, w)``, floating dtype.
        ksize: Window size, an int or (height, width).
        stride: Step of the windows; None for ``ksize``.
        pad: Padding with -inf on either side, an int or a pair.
        cover_all: Round the output size up, so that every element is in some window.
        return_indices: Also return, as an array, where in its window each element stood.

    Returns:
        ``(n, c, oh, ow)``, dtype of ``x``.

    At ties: the gradient goes to the first of the tied elements, row by row.

    Raises:
        InvalidType: ``x`` is not floating.
        ValueError: ``x`` has other than four axes.
        AssertionError: The output would be empty.

    Source: Ranzato et al. 2007, Unsupervised learning of invariant feature hierarchies.

    Examples:
        >>> F.max_pooling_2d(np.arange(16.0, dtype=np.float32).reshape(1, 1, 4, 4), 2).array[0, 0]
        Array([[ 5.,  7.],
               [13., 15.]], dtype=float32)
    """
    spatial(x, 2)
    return max_pooling_nd(x, ksize, stride, pad, cover_all, return_indices)


@composed
def max_pooling_3d(
    x, ksize: Any, stride: Any = None, pad: Any = 0, cover_all: bool = True, return_indices: bool = False
):
    """Largest element of each window: `max_pooling_nd` of ``(n, c, d, h, w)``.

    Args:
        x: ``(n, c, d, h, w)``, floating dtype.
        ksize: Window size, an int or one for each axis.
        stride: Step of the windows; None for ``ksize``.
        pad: Padding with -inf on either side, an int or one for each axis.
        cover_all: Round the output size up, so that every element is in some window.
        return_indices: Also return where in its window each element stood.

    Returns:
        ``(n, c, od, oh, ow)``, dtype of ``x``.

    At ties: the gradient goes to the first of the tied elements, row by row.

    Raises:
        ValueError: ``x`` has other than five axes.

    Source: Ranzato et al. 2007, Unsupervised learning of invariant feature hierarchies.

    Examples:
        >>> F.max_pooling_3d(np.arange(8, dtype=np.float32).reshape(1, 1, 2, 2, 2), (1, 2, 2)).array.ravel()
        Array([3., 7.], dtype=float32)
    """
    spatial(x, 3)
    return max_pooling_nd(x, ksize, stride, pad, cover_all, return_indices)


def _inside(size: int, k: int, s: int, p: int, out: int) -> np.ndarray:
    """Return how many elements of each window are not padding."""
    start = np.arange(out) * s - p
    return np.minimum(start + k, size) - np.maximum(start, 0)


def _average(x: Array, ksize: Sizes, stride: Sizes, pad: Sizes, counts: Sequence[np.ndarray] | None) -> Array:
    padding = [(0, 0), (0, 0), *((p, p) for p in pad)]
    wide = at_least_single(x)  # the sum of a window may be too large for float16
    total = lax.reduce_window(wide, np.zeros((), wide.dtype), lax.add, (1, 1, *ksize), (1, 1, *stride), padding)
    count = math.prod(ksize) if counts is None else functools.reduce(np.multiply.outer, counts).astype(wide.dtype)
    return (total / count).astype(x.dtype)


@op(label="AveragePooling2D")
def _average_pooling_2d(
    x: Float[Array, "n c h w"], ksize: Sizes, stride: Sizes, pad: Sizes
) -> Float[Array, "n c oh ow"]:
    _geometry(x, ksize, stride, pad, False)
    return _average(x, ksize, stride, pad, None)


@composed
def average_pooling_2d(x, ksize: Any, stride: Any = None, pad: Any = 0):
    """Mean of each window; padding counts as zeros.

    Args:
        x: ``(n, c, h, w)``, floating dtype.
        ksize: Window size, an int or (height, width).
        stride: Step of the windows; None for ``ksize``.
        pad: Zeros on either side, an int or a pair.

    Returns:
        ``(n, c, oh, ow)``, dtype of ``x``.

    Raises:
        InvalidType: ``x`` is not floating or has not four axes.
        AssertionError: The output would be empty.
        ValueError: A size or a step is not positive.

    Source: LeCun et al. 1998, Gradient-based learning applied to document recognition.

    Examples:
        >>> F.average_pooling_2d(np.arange(16.0, dtype=np.float32).reshape(1, 1, 4, 4), 2).array[0, 0]
        Array([[ 2.5,  4.5],
               [10.5, 12.5]], dtype=float32)
    """
    return _average_pooling_2d(x, *_positive(pair(ksize), pair(ksize if stride is None else stride)), pair(pad))


@op(label="AveragePoolingND")
def _average_pooling_nd(
    x: Float[Array, "n c ..."], ksize: Sizes, stride: Sizes, pad: Sizes, count_padding: bool
) -> Float[Array, "n c ..."]:
    expect(x.size > 0, "x.size > 0", x.size)
    out, _ = _geometry(x, ksize, stride, pad, False)
    counts = [_inside(*axis) for axis in zip(x.shape[2:], ksize, stride, pad, out, strict=True)]
    return _average(x, ksize, stride, pad, None if count_padding else counts)


@composed
def average_pooling_nd(x, ksize: Any, stride: Any = None, pad: Any = 0, pad_value: Any = 0):
    """Mean of each window.

    Args:
        x: ``(n, c, d1, ..., dN)``, floating dtype.
        ksize: Window size, an int or one for each axis.
        stride: Step of the windows; None for ``ksize``.
        pad: Padding on either side, an int or one for each axis.
        pad_value: 0: padding counts as zeros. None: it does not count; a window of padding only is NaN.

    Returns:
        ``(n, c, o1, ..., oN)``, dtype of ``x``.

    Raises:
        InvalidType: ``x`` is not floating or has no elements.
        ValueError: ``x`` has no axis after the channels, or ``pad_value`` is neither 0 nor None.
        AssertionError: The output would be empty.

    Source: LeCun et al. 1998, Gradient-based learning applied to document recognition.

    Examples:
        >>> F.average_pooling_nd(np.float32([[[1, 2, 3]]]), 2, stride=1, pad=1, pad_value=None).array
        Array([[[1. , 1.5, 2.5, 3. ]]], dtype=float32)
    """
    if not (pad_value is None or pad_value == 0):
        raise ValueError(f"pad_value must be either 0 or None, not {pad_value}.")
    return _average_pooling_nd(x, *windows(x, ksize, stride, pad), pad_value is not None)


@composed
def average_pooling_1d(x, ksize: Any, stride: Any = None, pad: Any = 0, pad_value: Any = 0):
    """Mean of each window: `average_pooling_nd` of ``(n, c, d)``.

    Args:
        x: ``(n, c, d)``, floating dtype.
        ksize: Window size.
        stride: Step of the windows; None for ``ksize``.
        pad: Padding on either side.
        pad_value: 0: padding counts as zeros. None: it does not count.

    Returns:
        ``(n, c, o)``, dtype of ``x``.

    Raises:
        ValueError: ``x`` has other than three axes, or ``pad_value`` is neither 0 nor None.

    Source: LeCun et al. 1998, Gradient-based learning applied to document recognition.

    Examples:
        >>> F.average_pooling_1d(np.float32([[[1, 3, 5, 7]]]), 2).array
        Array([[[2., 6.]]], dtype=float32)
    """
    spatial(x, 1)
    return average_pooling_nd(x, ksize, stride, pad, pad_value)


@composed
def average_pooling_3d(x, ksize: Any, stride: Any = None, pad: Any = 0, pad_value: Any = 0):
    """Mean of each window: `average_pooling_nd` of ``(n, c, d, h, w)``.

    Args:
        x: ``(n, c, d, h, w)``, floating dtype.
        ksize: Window size, an int or one for each axis.
        stride: Step of the windows; None for ``ksize``.
        pad: Padding on either side, an int or one for each axis.
        pad_value: 0: padding counts as zeros. None: it does not count.

    Returns:
        ``(n, c, od, oh, ow)``, dtype of ``x``.

    Raises:
        ValueError: ``x`` has other than five axes, or ``pad_value`` is neither 0 nor None.

    Source: LeCun et al. 1998, Gradient-based learning applied to document recognition.

    Examples:
        >>> F.average_pooling_3d(np.arange(8, dtype=np.float32).reshape(1, 1, 2, 2, 2), 2).array.ravel()
        Array([3.5], dtype=float32)
    """
    spatial(x, 3)
    return average_pooling_nd(x, ksize, stride, pad, pad_value)


@composed
def spatial_pyramid_pooling_2d(x, pyramid_height: int, pooling: str | None = None):
    r"""Maxima over grids of 1, 4, 16, ... equal bins, as one vector whose length does not depend on the image's size.

    Args:
        x: ``(n, c, h, w)``, floating dtype.
        pyramid_height: Number of grids.
        pooling: ``'max'``.

    Returns:
        :math:`(n, c \sum_{i<H} 4^i, 1, 1)`, dtype of ``x``; the coarsest grid first.

    At ties: the gradient goes to the first of the tied elements, row by row.

    Raises:
        ValueError: ``pooling`` is not ``'max'``, or ``x`` has other than four axes.

    Source: He et al. 2014, arXiv:1406.4729.

    Examples:
        >>> F.spatial_pyramid_pooling_2d(np.arange(16.0, dtype=np.float32).reshape(1, 1, 4, 4), 2, "max").array.ravel()
        Array([15.,  5.,  7., 13., 15.], dtype=float32)
    """
    if pooling != "max":
        raise ValueError("Unsupported pooling operation: ", pooling)
    levels = []
    for level in range(pyramid_height):
        bins = 2**level
        ksize = tuple(-(-n // bins) for n in x.shape[2:])
        pad = tuple((k * bins - n) // 2 for k, n in zip(ksize, x.shape[2:], strict=True))
        y: Any = max_pooling_2d(x, ksize, None, pad)
        levels.append(reshape(y, (y.shape[0], -1, 1, 1)))
    return concat(levels)
