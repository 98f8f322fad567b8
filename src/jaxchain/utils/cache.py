"""Properties that are computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxchain.core.config import config


class cached_property:
    """A property that is computed once with a graph, and once without one; it cannot be set.

    Args:
        func: The method that computes it.

    Raises:
        AttributeError: Somebody sets it.
    """

    def __init__(self, func: Callable[[Any], Any]) -> None:
        self.func = func
        self.__name__, self.__doc__ = func.__name__, func.__doc__

    def __get__(self, obj: Any, cls: type | None = None) -> Any:
        if obj is None:
            return self
        values = obj.__dict__.setdefault(self.__name__, {})
        key = bool(config.enable_backprop)
        if key not in values:
            values[key] = self.func(obj)
        return values[key]

    def __set__(self, obj: Any, value: Any) -> None:
        raise AttributeError(f"attribute {self.__name__!r} of {type(obj).__name__} cannot be set: it is computed")
