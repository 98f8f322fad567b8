"""Triggers that count iterations or epochs: at regular intervals, and at given points."""

from __future__ import annotations

import warnings
from typing import Any


class _Clock:
    """Where training was when a trigger was last asked, and where it is now, in iterations or in epochs."""

    def __init__(self, unit: str) -> None:
        if unit not in ("epoch", "iteration"):
            raise ValueError(f"Trigger unit must be either 'epoch' or 'iteration', got {unit!r}.")
        self.unit = unit
        self._previous_iteration = 0
        self._previous_epoch_detail = 0.0

    def _advance(self, updater: Any) -> tuple[Any, Any]:
        """Return (before, now), and note now for the next time."""
        if self.unit == "epoch":
            before, now = self._previous_epoch_detail, updater.epoch_detail
            if before < 0:
                before = updater.previous_epoch_detail
        else:
            before, now = self._previous_iteration, updater.iteration
            if before < 0:
                before = now - 1
        self._previous_iteration = updater.iteration
        if hasattr(updater, "epoch_detail"):
            self._previous_epoch_detail = updater.epoch_detail
        return before, now

    def serialize(self, serializer: Any) -> None:
        """Save or load where training was at the last call. Chainer's keys.

        Args:
            serializer: Serializer or deserializer.
        """
        self._previous_iteration = self._load(serializer, "iteration", self._previous_iteration, -1)
        self._previous_epoch_detail = self._load(serializer, "epoch_detail", self._previous_epoch_detail, -1.0)

    def _load(self, serializer: Any, name: str, value: Any, unknown: Any) -> Any:
        try:
            return serializer(f"previous_{name}", value)
        except KeyError:
            warnings.warn(
                f"{type(self).__name__}: the previous {name} was not saved; the one before the last update is taken, "
                "which is wrong if this trigger is not called after every update",
                stacklevel=4,
            )
            return unknown


class IntervalTrigger(_Clock):
    """Fires every so many iterations or epochs.

    Args:
        period: Length of the interval; a fraction of an epoch is possible.
        unit: ``"iteration"`` or ``"epoch"``.

    Raises:
        ValueError: The unit is neither.
    """

    def __init__(self, period: float, unit: str) -> None:
        super().__init__(unit)
        self.period = period
        self.count: float = 0

    def __call__(self, trainer: Any) -> bool:
        """Return whether an interval ended since the last call.

        Args:
            trainer: The trainer.
        """
        before, now = self._advance(trainer.updater)
        if self.unit == "epoch":
            self.count = now // self.period
        return before // self.period != now // self.period

    def get_training_length(self) -> tuple[float, str]:
        """Return (period, unit): how long training is if this is its stop trigger."""
        return self.period, self.unit

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.period}, '{self.unit}')"


class ManualScheduleTrigger(_Clock):
    """Fires at given iterations or epochs.

    Args:
        points: When to fire: a number, or a list of them.
        unit: ``"iteration"`` or ``"epoch"``.

    Raises:
        ValueError: The unit is neither.

    Attributes:
        finished: Whether the last point is over.
    """

    def __init__(self, points: Any, unit: str) -> None:
        super().__init__(unit)
        self.points = points if isinstance(points, list) else [points]
        self.finished = False
        self._finished_is_unknown = False

    def __call__(self, trainer: Any) -> bool:
        """Return whether a point was reached since the last call.

        Args:
            trainer: The trainer.
        """
        before, now = self._advance(trainer.updater)
        fire = any(before < point <= now for point in self.points)
        if (fire or self._finished_is_unknown) and now >= max(self.points):
            self.finished = True
        self._finished_is_unknown = False
        return fire

    def serialize(self, serializer: Any) -> None:
        """Save or load where training was at the last call, and whether it is finished. Chainer's keys.

        Args:
            serializer: Serializer or deserializer.
        """
        super().serialize(serializer)
        try:
            self.finished = serializer("finished", self.finished)
        except KeyError:
            warnings.warn(
                "ManualScheduleTrigger: whether it is finished was not saved; the next call finds out", stacklevel=2
            )
            self.finished, self._finished_is_unknown = False, True
