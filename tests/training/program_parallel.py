"""A program for four devices: ``python program_parallel.py MODE OUT``. It fails, or prints ``done``."""

import sys
import warnings

import jax
import numpy as np

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import datasets, iterators, optimizers, training
from jaxchain.serializers import load_npz, npz, save_npz
from jaxchain.training import extensions

mode, out = sys.argv[1:]
random = np.random.RandomState(0)
data = datasets.TupleDataset(random.randn(24, 5).astype(np.float32), random.randint(0, 3, 24).astype(np.int32))


class Net(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(None, 8)
            self.l2 = L.Linear(None, 3)

    def forward(self, x):
        return self.l2(F.relu(self.l1(x)))


def model_and_optimizer():
    jaxchain.seed(0)
    model = L.Classifier(Net())
    return model, optimizers.MomentumSGD(lr=0.01).setup(model)


def one_by_one(n, batches, steps, scale=None):
    # what Chainer does: the sum over the parts of the gradients of their mean losses
    model, optimizer = model_and_optimizer()
    for step in range(steps):
        losses = [model(*jaxchain.dataset.concat_examples(batches(step)[i::n])) for i in range(n)]
        model.cleargrads()
        for loss in losses:
            loss.backward()
        optimizer.update()
    return npz.serialize(model)


def batches(step):
    return [data[(8 * step + i) % 24] for i in range(8)]


def close(a, b):
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_allclose(a[key], b[key], rtol=2e-5, atol=1e-6, err_msg=key)


devices = jax.local_devices()
assert len(devices) == 4
wanted = one_by_one(4, batches, 5)

# every device by name, or in order
for given in ({"main": 0, "second": 1, "third": 2, "fourth": 3}, devices):
    model, optimizer = model_and_optimizer()
    iterator = iterators.SerialIterator(data, 8, shuffle=False)
    updater = training.ParallelUpdater(iterator, optimizer, devices=given, loss_scale=4.0, mode=mode)
    trainer = training.Trainer(updater, (5, "iteration"), out=out)
    trainer.extend(extensions.LogReport(trigger=(1, "iteration")))
    trainer.extend(extensions.snapshot())
    evaluation = iterators.SerialIterator(data, 8, repeat=False, shuffle=False)
    trainer.extend(extensions.Evaluator(evaluation, model, device=0), trigger=(2, "iteration"))
    trainer.run()
    close(npz.serialize(model), wanted)
    # between updates the model is where Chainer's is; what the optimizer keeps is everywhere
    W = model.predictor.l1.W
    assert set(W.array.devices()) == set(W.grad.devices()) == {devices[0]}
    assert W.update_rule.state["v"].devices() == set(devices)
    assert "main/loss" in trainer.get_extension("LogReport").log[0]
    if mode == "static":
        assert sum(not c.variant.shared for c in updater.explain().compiles) <= 2  # before and after it was spread

# the batch is split: each device has its part of it
arrays = updater.converter(batches(0), updater._split)
assert [s.data.shape for s in arrays[0].addressable_shards] == [(2, 5)] * 4

# a snapshot goes on
save_npz(out + "/state", trainer)
model2, optimizer2 = model_and_optimizer()
updater2 = training.ParallelUpdater(
    iterators.SerialIterator(data, 8, shuffle=False), optimizer2, devices=devices, loss_scale=4.0, mode=mode
)
trainer2 = training.Trainer(updater2, (7, "iteration"), out=out)
trainer2.extend(extensions.LogReport(trigger=(1, "iteration")))
trainer2.extend(extensions.snapshot())
load_npz(out + "/state", trainer2)
trainer2.run()
updater.update()
updater.update()
close(npz.serialize(model2), npz.serialize(model))

# a batch that does not split
model, optimizer = model_and_optimizer()
iterator = iterators.SerialIterator(data, 6, shuffle=False)
updater = training.ParallelUpdater(iterator, optimizer, devices=devices, mode=mode)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    updater.update()
    updater.update()
assert [str(w.message) for w in caught if "cannot be split" in str(w.message)] == [
    "a batch of 6 cannot be split over 4 devices: it is computed whole on each"
]

# an iterator for each device
model, optimizer = model_and_optimizer()
parts = [iterators.SerialIterator(data[i::4], 2, shuffle=False) for i in range(4)]
updater = training.updaters.MultiprocessParallelUpdater(parts, optimizer, devices=devices, mode=mode)
assert updater.available()
for _ in range(5):
    updater.update()
close(npz.serialize(model), wanted)
assert updater.epoch_detail == parts[3].epoch_detail
saved = npz.serialize(updater)
assert "iterator:main/epoch" in saved and "iterator:3/epoch" in saved
updater.finalize()

# copies of the model get its parameters
model, optimizer = model_and_optimizer()
other = model.copy("copy")
updater = training.ParallelUpdater(
    iterators.SerialIterator(data, 8, shuffle=False),
    optimizer,
    models={"main": model, "other": other},
    devices={"main": 0, "other": 1},
    mode=mode,
)
updater.update()
close(npz.serialize(model), npz.serialize(other))
try:
    training.updaters.MultiprocessParallelUpdater(parts, optimizer, devices=devices[:2])
except ValueError as error:
    assert "expected as many iterators as devices, got 4 and 2" in str(error)
else:
    raise AssertionError

# what somebody holds of the model stays: no update takes its buffer over. It moves in the middle of training
held, values = model.predictor.l1.W.array, np.asarray(model.predictor.l1.W.array).copy()
updater.update()
np.testing.assert_array_equal(np.asarray(held), values)
model.to_device(devices[2])
model.predictor(jax.device_put(data[0][0][None], devices[2]))
updater.update()
assert model.predictor.l1.W.array.devices() == {devices[0]}
print("done")
