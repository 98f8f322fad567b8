"""A compiled program of a static callable: gather the cells, call, write back."""

from __future__ import annotations

import collections
import contextlib
import functools
import itertools
import operator
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr

from jaxchain.core import random
from jaxchain.core.arrays import ARRAY_LIKE, copied, has_nan
from jaxchain.core.cache import room
from jaxchain.core.cells import ALONE
from jaxchain.core.compat import fingerprint, numerics, with_numerics
from jaxchain.core.conditions import Conditions
from jaxchain.core.config import is_debug, lock
from jaxchain.core.exact import devices_of, exact_jit
from jaxchain.core.foresight import Foresight
from jaxchain.core.guard import NotCompilable, Outcome, first_miss, passed
from jaxchain.core.inputs import Inputs
from jaxchain.core.outputs import ENDED
from jaxchain.core.parameter import SharedParameter
from jaxchain.core.program import Pruned, VariantMismatch, check, nan_error
from jaxchain.core.results import Results
from jaxchain.core.spread import spec, struct_of
from jaxchain.core.state import Walk
from jaxchain.core.traced import Traced
from jaxchain.core.variable import Variable
from jaxchain.core.writes import ArrayWrite, ItemWrite


class GraphGoesOn(NotCompilable):
    """A gradient reaches a Variable that a graph outside the program leads to."""


MISS = object()  # what a variant returns whose guards did not hold: nothing was written


class Variant:
    """One compiled program of a static callable.

    Attributes:
        conditions: What must be as it was for it to fit.
        inputs: What it reads.
        results: What it leaves behind.
        guards: What was assumed about values; each call checks it.
        missed: The outcomes of the last call that did not fit, up to the first that was different.
    """

    is_merged = False  # whether it is several variants in one
    variables = False  # whether Variables in places go in as they are, so that gradients reach them

    def __init__(self, traced: Traced, donate: bool) -> None:
        lifted, outvars, invars = traced.lifted, traced.jaxpr.jaxpr.outvars, traced.jaxpr.jaxpr.invars
        self.traced = traced
        self.name = traced.name
        self.draws, self.ends = lifted.draws, lifted.ends
        self.conditions = Conditions(lifted)
        self.inputs = Inputs(lifted, invars, self.variables)
        self.results = Results(traced, self.variables)
        self.hits = self.misses = 0
        self.guards = traced.guards
        first = len(outvars) - len(traced.guards) - len(lifted.gradients.origins)
        self.predicates = slice(first, first + len(traced.guards))  # where they are among the outputs
        self.missed: tuple[Outcome, ...] = ()
        self.made_with = numerics()
        self.pruned = Pruned.of(self.forward_of(traced), self.inputs.order)
        self.asks = self.foresight is not None and self.foresight.is_cheap
        self.checks = bool(self.guards) and not self.asks
        self.debug = is_debug()  # then nothing is donated: a call that gives NaN is run again, equation by equation
        self.donated: dict[int, int] = self._donated() if donate and not self.debug else {}
        self.inputs.note_numbers(self.donated)
        self.function = self._whole_call()
        self.compiled = exact_jit(self.function, donate_argnums=tuple(self.donated))
        room.make()
        self.shared = False

    def _whole_call(self) -> Callable[..., tuple[Any, ...]]:
        """Return what is compiled: the program with its guards, small gradients joined, outputs in another order.

        JAX gives a donated buffer to the first output of its shape: the outputs for which buffers are meant come first.
        """
        run, expected, made_with, name = self.pruned, self.inputs.types, self.made_with, self.name
        guards, donated, joined = self.guards if self.checks else [], self.donated, self.results.joined
        first, last = self.predicates.start, self.predicates.stop
        heirs = dict.fromkeys(at for _, at in sorted(donated.items()))
        number = len(run.closed.jaxpr.outvars) + self.checks
        in_order = [*heirs, *(at for at in range(number) if at not in heirs)]
        back = sorted(range(number), key=in_order.__getitem__)
        self.restored = operator.itemgetter(*back) if number > 1 else tuple

        def call(*args: Any) -> tuple[Any, ...]:
            check(args, expected, made_with)
            outputs = list(run(*args))
            if not guards:
                outputs[first:last] = [None] * (last - first)
            else:
                held = passed(outputs[first:last], guards)
                for i, at in donated.items():  # on a miss a donated cell gets its own value back
                    outputs[at] = jnp.where(held, outputs[at], args[i])
                outputs.append(held)
            for group in joined:
                group.join(outputs)
            return tuple([outputs[at] for at in in_order])

        call.__name__ = call.__qualname__ = name
        return call

    def forward_of(self, traced: Traced) -> ClosedJaxpr:
        """Return what is compiled for a call."""
        return traced.jaxpr

    def programs(self) -> list[tuple[Any, list[Any]]]:
        """Return the jitted functions and what each takes: that of the call first."""
        inputs = [spec(self.traced.jaxpr.jaxpr.invars[i].aval, self.traced.values[i]) for i in self.inputs.order]
        found = [(self.compiled, inputs)]
        if self.asks and self.foresight is not None:
            found.append((self.foresight.program, [inputs[i] for i in self.foresight.used]))
        return found

    def lowered(self, programs: Iterable[tuple[Any, Sequence[Any]]]) -> list[Any]:
        """Return some of its programs lowered, with JAX as it was when they were traced."""
        with with_numerics(self.made_with):
            return [jitted.lower(*specs) for jitted, specs in programs]

    @functools.cached_property
    def program(self) -> tuple[Any, ...]:
        """What the compiled program is: two variants with equal programs are one program under two keys."""
        return (
            fingerprint(self.pruned.closed),
            self.made_with,
            tuple(self.donated.items()),
            tuple((type(g.outcome), g.outcome) for g in self.guards),
        )

    def share(self, others: Sequence[Variant]) -> None:
        """Take over the compiled program of another variant if it is the same."""
        for other in others:
            if other.program == self.program:
                self.function, self.compiled, self.shared = other.function, other.compiled, True
                return

    def _donated(self) -> dict[int, int]:
        """Return which inputs' buffers the program may take over, cells that it reads and writes: {input: output}."""
        inputs, outvars = self.inputs, self.traced.jaxpr.jaxpr.outvars
        written = {(type(w), id(w.container), w.key): w.index for w in self.results.writes if w.index is not None}
        uses = collections.Counter(written.values())
        twice = {id(p.origin) for p in inputs.arrays if isinstance(p, SharedParameter)}  # buffers that come in again
        cells = [None if id(p) in twice else (ArrayWrite, id(p), None) for p in inputs.arrays]
        cells += [None] * len(inputs.grads)
        cells += [(ItemWrite, id(container), key) for container, key in inputs.places]
        donated = {}
        for position, cell in enumerate(cells, int(inputs.uses_key)):
            at = written.get(cell) if cell is not None else None
            if at is None or struct_of(outvars[at].aval) != struct_of(inputs.types[position]):
                continue
            if at not in donated.values() and (uses[at] == 1 or not self.checks):
                donated[position] = at
        return donated

    def applies(self, leaves: Sequence[Any], walks: dict[Any, Walk]) -> bool:
        """Return whether this variant fits the state and a call's arguments, or can be made to."""
        conditions = self.conditions
        if conditions.difference(leaves) is None:
            return True
        there = conditions.rebind(leaves, walks)
        if there is None:
            return False
        self.inputs.rebind(there, conditions.mixed)
        self.results.rebind(there)
        return conditions.difference(leaves) is None

    def gather(self, leaves: Sequence[Any]) -> list[Any]:
        """Return the flat inputs of a call.

        Wait while another thread traces, whose tracers are in the cells, or makes a call that takes buffers over.
        """
        with lock:
            return self.inputs.gather(leaves)

    def finish(self, outputs: Sequence[Any], leaves: Sequence[Any], given: list[tuple[Any, int]]) -> Any:
        """Write the results of a call back, replay its reports and return its result.

        Args:
            outputs: What the program gave.
            leaves: The arguments of the call.
            given: The same as it came, and how many keys were drawn; emptied when all is written.
        """
        outputs = self.results.write(outputs, leaves)
        random.ops.count += given.pop()[1]  # not counted again if an interrupt comes behind it
        return self.results.given_out(outputs)

    def settle(self, given: Sequence[tuple[Any, int]], leaves: Sequence[Any]) -> None:
        """Write what an interrupted call gave, `KeyboardInterrupt` for instance: all of it, as buffers may be gone."""
        for outputs, draws in given:
            outputs = self.restored(outputs)
            if self.checks and not np.asarray(outputs[-1]):
                self.results.put_back(outputs, set(self.donated.values()))
            else:
                self.results.write(outputs, leaves)
                random.ops.count += draws

    def check_ends(self, leaves: Sequence[Any]) -> None:
        """Raise `GraphGoesOn` if eager mode's backward pass would go on where that of the program ends."""
        behind = [*leaves, *self.conditions.found()]
        ends = [behind[at] for at in self.ends]
        if any(v._node.creator_node is not None or v._node.rank == ENDED for v in ends):
            raise GraphGoesOn(
                "a gradient goes on from a Variable that it is given, or finds in a link, into the graph that led to "
                "it. Give it the array (x.array), cut the graph (loss.unchain_backward()), or make the whole one "
                "static function"
            )

    def __call__(self, leaves: Sequence[Any]) -> Any:
        """Run the compiled program on the cells and arguments."""
        if self.ends:
            self.check_ends(leaves)
        if not self.donated:
            return self._call(leaves)
        if not self.hits:
            self.compile(leaves)
        with lock:  # no other thread may take the buffers before the cells hold new ones
            return self._call(leaves)

    def compile(self, leaves: Sequence[Any]) -> None:
        """Compile for a call before it: no other thread is kept meanwhile."""
        values = self.gather(leaves)
        if self.asks and not self.fits(values):
            return
        with contextlib.suppress(TypeError, ValueError):  # the call says what does not fit
            self.compiled.lower(*values).compile()  # where the call of the jitted function finds it

    def _call(self, leaves: Sequence[Any]) -> Any:
        values = self.gather(leaves)
        if self.asks and not self.fits(values):
            self.misses += 1
            return MISS
        taken = operator.itemgetter(*self.donated)(values) if len(self.donated) > 1 else ()
        if not taken or max(map(sys.getrefcount, taken)) > HELD_IN_TUPLE:
            del taken
            for i in self.donated:  # an array that somebody else holds is copied: its buffer must not be taken over
                if sys.getrefcount(values[i]) > HELD and isinstance(values[i], jax.Array):
                    values[i] = copied(values[i])
        given: list[tuple[Any, int]] = []  # what the program gave, until it is written, and how many keys it drew
        try:  # no signal comes between the call and the list
            given.extend(zip(itertools.starmap(self.compiled, (values,)), (self.draws,), strict=True))
            outputs = self.restored(given[0][0])
            if self.checks and not np.asarray(outputs[-1]):
                self.results.put_back(outputs, set(self.donated.values()))
                given.clear()
                self.misses += 1
                self.miss(outputs[self.predicates])
                return MISS
            if self.debug and any(has_nan(y) for y in outputs if y is not None):
                given.clear()
                raise nan_error(self.name, self.pruned, values)
            self.hits += 1
            return self.finish(outputs, leaves, given)
        except BaseException as error:
            self.settle(given, leaves)
            if not given and isinstance(error, TypeError | ValueError):
                self.check_arrays(values)
            raise

    def check_arrays(self, values: Sequence[Any]) -> None:
        """Raise `VariantMismatch` if a cell holds what is no array, or one on another device than others do."""
        if not all(isinstance(v, (*ARRAY_LIKE, int, float)) for v in values) or len(devices_of(values)) > 1:
            raise VariantMismatch

    def miss(self, predicates: Sequence[Any]) -> None:
        """Note which outcomes a call had that did not fit."""
        self.missed = () if self.is_merged else first_miss(predicates, self.guards)

    def fits(self, values: Sequence[Any]) -> bool:
        """Ask whether the guards of a call hold, before anything of it is run; note its outcomes if they do not."""
        assert self.foresight is not None
        given = [v._array if isinstance(v := values[i], Variable) else v for i in self.foresight.used]
        met, predicates = self.foresight.ask(given)
        if not met:
            self.miss(predicates)
        return met

    @functools.cached_property
    def foresight(self) -> Foresight | None:
        """What finds out before a call whether the guards hold; None if there are none, or the program has effects."""
        closed = self.pruned.closed
        if not self.guards or closed.effects or len(closed.jaxpr.invars) != len(self.inputs.types):
            return None
        wanted = closed.jaxpr.replace(
            outvars=closed.jaxpr.outvars[self.predicates], debug_info=closed.jaxpr.debug_info.with_unknown_names()
        )
        return Foresight(ClosedJaxpr(wanted, closed.consts), self.guards, self.inputs.types, self.made_with, self.name)

    def foresee(self, leaves: Sequence[Any]) -> bool:
        """Return whether the guards of a call would hold, where a call finds out late."""
        return self.asks or self.foresight is None or self.fits(self.gather(leaves))


def _held() -> int:
    """Return `sys.getrefcount` of an array that only one cell and one list hold, as `Variant.__call__` sees it."""
    cell = [object()]
    values = list(cell)
    return sys.getrefcount(values[0])


HELD = _held()


HELD_IN_TUPLE = ALONE + 1  # the same of an array that a tuple holds, too, counted by `map`
