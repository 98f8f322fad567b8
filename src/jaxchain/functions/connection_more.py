"""Connections besides the common ones: dilated, depthwise, shifting, bilinear, local and deformable."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, op
from jaxchain.functions.arithmetic import matmul
from jaxchain.functions.arrangement import pad as pad_array
from jaxchain.functions.checks import left_to_numpy, pair, same_dtype
from jaxchain.functions.composed import composed
from jaxchain.functions.convolution import Pair, convolution_2d
from jaxchain.functions.images import spatial_transformer_sampler
from jaxchain.functions.shape import broadcast_to, reshape, transpose


@composed
def dilated_convolution_2d(x, W, b=None, stride: Any = 1, pad: Any = 0, dilate: Any = 1, cover_all: bool = False):
    """Two-dimensional convolution with a stretched filter: `convolution_2d` with ``dilate``.

    Args:
        x: ``(n, c, h, w)``.
        W: Filters ``(o, c, kh, kw)``.
        b: Bias ``(o,)`` or None.
        stride: Step, an int or (vertical, horizontal).
        pad: Zeros on either side, an int or a pair.
        dilate: Distance of the filter's elements, an int or a pair.
        cover_all: Round the output size up.

    Returns:
        ``(n, o, oh, ow)``, dtype of ``x``.

    Raises:
        InvalidType: Channels do not fit, or a dtype or number of axes is wrong.
        AssertionError: The output would be empty.

    Source: Yu and Koltun 2016, arXiv:1511.07122.

    Examples:
        >>> x, W = np.ones((1, 1, 5, 5), np.float32), np.ones((1, 1, 3, 3), np.float32)
        >>> F.dilated_convolution_2d(x, W, dilate=2).array
        Array([[[[9.]]]], dtype=float32)
    """
    return convolution_2d(x, W, b, stride, pad, cover_all, dilate=dilate)


@composed
def depthwise_convolution_2d(x, W, b=None, stride: Any = 1, pad: Any = 0):
    """Two-dimensional convolution of each channel by itself.

    Args:
        x: ``(n, c, h, w)``.
        W: Filters ``(m, c, kh, kw)``: ``m`` for each channel.
        b: Bias ``(c * m,)`` or None.
        stride: Step, an int or (vertical, horizontal).
        pad: Zeros on either side, an int or a pair.

    Returns:
        ``(n, c * m, oh, ow)``, dtype of ``x``: the ``m`` results of a channel lie next to each other.

    Raises:
        InvalidType: Channels do not fit, or a dtype is wrong.
        ValueError: ``W`` has other than four axes.

    Source: Sifre 2014, Rigid-motion scattering for image classification.

    Examples:
        >>> F.depthwise_convolution_2d(np.ones((1, 2, 3, 3), np.float32), np.ones((3, 2, 2, 2), np.float32)).shape
        (1, 6, 2, 2)
    """
    m, c, kh, kw = W.shape
    W = reshape(transpose(W, (1, 0, 2, 3)), (m * c, 1, kh, kw))
    return convolution_2d(x, W, b, stride, pad, groups=c)


@op(label="Shift")
def _shift(x: Float[Array, "n c h w"], ksize: Pair, dilate: Pair) -> Float[Array, "n c h w"]:
    (kh, kw), (dy, dx) = ksize, dilate
    _, c, h, w = x.shape
    count = kh * kw
    expect(c >= count, f"x.shape[1] >= {count}", c)
    py, px = kh // 2 * abs(dy), kw // 2 * abs(dx)
    padded = jnp.pad(x, ((0, 0), (0, 0), (py, py), (px, px)))
    moves = list(range(count))
    moves[count // 2], moves[-1] = moves[-1], moves[count // 2]  # the last group, with the rest, stays in place
    ends = [c // count * i for i in range(count)] + [c]
    parts = []
    for i, move in enumerate(moves):
        top, left = py - (move // kw - kh // 2) * dy, px - (move % kw - kw // 2) * dx
        parts.append(padded[:, ends[i] : ends[i + 1], top : top + h, left : left + w])
    return jnp.concatenate(parts, 1)


@composed
def shift(x, ksize: Any = 3, dilate: Any = 1):
    """Move groups of channels by one place each, every group in its own direction; zeros come in.

    Args:
        x: ``(n, c, h, w)``, floating dtype, ``c >= kh * kw``.
        ksize: Number of directions, odd: an int or (vertical, horizontal).
        dilate: Length of a step, an int or a pair.

    Returns:
        Shape and dtype of ``x``. The last group is not moved.

    Raises:
        InvalidType: There are fewer channels than directions, or ``x`` has other than four axes.
        ValueError: ``ksize`` is even.

    Source: Wu et al. 2017, arXiv:1711.08141.

    Examples:
        >>> x = np.arange(1, 10, dtype=np.float32).reshape(1, 9, 1, 1) * np.ones((1, 9, 3, 3), np.float32)
        >>> F.shift(x).array[0, 0]
        Array([[1., 1., 0.],
               [1., 1., 0.],
               [0., 0., 0.]], dtype=float32)
    """
    ksize = pair(ksize)
    for name, k in zip(("kh", "kw"), ksize, strict=True):
        if k % 2 != 1:
            raise ValueError(f"{name} must be odd")
    return _shift(x, ksize, pair(dilate))


@op(label="BilinearFunction")
def _bilinear(
    e1: Float[Array, "n ..."],
    e2: Float[Array, "n ..."],
    W: Float[Array, "j k o"],
    V1: Float[Array, "j o"] | None,
    V2: Float[Array, "k o"] | None,
    b: Float[Array, " o"] | None,
) -> Float[Array, "n o"]:
    expect(e1.ndim >= 2 and e2.ndim >= 2, "e1.ndim >= 2 and e2.ndim >= 2", f"{e1.ndim}, {e2.ndim}")
    same_dtype(e1=e1, e2=e2, W=W)
    e1, e2 = (e.reshape(e.shape[0], math.prod(e.shape[1:])) for e in (e1, e2))  # -1 needs elements
    for i, e in enumerate((e1, e2)):
        expect(e.shape[1] == W.shape[i], f"prod(e{i + 1}.shape[1:]) == W.shape[{i}]", f"{e.shape[1]} != {W.shape[i]}")
    y = jnp.einsum("nj,nk,jko->no", e1, e2, W)
    if V1 is None or V2 is None or b is None:
        return y
    same_dtype(W=W, V1=V1, V2=V2, b=b)
    return y + e1 @ V1 + e2 @ V2 + b


@composed
def bilinear(e1, e2, W, V1=None, V2=None, b=None):
    """Bilinear form of two vectors, and affine terms.

    Args:
        e1: ``(n, j)``, or more axes that are flattened.
        e2: ``(n, k)``, or more axes that are flattened.
        W: ``(j, k, o)``.
        V1: ``(j, o)``; None if ``V2`` and ``b`` are.
        V2: ``(k, o)``.
        b: ``(o,)``.

    Returns:
        ``(n, o)``: ``y_l = sum_jk e1_j e2_k W_jkl + (e1 V1 + e2 V2 + b)_l``.

    Raises:
        InvalidType: Sizes or dtypes do not fit.
        ValueError: Some but not all of ``V1``, ``V2`` and ``b`` are None.

    Source: Socher et al. 2013, Reasoning with neural tensor networks for knowledge base completion.

    Examples:
        >>> F.bilinear(np.float32([[1, 2]]), np.float32([[3]]), np.ones((2, 1, 1), np.float32)).array
        Array([[9.]], dtype=float32)
    """
    if len({v is None for v in (V1, V2, b)}) == 2:
        raise ValueError("bilinear: V1, V2 and b must all be None if one of them is.")
    return _bilinear(e1, e2, W, V1, V2, b)


@op(label="LocalConvolution2DFunction")
def _local_convolution_2d(
    x: Float[Array, "n c h w"], W: Float[Array, "o p q c kh kw"], b: Float[Array, "o p q"] | None, stride: Pair
) -> Float[Array, "n o p q"]:
    _, p, q, _, kh, kw = W.shape
    for i, (n, k, m, s) in enumerate(zip(x.shape[2:], (kh, kw), (p, q), stride, strict=True), 2):
        with left_to_numpy():
            expect((m - 1) * s + k <= n, f"x.shape[{i}] >= {(m - 1) * s + k}", n)
    (sy, sx) = stride
    rows = np.arange(p)[:, None] * sy + np.arange(kh)
    columns = np.arange(q)[:, None] * sx + np.arange(kw)
    patches = x[:, :, rows[:, None, :, None], columns[None, :, None, :]]
    y = jnp.einsum("ncpqij,opqcij->nopq", patches, W).astype(x.dtype)
    if b is None:
        return y
    same_dtype(b=b, x=x)
    return y + b


@composed
def local_convolution_2d(x, W, b=None, stride: Any = 1):
    """Two-dimensional convolution with filters of their own at every place.

    Args:
        x: ``(n, c, h, w)``.
        W: Filters ``(o, oh, ow, c, kh, kw)``.
        b: Bias ``(o, oh, ow)``, dtype of ``x``, or None.
        stride: Step, an int or (vertical, horizontal).

    Returns:
        ``(n, o, oh, ow)``, dtype of ``x``.

    Raises:
        InvalidType: Sizes or dtypes do not fit.

    Source: Taigman et al. 2014, DeepFace.

    Examples:
        >>> x, W = np.ones((1, 1, 2, 2), np.float32), np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1, 1, 1)
        >>> F.local_convolution_2d(x, W).array[0, 0]
        Array([[0., 1.],
               [2., 3.]], dtype=float32)
    """
    return _local_convolution_2d(x, W, b, pair(stride))


@composed
def deformable_convolution_2d_sampler(x, offset, W, b=None, stride: Any = 1, pad: Any = 0):
    """Two-dimensional convolution that reads each place of the filter at an offset, bilinearly.

    Args:
        x: ``(n, c, h, w)``.
        offset: ``(n, 2 kh kw, oh, ow)``: horizontal offsets of the filter's places, then vertical ones, in pixels.
        W: Filters ``(o, c, kh, kw)``.
        b: Bias ``(o,)`` or None.
        stride: Step, an int or (vertical, horizontal).
        pad: Zeros on either side, an int or a pair.

    Returns:
        ``(n, o, oh, ow)``, dtype of ``x``.

    Raises:
        ValueError: The channels of ``offset`` are not twice the places of the filter.

    Source: Dai et al. 2017, arXiv:1703.06211.

    Examples:
        >>> x, offset = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3), np.full((1, 2, 3, 3), 0.5, np.float32)
        >>> F.deformable_convolution_2d_sampler(x, offset, np.ones((1, 1, 1, 1), np.float32)).array[0, 0]
        Array([[2.  , 3.  , 1.75],
               [5.  , 6.  , 3.25],
               [3.25, 3.75, 2.  ]], dtype=float32)
    """
    (sy, sx), (ph, pw) = pair(stride), pair(pad)
    o, _, kh, kw = W.shape
    n, c, h, w = x.shape
    _, channels, oh, ow = offset.shape
    count = kh * kw
    if channels != 2 * count:
        raise ValueError(f"deformable_convolution_2d_sampler: expected offset.shape[1] == {2 * count}, got {channels}")
    y0, x0 = np.mgrid[0:kh, 0:kw].reshape(2, count, 1, 1)
    places = np.stack([x0 + np.arange(ow) * sx + np.zeros((oh, 1)), y0 + np.arange(oh)[:, None] * sy + np.zeros(ow)])
    places = places.reshape(1, 2 * count, oh, ow).astype(offset.dtype)
    size = np.repeat([w + 2 * pw - 1, h + 2 * ph - 1], count).reshape(1, -1, 1, 1)
    scale = np.broadcast_to(2 / size, offset.shape).astype(offset.dtype)
    grid = (offset + np.broadcast_to(places, offset.shape)) * scale - 1
    padded = pad_array(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), "constant")
    sampled = spatial_transformer_sampler(padded, reshape(grid, (n, 2, count, oh * ow)))
    columns = reshape(transpose(sampled, (0, 3, 1, 2)), (n * oh * ow, c * count))
    y = matmul(columns, reshape(transpose(W, (1, 2, 3, 0)), (c * count, o)))
    y = transpose(reshape(y, (n, oh, ow, o)), (0, 3, 1, 2))
    return y if b is None else y + broadcast_to(reshape(b, (1, o, 1, 1)), y.shape)
