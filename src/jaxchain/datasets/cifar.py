"""CIFAR-10 and CIFAR-100: downloaded once, from Chainer's cache after that."""

from __future__ import annotations

import pickle
import tarfile
from typing import Any

import numpy as np

from jaxchain.dataset.download import cached_download
from jaxchain.datasets.cache import cached_arrays, labeled_images


def get_cifar10(withlabel: bool = True, ndim: int = 3, scale: float = 1.0, dtype: Any = None) -> tuple[Any, Any]:
    """Return CIFAR-10: 50,000 and 10,000 colour images of 32 x 32 pixels, in 10 classes.

    Args:
        withlabel: Whether examples are pairs (image, label), or images only. Labels are of type int32.
        ndim: Axes of an image: 1 for ``(3072,)``, 3 for ``(3, 32, 32)``.
        scale: Largest value of a pixel.
        dtype: Type of the images. None: ``config.dtype``.

    Returns:
        Training set and test set.

    Raises:
        DownloadError: It is not in the cache and cannot be downloaded.
        ValueError: `ndim` is another number.

    Source:
        Krizhevsky 2009, Learning multiple layers of features from tiny images.
    """
    files = [f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)]
    return _get("cifar-10", files, "cifar-10-batches-py/test_batch", "labels", withlabel, ndim, scale, dtype)


def get_cifar100(withlabel: bool = True, ndim: int = 3, scale: float = 1.0, dtype: Any = None) -> tuple[Any, Any]:
    """Return CIFAR-100: 50,000 and 10,000 colour images of 32 x 32 pixels, in 100 classes (the fine labels).

    Args:
        withlabel: As for `get_cifar10`.
        ndim: Likewise.
        scale: Likewise.
        dtype: Likewise.

    Returns:
        Training set and test set.

    Raises:
        DownloadError: It is not in the cache and cannot be downloaded.
        ValueError: `ndim` is another number.

    Source:
        Krizhevsky 2009, Learning multiple layers of features from tiny images.
    """
    files = ["cifar-100-python/train"]
    return _get("cifar-100", files, "cifar-100-python/test", "fine_labels", withlabel, ndim, scale, dtype)


def _get(
    name: str, train: list[str], test: str, key: str, withlabel: bool, ndim: int, scale: float, dtype: Any
) -> tuple[Any, Any]:
    shapes = {1: (3072,), 3: (3, 32, 32)}
    if ndim not in shapes:
        raise ValueError(f"invalid ndim for {name}: expected 1 or 3, got {ndim}")

    def create() -> dict[str, np.ndarray]:
        with tarfile.open(cached_download(f"https://www.cs.toronto.edu/~kriz/{name}-python.tar.gz")) as archive:
            parts = [_read(archive, member, key) for member in train]
            test_x, test_y = _read(archive, test, key)
        train_x, train_y = (np.concatenate(column) for column in zip(*parts, strict=True))
        return {"train_x": train_x, "train_y": train_y, "test_x": test_x, "test_y": test_y}

    raw = cached_arrays("pfnet/chainer/cifar", f"{name}.npz", create)
    sets = []
    for part in ("train", "test"):
        labels = raw[f"{part}_y"].astype(np.int32) if withlabel else None
        sets.append(labeled_images(raw[f"{part}_x"].reshape(-1, *shapes[ndim]), labels, scale, dtype))
    return sets[0], sets[1]


class _Unpickler(pickle.Unpickler):
    """Reads dictionaries of lists, strings and NumPy arrays, and refuses everything that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.replace("_core", "core"), name) in (
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        ):
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(f"refused: a file of images has no use for {module}.{name}")


def _read(archive: tarfile.TarFile, member: str, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images ``(n, 3072)`` and labels ``(n,)`` of one pickle in the archive."""
    file = archive.extractfile(member)
    if file is None:
        raise KeyError(member)
    content = _Unpickler(file, encoding="latin-1").load()
    return content["data"].reshape(-1, 3072), np.array(content[key], np.uint8)
