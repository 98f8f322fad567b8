"""Test cases with parameters: a class of each."""

from __future__ import annotations

import functools
import itertools
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxchain.backend import CpuDevice
from jaxchain.core.config import using_config


class _Cases(list):
    """The classes that a decorator made; further decorators apply to each."""


def _make(case: type, name: str, attributes: Mapping[str, Any], note: str) -> type:
    made = types.new_class(name, (case,))
    made.__module__ = case.__module__
    for key, value in attributes.items():
        setattr(made, key, value)
    for key in dir(case):
        test = getattr(case, key)
        if key.startswith("test") and isinstance(test, types.FunctionType):
            setattr(made, key, _noted(test, note))
    module = sys.modules.get(case.__module__)
    if module is not None:
        setattr(module, name, made)
    return made


def _noted(test: Callable, note: str) -> Callable:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return test(*args, **kwargs)
        except Exception as error:
            error.add_note(note)
            raise

    return run


def _for_each(decorate: Callable[[type], _Cases]) -> Callable[[Any], _Cases]:
    def apply(case: Any) -> _Cases:
        if not isinstance(case, _Cases):
            return decorate(case)
        made = _Cases()
        for each in case:
            vars(sys.modules[each.__module__]).pop(each.__name__, None)
            made += decorate(each)
        return made

    return apply


def parameterize(*params: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Return a decorator that puts a class for each set of parameters in the place of a test class.

    The parameters are attributes of the classes, which are found in the module of the class. A failure names them.

    Args:
        *params: A dictionary for each class.
    """

    def decorate(case: type) -> _Cases:
        cases = _Cases()
        for n, param in enumerate(params):
            attributes = {k: staticmethod(v) if isinstance(v, types.FunctionType) else v for k, v in param.items()}
            cases.append(_make(case, f"{case.__name__}_param_{n}", attributes, f"Parameters: {dict(param)!r}"))
        return cases

    return _for_each(decorate)


def product(parameter: Any) -> list[dict[str, Any]]:
    """Return all combinations of parameters.

    Args:
        parameter: Dictionary of lists: one value of each. List of lists of dictionaries: one of each list, merged.
    """
    if isinstance(parameter, Mapping):
        keys = sorted(parameter)
        return [dict(zip(keys, v, strict=True)) for v in itertools.product(*(parameter[k] for k in keys))]
    return product_dict(*parameter)


def product_dict(*parameters: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return all combinations of one dictionary of each list, merged.

    Args:
        *parameters: The lists.
    """
    return [{k: v for d in dicts for k, v in d.items()} for dicts in itertools.product(*parameters)]


def from_pytest_parameterize(names: str | Sequence[str], values: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the arguments of `parameterize` for those of ``pytest.mark.parametrize``.

    Args:
        names: Names, or a string of names with commas.
        values: A tuple of values for each class, or a value if there is one name.
    """
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",")]
    rows = [(value,) if len(names) == 1 else tuple(value) for value in values]
    return [dict(zip(names, row, strict=True)) for row in rows]


def parameterize_pytest(names: str | Sequence[str], values: Iterable[Any]) -> Callable[[Any], Any]:
    """Return `parameterize` for the arguments of ``pytest.mark.parametrize``.

    Args:
        names: Names, or a string of names with commas.
        values: A tuple of values for each class, or a value if there is one name.
    """
    return parameterize(*from_pytest_parameterize(names, values))


class BackendConfig:
    """Where a test runs. Here that is JAX's default device; entries for CuPy, ChainerX and iDeep are of no effect.

    Args:
        params: Entries, e.g. ``{"use_cuda": False, "use_ideep": "never"}``; those of `config` are set in the block.
    """

    _CONFIG = ("use_cudnn", "cudnn_deterministic", "autotune", "cudnn_fast_batch_normalization", "use_ideep")

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = dict(params)
        self.device = CpuDevice()

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["params"][name]
        except KeyError:
            if name in self._CONFIG or name in ("use_cuda", "use_chainerx"):
                return False
            raise AttributeError(name) from None

    @property
    def xp(self) -> Any:
        """The array module of test data: NumPy."""
        return np

    def get_array(self, array: Any) -> Any:
        """Return an array, or a list of them, as the test is to be given it: as it is.

        Args:
            array: Array, list of arrays, or None.
        """
        return array

    def __enter__(self) -> BackendConfig:
        self._open = [using_config(k, v) for k, v in self.params.items() if k in self._CONFIG]
        for context in self._open:
            context.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        for context in reversed(self._open):
            context.__exit__(*exception)

    def __repr__(self) -> str:
        return f"<BackendConfig {self.params!r}>"


def inject_backend_tests(
    method_names: Sequence[str] | None, params: Sequence[Mapping[str, Any]]
) -> Callable[[Any], Any]:
    """Return a decorator that makes a class of each `BackendConfig` and gives it to tests as an argument.

    Entries that ask for CuPy or ChainerX make no class.

    Args:
        method_names: The tests; None: all.
        params: Entries of the configurations.
    """
    here = [p for p in params if not (p.get("use_cuda") or p.get("use_chainerx"))]

    def decorate(case: type) -> _Cases:
        cases = _Cases()
        for n, param in enumerate(here):
            config = BackendConfig(param)
            made = _make(case, f"{case.__name__}_backend_{n}", {}, repr(config))
            tests = [name for name in dir(made) if name.startswith("test")] if method_names is None else method_names
            for name in tests:
                setattr(made, name, functools.partialmethod(getattr(made, name), config))
            cases.append(made)
        return cases

    return _for_each(decorate)
