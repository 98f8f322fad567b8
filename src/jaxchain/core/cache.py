"""Compiled programs are kept between processes: JAX's persistent compilation cache, on unless somebody decided already.

The second start of a program compiles nothing it has compiled before, and ops of eager mode load in a millisecond. The
folder is `$JAXCHAIN_CACHE`, else `jaxchain/` in the user's cache folder (`$XDG_CACHE_HOME`, ``~/.cache``); with
``JAXCHAIN_CACHE=off`` there is none. A cache that JAX was told of, by `$JAX_COMPILATION_CACHE_DIR`,
`jax_enable_compilation_cache` or `jax.config`, is left as it is. The folder holds machine code: it must belong to the
user and be writable by nobody else, and each kind of CPU has a folder of its own, for homes that machines share. Once
a day what was used longest ago is deleted from the user's cache folder, until the rest takes a gibibyte at most.

Within a process there is a limit too: each program that XLA compiles for the CPU takes about three memory mappings,
Linux gives a process 65,530 of them (`vm.max_map_count`), and the compiler crashes the process when none is left. Eager
code that meets ever new shapes gets there after some 20,000 programs. `room.make` lets the compiled programs go before
that; those still in use are loaded again from the folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

from jaxchain.core.errors import StaticError

VARIABLE = "JAXCHAIN_CACHE"
LIMIT = 2**30  # bytes in the user's cache folder
DAY = 86400  # seconds


def _machine() -> str:
    """Return a name for this kind of CPU: machine code for one may not run on another."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = [platform.processor()]
    kind = next((line for line in lines if line.startswith(("flags", "Features"))), lines[0] if lines else "")
    return f"{platform.machine()}-{hashlib.sha256(kind.encode()).hexdigest()[:12]}"


def _safe(folder: Path) -> bool:
    """Return whether the folder is there, or could be made, and only its owner, who is the user, can write to it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:
        return False
    if not hasattr(os, "getuid"):
        return os.access(folder, os.W_OK)
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def enable() -> Path | None:
    """Switch the cache on; returns its folder, or None if it is off or somebody else's choice."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen.lower() in ("off", "0", "no", "false"):
        return None
    if jax.config.jax_compilation_cache_dir is not None or not jax.config.jax_enable_compilation_cache:  # type: ignore[attr-defined]
        return None
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    root = Path(chosen or Path(home, "jaxchain")).expanduser()
    folder = root / _machine()
    if not _safe(folder):
        return None
    if not chosen:
        tidy_daily(root)
    _set(jax_compilation_cache_dir=str(folder), **EVERYTHING)
    return folder


def tidy_daily(root: Path) -> threading.Thread | None:
    """Start to `tidy` a folder beside the program, unless that was done today; returns the thread that does."""
    stamp = root / "tidied"
    try:
        if stamp.exists() and time.time() - stamp.stat().st_mtime < DAY:
            return None
        stamp.touch()
    except OSError:
        return None
    thread = threading.Thread(target=tidy, args=(root,), name="jaxchain-tidy", daemon=True)
    thread.start()
    return thread


def tidy(root: Path, limit: int = LIMIT) -> None:
    """Delete files below a folder, those that were used longest ago first, until the rest takes `limit` bytes at most.

    A program whose file is gone is compiled again.
    """
    found: list[tuple[float, int, str]] = []
    for folder, _, names in os.walk(root):
        for name in names:
            with contextlib.suppress(OSError):  # another process has deleted it
                status = os.stat(path := os.path.join(folder, name), follow_symlinks=False)
                found.append((max(status.st_atime, status.st_mtime), status.st_size, path))
    size = sum(size for _, size, _ in found)
    for _, bytes_, path in sorted(found):
        if size <= limit:
            return
        with contextlib.suppress(OSError):
            os.remove(path)
        size -= bytes_


EVERYTHING = {"jax_persistent_cache_min_compile_time_secs": 0.0, "jax_persistent_cache_min_entry_size_bytes": -1}


def _set(**options: Any) -> None:
    for name, value in options.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # what was compiled before had made up JAX's mind


@contextlib.contextmanager
def redirected(folder: Path) -> Iterator[None]:
    """Keep what is compiled in the block in `folder`, as ``JAXCHAIN_CACHE=folder`` will look for it.

    Raises:
        StaticError: Others can write to the folder, or it cannot be made.
    """
    place = folder.expanduser() / _machine()
    if not _safe(place):
        raise StaticError(f"save_cache: {folder} cannot be used: it must be writable by you and by nobody else")
    new = {"jax_compilation_cache_dir": str(place), "jax_enable_compilation_cache": True, **EVERYTHING}
    old = {name: getattr(jax.config, name) for name in new}
    _set(**new)
    try:
        yield
    finally:
        _set(**old)


class Room:
    """Watches over the process's memory mappings.

    Attributes:
        limit: How many mappings the process may have before compiled programs are let go; None where no limit is known.
        every: After how many new programs the mappings are counted (which takes a millisecond per thousand).
    """

    def __init__(self) -> None:
        try:
            self.limit: int | None = int(Path("/proc/sys/vm/max_map_count").read_text()) * 2 // 3
        except (OSError, ValueError):
            self.limit = None
        self.every = 256
        self._new = 0

    @staticmethod
    def mappings() -> int:
        """Return how many memory mappings the process has."""
        with open("/proc/self/maps", "rb") as lines:
            return sum(1 for _ in lines)

    def make(self) -> None:
        """Count one more program; lets all go that nobody holds if the process comes near its limit."""
        self._new += 1
        if self.limit is None or self._new < self.every:
            return
        self._new = 0
        if self.mappings() > self.limit:
            jax.clear_caches()


room = Room()
FOLDER = enable()
