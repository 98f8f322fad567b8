"""The operators and methods of `Variable`: one table, attached when this module is imported.

Chainer's, and no more. Comparisons are not defined, as there: they raise. A Variable is hashed by its identity, so it
may be a key, which it may not in Chainer.
"""

from __future__ import annotations

from typing import Any

from jaxchain.core.errors import user_line
from jaxchain.core.variable import Variable
from jaxchain.functions import arithmetic, indexing, reduction, shape


def _reshape(self, *sizes: Any):
    """Return the array in another shape: ``x.reshape(2, 3)`` or ``x.reshape((2, 3))``; see `functions.reshape`."""
    return shape.reshape(self, sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes)


def _transpose(self, *axes: Any):
    """Return the array with its axes permuted, or reversed; see `functions.transpose`."""
    if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], tuple | list)):
        return shape.transpose(self, axes[0])
    return shape.transpose(self, axes or None)


def _mean(self, axis: Any = None, *, weights: Any = None, keepdims: bool = False):
    """Return the mean over axes; see `functions.average`."""
    return reduction.average(self, axis, weights, keepdims)


def _not_compared(symbol: str) -> Any:
    def compare(self, other: Any) -> bool:
        raise TypeError(
            f"Variables do not support {symbol} operator. You could use `array` attribute instead.\nat {user_line(2)}"
        )

    return compare


def _itself(self):
    """Return the Variable itself: ``+x``."""
    return self


METHODS: dict[str, Any] = {
    "__pos__": _itself,
    "__neg__": arithmetic.negative,
    "__abs__": arithmetic.absolute,
    "__add__": arithmetic.add,
    "__radd__": arithmetic.add,
    "__sub__": arithmetic.subtract,
    "__rsub__": arithmetic.subtract_from,
    "__mul__": arithmetic.multiply,
    "__rmul__": arithmetic.multiply,
    "__truediv__": arithmetic.divide,
    "__rtruediv__": arithmetic.divide_into,
    "__floordiv__": arithmetic.floor_divide,
    "__rfloordiv__": arithmetic.floor_divide_into,
    "__pow__": arithmetic.power,
    "__rpow__": arithmetic.power_of,
    "__matmul__": arithmetic.matmul_operator,
    "__rmatmul__": arithmetic.matmul_reflected,
    "__getitem__": indexing.get_item,
    "__eq__": _not_compared("=="),
    "__ne__": _not_compared("!="),
    "__lt__": _not_compared("<"),
    "__le__": _not_compared("<="),
    "__gt__": _not_compared(">"),
    "__ge__": _not_compared(">="),
    "reshape": _reshape,
    "transpose": _transpose,
    "mean": _mean,
    "T": property(shape.transpose, doc="The array with its axes reversed."),
}


def attach() -> None:
    """Put the table's methods on `Variable`."""
    for name, method in METHODS.items():
        setattr(Variable, name, method)


attach()
