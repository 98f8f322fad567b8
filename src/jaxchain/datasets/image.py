"""Images in files and zip archives, read when they are asked for. Pillow reads them."""

from __future__ import annotations

import bisect
import io
import itertools
import os
import threading
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxchain.core.config import get_dtype
from jaxchain.dataset.dataset_mixin import DatasetMixin


def _read(file: Any, dtype: Any) -> np.ndarray:
    """Return an image file as an array ``(channels, height, width)``."""
    with _pillow().open(file) as image:
        array = np.asarray(image, dtype)
    return (array[..., None] if array.ndim == 2 else array).transpose(2, 0, 1)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            f"Pillow reads a dataset's images, and cannot be imported ({error}): pip install Pillow"
        ) from error
    return Image


def _read_pairs(path: str | os.PathLike[str]) -> list[tuple[str, int]]:
    """Return the lines of a text file, a path and a label each."""
    pairs = []
    with open(path) as file:
        for number, line in enumerate(file, 1):
            words = line.split()
            if len(words) != 2:
                raise ValueError(f"{path}: line {number}: expected a path and a label, got {line.rstrip()!r}")
            pairs.append((words[0], int(words[1])))
    return pairs


class ImageDataset(DatasetMixin):
    """Images in files.

    An example is an array ``(channels, height, width)``, with one channel for grey images, three for RGB. Values are
    those of the file, mostly 0 to 255.

    Args:
        paths: Paths of the images, or the path of a text file with one on each line.
        root: Folder that these paths start from.
        dtype: Type of the images. None: ``config.dtype``.

    Raises:
        ImportError: Pillow is not installed.
    """

    def __init__(self, paths: str | os.PathLike[str] | Sequence[str], root: str = ".", dtype: Any = None) -> None:
        _pillow()
        if isinstance(paths, str | os.PathLike):
            with open(paths) as file:
                paths = [line.strip() for line in file]
        self._paths = paths
        self._root = root
        self._dtype = get_dtype(dtype)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._paths)

    def get_example(self, i: int) -> np.ndarray:
        """Return an image.

        Args:
            i: Its index.
        """
        return _read(os.path.join(self._root, self._paths[i]), self._dtype)


class LabeledImageDataset(DatasetMixin):
    """Images in files, with labels: an example is a pair (image, label).

    Args:
        pairs: Pairs (path, label), or the path of a text file with a path and a label on each line.
        root: Folder that these paths start from.
        dtype: Type of the images. None: ``config.dtype``.
        label_dtype: Type of the labels.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: A line of the text file is something else.
    """

    def __init__(
        self,
        pairs: str | os.PathLike[str] | Sequence[tuple[str, int]],
        root: str = ".",
        dtype: Any = None,
        label_dtype: Any = np.int32,
    ) -> None:
        _pillow()
        self._pairs = _read_pairs(pairs) if isinstance(pairs, str | os.PathLike) else pairs
        self._root = root
        self._dtype = get_dtype(dtype)
        self._label_dtype = label_dtype

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._pairs)

    def get_example(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Return an image and its label, an array ``()``.

        Args:
            i: Their index.
        """
        path, label = self._pairs[i]
        return _read(os.path.join(self._root, path), self._dtype), np.array(label, self._label_dtype)


class ZippedImageDataset(DatasetMixin):
    """Images in a zip archive, which has nothing else. One large file is easier on network file systems than many.

    It may be used from several threads, and sent to processes: each opens the archive for itself.

    Args:
        zipfilename: Path of the archive.
        dtype: Type of the images. None: ``config.dtype``.
    """

    def __init__(self, zipfilename: str | os.PathLike[str], dtype: Any = None) -> None:
        self._zipfilename = zipfilename
        self._dtype = get_dtype(dtype)
        self._open()
        self._paths = [name for name in self._zip.namelist() if not name.endswith("/")]

    def _open(self) -> None:
        self._zip, self._process = zipfile.ZipFile(self._zipfilename), os.getpid()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs."""
        return {"_zipfilename": self._zipfilename, "_dtype": self._dtype, "_paths": self._paths}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the archive here."""
        self.__dict__.update(state)
        self._open()

    def __del__(self) -> None:
        archive = self.__dict__.get("_zip")
        if archive is not None:
            archive.close()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._paths)

    def get_example(self, i: int | str) -> np.ndarray:
        """Return an image.

        Args:
            i: Its index, or its name in the archive.

        Raises:
            KeyError: There is no such name.
        """
        if self._process != os.getpid():  # a forked process shares the place in the file
            self._open()
        with self._lock:
            data = self._zip.read(i if isinstance(i, str) else self._paths[i])
        return _read(io.BytesIO(data), self._dtype)


class MultiZippedImageDataset(DatasetMixin):
    """Images in several zip archives, one after the other.

    Args:
        zipfilenames: Paths of the archives.
        dtype: Type of the images. None: ``config.dtype``.
    """

    def __init__(self, zipfilenames: Sequence[str | os.PathLike[str]], dtype: Any = None) -> None:
        self._archives = [ZippedImageDataset(name, dtype) for name in zipfilenames]
        self._ends = list(itertools.accumulate(map(len, self._archives)))

    def __len__(self) -> int:
        """Return the number of images."""
        return self._ends[-1] if self._ends else 0

    def get_example(self, i: int) -> np.ndarray:
        """Return an image.

        Args:
            i: Its index.

        Raises:
            IndexError: There is none; negative ones are not there.
        """
        if not 0 <= i < len(self):
            raise IndexError(f"dataset index {i} is out of range: {len(self)} images")
        at = bisect.bisect_right(self._ends, i)
        return self._archives[at].get_example(int(i) - (self._ends[at - 1] if at else 0))


class LabeledZippedImageDataset(DatasetMixin):
    """Images in a zip archive, with labels in a text file: an example is a pair (image, label).

    Args:
        zipfilename: Path of the archive.
        labelfilename: Path of a text file: on each line the name of an image in the archive, and its label.
        dtype: Type of the images. None: ``config.dtype``.
        label_dtype: Type of the labels.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: A line of the text file is something else.
    """

    def __init__(
        self,
        zipfilename: str | os.PathLike[str],
        labelfilename: str | os.PathLike[str],
        dtype: Any = None,
        label_dtype: Any = np.int32,
    ) -> None:
        _pillow()
        self._pairs = _read_pairs(labelfilename)
        self._label_dtype = label_dtype
        self._images = ZippedImageDataset(zipfilename, dtype)

    def __len__(self) -> int:
        """Return the number of labels."""
        return len(self._pairs)

    def get_example(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Return an image and its label, an array ``()``.

        Args:
            i: Their index.
        """
        name, label = self._pairs[i]
        return self._images.get_example(name), np.array(label, self._label_dtype)
