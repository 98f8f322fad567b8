"""Losses of variational methods: negative log-likelihoods and divergences of simple distributions."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Float, Shaped

from jaxchain.core.op import Array, op
from jaxchain.functions.checks import broadcastable, one_of, same_dtype
from jaxchain.functions.composed import composed

REDUCTIONS = ("sum", "mean", "no")


def _reduced(loss: Array, reduce: str) -> Array:
    return loss.sum() if reduce == "sum" else loss.mean() if reduce == "mean" else loss


def _fitted(x: Array, **others: Array) -> Array:
    """Return `x`, integers or floats, in the dtype of the others, once all dtypes and shapes fit."""
    if jnp.issubdtype(x.dtype, jnp.integer):
        x = x.astype(next(iter(others.values())).dtype)
    same_dtype(x=x, **others)
    broadcastable(x=x, **others)
    return x


@op(label="BernoulliNLL")
def _bernoulli_nll(x: Shaped[Array, "..."], y: Float[Array, "..."], reduce: str) -> Float[Array, "..."]:
    return _reduced(jax.nn.softplus(y) - _fitted(x, y=y) * y, reduce)


@composed
def bernoulli_nll(x, y, reduce: str = "sum"):
    r"""Negative log-likelihood of a Bernoulli distribution, :math:`-x \log p - (1-x) \log(1-p)`, p = sigmoid(y).

    Args:
        x: Values, usually 0 or 1, floating or integer dtype.
        y: Scores, floating dtype; shapes broadcast.
        reduce: ``'sum'``, ``'mean'``, or ``'no'`` for each element.

    Returns:
        A scalar, or the broadcast shape if ``reduce`` is ``'no'``; dtype of ``y``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        ValueError: ``reduce`` is unknown.

    Source: Kingma and Welling 2013, arXiv:1312.6114, appendix C.1.

    Examples:
        >>> F.bernoulli_nll(np.float32([1, 0]), np.float32([0, 0])).array.round(4)
        Array(1.3863, dtype=float32)
    """
    one_of("reduce", reduce, REDUCTIONS)
    return _bernoulli_nll(x, y, reduce)


@op(label="GaussianKLDivergence")
def _gaussian_kl_divergence(
    mean: Shaped[Array, "..."], ln_var: Float[Array, "..."], reduce: str
) -> Float[Array, "..."]:
    mean = _fitted(mean, ln_var=ln_var)
    return _reduced((mean * mean + jnp.exp(ln_var) - ln_var - 1) * 0.5, reduce)


@composed
def gaussian_kl_divergence(mean, ln_var, reduce: str = "sum"):
    r"""Divergence of Gaussians from the standard one, :math:`\frac12 (\mu^2 + \sigma^2 - \ln \sigma^2 - 1)`.

    Args:
        mean: Means, floating dtype.
        ln_var: Logarithms of the variances, same dtype; shapes broadcast.
        reduce: ``'sum'``, ``'mean'``, or ``'no'`` for each element.

    Returns:
        A scalar, or the broadcast shape if ``reduce`` is ``'no'``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        ValueError: ``reduce`` is unknown.

    Source: Kingma and Welling 2013, arXiv:1312.6114, appendix B.

    Examples:
        >>> F.gaussian_kl_divergence(np.float32([0, 2]), np.float32([0, 0])).array
        Array(2., dtype=float32)
    """
    one_of("reduce", reduce, REDUCTIONS)
    return _gaussian_kl_divergence(mean, ln_var, reduce)


@op(label="GaussianNLL")
def _gaussian_nll(
    x: Shaped[Array, "..."], mean: Float[Array, "..."], ln_var: Float[Array, "..."], reduce: str
) -> Float[Array, "..."]:
    difference = _fitted(x, mean=mean, ln_var=ln_var) - mean
    power = (difference * difference) * jnp.exp(-ln_var) * -0.5
    return _reduced((ln_var + math.log(2 * math.pi)) / 2 - power, reduce)


@composed
def gaussian_nll(x, mean, ln_var, reduce: str = "sum"):
    r"""Negative log-likelihood of Gaussians, :math:`\frac12 (\ln 2\pi\sigma^2 + (x - \mu)^2 / \sigma^2)`.

    Args:
        x: Values, floating or integer dtype.
        mean: Means, floating dtype.
        ln_var: Logarithms of the variances, same dtype; shapes broadcast.
        reduce: ``'sum'``, ``'mean'``, or ``'no'`` for each element.

    Returns:
        A scalar, or the broadcast shape if ``reduce`` is ``'no'``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        ValueError: ``reduce`` is unknown.

    Source: Kingma and Welling 2013, arXiv:1312.6114, appendix C.2.

    Examples:
        >>> F.gaussian_nll(np.float32([1]), np.float32([3]), np.float32([-np.log(2 * np.pi)])).array.round(2)
        Array(12.57, dtype=float32)
    """
    one_of("reduce", reduce, REDUCTIONS)
    return _gaussian_nll(x, mean, ln_var, reduce)
