"""A parameter as a link."""

from __future__ import annotations

from typing import Any

from jaxchain import functions as F
from jaxchain.core import parameter
from jaxchain.core.variable import Variable
from jaxchain.link import Link


class Parameter(Link):
    """A bare parameter as a link.

    Args:
        array: Its initial value.

    Attributes:
        W: Parameter of that shape.
    """

    def __init__(self, array: Any) -> None:
        super().__init__()
        with self.init_scope():
            self.W = parameter.Parameter(array)

    def forward(self, volatile: str = "off") -> Variable:
        """Return a Variable with the parameter's value. `volatile` is accepted for old programs and ignored."""
        return F.identity(self.W)
