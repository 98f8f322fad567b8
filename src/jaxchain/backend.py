"""Chainer's path of devices and of what is done with arrays whatever their device."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.backends import cuda
from jaxchain.backends.device import ChainerxDevice as ChainerxDevice
from jaxchain.backends.device import CpuDevice as CpuDevice
from jaxchain.backends.device import Device as Device
from jaxchain.backends.device import GpuDevice as GpuDevice
from jaxchain.backends.device import Intel64Device as Intel64Device
from jaxchain.backends.device import check_accelerator, of, to_numpy
from jaxchain.core.variable import Variable, as_array


def get_device(device_spec: Any) -> Device:
    """Return a device.

    Args:
        device_spec: ``"@numpy"`` or -1 for the CPU; ``"@cupy:0"`` or 0 for the first accelerator (the number may be a
            string); ``"@intel64"`` for the CPU; JAX's names, such as ``"cpu"`` or ``"gpu:0"``; a `jax.Device`; a
            `cuda.Device`; or a `Device`.

    Raises:
        RuntimeError: The device is not there, or is ChainerX's.
        ValueError: The name has another form.
        TypeError: It is something else.
    """
    if isinstance(device_spec, Device):
        return device_spec
    if isinstance(device_spec, jax.Device):
        return of(device_spec)
    if isinstance(device_spec, cuda.Device):
        return GpuDevice(device_spec)
    if isinstance(device_spec, cuda.DummyDeviceType):
        return CpuDevice()
    if isinstance(device_spec, str):
        return _by_name(device_spec)
    if isinstance(device_spec, int | np.integer) and not isinstance(device_spec, bool):
        return CpuDevice() if device_spec < 0 else GpuDevice(check_accelerator(int(device_spec)))
    raise TypeError(
        "Device specifier must be a backend.Device, cuda.Device, jax.Device, integer or a string. "
        f"Actual: {type(device_spec)}"
    )


def _by_name(text: str) -> Device:
    if text.lstrip("-").isdigit():
        return get_device(int(text))
    name, colon, number = text.removeprefix("@").partition(":")
    if text.startswith("@"):
        if name in ("numpy", "intel64") and not colon:
            return CpuDevice() if name == "numpy" else Intel64Device()
        if name == "cupy" and number.isdigit():
            return GpuDevice(check_accelerator(int(number)))
        raise ValueError(
            "Device specifiers starting with '@' must be followed by a module name and, depending on the module, a "
            f"number: '@numpy', '@cupy:0', '@intel64'. Actual: {text}"
        )
    if name in ("native", "cuda"):
        ChainerxDevice(text)
    devices = jax.local_devices(backend=name)  # its own error for an unknown name
    if number and not (number.isdigit() and int(number) < len(devices)):
        raise ValueError(f"no device {text!r}: JAX sees {devices}")
    return of(devices[int(number or 0)])


def jax_device(device_spec: Any) -> Any:
    """Return JAX's device, or sharding.

    Args:
        device_spec: What `get_device` takes, or a sharding, which is returned as it is.
    """
    return device_spec if isinstance(device_spec, jax.sharding.Sharding) else get_device(device_spec).jax_device


def using_device(device_spec: Any) -> Any:
    """Return a context in which new arrays are made on a device.

    Args:
        device_spec: What `get_device` takes.
    """
    return get_device(device_spec).create_context()


def get_array_module(*args: Any) -> ModuleType:
    """Return the module for some arrays: `jax.numpy` if any is a JAX array or a Variable, else `numpy`.

    Args:
        *args: Arrays or Variables.

    Examples:
        >>> get_array_module(np.ones(2)).__name__, get_array_module(jnp.ones(2)).__name__
        ('numpy', 'jax.numpy')
    """
    return cuda.get_array_module(*args)


def get_device_from_array(*arrays: Any) -> Device:
    """Return the accelerator of the first array that is on one, else the CPU.

    Args:
        *arrays: Arrays.
    """
    for array in arrays:
        found = GpuDevice.from_array(array)
        if found is not None:
            return found
    return CpuDevice()


def copyto(dst: Any, src: Any) -> None:
    """Copy the elements of an array into a NumPy array.

    Args:
        dst: NumPy array, or a Variable, whose array is replaced.
        src: NumPy or JAX array.

    Raises:
        TypeError: `dst` is a JAX array, which is immutable, or no array.
    """
    if isinstance(dst, Variable):
        dst.array = jnp.broadcast_to(jnp.asarray(src, dst.dtype), dst.shape)
    elif isinstance(dst, np.ndarray):
        np.copyto(dst, to_numpy(as_array(src)))
    elif isinstance(dst, jax.Array):
        raise TypeError(
            "copyto: JAX arrays are immutable. Write `variable.array = src` instead of `copyto(variable.array, src)`."
        )
    else:
        raise TypeError(f"cannot copy to non-array object of type {type(dst)}")


def to_chx(array: Any) -> Any:
    """Raise: ChainerX is not available.

    Args:
        array: Arrays.

    Raises:
        RuntimeError: Always.
    """
    raise RuntimeError("ChainerX is not available: arrays are JAX's")


def from_chx(array: Any) -> Any:
    """Return arrays as they are: none is ChainerX's.

    Args:
        array: Arrays.
    """
    return array
