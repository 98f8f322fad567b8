"""The iterator that reads examples one by one in this thread."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxchain.dataset.iterator import Iterator
from jaxchain.iterators.order import OrderSampler, Position, ShuffleOrderSampler, advance


class SerialIterator(Iterator):
    """Yields batches of a dataset, read in this thread.

    Args:
        dataset: Anything with ``len`` and indexing by integers.
        batch_size: Number of examples in a batch.
        repeat: Go on for ever; a batch may then span two sweeps. Else stop after one, its last batch being short.
        shuffle: New random order for each sweep. None: True, unless `order_sampler` is given.
        order_sampler: Gives the order of each sweep.

    Raises:
        ValueError: Both `shuffle` and `order_sampler` are given.

    Attributes:
        epoch: Number of finished sweeps.
        is_new_epoch: Whether the last batch finished a sweep.
        current_position: Place in the sweep.

    Examples:
        >>> it = SerialIterator([1, 2, 3], 2, shuffle=False)
        >>> it.next(), it.next(), it.epoch, it.is_new_epoch
        ([1, 2], [3, 1], 1, True)
    """

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
        self.order_sampler = order_sampler
        self.reset()

    def reset(self) -> None:
        """Start over."""
        order = None if self.order_sampler is None else self.order_sampler(np.arange(len(self.dataset)), 0)
        self._state = Position(0, 0, False, order)
        self._previous_epoch_detail = -1.0

    def __next__(self) -> list[Any]:
        """Return the next batch."""
        previous = self.epoch_detail
        self._state, indices = advance(self._state, self.batch_size, self.repeat, self.order_sampler, len(self.dataset))
        self._previous_epoch_detail = previous
        if indices is None:
            raise StopIteration
        return [self.dataset[int(i)] for i in indices]

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
        """Save or load the position and the order of the sweep. Chainer's keys.

        Args:
            serializer: Serializer or deserializer.
        """
        current_position = serializer("current_position", self.current_position)
        epoch = serializer("epoch", self.epoch)
        is_new_epoch = serializer("is_new_epoch", self.is_new_epoch)
        order = self._state.order
        if order is not None:
            try:
                order = serializer("order", order)
            except KeyError:  # written before Chainer 3
                order = serializer("_order", order)
        self._state = Position(current_position, epoch, is_new_epoch, order)
        try:
            self._previous_epoch_detail = serializer("previous_epoch_detail", self._previous_epoch_detail)
        except KeyError:  # written before Chainer 2
            guess = self.epoch + (self.current_position - self.batch_size) / max(self._epoch_size, 1)
            self._previous_epoch_detail = max(guess, 0.0) if self.epoch_detail > 0 else -1.0
