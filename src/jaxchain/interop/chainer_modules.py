"""`import chainer` and its submodules, resolved to jaxchain: modules whose names are looked up in jaxchain's.

Chainer's paths that are rooms here (`chainer.functions`, `chainer.training.extensions`) look names up in the room. The
files below a room (`chainer.functions.activation.relu`, `chainer.training.updaters.standard_updater`) look them up in
the same room, which is flat here. ChainerX can be imported and says that it is not available, as Chainer's own package
does; ChainerMN has one process; CuPy and iDeep cannot be imported.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import pkgutil
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from jaxchain.interop import function_classes, private_names

CHAINER_VERSION = "7.8.1"
ABSENT = ("cupy", "cupyx", "ideep4py")
FOLDERS = {
    "functions": "activation array connection evaluation loss math noise normalization pooling rnn theano util".split(),
    "links": "activation connection loss model model.vision normalization rnn theano".split(),
}
"""Folders inside rooms: they have files, and no names of their own."""
FILES = {
    "": {"graph_optimizations", "types"},
    "datasets": {"fashion_mnist", "kuzushiji_mnist"},
    "function_hooks": {"debug_print"},
    "iterators": {"order_samplers"},
    "testing": {"backend", "distribution_test", "matrix", "random", "serializer", "unary_math_function_test"},
    "training.extensions": {"computational_graph", "util", "value_observation", "variable_unchain"},
    "training.triggers": {"minmax_value_trigger"},
    "utils": {"array"},
}
"""Files inside rooms that are not named like one of the room's classes."""
FLAT = {"optimizer_hooks", "graph_optimizations"}
"""Rooms that are a file here."""
MEANINGLESS = {
    "memory_layouts": "XLA chooses the layouts of arrays",
    "functions.theano_function": "Theano is not maintained",
    "links.TheanoFunction": "Theano is not maintained",
    "backends.chainerx": "ChainerX is not available",
}
"""Names that can have no meaning here, and why."""
ROOMS_BELOW = {"links.caffe"}


class ChainerModule(ModuleType):
    """One of Chainer's modules.

    Args:
        name: Chainer's path.
        target: The module of jaxchain that has its names; None for a folder, which has files only.
    """

    def __init__(self, name: str, target: ModuleType | None) -> None:
        super().__init__(name, None if target is None else target.__doc__)
        self.__path__ = []
        self.__dict__["_target"] = target
        if target is not None:
            self.__file__ = getattr(target, "__file__", None)
        if name == "chainer":
            self.__version__ = CHAINER_VERSION

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a switch (`chainer.disable_experimental_feature_warning`) is jaxchain's own."""
        target = self.__dict__.get("_target")
        own = target is not None and isinstance(vars(target).get(name), bool)
        if own:
            setattr(target, name, value)
        else:
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *([] if self._target is None else dir(self._target))})

    def __getattr__(self, name: str) -> Any:
        target = self.__dict__["_target"]
        if name == "__all__":
            return [n for n in dir(self) if not n.startswith("_")]
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            if target is None:
                raise AttributeError(name)
            value = getattr(target, name)
        except AttributeError:
            if target is not None and target.__name__.startswith("jaxchain.interop."):
                raise  # it says why
            path = f"{self.__name__}.{name}"
            if self._has_file(name):
                return importlib.import_module(path)
            value = self._class(name)
            if value is None:
                value = private_names.NAMES.get(path.partition(".")[2])
            if value is not None:
                self.__dict__[name] = value
                return value
            if target is None or name.startswith("_"):
                raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None
            why = MEANINGLESS.get(path.partition(".")[2])
            if path.startswith("chainer.functions.") and "Grad" in name:
                why = "gradients are derived from the functions and are no classes"
            more = _similar(name, dir(target)) if why is None else f": {why}"
            raise AttributeError(f"jaxchain has no {path}{more}") from None
        except ModuleNotFoundError as error:
            if not str(error.name).startswith("jaxchain"):
                raise
            raise AttributeError(f"jaxchain has no {self.__name__}.{name}") from error
        if isinstance(value, ModuleType) and value.__name__.startswith("jaxchain."):
            try:
                return importlib.import_module(f"{self.__name__}.{name}")
            except ModuleNotFoundError:
                return value
        if isinstance(value, type) or callable(value):
            self.__dict__[name] = value  # the next look-up is a plain one
        return value

    def _has_file(self, name: str) -> bool:
        """Return whether a name is that of a file of Chainer's below this module, which importing `chainer` imports."""
        if name.startswith("_"):
            return False
        if self.__name__ == "chainer":
            return name in FILES[""]
        target = self.__dict__["_target"]
        if target is None:
            return True
        room = self.__name__.partition(".")[2]
        if name in FOLDERS.get(room, ()):
            return True
        classes = {n.lower() for n in dir(target) if n[:1].isupper()}
        is_room = hasattr(target, "__path__") or room in FLAT
        return is_room and (name in FILES.get(room, ()) or name.replace("_", "") in classes)

    def _class(self, name: str) -> type | None:
        """Return a class that Chainer has in this file and jaxchain in one of the room's, which does not show it."""
        target = self.__dict__["_target"]
        room = self.__name__.partition(".")[2].rpartition(".")[0]
        if not name[:1].isupper() or not hasattr(target, "__path__") or not room:
            return None
        if room.partition(".")[0] == "functions":
            value = function_classes.class_of(name)
            if value is not None:
                return value
        for module in pkgutil.iter_modules(target.__path__, target.__name__ + "."):
            value = vars(importlib.import_module(module.name)).get(name)
            if isinstance(value, type) and value.__module__ == module.name:
                return value
        return None


def _similar(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, [n for n in names if not n.startswith("_")], 3, 0.75)
    return f". Similar names: {', '.join(close)}" if close else ""


def resolve(name: str) -> ChainerModule:
    """Return the module for one of Chainer's paths.

    Args:
        name: The path, e.g. ``chainer.functions.activation.relu``.

    Raises:
        ModuleNotFoundError: jaxchain has nothing in its place.
    """
    parts = name.split(".")[1:]
    if parts[:-1] == ["links", "model", "vision"]:  # files that have names of their own, as `prepare`
        target = _import(f"jaxchain.links.vision.{parts[-1]}")
        if target is not None:
            return ChainerModule(name, target)
    if ".".join(parts) in private_names.MODULES:
        return ChainerModule(name, private_names.MODULES[parts[0]])
    room, below = (parts[0], ".".join(parts[1:])) if parts else ("", "")
    if below in FOLDERS.get(room, ()) and below:
        return ChainerModule(name, None)
    if room not in FOLDERS or not below or ".".join(parts) in ROOMS_BELOW:
        target = _import("jaxchain" + "".join("." + p for p in parts))
        if target is not None:
            return ChainerModule(name, target)
    for n in range(len(parts) - 1, 0, -1):  # a file: its names are in the nearest room above
        target = _import("jaxchain." + ".".join(parts[:n]))
        if target is not None and (hasattr(target, "__path__") or ".".join(parts[:n]) in FLAT):
            return ChainerModule(name, target)
    why = MEANINGLESS.get(".".join(parts))
    raise ModuleNotFoundError(
        f"jaxchain has nothing in the place of the module {name!r}{f': {why}' if why else ''}", name=name
    )


def _import(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            return None
        raise


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds and loads `chainer`, `chainermn`, what is below them, and `chainerx`."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of one of Chainer's modules; None for others."""
        if fullname.partition(".")[0] not in ("chainer", "chainerx", "chainermn"):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin="jaxchain", is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Return the module."""
        if spec.name == "chainerx":
            return ChainerModule(spec.name, _import("jaxchain.interop.chainerx"))
        if spec.name.partition(".")[0] == "chainermn":  # one file here
            return ChainerModule(spec.name, _import("jaxchain.interop.chainermn"))
        if spec.name.startswith("chainerx."):
            raise ModuleNotFoundError(f"ChainerX is not available: no module {spec.name!r}", name=spec.name)
        return resolve(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leave only rooms and folders packages: a name that a file lacks is not looked for below it."""
        target, room = getattr(module, "_target", None), module.__name__.partition(".")[2]
        if module.__name__.startswith("chainermn"):
            return
        named = target is not None and target.__name__.partition(".")[2] == room
        if target is not None and not (named and (hasattr(target, "__path__") or room in FLAT)):
            del module.__path__


def install() -> None:
    """From now on, let `import chainer` give jaxchain, and let CuPy and iDeep not be there."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
    for name in ABSENT:
        sys.modules[name] = None  # type: ignore[assignment]
