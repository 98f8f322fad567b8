"""Calls of kinds that are not compiled for: where keys are ever new, a kind has to come often before it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from jaxchain.core.explain import Compile


class Uncompiled:
    """What the calls with keys that are not compiled for have taken.

    Attributes:
        calls: How many there were.
    """

    REMEMBERED = 2**16  # keys
    CHEAPER = 4  # times that eager calls have to be faster than a compile

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget every call."""
        self.calls = 0
        self.last_seconds = 0.0
        self._seconds: dict[int, float] = {}  # by hash of the key: what all its calls took

    def pays(self, key: Any, compiles: Sequence[Compile]) -> bool:
        """Return whether a key's calls so far, and one more like the last of any, take far less than compiles take."""
        seconds = self._seconds.get(hash(key), 0.0) + self.last_seconds
        compiling = sum(c.trace_seconds + c.compile_seconds for c in compiles)
        return self.CHEAPER * seconds * len(compiles) < compiling

    def call(self, key: Any, function: Callable[[Any, Any], Any], args: Any, kwargs: Any) -> Any:
        """Make a call, and note what it takes."""
        if len(self._seconds) >= self.REMEMBERED:
            self._seconds.clear()
        self.calls += 1
        start = time.perf_counter()
        result = function(args, kwargs)
        self.last_seconds = time.perf_counter() - start
        kind = hash(key)
        self._seconds[kind] = self._seconds.get(kind, 0.0) + self.last_seconds
        return result

    def forget(self, key: Any) -> None:
        """Forget the calls with a key, which is compiled for now."""
        self._seconds.pop(hash(key), None)
