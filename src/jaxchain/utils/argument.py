"""Keyword arguments of functions that users write."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any


def check_unexpected_kwargs(kwargs: dict[str, Any], **unexpected: str) -> None:
    """Check that arguments that are gone are not given.

    Args:
        kwargs: What is given.
        **unexpected: A message for each argument that is gone.

    Raises:
        ValueError: One is given.
    """
    for name, message in unexpected.items():
        if name in kwargs:
            raise ValueError(message)


def parse_kwargs(kwargs: dict[str, Any], *name_and_values: tuple[str, Any], **unexpected: str) -> tuple[Any, ...]:
    """Return the values of arguments.

    Args:
        kwargs: What is given.
        *name_and_values: Name and default of each argument.
        **unexpected: A message for each argument that is gone.

    Raises:
        ValueError: One that is gone is given.
        TypeError: An unknown one is given.
    """
    check_unexpected_kwargs(kwargs, **unexpected)
    known = dict(name_and_values)
    _reject({name for name in kwargs if name not in known})
    return tuple(kwargs.get(name, default) for name, default in name_and_values)


def assert_kwargs_empty(kwargs: dict[str, Any]) -> None:
    """Check that no arguments are left.

    Args:
        kwargs: What is left.

    Raises:
        TypeError: Some are.
    """
    _reject(kwargs)


def _reject(names: Iterable[str]) -> None:
    """Raise if there are names left; the function that has them is two calls further out."""
    if names:
        who = sys._getframe(2).f_code.co_name
        raise TypeError(f"{who}() got unexpected keyword argument(s) {', '.join(map(repr, sorted(names)))}")
