"""From a list of examples to arrays on the device.

NumPy arrays are copied on their way in. `jax.device_put` and jitted functions read the live NumPy buffer instead, and
gave wrong results 15 times of 15 when a program reused it for the next batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain import backend
from jaxchain.core.arrays import copied, from_numpy, placed
from jaxchain.core.compat import is_tracer


class Converter:
    """Base class of converters: a batch of examples to arrays on a device."""

    def __call__(self, batch: Any, device: Any) -> Any:
        """Convert.

        Args:
            batch: What an iterator yields.
            device: Device to put arrays on, or None.

        Returns:
            The converted batch.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how to convert: override __call__")


class _Function(Converter):
    """A function as converter."""

    def __init__(self, function: Callable) -> None:
        if not callable(function):
            raise TypeError(f"Can only wrap a callable. Actual: {type(function)}")
        self.function = function
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


class _DeviceFunction(_Function):
    """A function as converter that need not know how devices are named."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) > 1:
            args = (args[0], _named(args[1]), *args[2:])
        elif "device" in kwargs:
            kwargs["device"] = _named(kwargs["device"])
        return self.function(*args, **kwargs)


def _named(device: Any) -> Any:
    """Return the object of `backends` for the number or the name of a device; others as they are.

    A number from 0 is that of JAX's devices: a machine without an accelerator has a number 0, too.
    """
    if not isinstance(device, int | np.integer | str):
        return device
    devices = jax.local_devices()
    return backend.get_device(devices[device] if not isinstance(device, str) and 0 <= device < len(devices) else device)


def converter() -> Callable[[Callable], Converter]:
    """Return a decorator that makes a function of (batch, device) a `Converter`.

    The function gets an object of `jaxchain.backends` where its caller gives the number or the name of a device.

    Examples:
        >>> @converter()
        ... def first_only(batch, device):
        ...     return to_device(device, np.array([x for x, _ in batch]))
    """
    return _DeviceFunction


def to_device(device: Any, x: Any) -> Any:
    """Return an array on a device.

    Args:
        device: A `jax.Device`, an object of `backends` or a device's name; None leaves the array where it is (a NumPy
            array stays one); a negative int means the host, another int JAX's device of that number.
        x: NumPy or JAX array.

    Returns:
        A JAX array (a copy of a NumPy array), or `x`.
    """
    if isinstance(device, int | np.integer) and device < 0:
        return np.asarray(x)
    device = _named(device)
    device = getattr(device, "jax_device", device)  # an object of `backends`, or JAX's own
    if device is None:
        return x
    if isinstance(x, np.ndarray):
        x = from_numpy(x)
    return placed(x, device)


class OnDevice:
    """A batch that is converted already, by `iterators.prefetch_to_device`. `concat_examples` returns its arrays.

    Args:
        arrays: What the converter returned. Items and unpacking are its own.

    Attributes:
        arrays: The same.
    """

    def __init__(self, arrays: Any) -> None:
        self.arrays = arrays

    def __iter__(self) -> Iterator[Any]:
        return iter(self.arrays)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            self.__len__()
        return self.arrays[key]

    def __len__(self) -> int:
        """Raise: this is no list of examples that could be counted, or dealt out to several devices.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            "OnDevice: expected a list of examples, got a batch that prefetch_to_device has converted already. "
            "An updater that deals out examples to devices needs the iterator below; the arrays are in `.arrays`"
        )


def _concat_examples(batch: Sequence[Any], device: Any = None, padding: Any = None) -> Any:
    """Return a list of examples as arrays with a batch axis in front.

    Args:
        batch: Examples: arrays or numbers, tuples of them, or dictionaries of them.
        device: Device to put the arrays on. None: JAX's default one.
        padding: Value to fill with where arrays differ in shape; a tuple or dictionary gives one for each part.
            None: differing shapes are an error.

    Returns:
        An array, a tuple of arrays or a dictionary of arrays, like the examples. They are JAX arrays, copied in: the
        program may reuse its buffers. With ``device=-1`` they are NumPy arrays.

    Raises:
        ValueError: The batch is empty, or shapes differ.
        IndexError: Examples are tuples of different lengths.

    Examples:
        >>> x, t = concat_examples([(np.array([1, 2]), 0), (np.array([3]), 1)], padding=(9, None))
        >>> x
        Array([[1, 2],
               [3, 9]], dtype=int32)
    """
    if isinstance(batch, OnDevice):
        return batch.arrays
    if len(batch) == 0:
        raise ValueError("batch is empty")
    first = batch[0]
    if isinstance(first, tuple):
        paddings = padding if isinstance(padding, tuple) else (padding,) * len(first)
        for i, example in enumerate(batch):
            if len(example) != len(first):
                raise IndexError(f"example 0 of the batch has {len(first)} parts, example {i} has {len(example)}")
        columns = zip(*batch, strict=True)
        return tuple(_send(device, _stack(column, p)) for column, p in zip(columns, paddings, strict=True))
    if isinstance(first, dict):
        paddings = padding if isinstance(padding, dict) else dict.fromkeys(first, padding)
        return {key: _send(device, _stack([example[key] for example in batch], paddings[key])) for key in first}
    return _send(device, _stack(batch, padding))


concat_examples = _Function(_concat_examples)
concat_examples_func = _concat_examples


class ConcatWithAsyncTransfer(Converter):
    """`concat_examples` as an object. Chainer needs it for transfers that do not wait; JAX's never do.

    `iterators.prefetch_to_device` moves the conversion itself out of the step's way, too.

    Args:
        stream: Chainer's CUDA stream; not used.
        compute_stream: Likewise.
    """

    def __init__(self, stream: Any = None, compute_stream: Any = None) -> None:
        self._stream, self._compute_stream = stream, compute_stream

    def __call__(self, batch: Any, device: Any = None, padding: Any = None) -> Any:
        """Return a batch as arrays, like `concat_examples`.

        Args:
            batch: Examples.
            device: Device to put the arrays on. None: JAX's default one.
            padding: Value to fill with where arrays differ in shape.
        """
        return _concat_examples(batch, device, padding)


class Conveyor:
    """Sends arrays to a device and hands them out again in their order. JAX's transfers do not wait.

    Args:
        device: As for `to_device`. None: arrays stay as they are.
        stream: Chainer's CUDA stream; not used.
    """

    def __init__(self, device: Any = None, stream: Any = None) -> None:
        self._device, self._stream = device, stream
        self._arrays: deque[Any] = deque()

    def put(self, array: Any) -> None:
        """Send an array.

        Args:
            array: NumPy or JAX array.
        """
        self._arrays.append(to_device(self._device, array))

    def get(self, sync: bool = True) -> Any:
        """Return the array that was put here first, and forget it.

        Args:
            sync: Whether to wait until it has arrived.

        Raises:
            IndexError: There is none.
        """
        array = self._arrays.popleft()
        return jax.block_until_ready(array) if sync else array


def _send(device: Any, x: Any) -> Any:
    if device is None:
        return copied(x)
    return to_device(device, x)


def _stack(arrays: Sequence[Any], padding: Any) -> Any:
    """Return arrays or numbers with a batch axis in front. On the host: one copy to the device follows."""
    if not isinstance(arrays[0], np.ndarray | np.generic | jax.Array):
        arrays = np.asarray(arrays)  # type: ignore[assignment]
    if padding is not None:
        return _pad(arrays, padding)
    try:
        return jnp.stack(arrays) if isinstance(arrays[0], jax.Array) else _narrow(np.stack(arrays))  # type: ignore[arg-type]
    except ValueError:
        shapes = ", ".join(dict.fromkeys(str(np.shape(a)) for a in arrays))
        raise ValueError(f"concat_examples: expected examples of one shape, got {shapes}: padding= evens out") from None


def _pad(arrays: Sequence[Any], padding: Any) -> Any:
    ndims = sorted({np.ndim(a) for a in arrays})
    if len(ndims) > 1:
        raise ValueError(f"padding evens out the sizes of axes: expected arrays with as many axes, got {ndims}")
    shape = tuple(max(sizes) for sizes in zip(*(a.shape for a in arrays), strict=True))
    if any(map(is_tracer, arrays)):  # in a static call there are no values to take to the host
        missing = [[(0, n - k) for n, k in zip(shape, np.shape(a), strict=True)] for a in arrays]
        padded = [jnp.pad(a, m, constant_values=padding) for a, m in zip(arrays, missing, strict=True)]
        return jnp.stack(padded).astype(arrays[0].dtype)
    result = np.full((len(arrays), *shape), padding, arrays[0].dtype)
    for i, array in enumerate(arrays):
        result[i, *(slice(n) for n in np.shape(array))] = array
    return _narrow(result)


def _narrow(array: np.ndarray) -> np.ndarray:
    """Return the array in the type that JAX would give it: 64 bits only where they are switched on."""
    dtype = jax.dtypes.canonicalize_dtype(array.dtype)
    return array if dtype == array.dtype else array.astype(dtype)
