"""Jaxprs as programs: without dead code, with inputs that are checked, run one equation at a time to find a NaN."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from jaxchain.core.arrays import has_nan
from jaxchain.core.compat import CALLS, bodies, equations, numerics, origin, without_dead_code
from jaxchain.core.errors import format_source, user_line
from jaxchain.core.scopes import tag_of
from jaxchain.core.spread import exact_type, spread_as, zeros_of


class VariantMismatch(Exception):
    """A cell no longer has the shape or dtype that a variant was compiled for, or JAX another precision."""


class Pruned(NamedTuple):
    """A jaxpr without dead code, of some of its inputs.

    Attributes:
        closed: The jaxpr: those inputs, then those that nested calls name and nothing reads.
        unread: What the latter look like: any value will do.
    """

    closed: ClosedJaxpr
    unread: list[Any]

    @classmethod
    def of(cls, closed: ClosedJaxpr, keep: Sequence[int]) -> Pruned:
        """Return what is left of a jaxpr; `keep` says which inputs there will be."""
        pruned, unread = without_dead_code(closed, keep)
        return cls(pruned, [closed.jaxpr.invars[i].aval for i in unread])

    def filled(self, args: Sequence[Any]) -> list[Any]:
        """Return all inputs of the jaxpr."""
        return [*args, *map(zeros_of, self.unread)]

    def __call__(self, *args: Any) -> tuple[Any, ...]:
        """Run it."""
        known = [spread_as(value, v.aval) for value, v in zip(args, self.closed.jaxpr.invars, strict=False)]
        return tuple(jaxpr_as_fun(self.closed)(*self.filled(known)))


def check(args: Sequence[Any], expected: Sequence[Any], made_with: Any) -> None:
    """Raise `VariantMismatch` if an input or JAX's `numerics` are not what a program was traced for.

    JAX traces a jitted function again whenever one of them has changed.
    """
    if numerics() != made_with:
        raise VariantMismatch
    for value, want in zip(args, expected, strict=True):
        if not hasattr(value, "dtype") or exact_type(value) != want:
            raise VariantMismatch


def nan_error(name: str, program: Pruned, values: Sequence[Any]) -> RuntimeError:
    """Return the error of a program that gave NaN: it names the node and the user's line where the first one arose."""
    found = _first_nan(program.closed, program.filled(values))
    if found is not None:
        label, source = found
        line = format_source(source) or user_line(2)  # without one, no code of the user's led from the call to it
        return RuntimeError(f"NaN is detected on the result of {label}\nat {line}")
    return RuntimeError(
        f"NaN is detected on the result of {name}, compiled, and in none of its nodes run one by one: "
        "jaxchain.verify says more"
    )


def _first_nan(closed: ClosedJaxpr, values: Sequence[Any]) -> tuple[str, Any] | None:
    """Return the node that gives the first NaN, and the user's line, or None; a node inside a loop or branch."""
    sources: dict[str, Any] = {}  # of the forward nodes, by scope
    for eqn, inputs, outputs in equations(closed, values):
        path, source = origin(eqn)
        tag = tag_of(path)
        if tag is not None and tag.role == "backward":
            forward = path.rpartition("backward/")[2]
            source = next((s for p, s in sources.items() if p.endswith(forward)), source)
        sources.setdefault(path, source)
        if any(map(has_nan, outputs)):
            for body, arguments in bodies(eqn, inputs):
                inside = _first_nan(body, arguments)
                if inside is not None:
                    return inside
            label = str(eqn.params.get("name", eqn.primitive)) if tag is None else tag.label
            backward = " (backward)" if tag is not None and tag.role == "backward" else ""
            return f"{label}{backward}", source
    return None


def is_small(closed: ClosedJaxpr) -> bool:
    """Return whether a program takes hardly longer than its call: it reads little and does no heavy work."""
    total, stack = 0, [closed]
    while stack:
        for eqn in stack.pop().jaxpr.eqns:
            inner = [p for p in eqn.params.values() if isinstance(p, ClosedJaxpr)]
            if eqn.primitive.name in HEAVY or (inner and eqn.primitive.name not in CALLS):
                return False
            stack += inner
            total += 0 if inner else sum(math.prod(cast(Any, v.aval).shape) for v in (*eqn.invars, *eqn.outvars))
    return total <= LITTLE


HEAVY = {"dot_general", "conv_general_dilated", "cond", "sort", "pure_callback"}
LITTLE = 2**16  # elements read and written
