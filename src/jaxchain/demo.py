"""Train an MLP and a CNN on real handwritten digits, in both modes from the same seed, and compare.

``jaxchain demo`` and ``make demo`` run `main`, with products in full float32 on any device. The training code below
is a user's program: it says nothing of modes but ``jaxchain.static(step)``. Needs the extra ``examples`` (scikit-learn
for the digits, tqdm, matplotlib).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain.contrast import contrast
from jaxchain.dataset import concat_examples
from jaxchain.datasets import get_digits
from jaxchain.iterators import SerialIterator, ShuffleOrderSampler
from jaxchain.optimizers import Adam

MODES = ("eager", "static")
LARGEST_DIFFERENCE = 1e-4  # rounding alone makes 4e-7, as long as no value near a kink falls to its other side
LEAST_ACCURACY = 0.95


class MLP(jaxchain.Chain):
    """Two hidden layers with dropout, for 8 x 8 images."""

    def __init__(self) -> None:
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(None, 128)
            self.l2 = L.Linear(None, 64)
            self.l3 = L.Linear(None, 10)

    def forward(self, x: Any) -> jaxchain.Variable:
        """Return the scores ``(n, 10)`` of images ``(n, 1, 8, 8)``."""
        h = F.dropout(F.relu(self.l1(x)), 0.2)
        h = F.relu(self.l2(h))
        return self.l3(h)


class CNN(jaxchain.Chain):
    """Two convolutions with batch normalisation and pooling, dropout, one linear layer, for 8 x 8 images."""

    def __init__(self) -> None:
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(None, 16, 3, pad=1, nobias=True)
            self.bn1 = L.BatchNormalization(16)
            self.conv2 = L.Convolution2D(None, 32, 3, pad=1, nobias=True)
            self.bn2 = L.BatchNormalization(32)
            self.l3 = L.Linear(None, 10)

    def forward(self, x: Any) -> jaxchain.Variable:
        """Return the scores ``(n, 10)`` of images ``(n, 1, 8, 8)``."""
        h = F.max_pooling_2d(F.relu(self.bn1(self.conv1(x))), 2)
        h = F.max_pooling_2d(F.relu(self.bn2(self.conv2(h))), 2)
        return self.l3(F.dropout(h, 0.25))


@dataclass
class Run:
    """One training run.

    Attributes:
        model: The trained model.
        losses: Loss of each step.
        accuracy: Accuracy on the test set.
        first_step: Time of the first step in seconds: compiles.
        step: The training step: a function, compiled in static mode.
    """

    model: L.Classifier
    losses: list[float]
    accuracy: float
    first_step: float
    step: Any


def train(make: Callable[[], jaxchain.Chain], data: tuple[Any, Any], mode: str, epochs: int, seed: int) -> Run:
    """Train a model from a seed in one mode.

    Args:
        make: Makes the model.
        data: Training set and test set.
        mode: ``'eager'`` or ``'static'``.
        epochs: Sweeps over the training set.
        seed: Seed of the parameters, the dropout masks and the order of the examples.

    Returns:
        What came of it.
    """
    from tqdm import tqdm

    jaxchain.seed(seed)
    model = L.Classifier(make())
    optimizer = Adam(alpha=1e-3).setup(model)

    def step(x: Any, t: Any) -> jaxchain.Variable:
        model.cleargrads()
        loss = model(x, t)
        loss.backward()
        optimizer.update()
        return loss

    def evaluate(x: Any, t: Any) -> jaxchain.Variable:
        with jaxchain.using_config("train", False), jaxchain.no_backprop_mode():
            return F.accuracy(model.predictor(x), t)

    if mode == "static":
        step, evaluate = jaxchain.static(step), jaxchain.static(evaluate)

    batch = 64
    order = ShuffleOrderSampler(np.random.RandomState(seed))
    iterator = SerialIterator(data[0], batch, order_sampler=order)
    steps = epochs * (len(data[0]) // batch)
    losses, first_step = [], 0.0
    with tqdm(range(steps), f"{make.__name__} {mode:6}", unit="step", file=sys.stderr, mininterval=0.5) as progress:
        for _ in progress:
            x, t = concat_examples(iterator.next())
            start = time.perf_counter()
            losses.append(float(step(x, t).array))  # waits for the step to end
            first_step = first_step or time.perf_counter() - start
            progress.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)
    accuracy = float(evaluate(*concat_examples(data[1][:])).array)
    return Run(model, losses, accuracy, first_step, step)


def difference(runs: dict[str, Run]) -> float:
    """Return the largest relative difference of the two loss curves, step by step."""
    eager, static = (np.array(runs[mode].losses) for mode in MODES)
    return float(np.max(np.abs(eager - static) / np.maximum(np.abs(eager), np.abs(static))))


def step_times(runs: dict[str, Run], data: Any, rounds: int = 100) -> dict[str, float]:
    """Train on with both modes in turn, so that the machine's moods meet both.

    Args:
        runs: The runs by mode.
        data: Examples.
        rounds: Steps of each.

    Returns:
        The median time of a step of each mode in seconds, until loss and parameters are there.
    """
    x, t = concat_examples(data[:64])
    times: dict[str, list[float]] = {mode: [] for mode in runs}
    for _ in range(rounds):
        for mode, run in runs.items():
            start = time.perf_counter()
            loss = run.step(x, t)
            jax.block_until_ready([loss.array, *(p.array for p in run.model.params())])
            times[mode].append(time.perf_counter() - start)
    return {mode: statistics.median(taken) for mode, taken in times.items()}


def table(results: dict[str, dict[str, Run]], times: dict[str, dict[str, float]]) -> str:
    """Return both modes of every model side by side; `times` are those of `step_times`."""
    lines = [f"{'':22}{'eager':>12}{'static':>12}"]

    def row(label: str, values: Sequence[str], note: str = "") -> None:
        lines.append(f"  {label:20}" + "".join(f"{v:>12}" for v in values) + note)

    for name, runs in results.items():
        both = [runs[mode] for mode in MODES]
        lines.append(name)
        n = len(both[0].losses)
        for k in (0, n // 4, n // 2, n - 1):
            row(f"loss, step {k + 1}", [f"{r.losses[k]:.6f}" for r in both])
        row("test accuracy", [f"{100 * r.accuracy:.2f} %" for r in both])
        row("first step", [f"{r.first_step:.2f} s" for r in both])
        eager, static = (times[name][mode] for mode in MODES)
        row("step", [f"{1e3 * s:.3f} ms" for s in (eager, static)], f"   static: {static / eager:.2f} times eager's")
        lines.append(f"  loss curves differ by at most {difference(runs):.1e} (relative, {n} steps)")
    return "\n".join(lines)


def plot(results: dict[str, dict[str, Run]], path: Path) -> None:
    """Draw the loss curves of both modes, and their difference below.

    Args:
        results: The runs by model and mode.
        path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((5.5 * len(results), 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(results), sharex="col", squeeze=False, height_ratios=(2, 1))
    for (name, runs), (top, bottom) in zip(results.items(), axes.T, strict=True):
        eager, static = (np.array(runs[mode].losses) for mode in MODES)
        steps = np.arange(1, len(eager) + 1)
        top.plot(steps, eager, color="#6495ed", linewidth=4, alpha=0.6, label="eager")
        top.plot(steps, static, color="#c0392b", linewidth=1, label="static")
        top.set(title=f"{name}: training loss", yscale="log", ylabel="softmax cross entropy")
        top.legend()
        gap = np.abs(eager - static) / np.maximum(eager, static)
        bottom.plot(steps, np.maximum(gap, 1e-9), ".", color="#555555", markersize=2)
        bottom.axhline(LARGEST_DIFFERENCE, color="#c0392b", linestyle="--", linewidth=1)
        bottom.set(yscale="log", ylim=(1e-9, 1e-3), xlabel="step", ylabel="relative difference")
    figure.savefig(path, dpi=120)


def save_views(run: Run, data: Any, folder: Path) -> None:
    """Write the views of a model: its loss in both modes, and the compiled training step.

    Args:
        run: A run in static mode.
        data: Examples.
        folder: Where to write.
    """
    x, t = concat_examples(data[:64])
    report = contrast(run.model, x, t)
    report.save(folder)
    jaxchain.jaxpr(run.step, x, t).save(folder / "training_step.jaxpr.txt")
    (folder / "compiles.txt").write_text(f"{run.step.explain()}\n")
    print(f"\n{report}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo.

    Args:
        argv: Arguments of the command line. None: those of the program.

    Returns:
        Exit status: 0, or 1 if the modes differ or a model learns too little.
    """
    parser = argparse.ArgumentParser(prog="jaxchain demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("jaxchain-demo"), help="folder (default jaxchain-demo)")
    parser.add_argument("--epochs", type=int, default=10, help="sweeps over the training set (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="seed of data, parameters and draws (default 1)")
    parser.add_argument("--model", choices=("MLP", "CNN"), action="append", help="default: both")
    options = parser.parse_args(argv)
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out {options.out}: {error.strerror or error}")
    import matplotlib.figure  # noqa: F401 - if it is missing, that is found before the training

    start = time.perf_counter()
    data = get_digits(ndim=3)
    print(f"{len(data[0])} training and {len(data[1])} test images: scikit-learn's handwritten digits, 8 x 8")
    makers = [make for make in (MLP, CNN) if options.model is None or make.__name__ in options.model]
    with jax.default_matmul_precision("highest"):  # JAX's default on GPUs is TensorFloat-32: 10 bits
        results = {
            make.__name__: {m: train(make, data, m, options.epochs, options.seed) for m in MODES} for make in makers
        }
        for name, runs in results.items():
            save_views(runs["static"], data[1], options.out / name.lower())
        times = {name: step_times(runs, data[0]) for name, runs in results.items()}
    plot(results, options.out / "losses.png")
    text = table(results, times)
    (options.out / "results.txt").write_text(text + "\n")
    print(f"\n{text}")
    print(f"\nLoss curves, graphs, jaxprs, HLO and reports are in {options.out.resolve()}")
    print(f"Took {time.perf_counter() - start:.0f} s")
    failures = []
    for name, runs in results.items():
        if not difference(runs) <= LARGEST_DIFFERENCE:
            failures.append(f"{name}: the loss curves of the two modes differ by {difference(runs):.1e}")
        for mode, run in runs.items():
            if not run.accuracy > LEAST_ACCURACY:
                failures.append(
                    f"{name}, {mode}: test accuracy is only {100 * run.accuracy:.2f} % after {options.epochs} epochs, "
                    f"not more than {100 * LEAST_ACCURACY:.0f} %"
                )
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
