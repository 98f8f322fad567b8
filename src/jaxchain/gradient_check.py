"""Gradients against numerical ones: `check_backward`, `check_double_backward`, `numerical_grad`.

The checks compare derivatives along one random direction in the space of all inputs and parameters, so a check costs a
few calls of the function, however large its inputs are. With ``dtype=numpy.float64`` everything inside is float64,
also where the program is float32: JAX's switch is on for as long as the check runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxchain import functions
from jaxchain.core.graph import grad
from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable
from jaxchain.functions.arithmetic import multiply

Arrays = Any
"""An array, or a sequence of arrays."""
TWO_STEPS, TWO_WEIGHTS = (-1, 1), (-0.5, 0.5)
FIVE_STEPS, FIVE_WEIGHTS = (-1, -0.5, 0, 0.5, 1), (1 / 6, -8 / 6, 0, 8 / 6, -1 / 6)
"""Where a function is computed, in steps to either side, and what its derivative takes of it there."""
_PARABOLAS = np.vander(FIVE_STEPS, 3)
OFF_PARABOLA = np.eye(5) - _PARABOLAS @ np.linalg.pinv(_PARABOLAS)
"""What is left of five values without the parabola that fits them best."""


class NondifferentiableError(Exception):
    """The function has a kink or a jump near the point of the check."""


def _tuple(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, tuple | list) else (values,)


def _array(value: Any) -> Any:
    return value.array if isinstance(value, Variable) else value


def _is_float(array: Any) -> bool:
    return array is not None and np.issubdtype(np.asarray(array).dtype, np.floating)


def numerical_grad(
    f: Callable[[], Any],
    inputs: Sequence[np.ndarray],
    grad_outputs: Sequence[Any],
    eps: float = 1e-3,
    detect_nondifferentiable: bool = False,
    diff_atol: float = 0,
    diff_rtol: float = 1e-2,
    center_outputs: Any = None,
) -> tuple[np.ndarray, ...]:
    """Return the gradient of a function by central differences, element by element.

    Args:
        f: Function without arguments that reads `inputs` and returns arrays.
        inputs: NumPy arrays, which are changed while it is called, and restored.
        grad_outputs: What the outputs are multiplied by; None: nothing.
        eps: Step.
        detect_nondifferentiable: Whether to look for kinks, at five points; the gradient then takes all of them, too.
        diff_atol: How far the outputs may be off a parabola.
        diff_rtol: The same, as a share of what they change by.
        center_outputs: Ignored: what `f` returns at the point itself is computed when it is needed.

    Returns:
        A gradient for each input, in its dtype.

    Raises:
        TypeError: An input cannot be changed.
        AssertionError: `eps` is not positive.
        NondifferentiableError: There is a kink.
    """
    if not eps > 0:
        raise AssertionError(f"numerical_grad: eps: expected a positive number, got {eps}")
    if not all(isinstance(x, np.ndarray) for x in inputs):
        raise TypeError("numerical_grad changes its inputs while it calls f: give it NumPy arrays")

    def outputs() -> list[np.ndarray]:
        return [np.array(_array(y), np.float64) for y in _tuple(f())]

    def total(ys: list[np.ndarray]) -> float:
        pairs = zip(ys, grad_outputs, strict=True)
        return float(sum(np.sum(y * np.asarray(g)) for y, g in pairs if g is not None))

    steps, weights = (FIVE_STEPS, FIVE_WEIGHTS) if detect_nondifferentiable else (TWO_STEPS, TWO_WEIGHTS)
    gradients = []
    for x in inputs:
        g = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            kept, samples = x[i], []
            for step in steps:
                x[i] = kept + step * eps
                samples.append(outputs())
            x[i] = kept
            if detect_nondifferentiable:
                _check_smooth(samples, eps, diff_atol, diff_rtol)
            g[i] = sum(w * total(ys) for w, ys in zip(weights, samples, strict=True) if w) / eps
        gradients.append(g)
    return tuple(gradients)


def _check_smooth(samples: Sequence[Sequence[np.ndarray]], eps: float, atol: float, rtol: float) -> None:
    """Raise `NondifferentiableError` unless parabolas go through what an output has at the five steps."""
    for k, ys in enumerate(zip(*samples, strict=True)):
        y = np.stack([np.ravel(v) for v in ys])
        finite = np.isfinite(y)
        if (finite != finite[0]).any():  # else it is outside of the domain on both sides
            raise NondifferentiableError(f"output {k} is finite at some points, and not at others, within {eps:g}")
        y = y[:, finite[0]]
        errors, ranges = np.sqrt(np.mean((OFF_PARABOLA @ y) ** 2, axis=0)), np.ptp(y, axis=0)
        kinks = (errors > atol + rtol * ranges) & (ranges > 0)
        if kinks.any():
            i = int(np.argmax(kinks))
            raise NondifferentiableError(
                f"output {k} is no parabola within {eps:g}: it is {errors[i]:.3g} off, in a range of {ranges[i]:.3g}"
            )


@contextlib.contextmanager
def _precision(dtype: Any, params: Sequence[Parameter]) -> Iterator[Callable[[Any], Any]]:
    """Hold parameters in `dtype` and yield what converts arrays to it; None: all stay as they are."""
    if dtype is None:
        yield lambda a: a
        return
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise ValueError(f"dtype is allowed only float type, got {dtype}")
    kept = [p.array for p in params]
    try:
        with jax.enable_x64() if dtype.itemsize == 8 else contextlib.nullcontext():
            for p in params:
                p.cleargrad()
                p.array = np.asarray(p.array).astype(dtype)
            yield lambda a: np.asarray(a).astype(dtype) if _is_float(a) else a
    finally:
        for p, array in zip(params, kept, strict=True):
            p.cleargrad()
            p.array = array


def check_backward(
    func: Callable[..., Any],
    x_data: Arrays,
    y_grad: Arrays,
    params: Any = (),
    eps: float = 1e-3,
    atol: float = 1e-5,
    rtol: float = 1e-4,
    no_grads: Sequence[bool] | None = None,
    dtype: Any = None,
    detect_nondifferentiable: bool = False,
) -> None:
    """Check the gradient of a function of Variables.

    Args:
        func: It takes a Variable for each of `x_data` and returns one or several.
        x_data: Array or arrays.
        y_grad: Gradient or gradients of what it returns; None: one, for a single number.
        params: Parameter or Parameters that it uses; their gradients are checked, too.
        eps: Step of the differences.
        atol: Absolute tolerance.
        rtol: Relative tolerance.
        no_grads: For each of `x_data` whether it has no gradient; None: those that are not floating have none.
        dtype: Floating type to check in; None: that of the data.
        detect_nondifferentiable: Whether to look for a kink near the point.

    Raises:
        AssertionError: The gradients differ, or an input has a gradient that should have none.
        NondifferentiableError: There is a kink.
        ValueError: `dtype` is not floating.
    """
    xs, params = _tuple(x_data), _tuple(params)
    no_grads = [not _is_float(x) for x in xs] if no_grads is None else list(no_grads)
    if len(no_grads) != len(xs):
        raise ValueError(f"Length of no_grads param and xs should be same: {len(no_grads)} != {len(xs)}")
    with _precision(dtype, params) as convert:
        xs = [np.array(convert(_array(x))) for x in xs]
        gys = None if y_grad is None else [convert(_array(g)) for g in _tuple(y_grad)]
        variables = [Variable(x) for x in xs]
        for p in params:
            p.cleargrad()
        ys = _tuple(func(*variables))
        gys = _output_gradients(ys, gys)
        _backward(ys, gys)
        for i, (x, without) in enumerate(zip(variables, no_grads, strict=True)):
            if without and x.grad is not None:
                raise AssertionError(f"gradient of input {i} is calculated, though no_grads says that it has none")
        checked = [x for x, without in zip(xs, no_grads, strict=True) if not without]
        found = [x.grad for x, without in zip(variables, no_grads, strict=True) if not without]
        found += [p.grad for p in params]
        points = [*checked, *(np.array(p.array) for p in params)]
        directions = _directions(points)
        expected = _slope(func, xs, no_grads, params, points, directions, gys, eps, detect_nondifferentiable)
        pairs = zip(found, directions, strict=True)
        actual = sum(float(np.sum(np.asarray(g, np.float64) * d)) for g, d in pairs if g is not None)
    if not abs(actual - expected) <= atol + rtol * abs(expected):
        shapes = ", ".join(f"{p.dtype}{list(p.shape)}" for p in points)
        raise AssertionError(
            f"check_backward failed: along a random direction of the inputs and parameters ({shapes}) the slope is "
            f"{actual:.9g} by backward, {expected:.9g} numerically (eps {eps:g}, atol {atol:g}, rtol {rtol:g})"
        )


def _output_gradients(ys: Sequence[Variable], gys: list[Any] | None) -> list[Any]:
    if gys is None:
        if len(ys) != 1 or ys[0].size != 1:
            raise ValueError("y_grad is needed unless the function returns one number")
        return [np.ones(ys[0].shape, ys[0].dtype)]
    if len(gys) != len(ys):
        raise ValueError(f"{len(gys)} gradients are given for {len(ys)} outputs")
    for y, g in zip(ys, gys, strict=True):
        if g is not None and tuple(np.shape(g)) != y.shape:
            raise ValueError(f"gradient has shape {np.shape(g)}, and the output {y.shape}")
    return gys


def _backward(ys: Sequence[Variable], gys: Sequence[Any]) -> None:
    """Run backward from all outputs at once."""
    total = None
    for y, g in zip(ys, gys, strict=True):
        if g is not None:
            part = functions.sum(multiply(y, np.asarray(g, y.dtype)))
            total = part if total is None else total + part
    if total is not None:
        total.backward()


def _directions(points: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return a random direction of length one, no part of which is tiny."""
    directions = [np.random.normal(size=p.shape) for p in points]
    directions = [np.where(d < 0, -1, 1) * (np.abs(d) + 0.1) for d in directions]
    norm = np.sqrt(sum(np.sum(d * d) for d in directions)) or 1.0
    return [d / norm for d in directions]


def _slope(
    func: Callable[..., Any],
    xs: Sequence[Any],
    no_grads: Sequence[bool],
    params: Sequence[Parameter],
    points: Sequence[np.ndarray],
    directions: Sequence[np.ndarray],
    gys: Sequence[Any],
    eps: float,
    detect: bool,
) -> float:
    """Return the derivative along a direction by central differences."""
    delta = np.zeros((), np.float64)

    def moved() -> list[Any]:
        at = [(p + delta * d).astype(p.dtype) for p, d in zip(points, directions, strict=True)]
        for parameter, array in zip(params, at[len(at) - len(params) :], strict=True):
            parameter.array = array
        rest = iter(at)
        inputs = [Variable(x if without else next(rest)) for x, without in zip(xs, no_grads, strict=True)]
        return [np.asarray(y.array) for y in _tuple(func(*inputs))]

    try:
        (slope,) = numerical_grad(moved, (delta,), gys, eps, detect)
    finally:
        for parameter, array in zip(params, points[len(points) - len(params) :], strict=True):
            parameter.array = array
    return float(slope)


def check_double_backward(
    func: Callable[..., Any],
    x_data: Arrays,
    y_grad: Arrays,
    x_grad_grad: Arrays,
    params: Any = (),
    params_grad_grad: Arrays = (),
    eps: float = 1e-3,
    atol: float = 1e-4,
    rtol: float = 1e-3,
    no_grads: Sequence[bool] | None = None,
    dtype: Any = None,
    detect_nondifferentiable: bool = False,
) -> None:
    """Check the gradient of the gradient of a function of Variables.

    Args:
        func: It takes a Variable for each of `x_data` and returns one or several.
        x_data: Array or arrays.
        y_grad: Gradient or gradients of what it returns.
        x_grad_grad: Gradient or gradients of the gradients of `x_data`.
        params: Parameter or Parameters that it uses.
        params_grad_grad: Gradient or gradients of their gradients.
        eps: Step of the differences.
        atol: Absolute tolerance.
        rtol: Relative tolerance.
        no_grads: For each of `x_data` whether it has no gradient; None: those that are not floating have none.
        dtype: Floating type to check in; None: that of the data.
        detect_nondifferentiable: Whether to look for a kink near the point.

    Raises:
        AssertionError: The gradients differ.
        NondifferentiableError: There is a kink.
    """
    xs, gys, params = _tuple(x_data), _tuple(y_grad), _tuple(params)
    without = [not _is_float(x) for x in xs] if no_grads is None else list(no_grads)
    ggs = [g for g, skip in zip(_tuple(x_grad_grad), without, strict=True) if not skip] + list(_tuple(params_grad_grad))

    def first(*inputs: Variable) -> tuple[Any, ...]:
        at, outer = inputs[: len(xs)], inputs[len(xs) :]
        ys = _tuple(func(*at))
        wanted = [x for x, skip in zip(at, without, strict=True) if not skip] + list(params)
        found = grad(ys, wanted, outer, enable_double_backprop=True)
        return tuple(
            Variable(np.zeros(w.shape, w.dtype)) if g is None else g for g, w in zip(found, wanted, strict=True)
        )

    skipped = [*without, *(False for _ in gys)]
    check_backward(first, (*xs, *gys), tuple(ggs), params, eps, atol, rtol, skipped, dtype, detect_nondifferentiable)
