"""The random streams of a program, to and from a snapshot: ours, NumPy's global one and Python's.

Chainer's snapshots leave them out, so a run resumed there draws other masks and other orders. They are further entries
of a file that Chainer can still read.
"""

from __future__ import annotations

import random as python
from typing import Any

import numpy as np

from jaxchain.core import random as ours
from jaxchain.serializer import Serializer

STREAMS = (("ops", ours.ops), ("initializers", ours.initializers))


def serialize(serializer: Any) -> None:
    """Save or load every stream; those that a file lacks go on as they are.

    Args:
        serializer: Serializer or deserializer.
    """
    if isinstance(serializer, Serializer):
        _save(serializer)
        return
    try:
        _load(serializer)
    except KeyError:
        return


def _save(serializer: Any) -> None:
    for name, stream in STREAMS:
        serializer(name, stream.state())
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    if kind == "MT19937":  # else the program runs NumPy on a generator of its own
        serializer("numpy", np.asarray(keys, np.uint32))
        serializer("numpy_rest", np.array([position, has_gauss, gauss], np.float64))
    _, words, gauss = python.getstate()
    serializer("python", np.array(words, np.uint32))
    serializer("python_gauss", np.float64("nan" if gauss is None else gauss))


def _load(serializer: Any) -> None:
    for name, stream in STREAMS:
        stream.restore(serializer(name, stream.state()))
    keys = serializer("numpy", None)
    rest = serializer("numpy_rest", None)
    if keys is not None and rest is not None:
        np.random.set_state(("MT19937", keys, int(rest[0]), int(rest[1]), float(rest[2])))
    words = serializer("python", None)
    gauss = serializer("python_gauss", None)
    if words is not None and gauss is not None:
        gauss = float(gauss)
        python.setstate((3, tuple(int(w) for w in words), None if gauss != gauss else gauss))
