"""`jaxchain run script.py`: a program written for Chainer, untouched, on jaxchain.

As with ``python script.py`` and ``python -m module``, the program is ``__main__``, sees its arguments in `sys.argv`,
its folder first in `sys.path`, and its uncaught exceptions as tracebacks without frames of this file. Differences, all
for the life of the process: `chainer` is jaxchain (`chainer_modules`), the configuration starts from Chainer's
environment variables, in-place writes to arrays and questions about NumPy are rewritten (`rewriting`),
`numpy.random.seed` seeds jaxchain's streams, too, the array module has `random` (`array_random`), arrays have more of
NumPy's methods (`array_methods`), and names that NumPy and Python have dropped since are back (`old_names`).
"""

from __future__ import annotations

import ast
import builtins
import importlib.machinery
import importlib.util
import os
import re
import runpy
import sys
from collections.abc import Callable, Sequence
from types import ModuleType, TracebackType
from typing import Any, NamedTuple, cast

import numpy as np

from jaxchain.core.config import MODES, global_config
from jaxchain.core.random import seed
from jaxchain.interop import chainer_modules, rewriting
from jaxchain.interop.rewriting import HELPERS, ProgramLoader, compile_program, compiled
from jaxchain.iterators.launch import in_workers

USAGE = """usage: jaxchain run [--mode eager|static] script.py [arguments of the script]
       jaxchain run [--mode eager|static] -m module [arguments of the module]

Run a program written for Chainer, untouched: `import chainer` gives jaxchain.

  --mode eager|static  static compiles the outermost call of a link, and the Trainer's updates.
                       It may also follow the script; behind -- everything is the script's.
"""


_FLAGS = {  # environment variables of Chainer, 0 or 1, and the entries of the configuration that they set
    "CHAINER_CUDNN_FAST_BATCH_NORMALIZATION": "cudnn_fast_batch_normalization",
    "CHAINER_DEBUG": "debug",
    "CHAINER_KEEP_GRAPH_ON_REPORT": "keep_graph_on_report",
    "CHAINER_LAZY_GRAD_SUM": "lazy_grad_sum",
    "CHAINER_TYPE_CHECK": "type_check",
}
_DTYPES = ("float16", "float32", "float64", "mixed16")
_IMPORTS = re.compile(rb"^\s*(?:import|from)\s+chainer\b", re.MULTILINE)


class RunError(Exception):
    """The command line cannot be read, or there is no such script."""


class Command(NamedTuple):
    """What a command line asks for.

    Attributes:
        program: A file or, with `is_module`, a module; None where help is asked for.
        arguments: The program's own.
        mode: Mode to start in; None: eager.
        is_module: Whether `program` is the name of a module.
    """

    program: str | None
    arguments: list[str]
    mode: str | None = None
    is_module: bool = False


def parse(argv: Sequence[str]) -> Command:
    """Read a command line.

    Args:
        argv: What follows ``jaxchain run``.

    Raises:
        RunError: There is no script, or an option before it is unknown.
    """
    rest, mode, program, is_module = list(argv), None, None, False
    arguments: list[str] = []
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word == "--":
            if program is None and rest:
                program = rest.pop(0)
            arguments += rest
            break
        if name == "--mode":
            given = value if equals else (rest[0] if rest else "")
            if given in MODES:
                mode = given
                if not equals:
                    rest.pop(0)
                continue
            if program is None:
                raise RunError(f"--mode: expected eager or static, got {given!r}")
        if program is not None:
            arguments.append(word)
        elif word in ("-h", "--help"):
            return Command(None, [])
        elif word == "-m" and rest:
            program, is_module = rest.pop(0), True
        elif word.startswith("-"):
            raise RunError(f"unknown option {word} before the script\n{USAGE}")
        else:
            program = word
    if program is None:
        raise RunError(f"no script is given\n{USAGE}")
    return Command(program, arguments, mode, is_module)


def main(argv: Sequence[str]) -> int:
    """Run the command ``jaxchain run``.

    Args:
        argv: What follows it.

    Returns:
        The exit code, the program's own.

    Raises:
        RunError: The command line cannot be read, or there is no such script.
    """
    command = parse(argv)
    if command.program is None:
        print(USAGE, end="")
        return 0
    run = run_module if command.is_module else run_script
    return run(command.program, command.arguments, command.mode)


def run_script(script: str, arguments: Sequence[str] = (), mode: str | None = None) -> int:
    """Run a program in this process, which is given up to it.

    Args:
        script: Its file.
        arguments: Its arguments.
        mode: Mode to start in; None: eager.

    Returns:
        Its exit code.

    Raises:
        RunError: The file cannot be read.
    """
    path = os.path.abspath(script)
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise RunError(f"can't open file {path!r}: {error.strerror}") from None
    prepare(os.path.dirname(os.path.realpath(path)))
    names = _main(path, [script, *arguments], mode)
    names["__loader__"] = importlib.machinery.SourceFileLoader("__main__", path)
    return _guarded(lambda: exec(compile_program(source, path), names))


def run_module(module: str, arguments: Sequence[str] = (), mode: str | None = None) -> int:
    """Run a module, or a package's `__main__`, in this process, which is given up to it.

    Args:
        module: Its name; it is looked for in the current folder first.
        arguments: Its arguments.
        mode: Mode to start in; None: eager.

    Returns:
        Its exit code.

    Raises:
        RunError: There is no such module, or it has no source.
    """
    prepare(os.getcwd())

    def run() -> None:  # what imports the packages above it runs some of the program, too
        try:
            spec = importlib.util.find_spec(module)
            if spec is not None and spec.submodule_search_locations is not None:
                spec = importlib.util.find_spec(f"{module}.__main__")
        except ModuleNotFoundError as error:
            if not f"{module}.".startswith(f"{error.name}."):
                raise
            spec = None
        if spec is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            raise RunError(f"no module {module!r} to run (looked in the current folder, too)")
        path = spec.loader.get_filename(spec.name)
        names = _main(path, [path, *arguments], mode)
        names.update(__loader__=spec.loader, __spec__=spec, __package__=spec.parent)
        exec(cast("Any", spec.loader.get_code(spec.name)), names)

    return _guarded(run)


def _main(path: str, argv: list[str], mode: str | None) -> dict[str, Any]:
    """Put the program's own `__main__` and arguments in place, and return the names of the former."""
    if mode is not None:
        global_config.mode = mode
    sys.argv = argv
    main_module = ModuleType("__main__")
    main_module.__dict__.update(
        __file__=path, __builtins__=builtins, __spec__=None, __package__=None, __cached__=None, __annotations__={}
    )
    sys.modules["__main__"] = main_module
    return main_module.__dict__


def _guarded(program: Callable[[], Any]) -> int:
    """Call a program and return the exit code that Python would leave with."""
    try:
        program()
    except RunError:  # no module to run
        raise
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
        return 1
    except BaseException as error:
        _explain(error)
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
            traceback = traceback.tb_next
        if isinstance(error, SyntaxError):
            traceback = _to_the_import(traceback)
        sys.excepthook(type(error), error.with_traceback(traceback), traceback)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _to_the_import(traceback: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback that ends at the program's last line: what read its text is Python's, or ours."""
    last, at = None, traceback
    while at is not None:
        path = at.tb_frame.f_code.co_filename
        if not path.startswith("<frozen") and path not in (ast.__file__, rewriting.__file__, __file__):
            last = at
        at = at.tb_next
    if last is not None:
        last.tb_next = None
    return None if last is None else traceback


def _explain(error: BaseException) -> None:
    """Say in a note that a name is jaxchain's to have, where Python's message cannot."""
    if isinstance(error, ImportError):
        name = str(error.name)
        if name in ("six", "protobuf", "filelock"):
            error.add_note(f"jaxchain run: Chainer brought {name} along; jaxchain does not: pip install {name}")
        if name in chainer_modules.ABSENT:
            error.add_note(f"jaxchain run: {name} is not available here; arrays are JAX's, on a GPU, too.")
        elif name.partition(".")[0] == "chainer" and not isinstance(error, ModuleNotFoundError):
            error.add_note("jaxchain run: `chainer` is jaxchain here, and jaxchain does not have this name.")


_folder = ""  # the program's
_get_code = importlib.machinery.SourceFileLoader.get_code


def _is_programs(file: str) -> bool:
    """Return whether a file is in the program's folder, or imports Chainer: then it is rewritten when it is loaded."""
    if "site-packages" not in file and os.path.realpath(file).startswith(_folder + os.sep):
        return True
    try:
        with open(file, "rb") as source:
            return _IMPORTS.search(source.read()) is not None
    except OSError:
        return False


def _code_of(loader: importlib.machinery.SourceFileLoader, fullname: str) -> Any:
    """Return the code of a module, however it is loaded: imported, by `imp.load_source`, by a spec of its file."""
    path = loader.get_filename(fullname)
    return ProgramLoader(fullname, path).get_code(fullname) if _is_programs(path) else _get_code(loader, fullname)


def _compiled_by_runpy(source: Any, filename: str, mode: str, *rest: Any, **options: Any) -> Any:
    if _is_programs(filename):
        return compiled(source, filename, mode)
    return compile(source, filename, mode, *rest, **options)


def prepare(folder: str) -> None:
    """Make this process ready for a program written for Chainer. See the module's docstring.

    Args:
        folder: The program's.

    Raises:
        RunError: An environment variable of Chainer has a value that it cannot have.
    """
    import jax.numpy as jnp

    from jaxchain.interop import array_methods, array_random, old_names

    _configure()
    chainer_modules.install()
    for name, helper in HELPERS.items():
        setattr(builtins, name, helper)
    global _folder
    _folder = folder
    importlib.machinery.SourceFileLoader.get_code = _code_of  # type: ignore[method-assign]
    setattr(runpy, "compile", _compiled_by_runpy)  # noqa: B010 - what `run_path` calls
    for name, room in (("random", array_random), ("testing", np.testing)):
        if not hasattr(jnp, name):
            setattr(jnp, name, room)
    array_methods.install()
    old_names.install()
    _seed_both()
    if not sys.flags.safe_path:
        sys.path[0] = folder
    in_workers("jaxchain.interop.run", "prepare", folder)  # before they import the program for its dataset


def _configure() -> None:
    """Start the configuration from Chainer's environment variables."""
    import jax

    for variable, entry in _FLAGS.items():
        if (value := os.environ.get(variable)) is not None:
            if not re.fullmatch(r"\s*\d+\s*", value):
                raise RunError(f"{variable}: expected 0 or 1, got {value!r}")
            setattr(global_config, entry, bool(int(value)))
    if (name := os.environ.get("CHAINER_DTYPE")) is not None:
        if name not in _DTYPES:
            raise RunError(f"CHAINER_DTYPE: expected one of {_DTYPES}, got {name!r}")
        global_config.dtype = name if name == "mixed16" else np.dtype(name)
        if name == "float64":
            jax.config.update("jax_enable_x64", True)


def _seed_both() -> None:
    """Let `numpy.random.seed` seed jaxchain's streams, too: Chainer draws from NumPy's."""
    numpys = np.random.seed
    if getattr(numpys, "_seeds_jaxchain", False):
        return

    def both(value: Any = None) -> None:
        numpys(value)
        if value is not None:
            words = np.random.SeedSequence(np.atleast_1d(value).tolist()).generate_state(2)
            seed(int(value) if np.ndim(value) == 0 else int(words[0]) << 32 | int(words[1]))

    both.__doc__ = numpys.__doc__
    both._seeds_jaxchain = True  # type: ignore[attr-defined]
    np.random.seed = both
