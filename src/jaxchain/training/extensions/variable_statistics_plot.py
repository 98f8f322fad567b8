"""Plots of the distribution of Variables over training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxchain.core.variable import Variable
from jaxchain.link import Link
from jaxchain.training.extension import Extension
from jaxchain.training.extensions import plotting
from jaxchain.training.files import write_aside
from jaxchain.training.util import get_trigger, is_present, serialize_trigger

COLOR = (0x1F / 255, 0x77 / 255, 0xB4 / 255, 1.0)
PALE = (*COLOR[:3], 0.2)


def _variables(targets: Any) -> list[Variable]:
    """Return the Variables in a Variable, a link, or lists of them."""
    if isinstance(targets, Variable):
        return [targets]
    if isinstance(targets, Link):
        return list(targets.params())
    if isinstance(targets, list | tuple):
        return [v for target in targets for v in _variables(target)]
    return []


class Reservoir:
    """A random sample of fixed size of a stream of arrays: each one that came by is in it with equal probability.

    Args:
        size: How many arrays it keeps.
        data_shape: Their shape.
        dtype: Their type.

    Source:
        Vitter 1985, Random sampling with a reservoir.
    """

    def __init__(self, size: int, data_shape: tuple[int, ...], dtype: Any = np.float32) -> None:
        self.size = size
        self.data = np.zeros((size, *data_shape), dtype)
        self.idxs = np.zeros((size,), np.int32)
        self.counter = 0

    def add(self, x: Any, idx: int | None = None) -> None:
        """Offer an array.

        Args:
            x: The array.
            idx: Its number. None: how many came before it.
        """
        at = self.counter
        if at >= self.size:
            at = np.random.randint(self.size) if np.random.random() < self.size / (self.counter + 1) else -1
        if at >= 0:
            self.data[at] = x
            self.idxs[at] = idx or self.counter
        self.counter += 1

    def get_data(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers and the arrays, in the order in which they came."""
        idxs = self.idxs[: min(self.counter, self.size)]
        order = np.argsort(idxs)
        return idxs[order], self.data[order]

    def serialize(self, serializer: Any) -> None:
        """Save or load the sample.

        Args:
            serializer: Serializer or deserializer.
        """
        self.data = np.array(serializer("data", self.data))
        self.idxs = np.array(serializer("idxs", self.idxs))
        self.counter = int(serializer("counter", self.counter))


class VariableStatisticsPlot(Extension):
    """Plots mean, standard deviation and percentiles of Variables. Needs matplotlib; without it, it does nothing.

    Args:
        targets: A Variable, a link (its parameters), or lists of them; all are taken together.
        max_sample_size: Number of points of a curve; if more are collected, a random sample of them.
        report_data: Plot their values.
        report_grad: Plot their gradients.
        plot_mean: Plot the mean.
        plot_std: Plot the standard deviation.
        percentile_sigmas: Percentiles to plot, rising; or one; or an empty list.
        trigger: When to plot: a trigger or its arguments. The extension itself has to be called each iteration.
        filename: Name of the picture. None: ``"statistics.png"``.
        figsize: Its size, as matplotlib takes it.
        marker: matplotlib's marker of points.
        grid: Draw a grid.
        file_name: Old name of `filename`.

    Raises:
        ValueError: There is no Variable, or nothing to plot.
    """

    def __init__(
        self,
        targets: Any,
        max_sample_size: int = 1000,
        report_data: bool = True,
        report_grad: bool = True,
        plot_mean: bool = True,
        plot_std: bool = True,
        percentile_sigmas: Sequence[float] | float = (0, 0.13, 2.28, 15.87, 50, 84.13, 97.72, 99.87, 100),
        trigger: Any = (1, "epoch"),
        filename: str | None = None,
        figsize: tuple[int, ...] | None = None,
        marker: Any = None,
        grid: bool = True,
        *,
        file_name: str = "statistics.png",
    ) -> None:
        self._vars = _variables(targets)
        if not self._vars:
            raise ValueError(f"VariableStatisticsPlot: expected at least one Variable, got {targets!r}")
        sigmas = list(percentile_sigmas) if isinstance(percentile_sigmas, Sequence) else [percentile_sigmas]
        if not (plot_mean or plot_std or sigmas):
            raise ValueError("VariableStatisticsPlot: nothing to plot")
        self._keys = ["data"] * report_data + ["grad"] * report_grad
        self._plot_mean, self._plot_std, self._sigmas = plot_mean, plot_std, sigmas
        self._trigger = get_trigger(trigger)
        self._filename = file_name if filename is None else filename
        self._figsize, self._marker, self._grid = figsize, marker, grid
        self._samples = Reservoir(max_sample_size, (len(self._keys), plot_mean + plot_std + len(sigmas)))

    @staticmethod
    def available() -> bool:
        """Return whether matplotlib is there."""
        return plotting.available()

    def __call__(self, trainer: Any) -> None:
        """Collect; if an interval ended, plot.

        Args:
            trainer: The trainer.
        """
        if not plotting.available():
            return
        rows = np.zeros(self._samples.data.shape[1:], np.float32)
        for row, key in zip(rows, self._keys, strict=True):
            arrays = [v.array if key == "data" else v.grad for v in self._vars]
            flat = [np.asarray(a).ravel() for a in arrays if a is not None]
            if flat:
                row[:] = self._collect(np.concatenate(flat))
        self._samples.add(rows, trainer.updater.iteration)
        if self._trigger(trainer):
            self._save(trainer.out)

    def _collect(self, x: np.ndarray) -> list[Any]:
        found = [x.mean()] * self._plot_mean + [x.std()] * self._plot_std
        return [*found, *np.percentile(x, self._sigmas)] if self._sigmas else found

    def _save(self, folder: str) -> None:
        import matplotlib.pyplot as plt

        moments = self._plot_mean or self._plot_std
        figure, grid = plt.subplots(
            int(moments) + bool(self._sigmas), len(self._keys), figsize=self._figsize, sharex=True, squeeze=False
        )
        idxs, data = self._samples.get_data()
        for column, key in enumerate(self._keys):
            grid[0, column].set_title(key)
            if moments:
                self._draw_moments(grid[0, column], idxs, data[:, column])
            if self._sigmas:
                percentiles = data[:, column, self._plot_mean + self._plot_std :]
                self._draw_percentiles(grid[-1, column], idxs, percentiles)
        for axes in grid.ravel():
            axes.legend()
            if self._grid:
                axes.grid()
                axes.set_axisbelow(True)
        write_aside(folder, self._filename, figure.savefig)
        plt.close(figure)

    def _draw_moments(self, axes: Any, idxs: np.ndarray, data: np.ndarray) -> None:
        if self._plot_mean and self._plot_std:
            axes.errorbar(
                idxs, data[:, 0], data[:, 1], color=COLOR, ecolor=PALE, label="mean, std", marker=self._marker
            )
        else:
            label = "mean" if self._plot_mean else "std"
            axes.plot(idxs, data[:, 0], color=COLOR, label=label, marker=self._marker)

    def _draw_percentiles(self, axes: Any, idxs: np.ndarray, data: np.ndarray) -> None:
        """Draw bands between the outer percentiles, and a line for the one in the middle."""
        n = data.shape[1]
        for i in range(n // 2):
            label = "percentile" if n % 2 == 0 and i == n // 2 - 1 else "_nolegend_"
            axes.fill_between(idxs, data[:, i], data[:, n - 1 - i], label=label, color=PALE, alpha=0.2, linewidth=0)
        if n % 2:
            axes.plot(idxs, data[:, n // 2], color=COLOR, label="percentile", marker=self._marker)
        axes.set_xlabel("iteration")

    def serialize(self, serializer: Any) -> None:
        """Save or load the sample. Chainer's snapshots have nothing of it.

        Args:
            serializer: Serializer or deserializer.
        """
        if is_present(serializer, "_has_sample"):
            serialize_trigger(serializer["_trigger"], self._trigger)
            self._samples.serialize(serializer["_samples"])
