"""Chainer's hooks on CuPy's profiler and memory pool: names that say what to use instead."""

from __future__ import annotations

from typing import Any

from jaxchain.function_hook import FunctionHook


class CUDAProfileHook(FunctionHook):
    """Chainer's ranges in the CUDA profiler. JAX has a profiler of its own, which knows the ops by name.

    Raises:
        RuntimeError: Always.
    """

    name = "CUDAProfileHook"

    def __init__(self) -> None:
        raise RuntimeError(
            "CUDAProfileHook marks ranges by CuPy, which is not used here: write `with jax.profiler.trace(folder):`, "
            "or use function_hooks.TimerHook"
        )


class CupyMemoryProfileHook(FunctionHook):
    """Chainer's record of CuPy's memory pool. Arrays are JAX's here.

    Raises:
        RuntimeError: Always.
    """

    name = "CupyMemoryProfileHook"

    def __init__(self, *args: Any) -> None:
        raise RuntimeError(
            "CupyMemoryProfileHook reads CuPy's memory pool, which is not used here: call "
            "`jax.profiler.save_device_memory_profile(file)`, or read `jax.local_devices()[0].memory_stats()`"
        )
