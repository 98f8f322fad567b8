"""What ``cuda.cupy`` is: the array module of programs that say ``xp = cuda.cupy``, where there is an accelerator.

Its arrays are JAX's: array operations are `jax.numpy`'s, random numbers come from NumPy's generators. CUDA source and
what has no counterpart raise `CupyUnavailable`; so does everything where there is no accelerator.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.backends.device import accelerators

SOURCE = ("ElementwiseKernel", "ReductionKernel", "RawKernel", "RawModule")
OF_CUDA = {name: name for name in ("clear_memo", "fuse", "get_array_module", "memoize")} | {"asnumpy": "to_cpu"}


class CupyUnavailable(RuntimeError, TypeError):
    """CuPy or CUDA source was asked for. JAX arrays are immutable and have no CUDA kernels of the user's.

    Inside a user's `Function`, it makes the function run again on NumPy arrays, where programs have their NumPy branch.
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: CuPy is not available, arrays are JAX's (immutable), on a GPU, too. Use "
            "`backend.get_array_module(x)` or `device.xp`, and array operations instead of CUDA source."
        )


class Absent:
    """Stands for a module that is not there.

    Args:
        name: Its name.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise CupyUnavailable(f"{self._name}.{name}")

    def __repr__(self) -> str:
        return f"<{self._name}: not available>"

    def __bool__(self) -> bool:
        return False


class Random:
    """Stands for ``cupy.random``: a generator of its own, as there, whose arrays are put on the device."""

    def __init__(self) -> None:
        self._generator = np.random.RandomState()

    def __getattr__(self, name: str) -> Any:
        if name == "RandomState":
            return np.random.RandomState
        found = getattr(self._generator, name, None)
        if name.startswith("_") or found is None:
            raise AttributeError(f"cupy.random has no {name}")
        return _on_device(found)


def _on_device(draw: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(draw)
    def drawn(*args: Any, dtype: Any = None, **kwargs: Any) -> Any:
        value = draw(*args, **kwargs)
        return jnp.asarray(value, dtype) if isinstance(value, np.ndarray) else value

    return drawn


class CuPy(Absent):
    """Stands for the module ``cupy``: that of JAX's arrays if there is an accelerator, else it is absent."""

    def __init__(self) -> None:
        super().__init__("cupy")
        self._random = Random()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not accelerators() or name in SOURCE:
            return super().__getattr__(name)
        if name == "random":
            return self._random
        if name == "cuda" or name in OF_CUDA:
            cuda = importlib.import_module("jaxchain.backends.cuda")
            return cuda if name == "cuda" else getattr(cuda, OF_CUDA[name])
        if name == "ndarray":
            return jax.Array
        if hasattr(jnp, name):
            return getattr(jnp, name)
        return super().__getattr__(name)

    def __repr__(self) -> str:
        return "<cupy: jax.numpy>" if accelerators() else super().__repr__()

    def __bool__(self) -> bool:
        return bool(accelerators())
