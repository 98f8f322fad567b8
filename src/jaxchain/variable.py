"""Chainer's path of Variable and Parameter."""

from jaxchain.core.nodes import VariableNode as VariableNode
from jaxchain.core.parameter import Parameter as Parameter
from jaxchain.core.variable import Variable as Variable
from jaxchain.core.variable import as_array as as_array
from jaxchain.core.variable import as_variable as as_variable
