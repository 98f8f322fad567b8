"""Elementwise mathematics and selection."""

import jax.numpy as jnp
from jaxtyping import Float, Shaped

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, op
from jaxchain.core.variable import as_array
from jaxchain.functions.arithmetic import sum_to_shape
from jaxchain.functions.checks import broadcastable, same_dtype


@op
def exp(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Exponential, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``. The gradient is read off the output.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.exp(np.float32([0, -np.inf])).array
        Array([1., 0.], dtype=float32)
    """
    return jnp.exp(x)


@exp.vjp
def _(gy, y, x):
    return gy * y


@op
def log(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Natural logarithm, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``; NaN below 0.

    At 0: value -inf, gradient inf.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.log(np.float32([1, 0])).array
        Array([  0., -inf], dtype=float32)
    """
    return jnp.log(x)


@op
def sqrt(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Square root, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``; NaN below 0. The gradient is read off the output.

    At 0: gradient inf.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.sqrt(np.float32([4, 9])).array
        Array([2., 3.], dtype=float32)
    """
    return jnp.sqrt(x)


@sqrt.vjp
def _(gy, y, x):
    return gy / (y * 2)


@op
def square(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Square, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.square(np.float32([-3, 2])).array
        Array([9., 4.], dtype=float32)
    """
    return jnp.square(x)


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
    return sum_to_shape(jnp.where(first, gy, 0), x1.shape), sum_to_shape(jnp.where(first, 0, gy), x2.shape)


@op(label="Clip", name="clip")
def _clip(x: Float[Array, "..."], x_min: float | None, x_max: float | None) -> Float[Array, "..."]:
    # `where` and not `jnp.clip`: the gradient at the ends is 1, as in Chainer, and not 1/2.
    if x_max is not None:
        x = jnp.where(x > x_max, x_max, x).astype(x.dtype)
    if x_min is not None:
        x = jnp.where(x < x_min, x_min, x).astype(x.dtype)
    return x


def clip(x, x_min: float | None, x_max: float | None):
    r"""Clip values to an interval, elementwise.

    Args:
        x: Any shape, floating dtype.
        x_min: Lower end, or None. Traced: changing it does not recompile.
        x_max: Upper end, or None. Traced.

    Returns:
        Same shape and dtype as ``x``.

    At the ends: gradient 1.

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


@op(label="Where", name="where")
def _where(condition: Shaped[Array, "..."], x: Shaped[Array, "..."], y: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    expect(condition.dtype == bool, "condition.dtype == bool", condition.dtype)
    same_dtype(x=x, y=y)
    broadcastable(condition=condition, x=x, y=y)
    return jnp.where(condition, x, y)


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
