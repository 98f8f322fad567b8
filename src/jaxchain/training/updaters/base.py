"""Base class of updaters, and how any function is called with a converted batch, in either mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxchain import backend
from jaxchain.core.config import MODES, config
from jaxchain.core.static import Static
from jaxchain.dataset.convert import Converter


class Updater:
    """Base class of updaters: what a trainer asks of them."""

    _lifted_scalars = True  # a compiled step of an updater may read `iteration`: a new value is no new program

    def connect_trainer(self, trainer: Any) -> None:
        """Get to know the trainer; called when it is made.

        Args:
            trainer: The trainer.
        """

    def finalize(self) -> None:
        """Clean up, when training is over."""
        raise NotImplementedError

    def get_optimizer(self, name: str) -> Any:
        """Return an optimizer.

        Args:
            name: Its name.
        """
        raise NotImplementedError

    def get_all_optimizers(self) -> dict[str, Any]:
        """Return every optimizer by name."""
        raise NotImplementedError

    def update(self) -> None:
        """Make one update."""
        raise NotImplementedError

    def serialize(self, serializer: Any) -> None:
        """Save or load what changes during training.

        Args:
            serializer: Serializer or deserializer.
        """
        raise NotImplementedError


def as_device(device: Any) -> Any:
    """Return what stands for a device from now on, from what Chainer programs give.

    Args:
        device: None, a `jax.Device` or sharding, or an object of `jaxchain.backends`: kept. A number (negative: the
            host's CPU) or a name such as ``"cpu"`` or ``"@numpy"``: the object of `jaxchain.backends`.
    """
    if isinstance(device, int | np.integer):
        device = jax.local_devices(backend="cpu")[0] if device < 0 else jax.local_devices()[device]
        return backend.get_device(device)
    return backend.get_device(device) if isinstance(device, str) else device


def jax_device(device: Any) -> Any:
    """Return JAX's device or sharding for what `as_device` returned.

    Args:
        device: That.
    """
    return getattr(device, "jax_device", device)


def convert(converter: Callable[..., Any], batch: Any, device: Any) -> Any:
    """Return a batch as arrays.

    Args:
        converter: ``converter(batch, device)``.
        batch: What an iterator yields.
        device: What `as_device` returned. Converters that are functions get the number of a device of
            `jaxchain.backends`, as in Chainer: -1 is the CPU.
    """
    if isinstance(device, backend.Device) and not isinstance(converter, Converter):
        device = -1 if isinstance(device, backend.CpuDevice) else device.device.id  # type: ignore[attr-defined]
    return converter(batch, device)


def check_mode(who: str, mode: str | None) -> str | None:
    """Return a mode, or None.

    Args:
        who: Whose argument it is.
        mode: The mode.

    Raises:
        ValueError: There is no such mode.
    """
    if mode is not None and mode not in MODES:
        raise ValueError(f"{who}: expected mode to be None or one of {MODES}, got {mode!r}")
    return mode


def call(function: Callable[..., Any], arrays: Any) -> Any:
    """Call a function with a converted batch: a tuple is its arguments, a dictionary those by name.

    Args:
        function: The function.
        arrays: The batch.
    """
    if isinstance(arrays, tuple):
        return function(*arrays)
    if isinstance(arrays, dict):
        return function(**arrays)
    return function(arrays)


class Step:
    """A function that is called with a batch: compiled where the mode is static, once per shape of the batch.

    Args:
        name: Name of the compiled program.
        roots: (name, object) pairs that the function reads: where the search for its state begins.
        function: The function.
        rules: Whether update rules belong to its state.
    """

    _opaque = True  # static mode need not look in here for state

    def __init__(self, name: str, roots: list[tuple[str, Any]], function: Callable[..., Any], rules: bool) -> None:
        self.function = function
        self.static = Static(function, name, roots, rules)
        self.objects = [value for _, value in roots]

    def fits(self, *objects: Any) -> bool:
        """Return whether it was made for these objects."""
        return len(objects) == len(self.objects) and all(a is b for a, b in zip(objects, self.objects, strict=True))

    def __call__(self, arrays: Any) -> Any:
        """Call the function in the mode of ``config.mode``.

        Args:
            arrays: The batch.
        """
        return call(self.static if config.mode == "static" else self.function, arrays)
