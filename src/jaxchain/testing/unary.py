"""Test cases of elementwise functions of one argument."""

from __future__ import annotations

import contextlib
import unittest
import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxchain import gradient_check
from jaxchain.core.variable import Variable
from jaxchain.testing.array import assert_allclose
from jaxchain.testing.parameterized import parameterize, product


def _uniform(shape: tuple[int, ...], dtype: Any) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(np.random.uniform(-1, 1, shape)).astype(dtype) for _ in range(3))


def unary_math_function_unittest(
    func: Callable[..., Any],
    func_expected: Callable[..., Any] | None = None,
    label_expected: str | None = None,
    make_data: Callable[..., tuple[Any, ...]] | None = None,
    is_linear: bool | None = None,
    forward_options: dict[str, Any] | None = None,
    backward_options: dict[str, Any] | None = None,
    double_backward_options: dict[str, Any] | None = None,
) -> Callable[[type], Any]:
    """Return a decorator that fills a `unittest.TestCase` with the tests of an elementwise function.

    They are the values, the label, the gradient and its gradient, for shapes (3, 2) and () in float16, 32 and 64.

    Args:
        func: The function.
        func_expected: Function of an array and ``dtype=`` that gives the values; None: NumPy's of that name.
        label_expected: Label of the function's node; None: its name.
        make_data: Function of shape and dtype that gives ``(x, gy, ggx)``: input, gradient, and gradient of the
            gradient; None: uniform in [-1, 1].
        is_linear: Whether the square is taken for the second gradient. Not needed, and deprecated.
        forward_options: Options of `assert_allclose`, beside those of the dtype.
        backward_options: Options of `gradient_check.check_backward`, likewise.
        double_backward_options: Options of `gradient_check.check_double_backward`, likewise.

    Raises:
        ValueError: NumPy has no function of that name.
    """
    name = func.__name__
    expected = getattr(np, name, None) if func_expected is None else func_expected
    if expected is None:
        raise ValueError(f"NumPy has no function {name!r}: give func_expected")
    if is_linear is not None:
        warnings.warn("is_linear is deprecated", DeprecationWarning, 2)

    def set_up(self: Any) -> None:
        self.x, self.gy, self.ggx = (make_data or _uniform)(self.shape, self.dtype)
        if self.dtype == np.float16:
            near = {"atol": float(np.finfo("f2").eps), "rtol": float(np.finfo("f2").eps)}
            slopes: dict[str, Any] = {"eps": 2**-4, "atol": 2**-4, "rtol": 2**-4, "dtype": np.float64}
        else:
            near = {"atol": 1e-4, "rtol": 1e-4}
            slopes = {"dtype": np.float64, "atol": 1e-4, "rtol": 1e-4}
        self.forward_options = {**near, **(forward_options or {})}
        self.backward_options = {**slopes, **(backward_options or {})}
        self.double_backward_options = {**slopes, **(double_backward_options or {})}

    def check_forward(self: Any, x: Any) -> None:
        with jax.enable_x64() if x.dtype == np.float64 else contextlib.nullcontext():
            y = func(Variable(x))
        self.assertEqual(y.dtype, x.dtype)
        assert_allclose(expected(np.asarray(x), dtype=x.dtype), y.array, **self.forward_options)

    def check_backward(self: Any, x: Any, gy: Any) -> None:
        gradient_check.check_backward(func, x, gy, **self.backward_options)

    def check_double_backward(self: Any, x: Any, gy: Any, ggx: Any) -> None:
        def square(x: Any) -> Any:
            return func(x) ** 2

        function = square if is_linear else func
        gradient_check.check_double_backward(function, x, gy, ggx, **self.double_backward_options)

    def check_label(self: Any) -> None:
        node = func(Variable(self.x)).creator
        if node is not None:  # the function has a gradient
            self.assertEqual(node.label, name if label_expected is None else label_expected)

    tests = {
        "setUp": set_up,
        "check_forward": check_forward,
        "check_backward": check_backward,
        "check_double_backward": check_double_backward,
        "test_forward_cpu": lambda self: self.check_forward(self.x),
        "test_backward_cpu": lambda self: self.check_backward(self.x, self.gy),
        "test_double_backward_cpu": lambda self: self.check_double_backward(self.x, self.gy, self.ggx),
        "test_label": check_label,
    }

    def fill(case: type) -> Any:
        if not issubclass(case, unittest.TestCase):
            raise TypeError(f"unary_math_function_unittest: expected a unittest.TestCase, got {case.__name__}")
        for key, test in tests.items():
            setattr(case, key, test)
        cases = {"shape": [(3, 2), ()], "dtype": [np.float16, np.float32, np.float64]}
        return parameterize(*product(cases))(case)

    return fill
