"""Indexing: `get_item`, which is what ``x[...]`` calls, adding at an index, one item a row, and views by strides."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Shaped

from jaxchain.core.arrays import info_of
from jaxchain.core.compat import is_tracer
from jaxchain.core.config import is_debug
from jaxchain.core.errors import InvalidType
from jaxchain.core.guard import holds
from jaxchain.core.op import Array, Key, Undrawn, op
from jaxchain.core.variable import Variable, as_array
from jaxchain.functions.checks import integer
from jaxchain.functions.composed import composed

# What stands at one place of an index, once the numbers are taken out: they are arguments of the compiled call, so that
# x[i], x[i : i + n] and x[array] in a loop compile once.
# A truth value is a mask of no axes: it makes an axis of one element, or of none.
INTEGER, WINDOW, SLICE, ARRAY, NEW, REST = "integer", "window", "slice", "array", "new", "rest"
# An integer at an axis whose size is a symbol (of an export) stays in the program.
TRUTH, FIXED = "truth", "fixed"


def _take(x: Array, numbers: Array, indices: Sequence[Array], places: tuple[Any, ...]) -> Array:
    """Take what `places` says; `numbers` holds the integers and the starts of the windows, in order."""
    x = jnp.expand_dims(x, _axes_of_truths(places))
    axis, at = 0, 0
    starts: list[Any] = [np.int32(0)] * x.ndim
    sizes = list(x.shape)
    index: list[Any] = []
    arrays = iter(indices)
    simple = not indices
    for place in places:
        kind = place[0]
        if kind == NEW:
            index.append(None)
            continue
        if kind == REST:
            index.append(Ellipsis)
            axis += place[1]
            continue
        if kind == SLICE:
            index.append(slice(*place[1:]))
        elif kind == FIXED:
            index.append(place[1])
        elif kind == WINDOW:
            starts[axis], sizes[axis] = numbers[at], place[1]
            index.append(slice(None))
            at += 1
        elif kind in (ARRAY, TRUTH):
            index.append(next(arrays))
        elif simple:
            starts[axis], sizes[axis] = numbers[at], 1
            index.append(0)
            at += 1
        else:  # beside an array, an integer is an array too: it decides where the new axes go
            index.append(numbers[at])
            at += 1
        axis += 1
    if at:
        x = lax.dynamic_slice(x, starts, sizes)
    return x[tuple(index)]


def _axes_of_truths(places: tuple[Any, ...]) -> list[int]:
    axis, found = 0, []
    for place in places:
        if place[0] == TRUTH:
            found.append(axis)
        axis += place[1] if place[0] == REST else place[0] != NEW
    return found


@op(label="GetItem")
def _get_item(
    x: Shaped[Array, "..."], numbers: Key, indices: Undrawn[Sequence[Array]], places: tuple[Any, ...]
) -> Shaped[Array, "..."]:
    return _take(x, numbers, indices, places)


@composed
def get_item(x, slices: Any):
    """Index an array: integers, slices, ``None``, ``...``, integer arrays and boolean masks, as NumPy does.

    Args:
        x: Any shape and dtype.
        slices: The index, or a tuple (or list) of them. Integers, starts of slices with step 1 and arrays are arguments
            of the compiled call: another value does not compile.

    Returns:
        The chosen elements. Where an element is chosen more than once its gradients add up.

    Raises:
        IndexError: An index is out of range, there are too many, arrays do not broadcast, or a mask is used inside a
            static call.

    Source: NumPy's indexing.

    Examples:
        >>> F.get_item(np.float32([[1, 2], [3, 4]]), (slice(None), 1)).array
        Array([2., 4.], dtype=float32)
    """
    return _get_item(x, *_parsed(x.shape, _as_tuple(slices)))


def _as_tuple(slices: Any) -> tuple[Any, ...]:
    """Return an index as a tuple; a list of integers is one index."""
    if isinstance(slices, list):
        return (slices,) if all(isinstance(s, int) for s in slices) else tuple(slices)
    return slices if isinstance(slices, tuple) else (slices,)


def _parsed(shape: tuple[int, ...], slices: tuple[Any, ...]) -> tuple[np.ndarray, list[Any], tuple[Any, ...]]:
    """Return an index as (numbers, index arrays, what stands at each place): the arguments of `_take`."""
    places: list[tuple[Any, ...]] = []
    numbers: list[int] = []
    indices: list[Any] = []
    rest = len(shape) - sum([_consumes(s) for s in slices])
    if rest < 0:
        raise IndexError(f"get_item: too many indices: {len(shape) - rest} for shape {shape}")
    axis = 0
    for s in slices:
        if s is None:
            places.append((NEW,))
        elif s is Ellipsis:
            if (REST, rest) in places:
                raise IndexError("get_item: only one Ellipsis is allowed")
            places.append((REST, rest))
            axis += rest
        elif isinstance(s, slice):
            start, stop, step = s.indices(shape[axis]) if isinstance(shape[axis], int) else (0, 0, None)  # a symbol
            size = len(range(start, stop, step or 1))
            if step != 1:
                places.append((SLICE, s.start, s.stop, s.step))
            elif size == shape[axis]:
                places.append((SLICE, None, None, None))
            else:
                places.append((WINDOW, size))
                numbers.append(start if size else 0)
            axis += 1
        elif _is_truth(s):
            places.append((TRUTH,))
            indices.append(np.zeros(int(bool(s)), np.int32))
        elif isinstance(s, int | np.integer):
            n = shape[axis]
            if not -n <= s < n:
                raise IndexError(f"get_item: index {s} is out of bounds for axis {axis} with size {n}")
            if isinstance(n, int):
                places.append((INTEGER,))
                numbers.append(int(s) % n)
            else:
                places.append((FIXED, int(s)))
            axis += 1
        else:
            for array in index_arrays(s, shape, axis):
                places.append((ARRAY,))
                indices.append(array)
                axis += 1
    if len(indices) > 1:
        try:
            np.broadcast_shapes(*[i.shape for i in indices])
        except ValueError:
            shapes = ", ".join(str(tuple(i.shape)) for i in indices)
            raise IndexError(f"get_item: index arrays of shapes {shapes} do not broadcast") from None
    return np.array(numbers, np.int32), indices, tuple(places)


def _is_truth(s: Any) -> bool:
    return isinstance(s, bool | np.bool_) or (isinstance(s, np.ndarray) and s.shape == () and s.dtype == bool)


def _consumes(s: Any) -> int:
    """Return how many axes an index takes."""
    if s is None or s is Ellipsis or _is_truth(s):
        return 0
    if isinstance(s, slice | int):
        return 1
    s = s.array if isinstance(s, Variable) else s
    if not isinstance(s, np.ndarray | jax.Array):
        s = np.asarray(s)
    return s.ndim if s.dtype == bool else 1


def index_arrays(s: Any, shape: tuple[int, ...], axis: int) -> Sequence[Any]:
    """Return an array index as integer arrays: one, or one per axis of a boolean mask."""
    if isinstance(s, Variable):
        s = s.array
    if not isinstance(s, np.ndarray | jax.Array):
        s = np.asarray(s)
        if s.size == 0:
            s = s.astype(np.int32)
    if s.dtype == bool:
        if is_tracer(s):
            raise IndexError(
                "get_item: the shape of x[mask] depends on the mask's values, which a static call does not know. "
                "Use F.where, or keep the call eager"
            )
        if s.shape not in ((0,), shape[axis : axis + s.ndim]):  # an empty mask fits, as in NumPy
            raise IndexError(f"get_item: mask of shape {s.shape} does not fit axes {shape[axis : axis + s.ndim]}")
        return [i.astype(np.int32) for i in np.nonzero(np.asarray(s))]
    if not np.issubdtype(s.dtype, np.integer):
        raise IndexError(f"get_item: arrays used as indices must be of integer or boolean type, got {s.dtype}")
    in_range("get_item", s, shape, axis)
    return [s]


def in_range(function: str, index: Any, shape: Sequence[int], axis: int) -> None:
    """Raise IndexError unless a NumPy array's integers are indices along `axis`: a check that costs no transfer."""
    if isinstance(index, np.ndarray) and index.size and index.dtype.kind in "iu":
        n = shape[axis]
        if index.min() < -n or index.max() >= n:
            raise IndexError(f"{function}: an index is out of bounds for axis {axis} with size {n}")


@functools.lru_cache(maxsize=1024)
def _taken_shape(
    shape: tuple[int, ...], indices: tuple[tuple[int, ...], ...], places: tuple[Any, ...]
) -> tuple[int, ...]:
    """Return the shape of what `_take` takes, for index arrays of the given shapes."""
    count = sum(p[0] in (INTEGER, WINDOW) for p in places)
    x, numbers, *arrays = [jax.ShapeDtypeStruct(s, np.int32) for s in (shape, (count,), *indices)]
    return jax.eval_shape(lambda x, numbers, arrays: _take(x, numbers, arrays, places), x, numbers, arrays).shape


@op(label="ScatterAdd")
def _scatter_add(
    a: Shaped[Array, "..."],
    b: Shaped[Array, "..."],
    numbers: Key,
    indices: Undrawn[Sequence[Array]],
    places: tuple[Any, ...],
) -> Shaped[Array, "..."]:
    # Adding at an index is the transpose of taking from it: one meaning of an index serves both.
    (added,) = jax.linear_transpose(lambda x: _take(x, numbers, indices, places), a)(b.astype(a.dtype))
    return a + added


@composed
def scatter_add(a, slices: Any, b):
    """Add to the elements at an index; an element that is named more than once is added to each time.

    Args:
        a: Any shape and dtype.
        slices: The index, as in `get_item`.
        b: What to add: the shape of ``a[slices]``.

    Returns:
        A new array of the shape and dtype of ``a``.

    Raises:
        IndexError: An index is out of range, or arrays do not broadcast.
        InvalidType: There are too many.
        ValueError: ``b`` has another shape than ``a[slices]``.

    Source: elementary.

    Examples:
        >>> F.scatter_add(np.zeros(3, np.float32), np.int32([0, 2, 2]), np.float32([1, 2, 3])).array
        Array([1., 0., 5.], dtype=float32)
    """
    index = _as_tuple(slices)
    used = sum([_consumes(s) for s in index])
    if used > len(a.shape):
        raise InvalidType("a.ndim >= the number of indices", f"{len(a.shape)} < {used}").located(
            "ScatterAdd", f"scatter_add(a: {info_of(a)!r}, b: {info_of(b)!r})"
        )
    parsed = _parsed(a.shape, index)
    shape = _taken_shape(a.shape, tuple(tuple(i.shape) for i in parsed[1]), parsed[2])
    if tuple(b.shape) != shape:
        raise ValueError(f"scatter_add: b is not broadcast: expected shape {shape}, got {tuple(b.shape)}")
    return _scatter_add(a, b, *parsed)


@op(label="SelectItem")
def _select_item(x: Shaped[Array, "n k"], t: Shaped[Array, " n"]) -> Shaped[Array, " n"]:
    integer("t", t)
    return x[jnp.arange(x.shape[0]), t]


@composed
def select_item(x, t):
    """Take one element of each row, :math:`y_i = x_{i, t_i}`.

    Args:
        x: ``(n, k)``, any dtype.
        t: Which one, ``(n,)``, integers. Negative ones count from the end.

    Returns:
        ``(n,)``.

    Raises:
        InvalidType: Shapes do not fit, or ``t`` is no integer.
        IndexError: A NumPy ``t`` is out of range.
        TypeError: ``t`` is no array.
        ValueError: In debug mode, not ``0 <= t < k``.

    Source: elementary.

    Examples:
        >>> F.select_item(np.float32([[1, 2], [3, 4]]), np.int32([1, 0])).array
        Array([2., 3.], dtype=float32)
    """
    labels = as_array(t)
    if not hasattr(labels, "dtype"):
        raise TypeError(f"select_item: t: expected an array of integers, got {type(t).__name__}")
    if len(x.shape) == 2 and labels.dtype.kind == "i":
        if is_debug() and not holds((labels >= 0) & (labels < x.shape[1])):
            raise ValueError("Each label `t` needs to satisfy `0 <= t < x.shape[1]`")
        in_range("select_item", labels, x.shape, 1)
    return _select_item(x, t)


@op(label="AsStrided")
def _as_strided(
    x: Shaped[Array, "..."], shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> Shaped[Array, "..."]:
    places = np.full(shape, offset, np.int32)
    for axis, (n, stride) in enumerate(zip(shape, strides, strict=True)):
        places += (stride * np.arange(n, dtype=np.int32)).reshape(-1, *[1] * (len(shape) - axis - 1))
    return x.ravel()[places]


@composed
def as_strided(x, shape: Sequence[int], strides: Sequence[int], storage_offset: int | None = None):
    """Read an array's elements, in their order, with a shape and strides of one's own.

    Args:
        x: Any shape and dtype.
        shape: Shape of the result.
        strides: How many elements a step along each axis of the result goes on in ``x`` (not bytes).
        storage_offset: Where to begin; None for 0. Arrays of JAX are no views, so it counts from the begin of ``x``.

    Returns:
        A new array: element :math:`(i, j, ...)` is element ``storage_offset + i * strides[0] + ...`` of ``x``. The
        gradients of elements that are read more than once add up.

    Raises:
        ValueError: The result would reach before the begin or after the end of ``x``, or ``shape`` and ``strides``
            have different lengths.

    Source: NumPy's stride_tricks.

    Examples:
        >>> F.as_strided(np.float32([1, 2, 3, 4]), (3, 2), (1, 1)).array
        Array([[1., 2.],
               [2., 3.],
               [3., 4.]], dtype=float32)
    """
    shape, strides, offset = tuple(map(int, shape)), tuple(map(int, strides)), int(storage_offset or 0)
    if len(shape) != len(strides):
        raise ValueError(f"as_strided: expected as many strides as axes, got shape {shape} and strides {strides}")
    reach = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
    if 0 not in shape and offset + sum(r for r in reach if r < 0) < 0:
        raise ValueError("Out of buffer: too small index was specified")
    if 0 not in shape and offset + sum(r for r in reach if r > 0) >= math.prod(x.shape):
        raise ValueError("Out of buffer: too large index was specified")
    return _as_strided(x, shape, strides, offset)
