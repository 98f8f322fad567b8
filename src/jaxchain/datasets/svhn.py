"""Street View House Numbers: downloaded once, from Chainer's cache after that."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxchain.dataset.download import cached_download
from jaxchain.datasets.cache import cached_arrays, labeled_images


def get_svhn(
    withlabel: bool = True,
    scale: float = 1.0,
    dtype: Any = None,
    label_dtype: Any = np.int32,
    add_extra: bool = False,
) -> tuple[Any, ...]:
    """Return SVHN: 73,257 and 26,032 digits of house numbers, colour images ``(3, 32, 32)``. SciPy reads its files.

    Args:
        withlabel: Whether examples are pairs (image, label), or images only.
        scale: Largest value of a pixel.
        dtype: Type of the images. None: ``config.dtype``.
        label_dtype: Type of the labels, which are 0 to 9.
        add_extra: Whether to return the 531,131 easier images, too.

    Returns:
        Training set, test set, and the extra set if it is asked for.

    Raises:
        DownloadError: It is not in the cache and cannot be downloaded.

    Source:
        Netzer et al. 2011, Reading digits in natural images with unsupervised feature learning.
    """
    sets = []
    for part in ("train", "test", "extra")[: 2 + add_extra]:
        url = f"http://ufldl.stanford.edu/housenumbers/{part}_32x32.mat"
        raw = cached_arrays("pfnet/chainer/svhn", f"{part}.npz", lambda url=url: _read(url))
        labels = raw["y"].astype(label_dtype).reshape(-1) % 10 if withlabel else None  # 10 stands for the digit 0
        sets.append(labeled_images(raw["x"].transpose(3, 2, 0, 1), labels, scale, dtype))
    return tuple(sets)


def _read(url: str) -> dict[str, np.ndarray]:
    """Return images ``(32, 32, 3, n)`` and labels ``(n, 1)``, as they are in the file."""
    from scipy import io  # takes a while

    content = io.loadmat(cached_download(url))
    return {"x": content["X"].astype(np.uint8), "y": content["y"].astype(np.uint8)}
