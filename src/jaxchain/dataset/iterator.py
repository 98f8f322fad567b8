"""Base class of iterators."""

from __future__ import annotations

from typing import Any


class Iterator:
    """Yields batches: lists of examples. Can be serialised in mid-epoch.

    Attributes:
        batch_size: Number of examples in a batch; the last batch of a single sweep may have fewer.
        epoch: Number of finished sweeps.
        epoch_detail: The same with the part of the current sweep, e.g. 2.5.
        previous_epoch_detail: `epoch_detail` before the last batch; None before the first.
        is_new_epoch: Whether the last batch finished a sweep.
    """

    def __iter__(self) -> Iterator:
        """Return itself."""
        return self

    def __next__(self) -> list[Any]:
        """Return the next batch.

        Raises:
            StopIteration: The sweep is over, and the iterator does not repeat.
        """
        raise NotImplementedError

    def next(self) -> list[Any]:
        """Return the next batch."""
        return self.__next__()

    def finalize(self) -> None:
        """Release what the iterator holds (threads, processes). May be called several times."""

    def __enter__(self) -> Iterator:
        """Return itself."""
        return self

    def __exit__(self, *_: Any) -> None:
        """Finalize."""
        self.finalize()

    def serialize(self, serializer: Any) -> None:
        """Save or load what changes while iterating.

        Args:
            serializer: Serializer or deserializer.
        """
