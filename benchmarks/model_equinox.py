"""The models as modules of Equinox: `model(x, t, state) -> (loss, state)`, layers mapped over the batch by `vmap`."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from model_spec import MOMENTUM, RATE, program, resnet_blocks, set_weights


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


class Residual(eqx.Module):
    conv1: eqx.nn.Conv2d
    norm1: eqx.nn.BatchNorm
    conv2: eqx.nn.Conv2d
    norm2: eqx.nn.BatchNorm
    shortcut: eqx.nn.Conv2d | None
    norm3: eqx.nn.BatchNorm | None

    def __init__(self, n_in, n_out, stride, key):
        self.conv1, self.norm1 = convolution(n_in, n_out, 3, stride, key), batch_norm(n_out)
        self.conv2, self.norm2 = convolution(n_out, n_out, 3, 1, key), batch_norm(n_out)
        self.shortcut = convolution(n_in, n_out, 1, stride, key) if stride > 1 else None
        self.norm3 = batch_norm(n_out) if stride > 1 else None

    def __call__(self, x, state):
        h, state = self.norm1(self.conv1(x), state)
        h, state = self.norm2(self.conv2(jax.nn.relu(h)), state)
        if self.shortcut is not None:
            x, state = self.norm3(self.shortcut(x), state)
        return jax.nn.relu(h + x), state


def convolution(n_in, n_out, k, stride, key):
    return eqx.nn.Conv2d(n_in, n_out, k, stride, k // 2, use_bias=False, key=key)


def batch_norm(n):
    return eqx.nn.BatchNorm(n, "batch", eps=2e-5, momentum=0.9, mode="batch")


class ResNet(eqx.Module):
    stem: eqx.nn.Conv2d
    norm: eqx.nn.BatchNorm
    blocks: list
    out: eqx.nn.Linear

    def __init__(self, size, key):
        self.stem, self.norm = convolution(3, size.widths[0], 3, 1, key), batch_norm(size.widths[0])
        self.blocks = [Residual(*block, key) for block in resnet_blocks(size)]
        self.out = eqx.nn.Linear(size.widths[-1], size.classes, key=key)

    def scores(self, x, state):
        h, state = self.norm(self.stem(x), state)
        h = jax.nn.relu(h)
        for block in self.blocks:
            h, state = block(h, state)
        return self.out(h.mean((1, 2))), state

    def __call__(self, x, t, state):
        y, state = jax.vmap(self.scores, in_axes=(0, None), out_axes=(0, None), axis_name="batch")(x, state)
        return cross_entropy(y, t), state


class LSTM(eqx.Module):
    embed: eqx.nn.Embedding
    lstm: list
    carry: eqx.nn.StateIndex
    out: eqx.nn.Linear

    def __init__(self, size, key):
        n = size.widths[0]
        self.embed = eqx.nn.Embedding(size.classes, n, key=key)
        self.lstm = [eqx.nn.LSTMCell(n, n, key=key) for _ in size.widths]
        self.carry = eqx.nn.StateIndex([(jnp.zeros((size.batch, n)), jnp.zeros((size.batch, n))) for _ in size.widths])
        self.out = eqx.nn.Linear(n, size.classes, key=key)

    def read(self, x, firsts):
        """Return the scores of one stream, and the last states."""
        h, lasts = jax.vmap(self.embed)(x), []
        for cell, first in zip(self.lstm, firsts, strict=True):
            last, h = jax.lax.scan(lambda carry, x, cell=cell: ((new := cell(x, carry)), new[0]), first, h)
            lasts.append(last)
        return jax.vmap(self.out)(h), lasts

    def __call__(self, x, t, state):
        y, lasts = jax.vmap(self.read)(x, state.get(self.carry))
        return cross_entropy(y, t), state.set(self.carry, lasts)


class Block(eqx.Module):
    ln1: eqx.nn.LayerNorm
    ln2: eqx.nn.LayerNorm
    qkv: eqx.nn.Linear
    proj: eqx.nn.Linear
    fc1: eqx.nn.Linear
    fc2: eqx.nn.Linear
    heads: int = eqx.field(static=True)

    def __init__(self, size, key):
        (d,) = size.widths
        self.heads = size.heads
        self.ln1, self.ln2 = eqx.nn.LayerNorm(d, 1e-6), eqx.nn.LayerNorm(d, 1e-6)
        self.qkv, self.proj = eqx.nn.Linear(d, 3 * d, key=key), eqx.nn.Linear(d, d, key=key)
        self.fc1, self.fc2 = eqx.nn.Linear(d, 4 * d, key=key), eqx.nn.Linear(4 * d, d, key=key)

    def one(self, x):
        """Return what becomes of the tokens of one sample."""
        qkv = jax.vmap(self.qkv)(jax.vmap(self.ln1)(x))
        q, k, v = (a.reshape(len(x), self.heads, -1) for a in jnp.split(qkv, 3, -1))
        x = x + jax.vmap(self.proj)(jax.nn.dot_product_attention(q, k, v).reshape(x.shape))
        return x + jax.vmap(self.fc2)(jax.nn.relu(jax.vmap(self.fc1)(jax.vmap(self.ln2)(x))))

    def __call__(self, x, t, state):
        return optax.squared_error(jax.vmap(self.one)(x), t).mean(), state


MODELS = {"mlp": MLP, "resnet": ResNet, "lstm": LSTM, "block": Block}
NAMES = {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias"}
GATES = {"wx": "weight_ih", "wh": "weight_hh", "b": "bias"}


def assign(owner, leaf, name, array):
    if isinstance(owner, list):  # of the LSTM's layers
        owner, leaf = owner[int(leaf[-1])], GATES[leaf[:-1]]
    object.__setattr__(owner, leaf, jnp.asarray(array))  # modules are frozen once made


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

    return program(model, size, step, evaluate, put)
