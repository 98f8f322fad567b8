"""A bilinear form of two inputs."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jaxchain import functions as F
from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable
from jaxchain.initializers.conversion import get_initializer
from jaxchain.link import Link


class Bilinear(Link):
    r"""Bilinear layer, :math:`y_k = \sum_{ij} a_i b_j W_{ijk} + a V^1_k + b V^2_k + b_k`.

    Args:
        left_size: Size of the first input.
        right_size: Size of the second input.
        out_size: Size of the output.
        nobias: Leave out the linear terms and ``b``.
        initialW: Initializer, scalar or array ``(left, right, out)``. None: `LeCunNormal`.
        initial_bias: Three initializers, for ``V1``, ``V2`` and ``b``. None: `LeCunNormal`, `LeCunNormal`, 0.

    Raises:
        ValueError: ``initial_bias`` is no tuple.
        AssertionError: An initial array has another shape.

    Attributes:
        W: Parameter ``(left, right, out)``.
        V1: Parameter ``(left, out)``; not there with ``nobias``.
        V2: Parameter ``(right, out)``; not there with ``nobias``.
        b: Parameter ``(out,)``; not there with ``nobias``.

    Source: Socher et al. 2013, Reasoning with neural tensor networks for knowledge base completion.

    Examples:
        >>> L.Bilinear(3, 2, 4)(np.ones((5, 3), np.float32), np.ones((5, 2), np.float32)).shape
        (5, 4)
    """

    def __init__(
        self,
        left_size: int,
        right_size: int,
        out_size: int,
        nobias: bool = False,
        initialW: Any = None,
        initial_bias: Any = None,
    ) -> None:
        super().__init__()
        self.in_sizes = (left_size, right_size)
        self.nobias = nobias
        if not (initial_bias is None or isinstance(initial_bias, tuple)):
            raise ValueError("initial_bias must be tuple or None")
        with self.init_scope():
            self.W = _parameter(initialW, (left_size, right_size, out_size))
            if not nobias:
                first, second, bias = initial_bias or (None, None, 0)
                self.V1 = _parameter(first, (left_size, out_size))
                self.V2 = _parameter(second, (right_size, out_size))
                self.b = _parameter(bias, (out_size,))

    def forward(self, e1: Any, e2: Any) -> Variable:
        """Apply the layer.

        Args:
            e1: ``(n, left)``; further axes are flattened.
            e2: ``(n, right)``.

        Returns:
            ``(n, out)``.
        """
        if self.nobias:
            return F.bilinear(e1, e2, self.W)
        return F.bilinear(e1, e2, self.W, self.V1, self.V2, self.b)


def _parameter(initial: Any, shape: tuple[int, ...]) -> Parameter:
    if isinstance(initial, np.ndarray | jax.Array) and initial.shape != shape:
        raise AssertionError(f"Bilinear: expected an initial array of shape {shape}, got {initial.shape}")
    return Parameter(get_initializer(initial), shape)
