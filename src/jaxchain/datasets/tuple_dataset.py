"""Several datasets side by side."""

from __future__ import annotations

from typing import Any


class TupleDataset:
    """Example ``i`` is the tuple of the examples ``i`` of several datasets of equal length.

    Args:
        *datasets: The datasets: anything with ``len`` and indexing by integers and slices.

    Raises:
        ValueError: There are none, or their lengths differ.

    Examples:
        >>> TupleDataset([8, 0, 5, 1], [3, 1, 7, 4])[1:3]
        [(0, 1), (5, 7)]
    """

    def __init__(self, *datasets: Any) -> None:
        if not datasets:
            raise ValueError("no datasets are given")
        for i, dataset in enumerate(datasets):
            if (length := len(dataset)) != (expected := len(datasets[0])):
                raise ValueError(f"dataset of the index {i} has a wrong length: expected {expected}, got {length}")
        self._datasets = datasets
        self._length = len(datasets[0])

    def __getitem__(self, index: Any) -> Any:
        """Return an example, or a list of them for a slice; for any other index the tuple of what datasets return."""
        parts = tuple(dataset[index] for dataset in self._datasets)
        return list(zip(*parts, strict=True)) if isinstance(index, slice) else parts

    def __len__(self) -> int:
        """Return the number of examples."""
        return self._length
