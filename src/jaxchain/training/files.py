"""Files of a run: written beside their place, brought to the disk, then renamed.

A kill at any moment leaves the previous file whole. What it leaves besides, a temporary folder with the number of the
process in its name, is swept by the next run.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable
from typing import Any

from jaxchain.serializers.files import _sync_folder as sync_folder

_HOST = re.sub(r"\W", "-", socket.gethostname())
_TEMPORARY = re.compile(rf"tmp.*\.{re.escape(_HOST)}\.(\d+)\.[^.]*")


def write_aside(folder: str, name: str, write: Callable[[str], Any]) -> None:
    """Write a file in one step that cannot be seen half done.

    Args:
        folder: Where it goes.
        name: Its name there.
        write: Called with the path to write to.
    """
    prefix = f"tmp{name.replace(os.sep, '-')}.{_HOST}.{os.getpid()}."
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
    """Remove the temporary folders of processes of this host that are no more.

    Args:
        folder: Where files are written.
    """
    for name in os.listdir(folder):
        match = _TEMPORARY.fullmatch(name)
        if match and not _is_alive(int(match[1])):
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True
