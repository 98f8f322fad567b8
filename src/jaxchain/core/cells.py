"""Cells: the slots, items and attributes that hold what a step reads and writes, and the arrays in them.

A cell is a container and a key. A *template* says where the arrays are in the value of a cell: `ARRAY`, `NUMBER`,
None (there are none), ``("var", has_grad, requires_grad)`` or ``("tuple", parts, kind)``; what is no array in such a
tuple is ``("same", value)``. Found by core/state.py, filled with tracers by core/installation.py.
"""

from __future__ import annotations

import collections
import contextvars
import enum
import math
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import is_
from typing import Any

import jax
import numpy as np

from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable

ATOMS = (
    int, float, complex, str, bytes, bool, type(None), type, enum.Enum, np.dtype, np.generic,
    types.BuiltinFunctionType,
)  # fmt: skip
MISSING = (KeyError, IndexError, AttributeError, ValueError)  # what reading a cell that is gone raises
ARRAY, NUMBER = "array", "number"
Template = Any


class _Unset:
    """In the place of what is not there."""

    def __repr__(self) -> str:
        return "nothing"


UNSET = _Unset()


class View:
    """What holds values and is no container, as one: `UNSET` is read where there is nothing, and written to delete."""

    __slots__ = ()

    def __getitem__(self, name: Any) -> Any:
        raise NotImplementedError

    def __setitem__(self, name: Any, value: Any) -> None:
        raise NotImplementedError


class SlotView(View):
    """A slot, closure cell or function as a container with keys."""

    __slots__ = ("owner",)

    def __init__(self, owner: Any) -> None:
        self.owner = owner

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self.owner, name)
        except (AttributeError, ValueError):  # a slot, a closure cell
            return UNSET

    def __setitem__(self, name: str, value: Any) -> None:
        if value is not UNSET:
            setattr(self.owner, name, value)
        elif self[name] is not UNSET:
            delattr(self.owner, name)


class ClassView(SlotView):
    """The attributes of a class, its own, as a container."""

    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        return self.owner.__dict__.get(name, UNSET)

    def keys(self) -> set[str]:
        """Return the names of the attributes."""
        return set(self.owner.__dict__)


class AttributesView(SlotView):
    """The attributes of an object that has others in every thread."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(vars(self.owner))

    def keys(self) -> set[str]:
        """Return the names of the attributes, in this thread."""
        return set(vars(self.owner))


class NamespaceView(View):
    """The variables of a module, or the attributes of a function."""

    __slots__ = ("values",)

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name, UNSET)

    def __setitem__(self, name: str, value: Any) -> None:
        if value is UNSET:
            self.values.pop(name, None)
        else:
            self.values[name] = value

    def keys(self) -> set[str]:
        """Return the names of the variables."""
        return set(self.values)


class ContextView(View):
    """A context variable as a container of one value."""

    __slots__ = ("variable",)

    def __init__(self, variable: contextvars.ContextVar[Any]) -> None:
        self.variable = variable

    def __getitem__(self, name: str) -> Any:
        return self.variable.get(UNSET)

    def __setitem__(self, name: str, value: Any) -> None:
        if value is not UNSET:  # only who has set it can take that back
            self.variable.set(value)


# -- the contents of containers ----------------------------------------------------------------------------------------


def contents_of(container: Any) -> Any:
    """Return a copy of what a dict, list, deque or set holds."""
    if isinstance(container, dict):
        return dict(container)
    return set(container) if isinstance(container, set) else list(container)


def holds(container: Any, contents: Any) -> bool:
    """Return whether a container holds the very objects that it held."""
    if len(container) != len(contents):
        return False
    if isinstance(container, dict):
        return all(k in contents and contents[k] is v for k, v in container.items())
    return container == contents if isinstance(container, set) else all(map(is_, container, contents))


def refill(container: Any, contents: Any) -> None:
    """Make a container hold what it held."""
    if isinstance(container, list):
        container[:] = contents
        return
    container.clear()
    container.extend(contents) if isinstance(container, collections.deque) else container.update(contents)


GONE = object()


def value_at(container: Any, key: Any) -> Any:
    """Return the value of a cell; `GONE` if there is no such cell any more."""
    try:
        return container[key]
    except MISSING:
        return GONE


# -- values in places --------------------------------------------------------------------------------------------------


def template_of(value: Any) -> Template:
    """Return the template of a value that holds arrays, or None if it holds none."""
    if isinstance(value, jax.Array):
        return ARRAY
    if isinstance(value, Variable):
        if isinstance(value, Parameter) or value._array is None:
            return None
        return ("var", value._grad is not None, value.requires_grad)
    if isinstance(value, tuple):
        parts = [template_of(v) for v in value]
        if any(p is not None for p in parts):
            fixed = tuple(("same", v) if p is None else p for p, v in zip(parts, value, strict=True))
            return ("tuple", fixed, type(value))
    return None


def variables_in(value: Any) -> list[Variable]:
    """Return the Variables in the value of a cell."""
    if isinstance(value, tuple):
        return [v for part in value for v in variables_in(part)]
    return [value] if isinstance(value, Variable) else []


def found_in(holders: Iterable[tuple[Any, Any]]) -> list[Variable]:
    """Return the Variables in some places, one after the other."""
    return [v for container, key in holders for v in variables_in(container[key])]


def held_elsewhere(holders: Sequence[tuple[Any, Any]], known: Mapping[int, int]) -> list[bool]:
    """Return of each of `found_in` whether somebody holds it besides these places. Of what is in tuples nobody knows.

    Args:
        holders: The places.
        known: How many others are known that hold the Variables, by identity.
    """
    found = found_in(holders)
    in_tuples = {id(v) for c, key in holders if isinstance(c[key], tuple) for v in variables_in(c[key])}
    times = collections.Counter(map(id, found))
    allowed = [ALONE + 2 * (times[id(v)] - 1) + known.get(id(v), 0) for v in found]
    return [n > most or id(v) in in_tuples for n, most, v in zip(_counts(found), allowed, found, strict=True)]


def _counts(found: list[Any]) -> list[int]:
    return list(map(sys.getrefcount, found))


def _alone() -> int:
    """Return `sys.getrefcount` of what one place and one list hold, counted by `map`."""
    cell = {"value": object()}
    found = [cell["value"]]
    return _counts(found)[0]


ALONE = _alone()


def tuple_of(kind: type, parts: Any) -> Any:
    """Return a tuple, or a named tuple, of a kind."""
    return kind._make(parts) if hasattr(kind, "_make") else kind(parts)  # type: ignore[attr-defined]


def same(new: Any, old: Any) -> bool:
    """Return whether two plain values are one object, or equal numbers, texts or tuples of these."""
    if new is old:
        return True
    if type(new) is not type(old):
        return False
    if isinstance(new, tuple):
        return len(new) == len(old) and all(map(same, new, old))
    if isinstance(new, float):
        return math.copysign(1, new) == math.copysign(1, old) if new == old else new != new and old != old
    return isinstance(new, ATOMS) and bool(new == old)


def take(template: Template, value: Any, out: list[Any], variables: bool = False) -> bool:
    """Append the arrays of `value` to `out`; with `variables` the Variables themselves. False if it does not fit."""
    if template is ARRAY:
        out.append(value)
        return isinstance(value, jax.Array)
    if template is NUMBER:
        out.append(value)
        return isinstance(value, int | float | jax.Array)
    if template[0] == "same":
        return same(value, template[1])
    if template[0] == "var":
        if not isinstance(value, Variable) or isinstance(value, Parameter) or value._array is None:
            return False
        if (value._grad is not None) != template[1] or value.requires_grad != template[2]:
            return False
        out.append(value if variables else value._array)
        if template[1]:
            out.append(value.grad)
        return True
    if type(value) is not template[2] or len(value) != len(template[1]):
        return False
    return all([take(t, v, out, variables) for t, v in zip(template[1], value, strict=True)])


def alike(a: Template, b: Template, are_same: Callable[[Any, Any], bool]) -> bool:
    """Return whether two templates are the same; `are_same` decides about values in them that are no arrays."""
    if isinstance(a, str) or isinstance(b, str) or a[0] != b[0]:
        return a is b
    if a[0] == "same":
        return are_same(a[1], b[1])
    if a[0] == "var":
        return a == b
    return (
        a[2] is b[2] and len(a[1]) == len(b[1]) and all(alike(x, y, are_same) for x, y in zip(a[1], b[1], strict=True))
    )


def holds_arrays(template: Template) -> bool:
    """Return whether a place holds arrays themselves: nobody can tell what a program looks at of these."""
    return template is ARRAY or (template[0] == "tuple" and any(map(holds_arrays, template[1])))


def count(template: Template) -> int:
    """Return how many arrays a template holds."""
    if template is ARRAY or template is NUMBER:
        return 1
    if template[0] == "same":
        return 0
    return 1 + template[1] if template[0] == "var" else sum(map(count, template[1]))
