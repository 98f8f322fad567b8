"""Compiling in a thread beside the program, one thing at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable

_worker: threading.Thread | None = None


def is_busy() -> bool:
    """Return whether something is being compiled."""
    return _worker is not None and _worker.is_alive()


def start(work: Callable[[], None]) -> None:
    """Do some work in the thread; nothing else may be going on there."""
    global _worker
    _worker = threading.Thread(target=work, name="jaxchain-compiler")
    _worker.start()


def settle() -> None:
    """Wait until nothing is being compiled: for tests and benchmarks."""
    if _worker is not None:
        _worker.join()
