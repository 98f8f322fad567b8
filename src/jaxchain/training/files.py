"""Files of a run: written beside their place, brought to the disk, then renamed.

A kill at any moment leaves the previous file whole. What it leaves besides, a temporary folder with the number of the
process in its name, is swept by the next run.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from typing import Any

from jaxchain.serializers.files import _sync_folder as sync_folder

DAY = 86400


def _place() -> str:
    """Return what a process number means something in: the host, and the container on it."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return re.sub(r"\W", "-", socket.gethostname() + namespace)


_PLACE, _TOKEN = _place(), secrets.token_hex(4)  # a number is used again, after a restart of a container say
_TEMPORARY = re.compile(r"tmp.*\.(?P<place>[\w-]*)\.(?P<process>\d+)-(?P<token>[0-9a-f]{8})\.[^.]*")


def write_aside(folder: str, name: str, write: Callable[[str], Any]) -> None:
    """Write a file in one step that cannot be seen half done.

    Args:
        folder: Where it goes.
        name: Its name there.
        write: Called with the path to write to.
    """
    prefix = f"tmp{name.replace(os.sep, '-')[:60]}.{_PLACE}.{os.getpid()}-{_TOKEN}."
    temporary = tempfile.mkdtemp(prefix=prefix, dir=folder)
    try:
        path = os.path.join(temporary, os.path.basename(name))
        write(path)
        if os.path.isfile(path):
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(path, os.path.join(folder, name))
        sync_folder(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def is_temporary(name: str) -> bool:
    """Return whether a name is that of a folder in which a file is being written.

    Args:
        name: The name.
    """
    return _TEMPORARY.fullmatch(name) is not None


def sweep(folder: str) -> None:
    """Remove the temporary folders of processes that are no more: dead ones of this host, others after a day.

    Args:
        folder: Where files are written.
    """
    for name in os.listdir(folder):
        found = _TEMPORARY.fullmatch(name)
        path = os.path.join(folder, name)
        if found and _is_stale(path, found["place"], int(found["process"]), found["token"]):
            shutil.rmtree(path, ignore_errors=True)


def _is_stale(path: str, place: str, process: int, token: str) -> bool:
    if place == _PLACE:
        return token != _TOKEN if process == os.getpid() else not _is_alive(process)
    try:
        return time.time() - os.stat(path).st_mtime > DAY
    except FileNotFoundError:
        return False


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True
