"""Initializers without chance: constants and the identity."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jaxchain.initializers.base import Draw


class Constant(Draw):
    """Fill with a constant.

    Args:
        fill_value: Scalar, or array that broadcasts to the shape.
        dtype: Data type.

    Attributes:
        fill_value: The same.
        dtype: The same.
    """

    fill_value: Any = None

    def __init__(self, fill_value: Any, dtype: Any = None) -> None:
        if not (np.isscalar(fill_value) or isinstance(fill_value, np.ndarray | jax.Array)):
            raise ValueError(f"fill_value must be a scalar or an array, got {type(fill_value).__name__}")
        self.fill_value = fill_value
        super().__init__(dtype)

    def draw(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return the constant, broadcast to `shape`."""
        array = np.empty(shape, dtype)
        array[...] = np.asarray(self.fill_value).astype(dtype)
        return array


class Zero(Constant):
    """Fill with 0.

    Args:
        dtype: Data type.
    """

    def __init__(self, dtype: Any = None) -> None:
        super().__init__(0.0, dtype)


class One(Constant):
    """Fill with 1.

    Args:
        dtype: Data type.
    """

    def __init__(self, dtype: Any = None) -> None:
        super().__init__(1.0, dtype)


class NaN(Constant):
    """Fill with NaN, to see which parameters are never set.

    Args:
        dtype: Data type.
    """

    def __init__(self, dtype: Any = None) -> None:
        super().__init__(np.nan, dtype)


class Identity(Draw):
    """Make a multiple of the identity matrix.

    Args:
        scale: The multiple.
        dtype: Data type.

    Attributes:
        scale: The same.
        dtype: The same.
    """

    def __init__(self, scale: Any = 1.0, dtype: Any = None) -> None:
        self.scale = scale
        super().__init__(dtype)

    def draw(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return the matrix.

        Raises:
            ValueError: `shape` is not that of a square matrix.
        """
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ValueError(
                f"Identity matrix initialization can only be used for 2D squared matrices. Actual shape: {shape}"
            )
        return (np.identity(shape[0]) * self.scale).astype(dtype)
