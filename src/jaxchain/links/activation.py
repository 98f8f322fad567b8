"""Activations with parameters of their own."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jaxchain import functions as F
from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable
from jaxchain.initializers import Initializer
from jaxchain.initializers.base import Reshaped
from jaxchain.initializers.conversion import get_initializer
from jaxchain.link import Chain, Link
from jaxchain.links.linear import Linear


class PReLU(Link):
    """Rectifier with a learnt slope for negative input.

    Args:
        shape: Shape of the slope.
        init: Initializer, scalar or array.

    Attributes:
        W: Parameter `shape`.

    Source:
        He et al. 2015, arXiv:1502.01852.
    """

    def __init__(self, shape: Any = (), init: Any = 0.25) -> None:
        super().__init__()
        with self.init_scope():
            self.W = Parameter(get_initializer(init), shape)

    def forward(self, x: Any) -> Variable:
        """Apply it to `x`, any shape ``(n, *shape, ...)``; the result has the same one."""
        return F.prelu(x, self.W)


class Swish(Link):
    """``x * sigmoid(beta * x)`` with a learnt ``beta``.

    Args:
        beta_shape: Shape of ``beta``. None: that of one example, from the first input.
        beta_init: Initializer, scalar or array.

    Attributes:
        beta: Parameter `beta_shape`.

    Source:
        Ramachandran et al. 2017, arXiv:1710.05941.
    """

    def __init__(self, beta_shape: Any, beta_init: Any = 1.0) -> None:
        super().__init__()
        with self.init_scope():
            self.beta = Parameter(get_initializer(beta_init), beta_shape)

    def forward(self, x: Any) -> Variable:
        """Apply it to `x`, any shape; the result has the same one."""
        if self.beta.array is None:
            self.beta.initialize(x.shape[1:])
        return F.swish(x, self.beta)


class Maxout(Chain):
    """Largest of `pool_size` linear layers, for each output.

    Args:
        in_size: Size of the input vectors, or None.
        out_size: Size of the output vectors.
        pool_size: Number of linear layers.
        initialW: Initializer, scalar or array ``(out, pool, in)``.
        initial_bias: Initializer, scalar or array ``(out, pool)``. None: no bias.

    Raises:
        ValueError: An array does not have these axes.

    Attributes:
        linear: The `Linear` link of ``out * pool`` outputs.

    Source:
        Goodfellow et al. 2013, arXiv:1302.4389.
    """

    def __init__(
        self, in_size: int | None, out_size: int, pool_size: int, initialW: Any = None, initial_bias: Any = 0
    ) -> None:
        super().__init__()
        initialW = _shaped("initialW", initialW, (out_size, pool_size, in_size))
        initial_bias = _shaped("initial_bias", initial_bias, (out_size, pool_size))
        with self.init_scope():
            self.linear = Linear(
                in_size, out_size * pool_size, initial_bias is None, initialW=initialW, initial_bias=initial_bias
            )
        self.out_size = out_size
        self.pool_size = pool_size

    def forward(self, x: Any) -> Variable:
        """Apply it to `x`, ``(n, in)``; returns ``(n, out)``."""
        return F.maxout(self.linear(x), self.pool_size)


def _shaped(name: str, value: Any, shape: tuple[Any, ...]) -> Any:
    """Return `value` for the flat layer inside: arrays are reshaped, a user's callable sees the axes of `shape`."""
    if value is None or np.isscalar(value) or isinstance(value, Initializer):
        return value
    if isinstance(value, np.ndarray | jax.Array):
        if value.ndim != len(shape):
            raise ValueError(f"{name}.ndim should be {len(shape)}")
        return value.reshape(shape[0] * shape[1], *value.shape[2:])
    return Reshaped(value, shape[:2])
