"""Sums and products with an array that is broadcast along chosen axes, and the way back: `sum_to`."""

from typing import Any

from jaxtyping import Num

from jaxchain.core.config import is_debug
from jaxchain.core.errors import expect
from jaxchain.core.op import Array, op
from jaxchain.core.variable import as_variable
from jaxchain.functions import shape
from jaxchain.functions.arithmetic import sum_to_shape
from jaxchain.functions.checks import left_to_numpy
from jaxchain.functions.composed import composed


def _along(name: str, x: Any, y: Any, axis: int) -> Any:
    """Return `y` in the shape of `x`, its first axis at `axis`."""
    if is_debug() and x.shape[axis : axis + y.ndim] != y.shape:
        raise AssertionError(f"{name}: axes {axis} and after of x have sizes {x.shape[axis:]}, y has {y.shape}")
    wide = (1,) * axis + tuple(y.shape) + (1,) * (x.ndim - axis - y.ndim)
    return shape.broadcast_to(shape.reshape(y, wide), tuple(x.shape))


@composed
def bias(x, y, axis: int = 1):
    """Sum of two arrays, the second broadcast along the axes that it lacks.

    Args:
        x: Any shape, floating dtype.
        y: Shape of some successive axes of ``x``, or 1 there; same dtype, if both are Variables.
        axis: Axis of ``x`` at which the first axis of ``y`` lies.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: The shapes or dtypes do not fit.
        AssertionError: In debug mode, a size differs from ``x``'s.

    Source: Caffe's bias layer.

    Examples:
        >>> F.bias(np.float32([[1, 2], [3, 4]]), np.float32([10, 20])).array
        Array([[11., 22.],
               [13., 24.]], dtype=float32)
    """
    return x + _along("bias", x, y, axis)


@composed
def scale(x, y, axis: int = 1):
    """Product of two arrays, the second broadcast along the axes that it lacks.

    Args:
        x: Any shape, floating dtype.
        y: Shape of some successive axes of ``x``, or 1 there; same dtype, if both are Variables.
        axis: Axis of ``x`` at which the first axis of ``y`` lies.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: The shapes or dtypes do not fit.
        AssertionError: In debug mode, a size differs from ``x``'s.

    Source: Caffe's scale layer.

    Examples:
        >>> F.scale(np.float32([[1, 2], [3, 4]]), np.float32([10, 20])).array
        Array([[10., 40.],
               [30., 80.]], dtype=float32)
    """
    return x * _along("scale", x, y, axis)


@op(label="SumTo")
def _sum_to(x: Num[Array, "..."], shape: tuple[int, ...]) -> Num[Array, "..."]:
    lead = x.ndim - len(shape)
    fits = lead >= 0 and all(n in (1, m) for n, m in zip(shape, x.shape[max(lead, 0) :], strict=True))
    with left_to_numpy():
        expect(fits, "shape broadcasts to x.shape", f"shape = {shape}, x.shape = {x.shape}")
    return sum_to_shape(x, shape)


@composed
def sum_to(x, shape: tuple[int, ...]):
    """Sum over the axes along which an array of the given shape would be broadcast to ``x``.

    Args:
        x: Any shape, a number dtype.
        shape: A shape that broadcasts to ``x``'s.

    Returns:
        That shape, same dtype; ``x`` itself, as a Variable, if it has it already.

    Raises:
        InvalidType: ``shape`` does not broadcast to ``x``'s.

    Source: elementary.

    Examples:
        >>> F.sum_to(np.float32([[1, 2, 3], [4, 5, 6]]), (2, 1)).array
        Array([[ 6.],
               [15.]], dtype=float32)
    """
    shape = tuple(shape)
    return as_variable(x) if tuple(x.shape) == shape else _sum_to(x, shape)
