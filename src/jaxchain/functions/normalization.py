"""Normalization over batches and layers."""

import math
import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, Undrawn, op
from jaxchain.core.variable import Variable, as_array
from jaxchain.functions.checks import left_to_numpy, same_dtype, same_shape, unbiased
from jaxchain.functions.composed import composed
from jaxchain.functions.half import at_least_single

Axes = tuple[int, ...]


def _ascending(axis: Any) -> Axes | None:
    """Return `axis` as a tuple; raises TypeError, and RuntimeError for an order that Chainer does not take."""
    if axis is None:
        return None
    if isinstance(axis, int | np.integer):
        return (int(axis),)
    if not isinstance(axis, tuple | list):
        raise TypeError(f"axis must be int, tuple of int or None, got {type(axis).__name__}")
    if any(a >= b for a, b in pairwise(axis)):
        raise RuntimeError("numbers in axis must be sorted in ascending order")
    return tuple(map(int, axis))


def _reduced(x_ndim: int, gamma_ndim: int, axis: Axes | None) -> Axes:
    """Return the axes that statistics are taken over."""
    return (0, *range(gamma_ndim + 1, x_ndim)) if axis is None else axis


def _checked(x: Array, axis: Axes | None, **parameters: Array) -> tuple[Axes, tuple[int, ...]]:
    """Check shapes; return (reduced axes, shape of a parameter that broadcasts with x)."""
    same_dtype(**parameters)
    same_shape(**parameters)
    gamma = parameters["gamma"]
    axis = _reduced(x.ndim, gamma.ndim, axis)
    expect(x.ndim >= len(axis), "x.ndim >= len(axis)", f"{x.ndim} < {len(axis)}")
    kept = [i for i in range(x.ndim) if i not in axis]
    expect(gamma.ndim == len(kept), "gamma.ndim == x.ndim - len(axis)", f"{gamma.ndim} != {len(kept)}")
    for i, k in enumerate(kept):
        expect(x.shape[k] == gamma.shape[i], f"x.shape[{k}] == gamma.shape[{i}]", f"{x.shape[k]} != {gamma.shape[i]}")
    return axis, tuple(n if i in kept else 1 for i, n in enumerate(x.shape))


@op(label="BatchNormalization")
def _batch_normalization(
    x: Float[Array, "..."],
    gamma: Float[Array, "..."],
    beta: Float[Array, "..."],
    running_mean: Undrawn[Float[Array, "..."] | None],
    running_var: Undrawn[Float[Array, "..."] | None],
    eps: float,
    decay: float,
    axis: Axes | None,
) -> tuple[Array, ...]:
    """Return (y, mean, inverse deviation), then the new running statistics if old ones are given."""
    axis, wide = _checked(x, axis, gamma=gamma, beta=beta)
    dtype = jnp.promote_types(x.dtype, gamma.dtype)
    mean = x.mean(axis, dtype=dtype)
    centred = x - mean.reshape(wide)
    var = jnp.square(centred).mean(axis)
    inv_std = lax.rsqrt(var + eps)
    y = centred * (inv_std.reshape(wide) * gamma.reshape(wide)) + beta.reshape(wide)
    out = (y.astype(x.dtype), mean, inv_std)
    if running_mean is None or running_var is None:
        return out
    m = math.prod(x.shape[a] for a in axis)
    adjust = unbiased(m)  # the running variance is unbiased
    new_mean = decay * running_mean + (1 - decay) * mean.astype(running_mean.dtype)
    new_var = decay * running_var + (1 - decay) * (adjust * var).astype(running_var.dtype)
    return (*out, new_mean, new_var)


@_batch_normalization.vjp
def _(gy, y, x, gamma, beta, running_mean, running_var, eps, decay, axis):
    # The statistics are outputs, so that the gradient reads them and does not compute them again: a third less time.
    axis, wide = _checked(x, axis, gamma=gamma, beta=beta)
    g, g_mean, g_inv_std = gy[:3]
    mean, inv_std = y[1], y[2]
    m = math.prod(x.shape[a] for a in axis)
    hat = (x - mean.reshape(wide)) * inv_std.reshape(wide)
    g = g.astype(hat.dtype)
    gbeta = g.sum(axis)
    ggamma = (g * hat).sum(axis)
    # Gradients to the mean and deviation themselves are there in second derivatives only.
    scale = gamma * inv_std
    along_hat = -(scale * ggamma + inv_std**2 * g_inv_std) / m
    constant = (g_mean - scale * gbeta) / m
    gx = scale.reshape(wide) * g + hat * along_hat.reshape(wide) + constant.reshape(wide)
    zeros = [None if r is None else jnp.zeros_like(r) for r in (running_mean, running_var)]
    return gx.astype(x.dtype), ggamma.astype(gamma.dtype), gbeta.astype(gamma.dtype), *zeros


@composed
def batch_normalization_with_statistics(
    x, gamma, beta, running_mean, running_var, *, eps: float = 2e-5, decay: float = 0.9, axis: Any = None
):
    """Batch normalization that returns the new running statistics: what the link uses.

    Args:
        x: Any shape, floating dtype.
        gamma: Scale, shape of the axes of ``x`` that are kept.
        beta: Shift, same shape and dtype as ``gamma``.
        running_mean: Running mean, same shape, or None.
        running_var: Running variance, same shape, or None.
        eps: Added to the variance. Traced.
        decay: How much of the running statistics stays. Traced.
        axis: Axes to normalise over, ascending; None for 0 and all after those of ``gamma``.

    Returns:
        ``(y, new running mean, new running variance)``: a Variable and two arrays (None where None was given).

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        RuntimeError: ``axis`` is not ascending.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167.

    Examples:
        >>> x, one, zero = np.float32([[1], [3]]), np.ones(1, np.float32), np.zeros(1, np.float32)
        >>> from jaxchain.functions import batch_normalization_with_statistics
        >>> y, mean, var = batch_normalization_with_statistics(x, one, zero, zero, one, eps=0.0)
        >>> y.array.ravel(), f"{mean[0]:.2f}", f"{var[0]:.2f}"
        (Array([-1.,  1.], dtype=float32), '0.20', '1.10')
    """
    axis = _ascending(axis)
    over = _reduced(x.ndim, gamma.ndim, axis)
    if all(x.shape[a] == 1 for a in over if a < x.ndim):
        warnings.warn(
            "A batch with no more than one sample was given to F.batch_normalization: the output is beta. "
            "Is this evaluation with config.train True?",
            stacklevel=3,
        )
    y, _, _, *new = _batch_normalization(x, gamma, beta, running_mean, running_var, eps, decay, axis)
    return (y, new[0].array, new[1].array) if new else (y, None, None)


@composed
def batch_normalization(
    x,
    gamma,
    beta,
    *,
    eps: float = 2e-5,
    running_mean: Any = None,
    running_var: Any = None,
    decay: float = 0.9,
    axis: Any = None,
):
    """Normalise to mean 0 and variance 1 over a batch, then scale and shift.

    Args:
        x: Any shape, floating dtype.
        gamma: Scale, shape of the axes of ``x`` that are kept.
        beta: Shift, same shape and dtype as ``gamma``.
        eps: Added to the variance. Traced.
        running_mean: Running mean to update in place: a Variable or a NumPy array.
        running_var: Running variance to update in place.
        decay: How much of the running statistics stays. Traced.
        axis: Axes to normalise over, ascending; None for 0 and all after those of ``gamma``.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        RuntimeError: ``axis`` is not ascending.
        TypeError: A running statistic is an immutable JAX array; see `batch_normalization_with_statistics`.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167.

    Examples:
        >>> x = np.float32([[1, 2], [3, 6]])
        >>> F.batch_normalization(x, np.ones(2, np.float32), np.zeros(2, np.float32)).array.round(2)
        Array([[-1., -1.],
               [ 1.,  1.]], dtype=float32)
    """
    old = updatable("batch_normalization", running_mean=running_mean, running_var=running_var)
    y, *new = batch_normalization_with_statistics(x, gamma, beta, *old, eps=eps, decay=decay, axis=axis)
    update((running_mean, running_var), new)
    return y


def updatable(function: str, **statistics: Any) -> list[Any]:
    """Return running statistics as arrays; raise TypeError if one cannot be updated in place."""
    for name, value in statistics.items():
        if not (value is None or isinstance(value, Variable | np.ndarray)):
            raise TypeError(
                f"{function}: {name}: expected a Variable or a NumPy array to update in place, got "
                f"{type(value).__name__}, which is immutable. Use {function}_with_statistics"
            )
    return [None if v is None else as_array(v) for v in statistics.values()]


def update(statistics: Sequence[Any], arrays: Sequence[Any]) -> None:
    """Write new running statistics where the old ones are."""
    for value, array in zip(statistics, arrays, strict=True):
        if isinstance(value, Variable):
            value.array = array
        elif value is not None and array is not None:
            value[...] = np.asarray(array)


@op(label="FixedBatchNormalization")
def _fixed_batch_normalization(
    x: Float[Array, "..."],
    gamma: Float[Array, "..."],
    beta: Float[Array, "..."],
    mean: Float[Array, "..."],
    var: Float[Array, "..."],
    eps: float,
    axis: Axes | None,
) -> Float[Array, "..."]:
    axis, wide = _checked(x, axis, gamma=gamma, beta=beta, mean=mean, var=var)
    scale = gamma * lax.rsqrt(var + eps)
    return ((x - mean.reshape(wide)) * scale.reshape(wide) + beta.reshape(wide)).astype(x.dtype)


@composed
def fixed_batch_normalization(x, gamma, beta, mean, var, eps: float = 2e-5, axis: Any = None):
    """Batch normalization with given statistics: what evaluation uses.

    Args:
        x: Any shape, floating dtype.
        gamma: Scale, shape of the axes of ``x`` that are kept.
        beta: Shift, same shape and dtype as ``gamma``.
        mean: Mean, same shape and dtype.
        var: Variance, same shape and dtype.
        eps: Added to the variance. Traced.
        axis: Axes normalised over, ascending; None for 0 and all after those of ``gamma``.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        RuntimeError: ``axis`` is not ascending.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167.

    Examples:
        >>> one = np.ones(2, np.float32)
        >>> F.fixed_batch_normalization(np.float32([[1, 3]]), one, 0 * one, one, 4 * one).array.round(2)
        Array([[0., 1.]], dtype=float32)
    """
    return _fixed_batch_normalization(x, gamma, beta, mean, var, eps, _ascending(axis))


def _standard(x: Array, axis: int, eps: float) -> Array:
    """Return `x` at mean 0 and variance 1 along an axis, in float32 at least.

    In float16 the gradient of the inverse deviation is infinite where the variance is below 6e-4.
    """
    x = at_least_single(x)
    centred = x - x.mean(axis, keepdims=True)
    return centred * lax.rsqrt(jnp.square(centred).mean(axis, keepdims=True) + eps)


@op(label="LayerNormalization")
def layer_normalization(
    x: Float[Array, "n i"], gamma: Float[Array, " j"], beta: Float[Array, " j"], eps: float = 1e-5
) -> Float[Array, "n i"]:
    """Normalise each row to mean 0 and variance 1, then scale and shift.

    Args:
        x: ``(n, i)``, floating dtype.
        gamma: Scale ``(i,)``, dtype of ``x``.
        beta: Shift ``(i,)``, dtype of ``x``.
        eps: Added to the variance. Traced.

    Returns:
        Same shape and dtype as ``x``. Computed in float32 at least.

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: Ba et al. 2016, arXiv:1607.06450.

    Examples:
        >>> F.layer_normalization(np.float32([[1, 3]]), np.ones(2, np.float32), np.zeros(2, np.float32)).array.round(2)
        Array([[-1.,  1.]], dtype=float32)
    """
    same_dtype(x=x, gamma=gamma, beta=beta)
    with left_to_numpy():
        expect(x.shape[1] == gamma.shape[0], "x.shape[1] == gamma.shape[0]", f"{x.shape[1]} != {gamma.shape[0]}")
    return (_standard(x, 1, eps) * gamma + beta).astype(x.dtype)


@op(label="GroupNormalization")
def _group_normalization(
    x: Float[Array, "n c ..."], gamma: Float[Array, " c"], beta: Float[Array, " c"], groups: int, eps: float
) -> Float[Array, "n c ..."]:
    same_dtype(gamma=gamma, beta=beta)
    flat = x.reshape(x.shape[0], groups, x.size // (x.shape[0] * groups) if x.size else 0)
    hat = _standard(flat.astype(jnp.promote_types(x.dtype, gamma.dtype)), 2, eps)
    wide = (-1, *[1] * (x.ndim - 2))
    return (hat.reshape(x.shape) * gamma.reshape(wide) + beta.reshape(wide)).astype(x.dtype)


@composed
def group_normalization(x, groups: int, gamma, beta, eps: float = 1e-5):
    """Normalise groups of channels of each sample to mean 0 and variance 1, then scale and shift.

    Args:
        x: ``(n, c, ...)``, floating dtype.
        groups: Number of groups: 1 is layer normalization, ``c`` instance normalization.
        gamma: Scale ``(c,)``.
        beta: Shift ``(c,)``, dtype of ``gamma``.
        eps: Added to the variance. Traced.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        TypeError: ``groups`` is no int.
        ValueError: The channels cannot be divided by ``groups``.

    Source: Wu and He 2018, arXiv:1803.08494.

    Examples:
        >>> one, zero = np.ones(2, np.float32), np.zeros(2, np.float32)
        >>> F.group_normalization(np.float32([[1, 3]]), 1, one, zero).array.round(2)
        Array([[-1.,  1.]], dtype=float32)
    """
    if not isinstance(groups, int):
        raise TypeError(f"group_normalization: groups: expected int, got {type(groups).__name__}")
    if len(x.shape) > 1 and tuple(gamma.shape) == (x.shape[1],) and x.shape[1] % groups:
        raise ValueError(
            f"group_normalization: expected the number of channels to be a multiple of groups, "
            f"got {x.shape[1]} channels and {groups} groups"
        )
    return _group_normalization(x, gamma, beta, groups, eps)


@op(label="LocalResponseNormalization")
def local_response_normalization(
    x: Float[Array, "n c ..."], n: int = 5, k: float = 2, alpha: float = 1e-4, beta: float = 0.75
) -> Float[Array, "n c ..."]:
    r"""Divide by the strength of neighbouring channels, :math:`x_i / (k + \alpha \sum_j x_j^2)^\beta`.

    Args:
        x: ``(n, c, ...)``, floating dtype.
        n: Number of channels in the sum: ``n // 2`` on either side.
        k: :math:`k`. Traced.
        alpha: :math:`\alpha`. Traced.
        beta: :math:`\beta`. Traced.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: ``x`` is not floating, or has less than two axes.

    Source: Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks, section 3.3.

    Examples:
        >>> F.local_response_normalization(np.float32([[1, 2]]), k=1, alpha=0.6, beta=1).array
        Array([[0.25, 0.5 ]], dtype=float32)
    """
    half, rest = n // 2, x.ndim - 2
    window, padding = (1, 2 * half + 1, *[1] * rest), ((0, 0), (half, half), *[(0, 0)] * rest)
    wide = at_least_single(x)
    near = lax.reduce_window(jnp.square(wide), np.zeros((), wide.dtype), lax.add, window, (1,) * x.ndim, padding)
    # Measured on CPU, 8x64x56x56: the power takes 31 ms with its gradient, this 10, and sums of slices 90.
    return (wide * jnp.exp(-beta * jnp.log(k + alpha * near))).astype(x.dtype)


@op(label="NormalizeL2")
def _normalize(x: Float[Array, "..."], eps: float, axis: int | tuple[int, ...] | None) -> Float[Array, "..."]:
    wide = at_least_single(x)
    total = jnp.square(wide).sum(axis, keepdims=True)
    # the guard keeps the gradient of the root finite at 0
    norm = jnp.where(total == 0, 0, jnp.sqrt(jnp.where(total == 0, 1, total)))
    return (wide / (norm + eps)).astype(x.dtype)


@composed
def normalize(x, eps: float = 1e-5, axis: int | tuple[int, ...] | None = 1):
    r"""Scale to an L2 norm of (nearly) one, :math:`x / (\|x\| + \epsilon)`.

    Args:
        x: Any shape with the axes, floating dtype.
        eps: :math:`\epsilon`. Traced.
        axis: The axis or axes that the norm is taken over; None: all.

    Returns:
        Same shape and dtype as ``x``.

    At 0: gradient ``1 / eps``.

    Raises:
        InvalidType: ``x`` is not floating, or has no such axis.

    Source: elementary.

    Examples:
        >>> F.normalize(np.float32([[3, 4]])).array.round(3)
        Array([[0.6, 0.8]], dtype=float32)
    """
    if axis is not None:
        axis = tuple(map(int, axis)) if isinstance(axis, tuple | list) else int(axis)
    return _normalize(x, eps, axis)
