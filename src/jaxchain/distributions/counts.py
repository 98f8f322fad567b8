"""Distributions of whole numbers: Bernoulli, Geometric, Poisson. No gradient flows through their samples."""

from typing import Any

import jax.numpy as jnp

import jaxchain.functions as F
from jaxchain.core.variable import Variable, as_array
from jaxchain.distribution import register_kl
from jaxchain.distributions.base import Univariate, Values, exactly_one, variable, x_log_x
from jaxchain.functions.densities import bernoulli_log_prob


class Bernoulli(Univariate):
    """Bernoulli distribution: 1 with probability `p`, else 0.

    Args:
        p: Probability, any shape.
        logit: Its log odds instead.
        binary_check: Whether `prob` of a value that is neither 0 nor 1 is 0; else the formula is used as it is.

    Raises:
        ValueError: Not exactly one of `p` and `logit` is given.

    Examples:
        >>> D.Bernoulli(np.float32([0.25])).prob(np.float32([1])).array
        Array([0.25], dtype=float32)
    """

    names = ("logit",)
    words = "{0, 1}"

    def __init__(self, p: Any = None, logit: Any = None, binary_check: bool = False) -> None:
        exactly_one(p=p, logit=logit)
        self._p = None if p is None else variable(p)
        self._logit = None if logit is None else variable(logit)
        self.binary_check = binary_check

    @property
    def p(self) -> Values:
        """Probability of 1."""
        return F.sigmoid(self._logit) if self._p is None else self._p

    @property
    def logit(self) -> Values:
        """Log odds of 1."""
        return F.log(self._p) - F.log1p(-self._p) if self._p is not None else self._given_logit

    @property
    def _given_logit(self) -> Values:
        assert self._logit is not None
        return self._logit

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the parameter."""
        return (self._given_logit if self._p is None else self._p).shape

    @property
    def mean(self) -> Values:
        """`p`."""
        return self.p

    @property
    def variance(self) -> Values:
        """``p (1 - p)``."""
        p = self.p
        return p * (1 - p)

    @property
    def stddev(self) -> Values:
        """Root of the variance."""
        return self.variance**0.5

    @property
    def entropy(self) -> Values:
        r""":math:`-p\log p - (1 - p)\log(1 - p)`; 0 at 0 and 1."""
        p = self.p
        return -x_log_x(p) - x_log_x(1.0 - p)

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the probability.

        Args:
            x: Events, 0 or 1.
        """
        return bernoulli_log_prob(self.logit, x, bool(self.binary_check))

    def prob(self, x: Any) -> Values:
        """Return the probability.

        Args:
            x: Events, 0 or 1.
        """
        x, p = variable(x), self.p
        if x.dtype.kind != "f":
            x = Variable(x.array.astype(p.dtype))
        prob = x * p + (1 - x) * (1 - p)
        if self.binary_check:
            prob = prob * ((x.array == 0) | (x.array == 1)).astype(p.dtype)
        return prob

    def sample_n(self, n: int) -> Values:
        """Draw `n` samples: integers.

        Args:
            n: How many.
        """
        return Variable(self._draw(n, "bernoulli", self.p, dtype="int32"))


@register_kl(Bernoulli, Bernoulli)
def _(p: Bernoulli, q: Bernoulli) -> Values:
    return (p.logit - q.logit) * (p.p - 1.0) - F.softplus(-p.logit) + F.softplus(-q.logit)


class Geometric(Univariate):
    """Geometric distribution: how many trials the first success takes.

    Args:
        p: Probability of success, any shape.

    Examples:
        >>> D.Geometric(np.float32([0.25])).mean.array
        Array([4.], dtype=float32)
    """

    names = ("p",)
    words = "positive integer"
    p: Values

    def __init__(self, p: Any) -> None:
        self._set(p=p)

    @property
    def mean(self) -> Values:
        """``1 / p``."""
        return 1 / self.p

    @property
    def variance(self) -> Values:
        """``(1 - p) / p**2``."""
        return (1 - self.p) / self.p**2

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the probability.

        Args:
            x: Events, from 1.
        """
        return (x - 1) * F.log(1 - self.p) + F.log(self.p)

    def sample_n(self, n: int) -> Values:
        """Draw `n` samples, in the dtype of `p`.

        Args:
            n: How many.
        """
        return Variable(self._draw(n, "geometric", self.p))


@register_kl(Geometric, Geometric)
def _(p: Geometric, q: Geometric) -> Values:
    return (1 / p.p - 1) * (F.log(1 - p.p) - F.log(1 - q.p)) + F.log(p.p) - F.log(q.p)


class Poisson(Univariate):
    """Poisson distribution.

    Args:
        lam: Mean, any shape.

    Examples:
        >>> D.Poisson(np.float32([2])).log_prob(np.float32([0])).array.round(2)
        Array([-2.], dtype=float32)
    """

    names = ("lam",)
    words = "non negative integer"
    lam: Values

    def __init__(self, lam: Any) -> None:
        self._set(lam=lam)

    @property
    def mean(self) -> Values:
        """`lam`."""
        return self.lam

    @property
    def variance(self) -> Values:
        """`lam`."""
        return self.lam

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the probability.

        Args:
            x: Events, from 0.
        """
        x = jnp.asarray(as_array(x)).astype(self.lam.dtype)
        return x * F.log(self.lam) - F.lgamma(x + 1) - self.lam

    def sample_n(self, n: int) -> Values:
        """Draw `n` samples: float32.

        Args:
            n: How many.
        """
        return Variable(self._draw(n, "poisson", self.lam, dtype="float32"))


@register_kl(Poisson, Poisson)
def _(p: Poisson, q: Poisson) -> Values:
    return p.lam * (F.log(p.lam) - F.log(q.lam)) - p.lam + q.lam
