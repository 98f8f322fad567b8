"""Serializers: objects to files and back. Chainer's protocol and npz files, HDF5, safetensors and Orbax beside
them; never with pickle.
"""

from jaxchain.serializer import AbstractSerializer as AbstractSerializer
from jaxchain.serializer import Deserializer as Deserializer
from jaxchain.serializer import Serializer as Serializer
from jaxchain.serializers.hdf5 import HDF5Deserializer as HDF5Deserializer
from jaxchain.serializers.hdf5 import HDF5Serializer as HDF5Serializer
from jaxchain.serializers.hdf5 import load_hdf5 as load_hdf5
from jaxchain.serializers.hdf5 import save_hdf5 as save_hdf5
from jaxchain.serializers.npz import DictionarySerializer as DictionarySerializer
from jaxchain.serializers.npz import NpzDeserializer as NpzDeserializer
from jaxchain.serializers.npz import load_npz as load_npz
from jaxchain.serializers.npz import save_npz as save_npz
from jaxchain.serializers.orbax import load_orbax as load_orbax
from jaxchain.serializers.orbax import save_orbax as save_orbax
from jaxchain.serializers.safetensors import load_safetensors as load_safetensors
from jaxchain.serializers.safetensors import save_safetensors as save_safetensors

__all__ = [
    "HDF5Deserializer",
    "HDF5Serializer",
    "load_hdf5",
    "load_orbax",
    "load_safetensors",
    "save_hdf5",
    "save_orbax",
    "save_safetensors",
    "AbstractSerializer",
    "Deserializer",
    "DictionarySerializer",
    "NpzDeserializer",
    "Serializer",
    "load_npz",
    "save_npz",
]
