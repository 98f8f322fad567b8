"""Convolutions over any number of axes. Data ``(n, c, ...)``, weights ``(o, i, ...)``, transposed ``(i, o, ...)``."""

from typing import Any

from jaxtyping import Float

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, op
from jaxchain.functions.checks import sizes, spatial
from jaxchain.functions.composed import composed
from jaxchain.functions.convolution import convolve, convolve_gradients, deconvolve, deconvolve_gradients


@op(label="ConvolutionND")
def _convolution_nd(
    x: Float[Array, "..."],
    W: Float[Array, "..."],
    b: Float[Array, " o"] | None,
    stride: tuple[int, ...],
    pad: tuple[int, ...],
    cover_all: bool,
    dilate: tuple[int, ...],
    groups: int,
) -> Float[Array, "..."]:
    expect(x.ndim == W.ndim, "x.ndim == W.ndim", f"{x.ndim} != {W.ndim}")
    return convolve(x, W, b, stride, pad, cover_all, dilate, groups)


_convolution_nd.vjp(convolve_gradients)


@composed
def convolution_nd(
    x, W, b=None, stride: Any = 1, pad: Any = 0, cover_all: bool = False, dilate: Any = 1, groups: int = 1
):
    """Convolution (cross-correlation) over all axes after the channels.

    Args:
        x: ``(n, c, d1, ..., dN)``.
        W: Filters ``(o, c / groups, k1, ..., kN)``.
        b: Bias ``(o,)``, or None.
        stride: Step, an int or one for each axis.
        pad: Zeros on either side, an int or one for each axis.
        cover_all: Round the output size up, so that every input element is in some window.
        dilate: Distance of the filter's elements, an int or one for each axis.
        groups: Number of groups of channels that are convolved apart.

    Returns:
        ``(n, o, l1, ..., lN)``, dtype of ``x``; ``l = (d + 2 pad - dilate (k - 1) - 1) // stride + 1``.

    Raises:
        InvalidType: Channels do not fit, or a dtype or number of axes is wrong.
        AssertionError: The output would be empty, or there are not N strides.

    Source: LeCun et al. 1998, Gradient-based learning applied to document recognition.

    Examples:
        >>> F.convolution_nd(np.ones((1, 1, 4), np.float32), np.ones((1, 1, 3), np.float32), pad=1).array
        Array([[[2., 3., 3., 2.]]], dtype=float32)
    """
    stride, pad, dilate = (sizes(v, len(x.shape) - 2) for v in (stride, pad, dilate))
    return _convolution_nd(x, W, b, stride, pad, bool(cover_all), dilate, groups)


@composed
def convolution_1d(
    x, W, b=None, stride: Any = 1, pad: Any = 0, cover_all: bool = False, dilate: Any = 1, groups: int = 1
):
    """One-dimensional convolution: `convolution_nd` of ``(n, c, d)``.

    Args:
        x: ``(n, c, d)``.
        W: Filters ``(o, c / groups, k)``.
        b: Bias ``(o,)`` or None.
        stride: Step.
        pad: Zeros on either side.
        cover_all: Round the output size up.
        dilate: Distance of the filter's elements.
        groups: Number of groups of channels.

    Returns:
        ``(n, o, l)``, dtype of ``x``.

    Raises:
        ValueError: ``x`` has other than three axes.

    Source: LeCun et al. 1998, Gradient-based learning applied to document recognition.

    Examples:
        >>> F.convolution_1d(np.ones((1, 1, 4), np.float32), np.ones((1, 1, 3), np.float32), pad=1).array
        Array([[[2., 3., 3., 2.]]], dtype=float32)
    """
    spatial(x, 1)
    return convolution_nd(x, W, b, stride, pad, cover_all, dilate, groups)


@composed
def convolution_3d(
    x, W, b=None, stride: Any = 1, pad: Any = 0, cover_all: bool = False, dilate: Any = 1, groups: int = 1
):
    """Three-dimensional convolution: `convolution_nd` of ``(n, c, d, h, w)``.

    Args:
        x: ``(n, c, d, h, w)``.
        W: Filters ``(o, c / groups, kd, kh, kw)``.
        b: Bias ``(o,)`` or None.
        stride: Step, an int or three.
        pad: Zeros on either side, an int or three.
        cover_all: Round the output size up.
        dilate: Distance of the filter's elements, an int or three.
        groups: Number of groups of channels.

    Returns:
        ``(n, o, od, oh, ow)``, dtype of ``x``.

    Raises:
        ValueError: ``x`` has other than five axes.

    Source: LeCun et al. 1998, Gradient-based learning applied to document recognition.

    Examples:
        >>> F.convolution_3d(np.ones((1, 1, 3, 2, 2), np.float32), np.ones((1, 1, 2, 2, 2), np.float32)).array.ravel()
        Array([8., 8.], dtype=float32)
    """
    spatial(x, 3)
    return convolution_nd(x, W, b, stride, pad, cover_all, dilate, groups)


@op(label="DeconvolutionND")
def _deconvolution_nd(
    x: Float[Array, "..."],
    W: Float[Array, "..."],
    b: Float[Array, " o"] | None,
    stride: tuple[int, ...],
    pad: tuple[int, ...],
    outsize: tuple[int, ...] | None,
    dilate: tuple[int, ...],
    groups: int,
) -> Float[Array, "..."]:
    expect(x.ndim == W.ndim, "x.ndim == W.ndim", f"{x.ndim} != {W.ndim}")
    return deconvolve(x, W, b, stride, pad, outsize, dilate, groups)


_deconvolution_nd.vjp(deconvolve_gradients)


@composed
def deconvolution_nd(
    x, W, b=None, stride: Any = 1, pad: Any = 0, outsize: Any = None, dilate: Any = 1, groups: int = 1
):
    """Transposed convolution over all axes after the channels: the gradient of `convolution_nd`.

    Args:
        x: ``(n, c, d1, ..., dN)``.
        W: Filters ``(c, o / groups, k1, ..., kN)``.
        b: Bias ``(o,)``, or None.
        stride: Step of the convolution it transposes, an int or one for each axis.
        pad: Its padding, an int or one for each axis.
        outsize: Output size of each axis; None for the smallest.
        dilate: Distance of the filter's elements, an int or one for each axis.
        groups: Number of groups of channels.

    Returns:
        ``(n, o, l1, ..., lN)``, dtype of ``x``; ``l = stride (d - 1) + dilate (k - 1) + 1 - 2 pad``.

    Raises:
        InvalidType: Channels do not fit, a dtype or number of axes is wrong, or ``outsize`` cannot be reached.
        AssertionError: The output would be empty, or there are not N strides.

    Source: Zeiler et al. 2010, Deconvolutional networks.

    Examples:
        >>> F.deconvolution_nd(np.ones((1, 1, 2), np.float32), np.ones((1, 1, 3), np.float32)).array
        Array([[[1., 2., 2., 1.]]], dtype=float32)
    """
    ndim = len(x.shape) - 2
    stride, pad, dilate = (sizes(v, ndim) for v in (stride, pad, dilate))
    return _deconvolution_nd(x, W, b, stride, pad, None if outsize is None else sizes(outsize, ndim), dilate, groups)


@composed
def deconvolution_1d(
    x, W, b=None, stride: Any = 1, pad: Any = 0, outsize: Any = None, dilate: Any = 1, groups: int = 1
):
    """One-dimensional transposed convolution: `deconvolution_nd` of ``(n, c, d)``.

    Args:
        x: ``(n, c, d)``.
        W: Filters ``(c, o / groups, k)``.
        b: Bias ``(o,)`` or None.
        stride: Step of the convolution it transposes.
        pad: Its padding.
        outsize: Output size, a tuple of one; None for the smallest.
        dilate: Distance of the filter's elements.
        groups: Number of groups of channels.

    Returns:
        ``(n, o, l)``, dtype of ``x``.

    Raises:
        ValueError: ``x`` has other than three axes.

    Source: Zeiler et al. 2010, Deconvolutional networks.

    Examples:
        >>> F.deconvolution_1d(np.ones((1, 1, 2), np.float32), np.ones((1, 1, 3), np.float32), stride=2).array
        Array([[[1., 1., 2., 1., 1.]]], dtype=float32)
    """
    spatial(x, 1)
    return deconvolution_nd(x, W, b, stride, pad, outsize, dilate, groups)


@composed
def deconvolution_3d(
    x, W, b=None, stride: Any = 1, pad: Any = 0, outsize: Any = None, dilate: Any = 1, groups: int = 1
):
    """Three-dimensional transposed convolution: `deconvolution_nd` of ``(n, c, d, h, w)``.

    Args:
        x: ``(n, c, d, h, w)``.
        W: Filters ``(c, o / groups, kd, kh, kw)``.
        b: Bias ``(o,)`` or None.
        stride: Step of the convolution it transposes, an int or three.
        pad: Its padding, an int or three.
        outsize: Output size, three; None for the smallest.
        dilate: Distance of the filter's elements, an int or three.
        groups: Number of groups of channels.

    Returns:
        ``(n, o, od, oh, ow)``, dtype of ``x``.

    Raises:
        ValueError: ``x`` has other than five axes.

    Source: Zeiler et al. 2010, Deconvolutional networks.

    Examples:
        >>> F.deconvolution_3d(np.ones((1, 2, 1, 1, 1), np.float32), np.ones((2, 1, 1, 1, 3), np.float32)).array.ravel()
        Array([2., 2., 2.], dtype=float32)
    """
    spatial(x, 3)
    return deconvolution_nd(x, W, b, stride, pad, outsize, dilate, groups)
