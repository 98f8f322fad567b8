"""Selection, rounding and interpolation, elementwise."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Num, Shaped

from jaxchain.core.config import recording
from jaxchain.core.errors import expect
from jaxchain.core.op import Array, Undrawn, op
from jaxchain.core.variable import Variable, as_array, as_variable
from jaxchain.functions.arithmetic import sum_to_shape
from jaxchain.functions.checks import broadcastable, left_to_numpy, same_dtype, same_shape
from jaxchain.functions.composed import composed


@op(label="Maximum")
def maximum(x1: Float[Array, "..."], x2: Float[Array, "..."]) -> Float[Array, "..."]:
    """Larger of two arrays, elementwise; shapes broadcast.

    Args:
        x1: Any shape, floating dtype.
        x2: A shape that broadcasts with ``x1``'s, same dtype.

    Returns:
        The broadcast shape, same dtype.

    At ties: the gradient goes to ``x1``.

    Raises:
        InvalidType: The dtypes differ or the shapes do not broadcast.

    Source: elementary.

    Examples:
        >>> F.maximum(np.float32([1, 2]), np.float32([2, 1])).array
        Array([2., 2.], dtype=float32)
    """
    same_dtype(x1=x1, x2=x2)
    broadcastable(x1=x1, x2=x2)
    return jnp.maximum(x1, x2)


@maximum.vjp
def _(gy, y, x1, x2):
    first = x1 >= x2
    return sum_to_shape(jnp.where(first, gy, 0), x1.shape), sum_to_shape(jnp.where(first, 0, gy), x2.shape)


@op(label="Minimum")
def minimum(x1: Float[Array, "..."], x2: Float[Array, "..."]) -> Float[Array, "..."]:
    """Smaller of two arrays, elementwise; shapes broadcast.

    Args:
        x1: Any shape, floating dtype.
        x2: A shape that broadcasts with ``x1``'s, same dtype.

    Returns:
        The broadcast shape, same dtype.

    At ties: the gradient goes to ``x1``.

    Raises:
        InvalidType: The dtypes differ or the shapes do not broadcast.

    Source: elementary.

    Examples:
        >>> F.minimum(np.float32([1, 2]), np.float32([2, 1])).array
        Array([1., 1.], dtype=float32)
    """
    same_dtype(x1=x1, x2=x2)
    broadcastable(x1=x1, x2=x2)
    return jnp.minimum(x1, x2)


@minimum.vjp
def _(gy, y, x1, x2):
    first = x1 <= x2
    return sum_to_shape(jnp.where(first, gy, 0), x1.shape), sum_to_shape(jnp.where(x1 > x2, gy, 0), x2.shape)


@op(label="Clip")
def _clip(x: Float[Array, "..."], x_min: float | None, x_max: float | None) -> Float[Array, "..."]:
    # The gradient of `jnp.clip` at the ends is 1/2; Chainer's is 1.
    low, high = -jnp.inf if x_min is None else x_min, jnp.inf if x_max is None else x_max
    return jnp.where((low <= x) & (x <= high), x, jnp.clip(lax.stop_gradient(x), low, high)).astype(x.dtype)


@composed
def clip(x, x_min: float | None, x_max: float | None):
    r"""Clip values to an interval, elementwise.

    Args:
        x: Any shape, floating dtype.
        x_min: Lower end, or None. Traced: changing it does not recompile.
        x_max: Upper end, or None. Traced.

    Returns:
        Same shape and dtype as ``x``.

    At the ends: gradient 1. At NaN: 0.

    Raises:
        InvalidType: ``x`` is not floating.
        ValueError: Both ends are None, or ``x_min >= x_max``.

    Source: elementary.

    Examples:
        >>> F.clip(np.float32([-2, 0, 2]), -1, 1).array
        Array([-1.,  0.,  1.], dtype=float32)
    """
    if x_min is None and x_max is None:
        raise ValueError("clip: must set either max or min")
    if x_min is not None and x_max is not None and x_min >= x_max:
        raise ValueError(f"clip: x_min must be less than x_max, got {x_min} and {x_max}")
    return _clip(x, x_min, x_max)


@op(label="Where")
def _where(
    condition: Undrawn[Shaped[Array, "..."]], x: Shaped[Array, "..."], y: Shaped[Array, "..."]
) -> Shaped[Array, "..."]:
    expect(condition.dtype == bool, "condition.dtype == bool", condition.dtype)
    same_dtype(x=x, y=y)
    broadcastable(condition=condition, x=x, y=y)
    return jnp.where(condition, x, y)


@composed
def where(condition, x, y):
    """Choose elements from two arrays.

    Args:
        condition: Boolean array (or Variable); no gradient flows to it.
        x: Values where ``condition`` holds.
        y: Values elsewhere, same dtype. All three shapes broadcast.

    Returns:
        The broadcast shape, dtype of ``x``.

    Raises:
        InvalidType: ``condition`` is not boolean, dtypes differ, or shapes do not broadcast.

    Source: elementary.

    Examples:
        >>> F.where(np.array([True, False]), np.float32([1, 2]), np.float32([3, 4])).array
        Array([1., 4.], dtype=float32)
    """
    return _where(as_array(condition), x, y)


def _leaf(function: Any, x: Any) -> Variable:
    """Return what a function gives as a leaf of the graph, as Chainer does."""
    with recording(False):
        return function(as_array(x))


@op
def _floor(x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    return jnp.floor(x).astype(x.dtype)


@composed
def floor(x: Any):
    """Largest whole number that is not larger, elementwise.

    Args:
        x: Any shape, a real dtype.

    Returns:
        Same shape and dtype as ``x``. A leaf: no gradient flows through it.

    Raises:
        TypeError: ``x`` is complex, or no array.

    Source: elementary.

    Examples:
        >>> F.floor(np.float32([-1.5, 0, 2.5])).array
        Array([-2.,  0.,  2.], dtype=float32)
    """
    return _leaf(_floor, x)


@op
def _ceil(x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    return jnp.ceil(x).astype(x.dtype)


@composed
def ceil(x: Any):
    """Smallest whole number that is not smaller, elementwise.

    Args:
        x: Any shape, a real dtype.

    Returns:
        Same shape and dtype as ``x``. A leaf: no gradient flows through it.

    Raises:
        TypeError: ``x`` is complex, or no array.

    Source: elementary.

    Examples:
        >>> F.ceil(np.float32([-1.5, 0, 2.5])).array
        Array([-1.,  0.,  3.], dtype=float32)
    """
    return _leaf(_ceil, x)


@op
def _fix(x: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    return jnp.trunc(x).astype(x.dtype)


@composed
def fix(x: Any):
    """Nearest whole number towards zero, elementwise.

    Args:
        x: Any shape, a real dtype.

    Returns:
        Same shape and dtype as ``x``. A leaf: no gradient flows through it.

    Raises:
        TypeError: ``x`` is complex, or no array.

    Source: elementary.

    Examples:
        >>> F.fix(np.float32([-1.5, 0, 2.5])).array
        Array([-1.,  0.,  2.], dtype=float32)
    """
    return _leaf(_fix, x)


@op
def _sign(x: Num[Array, "..."]) -> Num[Array, "..."]:
    return jnp.sign(x)


@composed
def sign(x: Any):
    """Sign: -1, 0 or 1, elementwise.

    Args:
        x: Any shape, a number dtype.

    Returns:
        Same shape and dtype as ``x``. A leaf: no gradient flows through it.

    Raises:
        InvalidType: ``x`` is boolean.

    Source: elementary.

    Examples:
        >>> F.sign(np.float32([-1.5, 0, 2.5])).array
        Array([-1.,  0.,  1.], dtype=float32)
    """
    return _leaf(_sign, x)


@op
def fmod(x: Float[Array, "..."], divisor: Float[Array, "..."]) -> Float[Array, "..."]:
    """Remainder of a division, with the sign of ``x``, elementwise; shapes broadcast.

    Args:
        x: Any shape, floating dtype.
        divisor: A shape that broadcasts with ``x``'s, same dtype.

    Returns:
        The broadcast shape, same dtype; NaN where ``divisor`` is 0.

    At multiples of ``divisor``: gradients as from the right of the jump, 1 and minus the quotient.

    Raises:
        InvalidType: The dtypes differ or are not floating, or the shapes do not broadcast.

    Source: elementary.

    Examples:
        >>> F.fmod(np.float32([-3, 5]), np.float32([2, 3])).array
        Array([-1.,  2.], dtype=float32)
    """
    same_dtype(x=x, divisor=divisor)
    with left_to_numpy():
        broadcastable(x=x, divisor=divisor)
    return jnp.fmod(x, divisor)


@fmod.vjp
def _(gy, y, x, divisor):
    return sum_to_shape(gy, x.shape), sum_to_shape(-jnp.trunc(lax.stop_gradient(x / divisor)) * gy, divisor.shape)


@op(label="LinearInterpolate")
def linear_interpolate(p: Float[Array, "..."], x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, "..."]:
    """Point between two arrays, ``p * x + (1 - p) * y``, elementwise.

    Args:
        p: Weight of ``x``, any shape, floating dtype.
        x: Same shape and dtype as ``p``.
        y: Same shape and dtype as ``p``.

    Returns:
        Same shape and dtype.

    Raises:
        InvalidType: Shapes or dtypes differ, or are not floating.

    Source: elementary.

    Examples:
        >>> F.linear_interpolate(np.float32([0.25]), np.float32([4]), np.float32([8])).array
        Array([7.], dtype=float32)
    """
    same_dtype(p=p, x=x, y=y)
    same_shape(p=p, x=x, y=y)
    return p * x + (1 - p) * y


@linear_interpolate.vjp
def _(gy, out, p, x, y):
    weighted = p * gy
    return (x - y) * gy, weighted, gy - weighted


@op(label="Identity")
def _identity(inputs: Sequence[Array]) -> tuple[Array, ...]:
    return tuple(inputs)


@composed
def identity(*inputs):
    """Return the inputs: one more node of the graph, and nothing else.

    Args:
        inputs: Arrays of any shapes and dtypes.

    Returns:
        One Variable for one input, else a tuple of them.

    Source: elementary.

    Examples:
        >>> F.identity(np.float32([1, 2])).array
        Array([1., 2.], dtype=float32)
    """
    outputs = _identity([as_variable(x) for x in inputs])
    return outputs[0] if len(outputs) == 1 else outputs
