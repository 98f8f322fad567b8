"""Targets of the command line: the model that ``file.py:Name`` or ``pkg.mod:Name`` names.

A program written for Chainer is a target, too: where its ``import chainer`` finds none, it is jaxchain, as with
``jaxchain run``.
"""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any


class UsageError(Exception):
    """The user asked for something that is not there or cannot be read."""


def load(target: str) -> Any:
    """Return the object that ``file.py:Name`` or ``pkg.mod:Name`` names.

    Raises:
        UsageError: The file, the module or the name is not there.
        Exception: What the file itself raises.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise UsageError(f"cannot read the target {target!r}: expected file.py:Name or pkg.mod:Name")
    try:
        module = _module(place)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "chainer":
            raise
        from jaxchain.interop import run

        run.prepare(str(Path(place).resolve().parent) if _is_file(place) else os.getcwd())
        module = _module(place, written_for_chainer=True)
    found: Any = module
    for part in name.split("."):
        if part not in dir(found):
            public = [n for n in dir(found) if not n.startswith("_") and callable(getattr(found, n, None))]
            own = [n for n in public if getattr(getattr(found, n), "__module__", None) == module.__name__] or public
            raise UsageError(f"no {part!r} in {place}. It has: {', '.join(own[:20]) or 'nothing to call'}")
        found = getattr(found, part)
    return found


def _is_file(place: str) -> bool:
    return place.endswith(".py") or os.sep in place


def _module(place: str, written_for_chainer: bool = False) -> Any:
    """Import a file or a module by its name."""
    if _is_file(place):
        path = Path(place)
        if not path.is_file():
            raise UsageError(f"no file {place}")
        module = _import_file(path, written_for_chainer)
    else:
        sys.path.insert(0, os.getcwd())
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name is not None and (place == error.name or place.startswith(error.name + ".")):
                raise UsageError(f"no module {error.name!r} (looked in the current folder, too)") from None
            raise
        finally:
            sys.path.remove(os.getcwd())
    return module


def _import_file(path: Path, written_for_chainer: bool) -> Any:
    """Run a Python file as a module; files beside it can be imported."""
    name = path.stem
    if name in sys.modules and Path(getattr(sys.modules[name], "__file__", None) or "").resolve() == path.resolve():
        return sys.modules[name]
    if name in sys.modules:  # e.g. a user's file called random.py must not take the place of the library's module
        name = f"_jaxchain_target_{name}"
    loader = None
    if written_for_chainer:
        from jaxchain.interop.rewriting import ProgramLoader

        loader = ProgramLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def call_arguments(text: str) -> tuple[list[Any], dict[str, Any]]:
    """Read ``784, n_out=10``: Python literals only, nothing is evaluated."""
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        if any(keyword.arg is None for keyword in call.keywords):
            raise ValueError
        return [ast.literal_eval(a) for a in call.args], {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, AssertionError):
        raise UsageError(f"cannot read --args {text!r}: expected Python literals such as '784, n_out=10'") from None
