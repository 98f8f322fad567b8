"""Snapshots of a whole run whose iterator reads ahead: the resumed run has the losses of the uninterrupted one."""

from __future__ import annotations

import io

import numpy as np
import pytest

from jaxchain import functions, iterators, links, optimizers, serializers, training

X = np.random.RandomState(0).randn(20, 3).astype(np.float32)
DATA = [(x, np.int32(x.sum() > 0)) for x in X]


def make(kind):
    if kind == "threads":
        it = iterators.MultithreadIterator(DATA, 6, n_threads=2)
    elif kind == "processes":
        it = iterators.MultiprocessIterator(DATA, 6, n_processes=1, n_prefetch=4)
    else:
        it = iterators.prefetch_to_device(iterators.MultithreadIterator(DATA, 6), n_prefetch=4)
    model = links.Classifier(links.Linear(3, 2, initialW=np.eye(2, 3, dtype=np.float32)))
    model.lossfun = lambda y, t: functions.softmax_cross_entropy(functions.dropout(y, 0.2), t)
    return training.Trainer(training.StandardUpdater(it, optimizers.MomentumSGD().setup(model)), (100, "epoch"))


def losses(trainer, n):
    seen = []
    for _ in range(n):
        observation = {}
        with trainer.reporter.scope(observation):
            trainer.updater.update()
            seen.append(float(observation["main/loss"].array))
    return seen


@pytest.mark.parametrize("kind", ["threads", "processes", "device"])
def test_resumed_run_goes_on_exactly(kind):
    trainer = make(kind)
    losses(trainer, 3)  # the order of the next sweep is drawn by now, from NumPy's global generator
    snapshot = io.BytesIO()
    serializers.save_npz(snapshot, trainer)
    expected = losses(trainer, 9)
    trainer.updater.finalize()
    np.random.seed(99)
    other = make(kind)
    losses(other, 1)
    serializers.load_npz(snapshot, other)
    assert losses(other, 9) == expected and other.updater.epoch == 3
    other.updater.finalize()
