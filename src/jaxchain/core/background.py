"""Compiling in a thread beside the program, one thing at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable

import jax

_worker: threading.Thread | None = None


def is_busy() -> bool:
    """Return whether nothing can be compiled now.

    Something else is, or the program has several processes: they have to run the same programs in the same calls, and
    in each this one would be ready at another call.
    """
    return (_worker is not None and _worker.is_alive()) or jax.process_count() > 1


def start(work: Callable[[], None]) -> None:
    """Do some work in the thread; nothing else may be going on there."""
    global _worker
    _worker = threading.Thread(target=work, name="jaxchain-compiler")
    _worker.start()


def settle() -> None:
    """Wait until nothing is being compiled: for tests and benchmarks."""
    if _worker is not None:
        _worker.join()
