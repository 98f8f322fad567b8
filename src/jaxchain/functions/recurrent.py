"""One step of recurrent units, as activations. Whole sequences: n_step_recurrent.py."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxchain.core.errors import InvalidType, expect
from jaxchain.core.op import Array, op
from jaxchain.functions.checks import same_dtype, same_shape
from jaxchain.functions.composed import composed


@op(label="LSTM")
def lstm(c_prev: Float[Array, "..."], x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    r"""One step of a long short-term memory with forget gate.

    With ``x`` split along its second axis into :math:`a, i, f, o` (element ``4 k + g`` is gate ``g`` of unit ``k``),
    :math:`c = \tanh(a)\sigma(i) + c_{prev}\sigma(f)` and :math:`h = \tanh(c)\sigma(o)`.

    Args:
        c_prev: Cell state ``(n, u, ...)``.
        x: Sources of the gates ``(m, 4 u, ...)`` with ``m <= n``, same dtype.

    Returns:
        ``(c, h)``: ``c`` like ``c_prev``, its rows after ``m`` unchanged; ``h`` is ``(m, u, ...)``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: Gers et al. 2000, Learning to forget.

    Examples:
        >>> c, h = F.lstm(np.zeros((1, 2), np.float32), np.zeros((1, 8), np.float32))
        >>> h.array
        Array([[0., 0.]], dtype=float32)
    """
    same_dtype(c=c_prev, x=x)
    expect(c_prev.ndim >= 2, "c.ndim >= 2", f"{c_prev.ndim} < 2")
    expect(c_prev.ndim == x.ndim, "c.ndim == x.ndim", f"{c_prev.ndim} != {x.ndim}")
    expect(x.shape[0] <= c_prev.shape[0], "x.shape[0] <= c.shape[0]", f"{x.shape[0]} > {c_prev.shape[0]}")
    expect(x.shape[1] == 4 * c_prev.shape[1], "x.shape[1] == 4 * c.shape[1]", f"{x.shape[1]} != 4 * {c_prev.shape[1]}")
    expect(x.shape[2:] == c_prev.shape[2:], "x.shape[2:] == c.shape[2:]", f"{x.shape[2:]} != {c_prev.shape[2:]}")
    m = x.shape[0]
    a, i, f, o = jnp.moveaxis(x.reshape(m, x.shape[1] // 4, 4, *x.shape[2:]), 2, 0)
    c, h = lstm_gates(c_prev[:m], a, i, f, o)
    return (c if m == c_prev.shape[0] else jnp.concatenate([c, c_prev[m:]])), h


def lstm_gates(c: Array, a: Array, i: Array, f: Array, o: Array) -> tuple[Array, Array]:
    """Return the new cell and output of an LSTM from the cell and the sources of its gates."""
    c = jnp.tanh(a) * jax.nn.sigmoid(i) + jax.nn.sigmoid(f) * c
    return c, jax.nn.sigmoid(o) * jnp.tanh(c)


@op(label="SLSTM")
def slstm(
    c_prev1: Float[Array, "..."], c_prev2: Float[Array, "..."], x1: Float[Array, "..."], x2: Float[Array, "..."]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    r"""One step of an S-LSTM: a long short-term memory for a node with two children.

    With ``x1`` and ``x2`` split as in `lstm`, :math:`c = \tanh(a_1)\sigma(i_1) + \tanh(a_2)\sigma(i_2) +
    c_1\sigma(f_1) + c_2\sigma(f_2)` and :math:`h = \tanh(c)\sigma(o_1 + o_2)`.

    Args:
        c_prev1: Cell state of the first child ``(n, u, ...)``.
        c_prev2: Cell state of the second child, same shape and dtype.
        x1: Sources of the gates of the first child ``(n, 4 u, ...)``, same dtype.
        x2: Sources of the gates of the second child, same shape and dtype.

    Returns:
        ``(c, h)``, each ``(n, u, ...)``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: Zhu et al. 2015, arXiv:1503.04881.

    Examples:
        >>> c, h = F.slstm(*[np.ones((1, 1), np.float32)] * 2, *[np.zeros((1, 4), np.float32)] * 2)
        >>> c.array
        Array([[1.]], dtype=float32)
    """
    same_dtype(c_prev1=c_prev1, c_prev2=c_prev2, x1=x1, x2=x2)
    expect(c_prev1.ndim >= 2, "c_prev1.ndim >= 2", f"{c_prev1.ndim} < 2")
    same_shape(c_prev1=c_prev1, c_prev2=c_prev2)
    n, u, *rest = c_prev1.shape
    for name, x in (("x1", x1), ("x2", x2)):
        expect(x.ndim == c_prev1.ndim, f"{name}.ndim == c_prev1.ndim", f"{x.ndim} != {c_prev1.ndim}")
        expect(x.shape[0] == n, f"{name}.shape[0] == c_prev1.shape[0]", f"{x.shape[0]} != {n}")
        expect(x.shape[1] == 4 * u, f"{name}.shape[1] == 4 * c_prev1.shape[1]", f"{x.shape[1]} != 4 * {u}")
        expect(x.shape[2:] == (*rest,), f"{name}.shape[2:] == c_prev1.shape[2:]", f"{x.shape[2:]} != {(*rest,)}")
    a1, i1, f1, o1 = jnp.moveaxis(x1.reshape(n, u, 4, *rest), 2, 0)
    a2, i2, f2, o2 = jnp.moveaxis(x2.reshape(n, u, 4, *rest), 2, 0)
    sigmoid = jax.nn.sigmoid
    c = jnp.tanh(a1) * sigmoid(i1) + jnp.tanh(a2) * sigmoid(i2) + sigmoid(f1) * c_prev1 + sigmoid(f2) * c_prev2
    return c, sigmoid(o1 + o2) * jnp.tanh(c)


@op(label="TreeLSTM")
def _tree_lstm(cs: Sequence[Array], x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    parts = 3 + len(cs)
    for i, c in enumerate(cs):
        same_dtype(**{"x": x, f"c{i}": c})
        expect(c.ndim >= 2, f"c{i}.ndim >= 2", f"{c.ndim} < 2")
        expect(c.ndim == x.ndim, f"c{i}.ndim == x.ndim", f"{c.ndim} != {x.ndim}")
        expect(x.shape[0] == c.shape[0], f"x.shape[0] == c{i}.shape[0]", f"{x.shape[0]} != {c.shape[0]}")
        expect(
            x.shape[1] == parts * c.shape[1],
            f"x.shape[1] == {parts} * c{i}.shape[1]",
            f"{x.shape[1]} != {parts} * {c.shape[1]}",
        )
        expect(x.shape[2:] == c.shape[2:], f"x.shape[2:] == c{i}.shape[2:]", f"{x.shape[2:]} != {c.shape[2:]}")
    a, i, o, *fs = jnp.split(x, parts, 1)
    c = jnp.tanh(a) * jax.nn.sigmoid(i)
    for f, child in zip(fs, cs, strict=True):
        c = c + jax.nn.sigmoid(f) * child
    return c, jax.nn.sigmoid(o) * jnp.tanh(c)


@composed
def tree_lstm(*inputs):
    r"""One step of a tree-structured long short-term memory, a forget gate for each child.

    With ``x`` split along its second axis into blocks :math:`a, i, o, f_1, ..., f_k`,
    :math:`c = \tanh(a)\sigma(i) + \sum_j c_j\sigma(f_j)` and :math:`h = \tanh(c)\sigma(o)`.

    Args:
        *inputs: Cell states of the ``k`` children ``(n, u, ...)``, then ``x``, the sources of the gates
            ``(n, (3 + k) u, ...)``, all of one floating dtype.

    Returns:
        ``(c, h)``, each ``(n, u, ...)``.

    Raises:
        InvalidType: Shapes or dtypes do not fit, or there is no child.

    Source: Tai et al. 2015, arXiv:1503.00075, in the variant of Bowman et al. 2016, arXiv:1603.06021.

    Examples:
        >>> c, h = F.tree_lstm(np.ones((1, 1), np.float32), np.zeros((1, 4), np.float32))
        >>> c.array
        Array([[0.5]], dtype=float32)
    """
    if len(inputs) < 2:
        raise InvalidType("in_types.size >= 2", f"{len(inputs)} < 2").located("TreeLSTM", "tree_lstm(...)")
    return _tree_lstm(list(inputs[:-1]), inputs[-1])
