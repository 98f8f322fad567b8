"""Schedules: extensions that move a hyperparameter of an optimizer. One base class, seven formulas.

Each call is one step, so the trigger says how fast a schedule goes. Hyperparameters are inputs of compiled updates: no
schedule ever compiles anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from jaxchain.training.extension import Extension
from jaxchain.training.util import optional


class Shift(Extension):
    """Base class of schedules. Subclasses give `value`.

    Args:
        attr: Name of the hyperparameter, e.g. ``"lr"``.
        init: Its first value. None: the one that the optimizer has when training begins.
        optimizer: The optimizer. None: the updater's main one.
    """

    def __init__(self, attr: str, init: float | None, optimizer: Any) -> None:
        self._attr = attr
        self._init: Any = init
        self._optimizer = optimizer
        self._t = 0
        self._last_value: float | None = None

    def value(self, t: int) -> float | None:
        """Return the hyperparameter's value.

        Args:
            t: Number of calls so far.

        Returns:
            The value; None leaves it as it is.
        """
        raise NotImplementedError

    def initialize(self, trainer: Any) -> None:
        """Set the first value, or after a snapshot the last one.

        Args:
            trainer: The trainer.
        """
        optimizer = self._get_optimizer(trainer)
        if self._init is None:
            self._init = getattr(optimizer, self._attr)
        self._set(optimizer, self.first() if self._last_value is None else self._last_value)

    def first(self) -> float | None:
        """Return the value before the first call."""
        return self._init

    def __call__(self, trainer: Any) -> None:
        """Make a step.

        Args:
            trainer: The trainer.
        """
        self._t += 1
        self._set(self._get_optimizer(trainer), self.value(self._t))

    def _get_optimizer(self, trainer: Any) -> Any:
        return self._optimizer or trainer.updater.get_optimizer("main")

    def _set(self, optimizer: Any, value: float | None) -> None:
        if value is not None:
            setattr(optimizer, self._attr, value)
            self._last_value = value

    def serialize(self, serializer: Any) -> None:
        """Save or load the number of calls and the last value. Chainer's keys.

        Args:
            serializer: Serializer or deserializer.
        """
        self._t = serializer("_t", self._t)
        self._load_last(serializer("_last_value", self._last_value))

    def _load_last(self, value: Any) -> None:
        self._last_value = None if value is None else float(value)


def _bounded(value: float, target: float | None, upwards: bool) -> float:
    """Return a value that stops at a target."""
    if target is None or not (value / target > 1 if upwards else value / target < 1):
        return value
    return target


class ExponentialShift(Shift):
    r"""Multiplies by a rate: :math:`v_t = v_0 r^t`.

    Args:
        attr: Name of the hyperparameter.
        rate: The rate.
        init: First value. None: the optimizer's.
        target: Where it stops.
        optimizer: The optimizer. None: the main one.

    Raises:
        ValueError: The rate is negative.
    """

    def __init__(
        self, attr: str, rate: float, init: float | None = None, target: float | None = None, optimizer: Any = None
    ) -> None:
        if rate < 0:
            raise ValueError(f"ExponentialShift does not support negative rate, got {rate}")
        super().__init__(attr, init, optimizer)
        self._rate = rate
        self._target = target

    def value(self, t: int) -> float:
        """Return the value after `t` calls."""
        return _bounded(self._init * self._rate**t, self._target, self._rate > 1)


class InverseShift(Shift):
    r"""Decays by a power: :math:`v_t = v_0 (1 + \gamma t)^{-p}`.

    Args:
        attr: Name of the hyperparameter.
        gamma: How fast.
        power: The exponent; a negative one makes it grow.
        init: First value. None: the optimizer's.
        target: Where it stops.
        optimizer: The optimizer. None: the main one.

    Raises:
        ValueError: `gamma` is negative.
    """

    def __init__(
        self,
        attr: str,
        gamma: float,
        power: float,
        init: float | None = None,
        target: float | None = None,
        optimizer: Any = None,
    ) -> None:
        if gamma < 0:
            raise ValueError(f"InverseShift does not support negative gamma, got {gamma}")
        super().__init__(attr, init, optimizer)
        self._gamma = gamma
        self._power = power
        self._target = target

    def value(self, t: int) -> float:
        """Return the value after `t` calls."""
        return _bounded(self._init * (1 + self._gamma * t) ** -self._power, self._target, self._power < 0)


class PolynomialShift(Shift):
    r"""Decays to zero by a polynomial: :math:`v_t = v_0 \max(1 - t / n, 0)^r`.

    Args:
        attr: Name of the hyperparameter.
        rate: The exponent.
        max_count: Number of calls after which it is 0.
        init: First value. None: the optimizer's.
        target: Where it stops.
        optimizer: The optimizer. None: the main one.
    """

    def __init__(
        self,
        attr: str,
        rate: float,
        max_count: int,
        init: float | None = None,
        target: float | None = None,
        optimizer: Any = None,
    ) -> None:
        super().__init__(attr, init, optimizer)
        self._rate = rate
        self._max_count = max_count
        self._target = target

    def value(self, t: int) -> float:
        """Return the value after `t` calls."""
        value = self._init * max(1 - t / self._max_count, 0) ** self._rate
        target = self._target
        if target is None:
            return value
        ratio = target / value if value else math.copysign(math.inf, target)
        return target if (ratio > 1 if self._rate > 0 else ratio < 1) else value


class StepShift(Shift):
    r"""Multiplies by a factor every so many calls: :math:`v_t = v_0 \gamma^{\lfloor t / s \rfloor}`.

    Args:
        attr: Name of the hyperparameter.
        gamma: The factor.
        step: Number of calls.
        init: First value. None: the optimizer's.
        target: Where it stops.
        optimizer: The optimizer. None: the main one.
    """

    def __init__(
        self,
        attr: str,
        gamma: float,
        step: int,
        init: float | None = None,
        target: float | None = None,
        optimizer: Any = None,
    ) -> None:
        super().__init__(attr, init, optimizer)
        self._gamma = gamma
        self._step = step
        self._target = target

    def value(self, t: int) -> float:
        """Return the value after `t` calls."""
        return _bounded(self._init * self._gamma ** math.floor(t / self._step), self._target, self._gamma > 1)


class LinearShift(Shift):
    """Moves along a line from one value to another.

    Args:
        attr: Name of the hyperparameter.
        value_range: First and last value.
        time_range: Numbers of calls at which it begins and stops to move.
        optimizer: The optimizer. None: the main one.
    """

    def __init__(
        self, attr: str, value_range: Sequence[float], time_range: Sequence[float], optimizer: Any = None
    ) -> None:
        super().__init__(attr, value_range[0], optimizer)
        self._value_range = value_range
        self._time_range = time_range

    def first(self) -> float:
        """Return the value before the first call."""
        return self.value(self._t)

    def value(self, t: int) -> float:
        """Return the value after `t` calls."""
        (t1, t2), (v1, v2) = self._time_range, self._value_range
        if t <= t1:
            return v1
        if t >= t2:
            return v2
        return v1 + (t - t1) / (t2 - t1) * (v2 - v1)


class MultistepShift(Shift):
    r"""Multiplies by a factor at given numbers of calls.

    Args:
        attr: Name of the hyperparameter.
        gamma: The factor.
        step_value: Numbers of calls, rising.
        init: First value. None: the optimizer's.
        optimizer: The optimizer. None: the main one.
    """

    def __init__(
        self, attr: str, gamma: float, step_value: Sequence[int], init: float | None, optimizer: Any = None
    ) -> None:
        super().__init__(attr, init, optimizer)
        self._gamma = gamma
        self._step_value = step_value
        self._current_step = 0

    def value(self, t: int) -> float:
        """Return the value after `t` calls, one more than last time."""
        steps = self._step_value
        if self._current_step < len(steps) and t >= steps[self._current_step]:
            self._current_step += 1
        return self._init * self._gamma**self._current_step

    def serialize(self, serializer: Any) -> None:
        """Save or load the number of calls and of steps. Chainer's keys; the last value is added to them.

        Args:
            serializer: Serializer or deserializer.
        """
        self._t = serializer("_t", self._t)
        self._current_step = serializer("_current_step", self._current_step)
        self._load_last(optional(serializer, "_last_value", self._last_value))


class WarmupShift(Shift):
    """Moves along a line to the true first value, then leaves it alone.

    Args:
        attr: Name of the hyperparameter.
        warmup_start: Where the line begins. None: at the optimizer's value.
        warmup_iter: Number of calls until its end.
        init: Where it ends.
        optimizer: The optimizer. None: the main one.
    """

    def __init__(
        self, attr: str, warmup_start: float | None, warmup_iter: int, init: float, optimizer: Any = None
    ) -> None:
        super().__init__(attr, warmup_start, optimizer)
        self._warmup_iter = warmup_iter
        self._end = init

    def value(self, t: int) -> float | None:
        """Return the value after `t` calls; None when the line is over."""
        n = self._warmup_iter
        return (t * self._end + (n - t) * self._init) / n if t <= n else None

    def serialize(self, serializer: Any) -> None:
        """Save or load the number of calls. Chainer's key; the last value is added to it.

        Args:
            serializer: Serializer or deserializer.
        """
        self._t = serializer("_t", self._t)
        self._load_last(optional(serializer, "_last_value", self._last_value))
