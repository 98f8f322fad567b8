"""Marks of test cases: what they need. With pytest they can be selected by these names, e.g. ``-m "not slow"``."""

from __future__ import annotations

import unittest
from typing import Any

import jax

from jaxchain.backends import cuda


def _marked(name: str, case: Any) -> Any:
    try:
        import pytest
    except ImportError:
        return case
    return getattr(pytest.mark, name)(case)


def check_available() -> None:
    """Raise RuntimeError if pytest is not installed: without it the marks do nothing."""
    try:
        import pytest  # noqa: F401
    except ImportError as error:
        raise RuntimeError(f"{__name__} is not available: the marks are pytest's, and {error}") from error


def slow(case: Any) -> Any:
    """Mark a case that takes long.

    Args:
        case: Test function or class.
    """
    return _marked("slow", case)


def gpu(case: Any) -> Any:
    """Mark a case of CuPy, and skip it: it is not there.

    Args:
        case: Test function or class.
    """
    return _marked("gpu", unittest.skipUnless(cuda.available, "CuPy is not available")(case))


def cudnn(case: Any) -> Any:
    """Mark a case of cuDNN's functions in CuPy, and skip it.

    Args:
        case: Test function or class.
    """
    return _marked("cudnn", gpu(case))


def multi_gpu(gpu_num: int) -> Any:
    """Return a decorator for a case of CuPy on several GPUs: it is skipped.

    Args:
        gpu_num: Their number.
    """
    skip = unittest.skipUnless(cuda.available and jax.device_count() >= gpu_num, f"CuPy on {gpu_num} GPUs is needed")
    return lambda case: _marked("multi_gpu", skip(case))


def chainerx(case: Any) -> Any:
    """Mark a case of ChainerX, and skip it: it is not there.

    Args:
        case: Test function or class.
    """
    return _marked("chainerx", unittest.skip("ChainerX is not available")(case))


def ideep(case: Any) -> Any:
    """Mark a case of iDeep, and skip it: it is not there.

    Args:
        case: Test function or class.
    """
    return _marked("ideep", unittest.skip("iDeep is not available")(case))
