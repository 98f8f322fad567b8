"""Variable and the nodes of the graph.

A `Variable` is the user's handle: an array, a gradient and a `VariableNode`. Nodes make the graph: a function node
holds its input nodes strongly and its output nodes weakly, so there are no cycles and dropping the loss frees the
graph at once. Nodes hold no arrays; a function keeps those that its gradient reads.
"""

from __future__ import annotations

import importlib
import math
import threading
import weakref
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.compat import Tracer, in_trace, is_tracer
from jaxchain.core.config import thread_state
from jaxchain.core.deferred import WAITING, share
from jaxchain.core.errors import NotInitialized, Site, source_of, user_line

ARRAY_TYPES = (jax.Array, np.ndarray)
NUMPY_TYPES = (np.ndarray, np.generic)
ARRAY_LIKE = (jax.Array, np.ndarray, np.generic)  # a tuple: `A | B` would be made anew at every check


class Info:
    """Shape, dtype and whether a gradient is wanted: interned, so that a cache key hashes by identity."""

    __slots__ = ("differentiable", "dtype", "requires_grad", "shape")

    def __init__(self, shape: tuple[Any, ...], dtype: np.dtype, requires_grad: bool) -> None:
        self.shape, self.dtype, self.requires_grad = shape, dtype, requires_grad
        self.differentiable = requires_grad and jnp.issubdtype(dtype, jnp.inexact)

    def __repr__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


_infos: dict[Any, Info] = {}
UNINITIALIZED = Info((), np.dtype(np.float32), True)


def info_of(array: Any, requires_grad: bool = True) -> Info:
    """Return the interned `Info` of an array."""
    key = (array.shape, array.dtype, requires_grad)
    info = _infos.get(key)
    if info is None:
        info = _infos[key] = Info(*key)
    return info


array_infos: dict[type, dict[Any, Info]] = {}  # what `array_info` gave, by class and type of JAX's arrays


def array_info(array: Any) -> Info:
    """Return the `Info` of an array that wants no gradient. `array_infos` has those of JAX's arrays of strong type from
    then on: found in a tenth of the time.
    """
    info, kind = info_of(array, False), getattr(array, "aval", None)
    if kind is not None and not kind.weak_type:
        array_infos.setdefault(array.__class__, {})[kind] = info
    return info


def as_jax(value: Any) -> jax.Array:
    """Return `value` as a JAX array of strong type. NumPy arrays are copied: JAX would read the live buffer.

    Raises:
        TypeError: `value` is not an array.
    """
    if isinstance(value, jax.Array):
        return jax.lax.convert_element_type(value, value.dtype) if getattr(value, "weak_type", False) else value
    if isinstance(value, NUMPY_TYPES):
        return from_numpy(value)
    if isinstance(value, Variable):
        return value.array
    raise TypeError(f"expected a NumPy or JAX array, got {type(value).__name__}\nat {user_line(3)}")


_seen: set[Any] = set()  # shapes and dtypes of NumPy arrays that came in


@jax.jit
def _handed_over(array: Any) -> Any:
    return array


def from_numpy(value: Any) -> jax.Array:
    """Return a copy of a NumPy array, made here and now: `jnp.array` may still read the buffer after it returns.

    A compiled call takes arguments in a sixth of the time of `device_put` (MEASURED 12 and 75 us, float32[32,64],
    `jnp.asarray` 45, jax 0.10.2, CPU). It is compiled for every shape, so it waits for the second time.
    """
    value = np.array(value)
    key = (value.shape, value.dtype)
    if key in _seen:
        return jnp.asarray(value) if in_trace() else _handed_over(value)
    if len(_seen) > 10_000:
        _seen.clear()
    _seen.add(key)
    return jax.device_put(value)


def zeros(shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Return zeros; `jnp.zeros` would compile a program for every shape. Sizes may be symbolic in a trace."""
    try:
        return jax.device_put(np.zeros(shape, dtype))
    except TypeError:
        return jnp.zeros(shape, dtype)


def cut(flat: jax.Array, start: int, shape: tuple[int, ...]) -> jax.Array:
    """Return an array inside a flat one, on its device.

    Every array that a program returns costs about as much as a small kernel: a compiled step returns the small
    gradients, which few programs read, as one. In the place of a gradient then stands the tuple (flat, start, shape)
    until somebody asks for it.
    """
    stop = start + math.prod(shape)
    devices = flat.devices()
    if len(devices) > 1:
        return flat[start:stop].reshape(shape)
    value = jax.device_put(np.asarray(flat)[start:stop].reshape(shape))  # compiles nothing
    return value if value.devices() == devices else jax.device_put(value, next(iter(devices)))


def beside(array: Any, own: Any) -> Any:
    """Return an array on the device of another one. In a trace there are no devices."""
    if array is None or own is None or isinstance(array, Tracer) or isinstance(own, Tracer):
        return array
    return array if array.sharding == own.sharding else jax.device_put(array, own.sharding)


def off_tape(value: Any) -> Any:
    """Return an array that the tape knows nothing of from here on: JAX must not see through it either.

    Only where JAX may differentiate over what is being traced does this make a difference.
    """
    trace = thread_state().trace
    return jax.lax.stop_gradient(value) if trace is not None and trace.by_jax and isinstance(value, Tracer) else value


class VariableNode:
    """A variable in the graph. It outlives its `Variable` as long as a function node needs it.

    Attributes:
        creator_node: The function node that made it, or None for a leaf.
        output_index: Which of the creator's outputs it is.
        rank: Length of the longest path from a leaf.
        name: The variable's name, e.g. ``W``.
    """

    __slots__ = ("__weakref__", "_variable", "creator_node", "info", "name", "output_index", "rank")

    def __init__(self, info: Info, name: str | None = None) -> None:
        self.info = info
        self.name = name
        self.creator_node: FunctionRecord | None = None
        self.output_index = 0
        self.rank = 0
        self._variable: Callable[[], Variable | None] = _nothing

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.info.shape

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the array."""
        return self.info.dtype

    @property
    def requires_grad(self) -> bool:
        """Whether backward passes leave a gradient here."""
        return self.info.requires_grad

    @property
    def creator(self) -> Any:
        """The function node that made it, or None."""
        return None if self.creator_node is None else self.creator_node.public

    @property
    def label(self) -> str:
        """Short text for drawings: ``(2, 3), float32``."""
        if self.info is UNINITIALIZED:
            return "(uninitialized)"
        shape = self.info.shape
        text = f"({', '.join(map(str, shape))})"
        return f"{text}, {self.info.dtype}" if shape else str(self.info.dtype)

    @property
    def data(self) -> jax.Array | None:
        """The array, if the Variable is alive or its creator retained it; else None."""
        variable = self._variable()
        if variable is not None:
            return variable._array
        return None if self.creator_node is None else self.creator_node.retained_output(self.output_index)

    @property
    def grad(self) -> jax.Array | None:
        """Gradient of the Variable, if it is alive."""
        variable = self._variable()
        return None if variable is None else variable.grad

    @property
    def grad_var(self) -> Variable | None:
        """Gradient of the Variable as a Variable, if it is alive."""
        variable = self._variable()
        return None if variable is None else variable.grad_var

    def get_variable_or_none(self) -> Variable | None:
        """Return the Variable of this node if it is alive."""
        return self._variable()

    def has_own_gradient(self) -> bool:
        """Return whether a function made it and a gradient waits on its Variable."""
        variable = self._variable()
        return variable is not None and variable._grad is not None and self.creator_node is not None

    def get_variable(self) -> Variable:
        """Return the Variable of this node; if it is gone, a new one (its array None unless retained)."""
        variable = self._variable()
        return Variable._of(self.data, self) if variable is None else variable

    def set_creator_node(self, creator_node: FunctionRecord) -> None:
        """Say which function made this variable."""
        self.creator_node = creator_node
        self.rank = creator_node.rank + 1

    def unchain(self) -> None:
        """Forget the function that made this variable."""
        self.creator_node = None


def _nothing() -> None:
    return None


class FunctionRecord:
    """A function node: what was called on what, where, and how gradients go back through it.

    Attributes:
        inputs: Nodes of the inputs.
        outputs: Weak references to the nodes of the outputs.
        rank: The largest rank of its inputs.
    """

    __slots__ = ("__weakref__", "inputs", "ordinal", "outputs", "rank", "scope", "site")

    inputs: tuple[VariableNode, ...]
    outputs: tuple[Callable[[], VariableNode | None], ...]
    rank: int
    scope: Any
    site: Site | None
    ordinal: int

    @property
    def public(self) -> Any:
        """What `Variable.creator` gives: this node, or the old-style `Function` it wraps."""
        return self

    @property
    def drawn_inputs(self) -> Sequence[VariableNode]:
        """The inputs that graphs show: all, but for what belongs to the call and is no variable to a user."""
        return self.inputs or ()

    @property
    def label(self) -> str:
        """Name in drawings and hooks, e.g. ``LinearFunction``."""
        return type(self).__name__

    @property
    def op_name(self) -> str:
        """Name of the op in the jaxpr, e.g. ``linear``."""
        return self.label

    @property
    def static_args(self) -> dict[str, Any]:
        """Values of the parameters that are not graph inputs."""
        return {}

    @property
    def source(self) -> tuple[str, int, str] | None:
        """(file name, line, function name) of the user's call."""
        return source_of(getattr(self, "site", None))

    @property
    def link_path(self) -> str:
        """Path of the link it was called in, e.g. ``/predictor/l1``; empty outside any link."""
        return scope_path(getattr(self, "scope", None))

    def retained_output(self, index: int) -> jax.Array | None:
        """Return the array of an output, if it was kept for the gradient."""
        return None

    def keeps(self) -> list[tuple[VariableNode | None, Any]]:
        """Return the arrays kept for the gradient, each with the input that it is, or None."""
        return []

    def pullback(self, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        """Return (positions, gradients) of the inputs, as arrays."""
        raise NotImplementedError

    def pullback_graph(self, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        """Return (positions, gradients) of the inputs, as Variables with a graph of their own."""
        raise NotImplementedError

    def unchain(self) -> None:
        """Cut this function out of the graph: its outputs become leaves."""
        for reference in self.outputs:
            node = reference()
            if node is not None:
                node.unchain()
                variable = node.get_variable_or_none()
                if variable is not None:
                    variable._value = off_tape(variable._value)
        self.inputs = ()


class Scope:
    """A link being called: where it was called from and how many ops ran in it so far."""

    __slots__ = ("count", "link", "outer")

    def __init__(self, outer: Scope | None, link: Any) -> None:
        self.outer, self.link, self.count = outer, link, 0


class BrokenScope(Scope):
    """A link called in static mode that could not be compiled as a whole: the links that it calls are compiled."""

    __slots__ = ()


def scope_path(scope: Scope | None) -> str:
    """Return the names of the links from the outermost in: ``/predictor/l1``."""
    names = []
    while scope is not None:
        if scope.link.name:
            names.append(scope.link.name)
        scope = scope.outer
    return "".join("/" + n for n in reversed(names))


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
        self._value: Any = None if data is None else as_jax(data)
        info = UNINITIALIZED if data is None else info_of(self._value, requires_grad)
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
        return off_tape(value) if isinstance(value, Tracer) else value

    @array.setter
    def array(self, value: Any) -> None:
        self._array = None if value is None else as_jax(value)
        node = self._node
        node.info = UNINITIALIZED if value is None else info_of(self._array, node.info.requires_grad)

    data = array
    raw_array = array

    @property
    def _known(self) -> Info:
        """Shape and dtype."""
        info = self._made.info
        if info is UNINITIALIZED:
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
            self._grad = jnp.array(state["grad"])

    # -- the gradient -------------------------------------------------------------------------------------------------

    @property
    def grad(self) -> Any:
        """The gradient as an array, or None."""
        return self._grad_array()

    def _grad_array(self) -> Any:
        g = self._grad
        if g.__class__ is tuple:
            g = self._grad = cut(*g)
        return g._array if isinstance(g, Variable) else g

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
        """The function node that made it, or None."""
        return self._node.creator

    @property
    def creator_node(self) -> FunctionRecord | None:
        """The function node that made it, or None."""
        return self._node.creator_node

    def set_creator_node(self, creator_node: FunctionRecord) -> None:
        """Say which function made this variable."""
        self._node.set_creator_node(creator_node)

    set_creator = set_creator_node

    def unchain(self) -> None:
        """Forget the function that made this variable: it becomes a leaf."""
        if self._node.creator_node is not None:
            self._node.unchain()
            self._value = off_tape(self._value)

    def unchain_backward(self) -> None:
        """Cut the graph behind this variable: every variable that led to it becomes a leaf."""
        stack = [self._node]
        while stack:
            node = stack.pop()
            function = node.creator_node
            if function is not None:
                stack.extend(function.inputs)
                function.unchain()
                node.unchain()

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
        """Return name, device, shape, dtype, statistics and gradient as text."""
        if self._array is None:
            return f"{self.summary()}\n- not initialised"
        values = np.asarray(self._array, np.float64)
        grad = None if self._grad is None else np.asarray(self.grad)
        statistics = f"mean={values.mean():.8f}, std={values.std():.8f}"
        return (
            f"{self.summary()}\n- device: {self.device}\n- shape: {self.shape}\n- dtype: {self.dtype}\n"
            f"- statistics: {statistics}\n- grad: {grad}"
        )

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
            self._array = jax.device_put(self._array, device)
        if self._grad is not None:
            self._grad = jax.device_put(self.grad, device)

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
        head = f"{self._kind} {self.name}(" if self.name else f"{self._kind}("
        array = self._array
        if array is None:
            return f"{head}None)"
        if is_tracer(array):
            return f"{head}{array})"
        if not array.ndim:
            return f"{head}{np.asarray(array)})"
        if not array.size and array.ndim > 1:
            return f"{head}[], shape={array.shape})"
        return f"{head}{np.array2string(np.asarray(array), separator=', ', prefix=head)})"

    def __str__(self) -> str:
        head = f"{self._kind} {self.name}(" if self.name else f"{self._kind}("
        array = self._array
        if array is None or is_tracer(array) or not array.ndim:
            return f"{head}{array})"
        return f"{head}{np.array2string(np.asarray(array), separator=' ', prefix=head)})"

    def summary(self) -> str:
        """Return one line: class, name and label."""
        return f"<{self._kind} {self.name or ''} {self.label}>"

    def _repr_html_(self) -> str:
        """Draw it in a notebook."""
        return importlib.import_module("jaxchain.views.notebook").variable_html(self)


def _refuse(unknown: dict[str, Any]) -> None:
    if "volatile" in unknown:
        raise ValueError(
            "Variable: volatile is not supported any more. Use `with jaxchain.no_backprop_mode()` in the place of "
            f"volatile='on'\nat {user_line(3)}"
        )
    raise TypeError(f"Variable: unexpected keyword argument(s): {', '.join(unknown)}\nat {user_line(3)}")


retained: weakref.WeakSet[VariableNode] = weakref.WeakSet()


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
