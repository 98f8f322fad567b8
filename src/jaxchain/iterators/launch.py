"""Worker processes: new interpreters that import the program's script only where what they are given needs it.

Processes are spawned, never forked: JAX is multi-threaded, and a fork of a multi-threaded process may deadlock (JAX
warns of it, Python deprecates it). `multiprocessing` would import the program's script in them. They do that
themselves, if a pickle has a class or function from there: so a program without a guard works, and `in_workers` comes
before it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import runpy
import sys
import threading
from types import ModuleType
from typing import Any

context = multiprocessing.get_context("spawn")
_starting = threading.Lock()
_setup: list[tuple[str, str, tuple[Any, ...]]] = []


def in_workers(module: str, function: str, *args: Any) -> None:
    """From now on, let worker processes begin with a call, before they unpickle what they are given.

    Args:
        module: Name of the function's module.
        function: Its name.
        *args: Its arguments.
    """
    if (module, function, args) not in _setup:
        _setup.append((module, function, args))


class Calls:
    """Calls on their way to a worker. They are pickled when they are put here; a thread sends them."""

    def __init__(self) -> None:
        self.far_end, self._near_end = context.Pipe(duplex=False)
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def put(self, call: tuple[Any, ...] | None) -> None:
        """Hand over a call.

        Args:
            call: ``(function, *args)``; None ends the worker.
        """
        self._waiting.put(None if call is None else pickle.dumps(call, protocol=5))

    def send(self) -> None:
        """Send the calls until None comes, or the worker is no more."""
        with self._near_end, contextlib.suppress(OSError):
            while (call := self._waiting.get()) is not None:
                self._near_end.send_bytes(call)


class Worker:
    """A process that runs `worker.py`.

    Args:
        name: Name of the process.
        work: What it works on: a connection on which a dataset and tasks come, or `Calls`.
        daemon: Whether Python ends it at exit, instead of waiting for it.

    Attributes:
        process: The process.

    Raises:
        RuntimeError: This is a worker itself.
    """

    def __init__(self, name: str, work: Any, daemon: bool = True) -> None:
        here = multiprocessing.current_process()
        if here.daemon or getattr(here, "is_jaxchain_worker", False):  # the latter is set by worker.py
            raise RuntimeError(
                f"{name}: used in a worker process. Workers import the program's script; what it should "
                "do only when it is run belongs under `if __name__ == '__main__':`"
            )
        main = sys.modules["__main__"]
        path = getattr(main, "__file__", None)
        self._calls = work if isinstance(work, Calls) else None
        self._connection: Any = work if self._calls is None else self._calls.far_end
        given = {
            "name": name,
            "connection": self._connection,
            "task": "read" if self._calls is None else "call",
            "setup": list(_setup),
            "main_name": getattr(getattr(main, "__spec__", None), "name", None),
            "main_path": os.path.abspath(path) if path is not None and os.path.isfile(path) else None,  # "<stdin>"
        }
        self.process = context.Process(
            target=runpy.run_path,
            args=(os.path.join(os.path.dirname(__file__), "worker.py"),),
            kwargs={"init_globals": {"given": given}},
            name=name,
            daemon=daemon,
        )

    def start(self) -> None:
        """Start the process."""
        with _starting:
            main = sys.modules["__main__"]
            sys.modules["__mp_main__"] = main  # what workers name the script's classes after
            sys.modules["__main__"] = ModuleType("__main__")
            try:
                self.process.start()
            finally:
                sys.modules["__main__"] = main
        self._connection.close()
        if self._calls is not None:
            threading.Thread(target=self._calls.send, name=self.process.name, daemon=self.process.daemon).start()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end of the process.

        Args:
            timeout: Seconds to wait at most. None: as long as it takes.
        """
        self.process.join(timeout)

    def is_alive(self) -> bool:
        """Return whether the process runs."""
        return self.process.is_alive()

    @property
    def exitcode(self) -> int | None:
        """The process's exit code; None while it runs."""
        return self.process.exitcode
