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
    widths: tuple = ()
    classes: int = 10
    tokens: int = 0
    heads: int = 1


SIZES = {"mlp": Size(128, 64, (784, 256, 256))}
TITLES = {"mlp": "MLP 784-256-256-10, batch {batch}"}
TINY = {"mlp": Size(4, 2, (6, 5, 4), 3)}


@dataclasses.dataclass(frozen=True)
class Program:
    """A model in a framework: functions of a batch that `put` made, each returning the loss, and of an epoch."""

    step: Callable[..., Any]
    evaluate: Callable[..., Any]
    epoch: Callable[[], Any]
    put: Callable[..., Any]
    compiled: Callable[..., Any] | None = None  # the compiled program of a step on a batch


def linear(name, n_in, n_out):
    return {f"{name}.W": (n_out, n_in), f"{name}.b": (n_out,)}


def mlp_shapes(size):
    widths = (*size.widths, size.classes)
    return {k: v for i in range(1, len(widths)) for k, v in linear(f"l{i}", widths[i - 1], widths[i]).items()}


SHAPES = {"mlp": mlp_shapes}


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


def data(model, size):
    """Return the inputs and the targets of an epoch."""
    rng = np.random.RandomState(1)
    n = size.batch * size.batches
    x = rng.standard_normal((n, size.widths[0])).astype(np.float32)
    return x, rng.randint(0, size.classes, n).astype(np.int32)


def ordered(model):
    """Tell whether a batch goes on where the one before ended, so that the data are not shuffled."""
    return model == "lstm"


def epoch_of(model, size, step, put):
    """Return a function that makes the steps of an epoch on shuffled batches and returns their mean loss."""
    arrays, rng = data(model, size), np.random.RandomState(2)

    def epoch():
        n = len(arrays[0])
        order = np.arange(n) if ordered(model) else rng.permutation(n)
        parts = (order[i : i + size.batch] for i in range(0, n, size.batch))
        losses = [step(*put(*(a[part] for a in arrays))) for part in parts]
        return sum(float(loss) for loss in losses) / len(losses)

    return epoch


def set_weights(module, model, size, names, assign):
    """Give a module of any framework its weights; `names` has what it calls a W, b, gamma and beta."""
    for name, array in weights(model, size).items():
        *path, leaf = name.split(".")
        owner = module
        for part in path:
            owner = owner[int(part)] if part.isdigit() else getattr(owner, part)
        assign(owner, names.get(leaf, leaf), name, array)
