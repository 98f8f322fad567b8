"""Distributions of categories: Categorical, whose events are numbers, and OneHotCategorical, whose are vectors.

No gradient flows through their samples.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

import jaxchain.functions as F
from jaxchain.core.variable import Variable, as_array
from jaxchain.distribution import Distribution, register_kl
from jaxchain.distributions.base import Values, exactly_one, variable, x_log_x
from jaxchain.functions.draws import draw


def _chosen(log_p: Values, n: int) -> Any:
    """Draw `n` categories for each row."""
    return draw("categorical", (n, *log_p.shape[:-1]), "int32", log_p.array)


class Categorical(Distribution):
    """Categorical distribution.

    Args:
        p: Probabilities ``(..., k)`` that sum to one.
        logit: Their logarithms instead; they need not be normalised.

    Raises:
        ValueError: Not exactly one of `p` and `logit` is given.

    Examples:
        >>> D.Categorical(np.float32([[0.25, 0.75]])).log_prob(np.int32([1])).array.round(2)
        Array([-0.29], dtype=float32)
    """

    def __init__(self, p: Any = None, *, logit: Any = None) -> None:
        exactly_one(p=p, logit=logit)
        self._p = None if p is None else variable(p)
        self._logit = None if logit is None else variable(logit)

    @property
    def p(self) -> Values:
        """Probabilities."""
        return F.exp(self.log_p) if self._p is None else self._p

    @property
    def log_p(self) -> Values:
        """Logarithms of the probabilities."""
        return F.log_softmax(self._logit, axis=-1) if self._p is None else F.log(self._p)

    @property
    def _shape(self) -> tuple[int, ...]:
        given = self._logit if self._p is None else self._p
        assert given is not None
        return given.shape

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """All axes of the probabilities but the last."""
        return self._shape[:-1]

    @property
    def event_shape(self) -> tuple[int, ...]:
        """``()``: an event is a number."""
        return ()

    @property
    def params(self) -> dict[str, Any]:
        """`p`."""
        return {"p": self.p}

    @property
    def entropy(self) -> Values:
        r""":math:`-\sum_i p_i\log p_i`."""
        return -F.sum(x_log_x(self.p), axis=-1)

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the probability.

        Args:
            x: Events, from 0 to k - 1.
        """
        rows = [i.astype(np.int32) for i in np.indices(self.batch_shape)]
        return F.get_item(self.log_p, (*rows, as_array(x).astype(np.int32)))

    def sample_n(self, n: int) -> Values:
        """Draw `n` samples: integers.

        Args:
            n: How many.
        """
        return Variable(_chosen(self.log_p, n))


@register_kl(Categorical, Categorical)
def _(p: Categorical, q: Categorical) -> Values:
    return F.sum(p.p * (p.log_p - q.log_p), axis=-1)


class OneHotCategorical(Distribution):
    """Categorical distribution whose events are one-hot vectors.

    Args:
        p: Probabilities ``(..., k)`` that sum to one.

    Examples:
        >>> D.OneHotCategorical(np.float32([0.25, 0.75])).log_prob(np.float32([0, 1])).array.round(2)
        Array(-0.29, dtype=float32)
    """

    def __init__(self, p: Any) -> None:
        self.p = variable(p)

    @property
    def log_p(self) -> Values:
        """Logarithms of the probabilities."""
        return F.log(self.p)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """All axes of the probabilities but the last."""
        return self.p.shape[:-1]

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The last axis of the probabilities."""
        return self.p.shape[-1:]

    @property
    def params(self) -> dict[str, Any]:
        """`p`."""
        return {"p": self.p}

    @property
    def mean(self) -> Values:
        """`p`."""
        return self.p

    @property
    def variance(self) -> Values:
        """``p (1 - p)``."""
        return self.p * (1.0 - self.p)

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the probability.

        Args:
            x: Events: one-hot vectors.
        """
        return F.sum(self.log_p * x, axis=-1)

    def sample_n(self, n: int) -> Values:
        """Draw `n` samples, in the dtype of `p`.

        Args:
            n: How many.
        """
        return Variable(jnp.eye(self.event_shape[0], dtype=self.p.dtype)[_chosen(self.log_p, n)])


@register_kl(OneHotCategorical, OneHotCategorical)
def _(p: OneHotCategorical, q: OneHotCategorical) -> Values:
    return F.sum(p.p * (p.log_p - q.log_p), axis=-1)
