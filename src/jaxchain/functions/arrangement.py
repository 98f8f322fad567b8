"""Elements in another order: stacking side by side, repeating, reversing, moving axes, diagonals, padding."""

import contextlib
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from jaxchain.core.config import is_debug
from jaxchain.core.errors import expect
from jaxchain.core.guard import holds
from jaxchain.core.op import Array, Key, op
from jaxchain.core.variable import as_array
from jaxchain.functions.checks import axis_in_range, left_to_numpy, one_of, same_dtype
from jaxchain.functions.composed import composed
from jaxchain.functions.indexing import index_arrays

# -- side by side -----------------------------------------------------------------------------------------------------


def _joinable(xs: Sequence[Array], axis: int, raised: int) -> None:
    """Raise `InvalidType` unless the arrays agree on all but `axis`; below `raised` axes the axis is a new one."""
    expect(len(xs) > 0, "len(xs) > 0", "0")
    first = xs[0]
    for i, x in enumerate(xs[1:], 1):
        same_dtype(**{"x0": first, f"x{i}": x})
        expect(first.ndim == x.ndim, f"x0.ndim == x{i}.ndim", f"{first.ndim} != {x.ndim}")
        for d in range(first.ndim):
            expect(
                (d == axis and first.ndim >= raised) or first.shape[d] == x.shape[d],
                f"x0.shape[{d}] == x{i}.shape[{d}]",
                f"{first.shape} and {x.shape}",
            )


@op(label="Hstack")
def hstack(xs: Sequence[Array]) -> Array:
    """Concatenate side by side: along the second axis, or the first of vectors.

    Args:
        xs: Arrays of one dtype that agree on all other axes. Scalars count as vectors of one element.

    Returns:
        The arrays side by side.

    Raises:
        InvalidType: Dtypes, numbers of axes or other axes differ, or there is no array.

    Source: NumPy's hstack.

    Examples:
        >>> F.hstack([np.float32([1, 2]), np.float32([3])]).array
        Array([1., 2., 3.], dtype=float32)
    """
    _joinable(xs, 0 if xs and xs[0].ndim == 1 else 1, 1)
    return jnp.hstack(list(xs))


@op(label="Vstack")
def vstack(xs: Sequence[Array]) -> Array:
    """Concatenate on top of each other: along the first axis.

    Args:
        xs: Arrays of one dtype that agree on all other axes. Vectors count as rows.

    Returns:
        The arrays on top of each other, at least two axes.

    Raises:
        InvalidType: Dtypes, numbers of axes or other axes differ, or there is no array.

    Source: NumPy's vstack.

    Examples:
        >>> F.vstack([np.float32([1, 2]), np.float32([3, 4])]).shape
        (2, 2)
    """
    _joinable(xs, 0, 2)
    return jnp.vstack(list(xs))


@op(label="Dstack")
def dstack(xs: Sequence[Array]) -> Array:
    """Concatenate in depth: along the third axis.

    Args:
        xs: Arrays of one dtype that agree on all other axes. ``(n,)`` counts as ``(1, n, 1)``, ``(m, n)`` as
            ``(m, n, 1)``.

    Returns:
        At least three axes.

    Raises:
        InvalidType: Dtypes, numbers of axes or other axes differ, or there is no array.

    Source: NumPy's dstack.

    Examples:
        >>> F.dstack([np.float32([1, 2]), np.float32([3, 4])]).shape
        (1, 2, 2)
    """
    _joinable(xs, 2, 3)
    return jnp.dstack(list(xs))


# -- repeating --------------------------------------------------------------------------------------------------------


def _counts(name: str, value: Any) -> tuple[int, ...]:
    """Return an int or a tuple of ints as a tuple."""
    counts = (value,) if isinstance(value, int | np.integer) else value
    if not (isinstance(counts, tuple) and all(isinstance(n, int | np.integer) for n in counts)):
        raise TypeError(f"{name} must be int or tuple of ints, got {type(value).__name__}")
    if any(n < 0 for n in counts):
        raise ValueError(f"all elements in {name} must be zero or larger, got {value}")
    return tuple(map(int, counts))


@op(label="Tile")
def _tile(x: Shaped[Array, "..."], reps: tuple[int, ...]) -> Shaped[Array, "..."]:
    return jnp.tile(x, reps)


@composed
def tile(x, reps: int | tuple[int, ...]):
    """Lay copies of an array side by side.

    Args:
        x: Any shape and dtype.
        reps: How many copies along each axis, counted from the last; one number is for the last axis.

    Returns:
        The copies. The gradient adds up over them.

    Raises:
        TypeError: ``reps`` is no int or tuple of ints.
        ValueError: A number is negative.

    Source: NumPy's tile.

    Examples:
        >>> F.tile(np.float32([1, 2]), 2).array
        Array([1., 2., 1., 2.], dtype=float32)
    """
    return _tile(x, _counts("reps", reps))


@op(label="Repeat")
def _repeat(x: Shaped[Array, "..."], repeats: tuple[int, ...], axis: int | None) -> Shaped[Array, "..."]:
    if axis is None:
        x, axis = x.ravel(), 0
    with left_to_numpy():
        axis_in_range("x", x, axis)
        if len(repeats) != 1:
            expect(len(repeats) == x.shape[axis], "len(repeats) == x.shape[axis]", f"{len(repeats)} != {x.shape[axis]}")
    if len(repeats) == 1:
        return jnp.repeat(x, repeats[0], axis)
    return jnp.take(x, np.repeat(np.arange(len(repeats)), repeats), axis)


@composed
def repeat(x, repeats: int | tuple[int, ...], axis: int | None = None):
    """Repeat each element.

    Args:
        x: Any shape and dtype.
        repeats: How often: one number for all, or one for each place along the axis.
        axis: The axis; None for the flattened array.

    Returns:
        Elements next to their copies. The gradient adds up over them.

    Raises:
        InvalidType: There is no such axis, or it has another length than ``repeats``.
        TypeError: ``repeats`` is no int or tuple of ints, or ``axis`` no int.
        ValueError: A number is negative.

    Source: NumPy's repeat.

    Examples:
        >>> F.repeat(np.float32([1, 2]), (2, 1)).array
        Array([1., 1., 2.], dtype=float32)
    """
    counts = _counts("repeats", repeats)
    if axis is not None and (not isinstance(axis, int) or isinstance(axis, bool)):
        raise TypeError(f"axis must be int or None, got {type(axis).__name__}")
    return _repeat(x, counts, axis)


# -- reversing and moving ---------------------------------------------------------------------------------------------


@op(label="Flip")
def _flip(x: Shaped[Array, "..."], axis: int) -> Shaped[Array, "..."]:
    expect(x.ndim > 0, "x.ndim > 0", "0")
    axis_in_range("x", x, axis)
    return jnp.flip(x, axis)


@composed
def flip(x, axis: int):
    """Reverse the order along an axis.

    Args:
        x: Any shape with the axis, any dtype.
        axis: The axis.

    Returns:
        Same shape and dtype.

    Raises:
        InvalidType: There is no such axis.
        TypeError: ``axis`` is no int.

    Source: elementary.

    Examples:
        >>> F.flip(np.float32([1, 2, 3]), 0).array
        Array([3., 2., 1.], dtype=float32)
    """
    if not isinstance(axis, int):
        raise TypeError(f"axis must be int, got {type(axis).__name__}")
    return _flip(x, axis)


@op(label="FlipLR")
def fliplr(a: Float[Array, "m n ..."]) -> Float[Array, "m n ..."]:
    """Reverse the order along the second axis: left and right.

    Args:
        a: At least two axes, floating dtype.

    Returns:
        Same shape and dtype.

    Raises:
        InvalidType: ``a`` is not floating or has fewer axes.

    Source: elementary.

    Examples:
        >>> F.fliplr(np.float32([[1, 2]])).array
        Array([[2., 1.]], dtype=float32)
    """
    return jnp.fliplr(a)


@op(label="FlipUD")
def flipud(a: Float[Array, "m ..."]) -> Float[Array, "m ..."]:
    """Reverse the order along the first axis: up and down.

    Args:
        a: At least one axis, floating dtype.

    Returns:
        Same shape and dtype.

    Raises:
        InvalidType: ``a`` is not floating or a scalar.

    Source: elementary.

    Examples:
        >>> F.flipud(np.float32([1, 2])).array
        Array([2., 1.], dtype=float32)
    """
    return jnp.flipud(a)


@op(label="Moveaxis")
def _moveaxis(x: Float[Array, "..."], source: tuple[int, ...], destination: tuple[int, ...]) -> Float[Array, "..."]:
    for axis in (*source, *destination):
        axis_in_range("x", x, axis)
    return jnp.moveaxis(x, source, destination)


@composed
def moveaxis(x, source: int | Sequence[int], destination: int | Sequence[int]):
    """Move axes to other places; the others keep their order.

    Args:
        x: Any shape, floating dtype.
        source: The axes to move.
        destination: Where each goes.

    Returns:
        Axes in another order.

    Raises:
        InvalidType: There is no such axis, or ``x`` is not floating.
        ValueError: An axis is named twice, or the two are not as many.

    Source: NumPy's moveaxis.

    Examples:
        >>> F.moveaxis(np.zeros((2, 3, 4), np.float32), 0, -1).shape
        (3, 4, 2)
    """
    moved = [tuple(map(operator.index, a if isinstance(a, Iterable) else (a,))) for a in (source, destination)]
    ndim = len(x.shape)
    for name, axes in zip(("source", "destination"), moved, strict=True):
        if all(-ndim <= a < ndim for a in axes) and len({a % ndim for a in axes}) != len(axes):
            raise ValueError(f"duplicate value in {name} axis: ({', '.join(map(str, axes))})")
    if len(moved[0]) != len(moved[1]):
        raise ValueError(f"as many axes in source as in destination are needed, got {moved[0]} and {moved[1]}")
    return _moveaxis(x, *moved)


@op(label="Rollaxis")
def _rollaxis(x: Shaped[Array, "..."], axis: int, start: int) -> Shaped[Array, "..."]:
    axis_in_range("x", x, axis)
    expect(-x.ndim <= start <= x.ndim, f"{-x.ndim} <= start <= x.ndim", f"start = {start}, x.ndim = {x.ndim}")
    return jnp.rollaxis(x, axis, start)


@composed
def rollaxis(x, axis: int, start: int = 0):
    """Move an axis before another one.

    Args:
        x: Any shape and dtype.
        axis: The axis to move.
        start: The axis that it will stand before; ``x.ndim`` puts it last.

    Returns:
        Axes in another order.

    Raises:
        InvalidType: There is no such axis.
        TypeError: An argument is no int.

    Source: NumPy's rollaxis.

    Examples:
        >>> F.rollaxis(np.zeros((2, 3, 4), np.float32), 2).shape
        (4, 2, 3)
    """
    for name, value in (("axis", axis), ("start", start)):
        if not isinstance(value, int):
            raise TypeError(f"{name} must be int, got {type(value).__name__}")
    return _rollaxis(x, axis, start)


@op(label="Diagonal")
def diagonal(x: Shaped[Array, "..."], offset: int = 0, axis1: int = 0, axis2: int = 1) -> Shaped[Array, "..."]:
    """Take the diagonal of two axes.

    Args:
        x: At least two axes, any dtype.
        offset: How far above the main diagonal; negative below.
        axis1: The axis of rows.
        axis2: The axis of columns.

    Returns:
        The other axes, then the diagonal. The gradient is zero beside it.

    Raises:
        InvalidType: There is no such axis, or both are the same.

    Source: NumPy's diagonal.

    Examples:
        >>> F.diagonal(np.float32([[1, 2], [3, 4]])).array
        Array([1., 4.], dtype=float32)
    """
    axis_in_range("x", x, axis1)
    axis_in_range("x", x, axis2)
    with left_to_numpy():
        expect(axis1 % x.ndim != axis2 % x.ndim, "axis1 != axis2", f"axis1 = {axis1}, axis2 = {axis2}")
    x = jnp.moveaxis(x, (axis1, axis2), (-2, -1))
    length = min(x.shape[-2] + min(offset, 0), x.shape[-1] - max(offset, 0))
    rows = np.arange(max(length, 0)) - min(offset, 0)
    return x[..., rows, rows + offset]  # jnp.diagonal keeps x for the gradient


@op(label="Permutate")
def _permutate(x: Shaped[Array, "..."], indices: Key, size: int, axis: int, inv: bool) -> Shaped[Array, "..."]:
    axis_in_range("x", x, axis)
    if inv:
        indices = jnp.zeros_like(indices).at[indices].set(jnp.arange(indices.size, dtype=indices.dtype))
    return jnp.take(x, indices, axis)


@composed
def permutate(x, indices, axis: int = 0, inv: bool = False):
    """Put the places along an axis into another order.

    Args:
        x: Any shape with the axis, any dtype.
        indices: The place that each place of the result comes from, ``(x.shape[axis],)``, integers. Traced: other
            numbers do not compile.
        axis: The axis. (Chainer 7.8.1 permutes the first one for every negative number.)
        inv: Undo the permutation instead.

    Returns:
        Same shape and dtype.

    Raises:
        InvalidType: There is no such axis.
        IndexError: A NumPy index is out of range.
        ValueError: ``indices`` is no vector of integers; in debug mode also if it is no permutation.

    Source: elementary.

    Examples:
        >>> F.permutate(np.float32([1, 2, 3]), np.int32([2, 0, 1])).array
        Array([3., 1., 2.], dtype=float32)
    """
    indices = as_array(indices)
    if indices.dtype.kind != "i" or indices.ndim != 1:
        raise ValueError(f"indices should be a one-dimensional int array, got {indices.dtype}{list(indices.shape)}")
    if is_debug() and not holds(jnp.sort(indices) == np.arange(indices.size)):
        raise ValueError("indices should be a permutation of 0, 1, ...: one is out of bounds or duplicate")
    if -len(x.shape) <= axis < len(x.shape):
        (indices,) = index_arrays(indices, x.shape, axis)
    return _permutate(x, indices, indices.size, operator.index(axis), bool(inv))  # the size is part of what is compiled


# -- padding ----------------------------------------------------------------------------------------------------------

PAD_KEYWORDS = {
    "constant": ("constant_values",),
    "edge": (),
    "empty": (),
    "linear_ramp": ("end_values",),
    "maximum": ("stat_length",),
    "mean": ("stat_length",),
    "median": ("stat_length",),
    "minimum": ("stat_length",),
    "reflect": ("reflect_type",),
    "symmetric": ("reflect_type",),
    "wrap": (),
}


@op(label="Pad")
def _pad(
    x: Float[Array, "..."], width: Any, mode: str, keywords: tuple[tuple[str, Any], ...], value: float
) -> Float[Array, "..."]:
    if mode == "constant" and not keywords:
        return jnp.pad(x, width, constant_values=jnp.asarray(value).astype(x.dtype))
    return jnp.pad(x, width, mode, **dict(keywords))


def _tuples(value: Any) -> Any:
    """Return nested sequences as tuples, which can be static arguments."""
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


@composed
def pad(
    x,
    pad_width: Any,
    mode: str,
    *,
    constant_values: Any = None,
    end_values: Any = None,
    stat_length: Any = None,
    reflect_type: str | None = None,
):
    """Pad an array at both ends of its axes.

    Args:
        x: Any shape, floating dtype.
        pad_width: How much: one number, ``(before, after)``, or one such pair for each axis.
        mode: As in `numpy.pad`: 'constant', 'edge', 'empty', 'linear_ramp', 'maximum', 'mean', 'median', 'minimum',
            'reflect', 'symmetric' or 'wrap'.
        constant_values: For 'constant'; 0 by default. One number is traced.
        end_values: For 'linear_ramp'; 0 by default.
        stat_length: For 'maximum', 'mean', 'median', 'minimum': how many elements at the end they are of.
        reflect_type: For 'reflect' and 'symmetric': 'even' (default) or 'odd'.

    Returns:
        The padded array. The gradient counts what padded elements depend on. (Chainer 7.8.1 leaves them out, so its
        gradient is wrong in all modes but 'constant' and 'empty'.)

    Raises:
        InvalidType: ``x`` is not floating, or ``pad_width`` does not fit.
        TypeError: ``pad_width`` is not of integers.
        ValueError: There is no such mode, it takes no such keyword, or a width is negative.

    Source: NumPy's pad.

    Examples:
        >>> F.pad(np.float32([1, 2]), (1, 2), "constant").array
        Array([0., 1., 2., 0., 0.], dtype=float32)
    """
    one_of("mode", mode, tuple(PAD_KEYWORDS))
    given = {
        "constant_values": constant_values,
        "end_values": end_values,
        "stat_length": stat_length,
        "reflect_type": reflect_type,
    }
    keywords = {name: _tuples(value) for name, value in given.items() if value is not None}
    unsupported = set(keywords) - set(PAD_KEYWORDS[mode])
    if unsupported:
        raise ValueError(f"unsupported keyword arguments for mode {mode!r}: {', '.join(sorted(unsupported))}")
    widths = np.asarray(pad_width)
    if widths.dtype.kind not in "iu":
        raise TypeError(f"pad_width must be of integral type, got {pad_width!r}")
    if (widths < 0).any():
        raise ValueError(f"pad_width can't contain negative values, got {pad_width!r}")
    value = keywords.pop("constant_values", 0) if isinstance(constant_values, int | float | None) else 0.0
    with contextlib.suppress(ValueError):  # else jnp.pad says what does not fit
        widths = np.broadcast_to(widths, (max(x.ndim, 1), 2))
    return _pad(x, _tuples(widths), mode, tuple(keywords.items()), value)
