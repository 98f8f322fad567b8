"""Chainer's path of `Function`."""

from jaxchain.core.config import force_backprop_mode as force_backprop_mode
from jaxchain.core.config import no_backprop_mode as no_backprop_mode
from jaxchain.core.function import Function as Function
from jaxchain.core.function import FunctionAdapter as FunctionAdapter
