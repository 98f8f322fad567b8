"""Rows of recurrent units and of stacked recurrent networks over sequences of varying lengths."""

import numpy as np
from rows import Case, K, L, R, S

inf = np.inf
GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def ones(*shape):
    return K(np.ones(shape))


def n_step(kind, layers, lengths, n_in, n_units, directions=1, **kw):
    """Return a call: `lengths` are the batch sizes of the times."""
    gates, rows = GATES[kind], layers * directions

    def features(row, i):
        return n_units if i >= gates else n_in if row < directions else n_units * directions

    ws = [[R((n_units, features(row, i)), -1, 1) for i in range(2 * gates)] for row in range(rows)]
    bs = [[R((n_units,), -1, 1) for _ in range(2 * gates)] for _ in range(rows)]
    h = R((rows, lengths[0], n_units))
    states = [h, h] if kind == "lstm" else [h]
    return S(layers, 0.0, *states, ws, bs, [R((n, n_in)) for n in lengths], **kw)


def plain(hx, w, b, xs, layers=1, **kw):
    """Return a call of a one-layer plain network on ones."""
    return S(layers, 0.0, ones(*hx), [[ones(*s) for s in w]], [[ones(*s) for s in b]], [ones(*s) for s in xs], **kw)


def stacked(kind, directions, **kw):
    return [
        n_step(kind, 1, (3, 2, 2, 1), 4, 2, directions, **kw),
        n_step(kind, 2, (2, 2), 3, 2, directions, **kw),
        n_step(kind, 2, (3, 1, 1), 2, 3, directions, **kw),
        n_step(kind, 1, (1,), 1, 1, directions, **kw),
        n_step(kind, 1, (2, 2, 2), 3, 2, directions, **kw),
        n_step(kind, 3, (2, 1), 2, 2, directions, **kw),
    ]


def tree(n, u, children, *rest):
    return S(*[R((n, u, *rest)) for _ in range(children)], R((n, (3 + children) * u, *rest)))


def misfits(kind, directions):
    """Return the error rows of a stacked network: inputs, their order and weights that do not fit."""

    def call(lengths=(2, 1), features=3, weights=None):
        good = n_step(kind, 1, (2, 1), 3, 2, directions)
        *others, ws, bs, _ = good.args
        return S(*others, weights or ws, bs, [ones(n, features) for n in lengths])

    wide = (TypeError, "xs[0].shape[1]") if kind == "gru" else (ValueError, "Inconsistent input size")
    few = [[ones(2, 3)] * (2 * GATES[kind])] * directions
    return [
        (call(features=4), *wide),
        (call(lengths=(3,)), TypeError, "xs[0].shape[0]"),
        (call(lengths=(1, 2)), TypeError, "xs[0].shape[0] >= xs[1].shape[0]"),
        (call(weights=few), TypeError, "n_step"),
    ]


FITS = [(2, 3), (2, 2)]
BIASES = [(2,), (2,)]
RNN_ERRORS = [
    (plain((1, 2, 2), [(2, 4), (2, 2)], BIASES, [(2, 3)]), ValueError, "Inconsistent input size"),
    (plain((1, 2, 2), FITS, BIASES, [(3, 3)]), TypeError, "xs[0].shape[0]"),
    (plain((1, 2, 2), FITS, BIASES, [(1, 3), (2, 3)]), TypeError, "xs[0].shape[0] >= xs[1].shape[0]"),
    (plain((1, 2, 2), FITS, [(2,), (3,)], [(2, 3)]), TypeError, "n_step"),
    (plain((1, 2, 2), FITS, BIASES, [(2, 3)], activation="sigmoid"), ValueError, "activation"),
]

CASES = [
    Case(
        "slstm",
        [
            S(R((3, 2)), R((3, 2)), R((3, 8)), R((3, 8))),
            S(R((1, 1)), R((1, 1)), R((1, 4)), R((1, 4))),
            S(R((2, 2, 3)), R((2, 2, 3)), R((2, 8, 3)), R((2, 8, 3))),
            S(R((0, 2)), R((0, 2)), R((0, 8)), R((0, 8))),
            S(R((1, 5)), R((1, 5)), R((1, 20)), R((1, 20))),
            S(R((2, 1, 1, 2)), R((2, 1, 1, 2)), R((2, 4, 1, 2)), R((2, 4, 1, 2))),
        ],
        edges=[
            S(L([[0.0]]), L([[1.0]]), L([[inf, -inf, 100.0, -100.0]]), L([[-inf, inf, -100.0, 0.0]])),
            S(L([[0.0]]), L([[0.0]]), L([[0.0] * 4]), L([[0.0] * 4])),
        ],
        errors=[
            (S(ones(3, 2), ones(3, 2), ones(3, 7), ones(3, 8)), TypeError, "4 *"),
            (S(ones(3, 2), ones(3, 2), ones(3, 8), ones(2, 8)), TypeError, "shape[0]"),
            (S(ones(3, 2), ones(3, 1), ones(3, 8), ones(3, 8)), TypeError, "shape"),
            (S(ones(3, 2), K(np.ones((3, 2)), "float16"), ones(3, 8), ones(3, 8)), TypeError, "float16"),
        ],
    ),
    Case(
        "tree_lstm",
        [tree(3, 2, 2), tree(3, 2, 1), tree(1, 1, 3), tree(0, 2, 2), tree(2, 3, 5), tree(4, 1, 2)],
        edges=[
            S(L([[0.0]]), L([[1.0]]), L([[inf, -inf, 100.0, -100.0, inf]])),
            S(L([[1e30]]), L([[0.0, 0.0, 0.0, 100.0]])),
        ],
        errors=[
            (S(ones(3, 2)), TypeError, "size >= 2"),
            (S(ones(3, 2), ones(3, 9)), TypeError, "x.shape[1] == 4 * c0.shape[1]"),
            (S(ones(3, 2), ones(3, 1), ones(3, 10)), TypeError, "c1"),
            (S(ones(2, 2), ones(3, 8)), TypeError, "shape[0]"),
        ],
    ),
    Case("n_step_bilstm", stacked("lstm", 2), errors=misfits("lstm", 2), label=None, rtol=1e-4, heavy=True),
    Case("n_step_gru", stacked("gru", 1), errors=misfits("gru", 1), label=None, rtol=1e-4, heavy=True),
    Case("n_step_bigru", stacked("gru", 2), errors=misfits("gru", 2), label=None, rtol=1e-4, heavy=True),
    Case(
        "n_step_rnn",
        [*stacked("rnn", 1), *stacked("rnn", 1, activation="relu")[:3]],
        edges=[S(1, 0.0, L([[[0.0]]]), [[L([[1.0]]), L([[1.0]])]], [[L([0.0])] * 2], [L([[0.0]])], activation="relu")],
        errors=RNN_ERRORS,
        label=None,
        rtol=1e-4,
    ),
    Case(
        "n_step_birnn",
        [*stacked("rnn", 2), *stacked("rnn", 2, activation="relu")[:3]],
        errors=[(plain((1, 2, 2), FITS, BIASES, [(2, 3)]), TypeError, "2 * n_layers"), RNN_ERRORS[-1]],
        label=None,
        rtol=1e-4,
    ),
]
