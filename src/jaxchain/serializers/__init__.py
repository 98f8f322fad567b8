"""Serializers: objects to files and back. Chainer's protocol and npz files, never with pickle."""

from jaxchain.serializer import AbstractSerializer as AbstractSerializer
from jaxchain.serializer import Deserializer as Deserializer
from jaxchain.serializer import Serializer as Serializer
from jaxchain.serializers.npz import DictionarySerializer as DictionarySerializer
from jaxchain.serializers.npz import NpzDeserializer as NpzDeserializer
from jaxchain.serializers.npz import load_npz as load_npz
from jaxchain.serializers.npz import save_npz as save_npz

__all__ = [
    "AbstractSerializer",
    "Deserializer",
    "DictionarySerializer",
    "NpzDeserializer",
    "Serializer",
    "load_npz",
    "save_npz",
]
