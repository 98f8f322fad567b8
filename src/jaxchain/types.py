"""Types for annotations, with Chainer's names."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Protocol

import jax
import numpy as np

from jaxchain.backends.device import Device

Shape = tuple[int, ...]
"""Shape of an array."""

ShapeSpec = int | Sequence[int]
"""What is taken for a shape."""

DTypeSpec = Any
"""What NumPy takes for a dtype."""

NdArray = np.ndarray | jax.Array
"""An array that functions take."""

Xp = Any
"""A module of array functions: `jax.numpy` or NumPy."""

ScalarValue = np.generic | bytes | str | memoryview | numbers.Number
"""What `numpy.isscalar` takes for a scalar."""


class AbstractInitializer(Protocol):
    """What fills an array: an `jaxchain.Initializer` or any function of an array.

    Attributes:
        dtype: Data type of the array, or None.
    """

    dtype: Any = None

    def __call__(self, array: np.ndarray) -> None:
        """Fill `array`."""


InitializerSpec = AbstractInitializer | ScalarValue | np.ndarray
"""What is taken for the initial value of a parameter."""

DeviceSpec = Device | jax.Device | str | int | tuple[str, int] | ModuleType
"""What is taken for a device."""

CudaDeviceSpec = int | np.integer
"""What is taken for a GPU, by number."""
