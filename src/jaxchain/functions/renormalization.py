"""Batch renormalization: batch normalization that training and evaluation compute alike."""

import math
import warnings
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from jaxchain.core.config import config
from jaxchain.core.errors import expect
from jaxchain.core.op import Array, Undrawn, op
from jaxchain.functions.checks import broadcastable, left_to_numpy, same_dtype, same_shape, unbiased
from jaxchain.functions.composed import composed
from jaxchain.functions.half import at_least_single
from jaxchain.functions.normalization import fixed_batch_normalization, updatable, update


@op(label="BatchRenormalizationFunction")
def _batch_renormalization(
    x: Float[Array, "..."],
    gamma: Float[Array, "..."],
    beta: Float[Array, "..."],
    running_mean: Undrawn[Float[Array, "..."]],
    running_var: Undrawn[Float[Array, "..."]],
    rmax: float,
    dmax: float,
    eps: float,
    decay: float,
) -> tuple[Array, Array, Array]:
    """Return (y, new running mean, new running variance)."""
    same_dtype(gamma=gamma, beta=beta)
    same_shape(gamma=gamma, beta=beta)
    k = gamma.ndim
    expect(x.ndim >= k + 1, "x.ndim >= gamma.ndim + 1", f"{x.ndim} < {k + 1}")
    expect(x.shape[1 : 1 + k] == gamma.shape, f"x.shape[1:{1 + k}] == gamma.shape", f"{x.shape} and {gamma.shape}")
    with left_to_numpy():
        broadcastable(gamma=gamma, running_mean=running_mean, running_var=running_var)
    axis = (0, *range(k + 1, x.ndim))

    def wide(a: Array) -> Array:
        return a.reshape(1, *a.shape, *[1] * (x.ndim - k - 1))

    single = at_least_single(x.astype(jnp.promote_types(x.dtype, gamma.dtype)))
    mean = single.mean(axis)
    centred = single - wide(mean)
    var = jnp.square(centred).mean(axis)
    std = jnp.sqrt(var + eps)
    running_std = jnp.sqrt(running_var + eps).astype(running_mean.dtype)
    # the correction is a constant to the gradient
    r = lax.stop_gradient(jnp.clip(std / running_std, 1.0 / rmax, rmax))
    d = lax.stop_gradient(jnp.clip((mean - running_mean) / running_std, -dmax, dmax))
    y = wide(gamma) * (centred / wide(std) * wide(r) + wide(d)) + wide(beta)
    m = math.prod(x.shape[a] for a in axis)
    adjust = unbiased(m)  # the running variance is unbiased
    new_mean = decay * running_mean + ((1 - decay) * mean).astype(running_mean.dtype)
    new_var = decay * running_var + ((1 - decay) * adjust * var).astype(running_var.dtype)
    return y.astype(x.dtype), lax.stop_gradient(new_mean), lax.stop_gradient(new_var)


def batch_renormalization_with_statistics(
    x, gamma, beta, running_mean, running_var, rmax: float, dmax: float, eps: float = 2e-5, decay: float = 0.9
):
    """Batch renormalization that returns the new running statistics: what a link uses.

    Args:
        x: ``(n, *shape of gamma, ...)``, floating dtype.
        gamma: Scale.
        beta: Shift, same shape and dtype as ``gamma``.
        running_mean: Running mean, same shape.
        running_var: Running variance, same shape.
        rmax: Bound of the correction to the scale. Traced.
        dmax: Bound of the correction to the shift. Traced.
        eps: Added to the variance. Traced.
        decay: How much of the running statistics stays. Traced.

    Returns:
        ``(y, new running mean, new running variance)``: a Variable and two arrays.

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: Ioffe 2017, arXiv:1702.03275.
    """
    y, mean, var = _batch_renormalization(x, gamma, beta, running_mean, running_var, rmax, dmax, eps, decay)
    return y, mean.array, var.array


@composed
def batch_renormalization(
    x,
    gamma,
    beta,
    rmax: float,
    dmax: float,
    eps: float = 2e-5,
    running_mean: Any = None,
    running_var: Any = None,
    decay: float = 0.9,
    update_statistics: bool = False,
):
    """Normalise over a batch, corrected towards the running statistics, then scale and shift.

    Args:
        x: ``(n, *shape of gamma, ...)``, floating dtype.
        gamma: Scale.
        beta: Shift, same shape and dtype as ``gamma``.
        rmax: The scale is corrected by a factor from ``1 / rmax`` to ``rmax``. Traced.
        dmax: The shift is corrected by ``-dmax`` to ``dmax``. Traced.
        eps: Added to the variance. Traced.
        running_mean: Running mean: a Variable or a NumPy array. Required.
        running_var: Running variance. Required.
        decay: How much of the running statistics stays. Traced.
        update_statistics: Whether to update the running statistics in place.

    Returns:
        Same shape and dtype as ``x``. The correction is a constant to the gradient.

    Raises:
        AssertionError: ``config.train`` is False.
        InvalidType: Shapes or dtypes do not fit.
        TypeError: A running statistic is missing, or is an immutable array and to be updated.

    Source: Ioffe 2017, arXiv:1702.03275.

    Examples:
        >>> one, zero = np.ones(2, np.float32), np.zeros(2, np.float32)
        >>> x = np.float32([[1, 2], [3, 6]])
        >>> F.batch_renormalization(x, one, zero, 1, 0, running_mean=zero, running_var=one).array.round(2)
        Array([[-1., -1.],
               [ 1.,  1.]], dtype=float32)
    """
    for name, value in (("running_mean", running_mean), ("running_var", running_var)):
        if value is None:
            raise TypeError(f"batch_renormalization: {name} is required")
    if not config.train:
        raise AssertionError("batch_renormalization is for training: use fixed_batch_normalization")
    mean, var = running_mean, running_var
    if update_statistics:
        mean, var = updatable("batch_renormalization", running_mean=mean, running_var=var)
    y, *new = batch_renormalization_with_statistics(x, gamma, beta, mean, var, rmax, dmax, eps, decay)
    if update_statistics:
        update((running_mean, running_var), new)
    return y


@composed
def fixed_batch_renormalization(x, gamma, beta, mean, var, eps: float = 2e-5):
    """Batch normalization with given statistics. Deprecated: use `fixed_batch_normalization`.

    Args:
        x: ``(n, *shape of gamma, ...)``, floating dtype.
        gamma: Scale.
        beta: Shift, same shape and dtype as ``gamma``.
        mean: Mean, same shape and dtype.
        var: Variance, same shape and dtype.
        eps: Added to the variance. Traced.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: Ioffe 2017, arXiv:1702.03275.

    Examples:
        >>> one, two = np.ones(2, np.float32), np.full(2, 2, np.float32)
        >>> F.fixed_batch_renormalization(np.float32([[1, 5]]), one, one, two, one, eps=0.0).array
        Array([[0., 4.]], dtype=float32)
    """
    warnings.warn(
        "fixed_batch_renormalization is deprecated. Use fixed_batch_normalization instead.",
        DeprecationWarning,
        stacklevel=2,
    )
    return fixed_batch_normalization(x, gamma, beta, mean, var, eps)
