"""Copying between devices."""

from typing import Any

import jax

from jaxchain.core.config import thread_state
from jaxchain.core.function import FunctionNode


def _device(dst: Any) -> Any:
    """Return the `jax.Device` of a device object, a GPU's number (-1: the CPU) or a name as ``@numpy`` or ``gpu:0``."""
    if isinstance(dst, int):
        dst = f"gpu:{dst}" if dst >= 0 else "cpu"
    if isinstance(dst, str):
        name, _, index = dst.removeprefix("@").partition(":")
        platform = {"numpy": "cpu", "native": "cpu", "intel64": "cpu", "cupy": "gpu", "cuda": "gpu"}.get(name, name)
        return jax.devices(platform)[int(index or 0)]
    return getattr(dst, "jax_device", dst)


class Copy(FunctionNode):
    """Sends an array to a device; its gradient goes back. What a static trace has in hand stays where it is."""

    def __init__(self, device: Any) -> None:
        self.device = self.origin = device

    def forward(self, inputs):
        """Return the array on the device."""
        (x,) = inputs
        if thread_state().trace is not None:
            return (x,)
        self.origin = x.device
        return (jax.device_put(x, self.device),)

    def backward(self, target_input_indexes, grad_outputs):
        """Send the gradient back."""
        return Copy(self.origin).apply(grad_outputs)


def copy(x, dst: Any):
    """Copy an array to a device; the gradient is copied back.

    Args:
        x: Any shape and dtype.
        dst: A device: an object, the number of a GPU (-1: the CPU), or a name as ``@numpy``, ``@cupy:0``, ``gpu:0``.

    Returns:
        The same values. Inside a static call the arrays stay where they are: one compiled program has one place.

    Raises:
        RuntimeError: There is no such device.

    Source: elementary.

    Examples:
        >>> F.copy(np.float32([1, 2]), -1).array
        Array([1., 2.], dtype=float32)
    """
    return Copy(_device(dst)).apply((x,))[0]
