"""Parameter: a variable that a link owns, made from an initialiser once its shape is known."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxchain.core.arrays import ARRAY_TYPES, Info, as_shape, from_numpy, placed
from jaxchain.core.config import get_dtype, lock, thread_state
from jaxchain.core.errors import user_line
from jaxchain.core.nodes import VariableNode
from jaxchain.core.variable import Variable, as_jax


class Parameter(Variable):
    """A variable that a link owns and an optimizer updates.

    Args:
        initializer: An initialiser, a scalar, an array (then the shape is known), or None (NaN until set).
        shape: Shape; None leaves the parameter uninitialised until `initialize`.
        name: Name in the link.
    """

    __slots__ = ("_home", "grad_cleared", "initializer", "update_rule")

    def __init__(
        self,
        initializer: Any = None,
        shape: int | Sequence[int] | None = None,
        name: str | None = None,
        *,
        layout: Any = None,
    ) -> None:
        super().__init__(None, name=name)
        self.update_rule: Any = None
        self.grad_cleared: bool | str = False  # or "to zeros", once there is an array
        self._home: Any = None  # where it was moved: an array is made there
        if isinstance(initializer, Variable):
            initializer = initializer.array
        self.initializer = float("nan") if initializer is None else initializer
        if isinstance(initializer, ARRAY_TYPES) and shape is None:
            self.array = initializer
        elif shape is not None:
            self.initialize(shape)

    @property
    def is_initialized(self) -> bool:
        """Whether the array exists."""
        return self._array is not None

    @property
    def array(self) -> Any:
        """The array (`jax.Array`, immutable: assign a new one), or None if not initialised."""
        with lock:  # another thread may be tracing, or taking its buffer over
            return _ARRAY.__get__(self)

    @array.setter
    def array(self, value: Any) -> None:
        _ARRAY.__set__(self, value)

    data = array
    raw_array = array

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the array; before there is one, that which it will have."""
        return _initial_dtype(self.initializer) if self._value is None else self._known.dtype

    @property
    def grad(self) -> Any:
        """The gradient as an array, or None.

        Raises:
            RuntimeError: The parameter is uninitialised and its gradient was never cleared.
        """
        if self._array is None and not self.grad_cleared:
            raise RuntimeError(f"parameter {self.name or ''} is not initialised: it has no gradient\nat {user_line(2)}")
        return self._grad_array()

    @grad.setter
    def grad(self, value: Any) -> None:
        self._grad = None if value is None else self._checked_grad(as_jax(value))
        self.grad_cleared = True

    def cleargrad(self) -> None:
        """Set the gradient to None."""
        self._grad = None
        self.grad_cleared = True

    def zerograd(self) -> None:
        """Set the gradient to zeros; as long as there is no array, to None, and to zeros with the array."""
        self.cleargrad()
        if self._array is None:
            self.grad_cleared = "to zeros"
        else:
            super().zerograd()

    def addgrad(self, var: Variable) -> None:
        """Add the gradient of another Variable to this one's; make the array, if there is none, in its shape."""
        if self._array is None and var._array is not None:
            self.initialize(var.shape)
        super().addgrad(var)

    def initialize(self, shape: int | Sequence[int]) -> None:
        """Make the array: its shape is `shape`, its values come from the initialiser.

        Inside a static trace the array is made for real, and the trace starts over with it lifted.
        """
        array = make_array(self.initializer, as_shape(shape))
        if self._home is not None:
            with jax.ensure_compile_time_eval():
                array = placed(array, self._home)
        self.array = array
        if self.grad_cleared == "to zeros":
            with jax.ensure_compile_time_eval():  # no tracer: it stays, too
                self._grad = as_jax(np.zeros(array.shape, array.dtype))  # `grad_cleared` as it is: a trace begins anew
        trace = thread_state().trace
        if trace is not None:
            trace.initialised(self)

    def _move(self, device: Any) -> None:  # what its update rule keeps goes along
        super()._move(device)
        self._home = device
        if hasattr(self.update_rule, "to_device"):
            self.update_rule.to_device(device)

    def share(self) -> Parameter:
        """Return a parameter with this one's array, now and later, and a gradient and a graph of its own."""
        return SharedParameter._new(self)

    def update(self) -> None:
        """Apply this parameter's update rule, if it has one."""
        if self.update_rule is not None:
            self.update_rule.update(self)

    def _copy_to(self, target: Any) -> Any:
        target.initializer, target.update_rule = self.initializer, self.update_rule
        target.grad_cleared, target._home = self.grad_cleared, self._home
        return super()._copy_to(target)

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        copied = self.__copy__()
        memo[id(self)] = copied
        assert isinstance(copied, Parameter)
        copied.update_rule = copy.deepcopy(self.update_rule, memo)
        return copied

    def __getstate__(self) -> dict[str, Any]:
        initializer = self.initializer
        if isinstance(initializer, jax.Array):
            initializer = np.asarray(initializer)
        return {
            **super().__getstate__(),
            "initializer": initializer,
            "update_rule": self.update_rule,
            "grad_cleared": self.grad_cleared,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.initializer, self.update_rule = state["initializer"], state["update_rule"]
        self.grad_cleared, self._home = state["grad_cleared"], None


class _SharedNode(VariableNode):
    """The node of a `SharedParameter`: what is known of the array is known in one place."""

    __slots__ = ("_origin",)

    def __init__(self, origin: Parameter) -> None:
        self._origin = origin
        super().__init__(origin._node.info, origin.name)

    @property
    def info(self) -> Info:  # type: ignore[override]
        return self._origin._node.info

    @info.setter
    def info(self, value: Info) -> None:
        self._origin._node.info = value


class SharedParameter(Parameter):
    """A parameter whose array is that of another one: what `Link.copy` makes. Its gradient is its own.

    Attributes:
        origin: The other one; it is not shared itself.
        stand_in: None, or (array of the origin, array that this parameter has instead, as long as the origin has that
            one). Static mode tells by it which of the two a program read.
    """

    __slots__ = ("origin", "stand_in")

    @classmethod
    def _new(cls, parameter: Parameter) -> SharedParameter:
        self = cls.__new__(cls)
        self.origin = parameter.origin if isinstance(parameter, SharedParameter) else parameter
        self.stand_in = None
        self._node = _SharedNode(self.origin)
        self._node._variable = weakref.ref(self)
        self._grad = None
        self.initializer, self.update_rule = parameter.initializer, parameter.update_rule
        self.grad_cleared, self._home = parameter.grad_cleared, parameter._home
        return self

    @property
    def _value(self) -> Any:
        array = self.origin._value
        return array if self.stand_in is None or array is not self.stand_in[0] else self.stand_in[1]

    @_value.setter
    def _value(self, value: Any) -> None:
        self.origin._value = value

    def __copy__(self) -> Variable:
        return self._new(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        copied = memo[id(self)] = self._new(copy.deepcopy(self.origin, memo))
        copied._grad, copied.grad_cleared = self._grad, self.grad_cleared
        copied.update_rule = copy.deepcopy(self.update_rule, memo)
        return copied

    def __reduce__(self) -> Any:
        grad = None if self._grad is None else np.asarray(self.grad)
        return SharedParameter._new, (self.origin,), (grad, self.grad_cleared, self.update_rule)

    def __setstate__(self, state: Any) -> None:
        grad, self.grad_cleared, self.update_rule = state
        self._grad = None if grad is None else from_numpy(grad)


_ARRAY: Any = Variable.__dict__["array"]


def _initial_dtype(initializer: Any) -> np.dtype:
    """Return the dtype that an initialiser or an array says; a scalar, also NumPy's, is a number and says none."""
    return get_dtype(None if isinstance(initializer, np.generic) else getattr(initializer, "dtype", None))


def make_array(initializer: Any, shape: tuple[int, ...]) -> jax.Array:
    """Return an array of `shape` from an initialiser: a scalar, an array, or a callable.

    A callable of ours has `generate(shape, dtype)`; any other is given a NumPy buffer to fill, as in Chainer.
    Values are concrete, also inside a static trace.
    """
    dtype = _initial_dtype(initializer)
    with jax.ensure_compile_time_eval():
        if not callable(initializer):  # NumPy makes the array: jnp.full would compile once per shape
            return from_numpy(np.broadcast_to(np.asarray(initializer, dtype), shape))
        generate = getattr(initializer, "generate", None)
        if generate is not None:
            return generate(shape, dtype)
        buffer = np.empty(shape, dtype)
        initializer(buffer)
        return from_numpy(buffer)
