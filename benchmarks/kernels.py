"""The kernels that the models of models.py spend their time in: XLA's beside PyTorch's, forward and both gradients.

    python benchmarks/kernels.py --threads 2                          # of every model
    python benchmarks/kernels.py block --rounds 31

Medians of milliseconds of a kernel by itself, and the sums over what a step makes of each. They say which kernels keep
a model behind PyTorch on a CPU. The gradient of a convolution's filters is measured twice: XLA's own, and the products
of matrices that jaxchain makes of it. A kernel is called for a while before the next one: PyTorch's threads wait for
more to do, and keep a core busy, for some milliseconds after a call.
"""

import argparse
import dataclasses
import functools
import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from common import NOT_INSTALLED, interleaved, timer, torch
from jax import lax

from jaxchain.functions.correlation import filters_gradient

WAYS = ("forward", "gradient of x", "gradient of W", "gradient of W, ours")


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A function of x and W in both libraries, how often a step calls it, and jaxchain's own gradient of W, if any."""

    name: str
    count: int
    shapes: tuple  # of x and of W (or of the further arguments)
    ours: Callable
    theirs: Callable
    own: Callable | None = None


def linear(count, rows, n_in, n_out):
    """A Linear's product, with W as (outputs, inputs)."""
    name = f"{rows}x{n_in} by {n_in}x{n_out}"
    return Kernel(name, count, ((rows, n_in), (n_out, n_in)), lambda x, w: x @ w.T, lambda x, w: x @ w.mT)


def batched(count, batch, rows, inner, columns):
    name, shapes = f"{batch} of {rows}x{inner} by {inner}x{columns}", ((batch, rows, inner), (batch, inner, columns))
    return Kernel(name, count, shapes, jnp.matmul, lambda x, w: x @ w)


def layer_norm(count, rows, width):
    def ours(x, w):
        x = x - x.mean(1, keepdims=True)
        return x * lax.rsqrt(jnp.square(x).mean(1, keepdims=True) + 1e-6) * w

    theirs = lambda x, w: torch.nn.functional.layer_norm(x, w.shape, w, None, 1e-6)  # noqa: E731
    return Kernel(f"layer normalization, {rows}x{width}", count, ((rows, width), (width,)), ours, theirs)


def lstm_layer(count, steps, batch, units):
    """A layer over a sequence; W is the state's. PyTorch calls oneDNN's kernel of a whole layer, XLA has a loop."""
    wx = np.random.RandomState(2).standard_normal((4 * units, units)).astype("f") / units**0.5

    def ours(x, w):
        def cell(carry, source):
            h, c = carry
            i, f, g, o = jnp.split(source + h @ w.T, 4, 1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros((batch, units), x.dtype)
        return lax.scan(cell, (zero, zero), x @ wx.T)[1]

    def theirs(x, w):
        zero = torch.zeros(1, batch, units)
        return torch.lstm(x, (zero, zero), [torch.from_numpy(wx), w], False, 1, 0.0, True, False, False)[0]

    name = f"LSTM layer, {steps} steps of {batch}x{units}"
    return Kernel(name, count, ((steps, batch, units), (4 * units, units)), ours, theirs)


def softmax(count, *shape):
    name = f"softmax, {'x'.join(map(str, shape))}"
    return Kernel(name, count, (shape,), lambda x: jax.nn.softmax(x), lambda x: x.softmax(-1))


def convolution(count, n_in, n_out, size, k, stride, batch=32):
    """A convolution without a bias, padded to keep the size."""
    pad, shapes = k // 2, ((batch, n_in, size, size), (n_out, n_in, k, k))
    strides, pads = (stride, stride), [(pad, pad)] * 2
    return Kernel(
        f"{n_in} -> {n_out}, {size}x{size}, window {k}, stride {stride}",
        count,
        shapes,
        lambda x, w: lax.conv_general_dilated(x, w, strides, pads),
        lambda x, w: torch.nn.functional.conv2d(x, w, stride=stride, padding=pad),
        lambda x, g: filters_gradient(x, g, shapes[1], strides, pads, (1, 1), 1),
    )


MODELS = {
    "mlp": [linear(1, 128, 784, 256), linear(1, 128, 256, 256), linear(1, 128, 256, 10)],
    "lstm": [lstm_layer(2, 32, 32, 256), linear(1, 1024, 256, 96)],
    "block": [
        linear(1, 1024, 256, 768),
        linear(1, 1024, 256, 256),
        linear(1, 1024, 256, 1024),
        linear(1, 1024, 1024, 256),
        batched(1, 128, 64, 32, 64),
        softmax(1, 128, 64, 64),
        batched(1, 128, 64, 64, 32),
        layer_norm(2, 1024, 256),
    ],
    "resnet": [
        convolution(1, 3, 64, 32, 3, 1),
        convolution(4, 64, 64, 32, 3, 1),
        convolution(1, 64, 128, 32, 3, 2),
        convolution(1, 64, 128, 32, 1, 2),
        convolution(3, 128, 128, 16, 3, 1),
        convolution(1, 128, 256, 16, 3, 2),
        convolution(1, 128, 256, 16, 1, 2),
        convolution(3, 256, 256, 8, 3, 1),
        convolution(1, 256, 512, 8, 3, 2),
        convolution(1, 256, 512, 8, 1, 2),
        convolution(3, 512, 512, 4, 3, 1),
    ],
}


def calls_of_ours(kernel, arrays):
    """Return XLA's calls: forward and the gradient of each argument; then jaxchain's own gradient of W, if any."""
    arrays = [jnp.asarray(a) for a in arrays]
    y, pull = jax.vjp(kernel.ours, *arrays)  # what the gradients read is there, as in PyTorch
    gy = jnp.asarray(cotangent(y))

    def gradient(i, pull, gy):
        return pull(gy)[i]

    calls = [functools.partial(jax.jit(kernel.ours), *arrays)]
    calls += [functools.partial(jax.jit(gradient, static_argnums=0), i, pull, gy) for i in range(len(arrays))]
    if kernel.own:
        calls.append(functools.partial(jax.jit(kernel.own), arrays[0], gy))
    return calls


def calls_of_theirs(kernel, arrays):
    """Return PyTorch's calls, in the same order."""
    arrays = [torch.from_numpy(a).requires_grad_() for a in arrays]
    y = kernel.theirs(*arrays)
    gy = torch.from_numpy(cotangent(y.detach()))

    def forward():
        with torch.no_grad():
            kernel.theirs(*arrays)

    gradients = [functools.partial(torch.autograd.grad, y, a, gy, retain_graph=True) for a in arrays]
    return [forward, *gradients, *(gradients[1:] if kernel.own else [])]


def cotangent(y):
    return np.random.RandomState(1).standard_normal(y.shape).astype("f")


def table(kernels, rounds, seconds):
    """Print a model's kernels as they are measured, and the sums."""
    ways = WAYS if any(kernel.own for kernel in kernels) else WAYS[:3]
    print("| | of them | " + " | ".join(ways) + " |\n|---|---:|" + "---:|" * len(ways))
    rng, totals = np.random.RandomState(0), np.zeros((len(ways), 2))
    for kernel in kernels:
        arrays = [rng.standard_normal(shape).astype("f") for shape in kernel.shapes]
        ours, theirs = calls_of_ours(kernel, arrays), calls_of_theirs(kernel, arrays)
        calls = dict(enumerate([*ours, *theirs]))
        times = interleaved({i: timer(call) for i, call in calls.items()}, rounds, seconds)
        pairs = 1e3 * np.array(list(times.values())).reshape(2, -1).T
        totals[: len(pairs)] += kernel.count * pairs
        row(kernel.name, kernel.count, pairs, len(ways))
    row("all", "", totals, len(ways))


def row(name, count, pairs, width):
    cells = [f"{p:.3g} / {q:.3g} = {p / q:.2f}" for p, q in pairs]
    print(f"| {name} | {count} | " + " | ".join(cells + [""] * (width - len(cells))) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help=f"which of {', '.join(MODELS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.05, help="length of one round of one kernel")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="PyTorch's threads")
    a = parser.parse_args()
    if torch is None:
        parser.exit(1, f"PyTorch: {NOT_INSTALLED}\n")
    torch.set_num_threads(a.threads)
    print(f"jax {jax.__version__}, torch {torch.__version__} with {a.threads} threads; ms, XLA / PyTorch = ratio")
    for model in a.models or MODELS:
        print(f"\n### {model}\n")
        table(MODELS[model], a.rounds, a.seconds)


if __name__ == "__main__":
    main()
