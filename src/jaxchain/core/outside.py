"""What a program does with the world outside while it is traced: clocks, files, the environment, logs.

A compiled program would not do it again. So a log record is repeated after every call, as `print` is; an environment
variable that was read is compared before every call; what looks at a clock, sleeps or opens a file runs in eager mode.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from jaxchain.core.config import thread_state
from jaxchain.core.errors import call_site, format_source, is_stdlib_file, is_user_code, source_of
from jaxchain.core.guard import here, refuse

CLOCKS = ("time", "perf_counter", "monotonic", "process_time", "thread_time")
_log = logging.Logger._log
_environ = type(os.environ)
_read = _environ.__getitem__


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """See what this thread's trace does outside, for the time of the block. One block at a time."""
    changed = [(time, name, f"it reads the clock (time.{name})") for c in CLOCKS for name in (c, f"{c}_ns")]
    changed += [(time, "sleep", "it sleeps")]
    changed += [(module, "open", "it opens a file") for module in (builtins, io)]
    patches = [(owner, name, _refused(getattr(owner, name), reason)) for owner, name, reason in changed]
    patches += [(logging.Logger, "_log", _logged), (_environ, "__getitem__", _environment)]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in patches]
    for owner, name, function in patches:
        setattr(owner, name, function)
    try:
        yield
    finally:
        for owner, name, function in originals:
            setattr(owner, name, function)


def _by_the_program() -> bool:
    """Return whether a trace of this thread is on, and its program called: perhaps through the standard library."""
    if getattr(thread_state().trace, "questions", None) is None:
        return False
    frame = sys._getframe(2)
    while frame is not None and is_stdlib_file(frame.f_code.co_filename):
        frame = frame.f_back
    return frame is not None and is_user_code(frame.f_code.co_filename)


def _refused(original: Callable[..., Any], reason: str) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        if _by_the_program():
            refuse(f"{reason}: {format_source(source_of(call_site(2)))}")
        return original(*args, **kwargs)

    return function


def _environment(environ: Any, key: Any) -> str:
    if environ is os.environ and isinstance(key, str) and _by_the_program():
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
