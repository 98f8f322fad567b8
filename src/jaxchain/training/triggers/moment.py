"""Triggers that fire once, or by the clock on the wall."""

from __future__ import annotations

import warnings
from typing import Any


class OnceTrigger:
    """Fires at the first call only.

    Args:
        call_on_resume: Fire once more after training was resumed from a snapshot.
    """

    def __init__(self, call_on_resume: bool = False) -> None:
        self._flag_first = True
        self._flag_resumed = call_on_resume

    @property
    def finished(self) -> bool:
        """Whether it will never fire again."""
        return not (self._flag_first or self._flag_resumed)

    def __call__(self, trainer: Any) -> bool:
        """Return whether this is the first call.

        Args:
            trainer: The trainer.
        """
        fire = not self.finished
        self._flag_first = self._flag_resumed = False
        return fire

    def serialize(self, serializer: Any) -> None:
        """Save or load whether it was called. Chainer's key.

        Args:
            serializer: Serializer or deserializer.
        """
        try:
            self._flag_first = serializer("_flag_first", self._flag_first)
        except KeyError:
            warnings.warn("OnceTrigger: whether it was called was not saved; taken to be so", stacklevel=2)
            self._flag_first = False


class TimeTrigger:
    """Fires every so many seconds of training; the time before a snapshot counts.

    Args:
        period: Seconds.
    """

    def __init__(self, period: float) -> None:
        self._period = period
        self._next_time = period

    def __call__(self, trainer: Any) -> bool:
        """Return whether the next multiple of the period is over.

        Args:
            trainer: The trainer.
        """
        if self._next_time < trainer.elapsed_time:
            self._next_time += self._period
            return True
        return False

    def serialize(self, serializer: Any) -> None:
        """Save or load when it fires next. Chainer's key.

        Args:
            serializer: Serializer or deserializer.
        """
        self._next_time = serializer("next_time", self._next_time)
