"""The backward pass: one iterative walk over the recorded graph, by rank.

The walk knows nodes only by what they offer: a function node has `inputs`, `rank`, `outputs` and

- ``pullback(gys) -> (positions, gradients)`` on arrays, or
- ``pullback_graph(gys) -> (positions, gradients)`` on Variables, which records a graph of its own;

a variable node has `creator_node`, `output_index`, `info` and `get_variable_or_none()`. No recursion, so a chain of any
length is walked; a gradient is dropped as soon as it has been used.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush
from typing import Any

import jax

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
        on_intermediate: Called with (variable node, gradient) for every node that is not a leaf and is still referred to.
        wanted: The nodes whose gradients are asked for. Functions that no wanted node led to are left out (None: all).

    Returns:
        Gradient by variable node: of the leaves, and of the `wanted` nodes.
    """
    add = operator.add if create_graph else _add_arrays
    heap: list[tuple[int, int, Any]] = []
    pending: dict[Any, list[Any]] = {}
    result: dict[Any, Any] = {}
    order = 0

    def send(node: Any, gradient: Any) -> None:
        nonlocal order
        function = node.creator_node
        if function is None:
            old = result.get(node)
            result[node] = gradient if old is None else add(old, gradient)
            return
        slots = pending.get(function)
        if slots is None:
            pending[function] = slots = [None] * len(function.outputs)
            order += 1
            heappush(heap, (-function.rank, order, function))
        at = node.output_index
        slots[at] = gradient if slots[at] is None else add(slots[at], gradient)

    for node, gradient in seeds:
        send(node, gradient)
    while heap:
        function = heappop(heap)[2]
        gys = pending.pop(function)
        if on_intermediate is not None or wanted is not None:
            for reference, gy in zip(function.outputs, gys, strict=True):
                output = reference()
                if output is None or gy is None:
                    continue
                if on_intermediate is not None:
                    on_intermediate(output, gy)
                if wanted is not None and output in wanted:
                    result[output] = gy
        if wanted is not None and function not in wanted:
            continue
        positions, gradients = (function.pullback_graph if create_graph else function.pullback)(gys)
        inputs = function.inputs
        for position, gradient in zip(positions, gradients, strict=True):
            if gradient is not None:
                node = inputs[position]
                if wanted is None or node in wanted or (node.creator_node is not None and node.creator_node in wanted):
                    send(node, gradient)
    return result


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
