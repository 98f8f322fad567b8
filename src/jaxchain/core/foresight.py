"""Whether the guards of a compiled program hold, found out before anything of it is run."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from jaxchain.core.compat import without_dead_code
from jaxchain.core.exact import exact_jit, has_only_cpus
from jaxchain.core.guard import Guard, passed
from jaxchain.core.movement import ANSWERS, SHORT, Steps, elements, only_moves
from jaxchain.core.program import VariantMismatch, check, is_small


class Foresight:
    """A program that gives the predicates of another one's guards, and whether all are met.

    Args:
        closed: The jaxpr of the predicates, of all inputs.
        guards: The guards.
        expected: The types of the inputs.
        made_with: JAX's `numerics` when it was traced.
        name: The name of the other program.

    Attributes:
        program: What is compiled: the inputs that it reads -> predicates, whether all are met.
        used: Which of the inputs it reads.
    """

    def __init__(
        self, closed: ClosedJaxpr, guards: Sequence[Guard], expected: Sequence[Any], made_with: Any, name: str
    ) -> None:
        self.jaxpr, self.used = without_dead_code(closed, ())
        self.guards = guards
        self.expected = expected = [expected[i] for i in self.used]
        run = jaxpr_as_fun(self.jaxpr)

        def questions(*args: Any) -> list[Any]:
            check(args, expected, made_with)
            predicates = list(run(*args))
            return [*predicates, passed(predicates, guards)]

        questions.__name__ = f"{name}_questions"
        self.program = exact_jit(questions)

    @functools.cached_property
    def is_cheap(self) -> bool:
        """Whether asking takes hardly longer than a call."""
        return is_small(self.jaxpr)

    @functools.cached_property
    def on_host(self) -> Steps | None:
        """The same without another thread's help, if NumPy gives the same answers and arrays are there."""
        if not has_only_cpus() or jax.process_count() > 1:
            return None
        short = only_moves(self.jaxpr.jaxpr, ANSWERS) and elements(self.jaxpr.jaxpr) <= SHORT
        return Steps(self.jaxpr, ANSWERS) if short else None

    def ask(self, values: Sequence[Any]) -> tuple[bool, Sequence[Any]]:
        """Return whether the guards hold for what the program reads, and the predicates."""
        if self.on_host is None:
            *predicates, held = self.program(*values)
            return bool(np.asarray(held)), predicates  # `bool(held)` takes five times as long
        arrays = [
            np.asarray(v, None if hasattr(v, "dtype") else k.dtype) for v, k in zip(values, self.expected, strict=True)
        ]
        if any((a.shape, a.dtype) != (k.shape, k.dtype) for a, k in zip(arrays, self.expected, strict=True)):
            raise VariantMismatch
        predicates = self.on_host(arrays)
        return all([p == g.outcome for p, g in zip(predicates, self.guards, strict=True)]), predicates
