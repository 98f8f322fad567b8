"""The models as modules of Flax NNX: a module called with a batch returns its loss."""

import functools

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from model_spec import MOMENTUM, RATE, jax_layout, program, resnet_blocks, set_weights


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


class Residual(nnx.Module):
    def __init__(self, n_in, n_out, stride, rngs):
        self.conv1, self.norm1 = convolution(n_in, n_out, 3, stride, rngs), batch_norm(n_out, rngs)
        self.conv2, self.norm2 = convolution(n_out, n_out, 3, 1, rngs), batch_norm(n_out, rngs)
        if stride > 1:
            self.shortcut, self.norm3 = convolution(n_in, n_out, 1, stride, rngs), batch_norm(n_out, rngs)

    def __call__(self, x):
        h = nnx.relu(self.norm1(self.conv1(x)))
        h = self.norm2(self.conv2(h))
        return nnx.relu(h + (self.norm3(self.shortcut(x)) if hasattr(self, "shortcut") else x))


def convolution(n_in, n_out, k, stride, rngs):
    return nnx.Conv(n_in, n_out, (k, k), stride, padding=k // 2, use_bias=False, rngs=rngs)


def batch_norm(n, rngs):
    return nnx.BatchNorm(n, momentum=0.9, epsilon=2e-5, rngs=rngs)


class ResNet(nnx.Module):
    def __init__(self, size, rngs):
        first = size.widths[0]
        self.stem, self.norm = convolution(3, first, 3, 1, rngs), batch_norm(first, rngs)
        self.blocks = nnx.List([Residual(*block, rngs) for block in resnet_blocks(size)])
        self.out = nnx.Linear(size.widths[-1], size.classes, rngs=rngs)

    def __call__(self, x, t):
        h = nnx.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            h = block(h)
        return cross_entropy(self.out(h.mean((1, 2))), t)


class Carry(nnx.Variable):
    """The state of a layer of an LSTM, kept from batch to batch."""


class LSTM(nnx.Module):
    def __init__(self, size, rngs):
        n = size.widths[0]
        self.embed = nnx.Embed(size.classes, n, rngs=rngs)
        self.lstm = nnx.List([nnx.RNN(nnx.OptimizedLSTMCell(n, n, rngs=rngs), return_carry=True) for _ in size.widths])
        self.carries = nnx.List([Carry(jnp.zeros((2, size.batch, n))) for _ in size.widths])
        self.out = nnx.Linear(n, size.classes, rngs=rngs)

    def __call__(self, x, t):
        h = self.embed(x)
        for rnn, carry in zip(self.lstm, self.carries, strict=True):
            last, h = rnn(h, initial_carry=tuple(carry[...]))
            carry[...] = jnp.stack(last)
        return cross_entropy(self.out(h), t)


class Block(nnx.Module):
    def __init__(self, size, rngs):
        (d,) = size.widths
        self.heads = size.heads
        self.ln1, self.ln2 = nnx.LayerNorm(d, rngs=rngs), nnx.LayerNorm(d, rngs=rngs)
        self.qkv, self.proj = nnx.Linear(d, 3 * d, rngs=rngs), nnx.Linear(d, d, rngs=rngs)
        self.fc1, self.fc2 = nnx.Linear(d, 4 * d, rngs=rngs), nnx.Linear(4 * d, d, rngs=rngs)

    def __call__(self, x, t):
        q, k, v = jnp.split(self.qkv(self.ln1(x)), 3, -1)
        q, k, v = (a.reshape(*a.shape[:2], self.heads, -1) for a in (q, k, v))
        x = x + self.proj(nnx.dot_product_attention(q, k, v).reshape(x.shape))
        x = x + self.fc2(nnx.relu(self.fc1(self.ln2(x))))
        return optax.squared_error(x, t).mean()


MODELS = {"mlp": MLP, "resnet": ResNet, "lstm": LSTM, "block": Block}
NAMES = {"W": "kernel", "b": "bias", "gamma": "scale", "beta": "bias"}


def assign(owner, leaf, name, array):
    if isinstance(owner, nnx.Embed):
        leaf = "embedding"
    elif isinstance(owner, nnx.List):  # of the LSTM's layers
        cell = owner[int(leaf[-1])].cell
        owner, leaf = (cell.dense_i if leaf[:-1] == "wx" else cell.dense_h), NAMES["W" if leaf[0] == "w" else "b"]
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
        return program(model, size, step, evaluate, put, channels_last=True)

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

    return program(model, size, step, evaluate, put, channels_last=True)
