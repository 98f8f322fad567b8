"""Many small arrays in one file: one flat array a dtype, and an index. An entry for each would be far larger."""

import json
from collections.abc import Mapping

import numpy as np


def save(path, values):
    """Write {key: array, or text in one}."""
    flat, index = {}, {}
    for key, value in values.items():
        if value.dtype.kind == "U":
            index[key] = str(value)
            continue
        parts = flat.setdefault(value.dtype.name, [])
        index[key] = [value.dtype.name, sum(p.size for p in parts), list(value.shape)]
        parts.append(value.ravel())
    arrays = {name: np.concatenate(parts) for name, parts in flat.items()}
    np.savez_compressed(path, index=np.frombuffer(json.dumps(index).encode(), np.uint8), **arrays)


class Packed(Mapping):
    """What `save` wrote: arrays and texts by key."""

    def __init__(self, path):
        data = np.load(path)
        self.arrays = {name: data[name] for name in data.files if name != "index"}
        self.index = json.loads(data["index"].tobytes())

    def __getitem__(self, key):
        entry = self.index[key]
        if isinstance(entry, str):
            return entry
        dtype, start, shape = entry
        return self.arrays[dtype][start : start + int(np.prod(shape))].reshape(shape)

    def __iter__(self):
        return iter(self.index)

    def __len__(self):
        return len(self.index)
