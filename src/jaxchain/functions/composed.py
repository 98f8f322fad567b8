"""Functions that are Python code around ops."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from jaxchain.core.calls import located

P = ParamSpec("P")
R = TypeVar("R")


def composed(function: Callable[P, R]) -> Callable[P, R]:
    """Make errors name the function, what came and the user's line, as those of an op do: a decorator."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            problem = located(error, function.__name__, args, kwargs)
            if problem is error:
                raise
            raise problem from error

    return call
