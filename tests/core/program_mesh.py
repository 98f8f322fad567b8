"""A program for four devices, a mesh with `Explicit` axes: ``python program_mesh.py``. It fails, or prints ``done``."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Variable, optimizers
from jaxchain.training.updaters import StandardUpdater

random = np.random.RandomState(0)
X, T = random.standard_normal((4, 6)).astype(np.float32), np.int32([0, 1, 1, 0])
mesh = jax.make_mesh((2, 2), ("data", "model"))


def spread(array, *axes):
    return jax.device_put(array, NamedSharding(mesh, P(*axes)))


def like(array, other):
    return array.sharding.is_equivalent_to(other.sharding, other.ndim)


class Model(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.table = L.EmbedID(2, 6)
            self.one, self.two = L.Linear(6, 4), L.Linear(4, 2)

    def forward(self, x, t):
        loss = F.softmax_cross_entropy(self.two(F.relu(self.one(x + self.table(t)))), t)
        return loss, loss * 2  # no gradient comes for the second


# -- training: how parameters are spread -> the losses and gradients of one device -----------------------------------

LAYOUTS = {
    "data": ({}, ("data",)),
    "both": ({"/one/W": ("model",), "/one/b": ("model",), "/two/W": (None, "model")}, ("data",)),
    "parameters over the batch's axis": ({"/one/W": ("data",), "/two/W": ("data",)}, ("data",)),
    "classes": ({"/two/W": ("model",), "/two/b": ("model",)}, ("data",)),
}


def train(mode, parameters=None, batch=()):
    jaxchain.seed(0)
    np.random.seed(0)
    model = Model()
    optimizer = optimizers.MomentumSGD(0.1).setup(model)
    optimizer.add_hook(jaxchain.optimizer_hooks.GradientClipping(0.1))
    x, t = X, T
    if parameters is not None:
        for path, p in model.namedparams():
            p.array = spread(p.array, *parameters.get(path, ()))
        x, t = spread(X, *batch), spread(T, *batch)
    if mode == "link":
        model.static()

    def step(x, t):
        model.cleargrads()
        loss = model(x, t)[0]
        loss.backward()
        optimizer.update()
        return loss

    run = jaxchain.static(step) if mode == "static" else step
    losses = [float(run(x, t).array) for _ in range(3)]
    if mode == "static":  # the optimizer's slots are spread as the parameters are, from the first
        assert [c.reason for c in run.explain().compiles] == ["first call"]
    for path, p in model.namedparams():
        place = NamedSharding(mesh, P(*(parameters or {}).get(path, ())))
        assert parameters is None or (p.array.sharding.is_equivalent_to(place, p.ndim), path)
        assert parameters is None or p.grad.sharding.is_equivalent_to(place, p.ndim), path
    return losses, [np.asarray(p.grad) for p in model.params()]


expected = train("eager")
for mode, names in {"eager": LAYOUTS, "static": LAYOUTS, "link": ["both"]}.items():
    for name in names:
        layout = LAYOUTS[name]
        losses, gradients = train(mode, *layout)
        np.testing.assert_allclose(losses, expected[0], rtol=1e-5, err_msg=f"{mode}, {name}")
        for found, wanted in zip(gradients, expected[1], strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6, err_msg=f"{mode}, {name}")
with jax.set_mesh(mesh):
    np.testing.assert_allclose(train("static", {}, ("data",))[0], expected[0], rtol=1e-5)


def updated(mode, place):
    jaxchain.seed(0)
    model = L.Classifier(L.Linear(6, 2))
    if place is not None:
        model.to_device(place)
    batch = jaxchain.datasets.TupleDataset(X, T)
    optimizer = optimizers.Adam(0.1).setup(model)
    converter = None if place is None else lambda batch, device: (spread(X, "data"), spread(T, "data"))
    options = {} if converter is None else {"converter": converter}
    updater = StandardUpdater(
        jaxchain.iterators.SerialIterator(batch, 4, shuffle=False), optimizer, mode=mode, **options
    )
    for _ in range(2):
        updater.update()
    return [np.asarray(p.array) for p in model.params()]


for found, wanted in zip(updated("static", NamedSharding(mesh, P())), updated("eager", None), strict=True):
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)

# -- gradients of gradients; what JAX has no rule for; gradients that start anywhere ----------------------------------

x = Variable(spread(X, "data"))
(gx,) = jaxchain.grad([F.sum(F.tanh(x) ** 2)], [x], enable_double_backprop=True)
(ggx,) = jaxchain.grad([F.sum(gx * gx)], [x])
one = Variable(X)
(g1,) = jaxchain.grad([F.sum(F.tanh(one) ** 2)], [one], enable_double_backprop=True)
np.testing.assert_allclose(ggx.array, jaxchain.grad([F.sum(g1 * g1)], [one])[0].array, rtol=1e-4, atol=1e-6)
assert like(gx.array, x.array) and like(ggx.array, x.array)

for function in (lambda x: F.pad(x, ((1, 0), (0, 0)), "constant"), lambda x: F.tile(x, (2, 1)), lambda x: F.sum(x) * 2):
    x = Variable(spread(X, "data"))
    y = function(x)
    y.grad = np.ones(y.shape, np.float32)  # on one device
    y.backward()
    np.testing.assert_allclose(y.array, function(Variable(X)).array, rtol=1e-6)
    assert like(x.grad, x.array)

labels = Variable(spread(X, "data")), spread(T, "data")  # of which there is no gradient
np.testing.assert_array_equal(F.recall(*labels, 2)[0].array, F.recall(X, T, 2)[0].array)

# -- other ways to spread ---------------------------------------------------------------------------------------------

whole = NamedSharding(mesh, P())
for copied in (lambda x: F.copy(x, whole), jaxchain.static(lambda x: F.copy(x, whole))):
    assert copied(Variable(spread(X, "data"))).array.sharding.is_equivalent_to(whole, 2)
x = Variable(spread(X, "data"))
F.sum(F.copy(x, whole) ** 2).backward()
assert like(x.grad, x.array)

link = L.Linear(6, 4)
total = jaxchain.static(lambda x: F.sum(F.tanh(link(x))))
known = float(total(X).array)
for place in (whole, NamedSharding(mesh, P("model")), jax.devices()[0]):
    link.to_device(place)  # the same static function after each move
    value = float(total(X if isinstance(place, jax.Device) else spread(X, "data")).array)
    assert abs(value - known) < 1e-5
step = jaxchain.static(lambda x: F.sum(link(x)))
link.to_device(whole)
assert "all-reduce" in step.lower(spread(X, "data")).compile().as_text()

x, y = Variable(spread(X, "data")), jax.device_put(X, NamedSharding(jax.make_mesh((4,), ("other",)), P("other")))
try:
    x + y
    raise AssertionError("two meshes")
except TypeError as error:
    assert "add(lhs: float32[4@data,6], rhs: float32[4@other,6])" in str(error), error

# -- inside `shard_map`, with its checks ------------------------------------------------------------------------------

link.to_device(jax.devices()[0])
W, b = link.W.array, link.b.array


def shard(W, b, x):
    link.W.array, link.b.array = W, b
    link.cleargrads()
    F.sum(F.tanh(link(x))).backward()
    return link.W.grad


gradient = jax.jit(jax.shard_map(shard, mesh=mesh, in_specs=(P(), P(), P("data")), out_specs=P()))(
    spread(W), spread(b), spread(X, "data")
)
link.W.array, link.b.array = W, b
np.testing.assert_allclose(gradient, jax.grad(lambda W: jnp.sum(jnp.tanh(X @ W.T + b)))(W), rtol=1e-4, atol=1e-6)
print("done")
