"""One iterative walk over the recorded graph, by rank, from outputs to leaves: what every backward pass is.

No recursion, so a chain of any length is walked; a gradient is dropped as soon as it has been used. What a gradient is,
and how it goes back through a function, the caller says: arrays (`graph.backward`), Variables that record a graph of
their own (`graph.grad`), or the values of a program being traced (`backprop`, `attempt`). The walk knows nodes only by
what they offer: a function node has `inputs`, `rank`, `outputs`, `inner` and `totals`, a variable node `creator_node`
and `output_index`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

import jax

add_arrays = jax.jit(operator.add)


def pull_arrays(function: Any, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
    """Gradients are arrays."""
    return function.pullback(gys)


def pull_variables(function: Any, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
    """Gradients are Variables, with a graph of their own."""
    return function.pullback_graph(gys)


def gradients_of(
    seeds: Iterable[tuple[Any, Any]],
    *,
    pull: Callable[[Any, list[Any]], tuple[Sequence[int], Sequence[Any]]] = pull_arrays,
    add: Callable[[Any, Any], Any] = add_arrays,
    on_intermediate: Callable[[Any, Any], None] | None = None,
    own: Callable[[Any], Any] | None = None,
    wanted: Mapping[Any, Any] | None = None,
) -> dict[Any, Any]:
    """Send gradients from the outputs back to the leaves.

    Args:
        seeds: (variable node, its gradient) of each output.
        pull: ``(function node, gradients of its outputs) -> (positions, gradients)`` of its inputs.
        add: Sum of two gradients.
        on_intermediate: Called with (variable node, gradient) for every live node that is not a leaf.
        own: Returns the gradient that an output has of its own, or None: asked where none arrived at an output of a
            function that others lead to (None: there is none).
        wanted: The nodes whose gradients are asked for. Functions that no wanted node led to are left out (None: all).

    Returns:
        Gradient by variable node: of the leaves, and of the `wanted` nodes.
    """
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
        if own is not None and len(gys) > 1:
            gys = [own(r()) if g is None else g for r, g in zip(function.outputs, gys, strict=True)]
        if watched:
            _tell(function, gys, on_intermediate, wanted, result)
            if wanted is not None and function not in wanted:
                arrived = ()
                continue
        positions, gradients = pull(function, gys)
        inputs = function.inputs
        arrived = [(inputs[i], g) for i, g in zip(positions, gradients, strict=True) if g is not None]
        if wanted is not None:
            arrived = [(n, g) for n, g in arrived if n in wanted or n.creator_node in wanted]


def _tell(function: Any, gys: Sequence[Any], on_intermediate: Any, wanted: Any, result: dict[Any, Any]) -> None:
    """Hand the finished gradients of a function's outputs to those who asked for them."""
    if function.inner:
        gys = function.totals(gys)
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
    # post-order over functions without recursion: a function leads to an input if one of its inputs does, or if it made
    # that input and made other outputs of it
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
                ) or any(function.outputs[place]() in inputs for place in function.inner)
            elif function not in reaches:
                reaches[function] = False
                stack.append((function, True))
                stack.extend(
                    (n.creator_node, False)
                    for n in function.inputs
                    if n.creator_node is not None and n.creator_node not in reaches
                )
    return {f for f, reached in reaches.items() if reached} | inputs
