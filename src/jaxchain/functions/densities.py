"""Functions that distributions use: no part of `jaxchain.functions`, as in Chainer."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Shaped

from jaxchain.core.op import Array, op


def _magnitude(x: Array) -> Array:
    return x * jnp.sign(x)  # at 0, the gradient of `jnp.abs` is 1


@op(label="LaplaceCDF")
def laplace_cdf(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Distribution function of the standard Laplace distribution. At 0: gradient 0.5."""
    return 0.5 - 0.5 * jnp.sign(x) * jnp.expm1(-jnp.abs(x))


@laplace_cdf.vjp
def _(gy, y, x):
    return (0.5 - _magnitude(y - 0.5)) * gy


@op(label="LaplaceICDF")
def laplace_icdf(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Quantile function of the standard Laplace distribution. At 0.5: gradient 2."""
    h = 1 - 2 * x
    return jnp.sign(h) * jnp.log1p(-jnp.abs(h))


@laplace_icdf.vjp
def _(gy, y, x):
    return gy / (0.5 - _magnitude(x - 0.5))


@op(label="BernoulliLogProb")
def bernoulli_log_prob(logit: Float[Array, "..."], x: Shaped[Array, "..."], binary_check: bool) -> Float[Array, "..."]:
    """Logarithm of the probability of `x`; -inf where `binary_check` finds that it is neither 0 nor 1.

    No gradient goes to `x`, and none to an infinite logit.
    """
    x = lax.stop_gradient(x).astype(logit.dtype)
    finite = jnp.where(jnp.isinf(logit), 0, logit)
    y = finite * (x - 1) - jnp.logaddexp(-finite, 0)
    y = jnp.where(jnp.isinf(logit), jnp.log(jnp.where(logit > 0, x, 1 - x)), y)
    return jnp.where((x != 0) & (x != 1), -jnp.inf, y) if binary_check else y


@op(label="TriangularInv")
def triangular_inverse(x: Float[Array, "... d d"]) -> Float[Array, "... d d"]:
    """Inverses of lower triangular matrices; what is above the diagonal is not read."""
    identity = jnp.broadcast_to(jnp.eye(x.shape[-1], dtype=x.dtype), x.shape)
    return jax.lax.linalg.triangular_solve(x, identity, left_side=True, lower=True)
