"""Chainer's old path of `backends.cuda`: the same module."""

import sys

from jaxchain.backends import cuda

sys.modules[__name__] = cuda
