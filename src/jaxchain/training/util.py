"""What triggers, updaters and extensions share: triggers from tuples, and state that Chainer's files do not have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from jaxchain.serializer import Serializer


def get_trigger(trigger: Any) -> Any:
    """Return a trigger: a function of the trainer that says whether to act now.

    Args:
        trigger: A callable (returned as it is), the arguments of an `IntervalTrigger`, e.g. ``(1, "epoch")``, or None:
            never.

    Raises:
        TypeError: It is none of these.

    Examples:
        >>> str(jaxchain.training.get_trigger((2, "epoch")))
        "IntervalTrigger(2, 'epoch')"
    """
    if callable(trigger):
        return trigger
    if trigger is None:
        return _never
    from jaxchain.training.triggers.interval import IntervalTrigger

    if isinstance(trigger, str) or not isinstance(trigger, Iterable):
        raise TypeError(f"expected a trigger: (number, 'epoch' or 'iteration'), a function or None, got {trigger!r}")
    return IntervalTrigger(*trigger)


def _never(trainer: Any) -> bool:
    return False


def optional(serializer: Any, key: str, value: Any) -> Any:
    """Save or load an entry that Chainer's own snapshots lack; without it the value stays as it is.

    Args:
        serializer: Serializer or deserializer.
        key: Name of the entry.
        value: Present value.
    """
    try:
        return serializer(key, value)
    except KeyError:
        return value


def any_number(serializer: Any, key: str, value: Any) -> Any:
    """Save or load a number that may be of another type than the present one: a sum begins as 0.

    Args:
        serializer: Serializer or deserializer.
        key: Name of the entry.
        value: Present value: a number or an array of no axes.
    """
    found = serializer(key, value if isinstance(serializer, Serializer) else None)
    return value if found is None else np.asarray(found)[()]


def is_present(serializer: Any, key: str) -> bool:
    """Return whether a part that Chainer's own snapshots lack can be loaded; true, and marked, when saving.

    Args:
        serializer: Serializer or deserializer.
        key: Name of the mark.
    """
    return bool(serializer(key, True) if isinstance(serializer, Serializer) else optional(serializer, key, False))


def serialize_trigger(serializer: Any, trigger: Any) -> None:
    """Save or load a trigger that has a state.

    Args:
        serializer: Serializer or deserializer of the trigger.
        trigger: Any trigger.
    """
    if hasattr(trigger, "serialize"):
        trigger.serialize(serializer)
