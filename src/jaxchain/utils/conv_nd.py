"""The windows of convolutions along any number of axes, as arrays, for functions that users write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxchain.utils.conv import get_conv_outsize as get_conv_outsize


def as_tuple(x: Any, n: int) -> tuple[Any, ...]:
    """Return `x` as a tuple of `n` elements: its own, or `n` times itself.

    Args:
        x: Sequence of `n` elements, or what is no sequence.
        n: The number.

    Raises:
        AssertionError: A sequence has another number of elements.
    """
    if not hasattr(x, "__getitem__"):
        return (x,) * n
    if len(x) != n:
        raise AssertionError(f"expected {n} elements, got {len(x)}")
    return tuple(x)


def _checked(ndim: int, **sizes: Sequence[int]) -> None:
    for name, values in sizes.items():
        if len(values) != ndim:
            raise AssertionError(f"expected {ndim} elements of {name}, one for each axis, got {len(values)}")


def _windows(ksize: Sequence[int], outs: Sequence[int], stride: Sequence[int], dilate: Sequence[int]) -> Any:
    """Return the index of the windows ``(*ksize, *outs)`` along each axis behind the channels."""
    n, index = len(ksize), []
    for i, (k, out, s, d) in enumerate(zip(ksize, outs, stride, dilate, strict=True)):
        shape = [k if j == i else out if j == n + i else 1 for j in range(2 * n)]
        index.append((np.arange(k)[:, None] * d + np.arange(out)[None, :] * s).reshape(shape))
    return (slice(None), slice(None), *index)


def im2col_nd_cpu(
    img: Any,
    ksize: Sequence[int],
    stride: Sequence[int],
    pad: Sequence[int],
    pval: float = 0,
    cover_all: bool = False,
    dilate: Any = 1,
) -> np.ndarray:
    """Return the windows of images.

    Args:
        img: Images ``(n, c, d_1, ..., d_m)``.
        ksize: Sizes of a window along the m axes.
        stride: Its steps.
        pad: Padding at either end.
        pval: What is padded with.
        cover_all: Whether every element is in a window.
        dilate: Dilations, or one for all axes.

    Returns:
        Array ``(n, c, *ksize, out_1, ..., out_m)``.

    Raises:
        AssertionError: A number of sizes is not m, or no window fits in.
    """
    img = np.asarray(img)
    dims = img.shape[2:]
    _checked(len(dims), ksize=ksize, stride=stride, pad=pad)
    dilate = as_tuple(dilate, len(dims))
    sizes = zip(dims, ksize, stride, pad, dilate, strict=True)
    outs = [get_conv_outsize(n, k, s, p, cover_all, d) for n, k, s, p, d in sizes]
    if min(outs, default=1) <= 0:
        raise AssertionError(f"Output sizes should be positive, got {tuple(outs)}")
    widths = [(p, p + s - 1) for s, p in zip(stride, pad, strict=True)]
    return np.pad(img, [(0, 0), (0, 0), *widths], constant_values=pval)[_windows(ksize, outs, stride, dilate)]


def im2col_nd(
    img: Any, ksize: Sequence[int], stride: Sequence[int], pad: Sequence[int], cover_all: bool = False, dilate: Any = 1
) -> np.ndarray:
    """Return the windows of images that are padded with 0: see `im2col_nd_cpu`."""
    return im2col_nd_cpu(img, ksize, stride, pad, 0, cover_all, dilate)


def col2im_nd(col: Any, stride: Sequence[int], pad: Sequence[int], dims: Sequence[int], dilate: Any = 1) -> np.ndarray:
    """Return images in which each element is the sum of what windows have there.

    Args:
        col: Windows ``(n, c, k_1, ..., k_m, out_1, ..., out_m)``.
        stride: Steps of the windows along the m axes.
        pad: Padding at either end.
        dims: Sizes of the images.
        dilate: Dilations, or one for all axes.

    Returns:
        Array ``(n, c, *dims)``.

    Raises:
        AssertionError: A number of sizes is not m.
    """
    col = np.asarray(col)
    m = (col.ndim - 2) // 2
    _checked(m, stride=stride, pad=pad, dims=dims)
    padded = np.zeros(
        (*col.shape[:2], *(n + 2 * p + s - 1 for n, p, s in zip(dims, pad, stride, strict=True))), col.dtype
    )
    np.add.at(padded, _windows(col.shape[2 : 2 + m], col.shape[2 + m :], stride, as_tuple(dilate, m)), col)
    return padded[(slice(None), slice(None), *(slice(p, p + n) for p, n in zip(pad, dims, strict=True)))]


col2im_nd_cpu = col2im_nd
