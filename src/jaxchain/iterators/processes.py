"""The iterator that reads examples in worker processes."""

from __future__ import annotations

import os
import time
import warnings
from concurrent.futures import wait
from typing import Any

from jaxchain.iterators.ahead import AheadIterator, Collect
from jaxchain.iterators.lanes import Lanes, WorkerDied
from jaxchain.iterators.order import OrderSampler


class MultiprocessIterator(AheadIterator):
    """Yields batches of a dataset whose examples worker processes read: the next ones while the program works.

    Workers are new processes that get the dataset as a pickle (they are not forked: JAX is multi-threaded). So the
    dataset's class belongs into a module, or into a script whose action is under ``if __name__ == "__main__":``. Each
    worker has random streams of its own. An error in the dataset is raised for the batch it belongs to; a worker that
    dies gives `WorkerDied`.

    Args:
        dataset: Anything with ``len`` and indexing by integers that can be pickled.
        batch_size: Number of examples in a batch.
        repeat: Go on for ever; a batch may then span two sweeps. Else stop after one, its last batch being short.
        shuffle: New random order for each sweep. None: True, unless `order_sampler` is given.
        n_processes: Number of processes. None: as many as CPUs.
        n_prefetch: Number of batches to read ahead.
        shared_mem: Bytes of shared memory for an example, where its arrays cross to the program. None: as many as it
            needs. 0: arrays cross a pipe, which is slower.
        order_sampler: Gives the order of each sweep. It is called in the program's own process.
        dataset_timeout: Seconds after which a batch that is not there gives a `TimeoutWarning`, and another each time
            they have passed again; the iterator waits on. None: no warning.
        maxtasksperchild: Number of tasks, parts of batches, after which a process is replaced by a new one. None:
            never.

    Raises:
        ValueError: Both `shuffle` and `order_sampler` are given, or a number is out of range.
    """

    _warned = False

    class TimeoutWarning(RuntimeWarning):
        """A batch takes longer than ``dataset_timeout``."""

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        repeat: bool = True,
        shuffle: bool | None = None,
        n_processes: int | None = None,
        n_prefetch: int = 1,
        shared_mem: int | None = None,
        order_sampler: OrderSampler | None = None,
        dataset_timeout: float | None = 30.0,
        maxtasksperchild: int | None = None,
    ) -> None:
        for name, value in (("n_processes", n_processes), ("maxtasksperchild", maxtasksperchild)):
            if value is not None and value < 1:
                raise ValueError(f"MultiprocessIterator: expected {name} >= 1 or None, got {value}")
        if shared_mem is not None and shared_mem < 0:
            raise ValueError(f"MultiprocessIterator: expected shared_mem >= 0 or None, got {shared_mem}")
        self.n_processes = n_processes or os.cpu_count() or 1
        self.n_prefetch = max(n_prefetch, 1)
        self.shared_mem = shared_mem
        self.dataset_timeout = dataset_timeout
        self.maxtasksperchild = maxtasksperchild
        super().__init__(dataset, batch_size, repeat, shuffle, order_sampler)

    def _submit(self, indices: list[int]) -> Collect:
        helpers = self._helpers or self._employ(
            Lanes(self.dataset, self.n_processes, self.shared_mem, self.maxtasksperchild)
        )
        size = max(1, -(-len(indices) // (2 * self.n_processes)))  # two parts a process: who is faster takes more
        parts = [indices[i : i + size] for i in range(0, len(indices), size)]
        futures = [helpers.submit(part) for part in parts]
        return lambda: self._collect(helpers, futures)

    def _collect(self, lanes: Lanes, futures: list[Any]) -> list[Any]:
        start = time.monotonic()
        while wait(futures, self.dataset_timeout).not_done:
            warnings.warn(
                f"Stalled dataset is detected: {time.monotonic() - start:.0f} s for a batch of "
                f"{type(self.dataset).__name__}. Waiting on. Where this is normal, raise dataset_timeout.",
                self.TimeoutWarning,
                stacklevel=4,
            )
        try:
            batch = [example for future in futures for example in future.result()]
        except WorkerDied:
            if self._helpers is lanes:
                self.finalize()  # the next batch gets new workers
            raise
        if lanes.too_small and not self._warned:
            self._warned = True
            warnings.warn(
                f"MultiprocessIterator: Shared memory size is too small: shared_mem={self.shared_mem} bytes, "
                f"an example has {lanes.too_small}. Arrays cross a pipe instead.",
                stacklevel=4,
            )
        return batch
