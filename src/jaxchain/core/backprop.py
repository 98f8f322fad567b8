"""A backward pass that comes again and again is compiled: one program instead of one call per op, with the same bits.

In a training loop the graphs of all steps have one form: the same ops on the same shapes, wired alike. `compiled_walk`
reads the form of a graph, and once it has seen it `AFTER` times, the walk is traced over the gradients of its ops and
compiled in a thread of its own; the program's passes go op by op until it is ready. Between two ops stands a barrier
that XLA fuses nothing across, so an op's part of the program is the op's own program, and the gradients are the same to
the last bit: it makes no difference when the compiled pass takes over.

Graphs with functions that are no ops (a user's `FunctionNode`, a compiled link), on other devices than one CPU or of
more than `LIMIT` functions are walked op by op. So are passes that somebody watches: hooks, debug mode,
`retain_grad`, double backpropagation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
from jax.lax import optimization_barrier

from jaxchain.core.op import OpNode
from jaxchain.core.walk import walk

AFTER = 16  # passes of one form before it is compiled
LIMIT = 1000  # functions in a graph; longer ones gain little and compile long
NEVER = -(2**62)  # passes of a form that is not compiled
FORMS = 4096  # forms that are counted; then all are forgotten
# the CPU compiler would drop the barriers before it fuses
_KEEP_BARRIERS = {"xla_disable_hlo_passes": "cse_barrier_expander"}


class Form:
    """What is known of the graphs of one form.

    Attributes:
        seen: How many passes there were.
        program: The compiled pass: gradients of the outputs, retained arrays and scalars -> gradients of leaves.
        reached: Positions of those leaves.
    """

    __slots__ = ("program", "reached", "seen")

    def __init__(self) -> None:
        self.seen = 0
        self.program: Callable[..., Sequence[Any]] | None = None
        self.reached: list[int] = []


_forms: dict[Any, Form] = {}
_compiler: threading.Thread | None = None


def compiled_walk(seeds: Sequence[tuple[Any, Any]]) -> Iterable[tuple[Any, Any]] | None:
    """Return (leaf, gradient) pairs as `walk` finds them, from one compiled program.

    Args:
        seeds: (variable node, its gradient) of each output.

    Returns:
        None if there is no program for graphs of this form, or not yet.
    """
    functions: list[Any] = []
    numbers: dict[Any, int] = {}
    form_of: list[Any] = []
    arrays: list[Any] = [gradient for _, gradient in seeds]
    leaves: list[Any] = []
    for node, _ in seeds:
        function = node.creator_node
        number = numbers.get(function)
        if number is None:
            number = numbers[function] = len(functions)
            functions.append(function)
        form_of += (number, node.output_index)
    for function in functions:  # grows
        if function.__class__ is not OpNode:
            return None
        plan = function.plan
        form_of.append(plan)
        arrays += function.kept
        if function.scalars:
            arrays += function.scalars
        inputs = function.inputs
        for at in plan.needs:
            node = inputs[at]
            creator = node.creator_node
            if creator is None:
                number = numbers.get(node)
                if number is None:
                    number = numbers[node] = -1 - len(leaves)
                    leaves.append(node)
                form_of.append(number)
            else:
                number = numbers.get(creator)
                if number is None:
                    number = numbers[creator] = len(functions)
                    if number == LIMIT:
                        return None
                    functions.append(creator)
                form_of += (number, node.output_index)
    if not functions:
        return None
    key = tuple(form_of)
    form = _forms.get(key)
    if form is None:
        if len(_forms) >= FORMS:
            _forms.clear()
        form = _forms[key] = Form()
    program = form.program
    if program is not None:
        try:
            gradients = program(*arrays)
        except (TypeError, ValueError):  # arrays on other devices, or of weak type: from now on op by op
            form.program, form.seen = None, NEVER
            return None
        return zip([leaves[i] for i in form.reached], gradients, strict=True)
    form.seen += 1
    if form.seen >= AFTER:
        _compile(form, seeds, functions, leaves, arrays)
    return None


def _compile(form: Form, seeds: Sequence[Any], functions: list[Any], leaves: list[Any], arrays: list[Any]) -> None:
    """Trace the pass here, where JAX's configuration is the caller's, and compile it in a thread, one at a time."""
    global _compiler
    if _compiler is not None and _compiler.is_alive():
        return
    # how barriers act on other devices, or in programs for several, is not known
    placed = [a.devices() for a in arrays if isinstance(a, jax.Array)]
    if any(len(devices) != 1 or next(iter(devices)).platform != "cpu" for devices in placed):
        form.seen = NEVER
        return
    outputs = [node for node, _ in seeds]

    def backward(*flat: Any) -> list[Any]:
        rest = iter(flat)
        gradients = [next(rest) for _ in outputs]
        retained = {
            function: ([next(rest) for _ in function.kept], [next(rest) for _ in function.scalars])
            for function in functions
        }

        def pull(function: Any, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
            kept, scalars = retained[function]
            given = tuple(g is not None for g in gys)
            op = function.plan.pullback(None if all(given) else given, function.scalars)
            gradients = op.compiled(*kept, *[g for g in gys if g is not None], *scalars)
            return function.plan.needs, optimization_barrier(gradients)

        found = walk(
            list(zip(outputs, gradients, strict=True)), pull=pull, add=lambda a, b: optimization_barrier(a + b)
        )
        form.reached = [i for i, leaf in enumerate(leaves) if leaf in found]
        return [found[leaves[i]] for i in form.reached]

    lowered = jax.jit(backward, compiler_options=_KEEP_BARRIERS).lower(*arrays)

    def compile() -> None:
        form.program = lowered.compile()

    _compiler = threading.Thread(target=compile, name="jaxchain-backward")
    _compiler.start()


def settle() -> None:
    """Wait until nothing is being compiled: for tests and benchmarks."""
    if _compiler is not None:
        _compiler.join()
