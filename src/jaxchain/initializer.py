"""Chainer's path of the base class of initializers; it lives in `initializers`."""

from jaxchain.initializers import Initializer as Initializer
from jaxchain.initializers import get_fans as get_fans
