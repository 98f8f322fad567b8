"""Recurrent cells and stacked recurrent networks over sequences of varying lengths."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from jaxchain.core.config import config
from jaxchain.core.errors import expect
from jaxchain.core.op import Array, Key, op
from jaxchain.core.random import as_key, next_key
from jaxchain.functions.checks import same_dtype
from jaxchain.functions.noise import NO_KEY
from jaxchain.functions.shape import padded


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
    c, h = _gates(c_prev[:m], a, i, f, o)
    return (c if m == c_prev.shape[0] else jnp.concatenate([c, c_prev[m:]])), h


def _gates(c: Array, a: Array, i: Array, f: Array, o: Array) -> tuple[Array, Array]:
    c = jnp.tanh(a) * jax.nn.sigmoid(i) + jax.nn.sigmoid(f) * c
    return c, jax.nn.sigmoid(o) * jnp.tanh(c)


@op(label="NStepLSTM", name="n_step_lstm")
def _n_step_lstm(
    hx: Float[Array, "l n u"],
    cx: Float[Array, "l n u"],
    ws: Sequence[Sequence[Array]],
    bs: Sequence[Sequence[Array]],
    xs: Sequence[Array],
    dropout_ratio: float,
    key: Key,
    n_layers: int,
    dropout: bool,
) -> tuple[Array, ...]:
    expect(hx.shape[0] == n_layers, "hx.shape[0] == n_layers", f"{hx.shape[0]} != {n_layers}")
    n, lengths = hx.shape[1], [x.shape[0] for x in xs]
    expect(lengths[0] <= n, "xs[0].shape[0] <= hx.shape[1]", f"{lengths[0]} > {n}")
    for t, (p, q) in enumerate(pairwise(lengths)):
        expect(p >= q, f"xs[{t}].shape[0] >= xs[{t + 1}].shape[0]", f"{p} < {q}")
    # (time, batch, features): one scan over time per layer, so a long sequence compiles no more than a short one.
    seq = padded(xs, n, 0)
    alive = jnp.arange(n)[None, :, None] < jnp.array(lengths)[:, None, None]
    hy, cy = [], []
    for layer in range(n_layers):
        if layer and dropout:
            keep = jax.random.uniform(jax.random.fold_in(as_key(key), layer), seq.shape) >= dropout_ratio
            seq = jnp.where(keep, seq * jnp.asarray(1 / (1 - dropout_ratio)).astype(seq.dtype), 0)
        w, b = ws[layer], bs[layer]
        gates = (2, 0, 1, 3)  # a, i, f, o: Chainer keeps the weights in the order i, f, a, o
        x_w, h_w = (jnp.concatenate([w[k + g] for g in gates]) for k in (0, 4))
        bias = jnp.concatenate([b[g] + b[4 + g] for g in gates])
        # The inputs' share of all steps is one matrix product.
        sources = seq @ x_w.T + bias

        def step(
            state: tuple[Array, Array], inputs: tuple[Array, Array], h_w: Array = h_w
        ) -> tuple[tuple[Array, Array], Array]:
            (h, c), (source, on) = state, inputs
            new_c, new_h = _gates(c, *jnp.split(source + h @ h_w.T, 4, 1))
            h, c = jnp.where(on, new_h, h), jnp.where(on, new_c, c)
            return (h, c), h

        (h, c), seq = lax.scan(step, (hx[layer], cx[layer]), (sources, alive))
        hy.append(h)
        cy.append(c)
    return jnp.stack(hy), jnp.stack(cy), *(seq[t, :m] for t, m in enumerate(lengths))


def n_step_lstm(n_layers: int, dropout_ratio: float, hx, cx, ws, bs, xs):
    """Stacked long short-term memory over a sequence of batches of decreasing size.

    Args:
        n_layers: Number of layers ``l``.
        dropout_ratio: Dropout between the layers.
        hx: Initial hidden states ``(l, n, u)``.
        cx: Initial cell states ``(l, n, u)``.
        ws: Eight weights a layer; 0 to 3 take the input, 4 to 7 the hidden state, each for the gates i, f, a, o.
        bs: Eight biases a layer, in the same order.
        xs: Inputs of each time ``(n_t, features)``, ``n_t`` decreasing: see `transpose_sequence`.

    Returns:
        ``(hy, cy, ys)``: last hidden and cell states, and a tuple of the top layer's hidden states ``(n_t, u)``.

    Raises:
        InvalidType: Shapes do not fit, or batch sizes increase.
        ValueError: The inputs do not fit the first weight.

    Source: Hochreiter and Schmidhuber 1997; Gers et al. 2000.
    """
    x_in, w_in = xs[0].shape[1], ws[0][0].shape[1]
    if x_in != w_in:
        raise ValueError(f"Inconsistent input size in input values and weight parameters: {x_in} != {w_in}")
    dropout: Any = bool(config.train and dropout_ratio > 0 and n_layers > 1)
    key = next_key() if dropout else NO_KEY
    ws, bs = [list(w) for w in ws], [list(b) for b in bs]
    hy, cy, *ys = _n_step_lstm(hx, cx, ws, bs, list(xs), dropout_ratio, key, n_layers, dropout)
    return hy, cy, tuple(ys)
