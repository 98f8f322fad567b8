"""Sequence functions beyond the rows: against all paths, in both modes, compiled once for any length of scan."""

import itertools
import re

import jax
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
from jaxchain import Variable
from jaxchain.functions import crf, n_step_recurrent
from jaxchain.utils import WalkerAlias


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


@pytest.mark.parametrize(("times", "labels"), [(4, [1, 2]), (5, [1, 1]), (4, [2, 1, 2]), (3, []), (3, [0, 1])])
def test_ctc_is_the_sum_over_all_alignments(times, labels):
    """Every way to say one symbol a time whose repeats, then blanks, fall away to the labels."""
    blank, rng = 3, np.random.RandomState(0)
    x = rng.randn(times, 1, 4).astype(np.float32)
    log_p = log_softmax(x[:, 0].astype(np.float64))
    total = 0.0
    for path in itertools.product(range(4), repeat=times):
        said = [p for p, _ in itertools.groupby(path)]
        if [s for s in said if s != blank] == labels:
            total += np.exp(sum(log_p[t, p] for t, p in enumerate(path)))
    loss = F.connectionist_temporal_classification(list(x), np.array([labels], np.int32).reshape(1, -1), blank)
    assert float(loss.array) == pytest.approx(-np.log(total), rel=1e-5)


def test_crf_is_normalised_and_its_argmax_is_the_best():
    rng = np.random.RandomState(1)
    cost, xs = rng.randn(3, 3).astype(np.float32), [rng.randn(1, 3).astype(np.float32) for _ in range(4)]
    losses = {
        ys: float(F.crf1d(cost, xs, [np.array([y], np.int32) for y in ys]).array)
        for ys in itertools.product(range(3), repeat=4)
    }
    assert sum(np.exp(-v) for v in losses.values()) == pytest.approx(1, rel=1e-5)
    score, path = F.argmax_crf1d(cost, xs)
    best = tuple(int(p[0]) for p in path)
    assert best == min(losses, key=lambda ys: losses[ys])
    logz = float(score.array[0]) + losses[best]
    assert losses[0, 0, 0, 0] == pytest.approx(logz - sum(float(x[0, 0]) for x in xs) - 3 * float(cost[0, 0]), rel=1e-4)


def test_crf_of_one_step_gives_its_cost_no_gradient():
    cost, x = Variable(np.zeros((2, 2), np.float32)), Variable(np.ones((1, 2), np.float32))
    F.crf1d(cost, [x], [np.zeros(1, np.int32)]).backward()
    assert cost.grad is None and x.grad.tolist() == [[-0.5, 0.5]]


def test_crf1d_asks_for_labels_of_each_time():
    cost, x, y = np.zeros((2, 2), np.float32), np.zeros((1, 2), np.float32), np.zeros(1, np.int32)
    with pytest.raises(ValueError, match="expected labels for each of the 2 times of xs, got 1"):
        F.crf1d(cost, [x, x], [y])
    np.testing.assert_allclose(F.crf1d(cost, [x], [y, y]).array, np.log(2), rtol=1e-6)  # as Chainer


@pytest.mark.parametrize(
    "run",
    [
        lambda xs: F.n_step_gru(1, 0.0, *small("gru", 3), xs)[0],
        lambda xs: F.n_step_bilstm(1, 0.0, *small("lstm", 4, 2), xs)[0],
        lambda xs: F.n_step_birnn(1, 0.0, *small("rnn", 1, 2), xs)[0],
        lambda xs: F.connectionist_temporal_classification(xs, np.array([[1]], np.int32), 0),
        lambda xs: F.crf1d(np.zeros((2, 2), np.float32), xs, [np.zeros(1, np.int32)] * len(xs)),
    ],
    ids=["gru", "bilstm", "birnn", "ctc", "crf"],
)
def test_the_loop_over_time_is_compiled_once(run):
    """A sequence ten times as long is no longer a program, apart from the list of its inputs."""

    def program(length):
        text = str(jax.make_jaxpr(lambda *xs: run(list(xs)).array)(*[np.ones((1, 2), np.float32)] * length))
        return {
            name: len(re.findall(rf"\b{name}\b", text)) for name in ("scan", "dot_general", "tanh", "logistic", "exp")
        }

    assert program(4) == program(40)
    assert program(4)["scan"] >= 1


def small(kind, gates, directions=1):
    rng = np.random.RandomState(2)
    h = np.zeros((directions, 1, 2), np.float32)
    ws = [[rng.randn(2, 2).astype(np.float32) for _ in range(2 * gates)] for _ in range(directions)]
    bs = [[rng.randn(2).astype(np.float32) for _ in range(2 * gates)] for _ in range(directions)]
    return (h, h, ws, bs) if kind == "lstm" else (h, ws, bs)


def bilstm(h, c, xs):
    """Return (hy, cy, ys, gradients of xs, gradients of a penalty on them)."""
    _, _, ws, bs = jax.tree.map(np.float64, small("lstm", 4, 2))
    xs = [Variable(x) for x in xs]
    hy, cy, ys = F.n_step_bilstm(1, 0.0, h, c, ws, bs, xs)
    loss = F.sum(hy * hy) + F.sum(cy) + F.sum(F.concat(ys, 0) ** 3)
    grads = jaxchain.grad([loss], xs, enable_double_backprop=True)
    F.sum(F.concat(grads, 0) ** 2).backward()
    return [hy.array, cy.array, *([v.array for v in vs] for vs in (ys, grads)), [x.grad for x in xs]]


slow_sizes = [pytest.param(sizes, marks=pytest.mark.slow) for sizes in ((2, 1, 1, 1, 1), (2, 2))]


@pytest.mark.parametrize("sizes", [(3, 3, 1, 1, 1), *slow_sizes])
def test_a_row_is_what_it_is_alone(sizes):
    """Neither padded steps nor other rows change states, outputs or gradients of both orders."""
    with jax.enable_x64(True):
        rng = np.random.RandomState(3)
        h, c = rng.randn(2, 2, 3, 2)
        xs = [rng.randn(n, 2) for n in sizes]
        hy, cy, *lists = bilstm(h, c, xs)
        for row in range(3):
            at = slice(row, row + 1)
            mine = [x[at] for x in xs if len(x) > row]
            if not mine:
                np.testing.assert_array_equal(hy[:, at], h[:, at])
                np.testing.assert_array_equal(cy[:, at], c[:, at])
                continue
            hy_alone, cy_alone, *alone = bilstm(h[:, at], c[:, at], mine)
            np.testing.assert_allclose(hy[:, at], hy_alone, rtol=1e-9)
            np.testing.assert_allclose(cy[:, at], cy_alone, rtol=1e-9)
            for together, single in zip(lists, alone, strict=True):
                for y, expected in zip(together, single, strict=False):
                    np.testing.assert_allclose(y[at], expected, rtol=1e-7, atol=1e-12)


def test_one_program_serves_all_lengths():
    """Neither the network nor its gradient is compiled anew for other lengths of the rows."""
    h, ws, bs = small("gru", 3)
    h = np.concatenate([h] * 3, 1)
    plans = n_step_recurrent._n_step_gru.op.plans
    plans.clear()
    for sizes in [(3, 2, 2, 1, 1), (3, 3, 1, 1, 1, 1), (3, 1, 1, 1, 1), (3, 3, 3, 3, 2, 2), (3, 3, 3, 3, 1)]:
        xs = [Variable(np.ones((n, 2), np.float32)) for n in sizes]
        hy, ys = F.n_step_gru(1, 0.0, h, ws, bs, xs)
        (F.sum(hy) + F.sum(F.concat(ys, 0))).backward()
        assert [y.shape for y in ys] == [x.grad.shape for x in xs] == [(n, 2) for n in sizes]
    (plan,) = plans.values()
    (pullback,) = plan._pullbacks.values()
    assert plan.forward._cache_size() == pullback.compiled._cache_size() == 1


PATTERNS = [(3, 2, 2, 1, 1), (3, 3, 1, 1, 1, 1), (3, 1, 1, 1, 1), (3, 3, 3, 3, 2, 2), (3, 3, 3, 3, 1)]


def field(sizes):
    rng = np.random.RandomState(0)
    cost, xs = (Variable(rng.randn(3, 3).astype(np.float32)), [Variable(rng.randn(n, 3).astype("f")) for n in sizes])
    return cost, xs, [rng.randint(0, 3, n).astype(np.int32) for n in sizes]


def test_one_program_of_a_random_field_serves_all_lengths():
    ops = crf._crf1d.op, crf._argmax_crf1d.op
    for op in ops:
        op.plans.clear()
    for sizes in PATTERNS:
        cost, xs, ys = field(sizes)
        F.crf1d(cost, xs, ys).backward()
        assert [p.shape for p in F.argmax_crf1d(cost, xs)[1]] == [(n,) for n in sizes]
        assert [x.grad.shape for x in xs] == [x.shape for x in xs]
    plan, other = (plan for op in ops for plan in op.plans.values())
    (pullback,) = plan._pullbacks.values()
    assert plan.forward._cache_size() == other.forward._cache_size() == pullback.compiled._cache_size() == 1


@pytest.mark.parametrize("sizes", [PATTERNS[0], pytest.param(PATTERNS[1], marks=pytest.mark.slow)])
def test_sequences_in_a_random_field_do_not_know_of_each_other(sizes):
    """Losses, best labels, gradients and their gradients are those of each sequence alone."""
    cost, xs, ys = field(sizes)
    losses, (score, labels) = F.crf1d(cost, xs, ys, reduce="no"), F.argmax_crf1d(cost, xs)
    alone = []
    for row in range(3):
        mine = [x[row : row + 1] for x in xs if len(x) > row]
        alone.append(F.crf1d(cost, mine, [y[row : row + 1] for y in ys if len(y) > row], reduce="no"))
        np.testing.assert_allclose(losses.array[row], alone[-1].array[0], rtol=1e-5)
        best, path = F.argmax_crf1d(cost, mine)
        np.testing.assert_allclose(score.array[row], best.array[0], rtol=1e-5)
        assert [int(p[0]) for p in path] == [int(p[row]) for p in labels if len(p) > row]

    def gradients(loss):
        first = jaxchain.grad([loss], [cost, *xs], enable_double_backprop=True)
        second = jaxchain.grad([sum(F.sum(g * g * g) for g in first)], [cost, *xs])
        return [g.array for g in (*first, *second)]

    for g, expected in zip(gradients(F.sum(losses)), gradients(F.sum(F.concat(alone, 0))), strict=True):
        np.testing.assert_allclose(g, expected, rtol=1e-4, atol=1e-5)


def test_both_directions_are_two_runs():
    h, ws, bs = small("gru", 3, 2)
    xs = [np.random.RandomState(t).randn(1, 2).astype(np.float32) for t in range(5)]
    hy, ys = F.n_step_bigru(1, 0.0, h, ws, bs, xs)
    forth = F.n_step_gru(1, 0.0, h[:1], ws[:1], bs[:1], xs)
    back = F.n_step_gru(1, 0.0, h[1:], ws[1:], bs[1:], xs[::-1])
    np.testing.assert_allclose(hy.array, np.concatenate([forth[0].array, back[0].array]), rtol=1e-6)
    for y, f, b in zip(ys, forth[1], back[1][::-1], strict=True):
        np.testing.assert_allclose(y.array, np.concatenate([f.array, b.array], 1), rtol=1e-6)


@pytest.mark.parametrize("mode", ["eager", "static"])
def test_dropout_between_layers_is_for_training(mode):
    h, ws, bs = small("rnn", 1)
    args = (2, 0.5, np.concatenate([h, h]), ws * 2, bs * 2, [np.ones((1, 2), np.float32)] * 30)

    def run():
        return F.concat(F.n_step_rnn(*args)[1], 0)

    call = jaxchain.static(run) if mode == "static" else run
    jaxchain.seed(0)
    a, b = call(), call()
    assert not np.array_equal(a.array, b.array)
    jaxchain.seed(0)
    np.testing.assert_allclose(call().array, a.array, rtol=1e-6)
    with jaxchain.using_config("train", False):
        np.testing.assert_array_equal(call().array, call().array)


def test_walker_alias_has_chainers_table():
    sampler = WalkerAlias([5, 2, 3, 1])
    assert sampler.values.tolist() == [3, 2, 1, 0, 2, 0, 0, 0]
    np.testing.assert_allclose(sampler.threshold, [0.36363637, 0.72727275, 0.4545455, 1.0000001], rtol=1e-7)
    assert WalkerAlias([1] * 7).values.tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 0]
    assert WalkerAlias([0.1, 0.2, 0.7]).values.tolist() == [0, 2, 1, 2, 2, 0]


@pytest.mark.parametrize("mode", ["eager", "static"])
def test_walker_alias_draws_its_distribution(mode):
    weights = np.array([5.0, 0.0, 3.0, 2.0])
    sampler = WalkerAlias(weights)
    jaxchain.seed(4)
    draw = (
        jaxchain.static(lambda: sampler.sample((100, 300))) if mode == "static" else lambda: sampler.sample((100, 300))
    )
    first, second = np.asarray(draw()), np.asarray(draw())
    assert first.dtype == np.int32 and not np.array_equal(first, second)
    shares = np.bincount(first.ravel(), minlength=4) / first.size
    np.testing.assert_allclose(shares, weights / 10, atol=0.012)  # four standard deviations
    jaxchain.seed(4)
    np.testing.assert_array_equal(sampler.sample((100, 300)), first)


def test_negative_sampling_returns_its_samples():
    x, W = np.ones((3, 2), np.float32), np.ones((5, 2), np.float32)
    t = np.array([4, -1, 2], np.int32)
    loss, samples = F.negative_sampling(x, t, W, WalkerAlias([1] * 5).sample, 6, return_samples=True)
    assert samples.shape == (3, 7) and samples[:, 0].tolist() == [4, -1, 2]
    positive, negative = np.log1p(np.exp(-2)), np.log1p(np.exp(2))
    assert float(loss.array) == pytest.approx(2 * (positive + 6 * negative), rel=1e-5)


def test_negative_sampling_node_has_chainers_inputs():
    x, W = Variable(np.ones((1, 2), np.float32)), Variable(np.ones((5, 2), np.float32))
    loss = F.negative_sampling(x, np.array([1], np.int32), W, WalkerAlias([1] * 5).sample, 2)
    assert [n.shape for n in loss.creator.inputs] == [(1, 2), (1,), (5, 2)]


@pytest.mark.parametrize("label", [-4, 3])
def test_a_label_out_of_range_is_nan(label):
    x, t = np.ones((2, 3), np.float32), np.array([0, label], np.int32)
    assert np.isnan(F.hinge(x, t).array)
    assert np.isnan(F.crf1d(np.ones((3, 3), np.float32), [x], [t]).array)
    assert np.isnan(F.black_out(x, t, np.ones((3, 3), np.float32), np.array([[0], [1]], np.int32)).array)


def test_ctc_gradient_ends_with_the_input():
    """No gradient after the end of an input, and its probabilities sum to none before it."""
    xs = [Variable(np.random.RandomState(t).randn(2, 3).astype(np.float32)) for t in range(4)]
    lengths = np.array([4, 2], np.int32)
    F.connectionist_temporal_classification(xs, np.array([[1], [2]], np.int32), 0, input_length=lengths).backward()
    grads = np.stack([x.grad for x in xs])
    assert np.abs(grads[2:, 1]).max() == 0 and np.abs(grads[:2, 1]).min() > 0 and np.abs(grads[:, 0]).min() > 0
    np.testing.assert_allclose(grads.sum(2), 0, atol=1e-6)


def test_the_gradient_does_not_run_forward_again():
    """One loop a layer and direction, backward in time: the states of the forward run are its residuals."""
    h, c, ws, bs = (jax.tree.map(Variable, part) for part in small("lstm", 4, 2))
    hy, *_ = F.n_step_bilstm(1, 0.0, h, c, ws, bs, [np.ones((1, 2), np.float32)] * 3)
    node = hy.creator
    assert str(node.plan.gradient_jaxpr(None, node.plan.needs, node.scalars)).count(" scan[") == 2


def test_gradient_through_dropout_has_the_masks_of_the_forward_run():
    with jax.enable_x64(True):
        h, ws, bs = (jax.tree.map(np.float64, part) for part in small("gru", 3, 2))
        two = np.concatenate([h, h])
        wide = [[np.tile(w, (1, 2)) if i < 3 else w for i, w in enumerate(layer)] for layer in ws]
        xs = [np.random.RandomState(t).randn(1, 2) for t in range(4)]

        def loss(x):
            jaxchain.seed(5)
            hy, ys = F.n_step_bigru(2, 0.5, two, ws + wide, bs * 2, [x, *xs])
            return F.sum(hy) + F.sum(F.concat(ys, 0))

        x = Variable(np.array([[0.3, -0.7]]))
        loss(x).backward()
        for i in range(2):
            step = np.eye(2)[i] * 1e-6
            slope = (loss(x.array + step).array - loss(x.array - step).array) / 2e-6
            assert float(x.grad[0, i]) == pytest.approx(float(slope), rel=1e-6)
