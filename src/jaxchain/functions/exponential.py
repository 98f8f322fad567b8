"""Exponentials, logarithms and powers, elementwise."""

import math

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from jaxchain.core.op import Array, op
from jaxchain.functions.arithmetic import quotient


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


@log.vjp
def _(gy, y, x):
    return quotient(gy, x)


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
def expm1(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Exponential minus one, :math:`e^x - 1`, elementwise, with all digits near 0.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``. The gradient is read off the output.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.expm1(np.float32([0, -np.inf])).array
        Array([ 0., -1.], dtype=float32)
    """
    return jnp.expm1(x)


@expm1.vjp
def _(gy, y, x):
    return (y + 1) * gy


@op
def log1p(x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Logarithm of one plus the input, :math:`\log(1 + x)`, elementwise, with all digits near 0.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``; NaN below -1.

    At -1: value -inf, gradient inf.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.log1p(np.float32([0, -1])).array
        Array([  0., -inf], dtype=float32)
    """
    return jnp.log1p(x)


@log1p.vjp
def _(gy, y, x):
    return quotient(gy, 1 + x)


@op
def log2(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Logarithm to base 2, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``; NaN below 0.

    At 0: value -inf, gradient inf.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.log2(np.float32([1, 4])).array
        Array([0., 2.], dtype=float32)
    """
    return jnp.log2(x)


@log2.vjp
def _(gy, y, x):
    return quotient(gy / math.log(2), x)


@op
def log10(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Logarithm to base 10, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``; NaN below 0.

    At 0: value -inf, gradient inf.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.log10(np.float32([1, 0])).array
        Array([  0., -inf], dtype=float32)
    """
    return jnp.log10(x)


@log10.vjp
def _(gy, y, x):
    return quotient(gy * (1 / math.log(10)), x)


@op
def rsqrt(x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Reciprocal of the square root, :math:`1 / \sqrt x`, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``; NaN below 0. The gradient is read off the output.

    At 0: value inf, gradient -inf.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: elementary.

    Examples:
        >>> F.rsqrt(np.float32([4, 1])).array
        Array([0.5, 1. ], dtype=float32)
    """
    return lax.rsqrt(x)


@rsqrt.vjp
def _(gy, y, x):
    return gy * y * y * y * -0.5


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
