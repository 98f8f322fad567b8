"""Convolution and its transpose over any number of axes, and their 2d ops. Data NC..., weights OI... or IO...."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Float

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, op
from jaxchain.functions.checks import left_to_numpy, pair, same_dtype
from jaxchain.functions.composed import composed
from jaxchain.functions.correlation import correlate, filters_gradient, transposed

Pair = tuple[int, int]
Sizes = tuple[int, ...]


def conv_outsize(size: int, k: int, s: int, p: int, cover_all: bool = False, d: int = 1) -> int:
    """Return the output size of a convolution or pooling along one axis.

    Args:
        size: Input size.
        k: Kernel size.
        s: Stride.
        p: Padding on either side.
        cover_all: Round up, so that every input element is in a window.
        d: Dilation.
    """
    reach = size + p * 2 - (k + (k - 1) * (d - 1))
    return (reach + s - 1) // s + 1 if cover_all else reach // s + 1


def deconv_outsize(size: int, k: int, s: int, p: int, cover_all: bool = False, d: int = 1) -> int:
    """Return the output size of a transposed convolution along one axis; arguments as `conv_outsize`."""
    dk = k + (k - 1) * (d - 1)
    return s * (size - 1) + dk - s + 1 - 2 * p if cover_all else s * (size - 1) + dk - 2 * p


def positive(sizes: Sequence[int], error: type[Exception] = AssertionError) -> None:
    """Raise `error` unless every output size is positive."""
    names = ("Height", "Width") if len(sizes) == 2 else ("Every size",) * len(sizes)
    for name, size in zip(names, sizes, strict=True):
        if size <= 0:
            raise error(f"{name} in the output should be positive. Actual: {size}")


def _add_bias(y: Array, b: Array | None, channels: int) -> Array:
    if b is None:
        return y
    with left_to_numpy():
        expect(b.shape[0] == channels, f"b.shape[0] == {channels}", b.shape[0])
    return (y + b.reshape(-1, *[1] * (y.ndim - 2))).astype(y.dtype)


def _wider(*arrays: Array) -> list[Array]:
    """Return arrays in the dtype that holds them all: what a map of two dtypes is computed in."""
    dtype = jnp.result_type(*arrays)
    return [a.astype(dtype) for a in arrays]


def convolve(
    x: Array, W: Array, b: Array | None, stride: Sizes, pad: Sizes, cover_all: bool, dilate: Sizes, groups: int
) -> Array:
    """Convolve over all axes after the first two: the body of every convolution op."""
    with left_to_numpy():
        expect(
            x.shape[1] == W.shape[1] * groups,
            "x.shape[1] == W.shape[1] * groups",
            f"{x.shape[1]} != {W.shape[1]} * {groups}",
        )
        expect(W.shape[0] % groups == 0, "W.shape[0] % groups == 0", f"{W.shape[0]} % {groups} != 0")
        expect(min(pad, default=0) >= 0, "pad >= 0", f"pad = {pad}")
    axes = zip(x.shape[2:], W.shape[2:], stride, pad, dilate, strict=True)
    out = [conv_outsize(n, k, s, p, cover_all, d) for n, k, s, p, d in axes]
    positive(out)
    padding = _padding(out, x.shape[2:], W.shape[2:], stride, pad, dilate)
    wide_x, wide_W = _wider(x, W)
    y = correlate(wide_x, wide_W, stride, padding, dilate, groups).astype(x.dtype)
    return _add_bias(y, b, W.shape[0])


def convolve_gradients(gy, y, x, W, b, stride, pad, cover_all, dilate, groups):
    """Return the gradients of `convolve`'s arrays: the rule of every convolution op."""
    padding = _padding(gy.shape[2:], x.shape[2:], W.shape[2:], stride, pad, dilate)
    wide_x, wide_W, g = _wider(x, W, gy)
    gx = transposed(g, wide_W, x.shape, stride, padding, dilate, groups).astype(x.dtype)
    gW = filters_gradient(wide_x, g, W.shape, stride, padding, dilate, groups).astype(W.dtype)
    return gx, gW, None if b is None else gy.sum((0, *range(2, gy.ndim))).astype(b.dtype)


def deconvolve(
    x: Array,
    W: Array,
    b: Array | None,
    stride: Sizes,
    pad: Sizes,
    outsize: Sizes | None,
    dilate: Sizes,
    groups: int,
    error: type[Exception] = AssertionError,
) -> Array:
    """Transpose of `convolve`: the body of every deconvolution op. `error` is raised where the output is empty."""
    axes = list(zip(x.shape[2:], W.shape[2:], stride, pad, dilate, strict=True))
    with left_to_numpy():
        expect(x.shape[1] % groups == 0, "x.shape[1] % groups == 0", f"{x.shape[1]} % {groups} != 0")
    if outsize is None:
        out = [deconv_outsize(n, k, s, p, d=d) for n, k, s, p, d in axes]
    else:
        out = list(outsize)
        for i, (m, (n, k, s, p, d)) in enumerate(zip(out, axes, strict=True), 2):
            low, high = conv_outsize(m, k, s, p, d=d), conv_outsize(m, k, s, p, True, d)
            expect(low <= n <= high, f"{low} <= x.shape[{i}] <= {high} (for outsize {m})", n)
    c, o, *kernel = W.shape
    expect(c == x.shape[1], "x.shape[1] == W.shape[0]", f"{x.shape[1]} != {c}")
    positive(out, error)
    shape, padding = (x.shape[0], groups * o, *out), _padding(x.shape[2:], out, kernel, stride, pad, dilate)
    wide_x, wide_W = _wider(x, W)
    y = transposed(wide_x, wide_W, shape, stride, padding, dilate, groups).astype(x.dtype)
    return _add_bias(y, b, groups * o)


def _padding(
    out: Sequence[int], size: Sequence[int], kernel: Sequence[int], stride: Sizes, pad: Sizes, dilate: Sizes
) -> list[tuple[int, int]]:
    """Return the padding, before and after each axis, of the convolution that makes ``out`` of ``size``."""
    # cover_all may need more of it at the end; without it some of the end may be unused
    axes = zip(out, size, kernel, stride, pad, dilate, strict=True)
    return [(p, (m - 1) * s + (k - 1) * d + 1 - n - p) for m, n, k, s, p, d in axes]


def deconvolve_gradients(gy, y, x, W, b, stride, pad, outsize, dilate, groups):
    """Return the gradients of `deconvolve`'s arrays: the rule of every deconvolution op."""
    # The plain convolution that it transposes. Left to itself XLA differentiates the dilated form: 280 ms, not 48, for
    # (32, 64, 14, 14) and 4 x 4 filters with stride 2.
    padding = _padding(x.shape[2:], gy.shape[2:], W.shape[2:], stride, pad, dilate)
    wide_x, wide_W, g = _wider(x, W, gy)
    gx = correlate(g, wide_W, stride, padding, dilate, groups).astype(x.dtype)
    gW = filters_gradient(g, wide_x, W.shape, stride, padding, dilate, groups).astype(W.dtype)
    return gx, gW, None if b is None else gy.sum((0, *range(2, gy.ndim))).astype(b.dtype)


@op(label="Convolution2DFunction")
def _convolution_2d(
    x: Float[Array, "n c h w"],
    W: Float[Array, "o g kh kw"],
    b: Float[Array, " o"] | None,
    stride: Pair,
    pad: Pair,
    cover_all: bool,
    dilate: Pair,
    groups: int,
) -> Float[Array, "n o oh ow"]:
    if b is not None:
        same_dtype(b=b, x=x)
    return convolve(x, W, b, stride, pad, cover_all, dilate, groups)


_convolution_2d.vjp(convolve_gradients)


@composed
def convolution_2d(
    x, W, b=None, stride: Any = 1, pad: Any = 0, cover_all: bool = False, *, dilate: Any = 1, groups: int = 1
):
    """Two-dimensional convolution (cross-correlation).

    Args:
        x: ``(n, c, h, w)``.
        W: Filters ``(o, c / groups, kh, kw)``.
        b: Bias ``(o,)``, dtype of ``x``, or None.
        stride: Step, an int or (vertical, horizontal).
        pad: Zeros on either side, an int or a pair.
        cover_all: Round the output size up, so that every input element is in some window.
        dilate: Distance of the filter's elements, an int or a pair.
        groups: Number of groups of channels that are convolved apart.

    Returns:
        ``(n, o, oh, ow)``, dtype of ``x``; ``oh = (h + 2 ph - dh (kh - 1) - 1) // sy + 1``.

    Raises:
        InvalidType: Channels do not fit, or a dtype or number of axes is wrong.
        AssertionError: The output would be empty.
        ValueError: ``dilate`` is not positive.

    Source: LeCun et al. 1998, Gradient-based learning applied to document recognition.

    Examples:
        >>> F.convolution_2d(np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 3, 3), np.float32), pad=1).array[0, 0, 0]
        Array([4., 6., 6., 4.], dtype=float32)
    """
    dilate = pair(dilate)
    if min(dilate) < 1:
        raise ValueError(f"Dilate should be positive, but {dilate} is supplied.")
    return _convolution_2d(x, W, b, pair(stride), pair(pad), bool(cover_all), dilate, groups)


@op(label="Deconvolution2DFunction")
def _deconvolution_2d(
    x: Float[Array, "n c h w"],
    W: Float[Array, "c g kh kw"],
    b: Float[Array, " o"] | None,
    stride: Pair,
    pad: Pair,
    outsize: Pair | None,
    dilate: Pair,
    groups: int,
) -> Float[Array, "n o oh ow"]:
    if b is not None:
        same_dtype(b=b, x=x)
    return deconvolve(x, W, b, stride, pad, outsize, dilate, groups, RuntimeError)


_deconvolution_2d.vjp(deconvolve_gradients)


@composed
def deconvolution_2d(
    x, W, b=None, stride: Any = 1, pad: Any = 0, outsize: Any = None, *, dilate: Any = 1, groups: int = 1
):
    """Two-dimensional transposed convolution: the gradient of `convolution_2d`.

    Args:
        x: ``(n, c, h, w)``.
        W: Filters ``(c, o / groups, kh, kw)``.
        b: Bias ``(o,)``, dtype of ``x``, or None.
        stride: Step of the convolution it transposes, an int or (vertical, horizontal).
        pad: Its padding, an int or a pair.
        outsize: Output size (height, width); None for the smallest.
        dilate: Distance of the filter's elements, an int or a pair.
        groups: Number of groups of channels.

    Returns:
        ``(n, o, oh, ow)``, dtype of ``x``; ``oh = sy (h - 1) + dh (kh - 1) + 1 - 2 ph``.

    Raises:
        InvalidType: Channels do not fit, a dtype or number of axes is wrong, or ``outsize`` cannot be reached.
        RuntimeError: The output would be empty.
        ValueError: ``dilate`` is not positive.

    Source: Zeiler et al. 2010, Deconvolutional networks.

    Examples:
        >>> F.deconvolution_2d(np.ones((1, 1, 2, 2), np.float32), np.ones((1, 1, 2, 2), np.float32), stride=2).shape
        (1, 1, 4, 4)
    """
    dilate = pair(dilate)
    if min(dilate) < 1:
        raise ValueError(f"Dilate should be positive, but {dilate} is supplied.")
    outsize = None if outsize is None else pair(outsize)
    return _deconvolution_2d(x, W, b, pair(stride), pair(pad), outsize, dilate, groups)
