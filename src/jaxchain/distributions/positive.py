"""Distributions of positive numbers: Exponential, Gamma, Chisquare, LogNormal, Pareto."""

import math
from typing import Any

import jax.numpy as jnp

import jaxchain.functions as F
from jaxchain.core.variable import Variable, as_array
from jaxchain.distribution import register_kl
from jaxchain.distributions.base import Univariate, Values, masked, variable

LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)


class Exponential(Univariate):
    """Exponential distribution.

    Args:
        lam: Rate, any shape.

    Examples:
        >>> D.Exponential(np.float32([2])).mean.array
        Array([0.5], dtype=float32)
    """

    names = ("lam",)
    words = "positive"
    lam: Values

    def __init__(self, lam: Any) -> None:
        self._set(lam=lam)

    @property
    def mean(self) -> Values:
        """One over the rate."""
        return 1 / self.lam

    @property
    def variance(self) -> Values:
        """Square of the mean."""
        return self.mean**2

    @property
    def entropy(self) -> Values:
        r""":math:`1 - \log\lambda`."""
        return 1 - F.log(self.lam)

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the density; -inf below 0.

        Args:
            x: Events.
        """
        return masked(as_array(x) >= 0, F.log(self.lam) - self.lam * x, -math.inf)

    def cdf(self, x: Any) -> Values:
        """Return the probability of at most `x`.

        Args:
            x: Events.
        """
        return -F.expm1(-self.lam * x)

    def icdf(self, x: Any) -> Values:
        """Return the quantile.

        Args:
            x: Probabilities.
        """
        return -1 / self.lam * F.log1p(-variable(x))

    def sample_n(self, n: int) -> Values:
        """Draw `n` samples; gradients reach `lam`.

        Args:
            n: How many.
        """
        return self._draw(n, "exponential") / self.lam


@register_kl(Exponential, Exponential)
def _(p: Exponential, q: Exponential) -> Values:
    return F.log(p.lam) - F.log(q.lam) + q.lam / p.lam - 1.0


class Gamma(Univariate):
    """Gamma distribution.

    Args:
        k: Shape, any shape.
        theta: Scale, same shape.

    Examples:
        >>> D.Gamma(np.float32([2]), np.float32([3])).variance.array
        Array([18.], dtype=float32)
    """

    names = ("k", "theta")
    words = "positive"
    k: Values
    theta: Values

    def __init__(self, k: Any, theta: Any) -> None:
        self._set(k=k, theta=theta)

    @property
    def mean(self) -> Values:
        """`k` times `theta`."""
        return self.k * self.theta

    @property
    def variance(self) -> Values:
        """`k` times the square of `theta`."""
        return self.mean * self.theta

    @property
    def entropy(self) -> Values:
        r""":math:`k + \log\theta + \log\Gamma(k) + (1 - k)\psi(k)`."""
        return self.k + F.log(self.theta) + F.lgamma(self.k) + (1 - self.k) * F.digamma(self.k)

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the density; -inf below 0.

        Args:
            x: Events.
        """
        inside = as_array(x) >= 0
        x = masked(inside, variable(x), 1.0)  # keeps the gradient finite where the density is 0
        logp = -F.lgamma(self.k) - self.k * F.log(self.theta) + (self.k - 1) * F.log(x) - x / self.theta
        return masked(inside, logp, -math.inf)

    def sample_n(self, n: int) -> Values:
        """Draw `n` samples; gradients reach `theta`, not `k`.

        Args:
            n: How many.
        """
        return self.theta * self._draw(n, "gamma", self.k)


@register_kl(Gamma, Gamma)
def _(p: Gamma, q: Gamma) -> Values:
    shapes = (p.k - q.k) * F.digamma(p.k) - (F.lgamma(p.k) - F.lgamma(q.k))
    return shapes + q.k * (F.log(q.theta) - F.log(p.theta)) + p.k * (p.theta / q.theta - 1)


class Chisquare(Univariate):
    """Chi-squared distribution: the sum of the squares of `k` normal draws.

    Args:
        k: Degrees of freedom, any shape, floating.

    Examples:
        >>> D.Chisquare(np.float32([3])).variance.array
        Array([6.], dtype=float32)
    """

    names = ("k",)
    words = "positive"
    k: Values

    def __init__(self, k: Any) -> None:
        self._set(k=k)

    @property
    def mean(self) -> Values:
        """`k`."""
        return self.k

    @property
    def variance(self) -> Values:
        """Twice `k`."""
        return 2 * self.k

    @property
    def entropy(self) -> Values:
        r""":math:`\frac k2 + \log 2\Gamma(\frac k2) + (1 - \frac k2)\psi(\frac k2)`."""
        half = 0.5 * self.k
        return half + math.log(2.0) + F.lgamma(half) + (1 - half) * F.digamma(half)

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the density.

        Args:
            x: Events.
        """
        half, x = 0.5 * self.k, variable(x)
        return -F.lgamma(half) - half * math.log(2.0) + (half - 1) * F.log(x) - 0.5 * x

    def sample_n(self, n: int) -> Values:
        """Draw `n` samples; no gradient flows through them.

        Args:
            n: How many.
        """
        return Variable(2 * self._draw(n, "gamma", 0.5 * self.k))


class LogNormal(Univariate):
    """Log-normal distribution: the exponential of a normal draw.

    Args:
        mu: Mean of the logarithm, any shape.
        sigma: Standard deviation of the logarithm, same shape.

    Examples:
        >>> D.LogNormal(np.float32([0]), np.float32([1])).mean.array.round(2)
        Array([1.65], dtype=float32)
    """

    names = ("mu", "sigma")
    words = "positive"
    mu: Values
    sigma: Values

    def __init__(self, mu: Any, sigma: Any) -> None:
        self._set(mu=mu, sigma=sigma)

    @property
    def mean(self) -> Values:
        r""":math:`e^{\mu + \sigma^2 / 2}`."""
        return F.exp(self.mu + 0.5 * self.sigma**2)

    @property
    def variance(self) -> Values:
        r""":math:`e^{2\mu + \sigma^2}(e^{\sigma^2} - 1)`."""
        square = self.sigma**2
        return F.exp(2 * self.mu + square) * F.expm1(square)

    @property
    def entropy(self) -> Values:
        r""":math:`\frac12 + \frac12\log 2\pi + \log\sigma + \mu`."""
        return 0.5 + LOG_ROOT_2PI + F.log(self.sigma) + self.mu

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the density.

        Args:
            x: Events.
        """
        log_x = F.log(variable(x))
        return -LOG_ROOT_2PI - F.log(self.sigma) - log_x - 0.5 * (log_x - self.mu) ** 2 / self.sigma**2

    def sample_n(self, n: int) -> Values:
        """Draw `n` samples; gradients reach both parameters.

        Args:
            n: How many.
        """
        return F.exp(self.mu + self.sigma * self._draw(n, "normal"))


@register_kl(LogNormal, LogNormal)
def _(p: LogNormal, q: LogNormal) -> Values:
    spread = 0.5 * ((p.mu - q.mu) ** 2 + p.sigma**2) / q.sigma**2
    return spread - 0.5 + F.log(q.sigma) - F.log(p.sigma)


class Pareto(Univariate):
    """Pareto distribution: a power law above a smallest value.

    Args:
        scale: Smallest value, any shape.
        alpha: Exponent, same shape.

    Examples:
        >>> D.Pareto(np.float32([1, 1]), np.float32([3, 1])).mean.array
        Array([1.5, inf], dtype=float32)
    """

    names = ("scale", "alpha")
    words = "[scale, inf]"
    scale: Values
    alpha: Values

    def __init__(self, scale: Any, alpha: Any) -> None:
        self._set(scale=scale, alpha=alpha)

    @property
    def mean(self) -> Values:
        """Infinite unless ``alpha > 1``."""
        known = self.alpha.array > 1
        alpha = masked(known, self.alpha, 2.0)  # keeps the gradient finite where the mean is not
        return masked(known, alpha * self.scale / (alpha - 1), math.inf)

    @property
    def variance(self) -> Values:
        """Infinite unless ``alpha > 2``."""
        known = self.alpha.array > 2
        alpha = masked(known, self.alpha, 3.0)
        return masked(known, self.scale**2 * alpha / (alpha - 1) ** 2 / (alpha - 2), math.inf)

    @property
    def entropy(self) -> Values:
        r""":math:`\log(s / \alpha) + 1 / \alpha + 1`."""
        return -F.log(self.alpha) + F.log(self.scale) + 1.0 / self.alpha + 1.0

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the density; -inf below `scale`.

        Args:
            x: Events.
        """
        inside = as_array(x) >= self.scale.array
        x = masked(inside, variable(x), 1.0)  # keeps the gradient finite where the density is 0
        logp = F.log(self.alpha) + self.alpha * F.log(self.scale) - (self.alpha + 1) * F.log(x)
        return masked(inside, logp, -math.inf)

    def sample_n(self, n: int) -> Values:
        """Draw `n` samples; gradients reach `scale`, not `alpha`.

        Args:
            n: How many.
        """
        # jax.random.pareto begins at 1, NumPy's at 0
        return self.scale * jnp.maximum(self._draw(n, "pareto", self.alpha), 1)


@register_kl(Pareto, Pareto)
def _(p: Pareto, q: Pareto) -> Values:
    kl = q.alpha * (F.log(p.scale) - F.log(q.scale)) + F.log(p.alpha) - F.log(q.alpha) + (q.alpha - p.alpha) / p.alpha
    return masked(p.scale.array >= q.scale.array, kl, math.inf)
