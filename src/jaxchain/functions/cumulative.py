"""Running sums and products."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxchain.core.op import Array, op
from jaxchain.functions.checks import axis_in_range
from jaxchain.functions.composed import composed


def _axis(name: str, axis: Any) -> int | None:
    if axis is not None and not isinstance(axis, int | np.integer):
        raise TypeError(f"{name}: axis must be int or None, got {type(axis).__name__}")
    return None if axis is None else int(axis)


@op(label="Cumsum")
def _cumsum(x: Float[Array, "..."], axis: int | None) -> Float[Array, "..."]:
    if axis is not None:
        axis_in_range("x", x, axis)
    return jnp.cumsum(x, axis)


@op(label="Cumprod")
def _cumprod(x: Float[Array, "..."], axis: int | None) -> Float[Array, "..."]:
    if axis is not None:
        axis_in_range("x", x, axis)
    return jnp.cumprod(x, axis)


@composed
def cumsum(x, axis: int | None = None):
    """Running sum along an axis.

    Args:
        x: Any shape, floating dtype.
        axis: The axis; None for the flattened array.

    Returns:
        Same shape (flat if ``axis`` is None) and dtype.

    Raises:
        InvalidType: ``x`` is not floating, or has no such axis.
        TypeError: ``axis`` is no int or None.

    Source: elementary.

    Examples:
        >>> F.cumsum(np.float32([1, 2, 3])).array
        Array([1., 3., 6.], dtype=float32)
    """
    return _cumsum(x, _axis("cumsum", axis))


@composed
def cumprod(x, axis: int | None = None):
    """Running product along an axis.

    Args:
        x: Any shape, floating dtype.
        axis: The axis; None for the flattened array.

    Returns:
        Same shape (flat if ``axis`` is None) and dtype.

    At 0: the gradient is exact, also where several elements are zero.

    Raises:
        InvalidType: ``x`` is not floating, or has no such axis.
        TypeError: ``axis`` is no int or None.

    Source: elementary.

    Examples:
        >>> F.cumprod(np.float32([1, 2, 3])).array
        Array([1., 2., 6.], dtype=float32)
    """
    return _cumprod(x, _axis("cumprod", axis))
