"""What a step can read or write, as it was when core/state.py found it, and whether it still is so.

An `Inventory` is compared with the present at every call of a compiled program: what is lifted may have other values,
everything else must be as it was. It can also be taken over by other objects that are like those that were found.
"""

from __future__ import annotations

import collections
import functools
import operator
import types
from collections.abc import Iterable
from itertools import chain
from operator import is_
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxchain.core.cells import (
    ATOMS,
    MISSING,
    UNSET,
    SlotView,
    Template,
    alike,
    contents_of,
    holds,
    refill,
    same,
    take,
    value_at,
)
from jaxchain.core.kinds import is_record
from jaxchain.core.outside import environment_difference
from jaxchain.core.parameter import Parameter
from jaxchain.core.spread import exact_type, str_of
from jaxchain.core.variable import Variable

LARGE = 2**26  # bytes of a NumPy array up to which its contents are compared at every call, in 5 ms ...
BLOCK = 2**16  # ... by copies of so many: they stay in a cache
SAMPLE = 65536  # elements of a larger one that are compared
CODE = operator.attrgetter("__code__")


def is_large(buffer: np.ndarray) -> bool:
    """Return whether a NumPy array is so large that only some of its elements are compared."""
    return buffer.nbytes > LARGE and not buffer.dtype.hasobject


def sampled(buffer: np.ndarray) -> np.ndarray:
    """Return a copy of a NumPy array, or of some elements of a large one."""
    return buffer.flat[:: max(1, buffer.size // SAMPLE)] if is_large(buffer) else buffer.copy()


def is_as_before(buffer: np.ndarray, copy: np.ndarray) -> bool:
    """Return whether a NumPy array holds what it held, bit by bit; of a large one the copy may be a sample."""
    now = sampled(buffer) if is_large(buffer) and not is_large(copy) else buffer
    if now.shape != copy.shape or now.dtype != copy.dtype:
        return False
    if now.dtype.hasobject:
        return all(map(same, now.flat, copy.flat))
    a, b = (np.ascontiguousarray(v).reshape(-1).view(np.uint8) for v in (now, copy))
    return all(a[i : i + BLOCK].tobytes() == b[i : i + BLOCK].tobytes() for i in range(0, a.size, BLOCK))


class Place(NamedTuple):
    """A cell that holds arrays, or numbers that are lifted: `template` says where they are in its value."""

    container: Any
    key: Any
    template: Template
    name: str

    @property
    def cell(self) -> tuple[Any, Any]:
        """Container and key."""
        return self.container, self.key


class Plain(NamedTuple):
    """A cell that holds anything else: whether it still has its `value` is compared."""

    container: Any
    key: Any
    value: Any
    name: str


class HeldAttribute(NamedTuple):
    """What an attribute of a Variable held at a snapshot."""

    owner: Variable
    name: str
    old: Any

    def put_back(self) -> bool:
        """Put it back; return whether it had changed."""
        changed = getattr(self.owner, self.name) is not self.old
        if changed:
            setattr(self.owner, self.name, self.old)
        return changed


class HeldItem(NamedTuple):
    """What a cell held at a snapshot."""

    container: Any
    key: Any
    old: Any

    def put_back(self) -> bool:
        """Put it back; return whether it had changed."""
        changed = value_at(self.container, self.key) is not self.old
        if changed:
            self.container[self.key] = self.old
        return changed


class HeldContents(NamedTuple):
    """What a container held at a snapshot."""

    container: Any
    old: Any

    def put_back(self) -> bool:
        """Put it back; return whether it had changed."""
        changed = not holds(self.container, self.old)
        if changed:
            refill(self.container, self.old)
        return changed


class HeldBuffer(NamedTuple):
    """What a NumPy array held at a snapshot."""

    array: np.ndarray
    old: np.ndarray

    def put_back(self) -> bool:
        """Put it back; return whether it had changed."""
        changed = not is_as_before(self.array, self.old)
        if changed:
            self.array[...] = self.old
        return changed


Held = HeldAttribute | HeldItem | HeldContents | HeldBuffer


class Inventory:
    """What a callable can reach."""

    def __init__(self) -> None:
        self.parameters: list[Parameter] = []
        self.parameter_names: list[str] = []  # in the same order
        self.places: list[Place] = []
        self.tuples: list[Place] = []  # those that hold a tuple: its other values are compared
        self.plain: list[Plain] = []
        self.sized: list[tuple[str, Any]] = []  # containers whose length is compared
        self.ordered: list[dict[Any, Any]] = []  # dictionaries whose order a program may see
        self.contents: list[tuple[Any, Any]] = []  # (container, copy of its contents) to restore
        self.buffers: list[tuple[str, np.ndarray, np.ndarray]] = []  # NumPy arrays, compared by content
        self.large: list[tuple[str, np.ndarray]] = []  # those of which some elements are
        self.outside: list[tuple[Any, Any, str]] = []  # places of what a trace must not use: iterators, files, clocks
        self.generators: list[tuple[str, Any]] = []  # of random numbers
        self.compared: list[tuple[str, Any, Any]] = []  # sets and such, by content
        self.caches: list[Any] = []  # functions that remember results
        self.functions: list[types.FunctionType] = []  # what reloads a module may replace their code
        self.open: list[tuple[Any, set[str]]] = []  # where a program may add names, and those that are there
        self.unseen: list[tuple[str, Any]] = []  # objects of other libraries, not looked into
        self.environment: dict[str, str | None] = {}  # variables that the program read while it was traced
        self.methods: list[tuple[Any, str, Any]] = []  # (class, name, method): the user's, and those of ours that run
        self.typed: list[Any] = []  # objects with attributes: they may be given another class
        self._seen: dict[int, Any] = {}  # everything, by identity: see `objects`

    def complete(self) -> None:
        """Note how what was found is now: nothing is added any more."""
        self.sizes = [len(c) for _, c in self.sized]
        self.types = list(map(type, self.typed))
        self.codes = list(map(CODE, self.functions))
        self._prepare()

    @property
    def objects(self) -> dict[int, Any]:
        """What was found, by the identity that it had when it was: another may have taken its place since."""
        return self._seen

    def references(self) -> collections.Counter[int]:
        """Return how often the inventory itself holds what it found, by identity."""
        copies = (held.values() if isinstance(held, dict) else held for _, held in self.contents)
        return collections.Counter(map(id, chain(chain.from_iterable(copies), self._seen.values())))

    def added(self) -> list[tuple[Any, str, Any]]:
        """Return what a program has added to namespaces and classes since the walk: (view, name, value)."""
        return [
            (view, key, view[key])
            for view, known in self.open
            for key in sorted(view.keys() - known)
            if not (key.startswith(("__", "_abc_")) or isinstance(view[key], types.ModuleType))
        ]

    def note_absent(self, added: Iterable[tuple[Any, str, Any]]) -> None:
        """Compare from now on whether there is nothing at these places, as there was."""
        known = {id(view): names for view, names in self.open}
        for view, key, _ in added:
            known[id(view)].add(key)
            self.plain.append(Plain(view, key, UNSET, key))
        self._prepare()

    def _prepare(self) -> None:
        """Sort the plain values by how they are read: without a step in Python where that goes."""
        rows: dict[int, list[tuple[Any, Any, Any]]] = collections.defaultdict(list)
        for container, key, value, _ in self.plain:
            rows[id(container)].append((container, key, value))
        methods = [(vars(kind), key, method) for kind, key, method in self.methods]
        self._of_classes = [*zip(*methods, strict=True)] if methods else [(), (), ()]
        self._dicts: list[dict[Any, Any]] = []  # nothing but plain values is in them
        slots: dict[str, list[tuple[Any, Any]]] = collections.defaultdict(list)
        rest = []
        for row in rows.values():
            container = row[0][0]
            if type(container) is dict and len(container) == len(row):
                self._dicts.append(container)
            elif type(container) is SlotView:
                rest += [r for r in row if r[2] is UNSET]
                for _, key, value in row:
                    if value is not UNSET:
                        slots[key].append((container.owner, value))
            else:
                rest += row
        known = {id(d) for d in self._dicts}
        self._orders = [(d, list(d)) for d in self.ordered]
        self._other_orders = [(d, order) for d, order in self._orders if id(d) not in known]
        others = [(c, n) for (_, c), n in zip(self.sized, self.sizes, strict=True) if id(c) not in known]
        self._other_sized, self._other_sizes = [c for c, _ in others], [n for _, n in others]
        self._dict_keys = [*chain.from_iterable(self._dicts)]
        self._dict_values = [*chain.from_iterable(map(dict.values, self._dicts))]
        self._slots = [(operator.attrgetter(key), *zip(*found, strict=True)) for key, found in slots.items()]
        self._rest = [*zip(*rest, strict=True)] if rest else [(), (), ()]

    def _resized(self) -> str:
        known = zip(self.sized, self.sizes, strict=True)
        name = next(name for (name, container), size in known if len(container) != size)
        return f"an attribute or item of {name} was added or removed"

    def _untouched(self) -> bool:
        """Return whether the plain values are the very objects they were, in their order: the fast answer."""
        containers, keys, values = self._rest
        try:
            return (
                all(map(is_, chain.from_iterable(map(dict.values, self._dicts)), self._dict_values))
                and [*chain.from_iterable(self._dicts)] == self._dict_keys
                and all(all(map(is_, map(read, owners), held)) for read, owners, held in self._slots)
                and all(map(is_, map(operator.getitem, containers, keys), values))
            )
        except (*MISSING, RuntimeError):  # a dict that grows meanwhile
            return False

    def _has_methods(self) -> bool:
        try:
            return all(map(is_, map(operator.getitem, *self._of_classes[:2]), self._of_classes[2]))
        except KeyError:
            return False

    def difference(self) -> str | None:
        """Return what a step could read that has changed since the walk, or None: the check of every call."""
        orders = self._other_orders
        if not self._untouched():
            orders = self._orders
            try:
                now = [container[key] for container, key, _, _ in self.plain]
            except MISSING:
                return "an attribute was deleted"
            for new, (_, _, old, name) in zip(now, self.plain, strict=True):
                if not same(new, old):
                    return f"{name} {_short(old)} -> {_short(new)}"
            if [len(c) for _, c in self.sized] != self.sizes:
                return self._resized()
        for container, key, template, name in self.tuples:
            try:
                value = container[key]
            except MISSING:
                return f"{name} was deleted"
            if not take(template, value, []):
                return f"{name} {_short(value)}"
        if list(map(len, self._other_sized)) != self._other_sizes:
            return self._resized()
        if list(map(CODE, self.functions)) != self.codes:
            return "the code of a function was replaced"
        for held, order in orders:
            if list(held) != order:
                return "a dictionary is in another order"
        if list(map(type, self.typed)) != self.types:
            return "an object was given another class"
        if not self._has_methods():
            for kind, key, method in self.methods:
                if vars(kind).get(key) is not method:
                    return f"the method {kind.__qualname__}.{key} was replaced"
        for name, held, copy in self.compared:
            if held != copy:
                return f"{name} was changed"
        if self.environment and (changed := environment_difference(self.environment)) is not None:
            return changed
        return self.buffer_difference() if self.buffers else None

    def buffer_difference(self) -> str | None:
        """Return which NumPy array was changed in place, or None."""
        changed = (name for name, buffer, copy in self.buffers if not is_as_before(buffer, copy))
        name = next(changed, None)
        return None if name is None else f"NumPy array {name} was changed in place"

    def snapshot(self, variables: Iterable[Variable] = (), buffers: bool = False) -> list[Held]:
        """Return what every cell holds now, for `put_back`.

        Args:
            variables: Variables whose arrays and gradients are meant, too: those of parameters are.
            buffers: Whether the contents of NumPy arrays are meant, too.
        """
        found: list[Held] = []
        for v in (*self.parameters, *variables):
            found += [HeldAttribute(v, "_value", v._array), HeldAttribute(v, "_grad", v._grad)]
        found += [HeldContents(c, contents_of(c)) for c, _ in self.contents]
        slots = [*self.places, *self.plain]
        found += [HeldItem(c, key, c[key]) for c, key, _, _ in slots if not isinstance(c, dict | list)]
        if buffers:
            found += [HeldBuffer(b, b.copy()) for _, b, _ in self.buffers if b.flags.writeable]
        return found

    def restore_containers(self) -> None:
        """Let namespaces and containers hold what they held."""
        for view, key, _ in self.added():
            view[key] = UNSET
        for container, contents in self.contents:
            if not holds(container, contents):
                refill(container, contents)

    def restore_buffers(self) -> None:
        """Write back what small NumPy arrays held."""
        for _, buffer, copy in self.buffers:
            if buffer.shape == copy.shape and buffer.flags.writeable:
                buffer[...] = copy

    def _fixed(self) -> list[list[Any]]:
        """Return what nothing else can take the place of."""
        named = (self.generators, self.large)
        methods = [method for _, _, method in self.methods]
        return [list(self.parameters), self.caches, methods, *([value for _, value in pairs] for pairs in named)]

    def take_over(self, other: Inventory) -> dict[int, Any] | None:
        """Look at the objects of another inventory from now on, if they are like those of this one.

        Returns:
            What has taken the place of which container, by the identity of the latter; None if they are not alike.
        """
        old, new = list(self._seen.values()), list(other._seen.values())
        if len(old) != len(new) or not all(map(is_, map(type, old), map(type, new))):
            return None
        cells, others = [*self.places, *self.plain], [*other.places, *other.plain]
        if [(type(c), c.name, c.key) for c in cells] != [(type(c), c.name, c.key) for c in others]:
            return None
        if self.sizes != other.sizes or self.codes != other.codes or len(self.compared) != len(other.compared):
            return None
        if any(len(a) != len(b) or not all(map(is_, a, b)) for a, b in zip(self._fixed(), other._fixed(), strict=True)):
            return None
        moved = {id(a): b for a, b in zip(old, new, strict=True)}
        corresponds = functools.partial(_corresponds, moved=moved)
        if not all(corresponds(a.value, b.value) for a, b in zip(self.plain, other.plain, strict=True)):
            return None
        if not all(alike(a.template, b.template, corresponds) for a, b in zip(self.places, other.places, strict=True)):
            return None
        if any(a != b for (_, _, a), (_, _, b) in zip(self.compared, other.compared, strict=True)):
            return None
        if len(self.buffers) != len(other.buffers) or not all(
            is_as_before(a, b) for (_, a, _), (_, _, b) in zip(other.buffers, self.buffers, strict=True)
        ):
            return None
        moved.update({id(a.container): b.container for a, b in zip(cells, others, strict=True)})
        moved.update({id(a): b for (a, _), (b, _) in zip(self.contents, other.contents, strict=True)})
        seen = dict(zip(self._seen, new, strict=True))
        self.__dict__.update(other.__dict__, environment=self.environment)
        self._seen = seen
        return moved


def put_back(snapshot: Iterable[Held]) -> bool:
    """Put every cell back as it was at a snapshot; return whether anything had changed."""
    return any([held.put_back() for held in snapshot])


def _corresponds(old: Any, new: Any, moved: dict[int, Any]) -> bool:
    """Return whether a value is what it was, or an object that has taken the place of another."""
    if same(new, old):
        return True
    if isinstance(old, tuple):
        return (
            type(new) is type(old)
            and len(new) == len(old)
            and all(_corresponds(a, b, moved) for a, b in zip(old, new, strict=True))
        )
    if isinstance(old, types.FunctionType):
        return isinstance(new, types.FunctionType) and new.__code__ is old.__code__
    exchangeable = isinstance(old, (dict, list, set, collections.deque, np.ndarray)) or is_record(old)
    return exchangeable and moved.get(id(old)) is new


def _short(value: Any) -> str:
    """Return a value as a reason shows it. Every call may ask, so what is in arrays and containers is not looked at."""
    if isinstance(value, jax.Array):
        return str_of(exact_type(value))
    parts = value if isinstance(value, tuple) else (value,)
    text = repr(value) if all(v is UNSET or isinstance(v, (*ATOMS, types.FunctionType)) for v in parts) else ""
    return text if text and len(text) <= 40 else f"{type(value).__name__} object"
