"""Names of Chainer's top level that ask about the surroundings: array types, versions, CUDA's settings."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxchain.backends.cuda import should_use_cudnn as should_use_cudnn
from jaxchain.backends.cuda import should_use_cudnn_tensor_core as should_use_cudnn_tensor_core
from jaxchain.core.config import config, thread_state

mixed16 = "mixed16"


class PerformanceWarning(Warning):
    """Something is slower than it need be."""


def get_array_types() -> tuple[type, ...]:
    """Return the types of arrays that functions take."""
    return (np.ndarray, jax.Array)


def get_cpu_array_types() -> tuple[type, ...]:
    """Return the types of arrays that may be on the host's CPU."""
    return (np.ndarray, jax.Array)


def is_arrays_compatible(arrays: Sequence[Any]) -> bool:
    """Return whether arrays may be used together: NumPy's and JAX's may. None is skipped.

    Args:
        arrays: The arrays.
    """
    return all(a is None or isinstance(a, np.ndarray | jax.Array) for a in arrays)


def get_compute_mode() -> Any:
    """Return ``config.compute_mode``. Nothing reads it: XLA decides."""
    return config.compute_mode


def get_function_hooks() -> dict[str, Any]:
    """Return the function hooks of this thread, by name."""
    return thread_state().hooks


def static_graph(*args: Any, **kwargs: Any) -> Any:
    """Return the method as it is (a decorator): static mode compiles whole calls or steps, see `jaxchain.static`.

    Args:
        *args: The method.
        **kwargs: Chainer's settings, ignored.
    """
    return args[0] if len(args) == 1 and callable(args[0]) else lambda method: method


def static_code(*args: Any, **kwargs: Any) -> Any:
    """Return the function as it is (a decorator), as `static_graph` does.

    Args:
        *args: The function.
        **kwargs: Chainer's settings, ignored.
    """
    return static_graph(*args)


def print_runtime_info(out: Any = None) -> None:
    """Print versions and devices.

    Args:
        out: File to write to; None: stdout.
    """
    try:
        version = importlib.metadata.version("jaxchain")
    except importlib.metadata.PackageNotFoundError:
        version = "not installed"
    devices = ", ".join(str(d) for d in jax.devices())
    rows = {
        "Platform": platform.platform(),
        "jaxchain": version,
        "JAX": f"{jax.__version__} on {devices}",
        "ChainerX": "Not Available",
        "NumPy": np.__version__,
        "CuPy": "Not Available",
        "iDeep": "Not Available",
    }
    out = sys.stdout if out is None else out
    out.write("".join(f"{name}: {value}\n" for name, value in rows.items()))
    if hasattr(out, "flush"):
        out.flush()
