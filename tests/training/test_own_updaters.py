"""Updaters with a compiled step of their own: what goes on from update to update is no new program."""

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import iterators, optimizers, training
from jaxchain.core.explain import EagerFallback

DATA = [np.random.RandomState(i).randn(3).astype(np.float32) for i in range(8)]


class Alternating(training.updaters.StandardUpdater):
    """Updates one of two models in turn, as GANs do."""

    def __init__(self, mode):
        jaxchain.seed(0)
        self.a, self.b = L.Linear(3, 2), L.Linear(3, 2)
        super().__init__(
            iterators.SerialIterator(DATA, 2, shuffle=False),
            {"main": optimizers.SGD(0.1).setup(self.a), "b": optimizers.SGD(0.1).setup(self.b)},
        )
        self.step = jaxchain.static(self.losses) if mode == "static" else self.losses

    def update_core(self):
        self.step(self.converter(self.get_iterator("main").next(), self.device))

    def losses(self, x):
        model, name = (self.a, "main") if self.iteration % 2 == 0 else (self.b, "b")
        loss = F.sum(model(x) ** 2)
        model.cleargrads()
        loss.backward()
        self.get_optimizer(name).update()


def test_a_step_that_reads_the_iteration_has_a_program_for_each_outcome():
    eager, static = Alternating("eager"), Alternating("static")
    for _ in range(9):
        eager.update()
        static.update()
    for x, y in ((eager.a, static.a), (eager.b, static.b)):
        np.testing.assert_allclose(y.W.array, x.W.array, rtol=1e-5)
    programs = static.step.explain().to_dict()["variants"]
    assert len([p for p in programs if not p["shared"]]) == 2
    assert sum(p["calls"] for p in programs) == 9 and len(programs) <= 4


class Greedy(Alternating):
    def update_core(self):
        self.step()

    def losses(self):
        super().losses(self.converter(self.get_iterator("main").next(), self.device))


def test_a_step_that_takes_its_own_batches_runs_eagerly():
    eager, static = Greedy("eager"), Greedy("static")
    with pytest.warns(EagerFallback, match=r"it asks an iterator.*test_own_updaters.py"):
        static.update()
    eager.update()
    for _ in range(5):
        eager.update()
        static.update()
    np.testing.assert_allclose(static.a.W.array, eager.a.W.array, rtol=1e-5)
    assert static.get_iterator("main").current_position == eager.get_iterator("main").current_position
