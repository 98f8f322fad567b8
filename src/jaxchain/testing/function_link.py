"""Test cases of functions and links: forward against expected values, gradients against numerical ones."""

from __future__ import annotations

import unittest
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxchain import gradient_check
from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable
from jaxchain.initializers.conversion import get_initializer
from jaxchain.testing.array import assert_allclose

Arrays = tuple[Any, ...]


class FunctionTestError(AssertionError):
    """A function does not do what its test case expects, or the test case is at fault."""


class LinkTestError(AssertionError):
    """A link does not do what its test case expects, or the test case is at fault."""


class _TestCase(unittest.TestCase):
    """What both kinds of cases have."""

    check_forward_options: dict[str, Any] | None = None
    check_backward_options: dict[str, Any] | None = None
    skip_forward_test = skip_backward_test = False
    dodge_nondifferentiable = False
    contiguous: Any = None
    error: type[AssertionError] = AssertionError

    def __init__(self, methodName: str = "runTest") -> None:
        super().__init__(methodName)
        for name in dir(self):
            if name.startswith("check_") and name.endswith("_options"):  # each test may change its own
                setattr(self, name, dict(getattr(self, name) or {}))

    def before_test(self, test_name: str) -> None:
        """Do what has to be done before a test; overridden by subclasses.

        Args:
            test_name: Its name.
        """

    def generate_inputs(self) -> Arrays:
        """Return the inputs; subclasses say which."""
        raise NotImplementedError("generate_inputs() is not implemented")

    def generate_grad_outputs(self, outputs_template: Sequence[Any]) -> Arrays:
        """Return gradients of the outputs.

        Args:
            outputs_template: Arrays of their shapes and dtypes.
        """
        return _draws(outputs_template)

    def check_forward_outputs(self, outputs: Sequence[Any], expected_outputs: Sequence[Any]) -> None:
        """Compare outputs with what is expected.

        Args:
            outputs: Variables.
            expected_outputs: Arrays.

        Raises:
            FunctionTestError: They differ (`LinkTestError` from a link's case).
        """
        if len(outputs) != len(expected_outputs):
            self._fail(f"{len(outputs)} outputs, {len(expected_outputs)} are expected")
        for i, (y, e) in enumerate(zip(outputs, expected_outputs, strict=True)):
            e = e.array if isinstance(e, Variable) else e
            if y.shape != np.shape(e) or y.dtype != np.asarray(e).dtype:
                self._fail(f"output {i} is {y.dtype}{y.shape}, {np.asarray(e).dtype}{np.shape(e)} is expected")
            try:
                assert_allclose(y, e, **(self.check_forward_options or {}))
            except AssertionError as error:
                self._fail(f"output {i} is not as expected: {error}")

    def _fail(self, message: str) -> None:
        raise self.error(f"{type(self).__name__}: {message}")

    def _inputs(self) -> Arrays:
        inputs = self.generate_inputs()
        if not isinstance(inputs, tuple):
            self._fail(f"generate_inputs() must return a tuple, got {type(inputs).__name__}")
        return inputs

    def _outputs(self, outputs: Any, what: str) -> Arrays:
        if not isinstance(outputs, tuple):
            self._fail(f"{what}() must return a tuple, got {type(outputs).__name__}")
        return outputs

    def _check(self, check: Any, draw: Any, options: dict[str, Any] | None) -> None:
        """Run a check on inputs that are drawn; a kink is dodged by other inputs, if that is wanted."""
        options = dict(options or {})
        tries = 20 if self.dodge_nondifferentiable else 1
        for n in range(tries):
            try:
                check(*draw(), detect_nondifferentiable=self.dodge_nondifferentiable, **options)
                return
            except gradient_check.NondifferentiableError:
                if n == tries - 1:
                    raise
            except AssertionError as error:
                self._fail(str(error))


def _draws(template: Sequence[Any]) -> Arrays:
    return tuple(np.random.uniform(-1, 1, np.shape(t)).astype(np.asarray(t).dtype) for t in template)


def _templates(outputs: Sequence[Variable]) -> list[np.ndarray]:
    return [np.zeros(y.shape, y.dtype) for y in outputs]


class FunctionTestCase(_TestCase):
    """Base class of a function's tests. Subclasses give inputs, the call, and what is expected.

    The tests take a `BackendConfig`: see `inject_backend_tests`. Options of `assert_allclose` and of the checks in
    `gradient_check` are attributes: ``check_forward_options``, ``check_backward_options``,
    ``check_double_backward_options``; tests are left out by ``skip_forward_test`` and its kin; with
    ``dodge_nondifferentiable`` inputs near a kink are drawn anew.
    """

    check_double_backward_options: dict[str, Any] | None = None
    skip_double_backward_test = False
    error = FunctionTestError

    def forward(self, inputs: Sequence[Variable], device: Any) -> Arrays:
        """Return a tuple of what the function gives; subclasses call it.

        Args:
            inputs: A Variable for each input.
            device: The device of the test.
        """
        raise NotImplementedError("forward() is not implemented")

    def forward_expected(self, inputs: Sequence[np.ndarray]) -> Arrays:
        """Return a tuple of the arrays that are expected; subclasses compute them.

        Args:
            inputs: NumPy arrays.
        """
        raise NotImplementedError("forward_expected() is not implemented")

    def generate_grad_grad_inputs(self, inputs_template: Sequence[Any]) -> Arrays:
        """Return gradients of the gradients of the inputs.

        Args:
            inputs_template: Arrays of their shapes and dtypes.
        """
        return _draws(inputs_template)

    def test_forward(self, backend_config: Any) -> None:
        """Compare the outputs, and see that the inputs are as they were.

        Args:
            backend_config: Where it runs.
        """
        if self.skip_forward_test:
            self.skipTest("skip_forward_test is set")
        self.before_test("test_forward")
        inputs = self._inputs()
        kept = [np.array(x) for x in inputs]
        expected = self._outputs(self.forward_expected(tuple(np.array(x) for x in inputs)), "forward_expected")
        with backend_config:
            outputs = self._outputs(self.forward(tuple(Variable(x) for x in inputs), backend_config.device), "forward")
        for i, (x, k) in enumerate(zip(inputs, kept, strict=True)):
            if not np.array_equal(x, k, equal_nan=k.dtype.kind in "fc"):
                self._fail(f"input {i} was changed")
        self.check_forward_outputs(outputs, expected)

    def _function(self, backend_config: Any) -> Any:
        return lambda *inputs: self._outputs(self.forward(inputs, backend_config.device), "forward")

    def test_backward(self, backend_config: Any) -> None:
        """Check the gradient.

        Args:
            backend_config: Where it runs.
        """
        if self.skip_backward_test:
            self.skipTest("skip_backward_test is set")
        self.before_test("test_backward")
        function = self._function(backend_config)

        def draw() -> tuple[Any, ...]:
            inputs = self._inputs()
            return function, inputs, self.generate_grad_outputs(_templates(function(*map(Variable, inputs))))

        with backend_config:
            self._check(
                gradient_check.check_backward, draw, {"dtype": np.float64, **(self.check_backward_options or {})}
            )

    def test_double_backward(self, backend_config: Any) -> None:
        """Check the gradient of the gradient.

        Args:
            backend_config: Where it runs.
        """
        if self.skip_double_backward_test:
            self.skipTest("skip_double_backward_test is set")
        self.before_test("test_double_backward")
        function = self._function(backend_config)

        def draw() -> tuple[Any, ...]:
            inputs = self._inputs()
            gys = self.generate_grad_outputs(_templates(function(*map(Variable, inputs))))
            return function, inputs, gys, self.generate_grad_grad_inputs(inputs)

        options = {"dtype": np.float64, **(self.check_double_backward_options or {})}
        with backend_config:
            self._check(gradient_check.check_double_backward, draw, options)


class _LinkCase(_TestCase):
    """What both kinds of a link's cases have."""

    param_names: Sequence[str] = ()
    error = LinkTestError

    def generate_params(self) -> Arrays:
        """Return what `create_link` is given: initial values or initializers; subclasses say which."""
        raise NotImplementedError("generate_params() is not implemented")

    def create_link(self, initializers: Sequence[Any]) -> Any:
        """Return the link; subclasses make it.

        Args:
            initializers: What `generate_params` returned.
        """
        raise NotImplementedError("create_link() is not implemented")

    def forward(self, link: Any, inputs: Sequence[Variable], device: Any) -> Arrays:
        """Return a tuple of what the link gives.

        Args:
            link: The link.
            inputs: A Variable for each input.
            device: The device of the test.
        """
        outputs = link(*inputs)
        return outputs if isinstance(outputs, tuple) else (outputs,)

    def _parameter(self, link: Any, name: str) -> Parameter:
        parameter = getattr(link, name, None)
        if not isinstance(parameter, Parameter):
            self._fail(f"the link has no parameter {name!r}")
        assert isinstance(parameter, Parameter)
        return parameter


class LinkTestCase(_LinkCase):
    """Base class of a link's tests. Subclasses give initial values, the link, inputs and what is expected.

    Attributes are those of `FunctionTestCase`, and ``param_names``: the parameters whose gradients are checked.
    """

    def forward_expected(self, link: Any, inputs: Sequence[np.ndarray]) -> Arrays:
        """Return a tuple of the arrays that are expected; subclasses compute them.

        Args:
            link: The link.
            inputs: NumPy arrays.
        """
        raise NotImplementedError("forward_expected() is not implemented")

    def test_forward(self, backend_config: Any) -> None:
        """Compare the outputs.

        Args:
            backend_config: Where it runs.
        """
        if self.skip_forward_test:
            self.skipTest("skip_forward_test is set")
        self.before_test("test_forward")
        link, inputs = self.create_link(self.generate_params()), self._inputs()
        with backend_config:
            outputs = self.forward(link, tuple(Variable(x) for x in inputs), backend_config.device)
            outputs = self._outputs(outputs, "forward")
            expected = self.forward_expected(link, tuple(np.array(x) for x in inputs))
        self.check_forward_outputs(outputs, self._outputs(expected, "forward_expected"))

    def test_backward(self, backend_config: Any) -> None:
        """Check the gradients of the inputs and of the parameters.

        Args:
            backend_config: Where it runs.
        """
        if self.skip_backward_test:
            self.skipTest("skip_backward_test is set")
        self.before_test("test_backward")

        def draw() -> tuple[Any, ...]:
            link, inputs = self.create_link(self.generate_params()), self._inputs()
            outputs = self.forward(link, tuple(Variable(x) for x in inputs), backend_config.device)  # lazy sizes, too
            gys = self.generate_grad_outputs(_templates(outputs))
            params = tuple(self._parameter(link, name) for name in self.param_names)
            return lambda *xs: self.forward(link, xs, backend_config.device), inputs, gys, params

        with backend_config:
            self._check(
                gradient_check.check_backward, draw, {"dtype": np.float64, **(self.check_backward_options or {})}
            )


class InitializerArgument:
    """An argument of a link's constructor that stands for an initializer and is none, as None.

    Args:
        argument_value: The argument.
        expected_initializer: Initializer, scalar or array: what the link takes in its place.

    Raises:
        ValueError: `expected_initializer` is None.
    """

    def __init__(self, argument_value: Any, expected_initializer: Any) -> None:
        if expected_initializer is None:
            raise ValueError("expected_initializer is None; it must be what the link takes in place of the argument")
        get_initializer(expected_initializer)  # it raises if it is none
        self.argument_value = argument_value
        self.expected_initializer = expected_initializer


class LinkInitializersTestCase(_LinkCase):
    """Base class of tests that a link's initializers do what they should. Subclasses say which are to be tried.

    Attributes are ``param_names``, the parameters in the order of `generate_params`, and
    ``check_initializers_options``, the options of `assert_allclose`.
    """

    check_initializers_options: dict[str, Any] | None = None

    def get_initializers(self) -> Sequence[Sequence[Any]]:
        """Return for each parameter what is tried: initializers, scalars, arrays, `InitializerArgument`.

        They must give the same values each time. Subclasses say which.
        """
        raise NotImplementedError("get_initializers() is not implemented")

    def test_initializers(self, backend_config: Any) -> None:
        """Compare each parameter with what each of its initializers gives; the others are from `generate_params`.

        Args:
            backend_config: Where it runs.
        """
        self.before_test("test_initializers")
        for i, tried in enumerate(self._tried()):
            arguments = list(self.generate_params())
            for given in tried:
                pair = given if isinstance(given, InitializerArgument) else InitializerArgument(given, given)
                arguments[i] = pair.argument_value
                with backend_config:
                    link = self.create_link(tuple(arguments))
                    self.forward(link, tuple(Variable(x) for x in self._inputs()), backend_config.device)  # lazy sizes
                name = self.param_names[i]
                actual = np.asarray(self._parameter(link, name).array)
                expected = np.empty_like(actual)
                get_initializer(pair.expected_initializer)(expected)
                try:
                    assert_allclose(expected, actual, **(self.check_initializers_options or {}))
                except AssertionError as error:
                    self._fail(f"parameter {name!r} is not as {pair.expected_initializer!r} gives it: {error}")

    def _tried(self) -> Sequence[Sequence[Any]]:
        all_tried = self.get_initializers()
        for tried in (all_tried, *(all_tried if isinstance(all_tried, tuple | list) else ())):
            if not isinstance(tried, tuple | list):
                raise TypeError(f"get_initializers() must return a tuple or list of them, got {type(tried).__name__}")
        if any(given is None for tried in all_tried for given in tried):
            raise ValueError("None is no initializer: say what it stands for, InitializerArgument(None, ...)")
        return all_tried
