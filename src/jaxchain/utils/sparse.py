"""Sparse matrices as lists of coordinates: what `functions.sparse_matmul` takes. Plain NumPy, but for the entries."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxchain.core.compat import is_tracer
from jaxchain.core.variable import Variable, as_array

ORDERS = ("C", "F", "other", None)


class CooMatrix:
    """A sparse matrix, or a batch of them: values with their rows and columns.

    Args:
        data: Entries, ``(n,)`` or ``(batch, n)``.
        row: Row of each entry, same shape, integers; -1 marks an entry that is padding.
        col: Column of each entry.
        shape: Rows and columns of the (dense) matrix.
        order: ``"C"`` if the entries are sorted by row, then column; ``"F"`` if by column, then row; ``"other"``; None
            finds out. It changes no result.
        requires_grad: Whether gradients flow to the entries.

    Attributes:
        data: The entries: a Variable.
        row: As given.
        col: As given.
        shape: As given.
        order: As given, or as found; ``"other"`` under a trace, where the numbers are not known.

    Raises:
        ValueError: The arguments do not fit each other.

    Examples:
        >>> x = CooMatrix(np.float32([2, -1]), np.int32([0, 1]), np.int32([1, 0]), (2, 3))
        >>> x.to_dense()
        Array([[ 0.,  2.,  0.],
               [-1.,  0.,  0.]], dtype=float32)
    """

    def __init__(
        self,
        data: Any,
        row: Any,
        col: Any,
        shape: tuple[int, int],
        order: str | None = None,
        requires_grad: bool = False,
    ) -> None:
        if not 1 <= data.ndim <= 2:
            raise ValueError(f"ndim of data must be 1 or 2, got {data.ndim}")
        if not data.ndim == row.ndim == col.ndim:
            raise ValueError(f"ndim of data, row and col must be the same, got {data.ndim}, {row.ndim} and {col.ndim}")
        if len(shape) != 2:
            raise ValueError(f"length of shape must be 2, got {tuple(shape)}")
        if not (shape[0] > 0 and shape[1] > 0):
            raise ValueError(f"numbers in shape must be greater than 0, got {tuple(shape)}")
        if order not in ORDERS:
            raise ValueError(f"order must be 'C', 'F', 'other' or None, got {order!r}")
        self.data = Variable(data, requires_grad=requires_grad)
        self.row = row
        self.col = col
        self.shape = shape
        self.order = get_order(row, col) if order is None else order

    def to_dense(self) -> Any:
        """Return the matrix, or the batch, as a dense JAX array; entries at the same place add up."""
        data, row, col = as_array(self.data), jnp.asarray(self.row), jnp.asarray(self.col)
        dense = jnp.zeros((*data.shape[:-1], *self.shape), data.dtype)
        row = jnp.where(row < 0, self.shape[0], row)  # outside: dropped
        if data.ndim == 1:
            return dense.at[row, col].add(data, mode="drop")
        batch = jnp.arange(data.shape[0]).reshape(-1, 1)
        return dense.at[batch, row, col].add(data, mode="drop")


def to_coo(x: Any, ldnz: int | None = None, requires_grad: bool = False) -> CooMatrix:
    """Return a dense matrix, or a batch of them, as a `CooMatrix`.

    Args:
        x: ``(rows, columns)`` or ``(batch, rows, columns)``. Its values are read here: not inside a static call.
        ldnz: Room for that many entries (more if there are more); the rest is padding: 0 at row and column -1.
        requires_grad: Whether gradients flow to the entries.

    Returns:
        The sparse matrix, its entries in order ``"C"``.

    Raises:
        ValueError: ``x`` has another number of axes.

    Examples:
        >>> x = to_coo(np.float32([[0, 2, 0], [-1, 0, 0]]))
        >>> x.data
        variable([ 2., -1.])
        >>> x.row, x.col
        (array([0, 1], dtype=int32), array([1, 0], dtype=int32))
    """
    x = np.asarray(as_array(x))
    if x.ndim not in (2, 3):
        raise ValueError(f"ndim of x must be 2 or 3, got {x.ndim}")
    places = [np.nonzero(matrix) for matrix in (x if x.ndim == 3 else x[None])]
    room = max([ldnz or 0, *(len(row) for row, _ in places)])
    data = np.zeros((len(places), room), x.dtype)
    rows = np.full((len(places), room), -1, np.int32)
    cols = rows.copy()
    for i, (row, col) in enumerate(places):
        data[i, : len(row)] = (x if x.ndim == 3 else x[None])[i][row, col]
        rows[i, : len(row)], cols[i, : len(row)] = row, col
    if x.ndim == 2:
        data, rows, cols = data[0], rows[0], cols[0]
    return CooMatrix(data, rows, cols, x.shape[-2:], requires_grad=requires_grad)


def get_order(row: Any, col: Any) -> str:
    """Return how entries are sorted.

    Args:
        row: Rows, ``(n,)`` or ``(batch, n)``; -1 is padding.
        col: Columns, same shape.

    Returns:
        ``"C"`` (by row, then column), ``"F"`` (by column, then row) or ``"other"``.

    Raises:
        ValueError: The shapes differ, or an entry has a row but no column.

    Examples:
        >>> get_order(np.int32([0, 1]), np.int32([1, 0]))
        'C'
    """
    if row.shape != col.shape:
        raise ValueError(f"shape of row and col must be the same, got {row.shape} and {col.shape}")
    if is_tracer(row) or is_tracer(col):  # the numbers are not known
        return "other"
    row, col = np.asarray(row), np.asarray(col)
    if ((row < 0) != (col < 0)).any():
        raise ValueError("invalid index combination of row and col: padding must have -1 in both")
    pairs = list(zip(np.atleast_2d(row), np.atleast_2d(col), strict=True))
    if all(_is_sorted(r, c) for r, c in pairs):
        return "C"
    return "F" if all(_is_sorted(c, r) for r, c in pairs) else "other"


def _is_sorted(major: np.ndarray, minor: np.ndarray) -> bool:
    major, minor = major[major >= 0].astype(np.int64), minor[minor >= 0].astype(np.int64)
    step, substep = np.diff(major), np.diff(minor)
    return bool(((step > 0) | ((step == 0) & (substep >= 0))).all())
