"""Batches of falling size, one a step of sequences of different lengths, in one array and out of it.

These ops compute nothing. The number of steps is padded to one of a few, and the batch sizes are data: what takes the
array is one program for all lengths.
"""

from collections.abc import Sequence
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, op
from jaxchain.functions.checks import same_dtype


def _stacked(xs: Sequence[Array], n: int, time: int) -> Array:
    """Return arrays ``(n_t, ...)`` in one, ``(time, n, ...)``, with zeros where they have no rows."""
    shape, parts = xs[0].shape[1:], []
    for x in xs:
        parts += [x, jnp.zeros((n - x.shape[0], *shape), x.dtype)] if x.shape[0] < n else [x]
    if time > len(xs):
        parts.append(jnp.zeros(((time - len(xs)) * n, *shape), xs[0].dtype))
    return jnp.concatenate(parts).reshape(time, n, *shape)


def _cut(x: Array, sizes: Sequence[int]) -> tuple[Array, ...]:
    """Return the first ``sizes[t]`` rows of each time t of ``(time, n, ...)``."""
    n, rows = x.shape[1], x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])
    return tuple(rows[t * n : t * n + m] for t, m in enumerate(sizes))


@op(label="PadSteps")
def pad_steps(xs: Sequence[Array], time: int) -> Array:
    """Return arrays ``(n_t, ...)``, `n_t` never increasing, in one ``(time, n_0, ...)`` with zeros behind them.

    Args:
        xs: The arrays of each time.
        time: Number of steps to pad to.

    Raises:
        InvalidType: Their shapes or dtypes do not fit.
    """
    for t, (p, q) in enumerate(pairwise(xs)):
        here, there = f"xs[{t}].shape", f"xs[{t + 1}].shape"
        expect(p.shape[0] >= q.shape[0], f"{here}[0] >= {there}[0]", f"{p.shape[0]} < {q.shape[0]}")
        expect(p.shape[1:] == q.shape[1:], f"{here}[1:] == {there}[1:]", f"{p.shape[1:]} != {q.shape[1:]}")
        same_dtype(**{"xs[0]": xs[0], f"xs[{t + 1}]": q})
    return _stacked(xs, xs[0].shape[0], time)


@pad_steps.vjp
def _(gy, y, xs, time):
    return list(_cut(gy, [x.shape[0] for x in xs]))


@op(label="UnpadSteps")
def unpad_steps(x: Shaped[Array, "t n ..."], sizes: tuple[int, ...]) -> tuple[Array, ...]:
    """Return the arrays ``(sizes[t], ...)`` that `pad_steps` put into ``(time, n, ...)``.

    Args:
        x: The array of all steps.
        sizes: Number of rows of each time.
    """
    return _cut(x, sizes)


@unpad_steps.vjp
def _(gy, y, x, sizes):
    return _stacked(gy if isinstance(gy, tuple) else (gy,), x.shape[1], x.shape[0])


def in_steps(lengths: Sequence[int]) -> np.ndarray:
    """Return the batch sizes of the times, with zeros up to one of a few numbers of steps: 1, 2, 3, 4, 6, 8, 12, ...

    Args:
        lengths: Batch size of each time.
    """
    n = len(lengths)
    power = 1 << (n - 1).bit_length()
    sizes = np.zeros(power // 4 * 3 if 2 < n <= power // 4 * 3 else power, np.int32)
    sizes[:n] = lengths
    return sizes
