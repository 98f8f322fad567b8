"""Chainer's device objects, on JAX's devices: ``@numpy`` is the host's CPU, ``@cupy:0`` the first accelerator.

Arrays are JAX's on every device, so the array module is `jax.numpy` on every device, too. A device object compares
equal to the `jax.Device` it stands for, and has it as `jax_device`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.arrays import from_numpy, placed
from jaxchain.core.compat import is_tracer


def accelerators() -> list[Any]:
    """Return JAX's devices other than the host's CPU, in order: the GPUs of a program written for Chainer."""
    return [d for d in jax.local_devices() if d.platform != "cpu"]


def check_accelerator(number: Any = 0) -> Any:
    """Return the accelerator of a number.

    Args:
        number: 0, 1, ...

    Raises:
        ValueError: `number` is not a number from 0.
        RuntimeError: There is no such device.
    """
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 0:
        raise ValueError(f"Invalid CUDA device ID: {number!r}")
    found = accelerators()
    if number >= len(found):
        raise RuntimeError(
            f"CUDA environment is not correctly set up: GPU {number} was asked for, and JAX sees "
            f"{jax.local_devices()}. Use -1 (or '@numpy') for the CPU, or install JAX for your GPU: "
            "https://docs.jax.dev/en/latest/installation.html"
        )
    return found[number]


def convert_arrays(arrays: Any, function: Callable[[Any], Any]) -> Any:
    """Return `function` of an array, or of each array in a list or tuple; None stays None.

    Args:
        arrays: An array, or a list or tuple of them. An array that is in it twice is converted once.
        function: What to do with an array.
    """
    if not isinstance(arrays, list | tuple):
        return None if arrays is None else function(arrays)
    done: dict[int, Any] = {}
    for array in arrays:
        if id(array) not in done:
            done[id(array)] = None if array is None else function(array)
    return type(arrays)(done[id(array)] for array in arrays)


def put(array: Any, device: Any) -> Any:
    """Return an array on a JAX device. NumPy arrays are copied; what a trace has in hand stays where it is.

    Args:
        array: NumPy or JAX array, or a NumPy scalar.
        device: A `jax.Device`.

    Raises:
        TypeError: `array` is no array.
    """
    if not isinstance(array, jax.Array | np.ndarray | np.generic | int | float | complex):
        raise TypeError(f"cannot be sent to a device: expected an array, got {type(array).__name__}")
    if is_tracer(array):
        return array
    return placed(array if isinstance(array, jax.Array) else from_numpy(array), device)


def to_numpy(array: Any) -> Any:
    """Return an array as a NumPy array: a NumPy array itself, else a copy that can be written to.

    Args:
        array: NumPy or JAX array, or a scalar.

    Raises:
        TypeError: `array` is no array.
    """
    if isinstance(array, np.ndarray):
        return array
    if isinstance(array, jax.Array) or np.isscalar(array):
        return np.array(array)
    raise TypeError(f"Array cannot be converted into an numpy.ndarray\nActual type: {type(array)}.")


class Device:
    """Base class of device objects: `CpuDevice`, `GpuDevice`, `Intel64Device`, `ChainerxDevice`.

    Attributes:
        name: Its name, e.g. ``@numpy``: what `jaxchain.get_device` takes.
        jax_device: The `jax.Device`.
        xp: Its array module, `jax.numpy`.
        supported_array_types: Types of the arrays that functions take.
    """

    name: str = ""
    supported_array_types = (jax.Array, np.ndarray)

    @property
    def xp(self) -> ModuleType:
        """The array module: `jax.numpy`."""
        return jnp

    @property
    def jax_device(self) -> Any:
        """The `jax.Device` that this stands for."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} ({self.jax_device})>"

    def __enter__(self) -> Any:
        raise RuntimeError("a device is no context manager: write `with jaxchain.using_device(device):`")

    def __exit__(self, *_: Any) -> None:
        """Never called."""

    def __eq__(self, other: Any) -> bool:
        return self.jax_device == (other.jax_device if isinstance(other, Device) else other)

    def __hash__(self) -> int:
        return hash(self.jax_device)

    def _is_default(self) -> bool:
        default: Any = jax.config.jax_default_device  # type: ignore[attr-defined]
        return self.jax_device == (jax.local_devices()[0] if default is None else default)

    def create_context(self) -> Any:
        """Return a context in which new arrays are made on this device."""
        return contextlib.nullcontext() if self._is_default() else jax.default_device(self.jax_device)

    def use(self) -> None:
        """Make new arrays on this device from now on."""
        if not self._is_default():
            jax.config.update("jax_default_device", self.jax_device)

    def send(self, arrays: Any) -> Any:
        """Return arrays on this device.

        Args:
            arrays: An array, or a list or tuple of them. NumPy arrays are copied.
        """
        return convert_arrays(arrays, self.send_array)

    def send_array(self, array: Any) -> Any:
        """Return one array on this device.

        Args:
            array: NumPy or JAX array.
        """
        return put(array, self.jax_device)

    def is_array_supported(self, array: Any) -> bool:
        """Return whether an array can be used with arrays of this device as it is.

        Args:
            array: NumPy or JAX array.
        """
        if isinstance(array, np.ndarray) or is_tracer(array):
            return True
        return isinstance(array, jax.Array) and self.jax_device in array.devices()


class CpuDevice(Device):
    """The host's CPU, ``@numpy``.

    Args:
        device: The `jax.Device`, where JAX shows the CPU as several; None: the first.
    """

    name = "@numpy"

    def __init__(self, device: Any = None) -> None:
        self._device = device

    @property
    def jax_device(self) -> Any:
        """The `jax.Device`: the host's CPU."""
        return jax.local_devices(backend="cpu")[0] if self._device is None else self._device

    @staticmethod
    def from_array(array: Any) -> CpuDevice | None:
        """Return this device if an array is on it, else None."""
        if isinstance(array, np.ndarray):
            return CpuDevice()
        return CpuDevice() if isinstance(of_array(array), CpuDevice) else None


class Intel64Device(CpuDevice):
    """The host's CPU, ``@intel64``: XLA chooses its kernels itself."""

    name = "@intel64"


class GpuDevice(Device):
    """An accelerator, ``@cupy:0``.

    Args:
        device: A `cuda.Device`, a `jax.Device`, or a number.
    """

    def __init__(self, device: Any) -> None:
        device = getattr(device, "jax_device", device)
        self._device = check_accelerator(device) if isinstance(device, int | np.integer) else device

    @staticmethod
    def from_device_id(device_id: int) -> GpuDevice:
        """Return the accelerator of a number: 0, 1, ..."""
        return GpuDevice(check_accelerator(device_id))

    @staticmethod
    def from_array(array: Any) -> GpuDevice | None:
        """Return the accelerator that an array is on; None if it is on the host."""
        device = of_array(array)
        return device if isinstance(device, GpuDevice) else None

    @property
    def jax_device(self) -> Any:
        """The `jax.Device`."""
        return self._device

    @property
    def device(self) -> Any:
        """The `jax.Device`; its `id` is the number."""
        return self._device

    @property
    def name(self) -> str:  # type: ignore[override]
        """Its name, e.g. ``@cupy:0``."""
        return f"@cupy:{accelerators().index(self._device)}"


class ChainerxDevice(Device):
    """ChainerX's devices do not exist here: making one raises."""

    def __init__(self, device: Any = None) -> None:
        raise RuntimeError(
            f"ChainerX is not available: there is no device {device!r}. Use '@numpy' for the CPU, '@cupy:0' for the "
            "first GPU."
        )

    @staticmethod
    def from_array(array: Any) -> None:
        """Return None: no array is ChainerX's."""
        return None


def of(device: Any) -> Device:
    """Return the device object of a `jax.Device`.

    Args:
        device: The `jax.Device`.
    """
    return CpuDevice(device) if device.platform == "cpu" else GpuDevice(device)


def default() -> Device:
    """Return the device object of JAX's default device."""
    chosen: Any = jax.config.jax_default_device  # type: ignore[attr-defined]
    return of(jax.local_devices()[0] if not hasattr(chosen, "platform") else chosen)


def of_array(array: Any) -> Device | None:
    """Return the device object of a JAX array; None for anything else, and for what only a trace has in hand."""
    if not isinstance(array, jax.Array) or is_tracer(array):
        return None
    return of(next(iter(array.devices())))
