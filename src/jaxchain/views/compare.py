"""How far apart two results are: what `contrast` and `verify` measure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxchain.core.compat import values_of
from jaxchain.core.kinds import is_record
from jaxchain.core.variable import Variable
from jaxchain.views.report import Difference

# Gradients below a hundredth of the largest are measured against that: what should be zero (of a bias in front of batch
# normalisation, say) is rounding noise: 85 % different between the modes.
NOISE = 0.01


def is_variable(value: Any) -> bool:
    """Return whether a value is a Variable."""
    return isinstance(value, Variable)


def is_float(value: Any) -> bool:
    """Return whether a value is an array that can have a gradient."""
    dtype = getattr(value, "dtype", None)
    return dtype is not None and jax.numpy.issubdtype(dtype, jax.numpy.inexact)


def as_variables(value: Any) -> Any:
    """Return a nested value with Variables in the place of its floating arrays."""

    def convert(leaf: Any) -> Any:
        return Variable(leaf) if isinstance(leaf, jax.Array | np.ndarray) and is_float(leaf) else leaf

    return jax.tree_util.tree_map(convert, value, is_leaf=is_variable)


def flatten(value: Any) -> list[tuple[str, Any]]:
    """Return (path, leaf) pairs; Variables are leaves."""
    return [
        (jax.tree_util.keystr(path).strip(".") or "", leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(value, is_leaf=is_variable)[0]
    ]


def results_of(value: Any) -> list[tuple[str, Any]]:
    """Return (path, leaf) pairs of what a call returns. Objects with data (distributions) are taken apart."""
    return list(_results(value, ()))


def _results(value: Any, around: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    for path, leaf in flatten(value):
        if is_record(leaf) and hasattr(leaf, "__dict__") and id(leaf) not in around:
            for name, inner in vars(leaf).items():
                found = _results(inner, (*around, id(leaf)))
                yield from ((f"{path}.{name.strip('_')}{rest}", end) for rest, end in found)
        else:
            yield path, leaf


def arrays_of(value: Any) -> list[tuple[str, Any]]:
    """Return (name, array) of each array and number in a result."""
    return [
        (f"output{path}", leaf.array if isinstance(leaf, Variable) else leaf)
        for path, leaf in results_of(value)
        if isinstance(leaf, Variable | jax.Array | np.ndarray | np.generic | float | int)
    ]


def differences(eager: Sequence[tuple[str, Any]], compiled: Sequence[tuple[str, Any]]) -> list[Difference]:
    """Compare named results of both modes, in order; None is no result."""
    floor = NOISE * max((_scale(v) for _, v in eager if v is not None), default=0.0)
    found = [difference(name, a, b, floor) for (name, a), (_, b) in zip(eager, compiled, strict=False)]
    extra = [*eager[len(compiled) :], *compiled[len(eager) :]]
    return found + [Difference(name, "in one mode only", math.inf, math.inf) for name, _ in extra]


def difference(name: str, eager: Any, compiled: Any, floor: float = 0.0) -> Difference:
    """Compare one result; differences are relative to its largest value, but at least to `floor`."""
    if eager is None and compiled is None:
        return Difference(name, "none", 0.0, 0.0)
    if eager is None or compiled is None:
        return Difference(name, "in one mode only", math.inf, math.inf)
    a, b = values_of(eager), values_of(compiled)
    types = [f"{v.dtype}[{','.join(map(str, v.shape))}]" for v in (a, b)]
    if types[0] != types[1]:
        return Difference(name, f"{types[0]} / {types[1]}", math.inf, math.inf)
    if a.size == 0:
        return Difference(name, types[0], 0.0, 0.0)
    a, b = _wide(a), _wide(b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(a - b))
    largest = float(np.max(np.where(np.isnan(gap), np.inf, gap)))
    scale = max(_scale(a), floor)
    return Difference(name, types[0], largest, 0.0 if largest == 0 else largest / scale if scale else math.inf)


def _scale(value: Any) -> float:
    """Return the largest finite absolute value."""
    array = np.abs(_wide(values_of(value)))
    return float(np.max(array, initial=0.0, where=np.isfinite(array)))


def _wide(array: Any) -> Any:
    return array.astype(np.complex128 if np.issubdtype(array.dtype, np.complexfloating) else np.float64)
