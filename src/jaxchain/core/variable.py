"""Variable: the user's handle on an array, its gradient and its node in the graph."""

from __future__ import annotations

import importlib
import math
import threading
import weakref
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.arrays import (
    NUMPY_TYPES,
    UNINITIALIZED,
    UNKNOWN,
    Info,
    beside,
    cut,
    from_numpy,
    info_of,
    is_at_hand,
    off_tape,
    placed,
)
from jaxchain.core.compat import Tracer, is_tracer
from jaxchain.core.config import PATIENCE, is_alone, lock, thread_state
from jaxchain.core.deferred import WAITING, share
from jaxchain.core.errors import NotInitialized, user_line
from jaxchain.core.nodes import FunctionRecord, VariableNode

_making = threading.RLock()


class Variable:
    """An array that remembers how it was computed.

    Args:
        data: The array, JAX's or NumPy's (copied), or None.
        name: Name in drawings and `repr`.
        grad: Initial gradient.
        requires_grad: Whether backward passes leave a gradient here.

    Raises:
        TypeError: `data` is not an array.
        ValueError: `volatile` is given, which Chainer gave up: see `no_backprop_mode`.
    """

    __slots__ = ("__weakref__", "_grad", "_made", "_value")
    _made: Any  # see `_node`
    __array_priority__ = 200
    __hash__ = object.__hash__

    def __init__(
        self,
        data: Any = None,
        *,
        name: str | None = None,
        grad: Any = None,
        requires_grad: bool = True,
        **unknown: Any,
    ) -> None:
        if unknown:
            _refuse(unknown)
        if isinstance(data, Variable):
            raise TypeError(
                "Variable: expected an array, got a Variable. Variable(x.array) makes one that no gradient goes "
                f"through\nat {user_line(2)}"
            )
        self._value: Any = None if data is None else as_jax(data)
        info = UNINITIALIZED[bool(requires_grad)] if data is None else info_of(self._value, requires_grad)
        self._node = VariableNode(info, name)
        self._node._variable = weakref.ref(self)
        self._grad: Any = None
        if grad is not None:
            self.grad = grad

    @classmethod
    def _of(cls, array: Any, node: VariableNode) -> Variable:
        """Return a Variable on an existing node."""
        self = Variable.__new__(Variable)
        self._value, self._node, self._grad = array, node, None
        node._variable = weakref.ref(self)
        return self

    @property
    def _node(self) -> VariableNode:
        """Its node in the graph. `_made` is the node, or the function that gave this variable, and nobody has asked
        for the node yet: many results are only read.
        """
        node = self._made
        if isinstance(node, FunctionRecord):
            with _making:  # another thread may ask, too
                node = self._made
                if isinstance(node, FunctionRecord):
                    function: Any = node
                    node = VariableNode(function.info)
                    node.creator_node, node.rank, node._variable = function, function.rank + 1, weakref.ref(self)
                    function.outputs = (weakref.ref(node),)
                    self._made = node
        return node

    @_node.setter
    def _node(self, node: VariableNode) -> None:
        self._made = node

    # -- the array ----------------------------------------------------------------------------------------------------

    @property
    def _array(self) -> Any:
        """The array; what waits is computed now. `_value` is the array, None, or what waits (core/deferred.py)."""
        value = self._value
        if value.__class__ in WAITING:
            value = self._value = value.array()
        return value

    @_array.setter
    def _array(self, value: Any) -> None:
        self._value = value

    @property
    def array(self) -> Any:
        """The array (`jax.Array`, immutable: assign a new one), or None if not initialised."""
        value = self._value  # as in `_array`: this is read after most eager calls
        if value.__class__ in WAITING:
            value = self._value = value.array()
        if not isinstance(value, Tracer):
            return value
        self._made.info  # noqa: B018 - looked at: a trace notes it (`installation.FoundNode`)
        return off_tape(value)

    @array.setter
    def array(self, value: Any) -> None:
        self._array = None if value is None else as_jax(value)
        node = self._node
        requires_grad = node.info.requires_grad
        node.info = UNINITIALIZED[requires_grad] if value is None else info_of(self._array, requires_grad)

    data = array
    raw_array = array

    @property
    def _known(self) -> Info:
        """Shape and dtype."""
        info = self._made.info
        if info.struct is UNKNOWN:
            raise AttributeError(
                f"parameter {self.name or ''} is not initialised: it has no shape and no dtype before the first call"
                f"\nat {user_line(3)}"
            )
        return info

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self._known.shape

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the array."""
        return self._known.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._known.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self._known.shape)

    @property
    def xp(self) -> ModuleType:
        """The array module: `jax.numpy`."""
        return jnp

    @property
    def device(self) -> Any:
        """Device of the array, a `jaxchain.backend.Device`; None without one. In a static call: the default device."""
        if self._array is None:
            return None
        devices = importlib.import_module("jaxchain.backends.device")  # a room above this one
        return devices.of_array(self._array) or devices.default()

    def to_numpy(self) -> np.ndarray:
        """Return the array as a NumPy array (a copy on this host)."""
        return np.asarray(self._array)

    def item(self) -> Any:
        """Return the value of a one-element array as a Python number."""
        return self._array.item()

    def __float__(self) -> float:
        return float(self._scalar("float"))

    def __int__(self) -> int:
        return int(self._scalar("int"))

    def _scalar(self, kind: str) -> Any:
        if self._array is None or self._array.size != 1:
            shape = None if self._array is None else self._array.shape
            raise TypeError(f"{kind}(variable): expected one element, got shape {shape}\nat {user_line(3)}")
        array = (
            self._array if is_tracer(self._array) else np.asarray(self._array)
        )  # five times as fast as JAX's `float`
        return array.reshape(())

    def __len__(self) -> int:
        shape = self._known.shape
        if not shape:
            raise TypeError(f"len(variable): expected at least one axis, got shape ()\nat {user_line(2)}")
        return shape[0]

    def __bool__(self) -> bool:
        raise TypeError(f"Variables cannot be evaluated as Python bool. Use the `array` attribute.\nat {user_line(2)}")

    def __copy__(self) -> Variable:
        return self._copy_to(Variable.__new__(type(self)))

    def _copy_to(self, target: Variable) -> Variable:
        target._node = node = VariableNode(self._node.info, self._node.name)
        node._variable = weakref.ref(target)
        target._value, target._grad = share(self._value, weakref.ref(node)), self._grad
        return target

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        copied = self.__copy__()
        memo[id(self)] = copied
        return copied

    def __getstate__(self) -> dict[str, Any]:  # the graph stays behind: what is unpickled is a leaf
        array = None if self._array is None else np.asarray(self._array)
        grad = self.grad if self._array is not None else None
        return {
            "array": array,
            "grad": None if grad is None else np.asarray(grad),
            "name": self.name,
            "requires_grad": self.requires_grad,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        Variable.__init__(self, state["array"], name=state["name"], requires_grad=state["requires_grad"])
        if state["grad"] is not None:
            self._grad = from_numpy(state["grad"])

    # -- the gradient -------------------------------------------------------------------------------------------------

    @property
    def grad(self) -> Any:
        """The gradient as an array, or None."""
        return self._grad_array()

    def _grad_array(self) -> Any:
        g = self._grad
        if g.__class__ is tuple:
            g = self._grad = cut(*g)
        array = g._array if isinstance(g, Variable) else g
        if isinstance(array, Tracer) and (trace := thread_state().trace) is not None:
            trace.looked_at_gradient(array)
        return array

    @grad.setter
    def grad(self, value: Any) -> None:
        self._grad = None if value is None else self._checked_grad(as_jax(value))

    @property
    def grad_var(self) -> Variable | None:
        """The gradient as a Variable (with a graph, if it was computed with double backprop), or None."""
        g = self._grad
        if g is not None and not isinstance(g, Variable):
            self._grad = g = Variable(self._grad_array())
        return g

    @grad_var.setter
    def grad_var(self, value: Variable | None) -> None:
        if value is not None:
            self._checked_grad(value._array)
        self._grad = value

    def _checked_grad(self, grad: Any) -> Any:
        array = self._value
        if array is not None and grad is not None:
            if grad.dtype != array.dtype:
                raise TypeError(f"Dtype of grad {grad.dtype} != dtype of data {array.dtype}\nat {user_line(3)}")
            if grad.shape != array.shape:
                raise ValueError(f"Shape of grad {grad.shape} != shape of data {array.shape}\nat {user_line(3)}")
        return grad

    @property
    def requires_grad(self) -> bool:
        """Whether backward passes leave a gradient here."""
        return self._made.info.requires_grad

    def cleargrad(self) -> None:
        """Set the gradient to None."""
        self._grad = None

    def zerograd(self) -> None:
        """Set the gradient to zeros."""
        self._grad = jnp.zeros_like(self._array)

    def addgrad(self, var: Variable) -> None:
        """Add the gradient of another Variable to this one's."""
        other = var.grad
        if other is not None:
            mine, other = self.grad, beside(other, self._array)
            self.grad = other if mine is None else mine + other

    # -- the graph ----------------------------------------------------------------------------------------------------

    @property
    def node(self) -> VariableNode:
        """Its node in the graph."""
        return self._node

    @property
    def name(self) -> str | None:
        """Name in drawings."""
        return self._node.name

    @name.setter
    def name(self, value: str | None) -> None:
        self._node.name = value

    @property
    def label(self) -> str:
        """Short text for drawings: ``(2, 3), float32``."""
        return self._node.label

    @property
    def rank(self) -> int:
        """Length of the longest path from a leaf."""
        return self._node.rank

    @property
    def creator(self) -> Any:
        """The function node that made it, or None. May be set: None makes it a leaf."""
        _is_outside(self._node)
        return self._node.creator

    @creator.setter
    def creator(self, function: Any) -> None:
        self.set_creator(function)

    @property
    def creator_node(self) -> FunctionRecord | None:
        """The function node that made it, or None. May be set: None makes it a leaf."""
        _is_outside(self._node)
        return self._node.creator_node

    @creator_node.setter
    def creator_node(self, node: FunctionRecord | None) -> None:
        self.set_creator_node(node)

    def set_creator_node(self, creator_node: FunctionRecord | None) -> None:
        """Say which function node made this variable; None: none did."""
        if creator_node is None:
            self.unchain()
        else:
            self._node.set_creator_node(creator_node)

    def set_creator(self, function: Any) -> None:
        """Say which function made this variable: a `FunctionNode` or a `Function`; None: none did."""
        self.set_creator_node(function if isinstance(function, FunctionRecord | None) else function.node)

    def unchain(self) -> None:
        """Forget the function that made this variable: it becomes a leaf."""
        if _is_outside(self._node):
            return
        if self._node.creator_node is not None:
            self._node.unchain()
            self._value = off_tape(self._value)
        else:
            _end(self._node)

    def unchain_backward(self) -> None:
        """Cut the graph behind this variable: every variable that led to it becomes a leaf."""
        stack = [self._node]
        while stack:
            node = stack.pop()
            function = node.creator_node
            if _is_outside(node):
                continue
            if function is not None:
                stack.extend(function.inputs)
                function.unchain()
                node.unchain()
            else:
                _end(node)

    def backward(
        self, retain_grad: bool = False, enable_double_backprop: bool = False, loss_scale: float | None = None
    ) -> None:
        """Compute the gradients of the leaves that led to this variable and add them to their `grad`.

        Args:
            retain_grad: Leave gradients on the variables in between, too.
            enable_double_backprop: Record a graph of the gradients (read it from `grad_var`).
            loss_scale: The first gradient is multiplied by it (against underflow in float16).

        Raises:
            RuntimeError: The variable has more than one element and no `grad`.
        """
        graph.backward(
            [self], retain_grad=retain_grad, enable_double_backprop=enable_double_backprop, loss_scale=loss_scale
        )

    def retain_grad(self) -> None:
        """Ask backward passes to leave a gradient here, though this is not a leaf."""
        retained.add(self._node)

    def debug_print(self) -> str:
        """Return name, device, kind of array, shape, dtype, and statistics of the array and its gradient as text."""
        array, known = self._array, self._array is not None
        facts = {
            "device": self.device,
            "backend": type(array) if known else None,
            "shape": self.shape if known else None,
            "dtype": self.dtype if known else None,
            "statistics": _statistics(array),
            "grad": _statistics(self._grad_array(), "0") if known else None,
        }
        return "\n".join([self.summary(), *(f"- {name}: {fact}" for name, fact in facts.items())])

    def copydata(self, var: Variable) -> None:
        """Take over the values of another Variable, in the shape and dtype and on the device of its own, if it has any.

        A parameter that has no array yet, this one or the other, gets the other one's shape.

        Raises:
            ValueError: The values do not broadcast to the shape.
            TypeError: Floating values for a dtype of whole numbers.
        """
        own = self._array
        if var._array is None:
            if own is None:
                return
            var.initialize(own.shape)  # type: ignore[attr-defined]
        array = beside(var.array, own)
        if own is not None:
            if jnp.issubdtype(array.dtype, jnp.inexact) and not jnp.issubdtype(own.dtype, jnp.inexact):
                raise TypeError(f"copydata: cannot put {array.dtype} into {own.dtype}\nat {user_line(2)}")
            if array.shape != own.shape:
                try:
                    array = jnp.broadcast_to(array, own.shape)
                except ValueError:
                    message = f"copydata: cannot put shape {array.shape} into {own.shape}\nat {user_line(2)}"
                    raise ValueError(message) from None
            array = array.astype(own.dtype)
        self.array = array

    # -- devices, kept for programs written for Chainer --------------------------------------------------------------

    def to_device(self, device: Any) -> None:
        """Move the array and the gradient to a device: what `jaxchain.get_device` takes, or a sharding."""
        self._move(importlib.import_module("jaxchain.backend").jax_device(device))  # a room above this one

    def _move(self, device: Any) -> None:
        if self._array is not None:
            self.array = placed(self._array, device)
        if self._grad is not None:
            self._grad = placed(self.grad, device)

    def to_cpu(self) -> None:
        """Move to the host's CPU."""
        self.to_device("cpu")

    to_intel64 = to_cpu

    def to_chx(self) -> None:
        """Stay where it is: there is no other array library here."""

    from_chx = to_chx

    def to_gpu(self, device: int | None = None) -> None:
        """Move to a GPU; raises a RuntimeError if there is none."""
        self.to_device(0 if device is None else device)

    # -- text ---------------------------------------------------------------------------------------------------------

    _kind = "variable"

    def __repr__(self) -> str:
        return self._text(", ")

    def __str__(self) -> str:
        return self._text(" ")

    def _text(self, separator: str) -> str:
        head = f"{self._kind} {self.name}(" if self.name else f"{self._kind}("
        array = self._array
        if array is None or is_tracer(array) or not is_at_hand(array):
            return f"{head}{array})"
        if separator == ", " and not array.size and array.ndim > 1:
            return f"{head}[], shape={array.shape})"
        return f"{head}{np.array2string(np.asarray(array), separator=separator, prefix=head)})"

    def summary(self) -> str:
        """Return one line: its kind and its name, or where it is if it has none."""
        return f"<{self._kind} {self.name or f'at {id(self):#x}'}>"

    def _repr_html_(self) -> str:
        """Draw it in a notebook."""
        return importlib.import_module("jaxchain.views.notebook").variable_html(self)


def _is_outside(node: VariableNode) -> bool:
    """Return whether a node stands for what is outside the body of a loop that is being traced: Python will cut it."""
    trace = thread_state().trace
    return trace is not None and trace.cuts_outside(node)


def _end(node: VariableNode) -> None:
    """Note that no gradient goes on from a variable that nothing made: not into a static call, and in a trace, not into
    what made it outside.
    """
    trace = thread_state().trace
    if trace is not None and trace.installation is not None:
        trace.installation.unchained(node)
    else:
        node.rank = max(node.rank, 0)


def _statistics(array: Any, zeros: str | None = None) -> str | None:
    if array is None or is_tracer(array):
        return None if array is None else str(array)
    values = np.asarray(array, np.float64)
    return zeros if zeros and not values.any() else f"mean={values.mean():.8f}, std={values.std():.8f}"


def _refuse(unknown: dict[str, Any]) -> None:
    if "volatile" in unknown:
        raise ValueError(
            "Variable: volatile is not supported any more. Use `with jaxchain.no_backprop_mode()` in the place of "
            f"volatile='on'\nat {user_line(3)}"
        )
    raise TypeError(f"Variable: unexpected keyword argument(s): {', '.join(unknown)}\nat {user_line(3)}")


def held(inputs: Sequence[Any], arrays: list[Any]) -> list[Any]:
    """Return the arrays of an op's inputs, read while no other thread traces with them or takes their buffers over:
    those that somebody holds, nobody takes.

    Args:
        inputs: Variables, arrays, or None.
        arrays: The arrays of those that are not None.
    """
    if is_alone() or not lock.acquire(timeout=PATIENCE):
        return arrays
    try:
        given = [x for x in inputs if x is not None]
        return [x._value if isinstance(x, Variable) else a for x, a in zip(given, arrays, strict=True)]
    finally:
        lock.release()


VariableNode.variable_class = Variable
retained: weakref.WeakSet[VariableNode] = weakref.WeakSet()


def as_jax(value: Any) -> jax.Array:
    """Return `value` as a JAX array of strong type. NumPy arrays are copied: JAX would read the live buffer.

    Raises:
        TypeError: `value` is not an array, or one of no numbers.
    """
    if isinstance(value, jax.Array):
        return jax.lax.convert_element_type(value, value.dtype) if getattr(value, "weak_type", False) else value
    if isinstance(value, NUMPY_TYPES):
        try:
            return from_numpy(value)
        except TypeError as error:
            raise TypeError(f"expected an array of numbers, got one of {value.dtype}\nat {user_line(3)}") from error
    if isinstance(value, Variable):
        return value.array
    raise TypeError(f"expected a NumPy or JAX array, got {type(value).__name__}\nat {user_line(3)}")


def as_variable(obj: Any) -> Variable:
    """Return `obj` itself if it is a Variable, else a Variable of it that requires no gradient."""
    return obj if isinstance(obj, Variable) else Variable(obj, requires_grad=False)


def as_array(obj: Any) -> Any:
    """Return the array of a Variable, or `obj` itself."""
    return obj.array if isinstance(obj, Variable) else obj


def on_tape(obj: Any) -> Any:
    """Return the array of a Variable, or `obj` itself: as `as_array`, but JAX sees through it (see `off_tape`)."""
    return obj._array if isinstance(obj, Variable) else obj


def initialized_array(variable: Variable) -> Any:
    """Return the variable's array; raises `NotInitialized`, naming it and the user's line, if there is none."""
    initialized(variable)
    return variable._array


def initialized(variable: Variable) -> Any:
    """Return the variable's array or what waits in its place; raises as `initialized_array` does."""
    if variable._value is None:
        raise NotInitialized(
            f"parameter {variable.name or ''} was used before it was initialised: call the link on data first, "
            f"give its size, or call initialize(shape)\nat {user_line(4)}"
        )
    return variable._value


from jaxchain.core import graph  # noqa: E402 - built on this file; imported in `backward`, it took 4 us of every step
