"""Any Python objects in one file, each read when it is asked for."""

from __future__ import annotations

import os
import pickle
import threading
from typing import Any, BinaryIO

from jaxchain.dataset.dataset_mixin import DatasetMixin


class PickleDatasetWriter:
    """Writes the file of a `PickleDataset`: one pickle after the other.

    Args:
        writer: File open for writing bytes.
        protocol: Pickle protocol.
    """

    def __init__(self, writer: BinaryIO, protocol: int = pickle.HIGHEST_PROTOCOL) -> None:
        self._writer = writer
        self._protocol = protocol

    def write(self, x: Any) -> None:
        """Add an example.

        Args:
            x: Anything that can be pickled.
        """
        pickle.dump(x, self._writer, self._protocol)

    def flush(self) -> None:
        """Flush the file."""
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def __enter__(self) -> PickleDatasetWriter:
        """Return itself."""
        return self

    def __exit__(self, *_: Any) -> None:
        """Close the file."""
        self.close()


class PickleDataset(DatasetMixin):
    """Python objects in a file that `PickleDatasetWriter` wrote.

    Open only files that you trust: a pickle can run any code when it is loaded, and all are loaded once to find where
    each begins. A dataset from `open_pickle_dataset` may be sent to processes: each opens the file for itself.

    Args:
        reader: File open for reading bytes, seekable.

    Raises:
        ValueError: The file is not seekable.
    """

    _path: str | os.PathLike[str] | None = None  # of a file that this object opened

    def __init__(self, reader: BinaryIO) -> None:
        if not reader.seekable():
            raise ValueError("PickleDataset: the reader must support random access")
        self._reader: Any = reader
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._positions = []
        reader.seek(0)
        while True:
            position = reader.tell()
            try:
                pickle.load(reader)
            except EOFError:
                break
            self._positions.append(position)

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs: the path, or else the reader itself."""
        state = {"_positions": self._positions, "_path": self._path}
        return state if self._path is not None else {**state, "_reader": self._reader}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the file here."""
        self.__dict__.update(state)
        self._process = os.getpid()
        self._lock = threading.RLock()
        if self._path is not None:
            self._reader = open(self._path, "rb")

    def __del__(self) -> None:
        if self._path is not None and "_reader" in self.__dict__:
            self._reader.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._reader.close()

    def __enter__(self) -> PickleDataset:
        """Return itself."""
        return self

    def __exit__(self, *_: Any) -> None:
        """Close the file."""
        self.close()

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self._positions)

    def get_example(self, i: int) -> Any:
        """Return an example.

        Args:
            i: Its index.
        """
        with self._lock:
            if self._process != os.getpid() and self._path is not None:  # forked: it shares the place in the file
                self.__setstate__(self.__getstate__())
            self._reader.seek(self._positions[i])
            return pickle.load(self._reader)


def open_pickle_dataset(path: str | os.PathLike[str]) -> PickleDataset:
    """Open a file that `open_pickle_dataset_writer` wrote. The dataset is a context manager that closes it.

    Args:
        path: Its path. Trust it: pickles can run code.

    Returns:
        The dataset.

    Examples:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "data")
        >>> with open_pickle_dataset_writer(path) as writer:
        ...     writer.write((1, "hello"))
        ...     writer.write({"x": 2})
        >>> with open_pickle_dataset(path) as dataset:
        ...     len(dataset), dataset[1], dataset[0]
        (2, {'x': 2}, (1, 'hello'))
    """
    reader = open(path, "rb")
    try:
        dataset = PickleDataset(reader)
    except BaseException:
        reader.close()
        raise
    dataset._path = os.path.abspath(path)
    return dataset


def open_pickle_dataset_writer(
    path: str | os.PathLike[str], protocol: int = pickle.HIGHEST_PROTOCOL
) -> PickleDatasetWriter:
    """Open a file to write the examples of a `PickleDataset`. The writer is a context manager that closes it.

    Args:
        path: Its path.
        protocol: Pickle protocol.

    Returns:
        The writer.
    """
    return PickleDatasetWriter(open(path, "wb"), protocol)
