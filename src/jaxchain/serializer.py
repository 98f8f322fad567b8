"""The protocol between objects and files: ``obj.serialize(serializer)`` calls ``serializer(key, value)`` per value."""

from __future__ import annotations

import reprlib
from typing import Any

import jax
import numpy as np

from jaxchain.core.arrays import beside, from_numpy


class AbstractSerializer:
    """Base class of all serializers and deserializers.

    ``serializer['child']`` is the serializer of a child object. ``serializer(key, value)`` saves `value`, or returns
    the value loaded for `key`; then `value` says the type that is wanted.
    """

    def __getitem__(self, key: str) -> AbstractSerializer:
        """Return the serializer of a child.

        Args:
            key: Name of the child.
        """
        raise NotImplementedError

    def __call__(self, key: str, value: Any) -> Any:
        """Save or load a value.

        Args:
            key: Name of the entry.
            value: Array, scalar, string or None.

        Returns:
            What the object should hold from now on. Arrays are immutable here: use the returned one.
        """
        raise NotImplementedError


def serialize_method(obj: Any) -> Any:
    """Return ``obj.serialize``.

    Raises:
        TypeError: It has none: the object's and the file's places were mixed up, say.
    """
    if not hasattr(obj, "serialize"):
        raise TypeError(
            f"expected an object with serialize(serializer), such as a link or an optimizer, got {reprlib.repr(obj)} "
            "(the file is the first argument: save_npz(file, obj), load_npz(file, obj))"
        )
    return obj.serialize


class Serializer(AbstractSerializer):
    """Base class of serializers."""

    def save(self, obj: Any) -> None:
        """Save an object: ``obj.serialize(self)``.

        Args:
            obj: The object.
        """
        serialize_method(obj)(self)


class Deserializer(AbstractSerializer):
    """Base class of deserializers. A subclass may fill the array that it is given, which is NumPy's, and return it."""

    _fills = True

    def load(self, obj: Any) -> None:
        """Load an object: ``obj.serialize(self)``.

        Args:
            obj: The object.
        """
        serialize_method(obj)(self)


def exchanged(serializer: Any, key: str, value: Any) -> Any:
    """Return what an object should hold instead of `value`: ``serializer(key, value)``.

    JAX's arrays cannot be filled. A deserializer that a user wrote as for Chainer fills what it is given, so it is
    given a NumPy copy.

    Args:
        serializer: The serializer or deserializer.
        key: Name of the entry.
        value: What the object holds now.
    """
    if not (isinstance(value, jax.Array) and isinstance(serializer, Deserializer) and serializer._fills):
        return serializer(key, value)
    buffer = np.array(value)
    loaded = serializer(key, buffer)
    return beside(from_numpy(buffer), value) if loaded is None or loaded is buffer else loaded
