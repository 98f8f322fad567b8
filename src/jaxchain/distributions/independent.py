"""Independent: some of a distribution's batch axes become part of its events."""

import math
from typing import Any

import jax.numpy as jnp

import jaxchain.functions as F
from jaxchain.distribution import Distribution, kl_divergence, register_kl
from jaxchain.distributions.base import Values


class Independent(Distribution):
    """A distribution whose last batch axes count as axes of one event: their probabilities multiply.

    Args:
        distribution: The distribution.
        reinterpreted_batch_ndims: How many axes; None for all but the first.

    Raises:
        ValueError: There are not as many.

    Examples:
        >>> each = D.Normal(np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32))
        >>> D.Independent(each).log_prob(np.zeros((2, 3), np.float32)).shape
        (2,)
    """

    def __init__(self, distribution: Distribution, reinterpreted_batch_ndims: int | None = None) -> None:
        ndim = len(distribution.batch_shape)
        if reinterpreted_batch_ndims is None:
            reinterpreted_batch_ndims = max(0, ndim - 1)
        elif reinterpreted_batch_ndims > ndim:
            raise ValueError(
                f"reinterpreted_batch_ndims must be less than or equal to the number of dimensions of "
                f"`distribution.batch_shape`, got {reinterpreted_batch_ndims} > {ndim}"
            )
        self.distribution = distribution
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    @property
    def _kept(self) -> int:
        return len(self.distribution.batch_shape) - self.reinterpreted_batch_ndims

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The batch axes that are left."""
        return self.distribution.batch_shape[: self._kept]

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The other batch axes, then the event axes of the distribution."""
        return self.distribution.batch_shape[self._kept :] + self.distribution.event_shape

    @property
    def params(self) -> dict[str, Any]:
        """Those of the distribution."""
        return self.distribution.params

    @property
    def support(self) -> str:
        """That of the distribution."""
        return self.distribution.support

    @property
    def mean(self) -> Values:
        """That of the distribution."""
        return self.distribution.mean

    @property
    def mode(self) -> Values:
        """That of the distribution."""
        return self.distribution.mode

    @property
    def stddev(self) -> Values:
        """That of the distribution."""
        return self.distribution.stddev

    @property
    def variance(self) -> Values:
        """That of the distribution."""
        return self.distribution.variance

    @property
    def covariance(self) -> Values:
        """Block diagonal: one block for each distribution that is now part of one event."""
        n = math.prod(self.distribution.batch_shape[self._kept :])
        d = math.prod(self.distribution.event_shape)
        blocks: Values = F.reshape(self.distribution.covariance, (*self.batch_shape, n, d, 1, d))
        diagonal = jnp.eye(n, dtype=blocks.dtype)[:, None, :, None]
        return F.reshape(blocks * diagonal, (*self.batch_shape, n * d, n * d))

    @property
    def entropy(self) -> Values:
        """Sum of the entropies."""
        return self._over(F.sum, self.distribution.entropy)

    def _over(self, function: Any, values: Values) -> Values:
        axes = tuple(range(-self.reinterpreted_batch_ndims, 0))
        return function(values, axis=axes) if axes else values

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the probability: a sum.

        Args:
            x: Events.
        """
        return self._over(F.sum, self.distribution.log_prob(x))

    def prob(self, x: Any) -> Values:
        """Return the probability: a product.

        Args:
            x: Events.
        """
        return self._over(F.prod, self.distribution.prob(x))

    def cdf(self, x: Any) -> Values:
        """Return the probability that every element is at most `x`.

        Args:
            x: Events.
        """
        return self._over(F.prod, self.distribution.cdf(x))

    def log_cdf(self, x: Any) -> Values:
        """Return the logarithm of `cdf`.

        Args:
            x: Events.
        """
        return self._over(F.sum, self.distribution.log_cdf(x))

    def icdf(self, x: Any) -> Values:
        """Raise an error: many events have the same probability.

        Args:
            x: Probabilities.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError("Cumulative distribution function for multivariate variable is not invertible.")

    def survival_function(self, x: Any) -> Values:
        """Return the probability that every element is more than `x`.

        Args:
            x: Events.
        """
        return self._over(F.prod, self.distribution.survival_function(x))

    def log_survival_function(self, x: Any) -> Values:
        """Return the logarithm of `survival_function`.

        Args:
            x: Events.
        """
        return self._over(F.sum, self.distribution.log_survival_function(x))

    def perplexity(self, x: Any) -> Values:
        """Return the product of the perplexities.

        Args:
            x: Events.
        """
        return self._over(F.prod, self.distribution.perplexity(x))

    def sample_n(self, n: int) -> Values:
        """Draw `n` samples as the distribution does.

        Args:
            n: How many.
        """
        return self.distribution.sample_n(n)


@register_kl(Independent, Independent)
def _(p: Independent, q: Independent) -> Values:
    if p.event_shape != q.event_shape:
        raise ValueError(f"Event shapes do not match: {p.event_shape} and {q.event_shape}")
    if p.distribution.event_shape != q.distribution.event_shape:
        raise NotImplementedError("KL between Independents with different event shapes not supported.")
    return p._over(F.sum, kl_divergence(p.distribution, q.distribution))
