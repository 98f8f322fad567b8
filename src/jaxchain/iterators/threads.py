"""The iterator that reads examples in threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jaxchain.iterators.ahead import AheadIterator, Collect
from jaxchain.iterators.order import OrderSampler


class Threads:
    """Threads that run functions.

    Args:
        n_threads: Number of threads.
        name: Their name.
    """

    def __init__(self, n_threads: int, name: str) -> None:
        self.executor = ThreadPoolExecutor(n_threads, thread_name_prefix=name)

    def close(self) -> None:
        """End them, when what they run is over."""
        self.executor.shutdown(wait=False, cancel_futures=True)


class MultithreadIterator(AheadIterator):
    """Yields batches of a dataset whose examples threads read: the next batch while the program works on this one.

    It helps where reading waits (files, network) or leaves Python (decoding images, NumPy on large arrays).

    Args:
        dataset: Anything with ``len`` and indexing by integers, from several threads at a time.
        batch_size: Number of examples in a batch.
        repeat: Go on for ever; a batch may then span two sweeps. Else stop after one, its last batch being short.
        shuffle: New random order for each sweep. None: True, unless `order_sampler` is given.
        n_threads: Number of threads.
        order_sampler: Gives the order of each sweep.

    Raises:
        ValueError: Both `shuffle` and `order_sampler` are given, or there would be no thread.

    Examples:
        >>> with MultithreadIterator([1, 2, 3], 2, shuffle=False, n_threads=2) as it:
        ...     it.next(), it.next(), it.epoch
        ([1, 2], [3, 1], 1)
    """

    _order_keys = ("_order", "order")

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        repeat: bool = True,
        shuffle: bool | None = None,
        n_threads: int = 1,
        order_sampler: OrderSampler | None = None,
    ) -> None:
        if n_threads < 1:
            raise ValueError(f"MultithreadIterator: expected n_threads >= 1, got {n_threads}")
        self.n_threads = n_threads
        super().__init__(dataset, batch_size, repeat, shuffle, order_sampler)

    def _submit(self, indices: list[int]) -> Collect:
        helpers = self._helpers or self._employ(Threads(self.n_threads, "MultithreadIterator"))
        futures = [helpers.executor.submit(self.dataset.__getitem__, i) for i in indices]
        return lambda: [future.result() for future in futures]
