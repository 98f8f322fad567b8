"""Names that NumPy, Python and Pillow have dropped since Chainer's last release: `jaxchain run` puts them back.

Programs written for Chainer ran on NumPy 1 and Python 3.5 to 3.8: ``np.float``, ``np.product``, ``time.clock()``,
``collections.Iterable``, ``Image.ANTIALIAS``. A name means what it meant there; one that is still there stays as it is.
"""

from __future__ import annotations

import base64
import builtins
import collections.abc
import fractions
import importlib.util
import inspect
import math
import os
import sys
import threading
import time
import types
import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np

BUILTIN = ("bool", "int", "float", "complex", "object", "str")
RENAMED = {
    "Inf": "inf", "Infinity": "inf", "NAN": "nan", "NaN": "nan", "PINF": "inf", "alltrue": "all", "bool8": "bool_",
    "bytes0": "bytes_", "cfloat": "complex128", "clongfloat": "clongdouble", "complex_": "complex128",
    "cumproduct": "cumprod", "float_": "float64", "infty": "inf", "int0": "intp", "longcomplex": "clongdouble",
    "longfloat": "longdouble", "mat": "asmatrix", "object0": "object_", "product": "prod", "round_": "round",
    "row_stack": "vstack", "singlecomplex": "complex64", "sometrue": "any", "str0": "str_", "string_": "bytes_",
    "trapz": "trapezoid", "uint0": "uintp", "unicode_": "str_", "void0": "void",
}  # fmt: skip
"""NumPy's names, and those that are left for the same things."""
WARNINGS = ("AxisError", "ComplexWarning", "ModuleDeprecationWarning", "RankWarning", "VisibleDeprecationWarning")
"""Names of `numpy.exceptions` that were NumPy's."""
PILLOWS = {"ANTIALIAS": "LANCZOS", "CUBIC": "BICUBIC", "LINEAR": "BILINEAR"}


def install() -> None:
    """Put the names back, for the life of the process."""
    for module in (np, jnp):
        _add(module, {name: getattr(builtins, name) for name in BUILTIN})
        _add(module, {old: getattr(module, new) for old, new in RENAMED.items() if hasattr(module, new)})
        _add(
            module,
            {"NINF": -np.inf, "NZERO": -0.0, "PZERO": 0.0, "math": math, "warnings": warnings, "os": os, "sys": sys},
        )
        _add(module, {"asfarray": _asfarray(module), "in1d": _in1d(module), "msort": _msort(module)})
    _add(np, {name: getattr(np.exceptions, name) for name in WARNINGS if hasattr(np.exceptions, name)})
    _add(np, {"asscalar": lambda a: a.item(), "find_common_type": _common_type, "issubsctype": np.issubdtype})
    np.fromstring = _fromstring
    _add(collections, {name: getattr(collections.abc, name) for name in collections.abc.__all__})
    _add(time, {"clock": time.process_time})
    _add(fractions, {"gcd": math.gcd})
    _add(inspect, {"getargspec": _argspec})
    _add(threading.Thread, {"isAlive": threading.Thread.is_alive})
    _add(base64, {"encodestring": base64.encodebytes, "decodestring": base64.decodebytes})
    if importlib.util.find_spec("imp") is None:
        sys.modules["imp"] = _imp()
    if importlib.util.find_spec("PIL") is not None:
        from PIL import Image

        _add(Image, {old: getattr(Image, new) for old, new in PILLOWS.items()})


def _add(owner: Any, names: dict[str, Any]) -> None:
    for name, value in names.items():
        if name not in vars(owner):
            setattr(owner, name, value)


def _asfarray(module: Any) -> Any:
    def asfarray(a: Any, dtype: Any = float) -> Any:
        return module.asarray(a, dtype=dtype if np.issubdtype(np.dtype(dtype), np.inexact) else float)

    return asfarray


def _in1d(module: Any) -> Any:
    def in1d(ar1: Any, ar2: Any, assume_unique: bool = False, invert: bool = False) -> Any:
        return module.isin(module.ravel(module.asarray(ar1)), ar2, assume_unique=assume_unique, invert=invert)

    return in1d


def _msort(module: Any) -> Any:
    return lambda a: module.sort(a, axis=0)


def _common_type(array_types: Any, scalar_types: Any) -> np.dtype:
    arrays, scalars = (np.result_type(*types) if types else None for types in (array_types, scalar_types))
    if arrays is None or scalars is None:
        return arrays or scalars  # type: ignore[return-value]
    kinds = "biufc"  # a scalar counts if it is of a higher kind
    return scalars if kinds.find(scalars.kind) > kinds.find(arrays.kind) else arrays


_numpys_fromstring = np.fromstring


def _fromstring(string: Any, dtype: Any = float, count: int = -1, *, sep: str = "", **options: Any) -> np.ndarray:
    if sep:
        return _numpys_fromstring(string, dtype, count, sep=sep, **options)
    data = string.encode("latin1") if isinstance(string, str) else string
    return np.frombuffer(data, dtype, count).copy()


_ArgSpec = collections.namedtuple("_ArgSpec", "args varargs keywords defaults")


def _argspec(function: Any) -> _ArgSpec:
    return _ArgSpec(*inspect.getfullargspec(function)[:4])


def _imp() -> types.ModuleType:
    """Return what programs use of Python's module `imp`, which 3.12 has no more."""
    module: Any = types.ModuleType("imp", "Import by file name.")

    def load_source(name: str, path: str) -> types.ModuleType:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        loaded = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return loaded

    module.load_source, module.reload, module.new_module = load_source, importlib.reload, types.ModuleType
    return module
