"""What a worker process runs: it reads examples for `MultiprocessIterator`, or calls functions for snapshot writers.

This file is run by its path (`runpy`), so it imports nothing of jaxchain, JAX or NumPy: a worker has what the pickled
dataset or call needs. It is no part of the program: the program's script is imported (as ``__mp_main__``, by the rules
of `multiprocessing`) only if a pickle has a class or function from there.

Messages to a worker that reads: the pickled dataset, then ``(indices, memory)`` each, then None. Answers:
``(ok, size, layout)``, then the pickle as bytes, then those buffers of arrays (pickle protocol 5) that are not in the
shared memory.
"""

from __future__ import annotations

import importlib
import io
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
from multiprocessing import shared_memory, spawn
from typing import Any

_given: dict[str, Any] = globals().get("given", {})  # by the iterator that runs this file


class _Unpickler(pickle.Unpickler):
    """Imports the program's script when it is needed."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "__main__" and "__mp_main__" not in _loaded:
            _load_main()
        return super().find_class(module, name)


_loaded: set[str] = set()


def _load_main() -> None:
    path, name = _given["main_path"], _given["main_name"]
    if path is None and name is None:
        raise RuntimeError(
            f"{_given['name']}: a class or function was typed at a prompt or in a notebook, where worker processes "
            "cannot find it: put it into a module, or use threads (MultithreadIterator, ThreadWriter)"
        )
    _loaded.add("__mp_main__")
    spawn.prepare({"init_main_from_name": name} if name else {"init_main_from_path": path})


def _send(connection: Any, ok: bool, value: Any, memory: memoryview) -> None:
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    raws = [buffer.raw() for buffer in buffers]
    layout: list[tuple[int, bool]] = []  # (bytes, whether they are in the shared memory)
    end = 0
    for raw in raws:
        shared = end + raw.nbytes <= len(memory)
        layout.append((raw.nbytes, shared))
        if shared:
            memory[end : end + raw.nbytes] = raw
            end += raw.nbytes
    connection.send((ok, layout))
    connection.send_bytes(data)
    for raw, (_, shared) in zip(raws, layout, strict=True):
        if not shared:
            connection.send_bytes(raw)


def _describe(error: BaseException) -> BaseException:
    """Return the error with its traceback as a note, or what can be pickled of it."""
    note = f"in worker process {os.getpid()} of MultiprocessIterator:\n{traceback.format_exc()}"
    error.__traceback__ = None
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(note)
    return error


def _prepare(setup: list[tuple[str, str, tuple]]) -> None:
    for module, function, args in setup:
        getattr(importlib.import_module(module), function)(*args)


def _call(connection: Any, setup: list[tuple[str, str, tuple]]) -> None:
    """Call what comes, until the other end is closed or the program is no more."""
    _prepare(setup)
    while True:
        function, *args = _Unpickler(io.BytesIO(connection.recv_bytes())).load()
        function(*args)


def _serve(connection: Any, setup: list[tuple[str, str, tuple]]) -> None:
    dataset: Any = None
    failure: BaseException | None = None
    try:
        _prepare(setup)
        dataset = _Unpickler(io.BytesIO(connection.recv_bytes())).load()
    except EOFError:
        return
    except BaseException as error:
        failure = _describe(error)
    memory: Any = None
    while (task := connection.recv()) is not None:
        indices, memory_name = task
        if memory_name is not None and (memory is None or memory.name != memory_name):
            room = None
            if memory is not None:
                memory.close()
            memory = shared_memory.SharedMemory(memory_name)
        try:
            if failure is not None:
                raise failure
            ok, value = True, [dataset[i] for i in indices]
        except Exception as error:
            ok, value = False, error if error is failure else _describe(error)
        room = memoryview(bytearray()) if memory_name is None else memory.buf
        try:
            _send(connection, ok, value, room)
        except (TypeError, AttributeError, pickle.PicklingError) as error:  # an example that cannot be pickled
            _send(connection, False, _describe(error), room)


if _given:
    multiprocessing.current_process().is_jaxchain_worker = True  # type: ignore[attr-defined] # starts no others
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which then ends its workers
    os.environ["JAX_PLATFORMS"] = "cpu"  # a worker that uses JAX must not take the accelerator's memory
    try:
        {"read": _serve, "call": _call}[_given["task"]](_given["connection"], _given["setup"])
    except (EOFError, BrokenPipeError, KeyboardInterrupt):  # the program is gone, or has no more calls
        sys.exit(0)
