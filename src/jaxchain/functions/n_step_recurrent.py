"""Stacked recurrent networks over sequences of varying lengths, in one or two directions.

One op does all of them: one `lax.scan` over time for each layer and direction, so a long sequence compiles no more than
a short one. A cell is a function of the state and of the inputs' and the state's share of its gates.

Sequences of different lengths come as one array of steps (functions/steps.py): one program serves all lengths.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from jaxchain.core.config import config
from jaxchain.core.errors import InvalidType, expect
from jaxchain.core.op import Array, Key, op
from jaxchain.core.random import as_key, drawn, next_key
from jaxchain.functions.checks import same_dtype
from jaxchain.functions.composed import composed
from jaxchain.functions.noise import NO_KEY, factors
from jaxchain.functions.recurrent import lstm_gates
from jaxchain.functions.steps import in_steps, pad_steps, unpad_steps

State = tuple[Array, Array | None]
Found = tuple[State, Array]


def _lstm_cell(state: tuple[Array, Array], source: Array, hidden: Array) -> State:
    c, h = lstm_gates(state[1], *jnp.split(source + hidden, 4, 1))
    return h, c


def _gru_cell(state: State, source: Array, hidden: Array) -> State:
    (r, z, a), (r_h, z_h, a_h) = jnp.split(source, 3, 1), jnp.split(hidden, 3, 1)
    z = jax.nn.sigmoid(z + z_h)
    return (1 - z) * jnp.tanh(a + jax.nn.sigmoid(r + r_h) * a_h) + z * state[0], None


def _tanh_cell(state: State, source: Array, hidden: Array) -> State:
    return jnp.tanh(source + hidden), None


def _relu_cell(state: State, source: Array, hidden: Array) -> State:
    x = source + hidden
    return jnp.where(x <= 0, 0, x), None  # NaN stays


# name: (cell, which of Chainer's weights each of its gates has); Chainer keeps an LSTM's in the order i, f, a, o
CELLS: dict[str, tuple[Callable[..., State], tuple[int, ...]]] = {
    "lstm": (_lstm_cell, (2, 0, 1, 3)),
    "gru": (_gru_cell, (0, 1, 2)),
    "tanh": (_tanh_cell, (0,)),
    "relu": (_relu_cell, (0,)),
}


def _advance(
    move: Callable[..., State], backward: bool, source: Array, h_w: Array, h_b: Array, first: State, alive: Array | None
) -> Found:
    """Return the states after each step ``(time, n, u)``, and the state's share of its gates ``(time, n, g)``, as bits.

    Rows that are not alive (None: all are) keep their states.
    """

    def step(state: State, inputs: Any) -> tuple[State, Found]:
        source, on = inputs
        hidden = state[0] @ h_w.T + h_b
        new = move(state, source, hidden)
        if on is not None:
            new = jax.tree.map(lambda a, b: jnp.where(on, a, b), new, state)
        return new, (new, lax.bitcast_convert_type(hidden, f"int{8 * hidden.dtype.itemsize}"))

    return lax.scan(step, first, (source, alive), reverse=backward)[1]


@jax.custom_jvp
def _known_share(share: Array, h: Array, h_w: Array, h_b: Array) -> Array:
    """Return ``h @ h_w.T + h_b``, which is known, with its derivative."""
    return share


@_known_share.defjvp
def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
    share, h, h_w, _ = primals
    _, g, g_w, g_b = tangents
    return share, g @ h_w.T + h @ g_w.T + g_b


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _replay(
    move: Callable[..., State],
    backward: bool,
    source: Array,
    h_w: Array,
    h_b: Array,
    first: State,
    alive: Array | None,
    found: Found,
) -> State:
    """Return the states, which `_advance` found, with its derivative: the gradient does not run forward again.

    Its loop holds the cell and one product; the weights' gradients are one product for all steps. A static step of an
    LSTM (64 x 32 x 128, CPU) takes three quarters of the time that it takes with the derivative of the scan.
    """
    return found[0]


def _replay_forward(move: Any, backward: bool, *inputs: Any) -> tuple[State, Any]:
    return inputs[-1][0], inputs


def _replay_gradient(move: Any, backward: bool, inputs: Any, g: State) -> tuple[Any, ...]:
    source, h_w, h_b, first, alive, (states, bits) = inputs
    before = jax.tree.map(
        lambda s, f: jnp.concatenate([s[1:], f[None]] if backward else [f[None], s[:-1]]), states, first
    )
    hidden = _known_share(lax.bitcast_convert_type(bits, source.dtype), before[0], h_w, h_b)

    def step(later: State, inputs: Any) -> tuple[State, tuple[Array, Array]]:
        state, source, hidden, on, g = inputs
        g = jax.tree.map(jnp.add, g, later)
        _, pull = jax.vjp(move, state, source, hidden)
        (h, c), g_source, g_hidden = pull(g if on is None else jax.tree.map(lambda v: jnp.where(on, v, 0), g))
        if on is not None:
            h, c = jax.tree.map(lambda v, w: v + jnp.where(on, 0, w), (h, c), g)
        return (h + g_hidden @ h_w, c), (g_source, g_hidden)

    zeros = jax.tree.map(jnp.zeros_like, first)
    g_first, (g_source, g_hidden) = lax.scan(step, zeros, (before, source, hidden, alive, g), reverse=not backward)
    return g_source, jnp.einsum("tng,tnu->gu", g_hidden, before[0]), g_hidden.sum((0, 1)), g_first, None, None


_replay.defvjp(_replay_forward, _replay_gradient)


def _network(
    hx: Any,
    cx: Any,
    ws: Any,
    bs: Any,
    xs: Any,
    sizes: Any,
    dropout_ratio: Any,
    key: Any,
    cell: str,
    n_layers: int,
    directions: int,
    dropout: bool,
    known: Any,
) -> tuple[Array, ...]:
    """Return the last states, the outputs of each time, and all states of each layer and direction.

    If they are not `known` yet, the bits of `_advance` follow.
    """
    move, gates = CELLS[cell]
    if sizes is None:  # all rows run through all steps
        seq, alive = jnp.stack(xs), None  # (time, batch, features)
    else:
        n, (x,) = hx.shape[1], xs
        seq = jnp.pad(x, ((0, 0), (0, n - x.shape[1]), (0, 0)))  # rows without any input
        alive = jnp.arange(n)[None, :, None] < sizes[:, None, None]
    found: list[State] = []
    bits: list[Array] = []
    for layer in range(n_layers):
        for direction in range(directions):
            row, fed = layer * directions + direction, seq
            if layer and dropout:
                keep = drawn(jax.random.uniform, jax.random.fold_in(as_key(key), row), seq.shape) >= dropout_ratio
                fed = seq * factors(keep, dropout_ratio, seq.dtype)
            (x_w, h_w), (x_b, h_b) = (
                [jnp.concatenate([v[k + g] for g in gates]) for k in (0, len(gates))] for v in (ws[row], bs[row])
            )
            # The inputs' share of all steps is one matrix product.
            inputs = (fed @ x_w.T + x_b, h_w, h_b, (hx[row], None if cx is None else cx[row]), alive)
            backward = direction == 1
            states: Any
            if known is None:
                states, share = _advance(move, backward, *inputs)
                bits.append(share)
            else:
                states = _replay(move, backward, *inputs, known[row])
            found.append(states)
        seq = jnp.concatenate([h for h, _ in found[-directions:]], 2)
    lasts = [jax.tree.map(lambda s, d=row % directions: s[-1 if d == 0 else 0], s) for row, s in enumerate(found)]
    ends = jax.tree.map(lambda *parts: jnp.stack(parts), *lasts)
    ys = (seq,) if sizes is not None else tuple(seq[t] for t in range(len(xs)))
    return *jax.tree.leaves(ends), *ys, *jax.tree.leaves(found), *bits


def _run(
    hx: Float[Array, "l n u"],
    cx: Float[Array, "l n u"] | None,
    ws: Sequence[Sequence[Array]],
    bs: Sequence[Sequence[Array]],
    xs: Sequence[Array],  # one array of padded steps (time, m, features) if there are `sizes`
    sizes: Key,
    dropout_ratio: float,
    key: Key,
    cell: str,
    n_layers: int,
    directions: int,
    dropout: bool,
) -> tuple[Array, ...]:
    rows = n_layers * directions
    name = "n_layers" if directions == 1 else "2 * n_layers"
    expect(hx.shape[0] == rows, f"hx.shape[0] == {name}", f"{hx.shape[0]} != {rows}")
    for k, (layer, biases) in enumerate(zip(ws, bs, strict=True)):
        for i, (w, b) in enumerate(zip(layer, biases, strict=True)):
            expect(w.ndim == 2, f"ws[{k}][{i}].ndim == 2", f"{w.ndim} != 2")
            expect(b.ndim == 1, f"bs[{k}][{i}].ndim == 1", f"{b.ndim} != 1")
            sizes_differ = f"{b.shape[0]} != {w.shape[0]}"
            expect(b.shape[0] == w.shape[0], f"bs[{k}][{i}].shape[0] == ws[{k}][{i}].shape[0]", sizes_differ)
    expect(xs[0].ndim >= 2, "xs[0].ndim == 2", f"{xs[0].ndim} != 2")
    n, (m, x_in), w_in = hx.shape[1], xs[0].shape[-2:], ws[0][0].shape[1]
    expect(m <= n, "xs[0].shape[0] <= hx.shape[1]", f"{m} > {n}")
    expect(x_in == w_in, "xs[0].shape[1] == ws[0][0].shape[1]", f"{x_in} != {w_in}")
    steps = {f"xs[{t}]": x for t, x in enumerate(xs)}
    same_dtype(**{"hx": hx, **steps, "ws[0][0]": ws[0][0], "bs[0][0]": bs[0][0]})
    return _network(hx, cx, ws, bs, xs, sizes, dropout_ratio, key, cell, n_layers, directions, dropout, None)


def _gradient(gy: Any, y: Any, hx: Any, cx: Any, ws: Any, bs: Any, xs: Any, *rest: Any) -> tuple[Any, ...]:
    rows = hx.shape[0]
    states = y[-2 * rows : -rows] if cx is None else y[-3 * rows : -rows]
    pairs = [(h, None) for h in states] if cx is None else zip(states[::2], states[1::2], strict=True)
    known = list(zip(pairs, y[-rows:], strict=True))
    _, pull = jax.vjp(lambda *inputs: _network(*inputs, *rest, known=known), hx, cx, ws, bs, xs)
    return pull(tuple(gy[:-rows]))


def _declared(label: str, name: str) -> Any:
    function = op(label=label, name=name)(_run)
    function.vjp(_gradient)
    return function


_n_step_lstm = _declared("NStepLSTM", "n_step_lstm")
_n_step_bilstm = _declared("NStepBiLSTM", "n_step_bilstm")
_n_step_gru = _declared("NStepGRU", "n_step_gru")
_n_step_bigru = _declared("NStepBiGRU", "n_step_bigru")
_n_step_rnn = _declared("NStepRNN", "n_step_rnn")
_n_step_birnn = _declared("NStepBiRNN", "n_step_birnn")


def _apply(
    function: Any, cell: str, directions: int, n_layers: int, ratio: float, hx: Any, cx: Any, ws: Any, bs: Any, xs: Any
) -> tuple[Any, ...]:
    """Return the last states and, last, the tuple of outputs.

    A batch whose rows all run through all steps is not padded: programs of one length do not pay for others.
    """
    if not xs:
        raise InvalidType("at least one step in xs", "none")
    x_in, w_in = xs[0].shape[1], ws[0][0].shape[1]
    if x_in != w_in and cell != "gru":  # whose check is InvalidType, as in Chainer
        raise ValueError(f"Inconsistent input size in input values and weight parameters: {x_in} != {w_in}")
    dropout = bool(config.train and ratio > 0 and n_layers > 1)
    key: Any = next_key() if dropout else NO_KEY
    ws, bs = [list(w) for w in ws], [list(b) for b in bs]
    lengths, xs = tuple([x.shape[0] for x in xs]), list(xs)
    sizes = None if lengths == hx.shape[1:2] * len(xs) else in_steps(lengths)
    if sizes is not None:
        xs = [pad_steps(xs, len(sizes))]
    out = function(hx, cx, ws, bs, xs, sizes, ratio, key, cell, n_layers, directions, dropout)
    states = 1 if cx is None else 2
    ys = out[states : states + len(xs)]
    return *out[:states], tuple(ys) if sizes is None else unpad_steps(*ys, lengths)


@composed
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

    Examples:
        >>> x, h, b = np.ones((1, 2), np.float32), np.zeros((1, 1, 3), np.float32), np.zeros(3, np.float32)
        >>> ws = [[np.zeros((3, 2), np.float32)] * 4 + [np.zeros((3, 3), np.float32)] * 4]
        >>> hy, cy, ys = F.n_step_lstm(1, 0.0, h, h, ws, [[b] * 8], [x] * 4)
        >>> hy.shape, len(ys), ys[0].shape
        ((1, 1, 3), 4, (1, 3))
    """
    return _apply(_n_step_lstm, "lstm", 1, n_layers, dropout_ratio, hx, cx, ws, bs, xs)


@composed
def n_step_bilstm(n_layers: int, dropout_ratio: float, hx, cx, ws, bs, xs):
    """Stacked long short-term memory in both directions of time.

    Args:
        n_layers: Number of layers ``l``.
        dropout_ratio: Dropout between the layers.
        hx: Initial hidden states ``(2 l, n, u)``: of each layer forward, then backward.
        cx: Initial cell states ``(2 l, n, u)``.
        ws: Eight weights a layer and direction, in the order of `n_step_lstm`. From the second layer on the input has
            ``2 u`` features.
        bs: Eight biases a layer and direction, in the same order.
        xs: Inputs of each time ``(n_t, features)``, ``n_t`` decreasing: see `transpose_sequence`.

    Returns:
        ``(hy, cy, ys)``: last hidden and cell states, and a tuple of the top layer's hidden states ``(n_t, 2 u)``,
        forward before backward.

    Raises:
        InvalidType: Shapes do not fit, or batch sizes increase.
        ValueError: The inputs do not fit the first weight.

    Source: Graves and Schmidhuber 2005; Hochreiter and Schmidhuber 1997.

    Examples:
        >>> hx = np.zeros((2, 2, 3), np.float32)
        >>> ws = [[np.ones((3, 4 if i < 4 else 3), np.float32) for i in range(8)] for _ in range(2)]
        >>> bs = [[np.zeros(3, np.float32) for _ in range(8)] for _ in range(2)]
        >>> xs = [np.ones((2, 4), np.float32), np.ones((1, 4), np.float32)]
        >>> *_, ys = F.n_step_bilstm(1, 0.0, hx, hx, ws, bs, xs)
        >>> [y.shape for y in ys]
        [(2, 6), (1, 6)]
    """
    return _apply(_n_step_bilstm, "lstm", 2, n_layers, dropout_ratio, hx, cx, ws, bs, xs)


@composed
def n_step_gru(n_layers: int, dropout_ratio: float, hx, ws, bs, xs):
    r"""Stacked gated recurrent units over a sequence of batches of decreasing size.

    :math:`h_t = (1 - z)\tanh(W_2 x_t + b_2 + r (W_5 h_{t-1} + b_5)) + z h_{t-1}`, r and z the sigmoids of weights 0, 3
    and 1, 4.

    Args:
        n_layers: Number of layers ``l``.
        dropout_ratio: Dropout between the layers.
        hx: Initial hidden states ``(l, n, u)``.
        ws: Six weights a layer; 0 to 2 take the input, 3 to 5 the hidden state, each for r, z and the candidate.
        bs: Six biases a layer, in the same order.
        xs: Inputs of each time ``(n_t, features)``, ``n_t`` decreasing: see `transpose_sequence`.

    Returns:
        ``(hy, ys)``: last hidden states, and a tuple of the top layer's hidden states ``(n_t, u)``.

    Raises:
        InvalidType: Shapes do not fit, or batch sizes increase.
        ValueError: The inputs do not fit the first weight.

    Source: Cho et al. 2014, arXiv:1406.1078, with the reset gate after the product, as in cuDNN.

    Examples:
        >>> x, h, b = np.ones((1, 2), np.float32), np.zeros((1, 1, 3), np.float32), np.zeros(3, np.float32)
        >>> ws = [[np.zeros((3, 2), np.float32)] * 3 + [np.zeros((3, 3), np.float32)] * 3]
        >>> hy, ys = F.n_step_gru(1, 0.0, h, ws, [[b] * 6], [x] * 4)
        >>> hy.shape, len(ys), ys[0].shape
        ((1, 1, 3), 4, (1, 3))
    """
    return _apply(_n_step_gru, "gru", 1, n_layers, dropout_ratio, hx, None, ws, bs, xs)


@composed
def n_step_bigru(n_layers: int, dropout_ratio: float, hx, ws, bs, xs):
    """Stacked gated recurrent units in both directions of time.

    Args:
        n_layers: Number of layers ``l``.
        dropout_ratio: Dropout between the layers.
        hx: Initial hidden states ``(2 l, n, u)``: of each layer forward, then backward.
        ws: Six weights a layer and direction, in the order of `n_step_gru`. From the second layer on the input has
            ``2 u`` features.
        bs: Six biases a layer and direction, in the same order.
        xs: Inputs of each time ``(n_t, features)``, ``n_t`` decreasing: see `transpose_sequence`.

    Returns:
        ``(hy, ys)``: last hidden states, and a tuple of the top layer's hidden states ``(n_t, 2 u)``, forward before
        backward.

    Raises:
        InvalidType: Shapes do not fit, or batch sizes increase.
        ValueError: The inputs do not fit the first weight.

    Source: Cho et al. 2014, arXiv:1406.1078; Schuster and Paliwal 1997.

    Examples:
        >>> hx = np.zeros((2, 2, 3), np.float32)
        >>> ws = [[np.ones((3, 4 if i < 3 else 3), np.float32) for i in range(6)] for _ in range(2)]
        >>> bs = [[np.zeros(3, np.float32) for _ in range(6)] for _ in range(2)]
        >>> xs = [np.ones((2, 4), np.float32), np.ones((1, 4), np.float32)]
        >>> *_, ys = F.n_step_bigru(1, 0.0, hx, ws, bs, xs)
        >>> [y.shape for y in ys]
        [(2, 6), (1, 6)]
    """
    return _apply(_n_step_bigru, "gru", 2, n_layers, dropout_ratio, hx, None, ws, bs, xs)


def _check_activation(activation: str) -> None:
    if activation not in ("tanh", "relu"):
        raise ValueError(f'Invalid activation: "{activation}". Please select from [tanh,relu]')


@composed
def n_step_rnn(n_layers: int, dropout_ratio: float, hx, ws, bs, xs, activation: str = "tanh"):
    r"""Stacked plain recurrent network, :math:`h_t = f(W_0 x_t + b_0 + W_1 h_{t-1} + b_1)`.

    Args:
        n_layers: Number of layers ``l``.
        dropout_ratio: Dropout between the layers.
        hx: Initial hidden states ``(l, n, u)``.
        ws: Two weights a layer: for the input and for the hidden state.
        bs: Two biases a layer, in the same order.
        xs: Inputs of each time ``(n_t, features)``, ``n_t`` decreasing: see `transpose_sequence`.
        activation: ``'tanh'`` or ``'relu'``.

    Returns:
        ``(hy, ys)``: last hidden states, and a tuple of the top layer's hidden states ``(n_t, u)``.

    Raises:
        InvalidType: Shapes do not fit, or batch sizes increase.
        ValueError: The activation is unknown, or the inputs do not fit the first weight.

    Source: Elman 1990, Finding structure in time.

    Examples:
        >>> x, h = np.ones((1, 1), np.float32), np.zeros((1, 1, 1), np.float32)
        >>> hy, ys = F.n_step_rnn(1, 0.0, h, [[x, x]], [[x[0] * 0, x[0] * 0]], [x] * 3, activation="relu")
        >>> [y.array.item() for y in ys]
        [1.0, 2.0, 3.0]
    """
    _check_activation(activation)
    return _apply(_n_step_rnn, activation, 1, n_layers, dropout_ratio, hx, None, ws, bs, xs)


@composed
def n_step_birnn(n_layers: int, dropout_ratio: float, hx, ws, bs, xs, activation: str = "tanh"):
    """Stacked plain recurrent network in both directions of time.

    Args:
        n_layers: Number of layers ``l``.
        dropout_ratio: Dropout between the layers.
        hx: Initial hidden states ``(2 l, n, u)``: of each layer forward, then backward.
        ws: Two weights a layer and direction. From the second layer on the input has ``2 u`` features.
        bs: Two biases a layer and direction.
        xs: Inputs of each time ``(n_t, features)``, ``n_t`` decreasing: see `transpose_sequence`.
        activation: ``'tanh'`` or ``'relu'``.

    Returns:
        ``(hy, ys)``: last hidden states, and a tuple of the top layer's hidden states ``(n_t, 2 u)``, forward before
        backward.

    Raises:
        InvalidType: Shapes do not fit, or batch sizes increase.
        ValueError: The activation is unknown, or the inputs do not fit the first weight.

    Source: Schuster and Paliwal 1997, Bidirectional recurrent neural networks.

    Examples:
        >>> hx = np.zeros((2, 2, 3), np.float32)
        >>> ws = [[np.ones((3, 4 if i < 1 else 3), np.float32) for i in range(2)] for _ in range(2)]
        >>> bs = [[np.zeros(3, np.float32) for _ in range(2)] for _ in range(2)]
        >>> xs = [np.ones((2, 4), np.float32), np.ones((1, 4), np.float32)]
        >>> *_, ys = F.n_step_birnn(1, 0.0, hx, ws, bs, xs)
        >>> [y.shape for y in ys]
        [(2, 6), (1, 6)]
    """
    _check_activation(activation)
    return _apply(_n_step_birnn, activation, 2, n_layers, dropout_ratio, hx, None, ws, bs, xs)
