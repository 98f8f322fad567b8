"""What all iterators share: sweeps over a dataset, their order, and both in a snapshot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxchain.core.config import thread_state
from jaxchain.core.errors import user_line
from jaxchain.core.guard import NotCompilable
from jaxchain.dataset.iterator import Iterator
from jaxchain.iterators.order import OrderSampler, Position, ShuffleOrderSampler
from jaxchain.serializer import Serializer


class SweepIterator(Iterator):
    """Base class of iterators that go over a dataset in sweeps.

    Args:
        dataset: Anything with ``len`` and indexing by integers.
        batch_size: Number of examples in a batch.
        repeat: Go on for ever; a batch may then span two sweeps. Else stop after one, its last batch being short.
        shuffle: New random order for each sweep. None: True, unless `order_sampler` is given.
        order_sampler: Gives the order of each sweep.

    Raises:
        ValueError: Both `shuffle` and `order_sampler` are given.
    """

    _order_keys = ("order", "_order")  # the second is that of Chainer 2's snapshots
    _opaque = True  # a compiled step that holds an iterator need not look inside: one that asks it anything is eager

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        repeat: bool = True,
        shuffle: bool | None = None,
        order_sampler: OrderSampler | None = None,
    ) -> None:
        if shuffle is not None and order_sampler is not None:
            raise ValueError(
                "`shuffle` is not `None` and a custom `order_sampler` is set. Please set `shuffle` to `None` to use "
                "the custom order sampler."
            )
        if order_sampler is None and shuffle is not False:
            order_sampler = ShuffleOrderSampler()
        self.dataset = dataset
        self.batch_size = batch_size
        self.repeat = repeat
        self.shuffle = shuffle
        self.order_sampler = order_sampler
        self.reset()

    def _submit(self, indices: list[int]) -> Callable[[], list[Any]]:
        """Begin to read a batch.

        Args:
            indices: Those of the examples.

        Returns:
            A function that waits for the batch and returns it.
        """
        return lambda: [self.dataset[i] for i in indices]

    def reset(self) -> None:
        """Start over."""
        order = None if self.order_sampler is None else self.order_sampler(np.arange(len(self.dataset)), 0)
        self._state = Position(0, 0, False, order)
        self._previous_epoch_detail = -1.0

    @property
    def _state(self) -> Position:
        """Where the iterator is."""
        if thread_state().trace is not None:
            raise NotCompilable(f"it asks an iterator, which goes on between the calls: {user_line()}")
        return self._position

    @_state.setter
    def _state(self, position: Position) -> None:
        self._position = position

    @property
    def current_position(self) -> int:
        """Place in the sweep."""
        return self._state.current_position

    @property
    def epoch(self) -> int:
        """Number of finished sweeps."""
        return self._state.epoch

    @property
    def is_new_epoch(self) -> bool:
        """Whether the last batch finished a sweep."""
        return self._state.is_new_epoch

    @property
    def _epoch_size(self) -> int:
        return len(self.dataset) if self._state.order is None else len(self._state.order)

    @property
    def epoch_detail(self) -> float:
        """Sweeps, with the part of the current one."""
        return self.epoch + self.current_position / max(self._epoch_size, 1)

    @property
    def previous_epoch_detail(self) -> float | None:
        """`epoch_detail` before the last batch; None before the first."""
        return None if self._previous_epoch_detail < 0 else self._previous_epoch_detail

    def serialize(self, serializer: Any) -> None:
        """Save or load the position, the order of the sweep, and the order sampler's random state. Chainer's keys.

        Args:
            serializer: Serializer or deserializer.
        """
        current_position = serializer("current_position", self.current_position)
        epoch = serializer("epoch", self.epoch)
        is_new_epoch = serializer("is_new_epoch", self.is_new_epoch)
        order = self._state.order
        if order is not None:
            try:
                order = serializer(self._order_keys[0], order.copy())
            except KeyError:
                order = serializer(self._order_keys[1], order.copy())
        elif self._order_keys[0] == "_order" and isinstance(serializer, Serializer):
            serializer("_order", None)  # Chainer's iterator of threads writes it, and asks for it
        self._state = Position(current_position, epoch, is_new_epoch, order)
        try:
            previous = serializer("previous_epoch_detail", self._previous_epoch_detail)
        except KeyError:  # written before Chainer 2
            guess = self.epoch + (self.current_position - self.batch_size) / max(self._epoch_size, 1)
            previous = max(guess, 0.0) if self.epoch_detail > 0 else -1.0
        self._previous_epoch_detail = -1.0 if previous is None else previous  # None: Chainer's threads, long ago
        if isinstance(self.order_sampler, OrderSampler) and self.order_sampler.has_state:
            self.order_sampler.serialize(serializer["order_sampler"])


def optional(serializer: Any, key: str, value: Any) -> Any:
    """Save or load an entry that a file may lack.

    Args:
        serializer: Serializer or deserializer.
        key: Name of the entry.
        value: Array to save. It says nothing of the shape to load.

    Returns:
        The entry; None where there is none. `value` while saving.
    """
    if isinstance(serializer, Serializer):
        return serializer(key, value)
    try:
        return serializer(key, None)
    except KeyError:
        return None
