"""A program for two devices: ``python program_devices.py MODE OPTIMIZERS``. It fails, or prints ``done``."""

import copy
import sys
import tempfile
import warnings

import jax
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Variable, optimizer_hooks, optimizers, reporter
from jaxchain.core.explain import EagerFallback
from jaxchain.serializers import load_npz, save_npz

mode, which = sys.argv[1:]
first, second = jax.devices()
random = np.random.RandomState(0)
X, T = random.standard_normal((4, 3)).astype(np.float32), np.int32([0, 1, 1, 0])


def place(array):
    (device,) = array.devices()
    return device


def training(optimizer, dtype=np.float32):
    """Return a model and its step, compiled as the mode says."""
    jaxchain.seed(0)
    with jaxchain.using_config("dtype", dtype):
        model = L.Classifier(L.Linear(3, 2))
    optimizer.setup(model)
    optimizer.add_hook(optimizer_hooks.WeightDecay(1e-3))
    optimizer.add_hook(optimizer_hooks.GradientClipping(1.0))

    def step(x, t):
        model.cleargrads()
        loss = model(x, t)
        loss.backward(loss_scale=getattr(optimizer, "_loss_scale", None))
        optimizer.update()
        return loss

    if mode == "link":
        model.static()
    return model, jaxchain.static(step) if mode == "static" else step


def losses(make, moves, dtype=np.float32):
    """Train; before each pair of steps the model moves."""
    optimizer = make()
    model, step = training(optimizer, dtype)
    found = []
    for device in moves:
        if device is not None:
            model.to_device(device)
        found += [float(step(X.astype(dtype), T).array) for _ in range(2)]
        if device is not None:
            assert all(place(p.array) == device for p in model.params())
            slots = [s for p in model.params() for s in (p.update_rule.state or {}).values()]
            assert all(place(s) == device for s in slots if isinstance(s, jax.Array))
    return found


# what an optimizer keeps follows the parameters
MAKERS = [
    lambda: optimizers.Adam(amsgrad=True, weight_decay_rate=1e-3),
    optimizers.SGD,
    optimizers.MomentumSGD,
    optimizers.Adam,
    optimizers.RMSpropGraves,
    optimizers.SMORMS3,
]
for make in MAKERS if which == "every" else MAKERS[:2]:
    here = losses(make, [None] * 3)
    np.testing.assert_allclose(losses(make, [None, second, first]), here, rtol=1e-6)


def float32_updates():
    optimizer = optimizers.MomentumSGD()
    optimizer.use_fp32_update()
    return optimizer


if mode != "static":  # there the first update has to be outside
    here = losses(float32_updates, [None] * 3, np.float16)
    np.testing.assert_allclose(losses(float32_updates, [None, second, first], np.float16), here, rtol=1e-3)

# a learning rate that a compiled step changed
model, optimizer = L.Linear(3, 1), optimizers.Adam(0.1)
optimizer.setup(model)


def decaying(x):
    model.cleargrads()
    F.sum(model(x) ** 2).backward()
    optimizer.update()
    optimizer.alpha *= 0.5


decaying = jaxchain.static(decaying) if mode == "static" else decaying
decaying(X)
model.to_device(second)
decaying(X)
model.to_device(first)
decaying(X)
assert abs(optimizer.alpha - 0.0125) < 1e-8 and optimizer.t == 3

# a parameter whose shape is not known yet goes where its link went; so does a copy's
link = jaxchain.Sequential(L.Linear(None, 4), L.BatchNormalization(axis=0))
link.to_device(second)
copied = copy.deepcopy(link)
for each in (link, copied):
    y = each.static()(X) if mode == "link" else each(X)
    assert place(y.array) == second and all(place(p.array) == second for p in each.params())
    assert place(each[1].avg_mean) == second

# what is only moved stays on its device, also while NumPy does it
x = jax.device_put(X, second)
with jaxchain.using_config("mode", "static" if mode == "static" else "eager"):
    for y in (F.reshape(x, (3, 4)), F.transpose(Variable(x)), F.concat([x, x]), F.split_axis(x, 2, 0)[1]):
        assert place(y.array) == second

# a model with a part on each device, as in Chainer's example of model parallelism


class Parts(jaxchain.Chain):
    def __init__(self, devices):
        super().__init__()
        with self.init_scope():
            self.one, self.two = L.Linear(3, 4), L.Linear(4, 2)
        self.devices = devices
        if devices:
            self.one.to_device(devices[0])
            self.two.to_device(devices[1])

    def forward(self, x):
        h = F.relu(self.one(x))
        h = self.two(F.copy(h, self.devices[1]) if self.devices else h)
        return F.copy(h, self.devices[0]) if self.devices else h


def parallel_losses(devices):
    jaxchain.seed(0)
    model = L.Classifier(Parts(devices))
    optimizer = optimizers.Adam(0.1).setup(model)
    optimizer.add_hook(optimizer_hooks.GradientClipping(0.1))

    def step(x, t):
        model.cleargrads()
        loss = model(x, t)
        loss.backward()
        optimizer.update()
        return loss

    if mode == "link":
        model.static()
    run = jaxchain.static(step) if mode == "static" else step
    found = [float(run(X, T).array) for _ in range(4)]
    if devices:
        assert [place(p.array) for p in model.predictor.two.params()] == [second] * 2
        assert [place(p.array) for p in model.predictor.one.params()] == [first] * 2
    return found


with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", EagerFallback)
    np.testing.assert_allclose(parallel_losses((first, second)), parallel_losses(None), rtol=1e-5)
assert any("its arrays are on several devices" in str(w.message) for w in caught) == (mode != "eager")

# the same where the first part was left where it was, which binds it to no device; any optimizer
if mode == "eager":
    for made in (optimizers.MomentumSGD(0.1), optimizers.Optax(optax.sgd(0.1, momentum=0.9))):
        jaxchain.seed(0)
        parts = Parts(None)
        parts.two.to_device(second)
        made.setup(parts)
        for _ in range(2):
            parts.cleargrads()
            F.sum(parts.two(F.copy(parts.one(X), second))).backward()
            made.update()
        assert [place(p.array) for p in (*parts.two.params(), *parts.one.params())] == [second] * 2 + [first] * 2

# batches and parameters that are spread over both devices: the same losses, and each stays spread
mesh = jax.make_mesh((2,), ("d",), axis_types=(AxisType.Auto,))


def spread_losses(of_parameters, of_batch):
    model, step = training(optimizers.Adam(0.1))
    for p in model.params():
        p.array = jax.device_put(p.array, NamedSharding(mesh, of_parameters))
    batch = [jax.device_put(a, NamedSharding(mesh, of_batch)) for a in (X, T)]
    found = [float(step(*batch).array) for _ in range(4)]
    assert all(p.array.sharding.is_equivalent_to(NamedSharding(mesh, of_parameters), p.ndim) for p in model.params())
    return found


here = losses(lambda: optimizers.Adam(0.1), [None] * 2)
for spread in [(P(), P("d")), (P("d"), P()), (P("d"), P("d"))]:
    np.testing.assert_allclose(spread_losses(*spread), here, rtol=1e-5)

# small gradients, which come out of a compiled step as one array, are not gathered where parameters are split
if mode == "static":
    pair = jaxchain.Sequential(L.Linear(4, 4), L.Linear(4, 4))
    for p in pair.params():
        p.array = jax.device_put(p.array, NamedSharding(mesh, P("d")))
    jaxchain.static(lambda x: F.sum(pair(x) ** 2).backward())(np.ones((2, 4), np.float32))
    assert all(p.grad.sharding.is_equivalent_to(p.array.sharding, p.ndim) for p in pair[1].params())

# parameters that are copied stay where they are
here, there = L.Linear(3, 2), L.Linear(3, 2)
there.to_device(second)
there.copyparams(here)
np.testing.assert_array_equal(there.W.array, here.W.array)
assert place(there.W.array) == second
F.sum(here(X)).backward()
there.cleargrads()
there.addgrads(here)
np.testing.assert_array_equal(there.W.grad, here.W.grad)
assert place(there.W.grad) == second

# what moves has its buffers to itself: a compiled step may be given those of one of the two, and deletes them
whole = NamedSharding(mesh, P())
for moved in (lambda: copy.deepcopy(here).to_device(first), lambda: copy.deepcopy(here).to_device(whole)):
    for link in (moved(), moved().to_device(first)):
        assert not link.W.array.delete() and np.isfinite(here.W.array).all()
for array in (F.copy(here.W, first).array, F.copy(here.W, whole).array, here.device.send(here.W.array)):
    assert not array.delete() and np.isfinite(here.W.array).all()
there.copyparams(here.copy("copy").to_device(second))
twin = L.Linear(3, 2).to_device(whole)
twin.copyparams(here)
assert not twin.W.array.delete() and np.isfinite(here.W.array).all()

# what is on two devices is an error that names the op and the line, also where it is run later
if mode == "eager":
    y = there(jax.device_put(X, first))  # this line
    try:
        y.array
    except ValueError as error:
        note = next(
            n for n in error.__notes__ if n.startswith("linear: expected arrays on one device, or on one mesh, got {")
        )
        assert note.endswith("# this line"), note
    else:
        raise AssertionError

# what is loaded is where the model is, and bound to a device only if the model is
with tempfile.TemporaryDirectory() as folder:
    file = folder + "/model.npz"
    save_npz(file, there)
    free = L.Linear(3, 2)
    load_npz(file, there)
    load_npz(file, free)
assert place(there.W.array) == second and place(free.W.array) == first and not free.W.array.committed
assert place(free(jax.device_put(X, second)).array) == second

# a recurrent state moves with its link
rnn = L.LSTM(3, 2)
rnn(X)
rnn.to_device(second)
assert place(rnn(X).array) == place(rnn.c.array) == second

# observations from before and after a move have one mean
summary = reporter.DictSummary()
for device in (first, second):
    summary.add({"loss": jax.device_put(np.float32(device.id), device)})
assert summary.compute_mean()["loss"] == 0.5
print("done")
