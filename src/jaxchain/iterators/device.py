"""Batches that are arrays on the device before the program asks for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from jaxchain.dataset.convert import OnDevice, concat_examples
from jaxchain.iterators.ahead import AheadIterator, Collect
from jaxchain.iterators.lanes import WorkerDied
from jaxchain.iterators.sweep import SweepIterator
from jaxchain.iterators.threads import Threads


def prefetch_to_device(
    iterator: SweepIterator,
    device: Any = None,
    converter: Callable[[Any, Any], Any] = concat_examples,
    n_prefetch: int = 1,
) -> DeviceIterator:
    """Return an iterator whose batches are converted and sent to the device by a thread, while the step runs.

    It takes the place of `iterator`, which is not to be used any more: epochs, resets and snapshots are the same, entry
    for entry. Give it to `StandardUpdater` as it is: its converter, `concat_examples`, finds nothing left to do.

    Args:
        iterator: One of this module's iterators.
        device: Where to send batches, as for `jaxchain.dataset.to_device`. None: JAX's default device.
        converter: ``converter(batch, device)``: makes arrays of a batch. It runs in the thread, which does not see
            what `using_config` changes.
        n_prefetch: Number of batches on the device beside the one in use.

    Raises:
        TypeError: The iterator is of another kind.
        ValueError: `n_prefetch` is below 1.

    Examples:
        >>> data = [(np.float32([i]), i) for i in range(4)]
        >>> with prefetch_to_device(SerialIterator(data, 2, shuffle=False)) as it:
        ...     x, t = it.next()
        >>> x.shape, t.tolist(), it.epoch_detail
        ((2, 1), [0, 1], 0.5)
    """
    if not isinstance(iterator, SweepIterator) or isinstance(iterator, DeviceIterator):
        raise TypeError(
            f"prefetch_to_device: expected a SerialIterator, MultithreadIterator or MultiprocessIterator, "
            f"got {type(iterator).__name__}"
        )
    if n_prefetch < 1:
        raise ValueError(f"prefetch_to_device: expected n_prefetch >= 1, got {n_prefetch}")
    return DeviceIterator(iterator, device, converter, n_prefetch)


class DeviceIterator(AheadIterator):
    """What `prefetch_to_device` returns: its batches are `jaxchain.dataset.convert.OnDevice` objects.

    Args:
        iterator: The iterator in whose place this one is.
        device: As there.
        converter: As there.
        n_prefetch: As there.
    """

    def __init__(
        self, iterator: SweepIterator, device: Any, converter: Callable[[Any, Any], Any], n_prefetch: int
    ) -> None:
        below = vars(iterator)
        names = ("dataset", "batch_size", "repeat", "shuffle", "order_sampler", "_position", "_previous_epoch_detail")
        for name in names:
            setattr(self, name, below[name])
        self._drawn = deque(below.get("_drawn", ()))  # orders that the iterator has drawn, and not used
        self._order_keys = iterator._order_keys
        self._iterator = iterator
        self._device, self._converter, self.n_prefetch = device, converter, n_prefetch
        self._forget()

    def finalize(self) -> None:
        """End the thread, and those of the iterator below."""
        super().finalize()
        self._iterator.finalize()

    def __next__(self) -> Any:
        """Return the next batch, and begin to convert the one after."""
        try:
            return super().__next__()
        except WorkerDied:
            self._forget()  # the next batches were asked of workers that are gone, too
            raise

    def _submit(self, indices: list[int]) -> Collect:
        read = self._iterator._submit(indices)
        helpers = self._helpers or self._employ(Threads(1, "prefetch_to_device"))
        return helpers.executor.submit(lambda: OnDevice(self._converter(read(), self._device))).result
