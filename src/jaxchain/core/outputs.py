"""What leaves a trace: the arrays are outputs of the program, and what holds them is made anew after every call."""

from __future__ import annotations

import collections
import functools
import gc
import types
from collections.abc import Callable, Container, Sequence
from typing import Any, cast

import jax
import numpy as np

from jaxchain.core.cells import ATOMS, UNSET, SlotView
from jaxchain.core.compat import is_tracer
from jaxchain.core.guard import NotCompilable
from jaxchain.core.kinds import is_record, slots_of
from jaxchain.core.nodes import VariableNode
from jaxchain.core.outside import is_iterator
from jaxchain.core.parameter import Parameter
from jaxchain.core.state import Walk
from jaxchain.core.variable import Variable, as_array


class Once:
    """Builds what is in several places: one object for all of them, once per call.

    Args:
        build: Makes it from the outputs of a call.
    """

    __slots__ = ("build", "made")

    def __init__(self, build: Callable[[Sequence[Any]], Any]) -> None:
        self.build = build
        self.made: tuple[Any, Any] | None = None  # of which outputs, and what: forgotten when the call is over

    def __call__(self, outputs: Sequence[Any]) -> Any:
        """Return it."""
        made = self.made
        if made is None or made[0] is not outputs:
            made = self.made = outputs, self.build(outputs)
        return made[1]


class Outputs:
    """Collects the arrays that leave a trace, and makes builders that put them together again outside.

    Args:
        walk: What was there before the trace: it leaves as it is. What the trace made is made anew by every call.
        shared: What is in several places, by identity, as far as that is known.

    Attributes:
        came_in: Where the Variables that the call was given, or found, stand behind its outputs: `Results.write`.
        originals: What lies in the place of something during the trace comes out as that: see `outside.substitute`.
        gives_back: Those of them that come out, as what they are, not made anew: with the numbers of their arrays
            (-1: it does not come out, it is written to).
        repeated: What was found in several places.
        once: The builders of what is.
    """

    def __init__(self, walk: Walk, shared: frozenset[int] = frozenset()) -> None:
        self.walk = walk
        self.shared = shared
        self.came_in: dict[int, int] = {}
        self.originals: dict[int, tuple[Any, Any]] = {}
        self.gives_back: dict[int, int] = {}
        self.repeated: set[int] = set()
        self.once: dict[int, Once] = {}
        self.arrays: list[Any] = []
        self.names: list[str] = []
        self.name = "result"  # what is being collected now
        self.nodes: dict[int, Any] = {}  # output number -> node of the Variable that it was the array of
        self.uses: list[int] = []  # how many things each output is needed for
        self._index: dict[int, int] = {}
        self._inside: list[int] = []  # the objects around what is being looked at
        self._met: dict[int, Any] = {}
        self._dead_ends: set[VariableNode] = set()

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

    def index_of(self, value: Any) -> int | None:
        """Return the output number of an array that was added; None for what is no array of the trace."""
        return self._index[id(value)] if is_tracer(value) else None

    def builder(self, value: Any) -> Callable[[Sequence[Any]], Any]:
        """Return a function from the call's outputs to a value like `value`.

        Raises:
            NotCompilable: It is something that cannot be made anew.
        """
        walk, at = self.walk, id(value)
        if at in self.originals:
            original = self.originals[at][1]
            return lambda outputs: original
        if is_tracer(value):
            at = self.add(value)
            return lambda outputs: as_array(outputs[at])
        if (at in walk.objects and not _is_free(value)) or isinstance(value, (*ATOMS, jax.Array)):
            return (lambda outputs: walk.objects[at]) if at in walk.objects else (lambda outputs: value)
        if at in self.once:
            return self.once[at]
        if at in self._inside:
            raise NotCompilable(f"it makes a {type(value).__name__} that holds itself")
        if at in self._met and self.name != "report":
            self.repeated.add(at)
        self._met[at] = value
        self._inside.append(at)
        build = self._builder(value)
        self._inside.pop()
        if at in self.shared:
            build = self.once[at] = Once(build)
        return build

    def _builder(self, value: Any) -> Callable[[Sequence[Any]], Any]:
        if _is_free(value):
            return self._variable(value)
        if isinstance(value, tuple | list | set | frozenset | collections.deque | dict):
            return self._container(value)
        if is_record(value):
            return self._filled(_maker(type(value)), value)
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, bytearray):
            return lambda outputs: value[:]
        if self.name != "report" and (isinstance(value, _LATER) or is_iterator(value)):
            if isinstance(value, types.CoroutineType):
                value.close()  # Python would say that nobody waited for it
            raise NotCompilable(f"a {type(value).__name__} comes out of it, which runs after the call")
        if holds_tracer(value, self.walk.objects):
            build = self._tree(value)
            if build is None and isinstance(value, _CALLABLES):
                build = self._callable(value)
            if build is None:
                raise NotCompilable(f"a {type(value).__name__} comes out of it, with values in it that a call computes")
            return build
        return lambda outputs: value

    def _leads_on(self, node: VariableNode) -> bool:
        """Return whether a gradient that arrives at a node would be left at a Variable: a parameter, an argument."""
        stack, seen = [node], set()
        while stack:
            at = stack.pop()
            if at in seen or at in self._dead_ends:
                continue
            seen.add(at)
            if at.creator_node is not None:
                stack += at.creator_node.wanting_inputs
            elif at.requires_grad and at._variable() is not None:
                return True
        self._dead_ends |= seen
        return False

    def _variable(self, value: Variable) -> Callable[[Sequence[Any]], Any]:
        if not is_tracer(value._array):
            if self.name == "report" or value._array is None:
                return lambda outputs: value
            return lambda outputs: Variable(value._array, name=value.name, requires_grad=value.requires_grad)
        at, name, requires_grad = self.add(value._array), value.name, value.requires_grad
        self.nodes.setdefault(at, value._node)
        own = self.came_in.get(id(value)) if self.name != "report" else None
        if own is not None:
            self.gives_back[own] = at
            return lambda outputs: outputs[own]
        grad = None if value._grad is None else self.add(value.grad)
        rank = ENDED if value._node.creator_node is not None and self._leads_on(value._node) else 0

        def variable(outputs: Sequence[Any]) -> Variable:
            array = outputs[at]
            if isinstance(array, Variable):
                return array
            made = Variable(array, name=name, requires_grad=requires_grad)
            made._node.rank = rank
            if grad is not None:
                made._grad = outputs[grad]
            return made

        return variable

    def _callable(self, value: Any) -> Callable[[Sequence[Any]], Any]:
        """Return how to make a function, method or partial that holds arrays."""
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.MethodType):
            function, owner = value.__func__, self.builder(value.__self__)
            return lambda outputs: types.MethodType(function, owner(outputs))
        func, args, keywords = map(self.builder, (value.func, value.args, value.keywords))
        return lambda outputs: functools.partial(func(outputs), *args(outputs), **keywords(outputs))

    def _function(self, value: types.FunctionType) -> Callable[[Sequence[Any]], Any]:
        """As `_callable`, for a function with a closure or defaults."""
        contents = [SlotView(cell)["cell_contents"] for cell in value.__closure__ or ()]
        cells = [None if c is UNSET else self.builder(c) for c in contents]
        defaults, keywords = self.builder(value.__defaults__), self.builder(value.__kwdefaults__)
        code, space, attributes = value.__code__, value.__globals__, dict(value.__dict__)
        names = {k: getattr(value, k) for k in ("__qualname__", "__module__", "__doc__", "__annotations__")}

        def function(outputs: Sequence[Any]) -> Any:
            closure = tuple(types.CellType() if c is None else types.CellType(c(outputs)) for c in cells)
            made = types.FunctionType(code, space, code.co_name, defaults(outputs), closure)
            made.__kwdefaults__ = keywords(outputs)
            made.__dict__.update(attributes)
            for key, name in names.items():
                setattr(made, key, name)
            return made

        return function

    def _container(self, value: Any) -> Callable[[Sequence[Any]], Any]:
        kind = type(value)
        if isinstance(value, dict):
            items = {k: self.builder(v) for k, v in value.items()}
            if kind is dict:
                return lambda outputs: {k: b(outputs) for k, b in items.items()}
            return self._filled(_mapping(value, items), value)
        parts = [self.builder(v) for v in value]
        if isinstance(value, collections.deque):
            longest = value.maxlen
            return self._filled(lambda outputs: kind((p(outputs) for p in parts), longest), value)
        if kind in (list, set, frozenset, tuple):
            return lambda outputs: kind([p(outputs) for p in parts])
        if hasattr(kind, "_make"):
            return self._filled(lambda outputs: kind._make([p(outputs) for p in parts]), value)
        if isinstance(value, tuple | frozenset):
            new = (tuple if isinstance(value, tuple) else frozenset).__new__
            return self._filled(lambda outputs: new(kind, [p(outputs) for p in parts]), value)
        empty, extend = _maker(kind), cast(Any, list.extend if isinstance(value, list) else set.update)

        def filled(outputs: Sequence[Any]) -> Any:
            made = empty()
            extend(made, [p(outputs) for p in parts])
            return made

        return self._filled(filled, value)

    def _tree(self, value: Any) -> Callable[[Sequence[Any]], Any] | None:
        """Return how to make a pytree of a package's own class, or None: JAX knows no such class, or not all parts."""
        if jax.tree_util.all_leaves([value]):
            return None
        parts, tree = jax.tree_util.tree_flatten(value, is_leaf=lambda part: part is not value)
        if holds_tracer(tree.node_data(), self.walk.objects):
            return None
        builders = [self.builder(part) for part in parts]
        return lambda outputs: tree.unflatten([build(outputs) for build in builders])

    def _array(self, value: np.ndarray) -> Callable[[Sequence[Any]], Any]:
        objects, at = self.walk.objects, id(value.base)
        if at in objects:  # a view of an array that is there before and after, unless another has taken its place
            return lambda outputs: value.view() if objects[at] is value.base else value.copy()
        if value.dtype != object:
            return lambda outputs: value.copy()
        parts = [self.builder(v) for v in value.flat]

        def array(outputs: Sequence[Any]) -> Any:
            made = np.empty_like(value)
            for i, part in enumerate(parts):
                made.flat[i] = part(outputs)
            return made

        return array

    def _filled(self, make: Callable[..., Any], value: Any) -> Callable[[Sequence[Any]], Any]:
        """Return how to make an object of the user's program, with the attributes that it has."""
        slots = [s for c in type(value).__mro__ for s in slots_of(c) if hasattr(value, s)]
        attributes = getattr(value, "__dict__", {})
        if attributes is value:  # a dictionary that is its own attributes

            def own(outputs: Sequence[Any]) -> Any:
                made = make(outputs)
                made.__dict__ = made
                return made

            return own
        parts = {k: self.builder(v) for k, v in {**attributes, **{s: getattr(value, s) for s in slots}}.items()}
        if not parts:
            return make

        def filled(outputs: Sequence[Any]) -> Any:
            made = make(outputs)
            for k, part in parts.items():
                object.__setattr__(made, k, part(outputs))
            return made

        return filled


def _mapping(value: Any, items: dict[Any, Callable[[Sequence[Any]], Any]]) -> Callable[[Sequence[Any]], Any]:
    """Return how to make a dictionary of a class of its own, with such items."""
    empty: Any = _maker(type(value))
    base: Any = next(c for c in type(value).__mro__ if c.__module__ in ("builtins", "collections"))
    factory = getattr(value, "default_factory", None)

    def mapping(outputs: Sequence[Any]) -> Any:
        made = empty()
        if factory is not None:
            made.default_factory = factory
        for k, build in items.items():
            base.__setitem__(made, k, build(outputs))
        return made

    return mapping


def _is_free(value: Any) -> bool:
    """Return whether a value is a Variable that is no parameter: it is known by its array, not by itself."""
    return isinstance(value, Variable) and not isinstance(value, Parameter)


def _maker(kind: Any) -> Callable[..., Any]:
    """Return what makes an empty object of a class, whatever its own `__new__` would like to be given."""
    new = next(
        vars(c)["__new__"] for c in kind.__mro__ if isinstance(vars(c).get("__new__"), types.BuiltinFunctionType)
    )
    return lambda *_: new(kind)


def holds_tracer(value: Any, known: Container[int]) -> bool:
    """Return whether there is a tracer in an object of whatever kind, or in what it refers to.

    Args:
        value: The object.
        known: What was there before the trace, by identity: not looked into.
    """
    stack, seen = [value], set()
    while stack and len(seen) < LARGE:
        found = stack.pop()
        if is_tracer(found):
            return True
        if id(found) in seen or id(found) in known or isinstance(found, (*ATOMS, types.ModuleType)):
            continue
        seen.add(id(found))
        if isinstance(found, types.FunctionType):  # all of its module hangs on it
            stack += [found.__closure__, found.__defaults__, found.__kwdefaults__, found.__dict__]
        else:
            stack += gc.get_referents(found)
    return False


ENDED = -1  # rank of a variable whose graph was that of a call: `backward` says so
LARGE = 100_000  # objects that are looked at
_CALLABLES = (types.FunctionType, types.MethodType, functools.partial)
_LATER = (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)
