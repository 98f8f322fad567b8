"""Base class of datasets."""

from __future__ import annotations

from typing import Any

import numpy as np


class DatasetMixin:
    """A dataset by ``__len__`` and ``get_example(i)``; indexing with slices and lists comes from here.

    Examples:
        >>> class Squares(DatasetMixin):
        ...     def __len__(self):
        ...         return 5
        ...     def get_example(self, i):
        ...         return i * i
        >>> Squares()[3], Squares()[1:3], Squares()[[4, 0]]
        (9, [1, 4], [16, 0])
    """

    def __getitem__(self, index: Any) -> Any:
        """Return an example, or a list of them for a slice, list or array of indices."""
        if isinstance(index, slice):
            return [self.get_example(i) for i in range(*index.indices(len(self)))]
        if isinstance(index, list | np.ndarray):
            return [self.get_example(i) for i in index]
        return self.get_example(index)

    def __len__(self) -> int:
        """Return the number of examples."""
        raise NotImplementedError

    def get_example(self, i: int) -> Any:
        """Return one example.

        Args:
            i: Its index.

        Raises:
            IndexError: There is none.
        """
        raise NotImplementedError
