"""A layer that learns how much of its input to pass on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxchain import functions as F
from jaxchain.core.variable import Variable
from jaxchain.link import Chain
from jaxchain.links.linear import Linear


class Highway(Chain):
    """Highway layer, ``activate(plain(x)) * t + x * (1 - t)`` with ``t = sigmoid(transform(x))``.

    Args:
        in_out_size: Size of the input and output vectors.
        nobias: Leave out the biases.
        activate: Activation of the plain layer.
        init_Wh: Initializer of ``plain.W``. None: `LeCunNormal`.
        init_Wt: Initializer of ``transform.W``. None: `LeCunNormal`.
        init_bh: Initializer of ``plain.b``. None: 0.
        init_bt: Initializer of ``transform.b``; negative values pass on most of the input.

    Attributes:
        plain: `Linear` ``(size, size)``.
        transform: `Linear` ``(size, size)`` of the gate.
        activate: The same.

    Source:
        Srivastava et al. 2015, arXiv:1505.00387.

    Examples:
        >>> L.Highway(4)(np.ones((2, 4), np.float32)).shape
        (2, 4)
    """

    def __init__(
        self,
        in_out_size: int,
        nobias: bool = False,
        activate: Callable[..., Any] = F.relu,
        init_Wh: Any = None,
        init_Wt: Any = None,
        init_bh: Any = None,
        init_bt: Any = -1,
    ) -> None:
        super().__init__()
        self.activate = activate
        with self.init_scope():
            self.plain = Linear(in_out_size, in_out_size, nobias, initialW=init_Wh, initial_bias=init_bh)
            self.transform = Linear(in_out_size, in_out_size, nobias, initialW=init_Wt, initial_bias=init_bt)

    def forward(self, x: Any) -> Variable:
        """Apply it to `x`, ``(n, size)``; the result has the same shape."""
        t = F.sigmoid(self.transform(x))
        return self.activate(self.plain(x)) * t + x * (1 - t)
