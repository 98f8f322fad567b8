"""Tables made of lists, arrays and functions."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jaxchain.dataset.tabular.tabular_dataset import Columns, Rows, TabularDataset, select


class DelegateDataset(TabularDataset):
    """Base class of datasets that get everything from another one.

    Args:
        dataset: The other one.

    Attributes:
        dataset: The other one.

    Examples:
        >>> class Numbers(DelegateDataset):
        ...     def __init__(self):
        ...         super().__init__(from_data((("n", [3, 1, 4]), ("name", self.name))))
        ...     def name(self, i):
        ...         return f"number {i}"
        >>> Numbers()[2]
        (4, 'number 2')
    """

    def __init__(self, dataset: TabularDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.dataset)

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.dataset.keys

    @property
    def mode(self) -> type[tuple] | type[dict] | None:
        """What an example is."""
        return self.dataset.mode

    def get_examples(self, indices: Rows, key_indices: tuple[int, ...] | None) -> Columns:
        """Return columns of some rows; see `TabularDataset`."""
        return self.dataset.get_examples(indices, key_indices)


def from_data(data: Any, *, size: int | None = None) -> TabularDataset:
    """Return a table made of columns.

    Args:
        data: A list or an array: one column, examples of mode None. ``(name, column)`` and ``((name, ...), function)``:
            likewise. A tuple of columns and of such pairs: examples are tuples. A dict of them: examples are dicts. A
            column is a list, an array, or a function of the row's number, which returns a tuple or a dict if it makes
            several columns.
        size: Number of rows; needed where every column is a function.

    Raises:
        ValueError: A function has no name, or the number of rows is unknown.
        TypeError: A column is something else.

    Examples:
        >>> from_data([5, 6, 7])[1]
        6
        >>> from_data(([5, 6, 7], [0, 1, 2]))[1]
        (6, 1)
        >>> from_data({"a": [5, 6, 7], "b": lambda i: 10 * i})[1]
        {'a': 6, 'b': 10}
        >>> from_data(("square", lambda i: i * i), size=10)[5]
        25
    """
    one = not isinstance(data, tuple | dict) or (isinstance(data, tuple) and len(data) == 2 and _is_key(data[0]))
    columns = [data] if one else data.items() if isinstance(data, dict) else data
    pairs = [column if isinstance(column, tuple) else (None, column) for column in columns]
    if size is None:
        size = next((len(column) for _, column in pairs if hasattr(column, "__len__")), None)
    first, *others = [_column(key, column, size) for key, column in pairs]
    if one:
        return first
    joined = first.join(*others)
    return joined.asdict() if isinstance(data, dict) else joined.astuple()


def _is_key(key: Any) -> bool:
    return isinstance(key, str) or (isinstance(key, tuple) and all(isinstance(k, str) for k in key))


def _column(key: Any, column: Any, size: int | None) -> TabularDataset:
    if isinstance(column, list | np.ndarray | jax.Array):
        return _Column(f"_{id(column)}" if key is None else key, column)
    if not callable(column):
        raise TypeError(f"from_data: {key}: expected a list, an array or a function, got {type(column).__name__}")
    if key is None:
        raise ValueError("from_data: key(s) must be specified for callable")
    if size is None:
        raise ValueError("from_data: size must be specified for callable")
    return _Column("index", range(size)).transform(key, column)


class _Column(TabularDataset):
    """One column: a list, an array or a range."""

    def __init__(self, key: str, data: Any) -> None:
        self._key, self._data = key, data

    def __len__(self) -> int:
        return len(self._data)

    @property
    def keys(self) -> tuple[str, ...]:
        return (self._key,)

    @property
    def mode(self) -> None:
        return None

    def get_examples(self, indices: Rows, key_indices: tuple[int, ...] | None) -> Columns:
        data = self._data
        if indices is None:
            column = data
        elif isinstance(indices, slice):
            column = data[indices]
        elif isinstance(data, np.ndarray | jax.Array):
            column = data[np.asarray(select(range(len(data)), indices), int)]  # JAX takes no lists, and clamps
        else:
            column = [data[i] for i in indices]
        return (column,) * (1 if key_indices is None else len(key_indices))
