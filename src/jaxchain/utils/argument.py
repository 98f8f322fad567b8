"""Keyword arguments of functions that users write."""

from __future__ import annotations

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
    kwargs = dict(kwargs)
    check_unexpected_kwargs(kwargs, **unexpected)
    values = tuple(kwargs.pop(name, default) for name, default in name_and_values)
    assert_kwargs_empty(kwargs)
    return values


def assert_kwargs_empty(kwargs: dict[str, Any]) -> None:
    """Check that no arguments are left.

    Args:
        kwargs: What is left.

    Raises:
        TypeError: Some are.
    """
    if kwargs:
        raise TypeError(f"unexpected keyword argument(s): {', '.join(map(repr, kwargs))}")
