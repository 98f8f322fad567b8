"""Reductions over axes."""

import math
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Int

from jaxchain.core.op import Array, op
from jaxchain.functions import arithmetic, shape
from jaxchain.functions.checks import axes, axis_in_range
from jaxchain.functions.composed import composed

Axis = int | tuple[int, ...] | None


def _check(x: Array, axis: Axis) -> None:
    for a in () if axis is None else (axis,) if isinstance(axis, int) else axis:
        axis_in_range("x", x, a)


def _kept(y: Array, x: Array, axis: Axis) -> Array:
    """Return a reduction of `x` with its reduced axes back, of size one."""
    gone = range(x.ndim) if axis is None else [a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis)]
    return y.reshape([1 if i in gone else n for i, n in enumerate(x.shape)])


@op(label="Sum")
def _sum(x: Float[Array, "..."], axis: Axis, keepdims: bool) -> Float[Array, "..."]:
    _check(x, axis)
    return x.sum(axis, keepdims=keepdims)


@composed
def sum(x, axis: Axis = None, keepdims: bool = False):
    """Sum over axes.

    Args:
        x: Any shape, floating dtype.
        axis: Axis or axes to sum over; None for all.
        keepdims: Leave the summed axes in, of size one.

    Returns:
        The remaining axes, same dtype.

    Raises:
        InvalidType: ``x`` is not floating, or has no such axis.
        TypeError: ``axis`` is no int, tuple of int or None.
        ValueError: An axis is given twice.

    Source: elementary.

    Examples:
        >>> F.sum(np.float32([[1, 2], [3, 4]]), axis=0).array
        Array([4., 6.], dtype=float32)
    """
    return _sum(x, axes(axis), bool(keepdims))


@op(label="Mean")
def _mean(x: Float[Array, "..."], axis: Axis, keepdims: bool) -> Float[Array, "..."]:
    _check(x, axis)
    return x.mean(axis, keepdims=keepdims)


@composed
def average(x, axis: Axis = None, weights: Any = None, keepdims: bool = False):
    """Mean over axes, weighted or not.

    Args:
        x: Any shape, floating dtype.
        axis: Axis or axes to average over; None for all. With ``weights``, at most one.
        weights: Weights along the axis (or of the shape of ``x`` if ``axis`` is None); divided by their sum.
        keepdims: Leave the averaged axes in, of size one.

    Returns:
        The remaining axes, same dtype.

    Raises:
        InvalidType: ``x`` is not floating, or has no such axis.
        TypeError: ``axis`` is no int, tuple of int or None.
        ValueError: An axis is given twice, or several with ``weights``.

    Source: elementary.

    Examples:
        >>> F.average(np.float32([1, 4]), weights=np.float32([3, 1])).array
        Array(1.75, dtype=float32)
    """
    axis = axes(axis)
    if weights is None:
        return _mean(x, axis, bool(keepdims))
    if axis is not None:
        along = {a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis)}
        if isinstance(axis, tuple) and len(along) != len(axis):
            raise ValueError("duplicate value in 'axis'")
        if len(along) > 1:
            raise ValueError("tuple axis is not supported when weights is given")
        axis = tuple(along)
    divider = sum(weights)
    if axis is not None:
        wide = tuple(n if i in axis else 1 for i, n in enumerate(x.shape))
        weights = shape.broadcast_to(shape.reshape(weights, wide), x.shape)
    total = sum(arithmetic.multiply(x, weights), axis, keepdims)
    return arithmetic.divide(total, shape.broadcast_to(divider, total.shape))


@composed
def mean(x, axis: Axis = None, weights: Any = None, keepdims: bool = False):
    """Same as `average`.

    Args:
        x: Any shape, floating dtype.
        axis: Axis or axes to average over; None for all.
        weights: Weights along the axis.
        keepdims: Leave the averaged axes in, of size one.

    Returns:
        The remaining axes, same dtype.

    Source: elementary.

    Examples:
        >>> F.mean(np.float32([1, 4])).array
        Array(2.5, dtype=float32)
    """
    return average(x, axis, weights, keepdims)


@op(label="Max")
def _max(x: Float[Array, "..."], axis: Axis, keepdims: bool) -> Float[Array, "..."]:
    _check(x, axis)
    return x.max(axis, keepdims=keepdims)


@op(label="Min")
def _min(x: Float[Array, "..."], axis: Axis, keepdims: bool) -> Float[Array, "..."]:
    _check(x, axis)
    return x.min(axis, keepdims=keepdims)


def _extreme(gy: Array, x: Array, axis: Axis, reduce: Any) -> Array:
    # The whole gradient to every tied element, as in Chainer; JAX's own rule divides it among them. The extreme is
    # found again: that of the forward may be of values that were computed in another way, and equal to none of these.
    x = lax.optimization_barrier(x)
    return jnp.where(x == reduce(x, axis, keepdims=True), _kept(gy, x, axis), 0)


@_max.vjp
def _(gy, y, x, axis, keepdims):
    return _extreme(gy, x, axis, jnp.max)


@_min.vjp
def _(gy, y, x, axis, keepdims):
    return _extreme(gy, x, axis, jnp.min)


@composed
def max(x, axis: Axis = None, keepdims: bool = False):
    """Largest element over axes.

    Args:
        x: Any shape with at least one element along the axes, floating dtype.
        axis: Axis or axes; None for all.
        keepdims: Leave the reduced axes in, of size one.

    Returns:
        The remaining axes, same dtype.

    At ties: every tied element gets the whole gradient.

    Raises:
        InvalidType: ``x`` is not floating, has no such axis, or is empty along it.

    Source: elementary.

    Examples:
        >>> F.max(np.float32([[1, 2], [3, 4]]), axis=1).array
        Array([2., 4.], dtype=float32)
    """
    return _max(x, axes(axis), bool(keepdims))


@composed
def min(x, axis: Axis = None, keepdims: bool = False):
    """Smallest element over axes.

    Args:
        x: Any shape with at least one element along the axes, floating dtype.
        axis: Axis or axes; None for all.
        keepdims: Leave the reduced axes in, of size one.

    Returns:
        The remaining axes, same dtype.

    At ties: every tied element gets the whole gradient.

    Raises:
        InvalidType: ``x`` is not floating, has no such axis, or is empty along it.

    Source: elementary.

    Examples:
        >>> F.min(np.float32([[1, 2], [3, 4]]), axis=1).array
        Array([1., 3.], dtype=float32)
    """
    return _min(x, axes(axis), bool(keepdims))


@op(label="Prod")
def _prod(x: Float[Array, "..."], axis: Axis, keepdims: bool) -> Float[Array, "..."]:
    _check(x, axis)
    return x.prod(axis, keepdims=keepdims)


@_prod.vjp
def _(gy, y, x, axis, keepdims):
    # Product of the elements before times product of those after: exact where some are zero.
    gone = range(x.ndim) if axis is None else [a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis)]
    order = [*gone, *(i for i in range(x.ndim) if i not in gone)]
    moved = x.transpose(order)
    flat = moved.reshape(math.prod(moved.shape[: len(gone)]), *moved.shape[len(gone) :])
    ones = jnp.ones_like(flat[:1])
    before = jnp.cumprod(jnp.concatenate([ones, flat[:-1]]), 0)
    after = jnp.cumprod(jnp.concatenate([ones, flat[:0:-1]]), 0)[::-1]
    others = (before * after).reshape(moved.shape).transpose([order.index(i) for i in range(x.ndim)])
    return others * _kept(gy, x, axis)


@composed
def prod(x, axis: Axis = None, keepdims: bool = False):
    """Product over axes.

    Args:
        x: Any shape, floating dtype.
        axis: Axis or axes; None for all.
        keepdims: Leave the reduced axes in, of size one.

    Returns:
        The remaining axes, same dtype.

    At 0: the gradient is the product of the other elements, also where some are zero.

    Raises:
        InvalidType: ``x`` is not floating, or has no such axis.

    Source: elementary.

    Examples:
        >>> F.prod(np.float32([2, 3, 4])).array
        Array(24., dtype=float32)
    """
    return _prod(x, axes(axis), bool(keepdims))


@op(label="LogSumExp")
def _logsumexp(x: Float[Array, "..."], axis: Axis) -> Float[Array, "..."]:
    _check(x, axis)
    m = x.max(axis, keepdims=True)
    m = jnp.where(jnp.isfinite(m), m, 0)  # all -inf: -inf, where x - m would be nan
    total = jnp.exp(x - m).sum(axis)
    return jnp.log(total) + m.reshape(total.shape)


@_logsumexp.vjp
def _(gy, y, x, axis):
    y = _kept(y, x, axis)
    return _kept(gy, x, axis) * jnp.exp(x - jnp.where(y == -jnp.inf, 0, y))


@composed
def logsumexp(x, axis: Axis = None):
    r"""Logarithm of the sum of exponentials over axes, without overflow.

    Args:
        x: Any shape, floating dtype.
        axis: Axis or axes; None for all.

    Returns:
        The remaining axes, same dtype. -inf where all elements are (Chainer: nan).

    Raises:
        InvalidType: ``x`` is not floating, or has no such axis.

    Source: elementary.

    Examples:
        >>> F.logsumexp(np.float32([1000, 1000])).array.round(2)
        Array(1000.69, dtype=float32)
    """
    return _logsumexp(x, axes(axis))


def _one_axis(axis: Any) -> int | None:
    axis = axes(axis)
    if isinstance(axis, tuple):
        raise TypeError("axis: None or int are required, got tuple")
    return axis


@op(label="ArgMax")
def _argmax(x: Float[Array, "..."], axis: int | None) -> Int[Array, "..."]:
    _check(x, axis)
    return jnp.argmax(x, axis).astype("int32")


@op(label="ArgMin")
def _argmin(x: Float[Array, "..."], axis: int | None) -> Int[Array, "..."]:
    _check(x, axis)
    return jnp.argmin(x, axis).astype("int32")


@composed
def argmax(x, axis: int | None = None):
    """Index of the largest element along an axis. No gradient.

    Args:
        x: Any shape, floating dtype.
        axis: The axis; None for the index into the flattened array.

    Returns:
        The remaining axes, int32. At ties: the first.

    Raises:
        InvalidType: ``x`` is not floating, or has no such axis.
        TypeError: ``axis`` is no int or None.

    Source: elementary.

    Examples:
        >>> F.argmax(np.float32([[1, 2], [4, 3]]), axis=1).array
        Array([1, 0], dtype=int32)
    """
    return _argmax(x, _one_axis(axis))


@composed
def argmin(x, axis: int | None = None):
    """Index of the smallest element along an axis. No gradient.

    Args:
        x: Any shape, floating dtype.
        axis: The axis; None for the index into the flattened array.

    Returns:
        The remaining axes, int32. At ties: the first.

    Raises:
        InvalidType: ``x`` is not floating, or has no such axis.
        TypeError: ``axis`` is no int or None.

    Source: elementary.

    Examples:
        >>> F.argmin(np.float32([[1, 2], [4, 3]]), axis=1).array
        Array([0, 1], dtype=int32)
    """
    return _argmin(x, _one_axis(axis))
