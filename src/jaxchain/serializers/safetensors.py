"""Safetensors files: arrays by key and nothing that could run, read without copying. Needs safetensors.

The format has arrays only; what a serialised object has besides, texts and values that are None, goes into the file's
metadata as JSON.

Source: https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from jaxchain.serializers.files import write_whole
from jaxchain.serializers.npz import IgnoreNames, NpzDeserializer, serialize, to_write

_METADATA = "jaxchain"


def _numpy() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise RuntimeError("safetensors is not installed: pip install safetensors") from error
    return safetensors


def save_safetensors(file: str | os.PathLike[str], obj: Any) -> None:
    """Save an object to a safetensors file. A kill at any moment leaves the previous file whole.

    Args:
        file: Path.
        obj: Anything with ``serialize(serializer)``, or a dictionary of arrays.

    Raises:
        RuntimeError: safetensors is not installed.
        TypeError: An entry holds Python objects.
    """
    safetensors = _numpy()
    arrays: dict[str, np.ndarray] = {}
    others: dict[str, Any] = {}
    for key, value in (obj if isinstance(obj, dict) else serialize(obj)).items():
        array = to_write(key, value)
        if array is None or array.dtype.kind == "U":
            others[key] = None if array is None else array.tolist()
        else:
            arrays[key] = np.ascontiguousarray(array).reshape(array.shape)
    data = safetensors.numpy.save(arrays, {_METADATA: json.dumps(others)})
    write_whole(file, lambda f: f.write(data))


def load_safetensors(
    file: str | os.PathLike[str],
    obj: Any,
    path: str = "",
    strict: bool = True,
    ignore_names: IgnoreNames = None,
) -> None:
    """Load an object from a safetensors file.

    Args:
        file: Path.
        obj: Anything with ``serialize(serializer)``.
        path: Path in the file under which the object is, e.g. ``predictor/``.
        strict: Whether a missing key is an error; else the value stays as it is.
        ignore_names: Keys to leave as they are: a key, a function of the key, or a list of these.

    Raises:
        RuntimeError: safetensors is not installed.
        KeyError: A key is missing.
        ValueError: A shape does not fit.
        TypeError: A type does not fit.
    """
    with _numpy().safe_open(os.fspath(file), framework="numpy") as opened:
        found: dict[str, Any] = {key: opened.get_tensor(key) for key in opened.keys()}
        others = json.loads((opened.metadata() or {}).get(_METADATA, "{}"))
    found |= {key: None if value is None else np.asarray(value) for key, value in others.items()}
    NpzDeserializer(found, path, strict, ignore_names).load(obj)
