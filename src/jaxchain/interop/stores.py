"""In-place writes of Chainer's programs on immutable arrays: `param.array[...] = w` becomes an assignment.

A loaded program (interop/rewriting.py) calls these helpers where an element of something is assigned to, where
something is filled, and where a function writes into its first argument. That something is a *place*: an attribute, a
name, or an item of a container. If it holds a JAX array, it is assigned a changed copy; anything else is written to in
place.

Where a name was given what an attribute or an item of a container holds (``g = param.grad``), that is its *origin*:
if the origin still holds the same array, it gets the changed copy, too, also from ``g += x``. A view of
another array (``b = a[0]``) is a new array of JAX's: it is marked as *borrowed*, and not written into.

Other names for the old array would keep its old values. For the attributes `array`, `data` and `grad` it is left at
that; anywhere else, an array that others hold, too, is not changed, and the error says so.
"""

from __future__ import annotations

import operator
import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxchain.functions as F
from jaxchain.core.arrays import beside, from_numpy
from jaxchain.core.compat import is_tracer
from jaxchain.core.variable import Variable, as_array

ATTRIBUTES = ("array", "data", "grad")
WRITE, READ, UPDATE, FILL, CALL, STATISTICS, COMBINE, BORROW, KEEP, ITEM, INDEX, KEY, STEPS = (
    f"__jaxchain_{name}__"
    for name in "write read update fill call statistics combine borrow keep item index key steps".split()
)


class _Index:
    """``_Index()[a:b, c]`` is the index itself: slices cannot be written as arguments."""

    def __getitem__(self, index: Any) -> Any:
        return index


def _look_up(owner: Any, name: Name) -> Any:
    return owner if name is None else owner[name.key] if isinstance(name, _Key) else getattr(owner, name)


Origin = Callable[[], tuple[Any, Any]]
"""Returns the owner and the name of the attribute, or a container and a `_Key`."""
_borrowed: dict[int, weakref.ref[Any]] = {}  # by the identity of the array: arrays have no hash


class _Key:
    """The key of an item of a container."""

    def __init__(self, key: Any) -> None:
        self.key = key


Name = str | _Key | None
"""What of its owner a place is: an attribute, an item, or the owner itself."""


class _Steps:
    """The indices of ``place[i][j]``, one after the other."""

    def __init__(self, *indices: Any) -> None:
        self.first = indices[0]
        self.rest = indices[1] if len(indices) == 2 else _Steps(*indices[1:])

    def read(self, array: Any) -> Any:
        """Return the element."""
        element = array[_as_index(array, self.first)]
        return _element(element, self.rest)

    def written(self, array: Any, value: Any) -> Any:
        """Return a changed copy of a JAX array; as in NumPy, nothing changes if the first index makes a copy."""
        first = self.first if isinstance(self.first, tuple) else (self.first,)
        if not all(i is None or i is ... or isinstance(i, slice) or np.ndim(i) == 0 for i in first):
            return array
        view = array[self.first]
        rest = self.rest
        view = rest.written(view, value) if isinstance(rest, _Steps) else _changed(view, rest, value)
        return _changed(array, self.first, view)


def _as_index(array: Any, index: Any) -> Any:
    return jnp.asarray(index) if isinstance(array, jax.Array) and isinstance(index, list) else index


def _element(array: Any, index: Any) -> Any:
    return index.read(array) if isinstance(index, _Steps) else array[_as_index(array, index)]


def _changed(array: Any, index: Any, value: Any) -> Any:
    """Return a copy of a JAX array with other elements."""
    value = as_array(value)
    if is_tracer(array) or is_tracer(value):
        return array.at[index].set(jnp.asarray(value, array.dtype))
    buffer = np.array(array)  # on the host: NumPy's rules for indices, shapes and types
    buffer[index] = np.asarray(value)
    return beside(from_numpy(buffer), array)


def borrow(value: Any) -> Any:
    """Return what a name is given; if it is a JAX array, remember that it may be a view."""
    if isinstance(value, jax.Array):
        mark = id(value)
        _borrowed[mark] = weakref.ref(value, lambda _: _borrowed.pop(mark, None))
    return value


def keep(value: Any, old: Any) -> Any:
    """Return a view that a name is given of what it held: nobody else's, if that was nobody else's.

    Args:
        value: The view.
        old: What the name held.
    """
    if id(old) not in _borrowed and (is_tracer(old) or sys.getrefcount(old) <= 3):  # the name and two arguments
        _borrowed.pop(id(value), None)
    return value


def item(container: Any, index: Any) -> Any:
    """Return an element that a name is given: a view, but for an index with arrays or lists in it.

    Args:
        container: The container.
        index: The index.
    """
    value = container[index]
    parts = index if isinstance(index, tuple) else (index,)
    if isinstance(container, jax.Array) and any(isinstance(i, list | np.ndarray | jax.Array) for i in parts):
        return value
    return borrow(value)


def _origin(array: Any, origins: Sequence[Origin]) -> tuple[Any, Any] | None:
    """Return the origin that holds an array, if one still does."""
    for find in origins:
        try:
            owner, name = find()
            held = owner[name.key] if isinstance(name, _Key) else getattr(owner, name)
        except Exception:  # a name of it means something else by now
            continue
        if held is array:
            return owner, name
    return None


def _put(owner: Any, name: Any, array: Any) -> None:
    if isinstance(name, _Key):
        owner[name.key] = array
    else:
        setattr(owner, name, array)


def write(value: Any, owner: Any, name: Name, index: Any, origins: Sequence[Origin] = ()) -> Any:
    """Do ``place[index] = value``.

    Args:
        value: What is assigned.
        owner: The place's owner, or the array.
        name: Its attribute, or the key of the item.
        index: The index.
        origins: Where the array may have come from.

    Returns:
        The array that is in the place now.

    Raises:
        TypeError: It is a JAX array that has other names, or may be a view.
    """
    array = _look_up(owner, name)
    if not isinstance(array, jax.Array):
        if isinstance(index, _Steps):
            write(value, array, _Key(index.first), index.rest)
        else:
            array[index] = value
        return array
    if name is None:
        owner = None  # one name less for the array
    origin = _origin(array, origins)
    if origin is None and name is None and id(array) in _borrowed:
        raise TypeError(
            "arrays of the array module are immutable, and in Chainer this one may be a view of another one, which "
            "would keep the old values: write into a copy (x = x.copy()) or into the other array"
        )
    known = name if origin is None else origin[1]
    traced = is_tracer(array)  # which the trace holds, too
    holders = 3 if origin is None else 4  # the place, `array`, the argument; the origin
    if known not in ATTRIBUTES and not traced and sys.getrefcount(array) > holders:
        raise TypeError(
            "arrays of the array module are immutable, and this one has other names, which would keep the old values: "
            "write into a copy (x = x.copy()) or into a NumPy array"
        )
    if isinstance(name, _Key) and (isinstance(owner, jax.Array) or not hasattr(owner, "__setitem__")):
        raise TypeError(
            f"arrays of the array module are immutable, and this one is an element of a {type(owner).__name__}, which "
            "cannot be given another: write into a copy (x = x.copy()) or into a NumPy array"
        )
    changed = index.written(array, value) if isinstance(index, _Steps) else _changed(array, index, value)
    if name is not None:
        _put(owner, name, changed)
    if origin is not None:
        _put(*origin, changed)
    return changed


def read(owner: Any, name: Name, index: Any) -> list[Any]:
    """Return what `update` needs, before the right side is evaluated.

    Args:
        owner: The place's owner, or the array.
        name: Its attribute, or the key of the item.
        index: The index.
    """
    return [owner, name, index, _element(_look_up(owner, name), index)]


def update(held: list[Any], value: Any, operation: str, origins: Sequence[Origin] = ()) -> Any:
    """Do ``place[index] += value``, or another operation.

    Args:
        held: What `read` returned; it is emptied.
        value: The right side.
        operation: Name of the operator, e.g. ``iadd``.
        origins: Where the array may have come from.

    Returns:
        The array that is in the place now.
    """
    value = getattr(operator, operation)(held.pop(), value)
    index, name = held.pop(), held.pop()
    return write(value, held.pop(), name, index, origins)


def combine(array: Any, value: Any, operation: str, origins: Sequence[Origin] = ()) -> Any:
    """Do ``name += value``, or another operation, for a name with origins.

    Args:
        array: What the name holds.
        value: The right side.
        operation: Name of the operator, e.g. ``iadd``.
        origins: Where it may have come from.

    Returns:
        What the name holds now.
    """
    result = getattr(operator, operation)(array, value)
    if not isinstance(array, jax.Array) or not isinstance(result, jax.Array):
        return result
    origin = _origin(array, origins)
    if origin is not None:
        if result.shape != array.shape:
            raise ValueError(f"an array of shape {array.shape} cannot hold a result of shape {result.shape}")
        result = result.astype(array.dtype)
        _put(*origin, result)
    return result


def fill(value: Any, owner: Any, name: Name, origins: Sequence[Origin] = ()) -> Any:
    """Do ``place.fill(value)``, for an array or an object of the program.

    Args:
        value: What it is filled with.
        owner: The place's owner, or the array.
        name: Its attribute, or the key of the item.
        origins: Where the array may have come from.

    Returns:
        What is in the place now.
    """
    filled = _look_up(owner, name)
    if isinstance(filled, jax.Array):
        del filled
        held = [owner]
        del owner
        return write(value, held.pop(), name, ..., origins)
    filled.fill(value)
    return filled


def _numpy_writer(function: Any) -> Any:
    """Return NumPy's form of a function that writes into its first argument; None: it is another function."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, jnp.ufunc):
        return getattr(np, vars(owner)["__name__"]).at
    if isinstance(owner, np.ufunc | np.random.RandomState | np.random.Generator):
        return function
    room = str(getattr(function, "__module__", None)).partition(".")[0]
    return getattr(np, function.__name__, None) if room in ("numpy", "jax") else None


def call(
    function: Any,
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    view: Callable[[Any], Any],
    owner: Any,
    name: Any,
    origins: Sequence[Origin] = (),
) -> Any:
    """Do ``function(view(place), ...)``, for one of NumPy's functions that write into their first argument.

    Args:
        function: The function.
        arguments: The other arguments.
        keywords: Those with a name.
        view: Returns what the function is given of an array, e.g. ``array.ravel()``.
        owner: The place's owner, or the array.
        name: Its attribute, or the key of the item.
        origins: Where the array may have come from.

    Returns:
        What is in the place now.
    """
    array, writer = _look_up(owner, name), _numpy_writer(function)
    if writer is None or not isinstance(array, jax.Array):
        function(view(array), *arguments, **keywords)
        return array
    buffer = np.array(array)
    plain = jax.tree_util.tree_map(lambda a: np.asarray(a) if isinstance(a, jax.Array) else a, (arguments, keywords))
    writer(view(buffer), *plain[0], **plain[1])
    del array
    held = [owner]
    del owner
    return write(buffer, held.pop(), name, ..., origins)


def call_with_statistics(
    function: Any, arguments: tuple[Any, ...], keywords: dict[str, Any], places: dict[str, tuple[Any, str]]
) -> Any:
    """Do ``function(..., running_mean=owner.name)``: batch normalisation changes running statistics in place.

    Args:
        function: The function.
        arguments: Its arguments.
        keywords: Those with a name, without the statistics.
        places: By argument, the owner and the attribute that has the statistics.

    Returns:
        What the function returns.
    """
    held: dict[str, Any] = {k: getattr(owner, name) for k, (owner, name) in places.items()}
    if function in (F.batch_normalization, F.batch_renormalization):
        held = {k: Variable(v) if isinstance(v, jax.Array) else v for k, v in held.items()}
    result = function(*arguments, **keywords, **held)
    for key, (owner, name) in places.items():
        if isinstance(held[key], Variable) and held[key] is not getattr(owner, name):
            setattr(owner, name, held[key].array)
    return result


HELPERS = {
    STATISTICS: call_with_statistics,
    WRITE: write,
    READ: read,
    UPDATE: update,
    FILL: fill,
    CALL: call,
    COMBINE: combine,
    BORROW: borrow,
    KEEP: keep,
    ITEM: item,
    INDEX: _Index(),
    KEY: _Key,
    STEPS: _Steps,
}
