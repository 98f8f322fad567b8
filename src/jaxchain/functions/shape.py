"""Shapes: reshaping, joining, splitting, broadcasting, casting."""

import math
import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Shaped

from jaxchain.core.config import config, is_debug
from jaxchain.core.errors import InvalidType, expect
from jaxchain.core.op import Array, op
from jaxchain.core.variable import as_variable
from jaxchain.functions.checks import as_shape, axis_in_range, broadcastable, left_to_numpy, same_dtype, same_shape
from jaxchain.functions.composed import composed


@op(label="Reshape")
def _reshape(x: Shaped[Array, "..."], shape: tuple[int, ...]) -> Shaped[Array, "..."]:
    known = math.prod(n for n in shape if n >= 0)
    if any(n < 0 for n in shape):
        with left_to_numpy():
            expect(known > 0 or x.size > 0, "a size that -1 can stand for", f"x.shape = {x.shape}, shape = {shape}")
        expect(
            known > 0 and x.size % known == 0,
            f"prod(x.shape) % known_size(={known}) == 0",
            f"x.shape = {x.shape}, shape = {shape}",
        )
    else:
        expect(
            x.size == known,
            "prod(x.shape) == prod(shape)",
            f"{x.size} != {known}: x.shape = {x.shape}, shape = {shape}",
        )
    return x.reshape(shape)


@composed
def reshape(x, shape: Sequence[int]):
    """Give an array another shape, keeping the order of its elements.

    Args:
        x: Any shape and dtype.
        shape: New shape; at most one size may be -1, which stands for the rest.

    Returns:
        The same elements. ``x`` itself, as a Variable, if it has that shape already.

    Raises:
        InvalidType: The sizes differ.
        AssertionError: More than one size is -1.
        TypeError: The shape is no sequence of integers.

    Source: elementary.

    Examples:
        >>> F.reshape(np.arange(4.0, dtype=np.float32), (2, -1)).array
        Array([[0., 1.],
               [2., 3.]], dtype=float32)
    """
    shape = as_shape("reshape", shape)
    if x.shape == shape:
        return as_variable(x)
    if sum(n < 0 for n in shape) > 1:
        raise AssertionError(f"reshape: at most one size may be -1, got {shape}")
    return _reshape(x, shape)


@composed
def flatten(x):
    """Flatten to one axis.

    Args:
        x: Any shape and dtype.

    Returns:
        One axis of all elements.

    Source: elementary.

    Examples:
        >>> F.flatten(np.float32([[1, 2], [3, 4]])).array
        Array([1., 2., 3., 4.], dtype=float32)
    """
    return reshape(x, (x.size,))


@op(label="Transpose")
def _transpose(x: Shaped[Array, "..."], axes: tuple[int, ...] | None) -> Shaped[Array, "..."]:
    if axes is not None:
        legal = sorted(a % x.ndim for a in axes if -x.ndim <= a < x.ndim) == list(range(x.ndim)) if x.ndim else not axes
        with left_to_numpy():
            expect(legal, "axes is a permutation of the axes of x", f"axes = {axes}, x.ndim = {x.ndim}")
    return x.transpose(axes)


@composed
def transpose(x, axes: Sequence[int] | None = None):
    """Permute axes.

    Args:
        x: Any shape and dtype.
        axes: Which axis of ``x`` comes at each place; None reverses them.

    Returns:
        The same elements.

    Raises:
        InvalidType: ``axes`` is not a permutation.

    Source: elementary.

    Examples:
        >>> F.transpose(np.float32([[1, 2, 3]])).shape
        (3, 1)
    """
    return _transpose(x, None if axes is None else tuple(map(int, axes)))


@op(label="Swapaxes")
def _swapaxes(x: Shaped[Array, "..."], axis1: int, axis2: int) -> Shaped[Array, "..."]:
    with left_to_numpy():
        axis_in_range("x", x, axis1)
        axis_in_range("x", x, axis2)
    return x.swapaxes(axis1, axis2)


@composed
def swapaxes(x, axis1: int, axis2: int):
    """Swap two axes.

    Args:
        x: Any shape and dtype.
        axis1: First axis.
        axis2: Second axis.

    Returns:
        The same elements.

    Raises:
        InvalidType: ``x`` has no such axis.
        TypeError: An axis is no integer.

    Source: elementary.

    Examples:
        >>> F.swapaxes(np.zeros((1, 2, 3), np.float32), 0, 2).shape
        (3, 2, 1)
    """
    return _swapaxes(x, operator.index(axis1), operator.index(axis2))


@op(label="Concat")
def _concat(xs: Sequence[Array], axis: int) -> Array:
    first = xs[0]
    axis_in_range("x0", first, axis)
    for i, x in enumerate(xs[1:], 1):
        same_dtype(**{"x0": first, f"x{i}": x})
        expect(x.ndim == first.ndim, f"x0.ndim == x{i}.ndim", f"{first.ndim} != {x.ndim}")
        for d in range(first.ndim):
            if d != axis % first.ndim:
                expect(
                    first.shape[d] == x.shape[d],
                    f"x0.shape[{d}] == x{i}.shape[{d}]",
                    f"{first.shape[d]} != {x.shape[d]}",
                )
    return jnp.concatenate(xs, axis)


@composed
def concat(xs, axis: int = 1):
    """Join arrays along an axis.

    Args:
        xs: Arrays of one dtype whose other axes agree; at least one.
        axis: The axis to join along.

    Returns:
        The joined array.

    Raises:
        InvalidType: Dtypes or other axes differ, or there is no such axis.
        TypeError: ``axis`` is not an int.
        ValueError: ``xs`` is empty.

    Source: elementary.

    Examples:
        >>> F.concat([np.float32([[1]]), np.float32([[2]])]).array
        Array([[1., 2.]], dtype=float32)
    """
    if not isinstance(axis, int | np.integer):
        raise TypeError(f"axis must be int, got {type(axis).__name__}")
    return _concat(filled("concat", xs), operator.index(axis))


def filled(name: str, xs: Any) -> list[Any]:
    """Return arrays as a list that is not empty; raises `InvalidType`."""
    xs = list(xs)
    if not xs:
        raise InvalidType("at least one array", "none").located(name, f"{name}()")
    return xs


@op(label="Stack")
def _stack(xs: Sequence[Array], axis: int) -> Array:
    axis_in_range("x0", xs[0], axis, extra=1)
    for i, x in enumerate(xs[1:], 1):
        same_dtype(**{"x0": xs[0], f"x{i}": x})
        same_shape(**{"x0": xs[0], f"x{i}": x})
    return jnp.stack(xs, axis)


@composed
def stack(xs, axis: int = 0):
    """Join arrays along a new axis.

    Args:
        xs: Arrays of one shape and dtype; at least one.
        axis: Where the new axis comes.

    Returns:
        The stacked array.

    Raises:
        InvalidType: Shapes or dtypes differ, or there is no such axis.
        ValueError: ``xs`` is empty.

    Source: elementary.

    Examples:
        >>> F.stack([np.float32([1, 2]), np.float32([3, 4])], axis=1).array
        Array([[1., 3.],
               [2., 4.]], dtype=float32)
    """
    return _stack(filled("stack", xs), operator.index(axis))


@op(label="SplitAxis")
def _split_axis(x: Shaped[Array, "..."], cuts: int | tuple[int, ...], axis: int) -> tuple[Array, ...]:
    axis_in_range("x", x, axis)
    size = x.shape[axis]
    if isinstance(cuts, int):
        expect(cuts > 0 and size % cuts == 0, f"x.shape[{axis}] % sections == 0", f"{size} % {cuts} != 0")
        return tuple(jnp.split(x, cuts, axis))
    last = max(cuts, default=0)
    expect(size >= last, f"x.shape[{axis}] >= max_index", f"{size} < {last}")
    return tuple([lax.slice_in_dim(x, *_part(a, b, size), axis=axis) for a, b in pairwise((0, *cuts, size))])


def _part(start: int, end: int, size: int) -> tuple[int, int]:
    """Return where a slice of an axis starts and ends."""
    start, end, _ = slice(start, end).indices(size)
    return start, max(start, end)


@composed
def split_axis(x, indices_or_sections: int | Sequence[int], axis: int, force_tuple: bool = True):
    """Split along an axis.

    Args:
        x: Any shape and dtype.
        indices_or_sections: Number of equal parts, or where to cut: a part is the slice from one cut to the next
            (a negative cut counts from the end; the part is empty if the next cut lies before it).
        axis: The axis to split.
        force_tuple: Return a tuple also if there is only one part.

    Returns:
        Tuple of the parts.

    Raises:
        InvalidType: The axis does not divide, or a cut lies beyond it.
        TypeError: ``indices_or_sections`` is neither an int nor a sequence of ints.
        ValueError: In debug mode, cuts are not in order.

    Source: elementary.

    Examples:
        >>> [y.shape for y in F.split_axis(np.zeros((2, 5), np.float32), [1, 3], axis=1)]
        [(2, 1), (2, 2), (2, 2)]
    """
    cuts: Any = indices_or_sections
    if isinstance(cuts, np.ndarray):
        if cuts.dtype.kind != "i" and cuts.size > 0:
            raise TypeError("indices_or_sections must be integers")
        if cuts.ndim >= 2:
            raise TypeError("indices_or_sections must be 1-D sequence")
        cuts = cuts.tolist()
    if isinstance(cuts, Sequence) and not isinstance(cuts, str):
        cuts = tuple(map(int, cuts))
    elif isinstance(cuts, int | np.integer):
        cuts = int(cuts)
    else:
        raise TypeError(f"indices_or_sections must be integer or 1-D array.\nActual: {type(cuts)}")
    if is_debug() and isinstance(cuts, tuple) and list(cuts) != sorted(cuts):
        raise ValueError(f"split_axis: indices_or_sections must be sorted, got {cuts}")
    parts = _split_axis(x, cuts, operator.index(axis))
    return parts if force_tuple or len(parts) != 1 else parts[0]


@op(label="Separate")
def separate(x: Shaped[Array, "..."], axis: int = 0) -> tuple[Array, ...]:
    """Split along an axis into the arrays at each of its places; the inverse of `stack`.

    Args:
        x: Any shape and dtype.
        axis: The axis to take apart.

    Returns:
        Tuple of ``x.shape[axis]`` arrays without that axis.

    Raises:
        InvalidType: There is no such axis, or it is empty.

    Source: elementary.

    Examples:
        >>> [y.shape for y in F.separate(np.zeros((2, 3), np.float32))]
        [(3,), (3,)]
    """
    axis_in_range("x", x, axis)
    expect(x.shape[axis] > 0, f"x.shape[{axis}] > 0", "0")
    return tuple(lax.index_in_dim(x, i, axis, keepdims=False) for i in range(x.shape[axis]))


@op(label="Squeeze")
def _squeeze(x: Shaped[Array, "..."], axis: tuple[int, ...] | None) -> Shaped[Array, "..."]:
    for a in axis or ():
        axis_in_range("x", x, a)
        with left_to_numpy():
            expect(x.shape[a] == 1, f"x.shape[{a}] == 1", f"{x.shape[a]} != 1")
    return x.squeeze(axis)


@composed
def squeeze(x, axis: int | tuple[int, ...] | None = None):
    """Remove axes of size one.

    Args:
        x: Any shape and dtype.
        axis: The axis or axes; None for all of size one.

    Returns:
        The remaining axes.

    Raises:
        InvalidType: There is no such axis, or its size is not one.
        TypeError: ``axis`` is no int, tuple of int or None.

    Source: elementary.

    Examples:
        >>> F.squeeze(np.zeros((1, 2, 1), np.float32), axis=0).shape
        (2, 1)
    """
    if isinstance(axis, int):
        axis = (axis,)
    elif not (axis is None or (isinstance(axis, tuple) and all(isinstance(a, int) for a in axis))):
        raise TypeError("axis must be None, int or tuple of ints")
    return _squeeze(x, axis)


@op(label="ExpandDims")
def expand_dims(x: Shaped[Array, "..."], axis: int) -> Shaped[Array, "..."]:
    """Add an axis of size one.

    Args:
        x: Any shape and dtype.
        axis: Where it comes in the result.

    Returns:
        One axis more.

    Raises:
        InvalidType: There is no such place.

    Source: elementary.

    Examples:
        >>> F.expand_dims(np.zeros((2, 3), np.float32), -1).shape
        (2, 3, 1)
    """
    axis = int(axis)  # as Chainer takes 1.0
    axis_in_range("x", x, axis, extra=1)
    return jnp.expand_dims(x, axis)


@op(label="Broadcast")
def _broadcast(xs: Sequence[Array]) -> tuple[Array, ...]:
    broadcastable(**{f"x{i}": x for i, x in enumerate(xs)})
    return tuple(jnp.broadcast_arrays(*xs))


@composed
def broadcast(*args):
    """Broadcast arrays to their common shape.

    Args:
        args: Arrays whose shapes broadcast.

    Returns:
        Tuple of arrays of one shape; a single argument comes back alone.

    Raises:
        InvalidType: The shapes do not broadcast.

    Source: elementary.

    Examples:
        >>> [y.shape for y in F.broadcast(np.zeros((2, 1), np.float32), np.zeros(3, np.float32))]
        [(2, 3), (2, 3)]
    """
    if len(args) == 1:
        return as_variable(args[0])
    return _broadcast(filled("broadcast", args))


@op(label="BroadcastTo")
def _broadcast_to(x: Shaped[Array, "..."], shape: tuple[int, ...]) -> Shaped[Array, "..."]:
    expect(x.ndim <= len(shape), "x.ndim <= len(shape)", f"{x.ndim} > {len(shape)}")
    with left_to_numpy():
        expect(all(n >= 0 for n in shape), "shape >= 0", f"shape = {shape}")
    for i in range(-1, -x.ndim - 1, -1):
        expect(x.shape[i] in (1, shape[i]), f"x.shape[{i}] == {shape[i]} or 1", f"x.shape = {x.shape}, shape = {shape}")
    return jnp.broadcast_to(x, shape)


@composed
def broadcast_to(x, shape: Sequence[int]):
    """Broadcast to a shape.

    Args:
        x: Any shape that broadcasts to ``shape``, any dtype.
        shape: The new shape.

    Returns:
        Array of that shape; ``x`` itself, as a Variable, if it has that shape already.

    Raises:
        InvalidType: ``x`` does not broadcast to ``shape``.

    Source: elementary.

    Examples:
        >>> F.broadcast_to(np.float32([1, 2]), (2, 2)).array
        Array([[1., 2.],
               [1., 2.]], dtype=float32)
    """
    if x.shape == shape:
        return as_variable(x)
    return _broadcast_to(x, as_shape("broadcast_to", shape))


@op(label="Cast")
def _cast(x: Shaped[Array, "..."], typ: str) -> Shaped[Array, "..."]:
    return x.astype(typ)


@composed
def cast(x, typ: Any):
    """Cast to another dtype.

    Args:
        x: Any shape and dtype.
        typ: The new dtype. float64 and int64 become 32-bit unless ``jax_enable_x64`` is on.

    Returns:
        Same shape. The gradient is cast back.

    Source: elementary.

    Examples:
        >>> F.cast(np.float32([1.5]), np.float16).array
        Array([1.5], dtype=float16)
    """
    dtype = jnp.dtype(typ)
    if x.dtype == dtype and not config.enable_backprop:
        return as_variable(x)
    return _cast(x, dtype.name)


def padded(xs: Sequence[Array], length: int, padding: Any) -> Array:
    """Return arrays ``(n_i, ...)`` padded along axis 0 to `length` and stacked: ``(len(xs), length, ...)``."""
    value = jnp.asarray(padding).astype(xs[0].dtype)
    return jnp.stack([lax.pad(x, value, [(0, length - x.shape[0], 0), *[(0, 0, 0)] * (x.ndim - 1)]) for x in xs])
