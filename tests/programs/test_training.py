"""Whole training programs: both modes give the same, and a run that is saved and resumed goes on exactly."""

from __future__ import annotations

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import iterators, optimizers, serializers
from jaxchain.dataset import concat_examples


class MLP(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(None, 16)
            self.l2 = L.Linear(16, 3)

    def forward(self, x):
        return self.l2(F.dropout(F.relu(self.l1(x)), 0.3))


class CNN(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            # no bias before normalisation: its gradient is rounding noise, which Adam turns into steps of full size
            self.conv = L.Convolution2D(None, 4, 3, pad=1, nobias=True)
            self.bn = L.BatchNormalization(axis=(0, 2, 3))
            self.out = L.Linear(None, 3)

    def forward(self, x):
        h = F.reshape(x, (-1, 1, 4, 4))
        h = F.max_pooling_2d(F.relu(self.bn(self.conv(h))), 2)
        return self.out(F.dropout(h, 0.2))


class RNN(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.lstm = L.LSTM(None, 8)
            self.norm = L.LayerNormalization()
            self.out = L.Linear(8, 3)

    def forward(self, x):
        self.lstm.reset_state()
        for column in F.split_axis(x, 4, axis=1):
            h = self.lstm(column)
        return self.out(self.norm(h))


class Sequences(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.lstm = L.NStepLSTM(2, 4, 8, 0.2)
            self.out = L.Linear(8, 3)

    def forward(self, x):
        xs = [F.reshape(row, (4, 4))[: 2 + i % 3] for i, row in enumerate(F.separate(x, axis=0))]
        hy, _, _ = self.lstm(None, None, xs)
        return self.out(hy[-1])


MODELS = [MLP, CNN, RNN, Sequences]
OPTIMIZERS = {
    "sgd": lambda: (optimizers.SGD(0.1), []),
    "momentum": lambda: (optimizers.MomentumSGD(0.05), [jaxchain.optimizer_hooks.WeightDecay(1e-3)]),
    "adam": lambda: (optimizers.Adam(0.01), [jaxchain.optimizer_hooks.GradientClipping(1.0)]),
}


def data():
    rng = np.random.RandomState(0)
    labels = np.arange(60) % 3
    centres = rng.randn(3, 16)
    return [((centres[t] + 0.5 * rng.randn(16)).astype(np.float32), np.int32(t)) for t in labels]


class Training:
    """A model, its optimizer and its iterator; `run` takes steps in one mode."""

    def __init__(self, make, optimizer, mode):
        jaxchain.seed(1)
        self.model = L.Classifier(make())
        self.optimizer, hooks = OPTIMIZERS[optimizer]()
        self.optimizer.setup(self.model)
        for hook in hooks:
            self.optimizer.add_hook(hook)
        sampler = iterators.ShuffleOrderSampler(np.random.RandomState(2))
        self.iterator = iterators.SerialIterator(data(), 12, order_sampler=sampler)
        model, optimizer = self.model, self.optimizer

        def step(x, t):
            model.cleargrads()
            loss = model(x, t)
            loss.backward()
            optimizer.update()
            return loss

        self.step = jaxchain.static(step) if mode == "static" else step

    def run(self, steps):
        return [float(self.step(*concat_examples(self.iterator.next())).array) for _ in range(steps)]

    def serialize(self, serializer):
        for name in ("model", "optimizer", "iterator"):
            getattr(self, name).serialize(serializer[name])


def entries(obj):
    serializer = serializers.DictionarySerializer()
    serializer.save(obj)
    return serializer.target


PAIRS = [(MLP, "sgd"), (CNN, "momentum"), (RNN, "adam"), (Sequences, "adam")]  # the others go with the slow sweeps
EVERY = [
    pytest.param(make, optimizer, marks=() if (make, optimizer) in PAIRS else pytest.mark.slow)
    for make in MODELS
    for optimizer in OPTIMIZERS
]


@pytest.mark.parametrize(("make", "optimizer"), EVERY)
def test_both_modes_train_alike(make, optimizer):
    runs, losses = {}, {}
    for mode in ("eager", "static"):  # one after the other: a model is initialised, and masks are drawn, as it runs
        runs[mode] = Training(make, optimizer, mode)
        losses[mode] = runs[mode].run(12)
    np.testing.assert_allclose(losses["static"], losses["eager"], rtol=1e-4, atol=1e-6)
    assert losses["eager"][-1] < losses["eager"][0]
    eager, static = (entries(run) for run in runs.values())
    assert sorted(eager) == sorted(static)
    for key, value in eager.items():
        np.testing.assert_allclose(static[key], value, rtol=1e-3, atol=1e-5, err_msg=key)
    assert len(runs["static"].step.compiles) <= 2


@pytest.mark.parametrize("mode", ["eager", "static"])
@pytest.mark.parametrize("make", [RNN, CNN])
def test_resume(make, mode, tmp_path):
    """Without dropout: the key stream is not part of these files."""
    with jaxchain.using_config("train", make is not CNN):
        first = Training(make, "adam", mode)
        first.run(3)
        serializers.save_npz(tmp_path / "snapshot.npz", first)
        expected = first.run(2)  # ends before the next shuffle
        second = Training(make, "adam", mode)
        serializers.load_npz(tmp_path / "snapshot.npz", second)
        np.testing.assert_allclose(second.run(2), expected, rtol=1e-6)


def test_a_snapshot_changes_modes(tmp_path):
    eager, static = Training(RNN, "adam", "eager"), Training(RNN, "adam", "static")
    eager.run(3)
    serializers.save_npz(tmp_path / "snapshot.npz", eager)
    serializers.load_npz(tmp_path / "snapshot.npz", static)
    np.testing.assert_allclose(static.run(2), eager.run(2), rtol=1e-5)


def test_loading_into_a_compiled_program(tmp_path):
    """A program that is compiled already takes the loaded values: nothing of them is baked in."""
    training = Training(MLP, "sgd", "static")
    training.run(2)
    with jaxchain.using_config("train", False):
        model = training.model
        x, t = concat_examples(data()[:12])
        evaluate = jaxchain.static(lambda x, t: model(x, t))
        before = float(evaluate(x, t).array)
        serializers.save_npz(tmp_path / "model.npz", model)
        for p in model.params():
            p.array = p.array * 0
        assert float(evaluate(x, t).array) == pytest.approx(np.log(3), rel=1e-5)
        serializers.load_npz(tmp_path / "model.npz", model)
        assert float(evaluate(x, t).array) == before


def test_dynamic_graph_in_static_mode_names_the_line():
    """A branch on data cannot be compiled yet: the message says where it is and what to do."""

    def program(x):
        if x.array.mean() > 0:
            return F.sum(x)
        return F.prod(x)

    x = jaxchain.Variable(np.ones((2, 2), np.float32))
    assert float(program(x).array) == 4
    try:
        result = float(jaxchain.static(program)(x).array)
    except jaxchain.core.errors.StaticError as error:
        assert "if x.array.mean() > 0:" in str(error) and "test_training.py" in str(error)
    else:
        assert result == 4  # with guarded variants
