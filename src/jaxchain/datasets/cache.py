"""What downloaded datasets share: the processed files of Chainer's cache, and pixels to floating-point images."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxchain.core.config import get_dtype
from jaxchain.dataset.download import cache_or_load_file, get_dataset_directory
from jaxchain.datasets.tuple_dataset import TupleDataset


def cached_arrays(folder: str, name: str, create: Callable[[], dict[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
    """Return the arrays of an npz file in the cache, which is made first if it is not there.

    Args:
        folder: Name of the dataset, below the root of all datasets.
        name: Name of the file.
        create: Makes the arrays.
    """

    def write(path: str) -> dict[str, np.ndarray]:
        arrays = create()
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
        return arrays

    def load(path: str) -> dict[str, np.ndarray]:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)

    return cache_or_load_file(os.path.join(get_dataset_directory(folder), name), write, load)


def labeled_images(pixels: np.ndarray, labels: np.ndarray | None, scale: float, dtype: Any) -> Any:
    """Return images in a floating type, with labels if there are any.

    Args:
        pixels: Images of bytes.
        labels: Labels, or None.
        scale: What the byte 255 becomes.
        dtype: Type of the images. None: ``config.dtype``.
    """
    images = pixels.astype(get_dtype(dtype))
    images *= scale / 255
    return images if labels is None else TupleDataset(images, labels)
