"""Chainer's iterator over NVIDIA DALI's pipelines: a name that says what to use instead."""

from __future__ import annotations

from typing import Any

from jaxchain.dataset.iterator import Iterator


class DaliIterator(Iterator):
    """Chainer's iterator over a DALI pipeline. DALI has one for JAX, whose batches are arrays on the device already.

    Args:
        pipeline: The pipeline.
        repeat: Whether to go on for ever.

    Raises:
        RuntimeError: Always.
    """

    def __init__(self, pipeline: Any, repeat: bool = True) -> None:
        raise RuntimeError(
            "DaliIterator gives CuPy's arrays, which are not used here: take `nvidia.dali.plugin.jax.iterator`, "
            "or MultiprocessIterator with prefetch_to_device"
        )
