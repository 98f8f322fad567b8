"""An op's signature is its declaration: annotations say what each parameter is, dimension letters are the type check.

Read once, at decoration. It takes the arguments of a call apart (`caller`, `flatten`) and puts them together again
(`unflatten`). Shapes and dtypes are checked when an op sees new ones, never per call.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.export import is_symbolic_dim
from jax.sharding import PartitionSpec

from jaxchain.core.compat import is_tracer, usual_promotion, weakly_typed
from jaxchain.core.errors import InvalidType, user_line
from jaxchain.core.variable import Variable

Array = jax.Array
T = TypeVar("T")
Static = Annotated[T, "static"]  # Static[float]: a float that is part of the cache key
# an input that graphs do not show: statistics, masks, indices. In Chainer they are attributes of the function object
Undrawn = Annotated[T, "undrawn"]
# a traced array that is no input of the graph, e.g. a random key (core/random.py)
Key = Annotated[jax.Array, "key"]


ARRAY, OPTIONAL, TREE, SCALAR, KEY, STATIC = "array", "optional", "tree", "scalar", "key", "static"
# what a tree may be as it comes; a tuple or iterator becomes a list
_WHOLE = (list, dict, Variable, jax.Array, np.ndarray)
REQUIRED = inspect.Parameter.empty


def _is_array(annotation: Any) -> bool:
    return annotation is Array or getattr(annotation, "array_type", None) is Array


def _mentions_array(annotation: Any) -> bool:
    return _is_array(annotation) or any(_mentions_array(a) for a in typing.get_args(annotation))


def _depth(annotation: Any) -> int:
    """Return how many sequences are around the arrays of a tree."""
    return 0 if _is_array(annotation) else 1 + max(map(_depth, typing.get_args(annotation)), default=0)


def _kind(annotation: Any) -> str:
    if typing.get_origin(annotation) is Annotated:
        return KEY if "key" in annotation.__metadata__ else STATIC
    if _is_array(annotation):
        return ARRAY
    if annotation is float:
        return SCALAR
    options = typing.get_args(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType) and len(options) == 2 and type(None) in options:
        (inner,) = (a for a in options if a is not type(None))
        if _is_array(inner):
            return OPTIONAL
        if inner is float:
            return SCALAR
    return TREE if _mentions_array(annotation) else STATIC


def _mentions_int(annotation: Any) -> bool:
    return annotation is int or any(map(_mentions_int, typing.get_args(annotation)))


def _whole(value: Any) -> Any:
    """Return a value with Python's integers in the place of the numbers that equal them: 1.0, True, NumPy's."""
    if isinstance(value, tuple):
        return tuple(map(_whole, value))
    is_whole = isinstance(value, int | np.integer | np.bool_)
    is_whole = is_whole or (isinstance(value, float | np.floating) and value.is_integer())
    return int(value) if is_whole else value


class Verbatim(str):
    """A text whose `repr` is itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Parameter:
    """One parameter of an op: name, kind, default and, for arrays, what its annotation says of dtype and shape.

    `always`: it is never None. `is_drawn`: graphs show it, if it is an input. `is_int`: its numbers are integers.
    """

    def __init__(self, parameter: inspect.Parameter) -> None:
        self.name = parameter.name
        self.default = parameter.default
        annotation = parameter.annotation
        self.is_drawn = "undrawn" not in getattr(annotation, "__metadata__", ())
        if not self.is_drawn:
            annotation = typing.get_args(annotation)[0]
        self.kind = _kind(annotation)
        self.is_int = _mentions_int(annotation)
        self.depth = _depth(annotation) if self.kind == TREE else 0
        self.always = parameter.default is not None and type(None) not in typing.get_args(annotation)
        if self.kind == OPTIONAL:
            (annotation,) = (a for a in typing.get_args(annotation) if a is not type(None))
        dims = getattr(annotation, "dim_str", None)
        self.dims: tuple[str, ...] | None = None if dims is None else tuple(dims.split())
        dtypes = getattr(annotation, "dtypes", ())
        self.dtypes: tuple[str, ...] = () if not isinstance(dtypes, list | tuple) else tuple(map(str, dtypes))
        self.dtype_name = getattr(annotation, "__name__", "").split("[")[0].lower()


class Signature:
    """Binds the arguments of a call and sorts them into graph inputs, traced scalars and static values.

    Raises:
        TypeError: The function has ``*args`` or ``**kwargs``.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.python = inspect.signature(function, eval_str=True)
        for p in self.python.parameters.values():
            if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                raise TypeError(
                    f"op {function.__name__}: expected parameters that have names, got {p}. Several arrays come as a "
                    f"tuple: `xs: tuple[Array, ...]`\nat {user_line(4)}"
                )
        self.keywords = [p.name for p in self.python.parameters.values() if p.kind is p.KEYWORD_ONLY]
        self.parameters = [Parameter(p) for p in self.python.parameters.values()]
        self.count = len(self.parameters)
        self.required = sum(p.default is REQUIRED for p in self.parameters)
        self.inputs_only = all(p.kind in (ARRAY, OPTIONAL) for p in self.parameters)
        kinds = [p.kind for p in self.parameters]
        self.input_at = [i for i, k in enumerate(kinds) if k in (ARRAY, OPTIONAL, TREE)]
        self.trees = {i for i, k in enumerate(kinds) if k == TREE}
        self.scalar_at = [i for i, k in enumerate(kinds) if k in (SCALAR, KEY)]
        self.readers = [_scalar if kinds[i] == SCALAR else _traced for i in self.scalar_at]
        self.static_at = [i for i, k in enumerate(kinds) if k == STATIC]

    def caller(self, apply: Callable[[Any, Sequence[Any], tuple[Any, ...]], Any]) -> Callable[..., Any]:
        """Return a Python function with these parameters, which calls ``apply(static values, inputs, scalars)``.

        Written out as code, as `dataclasses` does: then Python binds the arguments, and refuses calls that do not fit.
        """
        names = [p.name for p in self.parameters]
        default = "_" * (1 + max(map(len, names), default=0))  # what begins with it is longer than any parameter's name
        own = 2 * default
        simple = not self.trees and all(p.kind != SCALAR or p.always for p in self.parameters)
        statics, inputs = ("".join(names[i] + ", " for i in at) for at in (self.static_at, self.input_at))
        reads = zip(self.readers, self.scalar_at, strict=True)
        scalars = "".join(f"{own}{reader.__name__}({names[i]}), " for reader, i in reads)
        flat = f"({statics}), ({inputs}), ({scalars})" if simple else f"*{own}flatten(({', '.join(names)},))"
        defaults = {default + p.name: p.default for p in self.parameters if p.default is not REQUIRED}
        bare = [
            p.replace(annotation=REQUIRED, default=Verbatim(default + n) if default + n in defaults else REQUIRED)
            for n, p in self.python.parameters.items()
        ]
        header = self.python.replace(parameters=bare, return_annotation=REQUIRED)
        called = {"apply": apply, "flatten": self.flatten, **{reader.__name__: reader for reader in self.readers}}
        namespace = {**defaults, **{own + name: function for name, function in called.items()}}
        here = "\n" * sys._getframe().f_lineno  # for tracebacks
        exec(compile(f"{here}def call{header}: return {own}apply({flat})", __file__, "exec"), namespace)
        return namespace["call"]

    def call(self, function: Callable[..., Any], *values: Any) -> Any:
        """Call a function on one value per parameter, and what comes before them: keyword-only ones go by name."""
        count = len(values) - len(self.keywords)
        with usual_promotion() if function.__module__.startswith("jaxchain.") else contextlib.nullcontext():
            return function(*values[:count], **dict(zip(self.keywords, values[count:], strict=True)))

    def flatten(self, values: Sequence[Any]) -> tuple[Any, Sequence[Any], tuple[Any, ...]]:
        """Return (static values with the structure of trees, flat inputs, scalars) of one value per parameter."""
        statics = tuple([values[i] for i in self.static_at])
        scalars: tuple[Any, ...] = ()
        if self.scalar_at:
            scalars = tuple([read(values[i]) for read, i in zip(self.readers, self.scalar_at, strict=True)])
            if any(s is None for s in scalars):
                statics += tuple(s is None for s in scalars)
                scalars = tuple(s for s in scalars if s is not None)
        inputs = [values[i] for i in self.input_at]
        if self.trees:
            flat: list[Any] = []
            shapes = []
            for i, value in zip(self.input_at, inputs, strict=True):
                if i in self.trees:
                    leaves, tree = jax.tree_util.tree_flatten(
                        list(value) if isinstance(value, Iterable) and not isinstance(value, _WHOLE) else value
                    )
                    flat += leaves
                    shapes.append(tree)
                else:
                    flat.append(value)
            return (*statics, *shapes), flat, scalars
        return statics, inputs, scalars

    def normal(self, statics: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return static values so that equal ones, which have one plan, are the same: 1 for 1.0 where integers go."""
        values = list(statics)
        for k, i in enumerate(self.static_at):
            if self.parameters[i].is_int:
                values[k] = _whole(values[k])
        return tuple(values)

    def unflatten(self, structure: Any, arrays: Sequence[Any], scalars: Sequence[Any]) -> list[Any]:
        """Return one value per parameter.

        Args:
            structure: (what `flatten` returned first, which of the flat inputs are there).
            arrays: The inputs that are there.
            scalars: The scalars that are there.
        """
        statics, present = structure
        values: list[Any] = [None] * self.count
        for i, value in zip(self.static_at, statics, strict=False):
            values[i] = value
        rest = list(statics[len(self.static_at) :])
        n_scalars = len(self.scalar_at)
        absent = [False] * n_scalars
        if rest and n_scalars and isinstance(rest[0], bool):
            absent, rest = rest[:n_scalars], rest[n_scalars:]
        numbers = iter(scalars)
        for i, gone in zip(self.scalar_at, absent, strict=True):
            values[i] = None if gone else next(numbers)
        flat = iter(arrays)
        slots = iter(present)
        for i in self.input_at:
            if i in self.trees:
                tree = rest.pop(0)
                values[i] = jax.tree_util.tree_unflatten(
                    tree, [next(flat) for _ in range(tree.num_leaves) if next(slots)]
                )
            else:
                values[i] = next(flat) if next(slots) else None
        return values

    def flat_gradients(self, structure: Any, grads: Any) -> list[Any]:
        """Return one gradient per flat input from what a rule returned: one per array parameter."""
        if len(self.input_at) == 1:
            grads = (grads,)
        flat: list[Any] = []
        present = iter(structure[1])
        for i, g in zip(self.input_at, grads, strict=True):
            if i in self.trees:
                leaves = jax.tree_util.tree_leaves(list(g) if isinstance(g, tuple) else g, is_leaf=lambda v: v is None)
                flat += leaves
                for _ in leaves:
                    next(present)
            elif next(present):
                flat.append(g)
        return flat

    def named(self, structure: Any, infos: Sequence[T]) -> list[tuple[str, Parameter | None, T]]:
        """Return (name, parameter, info) of each input that is there; the parameter is None inside a tree."""
        named: list[tuple[str, Parameter | None, T]] = []
        for i, value in self._inputs(structure, infos):
            parameter = self.parameters[i]
            if i in self.trees:
                leaves = jax.tree_util.tree_leaves(value)
                named += [(f"{parameter.name}[{k}]", None, info) for k, info in enumerate(leaves)]
            elif value is not None:
                named.append((parameter.name, parameter, value))
        return named

    def _inputs(self, structure: Any, infos: Sequence[Any]) -> list[tuple[int, Any]]:
        """Return (position, info of the input, or a tree of them, or None) of each parameter that is an input."""
        values = self.unflatten(structure, infos, [0.0] * len(self.scalar_at))
        return [(i, values[i]) for i in self.input_at]

    def drawn(self, structure: Any) -> list[int]:
        """Return which of the inputs that are there graphs show."""
        hidden = {p.name for p in self.parameters if not p.is_drawn}
        named = self.named(structure, range(sum(structure[1])))
        return [i for name, _, i in named if name.partition("[")[0] not in hidden]

    def specs(self, structure: Any, infos: Sequence[Any], outputs: Sequence[Any]) -> tuple[PartitionSpec, ...]:
        """Return how the outputs are spread over a mesh: an axis as the inputs' axes of the same letter are. What no
        letter tells about is whole on every device.

        Args:
            structure: As in `unflatten`.
            infos: What has the type of each input that is there.
            outputs: What has the shape of each output.
        """
        known: dict[str, tuple[int, Any]] = {}  # size, axes of the mesh
        for _, parameter, info in self.named(structure, infos):
            if parameter is None or info.struct.sharding is None:
                continue
            spec = info.struct.sharding.spec
            for dim, axis in _pairs(parameter.dims or (), len(info.shape)) or ():
                if spec[axis] is not None:
                    known.setdefault(dim, (info.shape[axis], spec[axis]))
        found = self.python.return_annotation
        parts = typing.get_args(found) if typing.get_origin(found) is tuple else (found,)
        specs = []
        for k, output in enumerate(outputs):
            dims = getattr(parts[k], "dim_str", "").split() if k < len(parts) else []
            entries: list[Any] = [None] * len(output.shape)
            used: set[Any] = set()
            for dim, axis in _pairs(tuple(dims), len(output.shape)) or ():
                size, over = known.get(dim, (None, None))
                names = over if isinstance(over, tuple) else (over,)
                if size == output.shape[axis] and used.isdisjoint(names):
                    entries[axis] = over
                    used.update(names)
            specs.append(PartitionSpec(*entries))
        return tuple(specs)

    def check(self, structure: Any, infos: Sequence[Any]) -> None:
        """Unify the dimension letters over the inputs; those inside a tree are not checked, but for being arrays.

        Args:
            structure: As in `unflatten`.
            infos: What has the shape and dtype of each input that is there.

        Raises:
            InvalidType: With the condition that failed, as ``x.shape[1] == W.shape[1]``, and what came.
        """
        for i, value in self._inputs(structure, infos):
            if self.parameters[i].always:
                _are_arrays(self.parameters[i].name, value, self.parameters[i].depth)
        sizes: dict[str, tuple[int, str]] = {}
        for name, parameter, info in self.named(structure, infos):
            if parameter is None:
                continue
            shape, dtype = info.shape, info.dtype
            if parameter.dtypes and dtype.name not in parameter.dtypes:
                raise InvalidType(f"{name}.dtype is {parameter.dtype_name}", dtype.name)
            if parameter.dims is None:
                continue
            dims = parameter.dims
            ellipsis = dims.index("...") if "..." in dims else None
            fixed = len(dims) - (ellipsis is not None)
            if len(shape) < fixed or (ellipsis is None and len(shape) != fixed):
                relation = ">=" if ellipsis is not None else "=="
                sign = "<" if ellipsis is not None else "!="
                raise InvalidType(f"{name}.ndim {relation} {fixed}", f"{len(shape)} {sign} {fixed}")
            if ellipsis is None:
                pairs = list(zip(dims, range(len(shape)), strict=True))
            else:
                tail = len(dims) - ellipsis - 1
                pairs = [(d, i) for i, d in enumerate(dims[:ellipsis])]
                pairs += [(d, len(shape) - tail + i) for i, d in enumerate(dims[ellipsis + 1 :])]
            for dim, axis in pairs:
                size, here = shape[axis], f"{name}.shape[{axis}]"
                if dim == "_":
                    continue
                if dim.isdigit():
                    if size != int(dim):
                        raise InvalidType(f"{here} == {dim}", f"{size} != {dim}")
                elif dim.isidentifier():
                    first, where = sizes.setdefault(dim, (size, here))
                    if first != size:
                        raise InvalidType(f"{where} == {here}", f"{first} != {size}")


def _pairs(dims: tuple[str, ...], ndim: int) -> list[tuple[str, int]] | None:
    """Return (dimension, axis) of an array as its annotation has them, each axis of ``...`` as ``...0``, ``...1``; None
    if it does not fit.
    """
    first = dims.index("...") if "..." in dims else len(dims)
    middle = ndim - len(dims) + 1 if "..." in dims else 0
    if middle < 0 or len(dims) - ("..." in dims) + middle != ndim:
        return None
    names = [*dims[:first], *(f"...{k}" for k in range(middle)), *dims[first + 1 :]]
    return list(zip(names, range(ndim), strict=True))


def _are_arrays(name: str, value: Any, depth: int) -> None:
    """Raise `InvalidType` unless an input is there: an array, or lists of arrays, at most `depth` of them nested."""
    if not isinstance(value, list):
        if value is None:
            raise InvalidType(f"{name} is a Variable or an array", "NoneType")
    elif depth == 0:
        raise InvalidType(f"{name} is a Variable or an array", "list")
    else:
        for k, inner in enumerate(value):
            _are_arrays(f"{name}[{k}]", inner, depth - 1)


def _scalar(value: Any) -> Any:
    """Return a scalar as jit takes it: a Python float, or weakly typed, so the input's dtype decides. Ops are planned
    without looking at scalars: all of them have to be of one kind.
    """
    if value.__class__ is float:
        return value
    if isinstance(value, (int, np.floating, np.integer, np.bool_)):
        return float(value)
    if value is None:
        return None
    if isinstance(value, Variable):
        value = value._array
    shape = getattr(value, "shape", None)
    is_size = bool(is_symbolic_dim(value))  # in an export
    if shape is None and not is_size:
        try:
            return float(value)
        except (TypeError, ValueError):
            raise TypeError(f"expected a number, got {value!r}\nat {user_line(3)}") from None
    if shape != () or not jnp.isdtype(value.dtype, ("bool", "real floating", "integral")):
        return value
    return weakly_typed(value) if is_tracer(value) else float(value)


def _traced(value: Any) -> Any:
    """Return an array that is traced and no input of the graph."""
    return value._array if isinstance(value, Variable) else value
