"""The models as modules of Flax NNX: a module called with a batch returns its loss."""

import functools

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from model_spec import MOMENTUM, RATE, Program, epoch_of, jax_layout, set_weights


def cross_entropy(y, t):
    return optax.softmax_cross_entropy_with_integer_labels(y, t).mean()


class MLP(nnx.Module):
    def __init__(self, size, rngs):
        n_in, *hidden = size.widths
        self.l1 = nnx.Linear(n_in, hidden[0], rngs=rngs)
        self.l2 = nnx.Linear(*hidden, rngs=rngs)
        self.l3 = nnx.Linear(hidden[1], size.classes, rngs=rngs)

    def __call__(self, x, t):
        h = nnx.relu(self.l1(x))
        h = nnx.relu(self.l2(h))
        return cross_entropy(self.l3(h), t)


MODELS = {"mlp": MLP}
NAMES = {"W": "kernel", "b": "bias", "gamma": "scale", "beta": "bias"}


def assign(owner, leaf, name, array):
    if isinstance(owner, nnx.Embed):
        leaf = "embedding"
    getattr(owner, leaf)[...] = jnp.asarray(jax_layout(name, array))


def view(net, train):
    """Return the module with the same variables, for training or for evaluation."""
    return nnx.view(net, raise_if_not_found=False, use_running_average=not train)


def build(model, size, idiom="nnx.jit"):
    """Return the program of a model: through `nnx.jit`, or through `jax.jit` of split modules, donated."""
    net = MODELS[model](size, nnx.Rngs(0))
    set_weights(net, model, size, NAMES, assign)
    optimizer = nnx.Optimizer(net, optax.sgd(RATE, MOMENTUM), wrt=nnx.Param)

    def update(net, optimizer, x, t):
        value, grads = nnx.value_and_grad(lambda net: net(x, t))(net)
        optimizer.update(net, grads)
        return value

    def put(*batch):
        return jax.device_put(batch)

    if idiom == "nnx.jit":
        training, scoring = view(net, True), view(net, False)
        step = functools.partial(nnx.jit(update), training, optimizer)
        evaluate = functools.partial(nnx.jit(lambda net, x, t: net(x, t)), scoring)
        return Program(step, evaluate, epoch_of(model, size, step, put), put)

    graph, state = nnx.split((view(net, True), optimizer))
    scoring, _ = nnx.split((view(net, False), optimizer))
    held = [jax.tree.map(jnp.copy, state)]

    @functools.partial(jax.jit, donate_argnums=0)
    def split_update(state, x, t):
        net, optimizer = nnx.merge(graph, state)
        value = update(net, optimizer, x, t)
        return nnx.state((net, optimizer)), value

    @jax.jit
    def split_score(state, x, t):
        return nnx.merge(scoring, state)[0](x, t)

    def step(x, t):
        held[0], value = split_update(held[0], x, t)
        return value

    def evaluate(x, t):
        return split_score(held[0], x, t)

    return Program(step, evaluate, epoch_of(model, size, step, put), put)
