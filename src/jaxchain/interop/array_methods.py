"""NumPy's methods that JAX's arrays lack, for programs written for Chainer: `jaxchain run` puts them there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

READ = ("flags", "strides", "base", "tobytes", "tofile", "dump", "dumps")
"""Attributes and methods that only read, looked up in a NumPy array on the same memory."""


def install() -> None:
    """From now on, arrays of one element are numbers to `float`, `int` and `complex`, and arrays have `READ`."""
    array: Any = type(jnp.zeros(()))
    for name, kind in (("__float__", float), ("__int__", int), ("__complex__", complex)):
        setattr(array, name, _converter(kind))
    for name in READ:
        if not hasattr(array, name):
            setattr(array, name, _reader(name))


def _converter(kind: type) -> Callable[[jax.Array], Any]:
    def convert(self: jax.Array) -> Any:
        return kind(np.asarray(self).item() if self.size == 1 else self.__array__())

    return convert


def _reader(name: str) -> property:
    return property(lambda self: getattr(np.asarray(self), name))
