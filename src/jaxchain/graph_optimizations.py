"""Chainer's path of `static_graph` and `static_code`: decorators that change nothing here, see `jaxchain.static`."""

from jaxchain.environment import static_code as static_code
from jaxchain.environment import static_graph as static_graph
