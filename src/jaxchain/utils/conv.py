"""Sizes of convolutions, and their windows as arrays, for functions that users write."""

from __future__ import annotations

from typing import Any

import numpy as np


def get_conv_outsize(size: int, k: int, s: int, p: int, cover_all: bool = False, d: int = 1) -> int:
    """Return the size of a convolution's output along an axis.

    Args:
        size: That of the input.
        k: That of the kernel.
        s: Stride.
        p: Padding at either end.
        cover_all: Whether every element of the input is in a window.
        d: Dilation.
    """
    free = size + 2 * p - (k - 1) * d - 1
    return (free + (s - 1 if cover_all else 0)) // s + 1


def get_deconv_outsize(size: int, k: int, s: int, p: int, cover_all: bool = False, d: int = 1) -> int:
    """Return the size of a transposed convolution's output along an axis.

    Args:
        size: That of the input.
        k: That of the kernel.
        s: Stride.
        p: Padding at either end.
        cover_all: Whether the convolution that it transposes covers all of its input.
        d: Dilation.
    """
    return s * (size - 1) + (k - 1) * d + 1 - (s - 1 if cover_all else 0) - 2 * p


def _windows(n: int, k: int, s: int, d: int) -> np.ndarray:
    return np.arange(k)[:, None] * d + np.arange(n)[None, :] * s


def im2col_cpu(
    img: Any,
    kh: int,
    kw: int,
    sy: int,
    sx: int,
    ph: int,
    pw: int,
    pval: float = 0,
    cover_all: bool = False,
    dy: int = 1,
    dx: int = 1,
    out_h: int | None = None,
    out_w: int | None = None,
) -> np.ndarray:
    """Return the windows of images.

    Args:
        img: Images ``(n, c, h, w)``.
        kh: Height of a window.
        kw: Its width.
        sy: Stride down.
        sx: Stride to the right.
        ph: Padding above and below.
        pw: Padding left and right.
        pval: What is padded with.
        cover_all: Whether every element is in a window.
        dy: Dilation down.
        dx: Dilation to the right.
        out_h: Number of windows down; None: as many as there are.
        out_w: Number of windows to the right; None: as many as there are.

    Returns:
        Array ``(n, c, kh, kw, out_h, out_w)``.
    """
    img = np.asarray(img)
    h, w = img.shape[2:]
    out_h = get_conv_outsize(h, kh, sy, ph, cover_all, dy) if out_h is None else out_h
    out_w = get_conv_outsize(w, kw, sx, pw, cover_all, dx) if out_w is None else out_w
    padded = np.pad(img, ((0, 0), (0, 0), (ph, ph + sy - 1), (pw, pw + sx - 1)), constant_values=pval)
    rows, columns = _windows(out_h, kh, sy, dy), _windows(out_w, kw, sx, dx)
    return padded[:, :, rows[:, None, :, None], columns[None, :, None, :]]


def im2col(
    img: Any,
    kh: int,
    kw: int,
    sy: int,
    sx: int,
    ph: int,
    pw: int,
    cover_all: bool = False,
    dy: int = 1,
    dx: int = 1,
    out_h: int | None = None,
    out_w: int | None = None,
) -> np.ndarray:
    """Return the windows of images that are padded with 0: see `im2col_cpu`."""
    return im2col_cpu(img, kh, kw, sy, sx, ph, pw, 0, cover_all, dy, dx, out_h, out_w)


def col2im_cpu(col: Any, sy: int, sx: int, ph: int, pw: int, h: int, w: int, dy: int = 1, dx: int = 1) -> np.ndarray:
    """Return images in which each element is the sum of what windows have there.

    Args:
        col: Windows ``(n, c, kh, kw, out_h, out_w)``.
        sy: Stride down.
        sx: Stride to the right.
        ph: Padding above and below.
        pw: Padding left and right.
        h: Height of the images.
        w: Their width.
        dy: Dilation down.
        dx: Dilation to the right.

    Returns:
        Array ``(n, c, h, w)``.
    """
    col = np.asarray(col)
    n, c, kh, kw, out_h, out_w = col.shape
    rows, columns = _windows(out_h, kh, sy, dy), _windows(out_w, kw, sx, dx)
    padded = np.zeros((n, c, max(h + 2 * ph, rows.max() + 1), max(w + 2 * pw, columns.max() + 1)), col.dtype)
    windows: Any = (slice(None), slice(None), rows[:, None, :, None], columns[None, :, None, :])
    np.add.at(padded, windows, col)
    return padded[:, :, ph : h + ph, pw : w + pw]


col2im = col2im_cpu
