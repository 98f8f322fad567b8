"""Indexing: `get_item`, which is what ``x[...]`` calls."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jaxtyping import Shaped

from jaxchain.core.compat import is_tracer
from jaxchain.core.op import Array, Key, op
from jaxchain.core.variable import Variable

# What stands at one place of an index, once the numbers are taken out: they are arguments of the compiled call, so that
# x[i], x[i : i + n] and x[array] in a loop compile once.
INTEGER, WINDOW, SLICE, ARRAY, NEW, REST = "integer", "window", "slice", "array", "new", "rest"


@op(label="GetItem", name="get_item")
def _get_item(
    x: Shaped[Array, "..."], numbers: Key, indices: Sequence[Array], places: tuple[Any, ...]
) -> Shaped[Array, "..."]:
    """Take what `places` says; `numbers` holds the integers and the starts of the windows, in order."""
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
        elif kind == WINDOW:
            starts[axis], sizes[axis] = numbers[at], place[1]
            index.append(slice(None))
            at += 1
        elif kind == ARRAY:
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


def get_item(x, slices: Any):
    """Index an array: integers, slices, ``None``, ``...``, integer arrays and boolean masks, as NumPy does.

    Args:
        x: Any shape and dtype.
        slices: The index, or a tuple (or list) of them. Integers, starts of slices with step 1 and arrays are arguments
            of the compiled call: another value does not compile.

    Returns:
        The chosen elements. Where an element is chosen more than once its gradients add up.

    Raises:
        IndexError: An index is out of range, there are too many, or a mask is used inside a static call.

    Source: NumPy's indexing.

    Examples:
        >>> F.get_item(np.float32([[1, 2], [3, 4]]), (slice(None), 1)).array
        Array([2., 4.], dtype=float32)
    """
    if isinstance(slices, list):
        slices = (slices,) if all(isinstance(s, int) for s in slices) else tuple(slices)
    elif not isinstance(slices, tuple):
        slices = (slices,)
    shape = x.shape
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
            start, stop, step = s.indices(shape[axis])
            size = len(range(start, stop, step))
            if step != 1:
                places.append((SLICE, s.start, s.stop, s.step))
            elif size == shape[axis]:
                places.append((SLICE, None, None, None))
            else:
                places.append((WINDOW, size))
                numbers.append(start if size else 0)
            axis += 1
        elif isinstance(s, int | np.integer) and not isinstance(s, bool):
            n = shape[axis]
            if not -n <= s < n:
                raise IndexError(f"get_item: index {s} is out of bounds for axis {axis} with size {n}")
            places.append((INTEGER,))
            numbers.append(int(s) % n)
            axis += 1
        else:
            for array in _index_arrays(s, shape, axis):
                places.append((ARRAY,))
                indices.append(array)
                axis += 1
    return _get_item(x, np.array(numbers, np.int32), indices, tuple(places))


def _consumes(s: Any) -> int:
    """Return how many axes an index takes."""
    if s is None or s is Ellipsis:
        return 0
    if isinstance(s, slice | int):
        return 1
    s = s.array if isinstance(s, Variable) else s
    if not isinstance(s, np.ndarray | jax.Array):
        s = np.asarray(s)
    return s.ndim if s.dtype == bool else 1


def _index_arrays(s: Any, shape: tuple[int, ...], axis: int) -> Sequence[Any]:
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
        if s.shape != shape[axis : axis + s.ndim]:
            raise IndexError(f"get_item: mask of shape {s.shape} does not fit axes {shape[axis : axis + s.ndim]}")
        return [i.astype(np.int32) for i in np.nonzero(np.asarray(s))]
    if not np.issubdtype(s.dtype, np.integer):
        raise IndexError(f"get_item: arrays used as indices must be of integer or boolean type, got {s.dtype}")
    if isinstance(s, np.ndarray) and s.size:  # on the host already: the check costs no transfer
        n = shape[axis]
        if s.min() < -n or s.max() >= n:
            raise IndexError(f"get_item: an index is out of bounds for axis {axis} with size {n}")
    return [s]
