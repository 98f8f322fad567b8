"""The protocol of serializers lives in `jaxchain.serializer`, Chainer's path, below the rooms that are serialised."""

from jaxchain.serializer import AbstractSerializer as AbstractSerializer
from jaxchain.serializer import Deserializer as Deserializer
from jaxchain.serializer import Serializer as Serializer
