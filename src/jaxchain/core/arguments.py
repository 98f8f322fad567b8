"""The arguments of a static call: their leaves, what a variant's key holds of them, their names."""

from __future__ import annotations

import collections
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxchain.core.arrays import ARRAY_LIKE, NUMPY_TYPES, array_info, array_infos
from jaxchain.core.cells import tuple_of
from jaxchain.core.kinds import is_record
from jaxchain.core.parameter import Parameter
from jaxchain.core.spread import exact_type
from jaxchain.core.variable import Variable

TRACED = (Variable, *ARRAY_LIKE, jax.ShapeDtypeStruct)  # arguments that become inputs: a shape will do for a trace


def leaves_of(args: Any, kwargs: Any) -> tuple[list[Any], Any]:
    """Return the leaves of a call's arguments (Variables and None are leaves) and their structure."""
    if not kwargs and _single.issuperset(map(type, args)):
        return list(args), _flat_structure(len(args))
    _single.update(type(a) for a in args if isinstance(a, (Variable, *ARRAY_LIKE)))
    return jax.tree_util.tree_flatten(_in_order((args, kwargs)), is_leaf=_is_leaf)


def _is_leaf(value: Any) -> bool:
    return value is None or hasattr(type(value), "__next__")  # of an iterator JAX says that it is no tree


class _Dict(dict):
    """A dictionary in an argument: JAX would sort its keys, and a program may go through them."""


def _flatten_dict(value: _Dict) -> tuple[Any, Any]:
    return [(jax.tree_util.DictKey(k), v) for k, v in value.items()], tuple(value)


def _unflatten_dict(keys: Any, values: Any) -> Any:
    return dict(zip(keys, values, strict=True))


jax.tree_util.register_pytree_with_keys(_Dict, _flatten_dict, _unflatten_dict)


def _in_order(value: Any) -> Any:
    """Return a call's arguments with dictionaries that stay in order."""
    kind = type(value)
    if kind is dict:
        return _Dict((k, _in_order(v)) for k, v in value.items())
    if kind is list:
        return list(map(_in_order, value))
    return tuple_of(kind, map(_in_order, value)) if isinstance(value, tuple) else value


_single: set[type] = set()  # types seen so far whose objects are one leaf: no need to ask JAX


@functools.cache
def _flat_structure(count: int) -> Any:
    return jax.tree_util.tree_structure(((0,) * count, _Dict()))


def key_of(leaf: Any) -> Any:
    """Return what a variant's key holds of one argument leaf."""
    try:
        return array_infos[leaf.__class__][leaf.aval]
    except (AttributeError, KeyError):
        pass
    if isinstance(leaf, Variable):
        if isinstance(leaf, Parameter):
            return ("object", id(leaf))
        return ("Variable", leaf._node.info, leaf._grad is not None)
    if isinstance(leaf, TRACED):
        if not isinstance(leaf, NUMPY_TYPES) or is_traceable(leaf):
            return exact_type(leaf) if getattr(leaf, "weak_type", False) else array_info(leaf)
        if isinstance(leaf, np.ndarray):
            return ("NumPy array", type(leaf), leaf.dtype)  # such a call runs in eager mode
    if isinstance(leaf, float):
        return (type(leaf), leaf.hex())  # two zeros are two, and NaN is one
    if is_exchangeable(leaf):
        return ("record", type(leaf))
    try:
        hash(leaf)
    except TypeError:
        return ("object", id(leaf))
    return (type(leaf), leaf)


def is_traceable(array: Any) -> bool:
    """Return whether a NumPy array or scalar can be an input: JAX has its type and byte order, it is no subclass."""
    dtype = array.dtype
    if dtype.kind in "OSUMm" or dtype.type is np.void or not dtype.isnative:
        return False
    return type(array) is np.ndarray or not isinstance(array, np.ndarray) or isinstance(array, np.memmap)


def is_traced(leaf: Any) -> bool:
    """Return whether an argument is an input of the program."""
    if not isinstance(leaf, TRACED) or isinstance(leaf, Parameter):
        return False
    return not isinstance(leaf, np.generic) or is_traceable(leaf)


def is_exchangeable(leaf: Any) -> bool:
    """Return whether an argument is an object with data: each call may bring another, and equality tells too little."""
    return type(leaf) in (set, collections.deque) or is_record(leaf)


def keys_of(leaves: Sequence[Any]) -> tuple[Any, ...]:
    """Return what a variant's key holds of the arguments, and which Variables among them are one."""
    keys = tuple(map(key_of, leaves))
    if len(leaves) > 1 and len(set(map(id, leaves))) < len(leaves):
        at: dict[int, int] = {}
        firsts = tuple(at.setdefault(id(v), i) if isinstance(v, Variable) else i for i, v in enumerate(leaves))
        if firsts != tuple(range(len(leaves))):
            return (*keys, ("aliases", firsts))
    return keys


def array_of(leaf: Any) -> Any:
    """Return an argument leaf as the compiled call takes it; NumPy buffers are copied, since JAX would alias them."""
    if isinstance(leaf, NUMPY_TYPES):
        return np.array(leaf)
    return leaf


def containers_in(value: Any) -> Iterator[Any]:
    """Return the lists and dictionaries in a call's arguments."""
    if isinstance(value, list | dict):
        yield value
    if isinstance(value, list | dict | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers_in(inner)


def objects_of(leaves: Sequence[Any]) -> list[tuple[str, Any]]:
    """Return the arguments that state may hang on."""
    return [(f"argument {i}", leaf) for i, leaf in enumerate(leaves) if not is_traced(leaf)]


def argument_names(function: Callable[..., Any], args: Any, kwargs: Any) -> list[str]:
    """Return the name of each leaf of a call's arguments, as in ``x``, ``batch['image']``."""
    paths = jax.tree_util.tree_flatten_with_path(_in_order((args, kwargs)), is_leaf=_is_leaf)[0]
    function = inspect.unwrap(function)
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    known: tuple[str, ...] = code.co_varnames[: code.co_argcount] if code is not None else ()
    known = known[1:] if hasattr(function, "__self__") or known[:1] == ("self",) else known
    names = []
    for path, _ in paths:
        head, rest = path[1], path[2:]
        if path[0].idx == 0:
            first = known[head.idx] if head.idx < len(known) else f"argument {head.idx}"
        else:
            first = head.key
        names.append(f"{first}{jax.tree_util.keystr(rest)}")
    return names
