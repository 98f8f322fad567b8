"""What a program does besides reading and writing cells: random draws of others, NumPy buffers, caches of functions,
attributes of other libraries' objects, the configuration.

A compiled program would not repeat it. So it is undone after a trace, and the call runs in eager mode.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxchain.core.cells import refill, same
from jaxchain.core.config import global_config, thread_state
from jaxchain.core.errors import library_files
from jaxchain.core.inventory import is_as_before
from jaxchain.core.state import Walk

Stream = tuple[str, Callable[[], Any], Callable[[Any], Any]]  # its name, how to read its state, how to write it


class Effects:
    """What there was before a trace.

    Args:
        walk: What the program can reach.
    """

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.streams = [(stream, stream[1]()) for stream in _streams(walk)]
        self.large = [(name, array, array.copy()) for name, array in walk.large]  # of the others the walk has copies
        self.foreign = [(name, obj, dict(vars(obj))) for name, obj in walk.unseen if _is_of_a_package(obj)]
        self.settings = [(entries, dict(entries)) for entries in (thread_state().overrides, global_config.__dict__)]
        self.misses = [cache.cache_info().misses for cache in walk.caches]

    def undone(self) -> str | None:
        """Undo what no compiled program repeats; return what it was, or None."""
        reason = None
        for (name, get, put), state in self.streams:
            if _words(get()) != _words(state):
                put(state)
                reason = f"it draws random numbers from {name}: they would be the same at every call"
        changed = self._settings_undone() or self.walk.buffer_difference()
        if changed is not None:
            self.walk.restore_buffers()
        for name, array, copy in self.large:
            if not is_as_before(array, copy):
                array[...] = copy
                changed = f"NumPy array {name} was changed in place"
        for name, obj, attributes in self.foreign:
            now = vars(obj)  # what was None is filled once
            moved = [k for k, v in attributes.items() if v is not None and not (k in now and same(now[k], v))]
            if moved:
                refill(now, attributes)
                changed = f"{name}.{moved[0]} ({type(obj).__name__} object) was changed"
        return reason if changed is None else f"{changed}: a compiled program would not repeat it"

    def _settings_undone(self) -> str | None:
        changed = None
        for now, old in self.settings:
            moved = [k for k in {**old, **now} if not (k in now and k in old and same(now[k], old[k]))]
            if moved:
                refill(now, old)
                thread_state().refresh()
                changed = f"config.{moved[0]} was changed"
        return changed

    def forget_tracers(self) -> None:
        """Empty the caches of functions that the trace filled: tracers may be in there."""
        for cache, misses in zip(self.walk.caches, self.misses, strict=True):
            if cache.cache_info().misses != misses:
                cache.cache_clear()


def _is_of_a_package(obj: Any) -> bool:
    """Return whether an object is of an installed package. The standard library's may belong to other threads, too."""
    file = getattr(sys.modules.get(type(obj).__module__), "__file__", None)
    return file is not None and not library_files[file] and type(vars(obj)) is dict


def _streams(walk: Walk) -> list[Stream]:
    """Return the generators of random numbers, besides ours, that a program may draw from."""
    found: list[Stream] = [
        ("NumPy (np.random)", np.random.get_state, np.random.set_state),
        ("Python (random)", random.getstate, random.setstate),
    ]
    for name, generator in walk.generators:
        if isinstance(generator, random.Random):
            found.append((name, generator.getstate, generator.setstate))
        elif isinstance(generator, np.random.RandomState):
            found.append((name, generator.get_state, generator.set_state))
        else:
            found.append(_bits(name, getattr(generator, "bit_generator", generator)))
    return found


def _bits(name: str, bits: Any) -> Stream:
    return name, lambda: bits.state, lambda state: setattr(bits, "state", state)


def _words(state: Any) -> Any:
    """Return the state of a generator as what can be compared."""
    if isinstance(state, np.ndarray):
        return state.tobytes()
    if isinstance(state, dict):
        return [(k, _words(v)) for k, v in state.items()]
    return [_words(v) for v in state] if isinstance(state, tuple) else state
