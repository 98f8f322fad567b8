"""Recurrent links, and losses with parameters, beyond their rows: states, errors, samples, training in both modes."""

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Variable

MODES = pytest.mark.parametrize("mode", ["eager", "static"])
X = np.random.RandomState(0).randn(3, 4).astype(np.float32)


@pytest.mark.parametrize(
    ("build", "names"),
    [
        (lambda: L.GRU(4, 2), "h"),
        (lambda: L.StatefulGRU(None, 2), "h"),
        (lambda: L.StatefulMGU(4, 2), "h"),
        (lambda: L.StatefulPeepholeLSTM(4, 2), "ch"),
        (lambda: L.StatefulZoneoutLSTM(4, 2), "ch"),
        (lambda: L.LSTM(4, 2), "ch"),
    ],
)
def test_states(build, names):
    link = build()
    assert all(getattr(link, n) is None for n in names)
    with jaxchain.using_config("train", False):
        y = link(X)
        assert link.h is y
        saved = [getattr(link, n) for n in names]
        again = np.asarray(link(X).array)
        assert not np.array_equal(again, y.array)
        link.reset_state()
        assert all(getattr(link, n) is None for n in names)
        np.testing.assert_allclose(link(X).array, y.array, rtol=1e-6)
        if hasattr(link, "set_state"):
            link.set_state(*saved)
            np.testing.assert_allclose(link(X).array, again, rtol=1e-6)
            with pytest.raises(TypeError, match="expected a Variable, got ndarray"):
                link.set_state(*[np.zeros((3, 2), np.float32)] * len(names))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: L.GRU(4, 2)(), ValueError, "must be 1. But 0 is given"),
        (lambda: L.GRU(4, 2)(X, X), ValueError, "use StatelessGRU"),
        (lambda: L.GRU(4, 2)(X, X, X), ValueError, "But 3 is given"),
        (lambda: L.ChildSumTreeLSTM(4, 2)(X, X), AssertionError, "as many cells as outputs"),
        (lambda: L.ChildSumTreeLSTM(4, 2)(None, None, None), ValueError, "are None"),
        (lambda: L.NaryTreeLSTM(4, 2)(X), AssertionError, "2 cells, 2 outputs"),
        (lambda: L.NaryTreeLSTM(4, 2, 1)(None, None, None), ValueError, "are None"),
        (lambda: L.NaryTreeLSTM(4, 2, 0), AssertionError, "n_ary >= 1"),
        (lambda: L.NStepGRU(1, 4, 2, 0.0)(None, X), TypeError, "list or tuple of sequences"),
        (lambda: L.NStepGRU(1, 4, 2, 0.0)(None, [X, X[:0]]), ValueError, r"xs\[1\] is empty"),
        (lambda: L.NStepGRU(1, 3, 2, 0.0)(None, [X]), TypeError, r"xs\[0\].shape\[1\]"),
        (lambda: L.BinaryHierarchicalSoftmax(4, ((0, 1, 2), 3)), ValueError, "two child nodes"),
        (lambda: L.BinaryHierarchicalSoftmax.create_huffman_tree({}), ValueError, "Empty vocabulary"),
        (lambda: L.BinaryHierarchicalSoftmax(4, (0, 1))(X, np.zeros(2, np.int32)), TypeError, "shape"),
        (lambda: L.CRF1d(3)([X], [np.zeros(3, np.int32)]), AssertionError, "cost.shape"),
    ],
)
def test_bad_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_initial_values():
    black_out = L.BlackOut(4, [1, 2, 3], 2)
    assert black_out.W.shape == (3, 4) and np.isnan(black_out.W.array).all()
    assert not np.asarray(L.NegativeSampling(4, [1, 2, 3], 2).W.array).any()
    assert not np.asarray(L.CRF1d(3).cost.array).any()
    np.testing.assert_array_equal(L.CRF1d(2, np.eye(2, dtype=np.float32)).cost.array, np.eye(2))
    highway = L.Highway(3)
    np.testing.assert_array_equal(highway.transform.b.array, [-1, -1, -1])
    np.testing.assert_array_equal(highway.plain.b.array, [0, 0, 0])
    W = np.asarray(L.BinaryHierarchicalSoftmax(500, ((0, 1), (2, 3))).W.array)
    assert W.shape == (3, 500) and np.abs(W).max() <= 1 and W.std() == pytest.approx(3**-0.5, rel=0.05)


def test_huffman_tree_is_chainers():
    make = L.BinaryHierarchicalSoftmax.create_huffman_tree
    assert make({0: 8, 1: 5, 2: 6, 3: 4}) == ((3, 1), (2, 0))
    assert make({i: 1 for i in range(5)}) == ((2, 3), (4, (0, 1)))
    assert make({7: 3}) == 7


def test_hierarchical_softmax_is_a_distribution():
    """The probabilities of all leaves sum to one; a tree as deep as its vocabulary is no problem."""
    tree = 0
    for leaf in range(1, 3000):
        tree = (leaf, tree)
    link = L.BinaryHierarchicalSoftmax(4, tree)
    assert link.W.shape == (2999, 4)
    small = L.BinaryHierarchicalSoftmax(4, ((0, 1), ((2, 3), 4)))
    losses = [float(small(X[:1], np.array([t], np.int32)).array) for t in range(5)]
    assert np.exp(-np.array(losses)).sum() == pytest.approx(1, rel=1e-5)
    with pytest.raises(IndexError, match="binary_hierarchical_softmax: an index is out of bounds"):
        small(X[:1], np.array([5], np.int32))
    of_arrays = [float(small(X[:1], Variable(np.int32([t]))).array) for t in (-1, -2, 5)]
    assert of_arrays[0] == 0 and np.isnan(of_arrays[1:]).all()  # -1: Chainer's, too


@MODES
def test_sampling_links_draw_anew(mode):
    t = np.array([0, 1, 2], np.int32)
    for link in (L.BlackOut(4, [3, 2, 5, 9, 1], 2), L.NegativeSampling(4, [3, 2, 5, 9, 1], 2)):
        link.W.array = np.random.RandomState(1).randn(5, 4).astype(np.float32)
        runs = {}
        with jaxchain.using_config("mode", mode):
            jaxchain.seed(0)
            runs[mode] = [float(link(X, t).array) for _ in range(3)]
        assert len(set(runs[mode])) == 3
        jaxchain.seed(0)
        assert [float(link(X, t).array) for _ in range(3)] == pytest.approx(runs[mode], rel=1e-5)


def test_negative_sampling_samples_are_returned():
    link = L.NegativeSampling(4, [3, 2, 5], 6)
    t = np.array([0, 2, 1], np.int32)
    loss, samples = link(X, t, reduce="no", return_samples=True)
    assert loss.shape == (3,) and samples.shape == (3, 7) and samples[:, 0].tolist() == [0, 2, 1]


def test_crf_sequences_keep_their_places():
    link = L.CRF1d(3, np.random.RandomState(0).randn(3, 3).astype(np.float32))
    xs = [np.random.RandomState(n).randn(n, 3).astype(np.float32) for n in (2, 4, 1)]
    scores, paths = link.argmax(xs, transpose=True)
    assert [p.shape for p in paths] == [(2,), (4,), (1,)]
    for i, place in enumerate((1, 0, 2)):  # scores come longest first
        alone, path = link.argmax([x[None] for x in xs[i]])
        assert [int(p[0]) for p in path] == paths[i].tolist()
        assert float(alone.array[0]) == pytest.approx(float(scores.array[place]), rel=1e-5)


@MODES
def test_a_tagger_learns(mode):
    """Bidirectional GRU under a CRF: recover a label that depends on the past and the future."""
    rng = np.random.RandomState(0)
    xs = [rng.randn(n, 2).astype(np.float32) for n in (6, 3, 5, 4)]
    ys = [((np.cumsum(x[:, 0]) > 0) + (x[::-1, 1].cumsum()[::-1] > 0)).astype(np.int32) for x in xs]

    class Tagger(jaxchain.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.rnn = L.NStepBiGRU(1, 2, 8, 0.0)
                self.out = L.Linear(16, 3)
                self.crf = L.CRF1d(3)

        def forward(self, xs, ys):
            _, hs = self.rnn(None, xs)
            scores = F.split_axis(self.out(F.concat(hs, 0)), np.cumsum([len(x) for x in xs])[:-1], 0)
            return self.crf(list(scores), ys, transpose=True)

    jaxchain.seed(0)
    model = Tagger()
    optimizer = jaxchain.optimizers.Adam(0.02)
    optimizer.setup(model)

    def step(xs, ys):
        loss = model(xs, ys)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    run = jaxchain.static(step) if mode == "static" else step
    losses = [float(run(xs, ys).array) for _ in range(60)]
    assert losses[-1] < 0.1 * losses[0]


@MODES
def test_tree_lstm_in_both_modes(mode):
    """A graph that follows the sample's tree: in static mode a variant for each shape of tree."""
    node = L.NaryTreeLSTM(4, 2)
    trees = [(0, 1), ((0, 1), 2), (0, (1, 2))]

    def walk(tree):
        if isinstance(tree, int):
            return node(None, None, None, None, X[tree : tree + 1])
        (c1, h1), (c2, h2) = map(walk, tree)
        return node(c1, c2, h1, h2, None)

    for tree in trees:
        expected = walk(tree)[1].array
        call = jaxchain.static(lambda tree=tree: walk(tree)[1]) if mode == "static" else lambda tree=tree: walk(tree)[1]
        y = call()
        assert isinstance(y, Variable)
        np.testing.assert_allclose(y.array, expected, rtol=1e-5, atol=1e-6)
