"""The log: means of observed values over intervals, as a JSON file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from jaxchain.reporter import DictSummary
from jaxchain.serializer import Serializer
from jaxchain.training.extension import Extension
from jaxchain.training.files import write_aside
from jaxchain.training.util import get_trigger, serialize_trigger


class LogReport(Extension):
    """Collects observed values after each update, and logs their means when an interval ends.

    The log is a JSON list of dictionaries: the means, then ``epoch``, ``iteration`` and ``elapsed_time``. A kill at any
    moment leaves the previous file whole.

    Args:
        keys: Names of the values to log. None: all.
        trigger: When an interval ends: a trigger or its arguments. The extension itself is called each iteration.
        postprocess: Called with each new entry of the log, to change it.
        filename: Name of the file; may have fields, e.g. ``"log_{iteration}"``. None: ``"log"``.
        log_name: Old name of `filename`; None there means no file.
    """

    def __init__(
        self,
        keys: Iterable[str] | None = None,
        trigger: Any = (1, "epoch"),
        postprocess: Callable[[dict[str, Any]], Any] | None = None,
        filename: str | None = None,
        *,
        log_name: str | None = "log",
    ) -> None:
        self._keys = keys if keys is None else list(keys)
        self._trigger = get_trigger(trigger)
        self._postprocess = postprocess
        self._log_name = log_name if filename is None else filename
        self._log: list[dict[str, Any]] = []
        self._summary = DictSummary()

    @property
    def log(self) -> list[dict[str, Any]]:
        """The entries so far."""
        return self._log

    def __call__(self, trainer: Any) -> None:
        """Collect; if an interval ended, log.

        Args:
            trainer: The trainer.
        """
        collect(self._summary, trainer.observation, self._keys)
        if not (trainer.is_before_training or self._trigger(trainer)):
            return
        updater = trainer.updater
        entry: dict[str, Any] = {name: float(value) for name, value in self._summary.compute_mean().items()}
        entry["epoch"] = updater.epoch
        entry["iteration"] = updater.iteration
        entry["elapsed_time"] = trainer.elapsed_time
        if self._postprocess is not None:
            self._postprocess(entry)
        self._log.append(entry)
        self._summary = DictSummary()
        if self._log_name is not None:
            write_aside(trainer.out, self._log_name.format(**entry), self._write)

    def _write(self, path: str) -> None:
        with open(path, "w") as file:
            json.dump(self._log, file, indent=4)

    def serialize(self, serializer: Any) -> None:
        """Save or load the log and the present interval. Chainer's keys.

        Args:
            serializer: Serializer or deserializer.
        """
        serialize_trigger(serializer["_trigger"], self._trigger)
        self._summary.serialize(serializer["_summary"])
        if isinstance(serializer, Serializer):
            serializer("_log", json.dumps(self._log))
        else:
            self._log = json.loads(str(serializer("_log", "")) or "[]")


def collect(summary: DictSummary, observation: dict[str, Any], keys: Iterable[str] | None) -> None:
    """Add an observation to a summary.

    Args:
        summary: The summary.
        observation: Values by name.
        keys: Which; None: all.
    """
    summary.add(observation if keys is None else {key: observation[key] for key in keys if key in observation})
