"""A trace's hands on the cells: other values in, what changed out, the old values back.

While a trace is on, the cells that a walk (core/state.py) found hold tracers; `Installation` puts them there, finds
what the trace changed and puts the old values back, also when it fails. Only core/tracing.py makes one.
"""

from __future__ import annotations

import collections
import copy
import functools
import threading
import types
from collections.abc import Callable, Sequence
from typing import Any

from jaxchain.core.cells import (
    ARRAY,
    MISSING,
    NUMBER,
    SlotView,
    Template,
    contents_of,
    holds,
    refill,
    take,
    tuple_of,
)
from jaxchain.core.compat import is_tracer
from jaxchain.core.guard import NotCompilable
from jaxchain.core.outside import substitute
from jaxchain.core.state import Walk, is_record
from jaxchain.core.variable import Parameter, SharedParameter, Variable, as_array

_CALLABLES = (types.FunctionType, types.MethodType, functools.partial)
_ITERATORS = (types.GeneratorType, map, filter, zip, enumerate, reversed, type(iter(())), type(iter([])))

lock = threading.RLock()  # one trace at a time: other threads must not see its tracers


class Write:
    """One thing that a compiled call leaves behind: where, and how to build the value from the call's outputs."""

    __slots__ = ("build", "container", "how", "index", "key", "name")

    def __init__(
        self, name: str, how: str, container: Any, key: Any, build: Callable[[Sequence[Any]], Any] | None
    ) -> None:
        self.name, self.how, self.container, self.key, self.build = name, how, container, key, build
        self.index: int | None = None  # which output it is, if it is just one

    def apply(self, outputs: Sequence[Any]) -> None:
        """Write the value of this call."""
        if self.how == "delete":
            self.container.pop(self.key, None) if isinstance(self.container, dict) else None
        elif self.how == "contents":
            assert self.build is not None
            refill(self.container, self.build(outputs))
        else:
            assert self.build is not None
            value = self.build(outputs)
            if self.how == "item":
                self.container[self.key] = value
            elif self.how == "place.array":
                self.container[self.key].array = value
            elif self.how == "place.grad":
                self.container[self.key]._grad = value
            elif self.how == "array":
                self.container.array = value
            else:
                self.container._grad = value


class Outputs:
    """Collects the arrays that leave a trace, and makes builders that put them together again outside.

    Args:
        walk: What was there before the trace: it leaves as it is. What the trace made is made anew by every call.
    """

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.arrays: list[Any] = []
        self.names: list[str] = []
        self.name = "result"  # what is being collected now
        self.nodes: dict[int, Any] = {}  # output number -> node of the Variable that it was the array of
        self.uses: list[int] = []  # how many things each output is needed for
        self._index: dict[int, int] = {}
        self._inside: list[int] = []  # the objects around what is being looked at

    def add(self, array: Any) -> int:
        """Return the output number of an array."""
        at = self._index.get(id(array))
        if at is None:
            at = self._index[id(array)] = len(self.arrays)
            self.arrays.append(array)
            self.names.append(f"result {at}" if self.name == "result" else self.name)
            self.uses.append(0)
        self.uses[at] += 1
        return at

    def index_of(self, array: Any) -> int:
        """Return the output number of an array that was added."""
        return self._index[id(array)]

    def builder(self, value: Any) -> Callable[[Sequence[Any]], Any]:
        """Return a function from the call's outputs to a value like `value`."""
        if is_tracer(value):
            at = self.add(value)
            return lambda outputs: as_array(outputs[at])
        if isinstance(value, Variable) and not isinstance(value, Parameter):
            if not is_tracer(value._array):
                return lambda outputs: value
            at, name, requires_grad = self.add(value._array), value.name, value.requires_grad
            self.nodes.setdefault(at, value._node)
            grad = None if value._grad is None else self.add(value.grad)

            def variable(outputs: Sequence[Any]) -> Variable:
                array = outputs[at]
                if isinstance(array, Variable):
                    return array
                made = Variable(array, name=name, requires_grad=requires_grad)
                if grad is not None:
                    made._grad = outputs[grad]
                return made

            return variable
        walk, at = self.walk, id(value)
        if at in walk.objects:
            return lambda outputs: walk.objects[at]
        if isinstance(value, tuple | list | set | frozenset | collections.deque):
            return self._sequence(value)
        if isinstance(value, dict):
            items = {k: self.builder(v) for k, v in value.items()}
            if type(value) is dict:
                return lambda outputs: {k: b(outputs) for k, b in items.items()}
            empty = copy.copy(value)  # a default factory stays
            empty.clear()

            def mapping(outputs: Sequence[Any]) -> Any:
                made = copy.copy(empty)
                for k, b in items.items():
                    made[k] = b(outputs)
                return made

            return mapping
        if isinstance(value, _CALLABLES):
            return self._callable(value)
        if isinstance(value, _ITERATORS):
            raise NotCompilable(f"it makes a {type(value).__name__}, which can be read only once")
        return self._record(value) if is_record(value) else lambda outputs: value

    def _sequence(self, value: Any) -> Callable[[Sequence[Any]], Any]:
        parts, kind = [self.builder(v) for v in value], type(value)
        if isinstance(value, collections.deque):
            longest = value.maxlen
            return lambda outputs: collections.deque((p(outputs) for p in parts), longest)
        if isinstance(value, tuple):
            return lambda outputs: tuple_of(kind, [p(outputs) for p in parts])
        return lambda outputs: kind(p(outputs) for p in parts)

    def _parts(self, value: Any, held: dict[str, Any]) -> dict[str, Callable[[Sequence[Any]], Any]] | None:
        """Return the builders of what an object holds, by name; None: no arrays are in it."""
        if id(value) in self._inside:
            raise NotCompilable(f"it makes a {type(value).__name__} that holds itself")
        self._inside.append(id(value))
        before = sum(self.uses)
        parts = {k: self.builder(v) for k, v in held.items()}
        self._inside.pop()
        return None if sum(self.uses) == before else parts

    def _callable(self, value: Any) -> Callable[[Sequence[Any]], Any]:
        """Return how to make a function of the user's program that holds arrays: a new one for every call."""
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.MethodType):
            function, parts = value.__func__, self._parts(value, {"owner": value.__self__})
            if parts is None:
                return lambda outputs: value
            return lambda outputs: types.MethodType(function, parts["owner"](outputs))
        parts = self._parts(value, {"func": value.func, "args": value.args, "keywords": value.keywords})
        if parts is None:
            return lambda outputs: value
        func, args, keywords = (parts[k] for k in ("func", "args", "keywords"))
        return lambda outputs: functools.partial(func(outputs), *args(outputs), **keywords(outputs))

    def _function(self, value: types.FunctionType) -> Callable[[Sequence[Any]], Any]:
        """As `_callable`, for a function with a closure or defaults."""
        cells = value.__closure__ or ()
        filled = {str(i): cell.cell_contents for i, cell in enumerate(cells) if _is_filled(cell)}
        parts = self._parts(value, {**filled, "defaults": value.__defaults__, "keywords": value.__kwdefaults__})
        if parts is None:
            return lambda outputs: value
        code, space, attributes, n = value.__code__, value.__globals__, dict(value.__dict__), len(cells)
        names = {k: getattr(value, k) for k in ("__qualname__", "__module__", "__doc__", "__annotations__")}

        def function(outputs: Sequence[Any]) -> Any:
            contents = [parts.get(str(i)) for i in range(n)]
            closure = tuple(types.CellType() if c is None else types.CellType(c(outputs)) for c in contents)
            made = types.FunctionType(code, space, code.co_name, parts["defaults"](outputs), closure)
            made.__kwdefaults__ = parts["keywords"](outputs)
            made.__dict__.update(attributes)
            for key, name in names.items():
                setattr(made, key, name)
            return made

        return function

    def _record(self, value: Any) -> Callable[[Sequence[Any]], Any]:
        """Return how to make an object of the user's program that holds arrays: a new one for every call."""
        kind = type(value)
        make: Any = kind.__new__
        slots = [s for c in kind.__mro__ for s in _own_slots(c) if hasattr(value, s)]
        parts = self._parts(value, {**getattr(value, "__dict__", {}), **{s: getattr(value, s) for s in slots}})
        if parts is None:
            return lambda outputs: value

        def record(outputs: Sequence[Any]) -> Any:
            made = make(kind)
            for k, part in parts.items():
                object.__setattr__(made, k, part(outputs))
            return made

        return record


def _is_filled(cell: Any) -> bool:
    """Return whether a variable of a closure has a value yet."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _own_slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(s for s in slots if s not in ("__dict__", "__weakref__"))


class Installation:
    """The cells of a walk with other values in them, for the time of a trace.

    Args:
        walk: The cells.
        arrays: New parameter arrays, one per parameter (None: leave).
        grads: New gradients, one per parameter.
        values: Flat arrays of the places, in order.
    """

    count = 0  # how many there were
    here = 0  # how many there are now

    def __init__(self, walk: Walk, arrays: Sequence[Any], grads: Sequence[Any], values: Sequence[Any]) -> None:
        Installation.count += 1
        Installation.here += 1
        try:
            self._install(walk, arrays, grads, values)
        except BaseException:
            Installation.here -= 1
            raise

    def _install(self, walk: Walk, arrays: Sequence[Any], grads: Sequence[Any], values: Sequence[Any]) -> None:
        self.walk = walk
        self.saved = [(p, p._array, p._grad, p._node.info, p._node.creator_node, p._node.rank) for p in walk.parameters]
        self.stand_ins = [(p, p.stand_in) for p in walk.parameters if isinstance(p, SharedParameter)]
        self.saved_places: list[tuple[Any, Any, Any, Any]] = []
        self.variables: dict[int, tuple[Any, Any]] = {}
        rest = iter(values)
        self.standing: list[Any] = []
        for container, key, name in walk.outside:
            self.standing.append(substitute(name, container[key]))
            container[key] = self.standing[-1]
        self.installed: list[Any] = []
        for (container, key), template in zip(walk.places, walk.templates, strict=True):
            old = container[key]
            new = self._build(template, old, rest)
            self.installed.append(new)
            self.saved_places.append((container, key, old, new))
            if new is not old:
                container[key] = new
        for p, a, g in zip(walk.parameters, arrays, grads, strict=True):
            if isinstance(p, SharedParameter):  # comes after its origin
                p.stand_in = (p.origin._array, a)
            elif a is not None:
                p._array = a
            p._grad = g
        self.arrays, self.grads = list(arrays), list(grads)

    def _build(self, template: Template, old: Any, rest: Any) -> Any:
        if template is ARRAY or template is NUMBER:
            return next(rest)
        if template[0] == "same":
            return old
        if template[0] == "var":  # the same object, with a tracer in it
            if id(old) not in self.variables:
                self.variables[id(old)] = (old, (old._array, old._grad, old._node.info, old._node.creator_node))
            old._array = next(rest)
            old._grad = next(rest) if template[1] else None
            old._node.creator_node = None
            return old
        return tuple_of(template[2], [self._build(t, v, rest) for t, v in zip(template[1], old, strict=True)])

    def writes(self, outputs: Outputs) -> list[Write]:
        """Return what the trace changed, as writes to do after every call."""
        walk = self.walk
        found: list[tuple[str, str, Any, Any, Any]] = []  # (name, how, container, key, value)
        for p, name, a, g in zip(walk.parameters, walk.parameter_names, self.arrays, self.grads, strict=True):
            own = not isinstance(p, SharedParameter)
            if own and p._array is not a and (a is not None or is_tracer(p._array)):
                found.append((name, "array", p, None, p._array))
            if p._grad is not g:
                found.append((f"{name}.grad", "grad", p, None, p.grad))
        for (container, key), name, new in zip(walk.places, walk.place_names, self.installed, strict=True):
            try:
                now = container[key]
            except MISSING:
                found.append((name, "delete", container, key, None))
                continue
            if now is not new:
                found.append((name, "item", container, key, now))
            elif isinstance(now, Variable) and id(now) in self.variables:
                array, grad = self._variable_tracers[id(now)]
                if now._array is not array:
                    found.append((name, "place.array", container, key, now._array))
                if now._grad is not grad:
                    found.append((f"{name}.grad", "place.grad", container, key, now.grad))
        for (container, key), name, old in zip(walk.plain, walk.plain_names, walk.plain_values, strict=True):
            try:
                now = container[key]
            except MISSING:
                found.append((name, "delete", container, key, None))
                continue
            if now is not old and not any(now is s for s in self.standing):
                found.append((name, "item", container, key, now))
        for container, contents in walk.contents:
            if isinstance(container, dict):
                for key in container.keys() - contents.keys():
                    found.append((str(key), "item", container, key, container[key]))
            elif len(container) != len(contents) or (isinstance(container, set) and container != contents):
                found = [w for w in found if w[2] is not container]
                found.append((type(container).__name__, "contents", container, None, contents_of(container)))
        writes = []
        for name, how, container, key, value in sorted(found, key=lambda w: w[:2]):
            # by name: two variants that write the same cells have the same outputs
            outputs.name = name
            write = Write(name, how, container, key, None if how == "delete" else outputs.builder(value))
            write.index = outputs.index_of(value) if is_tracer(value) else None
            writes.append(write)
        outputs.name = "report"
        return writes

    def freeze(self) -> None:
        """Remember the tracers put into Variables, to tell later which were replaced."""
        self._variable_tracers = {i: (v._array, v._grad) for i, (v, _) in self.variables.items()}

    def snapshot(self) -> list[tuple[Any, ...]]:
        """Return what every cell holds now: (read or write it, its owner, its key, its value)."""
        found: list[tuple[Any, ...]] = [("array", p, None, p._array) for p in self.walk.parameters]
        found += [("grad", p, None, p._grad) for p in self.walk.parameters]
        for v, _ in self.variables.values():
            found += [("array", v, None, v._array), ("grad", v, None, v._grad)]
        found += [("contents", c, None, contents_of(c)) for c, _ in self.walk.contents]
        slots = [*self.walk.places, *self.walk.plain]
        found += [("item", c, key, c[key]) for c, key in slots if not isinstance(c, dict | list)]
        return found

    def put_back(self, snapshot: Sequence[tuple[Any, ...]]) -> bool:
        """Put every cell back as it was at a snapshot; return whether anything had changed."""
        changed = False
        for how, owner, key, old in snapshot:
            if how == "contents":
                same = holds(owner, old)
                if not same:
                    refill(owner, old)
            elif how == "item":
                same = owner[key] is old
                if not same:
                    owner[key] = old
            else:
                same = getattr(owner, f"_{how}") is old
                if not same:
                    setattr(owner, f"_{how}", old)
            changed = changed or not same
        return changed

    def restore(self) -> None:
        """Put every cell back as it was."""
        try:
            self._restore()
        finally:
            Installation.here -= 1

    def _restore(self) -> None:
        for p, array, grad, info, creator, rank in self.saved:
            if not isinstance(p, SharedParameter):
                p._array = array
            p._grad = grad
            p._node.info, p._node.creator_node, p._node.rank = info, creator, rank
        for shared, stand_in in self.stand_ins:
            shared.stand_in = stand_in
        for variable, (array, grad, info, creator) in self.variables.values():
            variable._array, variable._grad = array, grad
            variable._node.info, variable._node.creator_node = info, creator
        for container, contents in self.walk.contents:
            if not holds(container, contents):
                refill(container, contents)
        for container, key, old, new in self.saved_places:
            if new is not old or (isinstance(container, SlotView) and getattr(container.owner, key, self) is not old):
                container[key] = old
        for (container, key), old in zip(self.walk.plain, self.walk.plain_values, strict=True):
            if isinstance(container, SlotView):
                if getattr(container.owner, key, self) is not old:
                    container[key] = old
            elif isinstance(container, dict) and container.get(key, self) is not old:
                container[key] = old


def read(walk: Walk) -> tuple[list[Any], list[Any], list[Any]] | None:
    """Return (parameter arrays, gradients, flat place arrays), or None if a place no longer fits its template."""
    values: list[Any] = []
    for (container, key), template in zip(walk.places, walk.templates, strict=True):
        try:
            if not take(template, container[key], values):
                return None
        except MISSING:
            return None
    return [p._array for p in walk.parameters], [p._grad_array() for p in walk.parameters], values
