"""Conditions that several ops share, said as Chainer says them. Called in op bodies: at trace time only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.errors import InconclusiveDimensionOperation

from jaxchain.core.errors import InvalidType, InvalidValue, expect, user_line


@contextlib.contextmanager
def left_to_numpy() -> Iterator[None]:
    """Make an `InvalidType` of the block an `InvalidValue`: Chainer leaves the check to NumPy, which raises ValueError.

    Only conditions go into the block.
    """
    try:
        yield
    except InvalidType as error:
        raise InvalidValue(error.expect, error.actual) from None


def same_dtype(**arrays: Any) -> None:
    """Raise `InvalidType` unless all arrays have the dtype of the first."""
    (first, x), *others = arrays.items()
    for name, y in others:
        expect(x.dtype == y.dtype, f"{first}.dtype == {name}.dtype", f"{x.dtype} != {y.dtype}")


def same_shape(**arrays: Any) -> None:
    """Raise `InvalidType` unless all arrays have the shape of the first."""
    (first, x), *others = arrays.items()
    for name, y in others:
        expect(x.shape == y.shape, f"{first}.shape == {name}.shape", f"{x.shape} != {y.shape}")


def broadcastable(**arrays: Any) -> None:
    """Raise `InvalidType` unless the shapes broadcast."""
    try:
        jnp.broadcast_shapes(*(x.shape for x in arrays.values()))  # sizes may be symbols
    except ValueError:
        shapes = "\n".join(f"{name}.shape = {x.shape}" for name, x in arrays.items())
        raise InvalidType(
            "each dimension has the same size or is 1", f"cannot broadcast inputs of the following shapes:\n{shapes}"
        ) from None


def integer(name: str, x: Any) -> None:
    """Raise `InvalidType` unless the array's dtype is an integer."""
    expect(np.issubdtype(x.dtype, np.integer), f"{name}.dtype is integer", x.dtype)


def axis_in_range(name: str, x: Any, axis: int, extra: int = 0) -> None:
    """Raise `InvalidType` unless `axis` is one of x's, counted from either end (`extra` more are allowed)."""
    ndim = x.ndim + extra
    expect(
        -ndim <= axis < ndim,
        f"{-ndim} <= axis < {name}.ndim{f' + {extra}' if extra else ''}",
        f"axis = {axis}, {name}.ndim = {x.ndim}",
    )


def as_shape(name: str, shape: Any) -> tuple[int, ...]:
    """Return a shape as a tuple of ints. Symbolic sizes (`jax.export`) stay as they are.

    Raises:
        TypeError: It is something else; `name` is the function that was called.
    """
    with contextlib.suppress(TypeError, ValueError):
        try:
            if not any(isinstance(n, str) for n in shape):
                return tuple(map(int, shape))
        except InconclusiveDimensionOperation:
            return tuple(shape)
    raise TypeError(f"{name}: expected a tuple of integers for a shape, got {shape!r}\nat {user_line(3)}")


def unbiased(count: Any) -> Any:
    """Return what makes a variance over `count` values unbiased: count / (count - 1), and 1 for one value."""
    return count / (max(count - 1.0, 1.0) if isinstance(count, int) else jnp.maximum(count - 1.0, 1.0))


def axes(axis: Any) -> int | tuple[int, ...] | None:
    """Return `axis` if it is None, an int or a tuple of distinct ints.

    Raises:
        TypeError: It is something else.
        ValueError: An axis appears twice.
    """
    if axis is None or isinstance(axis, int):
        return axis
    if isinstance(axis, tuple) and all(isinstance(a, int) for a in axis):
        if len(set(axis)) != len(axis):
            raise ValueError(f"duplicate value in axis: ({', '.join(map(str, axis))})")
        return axis
    if isinstance(axis, np.integer):
        return int(axis)
    raise TypeError(f"axis: None, int or tuple of int are required, got {type(axis).__name__}")


def one_of(name: str, value: Any, options: tuple[Any, ...]) -> None:
    """Raise ValueError unless `value` is one of the options."""
    if value not in options:
        raise ValueError(f"only {', '.join(map(repr, options))} are valid for {name!r}, but {value!r} is given")


def pair(value: Any) -> tuple[int, int]:
    """Return (v, v) for an int, else the two ints.

    Raises:
        ValueError: `value` has another length.
    """
    if isinstance(value, int | np.integer):
        return int(value), int(value)
    if len(value) != 2:
        raise ValueError(f"expected an int or two, got {value}")
    return int(value[0]), int(value[1])


def sizes(value: Any, ndim: int) -> tuple[int, ...]:
    """Return an int for each of `ndim` axes; one int stands for all.

    Raises:
        AssertionError: `value` has another length.
    """
    if isinstance(value, int | np.integer):
        return (int(value),) * ndim
    if len(value) != ndim:
        raise AssertionError(f"expected {ndim} sizes, got {value}")
    return tuple(int(v) for v in value)


def spatial(x: Any, ndim: int) -> None:
    """Raise ValueError unless `x` has `ndim` axes after samples and channels."""
    if len(x.shape) != ndim + 2:
        raise ValueError(
            f"The number of dimensions under channel dimension of the input 'x' should be {ndim}. "
            f"But the actual ndim was {len(x.shape) - 2}."
        )
