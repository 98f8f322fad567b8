"""Two processes with a device each: ``python program_processes.py PORT RANK FOLDER``. It fails, or prints ``done``."""

import pathlib
import sys

import jax
import numpy as np
from jax.experimental.multihost_utils import sync_global_devices
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Chain, iterators, optimizers, serializers, training
from jaxchain.dataset import to_device

port, rank, folder = int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.config.update("jax_cpu_enable_async_dispatch", False)  # else the messages of two programs get mixed up, in gloo
jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank)

random = np.random.RandomState(0)
X = random.standard_normal((3, 8, 4)).astype(np.float32)
T = random.randint(0, 3, (3, 8)).astype(np.int32)
mesh = jax.make_mesh((2,), ("data",))
everywhere, split = NamedSharding(mesh, P()), NamedSharding(mesh, P("data"))


class Model(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(4, 6)
            self.bn = L.BatchNormalization(6)
            self.l2 = L.Linear(6, 3)

    def forward(self, x):
        h = F.relu(self.bn(self.l1(x)))
        if h.array.mean() > 0.4:
            h = h * 0.5
        return self.l2(F.dropout(h, 0.2))


def losses(mode, places):
    """Train for three steps; one process looks at more than the other does."""
    jaxchain.seed(0)
    model = L.Classifier(Model())
    optimizer = optimizers.MomentumSGD(0.1).setup(model)

    def step(x, t):
        model.cleargrads()
        loss = model(x, t)
        loss.backward()
        optimizer.update()
        return loss

    call = jaxchain.static(step) if mode == "static" else step
    found = []
    for x, t in zip(X, T, strict=True):
        if places:
            model.to_device(places[0])
            x, t = to_device(places[1], x), to_device(places[1], t)
        loss = call(x, t)
        if rank == 0 or not places:
            found.append(float(loss.array))
            assert np.isfinite(np.asarray(model.predictor.l1.W.grad)).all()
    return found, model


def unseeded():
    """Each process would draw other numbers."""
    for draw in (lambda: L.Linear(2, 2), lambda: F.dropout(X[0])):
        try:
            draw()
        except RuntimeError as error:
            assert "jaxchain.seed" in str(error) and "program_processes.py" in str(error), error
        else:
            raise AssertionError("no error")


def in_parallel(mode):
    """Train by a `ParallelUpdater` on the devices of both processes."""
    jaxchain.seed(0)
    model = L.Classifier(L.Linear(4, 3))
    iterator = iterators.SerialIterator(jaxchain.datasets.TupleDataset(X[0], T[0]), 4, shuffle=False)
    optimizer = optimizers.MomentumSGD(0.1).setup(model)
    updater = training.updaters.ParallelUpdater(iterator, optimizer, devices=jax.devices(), mode=mode)
    for _ in range(2):
        updater.update()
    return np.asarray(model.predictor.W.array), model


unseeded()
expected, single = losses("eager", ())
for mode in ("eager", "static"):
    found, model = losses(mode, (everywhere, split))
    np.testing.assert_allclose(found, expected if rank == 0 else [], rtol=1e-5)
    for (name, p), q in zip(model.namedparams(), single.params(), strict=True):
        assert p.array.sharding.is_equivalent_to(everywhere, p.ndim), name
        np.testing.assert_allclose(np.asarray(p.array), np.asarray(q.array), rtol=1e-4, atol=1e-5, err_msg=name)

asked = jaxchain.static(lambda x: F.sum(x) if x.max() > 9 else -F.sum(x))
for factor in (1, 1, 10):  # a question about the argument alone is asked before the call
    x = X[0] * np.float32(factor)
    total = -x.sum() if factor == 1 else x.sum()
    np.testing.assert_allclose(np.asarray(asked(to_device(split, x)).array), total, rtol=1e-5)

weights, together = in_parallel("eager")
np.testing.assert_allclose(in_parallel("static")[0], weights, rtol=1e-6)

model.predictor.l1.W.array = to_device(split, np.asarray(model.predictor.l1.W.array))
assert "shape=(6, 4)" in repr(model.predictor.l1.W) and "shape=(6, 4)" in str(model.predictor.l1.W)
try:
    serializers.save_npz(folder / f"{rank}.npz", model)
except ValueError as error:
    assert "predictor/l1/W: is spread over devices of several processes: save_orbax" in str(error), error
else:
    raise AssertionError("no error")
for name, saved in (("spread", model), ("together", together)):
    serializers.save_orbax(folder / name, saved)
    total = {n: float(abs(p.array).sum()) for n, p in saved.namedparams()}
    for p in saved.params():
        p.array = p.array * 0
    serializers.load_orbax(folder / name, saved)
    assert {n: float(abs(p.array).sum()) for n, p in saved.namedparams()} == total
sync_global_devices("end")
print("done")
