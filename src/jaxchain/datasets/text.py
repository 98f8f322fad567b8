"""Lines of text files, read when they are asked for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from jaxchain.dataset.dataset_mixin import DatasetMixin

Option = str | None | Sequence[str | None]


class TextDataset(DatasetMixin):
    """Lines of one text file (an example is a string), or of several in step (an example is a tuple of strings).

    Where the lines begin is found out once, when the dataset is made; the files must not change after that. Lines keep
    their line ends. It may be used from several threads, and sent to processes: each opens the files for itself.

    Args:
        paths: Path of the file, or paths of the files, which have the same number of lines.
        encoding: As for `open`: one for all files, or one for each.
        errors: Likewise.
        newline: Likewise.
        filter_func: Called with the lines of an example, one argument a file; returns whether to take it. None: all.

    Raises:
        ValueError: There is no file, or the numbers of lines, or of options, differ.
    """

    def __init__(
        self,
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        encoding: Option = None,
        errors: Option = None,
        newline: Option = None,
        filter_func: Callable[..., bool] | None = None,
    ) -> None:
        if isinstance(paths, str | os.PathLike):
            paths = [paths]
        if not paths:
            raise ValueError("TextDataset: at least one text file must be specified")
        columns = [
            [o] * len(paths) if o is None or isinstance(o, str) else list(o) for o in (encoding, errors, newline)
        ]
        if any(len(column) != len(paths) for column in columns):
            raise ValueError(
                "TextDataset: length of each option must match with the number of text files to read: expected "
                f"{len(paths)}, got {[len(column) for column in columns]} for encoding, errors and newline"
            )
        self._options = list(zip(paths, *columns, strict=True))
        self._open()
        self._starts = self._find_lines(filter_func)

    def _open(self) -> None:
        self._lock = threading.Lock()
        self._files: list[Any] = []
        for path, encoding, errors, newline in self._options:
            self._files.append(open(path, encoding=encoding, errors=errors, newline=newline))

    def _find_lines(self, filter_func: Callable[..., bool] | None) -> list[tuple[int, ...]]:
        """Return where each example begins in each file."""
        starts = []
        number = 0
        while True:
            start = tuple(file.tell() for file in self._files)
            lines = [file.readline() for file in self._files]
            if not all(lines):
                if any(lines):
                    raise ValueError(
                        f"TextDataset: number of lines in files does not match: after {number} lines some of "
                        f"{[str(path) for path, *_ in self._options]} are at their end"
                    )
                return starts
            if filter_func is None or filter_func(*lines):
                starts.append(start)
            number += 1

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs."""
        return {"_options": self._options, "_starts": self._starts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the files here."""
        self.__dict__.update(state)
        self._open()

    def __del__(self) -> None:
        self.close()

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self._starts)

    def close(self) -> None:
        """Close the files. The end of the object does it, too."""
        for file in self.__dict__.get("_files", ()):
            file.close()

    def get_example(self, i: int) -> str | tuple[str, ...]:
        """Return the line of one file, or the tuple of lines of several.

        Args:
            i: Its index.

        Raises:
            IndexError: There is none; negative ones are not there.
        """
        if not 0 <= i < len(self):
            raise IndexError(f"dataset index {i} is out of range: {len(self)} lines")
        with self._lock:
            for file, position in zip(self._files, self._starts[i], strict=True):
                file.seek(position)
            lines = [file.readline() for file in self._files]
        return lines[0] if len(lines) == 1 else tuple(lines)
