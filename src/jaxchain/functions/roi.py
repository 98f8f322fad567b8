"""Pooling over regions of interest: a grid of bins over each rectangle of an image.

Rectangles are data, not part of the graph: no gradient goes to them. `roi_*_pooling_2d` rounds them to pixels,
`roi_*_align_2d` reads the image between pixels.
"""

import math
import numbers
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Shaped

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, Static, op
from jaxchain.core.variable import as_array
from jaxchain.functions.checks import integer, same_dtype
from jaxchain.functions.composed import composed
from jaxchain.functions.indexing import in_range

Size = tuple[int, int]


def _options(outsize: Any, spatial_scale: Any) -> tuple[Size, float]:
    """Return (height, width) and scale, checked as Chainer checks them."""
    out = tuple(outsize) if isinstance(outsize, list | tuple | np.ndarray) else (outsize, outsize)
    if len(out) != 2:
        raise ValueError(f"outsize must be a positive integer or a pair of them: {out}")
    for i, n in enumerate(out):
        if not (isinstance(n, numbers.Integral) and int(n) > 0):
            raise TypeError(f"outsize[{i}] must be positive integer: {type(n)}, {n}")
    if not (isinstance(spatial_scale, numbers.Real) and float(spatial_scale) > 0):
        raise TypeError(f"spatial_scale must be a positive float number: {type(spatial_scale)}, {spatial_scale}")
    return (int(out[0]), int(out[1])), float(spatial_scale)


def _check(x: Array, rois: Array, roi_indices: Array) -> None:
    same_dtype(x=x, rois=rois)
    expect(rois.shape[1] == 4, "rois.shape[1] == 4", rois.shape[1])
    integer("roi_indices", roi_indices)
    expect(
        rois.shape[0] == roi_indices.shape[0], "len(rois) == len(roi_indices)", f"{rois.shape[0]} != {len(roi_indices)}"
    )


# -- rectangles rounded to pixels -----------------------------------------------------------------------------------


def _bins(low: Array, length: Array, bins: int, size: int) -> Array:
    """Return which pixels are in which bin along one axis: ``(rois, bins, size)``, booleans.

    Bin ``b`` is from floor(b length / bins) to ceil((b + 1) length / bins), counted from `low`: integers, so exact.
    """
    b = jnp.arange(bins)
    start = jnp.clip(low[:, None] + b * length[:, None] // bins, 0, size)
    end = jnp.clip(low[:, None] - (-(b + 1) * length[:, None] // bins), 0, size)
    pixel = jnp.arange(size)
    return (pixel >= start[..., None]) & (pixel < end[..., None])


def _pixels(rois: Array, scale: float, out: Size, size: tuple[int, ...], least: int) -> tuple[Array, Array]:
    """Return the bins over height and over width of rectangles (top, left, bottom, right)."""
    wide = rois.astype(jnp.promote_types(rois.dtype, jnp.float32))
    top, left, bottom, right = jnp.round(wide * scale).astype(jnp.int32).T
    height, width = (jnp.maximum(end - start + least, 1) for start, end in ((top, bottom), (left, right)))
    return _bins(top, height, out[0], size[0]), _bins(left, width, out[1], size[1])


def _max_pooling(x: Array, images: Array, rows: Array, columns: Array, empty: float) -> Array:
    """Largest element of each bin; ties go to the first, row by row; `empty` where a bin has no pixel."""
    regions = lax.stop_gradient(x)[images]
    low = jnp.array(-jnp.inf, x.dtype)
    # (rois, c, h, bins over width): the best column of every row, then the best row
    masked = jnp.where(columns[:, None, None], regions[:, :, :, None], low)
    column, best = masked.argmax(-1), masked.max(-1)
    masked = jnp.where(rows[:, None, :, :, None], best[:, :, None], low)  # (rois, c, bins, h, bins)
    row = masked.argmax(3)
    column = jnp.take_along_axis(column, row, 2)
    channel = jnp.arange(x.shape[1])[:, None, None]
    y = x[images[:, None, None, None], channel, row, column]
    filled = rows.any(-1)[:, None, :, None] & columns.any(-1)[:, None, None]
    return jnp.where(filled, y, jnp.array(empty, x.dtype))


@op(label="ROIPooling2D")
def _roi_pooling_2d(
    x: Float[Array, "n c h w"], rois: Float[Array, "r k"], out: Size, spatial_scale: Static[float]
) -> Float[Array, "r c oh ow"]:
    same_dtype(x=x, rois=rois)
    expect(rois.shape[1] == 5, "rois.shape[1] == 5", rois.shape[1])
    rois = lax.stop_gradient(rois)
    rows, columns = _pixels(rois[:, jnp.array([2, 1, 4, 3])], spatial_scale, out, x.shape[2:], 1)
    return _max_pooling(x, rois[:, 0].astype(jnp.int32), rows, columns, 0.0)


@composed
def roi_pooling_2d(x, rois, outh: int, outw: int, spatial_scale: float):
    """Largest element of each bin of rectangles, whose last pixel counts.

    Args:
        x: Images ``(n, c, h, w)``, floating dtype.
        rois: ``(r, 5)``, dtype of ``x``: index of the image, x_min, y_min, x_max, y_max.
        outh: Bins over the height.
        outw: Bins over the width.
        spatial_scale: Scale of the rectangles' numbers to pixels of ``x``; the product is rounded.

    Returns:
        ``(r, c, outh, outw)``, dtype of ``x``; 0 where a bin has no pixel.

    At ties: the gradient goes to the first of the tied elements, row by row.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        TypeError: An option is not positive.
        IndexError: There is no such image (NumPy arrays only).

    Source: Girshick 2015, Fast R-CNN, arXiv:1504.08083.

    Examples:
        >>> x = np.arange(16.0, dtype=np.float32).reshape(1, 1, 4, 4)
        >>> F.roi_pooling_2d(x, np.float32([[0, 0, 0, 3, 1]]), 1, 2, 1.0).array
        Array([[[[5., 7.]]]], dtype=float32)
    """
    out, scale = _options((outh, outw), spatial_scale)
    numbers = as_array(rois)
    if isinstance(numbers, np.ndarray) and numbers.ndim == 2:
        in_range("roi_pooling_2d", numbers[:, 0].astype(np.int64), x.shape, 0)
    return _roi_pooling_2d(x, rois, out, scale)


@op(label="ROIMaxPooling2D")
def _roi_max_pooling_2d(
    x: Float[Array, "n c h w"],
    rois: Float[Array, "r k"],
    roi_indices: Shaped[Array, " r2"],
    out: Size,
    spatial_scale: Static[float],
) -> Float[Array, "r c oh ow"]:
    _check(x, rois, roi_indices)
    return _max_pooling(
        x, roi_indices, *_pixels(lax.stop_gradient(rois), spatial_scale, out, x.shape[2:], 0), -math.inf
    )


@composed
def roi_max_pooling_2d(x, rois, roi_indices, outsize: Any, spatial_scale: float):
    """Largest element of each bin of rectangles.

    Args:
        x: Images ``(n, c, h, w)``, floating dtype.
        rois: ``(r, 4)``, dtype of ``x``: y_min, x_min, y_max, x_max, the last excluded.
        roi_indices: Index of each rectangle's image ``(r,)``, integers.
        outsize: Number of bins, an int or (height, width).
        spatial_scale: Scale of the rectangles' numbers to pixels of ``x``; the product is rounded.

    Returns:
        ``(r, c, oh, ow)``, dtype of ``x``; -inf where a bin has no pixel.

    At ties: the gradient goes to the first of the tied elements, row by row.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        TypeError: An option is not positive.
        IndexError: A NumPy index names an image that is not there.

    Source: Girshick 2015, Fast R-CNN, arXiv:1504.08083.

    Examples:
        >>> x = np.arange(16.0, dtype=np.float32).reshape(1, 1, 4, 4)
        >>> F.roi_max_pooling_2d(x, np.float32([[0, 0, 2, 4]]), np.int32([0]), (1, 2), 1.0).array
        Array([[[[5., 7.]]]], dtype=float32)
    """
    in_range("roi_max_pooling_2d", as_array(roi_indices), x.shape, 0)
    return _roi_max_pooling_2d(x, rois, roi_indices, *_options(outsize, spatial_scale))


@op(label="ROIAveragePooling2D")
def _roi_average_pooling_2d(
    x: Float[Array, "n c h w"],
    rois: Float[Array, "r k"],
    roi_indices: Shaped[Array, " r2"],
    out: Size,
    spatial_scale: Static[float],
) -> Float[Array, "r c oh ow"]:
    _check(x, rois, roi_indices)
    rows, columns = _pixels(lax.stop_gradient(rois), spatial_scale, out, x.shape[2:], 0)
    regions = x[roi_indices].astype(jnp.promote_types(x.dtype, jnp.float32))
    total = jnp.where(columns[:, None, None], regions[:, :, :, None], 0).sum(-1)  # (rois, c, h, bins)
    total = jnp.where(rows[:, None, :, :, None], total[:, :, None], 0).sum(3)
    count = rows.sum(-1)[:, None, :, None] * columns.sum(-1)[:, None, None]
    return (total / jnp.maximum(count, 1)).astype(x.dtype)


@composed
def roi_average_pooling_2d(x, rois, roi_indices, outsize: Any, spatial_scale: float):
    """Mean of each bin of rectangles.

    Args:
        x: Images ``(n, c, h, w)``, floating dtype.
        rois: ``(r, 4)``, dtype of ``x``: y_min, x_min, y_max, x_max, the last excluded.
        roi_indices: Index of each rectangle's image ``(r,)``, integers.
        outsize: Number of bins, an int or (height, width).
        spatial_scale: Scale of the rectangles' numbers to pixels of ``x``; the product is rounded.

    Returns:
        ``(r, c, oh, ow)``, dtype of ``x``; 0 where a bin has no pixel.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        TypeError: An option is not positive.
        IndexError: A NumPy index names an image that is not there.

    Source: Girshick 2015, Fast R-CNN, arXiv:1504.08083.

    Examples:
        >>> x = np.arange(16.0, dtype=np.float32).reshape(1, 1, 4, 4)
        >>> F.roi_average_pooling_2d(x, np.float32([[0, 0, 2, 4]]), np.int32([0]), (1, 2), 1.0).array
        Array([[[[2.5, 4.5]]]], dtype=float32)
    """
    in_range("roi_average_pooling_2d", as_array(roi_indices), x.shape, 0)
    return _roi_average_pooling_2d(x, rois, roi_indices, *_options(outsize, spatial_scale))


# -- rectangles between pixels --------------------------------------------------------------------------------------


def _samples(start: Array, length: Array, bins: int, samples: Array, most: int, size: int) -> Any:
    """Return the sample points along one axis, ``(rois, bins, most)`` each.

    Returns:
        The pixel below and the one above, their weights, and which points count: those of the roi's own number of
        samples that are not outside the image by more than a pixel.
    """
    step = (length / bins)[:, None, None]
    inside = (jnp.arange(most) + 0.5) / samples[:, None, None]
    p = start[:, None, None] + jnp.arange(bins)[:, None] * step + inside * step
    valid = (p >= -1) & (p <= size) & (jnp.arange(most) < samples[:, None, None])
    low = jnp.floor(jnp.clip(p, -1, size)).astype(jnp.int32)
    low = jnp.where(low == size, low - 1, low)
    p = jnp.where(low <= -1, 0, jnp.where(low + 1 >= size, size - 1, p))
    above = jnp.where(valid & (low + 1 < size), p - low, 0)
    below = jnp.where(valid & (low >= 0), low + 1 - p, 0)
    return jnp.clip(low, 0, size - 1), jnp.clip(low + 1, 0, size - 1), below, above, valid


def _values(
    x: Array, rois: Array, images: Array, out: Size, scale: float, ratio: tuple[int | None, int | None], most: Size
) -> tuple[Array, Array, Array]:
    """Return the image at all sample points, ``(rois, c, oh, ow, samples)``, row by row, which of them count, and how
    many there are in a bin.
    """
    rois = lax.stop_gradient(rois).astype(jnp.promote_types(rois.dtype, jnp.float32)) * scale
    axes, counts = [], []
    for start, end, bins, given, limit, size in zip(rois.T[:2], rois.T[2:], out, ratio, most, x.shape[2:], strict=True):
        length = jnp.maximum(end - start, 1)
        count = jnp.ceil(length / bins) if given is None else jnp.full_like(length, given)
        axes.append(_samples(start, length, bins, count, limit, size))
        counts.append(count)
    rows, columns = axes
    total: Any = 0
    for row, row_weight in ((rows[0], rows[2]), (rows[1], rows[3])):
        for column, column_weight in ((columns[0], columns[2]), (columns[1], columns[3])):
            # (rois, oh, gh, ow, gw)
            weight = row_weight[:, :, :, None, None] * column_weight[:, None, None]
            where = (images[:, None, None, None, None], row[:, :, :, None, None], column[:, None, None])
            value = jnp.moveaxis(x, 1, -1)[where]
            total = total + jnp.where(weight[..., None] > 0, weight[..., None].astype(x.dtype) * value, 0)
    valid = rows[4][:, :, :, None, None] & columns[4][:, None, None]
    samples = math.prod(valid.shape[2::2])
    total = jnp.moveaxis(total, (5, 1, 3, 2, 4), (1, 2, 3, 4, 5)).reshape(len(rois), x.shape[1], *out, samples)
    valid = jnp.moveaxis(valid, 2, 3).reshape(len(rois), 1, *out, samples)
    return total, valid, (counts[0] * counts[1])[:, None, None, None]


@op(label="ROIMaxAlign2D")
def _roi_max_align_2d(
    x: Float[Array, "n c h w"],
    rois: Float[Array, "r k"],
    roi_indices: Shaped[Array, " r2"],
    out: Size,
    spatial_scale: Static[float],
    ratio: tuple[int | None, int | None],
    most: Size,
) -> Float[Array, "r c oh ow"]:
    _check(x, rois, roi_indices)
    values, valid, _ = _values(x, rois, roi_indices, out, spatial_scale, ratio, most)
    at = jnp.where(valid, lax.stop_gradient(values), jnp.array(-jnp.inf, x.dtype)).argmax(-1, keepdims=True)
    best = jnp.take_along_axis(values, at, -1)[..., 0]
    return jnp.where(valid.any(-1), best, jnp.array(-jnp.inf, x.dtype))


@op(label="ROIAverageAlign2D")
def _roi_average_align_2d(
    x: Float[Array, "n c h w"],
    rois: Float[Array, "r k"],
    roi_indices: Shaped[Array, " r2"],
    out: Size,
    spatial_scale: Static[float],
    ratio: tuple[int | None, int | None],
    most: Size,
) -> Float[Array, "r c oh ow"]:
    _check(x, rois, roi_indices)
    values, valid, count = _values(x, rois, roi_indices, out, spatial_scale, ratio, most)
    return (jnp.where(valid, values, 0).sum(-1) / count).astype(x.dtype)


def _align(function: Callable, x: Any, rois: Any, roi_indices: Any, outsize: Any, scale: Any, ratio: Any) -> Any:
    in_range(function.__name__.lstrip("_"), as_array(roi_indices), x.shape, 0)
    out, scale = _options(outsize, scale)
    pair = tuple(ratio) if isinstance(ratio, list | tuple | np.ndarray) else (ratio, ratio)
    if len(pair) != 2 or not all(s is None or (isinstance(s, numbers.Integral) and int(s) >= 1) for s in pair):
        raise TypeError(f"sampling_ratio must be integer >= 1 or a pair of it: {pair}")
    most = tuple(
        _grid(as_array(rois), i, bins, scale) if given is None else int(given)
        for i, (given, bins) in enumerate(zip(pair, out, strict=True))
    )
    return function(x, rois, roi_indices, out, scale, pair, most)


def _grid(rois: Any, axis: int, bins: int, scale: float) -> int:
    """Return the largest number of samples that a bin of any rectangle needs, rounded up to a power of two, so that
    other rectangles hardly ever need another program.
    """
    if rois.ndim != 2 or rois.shape[1] != 4 or not len(rois):
        return 1  # the op says what is wrong
    length = jnp.maximum((rois[:, axis + 2] - rois[:, axis]) * scale, 1).max()
    return 1 << (int(jnp.ceil(length / bins).astype(jnp.int32)) - 1).bit_length()


@composed
def roi_max_align_2d(x, rois, roi_indices, outsize: Any, spatial_scale: float, sampling_ratio: Any = None):
    """Largest of the samples in each bin of rectangles, read between pixels.

    Args:
        x: Images ``(n, c, h, w)``, floating dtype.
        rois: ``(r, 4)``, dtype of ``x``: y_min, x_min, y_max, x_max.
        roi_indices: Index of each rectangle's image ``(r,)``, integers.
        outsize: Number of bins, an int or (height, width).
        spatial_scale: Scale of the rectangles' numbers to pixels of ``x``.
        sampling_ratio: Samples in a bin along each axis, an int or a pair; None: one for each pixel, rounded up. Their
            largest number is read from ``rois``: in static mode that makes a guard.

    Returns:
        ``(r, c, oh, ow)``, dtype of ``x``; -inf where no sample is in the image.

    At ties: the gradient goes to the first of the tied samples, row by row.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        TypeError: An option is not positive.
        IndexError: A NumPy index names an image that is not there.

    Source: He et al. 2017, Mask R-CNN, arXiv:1703.06870.

    Examples:
        >>> x = np.arange(16.0, dtype=np.float32).reshape(1, 1, 4, 4)
        >>> F.roi_max_align_2d(x, np.float32([[0, 0, 2, 2]]), np.int32([0]), 1, 1.0).array
        Array([[[[7.5]]]], dtype=float32)
    """
    return _align(_roi_max_align_2d, x, rois, roi_indices, outsize, spatial_scale, sampling_ratio)


@composed
def roi_average_align_2d(x, rois, roi_indices, outsize: Any, spatial_scale: float, sampling_ratio: Any = None):
    """Mean of the samples in each bin of rectangles, read between pixels.

    Args:
        x: Images ``(n, c, h, w)``, floating dtype.
        rois: ``(r, 4)``, dtype of ``x``: y_min, x_min, y_max, x_max.
        roi_indices: Index of each rectangle's image ``(r,)``, integers.
        outsize: Number of bins, an int or (height, width).
        spatial_scale: Scale of the rectangles' numbers to pixels of ``x``.
        sampling_ratio: Samples in a bin along each axis, an int or a pair; None: one for each pixel, rounded up. Their
            largest number is read from ``rois``: in static mode that makes a guard.

    Returns:
        ``(r, c, oh, ow)``, dtype of ``x``; samples outside the image count as 0.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        TypeError: An option is not positive.
        IndexError: A NumPy index names an image that is not there.

    Source: He et al. 2017, Mask R-CNN, arXiv:1703.06870.

    Examples:
        >>> x = np.arange(16.0, dtype=np.float32).reshape(1, 1, 4, 4)
        >>> F.roi_average_align_2d(x, np.float32([[0, 0, 2, 2]]), np.int32([0]), 1, 1.0).array
        Array([[[[5.]]]], dtype=float32)
    """
    return _align(_roi_average_align_2d, x, rois, roi_indices, outsize, spatial_scale, sampling_ratio)
