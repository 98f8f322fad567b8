"""Chainer's `cuda`: its devices, transfers and settings, on JAX.

`available` says whether JAX has an accelerator. If so, `cupy` is the module of JAX's arrays (backends/cupy.py). CUDA
source (`elementwise`, `reduce`, `raw`) raises `CupyUnavailable`, which says what to use. What only tunes CUDA does
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.backends import device as _device
from jaxchain.backends.cupy import Absent, CuPy
from jaxchain.backends.cupy import CupyUnavailable as CupyUnavailable
from jaxchain.backends.device import GpuDevice as GpuDevice
from jaxchain.core.arrays import copied
from jaxchain.core.variable import as_array

cudnn_enabled = False

cupy = CuPy()
cupyx = Absent("cupyx")
cudnn = Absent("cudnn")
libcudnn = Absent("libcudnn")
nccl = Absent("nccl")
memory_pool = Absent("memory_pool")
pinned_memory_pool = Absent("pinned_memory_pool")
cuda = Absent("cuda")


class ndarray:
    """Type of CuPy's arrays: nothing is an instance of it."""


class Device:
    """An accelerator by its number, as context manager: new arrays are made on it.

    Args:
        device: Its number; None: the first.

    Attributes:
        id: Its number.
        jax_device: The `jax.Device`.
    """

    def __init__(self, device: Any = None) -> None:
        if isinstance(device, Device):
            device = device.id
        self.id = 0 if device is None else int(device)
        self.jax_device = _device.check_accelerator(self.id)
        self._contexts: list[Any] = []

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: Any) -> bool:
        return self.jax_device == getattr(other, "jax_device", other)

    def __hash__(self) -> int:
        return hash(self.jax_device)

    def __enter__(self) -> Device:
        self._contexts.append(GpuDevice(self.jax_device).create_context())
        self._contexts[-1].__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._contexts.pop().__exit__(*error)

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def use(self) -> None:
        """Make new arrays on this device from now on."""
        GpuDevice(self.jax_device).use()

    def synchronize(self) -> None:
        """Wait until the device has done what was asked of it."""
        jax.device_put(0, self.jax_device).block_until_ready()


class DummyDeviceType:
    """The CPU, with the interface of `Device`."""

    id = -1

    @property
    def jax_device(self) -> Any:
        """The `jax.Device`: the host's CPU."""
        return jax.local_devices(backend="cpu")[0]

    def __int__(self) -> int:
        return -1

    def __enter__(self) -> DummyDeviceType:
        return self

    def __exit__(self, *_: Any) -> None:
        """Do nothing."""

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, DummyDeviceType)

    def __hash__(self) -> int:
        return hash(DummyDeviceType)

    def use(self) -> None:
        """Do nothing."""

    def synchronize(self) -> None:
        """Do nothing."""


DummyDevice = DummyDeviceType()


class Stream:
    """A CUDA stream, which JAX manages itself: a context manager that does nothing.

    Args:
        null: Ignored.
        non_blocking: Ignored.
        ptds: Ignored.
    """

    null: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False) -> None:
        pass

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: Any) -> None:
        """Do nothing."""

    def use(self) -> Stream:
        """Do nothing."""
        return self

    def synchronize(self) -> None:
        """Do nothing."""


Stream.null = Stream()


class Event:
    """A CUDA event, which JAX has no use for.

    Args:
        *_: Ignored.
        **__: Ignored.
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def record(self, stream: Any = None) -> None:
        """Do nothing."""

    def synchronize(self) -> None:
        """Do nothing."""


def __getattr__(name: str) -> Any:
    if name == "available":  # asked when used: looking for devices starts JAX
        return bool(_device.accelerators())
    raise AttributeError(f"module 'jaxchain.backends.cuda' has no attribute {name!r}")


def check_cuda_available() -> None:
    """Raise unless JAX has an accelerator.

    Raises:
        RuntimeError: It has none.
    """
    _device.check_accelerator(0)


def get_device_from_id(device_id: int | None) -> Any:
    """Return the device of a number: a `Device`, or `DummyDevice` (the CPU) for a negative one or None.

    Args:
        device_id: The number.

    Raises:
        RuntimeError: There is no such device.
    """
    return DummyDevice if device_id is None or device_id < 0 else Device(device_id)


def get_device_from_array(*arrays: Any) -> Any:
    """Return the accelerator of the first array that is on one, else `DummyDevice`.

    Args:
        *arrays: JAX or NumPy arrays.
    """
    for array in arrays:
        found = GpuDevice.from_array(array)
        if found is not None:
            return Device(_device.accelerators().index(found.jax_device))
    return DummyDevice


def get_device(*args: Any) -> Any:
    """Return the device of the first number, array or device among the arguments. Old spelling.

    Args:
        *args: Numbers, arrays or devices.
    """
    for arg in args:
        if isinstance(arg, int | np.integer) and not isinstance(arg, bool):
            return get_device_from_id(int(arg))
        if isinstance(arg, Device):
            return arg
    return get_device_from_array(*args)


def to_gpu(array: Any, device: Any = None, stream: Any = None) -> Any:
    """Return arrays on an accelerator.

    Args:
        array: An array, or a list or tuple of them; None stays None.
        device: Number or device; None: the first accelerator.
        stream: Ignored.

    Raises:
        RuntimeError: There is no accelerator.
    """
    target = Device(None if device is None or isinstance(device, DummyDeviceType) else device).jax_device
    return _device.convert_arrays(array, lambda a: _device.put(a, target))


def to_cpu(array: Any, stream: Any = None) -> Any:
    """Return arrays as NumPy arrays (copies of JAX's, so that they can be written to).

    Args:
        array: An array, or a list or tuple of them; None stays None.
        stream: Ignored.
    """
    return _device.convert_arrays(array, _device.to_numpy)


def copy(array: Any, out: Any = None, out_device: Any = None, stream: Any = None) -> Any:
    """Return a copy of an array on an accelerator.

    Args:
        array: The array.
        out: Not possible here: arrays are immutable.
        out_device: Number or device; None: where the array is.
        stream: Ignored.

    Raises:
        TypeError: `out` is given.
    """
    if out is not None:
        raise TypeError("cuda.copy: `out` cannot be written to, arrays are immutable; use the returned array")
    new = copied(array)
    return new if out_device is None else to_gpu(new, out_device)


def get_array_module(*args: Any) -> ModuleType:
    """Return the module for some arrays: `jax.numpy` if any is a JAX array or a Variable, else `numpy`.

    Args:
        *args: Arrays or Variables.
    """
    return jnp if any(isinstance(as_array(a), jax.Array) for a in args) else np


def memoize(for_each_device: bool = False) -> Callable[[Callable], Callable]:
    """Return a decorator that leaves a function as it is, as Chainer's does without CUDA.

    Args:
        for_each_device: Ignored.
    """
    return lambda function: function


def clear_memo() -> None:
    """Do nothing: `memoize` remembers nothing."""


def fuse(*args: Any, **kwargs: Any) -> Any:
    """Return the function as it is (a decorator): XLA fuses what it compiles.

    Args:
        *args: The function.
        **kwargs: Ignored.
    """
    return args[0] if args and callable(args[0]) else lambda function: function


def elementwise(in_params: str, out_params: str, operation: str, name: str, **kwargs: Any) -> Any:
    """Raise: CUDA source cannot run here.

    Args:
        in_params: Its inputs.
        out_params: Its outputs.
        operation: Its source.
        name: Its name.
        **kwargs: Ignored.

    Raises:
        CupyUnavailable: Always.
    """
    raise CupyUnavailable(f"cuda.elementwise({name!r})")


def reduce(*args: Any, **kwargs: Any) -> Any:
    """Raise: CUDA source cannot run here.

    Args:
        *args: The source.
        **kwargs: Ignored.

    Raises:
        CupyUnavailable: Always.
    """
    raise CupyUnavailable("cuda.reduce")


def raw(code: str, name: str, *args: Any, **kwargs: Any) -> Any:
    """Raise: CUDA source cannot run here.

    Args:
        code: The source.
        name: Its name.
        *args: Ignored.
        **kwargs: Ignored.

    Raises:
        CupyUnavailable: Always.
    """
    raise CupyUnavailable(f"cuda.raw({name!r})")


def get_max_workspace_size() -> int:
    """Return the limit that was set; nothing reads it."""
    return _workspace[0]


def set_max_workspace_size(size: int) -> None:
    """Remember a limit; nothing reads it: XLA plans its memory itself.

    Args:
        size: Bytes.
    """
    _workspace[0] = int(size)


_workspace = [8 * 1024 * 1024]


def should_use_cudnn(level: str, lowest_version: int = 0) -> bool:
    """Return False: XLA decides.

    Args:
        level: Chainer's level of use.
        lowest_version: Version of cuDNN.

    Raises:
        ValueError: `level` is unknown.
    """
    if level not in ("==always", ">=auto"):
        raise ValueError(f'invalid cuDNN use level: {level!r} (must be either of "==always" or ">=auto")')
    return False


def should_use_cudnn_tensor_core(dtype: Any) -> bool:
    """Return False: XLA decides.

    Args:
        dtype: Type of the arrays.
    """
    return False
