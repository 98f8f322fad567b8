"""ChainerMN's checkpointer: a snapshot extension that keeps the last few, of each process."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from typing import Any

from jaxchain.serializers import load_npz, save_npz
from jaxchain.training import Extension

_SPARE = 5
"""Files more than are to be kept, before the oldest are removed."""


class Checkpointer(Extension):
    """Saves a trainer as ``<name>.<rank>.<iteration>``, resumes from the newest, removes all at the end of a run.

    Args:
        name: The run's name.
        comm: The communicator.
        cp_interval: How many files are kept at least.
        gc_interval: Not used, as in ChainerMN.
        path: Folder of the files; None: that of the trainer's results.

    Raises:
        ValueError: A name is missing, or an interval is not positive.
    """

    def __init__(self, name: str, comm: Any, cp_interval: int = 5, gc_interval: int = 5, path: str | None = None):
        if not name or cp_interval <= 0 or gc_interval <= 0:
            raise ValueError(f"expected a name and intervals above 0, got {name!r}, {cp_interval}, {gc_interval}")
        self.name = name
        self.comm = comm
        self.cp_interval, self.gc_interval = cp_interval, gc_interval
        self.path = path
        self.files: list[str] = []
        self._seconds: list[float] = []

    def __call__(self, trainer: Any) -> None:
        """Save the trainer."""
        self.path = trainer.out if self.path is None else self.path
        self.save(trainer, trainer.updater.iteration)

    def save(self, target: Any, iteration: int) -> None:
        """Save an object, and remove the oldest files if there are many.

        Args:
            target: The trainer, or any object with ``serialize(serializer)``.
            iteration: Number of the iteration: the end of the file's name.

        Raises:
            ValueError: There is no trainer, and `path` was not given.
        """
        if self.path is None:
            raise ValueError("create_multi_node_checkpointer: give path to save what is no trainer")
        begin = time.perf_counter()
        os.makedirs(self.path, exist_ok=True)
        save_npz(os.path.join(self.path, self._file(iteration)), target)
        self._seconds.append(time.perf_counter() - begin)
        self.files = [*(f for f in self.files if f != self._file(iteration)), self._file(iteration)]
        if len(self.files) - self.cp_interval > _SPARE:
            kept = sorted(self.files, key=self._iteration)[-self.cp_interval :]
            self._remove([f for f in self.files if f not in kept])
            self.files = kept

    def maybe_load(self, trainer: Any, optimizer: Any = None, path: str | None = None) -> None:
        """Load the newest file that all processes have into the trainer; without one, leave it as it is.

        Args:
            trainer: The trainer, or what was saved. Its extensions have to be there already.
            optimizer: Not used.
            path: Folder of the files, if it was not given before.
        """
        if self.path is None:
            self.path = trainer.out if path is None else path
        names = os.listdir(self.path) if os.path.isdir(self.path) else []
        self.files = sorted((f for f in names if self._iteration(f) is not None), key=self._iteration)
        self.files = self.files[-self.cp_interval :]
        common = set.intersection(*map(set, self.comm.allgather_obj([self._iteration(f) for f in self.files])))
        if common:
            load_npz(os.path.join(self.path, self._file(max(common))), trainer)

    def finalize(self) -> None:
        """Remove the files: the run is complete. One that ends with an error keeps them."""
        if sys.exc_info()[0] is None:
            self._remove(self.files)
            self.files = []

    def get_stats(self) -> str:
        """Return how long saving took: mean, least and most, in seconds."""
        if not self._seconds:
            return "No stats available"
        mean, least, most = sum(self._seconds) / len(self._seconds), min(self._seconds), max(self._seconds)
        return f"Snapshot duration stats (sec): avg={mean:f}, min={least:f}, max={most:f}"

    def _file(self, iteration: int) -> str:
        return f"{self.name}.{self.comm.rank}.{iteration}"

    def _iteration(self, file: str) -> Any:
        """Return the number at the end of one of the files' names; None: it is not one of them."""
        start, _, end = file.rpartition(".")
        return int(end) if start == f"{self.name}.{self.comm.rank}" and end.isdecimal() else None

    def _remove(self, files: list[str]) -> None:
        for file in files:
            with contextlib.suppress(OSError):
                os.remove(os.path.join(self.path or ".", file))


def create_multi_node_checkpointer(
    name: str, comm: Any, cp_interval: int = 5, gc_interval: int = 5, path: str | None = None
) -> Checkpointer:
    """Return the extension: see `Checkpointer`. Deprecated in favour of `multi_node_snapshot`, as in ChainerMN.

    Args:
        name: The run's name.
        comm: The communicator.
        cp_interval: How many files are kept at least.
        gc_interval: Not used.
        path: Folder of the files; None: that of the trainer's results.
    """
    warnings.warn("Checkpointer is deprecated. Use multi_node_snapshot instead.", DeprecationWarning, 2)
    return Checkpointer(name, comm, cp_interval, gc_interval, path)
