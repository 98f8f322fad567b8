"""A reader of caffemodel files: the protocol buffers wire format, and the fields that `CaffeFunction` asks for.

Blobs are read as views of the file's bytes: no Python number is made of a weight.

Source: https://protobuf.dev/programming-guides/encoding/, and Caffe's caffe.proto for numbers and defaults.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

INT, FLOAT, DOUBLE, TEXT = "int", "float", "double", "text"  # other kinds are names of messages; "*": repeated
SCALARS: dict[str, Any] = {INT: 0, FLOAT: 0.0, DOUBLE: 0.0, TEXT: ""}
_PARAMETERS = {
    "concat_param": ("Concat", 104, 9),
    "convolution_param": ("Convolution", 106, 10),
    "dropout_param": ("Dropout", 108, 12),
    "eltwise_param": ("Eltwise", 110, 24),
    "inner_product_param": ("InnerProduct", 117, 17),
    "lrn_param": ("LRN", 118, 18),
    "pooling_param": ("Pooling", 121, 19),
    "relu_param": ("ReLU", 123, 30),
    "softmax_param": ("Softmax", 125, 39),
    "slice_param": ("Slice", 126, 31),
    "reshape_param": ("Reshape", 133, None),
    "batch_norm_param": ("BatchNorm", 139, None),
    "scale_param": ("Scale", 142, None),
}
_WINDOW = {
    "pad_h": (9, INT),
    "pad_w": (10, INT),
}
FIELDS: dict[str, dict[str, tuple[Any, ...]]] = {  # message -> field -> (number, kind[, default])
    "Net": {"layer": (100, "Layer*"), "layers": (2, "V1Layer*")},
    "Layer": {
        "name": (1, TEXT),
        "type": (2, TEXT),
        "bottom": (3, TEXT + "*"),
        "top": (4, TEXT + "*"),
        "blobs": (7, "Blob*"),
        **{name: (number, kind) for name, (kind, number, _) in _PARAMETERS.items()},
    },
    "V1Layer": {
        "name": (4, TEXT),
        "type": (5, INT),
        "bottom": (2, TEXT + "*"),
        "top": (3, TEXT + "*"),
        "blobs": (6, "Blob*"),
        **{name: (number, kind) for name, (kind, _, number) in _PARAMETERS.items() if number},
    },
    "Blob": {
        "num": (1, INT),
        "channels": (2, INT),
        "height": (3, INT),
        "width": (4, INT),
        "data": (5, FLOAT + "*"),
        "shape": (7, "Shape"),
        "double_data": (8, DOUBLE + "*"),
    },
    "Shape": {"dim": (1, INT + "*")},
    "Concat": {"concat_dim": (1, INT, 1), "axis": (2, INT, 1)},
    "Convolution": {
        "bias_term": (2, INT, 1),
        "pad": (3, INT + "*"),
        "kernel_size": (4, INT + "*"),
        "group": (5, INT, 1),
        "stride": (6, INT + "*"),
        **_WINDOW,
        "kernel_h": (11, INT),
        "kernel_w": (12, INT),
        "stride_h": (13, INT),
        "stride_w": (14, INT),
        "dilation": (18, INT + "*"),
    },
    "Dropout": {"dropout_ratio": (1, FLOAT, 0.5)},
    "Eltwise": {"operation": (1, INT, 1), "coeff": (2, FLOAT + "*")},
    "InnerProduct": {"bias_term": (2, INT, 1), "axis": (5, INT, 1)},
    "LRN": {
        "local_size": (1, INT, 5),
        "alpha": (2, FLOAT, 1.0),
        "beta": (3, FLOAT, 0.75),
        "norm_region": (4, INT),
        "k": (5, FLOAT, 1.0),
    },
    "Pooling": {
        "pool": (1, INT),
        "kernel_size": (2, INT),
        "stride": (3, INT, 1),
        "pad": (4, INT),
        "kernel_h": (5, INT),
        "kernel_w": (6, INT),
        "stride_h": (7, INT),
        "stride_w": (8, INT),
        **_WINDOW,
        "global_pooling": (12, INT),
    },
    "ReLU": {"negative_slope": (1, FLOAT)},
    "Softmax": {"axis": (2, INT, 1)},
    "Slice": {"slice_dim": (1, INT, 1), "slice_point": (2, INT + "*"), "axis": (3, INT, 1)},
    "Reshape": {"shape": (1, "Shape")},
    "BatchNorm": {
        "use_global_stats": (1, INT),
        "moving_average_fraction": (2, FLOAT, 0.999),
        "eps": (3, FLOAT, 1e-5),
    },
    "Scale": {"axis": (1, INT, 1), "bias_term": (4, INT)},
}
_BY_NUMBER = {
    message: {number: (name, kind) for name, (number, kind, *_) in fields.items()} for message, fields in FIELDS.items()
}


class Message:
    """A message: its fields are attributes; those that the file leaves out have their defaults.

    Args:
        kind: Which message of `FIELDS`.
        data: Its bytes.

    Raises:
        ValueError: The bytes are no such message.
    """

    def __init__(self, kind: str, data: bytes | memoryview = b"") -> None:
        self._kind = kind
        known = _BY_NUMBER[kind]
        for number, wire, value in _fields(memoryview(data)):
            if number in known:
                name, of = known[number]
                values = _values(of.removesuffix("*"), wire, value)
                if not of.endswith("*"):
                    setattr(self, name, values[-1])
                elif isinstance(known_values := self.__dict__.get(name), list):
                    known_values.extend(values)
                else:
                    setattr(self, name, values if known_values is None else [*known_values, *values])

    def __contains__(self, name: str) -> bool:
        """Whether the file has a field."""
        return name in self.__dict__

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in FIELDS[self._kind]:
            raise AttributeError(name)
        _, of, *default = FIELDS[self._kind][name]
        return default[0] if default else [] if of.endswith("*") else SCALARS[of] if of in SCALARS else Message(of)


def _values(kind: str, wire: int, value: Any) -> Any:
    """Return what a field holds, as a list or an array."""
    if kind in (FLOAT, DOUBLE):
        if wire not in (1, 2, 5) or len(value) % (4 if kind == FLOAT else 8):
            raise ValueError("no caffemodel: expected numbers with a point")
        numbers = np.frombuffer(value, "<f4" if kind == FLOAT else "<f8")
        return numbers if wire == 2 else list(numbers)
    if kind == INT:
        if wire == 0:
            return [value]
        found, at = [], 0
        while at < len(value):
            number, at = _varint(value, at)
            found.append(number)
        return found
    if wire != 2:
        raise ValueError("no caffemodel: expected text or a message, got a number")
    if kind != TEXT:
        return [Message(kind, value)]
    try:
        return [str(value, "utf-8")]
    except UnicodeDecodeError as error:
        raise ValueError("no caffemodel: a name is no text") from error


def _fields(data: memoryview) -> Iterator[tuple[int, int, Any]]:
    """Yield (number, wire type, value) of each field: an integer, or the bytes."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = _varint(data, at)
        else:
            if wire == 2:
                length, at = _varint(data, at)
            elif wire in (1, 5):
                length = 8 if wire == 1 else 4
            else:
                raise ValueError(f"no caffemodel: wire type {wire}")
            if at + length > end:
                raise ValueError("no caffemodel: it ends inside a field")
            value, at = data[at : at + length], at + length
        yield tag >> 3, wire, value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return a signed integer of 64 bits, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("no caffemodel: it ends inside a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value - (1 << 64) if value >> 63 else value, at
    raise ValueError("no caffemodel: a number of more than 64 bits")
