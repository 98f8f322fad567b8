"""Functions written as classes with gradients on Variables: `FunctionNode`.

Which arrays the user's code is given (core/user_code.py runs it):

- `forward` gets JAX arrays, or writable NumPy copies if it turns out to be NumPy code.
- `forward_cpu` always gets writable NumPy copies (a callback under a trace).
- `backward` gets Variables. Under a trace it is traced, unless `forward` ran in a callback and left values on the
  object: then they exist only when the program runs, and so does `backward`.
"""

from __future__ import annotations

import copy
import functools
import weakref
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient

from jaxchain.core import type_check
from jaxchain.core.arrays import ARRAY_LIKE, UNINITIALIZED, has_nan, info_of, off_tape
from jaxchain.core.compat import in_trace
from jaxchain.core.config import config, thread_state, using_config
from jaxchain.core.errors import InvalidType, call_site, format_source, user_line
from jaxchain.core.guard import caught
from jaxchain.core.nodes import FunctionRecord, VariableNode
from jaxchain.core.user_code import UserFunction, call, differ, forget, is_numpy_code, visible
from jaxchain.core.variable import Variable, as_jax, as_variable, initialized_array, on_tape

_GRADIENTS = (Variable, *ARRAY_LIKE)


def refused_twice(outputs: Any, inputs: Sequence[Any], message: str) -> Any:
    """Return what a function made of its inputs, without a derivative: JAX's would not be that of eager mode.

    Args:
        outputs: What it made; arrays in a tuple are meant.
        inputs: Of what.
        message: What the error says that a derivative raises.
    """
    if not isinstance(outputs, tuple):
        return outputs
    refusing = _refusing(message)
    return tuple(
        [
            refusing(y, *inputs) if isinstance(y, ARRAY_LIKE) and jnp.issubdtype(y.dtype, jnp.inexact) else y
            for y in outputs
        ]
    )


@functools.cache
def _refusing(message: str) -> Any:
    def refuse(_: Any, gy: Any) -> Any:
        raise RuntimeError(message)

    refusing = jax.custom_vjp(lambda y, *inputs: y)
    refusing.defvjp(lambda y, *inputs: (y, None), refuse)
    return refusing


class _AnyNode(type):
    """Every node of a graph is a `FunctionNode` to `isinstance`, as in Chainer."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return type.__instancecheck__(FunctionRecord if cls is FunctionNode else cls, instance)


class FunctionNode(UserFunction, FunctionRecord, metaclass=_AnyNode):
    """A differentiable function written as a class: `forward` on arrays, `backward` on Variables.

    One object is one node of the graph: make a new one for each call of `apply`.

    Examples:
        >>> class Square(jaxchain.FunctionNode):
        ...     def forward(self, inputs):
        ...         self.retain_inputs((0,))
        ...         return (inputs[0] ** 2,)
        ...     def backward(self, indexes, gys):
        ...         (x,) = self.get_retained_inputs()
        ...         return (2 * x * gys[0],)
        >>> x = jaxchain.Variable(np.float32([3]))
        >>> (y,) = Square().apply((x,))
        >>> y.backward()
        >>> x.grad.tolist()
        [6.0]
    """

    # Subclasses seldom call super().__init__(), so what a node is before it is applied stands here.
    inputs: Any = None
    outputs: Any = None
    rank: int = 0
    scope: Any = None
    site: Any = None
    ordinal: int = 0
    stack: Any = None
    lazy_grad_sum = False
    is_elementwise = False
    _hooks: dict[str, Any] | None = None
    _input_indexes_to_retain: tuple[int, ...] | None = None
    _output_indexes_to_retain: tuple[int, ...] | None = None
    _retained_inputs: dict[int, Any]
    _retained_outputs: dict[int, Any]
    _left_values = False
    _out_data: tuple[Any, ...] = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Raise an error: it is `apply` that runs a function.

        Raises:
            RuntimeError: Always.
        """
        name = type(self).__name__
        raise RuntimeError(
            f"A function class object ({name}) which is derived from FunctionNode has been called as if it were a "
            f"callable. Use apply() method instead.\nat {user_line(2)}"
        )

    # -- what users write --------------------------------------------------------------------------

    @property
    def _impl_name(self) -> str:
        return type(self).__name__

    def backward(self, target_input_indexes: tuple[int, ...], grad_outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return gradients of the inputs at the indexes; written in functions of Variables, they have gradients too.

        Args:
            target_input_indexes: Which inputs a gradient is wanted of.
            grad_outputs: Variables, None where an output did not contribute.

        Returns:
            One Variable or None per index, or per input.
        """
        return (None,) * len(target_input_indexes)

    def backward_accumulate(self, target_input_indexes: Any, grad_outputs: Any, grad_inputs: Any) -> tuple[Any, ...]:
        """Return the gradients of the inputs, added to those given; may be written in the place of `backward`.

        Args:
            target_input_indexes: Which inputs.
            grad_outputs: Gradients of the outputs.
            grad_inputs: What to add to; None for nothing. The backward pass gives None, and adds up itself.
        """
        gxs = self._of_targets(self.backward(target_input_indexes, grad_outputs), target_input_indexes)
        return tuple(g if s is None else s if g is None else g + s for g, s in zip(gxs, grad_inputs, strict=True))

    def retain_inputs(self, indexes: Sequence[int]) -> None:
        """Keep inputs for `get_retained_inputs`; called in `forward`.

        Args:
            indexes: Which.
        """
        self._input_indexes_to_retain = tuple(indexes)

    def retain_outputs(self, indexes: Sequence[int]) -> None:
        """Keep outputs for `get_retained_outputs`; called in `forward`.

        Args:
            indexes: Which.
        """
        self._output_indexes_to_retain = tuple(indexes)

    def get_retained_inputs(self) -> tuple[Any, ...]:
        """Return the inputs that `forward` kept, as Variables of the graph."""
        indexes = self._input_indexes_to_retain or ()
        return tuple(_on(self.inputs[i], self._retained_inputs[i]) for i in indexes)

    def get_retained_outputs(self) -> tuple[Any, ...]:
        """Return the outputs that `forward` kept, as Variables of the graph; None for those that are None."""
        kept = [(i, self._retained_outputs[i]) for i in self._output_indexes_to_retain or ()]
        return tuple([None if y is None else _on(self.output_node(i, info_of(y)), y) for i, y in kept])

    @property
    def output_data(self) -> tuple[Any, ...]:
        """The kept output arrays; None for the others.

        Raises:
            RuntimeError: None was kept.
        """
        if self._output_indexes_to_retain is None:
            raise RuntimeError("retained output data is gone")
        return tuple(self._retained_outputs.get(i) for i in range(len(self.outputs)))

    # -- the call ----------------------------------------------------------------------------------

    def apply(self, inputs: Sequence[Any]) -> tuple[Variable, ...]:
        """Run the function and record it.

        Args:
            inputs: Variables or arrays.

        Returns:
            The outputs, always in a tuple.

        Raises:
            InvalidType: `check_type_forward` refused the inputs.
            TypeError: `forward` did not return a tuple of arrays and None.
        """
        state = thread_state()
        trace = state.trace
        variables = [as_variable(x) for x in inputs]
        arrays = tuple(initialized_array(v) for v in variables)
        self.site = call_site(2)
        self.scope = scope = state.scope
        self.ordinal = 0 if scope is None else scope.count
        if config.type_check:
            self._check_types(arrays)
        hooks = self._all_hooks(state)
        for hook in hooks:
            hook.forward_preprocess(self, arrays)
        self._input_indexes_to_retain = self._output_indexes_to_retain = None
        if trace is None:
            outputs = (self._forward_with_backward if in_trace() else self._forward)(arrays)
        else:
            trace.notice([v.node for v in variables], arrays)
            with trace.op_scope(self.label, self.op_name):
                outputs = self._traced(arrays, trace)
        if scope is not None:
            scope.count += 1
        if not isinstance(outputs, tuple):
            raise TypeError(
                f"forward output must be a tuple ({self.label})\nActual: {type(outputs)}\nat {user_line(2)}"
            )
        if not all(y is None or isinstance(y, ARRAY_LIKE) for y in outputs):
            types = tuple(type(y) for y in outputs)
            raise TypeError(
                f"forward output must be a tuple of ndarrays.\nFunction: {self.label}\nActual output types: {types}\n"
                f"at {user_line(2)}"
            )
        outputs = tuple(None if y is None else as_jax(y) for y in outputs)
        if trace is not None and not (state.record or trace.returning):
            outputs = tuple(map(off_tape, outputs))
        for hook in hooks:
            hook.forward_postprocess(self, arrays)
        if config.debug and trace is None:
            _check_nan(f"forward computation of {self.label}", outputs)
        requires_grad = any(v.requires_grad for v in variables)
        results = tuple(Variable(y, requires_grad=requires_grad) for y in outputs)
        if state.record:
            self.rank = max((v.rank for v in variables), default=0)
            self.inputs = tuple(v.node for v in variables)
            for i, y in enumerate(results):
                y.node.set_creator_node(self)
                y.node.output_index = i
            self.outputs = tuple(weakref.ref(y.node) for y in results)
            self._retained_inputs = {i: arrays[i] for i in self._input_indexes_to_retain or ()}
            self._retained_outputs = {i: outputs[i] for i in self._output_indexes_to_retain or ()}
            if self._left_values:
                self._out_data = outputs  # backward's callback waits for them, so that it runs after forward's
        return results

    def _owner(self) -> Any:
        """Return the object that the user's code runs on."""
        return self

    def _forward(self, arrays: tuple[Any, ...]) -> Any:
        outputs, self._left_values = call(self._owner(), self.forward, arrays, self._forward_in_numpy(), afresh=True)
        return outputs

    def _traced(self, arrays: tuple[Any, ...], trace: Any) -> Any:
        """Run `forward` under a trace; where JAX may differentiate over it, its derivative is what `backward` says."""
        if not trace.by_jax:
            return self._forward(arrays)
        before = visible(self._owner())
        outputs = self._forward_with_backward(arrays)
        if not trace.taped or not (self._left_values or differ(before, visible(self._owner()))):
            return outputs
        # again: `backward` is traced, too, and reads what is left on the object, in eager mode constants
        forget(self._owner(), before)
        outputs = self._forward(tuple(map(stop_gradient, arrays)))
        return refused_twice(
            outputs,
            arrays,
            f"{self.label}: `forward` leaves values on the object, so in a compiled link its gradient has no gradient. "
            "Keep what `backward` reads with retain_inputs and retain_outputs, or call the link's eager()",
        )

    def _forward_with_backward(self, arrays: tuple[Any, ...]) -> Any:
        """Run `forward`, for JAX's own transformations: JAX's derivative of it is what `backward` says."""
        before = visible(self._owner())

        def primal(*arrays: Any) -> Any:
            forget(self._owner(), before)  # it is traced more than once
            outputs = self._forward(arrays)
            if isinstance(outputs, tuple):
                outputs = tuple(as_jax(y) if isinstance(y, ARRAY_LIKE) else y for y in outputs)
            return outputs

        def forward(*arrays: Any) -> tuple[Any, Any]:
            outputs = derived(*arrays)  # what `backward` keeps of them may be differentiated again
            return outputs, (arrays, outputs)

        def backward(saved: Any, gys: Any) -> tuple[Any, ...]:
            node: FunctionNode = copy.copy(self)
            arrays, outputs = saved
            node.inputs = tuple(VariableNode(info_of(a, True)) for a in arrays)
            kept = [VariableNode(UNINITIALIZED[True] if y is None else info_of(y, True)) for y in outputs]
            node.outputs = tuple(map(weakref.ref, kept))
            node._retained_inputs = {i: arrays[i] for i in self._input_indexes_to_retain or ()}
            node._retained_outputs = {i: outputs[i] for i in self._output_indexes_to_retain or ()}
            node._out_data = outputs
            with using_config("enable_backprop", False):
                gxs = node.pullback([None if g is None or g.dtype == jax.dtypes.float0 else g for g in gys])
            found = dict(zip(*gxs, strict=True))
            return tuple(found.get(i) for i in range(len(arrays)))  # None: zero

        derived = jax.custom_vjp(primal)
        derived.defvjp(forward, backward)
        return derived(*arrays)

    def _check_types(self, arrays: tuple[Any, ...]) -> None:
        try:
            self.check_type_forward(type_check.get_light_types(arrays))
        except Exception as failed:  # an InvalidType, or an index that is there only if an expectation holds
            error = failed
            try:
                self.check_type_forward(type_check.get_types(arrays))
            except Exception as told:  # not an InvalidType where the check computes with the types
                error = told if isinstance(told, InvalidType) else failed
            if not isinstance(error, InvalidType):
                raise
            described = ", ".join(map(repr, map(info_of, arrays)))
            raise error.located(self.label, f"{self.label}({described})") from None

    # -- the way back ------------------------------------------------------------------------------

    def retained_output(self, index: int) -> Any:
        """Return the array of an output, if it was kept."""
        return self._retained_outputs.get(index)

    def keeps(self) -> list[tuple[VariableNode | None, Any]]:
        """Return the arrays kept for the gradient, each with the input that it is, or None."""
        read = [(self.inputs[i], a) for i, a in self._retained_inputs.items()]
        return [*read, *((None, a) for a in (*self._retained_outputs.values(), *self._out_data))]

    def pullback(self, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        """Return (positions, gradients) of the inputs, as arrays."""
        positions, gxs = self._pull([None if g is None else Variable(g) for g in gys])
        return positions, [None if g is None else g._array for g in gxs]

    def pullback_graph(self, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        """Return (positions, gradients) of the inputs, as Variables with a graph of their own."""
        return self._pull(gys)

    def _pull(self, gys: Sequence[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        positions = tuple(i for i, node in enumerate(self.inputs) if node.info.differentiable)
        state = thread_state()
        hooks = self._all_hooks(state)
        in_data = tuple(self._retained_inputs.get(i) for i in range(len(self.inputs)))
        out_grad = tuple(None if g is None else g._array for g in gys)
        for hook in hooks:
            hook.backward_preprocess(self, in_data, out_grad)
        if state.trace is None:
            gxs = self._backward_targets(positions, tuple(gys))
        else:
            with state.trace.op_scope(self.label, f"{self.op_name}_vjp", self):
                gxs = self._backward_targets(positions, tuple(gys))
        for hook in hooks:
            hook.backward_postprocess(self, in_data, out_grad)
        for i, g in zip(positions, gxs, strict=True):
            if g is not None and (g.shape, g.dtype) != (self.inputs[i].shape, self.inputs[i].dtype):
                what = "shape" if g.shape != self.inputs[i].shape else "dtype"
                raise (ValueError if what == "shape" else TypeError)(
                    f"{what} of the gradient returned by {self.label}.backward for input {i}: expected "
                    f"{getattr(self.inputs[i], what)}, got {getattr(g, what)}{self._where()}"
                )
        if config.debug and state.trace is None:
            _check_nan(f"backward computation of {self.label}", [g.array for g in gxs if g is not None])
        return positions, gxs

    def _backward_targets(self, positions: tuple[int, ...], gys: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return what `backward` gives for the inputs at `positions`, as Variables."""
        if self._left_values:
            gxs = self._backward_in_callback(positions, gys)
        else:
            try:
                with caught():
                    gxs = self.backward_accumulate(positions, gys, (None,) * len(positions))
            except Exception as error:
                if not is_numpy_code(error):
                    raise
                gxs = self._backward_in_callback(positions, gys)
        return self._of_targets(gxs, positions)

    def _of_targets(self, gxs: Any, positions: tuple[int, ...]) -> tuple[Any, ...]:
        """Return the gradients of the inputs at `positions`, as Variables and None."""
        gxs = (gxs,) if isinstance(gxs, _GRADIENTS) else gxs
        if not isinstance(gxs, tuple | list) or not all(g is None or isinstance(g, _GRADIENTS) for g in gxs):
            kind = type(gxs).__name__
            what = f"{kind} of {', '.join(type(g).__name__ for g in gxs)}" if isinstance(gxs, tuple | list) else kind
            raise TypeError(f"{self.label}.backward: expected a tuple of Variables and None, got {what}{self._where()}")
        if len(gxs) == len(self.inputs) != len(positions):
            gxs = [gxs[i] for i in positions]
        if len(gxs) != len(positions):
            raise ValueError(
                f"number of gradients returned by {self.label}.backward ({len(gxs)}) does not match the number of "
                f"inputs that need one ({len(positions)}){self._where()}"
            )
        return tuple(None if g is None else as_variable(g) for g in gxs)

    def _where(self) -> str:
        """Return the line of the call, for a message about its gradient."""
        where = format_source(self.source)
        return f"\ncalled at {where}" if where else ""

    def _backward_in_callback(self, positions: tuple[int, ...], gys: tuple[Any, ...]) -> tuple[Any, ...]:
        """Run `backward` on Variables that hold NumPy arrays."""
        inputs, outputs = self._retained_inputs, self._retained_outputs
        n_gys, n_in = len(gys), len(inputs)

        def run(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
            self._retained_inputs = dict(zip(inputs, arrays[n_gys:], strict=False))
            self._retained_outputs = dict(zip(outputs, arrays[n_gys + n_in :], strict=False))
            try:
                gys = tuple(None if a is None else _holding(a) for a in arrays[:n_gys])
                gxs = self.backward_accumulate(positions, gys, (None,) * len(positions))
            finally:
                self._retained_inputs, self._retained_outputs = inputs, outputs
            return tuple(None if g is None else np.asarray(on_tape(g)) for g in gxs)

        arrays = [None if g is None else g._array for g in gys]
        arrays += [*inputs.values(), *outputs.values(), *self._out_data]
        return call(self._owner(), run, arrays, True)[0]

    def unchain(self) -> None:
        """Cut this function out of the graph: its outputs become leaves."""
        if self.outputs is not None:
            super().unchain()

    # -- hooks -------------------------------------------------------------------------------------

    @property
    def local_function_hooks(self) -> dict[str, Any]:
        """Hooks of this function, by name."""
        if self._hooks is None:
            self._hooks = {}
        return self._hooks

    def _all_hooks(self, state: Any) -> list[Any]:
        return list({**state.hooks, **(self._hooks or {})}.values()) if state.hooks or self._hooks else []


def _on(node: VariableNode, array: Any) -> Variable:
    """Return a Variable on a node with the array that it had when the function ran."""
    variable = node.get_variable_or_none()
    if variable is not None and variable._array is array:
        return variable
    made = Variable.__new__(Variable)
    made._array, made._node, made._grad = array, node, None
    return made


def _holding(array: np.ndarray) -> Variable:
    """Return a Variable that holds a NumPy array as it is."""
    made = Variable(requires_grad=False)
    made._array, made._node.info = array, info_of(array, False)
    return made


def _check_nan(what: str, arrays: Sequence[Any]) -> None:
    if any(has_nan(y) for y in arrays if y is not None):
        raise RuntimeError(f"NaN is detected on {what}\nat {user_line(3)}")
