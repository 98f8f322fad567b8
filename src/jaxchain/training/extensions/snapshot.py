"""Snapshots of a trainer or of one object, from which a run goes on exactly where it was."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from jaxchain.core.config import is_debug
from jaxchain.serializers import load_npz, save_npz
from jaxchain.serializers.npz import serialize
from jaxchain.training.extension import Extension
from jaxchain.training.extensions import snapshot_writers
from jaxchain.training.files import is_temporary

NAME = "snapshot_iter_{.updater.iteration}"


def snapshot(
    savefun: Callable[..., Any] | None = None,
    filename: str | Callable[[Any], str] = NAME,
    *,
    target: Any = None,
    condition: Callable[[], bool] | None = None,
    writer: Callable[..., Any] | None = None,
    snapshot_on_error: bool = False,
    n_retains: int = -1,
    autoload: bool = False,
    num_retain: int | None = None,
) -> Snapshot:
    """Return an extension that saves the trainer, once an epoch.

    A snapshot has everything that changes in training, the random streams included, so a run that is resumed from it
    makes the same losses as one that was never stopped. A kill at any moment leaves the previous snapshot whole.

    Args:
        savefun: ``savefun(path, arrays)``: writes a file. None: `jaxchain.serializers.save_npz`.
        filename: Name of a file, a format of the trainer; or a function of the trainer that returns it.
        target: What to save. None: the trainer.
        condition: Called without arguments each time: whether to save.
        writer: How to write: one of `snapshot_writers`. None: at once.
        snapshot_on_error: Save also when the training loop fails.
        n_retains: How many of the latest snapshots to keep. Not positive: all.
        autoload: Load the latest snapshot in the trainer's folder, if there is one, when training begins.
        num_retain: Old name of `n_retains`.

    Raises:
        TypeError: Both `savefun` and `writer` are given.
    """
    if num_retain is not None:
        warnings.warn(
            "Argument `num_retain` is deprecated. Please use `n_retains` instead", DeprecationWarning, stacklevel=2
        )
        n_retains = num_retain
    if savefun is not None and writer is not None:
        raise TypeError("savefun and writer arguments cannot be specified together.")
    if writer is None:
        writer = snapshot_writers.SimpleWriter(savefun=savefun or save_npz)
    return Snapshot(target, condition, writer, filename, snapshot_on_error, n_retains, autoload)


def snapshot_object(
    target: Any, filename: str | Callable[[Any], str], savefun: Callable[..., Any] | None = None, **kwargs: Any
) -> Snapshot:
    """Return an extension that saves one object, e.g. the model, once an epoch.

    Args:
        target: The object: anything with ``serialize(serializer)``.
        filename: As for `snapshot`.
        savefun: As for `snapshot`.
        **kwargs: As for `snapshot`.
    """
    return snapshot(savefun, filename, target=target, **kwargs)


class Snapshot(Extension):
    """The extension that `snapshot` and `snapshot_object` return."""

    trigger = (1, "epoch")
    priority = -100
    default_name = "_Snapshot"  # type: ignore[assignment] # Chainer's: it is part of the keys in snapshots

    def __init__(
        self,
        target: Any = None,
        condition: Callable[[], bool] | None = None,
        writer: Callable[..., Any] | None = None,
        filename: str | Callable[[Any], str] = NAME,
        snapshot_on_error: bool = False,
        n_retains: int = -1,
        autoload: bool = False,
    ) -> None:
        self._target = target
        self.saves_trainer = target is None
        self.filename = filename
        self.condition = (lambda: True) if condition is None else condition
        self.writer: Any = snapshot_writers.SimpleWriter() if writer is None else writer
        self._snapshot_on_error = snapshot_on_error
        self.n_retains = n_retains
        self.autoload = autoload

    def initialize(self, trainer: Any) -> None:
        """Load the latest snapshot, if asked to, and prepare to keep only the latest.

        Args:
            trainer: The trainer.
        """
        folder, name = trainer.out, self.filename
        if self.autoload:
            if not isinstance(name, str):
                raise TypeError("snapshot: autoload needs a filename that is a string: files are found by it")
            files = find_snapshots(name, folder)
            if files:
                load_npz(os.path.join(folder, files[-1]), trainer if self._target is None else self._target)
            if is_debug():
                print(f"Snapshot loaded from {files[-1]}" if files else f"No snapshot file that matches {name}")
        if hasattr(self.writer, "_add_cleanup_hook") and self.n_retains > 0 and isinstance(name, str):

            def clean_up() -> None:
                for stale in find_snapshots(name, folder)[: -self.n_retains]:
                    os.remove(os.path.join(folder, stale))

            self.writer._add_cleanup_hook(clean_up)

    def on_error(self, trainer: Any, exc: Exception, tb: Any) -> None:
        """Save, if asked to.

        Args:
            trainer: The trainer.
            exc: The error.
            tb: Its traceback.
        """
        if self._snapshot_on_error:
            self._save(trainer)

    def __call__(self, trainer: Any) -> None:
        """Save, if the condition holds.

        Args:
            trainer: The trainer.
        """
        if self.condition():
            self._save(trainer)

    def _save(self, trainer: Any) -> None:
        arrays = serialize(trainer if self._target is None else self._target)
        name = self.filename(trainer) if callable(self.filename) else self.filename.format(trainer)
        self.writer(name, trainer.out, arrays)

    def finalize(self) -> None:
        """Wait until everything is written."""
        if hasattr(self.writer, "finalize"):
            self.writer.finalize()


def find_snapshots(name: str, folder: str) -> list[str]:
    """Return the files that a format of names could have made, oldest first; equally old ones by their numbers.

    Args:
        name: The format.
        folder: Where to look.
    """
    prefix, suffix = name.split("{")[0], name.split("}")[-1]

    def found() -> Iterator[tuple[int, list[Any], str]]:
        for entry in os.scandir(folder):
            file = entry.name
            fits = file.startswith(prefix) and file.endswith(suffix)
            if fits and not is_temporary(file) and (entry.is_file() or file != prefix):
                parts = [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", file)]
                yield entry.stat().st_mtime_ns, parts, file

    return [file for _, _, file in sorted(found())]
