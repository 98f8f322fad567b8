"""Datasets as tables: the base class, and the views that its methods return."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.dataset.dataset_mixin import DatasetMixin

Rows = Any  # None: all of them; a slice; a list of integers
Columns = tuple[Any, ...]  # a list or an array for each column
Keys = str | tuple[str, ...]


class TabularDataset(DatasetMixin):
    """Base class of datasets whose examples have the same named elements: rows of a table.

    Subclasses define ``__len__``, `keys`, `mode` and `get_examples`. Every method that returns a dataset returns a
    view: nothing is read until examples are asked for, and then only the columns that are needed.

    Examples:
        >>> class Squares(TabularDataset):
        ...     keys = ("n", "square")
        ...     mode = tuple
        ...     def __len__(self):
        ...         return 4
        ...     def get_examples(self, indices, key_indices):
        ...         n = np.arange(4)[slice(None) if indices is None else indices]
        ...         columns = n, n * n
        ...         return columns if key_indices is None else tuple(columns[k] for k in key_indices)
        >>> dataset = Squares()
        >>> [int(v) for v in dataset[3]]
        [3, 9]
        >>> dataset.slice[1:3, "square"].fetch()
        array([1, 4])
        >>> dataset.transform("sum", lambda n, square: int(n + square))[2]
        6
    """

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the columns."""
        raise NotImplementedError

    @property
    def mode(self) -> type[tuple] | type[dict] | None:
        """What an example is: a tuple, a dict by column, or (None) the value of the only column."""
        raise NotImplementedError

    def get_examples(self, indices: Rows, key_indices: tuple[int, ...] | None) -> Columns:
        """Return columns of some rows.

        Args:
            indices: The rows: a list of integers or a slice. None: all.
            key_indices: The columns by number. None: all.

        Returns:
            A list or an array for each column.
        """
        raise NotImplementedError

    def _in_mode(self, columns: Sequence[Any]) -> Any:
        mode = self.mode
        if mode is None:
            return columns[0]
        return dict(zip(self.keys, columns, strict=True)) if mode is dict else tuple(columns)

    def get_example(self, i: int) -> Any:
        """Return one example, in the dataset's mode.

        Args:
            i: Its index.
        """
        return self._in_mode([column[0] for column in self.get_examples([i], None)])

    def __iter__(self) -> Iterator[Any]:
        return (self.get_example(i) for i in range(len(self)))

    def fetch(self) -> Any:
        """Return the whole table, a list or an array for each column: a tuple, a dict or (mode None) one of them."""
        return self._in_mode(self.get_examples(None, None))

    def convert(self, data: Any) -> Any:
        """Return what `fetch` returned with an array for each column.

        Args:
            data: A tuple or dict of columns, or one column. Arrays stay as they are; a list becomes a NumPy array, or
                a JAX array if its elements are.
        """
        if isinstance(data, tuple):
            return tuple(map(_as_array, data))
        return {k: _as_array(v) for k, v in data.items()} if isinstance(data, dict) else _as_array(data)

    @property
    def slice(self) -> Slicer:
        """A view of some rows and columns: ``dataset.slice[rows]`` or ``dataset.slice[rows, columns]``.

        Rows are a slice, or a list or array of integers or booleans. Columns are a tuple of names or numbers, or one,
        which makes examples of mode None.
        """
        return Slicer(self)

    def astuple(self) -> TabularDataset:
        """Return a view whose examples are tuples."""
        return _Mode(self, tuple)

    def asdict(self) -> TabularDataset:
        """Return a view whose examples are dicts."""
        return _Mode(self, dict)

    def concat(self, *datasets: TabularDataset) -> TabularDataset:
        """Return the rows of this dataset and those of others. Mode and converter are this one's.

        Args:
            *datasets: Datasets with the same keys.

        Raises:
            ValueError: The keys are others.
        """
        return _Concat(self, *datasets)

    def join(self, *datasets: TabularDataset) -> TabularDataset:
        """Return the columns of this dataset and those of others. The converter is this one's.

        Args:
            *datasets: Datasets of the same length, with other keys.

        Raises:
            ValueError: The lengths differ, or a key is there twice.
        """
        return _Join(self, *datasets)

    def transform(self, keys: Keys, transform: Callable[..., Any]) -> TabularDataset:
        """Return a dataset of what a function makes of each example.

        Args:
            keys: Names of the new columns.
            transform: The function. It takes an example (tuple: by position; dict: by name) and returns one: a tuple, a
                dict or a value, always the same of these.

        Raises:
            ValueError: On reading: it returned another kind than before.
        """
        return _Transform(self, keys, transform)

    def transform_batch(self, keys: Keys, transform_batch: Callable[..., Any]) -> TabularDataset:
        """Return a dataset of what a function makes of several examples at once.

        Args:
            keys: Names of the new columns.
            transform_batch: The function. It takes columns (tuple: by position; dict: by name) and returns columns of
                the same length: a tuple, a dict or one column.

        Raises:
            ValueError: On reading: it returned another kind than before, or columns of another length.
        """
        return _TransformBatch(self, keys, transform_batch)

    def with_converter(self, converter: Callable[..., Any]) -> TabularDataset:
        """Return a view with another `convert`.

        Args:
            converter: A function of the columns: by position, by name (mode dict), or of the only one.
        """
        return _Converter(self, converter)


def _as_array(data: Any) -> Any:
    if isinstance(data, np.ndarray | jax.Array):
        return data
    return jnp.stack(data) if len(data) and isinstance(data[0], jax.Array) else np.asarray(data)


def select(rows: range | list[int], indices: Rows) -> range | list[int]:
    """Return some of the given rows.

    Args:
        rows: The rows.
        indices: Which of them: None, a slice, or integers, also from the end.

    Raises:
        IndexError: There is no such row.
    """
    if indices is None or isinstance(indices, slice):
        return rows if indices is None else rows[indices]
    for i in indices:
        if not -len(rows) <= i < len(rows):
            raise IndexError(f"index {i} is out of bounds for dataset with size {len(rows)}")
    return [rows[i] for i in indices]


def as_indices(rows: range | list[int]) -> Rows:
    """Return rows as `TabularDataset.get_examples` takes them: a range as a slice."""
    if not isinstance(rows, range):
        return rows
    return slice(rows.start, rows.stop if rows.stop >= 0 else None, rows.step) if rows else slice(0, 0)


class View(TabularDataset):
    """Everything from another dataset; subclasses change a part.

    Args:
        dataset: The other dataset.
    """

    def __init__(self, dataset: TabularDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self._dataset.keys

    @property
    def mode(self) -> type[tuple] | type[dict] | None:
        """What an example is."""
        return self._dataset.mode

    def get_examples(self, indices: Rows, key_indices: tuple[int, ...] | None) -> Columns:
        """Return columns of some rows; see `TabularDataset`."""
        return self._dataset.get_examples(indices, key_indices)

    def convert(self, data: Any) -> Any:
        """Return an array for each column, by the dataset's converter."""
        return self._dataset.convert(data)


class _Mode(View):
    def __init__(self, dataset: TabularDataset, mode: Any) -> None:
        super().__init__(dataset)
        self._mode = mode

    @property
    def mode(self) -> type[tuple] | type[dict] | None:
        return self._mode


class _Converter(View):
    def __init__(self, dataset: TabularDataset, converter: Callable[..., Any]) -> None:
        super().__init__(dataset)
        self._converter = converter

    def convert(self, data: Any) -> Any:
        if isinstance(data, dict):
            return self._converter(**data)
        return self._converter(*data) if isinstance(data, tuple) else self._converter(data)


class Slicer:
    """What `TabularDataset.slice` is: ``[rows]`` and ``[rows, columns]`` return views.

    Args:
        dataset: The dataset.
    """

    def __init__(self, dataset: TabularDataset) -> None:
        self._dataset = dataset

    def __getitem__(self, args: Any) -> TabularDataset:
        """Return a view of some rows and columns."""
        return _Slice(self._dataset, *(args if isinstance(args, tuple) else (args, None)))


class _Slice(View):
    def __init__(self, dataset: TabularDataset, indices: Any, keys: Any) -> None:
        super().__init__(dataset)
        if not isinstance(indices, slice):
            chosen = np.asarray(indices)
            if chosen.dtype == bool:
                if len(chosen) != len(dataset):
                    raise ValueError(
                        f"slice: the number of booleans is different from the length of dataset: {len(chosen)} and "
                        f"{len(dataset)}"
                    )
                chosen = np.flatnonzero(chosen)
            indices = [int(i) for i in chosen]
        self._rows = select(range(len(dataset)), indices)
        self._single = keys is not None and not isinstance(keys, tuple)
        self._key_indices = None if keys is None else _numbers_of((keys,) if self._single else keys, dataset.keys)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def keys(self) -> tuple[str, ...]:
        keys = self._dataset.keys
        return keys if self._key_indices is None else tuple(keys[k] for k in self._key_indices)

    @property
    def mode(self) -> type[tuple] | type[dict] | None:
        if self._single:
            return None
        return self._dataset.mode if self._key_indices is None else self._dataset.mode or tuple

    def get_examples(self, indices: Rows, key_indices: tuple[int, ...] | None) -> Columns:
        own = self._key_indices
        if own is not None:
            key_indices = own if key_indices is None else tuple(own[k] for k in key_indices)
        return self._dataset.get_examples(as_indices(select(self._rows, indices)), key_indices)


def _numbers_of(keys: tuple[Any, ...], names: tuple[str, ...]) -> tuple[int, ...]:
    """Return the numbers of columns given by name or number."""
    numbers = []
    for key in keys:
        if not hasattr(key, "__index__"):
            if key not in names:
                raise KeyError(f"{key} does not exist: the keys are {names}")
            numbers.append(names.index(key))
        elif -len(names) <= key < len(names):
            numbers.append(int(key) % len(names))
        else:
            raise IndexError(f"index {key} is out of bounds for keys with size {len(names)}")
    return tuple(numbers)


class _Concat(View):
    def __init__(self, *datasets: TabularDataset) -> None:
        super().__init__(datasets[0])
        for dataset in datasets[1:]:
            if dataset.keys != self.keys:
                raise ValueError(f"concat: all datasets must have the same keys, got {self.keys} and {dataset.keys}")
        self._datasets = datasets

    def __len__(self) -> int:
        return sum(map(len, self._datasets))

    def get_examples(self, indices: Rows, key_indices: tuple[int, ...] | None) -> Columns:
        rows = select(range(len(self)), indices)
        ends = np.cumsum([len(d) for d in self._datasets])
        owners = np.searchsorted(ends, rows, side="right")
        parts, places = [], []
        for i, dataset in enumerate(self._datasets):
            at = np.flatnonzero(owners == i)
            if not len(at):
                continue
            offset = int(ends[i]) - len(dataset)
            if isinstance(rows, range):  # its part is a range again
                part = rows[at[0] : at[-1] + 1]
                own: Any = range(part.start - offset, part.stop - offset, part.step)
            else:
                own = [rows[p] - offset for p in at]
            parts.append(dataset.get_examples(as_indices(own), key_indices))
            places.append(at)
        if not parts:
            return tuple([] for _ in (self.keys if key_indices is None else key_indices))
        if len(parts) == 1:
            return parts[0]
        order = np.argsort(np.concatenate(places))
        columns = ([value for part in parts for value in part[k]] for k in range(len(parts[0])))
        return tuple([column[p] for p in order] for column in columns)


class _Join(View):
    def __init__(self, *datasets: TabularDataset) -> None:
        super().__init__(datasets[0])
        self._datasets = datasets
        for dataset in datasets[1:]:
            if len(dataset) != len(self):
                raise ValueError(f"join: all datasets must have the same length, got {len(self)} and {len(dataset)}")
        if len(set(self.keys)) < len(self.keys):
            raise ValueError(f"join: all keys must be unique among all datasets, got {self.keys}")

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(key for dataset in self._datasets for key in dataset.keys)

    @property
    def mode(self) -> type[tuple] | type[dict] | None:
        return next((d.mode for d in self._datasets if d.mode is not None), tuple)

    def get_examples(self, indices: Rows, key_indices: tuple[int, ...] | None) -> Columns:
        places = [(dataset, k) for dataset in self._datasets for k in range(len(dataset.keys))]
        wanted = places if key_indices is None else [places[k] for k in key_indices]
        columns: dict[Any, Any] = {}
        for dataset in self._datasets:
            own = tuple(dict.fromkeys(k for d, k in wanted if d is dataset))  # each column once
            if own:
                found = dataset.get_examples(indices, None if own == tuple(range(len(dataset.keys))) else own)
                columns.update(((id(dataset), k), column) for k, column in zip(own, found, strict=True))
        return tuple(columns[id(dataset), k] for dataset, k in wanted)


class _Transformed(View):
    """Base class of what a function makes of a dataset: its kind of result is the mode."""

    def __init__(self, dataset: TabularDataset, keys: Keys, function: Callable[..., Any]) -> None:
        super().__init__(dataset)
        self._keys = keys if isinstance(keys, tuple) else (keys,)
        self._function = function
        self._modes: list[Any] = []  # the mode, once it is known

    @property
    def keys(self) -> tuple[str, ...]:
        return self._keys

    @property
    def mode(self) -> type[tuple] | type[dict] | None:
        if not self._modes:
            self.get_examples([0], None)
        return self._modes[0]

    def _call(self, columns: Sequence[Any]) -> Any:
        if self._dataset.mode is dict:
            return self._function(**dict(zip(self._dataset.keys, columns, strict=True)))
        return self._function(*columns)

    def _parts(self, name: str, result: Any, key_indices: Sequence[int]) -> list[Any]:
        """Return the parts of what the function returned; its kind must be that of before."""
        mode = tuple if isinstance(result, tuple) else dict if isinstance(result, dict) else None
        if self._modes and self._modes[0] is not mode:
            raise ValueError(f"{name} must not change its return type, got {type(result).__name__}")
        self._modes[:] = [mode]
        if isinstance(result, dict):
            return [result[self._keys[k]] for k in key_indices]
        return [(result if mode is tuple else (result,))[k] for k in key_indices]


class _Transform(_Transformed):
    def get_examples(self, indices: Rows, key_indices: tuple[int, ...] | None) -> Columns:
        wanted = range(len(self._keys)) if key_indices is None else key_indices
        columns: Columns = tuple([] for _ in wanted)
        for row in zip(*self._dataset.get_examples(indices, None), strict=True):
            for column, value in zip(columns, self._parts("transform", self._call(row), wanted), strict=True):
                column.append(value)
        return columns


class _TransformBatch(_Transformed):
    def get_examples(self, indices: Rows, key_indices: tuple[int, ...] | None) -> Columns:
        wanted = range(len(self._keys)) if key_indices is None else key_indices
        result = self._call(self._dataset.get_examples(indices, None))
        columns = tuple(self._parts("transform_batch", result, wanted))
        length = len(select(range(len(self)), indices))
        if any(len(column) != length for column in columns):
            raise ValueError(
                f"transform_batch must not change the length of data: expected {length}, got "
                f"{[len(column) for column in columns]}"
            )
        return columns
