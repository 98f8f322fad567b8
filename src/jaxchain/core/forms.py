"""Work that comes again and again in one form is compiled: one program instead of one call per op, with the same bits.

A form is a hashable description of work: which ops, on which shapes, wired how. What has been seen `AFTER` times is
traced and compiled in a thread of its own; until it is ready, and for everything else, ops run one by one. Between two
ops of a program stands a barrier that XLA fuses nothing across, so an op's part of the program is the op's own program,
and the results are the same to the last bit: it makes no difference when the compiled program takes over.

Work on other devices than one CPU is not compiled: how barriers act there is not known.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental.layout import Layout, with_layout_constraint
from jax.lax import optimization_barrier

from jaxchain.core import background
from jaxchain.core.exact import KEEP_BARRIERS

AFTER = 16  # times a form is seen before it is compiled
LIMIT = 1000  # ops in a program; longer ones gain little and compile long
NEVER = -(2**62)  # times a form was seen that is not compiled
MANY = 4096  # forms that are counted; then all are forgotten


class Form:
    """What is known of the work of one form.

    Attributes:
        seen: How often it was seen.
        program: The compiled program, once there is one.
        results: What the program's results are: its maker's to say.
    """

    __slots__ = ("program", "results", "seen")

    def __init__(self) -> None:
        self.seen = 0
        self.program: Callable[..., Sequence[Any]] | None = None
        self.results: Any = None

    def run(self, inputs: Sequence[Any]) -> Sequence[Any] | None:
        """Return the program's results, or None: it does not take these inputs, and never will be asked again."""
        assert self.program is not None
        try:
            return self.program(*inputs)
        except (TypeError, ValueError):  # arrays on other devices, or of weak type
            self.program, self.seen = None, NEVER
            return None


_forms: dict[Any, Form] = {}


class Fence:
    """What stands between the ops of one program: nothing is fused across it, and nothing shared."""

    def __init__(self) -> None:
        self.numbers = itertools.count()  # two barriers on the same arrays would be merged, had they not one each

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return an op for use in the program."""

        def call(*args: Any) -> Any:
            args, _ = optimization_barrier((args, np.int32(next(self.numbers))))
            return optimization_barrier(laid_out(function(*args)))

        return call


def laid_out(arrays: Any) -> Any:
    """Return arrays in the order in memory that they have outside programs: sums over them go in that order."""
    return jax.tree.map(lambda a: with_layout_constraint(a, Layout(tuple(range(a.ndim)))) if a.ndim > 1 else a, arrays)


def form_of(key: Any) -> Form:
    """Return what is known of a form."""
    form = _forms.get(key)
    if form is None:
        if len(_forms) >= MANY:
            _forms.clear()
        form = _forms[key] = Form()
    return form


def is_due(form: Form) -> bool:
    """Count one more occurrence of a form without a program; return whether it is time to compile it."""
    form.seen += 1
    return form.seen >= AFTER and not background.is_busy()


def compile_form(form: Form, function: Callable[..., Any], inputs: Sequence[Any], plans: Iterable[Any]) -> None:
    """Trace a function here, where JAX's configuration is the caller's, and compile it in a thread, one at a time.

    Args:
        form: Gets the program.
        function: ``function(fence, *inputs)``: results, a `Fence` being around each op.
        inputs: Arrays and scalars.
        plans: Those of the ops. The gradient of a compiled link is a program of its own, which is part of no other.
    """
    placed = [a.devices() for a in inputs if isinstance(a, jax.Array)]
    elsewhere = any(len(devices) != 1 or next(iter(devices)).platform != "cpu" for devices in placed)
    if elsewhere or any(plan.op.jit is not jax.jit for plan in plans):
        form.seen = NEVER
        return
    fence = Fence()

    @functools.wraps(function)
    def program(*flat: Any) -> Any:
        return function(fence, *flat)

    lowered = jax.jit(program, compiler_options=KEEP_BARRIERS).lower(*inputs)

    def compile() -> None:
        form.program = lowered.compile()

    background.start(compile)
