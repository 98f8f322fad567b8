"""The models as modules of Equinox: `model(x, t, state) -> (loss, state)`, layers mapped over the batch by `vmap`."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from model_spec import MOMENTUM, RATE, Program, epoch_of, set_weights


def cross_entropy(y, t):
    return optax.softmax_cross_entropy_with_integer_labels(y, t).mean()


class MLP(eqx.Module):
    l1: eqx.nn.Linear
    l2: eqx.nn.Linear
    l3: eqx.nn.Linear

    def __init__(self, size, key):
        n_in, *hidden = size.widths
        self.l1 = eqx.nn.Linear(n_in, hidden[0], key=key)
        self.l2 = eqx.nn.Linear(*hidden, key=key)
        self.l3 = eqx.nn.Linear(hidden[1], size.classes, key=key)

    def __call__(self, x, t, state):
        h = jax.nn.relu(jax.vmap(self.l1)(x))
        h = jax.nn.relu(jax.vmap(self.l2)(h))
        return cross_entropy(jax.vmap(self.l3)(h), t), state


MODELS = {"mlp": MLP}
NAMES = {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias"}


def assign(owner, leaf, name, array):
    # Modules are frozen once made; a filter's bias has its image axes, which a benchmark of ours has no use for.
    object.__setattr__(owner, leaf, jnp.asarray(array))


def build(model, size):
    """Return the program of a model: `eqx.filter_jit`, donated."""
    net, state = eqx.nn.make_with_state(MODELS[model])(size, jax.random.key(0))
    set_weights(net, model, size, NAMES, assign)
    optimizer = optax.sgd(RATE, MOMENTUM)
    held = [net, optimizer.init(eqx.filter(net, eqx.is_inexact_array)), state]

    @eqx.filter_jit(donate="all-except-first")
    def update(batch, net, slots, state):
        loss = eqx.filter_value_and_grad(lambda net: net(*batch, state), has_aux=True)
        (value, state), grads = loss(net)
        updates, slots = optimizer.update(grads, slots, eqx.filter(net, eqx.is_inexact_array))
        return eqx.apply_updates(net, updates), slots, state, value

    @eqx.filter_jit
    def score(net, state, x, t):
        return eqx.nn.inference_mode(net)(x, t, state)[0]

    def step(x, t):
        *held[:], value = update((x, t), *held)
        return value

    def evaluate(x, t):
        return score(held[0], held[2], x, t)

    def put(*batch):
        return jax.device_put(batch)

    return Program(step, evaluate, epoch_of(model, size, step, put), put)
