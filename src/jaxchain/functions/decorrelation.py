"""Decorrelated batch normalization: whitening of groups of channels."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, op
from jaxchain.functions.checks import left_to_numpy, same_dtype, unbiased
from jaxchain.functions.composed import composed
from jaxchain.functions.normalization import updatable, update


@jax.custom_vjp
def _inverse_root(a: Array) -> Array:
    """Return the inverse square roots of symmetric positive definite matrices ``(g, c, c)``."""
    return _inverse_root_forward(a)[0]


def _inverse_root_forward(a: Array) -> tuple[Array, tuple[Array, Array]]:
    w, v = jnp.linalg.eigh(a.astype(jnp.promote_types(a.dtype, jnp.float32)))
    w, v = w.astype(a.dtype), v.astype(a.dtype)
    return (v * (w**-0.5)[:, None]) @ v.mT, (w, v)


def _inverse_root_backward(residuals: tuple[Array, Array], g: Array) -> tuple[Array]:
    # Divided differences of w ** -0.5, written so that equal eigenvalues need no care (derived ones divide by 0).
    w, v = residuals
    root = jnp.sqrt(w)
    left, right = root[:, :, None], root[:, None]
    inner = -(v.mT @ g @ v) / (left * right * (left + right))
    inner = v @ inner @ v.mT
    return ((inner + inner.mT) / 2,)


_inverse_root.defvjp(_inverse_root_forward, _inverse_root_backward)


def _grouped(x: Array, groups: int) -> Array:
    """Return ``(n, c, ...)`` as ``(groups, c // groups, n * ...)``."""
    return jnp.moveaxis(x, 1, 0).reshape(groups, x.shape[1] // groups, -1)


def _ungrouped(y: Array, x: Array) -> Array:
    """Undo `_grouped`."""
    return jnp.moveaxis(y.reshape(x.shape[1], x.shape[0], *x.shape[2:]), 0, 1)


def _divisible(x: Array, groups: int) -> None:
    with left_to_numpy():
        expect(x.shape[1] % groups == 0, f"x.shape[1] % {groups} == 0", f"x.shape[1] = {x.shape[1]}")


@op(label="DecorrelatedBatchNormalization", name="decorrelated_batch_normalization")
def _decorrelated(x: Float[Array, "n c ..."], groups: int, eps: float) -> tuple[Array, Array, Array]:
    """Return (y, mean, projection)."""
    _divisible(x, groups)
    grouped = _grouped(x, groups)
    mean = grouped.mean(2, keepdims=True)
    centred = grouped - mean
    covariance = centred @ centred.mT / centred.shape[2] + eps * jnp.eye(centred.shape[1], dtype=x.dtype)
    projection = _inverse_root(covariance.astype(x.dtype))
    return _ungrouped(projection @ centred, x), mean[:, :, 0], projection


def decorrelated_batch_normalization_with_statistics(
    x, running_mean, running_projection, *, groups: int = 16, eps: float = 2e-5, decay: float = 0.9
):
    """Decorrelated batch normalization that returns the new running statistics: what a link uses.

    Args:
        x: ``(n, c, ...)``, floating dtype.
        running_mean: Running mean ``(groups, c // groups)``, or None.
        running_projection: Running projection ``(groups, c // groups, c // groups)``, or None.
        groups: Number of groups that are whitened apart.
        eps: Added to the variances. Traced.
        decay: How much of the running statistics stays.

    Returns:
        ``(y, new running mean, new running projection)``: a Variable and two arrays (None where None was given).

    Raises:
        InvalidType: ``x`` is not floating, or its channels cannot be divided by ``groups``.

    Source: Huang et al. 2018, arXiv:1804.08450.
    """
    y, mean, projection = _decorrelated(x, groups, eps)
    m = x.shape[0] * math.prod(x.shape[2:])
    weights = (1 - decay, (1 - decay) * unbiased(m))
    new = [
        None if old is None else decay * old + (weight * now.array).astype(old.dtype)
        for old, now, weight in zip((running_mean, running_projection), (mean, projection), weights, strict=True)
    ]
    return (y, *new)


@composed
def decorrelated_batch_normalization(
    x,
    *,
    groups: int = 16,
    eps: float = 2e-5,
    running_mean: Any = None,
    running_projection: Any = None,
    decay: float = 0.9,
):
    r"""Normalise to mean 0 and covariance 1 over a batch: ZCA whitening, :math:`\Sigma^{-1/2} (x - \mu)`.

    Args:
        x: ``(n, c, ...)``, floating dtype.
        groups: Number of groups of channels; each is whitened apart.
        eps: Added to the variances. Traced.
        running_mean: Running mean ``(groups, c // groups)`` to update in place: a Variable or a NumPy array.
        running_projection: Running projection ``(groups, c // groups, c // groups)`` to update in place.
        decay: How much of the running statistics stays.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: ``x`` is not floating, or its channels cannot be divided by ``groups``.
        TypeError: A running statistic is an immutable JAX array.

    Source: Huang et al. 2018, arXiv:1804.08450.

    Examples:
        >>> x = np.float32([[1, 0], [-1, 0], [0, 2], [0, -2]])
        >>> F.decorrelated_batch_normalization(x, groups=1).array.round(2)[0]
        Array([1.41, 0.  ], dtype=float32)
    """
    old = updatable(
        "decorrelated_batch_normalization", running_mean=running_mean, running_projection=running_projection
    )
    y, *new = decorrelated_batch_normalization_with_statistics(x, *old, groups=groups, eps=eps, decay=decay)
    update((running_mean, running_projection), new)
    return y


@op(label="FixedDecorrelatedBatchNormalization")
def fixed_decorrelated_batch_normalization(
    x: Float[Array, "n c ..."], mean: Float[Array, "..."], projection: Float[Array, "..."], groups: int = 16
) -> Float[Array, "n c ..."]:
    """Decorrelated batch normalization with given statistics: what evaluation uses.

    Args:
        x: ``(n, c, ...)``, floating dtype.
        mean: ``(groups, c // groups)``, dtype of ``x``.
        projection: ``(groups, c // groups, c // groups)``, dtype of ``x``.
        groups: Number of groups of channels.

    Returns:
        Same shape and dtype as ``x``. (Gradients reach ``mean`` and ``projection``, too; Chainer 7.8.1's are wrong.)

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: Huang et al. 2018, arXiv:1804.08450.

    Examples:
        >>> mean, projection = np.ones((1, 2), np.float32), 2 * np.eye(2, dtype=np.float32)[None]
        >>> F.fixed_decorrelated_batch_normalization(np.float32([[1, 3]]), mean, projection, groups=1).array
        Array([[0., 4.]], dtype=float32)
    """
    same_dtype(x=x, mean=mean, projection=projection)
    _divisible(x, groups)
    size = x.shape[1] // groups
    with left_to_numpy():
        expect(mean.shape == (groups, size), f"mean.shape == {(groups, size)}", mean.shape)
        expect(
            projection.shape == (groups, size, size), f"projection.shape == {(groups, size, size)}", projection.shape
        )
    return _ungrouped(projection @ (_grouped(x, groups) - mean[:, :, None]), x)
