"""Orbax checkpoints: a folder, written in parallel and shard by shard, for states that are large or on many devices.

Needs orbax-checkpoint. Arrays stay on their devices; every process of a program calls `save_orbax` and `load_orbax`.
What a serialised object has besides arrays, texts and values that are None, is kept beside them as JSON.

Source: https://orbax.readthedocs.io.
"""

from __future__ import annotations

import os
import pathlib
from typing import Any

import jax
import numpy as np

from jaxchain.core.variable import as_array
from jaxchain.serializer import Serializer
from jaxchain.serializers.npz import NpzDeserializer


def _orbax() -> Any:
    try:
        import orbax.checkpoint
    except ImportError as error:
        raise RuntimeError("orbax-checkpoint is not installed: pip install orbax-checkpoint") from error
    return orbax.checkpoint


def _checkpointer(ocp: Any) -> Any:
    handlers = {"arrays": ocp.PyTreeCheckpointHandler(), "others": ocp.JsonCheckpointHandler()}
    return ocp.Checkpointer(ocp.CompositeCheckpointHandler(**handlers))


class _Collector(Serializer):
    """Collects the arrays of an object as they are, and what is no array apart."""

    def __init__(self, arrays: dict[str, Any], others: dict[str, Any], path: str = "") -> None:
        self.arrays, self.others, self.path = arrays, others, path

    def __getitem__(self, key: str) -> _Collector:
        return _Collector(self.arrays, self.others, f"{self.path}{key.strip('/')}/")

    def __call__(self, key: str, value: Any) -> Any:
        key = self.path + key.lstrip("/")
        array = as_array(value)
        if not isinstance(array, jax.Array) or (array.is_fully_addressable and jax.process_count() > 1):
            array = np.asarray(array)  # Orbax takes no array of one process among several
        if isinstance(array, np.ndarray) and array.dtype.kind in "UO":
            if array.dtype == object and array.tolist() is not None:
                raise TypeError(f"{key}: holds Python objects, which Orbax checkpoints do not keep")
            self.others[key] = array.tolist()
        else:
            self.arrays[key] = array
        return value


def _collect(obj: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    arrays: dict[str, Any] = {}
    others: dict[str, Any] = {}
    _Collector(arrays, others).save(obj)
    return arrays, others


def save_orbax(directory: str | os.PathLike[str], obj: Any) -> None:
    """Save an object as an Orbax checkpoint and wait until it is there. It is there wholly or not at all.

    Args:
        directory: Folder of the checkpoint. One that is there already is replaced.
        obj: Anything with ``serialize(serializer)``.

    Raises:
        RuntimeError: orbax-checkpoint is not installed.
        TypeError: An entry holds Python objects.
    """
    ocp = _orbax()
    arrays, others = _collect(obj)
    with _checkpointer(ocp) as checkpointer:
        checkpointer.save(
            os.path.abspath(directory),
            ocp.args.Composite(arrays=ocp.args.PyTreeSave(arrays), others=ocp.args.JsonSave(others)),
            force=True,
        )


def load_orbax(directory: str | os.PathLike[str], obj: Any, strict: bool = True) -> None:
    """Load an object from an Orbax checkpoint. Arrays come to the devices, and in the shards, of the object's own.

    Args:
        directory: Folder of the checkpoint: one of `save_orbax`, or one of dictionaries by the object's paths
            (``{"l1": {"W": ..., "b": ...}}``), as ``orbax.checkpoint.StandardCheckpointer`` saves it.
        obj: Anything with ``serialize(serializer)``; its parameters are initialised.
        strict: Whether a missing key is an error; else the value stays as it is.

    Raises:
        RuntimeError: orbax-checkpoint is not installed.
        FileNotFoundError: There is no checkpoint.
        KeyError: A key is missing.
        ValueError: A shape does not fit.
        TypeError: A type does not fit.
    """
    ocp = _orbax()
    path = os.path.abspath(directory)
    if not os.path.isdir(path):
        raise FileNotFoundError(f"load_orbax: there is no checkpoint at {path}")
    own, _ = _collect(obj)
    folder = pathlib.Path(path)
    item = folder / "arrays" if (folder / "arrays").is_dir() else folder

    def place(key: Any, _: Any) -> Any:
        array = own.get(_path(key))
        if isinstance(array, jax.Array):
            return ocp.ArrayRestoreArgs(sharding=array.sharding)
        return ocp.RestoreArgs(restore_type=np.ndarray)

    handler = ocp.PyTreeCheckpointHandler()
    try:
        saved = handler.metadata(item).tree
    except FileNotFoundError as error:
        raise FileNotFoundError(f"load_orbax: there is no Orbax checkpoint of arrays at {path}") from error
    restore = jax.tree_util.tree_map_with_path(place, saved)
    found = handler.restore(item, args=ocp.args.PyTreeRestore(restore_args=restore))
    arrays = {_path(key): value for key, value in jax.tree_util.tree_flatten_with_path(found)[0]}
    others: dict[str, Any] = {}
    if (folder / "others").is_dir():
        others = ocp.JsonCheckpointHandler().restore(folder / "others", args=ocp.args.JsonRestore())
    others = {key: None if value is None else np.asarray(value) for key, value in others.items()}
    NpzDeserializer({**arrays, **others}, strict=strict).load(obj)


def _path(key: Any) -> str:
    return "/".join(str(getattr(part, "key", part)) for part in key)
