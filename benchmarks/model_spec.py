"""What the models of models.py are, without any framework: sizes, first weights, data, and what is measured of them.

A weight is named by its path, `blocks.0.conv1.W`, the same in every framework; its layout is Chainer's (a matrix is
(outputs, inputs), a filter OIHW), which `jax_layout` turns into JAX's own.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

RATE, MOMENTUM = 0.01, 0.9  # of the one optimizer: SGD with momentum


@dataclasses.dataclass(frozen=True)
class Size:
    batch: int
    batches: int  # of an epoch
    widths: tuple
    classes: int = 10
    tokens: int = 0
    heads: int = 0
    side: int = 0


SIZES = {
    "mlp": Size(128, 64, (784, 256, 256)),
    "resnet": Size(32, 4, (64, 128, 256, 512), side=32),
    "lstm": Size(32, 16, (256, 256), classes=96, tokens=32),
    "block": Size(16, 16, (256,), tokens=64, heads=8),
}
TINY = {
    "mlp": Size(4, 2, (6, 5, 4), 3),
    "resnet": Size(4, 2, (3, 4), 3, side=6),
    "lstm": Size(3, 2, (4, 4), 5, tokens=6),
    "block": Size(2, 2, (8,), tokens=5, heads=2),
}
TITLES = {
    "mlp": "MLP 784-256-256-10, batch {batch}",
    "resnet": "ResNet-18 at {side}x{side} (3x3 stem, no max pooling), batch {batch}",
    "lstm": "LSTM language model: 2 layers of 256, {classes} characters, {batch} streams, truncated to {tokens}",
    "block": "Transformer block (pre-LN attention and MLP): 256 wide, {heads} heads, {tokens} tokens, batch {batch}",
}


@dataclasses.dataclass(frozen=True)
class Program:
    """A model in a framework: what makes a step and an evaluation on a batch and returns the loss, and an epoch."""

    step: Callable[..., Any]
    evaluate: Callable[..., Any]
    epoch: Callable[[], Any]
    batch: tuple  # the first of the data, as step and evaluate take it
    compiled: Callable[..., Any] | None = None  # returns the compiled program of a step on a batch
    left: Callable[[], Any] = list  # arrays that a step or an epoch leaves, which may come later than the loss


def program(model, size, step, evaluate, put, channels_last=False, compiled=None):
    """Return the program of a framework without a trainer; `put` makes a batch of NumPy arrays its own."""
    arrays = data(model, size, channels_last)
    return Program(step, evaluate, epoch_of(model, size, step, put, arrays), first_batch(arrays, size, put), compiled)


def first_batch(arrays, size, put):
    return put(*(a[: size.batch] for a in arrays))


def epoch_of(model, size, step, put, arrays):
    """Return a function that makes the steps of an epoch on shuffled batches and returns their mean loss."""
    rng, n = np.random.RandomState(2), len(arrays[0])

    def epoch():
        order = np.arange(n) if ordered(model) else rng.permutation(n)
        parts = (order[i : i + size.batch] for i in range(0, n, size.batch))
        losses = [step(*put(*(a[part] for a in arrays))) for part in parts]
        return sum(float(loss) for loss in losses) / len(losses)

    return epoch


def ordered(model):
    """Tell whether a batch goes on where the one before ended, so that the data are not shuffled."""
    return model == "lstm"


# -- weights ----------------------------------------------------------------------------------------------------------


def linear(name, n_in, n_out):
    return {f"{name}.W": (n_out, n_in), f"{name}.b": (n_out,)}


def norm(name, n):
    return {f"{name}.gamma": (n,), f"{name}.beta": (n,)}


def mlp_shapes(size):
    widths = (*size.widths, size.classes)
    return {k: v for i in range(1, len(widths)) for k, v in linear(f"l{i}", widths[i - 1], widths[i]).items()}


def resnet_blocks(size):
    """Return (channels in, channels out, stride) of each residual block."""
    pairs = zip((size.widths[0], *size.widths), size.widths, strict=False)
    return [b for i, (n, m) in enumerate(pairs) for b in ((n, m, 2 if i else 1), (m, m, 1))]


def resnet_shapes(size):
    first = size.widths[0]
    shapes = {"stem.W": (first, 3, 3, 3), **norm("norm", first)}
    for i, (n, m, stride) in enumerate(resnet_blocks(size)):
        own = {"conv1.W": (m, n, 3, 3), **norm("norm1", m), "conv2.W": (m, m, 3, 3), **norm("norm2", m)}
        if stride > 1:
            own |= {"shortcut.W": (m, n, 1, 1), **norm("norm3", m)}
        shapes |= {f"blocks.{i}.{k}": v for k, v in own.items()}
    return shapes | linear("out", size.widths[-1], size.classes)


def lstm_shapes(size):
    """The gates of a layer are stacked in the order i, f, g, o: `wx` of the input, `wh` of the state."""
    shapes = {"embed.W": (size.classes, size.widths[0])}
    for i, u in enumerate(size.widths):
        shapes |= {f"lstm.wx{i}": (4 * u, u), f"lstm.wh{i}": (4 * u, u), f"lstm.b{i}": (4 * u,)}
    return shapes | linear("out", size.widths[-1], size.classes)


def block_shapes(size):
    (d,) = size.widths
    shapes = norm("ln1", d) | linear("qkv", d, 3 * d) | linear("proj", d, d)
    return shapes | norm("ln2", d) | linear("fc1", d, 4 * d) | linear("fc2", 4 * d, d)


SHAPES = {"mlp": mlp_shapes, "resnet": resnet_shapes, "lstm": lstm_shapes, "block": block_shapes}


def weights(model, size):
    """Return {name: array}: matrices and filters are drawn, scales are 1, the rest is 0."""
    rng = np.random.RandomState(0)

    def start(name, shape):
        if len(shape) > 1:
            return (rng.standard_normal(shape) / math.sqrt(math.prod(shape[1:]))).astype(np.float32)
        return np.full(shape, name.endswith("gamma"), np.float32)

    return {name: start(name, shape) for name, shape in SHAPES[model](size).items()}


def jax_layout(name, array):
    """Return a weight as JAX's libraries keep it: (inputs, outputs), HWIO."""
    if name.startswith("embed"):
        return array
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def set_weights(module, model, size, names, assign):
    """Give a module of any framework its weights; `names` has what it calls a W, b, gamma and beta."""
    for name, array in weights(model, size).items():
        *path, leaf = name.split(".")
        owner = module
        for part in path:
            owner = owner[int(part)] if part.isdigit() else getattr(owner, part)
        assign(owner, names.get(leaf, leaf), name, array)


# -- data -------------------------------------------------------------------------------------------------------------


def data(model, size, channels_last=False):
    """Return the inputs and the targets of an epoch."""
    rng = np.random.RandomState(1)
    n = size.batch * size.batches
    if model == "lstm":  # row i of a batch goes on in row i of the next
        text = rng.randint(0, size.classes, (size.batch, size.batches * size.tokens + 1)).astype(np.int32)
        parts = (text[:, :-1], text[:, 1:])
        return tuple(
            p.reshape(size.batch, size.batches, size.tokens).swapaxes(0, 1).reshape(n, size.tokens) for p in parts
        )
    if model == "block":
        shape = (n, size.tokens, *size.widths)
        return tuple(rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    x = rng.standard_normal((n, size.widths[0]) if model == "mlp" else (n, 3, size.side, size.side)).astype(np.float32)
    if x.ndim == 4 and channels_last:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    return x, rng.randint(0, size.classes, n).astype(np.int32)
