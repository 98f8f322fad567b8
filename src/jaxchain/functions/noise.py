"""Random ops. Their key comes from the global stream, so the same seed gives the same draws in both modes."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxchain.core.config import config
from jaxchain.core.errors import expect
from jaxchain.core.op import Array, Key, Undrawn, op
from jaxchain.core.random import as_key, drawn, next_key
from jaxchain.core.variable import as_array, as_variable
from jaxchain.functions.activation import softmax
from jaxchain.functions.checks import broadcastable, left_to_numpy, same_dtype, same_shape
from jaxchain.functions.composed import composed
from jaxchain.functions.draws import draw

NO_KEY = np.zeros(3, np.uint32)  # where nothing is drawn


@op(label="Dropout")
def _dropout(x: Float[Array, "..."], key: Key, ratio: float) -> tuple[Float[Array, "..."], Bool[Array, "..."]]:
    """Return (y, which elements were kept): the mask is an output, so that the gradient keeps one byte an element."""
    kept = drawn(jax.random.uniform, as_key(key), x.shape) >= ratio
    return x * factors(kept, ratio, x.dtype), kept


@_dropout.vjp
def _(gy, y, x, key, ratio):
    return gy[0] * factors(y[1], ratio, gy[0].dtype)


def _scale(ratio: Any, dtype: Any) -> Array:
    return jnp.asarray(1 / (1 - ratio)).astype(dtype)


def factors(kept: Array, ratio: Any, dtype: Any) -> Array:
    """Return what dropout multiplies by: infinity and NaN that are dropped become NaN, not 0, as in Chainer."""
    return jnp.where(kept, _scale(ratio, dtype), 0)


@op(label="Dropout", name="dropout")
def _dropout_by(x: Float[Array, "..."], mask: Undrawn[Array]) -> Float[Array, "..."]:
    with left_to_numpy():
        broadcastable(x=x, mask=mask)
    return x * mask.astype(x.dtype)


@composed
def dropout(x, ratio: float = 0.5, *, mask: Any = None, return_mask: bool = False):
    """Drop elements at random, and scale the rest so that the mean stays.

    Args:
        x: Any shape, floating dtype.
        ratio: Probability of dropping, in [0, 1). Traced: annealing it does not recompile.
        mask: Mask to multiply by, from an earlier call; None draws one.
        return_mask: Also return the mask as an array (None where nothing was dropped).

    Returns:
        Same shape and dtype as ``x``; ``x`` itself, as a Variable, where ``config.train`` is False.

    Raises:
        InvalidType: ``x`` is not floating.
        ValueError: ``ratio`` is outside [0, 1).

    Source: Hinton et al. 2012, arXiv:1207.0580.

    Examples:
        >>> F.dropout(np.ones(3, np.float32), mask=np.float32([0, 2, 2])).array
        Array([0., 2., 2.], dtype=float32)
    """
    if not config.train:
        out = as_variable(x)
        return (out, None) if return_mask else out
    if not 0.0 <= ratio < 1.0:
        raise ValueError(f"dropout_ratio must be in the range [0, 1), got {ratio}")
    if mask is not None:
        out = _dropout_by(x, as_array(mask))
        return (out, mask) if return_mask else out
    out, kept = _dropout(x, next_key(), ratio)
    return (out, factors(kept.array, ratio, out.dtype)) if return_mask else out


@op(label="Gaussian")
def _gaussian(
    mean: Float[Array, "..."], ln_var: Float[Array, "..."], eps: Undrawn[Array | None], key: Key
) -> tuple[Array, Array]:
    same_dtype(mean=mean, ln_var=ln_var)
    same_shape(mean=mean, ln_var=ln_var)
    if eps is None:
        eps = drawn(jax.random.normal, as_key(key), ln_var.shape).astype(mean.dtype)
    with left_to_numpy():
        broadcastable(ln_var=ln_var, eps=eps)
    return mean + jnp.exp(ln_var * 0.5) * eps, eps


@_gaussian.vjp
def _(gy, y, mean, ln_var, eps, key):
    g = gy[0]
    return g, g * jnp.exp(ln_var * 0.5) * y[1] * 0.5, None


@composed
def gaussian(mean, ln_var, *, eps: Any = None, return_eps: bool = False):
    r"""Sample a Gaussian so that gradients reach its parameters, :math:`\mu + e^{\frac12 \ln\sigma^2} \epsilon`.

    Args:
        mean: Mean, any shape, floating dtype.
        ln_var: Logarithm of the variance, same shape and dtype.
        eps: Standard normal noise of that shape; None draws it.
        return_eps: Also return the noise as an array.

    Returns:
        Same shape and dtype.

    Raises:
        InvalidType: Shapes or dtypes differ, or are not floating.

    Source: Kingma and Welling 2013, arXiv:1312.6114.

    Examples:
        >>> F.gaussian(np.float32([1, 2]), np.zeros(2, np.float32), eps=np.float32([0, 1])).array
        Array([1., 3.], dtype=float32)
    """
    key = next_key() if eps is None else NO_KEY
    out, used = _gaussian(mean, ln_var, None if eps is None else as_array(eps), key)
    return (out, used.array if eps is None else eps) if return_eps else out


@composed
def gumbel_softmax(log_pi, tau: float = 0.1, axis: int = 1):
    r"""Sample a relaxed categorical distribution, :math:`\mathrm{softmax}((\log\pi + g) / \tau)` with Gumbel :math:`g`.

    Args:
        log_pi: Logarithms of the probabilities, not normalised: any shape with the axis, floating dtype.
        tau: Temperature: near 0 samples are near one-hot. Traced.
        axis: The axis of the categories.

    Returns:
        Same shape and dtype. A scalar gives 1: there is one category.

    Raises:
        InvalidType: ``log_pi`` is not floating, or has no such axis.

    Source: Jang et al. 2016, arXiv:1611.01144.

    Examples:
        >>> F.gumbel_softmax(np.zeros((2, 3), np.float32)).array.sum(1).round(3)
        Array([1., 1.], dtype=float32)
    """
    if len(log_pi.shape) < 1:
        return as_variable(jnp.ones((), log_pi.dtype))
    logits: Any = as_variable(log_pi)
    return softmax((logits + draw("gumbel", logits.shape, logits.dtype.name)) / tau, axis=axis)


def _connected(x: Array, W: Array, kept: Array, ratio: Any) -> Array:
    """Return ``x`` times the weights that are kept. Sums of products fuse: no array of masked weights is made."""
    weights = (W * _scale(ratio, W.dtype))[None] * kept.reshape(-1, *W.shape).astype(W.dtype)
    return (weights * x.reshape(x.shape[0], 1, W.shape[1])).sum(2).astype(x.dtype)


@op(label="SimplifiedDropconnect")
def _simplified_dropconnect(
    x: Float[Array, "..."],
    W: Float[Array, "o i"],
    b: Float[Array, " o"] | None,
    mask: Undrawn[Array | None],
    key: Key,
    ratio: float,
    batchwise: bool,
) -> tuple[Float[Array, "n o"], Array]:
    """Return (y, which weights were kept): the mask is an output, so that the gradient does not draw it again."""
    expect(x.ndim >= 2, "x.ndim >= 2", f"{x.ndim} < 2")
    expect(math.prod(x.shape[1:]) == W.shape[1], "prod(x.shape[1:]) == W.shape[1]", f"{x.shape[1:]} and {W.shape[1]}")
    shape = (x.shape[0], *W.shape) if batchwise else W.shape
    if mask is None:
        mask = drawn(jax.random.uniform, as_key(key), shape) >= ratio
    expect(mask.shape == shape, f"mask.shape == {shape}", mask.shape)
    y = _connected(x, W, mask, ratio)
    if b is None:
        return y, mask
    same_dtype(x=x, b=b)
    return y + b, mask


@_simplified_dropconnect.vjp
def _(gy, y, x, W, b, mask, key, ratio, batchwise):
    _, pull = jax.vjp(lambda x, W: _connected(x, W, y[1], ratio), x, W)
    return *pull(gy[0]), None if b is None else gy[0].sum(0), None


@composed
def simplified_dropconnect(
    x,
    W,
    b=None,
    ratio: float = 0.5,
    train: bool = True,
    mask: Any = None,
    use_batchwise_mask: bool = True,
):
    """Linear function whose weights are dropped at random, :math:`(M * W) x + b`.

    Args:
        x: ``(n, ...)`` with i elements behind the first axis, floating dtype.
        W: Weights ``(o, i)``.
        b: Bias ``(o,)``, dtype of ``x``, or None.
        ratio: Probability of dropping a weight, in [0, 1). Traced. The rest is scaled so that the mean stays.
        train: False drops nothing.
        mask: Which weights stay, ``(n, o, i)`` or ``(o, i)`` as ``use_batchwise_mask`` says; None draws it.
        use_batchwise_mask: Whether every sample has a mask of its own.

    Returns:
        ``(n, o)``, dtype of ``x``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: Wan et al. 2013, Regularization of neural networks using DropConnect (without the Gaussian approximation).

    Examples:
        >>> one = np.ones((1, 2), np.float32)
        >>> F.simplified_dropconnect(one, one, mask=np.float32([[[1, 0]]])).array
        Array([[2.]], dtype=float32)
    """
    mask = None if mask is None else as_array(mask)
    key = next_key() if mask is None else NO_KEY
    return _simplified_dropconnect(x, W, b, mask, key, ratio if train else 0.0, bool(use_batchwise_mask))[0]


@op(label="Zoneout")
def _zoneout(h: Float[Array, "..."], x: Float[Array, "..."], key: Key, ratio: float) -> Float[Array, "..."]:
    with left_to_numpy():
        broadcastable(h=h, x=x)
    return jnp.where(drawn(jax.random.uniform, as_key(key), x.shape) >= ratio, x, h)


@composed
def zoneout(h, x, ratio: float = 0.5):
    """Keep elements of the last state at random instead of the new ones.

    Args:
        h: The last state, any shape, floating dtype.
        x: The new state, same shape and dtype.
        ratio: Probability of keeping an element of ``h``. Traced.

    Returns:
        Same shape and dtype; ``x`` itself, as it came, where ``config.train`` is False.

    Raises:
        InvalidType: Shapes do not broadcast, or arrays are not floating.

    Source: Krueger et al. 2016, arXiv:1606.01305.

    Examples:
        >>> F.zoneout(np.float32([1, 1]), np.float32([1, 1])).array
        Array([1., 1.], dtype=float32)
    """
    return _zoneout(h, x, next_key(), ratio) if config.train else x
