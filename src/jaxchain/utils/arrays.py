"""Helpers of functions that users write: what makes arrays of numbers, and their sizes."""

from __future__ import annotations

import math
import sys
import tempfile
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxchain.core.config import config


def force_array(x: Any, dtype: Any = None) -> Any:
    """Return a number as an array without axes, and an array as it is.

    Args:
        x: Number or array.
        dtype: Its dtype; None: as it is.
    """
    if np.isscalar(x):
        return np.array(x) if dtype is None else np.array(x, dtype)
    return x if dtype is None else x.astype(dtype)


def force_type(dtype: Any, value: Any) -> Any:
    """Return a number or an array in a dtype.

    Args:
        dtype: The dtype.
        value: Number or array.
    """
    dtype = np.dtype(dtype)
    if np.isscalar(value):
        return dtype.type(value)
    return value if value.dtype == dtype else value.astype(dtype)


def size_of_shape(shape: Sequence[int]) -> int:
    """Return the number of elements of an array.

    Args:
        shape: Its shape.
    """
    return math.prod(shape)


def sum_to(x: Any, shape: Sequence[int]) -> Any:
    """Return an array summed over the axes along which `shape` was broadcast to its shape.

    Args:
        x: The array.
        shape: Shape of the result.
    """
    lead = x.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(shape) if n == 1 and x.shape[lead + i] != 1)
    return x.sum(axes, keepdims=True).reshape(tuple(shape)) if axes else x


def tempdir(*, ignore_errors: bool = False, **kwargs: Any) -> tempfile.TemporaryDirectory[str]:
    """Return a context manager: a new folder, which is gone after it.

    Args:
        ignore_errors: Whether it is no error if something in it cannot be removed.
        **kwargs: Arguments of `tempfile.mkdtemp`.
    """
    return tempfile.TemporaryDirectory(ignore_cleanup_errors=ignore_errors, **kwargs)


def nondeterministic(f_name: str) -> None:
    """Warn that results may differ from call to call, if ``config.warn_nondeterministic`` is on.

    Args:
        f_name: Name of the function that says so.
    """
    if config.warn_nondeterministic:
        warnings.warn(f"{f_name} may be non-deterministic, and config.warn_nondeterministic is on", stacklevel=3)


def experimental(api_name: str) -> None:
    """Warn that an API may change, unless ``jaxchain.disable_experimental_feature_warning`` is set.

    Args:
        api_name: Its name.
    """
    if not sys.modules["jaxchain"].disable_experimental_feature_warning:
        warnings.warn(f"{api_name} is experimental. The interface can change in the future.", FutureWarning, 2)
