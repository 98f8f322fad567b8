"""What a program does with the world outside while it is traced: clocks, files, the environment, logs.

A compiled program would not do it again. So a log record or a warning is repeated after every call, as `print` is; an
environment variable that was read is compared before every call; what looks at a clock, sleeps, asks for input, uses
files, starts programs or takes the next value of an iterator runs in eager mode. For that, other functions and objects
lie in the places of these while a trace is on: in their modules (`watched`), and wherever the program holds them
(`substitute`).
"""

from __future__ import annotations

import builtins
import contextlib
import datetime
import functools
import io
import logging
import os
import queue
import secrets
import socket
import subprocess
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from jaxchain.core.cells import tuple_of
from jaxchain.core.config import thread_state
from jaxchain.core.errors import (
    Site,
    call_site,
    format_source,
    is_stdlib_file,
    is_user_code,
    library_files,
    source_of,
)
from jaxchain.core.guard import here, refuse
from jaxchain.core.interrupts import patched

CLOCKS = ("time", "perf_counter", "monotonic", "process_time", "thread_time")
ALWAYS = sys.maxsize
# who has it, its name, what it does, and the number of arguments from which it does not
REFUSED: list[tuple[Any, str, str, int]] = [
    *((time, name, f"it reads the clock (time.{name})", ALWAYS) for c in CLOCKS for name in (c, f"{c}_ns")),
    *((time, name, f"it reads the clock (time.{name})", 1) for name in ("localtime", "gmtime", "ctime")),
    (time, "strftime", "it reads the clock (time.strftime)", 2),
    (time, "sleep", "it sleeps", ALWAYS),
    *((module, "open", "it opens a file", ALWAYS) for module in (builtins, io, os)),
    (builtins, "input", "it asks for input", ALWAYS),
    *((os, name, f"it looks at files (os.{name})", ALWAYS) for name in ("listdir", "scandir", "stat", "access")),
    *(
        (os, name, f"it changes files (os.{name})", ALWAYS)
        for name in ("remove", "unlink", "rename", "replace", "mkdir", "rmdir")
    ),
    (os, "urandom", "it draws random bytes", ALWAYS),
    *(
        (secrets, name, "it draws random bytes", ALWAYS)
        for name in ("token_bytes", "token_hex", "token_urlsafe", "randbits", "randbelow", "choice")
    ),
    *((owner, name, "it starts a program", ALWAYS) for owner, name in ((os, "system"), (subprocess.Popen, "__init__"))),
    (threading.Thread, "start", "it starts a thread", ALWAYS),
    *((queue.Queue, name, f"it uses a queue (queue.Queue.{name})", ALWAYS) for name in ("get", "put")),
    (socket.socket, "connect", "it opens a connection", ALWAYS),
]
USES = frozenset(  # attributes of an open file through which it is used, as a csv writer or a queue is
    "read read1 readinto readline readlines write writelines writerow writerows "
    "seek tell truncate close detach buffer get put get_nowait put_nowait".split()
)
_log = logging.Logger._log
_warn = warnings.warn
_environ = type(os.environ)
_read = _environ.__getitem__


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """See what this thread's trace does outside, for the time of the block. One block at a time."""
    patches = [(owner, name, _refused(getattr(owner, name), reason, n)) for owner, name, reason, n in REFUSED]
    patches += [(datetime, kind.__name__, _timeless(kind)) for kind in (datetime.datetime, datetime.date)]
    patches += [(logging.Logger, "_log", _logged), (_environ, "__getitem__", _environment), (warnings, "warn", _warned)]
    patches += [(sys, name, Unused(f"sys.{name}", getattr(sys, name))) for name in ("stdout", "stderr", "stdin")]
    with patched(patches):
        yield


def is_iterator(value: Any) -> bool:
    """Return whether a value is an iterator of Python's own: what was taken from it cannot be put back."""
    return isinstance(value, Iterator) and type(value).__module__ in ("builtins", "itertools", "_csv")


def has_substitute(value: Any) -> bool:
    """Return whether something else has to lie in the place of a value while a trace is on."""
    if isinstance(value, tuple):
        return any(map(has_substitute, value))
    if isinstance(value, functools.partial):
        return any(map(has_substitute, (value.func, *value.args, *value.keywords.values())))
    if isinstance(value, _BOUND):
        return is_iterator(value.__self__) or id(value) in _FUNCTIONS
    return id(value) in _FUNCTIONS or is_iterator(value) or _is_file(value) or isinstance(value, queue.SimpleQueue)


def substitute(name: str, value: Any, originals: dict[int, tuple[Any, Any]]) -> Any:
    """Return what lies in the place of a value while a trace is on, the value itself if `has_substitute` says no.

    Args:
        name: What the program calls the value.
        value: The value.
        originals: By identity of what lies in the place of something: (that, what it stands for); filled here.
    """
    if not has_substitute(value):
        return value
    made = _substitute(name, value, originals)
    originals[id(made)] = made, value
    return made


def _substitute(name: str, value: Any, originals: dict[int, tuple[Any, Any]]) -> Any:
    if isinstance(value, tuple):
        return tuple_of(type(value), [substitute(f"{name}[{i}]", v, originals) for i, v in enumerate(value)])
    if isinstance(value, functools.partial):
        func, *args = (substitute(name, v, originals) for v in (value.func, *value.args))
        return type(value)(func, *args, **{k: substitute(name, v, originals) for k, v in value.keywords.items()})
    if id(value) in _FUNCTIONS:
        return _FUNCTIONS[id(value)]
    if isinstance(value, _BOUND):
        return getattr(Untaken(name), value.__name__)
    if is_iterator(value):
        return Untaken(name)
    return Unused(f"the open file {name}" if _is_file(value) else f"the queue {name}", value)


_BOUND = (types.MethodWrapperType, types.BuiltinFunctionType)  # the latter are methods, too


def _is_file(value: Any) -> bool:
    return isinstance(value, io.IOBase) or type(value).__module__ in ("tempfile", "_csv")


class Untaken:
    """In the place of an iterator while a trace is on."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __iter__(self) -> Untaken:
        return self

    def _refuse(self, *_: Any) -> Any:
        refuse(f"it takes the next value of the iterator {self._name}, which a compiled program cannot")

    __next__ = send = throw = close = _refuse


class Unused:
    """In the place of an open file while a trace is on: the program may look at it, and print to it."""

    def __init__(self, name: str, file: Any) -> None:
        self._name, self._file = name, file

    def _check(self, site: Site | None) -> None:
        if site is not None:
            refuse(f"it uses {self._name}: {format_source(source_of(site))}")

    def __getattr__(self, attribute: str) -> Any:
        if attribute in USES:
            self._check(_asked_from())
        return getattr(self._file, attribute)

    def __iter__(self) -> Any:
        self._check(_asked_from())
        return iter(self._file)

    def __next__(self) -> Any:
        self._check(_asked_from())
        return next(self._file)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _asked_from() -> Site | None:
    """Return where the program of this thread's trace called, perhaps through other libraries; None: it did not."""
    if getattr(thread_state().trace, "questions", None) is None:
        return None
    frame = sys._getframe(2)
    while frame is not None:
        filename = frame.f_code.co_filename
        if is_user_code(filename):
            return frame.f_code, frame.f_lasti
        if library_files[filename] and not is_stdlib_file(filename):  # JAX's doing, or ours
            return None
        frame = frame.f_back
    return None


@functools.cache
def _refused(original: Callable[..., Any], reason: str, harmless: int) -> Callable[..., Any]:
    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        if len(args) < harmless and (site := _asked_from()):
            refuse(f"{reason}: {format_source(source_of(site))}")
        return original(*args, **kwargs)

    return function


class _Timeless(type):
    """Of classes that stand for a class of `datetime`: its instances are theirs."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, cls.__mro__[1])

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, cls.__mro__[1])


@functools.cache
def _timeless(kind: Any) -> type:
    """Return a class that stands for a class of `datetime`, and refuses to say what time it is."""
    clocks = [name for name in ("now", "utcnow", "today") if hasattr(kind, name)]
    body: dict[str, Any] = {
        name: staticmethod(
            _refused(getattr(kind, name), f"it reads the clock (datetime.{kind.__name__}.{name})", ALWAYS)
        )
        for name in clocks
    }
    body["__new__"] = lambda cls, *args, **kwargs: kind(*args, **kwargs)
    return _Timeless(kind.__name__, (kind,), body)


_FUNCTIONS: dict[int, Any] = {
    id(getattr(owner, name)): _refused(getattr(owner, name), *rest)
    for owner, name, *rest in REFUSED
    if not isinstance(owner, type)
}
_FUNCTIONS |= {id(kind): _timeless(kind) for kind in (datetime.datetime, datetime.date)}


def _environment(environ: Any, key: Any) -> str:
    if environ is os.environ and isinstance(key, str) and _asked_from():
        thread_state().trace.environment[key] = _value(key)
    return _read(environ, key)


def environment_difference(known: dict[str, str | None]) -> str | None:
    """Return which environment variable is not what it was, or None."""
    for key, old in known.items():
        if _value(key) != old:
            return f"environment variable {key} {old!r} -> {_value(key)!r}"
    return None


def _value(key: str) -> str | None:
    try:
        return _read(os.environ, key)
    except KeyError:
        return None


def _logged(logger: logging.Logger, level: int, message: Any, args: Any, *more: Any, **kwargs: Any) -> None:
    trace = thread_state().trace
    if getattr(trace, "questions", None) is None:
        _log(logger, level, message, args, *more, **kwargs)
    elif here() is not None:

        def again(values: dict[str, Any], _: Any) -> None:
            first, *rest = values.values()
            _log(logger, level, first, args if isinstance(args, dict) else tuple(rest), *more, **kwargs)

        trace.repeat((message, *(() if isinstance(args, dict) else args)), None, source_of(call_site(2)), again)


def _warned(message: Any, category: Any = None, stacklevel: int = 1, *more: Any, **kwargs: Any) -> None:
    trace, site = thread_state().trace, _asked_from()
    if site is None:
        _warn(message, category, stacklevel + 1, *more, **kwargs)
    elif here() is not None:
        frame = sys._getframe(1)
        for _ in range(stacklevel - 1):
            frame = frame.f_back or frame
        where = frame.f_code.co_filename, frame.f_lineno, frame.f_globals.get("__name__")
        registry = frame.f_globals.setdefault("__warningregistry__", {})
        kind = category or UserWarning

        def again(values: dict[str, Any], _: Any) -> None:
            warnings.warn_explicit(values["0"], kind, *where, registry=registry)

        trace.repeat((message,), None, source_of(site), again)
