"""The public API in twenty lines, in both modes. Runs first, fails fast."""

import numpy as np

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Chain, optimizers


class MLP(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(None, 5)
            self.l2 = L.Linear(5, 2)

    def forward(self, x):
        return self.l2(F.relu(self.l1(x)))


def losses(mode):
    jaxchain.seed(0)
    model = L.Classifier(MLP())
    optimizer = optimizers.Adam().setup(model)
    x = np.random.RandomState(0).rand(8, 3).astype(np.float32)
    t = np.arange(8) % 2

    def step(x, t):
        model.cleargrads()
        loss = model(x, t)
        loss.backward()
        optimizer.update()
        return loss

    step = jaxchain.static(step) if mode == "static" else step
    return [float(step(x, t)) for _ in range(5)]


def test_first():
    eager, static = losses("eager"), losses("static")
    assert eager[-1] < eager[0]
    np.testing.assert_allclose(static, eager, rtol=1e-5)
