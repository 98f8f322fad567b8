"""HDF5 files, as Chainer writes them: a group for each child, a dataset for each value. Needs h5py."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxchain.serializer import Deserializer, Serializer
from jaxchain.serializers.files import write_whole
from jaxchain.serializers.npz import NpzDeserializer, to_write


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise RuntimeError(
            "h5py is not installed on your environment.\nPlease install h5py to activate hdf5 serializers.\n\n"
            "  $ pip install h5py"
        ) from error
    return h5py


def _write(group: Any, key: str, value: Any, compression: int | None) -> None:
    h5py = _h5py()
    array = to_write(key, value)
    if array is None:
        group.create_dataset(key, data=h5py.Empty("f"))
        return
    if array.dtype.kind == "U":
        array = array.astype(h5py.string_dtype())
    group.create_dataset(key, data=array, compression=None if array.size <= 1 else compression)


def _read(dataset: Any) -> Any:
    """Return a dataset as an array, None if it is empty."""
    if dataset.shape is None:
        return None
    if dataset.dtype.kind == "O":
        return np.asarray(dataset.asstr()[()], dtype=str)
    return np.asarray(dataset)


class HDF5Serializer(Serializer):
    """Serializer into a group of an open HDF5 file.

    Args:
        group: The `h5py.Group`.
        compression: Level of gzip, 0 to 9, or None.

    Raises:
        RuntimeError: h5py is not installed.
    """

    def __init__(self, group: Any, compression: int | None = 4) -> None:
        _h5py()
        self.group = group
        self.compression = compression

    def __getitem__(self, key: str) -> HDF5Serializer:
        """Return the serializer of a child."""
        return HDF5Serializer(self.group.require_group(key.strip("/")), self.compression)

    def __call__(self, key: str, value: Any) -> Any:
        """Write `value`."""
        _write(self.group, key.strip("/"), value, self.compression)
        return value


class _Group(Mapping[str, Any]):
    """The values below a group, by path."""

    def __init__(self, group: Any) -> None:
        self.group = group

    def __getitem__(self, key: str) -> Any:
        return _read(self.group[key])

    def __contains__(self, key: object) -> bool:
        return self.group is not None and key in self.group

    def __iter__(self) -> Iterator[str]:
        names: list[str] = []
        self.group.visit(names.append)
        return (name for name in names if isinstance(self.group[name], _h5py().Dataset))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class HDF5Deserializer(NpzDeserializer, Deserializer):
    """Deserializer from a group of an open HDF5 file.

    Args:
        group: The `h5py.Group`.
        strict: Whether a missing value is an error; else it stays as it is.

    Raises:
        RuntimeError: h5py is not installed.
    """

    def __init__(self, group: Any, strict: bool = True) -> None:
        _h5py()
        super().__init__(_Group(group), strict=strict)

    @property
    def group(self) -> Any:
        """The `h5py.Group`; None if the file has none for this child."""
        root = self.npz.group
        return root.get(self.path) if self.path and root is not None else root


def save_hdf5(filename: str | os.PathLike[str], obj: Any, compression: int | None = 4) -> None:
    """Save an object to an HDF5 file. A kill at any moment leaves the previous file whole.

    Args:
        filename: Path.
        obj: Anything with ``serialize(serializer)``, or a dictionary of arrays.
        compression: Level of gzip, 0 to 9, or None.

    Raises:
        RuntimeError: h5py is not installed.
        TypeError: An entry holds Python objects.
    """
    h5py = _h5py()
    data = io.BytesIO()
    with h5py.File(data, "w") as file:
        serializer = HDF5Serializer(file, compression)
        if isinstance(obj, dict):
            for key, value in obj.items():
                serializer(key, value)
        else:
            serializer.save(obj)
    write_whole(filename, lambda f: f.write(data.getbuffer()))


def load_hdf5(filename: str | os.PathLike[str], obj: Any) -> None:
    """Load an object from an HDF5 file, Chainer's included.

    Args:
        filename: Path.
        obj: Anything with ``serialize(serializer)``.

    Raises:
        RuntimeError: h5py is not installed.
        KeyError: A value is missing.
        ValueError: A shape does not fit.
        TypeError: A type does not fit.
    """
    with _h5py().File(filename, "r") as file:
        HDF5Deserializer(file).load(obj)
