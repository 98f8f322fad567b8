"""Small extensions around the observation: values of one's own, averages, checks, graphs let go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxchain import reporter
from jaxchain.core.config import config
from jaxchain.core.variable import Variable, as_array
from jaxchain.training.extension import PRIORITY_EDITOR, PRIORITY_WRITER, Extension, make_extension
from jaxchain.training.util import any_number, get_trigger, is_present, serialize_trigger


def observe_value(observation_key: str, target_func: Callable[[Any], Any]) -> Any:
    """Return an extension that adds a value to the observation, once an epoch.

    Args:
        observation_key: Its name there.
        target_func: Function of the trainer that gives it.
    """

    @make_extension(trigger=(1, "epoch"), priority=PRIORITY_WRITER)
    def _observe_value(trainer: Any) -> None:
        trainer.observation[observation_key] = target_func(trainer)

    return _observe_value


def observe_lr(optimizer_name: str = "main", observation_key: str = "lr") -> Any:
    """Return an extension that adds the learning rate to the observation, once an epoch.

    Args:
        optimizer_name: Whose learning rate.
        observation_key: Its name in the observation.
    """
    return observe_value(observation_key, lambda trainer: trainer.updater.get_optimizer(optimizer_name).lr)


class MicroAverage(Extension):
    """Reports the ratio of two observed values, summed over an interval: an average over examples, not batches.

    Args:
        numerator_key: Name of the value above the line, e.g. the number of correct answers.
        denominator_key: Name of the value below it, e.g. the number of examples.
        result_key: Name of the ratio.
        trigger: When an interval ends: a trigger or its arguments.
    """

    priority = PRIORITY_EDITOR

    def __init__(self, numerator_key: str, denominator_key: str, result_key: str, trigger: Any = (1, "epoch")) -> None:
        self._trigger = get_trigger(trigger)
        self._numerator_key = numerator_key
        self._denominator_key = denominator_key
        self._result_key = result_key
        self._numerator: Any = 0
        self._denominator: Any = 0

    def __call__(self, trainer: Any) -> None:
        """Add; if an interval ended, report.

        Args:
            trainer: The trainer.
        """
        observation = trainer.observation
        if not (self._numerator_key in observation and self._denominator_key in observation):
            return
        self._numerator = self._numerator + as_array(observation[self._numerator_key])
        self._denominator = self._denominator + as_array(observation[self._denominator_key])
        if self._trigger(trainer):
            result = float(self._numerator) / float(self._denominator)
            self._numerator = self._denominator = 0
            reporter.report({self._result_key: result})

    def serialize(self, serializer: Any) -> None:
        """Save or load the sums. Chainer's keys; the trigger's state is added to them.

        Args:
            serializer: Serializer or deserializer.
        """
        self._numerator = any_number(serializer, "_numerator", self._numerator)
        self._denominator = any_number(serializer, "_denominator", self._denominator)
        if is_present(serializer, "_has_trigger"):
            serialize_trigger(serializer["_trigger"], self._trigger)


class FailOnNonNumber(Extension):
    """Stops training when a parameter is no longer finite."""

    def __call__(self, trainer: Any) -> None:
        """Look at every parameter.

        Args:
            trainer: The trainer.

        Raises:
            RuntimeError: One is not finite.
        """
        for name, optimizer in trainer.updater.get_all_optimizers().items():
            arrays = [param.array for param in optimizer.target.params(include_uninit=False)]
            if not _all_finite(arrays):
                bad = [
                    path
                    for path, param in optimizer.target.namedparams(include_uninit=False)
                    if not jnp.isfinite(param.array).all()
                ]
                raise RuntimeError(
                    f"Kill the process since parameters in optimizer '{name}' diverge. R.I.P. ({', '.join(bad)})"
                )


@jax.jit
def _all_finite(arrays: list[jax.Array]) -> jax.Array:
    return jnp.array([jnp.isfinite(a).all() for a in arrays]).all()


class unchain_variables(Extension):
    """Lets go of graphs that were kept in the observation (``config.keep_graph_on_report``)."""

    priority = 0

    def __init__(self) -> None:
        self._prev_flag: bool | None = None

    def initialize(self, trainer: Any) -> None:
        """Note whether graphs are kept.

        Args:
            trainer: Not used.
        """
        self._prev_flag = bool(config.keep_graph_on_report)

    def trigger(self, trainer: Any) -> bool:
        """Return whether graphs were kept at the last update.

        Args:
            trainer: Not used.
        """
        flag, self._prev_flag = bool(self._prev_flag), bool(config.keep_graph_on_report)
        return flag

    def __call__(self, trainer: Any) -> None:
        """Unchain every Variable of the observation.

        Args:
            trainer: The trainer.
        """
        for value in trainer.observation.values():
            if isinstance(value, Variable):
                value.unchain_backward()
