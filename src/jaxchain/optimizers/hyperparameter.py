"""What rules and hooks compute with: hyperparameters, counters, and their split into runtime numbers and the rest.

Hyperparameters and the clock declare ``_lifted_scalars``, so static mode takes their numbers as inputs.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.arrays import plain_number
from jaxchain.core.compat import has_64_bits
from jaxchain.core.config import lock, thread_state

COMPLEMENTS = ("beta1", "beta2", "beta")


def number_of(owner: Any, name: str) -> Any:
    """Return an attribute as a number, read while no other thread traces with it or takes its buffer over."""
    with lock:
        return plain_number(getattr(owner, name))


class Hyperparameter:
    """Numbers that a rule reads, with a parent that answers for those not set here.

    Args:
        parent: The parent, e.g. the optimizer's.
    """

    __slots__ = ("__dict__", "_known", "_parent")
    _lifted_scalars = True
    _walk_slots = ("_parent",)

    def __init__(self, parent: Hyperparameter | None = None) -> None:
        self._parent = parent
        self._known: Any = (None, None)  # (values, their split) of the last eager update

    def __getattr__(self, name: str) -> Any:
        parent = None if name == "_parent" else self._parent
        if parent is None:
            raise AttributeError(f"hyperparameter {name!r} is not set")
        return getattr(parent, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, np.generic | np.ndarray) and value.ndim == 0:
            value = value.item()
        object.__setattr__(self, name, value)
        if name in COMPLEMENTS:  # float32 keeps 0.001 but not 1 - 0.999, so both are there for compiled programs
            self.__dict__[f"_complement_of_{name}"] = 1 - value

    def __repr__(self) -> str:
        return f"Hyperparameter({', '.join(f'{k}={v}' for k, v in sorted(self.get_dict().items()))})"

    @property
    def parent(self) -> Hyperparameter | None:
        """Where values that are not set here come from."""
        return self._parent

    def get_dict(self) -> dict[str, Any]:
        """Return every value, the parents' included."""
        return {k: plain_number(v) for k, v in self.values().items() if not k.startswith("_")}

    def values(self) -> dict[str, Any]:
        """Return every value as it is stored: a tracer under a trace."""
        return {**(self._parent.values() if self._parent is not None else {}), **self.__dict__}

    def split(self) -> tuple[dict[str, Any], tuple[tuple[str, Any], ...]]:
        """Return (numbers, static values), as `split`; remembered while the values stay the same."""
        values = self.values()
        if thread_state().trace is not None:
            return split(values)
        known, found = self._known
        if known != values:
            found = split(values)
            object.__setattr__(self, "_known", (values, found))
        return found

    def __getstate__(self) -> Any:
        return self._parent, {k: plain_number(v) for k, v in self.__dict__.items()}

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple):  # Chainer's
            raise pickle.UnpicklingError(
                "Hyperparameter: this pickle was not made by jaxchain: use serializers.save_npz"
            )
        object.__setattr__(self, "_parent", state[0])
        object.__setattr__(self, "_known", (None, None))
        self.__dict__.update(state[1])


class HyperparameterProxy:
    """An attribute of an optimizer that stands for the entry of its hyperparameter.

    Args:
        attr_name: Name of the entry.
    """

    def __init__(self, attr_name: str) -> None:
        self._attr_name = attr_name
        self.__doc__ = f"Alias to ``self.hyperparam.{attr_name}``"

    def __get__(self, obj: Any, type: Any = None) -> Any:
        return self if obj is None else number_of(obj.hyperparam, self._attr_name)

    def __set__(self, obj: Any, value: Any) -> None:
        setattr(obj.hyperparam, self._attr_name, value)


class Clock:
    """Counters shared by an optimizer and its rules.

    Attributes:
        t: Updates so far.
        epoch: Epochs so far.
        busy: Whether the optimizer has ticked and its rules are being applied.
    """

    __slots__ = ("__dict__", "busy")
    _lifted_scalars = True

    def __init__(self) -> None:
        self.t = self.epoch = 0
        self.busy = False


def split(values: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[tuple[str, Any], ...]]:
    """Return (numbers, which are runtime inputs; the rest, which is static)."""
    numbers, statics, wide = {}, [], has_64_bits()
    for name, value in values.items():
        kind = type(value)
        if kind is float or kind is int:
            numbers[name] = device_scalar(value, wide)
        elif isinstance(value, float | int | jax.Array) and kind is not bool:
            numbers[name] = value
        else:
            statics.append((name, value))
    return numbers, tuple(statics)


@functools.lru_cache(maxsize=1024, typed=True)
def device_scalar(value: float, wide: bool) -> jax.Array:
    """Return a number as a weakly typed array: a jit call spends 4 us on each Python number, and none on these.

    Args:
        value: The number.
        wide: Whether 64-bit types are on: the array has another dtype then.
    """
    with jax.ensure_compile_time_eval():
        return jnp.asarray(value)
