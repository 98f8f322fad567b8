"""Chainer's path of iDeep, which is not there: XLA chooses the CPU's kernels itself."""

from __future__ import annotations

from typing import Any

from jaxchain.backends.device import Intel64Device as Intel64Device


class mdarray:
    """Type of iDeep's arrays: nothing is an instance of it."""


def is_ideep_available() -> bool:
    """Return False."""
    return False


def check_ideep_available() -> None:
    """Raise: iDeep is not available.

    Raises:
        RuntimeError: Always.
    """
    raise RuntimeError("iDeep is not available: XLA compiles for the CPU without it.")


def should_use_ideep(level: str) -> bool:
    """Return False.

    Args:
        level: Chainer's level of use.
    """
    return False


def inputs_all_ready(inputs: Any, supported_ndim: Any = (2, 4)) -> bool:
    """Return False.

    Args:
        inputs: Arrays.
        supported_ndim: Numbers of axes.
    """
    return False
