"""The models as pure functions of JAX, with optax: a model is `loss(params, state, x, t, train) -> (loss, state)`."""

import functools

import jax
import jax.numpy as jnp
import optax
from model_spec import MOMENTUM, RATE, Program, epoch_of, jax_layout, weights


def cross_entropy(y, t):
    return -jnp.take_along_axis(jax.nn.log_softmax(y), t[..., None], -1).mean()


def linear(p, name, x):
    return x @ p[f"{name}.W"] + p[f"{name}.b"]


def mlp(p, state, x, t, train):
    h = jax.nn.relu(linear(p, "l1", x))
    h = jax.nn.relu(linear(p, "l2", h))
    return cross_entropy(linear(p, "l3", h), t), state


def no_state(size):
    return {}


MODELS = {"mlp": (mlp, no_state)}  # with what makes the first state


def build(model, size):
    """Return the program of a model; a step donates all that it replaces."""
    loss, first_state = MODELS[model]
    optimizer = optax.sgd(RATE, MOMENTUM)
    params = {name: jnp.asarray(jax_layout(name, array)) for name, array in weights(model, size).items()}
    held = [params, optimizer.init(params), first_state(size)]

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def update(params, slots, state, x, t):
        (value, state), grads = jax.value_and_grad(loss, has_aux=True)(params, state, x, t, True)
        updates, slots = optimizer.update(grads, slots, params)
        return optax.apply_updates(params, updates), slots, state, value

    @jax.jit
    def score(params, state, x, t):
        return loss(params, state, x, t, False)[0]

    def step(x, t):
        *held[:], value = update(*held, x, t)
        return value

    def evaluate(x, t):
        return score(held[0], held[2], x, t)

    def put(*batch):
        return jax.device_put(batch)

    def compiled(*batch):
        return update.lower(*held, *batch).compile()

    return Program(step, evaluate, epoch_of(model, size, step, put), put, compiled)
