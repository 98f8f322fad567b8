"""The backward pass: one iterative walk over the recorded graph, by rank.

The walk knows nodes only by what they offer: a function node has `inputs`, `rank`, `outputs` and

- ``pullback(gys) -> (positions, gradients)`` on arrays, or
- ``pullback_graph(gys) -> (positions, gradients)`` on Variables, which records a graph of its own;

a variable node has `creator_node`, `output_index`, `info` and `get_variable_or_none()`. No recursion, so a chain of any
length is walked; a gradient is dropped as soon as it has been used.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

import jax
import jax.numpy as jnp

from jaxchain.core.config import recording
from jaxchain.core.errors import user_line
from jaxchain.core.variable import Variable, VariableNode, as_jax, initialized_array, retained

_add_arrays = jax.jit(operator.add)


def walk(
    seeds: Iterable[tuple[Any, Any]],
    *,
    create_graph: bool = False,
    on_intermediate: Callable[[Any, Any], None] | None = None,
    wanted: Mapping[Any, Any] | None = None,
) -> dict[Any, Any]:
    """Send gradients from the outputs back to the leaves.

    Args:
        seeds: (variable node, its gradient) of each output.
        create_graph: Gradients are Variables and the walk records a graph of its own.
        on_intermediate: Called with (variable node, gradient) for every live node that is not a leaf.
        wanted: The nodes whose gradients are asked for. Functions that no wanted node led to are left out (None: all).

    Returns:
        Gradient by variable node: of the leaves, and of the `wanted` nodes.
    """
    add = operator.add if create_graph else _add_arrays
    watched = on_intermediate is not None or wanted is not None
    heap: list[tuple[int, int, Any]] = []
    pending: dict[Any, list[Any]] = {}
    result: dict[Any, Any] = {}
    order = 0
    arrived: Iterable[tuple[Any, Any]] = seeds
    while True:
        for node, gradient in arrived:
            function = node.creator_node
            if function is None:
                old = result.get(node)
                result[node] = gradient if old is None else add(old, gradient)
                continue
            slots = pending.get(function)
            if slots is None:
                pending[function] = slots = [None] * len(function.outputs)
                order += 1
                heappush(heap, (-function.rank, order, function))
            at = node.output_index
            slots[at] = gradient if slots[at] is None else add(slots[at], gradient)
        if not heap:
            return result
        function = heappop(heap)[2]
        gys = pending.pop(function)
        if watched:
            _tell(function, gys, on_intermediate, wanted, result)
            if wanted is not None and function not in wanted:
                arrived = ()
                continue
        positions, gradients = (function.pullback_graph if create_graph else function.pullback)(gys)
        inputs = function.inputs
        arrived = [(inputs[i], g) for i, g in zip(positions, gradients, strict=True) if g is not None]
        if wanted is not None:
            arrived = [(n, g) for n, g in arrived if n in wanted or n.creator_node in wanted]


def _tell(function: Any, gys: Sequence[Any], on_intermediate: Any, wanted: Any, result: dict[Any, Any]) -> None:
    """Hand the finished gradients of a function's outputs to those who asked for them."""
    for reference, gy in zip(function.outputs, gys, strict=True):
        output = reference()
        if output is None or gy is None:
            continue
        if on_intermediate is not None:
            on_intermediate(output, gy)
        if wanted is not None and output in wanted:
            result[output] = gy


def functions_between(outputs: Iterable[Any], inputs: Iterable[Any]) -> set[Any]:
    """Return the function nodes, and the input nodes, on a path from `inputs` to `outputs`."""
    inputs = set(inputs)
    # post-order over functions without recursion: a function leads to an input if one of its inputs does
    reaches: dict[Any, bool] = {}
    for output in outputs:
        if output.creator_node is None:
            continue
        stack = [(output.creator_node, False)]
        while stack:
            function, done = stack.pop()
            if done:
                reaches[function] = any(
                    n in inputs or (n.creator_node is not None and reaches.get(n.creator_node, False))
                    for n in function.inputs
                )
            elif function not in reaches:
                reaches[function] = False
                stack.append((function, True))
                stack.extend(
                    (n.creator_node, False)
                    for n in function.inputs
                    if n.creator_node is not None and n.creator_node not in reaches
                )
    return {f for f, reached in reaches.items() if reached} | inputs


# -- the public functions --------------------------------------------------------------------------------------------


def _seed(output: Variable, grad: Any, loss_scale: float | None, create_graph: bool) -> Any:
    if grad is None:
        array = initialized_array(output)
        if array.size != 1:
            raise RuntimeError(
                f"backward: expected a one-element variable or one with grad set, got shape {array.shape} "
                f"without grad. "
                f"Set y.grad, or reduce it (e.g. F.sum)\nat {user_line(4)}"
            )
        grad = _ones(array.shape, array.dtype)
        if loss_scale is not None:
            grad = grad * jnp.asarray(loss_scale, grad.dtype)
    if create_graph:
        return grad if isinstance(grad, Variable) else Variable(grad)
    return as_jax(grad)


_ones_cache: dict[Any, jax.Array] = {}


def _ones(shape: tuple[int, ...], dtype: Any) -> jax.Array:
    key = (shape, dtype)
    ones = _ones_cache.get(key)
    if ones is None or ones.is_deleted():
        with jax.ensure_compile_time_eval():
            ones = _ones_cache[key] = jnp.ones(shape, dtype)
    return ones


def _accumulate(variable: Variable, gradient: Any) -> None:
    old = variable._grad
    if old is None:
        variable._grad = gradient
    elif isinstance(gradient, Variable):
        variable._grad = variable.grad_var + gradient  # type: ignore[operator]
    else:
        variable._grad = _add_arrays(old._array if isinstance(old, Variable) else old, gradient)


def backward(
    outputs: Sequence[Variable],
    grad_outputs: Sequence[Any] | None = None,
    *,
    retain_grad: bool = False,
    enable_double_backprop: bool = False,
    loss_scale: float | None = None,
) -> None:
    """Backward pass from several outputs at once; gradients are added to the leaves' `grad`.

    Args:
        outputs: The outputs. Each starts from `grad_outputs`, its own `grad`, or one if it has one element.
        grad_outputs: Gradients of the outputs, or None.
        retain_grad: Leave gradients on the variables in between, too.
        enable_double_backprop: Record a graph of the gradients.
        loss_scale: First gradients that are not given are multiplied by it.
    """
    given = [None] * len(outputs) if grad_outputs is None else list(grad_outputs)
    seeds = [
        (y._node, _seed(y, y._grad if g is None else g, loss_scale, enable_double_backprop))
        for y, g in zip(outputs, given, strict=True)
        if y._node.creator_node is not None
    ]

    def keep(node: VariableNode, gradient: Any) -> None:
        if retain_grad or node in retained:
            variable = node.get_variable_or_none()
            if variable is not None:
                variable._grad = gradient

    for y in outputs:
        if y._node.creator_node is not None:
            y._grad = None  # used up: like every variable that is not a leaf, unless gradients are retained
    with recording(enable_double_backprop):
        result = walk(
            seeds, create_graph=enable_double_backprop, on_intermediate=keep if retain_grad or retained else None
        )
        for node, gradient in result.items():
            variable = node.get_variable_or_none()
            if variable is not None:
                _accumulate(variable, gradient)


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
        grad_inputs: Gradients to start from, added to the results.
        set_grad: Also set `grad` of the inputs.
        retain_grad: Also set `grad` of the variables in between.
        enable_double_backprop: Record a graph of the gradients, so that they can be differentiated again.
        loss_scale: First gradients that are not given are multiplied by it.

    Returns:
        One Variable per input; None where an input did not lead to the outputs.

    Raises:
        TypeError: `outputs` or `inputs` is not a list or tuple.
    """
    for name, value in (("outputs", outputs), ("inputs", inputs)):
        if not isinstance(value, list | tuple):
            raise TypeError(f"grad: {name}: expected a list or tuple of Variables, got {type(value).__name__}")
    given = [None] * len(outputs) if grad_outputs is None else list(grad_outputs)
    targets = [x._node for x in inputs]
    seeds = [
        (y._node, _seed_for_grad(y, g, loss_scale, enable_double_backprop)) for y, g in zip(outputs, given, strict=True)
    ]
    wanted = dict.fromkeys(functions_between([y._node for y in outputs], targets))
    for y in outputs:  # an output that is not on a path still starts a walk that ends at once
        if y._node.creator_node is not None and y._node.creator_node not in wanted and y._node not in wanted:
            seeds = [s for s in seeds if s[0] is not y._node]

    def keep(node: VariableNode, gradient: Any) -> None:
        variable = node.get_variable_or_none()
        if variable is not None:
            variable._grad = gradient

    with recording(enable_double_backprop):
        found = walk(
            seeds,
            create_graph=enable_double_backprop,
            wanted=wanted,
            on_intermediate=keep if retain_grad else None,
        )
        results: list[Variable | None] = []
        starts = [None] * len(inputs) if grad_inputs is None else list(grad_inputs)
        for x, node, start in zip(inputs, targets, starts, strict=True):
            g = found.get(node)
            if start is not None:
                start = start if isinstance(start, Variable) else Variable(start)
                g = start if g is None else start + (g if isinstance(g, Variable) else Variable(g))  # type: ignore[operator]
            if g is not None and not isinstance(g, Variable):
                g = Variable(g)
            if set_grad:
                x._grad = g
            results.append(g)
    return results


def _seed_for_grad(y: Variable, g: Any, loss_scale: float | None, create_graph: bool) -> Any:
    if g is None:
        array = initialized_array(y)
        g = _ones(array.shape, array.dtype)
        if loss_scale is not None:
            g = g * jnp.asarray(loss_scale, g.dtype)
    if create_graph:
        return g if isinstance(g, Variable) else Variable(g)
    return as_jax(g)
