"""Parts of a dataset, datasets put together, and datasets whose examples are changed on the way."""

from __future__ import annotations

import bisect
import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxchain.dataset import DatasetMixin


class SubDataset(DatasetMixin):
    """A part of a dataset: examples `start` to `finish`, in an order.

    Args:
        dataset: The dataset.
        start: First position.
        finish: The position after the last.
        order: A permutation of the dataset's indices: positions are positions in it. None: the dataset's own order.

    Raises:
        ValueError: The positions are outside the dataset, or `order` has another length.
    """

    def __init__(self, dataset: Any, start: int, finish: int, order: Sequence[int] | None = None) -> None:
        if start < 0 or finish > len(dataset):
            raise ValueError(f"SubDataset: [{start}, {finish}) is not inside a dataset of {len(dataset)} examples")
        if order is not None and len(order) != len(dataset):
            raise ValueError(f"SubDataset: order has {len(order)} indices, the dataset {len(dataset)} examples")
        self._dataset, self._range, self._order = dataset, range(start, finish), order

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self._range)

    def get_example(self, i: int) -> Any:
        """Return one example.

        Args:
            i: Its index; negative ones count from the end.

        Raises:
            IndexError: There is none.
        """
        try:
            index = self._range[i]
        except IndexError:
            raise IndexError(f"dataset index {i} is out of range: {len(self)} examples") from None
        return self._dataset[index if self._order is None else self._order[index]]


def split_dataset(dataset: Any, split_at: int, order: Sequence[int] | None = None) -> tuple[SubDataset, SubDataset]:
    """Return a dataset's first `split_at` examples and the others.

    Args:
        dataset: The dataset.
        split_at: Size of the first part.
        order: A permutation of the indices.

    Raises:
        TypeError: `split_at` is not an int.
        ValueError: It is negative or larger than the dataset.
    """
    if not isinstance(split_at, int | np.integer):
        raise TypeError(f"split_dataset: split_at: expected an int, got {type(split_at).__name__}")
    if not 0 <= split_at <= len(dataset):
        raise ValueError(f"split_dataset: split_at: expected 0 to {len(dataset)}, got {split_at}")
    return SubDataset(dataset, 0, int(split_at), order), SubDataset(dataset, int(split_at), len(dataset), order)


def split_dataset_random(dataset: Any, first_size: int, seed: int | None = None) -> tuple[SubDataset, SubDataset]:
    """Return `first_size` examples chosen at random, and the others.

    Args:
        dataset: The dataset.
        first_size: Size of the first part.
        seed: Seed of NumPy's `RandomState`: the same seed gives Chainer's choice.
    """
    return split_dataset(dataset, first_size, np.random.RandomState(seed).permutation(len(dataset)))  # type: ignore[arg-type]


def split_dataset_n(dataset: Any, n: int, order: Sequence[int] | None = None) -> list[SubDataset]:
    """Return `n` parts of one size; what is left over is in none.

    Args:
        dataset: The dataset.
        n: Number of parts.
        order: A permutation of the indices.
    """
    size = len(dataset) // n
    return [SubDataset(dataset, size * i, size * (i + 1), order) for i in range(n)]


def split_dataset_n_random(dataset: Any, n: int, seed: int | None = None) -> list[SubDataset]:
    """Return `n` parts of one size, chosen at random.

    Args:
        dataset: The dataset.
        n: Number of parts.
        seed: Seed of NumPy's `RandomState`.
    """
    return split_dataset_n(dataset, n, np.random.RandomState(seed).permutation(len(dataset)))  # type: ignore[arg-type]


def get_cross_validation_datasets(
    dataset: Any, n_folds: int | None = None, order: Sequence[int] | None = None, *, n_fold: int | None = None
) -> list[tuple[SubDataset, SubDataset]]:
    """Return pairs (training, test) whose test parts share nothing and together are the dataset.

    Args:
        dataset: The dataset.
        n_folds: Number of pairs.
        order: A permutation of the indices.
        n_fold: Chainer's deprecated name of `n_folds`.

    Raises:
        TypeError: The number of pairs is not given.
    """
    if n_fold is not None:
        warnings.warn("n_fold is deprecated: write n_folds", DeprecationWarning, stacklevel=2)
        n_folds = n_fold
    if n_folds is None:
        raise TypeError("get_cross_validation_datasets: expected n_folds, the number of pairs")
    indices = np.arange(len(dataset)) if order is None else np.array(order)
    borders = [len(dataset) * i // n_folds for i in range(n_folds + 1)]
    folds = []
    for low, high in reversed(list(itertools.pairwise(borders))):
        folds.append(split_dataset(dataset, len(dataset) - (high - low), indices))  # type: ignore[arg-type]
        indices = np.roll(indices, high - low)
    return folds


def get_cross_validation_datasets_random(
    dataset: Any, n_folds: int, seed: int | None = None
) -> list[tuple[SubDataset, SubDataset]]:
    """Return `get_cross_validation_datasets` in a random order.

    Args:
        dataset: The dataset.
        n_folds: Number of pairs.
        seed: Seed of NumPy's `RandomState`.
    """
    order = np.random.RandomState(seed).permutation(len(dataset))
    return get_cross_validation_datasets(dataset, n_folds, order)  # type: ignore[arg-type]


class DictDataset:
    """Several datasets of one length, side by side: an example is a dictionary.

    Args:
        **datasets: The datasets by key.

    Raises:
        ValueError: There is none, or their lengths differ.
    """

    def __init__(self, **datasets: Any) -> None:
        if not datasets:
            raise ValueError("DictDataset: expected datasets, got none")
        lengths = {key: len(dataset) for key, dataset in datasets.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"DictDataset: expected datasets of one length, got {lengths}")
        self._datasets, self._length = datasets, next(iter(lengths.values()))

    def __getitem__(self, index: Any) -> Any:
        """Return an example, or a list of them for a slice."""
        batches = {key: dataset[index] for key, dataset in self._datasets.items()}
        if not isinstance(index, slice):
            return batches
        return [{key: batch[i] for key, batch in batches.items()} for i in range(len(range(*index.indices(len(self)))))]

    def __len__(self) -> int:
        """Return the number of examples."""
        return self._length


class ConcatenatedDataset(DatasetMixin):
    """Several datasets, one after the other.

    Args:
        *datasets: The datasets.
    """

    def __init__(self, *datasets: Any) -> None:
        self._datasets = datasets

    def __len__(self) -> int:
        """Return the number of examples of all datasets."""
        return sum(map(len, self._datasets))

    def get_example(self, i: int) -> Any:
        """Return one example.

        Args:
            i: Its index.

        Raises:
            IndexError: There is none; negative ones are not there.
        """
        ends = list(itertools.accumulate(map(len, self._datasets)))
        at = bisect.bisect_right(ends, i)
        if i < 0 or at == len(ends):
            raise IndexError(f"dataset index {i} is out of range: {len(self)} examples")
        return self._datasets[at][i - (ends[at - 1] if at else 0)]


class TransformDataset(DatasetMixin):
    """A dataset whose examples go through a function when they are asked for.

    Args:
        dataset: The dataset.
        transform: Example -> example.
    """

    def __init__(self, dataset: Any, transform: Callable[[Any], Any]) -> None:
        self._dataset, self._transform = dataset, transform

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self._dataset)

    def get_example(self, i: int) -> Any:
        """Return one example, transformed.

        Args:
            i: Its index.
        """
        return self._transform(self._dataset[i])
