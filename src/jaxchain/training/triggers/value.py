"""Triggers that watch an observed value: at its best, or no longer improving."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from typing import Any

from jaxchain.reporter import DictSummary
from jaxchain.training.util import get_trigger, is_present, optional, serialize_trigger


class BestValueTrigger:
    """Fires when the mean of an observed value over an interval is the best so far.

    Args:
        key: Name of the value, e.g. ``"validation/main/accuracy"``.
        compare: ``compare(best, new)``: whether the new value is better.
        trigger: When an interval ends: a trigger or its arguments.
    """

    def __init__(self, key: str, compare: Callable[[float, float], bool], trigger: Any = (1, "epoch")) -> None:
        self._key = key
        self._compare = compare
        self._interval_trigger = get_trigger(trigger)
        self._best_value: float | None = None
        self._summary = DictSummary()

    def __call__(self, trainer: Any) -> bool:
        """Return whether an interval ended with the best mean so far.

        Args:
            trainer: The trainer.

        Raises:
            KeyError: The value was not observed in the interval.
        """
        key = self._key
        if key in trainer.observation:
            self._summary.add({key: trainer.observation[key]})
        if not self._interval_trigger(trainer):
            return False
        value = float(self._summary.compute_mean()[key])
        self._summary = DictSummary()
        if self._best_value is not None and not self._compare(self._best_value, value):
            return False
        self._best_value = value
        return True

    def serialize(self, serializer: Any) -> None:
        """Save or load the best value and the present interval. Chainer's keys.

        Args:
            serializer: Serializer or deserializer.
        """
        serialize_trigger(serializer["interval_trigger"], self._interval_trigger)
        self._summary.serialize(serializer["summary"])
        best = serializer("best_value", self._best_value)
        self._best_value = None if best is None else float(best)


class MaxValueTrigger(BestValueTrigger):
    """Fires when the mean of an observed value over an interval is the largest so far.

    Args:
        key: Name of the value.
        trigger: When an interval ends.
    """

    def __init__(self, key: str, trigger: Any = (1, "epoch")) -> None:
        super().__init__(key, operator.lt, trigger)


class MinValueTrigger(BestValueTrigger):
    """Fires when the mean of an observed value over an interval is the smallest so far.

    Args:
        key: Name of the value.
        trigger: When an interval ends.
    """

    def __init__(self, key: str, trigger: Any = (1, "epoch")) -> None:
        super().__init__(key, operator.gt, trigger)


class EarlyStoppingTrigger:
    """A stop trigger: fires when an observed value no longer improves, or at a last epoch.

    Args:
        check_trigger: When to look: a trigger or its arguments. The mean since the last look counts.
        monitor: Name of the value.
        patience: Number of looks without improvement after which it fires. None: 3.
        mode: ``"max"``: larger is better; ``"min"``: smaller is better; ``"auto"``: the former if the name has
            ``accuracy`` in it.
        verbose: Print what is compared, and when it fires.
        max_trigger: When it fires at the latest.
        patients: Old name of `patience`.

    Raises:
        TypeError: Both `patience` and `patients` are given.

    Attributes:
        best: Best mean so far.
        count: Looks since then.
    """

    def __init__(
        self,
        check_trigger: Any = (1, "epoch"),
        monitor: str = "main/loss",
        patience: int | None = None,
        mode: str = "auto",
        verbose: bool = False,
        max_trigger: Any = (100, "epoch"),
        *,
        patients: int | None = None,
    ) -> None:
        if patience is not None and patients is not None:
            raise TypeError("EarlyStoppingTrigger: 'patients' is an old name of 'patience', give one of them")
        self.patience = next((p for p in (patience, patients) if p is not None), 3)
        self.count = 0
        self.monitor = monitor
        self.verbose = verbose
        self._max_trigger = get_trigger(max_trigger)
        self._interval_trigger = get_trigger(check_trigger)
        self._summary = DictSummary()
        greater = mode == "max" or (mode != "min" and "accuracy" in monitor)
        self._compare: Callable[[float, float], bool] = operator.gt if greater else operator.lt
        self.best = float("-inf") if greater else float("inf")
        if verbose:
            print(f"early stopping: operator is {'greater' if greater else 'less'}")

    def __call__(self, trainer: Any) -> bool:
        """Return whether to stop.

        Args:
            trainer: The trainer.
        """
        observation = trainer.observation
        if self.monitor in observation:
            self._summary.add({self.monitor: observation[self.monitor]})
        if self._max_trigger(trainer):
            return True
        if not self._interval_trigger(trainer):
            return False
        if self.monitor not in observation:
            warnings.warn(f"{self.monitor} is not in observation", stacklevel=2)
            return False
        value = float(self._summary.compute_mean()[self.monitor])
        self._summary = DictSummary()
        if self._compare(value, self.best):
            self.best, self.count = value, 0
        else:
            self.count += 1
        if self.count < self.patience:
            return False
        if self.verbose:
            print(f"Epoch {trainer.updater.epoch}: early stopping")
        return True

    def get_training_length(self) -> tuple[float, str]:
        """Return how long training is at most: (period, unit)."""
        return self._max_trigger.get_training_length()

    def serialize(self, serializer: Any) -> None:
        """Save or load what was seen. Chainer's snapshots have nothing of it: then it starts afresh.

        Args:
            serializer: Serializer or deserializer.
        """
        if not is_present(serializer, "has_state"):
            return
        self.count = optional(serializer, "count", self.count)
        self.best = optional(serializer, "best", self.best)
        serialize_trigger(serializer["max_trigger"], self._max_trigger)
        serialize_trigger(serializer["interval_trigger"], self._interval_trigger)
        self._summary.serialize(serializer["summary"])
