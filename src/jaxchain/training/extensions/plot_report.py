"""Plots of observed values over training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from jaxchain.reporter import DictSummary
from jaxchain.serializer import Serializer
from jaxchain.training.extension import Extension
from jaxchain.training.extensions import plotting
from jaxchain.training.extensions.log_report import collect
from jaxchain.training.files import write_aside
from jaxchain.training.util import get_trigger, is_present, serialize_trigger


class PlotReport(Extension):
    """Plots means of observed values over intervals. Needs matplotlib; without it, it warns and does nothing.

    Args:
        y_keys: Names of the values, or one name.
        x_key: What they are plotted over: ``"iteration"`` or ``"epoch"``, or the name of a value among `y_keys`.
        trigger: When an interval ends: a trigger or its arguments. The extension itself is called each iteration.
        postprocess: ``postprocess(figure, axes, summary)``, called before the figure is saved.
        filename: Name of the picture; its suffix is its format. None: ``"plot.png"``.
        marker: matplotlib's marker of points.
        grid: Draw a grid.
        file_name: Old name of `filename`.
    """

    def __init__(
        self,
        y_keys: Iterable[str] | str,
        x_key: str = "iteration",
        trigger: Any = (1, "epoch"),
        postprocess: Callable[[Any, Any, DictSummary], Any] | None = None,
        filename: str | None = None,
        marker: Any = "x",
        grid: bool = True,
        *,
        file_name: str = "plot.png",
    ) -> None:
        plotting.available()
        self._x_key = x_key
        self._y_keys = (y_keys,) if isinstance(y_keys, str) else tuple(y_keys)
        self._trigger = get_trigger(trigger)
        self._postprocess = postprocess
        self._file_name = file_name if filename is None else filename
        self._marker = marker
        self._grid = grid
        self._summary = DictSummary()
        self._data: dict[str, list[Any]] = {key: [] for key in self._y_keys}

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
        collect(self._summary, trainer.observation, self._y_keys)
        if not (trainer.is_before_training or self._trigger(trainer)):
            return
        means: dict[str, Any] = {name: float(value) for name, value in self._summary.compute_mean().items()}
        means["epoch"] = trainer.updater.epoch
        means["iteration"] = trainer.updater.iteration
        for key in self._y_keys:
            if key in means:
                self._data[key].append((means[self._x_key], means[key]))
        self._plot(trainer.out)
        self._summary = DictSummary()

    def _plot(self, folder: str) -> None:
        import matplotlib.pyplot as plt

        figure = plt.figure()
        try:
            axes = figure.add_subplot(111)
            axes.set_xlabel(self._x_key)
            if self._grid:
                axes.grid()
            for key, points in self._data.items():
                if points:
                    x, y = np.array(points).T
                    axes.plot(x, y, marker=self._marker, label=key)
            if axes.has_data():
                if self._postprocess is not None:
                    self._postprocess(figure, axes, self._summary)
                legend = axes.legend(bbox_to_anchor=(1.05, 1), loc=2, borderaxespad=0.0)
                write_aside(
                    folder,
                    self._file_name,
                    lambda path: figure.savefig(path, bbox_extra_artists=(legend,), bbox_inches="tight"),
                )
        finally:
            plt.close(figure)

    def serialize(self, serializer: Any) -> None:
        """Save or load the points. Chainer's key; the present interval is added to it.

        Args:
            serializer: Serializer or deserializer.
        """
        key = f"_plot_{self._file_name}"
        if isinstance(serializer, Serializer):
            serializer(key, json.dumps(self._data))
        else:
            self._data = json.loads(str(serializer(key, "")) or "{}")
        if is_present(serializer, "_has_interval"):
            serialize_trigger(serializer["_trigger"], self._trigger)
            self._summary.serialize(serializer["_summary"])
