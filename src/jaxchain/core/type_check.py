"""Chainer's type checks for user-written functions.

`check_type_forward(self, in_types)` writes ``expect(in_types.size() == 2, in_types[0].dtype.kind == 'f')``. It is given
plain shapes and dtypes first, so that it may compute with them as it likes. If an expectation fails, it runs again on
expressions that can say what they are, for the message of `InvalidType`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxchain.core.errors import InvalidType


class Expr:
    """How a value is computed, with its text. Computed when asked for, so that a check may guard the ones after it."""

    def __init__(self, compute: Callable[[], Any], text: str, priority: int = 10) -> None:
        self._compute, self._text, self._priority = compute, text, priority

    def eval(self) -> Any:
        """Return the value."""
        return self._compute()

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return self._text

    def __getattr__(self, name: str) -> Expr:
        if name.startswith("__"):
            raise AttributeError(name)
        return Expr(lambda: getattr(self.eval(), name), f"{self._text}.{name}")

    def __getitem__(self, key: Any) -> Expr:
        text = ", ".join(map(_subscript, key)) if isinstance(key, tuple) else _subscript(key)
        return Expr(lambda: self.eval()[evaluate(key)], f"{self._text}[{text}]")

    def __call__(self, *args: Any) -> Expr:
        """Return the result of a call, e.g. of ``in_types.size``."""
        return Expr(lambda: self.eval()(*map(evaluate, args)), f"{self._text}({', '.join(map(_text, args))})")

    def __bool__(self) -> bool:
        """Return the value as a truth value: a check that branches takes the same branch as on plain values."""
        return bool(self.eval())

    def __hash__(self) -> int:
        return id(self)

    __iter__ = None  # a loop over it would not end: use the size


def _subscript(key: Any) -> str:
    if isinstance(key, slice):
        parts = ["" if v is None else _text(v) for v in (key.start, key.stop)]
        return ":".join(parts if key.step is None else [*parts, _text(key.step)])
    return "..." if key is Ellipsis else _text(key)


def _text(value: Any, priority: int = 0) -> str:
    if not isinstance(value, Expr):
        return repr(value) if isinstance(value, str) else str(value)
    return f"({value})" if value._priority < priority else str(value)


def evaluate(value: Any) -> Any:
    """Return the value of an expression, of a tuple of them, or `value` itself."""
    if isinstance(value, tuple):
        return tuple(map(evaluate, value))
    return value.eval() if isinstance(value, Expr) else value


class Testable(Expr):
    """A comparison."""

    def __init__(self, function: Any, left: Any, right: Any, symbol: str, inverse: str) -> None:
        text = f"{_text(left)} {symbol} {_text(right)}"
        super().__init__(lambda: function(evaluate(left), evaluate(right)), text, -1)
        self._sides, self._inverse = (left, right), inverse

    def expect(self) -> None:
        """Raise `InvalidType` unless the comparison holds."""
        if not self.eval():
            left, right = map(evaluate, self._sides)
            raise InvalidType(str(self), f"{left} {self._inverse} {right}")


def _binary(symbol: str, priority: int, function: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    def combine(left: Any, right: Any) -> Expr:
        first, second = (1, 0) if symbol == "**" else (0, 1)  # which operand a chain of this operator may stand in
        text = f"{_text(left, priority + first)} {symbol} {_text(right, priority + second)}"
        return Expr(lambda: function(evaluate(left), evaluate(right)), text, priority)

    return combine, lambda self, other: combine(other, self)


def _unary(symbol: str, function: Callable[[Any], Any]) -> Any:
    return lambda self: Expr(lambda: function(self.eval()), f"{symbol}{_text(self, 6)}", 6)


def _comparison(symbol: str, inverse: str, function: Callable[[Any, Any], Any]) -> Any:
    return lambda self, other: Testable(function, self, other, symbol, inverse)


for _name, _symbol, _priority in (
    ("or_", "|", 0),
    ("xor", "^", 1),
    ("and_", "&", 2),
    ("lshift", "<<", 3),
    ("rshift", ">>", 3),
    ("add", "+", 4),
    ("sub", "-", 4),
    ("mul", "*", 5),
    ("truediv", "/", 5),
    ("floordiv", "//", 5),
    ("mod", "%", 5),
    ("pow", "**", 7),
):
    for _prefix, _method in zip(("", "r"), _binary(_symbol, _priority, getattr(operator, _name)), strict=True):
        setattr(Expr, f"__{_prefix}{_name.rstrip('_')}__", _method)
for _name, _symbol, _inverse in (
    ("eq", "==", "!="),
    ("ne", "!=", "=="),
    ("lt", "<", ">="),
    ("le", "<=", ">"),
    ("gt", ">", "<="),
    ("ge", ">=", "<"),
):
    setattr(Expr, f"__{_name}__", _comparison(_symbol, _inverse, getattr(operator, _name)))
for _name, _symbol in (("neg", "-"), ("pos", "+"), ("invert", "~")):
    setattr(Expr, f"__{_name}__", _unary(_symbol, getattr(operator, _name)))


class TypeInfo:
    """Shape, dtype, ndim and size of one input."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype, self.ndim, self.size = shape, dtype, len(shape), math.prod(shape)


class TypeInfoTuple(tuple):
    """Expressions on the types of the inputs."""

    name = "in_types"

    def size(self) -> Expr:
        """Return how many there are."""
        return Expr(lambda: len(self), f"{self.name}.size")


class LightTypeInfoTuple(tuple):
    """The types of the inputs, as they are."""

    def size(self) -> int:
        """Return how many there are."""
        return len(self)


def _typed(array: Any, text: str) -> Expr:
    info = TypeInfo(array.shape, array.dtype)
    return Expr(lambda: info, text)


def get_light_types(data: Sequence[Any]) -> LightTypeInfoTuple:
    """Return the types of some arrays, as they are.

    Args:
        data: The arrays.
    """
    return LightTypeInfoTuple(TypeInfo(x.shape, x.dtype) for x in data)


def get_types(data: Sequence[Any], name: str = "in_types", accept_none: bool = False) -> TypeInfoTuple:
    """Return the types of some arrays.

    Args:
        data: The arrays.
        name: What the expressions call them.
        accept_none: Whether None may be among them.

    Raises:
        TypeError: Something else than an array is among them.
    """
    if not accept_none and any(x is None for x in data):
        raise TypeError(f"{name}: expected arrays, got None")
    types = TypeInfoTuple(None if x is None else _typed(x, f"{name}[{i}]") for i, x in enumerate(data))
    types.name = name  # type: ignore[misc]
    return types


def expect(*expressions: Any) -> None:
    """Raise `InvalidType` for the first expectation that does not hold.

    Args:
        *expressions: Comparisons of types, or booleans.
    """
    for expression in expressions:
        if isinstance(expression, Testable):
            expression.expect()
        elif not expression:
            raise InvalidType("True", str(expression))


def _argname(in_types: Sequence[Any], names: Sequence[str]) -> None:
    """Give the input types names of their own; raises `InvalidType` if there are not as many."""
    if len(in_types) != len(names):
        raise InvalidType(f"{len(names)} argument(s)", f"{len(in_types)} argument(s)", "Invalid number of arguments")
    for in_type, name in zip(in_types, names, strict=True):
        if isinstance(in_type, Expr):
            in_type._text = name


def make_variable(value: Any, name: str) -> Expr:
    """Return an expression with a name.

    Args:
        value: Its value.
        name: Its text.
    """
    return value if isinstance(value, Expr) else Expr(lambda: value, name)


def prod(values: Any) -> Expr:
    """Return the product of an expression of a tuple.

    Args:
        values: The expression.
    """
    return Expr(lambda: math.prod(evaluate(values)), f"prod({_text(values)})")


def same_types(*arrays: Any) -> bool:
    """Return whether all are arrays of the kinds that functions take.

    Args:
        *arrays: The arrays.
    """
    return all(hasattr(a, "dtype") and hasattr(a, "shape") for a in arrays)


def expect_broadcast_shapes(*shape_types: Any) -> None:
    """Raise `InvalidType` unless shapes can be broadcast together.

    Args:
        *shape_types: Expressions of shapes.
    """
    try:
        np.broadcast_shapes(*map(evaluate, shape_types))
    except ValueError:
        shapes = ", ".join(f"{_text(s)} = {evaluate(s)}" for s in shape_types)
        raise InvalidType("each shape of the inputs is broadcastable", shapes) from None
