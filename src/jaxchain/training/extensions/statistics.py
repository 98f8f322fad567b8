"""Statistics of parameters and their gradients, reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from jaxchain import reporter
from jaxchain.link import Link
from jaxchain.reporter import DictSummary
from jaxchain.training.extension import PRIORITY_WRITER, Extension
from jaxchain.training.util import get_trigger, is_present, serialize_trigger

SIGMAS = (0.13, 2.28, 15.87, 50, 84.13, 97.72, 99.87)  # percentiles at -3, -2, ... 3 standard deviations


class ParameterStatistics(Extension):
    """Reports means over an interval of statistics of parameters and gradients.

    Names are ``{prefix/}{link name}{parameter}/{data or grad}/{statistic}``, and ``/0``, ``/1`` ... after that where a
    statistic has several numbers.

    Args:
        links: A link, or several.
        statistics: Functions by name, of a parameter as a flat NumPy array. ``"default"``: mean, std, min, max, zeros
            and percentile. None: none yet.
        report_params: Look at the parameters.
        report_grads: Look at the gradients.
        prefix: What names begin with.
        trigger: When an interval ends: a trigger or its arguments. The extension itself is called each iteration.
        skip_nan_params: Report NaN for an array that has one, without calling the functions.

    Attributes:
        default_statistics: The functions that ``"default"`` stands for.
    """

    default_name = "parameter_statistics"  # type: ignore[assignment]
    priority = PRIORITY_WRITER
    report_key_template = "{prefix}{link_name}{param_name}/{attr_name}/{function_name}"
    default_statistics: Mapping[str, Callable[[Any], Any]] = {
        "mean": np.mean,
        "std": np.std,
        "min": np.min,
        "max": np.max,
        "zeros": lambda x: np.count_nonzero(x == 0),
        "percentile": lambda x: np.percentile(x, SIGMAS),
    }

    def __init__(
        self,
        links: Link | Iterable[Link],
        statistics: Mapping[str, Callable[[Any], Any]] | str | None = "default",
        report_params: bool = True,
        report_grads: bool = True,
        prefix: str | None = None,
        trigger: Any = (1, "epoch"),
        skip_nan_params: bool = False,
    ) -> None:
        self._links = [links] if isinstance(links, Link) else list(links)
        if statistics is None:
            statistics = {}
        elif isinstance(statistics, str):
            statistics = self.default_statistics
        self._statistics = dict(statistics)
        self._attrs = ["data"] * report_params + ["grad"] * report_grads
        self._prefix = f"{prefix}/" if prefix else ""
        self._trigger = get_trigger(trigger)
        self._summary = DictSummary()
        self._skip_nan_params = skip_nan_params

    def register_statistics(self, name: str, function: Callable[[Any], Any]) -> None:
        """Add a statistic.

        Args:
            name: Its name.
            function: Function of a flat NumPy array; returns a number or several.
        """
        self._statistics[name] = function

    def __call__(self, trainer: Any) -> None:
        """Collect; if an interval ended, report.

        Args:
            trainer: The trainer.
        """
        found: dict[str, Any] = {}
        for link in self._links:
            for param_name, param in link.namedparams():
                for attr_name in self._attrs:
                    if param.array is None:
                        raise ValueError(f"ParameterStatistics: {param_name} is not initialised")
                    array = param.array if attr_name == "data" else param.grad
                    # no gradient came to it: it counts as NaN, which Chainer's is at first
                    flat = np.full(param.size, np.nan) if array is None else np.asarray(array).ravel()
                    skip = self._skip_nan_params and bool(np.isnan(flat).any())
                    for function_name, function in self._statistics.items():
                        key = self.report_key_template.format(
                            prefix=self._prefix,
                            link_name=getattr(link, "name", "None"),
                            param_name=param_name,
                            attr_name=attr_name,
                            function_name=function_name,
                        )
                        value = np.nan if skip else function(flat)
                        if np.size(value) > 1:
                            found.update({f"{key}/{i}": v for i, v in enumerate(np.asarray(value))})
                        else:
                            found[key] = value
        self._summary.add(found)
        if self._trigger(trainer):
            reporter.report(self._summary.compute_mean())
            self._summary = DictSummary()

    def serialize(self, serializer: Any) -> None:
        """Save or load the present interval. Chainer's snapshots have nothing of it.

        Args:
            serializer: Serializer or deserializer.
        """
        if is_present(serializer, "_has_interval"):
            serialize_trigger(serializer["_trigger"], self._trigger)
            self._summary.serialize(serializer["_summary"])
