"""Devices as Chainer's programs name them, on JAX's devices."""

from jaxchain.backends import cuda as cuda
from jaxchain.backends import intel64 as intel64

__all__ = ["cuda", "intel64"]
