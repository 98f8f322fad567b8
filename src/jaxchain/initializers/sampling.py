"""Initializers that make (de)convolutions into linear interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxchain.initializers.base import Draw


def _linear_filter(size: int, ndim: int) -> np.ndarray:
    """Return the tent of width `size` in `ndim` dimensions, 1 in the middle."""
    factor = (size + 1) // 2
    centre = factor - 1.0 if size % 2 else factor - 0.5
    tent = 1.0 - np.abs(np.arange(size) - centre) / factor
    result = np.ones(())
    for _ in range(ndim):
        result = result[..., None] * tent
    return result


class _Sampling(Draw):
    def __init__(self, interpolation: str = "linear", dtype: Any = None) -> None:
        if interpolation != "linear":
            raise ValueError(f"Unsupported interpolation method: {interpolation}")
        self.interpolation = interpolation
        super().__init__(dtype)

    def _filter(self, size: int, ndim: int) -> np.ndarray:
        return _linear_filter(size, ndim)

    def draw(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return the filters, one for each channel."""
        first, second, *kernel = shape
        if second not in (first, 1):
            raise ValueError(f"shape[1] must be shape[0] or 1. Actual shape: {shape}")
        if len(set(kernel)) != 1:
            raise ValueError(f"ksize must be all same: {tuple(kernel)}")
        array = np.zeros(shape, dtype)
        array[np.arange(first), 0 if second == 1 else np.arange(first)] = self._filter(kernel[0], len(kernel))
        return array


class UpsamplingDeconvFilter(_Sampling):
    """Make a deconvolution into linear upsampling, when its stride is ``(ksize + 1) // 2``.

    Args:
        interpolation: ``'linear'``.
        dtype: Data type.

    Source:
        Long et al. 2014, arXiv:1411.4038.
    """


class DownsamplingConvFilter(_Sampling):
    """Make a convolution into linear downsampling, when its stride is ``(ksize + 1) // 2``.

    Args:
        interpolation: ``'linear'``.
        dtype: Data type.

    Source:
        Long et al. 2014, arXiv:1411.4038.
    """

    def _filter(self, size: int, ndim: int) -> np.ndarray:
        tent = _linear_filter(size, ndim)
        return tent / tent.sum()
