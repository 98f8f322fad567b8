"""The convolutions of ResNet-18 at 32x32, batch 32: XLA's kernels beside PyTorch's, forward and both gradients.

    python benchmarks/convolutions.py --threads 2

Medians of milliseconds, and the sum over the network. It says which kernels keep ResNet-18 behind PyTorch on a CPU. The
gradient of W is measured twice: XLA's own, and the products of matrices that jaxchain makes of it.
"""

import argparse
import os
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from common import NOT_INSTALLED, torch
from jax import lax

from jaxchain.functions.correlation import filters_gradient

BATCH = 32
# channels in and out, size, window, stride, how many of them
LAYERS = [
    (3, 64, 32, 3, 1, 1),
    (64, 64, 32, 3, 1, 4),
    (64, 128, 32, 3, 2, 1),
    (64, 128, 32, 1, 2, 1),
    (128, 128, 16, 3, 1, 3),
    (128, 256, 16, 3, 2, 1),
    (128, 256, 16, 1, 2, 1),
    (256, 256, 8, 3, 1, 3),
    (256, 512, 8, 3, 2, 1),
    (256, 512, 8, 1, 2, 1),
    (512, 512, 4, 3, 1, 3),
]
WAYS = ("forward", "gradient of x", "gradient of W", "gradient of W, ours")


def ours(x, w, stride, pad):
    """Return XLA's calls: forward, gradient of x, gradient of W; and ours of the latter."""
    x, w = jnp.asarray(x), jnp.asarray(w)

    def conv(x, w):
        return lax.conv_general_dilated(x, w, (stride, stride), [(pad, pad)] * 2)

    forward = jax.jit(conv)
    gy = jnp.ones_like(forward(x, w))
    of_x = jax.jit(lambda x, w, g: jax.vjp(lambda x: conv(x, w), x)[1](g)[0])
    of_w = jax.jit(lambda x, w, g: jax.vjp(lambda w: conv(x, w), w)[1](g)[0])
    products = jax.jit(lambda x, g: filters_gradient(x, g, w.shape, (stride,) * 2, [(pad, pad)] * 2, (1, 1), 1))
    return [
        lambda: forward(x, w).block_until_ready(),
        lambda: of_x(x, w, gy).block_until_ready(),
        lambda: of_w(x, w, gy).block_until_ready(),
        lambda: products(x, gy).block_until_ready(),
    ]


def theirs(x, w, stride, pad):
    """Return PyTorch's calls."""
    x, w = torch.tensor(x), torch.tensor(w)
    gy = torch.ones_like(torch.nn.functional.conv2d(x, w, stride=stride, padding=pad))
    options = ((stride, stride), (pad, pad), (1, 1), False, (0, 0), 1)
    backward = torch.ops.aten.convolution_backward
    of_w = lambda: backward(gy, x, w, None, *options, (False, True, False))  # noqa: E731
    return [
        lambda: torch.nn.functional.conv2d(x, w, stride=stride, padding=pad),
        lambda: backward(gy, x, w, None, *options, (True, False, False)),
        of_w,
        of_w,
    ]


def measured(rows, rounds):
    """Return the median milliseconds of each call, measured in turn."""
    times = [[] for _ in rows]
    for round_ in range(rounds + 2):
        for call, found in zip(rows, times, strict=True):
            start = time.perf_counter()
            call()
            if round_ > 1:
                found.append(time.perf_counter() - start)
    return [1e3 * statistics.median(found) for found in times]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="PyTorch's threads")
    a = parser.parse_args()
    if torch is None:
        parser.exit(1, f"PyTorch: {NOT_INSTALLED}\n")
    torch.set_num_threads(a.threads)
    print(f"jax {jax.__version__}, torch {torch.__version__} with {a.threads} threads; ms, XLA / PyTorch = ratio\n")
    print("| channels, size, window, stride | of them | " + " | ".join(WAYS) + " |\n|---|---:|" + "---:|" * len(WAYS))
    rng, totals = np.random.RandomState(0), np.zeros((len(WAYS), 2))
    for before, after, size, k, stride, count in LAYERS:
        x, w = (rng.rand(*shape).astype("f") for shape in ((BATCH, before, size, size), (after, before, k, k)))
        times = measured([*ours(x, w, stride, k // 2), *theirs(x, w, stride, k // 2)], a.rounds)
        pairs = list(zip(times[: len(WAYS)], times[len(WAYS) :], strict=True))
        totals += count * np.array(pairs)
        cells = " | ".join(f"{p:.1f} / {q:.1f} = {p / q:.1f}" for p, q in pairs)
        print(f"| {before} -> {after}, {size}, {k}, {stride} | {count} | {cells} |", flush=True)
    print("| all | | " + " | ".join(f"{p:.0f} / {q:.0f} = {p / q:.1f}" for p, q in totals) + " |")


if __name__ == "__main__":
    main()
