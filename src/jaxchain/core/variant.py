"""A compiled program of a static callable: gather the cells, call, write back."""

from __future__ import annotations

import collections
import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from jaxchain.core import random
from jaxchain.core.compat import fingerprint, without_dead_code
from jaxchain.core.guard import Outcome, first_miss, passed
from jaxchain.core.op import Op
from jaxchain.core.state import ARRAY, NUMBER, Walk, Write, count, take, template_of
from jaxchain.core.trace import Traced
from jaxchain.core.variable import Variable


class VariantMismatch(Exception):
    """A cell no longer has the shape or dtype that a variant was compiled for."""


MISS = object()  # what a variant returns whose guards did not hold: nothing was written


class Variant:
    """One compiled program of a static callable: what it needs to hold, what it reads, what it writes.

    Attributes:
        guards: What was assumed about values; each call checks it.
        missed: The outcomes of the last call that did not fit, up to the first that was different.
    """

    variables = False  # whether Variables in places go in as they are, so that gradients reach them

    def __init__(self, traced: Traced, donate: bool) -> None:
        plan = traced.plan
        self.traced = traced
        self.walk: Walk = plan["walk"]
        self.name = traced.name
        live, groups = plan["live"], plan["groups"]
        bounds, at = {}, 0
        for group, values in groups.items():
            bounds[group] = (at, at + len(values))
            at += len(values)

        def kept(group: str) -> list[int]:
            lo, hi = bounds[group]
            return [i - lo for i in range(lo, hi) if live[i]]

        self.draws: int = plan["trace"].draws
        self.uses_key = live[0]
        self.arrays = [plan["arrays"][i] for i in kept("arrays")]
        self.uninitialised = plan["uninitialised"]
        self.grads = [plan["grads"][i] for i in kept("grads")]
        self.grad_none = plan["grad_none"]
        self.grads_read = plan["grads_read"]
        simple, mixed, at = [], [], 0  # places that hold one array, and the others
        flat_at: list[tuple[bool, int]] = []  # of each flat place value: whether its place is simple, and its number
        for place, template in zip(self.walk.places, self.walk.templates, strict=True):
            is_simple = template in (ARRAY, NUMBER)
            for _ in range(count(template)):
                flat_at.append((is_simple, len(simple) if is_simple else at))
                at += not is_simple
            (simple if is_simple else mixed).append(place if is_simple else (*place, template))
        live_places = [flat_at[i] for i in kept("places")]
        self.places = [simple[k] for is_simple, k in live_places if is_simple]
        self.mixed_at = [k for is_simple, k in live_places if not is_simple]
        self.mixed = mixed
        self.argument_at = kept("arguments")
        self.dynamic = plan["dynamic"]
        self.result = plan["result"]
        self.writes: list[Write] = plan["writes"]
        self._sort_writes(traced)
        self.argument_writes = plan["argument_writes"]
        self.reports = plan["reports"]
        self.hits = self.misses = 0
        self.guards = traced.guards
        self.missed: tuple[Outcome, ...] = ()
        lo = bounds["places"][0]
        places = [i for i in range(*bounds["places"]) if live[i]]
        places = [i for i in places if flat_at[i - lo][0]] + [i for i in places if not flat_at[i - lo][0]]
        order = [
            i
            for group in groups
            for i in (places if group == "places" else (k for k in range(*bounds[group]) if live[k]))
        ]
        self.order = order
        invars = traced.jaxpr.jaxpr.invars
        expected = [(invars[i].aval.shape, invars[i].aval.dtype) for i in order]
        self.pruned, unread = without_dead_code(traced.jaxpr, order)
        fillers = [(invars[i].aval.shape, invars[i].aval.dtype) for i in unread]  # named by nested calls, never read
        run = jaxpr_as_fun(self.pruned)
        self.donated: dict[int, int] = self._donated(live, bounds) if donate else {}
        guards, kept_safe = self.guards, self.donated
        first = len(traced.jaxpr.jaxpr.outvars) - len(guards)
        self.first_predicate = first

        def call(*args: Any) -> tuple[Any, ...]:
            for value, want in zip(args, expected, strict=True):
                if value is None or (value.shape, value.dtype) != want:
                    raise VariantMismatch
            outputs = run(*args, *(jnp.zeros(*f) for f in fillers))
            if guards:
                held = passed(outputs[first:], guards)
                for i, at in kept_safe.items():  # on a miss a donated cell gets its own value back
                    outputs[at] = jnp.where(held, outputs[at], args[i])
                outputs.append(held)
            return tuple(outputs)

        call.__name__ = call.__qualname__ = self.name
        self.function = call
        self.compiled = jax.jit(call, donate_argnums=tuple(self.donated))
        self.shared = False

    @functools.cached_property
    def program(self) -> tuple[Any, ...]:
        """What the compiled program is: two variants with equal programs are one program under two keys."""
        return fingerprint(self.pruned), tuple(self.donated), tuple((type(g.outcome), g.outcome) for g in self.guards)

    def share(self, others: Sequence[Variant]) -> None:
        """Take over the compiled program of another variant if it is the same."""
        for other in others:
            if other.program == self.program:
                self.function, self.compiled, self.shared = other.function, other.compiled, True
                return

    def _sort_writes(self, traced: Traced) -> None:
        """Sort the writes: those that put one output in one slot are done without ceremony."""
        avals = [v.aval for v in traced.jaxpr.jaxpr.outvars]
        self.array_writes: list[tuple[Any, int]] = []
        self.grad_writes: list[tuple[Any, int]] = []
        self.item_writes: list[tuple[Any, Any, int]] = []
        self.other_writes: list[Write] = []
        for write in self.writes:
            at, owner = write.index, write.container
            if at is None:
                self.other_writes.append(write)
            elif write.how == "grad":
                self.grad_writes.append((owner, at))
            elif write.how == "item":
                self.item_writes.append((owner, write.key, at))
            elif write.how == "array" and (owner._node.info.shape, owner._node.info.dtype) == (
                avals[at].shape,
                avals[at].dtype,
            ):
                self.array_writes.append((owner, at))
            else:
                self.other_writes.append(write)

    def _donated(self, live: list[bool], bounds: dict[str, tuple[int, int]]) -> dict[int, int]:
        """Return which inputs' buffers the program may take over, cells that it reads and writes: {input: output}."""
        written = {(w.how, id(w.container), w.key): w.index for w in self.writes if w.index is not None}
        uses = collections.Counter(written.values())
        cells = [("array", id(p), None) for p in self.arrays] + [None] * len(self.grads)
        cells += [("item", id(container), key) for container, key in self.places]
        donated = {}
        for position, cell in enumerate(cells, int(self.uses_key)):
            at = written.get(cell) if cell is not None else None
            if at is not None and (uses[at] == 1 or not self.guards):
                donated[position] = at
        return donated

    def difference(self) -> str | None:
        """Return why this variant does not fit the program's state now, or None."""
        for p in self.uninitialised:
            if p._array is not None:
                return f"parameter {p.name} was initialised"
        reason = self.walk.difference()
        if reason is not None:
            return reason
        for container, key, template in self.mixed:
            try:
                value = container[key]
            except (KeyError, IndexError, AttributeError, ValueError):
                return f"{key} was deleted"
            if not take(template, value, []):
                return f"{key}: {template} -> {template_of(value) or type(value).__name__}"
        if self.grads_read:
            now = [p._grad is None for p in self.walk.parameters]
            if now != self.grad_none:
                return "a gradient was None before and is not now, or the reverse"
        return None

    def gather(self, leaves: Sequence[Any]) -> list[Any]:
        """Return the flat inputs of a call."""
        values: list[Any] = []
        if self.uses_key:
            values.append(random.ops.state())
        values += [p._array for p in self.arrays]
        if self.grads:
            values += [p.grad for p in self.grads]
        values += [container[key] for container, key in self.places]
        if self.mixed_at:
            mixed: list[Any] = []
            for container, key, template in self.mixed:
                take(template, container[key], mixed, self.variables)
            values += [mixed[k] for k in self.mixed_at]
        arguments: list[Any] = []
        for i in self.dynamic:
            leaf = leaves[i]
            if isinstance(leaf, Variable):
                arguments.append(leaf if self.variables else leaf._array)
                if leaf._grad is not None:
                    arguments.append(leaf.grad)
            elif isinstance(leaf, np.ndarray):
                arguments.append(leaf.copy())  # JAX would alias a live NumPy buffer
            else:
                arguments.append(leaf)
        if len(self.argument_at) == len(arguments):
            values += arguments
        else:
            values += [arguments[i] for i in self.argument_at]
        return values

    def finish(self, outputs: Sequence[Any], leaves: Sequence[Any]) -> Any:
        """Write the results of a call back, replay its reports and return its result."""
        arrays = [y._array for y in outputs] if self.variables else outputs
        for parameter, at in self.array_writes:
            parameter._array = arrays[at]
        for parameter, at in self.grad_writes:
            parameter._grad = arrays[at]
        for container, key, at in self.item_writes:
            container[key] = arrays[at]
        for write in self.other_writes:
            write.apply(outputs)
        for i, how, build in self.argument_writes:
            if how == "array":
                leaves[i].array = build(outputs)
            else:
                leaves[i]._grad = build(outputs)
        random.ops.count += self.draws
        for values, observer, report in self.reports:
            report({k: build(outputs) for k, build in values.items()}, observer)
        return self.result(outputs)

    def __call__(self, leaves: Sequence[Any]) -> Any:
        """Run the compiled program on the cells and arguments."""
        values = self.gather(leaves)
        for i in self.donated:  # an array that somebody else holds is copied first: its buffer must not be taken over
            if sys.getrefcount(values[i]) > HELD and isinstance(values[i], jax.Array):
                values[i] = jnp.array(values[i], copy=True)
        outputs = self.compiled(*values)
        if self.guards and not outputs[-1]:
            self.miss(outputs)
            self._put_back(outputs)
            return MISS
        self.hits += 1
        return self.finish(outputs, leaves)

    def miss(self, outputs: Sequence[Any]) -> None:
        """Note which outcomes a call had that did not fit."""
        self.misses += 1
        self.missed = first_miss(outputs[self.first_predicate : -1], self.guards)

    def _put_back(self, outputs: Sequence[Any]) -> None:
        """Give the cells whose buffers were donated their old values, which the program returned."""
        donated = set(self.donated.values())
        for parameter, at in self.array_writes:
            if at in donated:
                parameter._array = outputs[at]
        for container, key, at in self.item_writes:
            if at in donated:
                container[key] = outputs[at]


def _held() -> int:
    """Return `sys.getrefcount` of an array that only one cell and one list hold, as `Variant.__call__` sees it."""
    cell = [object()]
    values = list(cell)
    for i in [0]:
        return sys.getrefcount(values[i])
    raise AssertionError


HELD = _held()


class LinkOp(Op):
    """A compiled link call as an op: one node of the eager graph, with a compiled gradient."""

    def __init__(self, variant: Variant) -> None:
        self.name = variant.name
        self.label = variant.name
        self.rule = None
        self.plans = {}
        self.variant = variant

    def pure(self, structure: Any) -> Callable[..., Any]:
        """Return the compiled program as a function of its flat inputs."""
        return self.variant.function

    def check(self, structure: Any, infos: Any) -> None:
        """Nothing to check: the ops inside were checked."""

    def describe(self, structure: Any, infos: Any) -> str:
        """Return the call with its input types."""
        return f"{self.name}({', '.join(map(repr, infos))})"

    def parameters_of(self, structure: Any, scalars: Sequence[Any]) -> dict[str, Any]:
        """A link call has no parameters of its own."""
        return {}

    def label_of(self, structure: Any, scalars: Sequence[Any]) -> str:
        """Return the link's class name."""
        return self.label


class LinkVariant(Variant):
    """A variant of a link call: differentiable with respect to parameters, arguments and Variables in places."""

    variables = True

    def __init__(self, traced: Traced) -> None:
        super().__init__(traced, donate=False)
        self.op = LinkOp(self)

    def __call__(self, leaves: Sequence[Any]) -> Any:
        """Run the compiled program; leave one node in the graph."""
        values = self.gather(leaves)
        at = int(self.uses_key)
        values[at : at + len(self.arrays)] = self.arrays
        outputs = self.op.apply((), values, ())
        if self.guards:
            arrays = [y._array for y in outputs]
            if not arrays[-1]:
                self.miss(arrays)
                return MISS
        self.hits += 1
        return self.finish(outputs, leaves)
