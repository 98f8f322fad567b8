"""Connectionist temporal classification."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int32

from jaxchain.core.op import Array, op
from jaxchain.functions.checks import one_of
from jaxchain.functions.composed import composed
from jaxchain.functions.shape import stack


@op(label="ConnectionistTemporalClassification", name="connectionist_temporal_classification")
def _ctc(
    input_length: Int32[Array, " b"],
    label_length: Int32[Array, " b"],
    t: Int32[Array, "b m"],
    x: Float[Array, "s b v"],
    blank: int,
    reduce: str,
) -> Float[Array, "..."]:
    impossible = -1e4 if x.dtype == jnp.float16 else -1e10  # Chainer's log of 0: finite, so gradients are
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    log_p = jax.nn.log_softmax(x.astype(dtype), 2)
    log_p = jnp.where(log_p > impossible, log_p, impossible)
    # The labels with blanks before, between and after: a path stays, goes on by one, or leaps over a blank.
    path = jnp.full((t.shape[0], 2 * t.shape[1] + 1), blank, t.dtype).at[:, 1::2].set(t)
    place = jnp.arange(path.shape[1])
    leaps = (place >= 2) & (path != jnp.roll(path, 2, 1))
    inside = place < (2 * label_length + 1)[:, None]
    here = jnp.take_along_axis(log_p, path[None], 2)

    def back(alpha: Array, n: int) -> Array:
        return jnp.where(place >= n, jnp.roll(alpha, n, 1), impossible)

    def step(alpha: Array, inputs: tuple[Array, Array]) -> tuple[Array, None]:
        log_q, on = inputs
        ways = jnp.stack([alpha, back(alpha, 1), jnp.where(leaps, back(alpha, 2), impossible)])
        new = jnp.where(inside, jax.nn.logsumexp(ways, 0) + log_q, impossible)
        return jnp.where(on[:, None], new, alpha), None

    start = jnp.where(place == 0, jnp.zeros((), dtype), impossible) + jnp.zeros((t.shape[0], 1), dtype)
    alpha, _ = lax.scan(step, start, (here, jnp.arange(x.shape[0])[:, None] < input_length))
    ends = jnp.where((place >= (2 * label_length - 1)[:, None]) & inside, alpha, impossible)
    loss = -jax.nn.logsumexp(ends, 1)
    return (loss.mean() if reduce == "mean" else loss).astype(x.dtype)


@composed
def connectionist_temporal_classification(
    x: Sequence[Any],
    t,
    blank_symbol: int,
    input_length=None,
    label_length=None,
    reduce: str = "mean",
):
    r"""Negative log-likelihood of label sequences, summed over all ways to align them with the inputs.

    Args:
        x: Scores of each time: a list of ``s`` arrays ``(b, v)``, floating dtype. Their softmax is taken here.
        t: Labels ``(b, m)``, int32 in [0, v); what comes after ``label_length`` does not count.
        blank_symbol: The label that stands for no label.
        input_length: Number of times of each sequence, ``(b,)``, int32; None: all ``s``.
        label_length: Number of labels of each sequence, ``(b,)``, int32; None: all ``m``.
        reduce: ``'mean'``, or ``'no'`` for the loss of each sequence.

    Returns:
        A scalar, or ``(b,)`` if ``reduce`` is ``'no'``. Where no alignment fits (more labels than times), about 1e10
        (float16: 1e4), as in Chainer. A probability that underflows keeps its logarithm; Chainer makes it -1e10.

    Raises:
        TypeError: ``x`` is no list or tuple, or ``blank_symbol`` no int.
        AssertionError: ``blank_symbol`` is not in [0, v), or the arrays are not matrices.
        InvalidType: Shapes or dtypes do not fit.
        ValueError: ``reduce`` is unknown.

    Source: Graves et al. 2006, Connectionist temporal classification.

    Examples:
        >>> x = [np.zeros((1, 2), np.float32)] * 2
        >>> F.connectionist_temporal_classification(x, np.int32([[1]]), 0).array.round(4)  # -log(3/4)
        Array(0.2877, dtype=float32)
    """
    if not isinstance(x, Sequence):
        raise TypeError("x must be a list of Variables")
    if not isinstance(blank_symbol, int):
        raise TypeError("blank_symbol must be non-negative integer.")
    if x[0].ndim != 2 or not 0 <= blank_symbol < x[0].shape[1]:
        raise AssertionError(
            "connectionist_temporal_classification: expected matrices (b, v) and 0 <= blank_symbol < v, "
            f"got {x[0].shape} and {blank_symbol}"
        )
    one_of("reduce", reduce, ("mean", "no"))
    if input_length is None:
        input_length = np.full(len(x[0]), len(x), np.int32)
    if label_length is None:
        label_length = np.full(len(t), t.shape[1], np.int32)
    return _ctc(input_length, label_length, t, stack(x), blank_symbol, reduce)
