"""What an initializer is, and the one function that makes an array with it.

Two kinds: a subclass of `Draw` (all of ours) makes its array in one go; any other callable is given a NumPy buffer and
fills it, as in Chainer. `generate_array` serves both. Imports only `core`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxchain.core.arrays import as_shape, placed
from jaxchain.core.config import get_dtype


class Initializer:
    """Base class of initializers.

    A subclass overrides ``__call__``, which is given a NumPy buffer and fills it in place.

    Args:
        dtype: Data type of the array, or None for ``config.dtype``.

    Attributes:
        dtype: The same.

    Examples:
        >>> class Ramp(Initializer):
        ...     def __call__(self, array):
        ...         array[...] = np.arange(array.size).reshape(array.shape)
        >>> generate_array(Ramp(), (2, 2))
        Array([[0., 1.],
               [2., 3.]], dtype=float32)
    """

    def __init__(self, dtype: Any = None) -> None:
        self.dtype = dtype

    def __call__(self, array: np.ndarray) -> None:
        """Fill `array` in place.

        Args:
            array: NumPy buffer of the parameter's shape and dtype.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how to fill an array: override __call__")


class Draw(Initializer):
    """An initializer that makes its array in one go, instead of filling a buffer. A subclass gives `draw`."""

    def draw(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Return the array, NumPy's or JAX's."""
        raise NotImplementedError

    def generate(self, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """Return the array.

        Args:
            shape: Its shape.
            dtype: Its data type.

        Returns:
            A JAX array, concrete also inside a static trace: parameters are made once, not once a call.
        """
        return generate_array(self, shape, None, dtype)

    def __call__(self, array: np.ndarray) -> None:
        """Fill a NumPy buffer in place, for code that calls initializers itself."""
        if not isinstance(array, np.ndarray):
            raise TypeError(
                f"{type(self).__name__} fills NumPy buffers in place and cannot write to {type(array).__name__}, "
                "which is immutable: use initializers.generate_array(initializer, shape)"
            )
        if self.dtype is not None and array.dtype != self.dtype:
            raise AssertionError(f"{array.dtype} != {np.dtype(self.dtype)}")
        array[...] = np.asarray(self.draw(array.shape, array.dtype))


class Typed(Draw):
    """`initializer` with its data type fixed, whatever it says itself.

    Args:
        initializer: Scalar, array or callable.
        dtype: Data type.
    """

    def __init__(self, initializer: Any, dtype: Any) -> None:
        super().__init__(dtype)
        self.initializer = initializer

    def draw(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Return what the inner initializer makes."""
        return make(self.initializer, shape, dtype)


class Reshaped(Draw):
    """`initializer` on the array with its first axis split in two, for layers that keep it flat.

    Args:
        initializer: The callable.
        leading: Sizes of the two axes.
    """

    def __init__(self, initializer: Any, leading: tuple[int, ...]) -> None:
        super().__init__(getattr(initializer, "dtype", None))
        self.initializer = initializer
        self.leading = leading

    def draw(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Return what the inner initializer makes, flat."""
        return make(self.initializer, (*self.leading, *shape[1:]), dtype).reshape(shape)


class Blocks(Draw):
    """The first axis in equal blocks, each made by itself: a gate of a recurrent layer has the fans of one gate.

    Args:
        initializer: The callable, called once for each block.
        count: Number of blocks.
    """

    def __init__(self, initializer: Any, count: int) -> None:
        super().__init__()
        self.initializer = initializer
        self.count = count

    def draw(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Return the blocks, one below the other."""
        block = (shape[0] // self.count, *shape[1:])
        return np.concatenate([np.asarray(make(self.initializer, block, dtype)) for _ in range(self.count)])


class Gates(Draw):
    """A vector of interleaved gates: element ``4 j + k`` is gate ``k`` of unit ``j``.

    Args:
        *initializers: One callable for each gate; it sees the shape ``(1, units, 1)``, as in Chainer.
    """

    def __init__(self, *initializers: Any) -> None:
        super().__init__()
        self.initializers = initializers

    def draw(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Return the vector."""
        units = (1, shape[0] // len(self.initializers), 1)
        return np.concatenate([np.asarray(make(i, units, dtype)) for i in self.initializers], axis=2).reshape(shape)


def get_fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the number of inputs and of outputs of one unit.

    Args:
        shape: Shape of a weight, ``(out, in, *kernel)``.

    Returns:
        ``(in * prod(kernel), out * prod(kernel))``.

    Raises:
        ValueError: `shape` is not a tuple of two or more.
    """
    if not isinstance(shape, tuple):
        raise ValueError(f"shape must be tuple. Actual type: {type(shape)}")
    if len(shape) < 2:
        raise ValueError(f"shape must be of length >= 2. Actual shape: {shape}")
    size = math.prod(shape[2:])
    return shape[1] * size, shape[0] * size


def make(initializer: Callable, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """Return the array of an initializer, by either protocol, as it comes (NumPy or JAX)."""
    if isinstance(initializer, Draw):
        return initializer.draw(shape, dtype)
    array = np.zeros(shape, dtype)
    initializer(array)
    return array


def generate_array(
    initializer: Callable, shape: int | Sequence[int], xp: Any = None, dtype: Any = None, device: Any = None
) -> Any:
    """Return an array made by an initializer.

    Args:
        initializer: An `Initializer`, or any callable that fills the NumPy buffer it is given.
        shape: Shape of the array.
        xp: The array module. With ``numpy`` the result is a NumPy array, else a `jax.Array`.
        dtype: Data type. None: the initializer's, else ``config.dtype``.
        device: A `jax.Device` to put the array on, or None for the default one.

    Returns:
        The array. It is concrete also inside a static trace: parameters are made once, not once a call.

    Raises:
        ValueError: `dtype` is not the initializer's.
    """
    own = getattr(initializer, "dtype", None)  # any callable may serve as initializer; few say a dtype
    if dtype is not None and own is not None and np.dtype(dtype) != np.dtype(own):
        raise ValueError(f"dtype mismatch: {np.dtype(dtype)} != {np.dtype(own)}")
    dtype = get_dtype(own if dtype is None else dtype)
    shape = as_shape(shape)
    if xp is not np:
        dtype = np.dtype(jax.dtypes.canonicalize_dtype(dtype))
    with jax.ensure_compile_time_eval():
        array = make(initializer, shape, dtype)
        if xp is np:
            return np.asarray(array, dtype)
        return placed(np.array(array, dtype), device)  # a copy: JAX may alias it; jnp.array would compile one
