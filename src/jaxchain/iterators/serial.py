"""The iterator that reads examples one by one in this thread."""

from __future__ import annotations

from typing import Any

from jaxchain.iterators.order import advance
from jaxchain.iterators.sweep import SweepIterator


class SerialIterator(SweepIterator):
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

    def __next__(self) -> list[Any]:
        """Return the next batch."""
        previous = self.epoch_detail
        self._state, indices = advance(self._state, self.batch_size, self.repeat, self.order_sampler, len(self.dataset))
        self._previous_epoch_detail = previous
        if indices is None:
            raise StopIteration
        return self._submit([int(i) for i in indices])()
