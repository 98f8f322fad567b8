"""Data parallelism over local devices: one program, the batch split over a mesh (`jax.sharding`).

Chainer keeps a copy of the model on each device and adds up their gradients. Here XLA splits one program: parameters
are on every device, each device has its part of the batch. Gradients are Chainer's: the sum over devices of the
gradients of each part's loss, if the loss is a mean over the batch. Between updates the model is on the main device, as
Chainer's is; what the optimizer keeps stays on all of them.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxchain.core.arrays import placed
from jaxchain.core.config import force_backprop_mode
from jaxchain.dataset.convert import concat_examples
from jaxchain.device_resident import DeviceResident, DeviceResidentsVisitor
from jaxchain.training.updaters.base import Step, as_device, convert, jax_device
from jaxchain.training.updaters.standard import StandardUpdater


class _Each(DeviceResidentsVisitor):
    """Puts what a function returns in the place of each array of parameters and persistent values."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def visit_device_resident(self, device_resident: DeviceResident) -> None:
        """Objects have no device but that of their arrays."""

    def visit_array(self, arr: Any) -> Any:
        return self.function(arr)

    def visit_variable(self, param: Any) -> None:
        if param._array is not None:
            param._array = self.function(param._array)


@jax.jit
def _copies(arrays: list[Any]) -> list[Any]:
    return [jnp.copy(a) for a in arrays]


def _spread(model: Any, everywhere: NamedSharding) -> None:
    """Copy a model's arrays to all devices. An update may take these copies' buffers over.

    `device_put` makes the first device's copy of the buffer that it is given, also where it may not alias.
    """
    arrays: list[Any] = []
    model.device_resident_accept(_Each(lambda array: arrays.append(array) or array))
    if everywhere.is_fully_addressable:
        arrays = jax.device_put(arrays, everywhere)
    else:  # devices of other processes, too
        arrays = [placed(array, everywhere) for array in arrays]
    copies = iter(_copies(arrays))
    model.device_resident_accept(_Each(lambda array: next(copies)))
    for param in model.params():
        state = getattr(param.update_rule, "state", None) or {}
        if any(v.sharding != everywhere for v in state.values() if isinstance(v, jax.Array)):
            param.update_rule.to_device(everywhere)


def _collect(model: Any) -> None:
    """Leave a model the arrays and gradients of the main device."""

    def part(array: Any) -> Any:
        return array.addressable_data(0) if len(array.devices()) > 1 else array

    model.device_resident_accept(_Each(part))
    for param in model.params():
        if isinstance(param._grad, tuple):  # a part of a flat array
            param._grad = (part(param._grad[0]), *param._grad[1:])
        elif param._grad is not None:
            param._grad = part(param._grad)


class ParallelUpdater(StandardUpdater):
    """Splits each batch over several devices.

    The examples of a batch are dealt out in turn. A batch that cannot be dealt out evenly is computed whole on every
    device. Observed values and batch statistics are those of the whole batch, where Chainer has them for each device.

    Args:
        iterator: As for `StandardUpdater`.
        optimizer: One optimizer.
        converter: As for `StandardUpdater`.
        models: Copies of the model by name, which get the main one's parameters after each update. Not needed.
        devices: Devices by name, one of them ``"main"``, or a sequence of them, e.g. ``jax.local_devices()``.
        loss_func: The loss function: a mean over the batch. None: the model.
        loss_scale: As for `StandardUpdater`.
        auto_new_epoch: As for `StandardUpdater`.
        mode: As for `StandardUpdater`.

    Raises:
        ValueError: Neither models nor devices are given, or there is no such mode.
        KeyError: There is no device ``"main"``.
    """

    def __init__(
        self,
        iterator: Any,
        optimizer: Any,
        converter: Callable[..., Any] = concat_examples,
        models: Mapping[str, Any] | None = None,
        devices: Mapping[str, Any] | Sequence[Any] | None = None,
        loss_func: Callable[..., Any] | None = None,
        loss_scale: float | None = None,
        auto_new_epoch: bool = True,
        *,
        mode: str | None = None,
    ) -> None:
        super().__init__(iterator, optimizer, converter, None, loss_func, loss_scale, auto_new_epoch, mode=mode)
        if devices is None and models is None:
            raise ValueError("either models or devices must be specified")
        if devices is None:
            assert models is not None
            devices = {name: model.device for name, model in models.items()}
        elif not isinstance(devices, Mapping):
            devices = {"main" if i == 0 else str(i): device for i, device in enumerate(devices)}
        if "main" not in devices:
            raise KeyError("'devices' must contain a 'main' key.")
        names = ["main", *(name for name in devices if name != "main")]
        self._devices = {name: jax_device(as_device(devices[name])) for name in names}
        self._models = dict(models or {})
        distinct = list(dict.fromkeys(self._devices.values()))
        self._n_split = len(distinct)
        mesh = Mesh(np.array(distinct), ("batch",))
        self._device = NamedSharding(mesh, PartitionSpec())
        self._split = NamedSharding(mesh, PartitionSpec("batch"))
        self._uneven: set[int] = set()
        main = self.get_optimizer("main").target
        main.to_device(self._device)
        _collect(main)

    def _update_on(self, batch: Sequence[Any]) -> None:
        """Split a batch over the devices, and update by it."""
        n = len(self._devices)
        even = len(batch) % self._n_split == 0
        if not even and len(batch) not in self._uneven:
            self._uneven.add(len(batch))
            warnings.warn(
                f"a batch of {len(batch)} cannot be split over {self._n_split} devices: it is computed whole on each",
                stacklevel=4,
            )
        dealt = [example for i in range(n) for example in batch[i::n]]
        arrays = convert(self.converter, dealt, self._split if even else self._device)
        if self._keep_batch:
            self._last_batch = arrays
        main = self.get_optimizer("main").target
        _spread(main, self._device)
        try:
            with force_backprop_mode():
                self._update_by(arrays)
        finally:
            _collect(main)
        for model in self._models.values():
            if model is not main:
                model.copyparams(main)

    def _get_step(self) -> Step:
        """Return the update as a function of the batch, made anew for another optimizer or loss function."""
        optimizer, loss_func = self.get_optimizer("main"), self.loss_func
        if self._step is None or not self._step.fits(optimizer, loss_func):
            n, loss_scale = len(self._devices), self.loss_scale

            def update(*args: Any, **kwargs: Any) -> None:
                loss = (loss_func or optimizer.target)(*args, **kwargs)
                optimizer.target.cleargrads()
                loss.grad = jnp.full(loss.shape, n * (loss_scale or 1), loss.dtype)  # a sum of n means
                loss.backward(loss_scale=loss_scale)
                del loss
                optimizer.update()

            self._step = Step("update", [("optimizer", optimizer), ("loss_func", loss_func)], update, True)
        return self._step


class MultiprocessParallelUpdater(ParallelUpdater):
    """Splits the work over several devices, each with an iterator of its own.

    Chainer runs a process for each device. One process drives all local devices here; the rest is the same: each
    iterator gives one device's part of the batch, and gradients are added up.

    Args:
        iterators: One iterator for each device; the first one's epochs count.
        optimizer: One optimizer.
        converter: As for `StandardUpdater`.
        devices: As many devices, by name or in order. None: the first local ones.
        auto_new_epoch: As for `StandardUpdater`.
        mode: As for `StandardUpdater`.

    Raises:
        ValueError: There are not as many iterators as devices.
    """

    def __init__(
        self,
        iterators: Sequence[Any],
        optimizer: Any,
        converter: Callable[..., Any] = concat_examples,
        devices: Mapping[str, Any] | Sequence[Any] | None = None,
        auto_new_epoch: bool = True,
        *,
        mode: str | None = None,
    ) -> None:
        if devices is None:
            devices = jax.local_devices()[: len(iterators)]
        if len(iterators) != len(devices):
            raise ValueError(
                f"{type(self).__name__}: expected as many iterators as devices, got {len(iterators)} and {len(devices)}"
            )
        super().__init__(iterators[0], optimizer, converter, devices=devices, auto_new_epoch=auto_new_epoch, mode=mode)
        self._others = list(iterators[1:])

    @staticmethod
    def available() -> bool:
        """Return True: nothing but JAX is needed."""
        return True

    def _next_batch(self) -> list[Any]:
        """Return a batch with a part from each iterator."""
        parts = [self.get_iterator("main").next(), *(other.next() for other in self._others)]
        if len({len(part) for part in parts}) == 1:  # interleave, as `_update_on` deals out in turn
            return [part[i] for i in range(len(parts[0])) for part in parts]
        return [example for part in parts for example in part]

    def finalize(self) -> None:
        """Finalize the iterators."""
        super().finalize()
        for iterator in self._others:
            iterator.finalize()

    def serialize(self, serializer: Any) -> None:
        """Save or load as `StandardUpdater` does; the other iterators are added to Chainer's keys.

        Args:
            serializer: Serializer or deserializer.
        """
        super().serialize(serializer)
        for i, iterator in enumerate(self._others, 1):
            with contextlib.suppress(KeyError):
                iterator.serialize(serializer[f"iterator:{i}"])
