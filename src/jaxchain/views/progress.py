"""What long work is doing now, for whoever wants to show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_watcher: ContextVar[Callable[[str], object] | None] = ContextVar("watcher", default=None)


def stage(name: str) -> None:
    """Tell that the next stage begins: ``compiling``."""
    watcher = _watcher.get()
    if watcher is not None:
        watcher(name)


@contextmanager
def watched(watcher: Callable[[str], object]) -> Iterator[None]:
    """Call ``watcher(name)`` at the beginning of each stage of the work in the block."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)
