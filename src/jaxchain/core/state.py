"""What a step can read or write: which mutable cells a callable can reach. State is discovered, not declared.

`Walk` goes from the callable through its closure, the globals it names, `self`, links, optimizers, containers, classes
and plain objects, and sorts what it finds:

- *parameters*: `Parameter` objects, by identity;
- *places*: (container, key) pairs that hold arrays, Variables (an LSTM's `h`), tuples of these, or the numbers of
  classes that declare ``_lifted_scalars`` (hyperparameters, counters): lifted, so a new value never compiles;
- *plain values*: everything else that a step could read. They are part of the variant's key: compared by identity, then
  by equality, per call. Nothing is baked in silently.

What a compiled program cannot repeat is noted, too: iterators, generators of random numbers, caches of functions.
"""

from __future__ import annotations

import argparse
import array
import collections
import contextvars
import dataclasses
import dis
import functools
import operator
import random
import re
import sys
import threading
import types
import weakref
from collections.abc import Iterable
from itertools import chain
from operator import is_
from typing import Any

import jax
import numpy as np

from jaxchain.core.cells import (
    ARRAY,
    ATOMS,
    MISSING,
    NUMBER,
    UNSET,
    AttributesView,
    ClassView,
    ContextView,
    NamespaceView,
    SlotView,
    Template,
    alike,
    contents_of,
    same,
    take,
    template_of,
)
from jaxchain.core.errors import is_user_code
from jaxchain.core.outside import environment_difference, has_substitute
from jaxchain.core.parameter import Parameter, SharedParameter
from jaxchain.core.spread import exact_type, str_of
from jaxchain.core.variable import Variable

LARGE = 2**26  # bytes of a NumPy array up to which its contents are compared at every call, in 5 ms ...
BLOCK = 2**16  # ... by copies of so many: they stay in a cache
SAMPLE = 65536  # elements of a larger one that are compared
RUN = ("__call__", "forward", "update_core")  # methods of our classes that a step runs: a program may replace them
API = ("jaxchain", "jaxchain.functions")  # modules of ours with functions that a step runs: the same
LISTS = ("_children", "_layers")  # slots whose items go by names as a program writes them: layers[0]
GENERATORS = (random.Random, np.random.RandomState, np.random.Generator, np.random.BitGenerator)
RECORDS = (
    types.SimpleNamespace, argparse.Namespace, collections.UserDict, collections.UserList, collections.ChainMap,
    threading.local, weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet,
)  # fmt: skip
CODE = operator.attrgetter("__code__")
BUILT_IN = (types.GetSetDescriptorType, types.MemberDescriptorType, types.BuiltinFunctionType)
FUNCTIONS = (types.FunctionType, staticmethod, classmethod, property)


def is_record(value: Any) -> bool:
    """Return whether a value is an object that holds data, of the user's program: one like it may take its place.

    Of ours are those whose class has ``_is_record``: distributions.
    """
    return _holds_data(type(value))


@functools.lru_cache(maxsize=4096)
def _holds_data(kind: type) -> bool:
    if getattr(kind, "_is_record", False):
        return True
    if issubclass(kind, (*ATOMS, types.FunctionType, types.MethodType)) or _is_ours(kind):
        return False
    return (
        issubclass(kind, RECORDS)
        or is_of_user_module(kind)
        or (
            dataclasses.is_dataclass(kind) and not hasattr(kind, "__call__")  # noqa: B004 - a module, not a record
        )
    )


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


class Walk:
    """Everything mutable or variable that a callable can reach.

    Args:
        roots: (name, object) pairs to start from.
        rules: Whether to go from parameters on to their update rules.
        known: Objects of another walk (`objects`), which are left out.
    """

    def __init__(
        self, roots: Iterable[tuple[str, Any]], rules: bool = True, known: dict[int, Any] | None = None
    ) -> None:
        self.parameters: list[Parameter] = []
        self.parameter_names: list[str] = []
        self.places: list[tuple[Any, Any]] = []
        self.templates: list[Template] = []
        self.place_names: list[str] = []
        self.tuples: list[tuple[Any, Template, str]] = []  # the places that hold a tuple: its other values are compared
        self.plain: list[tuple[Any, Any]] = []
        self.plain_values: list[Any] = []
        self.plain_names: list[str] = []
        self.sized: list[Any] = []
        self.sized_names: list[str] = []
        self.ordered: list[dict[Any, Any]] = []  # dictionaries whose order a program may see
        self._attributes: set[int] = set()  # of our own objects, those that are dictionaries: it may not
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
        self.names: set[str] = set()  # those that are in the program's functions ...
        self.modules: list[types.ModuleType] = []  # ... which may be attributes of modules that objects hold
        self.environment: dict[str, str | None] = {}  # variables that the program read while it was traced
        self.rules = rules
        self.methods: list[tuple[Any, str, Any]] = []  # (class, name, method): the user's, and those of ours that run
        self.typed: list[Any] = []  # objects with attributes: they may be given another class
        self._seen: dict[int, Any] = dict(known or {})
        self._stack: list[tuple[str, Any]] = list(roots)[::-1]
        self._ruled: list[tuple[str, Parameter]] = []  # their rules come later: an optimizer names what they share
        while self._stack:
            while self._stack:
                name, obj = self._stack.pop()
                base = len(self._stack)
                self._visit(name, obj)
                self._stack[base:] = self._stack[base:][::-1]  # in their order: what has two names has the first
            for name, parameter in self._ruled:
                self._place(f"{name}.update_rule", SlotView(parameter), "update_rule", parameter.update_rule, False)
            self._ruled.clear()
            for module in self.modules:
                self._module(module, frozenset(self.names))
            self._stack.reverse()
        self.sizes = [len(c) for c in self.sized]
        self.types = list(map(type, self.typed))
        self.codes = list(map(CODE, self.functions))
        self._prepare()

    @property
    def objects(self) -> dict[int, Any]:
        """What was found, by the identity that it had when it was: another may have taken its place since."""
        return self._seen

    def references(self) -> collections.Counter[int]:
        """Return how often this walk itself holds what it found, by identity."""
        copies = (held.values() if isinstance(held, dict) else held for _, held in self.contents)
        return collections.Counter(map(id, chain(chain.from_iterable(copies), self._seen.values())))

    def _visit(self, name: str, obj: Any) -> None:
        if id(obj) in self._seen or (isinstance(obj, ATOMS) and not isinstance(obj, type)):
            return
        self._seen[id(obj)] = obj
        if getattr(type(obj), "_opaque", False):
            return
        if isinstance(obj, type):
            self._class(obj)
            return
        if isinstance(obj, Parameter):
            if isinstance(obj, SharedParameter):
                self._visit(name, obj.origin)
            self.parameters.append(obj)
            self.parameter_names.append(name)
            if self.rules:
                self._ruled.append((name, obj))
        elif isinstance(obj, jax.Array | Variable):
            pass  # lifted by the place that holds it
        elif isinstance(obj, np.ndarray):
            self.buffers.append((name, obj, sampled(obj)))
            if obj.dtype == object:
                self._stack += [(f"{name}[{i}]", value) for i, value in enumerate(obj.flat)]
            elif is_large(obj):
                self.large.append((name, obj))
        elif isinstance(obj, types.FunctionType):
            self._function(name, obj)
        elif isinstance(obj, types.MethodType):
            self._stack.append((name, obj.__func__))
            self._stack.append((_owner_name(name), obj.__self__))
        elif isinstance(obj, dict | list | collections.deque):
            is_dict = isinstance(obj, dict)
            self._container(name, obj, list(obj) if is_dict else range(len(obj)), "{}[{!r}]" if is_dict else "{}[{}]")
            if is_dict and len(obj) > 1 and id(obj) not in self._attributes:
                self.ordered.append(obj)
            if is_record(obj):  # of a class of the user's program
                self._object(name, obj)
        elif isinstance(obj, tuple | set | frozenset):
            if isinstance(obj, set):
                self.contents.append((obj, contents_of(obj)))
                self.compared.append((name, obj, set(obj)))
            for i, value in enumerate(obj):
                self._stack.append((f"{name}[{i}]", value))
        elif isinstance(obj, types.MappingProxyType):
            self._sized(name, obj)
            for key, value in obj.items():
                if template_of(value) is None:
                    self._place(f"{name}[{key!r}]", obj, key, value, False)
        elif isinstance(obj, bytearray | array.array):
            self.compared.append((name, obj, obj[:]))
        elif isinstance(obj, weakref.ref):
            self._stack.append((name, obj()))
        elif isinstance(obj, contextvars.ContextVar):
            view = ContextView(obj)
            self._place(f"{name}.get()", view, "value", view["value"], False)
        elif isinstance(obj, GENERATORS):
            self.generators.append((name, obj))
        elif isinstance(obj, types.ModuleType):
            self.modules.append(obj)
        elif hasattr(obj, "__wrapped_static__"):
            self._stack.append((name, obj.__wrapped_static__))
        else:
            self._object(name, obj)

    def _object(self, name: str, obj: Any) -> None:
        kind = type(obj)
        attributes = getattr(obj, "__dict__", None)
        if not _is_ours(kind) and not is_record(obj):
            if hasattr(obj, "cache_clear") and hasattr(obj, "__wrapped__"):
                self.caches.append(obj)
                self._stack.append((name, obj.__wrapped__))
            elif (
                isinstance(obj, functools.partial) or kind.__module__ == "functools"
            ):  # partial, cached_property, singledispatchmethod
                parts = ("func", "args", "keywords", "dispatcher")
                self._stack += [(name, getattr(obj, part)) for part in parts if hasattr(obj, part)]
            elif attributes and not callable(obj):
                self.unseen.append((name, obj))
            return
        self.typed.append(obj)
        if isinstance(obj, threading.local):
            view = AttributesView(obj)
            self._sized(name, view)
            self._open(view)
            for key in view.keys():
                self._place(f"{name}.{key}", view, key, view[key], False)
        elif attributes is not None and attributes is not obj and id(attributes) not in self._seen:
            lifted = getattr(kind, "_lifted_scalars", False)
            if kind.__module__.startswith("jaxchain."):
                self._attributes |= {id(v) for v in attributes.values() if isinstance(v, dict)}
            self._container(name, attributes, list(attributes), "{}.{}", numbers=lifted)
        slots = getattr(kind, "_walk_slots", None)
        if slots is None and not kind.__module__.startswith("jaxchain."):
            slots = [s for c in kind.__mro__ for s in slots_of(c) if is_of_user_module(c)]
        if slots:
            view = SlotView(obj)
            for slot in slots:
                path = name if slot in LISTS else f"{name}.{slot}"
                self._place(path, view, slot, view[slot], False)
        if id(kind) not in self._seen:
            self._seen[id(kind)] = kind
            self._class(kind)

    def _class(self, kind: type) -> None:
        """Look at the methods of a class of the user's program, and at the values that it holds itself."""
        if type(kind) is not type:
            self._stack.append((f"type({kind.__qualname__})", type(kind)))
        for base in kind.__mro__:
            if base is not kind and id(base) in self._seen:
                continue
            self._seen[id(base)] = base
            if not is_of_user_module(base):
                if base.__module__.startswith("jaxchain."):
                    found = {key: vars(base)[key] for key in RUN if key in vars(base)}
                    self.methods += [(base, key, method) for key, method in found.items()]
                    self._stack += [(f"{base.__qualname__}.{key}", method) for key, method in found.items()]
                continue
            view = ClassView(base)
            self._sized(base.__qualname__, vars(base))
            self._open(view)
            for key, member in list(vars(base).items()):
                name = f"{base.__qualname__}.{key}"
                if isinstance(member, FUNCTIONS):
                    self.methods.append((base, key, member))
                    parts = [getattr(member, part, None) for part in ("__func__", "fget", "fset", "fdel")]
                    self._stack += [(name, f) for f in (member, *parts) if f is not None]
                elif hasattr(type(member), "__get__"):
                    if not isinstance(member, BUILT_IN):
                        self.methods.append((base, key, member))
                        self._stack.append((name, member))
                elif not key.startswith(("__", "_abc_")):
                    self._place(name, view, key, member, False)

    def _sized(self, name: str, container: Any) -> None:
        self.sized.append(container)
        self.sized_names.append(name)

    def _resized(self) -> str:
        known = zip(self.sized_names, self.sized, self.sizes, strict=True)
        name = next(name for name, container, size in known if len(container) != size)
        return f"an attribute or item of {name} was added or removed"

    def _open(self, view: Any) -> None:
        self.open.append((view, view.keys()))

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
            self.plain.append((view, key))
            self.plain_values.append(UNSET)
            self.plain_names.append(key)
        self._prepare()

    def _container(self, name: str, container: Any, keys: Iterable[Any], form: str, numbers: bool = False) -> None:
        self._sized(name, container)
        self.contents.append((container, contents_of(container)))
        for key in keys:
            self._place(form.format(name, key), container, key, container[key], numbers)

    def _place(self, name: str, container: Any, key: Any, value: Any, numbers: bool) -> None:
        template = template_of(value)
        if numbers and (template is ARRAY or (isinstance(value, int | float) and not isinstance(value, bool))):
            template = NUMBER
        if template is None:
            self.plain.append((container, key))
            self.plain_values.append(value)
            self.plain_names.append(name)
            if has_substitute(value):
                self.outside.append((container, key, name))
            self._stack.append((name, value))
        else:
            self.places.append((container, key))
            self.templates.append(template)
            self.place_names.append(name)
            if isinstance(value, tuple):
                self.tuples.append(((container, key), template, name))
                self._stack.append((name, value))

    def _function(self, name: str, function: types.FunctionType) -> None:
        if not is_user_code(function.__code__.co_filename):  # perhaps around one of the user's
            inner = [c.cell_contents for c in function.__closure__ or () if SlotView(c)["cell_contents"] is not UNSET]
            inner = [f for f in inner if isinstance(f, types.FunctionType)]
            more = [getattr(function, part) for part in ("__wrapped__", "registry") if hasattr(function, part)]
            self._stack += [(name, f) for f in (*inner, *more)]
            return
        code = function.__code__
        for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            view = SlotView(cell)
            self._place(variable, view, "cell_contents", view["cell_contents"], False)
        view = SlotView(function)
        self.functions.append(function)
        for kind in ("__defaults__", "__kwdefaults__"):
            if (value := getattr(function, kind)) is not None:
                self._place(f"{name} default", view, kind, value, False)
        if function.__dict__:
            self._container(name, function.__dict__, list(function.__dict__), "{}.{}")
        else:
            self._open(NamespaceView(function.__dict__))
        names, read, imports = _names(code)
        self.names |= names
        namespace = function.__globals__
        self._namespace(namespace)
        for module in imports:
            for found in (module, f"{namespace.get('__package__')}.{module}"):
                if found in sys.modules:
                    self._module(sys.modules[found], names)
        for variable in sorted(read):
            if variable in namespace:
                value = namespace[variable]
                if isinstance(value, types.ModuleType):
                    self._module(value, names)
                else:
                    self._variable(variable, namespace, variable)

    def _namespace(self, namespace: dict[str, Any]) -> None:
        if (key := hash((id(namespace), "its names"))) not in self._seen:
            self._seen[key] = namespace
            self._open(NamespaceView(namespace))

    def _variable(self, name: str, namespace: dict[str, Any], variable: str) -> None:
        key = hash((id(namespace), variable))
        if key not in self._seen:
            self._seen[key] = namespace
            self._place(name, namespace, variable, namespace[variable], False)

    def _module(self, module: types.ModuleType, names: frozenset[str]) -> None:
        filename = getattr(module, "__file__", None)
        namespace = vars(module)
        if module.__name__ in API:  # a program may put functions of its own there
            for variable in sorted(names & namespace.keys()):
                if callable(namespace[variable]) and not isinstance(namespace[variable], type):
                    self._variable(f"{module.__name__}.{variable}", namespace, variable)
            return
        if filename is None or not is_user_code(filename):
            return
        self._namespace(namespace)
        for variable in sorted(names & namespace.keys()):
            self._variable(f"{module.__name__}.{variable}", namespace, variable)

    def _prepare(self) -> None:
        """Sort the plain values by how they are read: without a step in Python where that goes."""
        rows: dict[int, list[tuple[Any, Any, Any]]] = collections.defaultdict(list)
        for (container, key), value in zip(self.plain, self.plain_values, strict=True):
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
        others = [(c, n) for c, n in zip(self.sized, self.sizes, strict=True) if id(c) not in known]
        self._other_sized, self._other_sizes = [c for c, _ in others], [n for _, n in others]
        self._dict_keys = [*chain.from_iterable(self._dicts)]
        self._dict_values = [*chain.from_iterable(map(dict.values, self._dicts))]
        self._slots = [(operator.attrgetter(key), *zip(*found, strict=True)) for key, found in slots.items()]
        self._rest = [*zip(*rest, strict=True)] if rest else [(), (), ()]

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
                now = [container[key] for container, key in self.plain]
            except MISSING:
                return "an attribute was deleted"
            for i, (new, old) in enumerate(zip(now, self.plain_values, strict=True)):
                if not same(new, old):
                    return f"{self.plain_names[i]} {_short(old)} -> {_short(new)}"
            if list(map(len, self.sized)) != self.sizes:
                return self._resized()
        for (container, key), template, name in self.tuples:
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

    def take_over(self, other: Walk) -> dict[int, Any] | None:
        """Look at the objects of another walk from now on, if they are like those of this one.

        Returns:
            What has taken the place of which container, by the identity of the latter; None if they are not alike.
        """
        old, new = list(self._seen.values()), list(other._seen.values())
        if len(old) != len(new) or not all(map(is_, map(type, old), map(type, new))):
            return None
        names, others = (self.plain_names, self.place_names), (other.plain_names, other.place_names)
        if (
            names != others
            or self.sizes != other.sizes
            or self.codes != other.codes
            or len(self.compared) != len(other.compared)
        ):
            return None
        if any(len(a) != len(b) or not all(map(is_, a, b)) for a, b in zip(self._fixed(), other._fixed(), strict=True)):
            return None
        moved = {id(a): b for a, b in zip(old, new, strict=True)}
        for a, b in zip(self.plain_values, other.plain_values, strict=True):
            if not _corresponds(a, b, moved):
                return None
        corresponds = functools.partial(_corresponds, moved=moved)
        if not all(alike(a, b, corresponds) for a, b in zip(self.templates, other.templates, strict=True)):
            return None
        if any(a != b for (_, _, a), (_, _, b) in zip(self.compared, other.compared, strict=True)):
            return None
        if len(self.buffers) != len(other.buffers) or not all(
            is_as_before(a, b) for (_, a, _), (_, _, b) in zip(other.buffers, self.buffers, strict=True)
        ):
            return None
        cells = [*self.places, *self.plain], [*other.places, *other.plain]
        if [k for _, k in cells[0]] != [k for _, k in cells[1]]:
            return None
        moved.update({id(a): b for (a, _), (b, _) in zip(*cells, strict=True)})
        moved.update({id(a): b for (a, _), (b, _) in zip(self.contents, other.contents, strict=True)})
        seen = dict(zip(self._seen, new, strict=True))
        self.__dict__.update(other.__dict__, environment=self.environment)
        self._seen = seen
        return moved


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


def _is_ours(kind: type) -> bool:
    return any(base.__module__.startswith("jaxchain.") for base in kind.__mro__)


def _short(value: Any) -> str:
    """Return a value as a reason shows it. Every call may ask, so what is in arrays and containers is not looked at."""
    if isinstance(value, jax.Array):
        return str_of(exact_type(value))
    parts = value if isinstance(value, tuple) else (value,)
    text = repr(value) if all(v is UNSET or isinstance(v, (*ATOMS, types.FunctionType)) for v in parts) else ""
    return text if text and len(text) <= 40 else f"{type(value).__name__} object"


def _owner_name(name: str) -> str:
    """Return the name of what a method belongs to."""
    return name.rsplit(".", 1)[0] if "." in name else name


def slots_of(kind: type) -> list[str]:
    """Return the names of a class's own slots, as they are asked for."""
    slots = kind.__dict__.get("__slots__", ())
    private = f"_{kind.__name__.lstrip('_')}"
    return [
        f"{private}{s}" if s.startswith("__") and not s.endswith("__") else s
        for s in ((slots,) if isinstance(slots, str) else slots)
        if s not in ("__dict__", "__weakref__")
    ]


def is_of_user_module(kind: type) -> bool:
    """Return whether a class is part of the user's program."""
    return kind.__module__ not in sys.modules or is_user_module(kind.__module__)


def is_user_module(name: str) -> bool:
    """Return whether a module is part of the user's program."""
    filename = getattr(sys.modules.get(name), "__file__", None)
    return name == "__main__" or (filename is not None and is_user_code(filename))


@functools.lru_cache(maxsize=4096)
def _names(code: types.CodeType) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Return all names in a function, attributes among them, those that it looks up in its module, and its imports."""
    names = set(code.co_names)
    instructions = [*dis.get_instructions(code)]
    read = {i.argval for i in instructions if i.opname in _LOOKUPS}
    imports = {i.argval for i in instructions if i.opname == "IMPORT_NAME"}
    if names & _BY_TEXT:
        read |= {word for text in code.co_consts if isinstance(text, str) for word in _WORD.findall(text)}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = _names(constant)
            names |= inner[0]
            read |= inner[1]
            imports |= inner[2]
    return frozenset(names), frozenset(read), frozenset(imports)


_BY_TEXT = {"globals", "vars", "eval", "exec"}
_WORD = re.compile(r"[^\W\d]\w*")
_LOOKUPS = frozenset(f"{verb}_{where}" for verb in ("LOAD", "STORE", "DELETE") for where in ("GLOBAL", "NAME")) | {
    "LOAD_FROM_DICT_OR_GLOBALS"
}
