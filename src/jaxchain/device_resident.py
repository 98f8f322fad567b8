"""Objects with arrays that can be moved to another device: links, and what a visitor sees of them."""

from __future__ import annotations

from typing import Any, Self

import jax
import jax.numpy as jnp

from jaxchain.backend import jax_device
from jaxchain.backends.device import accelerators, default
from jaxchain.core.arrays import placed


class DeviceResidentsVisitor:
    """Base class of what is done with every array of a `DeviceResident`."""

    def visit_device_resident(self, device_resident: DeviceResident) -> None:
        """Do something with an object; its arrays follow.

        Args:
            device_resident: The object.
        """
        raise NotImplementedError

    def visit_array(self, arr: Any) -> Any:
        """Return what takes the place of an array.

        Args:
            arr: The array.
        """
        raise NotImplementedError

    def visit_variable(self, param: Any) -> None:
        """Do something with a Variable or a `Parameter`.

        Args:
            param: The Variable.
        """
        raise NotImplementedError


class _Move(DeviceResidentsVisitor):
    """Moves arrays to a device. Objects below `start` that have a `to_cpu` or `to_gpu` of their own are asked."""

    def __init__(self, device: Any, start: DeviceResident) -> None:
        self.device, self.start = device, start

    def visit_device_resident(self, device_resident: DeviceResident) -> None:
        """Objects have no device but that of their arrays."""
        if device_resident is self.start or not isinstance(self.device, jax.Device):
            return
        on_cpu = self.device.platform == "cpu"
        name, args = ("to_cpu", ()) if on_cpu else ("to_gpu", (accelerators().index(self.device),))
        if getattr(type(device_resident), name) is not getattr(DeviceResident, name):
            getattr(device_resident, name)(*args)

    def visit_array(self, arr: Any) -> Any:
        return placed(arr, self.device)

    def visit_variable(self, param: Any) -> None:
        param.to_device(self.device)


class DeviceResident:
    """Base class of objects with arrays, such as links. Subclasses show them in `device_resident_accept`."""

    __slots__ = ()

    def device_resident_accept(self, visitor: DeviceResidentsVisitor) -> None:
        """Show every array to a visitor. Overridden by whoever has any, after a call of ``super()``.

        Args:
            visitor: The visitor.
        """
        visitor.visit_device_resident(self)

    @property
    def xp(self) -> Any:
        """The array module: `jax.numpy`."""
        return jnp

    @property
    def device(self) -> Any:
        """The device of its arrays, a `jaxchain.backend.Device`; JAX's default device unless the subclass says more."""
        return default()

    def to_device(self, device: Any) -> Self:
        """Move every array.

        Args:
            device: What `jaxchain.get_device` takes, e.g. ``"@numpy"``, ``"@cupy:0"``, ``"gpu:0"``, -1, or a
                `jax.Device`; or a sharding.

        Returns:
            The object itself.

        Raises:
            RuntimeError: There is no such device.
        """
        self.device_resident_accept(_Move(jax_device(device), self))
        return self

    def to_cpu(self) -> Self:
        """Move to the host's CPU. Returns the object itself."""
        return self.to_device("cpu")

    def to_gpu(self, device: int | None = None) -> Self:
        """Move to a GPU. Returns the object itself.

        Args:
            device: Its number; None: the first.

        Raises:
            RuntimeError: There is none.
        """
        return self.to_device(0 if device is None else device)

    def to_intel64(self) -> Self:
        """Move to the host's CPU: XLA chooses its kernels itself. Returns the object itself."""
        return self.to_cpu()

    def to_chx(self) -> Self:
        """Stay where it is: there is no other array library here. Returns the object itself."""
        return self

    def from_chx(self) -> Self:
        """Stay where it is: there is no other array library here. Returns the object itself."""
        return self
