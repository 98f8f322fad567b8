"""Copying between devices."""

from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, reshard

from jaxchain.backend import jax_device
from jaxchain.backends.device import of_array
from jaxchain.core.arrays import placed
from jaxchain.core.function_node import FunctionNode
from jaxchain.functions.composed import composed


class Copy(FunctionNode):
    """Sends an array to a device, or spreads it; its gradient goes back. In a trace there is one place."""

    def __init__(self, device: Any) -> None:
        self.device = self.origin = device

    def forward(self, inputs):
        """Return the array on the device."""
        (x,) = inputs
        if of_array(x) is None:
            if not isinstance(self.device, NamedSharding):
                return (x,)
            if AxisType.Explicit in self.device.mesh.axis_types:
                self.origin = jax.typeof(x).sharding
                return (reshard(x, self.device),)
            self.origin = None  # which is not known of `Auto` axes
            return (jax.lax.with_sharding_constraint(x, self.device),)
        self.origin = x.sharding
        return (placed(x, self.device),)

    def backward(self, target_input_indexes, grad_outputs):
        """Send the gradient back."""
        return Copy(self.origin).apply(grad_outputs)


@composed
def copy(x, dst: Any):
    """Copy an array to a device; the gradient is copied back.

    Args:
        x: Any shape and dtype.
        dst: What `jaxchain.get_device` takes, e.g. ``@numpy``, ``@cupy:0``, ``gpu:0``, or a GPU's number (-1: the CPU).
            Or a `jax.sharding.NamedSharding`: how the array is to be spread over several devices.

    Returns:
        The same values. Inside a static call the arrays stay where they are (one compiled program has one place), but
        for how they are spread over the devices of that place.

    Raises:
        RuntimeError: There is no such device.

    Source: elementary.

    Examples:
        >>> F.copy(np.float32([1, 2]), -1).array
        Array([1., 2.], dtype=float32)
    """
    return Copy(jax_device(dst)).apply((x,))[0]
