"""The one functionalisation point: which mutable cells a callable can reach, and their values in and out of a trace.

State is discovered, not declared. `Walk` goes from the callable through its closure, the globals it names, `self`,
links, optimizers, containers and plain objects, and sorts what it finds:

- *parameters*: `Parameter` objects, by identity;
- *places*: (container, key) pairs that hold arrays, Variables (an LSTM's `h`), tuples of these, or the numbers of
  classes that declare ``_lifted_scalars`` (hyperparameters, counters): lifted, so a new value never compiles;
- *plain values*: everything else that a step could read. They are part of the variant's key: compared by identity, then
  by equality, per call. Nothing is baked in silently.

While a trace is on, cells hold tracers; `Installation` puts them there, finds what the trace changed and puts the old
values back, also when it fails. Only core/static.py opens one.
"""

from __future__ import annotations

import dis
import sys
import types
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from operator import is_
from typing import Any

import jax
import numpy as np

from jaxchain.core.compat import is_tracer
from jaxchain.core.errors import is_library_file
from jaxchain.core.variable import Parameter, SharedParameter, Variable, as_array

ATOMS = (int, float, complex, str, bytes, bool, type(None), type, np.dtype, types.ModuleType, types.BuiltinFunctionType)
SMALL = 65536  # bytes of a NumPy array up to which its contents are compared at every call


def is_user_code(filename: str) -> bool:
    """Return whether a code file is part of the user's program."""
    return not is_library_file(filename) and "site-packages" not in filename and "dist-packages" not in filename


class SlotView:
    """A slot or closure cell as a container with one key."""

    __slots__ = ("owner",)

    def __init__(self, owner: Any) -> None:
        self.owner = owner

    def __getitem__(self, name: str) -> Any:
        return getattr(self.owner, name)

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self.owner, name, value)


# -- values in places ------------------------------------------------------------------------------------------------
# A template says where the arrays are in a value: ARRAY | NUMBER | None |
# ("var", has_grad, requires_grad) | ("tuple", [...]); what is no array in such a tuple is ("same", value)

ARRAY, NUMBER = "array", "number"
Template = Any


def template_of(value: Any) -> Template:
    """Return the template of a value that holds arrays, or None if it holds none."""
    if isinstance(value, jax.Array):
        return ARRAY
    if isinstance(value, Variable):
        if isinstance(value, Parameter) or value._array is None:
            return None
        return ("var", value._grad is not None, value.requires_grad)
    if type(value) is tuple:
        parts = [template_of(v) for v in value]
        if any(p is not None for p in parts):
            return ("tuple", tuple(("same", v) if p is None else p for p, v in zip(parts, value, strict=True)))
    return None


def same(new: Any, old: Any) -> bool:
    """Return whether two plain values are one object, or equal numbers, texts or tuples of these."""
    if new is old:
        return True
    if type(new) is not type(old):
        return False
    if type(new) is tuple:
        return len(new) == len(old) and all(map(same, new, old))
    return isinstance(new, ATOMS) and new == old


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
    if type(value) is not tuple or len(value) != len(template[1]):
        return False
    return all([take(t, v, out, variables) for t, v in zip(template[1], value, strict=True)])


def count(template: Template) -> int:
    """Return how many arrays a template holds."""
    if template is ARRAY or template is NUMBER:
        return 1
    if template[0] == "same":
        return 0
    return 1 + template[1] if template[0] == "var" else sum(map(count, template[1]))


# -- discovery ---------------------------------------------------------------------------------------------------------


class Walk:
    """Everything mutable or variable that a callable can reach.

    Args:
        roots: (name, object) pairs to start from.
        rules: Whether to go from parameters on to their update rules.
    """

    def __init__(self, roots: Iterable[tuple[str, Any]], rules: bool = True) -> None:
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
        self.contents: list[tuple[Any, Any]] = []  # (container, copy of its contents) to restore
        self.buffers: list[tuple[str, np.ndarray, np.ndarray]] = []  # small NumPy arrays, compared by content
        self.large: list[tuple[str, np.ndarray]] = []
        self.rules = rules
        self._seen: dict[int, Any] = {}
        self._stack: list[tuple[str, Any]] = list(roots)[::-1]
        while self._stack:
            name, value = self._stack.pop()
            self._visit(name, value)
        self.sizes = [len(c) for c in self.sized]

    def _visit(self, name: str, obj: Any) -> None:
        if isinstance(obj, ATOMS) or id(obj) in self._seen:
            return
        self._seen[id(obj)] = obj
        if getattr(type(obj), "_opaque", False):
            return
        if isinstance(obj, Parameter):
            if isinstance(obj, SharedParameter):
                self._visit(name, obj.origin)
            self.parameters.append(obj)
            self.parameter_names.append(name)
            if self.rules and obj.update_rule is not None:
                self._stack.append((f"{name}.update_rule", obj.update_rule))
        elif isinstance(obj, jax.Array | Variable):
            pass  # lifted by the place that holds it
        elif isinstance(obj, np.ndarray):
            if obj.nbytes <= SMALL and obj.dtype != object:
                self.buffers.append((name, obj, obj.copy()))
            else:
                self.large.append((name, obj))
        elif isinstance(obj, types.FunctionType):
            self._function(name, obj)
        elif isinstance(obj, types.MethodType):
            self._stack.append((name, obj.__func__))
            self._stack.append((_owner_name(name, obj), obj.__self__))
        elif isinstance(obj, dict):
            self._container(name, obj, list(obj), "{}[{!r}]")
        elif isinstance(obj, list):
            self._container(name, obj, range(len(obj)), "{}[{}]")
        elif isinstance(obj, tuple | set | frozenset):
            for i, value in enumerate(obj):
                self._stack.append((f"{name}[{i}]", value))
        elif hasattr(obj, "__wrapped_static__"):
            self._stack.append((name, obj.__wrapped_static__))
        else:
            self._object(name, obj)

    def _object(self, name: str, obj: Any) -> None:
        kind = type(obj)
        ours = any(base.__module__.startswith("jaxchain.") for base in kind.__mro__)
        if not ours and not is_user_module(kind):
            partial = getattr(obj, "func", None), getattr(obj, "args", None), getattr(obj, "keywords", None)
            if partial[0] is not None:  # functools.partial
                self._stack += [(name, p) for p in partial]
            return
        attributes = getattr(obj, "__dict__", None)
        if attributes is not None:
            lifted = getattr(kind, "_lifted_scalars", False)
            self._container(name, attributes, list(attributes), "{}.{}", numbers=lifted)
        slots = getattr(kind, "_walk_slots", None)
        if slots is None and not kind.__module__.startswith("jaxchain."):
            slots = [s for c in kind.__mro__ for s in _slots(c) if is_user_module(c)]
        if slots:
            view = SlotView(obj)
            for slot in slots:
                if hasattr(obj, slot):
                    self._place(f"{name}.{slot}", view, slot, getattr(obj, slot), False)
        for base in kind.__mro__:
            for member in vars(base).values():
                function = getattr(member, "__func__", getattr(member, "fget", member))
                if isinstance(function, types.FunctionType) and is_user_code(function.__code__.co_filename):
                    self._stack.append((function.__qualname__, function))

    def _container(self, name: str, container: Any, keys: Iterable[Any], form: str, numbers: bool = False) -> None:
        self.sized.append(container)
        self.contents.append((container, dict(container) if isinstance(container, dict) else list(container)))
        for key in keys:
            self._place(form.format(name, key), container, key, container[key], numbers)

    def _place(self, name: str, container: Any, key: Any, value: Any, numbers: bool) -> None:
        template = template_of(value)
        if template is None and numbers and isinstance(value, int | float) and not isinstance(value, bool):
            template = NUMBER
        elif template is ARRAY and numbers:
            template = NUMBER
        if template is None:
            self.plain.append((container, key))
            self.plain_values.append(value)
            self.plain_names.append(name)
            self._stack.append((name, value))
        else:
            self.places.append((container, key))
            self.templates.append(template)
            self.place_names.append(name)
            if isinstance(value, tuple):
                self.tuples.append(((container, key), template, name))
                self._stack.append((name, value))

    def _function(self, name: str, function: types.FunctionType) -> None:
        if not is_user_code(function.__code__.co_filename):
            return
        code = function.__code__
        for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:
                continue
            self._place(variable, SlotView(cell), "cell_contents", value, False)
        for default in (function.__defaults__ or (), tuple((function.__kwdefaults__ or {}).values())):
            self._stack.append((f"{name} default", default))
        names, read = _names(code)
        namespace = function.__globals__
        for variable in sorted(read):
            if variable in namespace:
                value = namespace[variable]
                if isinstance(value, types.ModuleType):
                    self._module(value, names)
                elif id(namespace) not in self._seen or (id(namespace), variable) not in self._seen:
                    if (key := hash((id(namespace), variable))) not in self._seen:
                        self._seen[key] = namespace
                        self._place(variable, namespace, variable, value, False)

    def _module(self, module: types.ModuleType, names: frozenset[str]) -> None:
        filename = getattr(module, "__file__", None)
        if filename is None or not is_user_code(filename):
            return
        namespace = vars(module)
        for variable in sorted(names & namespace.keys()):
            key = hash((id(namespace), variable))
            if key not in self._seen:
                self._seen[key] = namespace
                self._place(f"{module.__name__}.{variable}", namespace, variable, namespace[variable], False)

    def difference(self) -> str | None:
        """Return what a step could read that has changed since the walk, or None: the check of every call."""
        try:
            now = [container[key] for container, key in self.plain]
        except (KeyError, IndexError, AttributeError, ValueError):
            return "an attribute was deleted"
        if not all(map(is_, now, self.plain_values)):
            for i, (new, old) in enumerate(zip(now, self.plain_values, strict=True)):
                if not same(new, old):
                    return f"{self.plain_names[i]} {_short(old)} -> {_short(new)}"
        for (container, key), template, name in self.tuples:
            value = container[key]
            if not take(template, value, []):
                return f"{name} {_short(value)}"
        if list(map(len, self.sized)) != self.sizes:
            return "an attribute or item was added or removed"
        for name, buffer, copy in self.buffers:
            if not np.array_equal(buffer, copy, equal_nan=buffer.dtype.kind in "fc"):
                return f"NumPy array {name} was changed in place"
        return None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{type(value).__name__} object"


def _owner_name(name: str, method: types.MethodType) -> str:
    return name.rsplit(".", 1)[0] if "." in name else name


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(s for s in slots if s not in ("__dict__", "__weakref__"))


def is_user_module(kind: type) -> bool:
    """Return whether a class is part of the user's program."""
    if kind.__module__ == "__main__":
        return True
    module = sys.modules.get(kind.__module__)
    if module is None:
        return True  # loaded without being registered, as notebooks and loaders of scripts do
    filename = getattr(module, "__file__", None)
    return filename is not None and is_user_code(filename)


@lru_cache(maxsize=4096)
def _names(code: types.CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """Return all names in a function, attributes among them, and those that it looks up in its module."""
    names = set(code.co_names)
    read = {i.argval for i in dis.get_instructions(code) if i.opname in _LOOKUPS}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = _names(constant)
            names |= inner[0]
            read |= inner[1]
    return frozenset(names), frozenset(read)


_LOOKUPS = frozenset(f"{verb}_{where}" for verb in ("LOAD", "STORE", "DELETE") for where in ("GLOBAL", "NAME")) | {
    "LOAD_FROM_DICT_OR_GLOBALS"
}


# -- a trace's hands on the cells --------------------------------------------------------------------------------------


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
        elif self.how == "list":
            assert self.build is not None
            self.container[:] = self.build(outputs)
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
    """Collects the arrays that leave a trace, and makes builders that put them together again outside."""

    def __init__(self) -> None:
        self.arrays: list[Any] = []
        self.names: list[str] = []
        self.name = "result"  # what is being collected now
        self.nodes: dict[int, Any] = {}  # output number -> node of the Variable that it was the array of
        self.uses: list[int] = []  # how many things each output is needed for
        self._index: dict[int, int] = {}

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
        if isinstance(value, tuple | list):
            parts = [self.builder(v) for v in value]
            kind = type(value)
            if hasattr(value, "_fields"):
                return lambda outputs: kind(*(p(outputs) for p in parts))
            return lambda outputs: kind(p(outputs) for p in parts)
        if isinstance(value, dict):
            items = {k: self.builder(v) for k, v in value.items()}
            kind = type(value)
            if kind is dict:
                return lambda outputs: {k: b(outputs) for k, b in items.items()}
            return lambda outputs: kind((k, b(outputs)) for k, b in items.items())
        return lambda outputs: value


class Installation:
    """The cells of a walk with other values in them, for the time of a trace.

    Args:
        walk: The cells.
        arrays: New parameter arrays, one per parameter (None: leave).
        grads: New gradients, one per parameter.
        values: Flat arrays of the places, in order.
    """

    def __init__(self, walk: Walk, arrays: Sequence[Any], grads: Sequence[Any], values: Sequence[Any]) -> None:
        self.walk = walk
        self.saved = [(p, p._array, p._grad, p._node.info, p._node.creator_node, p._node.rank) for p in walk.parameters]
        self.stand_ins = [(p, p.stand_in) for p in walk.parameters if isinstance(p, SharedParameter)]
        self.saved_places: list[tuple[Any, Any, Any, Any]] = []
        self.variables: dict[int, tuple[Any, Any]] = {}
        rest = iter(values)
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
        return tuple(self._build(t, v, rest) for t, v in zip(template[1], old, strict=True))

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
            except (KeyError, IndexError, AttributeError):
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
            except (KeyError, IndexError, AttributeError, ValueError):
                found.append((name, "delete", container, key, None))
                continue
            if now is not old:
                found.append((name, "item", container, key, now))
        for container, contents in walk.contents:
            if isinstance(container, dict):
                for key in container.keys() - contents.keys():
                    found.append((str(key), "item", container, key, container[key]))
            elif len(container) != len(contents):
                found = [w for w in found if w[2] is not container]
                found.append(("list", "list", container, None, list(container)))
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
        found += [("contents", c, None, c.copy()) for c, _ in self.walk.contents]
        slots = [*self.walk.places, *self.walk.plain]
        found += [("item", c, key, c[key]) for c, key in slots if not isinstance(c, dict | list)]
        return found

    def put_back(self, snapshot: Sequence[tuple[Any, ...]]) -> bool:
        """Put every cell back as it was at a snapshot; return whether anything had changed."""
        changed = False
        for how, owner, key, old in snapshot:
            if how == "contents":
                same = len(owner) == len(old) and (
                    all(k in old and old[k] is v for k, v in owner.items())
                    if isinstance(owner, dict)
                    else all(map(is_, owner, old))
                )
                if not same and isinstance(owner, dict):
                    owner.clear()
                    owner.update(old)
                elif not same:
                    owner[:] = old
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
            if isinstance(container, dict):
                if container.keys() - contents.keys() or len(container) != len(contents):
                    container.clear()
                container.update(contents)
            elif container != contents or len(container) != len(contents):
                container[:] = contents
        for container, key, old, new in self.saved_places:
            if new is not old or isinstance(container, SlotView):
                container[key] = old
        for (container, key), old in zip(self.walk.plain, self.walk.plain_values, strict=True):
            if not isinstance(container, dict | list):
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
        except (KeyError, IndexError, AttributeError, ValueError):
            return None
    return [p._array for p in walk.parameters], [p._grad_array() for p in walk.parameters], values
