"""What can go wrong, each with its cause and ways out, and the search for the user's line.

Every message names the function, what was expected, what came, and the line of the user's program that caused it.
"""

from __future__ import annotations

import functools
import linecache
import os
import re
import sys
import threading
import warnings
from importlib.util import find_spec
from types import CodeType, FunctionType, ModuleType
from typing import Any

import jax

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_JAX = tuple(
    os.path.abspath(folder) + os.sep
    for name in ("jax", "jaxlib")
    if (found := find_spec(name)) is not None
    for folder in found.submodule_search_locations or ()
)
_INSTALLED = re.compile(r"(?:site|dist)-packages[/\\]([^/\\.]+)")
_STDLIB = os.path.dirname(os.path.abspath(threading.__file__)) + os.sep

Site = tuple[CodeType, int]


class LibraryFiles(dict[str, bool]):
    """Whether a code file belongs to jaxchain, JAX or the standard library, and not to the user's program, by name."""

    def __missing__(self, filename: str) -> bool:
        path = os.path.abspath(filename)
        ours = path.startswith(_PACKAGE) and os.path.basename(path) != "demo.py"  # the demo is a user's program
        ours = ours or os.path.basename(path) == "jaxchain"  # the command's script
        self[filename] = known = ours or path.startswith(_JAX) or is_stdlib_file(filename)
        return known


library_files = LibraryFiles()


def is_user_code(filename: str) -> bool:
    """Return whether a code file is part of the user's program: of installed packages, those that use jaxchain."""
    if library_files[filename]:
        return False
    installed = _INSTALLED.search(filename)
    return installed is None or filename.startswith(_PACKAGE) or _uses_jaxchain(installed.group(1))


@functools.cache
def _uses_jaxchain(package: str) -> bool:
    """Return whether a module of a package has something of jaxchain's among its names."""
    own = [m for name, m in list(sys.modules.items()) if name.partition(".")[0] == package and type(m) is ModuleType]
    values = (v for module in own for v in list(vars(module).values()))
    names = (
        getattr(v, "__name__" if type(v) is ModuleType else "__module__", None)
        for v in values
        if type(v) is ModuleType or isinstance(v, type | FunctionType)
    )
    return any(isinstance(name, str) and name.partition(".")[0] == "jaxchain" for name in names)


@functools.cache
def is_stdlib_file(filename: str) -> bool:
    """Return whether a code file belongs to the standard library."""
    path = os.path.abspath(filename)
    return (path.startswith(_STDLIB) and "site-packages" not in path) or filename.startswith("<frozen")


def call_site(depth: int = 2) -> Site | None:
    """Return (code, instruction offset) of the innermost frame of the user's program; formatted only when asked."""
    frame = sys._getframe(depth)
    while frame is not None:
        code = frame.f_code
        if not library_files[code.co_filename]:
            return code, frame.f_lasti
        frame = frame.f_back
    return None


def source_of(site: Site | None) -> tuple[str, int, str] | None:
    """Return (file name, line number, function name) of a `call_site`."""
    if site is None:
        return None
    code, offset = site
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= offset < end and number is not None:
            line = number
    return code.co_filename, line, code.co_name


def format_source(source: tuple[str, int, str] | None) -> str:
    """Return `file:line, in function:  source text`, or an empty string."""
    if source is None:
        return ""
    filename, line, function = source
    text = linecache.getline(filename, line).strip()
    return f"{filename}:{line}, in {function}" + (f":  {text}" if text else "")


def user_line(depth: int = 2) -> str:
    """Return the user's line that led here, formatted for a message."""
    return format_source(source_of(call_site(depth + 1)))


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the user's line that led here."""
    frame, level = sys._getframe(), 1
    while frame is not None and library_files[frame.f_code.co_filename]:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level if frame is not None else 2)


def traceback_source(error: BaseException) -> tuple[str, int, str] | None:
    """Return the innermost user line in the traceback of `error`."""
    found, tb = None, error.__traceback__
    while tb is not None:
        code = tb.tb_frame.f_code
        if not library_files[code.co_filename] and "site-packages" not in code.co_filename:
            found = (code.co_filename, tb.tb_lineno, code.co_name)
        tb = tb.tb_next
    return found


class InvalidType(TypeError):
    """Arrays of shapes or dtypes that a function does not take.

    Cause: the inputs break one of the function's conditions; the message gives the condition, what came, all inputs and
    the user's line. Way out: reshape or `F.cast` the inputs.

    Attributes:
        expect: The condition, e.g. ``x.shape[1] == W.shape[1]``.
        actual: The same with values, e.g. ``3 != 4``.
    """

    def __init__(self, expect: Any, actual: Any, msg: str | None = None) -> None:
        self.expect, self.actual, self.message = expect, actual, msg
        super().__init__(expect, actual, msg)

    def __str__(self) -> str:
        """Return the whole message."""
        text = f"Expect: {self.expect}\nActual: {self.actual}"
        return f"{self.message}\n\n{text}" if self.message else text

    def located(self, function: str, inputs: str) -> InvalidType:
        """Return this error with the function's label, its inputs and the user's line in the message."""
        line = user_line(2)
        message = f"Invalid operation is performed in: {function} (Forward)\n{inputs}" + (
            f"\nat {line}" if line else ""
        )
        return type(self)(self.expect, self.actual, message)


class InvalidValue(InvalidType, ValueError):
    """The same where the array library raised a ValueError: the largest element of nothing, an axis that is not there.

    Cause and way out as for `InvalidType`. Chainer lets NumPy's ValueError through: both names catch this one.
    """


class ArgumentGone(TypeError, ValueError):
    """An argument that functions once had was given. Way out: the message names the configuration entry that it is now.

    Chainer raises ValueError where it remembers such an argument and TypeError where it does not.
    """


class NotInitialized(RuntimeError):
    """A parameter was used before its shape was known.

    Way out: call the link once on data, give the size, or call `Parameter.initialize(shape)`.
    """


class StaticError(RuntimeError):
    """A program cannot be compiled as it stands; the message names the user's line and the ways out.

    The usual cause is Python control flow on data, e.g. ``if x.array.mean() > 0`` or ``float(loss.array)``.
    """


class LeakedVariable(RuntimeError):
    """A Variable made inside a static call was used after it.

    Its array existed only while the call was traced. Way out: return it from the function, or report it with
    `jaxchain.report`.
    """


# what Python says of arguments that nobody looked at before they were used
_UNLOCATED = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


def locate(error: Exception, call: str) -> None:
    """Add the call and the user's line to the message of an error that library code raised, if they are not in it.

    Args:
        error: The error, caught on its way to the user. What the user's own code raised stays as it is.
        call: The function with what it was called with.
    """
    if not isinstance(error, _UNLOCATED) or isinstance(error, jax.errors.JAXTypeError | jax.errors.JAXIndexError):
        return
    text = str(error)
    line = user_line(2)
    if not line or traceback_source(error) is not None:
        return
    if text.endswith(inner := f"{getattr(error, '_call', None)}\nat {line}"):  # a function of ours called another one
        error.args = (text.removesuffix(inner) + f"{call}\nat {line}",)
        error._call = call  # type: ignore[attr-defined]
        return
    if "\nat " in text:
        return
    if isinstance(error, InvalidType):
        error.message = f"{error.message or 'Invalid operation is performed'}\n{call}\nat {line}"
    elif isinstance(error, KeyError):  # its text is the key
        if not hasattr(error, "__notes__"):
            error.add_note(f"{call}\nat {line}")
    else:
        error.args = (f"{text}\n{call}\nat {line}",)
        error._call = call  # type: ignore[attr-defined]


def expect(condition: bool, expectation: str, actual: Any) -> None:
    """Raise `InvalidType` unless `condition` holds. For checks inside op bodies: they run at trace time only.

    Args:
        condition: What must hold.
        expectation: How to say it, e.g. ``x.shape[1] % r == 0``.
        actual: What came.
    """
    if not condition:
        raise InvalidType(expectation, actual)
