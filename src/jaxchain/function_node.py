"""Chainer's path of `FunctionNode`."""

from jaxchain.core.function_node import FunctionNode as FunctionNode
from jaxchain.core.graph import grad as grad
