"""A backward pass that comes again and again is compiled, together with the forward calls that wait for it.

In a training loop the graphs of all steps have one form: the same ops on the same shapes, wired alike. `compiled_walk`
reads the form of a graph; once it was seen often enough (core/forms.py), the walk over the gradients of its ops is one
program, with the same bits. What the forward put off (core/deferred.py) is part of it: then a step is one call.

Graphs with functions that are no ops (a user's `FunctionNode`, a compiled link), with outputs that have gradients of
their own, or of more than `LIMIT` functions are walked op by op. So are passes that somebody watches: hooks, debug
mode, `retain_grad`, double backpropagation.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

from jaxchain.core.deferred import Reading, fill, is_held
from jaxchain.core.forms import LIMIT, Fence, Form, compile_form, form_of, is_due
from jaxchain.core.gradients import gradients_of
from jaxchain.core.op_node import OpNode


def has_own_gradients(function: Any) -> bool:
    """Return whether somebody gave a gradient to one of several outputs: it goes back with those that arrive."""
    return any([n.has_own_gradient() for n in [r() for r in function.outputs] if n is not None])


def compiled_walk(seeds: Sequence[tuple[Any, Any]]) -> Iterable[tuple[Any, Any]] | None:
    """Return (leaf, gradient) pairs as `gradients_of` finds them, from one compiled program.

    Args:
        seeds: (variable node, its gradient) of each output.

    Returns:
        None if there is no program for graphs of this form, or not yet. Then no forward call waits any more.
    """
    functions: list[Any] = []
    numbers: dict[Any, int] = {}
    shape: list[Any] = []
    leaves: list[Any] = []
    arrays = [gradient for _, gradient in seeds]
    scalars: list[Any] = []
    for node, _ in seeds:
        function = node.creator_node
        number = numbers.get(function)
        if number is None:
            number = numbers[function] = len(functions)
            functions.append(function)
        output = node.get_variable_or_none()
        shape += (number, node.output_index, output is None)
        if output is not None:
            arrays.append(output._value)  # no gradient hangs on it, but it is what the caller looks at
    for function in functions:  # grows
        is_op = isinstance(function, OpNode)
        if not is_op or len(functions) > LIMIT or (not function.plan.single and has_own_gradients(function)):
            Reading(arrays).run()
            return None
        plan = function.plan
        shape.append(plan)
        arrays += function.kept
        scalars += function.scalars
        inputs = function.inputs
        for at in plan.needs:
            node = inputs[at]
            creator = node.creator_node
            if creator is None:
                number = numbers.get(node)
                if number is None:
                    number = numbers[node] = -1 - len(leaves)
                    leaves.append(node)
                shape.append(number)
            else:
                number = numbers.get(creator)
                if number is None:
                    number = numbers[creator] = len(functions)
                    functions.append(creator)
                shape += (number, node.output_index)
    if not functions:
        return None
    reading = Reading(arrays)
    reading.inputs += scalars
    calls = reading.calls
    held = [is_held(call) for call in calls]
    form = form_of((*shape, None, *reading.form, *held))
    if form.program is None:
        if len(calls) <= LIMIT and is_due(form):
            _compile(form, seeds, functions, leaves, reading, held)
        reading.run()
        return None
    results = form.run(reading.inputs)
    if results is None:
        reading.run()
        return None
    reached = form.results
    fill(calls, held, results[len(reached) :])
    return zip([leaves[i] for i in reached], results[: len(reached)], strict=True)


def _compile(
    form: Form,
    seeds: Sequence[tuple[Any, Any]],
    functions: Sequence[Any],
    leaves: Sequence[Any],
    reading: Reading,
    held: Sequence[bool],
) -> None:
    def step(fence: Fence, *flat: Any) -> list[Any]:
        stand_in, results = reading.replay(fence, flat)
        scalars = iter(flat[len(flat) - sum(len(f.scalars) for f in functions) :])
        retained = {f: ([stand_in(a) for a in f.kept], [next(scalars) for _ in f.scalars]) for f in functions}

        def pull(function: Any, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
            kept, numbers = retained[function]
            given = tuple(g is not None for g in gys)
            op = function.plan.pullback(None if all(given) else given, function.scalars)
            return op.needs, fence.around(op.compiled)(*kept, *[g for g in gys if g is not None], *numbers)

        starts = [(node, stand_in(gradient)) for node, gradient in seeds]
        found = gradients_of(starts, pull=pull, add=fence.around(operator.add))
        form.results = reached = [i for i, leaf in enumerate(leaves) if leaf in found]
        return [*[found[leaves[i]] for i in reached], *[r for r, h in zip(results, held, strict=True) if h]]

    compile_form(form, step, reading.inputs, [r.plan for r in (*reading.calls, *functions)])
