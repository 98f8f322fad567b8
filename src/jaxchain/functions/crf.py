"""Linear-chain conditional random fields.

Sequences of different lengths are moved into one array before the op, as in `n_step_recurrent`: one program serves all.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, Key, op
from jaxchain.core.variable import as_array
from jaxchain.functions.checks import integer, one_of, same_dtype
from jaxchain.functions.composed import composed
from jaxchain.functions.shape import padded
from jaxchain.functions.steps import in_steps, pad_steps, unpad_steps


def _together(cost: Array, xs: Sequence[Array], sizes: Array | None) -> tuple[Array, Array]:
    """Return the scores of all times ``(time, n, k)``, padded, and which of their rows are alive ``(time, n)``."""
    if sizes is not None:
        (x,) = xs
        same_dtype(**{"cost": cost, "xs[0]": x})
        expect(x.shape[2] == cost.shape[0], "xs[0].shape[1] == cost.shape[0]", f"{x.shape[2]} != {cost.shape[0]}")
        return x, jnp.arange(x.shape[1]) < sizes[:, None]
    for i, x in enumerate(xs):
        same_dtype(**{"cost": cost, f"xs[{i}]": x})
        expect(x.ndim == 2, f"xs[{i}].ndim == 2", f"{x.ndim} != 2")
        expect(x.shape[1] == cost.shape[0], f"xs[{i}].shape[1] == cost.shape[0]", f"{x.shape[1]} != {cost.shape[0]}")
    lengths = [x.shape[0] for x in xs]
    for i, (p, q) in enumerate(pairwise(lengths)):
        expect(p >= q, f"xs[{i}].shape[0] >= xs[{i + 1}].shape[0]", f"{p} < {q}")
    return padded(xs, lengths[0], 0), jnp.arange(lengths[0]) < jnp.array(lengths)[:, None]


def _in_steps(xs: Sequence[Any], ys: Sequence[Any]) -> tuple[list[Any], list[Any], np.ndarray | None]:
    """Return scores and labels in one array of padded steps each, and their batch sizes: one program serves all.

    Sequences of one length stay as they are, as in `n_step_lstm`; so does what does not fit: the op says why.
    """
    xs, ys = list(xs), list(ys)
    lengths = [x.shape[0] for x in xs]
    fit = all(x.ndim == 2 and x.shape[1] == xs[0].shape[1] and x.dtype == xs[0].dtype for x in xs)
    fit = fit and lengths == sorted(lengths, reverse=True)
    fit = fit and all(y.shape == (n,) and y.dtype == ys[0].dtype for y, n in zip(ys, lengths, strict=False))
    if not fit or lengths[0] == lengths[-1]:
        return xs, ys, None
    sizes = in_steps(lengths)
    return [pad_steps(xs, len(sizes))], [pad_steps(ys, len(sizes))] if ys else [], sizes


@op(label="CRF1d")
def _crf1d(
    cost: Float[Array, "k k"],
    xs: Sequence[Array],  # and ys: one array of padded steps (time, n, ...) if there are `sizes`
    ys: Sequence[Array],
    sizes: Key,
    reduce: str,
) -> Float[Array, "..."]:
    for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
        integer(f"ys[{i}]", y)
        rows = x.shape[:1] if sizes is None else x.shape[:2]
        expect(y.shape == rows, f"ys[{i}].shape == xs[{i}].shape[:1]", f"{y.shape} != {rows}")
    x, alive = _together(cost, xs, sizes)
    y = ys[0] if sizes is not None else padded(ys, x.shape[1], 0)

    def step(alpha: Array, inputs: tuple[Array, Array]) -> tuple[Array, None]:
        score, on = inputs
        return jnp.where(on[:, None], jax.nn.logsumexp(alpha[:, :, None] + cost, 1) + score, alpha), None

    alpha, _ = lax.scan(step, x[0], (x[1:], alive[1:]))
    # A label out of range gives nan: a loss that is wrong and looks right is worse.
    here = jnp.take_along_axis(x, y[..., None], 2, mode="fill", fill_value=jnp.nan)[..., 0]
    between = cost.at[y[:-1], y[1:]].get(mode="fill", fill_value=jnp.nan)
    loss = jax.nn.logsumexp(alpha, 1) - jnp.where(alive, here, 0).sum(0) - jnp.where(alive[1:], between, 0).sum(0)
    return loss.sum() / x.shape[1] if reduce == "mean" else loss


@composed
def crf1d(cost, xs: Sequence[Any], ys: Sequence[Any], reduce: str = "mean"):
    r"""Negative log-likelihood of a linear-chain conditional random field.

    :math:`\log Z - \sum_i x_{i y_i} - \sum_i c_{y_i y_{i+1}}`, Z summed over all label sequences.

    Args:
        cost: Score of a step from one label to another, ``(k, k)``, floating dtype.
        xs: Scores of each time ``(n_t, k)``, ``n_t`` never increasing: see `transpose_sequence`.
        ys: Labels of each time ``(n_t,)``, integers in [0, k).
        reduce: ``'mean'``, or ``'no'`` for the loss of each sequence.

    Returns:
        A scalar, or ``(n_0,)`` if ``reduce`` is ``'no'``. A label out of range gives NaN.

    Raises:
        AssertionError: ``xs`` and ``cost`` have another number of labels.
        InvalidType: Other shapes or dtypes do not fit.
        ValueError: ``reduce`` is unknown, or ``ys`` has fewer times than ``xs``.

    Source: Lafferty et al. 2001, Conditional random fields.

    Examples:
        >>> xs, ys = [np.zeros((1, 2), np.float32)] * 3, [np.int32([0])] * 3
        >>> F.crf1d(np.zeros((2, 2), np.float32), xs, ys).array.round(4)  # one of eight
        Array(2.0794, dtype=float32)
    """
    one_of("reduce", reduce, ("mean", "no"))
    if xs[0].shape[1] != cost.shape[0]:
        raise AssertionError(
            f"crf1d: expected xs[0].shape[1] == cost.shape[0], got {xs[0].shape[1]} != {cost.shape[0]}"
        )
    if len(xs) > len(ys):
        raise ValueError(f"crf1d: expected labels for each of the {len(xs)} times of xs, got {len(ys)}")
    if len(xs) == 1:  # there are no steps: `cost` gets no gradient, not one of zeros
        cost = as_array(cost)
    return _crf1d(cost, *_in_steps(xs, ys[: len(xs)]), reduce)


def _largest(x: Array, axis: int) -> Array:
    """Return the maximum over an axis, its gradient 1 to each element that is equal to it, as in `functions.max`."""
    best = lax.stop_gradient(x.max(axis, keepdims=True))
    tied = (x == best) & jnp.isfinite(best)
    return best.squeeze(axis) + jnp.where(tied, x - lax.stop_gradient(jnp.where(tied, x, 0)), 0).sum(axis)


@op(label="ArgmaxCRF1d")
def _argmax_crf1d(cost: Float[Array, "k k"], xs: Sequence[Array], sizes: Key) -> tuple[Array, Array]:
    x, alive = _together(cost, xs, sizes)

    def forth(alpha: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        score, on = inputs
        ways = alpha[:, :, None] + cost
        return jnp.where(on[:, None], _largest(ways, 1) + score, alpha), ways.argmax(1)

    def back(label: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        origin, on = inputs
        return jnp.where(on, jnp.take_along_axis(origin, label[:, None], 1)[:, 0], label), label

    alpha, origins = lax.scan(forth, x[0], (x[1:], alive[1:]))
    first, rest = lax.scan(back, alpha.argmax(1), (origins, alive[1:]), reverse=True)
    labels = jnp.concatenate([first[None], rest]).astype(jnp.int32)
    return _largest(alpha, 1), labels


@composed
def argmax_crf1d(cost, xs: Sequence[Any]):
    """Most likely labels of a linear-chain conditional random field.

    Args:
        cost: Score of a step from one label to another, ``(k, k)``, floating dtype.
        xs: Scores of each time ``(n_t, k)``, ``n_t`` never increasing: see `transpose_sequence`.

    Returns:
        ``(score, labels)``: the score ``(n_0,)`` of the best label sequence, and a list of its labels at each time,
        arrays ``(n_t,)`` of int32.

    At ties: the first label, and the gradient of the score goes to all.

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: Viterbi 1967; Lafferty et al. 2001, Conditional random fields.

    Examples:
        >>> xs = [np.float32([[0, 1]]), np.float32([[0, 1]])]
        >>> score, labels = F.argmax_crf1d(np.float32([[0, 0], [5, 0]]), xs)
        >>> score.array, labels
        (Array([6.], dtype=float32), [Array([1], dtype=int32), Array([0], dtype=int32)])
    """
    steps, _, sizes = _in_steps(xs, [])
    score, labels = _argmax_crf1d(cost, steps, sizes)
    return score, [label.array for label in unpad_steps(labels, tuple([x.shape[0] for x in xs]))]
