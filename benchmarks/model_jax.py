"""The models as pure functions of JAX, with optax: `loss(size, params, state, x, t, train) -> (loss, state)`."""

import functools

import jax
import jax.numpy as jnp
import optax
from model_spec import MOMENTUM, RATE, jax_layout, program, resnet_blocks, weights


def cross_entropy(y, t):
    return -jnp.take_along_axis(jax.nn.log_softmax(y), t[..., None], -1).mean()


def linear(p, name, x):
    return x @ p[f"{name}.W"] + p[f"{name}.b"]


def mlp(size, p, state, x, t, train):
    h = jax.nn.relu(linear(p, "l1", x))
    h = jax.nn.relu(linear(p, "l2", h))
    return cross_entropy(linear(p, "l3", h), t), state


def convolution(p, name, x, stride=1):
    pad = [(p[f"{name}.W"].shape[0] // 2,) * 2] * 2
    return jax.lax.conv_general_dilated(
        x, p[f"{name}.W"], (stride, stride), pad, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def batch_norm(p, state, name, x, train):
    """Return the normalised images; the running statistics in `state` are replaced when training."""
    if train:
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        n = x.size // x.shape[-1]
        for key, new in (("mean", mean), ("var", var * n / (n - 1))):
            state[f"{name}.{key}"] = 0.9 * state[f"{name}.{key}"] + 0.1 * new
    else:
        mean, var = state[f"{name}.mean"], state[f"{name}.var"]
    return (x - mean) * (p[f"{name}.gamma"] * jax.lax.rsqrt(var + 2e-5)) + p[f"{name}.beta"]


def resnet(size, p, state, x, t, train):
    state = dict(state)
    h = jax.nn.relu(batch_norm(p, state, "norm", convolution(p, "stem", x), train))
    for i, (_, _, stride) in enumerate(resnet_blocks(size)):
        name, x = f"blocks.{i}", h
        h = convolution(p, f"{name}.conv1", x, stride)
        h = jax.nn.relu(batch_norm(p, state, f"{name}.norm1", h, train))
        h = batch_norm(p, state, f"{name}.norm2", convolution(p, f"{name}.conv2", h), train)
        if stride > 1:
            x = batch_norm(p, state, f"{name}.norm3", convolution(p, f"{name}.shortcut", x, stride), train)
        h = jax.nn.relu(h + x)
    return cross_entropy(linear(p, "out", h.mean((1, 2))), t), state


def lstm(size, p, state, x, t, train):
    h, new = p["embed.W"][x.T], []  # (time, streams, units)
    for i, first in enumerate(state):

        def cell(carry, source, wh=p[f"lstm.wh{i}"]):
            h, c = carry
            i, f, g, o = jnp.split(source + h @ wh, 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        last, h = jax.lax.scan(cell, first, h @ p[f"lstm.wx{i}"] + p[f"lstm.b{i}"])
        new.append(last)
    return cross_entropy(linear(p, "out", h), t.T), new


def layer_norm(p, name, x):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(var + 1e-6) * p[f"{name}.gamma"] + p[f"{name}.beta"]


def block(size, p, state, x, t, train):
    q, k, v = jnp.split(linear(p, "qkv", layer_norm(p, "ln1", x)), 3, -1)
    q, k, v = (a.reshape(*a.shape[:2], size.heads, -1) for a in (q, k, v))
    x = x + linear(p, "proj", jax.nn.dot_product_attention(q, k, v).reshape(x.shape))
    x = x + linear(p, "fc2", jax.nn.relu(linear(p, "fc1", layer_norm(p, "ln2", x))))
    return jnp.square(x - t).mean(), state


def first_state(model, size, params):
    if model == "lstm":
        return [(jnp.zeros((size.batch, u)), jnp.zeros((size.batch, u))) for u in size.widths]
    norms = [name[: -len(".gamma")] for name in params if name.endswith("gamma")] if model == "resnet" else []
    shapes = {name: params[f"{name}.gamma"].shape for name in norms}
    return {f"{name}.{k}": jnp.full(s, v) for name, s in shapes.items() for k, v in (("mean", 0.0), ("var", 1.0))}


MODELS = {"mlp": mlp, "resnet": resnet, "lstm": lstm, "block": block}


def build(model, size):
    """Return the program of a model; a step donates all that it replaces."""
    loss = functools.partial(MODELS[model], size)
    optimizer = optax.sgd(RATE, MOMENTUM)
    params = {name: jnp.asarray(jax_layout(name, array)) for name, array in weights(model, size).items()}
    held = [params, optimizer.init(params), first_state(model, size, params)]

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

    return program(model, size, step, evaluate, put, channels_last=True, compiled=compiled)
