"""Images ``(n, c, h, w)``: space to depth, patches, resizing, and spatial transformers."""

import math
from operator import index
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, op
from jaxchain.functions.checks import pair, same_dtype
from jaxchain.functions.composed import composed
from jaxchain.functions.convolution import conv_outsize, positive


@op(label="Depth2Space")
def _depth2space(X: Float[Array, "n c h w"], r: int) -> Float[Array, "n d p q"]:
    n, c, h, w = X.shape
    X = X.reshape(n, r, r, c // r**2, h, w)
    return X.transpose(0, 3, 4, 1, 5, 2).reshape(n, c // r**2, h * r, w * r)


@composed
def depth2space(X, r: int):
    """Lay the channels of each place out as a square of ``r`` times ``r`` places: sub-pixel convolution's last step.

    Args:
        X: ``(n, c * r * r, h, w)``, floating dtype.
        r: Side of the square.

    Returns:
        ``(n, c, h * r, w * r)``.

    Raises:
        InvalidType: ``X`` has other than four axes, or is not floating.
        ValueError: The channels cannot be divided by ``r * r``.

    Source: Shi et al. 2016, arXiv:1609.05158.

    Examples:
        >>> F.depth2space(np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1), 2).array[0, 0]
        Array([[0., 1.],
               [2., 3.]], dtype=float32)
    """
    if len(X.shape) == 4 and X.shape[1] % r**2:
        raise ValueError(f"depth2space: expected X.shape[1] % {r**2} == 0, got {X.shape[1]}")
    return _depth2space(X, r)


@op(label="Space2Depth")
def _space2depth(X: Float[Array, "n c h w"], r: int) -> Float[Array, "n d p q"]:
    n, c, h, w = X.shape
    X = X.reshape(n, c, h // r, r, w // r, r)
    return X.transpose(0, 3, 5, 1, 2, 4).reshape(n, r**2 * c, h // r, w // r)


@composed
def space2depth(X, r: int):
    """Put each square of ``r`` times ``r`` places into the channels of one: the inverse of `depth2space`.

    Args:
        X: ``(n, c, h * r, w * r)``, floating dtype.
        r: Side of the square.

    Returns:
        ``(n, c * r * r, h, w)``.

    Raises:
        InvalidType: ``X`` has other than four axes, or is not floating.
        ValueError: Height or width cannot be divided by ``r``.

    Source: Shi et al. 2016, arXiv:1609.05158.

    Examples:
        >>> F.space2depth(np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2), 2).array.ravel()
        Array([0., 1., 2., 3.], dtype=float32)
    """
    if len(X.shape) == 4 and (X.shape[2] % r or X.shape[3] % r):
        raise ValueError(f"space2depth: expected X.shape[2] and X.shape[3] to be multiples of {r}, got {X.shape}")
    return _space2depth(X, r)


@op(label="Im2Col")
def _im2col(
    x: Float[Array, "n c h w"],
    ksize: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int],
    cover_all: bool,
    dilate: tuple[int, int],
) -> Float[Array, "n k p q"]:
    axes = list(zip(x.shape[2:], ksize, stride, pad, dilate, strict=True))
    out = [conv_outsize(n, k, s, p, cover_all, d) for n, k, s, p, d in axes]
    positive(out)
    expect(min(ksize) > 0, "ksize > 0", f"ksize = {ksize}")
    # cover_all may reach over the end by less than a step
    x = jnp.pad(x, [(0, 0), (0, 0), *[(p, p + s - 1) for _, _, s, p, _ in axes]])
    (kh, kw), (sy, sx), (dy, dx) = ksize, stride, dilate
    patches = [
        x[:, :, i * dy : i * dy + (out[0] - 1) * sy + 1 : sy, j * dx : j * dx + (out[1] - 1) * sx + 1 : sx]
        for i in range(kh)
        for j in range(kw)
    ]
    return jnp.stack(patches, 2).reshape(x.shape[0], x.shape[1] * kh * kw, *out)


@composed
def im2col(x, ksize: Any, stride: Any = 1, pad: Any = 0, cover_all: bool = False, dilate: Any = 1):
    """Put the patches that a convolution reads into columns.

    Args:
        x: ``(n, c, h, w)``, floating dtype.
        ksize: Size of a patch: one number or ``(kh, kw)``.
        stride: Step from patch to patch.
        pad: Zeros around the image.
        cover_all: Round the number of patches up, so that every element is in one.
        dilate: Step inside a patch.

    Returns:
        ``(n, c * kh * kw, out_h, out_w)``.

    Raises:
        InvalidType: ``x`` has other than four axes or is not floating.
        AssertionError: There is no patch.

    Source: Chellapilla et al. 2006, High performance convolutional neural networks for document processing.

    Examples:
        >>> F.im2col(np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3), 2).array[0, :, 0, 0]
        Array([0., 1., 3., 4.], dtype=float32)
    """
    return _im2col(x, pair(ksize), pair(stride), pair(pad), bool(cover_all), pair(dilate))


def _places(n: int, out: int, mode: str, align_corners: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each place of the output: the place before it, the place after it, the weight of the latter."""
    if mode == "nearest":
        at = np.minimum(np.floor(np.arange(out) * (n / out)), n - 1).astype(np.int32)
        return at, at, np.zeros(out)
    if align_corners:
        real = np.linspace(0, n - 1, out)
    else:
        real = np.maximum((np.arange(out) + 0.5) * (n / out) - 0.5, 0)
    weight, before = np.modf(real)
    before = before.astype(np.int32)
    return before, np.minimum(before + 1, n - 1), weight


@op(label="ResizeImages")
def _resize_images(
    x: Float[Array, "n c h w"], output_shape: tuple[int, int], mode: str, align_corners: bool
) -> Float[Array, "n c p q"]:
    for axis, out in zip((2, 3), output_shape, strict=True):
        before, after, weight = _places(x.shape[axis], out, mode, align_corners)
        first = jnp.take(x, before, axis)
        if mode == "bilinear":
            w = weight.astype(x.dtype).reshape(-1, *[1] * (3 - axis))
            first = first * (1 - w) + jnp.take(x, after, axis) * w
        x = first
    return x


def _size(output_shape: Any) -> tuple[int, int]:
    """Return a height and a width as ints."""
    if len(output_shape) != 2:
        raise ValueError(f"output_shape must be (height, width), got {output_shape!r}")
    h, w = output_shape
    return index(h), index(w)


@composed
def resize_images(x, output_shape: tuple[int, int], *, mode: str = "bilinear", align_corners: bool = True):
    """Resize images.

    Args:
        x: ``(n, c, h, w)``, floating dtype.
        output_shape: New height and width.
        mode: 'bilinear' or 'nearest'.
        align_corners: Whether the outermost places of both images coincide; else their corners do, and places
            outside the outermost ones take their values.

    Returns:
        ``(n, c, *output_shape)``.

    Raises:
        InvalidType: ``x`` has other than four axes, or is not floating.
        AssertionError: There is no such mode.
        TypeError: A size is no integer.
        ValueError: There are not two sizes.

    Source: elementary.

    Examples:
        >>> F.resize_images(np.float32([[[[0, 2]]]]), (1, 3)).array
        Array([[[[0., 1., 2.]]]], dtype=float32)
    """
    if mode not in ("bilinear", "nearest"):
        raise AssertionError(f"resize_images: mode must be 'bilinear' or 'nearest', got {mode!r}")
    return _resize_images(x, _size(output_shape), mode, bool(align_corners))


@op(label="SpatialTransformerGrid")
def _spatial_transformer_grid(theta: Float[Array, "n 2 3"], output_shape: tuple[int, int]) -> Float[Array, "n 2 h w"]:
    h, w = output_shape
    ys = np.linspace(-1, 1, h).astype(theta.dtype)[:, None]
    xs = np.linspace(-1, 1, w).astype(theta.dtype)
    column, row, shift = (theta[:, :, i, None, None] for i in range(3))
    return column * xs + row * ys + shift


@composed
def spatial_transformer_grid(theta, output_shape: tuple[int, int]):
    """Compute where an affine transformation takes each place of an image from.

    Args:
        theta: ``(n, 2, 3)``, floating dtype: a matrix for each image.
        output_shape: Height and width of the result.

    Returns:
        ``(n, 2, *output_shape)``: x and y of each place, both from -1 to 1 over the image.

    Raises:
        InvalidType: ``theta`` has another shape, or is not floating.

    Source: Jaderberg et al. 2015, arXiv:1506.02025, equation 1.

    Examples:
        >>> F.spatial_transformer_grid(np.float32([[[1, 0, 0], [0, 1, 0]]]), (1, 3)).array[0, 0]
        Array([[-1.,  0.,  1.]], dtype=float32)
    """
    return _spatial_transformer_grid(theta, _size(output_shape))


@op(label="SpatialTransformerSampler")
def spatial_transformer_sampler(x: Float[Array, "n c h w"], grid: Float[Array, "n 2 p q"]) -> Float[Array, "n c p q"]:
    """Sample images at the places of a grid, bilinearly.

    Args:
        x: ``(n, c, h, w)``, floating dtype.
        grid: ``(n, 2, p, q)``, dtype of ``x``: x and y, from -1 to 1 over the image. Outside the image is zero.

    Returns:
        ``(n, c, p, q)``.

    At a place of the image: the gradient to the grid is that towards the next place. More than one place outside the
    image, and exactly there, it is 0.

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: Jaderberg et al. 2015, arXiv:1506.02025, equation 5.

    Examples:
        >>> x = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
        >>> F.spatial_transformer_sampler(x, np.zeros((1, 2, 1, 1), np.float32)).array
        Array([[[[1.5]]]], dtype=float32)
    """
    same_dtype(x=x, grid=grid)
    n, c, h, w = x.shape
    padded = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))).reshape(n, c, (h + 2) * (w + 2))
    (u0, u), (v0, v) = (_cell(grid[:, i], size) for i, size in enumerate((w, h)))

    def at(row: Array, column: Array) -> Array:
        places = (row * (w + 2) + column).reshape(n, 1, math.prod(grid.shape[2:]))
        return jnp.take_along_axis(padded, places, 2).reshape(n, c, *grid.shape[2:])

    u, v = u[:, None], v[:, None]
    above = at(v0, u0) * (1 - u) + at(v0, u0 + 1) * u
    below = at(v0 + 1, u0) * (1 - u) + at(v0 + 1, u0 + 1) * u
    return above * (1 - v) + below * v


def _cell(places: Array, size: int) -> tuple[Array, Array]:
    """Return (index before the place in the image with a border of one, how far the place is behind it)."""
    real = (places + 1) * (size - 1) / 2 + 1
    # written so that the gradient is 0 at both ends
    real = jnp.where(real <= 0, 0, jnp.where(real >= size + 1, size + 1, real)).astype(places.dtype)
    before = jnp.clip(jnp.floor(real).astype(jnp.int32), 0, size)
    return before, real - before.astype(places.dtype)
