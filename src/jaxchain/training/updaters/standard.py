"""The updater of most programs: a batch, a loss, its gradients, an update."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from jaxchain.core.config import using_config
from jaxchain.core.explain import Explanation
from jaxchain.dataset.convert import concat_examples
from jaxchain.training.updaters.base import Step, Updater, as_device, check_mode, convert, jax_device


def _by_name(name: str, expected: str, method: str, given: Any) -> dict[str, Any]:
    """Return what an updater was given by name (alone it is ``"main"``), if it has the method."""
    named = dict(given) if isinstance(given, Mapping) else {"main": given}
    for each in named.values():
        if not hasattr(each, method):
            raise TypeError(f"{name}: expected {expected}, got {type(each).__name__}")
    return named


class StandardUpdater(Updater):
    """Takes a batch, and updates the parameters by the gradients of its loss.

    In static mode the whole update (forward, backward, optimizer) is one compiled call: one program for each shape of a
    batch, so a short last batch costs one compile, once. A subclass that overrides `update_core` works in static mode
    too: the links that it calls are compiled, each call by itself.

    Args:
        iterator: Where batches come from, or a dictionary of iterators; one has the name ``"main"``.
        optimizer: The optimizer, or a dictionary of optimizers, likewise.
        converter: ``converter(batch, device)``: makes arrays of a batch. A tuple of them is the loss function's
            arguments, a dictionary those by name.
        device: Where to move the models and batches. None: models stay where they are.
        loss_func: The loss function. None: the main optimizer's model.
        loss_scale: Factor on the loss before the backward pass; the optimizer divides by it again.
        auto_new_epoch: Tell the optimizer when an epoch is over.
        input_device: Where to put batches. None: `device`.
        mode: ``"eager"`` or ``"static"``. None: ``config.mode`` at each update.

    Raises:
        TypeError: `iterator` or `optimizer` is something else, a dataset say.
        ValueError: There is no such mode.

    Attributes:
        converter: The converter.
        loss_func: The loss function, or None.
        iteration: Number of updates.
        auto_new_epoch: Whether to tell the optimizer.
    """

    _mode: str | None = None
    _step: Step | None = None
    _keep_batch = False  # set by extensions that look at the arrays of the last update
    _last_batch: Any = None

    def __init__(
        self,
        iterator: Any,
        optimizer: Any,
        converter: Callable[..., Any] = concat_examples,
        device: Any = None,
        loss_func: Callable[..., Any] | None = None,
        loss_scale: float | None = None,
        auto_new_epoch: bool = True,
        *,
        input_device: Any = None,
        mode: str | None = None,
    ) -> None:
        self._mode = check_mode(type(self).__name__, mode)
        name = type(self).__name__
        self._iterators = _by_name(name, "an iterator", "__next__", iterator)
        self._optimizers = _by_name(name, "an optimizer", "update", optimizer)
        self._device = as_device(device)
        self._input_device = self._device if input_device is None else as_device(input_device)
        if self._device is not None:
            for each in self._optimizers.values():
                each.target.to_device(jax_device(self._device))
        self.converter = converter
        self.loss_func = loss_func
        self.loss_scale = loss_scale
        if loss_scale is not None:
            for each in self._optimizers.values():
                each.set_loss_scale(loss_scale)
        self.auto_new_epoch = auto_new_epoch
        if auto_new_epoch:
            for each in self._optimizers.values():
                each.use_auto_new_epoch = True
        self.iteration = 0

    @property
    def device(self) -> Any:
        """Where the models are; None: where they were."""
        return self._device

    @property
    def input_device(self) -> Any:
        """Where batches are put; None: JAX's default device."""
        return self._input_device

    @property
    def epoch(self) -> int:
        """Number of finished epochs of the main iterator."""
        return self._iterators["main"].epoch

    @property
    def epoch_detail(self) -> float:
        """The same with the part of the present epoch."""
        return self._iterators["main"].epoch_detail

    @property
    def previous_epoch_detail(self) -> float | None:
        """`epoch_detail` before the last batch."""
        return self._iterators["main"].previous_epoch_detail

    @property
    def is_new_epoch(self) -> bool:
        """Whether the last batch finished an epoch."""
        return self._iterators["main"].is_new_epoch

    def finalize(self) -> None:
        """Finalize the iterators."""
        for iterator in self._iterators.values():
            iterator.finalize()

    def get_optimizer(self, name: str) -> Any:
        """Return an optimizer.

        Args:
            name: Its name; ``"main"`` if there is one.
        """
        return self._optimizers[name]

    def get_all_optimizers(self) -> dict[str, Any]:
        """Return every optimizer by name."""
        return dict(self._optimizers)

    def get_iterator(self, name: str) -> Any:
        """Return an iterator.

        Args:
            name: Its name; ``"main"`` if there is one.
        """
        return self._iterators[name]

    def update(self) -> None:
        """Make one update, in the updater's mode, and count it."""
        with using_config("mode", self._mode) if self._mode else contextlib.nullcontext():
            self.update_core()
        self.iteration += 1

    def update_core(self) -> None:
        """Make one update: subclasses override this."""
        self._update_on(self._next_batch())
        if self.auto_new_epoch and self.get_iterator("main").is_new_epoch:
            self.get_optimizer("main").new_epoch(auto=True)

    def _next_batch(self) -> Any:
        return self.get_iterator("main").next()

    def _update_on(self, batch: Any) -> None:
        """Convert a batch, and update by it."""
        arrays = convert(self.converter, batch, self.input_device)
        if self._keep_batch:
            self._last_batch = arrays
        self._update_by(arrays)

    def _update_by(self, arrays: Any) -> None:
        """Update the main optimizer's model by a converted batch: the part that is compiled.

        Args:
            arrays: The batch.
        """
        self._get_step()(arrays)

    def _get_step(self) -> Step:
        """Return the update as a function of the batch, made anew for another optimizer or loss function."""
        optimizer, loss_func = self._optimizers["main"], self.loss_func
        if self._step is None or not self._step.fits(optimizer, loss_func):

            def update(*args: Any, **kwargs: Any) -> None:
                optimizer.update(loss_func or optimizer.target, *args, **kwargs)

            self._step = Step("update", [("optimizer", optimizer), ("loss_func", loss_func)], update, True)
        return self._step

    def explain(self) -> Explanation:
        """Return every compile of the update in static mode, with its reason: print it."""
        return self._get_step().static.explain()

    def serialize(self, serializer: Any) -> None:
        """Save or load iterators, optimizers, models and the number of updates. Chainer's keys.

        Args:
            serializer: Serializer or deserializer.
        """
        for name, iterator in self._iterators.items():
            iterator.serialize(serializer[f"iterator:{name}"])
        for name, optimizer in self._optimizers.items():
            optimizer.serialize(serializer[f"optimizer:{name}"])
            optimizer.target.serialize(serializer[f"model:{name}"])
        self.iteration = serializer("iteration", self.iteration)
