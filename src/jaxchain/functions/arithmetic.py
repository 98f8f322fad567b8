"""Arithmetic: what the operators of `Variable` call, `add`, `absolute` and `matmul`.

Two Variables must have the same dtype. A Python or NumPy scalar is a traced constant of the left side's dtype, and an
array that is no Variable is cast to it: neither changes the dtype of a result.
"""

import contextlib
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jax.export import is_symbolic_dim
from jaxtyping import Float, Num, Shaped

from jaxchain.core.errors import expect, user_line
from jaxchain.core.op import Array, op
from jaxchain.core.variable import Variable, as_array
from jaxchain.functions.checks import broadcastable, same_dtype
from jaxchain.functions.composed import composed

Number: tuple[type, ...] = (int, float, np.number, np.bool_)
_LARGEST_UNROLLED_POWER = 64


def sum_to_shape(g: Array, shape: tuple[int, ...]) -> Array:
    """Return `g` summed over the axes along which an array of `shape` was broadcast to it."""
    if g.shape == shape:
        return g
    lead = g.ndim - len(shape)
    ones = tuple(i for i, n in enumerate(shape, lead) if n == 1 and g.shape[i] != 1)
    return g.sum((*range(lead), *ones), keepdims=True).reshape(shape)


@jax.custom_jvp
def quotient(n: Array, d: Array) -> Array:
    """Return `n / d` for a gradient: its own gradient takes no square of `d`, which a half may not hold."""
    return n / d


@functools.partial(quotient.defjvp, symbolic_zeros=True)
def _(primals, tangents):
    (n, d), (dn, dd) = primals, tangents
    y = quotient(n, d)
    parts = [] if isinstance(dn, SymbolicZero) else [quotient(dn, d)]
    parts += [] if isinstance(dd, SymbolicZero) else [-quotient(dd, d) * y]
    return y, sum(parts[1:], parts[0])


def _operand(x: Any, other: Any) -> Any:
    """Return `other` as an operand beside `x`: a Variable as it is, an array cast to the dtype of `x`."""
    if isinstance(other, Variable):
        return other
    if isinstance(other, np.ndarray):
        return other if other.dtype == x.dtype else other.astype(x.dtype)
    if isinstance(other, jax.Array):
        return (
            other if other.dtype == x.dtype and not other.aval.weak_type else lax.convert_element_type(other, x.dtype)
        )  # type: ignore[attr-defined]
    if is_symbolic_dim(other):  # a size, in an export
        return jnp.asarray(other).astype(x.dtype)
    raise TypeError(f"Value must be a scalar, array or Variable.\nActual: {type(other)}\nat {user_line()}")


# -- addition and subtraction -----------------------------------------------------------------------------------------


@op(label="_ + _")
def _add(lhs: Shaped[Array, "..."], rhs: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    same_dtype(lhs=lhs, rhs=rhs)
    broadcastable(lhs=lhs, rhs=rhs)
    return lhs + rhs


@op(label="_ + {value}")
def _add_constant(x: Shaped[Array, "..."], value: float) -> Shaped[Array, "..."]:
    return x + jnp.asarray(value).astype(x.dtype)


@op(label="MultiAdd", name="add")
def _multi_add(xs: Sequence[Array]) -> Array:
    for i, x in enumerate(xs):
        same_dtype(**{"x0": xs[0], f"x{i}": x})
    broadcastable(**{f"x{i}": x for i, x in enumerate(xs)})
    total = xs[0]
    for x in xs[1:]:
        total = total + x
    return total


@composed
def add(*xs):
    """Sum of any number of arrays, elementwise; shapes broadcast.

    Args:
        xs: Arrays of one dtype; the second of two may be a scalar.

    Returns:
        The broadcast shape, same dtype.

    Raises:
        InvalidType: The dtypes differ or the shapes do not broadcast.

    Source: elementary.

    Examples:
        >>> F.add(np.float32([1, 2]), np.float32([3, 4])).array
        Array([4., 6.], dtype=float32)
    """
    if len(xs) == 2:
        lhs, rhs = xs
        if isinstance(rhs, Variable):
            return _add(lhs, rhs)
        if isinstance(rhs, Number):
            return _add_constant(lhs, rhs)
        return _add(lhs, _operand(lhs, rhs))
    return _multi_add(xs)


@op(label="_ - _", class_name="Sub")
def _subtract(lhs: Num[Array, "..."], rhs: Num[Array, "..."]) -> Num[Array, "..."]:
    same_dtype(lhs=lhs, rhs=rhs)
    broadcastable(lhs=lhs, rhs=rhs)
    return lhs - rhs


@op(label="{value} - _", class_name="SubFromConstant")
def _subtract_from_constant(x: Num[Array, "..."], value: float) -> Num[Array, "..."]:
    return jnp.asarray(value).astype(x.dtype) - x


def subtract(lhs, rhs):
    """Return ``lhs - rhs``; see `add` for dtypes and shapes."""
    if isinstance(rhs, Number):
        return _add_constant(lhs, -rhs)
    return _subtract(lhs, _operand(lhs, rhs))


def subtract_from(lhs, rhs):
    """Return ``rhs - lhs``: the reflected operator."""
    if isinstance(rhs, Number):
        return _subtract_from_constant(lhs, rhs)
    return _subtract(_operand(lhs, rhs), lhs)


@op(label="__neg__", class_name="Neg")
def negative(x: Num[Array, "..."]) -> Num[Array, "..."]:
    """Return ``-x``, elementwise."""
    return -x


# -- multiplication and division --------------------------------------------------------------------------------------


@op(label="_ * _", class_name="Mul")
def _multiply(lhs: Float[Array, "..."], rhs: Float[Array, "..."]) -> Float[Array, "..."]:
    same_dtype(lhs=lhs, rhs=rhs)
    broadcastable(lhs=lhs, rhs=rhs)
    return lhs * rhs


@op(label="_ * {value}", class_name="MulConstant")
def _multiply_constant(x: Shaped[Array, "..."], value: float) -> Shaped[Array, "..."]:
    return x * jnp.asarray(value).astype(x.dtype)


def multiply(lhs, rhs):
    """Return ``lhs * rhs`` of floating arrays; see `add` for dtypes and shapes."""
    if isinstance(rhs, Number):
        return _multiply_constant(lhs, rhs)
    return _multiply(lhs, _operand(lhs, rhs))


@op(label="_ / _", class_name="Div")
def _divide(lhs: Float[Array, "..."], rhs: Float[Array, "..."]) -> Float[Array, "..."]:
    same_dtype(lhs=lhs, rhs=rhs)
    broadcastable(lhs=lhs, rhs=rhs)
    return lhs / rhs


@_divide.vjp
def _(gy, y, lhs, rhs):
    gx = gy / rhs
    # Chainer's order of operations: rhs ** 2 overflows where this does not.
    return sum_to_shape(gx, lhs.shape), sum_to_shape(-gx * lhs / rhs, rhs.shape)


@op(label="{value} / _", class_name="DivFromConstant")
def _divide_constant(x: Float[Array, "..."], value: float) -> Float[Array, "..."]:
    return value / x


def divide(lhs, rhs):
    """Return ``lhs / rhs`` of floating arrays; see `add` for dtypes and shapes."""
    if isinstance(rhs, Number):
        # the reciprocal of a half is rounded when it meets `lhs` only
        return _multiply_constant(lhs, 1.0 / (np.float64(rhs) if isinstance(rhs, np.floating) else rhs))
    return _divide(lhs, _operand(lhs, rhs))


def divide_into(lhs, rhs):
    """Return ``rhs / lhs``: the reflected operator."""
    if isinstance(rhs, Number):
        return _divide_constant(lhs, rhs)
    return _divide(_operand(lhs, rhs), lhs)


def _floor(quotient: Variable) -> Variable:
    return Variable(jnp.floor(as_array(quotient)), requires_grad=False)


def _spread(lhs, rhs):
    """Return operands of one shape, so that their quotient is exact.

    XLA makes `x * (1 / y)` of `x / y` if `y` is broadcast: 0.866 / 0.866 is 0.99999994 then, and its floor 0.
    """
    if isinstance(rhs, Number):
        return lhs, rhs
    rhs = _operand(lhs, rhs)
    if lhs.shape == rhs.shape:
        return lhs, rhs
    with contextlib.suppress(ValueError):  # else the division says what does not fit
        return lax.optimization_barrier(jnp.broadcast_arrays(as_array(lhs), as_array(rhs)))
    return lhs, rhs


def floor_divide(lhs, rhs):
    """Return ``lhs // rhs``. No gradient flows through it: the result is a leaf."""
    return _floor(divide(*_spread(lhs, rhs)))


def floor_divide_into(lhs, rhs):
    """Return ``rhs // lhs``: the reflected operator."""
    return _floor(divide_into(*_spread(lhs, rhs)))


# -- powers -----------------------------------------------------------------------------------------------------------


@op(label="_ ** _", class_name="PowVarVar")
def _power(lhs: Float[Array, "..."], rhs: Float[Array, "..."]) -> Float[Array, "..."]:
    same_dtype(lhs=lhs, rhs=rhs)
    broadcastable(lhs=lhs, rhs=rhs)
    return lhs**rhs


@_power.vjp
def _(gy, y, lhs, rhs):
    glhs = rhs * lhs ** (rhs - 1) * gy
    return sum_to_shape(glhs, lhs.shape), sum_to_shape(jnp.log(lhs) * y * gy, rhs.shape)


@op(label="_ ** {value}", name="power_constant", class_name="PowVarConst")
def _power_integer(x: Float[Array, "..."], value: int) -> Float[Array, "..."]:
    return lax.integer_pow(x, value)


@_power_integer.vjp
def _(gy, y, x, value):
    return gy * (value * lax.integer_pow(x, value - 1)) if value else jnp.zeros_like(x) * gy  # zero, not none


@op(label="_ ** {value}", class_name="PowVarConst")
def _power_constant(x: Float[Array, "..."], value: float) -> Float[Array, "..."]:
    return x ** jnp.asarray(value).astype(x.dtype)


@_power_constant.vjp
def _(gy, y, x, value):
    value = jnp.asarray(value).astype(x.dtype)
    return value * x ** (value - 1) * gy


@op(label="{value} ** _", class_name="PowConstVar")
def _power_of_constant(x: Float[Array, "..."], value: float) -> Float[Array, "..."]:
    return jnp.asarray(value).astype(x.dtype) ** x


@_power_of_constant.vjp
def _(gy, y, x, value):
    return jnp.log(jnp.asarray(value).astype(x.dtype)) * y * gy


def power(lhs, rhs):
    """Return ``lhs ** rhs`` of floating arrays; see `add` for dtypes and shapes.

    A whole exponent is static (products, exact for negative bases); any other is traced.
    """
    if isinstance(rhs, Number):
        if float(rhs).is_integer() and abs(rhs) <= _LARGEST_UNROLLED_POWER:
            return _power_integer(lhs, int(rhs))
        return _power_constant(lhs, rhs)
    return _power(lhs, _operand(lhs, rhs))


def power_of(lhs, rhs):
    """Return ``rhs ** lhs``: the reflected operator."""
    if isinstance(rhs, Number):
        return _power_of_constant(lhs, rhs)
    return _power(_operand(lhs, rhs), lhs)


# -- absolute value and matrix product --------------------------------------------------------------------------------


@op(label="|_|")
def absolute(self: Float[Array, "..."]) -> Float[Array, "..."]:
    """Absolute value, elementwise.

    Args:
        self: Any shape, floating dtype.

    Returns:
        Same shape and dtype.

    At 0: gradient 0.

    Raises:
        InvalidType: The array is not floating.

    Source: elementary.

    Examples:
        >>> F.absolute(np.float32([-2, 3])).array
        Array([2., 3.], dtype=float32)
    """
    return jnp.abs(self)


@absolute.vjp
def _(gy, y, self):
    return jnp.sign(self) * gy


@op(label="MatMul")
def matmul(
    a: Float[Array, "..."], b: Float[Array, "..."], transa: bool = False, transb: bool = False
) -> Float[Array, "..."]:
    """Matrix product, over batches where there are more than two axes.

    Args:
        a: Vector, matrix ``(..., m, k)`` or its transpose.
        b: Vector, matrix ``(..., k, n)`` or its transpose. The leading axes broadcast.
        transa: Swap the last two axes of ``a`` first (ignored for a vector).
        transb: Swap the last two axes of ``b`` first.

    Returns:
        ``(..., m, n)``; a vector's axis is left out.

    Raises:
        InvalidType: Inner sizes differ, leading axes do not broadcast, or an input is a scalar or not floating.

    Source: elementary.

    Examples:
        >>> F.matmul(np.float32([[1, 2]]), np.float32([[3], [4]])).array
        Array([[11.]], dtype=float32)
    """
    expect(a.ndim >= 1, "a.ndim >= 1", f"{a.ndim} < 1")
    expect(b.ndim >= 1, "b.ndim >= 1", f"{b.ndim} < 1")
    at = -2 if transa and a.ndim > 1 else -1
    bt = -1 if b.ndim == 1 or transb else -2
    inner, other = a.shape[at], b.shape[bt]
    expect(inner == other, f"a.shape[{at}] == b.shape[{bt}]", f"{inner} != {other}")
    if transa and a.ndim > 1:
        a = a.swapaxes(-1, -2)
    if transb and b.ndim > 1:
        b = b.swapaxes(-1, -2)
    if a.ndim > 2 and b.ndim > 2:
        broadcastable(**{k: jax.ShapeDtypeStruct(x.shape[:-2], x.dtype) for k, x in (("a", a), ("b", b))})
    return jnp.matmul(a, b)


def matmul_operator(lhs, rhs):
    """Return ``lhs @ rhs``."""
    return matmul(lhs, _operand(lhs, rhs))


def matmul_reflected(lhs, rhs):
    """Return ``rhs @ lhs``: the reflected operator."""
    return matmul(_operand(lhs, rhs), lhs)
