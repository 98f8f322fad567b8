"""Trigonometric and hyperbolic functions and their inverses, elementwise. `tanh` is in activation.py."""

import jax.numpy as jnp
from jaxtyping import Float

from jaxchain.core.op import Array, op
from jaxchain.functions.arithmetic import quotient
from jaxchain.functions.checks import broadcastable, left_to_numpy


@op
def sin(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Sine, elementwise.

    Args:
        x: Angle in radians, any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.sin(np.float32([0])).array
        Array([0.], dtype=float32)
    """
    return jnp.sin(x)


@op
def cos(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Cosine, elementwise.

    Args:
        x: Angle in radians, any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.cos(np.float32([0])).array
        Array([1.], dtype=float32)
    """
    return jnp.cos(x)


@op
def tan(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Tangent, elementwise.

    Args:
        x: Angle in radians, any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``. The gradient is read off the output.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.tan(np.float32([0])).array
        Array([0.], dtype=float32)
    """
    return jnp.tan(x)


@tan.vjp
def _(gy, y, x):
    return gy * (1 + jnp.square(y))


@op
def arcsin(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Inverse sine, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``, in [-pi/2, pi/2]; NaN outside [-1, 1].

    At the ends: gradient inf.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.arcsin(np.float32([0])).array
        Array([0.], dtype=float32)
    """
    return jnp.arcsin(x)


@op
def arccos(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Inverse cosine, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``, in [0, pi]; NaN outside [-1, 1].

    At the ends: gradient -inf.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.arccos(np.float32([1])).array
        Array([0.], dtype=float32)
    """
    return jnp.arccos(x)


@op
def arctan(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Inverse tangent, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``, in [-pi/2, pi/2].

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.arctan(np.float32([0])).array
        Array([0.], dtype=float32)
    """
    return jnp.arctan(x)


@op
def arctan2(x1: Float[Array, "..."], x2: Float[Array, "..."]) -> Float[Array, "..."]:
    """Angle of the point ``(x2, x1)``, elementwise; shapes broadcast.

    Args:
        x1: Vertical coordinate, any shape, floating dtype.
        x2: Horizontal coordinate, a shape that broadcasts with ``x1``'s.

    Returns:
        The broadcast shape, in [-pi, pi].

    At 0: where both are 0 the gradient is NaN.

    Raises:
        InvalidType: An input is not floating, or the shapes do not broadcast.

    Source: elementary.

    Examples:
        >>> F.arctan2(np.float32([0]), np.float32([1])).array
        Array([0.], dtype=float32)
    """
    with left_to_numpy():
        broadcastable(x1=x1, x2=x2)
    return jnp.arctan2(x1, x2)


@op
def sinh(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Hyperbolic sine, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.sinh(np.float32([0])).array
        Array([0.], dtype=float32)
    """
    return jnp.sinh(x)


@op
def cosh(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Hyperbolic cosine, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.cosh(np.float32([0])).array
        Array([1.], dtype=float32)
    """
    return jnp.cosh(x)


@op(label="Arctanh")
def arctanh(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Inverse hyperbolic tangent, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``; NaN outside [-1, 1].

    At the ends: value and gradient are infinite.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.arctanh(np.float32([0, 1])).array
        Array([ 0., inf], dtype=float32)
    """
    return jnp.arctanh(x)


@arctanh.vjp
def _(gy, y, x):
    return quotient(gy, 1 - x * x)
