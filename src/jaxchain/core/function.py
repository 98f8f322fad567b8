"""Functions written as classes: Chainer's `FunctionNode` (gradients on Variables) and `Function` (gradients on arrays).

Which arrays the user's code is given:

- `forward` (and `Function.backward`) get JAX arrays, under a static trace tracers: code on operators, methods and
  ``xp = backend.get_array_module(x)`` works as it stands, compiled. If it raises because arrays are immutable or
  because it needs values, it is NumPy code: it runs again on writable NumPy copies; under a trace, through
  `jax.pure_callback`, with output shapes from one run on zeros.
- `forward_cpu` and `backward_cpu` always get writable NumPy copies (a callback under a trace).
- `FunctionNode.backward` gets Variables. Under a trace it is traced, unless `forward` ran in a callback and left values
  on the object: then they exist only when the program runs, and so does `backward`.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient

from jaxchain.core import type_check
from jaxchain.core.compat import Tracer, in_trace, is_tracer
from jaxchain.core.config import config, thread_state, using_config
from jaxchain.core.errors import InvalidType, call_site, user_line
from jaxchain.core.variable import (
    FunctionRecord,
    Variable,
    VariableNode,
    as_jax,
    as_variable,
    info_of,
    initialized_array,
    off_tape,
    on_tape,
)

ARRAYS = (jax.Array, np.ndarray, np.generic)
CONCRETE_ERRORS = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


def _is_numpy_code(error: Exception) -> bool:
    """Return whether an error says that the code wants arrays that can be written or looked at."""
    if isinstance(error, InvalidType):
        return False
    if isinstance(error, CONCRETE_ERRORS):
        return True
    text = str(error)
    if isinstance(error, TypeError):
        return any(w in text for w in ("immutable", "item assignment", "must be of ArrayType", "must be real number"))
    if isinstance(error, AttributeError):
        return "ArrayImpl" in text or "Tracer" in text
    return isinstance(error, ValueError) and "read-only" in text


def _copies(arrays: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(None if a is None else np.array(a) for a in arrays)


def _run(
    owner: Any, function: Callable[[tuple[Any, ...]], Any], arrays: Sequence[Any], numpy: bool
) -> tuple[Any, bool]:
    """Run the user's code on arrays, by the rule of this module.

    Args:
        owner: The object that the code may leave values on.
        function: The code: a tuple of arrays -> a tuple of arrays and None.
        arrays: The arrays; None where there is none.
        numpy: It wants NumPy arrays for sure.

    Returns:
        (what it returned, whether values of this call were left on the owner by a callback).
    """
    if not numpy:
        try:
            return function(tuple(arrays)), False
        except Exception as error:
            if not _is_numpy_code(error):
                raise
    if not any(isinstance(a, Tracer) for a in arrays):
        return function(_copies(arrays)), False
    before = _visible(owner)
    with _outside_trace(), np.errstate(all="ignore"):  # zeros stand for any values here: only shapes are wanted
        probe = function(tuple(None if a is None else np.zeros(a.shape, a.dtype) for a in arrays))
    if not isinstance(probe, tuple):
        return probe, False
    after = _visible(owner)
    left = _differ(before, after)
    canonical = jax.dtypes.canonicalize_dtype
    shapes = [None if y is None else jax.ShapeDtypeStruct(np.shape(y), canonical(np.asarray(y).dtype)) for y in probe]
    given = [a is not None for a in arrays]

    def run(*values: Any) -> list[np.ndarray]:
        rest = iter(values)
        with using_config("enable_backprop", False):
            out = function(tuple(np.array(next(rest)) if g else None for g in given))
        return [np.asarray(y, s.dtype) for y, s in zip(out, shapes, strict=True) if s is not None]

    wanted = [s for s in shapes if s is not None]
    results = iter(jax.pure_callback(run, wanted, *(a for a in arrays if a is not None), vmap_method="sequential"))
    return tuple(None if s is None else next(results) for s in shapes), left


@contextlib.contextmanager
def _outside_trace() -> Iterator[None]:
    """Return a context in which ops run for real, though a trace is in progress."""
    state = thread_state()
    trace, state.trace = state.trace, None
    state.refresh()
    try:
        with jax.ensure_compile_time_eval(), using_config("enable_backprop", False):
            yield
    finally:
        state.trace = trace
        state.refresh()


def _visible(owner: Any) -> dict[str, Any]:
    return {k: v for k, v in vars(owner).items() if not k.startswith("_") and k not in _OWN}


def _differ(before: dict[str, Any], after: dict[str, Any]) -> bool:
    return before.keys() != after.keys() or any(before[k] is not after[k] for k in before)


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
        [refusing(y, *inputs) if isinstance(y, ARRAYS) and jnp.issubdtype(y.dtype, jnp.inexact) else y for y in outputs]
    )


@functools.cache
def _refusing(message: str) -> Any:
    def refuse(_: Any, gy: Any) -> Any:
        raise RuntimeError(message)

    refusing = jax.custom_vjp(lambda y, *inputs: y)
    refusing.defvjp(lambda y, *inputs: (y, None), refuse)
    return refusing


_OWN = frozenset(("inputs", "outputs", "rank", "scope", "site", "ordinal"))


class _AnyNode(type):
    """Every node of a graph is a `FunctionNode` to `isinstance`, as in Chainer."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return type.__instancecheck__(FunctionRecord if cls is FunctionNode else cls, instance)


class FunctionNode(FunctionRecord, metaclass=_AnyNode):
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
    def label(self) -> str:
        """Name in drawings and hooks."""
        return type(self).__name__

    @property
    def _impl_name(self) -> str:
        return type(self).__name__

    def check_type_forward(self, in_types: Any) -> None:
        """Check the inputs with `utils.type_check.expect`.

        Args:
            in_types: Expressions on the types of the inputs.
        """

    def check_layout_forward(self, inputs: Any) -> None:
        """Nothing to check: there is one memory layout.

        Args:
            inputs: The input Variables.
        """

    def forward(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the outputs.

        Args:
            inputs: Arrays.
        """
        if type(self).forward_cpu is not FunctionNode.forward_cpu or type(self).forward_gpu is FunctionNode.forward_gpu:
            return self.forward_cpu(inputs)
        return self.forward_gpu(inputs)

    def forward_cpu(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """As `forward`, in NumPy.

        Args:
            inputs: NumPy arrays.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def forward_gpu(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """As `forward`; called if neither `forward` nor `forward_cpu` is defined.

        Args:
            inputs: Arrays.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

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
        """Return the gradients of the inputs, added to those given.

        Args:
            target_input_indexes: Which inputs.
            grad_outputs: Gradients of the outputs.
            grad_inputs: What to add to; None for nothing.
        """
        gxs = self._backward_targets(target_input_indexes, grad_outputs)
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
        """Return the outputs that `forward` kept, as Variables of the graph."""
        found = []
        for i in self._output_indexes_to_retain or ():
            node = self.outputs[i]()
            array = self._retained_outputs[i]
            if node is None:  # nobody holds this output any more: a new node takes its place
                node = VariableNode(info_of(array))
                node.set_creator_node(self)
                node.output_index = i
                self.outputs = (*self.outputs[:i], weakref.ref(node), *self.outputs[i + 1 :])
            found.append(_on(node, array))
        return tuple(found)

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
            TypeError: `forward` did not return a tuple of arrays.
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
        if not all(isinstance(y, ARRAYS) for y in outputs):
            types = tuple(type(y) for y in outputs)
            raise TypeError(
                f"forward output must be a tuple of ndarrays.\nFunction: {self.label}\nActual output types: {types}\n"
                f"at {user_line(2)}"
            )
        outputs = tuple(as_jax(y) for y in outputs)
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
        kind = type(self)
        numpy = kind.forward is FunctionNode.forward and kind.forward_cpu is not FunctionNode.forward_cpu
        outputs, self._left_values = _run(self._owner(), self.forward, arrays, numpy)
        return outputs

    def _traced(self, arrays: tuple[Any, ...], trace: Any) -> Any:
        """Run `forward` under a trace; where JAX may differentiate over it, its derivative is what `backward` says."""
        if not trace.by_jax:
            return self._forward(arrays)
        before = _visible(self._owner())
        outputs = self._forward_with_backward(arrays)
        if not trace.taped or not (self._left_values or _differ(before, _visible(self._owner()))):
            return outputs
        # again: `backward` is traced, too, and reads what is left on the object, in eager mode constants
        outputs = self._forward(tuple(map(stop_gradient, arrays)))
        return refused_twice(
            outputs,
            arrays,
            f"{self.label}: `forward` leaves values on the object, so in a compiled link its gradient has no gradient. "
            "Keep what `backward` reads with retain_inputs and retain_outputs, or call the link's eager()",
        )

    def _forward_with_backward(self, arrays: tuple[Any, ...]) -> Any:
        """Run `forward`, for JAX's own transformations: JAX's derivative of it is what `backward` says."""

        def call(*arrays: Any) -> Any:
            outputs = self._forward(arrays)
            if isinstance(outputs, tuple) and all(isinstance(y, ARRAYS) for y in outputs):
                outputs = tuple(as_jax(y) for y in outputs)
            return outputs

        def forward(*arrays: Any) -> tuple[Any, Any]:
            outputs = derived(*arrays)  # what `backward` keeps of them may be differentiated again
            return outputs, (arrays, outputs)

        def backward(saved: Any, gys: Any) -> tuple[Any, ...]:
            node: FunctionNode = copy.copy(self)
            arrays, outputs = saved
            node.inputs = tuple(VariableNode(info_of(a, True)) for a in arrays)
            kept = [VariableNode(info_of(y, True)) for y in outputs]
            node.outputs = tuple(map(weakref.ref, kept))
            node._retained_inputs = {i: arrays[i] for i in self._input_indexes_to_retain or ()}
            node._retained_outputs = {i: outputs[i] for i in self._output_indexes_to_retain or ()}
            node._out_data = outputs
            with using_config("enable_backprop", False):
                gxs = node.pullback([None if g.dtype == jax.dtypes.float0 else g for g in gys])
            found = dict(zip(*gxs, strict=True))
            return tuple(found.get(i) for i in range(len(arrays)))  # None: zero

        derived = jax.custom_vjp(call)
        derived.defvjp(forward, backward)
        return derived(*arrays)

    def _check_types(self, arrays: tuple[Any, ...]) -> None:
        try:
            self.check_type_forward(type_check.get_types(arrays))
        except InvalidType as error:
            described = ", ".join(map(repr, map(info_of, arrays)))
            raise error.located(self.label, f"{self.label}({described})") from None

    # -- the way back ------------------------------------------------------------------------------

    def retained_output(self, index: int) -> Any:
        """Return the array of an output, if it was kept."""
        return self._retained_outputs.get(index)

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
            if g is not None and g.shape != self.inputs[i].shape:
                raise ValueError(
                    f"shape of the gradient returned by {self.label}.backward for input {i}: expected "
                    f"{self.inputs[i].shape}, got {g.shape}"
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
                gxs = self.backward(positions, gys)
            except Exception as error:
                if not _is_numpy_code(error):
                    raise
                gxs = self._backward_in_callback(positions, gys)
        gxs = tuple(gxs) if isinstance(gxs, tuple | list) else (gxs,)
        if len(gxs) == len(self.inputs) != len(positions):
            gxs = tuple(gxs[i] for i in positions)
        if len(gxs) != len(positions):
            raise ValueError(
                f"number of gradients returned by {self.label} ({len(gxs)}) does not match the number of inputs that "
                f"need one ({len(positions)})"
            )
        return tuple(None if g is None else as_variable(g) for g in gxs)

    def _backward_in_callback(self, positions: tuple[int, ...], gys: tuple[Any, ...]) -> tuple[Any, ...]:
        """Run `backward` on Variables that hold NumPy arrays."""
        inputs, outputs = self._retained_inputs, self._retained_outputs
        n_gys, n_in, n_out = len(gys), len(inputs), len(outputs)

        def run(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
            self._retained_inputs = dict(zip(inputs, arrays[n_gys:], strict=False))
            self._retained_outputs = dict(zip(outputs, arrays[n_gys + n_in :], strict=False))
            try:
                gxs = self.backward(positions, tuple(None if a is None else _holding(a) for a in arrays[:n_gys]))
            finally:
                self._retained_inputs, self._retained_outputs = inputs, outputs
            return tuple(None if g is None else np.asarray(on_tape(g)) for g in gxs)

        arrays = [None if g is None else g._array for g in gys]
        arrays += [*inputs.values(), *outputs.values(), *self._out_data]
        assert n_out == len(outputs)
        return _run(self._owner(), run, arrays, True)[0]

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

    def add_hook(self, hook: Any, name: str | None = None) -> None:
        """Add a hook that sees this function.

        Args:
            hook: A `FunctionHook`.
            name: Its key; None: ``hook.name``.

        Raises:
            KeyError: There is a hook of that name.
        """
        name = str(hook.name if name is None else name)
        if name in self.local_function_hooks:
            raise KeyError(f"Hook {name} already exists")
        self.local_function_hooks[name] = hook
        hook.added(self)

    def delete_hook(self, name: str) -> None:
        """Remove a hook.

        Args:
            name: Its key.

        Raises:
            KeyError: There is none.
        """
        if name not in self.local_function_hooks:
            raise KeyError(f"Hook {name} does not exist")
        self.local_function_hooks.pop(name).deleted(self)


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
    for y in arrays:
        if jnp.issubdtype(y.dtype, jnp.inexact) and bool(jnp.isnan(y).any()):
            raise RuntimeError(f"NaN is detected on {what}\nat {user_line(3)}")


class FunctionAdapter(FunctionNode):
    """The node of an old-style `Function`.

    Args:
        function: The function.
    """

    def __init__(self, function: Function) -> None:
        self._function = function
        function._weak_node = weakref.ref(self)

    @property
    def function(self) -> Function:
        """The function."""
        return self._function

    @property
    def public(self) -> Function:
        """What `Variable.creator` gives: the function."""
        return self._function

    @property
    def label(self) -> str:
        """The function's label."""
        return self._function.label

    @property
    def _impl_name(self) -> str:
        return type(self._function).__name__

    def _owner(self) -> Any:
        return self._function

    def check_type_forward(self, in_types: Any) -> None:
        """Ask the function."""
        self._function.check_type_forward(in_types)

    def _forward(self, arrays: tuple[Any, ...]) -> Any:
        self.retain_inputs(range(len(arrays)))  # an old-style function may look at all of them
        function, kind = self._function, type(self._function)
        numpy = kind.forward is Function.forward and kind.forward_cpu is not Function.forward_cpu
        outputs, self._left_values = _run(function, function.forward, arrays, numpy)
        return outputs

    def _backward_targets(self, positions: tuple[int, ...], gys: tuple[Any, ...]) -> tuple[Any, ...]:
        function, kind = self._function, type(self._function)
        numpy = kind.backward is Function.backward and kind.backward_cpu is not Function.backward_cpu
        n_in, kept = len(self.inputs), self._retained_outputs
        retained = [self._retained_inputs.get(i) for i in range(n_in)]

        def run(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
            n = n_in + len(gys)
            self._retained_outputs = dict(zip(kept, arrays[n:], strict=False))
            try:
                gxs = function.backward(arrays[:n_in], arrays[n_in:n])
            finally:
                self._retained_outputs = kept
            if len(gxs) != n_in:
                raise ValueError(
                    f"number of gradients returned by {self.label} ({len(gxs)}) is not that of its inputs ({n_in})"
                )
            return tuple(gxs[i] for i in positions)

        arrays = [*retained, *(None if g is None else g._array for g in gys), *kept.values(), *self._out_data]
        gxs = _run(function, run, arrays, numpy or self._left_values)[0]
        dtypes = [self.inputs[i].dtype for i in positions]
        gxs = [None if g is None else as_jax(g).astype(d) for g, d in zip(gxs, dtypes, strict=True)]
        return tuple(  # constants to the next derivative, also when JAX asks for it after the trace: no `off_tape`
            None if g is None else Variable(stop_gradient(g) if is_tracer(g) else g, requires_grad=False) for g in gxs
        )


class Function:
    """An old-style function: `forward` and `backward` on arrays. Its gradients cannot be differentiated again.

    Examples:
        >>> class Double(jaxchain.Function):
        ...     def forward(self, inputs):
        ...         return (inputs[0] * 2,)
        ...     def backward(self, inputs, grad_outputs):
        ...         return (grad_outputs[0] * 2,)
        >>> Double()(np.float32([3])).array.tolist()
        [6.0]
    """

    _weak_node: Any = None

    def __call__(self, *inputs: Any) -> Any:
        """Run the function and record it.

        Args:
            *inputs: Variables or arrays.

        Returns:
            The output, or a tuple of them if there are several.
        """
        local = self.__dict__.pop("_early_hooks", None)
        node = FunctionAdapter(self)
        if local:
            node._hooks = local
        outputs = node.apply(inputs)
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def node(self) -> FunctionAdapter | None:
        """The node of its last call."""
        return None if self._weak_node is None else self._weak_node()

    def _of_node(self, name: str, default: Any) -> Any:
        node = self.node
        return default if node is None else getattr(node, name)

    @property
    def inputs(self) -> Any:
        """Nodes of the inputs."""
        return self._of_node("inputs", None)

    @property
    def outputs(self) -> Any:
        """Weak references to the nodes of the outputs."""
        return self._of_node("outputs", None)

    @property
    def rank(self) -> int:
        """The largest rank of its inputs."""
        return self._of_node("rank", 0)

    @property
    def stack(self) -> Any:
        """Nothing: see `FunctionRecord.source` of its node."""
        return None

    @property
    def output_data(self) -> Any:
        """The kept output arrays; None for the others."""
        return self._of_node("output_data", None)

    @property
    def label(self) -> str:
        """Name in drawings and hooks."""
        return type(self).__name__

    def check_type_forward(self, in_types: Any) -> None:
        """Check the inputs with `utils.type_check.expect`.

        Args:
            in_types: Expressions on the types of the inputs.
        """

    def forward(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the outputs.

        Args:
            inputs: Arrays.
        """
        if type(self).forward_cpu is not Function.forward_cpu or type(self).forward_gpu is Function.forward_gpu:
            return self.forward_cpu(inputs)
        return self.forward_gpu(inputs)

    def forward_cpu(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """As `forward`, in NumPy.

        Args:
            inputs: NumPy arrays.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def forward_gpu(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """As `forward`; called if neither `forward` nor `forward_cpu` is defined.

        Args:
            inputs: Arrays.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def backward(self, inputs: tuple[Any, ...], grad_outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the gradients of the inputs.

        Args:
            inputs: Arrays; None where `retain_inputs` left one out.
            grad_outputs: Arrays; None where an output did not contribute.

        Returns:
            One array or None per input.
        """
        if type(self).backward_cpu is not Function.backward_cpu or type(self).backward_gpu is Function.backward_gpu:
            return self.backward_cpu(inputs, grad_outputs)
        return self.backward_gpu(inputs, grad_outputs)

    def backward_cpu(self, inputs: tuple[Any, ...], grad_outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """As `backward`, in NumPy.

        Args:
            inputs: NumPy arrays.
            grad_outputs: NumPy arrays.
        """
        return (None,) * len(inputs)

    def backward_gpu(self, inputs: tuple[Any, ...], grad_outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """As `backward`; called if neither `backward` nor `backward_cpu` is defined.

        Args:
            inputs: Arrays.
            grad_outputs: Arrays.
        """
        return (None,) * len(inputs)

    def retain_inputs(self, indexes: Sequence[int]) -> None:
        """Keep these inputs for `backward` and no others; called in `forward`.

        Args:
            indexes: Which.
        """
        self._of_node("retain_inputs", None)(indexes)

    def retain_outputs(self, indexes: Sequence[int], retain_after_backward: bool = False) -> None:
        """Keep outputs: they are in `output_data`; called in `forward`.

        Args:
            indexes: Which.
            retain_after_backward: Ignored: they stay as long as the node.
        """
        self._of_node("retain_outputs", None)(indexes)

    def unchain(self) -> None:
        """Cut this function out of the graph: its outputs become leaves."""
        if self.node is not None:
            self.node.unchain()

    @property
    def local_function_hooks(self) -> dict[str, Any]:
        """Hooks of this function, by name."""
        node = self.node
        return self.__dict__.setdefault("_early_hooks", {}) if node is None else node.local_function_hooks

    def add_hook(self, hook: Any, name: str | None = None) -> None:
        """Add a hook that sees this function.

        Args:
            hook: A `FunctionHook`.
            name: Its key; None: ``hook.name``.

        Raises:
            KeyError: There is a hook of that name.
        """
        name = str(hook.name if name is None else name)
        if name in self.local_function_hooks:
            raise KeyError(f"Hook {name} already exists")
        self.local_function_hooks[name] = hook
        hook.added(self)

    def delete_hook(self, name: str) -> None:
        """Remove a hook.

        Args:
            name: Its key.

        Raises:
            KeyError: There is none.
        """
        if name not in self.local_function_hooks:
            raise KeyError(f"Hook {name} does not exist")
        self.local_function_hooks.pop(name).deleted(self)
