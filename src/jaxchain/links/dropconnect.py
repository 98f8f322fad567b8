"""A fully connected layer that drops weights while training."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxchain import functions as F
from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable
from jaxchain.initializers import HeNormal
from jaxchain.initializers.conversion import get_initializer
from jaxchain.link import Link


class SimplifiedDropconnect(Link):
    """Fully connected layer whose weights are dropped at random while training.

    Args:
        in_size: Size of the input vectors, or None: taken from the first input.
        out_size: Size of the output vectors.
        ratio: Probability that a weight is dropped.
        nobias: Leave out ``b``.
        initialW: Initializer, scalar or array ``(out, in)``. None: `HeNormal` of scale 1 / sqrt(2).
        initial_bias: Initializer, scalar or array ``(out,)``. None: 0.

    Attributes:
        W: Parameter ``(out, in)``.
        b: Parameter ``(out,)``, or None.
        mask: Persistent, where a mask was given: the first one.
        ratio: The same.

    Source:
        Wan et al. 2013, Regularization of neural networks using DropConnect.

    Examples:
        >>> L.SimplifiedDropconnect(None, 10)(np.ones((1, 5), np.float32)).shape
        (1, 10)
    """

    def __init__(
        self,
        in_size: int | None,
        out_size: int,
        ratio: float = 0.5,
        nobias: bool = False,
        initialW: Any = None,
        initial_bias: Any = None,
    ) -> None:
        super().__init__()
        self.out_size = out_size
        self.ratio = ratio
        with self.init_scope():
            self.W = Parameter(get_initializer(initialW, HeNormal(0.5**0.5)))
            if in_size is not None:
                self._initialize_params(in_size)
            if nobias:
                self.b = None
            else:
                self.b = Parameter(get_initializer(initial_bias, 0), out_size)

    def _initialize_params(self, in_size: int) -> None:
        self.W.initialize((self.out_size, in_size))

    def forward(self, x: Any, train: bool = True, mask: Any = None, use_batchwise_mask: bool = True) -> Variable:
        """Apply the layer.

        Args:
            x: ``(n, *features)``; the features are taken as one axis.
            train: Whether weights are dropped.
            mask: Which weights stay: ``(out, in)``, or ``(n, out, in)``. None: drawn.
            use_batchwise_mask: Draw a mask for each example.

        Returns:
            ``(n, out)``.
        """
        if self.W.array is None:
            self._initialize_params(int(np.prod(x.shape[1:])))
        if mask is not None and "mask" not in self._persistent:
            self.add_persistent("mask", mask)
        return F.simplified_dropconnect(x, self.W, self.b, self.ratio, train, mask, use_batchwise_mask)
