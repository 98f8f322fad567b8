"""The backward pass: `backward` and `grad`, on the walk of core/gradients.py.

A backward pass that comes again and again on graphs of one form becomes one compiled program, with the same bits
(core/backprop.py).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.arrays import KEPT, Info, beside, off_tape
from jaxchain.core.backprop import compiled_walk
from jaxchain.core.compat import is_tracer
from jaxchain.core.config import recording, thread_state
from jaxchain.core.errors import StaticError, user_line
from jaxchain.core.gradients import add_arrays, functions_between, gradients_of, pull_arrays, pull_variables
from jaxchain.core.nodes import VariableNode
from jaxchain.core.variable import Variable, as_jax, initialized, retained


def _seed(output: Variable, grad: Any, loss_scale: float | None, create_graph: bool, single: bool) -> Any:
    """Return the gradient that the walk starts with at an output; `single`: only one element may go without."""
    if grad is None:
        initialized(output)
        info = output._node.info
        if single and math.prod(info.shape) != 1:
            raise RuntimeError(
                f"backward: expected a one-element variable or one with grad set, got shape {info.shape} "
                f"without grad. "
                f"Set y.grad, or reduce it (e.g. F.sum)\nat {user_line(4)}"
            )
        grad = jnp.ones_like(output._array) if info.on_mesh else _ones(info)
        if loss_scale is not None:
            grad = grad * jnp.asarray(loss_scale, grad.dtype)
        return Variable(grad) if create_graph else grad
    if output._node.info.on_mesh and not isinstance(grad, Variable):
        grad = beside(as_jax(grad), output._array)
    return _given(grad, create_graph)


def _given(grad: Any, create_graph: bool) -> Any:
    """Return a gradient that a user gave as the walk wants it."""
    if create_graph:
        return grad if isinstance(grad, Variable) else Variable(grad)
    return as_jax(grad)


_small_ones: dict[Info, jax.Array] = {}


def _ones(info: Info) -> jax.Array:
    ones = _small_ones.get(info)
    if ones is None or ones.is_deleted():
        with jax.ensure_compile_time_eval():
            ones = jax.device_put(np.ones(info.shape, info.dtype))
        if ones.nbytes <= KEPT:
            _small_ones[info] = ones
    return ones


def _ended() -> StaticError:
    """Return the error of a variable whose graph was that of a static function's call."""
    return StaticError(
        "backward: a gradient arrives at a variable that came out of a static function: its graph ended with the call. "
        "Ways out: 1. call backward() inside the function, which compiles it, too; 2. make the model static, not the "
        "function: link.static() leaves a node in the graph; 3. cut it on purpose: loss.unchain_backward() inside the "
        "function, y.unchain() or Variable(y.array) outside"
        f"\nat {user_line(3)}"
    )


def _check_variables(function: str, **lists: Any) -> None:
    for name, value in lists.items():
        if not isinstance(value, list | tuple):
            got = type(value).__name__
            raise TypeError(f"{function}: {name}: expected a list or tuple of Variables, got {got}\nat {user_line(3)}")


TRACED = object()  # the loss scale of a pass inside a static call, where it is a number that the optimizer knows
scaling = False  # whether a loss was ever scaled: only then rules are told


def _tell_rule(rule: Any, loss_scale: Any) -> None:
    """Tell the update rule of a parameter by what it has to divide the gradient."""
    if loss_scale is not None:
        loss_scale = TRACED if is_tracer(loss_scale) else float(loss_scale)
    if getattr(rule, "loss_scale", loss_scale) != loss_scale:
        rule.loss_scale = loss_scale


def _accumulate(gradients: Iterable[tuple[VariableNode, Any]], loss_scale: Any = None) -> None:
    """Add gradients to the leaves' own. Update rules are told the loss scale."""
    for node, gradient in gradients:
        if node.rank < 0 and thread_state().trace is None:
            raise _ended()
        variable = node._variable()
        if variable is None:
            continue
        if scaling:
            _tell_rule(getattr(variable, "update_rule", None), loss_scale)
        old = variable._grad
        if old is None:
            variable._grad = gradient
        elif isinstance(gradient, Variable):
            variable._grad = variable.grad_var + gradient  # type: ignore[operator]
        else:
            variable._grad = add_arrays(variable.grad, gradient)


def _arithmetic(create_graph: bool) -> dict[str, Any]:
    """Return what a gradient is in a walk: a Variable if a graph of the gradients is wanted, else an array."""
    return {"pull": pull_variables, "add": operator.add} if create_graph else {"pull": pull_arrays, "add": add_arrays}


def backward(
    outputs: Sequence[Variable],
    grad_outputs: Sequence[Any] | None = None,
    *,
    retain_grad: bool = False,
    enable_double_backprop: bool = False,
    loss_scale: float | None = None,
) -> None:
    """Backward pass from several outputs at once; gradients are added to the leaves' `grad`.

    Where a gradient arrives at one output of a function, those that its other outputs have of their own (`y.grad` was
    set) go back with it and are used up, as in Chainer.

    Args:
        outputs: The outputs. Each starts from its own `grad`, or one if it has one element.
        grad_outputs: Gradients in the place of these; outputs for which one is None are left out.
        retain_grad: Leave gradients on the variables in between, too.
        enable_double_backprop: Record a graph of the gradients.
        loss_scale: First gradients that are not given are multiplied by it. Update rules divide by it again.

    Raises:
        TypeError: `outputs` is not a list or tuple.
        RuntimeError: An output has more than one element and no gradient.
    """
    global scaling
    scaling = scaling or loss_scale is not None
    _check_variables("backward", outputs=outputs)
    if grad_outputs is None:
        starts = [(y, y._grad) for y in outputs]
    else:
        starts = [(y, g) for y, g in zip(outputs, grad_outputs, strict=True) if g is not None]
    seeds = [
        (y._node, _seed(y, g, loss_scale, enable_double_backprop, True))
        for y, g in starts
        if y._node.creator_node is not None and y.requires_grad
    ]

    def keep(node: VariableNode, gradient: Any) -> None:
        if retain_grad or node in retained:
            variable = node.get_variable_or_none()
            if variable is not None:
                variable._grad = off_tape(gradient)

    def own(node: VariableNode | None) -> Any:
        if node is None or not node.has_own_gradient():
            return None
        variable = node.get_variable()
        gradient = variable.grad_var if enable_double_backprop else variable.grad
        variable._grad = None
        return gradient

    for y, g in starts:
        if y._node.creator_node is not None:
            y._grad = None  # used up: like every variable that is not a leaf, unless gradients are retained
        elif y._node.rank < 0:
            raise _ended()
        elif grad_outputs is not None:
            _accumulate([(y._node, _seed(y, g, None, enable_double_backprop, True))], loss_scale)
        elif g is None and y._value is not None and y.size == 1:
            y._grad = _seed(y, None, loss_scale, enable_double_backprop, True)
    watched = retain_grad or bool(retained)
    if not (watched or enable_double_backprop or thread_state().special):
        found = compiled_walk(seeds)
        if found is not None:
            return _accumulate(found, loss_scale)
    with recording(enable_double_backprop):
        arithmetic = _arithmetic(enable_double_backprop)
        gradients = gradients_of(seeds, **arithmetic, on_intermediate=keep if watched else None, own=own)
        _accumulate(((node, off_tape(gradient)) for node, gradient in gradients.items()), loss_scale)


def grad(
    outputs: Sequence[Variable],
    inputs: Sequence[Variable],
    grad_outputs: Sequence[Any] | None = None,
    grad_inputs: Sequence[Any] | None = None,
    set_grad: bool = False,
    retain_grad: bool = False,
    enable_double_backprop: bool = False,
    loss_scale: float | None = None,
) -> list[Variable | None]:
    """Return the gradients of `outputs` with respect to `inputs`, touching no `grad` attribute.

    Args:
        outputs: Outputs, summed over (weighted by `grad_outputs`).
        inputs: Variables anywhere in the graph.
        grad_outputs: Gradient of each output; None where it is one.
        grad_inputs: Gradients that the inputs have already. They are added to the results, and go on from there to
            other inputs that led to these.
        set_grad: Also set `grad` of the inputs.
        retain_grad: Also set `grad` of the variables in between.
        enable_double_backprop: Record a graph of the gradients, so that they can be differentiated again.
        loss_scale: First gradients that are not given are multiplied by it.

    Returns:
        One Variable per input; None where an input did not lead to the outputs.

    Raises:
        TypeError: `outputs` or `inputs` is not a list or tuple.
    """
    _check_variables("grad", outputs=outputs, inputs=inputs)
    given = [None] * len(outputs) if grad_outputs is None else grad_outputs
    starts = [None] * len(inputs) if grad_inputs is None else grad_inputs
    _check_variables("grad", grad_outputs=given, grad_inputs=starts)
    for name, these, of in (("grad_outputs", given, outputs), ("grad_inputs", starts, inputs)):
        if len(these) != len(of):
            raise ValueError(f"grad: {name}: expected {len(of)} gradients, got {len(these)}\nat {user_line(2)}")
    targets = [x._node for x in inputs]
    if any(y._node.rank < 0 and y._node.creator_node is None and y._node not in targets for y in outputs):
        raise _ended()
    seeds = [
        (y._node, _seed(y, g, loss_scale, enable_double_backprop, False)) for y, g in zip(outputs, given, strict=True)
    ]
    wanted = dict.fromkeys(functions_between([y._node for y in outputs], targets))
    for y in outputs:  # an output that is not on a path still starts a walk that ends at once
        if y._node.creator_node is not None and y._node.creator_node not in wanted and y._node not in wanted:
            seeds = [s for s in seeds if s[0] is not y._node]
    for node, start in zip(targets, starts, strict=True):
        if start is not None:
            seeds.append((node, _given(start, enable_double_backprop)))

    def keep(node: VariableNode, gradient: Any) -> None:
        variable = node.get_variable_or_none()
        if variable is not None:
            variable._grad = off_tape(gradient)

    with recording(enable_double_backprop):
        found = gradients_of(
            seeds,
            **_arithmetic(enable_double_backprop),
            wanted=wanted,
            on_intermediate=keep if retain_grad else None,
        )
        results: list[Variable | None] = []
        for x, node in zip(inputs, targets, strict=True):
            g = found.get(node)
            if g is not None and not isinstance(g, Variable):
                g = Variable(off_tape(g))
            if set_grad:
                x._grad = g
            results.append(g)
    return results
