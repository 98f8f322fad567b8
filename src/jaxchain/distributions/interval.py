"""Distributions of bounded numbers: Uniform, Beta, and Dirichlet, whose events are numbers that sum to one."""

import math
from typing import Any

import jaxchain.functions as F
from jaxchain.core.variable import Variable
from jaxchain.distribution import Distribution, register_kl
from jaxchain.distributions.base import Univariate, Values, masked, variable
from jaxchain.functions.draws import draw


class Uniform(Univariate):
    """Uniform distribution.

    Args:
        low: Lower end, any shape.
        high: Upper end, same shape.
        loc: Lower end,
        scale: and width, instead.

    Raises:
        ValueError: Not exactly one of the pairs is given.

    Examples:
        >>> D.Uniform(low=np.float32([1]), high=np.float32([3])).cdf(np.float32([1.5])).array
        Array([0.25], dtype=float32)
    """

    words = "[low, high]"

    def __init__(self, *, low: Any = None, high: Any = None, loc: Any = None, scale: Any = None) -> None:
        ends, width = low is not None and high is not None, loc is not None and scale is not None
        if ends == width:
            raise ValueError("Either `low, high` or `loc, scale` (not both) must have a value.")
        self.names = ("low", "high") if ends else ("loc", "scale")
        self._pair = tuple(map(variable, (low, high) if ends else (loc, scale)))

    @property
    def low(self) -> Values:
        """Lower end."""
        return self._pair[0]

    @property
    def loc(self) -> Values:
        """Lower end."""
        return self._pair[0]

    @property
    def high(self) -> Values:
        """Upper end."""
        return self._pair[1] if self.names[0] == "low" else self._pair[0] + self._pair[1]

    @property
    def scale(self) -> Values:
        """Width."""
        return self._pair[1] if self.names[0] == "loc" else self._pair[1] - self._pair[0]

    @property
    def mean(self) -> Values:
        """Middle."""
        return (self.high + self.low) / 2

    @property
    def variance(self) -> Values:
        """Square of the width, over 12."""
        return self.scale**2 / 12

    @property
    def stddev(self) -> Values:
        """Root of the variance."""
        return F.sqrt(self.variance)

    @property
    def entropy(self) -> Values:
        """Logarithm of the width."""
        return F.log(self.scale)

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the density; -inf outside the ends.

        Args:
            x: Events.
        """
        x = variable(x)
        inside = (x.array >= self.low.array) & (x.array <= self.high.array)
        return masked(inside, -F.log(self.scale), -math.inf)

    def cdf(self, x: Any) -> Values:
        """Return the probability of at most `x`.

        Args:
            x: Events.
        """
        return F.clip((x - self.loc) / self.scale, 0.0, 1.0)

    def icdf(self, x: Any) -> Values:
        """Return the quantile.

        Args:
            x: Probabilities.
        """
        return x * self.scale + self.loc

    def sample_n(self, n: int) -> Values:
        """Draw `n` samples; gradients reach both parameters.

        Args:
            n: How many.
        """
        return self.icdf(self._draw(n, "uniform"))


@register_kl(Uniform, Uniform)
def _(p: Uniform, q: Uniform) -> Values:
    inside = (p.high.array <= q.high.array) & (p.low.array >= q.low.array)
    return masked(inside, -F.log(p.high - p.low) + F.log(q.high - q.low), math.inf)


class Beta(Univariate):
    """Beta distribution.

    Args:
        a: First parameter, any shape.
        b: Second parameter, same shape.

    Examples:
        >>> D.Beta(np.float32([1]), np.float32([3])).mean.array
        Array([0.25], dtype=float32)
    """

    names = ("a", "b")
    words = "[0, 1]"
    a: Values
    b: Values

    def __init__(self, a: Any, b: Any) -> None:
        self._set(a=a, b=b)

    @property
    def mean(self) -> Values:
        """``a / (a + b)``."""
        return self.a / (self.a + self.b)

    @property
    def variance(self) -> Values:
        """``a b / (a + b)**2 / (a + b + 1)``."""
        both = self.a + self.b
        return self.a * self.b / both**2 / (both + 1)

    @property
    def entropy(self) -> Values:
        r""":math:`\log B(a, b) - (a - 1)\psi(a) - (b - 1)\psi(b) + (a + b - 2)\psi(a + b)`."""
        a, b = self.a, self.b
        both = a + b
        apart = (a - 1) * F.digamma(a) + (b - 1) * F.digamma(b)
        return _log_beta(a, b) - apart + (both - 2) * F.digamma(both)

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the density; -inf outside [0, 1].

        Args:
            x: Events.
        """
        x = variable(x)
        inside = (x.array >= 0) & (x.array <= 1)
        x = masked(inside, x, 0.5)  # keeps the gradient finite where the density is 0
        logp = (self.a - 1) * F.log(x) + (self.b - 1) * F.log(1 - x) - _log_beta(self.a, self.b)
        return masked(inside, logp, -math.inf)

    def sample_n(self, n: int) -> Values:
        """Draw `n` samples; no gradient flows through them.

        Args:
            n: How many.
        """
        return Variable(self._draw(n, "beta", self.a, self.b))


def _log_beta(a: Values, b: Values) -> Values:
    return F.lgamma(a) + F.lgamma(b) - F.lgamma(a + b)


@register_kl(Beta, Beta)
def _(p: Beta, q: Beta) -> Values:
    p_both, q_both = p.a + p.b, q.a + q.b
    apart = (p.a - q.a) * F.digamma(p.a) + (p.b - q.b) * F.digamma(p.b)
    return _log_beta(q.a, q.b) - _log_beta(p.a, p.b) + apart + (q_both - p_both) * F.digamma(p_both)


class Dirichlet(Distribution):
    """Dirichlet distribution: of the probabilities of categories.

    Args:
        alpha: Concentrations ``(..., k)``.

    Examples:
        >>> D.Dirichlet(np.float32([1, 3])).mean.array
        Array([0.25, 0.75], dtype=float32)
    """

    def __init__(self, alpha: Any) -> None:
        self.alpha = variable(alpha)

    @property
    def alpha0(self) -> Values:
        """Sum of the concentrations."""
        return F.sum(self.alpha, axis=-1)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """All axes of `alpha` but the last."""
        return self.alpha.shape[:-1]

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The last axis of `alpha`."""
        return self.alpha.shape[-1:]

    @property
    def params(self) -> dict[str, Any]:
        """`alpha`."""
        return {"alpha": self.alpha}

    @property
    def support(self) -> str:
        """``[0, 1]``."""
        return "[0, 1]"

    @property
    def mean(self) -> Values:
        """Share of each concentration."""
        return self.alpha / F.expand_dims(self.alpha0, -1)

    @property
    def variance(self) -> Values:
        r""":math:`\alpha_i (\alpha_0 - \alpha_i) / \alpha_0^2 / (\alpha_0 + 1)`."""
        total = F.expand_dims(self.alpha0, -1)
        return self.alpha * (total - self.alpha) / total**2 / (total + 1)

    @property
    def entropy(self) -> Values:
        r""":math:`\log B(\alpha) + (\alpha_0 - k)\psi(\alpha_0) - \sum_i (\alpha_i - 1)\psi(\alpha_i)`."""
        alpha, total = self.alpha, self.alpha0
        each = F.sum((alpha - 1) * F.digamma(alpha), axis=-1)
        return _log_beta_of(alpha) + (total - self.event_shape[0]) * F.digamma(total) - each

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the density.

        Args:
            x: Events ``(..., k)``.
        """
        return -_log_beta_of(self.alpha) + F.sum((self.alpha - 1) * F.log(variable(x)), axis=-1)

    def sample_n(self, n: int) -> Values:
        """Draw `n` samples; no gradient flows through them.

        Args:
            n: How many.
        """
        return Variable(draw("dirichlet", (n, *self.batch_shape), self.alpha.dtype.name, self.alpha.array))


def _log_beta_of(x: Values) -> Values:
    return F.sum(F.lgamma(x), axis=-1) - F.lgamma(F.sum(x, axis=-1))


@register_kl(Dirichlet, Dirichlet)
def _(p: Dirichlet, q: Dirichlet) -> Values:
    expected = F.digamma(p.alpha) - F.expand_dims(F.digamma(p.alpha0), -1)
    return _log_beta_of(q.alpha) - _log_beta_of(p.alpha) + F.sum((p.alpha - q.alpha) * expected, axis=-1)
