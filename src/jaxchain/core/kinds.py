"""Kinds of objects that a program can reach: of this package, of the user's program, records that hold data."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import functools
import sys
import threading
import types
import weakref
from typing import Any

from jaxchain.core.cells import ATOMS
from jaxchain.core.errors import is_user_code

RECORDS = (
    types.SimpleNamespace, argparse.Namespace, collections.UserDict, collections.UserList, collections.ChainMap,
    threading.local, weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet,
)  # fmt: skip


def is_record(value: Any) -> bool:
    """Return whether a value is an object that holds data, of the user's program: one like it may take its place.

    Of ours are those whose class has ``_is_record``: distributions.
    """
    return _holds_data(type(value))


@functools.lru_cache(maxsize=4096)
def _holds_data(kind: type) -> bool:
    if getattr(kind, "_is_record", False):
        return True
    if issubclass(kind, (*ATOMS, types.FunctionType, types.MethodType)) or is_ours(kind):
        return False
    return (
        issubclass(kind, RECORDS)
        or is_of_user_module(kind)
        or (
            dataclasses.is_dataclass(kind) and not hasattr(kind, "__call__")  # noqa: B004 - a module, not a record
        )
    )


def is_ours(kind: type) -> bool:
    """Return whether a class is one of this package, or derived from one."""
    return any(base.__module__.startswith("jaxchain.") for base in kind.__mro__)


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
