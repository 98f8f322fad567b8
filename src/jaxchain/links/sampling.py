"""Losses over large vocabularies, with their weight and their sampler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxchain import functions as F
from jaxchain.core.config import get_dtype
from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable
from jaxchain.link import Link
from jaxchain.utils.walker_alias import WalkerAlias


class BlackOut(Link):
    """BlackOut loss with its weight: see `functions.black_out`.

    Args:
        in_size: Size of the input vectors.
        counts: How often each word occurs: negative examples are drawn in proportion.
        sample_size: Number of negative examples of each vector.

    Attributes:
        W: Parameter ``(len(counts), in)``. NaN until it is set, as in Chainer.
        sampler: The `utils.WalkerAlias`.
        sample_data: Negative examples ``(n, sample_size)`` to use instead of drawing them, or None.

    Source:
        Ji et al. 2015, arXiv:1511.06909.

    Examples:
        >>> link = L.BlackOut(3, [5, 2, 1], 2)
        >>> link.W.array = np.zeros((3, 3), np.float32)
        >>> link(np.ones((4, 3), np.float32), np.int32([0, 1, 2, 0])).array.round(4)
        Array(1.9095, dtype=float32)
    """

    sample_data: Any = None

    def __init__(self, in_size: int, counts: Sequence[int] | np.ndarray, sample_size: int) -> None:
        super().__init__()
        self.sampler = WalkerAlias(np.array(counts, np.float32))
        self.sample_size = sample_size
        with self.init_scope():
            self.W = Parameter(shape=(len(counts), in_size))

    def forward(self, x: Any, t: Any) -> Variable:
        """Return the mean loss.

        Args:
            x: Vectors ``(n, in)``.
            t: Labels ``(n,)``, integers.

        Returns:
            A scalar.
        """
        samples = self.sample_data
        if samples is None:
            samples = self.sampler.sample((x.shape[0], self.sample_size))
        return F.black_out(x, t, self.W, samples)


class NegativeSampling(Link):
    """Negative sampling loss with its weight: see `functions.negative_sampling`.

    Args:
        in_size: Size of the input vectors.
        counts: How often each word occurs.
        sample_size: Number of negative examples of each vector.
        power: Negative examples are drawn in proportion to ``counts ** power``.
        dtype: Type the powers are computed in. None: ``config.dtype``.

    Attributes:
        W: Parameter ``(len(counts), in)``, 0 at first.
        sampler: The `utils.WalkerAlias`.

    Source:
        Mikolov et al. 2013, arXiv:1310.4546.

    Examples:
        >>> link = L.NegativeSampling(3, [5, 2, 1], 2)
        >>> link(np.ones((1, 3), np.float32), np.int32([0])).array.round(4)  # 3 log 2
        Array(2.0794, dtype=float32)
    """

    def __init__(
        self,
        in_size: int,
        counts: Sequence[int] | np.ndarray,
        sample_size: int,
        power: float = 0.75,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        dtype = get_dtype(dtype)
        self.sample_size = sample_size
        self.sampler = WalkerAlias(np.power(np.array(counts, dtype), dtype.type(power)))
        with self.init_scope():
            self.W = Parameter(0, (len(counts), in_size))

    def forward(self, x: Any, t: Any, reduce: str = "sum", *, return_samples: bool = False) -> Any:
        """Return the loss.

        Args:
            x: Vectors ``(n, in)``.
            t: Labels ``(n,)``, int32; -1 is ignored.
            reduce: ``'sum'``, or ``'no'`` for the loss of each vector.
            return_samples: Also return the samples ``(n, sample_size + 1)``, the labels first.

        Returns:
            A scalar, or ``(n,)``.
        """
        return F.negative_sampling(
            x, t, self.W, self.sampler.sample, self.sample_size, reduce, return_samples=return_samples
        )
