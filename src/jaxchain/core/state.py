"""What a step can read or write: which mutable cells a callable can reach. State is discovered, not declared.

`Walk` goes from the callable through its closure, the globals it names, `self`, links, optimizers, containers, classes
and plain objects, and sorts what it finds:

- *parameters*: `Parameter` objects, by identity;
- *places*: (container, key) pairs that hold arrays, Variables (an LSTM's `h`), tuples of these, or the numbers of
  classes that declare ``_lifted_scalars`` (hyperparameters, counters): lifted, so a new value never compiles;
- *plain values*: everything else that a step could read. They are part of the variant's key: compared by identity, then
  by equality, per call. Nothing is baked in silently.

What a compiled program cannot repeat is noted, too: iterators, generators of random numbers, caches of functions.
`Inventory` (core/inventory.py) keeps what was found, and says whether it still is as it was.
"""

from __future__ import annotations

import array
import collections
import contextvars
import dis
import functools
import random
import re
import sys
import threading
import types
import weakref
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from jaxchain.core.cells import (
    ARRAY,
    ATOMS,
    NUMBER,
    UNSET,
    AttributesView,
    ClassView,
    ContextView,
    NamespaceView,
    SlotView,
    contents_of,
    template_of,
)
from jaxchain.core.errors import is_user_code
from jaxchain.core.inventory import Inventory, Place, Plain, is_large, sampled
from jaxchain.core.kinds import is_of_user_module, is_ours, is_record, slots_of
from jaxchain.core.outside import has_substitute
from jaxchain.core.parameter import Parameter, SharedParameter
from jaxchain.core.variable import Variable

RUN = ("__call__", "forward", "update_core")  # methods of our classes that a step runs: a program may replace them
API = ("jaxchain", "jaxchain.functions")  # modules of ours with functions that a step runs: the same
LISTS = ("_children", "_layers")  # slots whose items go by names as a program writes them: layers[0]
GENERATORS = (random.Random, np.random.RandomState, np.random.Generator, np.random.BitGenerator)
BUILT_IN = (types.GetSetDescriptorType, types.MemberDescriptorType, types.BuiltinFunctionType)
FUNCTIONS = (types.FunctionType, staticmethod, classmethod, property)


class Walk(Inventory):
    """Everything mutable or variable that a callable can reach.

    Args:
        roots: (name, object) pairs to start from.
        rules: Whether to go from parameters on to their update rules.
        known: Objects of another walk (`objects`), which are left out.
    """

    def __init__(
        self, roots: Iterable[tuple[str, Any]], rules: bool = True, known: dict[int, Any] | None = None
    ) -> None:
        super().__init__()
        self._seen.update(known or {})
        self._attributes: set[int] = set()  # dictionaries whose order no program sees: attributes of objects of ours
        self.names: set[str] = set()  # those that are in the program's functions ...
        self.modules: list[types.ModuleType] = []  # ... which may be attributes of modules that objects hold
        self.rules = rules
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
        self.complete()

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
        if not is_ours(kind) and not is_record(obj):
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
        self.sized.append((name, container))

    def _open(self, view: Any) -> None:
        self.open.append((view, view.keys()))

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
            self.plain.append(Plain(container, key, value, name))
            if has_substitute(value):
                self.outside.append((container, key, name))
            self._stack.append((name, value))
        else:
            place = Place(container, key, template, name)
            self.places.append(place)
            if isinstance(value, tuple):
                self.tuples.append(place)
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


def _owner_name(name: str) -> str:
    """Return the name of what a method belongs to."""
    return name.rsplit(".", 1)[0] if "." in name else name


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
