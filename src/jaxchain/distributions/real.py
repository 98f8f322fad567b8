"""Distributions of real numbers with a location and a scale: Normal, Laplace, Cauchy, Gumbel.

Their samples are ``loc + scale * eps``, so gradients flow through them.
"""

import math
import warnings
from typing import Any

import jax.numpy as jnp

import jaxchain.functions as F
from jaxchain.core.variable import Variable
from jaxchain.distribution import register_kl
from jaxchain.distributions.base import Univariate, Values, exactly_one, variable
from jaxchain.functions.densities import laplace_cdf, laplace_icdf

LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)
EULER = 0.5772156649015329


class LocationScale(Univariate):
    """A distribution of ``loc + scale * eps``, where `eps` is a draw of `kind`."""

    names = ("loc", "scale")
    words = "real"
    kind = ""
    loc: Values
    scale: Values

    def __init__(self, loc: Any, scale: Any) -> None:
        self._set(loc=loc, scale=scale)

    def _standard(self, x: Any) -> Any:
        return (x - self.loc) / self.scale

    def sample_n(self, n: int) -> Values:
        """Draw `n` samples; gradients reach both parameters.

        Args:
            n: How many.
        """
        return self.loc + self.scale * self._draw(n, self.kind)


class Normal(LocationScale):
    """Normal distribution.

    Args:
        loc: Mean, any shape.
        scale: Standard deviation, same shape.
        log_scale: Its logarithm instead.

    Raises:
        ValueError: Not exactly one of `scale` and `log_scale` is given.

    Examples:
        >>> D.Normal(np.float32([0]), np.float32([1])).log_prob(np.float32([0])).array.round(3)
        Array([-0.919], dtype=float32)
    """

    kind = "normal"

    def __init__(self, loc: Any, scale: Any = None, *, log_scale: Any = None) -> None:
        exactly_one(scale=scale, log_scale=log_scale)
        self._set(loc=loc)
        self._scale = None if scale is None else variable(scale)
        self._log_scale = None if log_scale is None else variable(log_scale)

    @property
    def scale(self) -> Values:  # type: ignore[override]
        """Standard deviation."""
        return F.exp(self._log_scale) if self._scale is None else self._scale

    @property
    def log_scale(self) -> Values:
        """Logarithm of the standard deviation."""
        return F.log(self._scale) if self._log_scale is None else self._log_scale

    @property
    def mean(self) -> Values:
        """`loc`."""
        return self.loc

    @property
    def stddev(self) -> Values:
        """`scale`."""
        return self.scale

    @property
    def variance(self) -> Values:
        """Square of `scale`."""
        return self.scale**2

    @property
    def entropy(self) -> Values:
        r""":math:`\log\sigma + \frac12\log 2\pi e`."""
        return self.log_scale + (LOG_ROOT_2PI + 0.5)

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the density.

        Args:
            x: Events.
        """
        return -LOG_ROOT_2PI - self.log_scale - 0.5 * (x - self.loc) ** 2 / self.variance

    def prob(self, x: Any) -> Values:
        """Return the density.

        Args:
            x: Events.
        """
        return math.exp(-LOG_ROOT_2PI) / self.scale * F.exp(-0.5 * (x - self.loc) ** 2 / self.variance)

    def cdf(self, x: Any) -> Values:
        """Return the probability of at most `x`.

        Args:
            x: Events.
        """
        return F.ndtr(self._standard(x))

    def log_cdf(self, x: Any) -> Values:
        """Return the logarithm of `cdf`, exact in the lower tail.

        Args:
            x: Events.
        """
        return F.log_ndtr(self._standard(x))

    def icdf(self, x: Any) -> Values:
        """Return the quantile.

        Args:
            x: Probabilities.
        """
        return self.loc + self.scale * F.ndtri(x)

    def survival_function(self, x: Any) -> Values:
        """Return the probability of more than `x`.

        Args:
            x: Events.
        """
        return F.ndtr((self.loc - x) / self.scale)

    def log_survival_function(self, x: Any) -> Values:
        """Return the logarithm of `survival_function`, exact in the upper tail.

        Args:
            x: Events.
        """
        return F.log_ndtr((self.loc - x) / self.scale)


@register_kl(Normal, Normal)
def _(p: Normal, q: Normal) -> Values:
    return q.log_scale - p.log_scale + 0.5 * (p.variance + (p.loc - q.loc) ** 2) / q.variance - 0.5


class Laplace(LocationScale):
    """Laplace distribution: exponential on both sides.

    Args:
        loc: Mean, any shape.
        scale: Mean distance from it, same shape.

    Examples:
        >>> D.Laplace(np.float32([0]), np.float32([1])).cdf(np.float32([0])).array
        Array([0.5], dtype=float32)
    """

    kind = "laplace"

    @property
    def mean(self) -> Values:
        """`loc`."""
        return self.loc

    @property
    def mode(self) -> Values:
        """`loc`."""
        return self.loc

    @property
    def stddev(self) -> Values:
        """Root of 2 times `scale`."""
        return math.sqrt(2) * self.scale

    @property
    def variance(self) -> Values:
        """Twice the square of `scale`."""
        return 2 * self.scale**2

    @property
    def entropy(self) -> Values:
        r""":math:`1 + \log 2b`."""
        return 1.0 + F.log(2 * self.scale)

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the density.

        Args:
            x: Events.
        """
        return -F.log(2 * self.scale) - abs(x - self.loc) / self.scale

    def prob(self, x: Any) -> Values:
        """Return the density.

        Args:
            x: Events.
        """
        return 0.5 / self.scale * F.exp(-abs(x - self.loc) / self.scale)

    def cdf(self, x: Any) -> Values:
        """Return the probability of at most `x`.

        Args:
            x: Events.
        """
        return laplace_cdf(self._standard(x))

    def icdf(self, x: Any) -> Values:
        """Return the quantile.

        Args:
            x: Probabilities.
        """
        return self.loc + self.scale * laplace_icdf(variable(x))


@register_kl(Laplace, Laplace)
def _(p: Laplace, q: Laplace) -> Values:
    distance = abs(p.loc - q.loc)
    near = p.scale / q.scale * F.exp(-distance / p.scale)
    return F.log(q.scale) - F.log(p.scale) + distance / q.scale + near - 1


class Cauchy(LocationScale):
    """Cauchy distribution: tails so heavy that there is no mean.

    Args:
        loc: Median, any shape.
        scale: Half the distance between the quartiles, same shape.

    Examples:
        >>> D.Cauchy(np.float32([0]), np.float32([1])).cdf(np.float32([1])).array
        Array([0.75], dtype=float32)
    """

    kind = "cauchy"

    def _undefined(self, what: str) -> Values:
        warnings.warn(f"{what} of the cauchy distribution is undefined.", RuntimeWarning, stacklevel=3)
        return Variable(jnp.full_like(self.loc.array, jnp.nan))

    @property
    def mean(self) -> Values:
        """NaN, with a RuntimeWarning: there is none."""
        return self._undefined("Mean")

    @property
    def variance(self) -> Values:
        """NaN, with a RuntimeWarning: there is none."""
        return self._undefined("Variance")

    @property
    def entropy(self) -> Values:
        r""":math:`\log 4\pi\gamma`."""
        return F.log(4 * math.pi * self.scale)

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the density.

        Args:
            x: Events.
        """
        return -math.log(math.pi) + F.log(self.scale) - F.log((x - self.loc) ** 2 + self.scale**2)

    def cdf(self, x: Any) -> Values:
        """Return the probability of at most `x`.

        Args:
            x: Events.
        """
        return 1 / math.pi * F.arctan(self._standard(x)) + 0.5

    def icdf(self, x: Any) -> Values:
        """Return the quantile.

        Args:
            x: Probabilities.
        """
        return self.loc + self.scale * F.tan((variable(x) - 0.5) * math.pi)


class Gumbel(LocationScale):
    """Gumbel distribution: of the largest of many draws.

    Args:
        loc: Mode, any shape.
        scale: Scale, same shape.

    Examples:
        >>> D.Gumbel(np.float32([0]), np.float32([1])).mean.array.round(2)
        Array([0.58], dtype=float32)
    """

    kind = "gumbel"

    @property
    def mean(self) -> Values:
        """`loc` plus Euler's constant times `scale`."""
        return self.loc + EULER * self.scale

    @property
    def variance(self) -> Values:
        r""":math:`\frac{\pi^2}{6}\beta^2`."""
        return math.pi**2 / 6 * self.scale**2

    @property
    def entropy(self) -> Values:
        r""":math:`\log\beta + \gamma + 1`."""
        return F.log(self.scale) + (EULER + 1)

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the density.

        Args:
            x: Events.
        """
        y = self._standard(x)
        return -F.log(self.scale) - y - F.exp(-y)


@register_kl(Gumbel, Gumbel)
def _(p: Gumbel, q: Gumbel) -> Values:
    ratio = p.scale / q.scale
    moved = F.exp((q.loc - p.loc) / q.scale + F.lgamma(ratio + 1.0))
    return F.log(q.scale) - F.log(p.scale) + EULER * (ratio - 1.0) + moved - 1 + (p.loc - q.loc) / q.scale
