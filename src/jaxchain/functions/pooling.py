"""Two-dimensional pooling over NCHW arrays."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from jaxchain.core.op import Array, op
from jaxchain.core.variable import as_array
from jaxchain.functions.checks import pair
from jaxchain.functions.convolution import conv_outsize

Pair = tuple[int, int]


def _geometry(x: Array, ksize: Pair, stride: Pair, pad: Pair, cover_all: bool) -> tuple[Pair, list[Pair]]:
    """Return (output size, padding) over height and width."""
    h, w = (conv_outsize(n, k, s, p, cover_all) for n, k, s, p in zip(x.shape[2:], ksize, stride, pad, strict=True))
    if h <= 0:
        raise RuntimeError("Height in the output should be positive.")
    if w <= 0:
        raise RuntimeError("Width in the output should be positive.")
    padding = [
        (p, max(0, (m - 1) * s + k - n - p))
        for m, n, k, s, p in zip((h, w), x.shape[2:], ksize, stride, pad, strict=True)
    ]
    return (h, w), padding


def _offsets(ksize: Pair) -> Iterator[Pair]:
    return ((i, j) for i in range(ksize[0]) for j in range(ksize[1]))


def _padded(x: Array, padding: list[Pair]) -> Array:
    return lax.pad(x, jnp.array(-jnp.inf, x.dtype), [(0, 0, 0), (0, 0, 0), *((a, b, 0) for a, b in padding)])


def _at(x: Array, offset: Pair, stride: Pair, out: Pair) -> Array:
    """Return the elements of padded `x` that stand at `offset` in each window: ``(n, c, oh, ow)``."""
    (i, j), (sy, sx), (h, w) = offset, stride, out
    n, c = x.shape[:2]
    return lax.slice(x, (0, 0, i, j), (n, c, i + (h - 1) * sy + 1, j + (w - 1) * sx + 1), (1, 1, sy, sx))


@op(label="MaxPoolingND", name="max_pooling_2d")
def _max_pooling_2d(
    x: Float[Array, "n c h w"], ksize: Pair, stride: Pair, pad: Pair, cover_all: bool
) -> Float[Array, "n c oh ow"]:
    out, padding = _geometry(x, ksize, stride, pad, cover_all)
    x = _padded(x, padding)
    for axis, k, s, m in zip((2, 3), ksize, stride, out, strict=True):  # rows, then columns: k + k maxima and not k * k
        x = functools.reduce(jnp.maximum, [lax.slice_in_dim(x, i, i + (m - 1) * s + 1, s, axis) for i in range(k)])
    return x


@_max_pooling_2d.vjp
def _(gy, y, x, ksize, stride, pad, cover_all):
    # XLA's own derivative, select_and_scatter, is 3 to 11 times slower on CPU: 52 ms for (32, 64, 28, 28) and 2 x 2
    # windows, where this takes 5. Each offset in the window adds the gradients of the windows whose
    # first maximum stands there, to one of the sy * sx grids of input positions that are congruent modulo the stride.
    out, padding = _geometry(x, ksize, stride, pad, cover_all)
    full = _padded(x, padding)
    zero = jnp.zeros((), gy.dtype)
    grid = [max(-(-n // s), m + (k - 1) // s) for n, s, m, k in zip(full.shape[2:], stride, out, ksize, strict=True)]
    taken = jnp.zeros(y.shape, bool)
    grids: dict[Pair, Array] = {}
    for offset in _offsets(ksize):
        first = (_at(full, offset, stride, out) == y) & ~taken
        taken |= first
        shifts = [(o // s, size - m - o // s, 0) for o, s, size, m in zip(offset, stride, grid, out, strict=True)]
        share = lax.pad(jnp.where(first, gy, 0), zero, [(0, 0, 0), (0, 0, 0), *shifts])
        phase = (offset[0] % stride[0], offset[1] % stride[1])
        grids[phase] = share if phase not in grids else grids[phase] + share
    gx = grids[0, 0]
    if stride != (1, 1):
        empty = jnp.zeros_like(gx)
        rows = [jnp.stack([grids.get((i, j), empty) for j in range(stride[1])], -1) for i in range(stride[0])]
        gx = jnp.stack(rows, 3).reshape(*y.shape[:2], grid[0] * stride[0], grid[1] * stride[1])
    (top, _), (left, _) = padding
    return gx[:, :, top : top + x.shape[2], left : left + x.shape[3]]


@jax.jit(static_argnums=(1, 2, 3, 4))
def _max_indices(x: Array, ksize: Pair, stride: Pair, pad: Pair, cover_all: bool) -> Array:
    out, padding = _geometry(x, ksize, stride, pad, cover_all)
    x = _padded(x, padding)
    return jnp.argmax(jnp.stack([_at(x, o, stride, out) for o in _offsets(ksize)]), 0)


def max_pooling_2d(
    x, ksize: Any, stride: Any = None, pad: Any = 0, cover_all: bool = True, return_indices: bool = False
):
    """Largest element of each window.

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
        InvalidType: ``x`` is not floating or has not four axes.
        RuntimeError: The output would be empty.

    Source: Ranzato et al. 2007, Unsupervised learning of invariant feature hierarchies.

    Examples:
        >>> F.max_pooling_2d(np.arange(16.0, dtype=np.float32).reshape(1, 1, 4, 4), 2).array[0, 0]
        Array([[ 5.,  7.],
               [13., 15.]], dtype=float32)
    """
    ksize = pair(ksize)
    window = (ksize, ksize if stride is None else pair(stride), pair(pad), bool(cover_all))
    y = _max_pooling_2d(x, *window)
    return (y, _max_indices(jnp.asarray(as_array(x)), *window)) if return_indices else y


@op(label="AveragePooling2D", name="average_pooling_2d")
def _average_pooling_2d(x: Float[Array, "n c h w"], ksize: Pair, stride: Pair, pad: Pair) -> Float[Array, "n c oh ow"]:
    _geometry(x, ksize, stride, pad, False)
    zero = np.zeros((), x.dtype)
    padding = [(0, 0), (0, 0), *((p, p) for p in pad)]
    total = lax.reduce_window(x, zero, lax.add, (1, 1, *ksize), (1, 1, *stride), padding)
    return total / (ksize[0] * ksize[1])


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
        RuntimeError: The output would be empty.

    Source: LeCun et al. 1998, Gradient-based learning applied to document recognition.

    Examples:
        >>> F.average_pooling_2d(np.arange(16.0, dtype=np.float32).reshape(1, 1, 4, 4), 2).array[0, 0]
        Array([[ 2.5,  4.5],
               [10.5, 12.5]], dtype=float32)
    """
    ksize = pair(ksize)
    return _average_pooling_2d(x, ksize, ksize if stride is None else pair(stride), pair(pad))
