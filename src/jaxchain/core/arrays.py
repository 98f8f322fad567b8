"""Arrays: their shapes and dtypes, how they come in, and where they are."""

from __future__ import annotations

import functools
import math
import operator
import reprlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import SingleDeviceSharding

from jaxchain.core.compat import Tracer, in_trace
from jaxchain.core.config import thread_state
from jaxchain.core.spread import is_on_mesh, str_of, struct_of

ARRAY_TYPES = (jax.Array, np.ndarray)
NUMPY_TYPES = (np.ndarray, np.generic)
ARRAY_LIKE = (jax.Array, np.ndarray, np.generic)  # a tuple: `A | B` would be made anew at every check


class Info:
    """The type of an array, and whether a gradient is wanted: interned, so that a cache key hashes by identity.

    Attributes:
        struct: The type: shape, dtype, and what JAX's types say besides (see `spread.struct_of`).
        on_mesh: Whether it lies on a mesh with `Explicit` axes, whole or in parts.
    """

    __slots__ = ("differentiable", "dtype", "on_mesh", "requires_grad", "shape", "struct")

    def __init__(self, struct: jax.ShapeDtypeStruct, on_mesh: bool, requires_grad: bool) -> None:
        self.struct, self.shape, self.dtype = struct, struct.shape, struct.dtype
        self.on_mesh, self.requires_grad = on_mesh, requires_grad
        self.differentiable = requires_grad and jnp.issubdtype(struct.dtype, jnp.inexact)

    def __repr__(self) -> str:
        return str_of(self.struct)


_infos: dict[Any, Info] = {}
_known: dict[Any, Info] = {}  # the same by what is at hand
UNKNOWN = jax.ShapeDtypeStruct((), np.float32)  # the type of what has no array yet, told by its identity
UNINITIALIZED = tuple(Info(UNKNOWN, False, wanted) for wanted in (False, True))


def info_of(array: Any, requires_grad: bool = True) -> Info:
    """Return the interned `Info` of an array, of a struct, or of a variable of a jaxpr."""
    kind = getattr(array, "aval", None)
    if kind is None:
        kind = array if isinstance(array, jax.ShapeDtypeStruct) else (array.shape, array.dtype)
    info = _known.get((kind, requires_grad))
    if info is None:
        info = _known[kind, requires_grad] = info_of_type(array, is_on_mesh(array), requires_grad)
    return info


def has_come() -> bool:
    """Return whether there was any array: then JAX runs."""
    return bool(_known)


def info_of_type(kind: Any, on_mesh: bool, requires_grad: bool) -> Info:
    """Return the interned `Info` of a type (see `spread.struct_of`)."""
    key = struct_of(kind), on_mesh, requires_grad
    info = _infos.get(key)
    if info is None:
        info = _infos[key] = Info(*key)
    return info


array_infos: dict[type, dict[Any, Info]] = {}  # what `array_info` gave, by class and type of JAX's arrays


def array_info(array: Any) -> Info:
    """Return the `Info` of an array that wants no gradient. `array_infos` has those of JAX's arrays of strong type from
    then on: found in a tenth of the time.
    """
    info, kind = info_of(array, False), getattr(array, "aval", None)
    if kind is not None and not kind.weak_type:
        array_infos.setdefault(array.__class__, {})[kind] = info
    return info


OFTEN = 256  # arrays of one shape and dtype from which a program pays that takes them in
_came_in: dict[Any, int] = {}  # how many, by shape and dtype


@jax.jit
def _handed_over(array: Any) -> Any:
    return array


def from_numpy(value: Any) -> jax.Array:
    """Return a copy of a NumPy array, made here and now: JAX may read the live buffer later.

    A compiled call takes arguments in a quarter of the time of `device_put` (MEASURED 7 and 31 us, float32[32,64], jax
    0.10.2, CPU), but each shape has to be compiled for, in 10 to 30 ms: so has it for `jnp.asarray` (18 us).

    Raises:
        TypeError: It holds no numbers.
    """
    value = np.array(value)
    if not value.dtype.isnative:  # JAX has this machine's byte order only
        value = value.astype(value.dtype.newbyteorder("="))
    key = (value.shape, value.dtype)
    count = _came_in[key] = _came_in.get(key, 0) + 1
    if len(_came_in) > 10_000:
        _came_in.clear()
    if in_trace():
        return jnp.asarray(value)
    return _handed_over(value) if count > OFTEN else jax.device_put(value)


def plain_number(value: Any) -> Any:
    """Return a Python number for a concrete array that a compiled call left behind; anything else as it is."""
    return value.item() if isinstance(value, jax.Array) and not isinstance(value, Tracer) else value


def is_at_hand(array: jax.Array) -> bool:
    """Return whether the host can read an array: no part of it is on devices of other processes alone."""
    return array.is_fully_addressable or array.is_fully_replicated


def copied(array: Any) -> jax.Array:
    """Return a copy of an array, on its devices; `jnp.array` would compile a program for every shape."""
    if not isinstance(array, jax.Array):
        return from_numpy(array)
    if isinstance(array, Tracer) or not array.is_fully_addressable:  # `device_put` does not copy what others have, too
        return jnp.array(array)
    return jax.device_put(array, may_alias=False)


def as_shape(size: Any) -> tuple[int, ...]:
    """Return a size or a sequence of sizes as a shape.

    Raises:
        TypeError: A size is no whole number.
        ValueError: A size is negative.
    """
    try:
        shape = (operator.index(size),) if np.ndim(size) == 0 else tuple(map(operator.index, size))
    except (TypeError, ValueError):
        got = reprlib.repr(size)
        raise TypeError(f"expected a size, or a sequence of sizes, in whole numbers, got {got}") from None
    if any(n < 0 for n in shape):
        raise ValueError(f"expected sizes of 0 or more, got {reprlib.repr(size)}")
    return shape


KEPT = 2**20  # bytes of an array of zeros or ones up to which it is made once and kept


def zeros(shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Return zeros; `jnp.zeros` would compile a program for every shape. Sizes may be symbolic in a trace."""
    try:
        return jax.device_put(np.zeros(shape, dtype))
    except TypeError:
        return jnp.zeros(shape, dtype)


def cut(flat: jax.Array, start: int, shape: tuple[int, ...]) -> jax.Array:
    """Return an array inside a flat one, on its device.

    Every array that a program returns costs about as much as a small kernel: a compiled step returns the small
    gradients, which few programs read, as one. In the place of a gradient then stands the tuple (flat, start, shape)
    until somebody asks for it.
    """
    stop = start + math.prod(shape)
    devices = flat.devices()
    if len(devices) > 1:
        return flat[start:stop].reshape(shape)
    value = jax.device_put(np.asarray(flat)[start:stop].reshape(shape))  # compiles nothing
    return value if value.devices() == devices else jax.device_put(value, next(iter(devices)))


@functools.cache
def _is_alone(device: Any) -> bool:
    return device.platform == "cpu" and jax.local_devices() == [device]


def placed(array: Any, place: Any) -> Any:
    """Return an array on a `jax.Device`, or as a sharding says. `device_put` to a device leaves the type of an array
    that comes from a mesh, which no program on that device takes (jax 0.10 to 0.12); to its sharding, it does not.

    Where a CPU is all there is, no array is bound to it (committed): `movement` leaves those that are to XLA.
    """
    free = not isinstance(array, Tracer) and not getattr(array, "committed", False)
    if free and isinstance(place, jax.Device) and _is_alone(place):
        return jax.device_put(array)
    return _moved(array, SingleDeviceSharding(place) if isinstance(place, jax.Device) else place)


def _moved(array: Any, sharding: Any) -> Any:
    """Return an array with another sharding: itself if it has that, else one that has its buffers to itself.

    `device_put` lets two arrays share a buffer where they have a device in common (between one device and several also
    where it may not alias), and a compiled step that is given the one's buffers deletes the other.
    """
    concrete = isinstance(array, jax.Array) and not isinstance(array, Tracer)
    if concrete and array.is_fully_addressable and not sharding.is_fully_addressable:
        whole = np.array(array)  # every process has it, and gives its devices their parts: nobody waits for anybody
        return jax.make_array_from_callback(array.shape, sharding, lambda index: whole[index])
    if concrete and not (array.committed and array.sharding == sharding) and array.devices() & sharding.device_set:
        array = copied(array)
    return jax.device_put(array, sharding)


def beside(array: Any, own: Any) -> Any:
    """Return an array on the device of another one. In a trace there are no devices."""
    if array is None or own is None or isinstance(array, Tracer) or isinstance(own, Tracer):
        return array
    return array if array.sharding == own.sharding else _moved(array, own.sharding)


def has_nan(array: Any) -> bool:
    """Return whether a NaN is among the values."""
    return jnp.issubdtype(array.dtype, jnp.inexact) and bool(jnp.isnan(array).any())


def off_tape(value: Any) -> Any:
    """Return an array that the tape knows nothing of from here on: JAX must not see through it either.

    Only where JAX may differentiate over what is being traced does this make a difference.
    """
    trace = thread_state().trace
    return jax.lax.stop_gradient(value) if trace is not None and trace.by_jax and isinstance(value, Tracer) else value
