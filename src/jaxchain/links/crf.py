"""A conditional random field with its transition scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxchain import functions as F
from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable
from jaxchain.initializers.conversion import get_initializer
from jaxchain.link import Link
from jaxchain.links.n_step_recurrent import by_falling_length


class CRF1d(Link):
    """Linear-chain conditional random field: see `functions.crf1d`.

    Args:
        n_label: Number of labels ``k``.
        initial_cost: Initializer, scalar or array of ``cost``. None: 0.

    Attributes:
        cost: Parameter ``(k, k)``: score of a step from one label to another.

    Source:
        Lafferty et al. 2001, Conditional random fields.

    Examples:
        >>> xs, ys = [np.zeros((3, 2), np.float32)], [np.int32([0, 1, 0])]
        >>> L.CRF1d(2)(xs, ys, transpose=True).array.round(4)  # one of eight label sequences
        Array(2.0794, dtype=float32)
    """

    def __init__(self, n_label: int, initial_cost: Any = None) -> None:
        super().__init__()
        with self.init_scope():
            self.cost = Parameter(get_initializer(initial_cost, 0), (n_label, n_label))

    def forward(self, xs: Any, ys: Any, reduce: str = "mean", transpose: bool = False) -> Variable:
        """Return the negative log-likelihood.

        Args:
            xs: Scores of each time ``(n_t, k)``, ``n_t`` never increasing; with `transpose` of each sequence
                ``(length_i, k)``, in any order.
            ys: Labels ``(n_t,)``, or ``(length_i,)``, integers.
            reduce: ``'mean'``, or ``'no'`` for the loss of each sequence, longest first.
            transpose: Whether a list element is a sequence, and not a time.

        Returns:
            A scalar, or ``(n,)``.
        """
        if transpose:
            order = by_falling_length(xs)
            xs, ys = (F.transpose_sequence([v[i] for i in order]) for v in (xs, ys))
        return F.crf1d(self.cost, xs, ys, reduce)

    def argmax(self, xs: Any, transpose: bool = False) -> tuple[Variable, list[Any]]:
        """Return the most likely labels.

        Args:
            xs: As in `forward`.
            transpose: Whether a list element is a sequence, and not a time.

        Returns:
            Scores ``(n,)`` of the best label sequences, longest first, and a list of labels: arrays ``(n_t,)``, or
            with `transpose` ``(length_i,)`` in the order of `xs`.
        """
        if not transpose:
            return F.argmax_crf1d(self.cost, xs)
        order = by_falling_length(xs)
        score, times = F.argmax_crf1d(self.cost, F.transpose_sequence([xs[i] for i in order]))
        paths: Any = F.transpose_sequence(times)
        return score, [paths[i].array for i in np.argsort(order)]
