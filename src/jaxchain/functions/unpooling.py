"""The way back from pooling: values spread over their windows, or put where the maximum stood."""

import itertools
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Int

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, Undrawn, op
from jaxchain.functions.checks import integer, pair, sizes, spatial
from jaxchain.functions.composed import composed
from jaxchain.functions.convolution import Sizes, conv_outsize, deconv_outsize
from jaxchain.functions.pooling import windows


def _outsize(x: Array, ksize: Sizes, stride: Sizes, pad: Sizes, outsize: Sizes | None, cover_all: bool) -> Sizes:
    """Return the output size, checked against the input's if it is given."""
    axes = list(zip(ksize, stride, pad, strict=True))
    if outsize is None:
        return tuple(max(deconv_outsize(n, *axis, cover_all), 0) for n, axis in zip(x.shape[2:], axes, strict=True))
    pooled = tuple(conv_outsize(n, *axis, cover_all) for n, axis in zip(outsize, axes, strict=True))
    expect(x.shape[2:] == pooled, f"x.shape[2:] == {pooled}, the size of {outsize} pooled", x.shape[2:])
    return outsize


def _spread(x: Array, axis: int, offset: int, s: int, p: int, size: int) -> Array:
    """Put the elements along one axis at `offset` in their windows, zeros elsewhere."""
    last = (x.shape[axis] - 1) * s + offset - p
    config = [(0, 0, 0)] * x.ndim
    config[axis] = (offset - p, size - 1 - last, s - 1)
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def _unpooling(x: Array, ksize: Sizes, stride: Sizes, pad: Sizes, outsize: Sizes | None, cover_all: bool) -> Array:
    out = _outsize(x, ksize, stride, pad, outsize, cover_all)
    for axis, (k, s, p, size) in enumerate(zip(ksize, stride, pad, out, strict=True), 2):
        parts = [_spread(x, axis, i, s, p, size) for i in range(k)]
        parts = parts or [jnp.zeros((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype)]  # a window of 0
        x = sum(parts[1:], start=parts[0])
    return x


@op(label="UnpoolingND")
def _unpooling_nd(
    x: Float[Array, "n c ..."], ksize: Sizes, stride: Sizes, pad: Sizes, outsize: Sizes | None, cover_all: bool
) -> Float[Array, "n c ..."]:
    return _unpooling(x, ksize, stride, pad, outsize, cover_all)


@op(label="Unpooling2D")
def _unpooling_2d(
    x: Float[Array, "n c h w"], ksize: Sizes, stride: Sizes, pad: Sizes, outsize: Sizes | None, cover_all: bool
) -> Float[Array, "n c oh ow"]:
    return _unpooling(x, ksize, stride, pad, outsize, cover_all)


@composed
def unpooling_nd(x, ksize: Any, stride: Any = None, pad: Any = 0, outsize: Any = None, cover_all: bool = True):
    """Add each element to all positions of its window: the transpose of a pooling that sums.

    Args:
        x: ``(n, c, d1, ..., dN)``, floating dtype.
        ksize: Window size, an int or one for each axis.
        stride: Step of the windows; None for ``ksize``.
        pad: Padding of the pooling that is undone, an int or one for each axis.
        outsize: Size of the output, or None: the smallest that the pooling could have had.
        cover_all: Whether the pooling that is undone covered all elements.

    Returns:
        ``(n, c, o1, ..., oN)``, dtype of ``x``.

    Raises:
        InvalidType: ``x`` is not floating, or ``outsize`` pooled would have another size than ``x``.
        ValueError: ``x`` has no axis after the channels.

    Source: Zeiler et al. 2011, Adaptive deconvolutional networks.

    Examples:
        >>> F.unpooling_nd(np.float32([[[1, 2]]]), 2, cover_all=False).array
        Array([[[1., 1., 2., 2.]]], dtype=float32)
    """
    window = windows(x, ksize, stride, pad)
    return _unpooling_nd(x, *window, None if outsize is None else sizes(outsize, len(window[0])), bool(cover_all))


@composed
def unpooling_1d(x, ksize: Any, stride: Any = None, pad: Any = 0, outsize: Any = None, cover_all: bool = True):
    """Add each element to all positions of its window: `unpooling_nd` of ``(n, c, d)``.

    Args:
        x: ``(n, c, d)``, floating dtype.
        ksize: Window size.
        stride: Step of the windows; None for ``ksize``.
        pad: Padding of the pooling that is undone.
        outsize: Size of the output, or None.
        cover_all: Whether the pooling that is undone covered all elements.

    Returns:
        ``(n, c, o)``, dtype of ``x``.

    Raises:
        ValueError: ``x`` has other than three axes.

    Source: Zeiler et al. 2011, Adaptive deconvolutional networks.

    Examples:
        >>> F.unpooling_1d(np.float32([[[1, 2]]]), 2, cover_all=False).array
        Array([[[1., 1., 2., 2.]]], dtype=float32)
    """
    spatial(x, 1)
    return unpooling_nd(x, ksize, stride, pad, outsize, cover_all)


@composed
def unpooling_2d(x, ksize: Any, stride: Any = None, pad: Any = 0, outsize: Any = None, cover_all: bool = True):
    """Add each element to all positions of its window, over two axes.

    Args:
        x: ``(n, c, h, w)``, floating dtype.
        ksize: Window size, an int or (height, width).
        stride: Step of the windows; None for ``ksize``.
        pad: Padding of the pooling that is undone, an int or a pair.
        outsize: (height, width) of the output, or None: the smallest that the pooling could have had.
        cover_all: Whether the pooling that is undone covered all elements.

    Returns:
        ``(n, c, oh, ow)``, dtype of ``x``.

    Raises:
        InvalidType: ``x`` is not floating or has not four axes, or ``outsize`` does not fit.

    Source: Zeiler et al. 2011, Adaptive deconvolutional networks.

    Examples:
        >>> F.unpooling_2d(np.float32([[[[1, 2]]]]), 2, cover_all=False).array[0, 0]
        Array([[1., 1., 2., 2.],
               [1., 1., 2., 2.]], dtype=float32)
    """
    return _unpooling_2d(x, *_pairs(ksize, stride, pad, outsize), bool(cover_all))


def _pairs(ksize: Any, stride: Any, pad: Any, outsize: Any) -> tuple[Sizes, Sizes, Sizes, Sizes | None]:
    steps = pair(ksize if stride is None else stride)
    return pair(ksize), steps, pair(pad), None if outsize is None else pair(outsize)


@composed
def unpooling_3d(x, ksize: Any, stride: Any = None, pad: Any = 0, outsize: Any = None, cover_all: bool = True):
    """Add each element to all positions of its window: `unpooling_nd` of ``(n, c, d, h, w)``.

    Args:
        x: ``(n, c, d, h, w)``, floating dtype.
        ksize: Window size, an int or one for each axis.
        stride: Step of the windows; None for ``ksize``.
        pad: Padding of the pooling that is undone, an int or one for each axis.
        outsize: Size of the output, or None.
        cover_all: Whether the pooling that is undone covered all elements.

    Returns:
        ``(n, c, od, oh, ow)``, dtype of ``x``.

    Raises:
        ValueError: ``x`` has other than five axes.

    Source: Zeiler et al. 2011, Adaptive deconvolutional networks.

    Examples:
        >>> F.unpooling_3d(np.float32([[[[[1, 2]]]]]), 2, cover_all=False).shape
        (1, 1, 2, 2, 4)
    """
    spatial(x, 3)
    return unpooling_nd(x, ksize, stride, pad, outsize, cover_all)


@op(label="Upsampling2D")
def _upsampling_2d(
    x: Float[Array, "n c h w"],
    indexes: Undrawn[Int[Array, "..."]],
    ksize: Sizes,
    stride: Sizes,
    pad: Sizes,
    outsize: Sizes | None,
    cover_all: bool,
) -> Float[Array, "n c oh ow"]:
    integer("indexes", indexes)
    expect(x.shape == indexes.shape, "x.shape == indexes.shape", f"{x.shape} != {indexes.shape}")
    out = _outsize(x, ksize, stride, pad, outsize, cover_all)

    def share(k: int, offset: Sizes) -> Array:
        y = jnp.where(indexes == k, x, 0)
        for axis, (o, s, p, size) in enumerate(zip(offset, stride, pad, out, strict=True), 2):
            y = _spread(y, axis, o, s, p, size)
        return y

    first, *rest = (share(k, offset) for k, offset in enumerate(itertools.product(*map(range, ksize))))
    return sum(rest, start=first)


@composed
def upsampling_2d(x, indexes, ksize: Any, stride: Any = None, pad: Any = 0, outsize: Any = None, cover_all=True):
    """Put each element where, in its window, the maximum stood; zeros elsewhere.

    Args:
        x: ``(n, c, h, w)``, floating dtype.
        indexes: Positions in the windows, integers of the same shape, as ``max_pooling_2d(return_indices=True)`` gives.
        ksize: Window size, an int or (height, width).
        stride: Step of the windows; None for ``ksize``.
        pad: Padding of the pooling that is undone, an int or a pair.
        outsize: (height, width) of the output, or None: the smallest that the pooling could have had.
        cover_all: Whether the pooling that is undone covered all elements.

    Returns:
        ``(n, c, oh, ow)``, dtype of ``x``. Where windows overlap, elements add up.

    Raises:
        InvalidType: The shapes differ, a dtype is wrong, or ``outsize`` does not fit.

    Source: Badrinarayanan et al. 2017, SegNet, arXiv:1511.00561.

    Examples:
        >>> y, indexes = F.max_pooling_2d(np.float32([[[[1, 2], [4, 3]]]]), 2, return_indices=True)
        >>> F.upsampling_2d(y, indexes, 2, cover_all=False).array[0, 0]
        Array([[0., 0.],
               [4., 0.]], dtype=float32)
    """
    return _upsampling_2d(x, indexes, *_pairs(ksize, stride, pad, outsize), bool(cover_all))
