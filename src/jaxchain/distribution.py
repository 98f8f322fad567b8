"""What a probability distribution is, and the table of Kullback-Leibler divergences.

The distributions themselves are in `jaxchain.distributions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax.numpy as jnp


class Distribution:
    """Base of probability distributions. Arguments and results are Variables or arrays; all of it is differentiable.

    Parameters have the shape `batch_shape` (followed by `event_shape` where an event is no number): one distribution
    for each element. Values ``x`` broadcast with it. Nothing is computed before it is asked for.

    A subclass defines `batch_shape`, `event_shape`, `params`, `sample_n` and what it knows of the rest. Its attributes
    are all there is to it: a compiled call that returns a distribution returns one like it.
    """

    _is_record = True  # for `core.kinds`

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of independent distributions."""
        raise NotImplementedError

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one event."""
        raise NotImplementedError

    @property
    def params(self) -> dict[str, Any]:
        """The parameters by name."""
        raise NotImplementedError

    @property
    def support(self) -> str:
        """The values an event can take, in words."""
        raise NotImplementedError

    @property
    def mean(self) -> Any:
        """Mean."""
        raise NotImplementedError

    @property
    def mode(self) -> Any:
        """The most probable value."""
        raise NotImplementedError

    @property
    def variance(self) -> Any:
        """Variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Any:
        """Standard deviation."""
        raise NotImplementedError

    @property
    def covariance(self) -> Any:
        """Covariance of the elements of an event."""
        raise NotImplementedError

    @property
    def entropy(self) -> Any:
        """Entropy, in nats."""
        raise NotImplementedError

    def log_prob(self, x: Any) -> Any:
        """Return the logarithm of the probability, or of its density.

        Args:
            x: Events.
        """
        raise NotImplementedError

    def prob(self, x: Any) -> Any:
        """Return the probability, or its density.

        Args:
            x: Events.
        """
        raise NotImplementedError

    def cdf(self, x: Any) -> Any:
        """Return the probability of at most `x`.

        Args:
            x: Events.
        """
        raise NotImplementedError

    def log_cdf(self, x: Any) -> Any:
        """Return the logarithm of `cdf`.

        Args:
            x: Events.
        """
        raise NotImplementedError

    def icdf(self, x: Any) -> Any:
        """Return the value that `cdf` takes to `x`.

        Args:
            x: Probabilities.
        """
        raise NotImplementedError

    def survival_function(self, x: Any) -> Any:
        """Return the probability of more than `x`.

        Args:
            x: Events.
        """
        raise NotImplementedError

    def log_survival_function(self, x: Any) -> Any:
        """Return the logarithm of `survival_function`.

        Args:
            x: Events.
        """
        raise NotImplementedError

    def perplexity(self, x: Any) -> Any:
        """Return the perplexity.

        Args:
            x: Events.
        """
        raise NotImplementedError

    def sample_n(self, n: int) -> Any:
        """Draw `n` samples: shape ``(n, *batch_shape, *event_shape)``.

        Args:
            n: How many.
        """
        raise NotImplementedError

    def sample(self, sample_shape: int | tuple[int, ...] = ()) -> Any:
        """Draw samples; where the distribution can, gradients flow through them to its parameters.

        Args:
            sample_shape: Shape of the samples.

        Returns:
            ``(*sample_shape, *batch_shape, *event_shape)``.
        """
        shape = (sample_shape,) if isinstance(sample_shape, int) else tuple(sample_shape)
        return self.sample_n(math.prod(shape)).reshape((*shape, *self.batch_shape, *self.event_shape))

    @property
    def xp(self) -> ModuleType:
        """The array module: `jax.numpy`."""
        return jnp


_DIVERGENCES: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}


def register_kl(Dist1: type, Dist2: type) -> Callable[[Callable[[Any, Any], Any]], Callable[[Any, Any], Any]]:
    """Return a decorator that gives the divergence of two kinds of distributions.

    Args:
        Dist1: The first's class.
        Dist2: The second's class.
    """

    def register(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        _DIVERGENCES[Dist1, Dist2] = function
        return function

    return register


def kl_divergence(dist1: Distribution, dist2: Distribution) -> Any:
    r"""Return the Kullback-Leibler divergence :math:`\int p_1 \log(p_1 / p_2)`.

    Args:
        dist1: The first distribution.
        dist2: The second.

    Returns:
        Shape `batch_shape`.

    Raises:
        KeyError: No formula is registered for the two classes.
    """
    return _DIVERGENCES[type(dist1), type(dist2)](dist1, dist2)


def cross_entropy(dist1: Distribution, dist2: Distribution) -> Any:
    r"""Return the cross entropy :math:`-\int p_1 \log p_2`.

    Args:
        dist1: The first distribution.
        dist2: The second.

    Returns:
        Shape `batch_shape`. (In Chainer 7.8.1 this function raises: it calls the property `entropy`.)

    Raises:
        KeyError: No divergence is registered for the two classes.
    """
    return dist1.entropy + kl_divergence(dist1, dist2)
