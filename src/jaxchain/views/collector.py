"""Python's garbage collector, paused while a large graph is made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Pause the collector: a graph's objects are all alive, and looking through them again and again is half the time.

    Also a decorator. It is left as it was found: a pause inside a pause, or a collector that the user switched off.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
