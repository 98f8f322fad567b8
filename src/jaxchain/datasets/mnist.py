"""MNIST and the sets that have its form: downloaded once, from Chainer's cache after that."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np

from jaxchain.dataset.download import cached_download
from jaxchain.datasets.cache import cached_arrays, labeled_images

_FASHION = "T-shirt/top Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag".split()
_KUZUSHIJI = dict(zip("o ki su tsu na ha ma ya re wo".split(), "おきすつなはまやれを", strict=True))


def get_mnist(
    withlabel: bool = True,
    ndim: int = 1,
    scale: float = 1.0,
    dtype: Any = None,
    label_dtype: Any = np.int32,
    rgb_format: bool = False,
) -> tuple[Any, Any]:
    """Return MNIST: 60,000 and 10,000 handwritten digits, grey images of 28 x 28 pixels.

    Args:
        withlabel: Whether examples are pairs (image, label), or images only.
        ndim: Axes of an image: 1 for ``(784,)``, 2 for ``(28, 28)``, 3 for ``(1, 28, 28)``.
        scale: Largest value of a pixel.
        dtype: Type of the images. None: ``config.dtype``.
        label_dtype: Type of the labels.
        rgb_format: With three axes, repeat the channel: ``(3, 28, 28)``.

    Returns:
        Training set and test set.

    Raises:
        DownloadError: It is not in the cache and cannot be downloaded.
        ValueError: `ndim` is another number.

    Source:
        LeCun et al. 1998, Gradient-based learning applied to document recognition.
    """
    url = "http://yann.lecun.com/exdb/mnist/"
    return _get("mnist", url, withlabel, ndim, scale, dtype, label_dtype, rgb_format)


def get_fashion_mnist(
    withlabel: bool = True,
    ndim: int = 1,
    scale: float = 1.0,
    dtype: Any = None,
    label_dtype: Any = np.int32,
    rgb_format: bool = False,
) -> tuple[Any, Any]:
    """Return Fashion-MNIST: 60,000 and 10,000 articles of clothing, grey images of 28 x 28 pixels.

    Args:
        withlabel: As for `get_mnist`.
        ndim: Likewise.
        scale: Likewise.
        dtype: Likewise.
        label_dtype: Likewise.
        rgb_format: Likewise.

    Returns:
        Training set and test set.

    Raises:
        DownloadError: It is not in the cache and cannot be downloaded.
        ValueError: `ndim` is another number.

    Source:
        Xiao, Rasul & Vollgraf 2017, Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms.
    """
    url = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    return _get("fashion-mnist", url, withlabel, ndim, scale, dtype, label_dtype, rgb_format)


def get_fashion_mnist_labels() -> list[str]:
    """Return the names of Fashion-MNIST's ten classes."""
    return [*_FASHION, "Ankle boot"]


def get_kuzushiji_mnist(
    withlabel: bool = True,
    ndim: int = 1,
    scale: float = 1.0,
    dtype: Any = None,
    label_dtype: Any = np.int32,
    rgb_format: bool = False,
) -> tuple[Any, Any]:
    """Return Kuzushiji-MNIST: 60,000 and 10,000 handwritten Japanese characters, grey images of 28 x 28 pixels.

    Args:
        withlabel: As for `get_mnist`.
        ndim: Likewise.
        scale: Likewise.
        dtype: Likewise.
        label_dtype: Likewise.
        rgb_format: Likewise.

    Returns:
        Training set and test set.

    Raises:
        DownloadError: It is not in the cache and cannot be downloaded.
        ValueError: `ndim` is another number.

    Source:
        Clanuwat et al. 2018, Deep learning for classical Japanese literature.
    """
    url = "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"
    return _get("kuzushiji_mnist", url, withlabel, ndim, scale, dtype, label_dtype, rgb_format)


def get_kuzushiji_mnist_labels() -> list[tuple[str, str]]:
    """Return Kuzushiji-MNIST's ten classes: in Latin letters, and as the character."""
    return list(_KUZUSHIJI.items())


def _get(
    name: str,
    url: str,
    withlabel: bool,
    ndim: int,
    scale: float,
    dtype: Any,
    label_dtype: Any,
    rgb_format: bool,
) -> tuple[Any, Any]:
    shapes = {1: (784,), 2: (28, 28), 3: (1, 28, 28)}
    if ndim not in shapes:
        raise ValueError(f"invalid ndim for {name}: expected 1, 2 or 3, got {ndim}")
    parts = []
    for part, prefix in (("train", "train"), ("test", "t10k")):
        raw = cached_arrays(f"pfnet/chainer/{name}", f"{part}.npz", lambda prefix=prefix: _read(url + prefix))
        pixels = raw["x"].reshape(-1, *shapes[ndim])
        if ndim == 3 and rgb_format:
            pixels = np.broadcast_to(pixels, (len(pixels), 3, 28, 28))
        labels = raw["y"].astype(label_dtype) if withlabel else None
        parts.append(labeled_images(pixels, labels, scale, dtype))
    return parts[0], parts[1]


def _read(url: str) -> dict[str, np.ndarray]:
    """Return images ``(n, 784)`` and labels ``(n,)`` of a pair of files in MNIST's own format (IDX)."""
    arrays = []
    for suffix, header in (("-images-idx3-ubyte.gz", 16), ("-labels-idx1-ubyte.gz", 8)):
        with gzip.open(cached_download(url + suffix)) as file:
            data = file.read()
        n = int.from_bytes(data[4:8], "big")
        arrays.append(np.frombuffer(data, np.uint8, offset=header).reshape(n, -1))
    x, y = arrays
    if len(x) != len(y):
        raise RuntimeError(f"{url}: wrong pair of images and labels: {len(x)} images, {len(y)} labels")
    return {"x": x, "y": y[:, 0]}
