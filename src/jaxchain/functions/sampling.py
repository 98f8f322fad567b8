"""Losses over large vocabularies that look at a sample of it only."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int32, Shaped

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, Key, op
from jaxchain.core.variable import as_array
from jaxchain.functions.checks import integer, left_to_numpy, one_of, same_dtype
from jaxchain.functions.composed import composed


@op(label="BlackOut")
def _black_out(
    x: Float[Array, "n d"],
    t: Shaped[Array, " n"],
    W: Float[Array, "v d"],
    samples: Shaped[Array, "m s"],
    reduce: str,
) -> Float[Array, "..."]:
    integer("t", t)
    integer("samples", samples)
    same_dtype(x=x, W=W)
    n = x.shape[0]
    expect(samples.shape[0] in (1, n), "samples.shape[0] == x.shape[0] or 1", f"{samples.shape[0]}, {n}")
    samples = jnp.broadcast_to(samples, (n, samples.shape[1]))
    rows = W.at[jnp.concatenate([t[:, None], samples], 1)].get(mode="fill", fill_value=jnp.nan)
    scores = jnp.einsum("nsd,nd->ns", rows, x)
    log_p = scores - jax.nn.logsumexp(scores, 1, keepdims=True)
    loss = -(log_p[:, 0] + jnp.log(1 - jnp.exp(log_p[:, 1:])).sum(1))
    return loss.mean() if reduce == "mean" else loss


@composed
def black_out(x, t, W, samples, reduce: str = "mean"):
    r"""BlackOut loss, :math:`-\log p(t) - \sum_s \log(1 - p(s))`, p the softmax over the label and the samples.

    Args:
        x: Vectors ``(n, d)``, floating dtype.
        t: Labels ``(n,)``, integers in [0, v).
        W: Weight ``(v, d)``, same dtype.
        samples: Negative examples ``(n, s)``, integers in [0, v); ``(1, s)``: the same for all.
        reduce: ``'mean'``; anything else gives the loss of each vector.

    Returns:
        A scalar, or ``(n,)``. A label out of range gives NaN.

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: Ji et al. 2015, arXiv:1511.06909, equation 4.

    Examples:
        >>> F.black_out(np.float32([[0]]), np.int32([1]), np.zeros((2, 1), np.float32), np.int32([[0]])).array.round(4)
        Array(1.3863, dtype=float32)
    """
    return _black_out(x, t, W, samples, reduce)


@op(label="NegativeSamplingFunction")
def _negative_sampling(
    x: Float[Array, "n d"], t: Int32[Array, " n"], W: Float[Array, "v e"], samples: Key, size: int, reduce: str
) -> Float[Array, "..."]:
    same_dtype(x=x, W=W)
    with left_to_numpy():
        expect(x.shape[1] == W.shape[1], "x.shape[1] == W.shape[1]", f"{x.shape[1]} != {W.shape[1]}")
    wide = jnp.promote_types(x.dtype, jnp.float32)
    scores = jnp.einsum("nd,nsd->ns", x.astype(wide), W.at[samples.at[:, 0].set(t)].get(mode="fill").astype(wide))
    loss = jax.nn.softplus(scores.at[:, 0].multiply(-1)).sum(1)
    loss = jnp.where(t == -1, 0, loss)
    return (loss.sum() if reduce == "sum" else loss).astype(x.dtype)


@composed
def negative_sampling(x, t, W, sampler, sample_size: int, reduce: str = "sum", *, return_samples: bool = False):
    r"""Negative sampling loss, :math:`-\log\sigma(x^\top w_t) - \sum_s \log\sigma(-x^\top w_s)`.

    Args:
        x: Vectors ``(n, d)``, floating dtype.
        t: Labels ``(n,)``, int32; -1 is ignored. One that ``W`` has no row for gives NaN.
        W: Weight ``(v, d)``, same dtype.
        sampler: Takes a shape and returns integers of it, as `utils.WalkerAlias.sample` does. It is asked for
            ``(n, sample_size + 1)``; the first column gives way to the labels.
        sample_size: Number of negative examples of each vector.
        reduce: ``'sum'``, or ``'no'`` for the loss of each vector.
        return_samples: Also return the samples ``(n, sample_size + 1)``, the labels first.

    Returns:
        A scalar, or ``(n,)`` if ``reduce`` is ``'no'``; dtype of ``x``. Computed in float32 at least.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        ValueError: ``reduce`` is unknown.

    Source: Mikolov et al. 2013, arXiv:1310.4546, equation 4.

    Examples:
        >>> x, W = np.zeros((1, 1), np.float32), np.ones((3, 1), np.float32)
        >>> F.negative_sampling(x, np.int32([2]), W, lambda shape: np.zeros(shape, np.int32), 1).array.round(4)
        Array(1.3863, dtype=float32)
    """
    one_of("reduce", reduce, ("sum", "no"))
    samples: Any = jnp.asarray(as_array(sampler((t.shape[0], sample_size + 1))))
    loss = _negative_sampling(x, t, W, samples, samples.shape[1], reduce)  # the size is part of what is compiled
    return (loss, samples.at[:, 0].set(jnp.asarray(as_array(t)))) if return_samples else loss
