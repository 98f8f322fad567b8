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
from jaxchain.core.arguments import is_exchangeable, objects_of
from jaxchain.core.arrays import ARRAY_LIKE, Info, copied, has_nan, info_of
from jaxchain.core.cache import room
from jaxchain.core.cells import (
    ALONE,
    ARRAY,
    MISSING,
    NUMBER,
    Template,
    count,
    found_in,
    held_elsewhere,
    holds_arrays,
    take,
    template_of,
)
from jaxchain.core.compat import fingerprint, numerics, with_numerics
from jaxchain.core.config import is_debug, lock
from jaxchain.core.deferred import WAITING
from jaxchain.core.exact import devices_of, exact_jit
from jaxchain.core.foresight import Foresight
from jaxchain.core.guard import NotCompilable, Outcome, first_miss, passed
from jaxchain.core.joined import joined
from jaxchain.core.outputs import ENDED
from jaxchain.core.parameter import Parameter, SharedParameter
from jaxchain.core.program import Pruned, VariantMismatch, check, nan_error
from jaxchain.core.spread import exact_type, spec, str_of, struct_of
from jaxchain.core.state import Walk
from jaxchain.core.traced import Lifted, Traced
from jaxchain.core.variable import Variable, as_array
from jaxchain.core.writes import ArrayWrite, GradientWrite, ItemWrite, Write


class GraphGoesOn(NotCompilable):
    """A gradient reaches a Variable that a graph outside the program leads to."""


MISS = object()  # what a variant returns whose guards did not hold: nothing was written


class Variant:
    """One compiled program of a static callable: what it needs to hold, what it reads, what it writes.

    Attributes:
        guards: What was assumed about values; each call checks it.
        missed: The outcomes of the last call that did not fit, up to the first that was different.
    """

    is_merged = False  # whether it is several variants in one
    variables = False  # whether Variables in places go in as they are, so that gradients reach them

    def __init__(self, traced: Traced, donate: bool) -> None:
        lifted = traced.lifted
        self.traced = traced
        self.walk = lifted.walk
        self.name = traced.name
        self.draws = lifted.draws
        self._sort_inputs(lifted)
        self.uninitialised = lifted.uninitialised
        self.grad_none = lifted.grad_none
        self.grads_read = lifted.grads_read
        self.dynamic = lifted.dynamic
        self.roots = lifted.roots
        self.records = [(i, leaf) for i, leaf in enumerate(lifted.leaves) if is_exchangeable(leaf)]
        self.holders = lifted.holders
        several = len(self.found()) + sum(isinstance(leaf, Variable) for leaf in lifted.leaves) > 1
        self.aliases = self._aliases(lifted.leaves) if several and self.holders else None
        self.result, self.once = lifted.result, lifted.once
        self.gives_back = lifted.gives_back
        self.writes = lifted.writes
        self._sort_writes(traced)
        self.ends, self.cut, self.dropped = lifted.ends, lifted.cut, lifted.dropped
        self.reports = lifted.reports
        self.hits = self.misses = 0
        self.guards = traced.guards
        first = len(traced.jaxpr.jaxpr.outvars) - len(traced.guards) - len(lifted.gradients.origins)
        self.predicates = slice(first, first + len(traced.guards))  # where they are among the outputs
        self.missed: tuple[Outcome, ...] = ()
        invars = traced.jaxpr.jaxpr.invars
        self.expected = [exact_type(invars[i].aval) for i in self.order]
        self.made_with = numerics()
        self.pruned = Pruned.of(self.forward_of(traced), self.order)
        self.asks = self.foresight is not None and self.foresight.is_cheap
        self.checks = bool(self.guards) and not self.asks
        self.debug = is_debug()  # then nothing is donated: a call that gives NaN is run again, equation by equation
        self.donated: dict[int, int] = self._donated() if donate and not self.debug else {}
        first = int(self.uses_key) + len(self.arrays) + len(self.grads)
        self.numbers: dict[int, tuple[Any, Any]] = {  # the numbers among `places`, and the arrays made of them
            i: (None, None)
            for i, (container, key) in enumerate(self.places)
            if container[key].__class__ in (int, float) and first + i not in self.donated
        }
        self.function = self._whole_call()
        self.compiled = exact_jit(self.function, donate_argnums=tuple(self.donated))
        room.make()
        self.shared = False

    def _sort_inputs(self, lifted: Lifted) -> None:
        """Sort the inputs that are read; places that hold one array come before those that hold several."""
        read = {group: [i for i in range(*bounds) if lifted.live[i]] for group, bounds in lifted.bounds.items()}
        simple: list[tuple[int, Any]] = []  # input and place
        within: list[tuple[int, int]] = []  # input and its number among the arrays of all other places
        self.mixed: list[tuple[Any, Any, Any]] = []
        self.unread: list[tuple[Any, Any, Any, Any]] = []  # places, and the types of what is there
        at = first = lifted.bounds["places"][0]
        for (container, key, template, _), looked_at in zip(self.walk.places, lifted.looked_at, strict=True):
            n = count(template)
            if template in (ARRAY, NUMBER):
                simple.append((at, (container, key)))
            else:
                within += [(i, i - first - len(simple)) for i in range(at, at + n)]
                self.mixed.append((container, key, template))
            if (looked_at or holds_arrays(template)) and not all(lifted.live[at : at + n]):
                self.unread.append((container, key, template, _types(template, container, key)))
            at += n
        simple = [(i, place) for i, place in simple if lifted.live[i]]
        within = [(i, k) for i, k in within if lifted.live[i]]
        read["places"] = [i for i, _ in (*simple, *within)]
        self.places = [place for _, place in simple]
        self.mixed_at = [k for _, k in within]
        self.uses_key = bool(read["key"])
        self.unread_parameters = [
            p for p, i in zip(lifted.arrays, range(*lifted.bounds["arrays"]), strict=True) if not lifted.live[i]
        ]
        self.unread_infos = list(map(_INFO, self.unread_parameters))
        self.arrays = [lifted.arrays[i - lifted.bounds["arrays"][0]] for i in read["arrays"]]
        self.grads = [lifted.grads[i - lifted.bounds["grads"][0]] for i in read["grads"]]
        self.argument_at = [i - lifted.bounds["arguments"][0] for i in read["arguments"]]
        self.order = [i for group in read.values() for i in group]

    def _whole_call(self) -> Callable[..., tuple[Any, ...]]:
        """Return what is compiled: the program with its guards, small gradients joined, outputs in another order.

        JAX gives a donated buffer to the first output of its shape: the outputs for which buffers are meant come first.
        """
        run, expected, made_with, name = self.pruned, self.expected, self.made_with, self.name
        guards, donated, joined = self.guards if self.checks else [], self.donated, self.joined
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
        inputs = [spec(self.traced.jaxpr.jaxpr.invars[i].aval, self.traced.values[i]) for i in self.order]
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

    def _sort_writes(self, traced: Traced) -> None:
        """Sort the writes: those that put one output in one slot are done without ceremony."""
        outvars = traced.jaxpr.jaxpr.outvars
        avals = [v.aval for v in outvars]
        self.array_writes: list[tuple[Any, int]] = []
        self.grad_writes: list[tuple[Any, int]] = []
        self.item_writes: list[tuple[Any, Any, int]] = []
        self.other_writes: list[Write] = []
        for write in self.writes:
            at, owner = write.index, write.container
            if at is None:
                self.other_writes.append(write)
            elif isinstance(write, GradientWrite):
                self.grad_writes.append((owner, at))
            elif isinstance(write, ItemWrite):
                self.item_writes.append((owner, write.key, at))
            elif isinstance(write, ArrayWrite) and _keeps_type(owner, outvars[at]):
                self.array_writes.append((owner, at))
            else:
                self.other_writes.append(write)
        self.other_writes += traced.lifted.argument_writes
        self.joined = [] if self.variables else joined(self.grad_writes, avals, traced.lifted.uses)
        taken = {at for group in self.joined for at in group.places}
        self.grad_writes = [w for w in self.grad_writes if w[1] not in taken]

    def _donated(self) -> dict[int, int]:
        """Return which inputs' buffers the program may take over, cells that it reads and writes: {input: output}."""
        written = {(type(w), id(w.container), w.key): w.index for w in self.writes if w.index is not None}
        uses = collections.Counter(written.values())
        twice = {id(p.origin) for p in self.arrays if isinstance(p, SharedParameter)}  # buffers that come in again
        cells = [None if id(p) in twice else (ArrayWrite, id(p), None) for p in self.arrays] + [None] * len(self.grads)
        cells += [(ItemWrite, id(container), key) for container, key in self.places]
        donated = {}
        outvars = self.traced.jaxpr.jaxpr.outvars
        for position, cell in enumerate(cells, int(self.uses_key)):
            at = written.get(cell) if cell is not None else None
            if at is None or struct_of(outvars[at].aval) != struct_of(self.expected[position]):
                continue
            if at not in donated.values() and (uses[at] == 1 or not self.checks):
                donated[position] = at
        return donated

    def found(self) -> list[Variable]:
        """Return the Variables in places."""
        return found_in(self.holders)

    def _aliases(self, leaves: Sequence[Any]) -> list[int]:
        """Return for each argument and each Variable in a place where the same one is first; -1 for no Variable."""
        held = [*leaves, *self.found()]
        first: dict[int, int] = {}
        return [first.setdefault(id(v), i) if isinstance(v, Variable) else -1 for i, v in enumerate(held)]

    def _aliases_now(self, leaves: Sequence[Any]) -> list[int] | None:
        try:
            return self._aliases(leaves)
        except MISSING:
            return None

    def applies(self, leaves: Sequence[Any], walks: dict[Any, Walk]) -> bool:
        """Return whether this variant fits the state and a call's arguments, or can be made to (`rebind`)."""
        return self.difference(leaves) is None or self.rebind(leaves, walks)

    def rebind(self, leaves: Sequence[Any], walks: dict[Any, Walk]) -> bool:
        """Look at other objects than before, if the state is now held by such as were there: lists that are made anew
        in every step, a batch that is an object.

        Args:
            leaves: The arguments of the call.
            walks: What was found from which roots, filled here.
        """
        roots = tuple((name, id(root)) for name, root in self.roots)
        with lock:
            if roots not in walks:
                walks[roots] = Walk([*self.roots, *objects_of(leaves)], rules=self.walk.rules)
            moved = self.walk.take_over(walks[roots])
        if moved is None:
            return False

        def there(container: Any) -> Any:
            return moved.get(id(container), container)

        self.places = [(there(c), k) for c, k in self.places]
        templates = {(id(c), k): t for c, k, t, _ in self.walk.places}
        self.mixed = [(there(c), k, templates[id(there(c)), k]) for c, k, _ in self.mixed]
        self.unread = [(there(c), k, templates[id(there(c)), k], types) for c, k, _, types in self.unread]
        self.holders = [(there(c), k) for c, k in self.holders]
        self.item_writes = [(there(c), k, at) for c, k, at in self.item_writes]
        for write in self.writes:
            write.container = there(write.container)
        self.records = [(i, leaves[i]) for i, _ in self.records]
        return self.difference(leaves) is None

    def difference(self, leaves: Sequence[Any] | None = None) -> str | None:
        """Return why this variant does not fit the program's state and a call's arguments now, or None."""
        if leaves is not None:
            if self.records and any(leaves[i] is not old for i, old in self.records):
                return "an argument is another object"
            if self.aliases is not None and self._aliases_now(leaves) != self.aliases:
                return "other places of the state or arguments are one and the same Variable than before"
        for p in self.uninitialised:
            if p._array is not None:
                return f"parameter {p.name} was initialised"
        reason = self.walk.difference()
        if reason is not None:
            return reason
        for container, key, template in self.mixed:
            try:
                value = container[key]
            except MISSING:
                return f"{key} was deleted"
            if not take(template, value, []):
                return f"{key}: {template} -> {template_of(value) or type(value).__name__}"
        if list(map(_INFO, self.unread_parameters)) != self.unread_infos:
            pairs = zip(self.unread_parameters, self.unread_infos, strict=True)
            name = next(p.name for p, info in pairs if p._node.info is not info)
            return f"the type of parameter {name}, which is not read, changed"
        for container, key, template, types in self.unread:
            if _types(template, container, key) != types:
                return f"the type of {key}, which is not read, changed"
        if self.grads_read:
            now = [p._grad is None for p in self.walk.parameters]
            if now != self.grad_none:
                return "a gradient was None before and is not now, or the reverse"
        if self.dropped:
            held = held_elsewhere(self.holders, {})
            if any(held[at] for at in self.dropped):
                return "a Variable that is changed and taken out of the state is held elsewhere, too"
        return None

    def type_difference(self) -> str | None:
        """Return which array of the state has another type than the program takes, or None."""
        values: list[Any] = [None] * int(self.uses_key)
        values += [p._array for p in self.arrays] + [p.grad for p in self.grads]
        values += [container[key] for container, key in self.places]
        for i, value, expected in zip(self.order, values, self.expected, strict=False):
            now = exact_type(value) if hasattr(value, "dtype") else expected
            if now != expected:
                return f"{self.traced.inputs[i]}: {str_of(expected)} -> {str_of(now)}"
        return None

    def gather(self, leaves: Sequence[Any]) -> list[Any]:
        """Return the flat inputs of a call.

        Wait while another thread traces, whose tracers are in the cells, or makes a call that takes buffers over.
        """
        with lock:
            return self._gathered(leaves)

    def _gathered(self, leaves: Sequence[Any]) -> list[Any]:
        values: list[Any] = []
        if self.uses_key:
            values.append(random.ops.state())
        arrays = list(map(_VALUE, self.arrays))
        values += arrays if _WAITING.isdisjoint(map(type, arrays)) else [p._array for p in self.arrays]
        del arrays  # or all of them would be held twice
        if self.grads:
            values += [p.grad for p in self.grads]
        if self.places:
            try:
                held = [container[key] for container, key in self.places]
            except MISSING as error:
                raise VariantMismatch from error
            if not _OTHERS.isdisjoint(map(type, held)):
                raise VariantMismatch
            values += self._numbers(held)
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

    def _numbers(self, values: list[Any]) -> list[Any]:
        """Put an array in the place of each Python number that comes again: JAX takes 5 us to make one of it."""
        for i, (known, array) in self.numbers.items():
            value = values[i]
            if value.__class__ is not float and value.__class__ is not int:
                continue
            if value is not known:
                self.numbers[i] = value, None
            elif array is None:
                with jax.ensure_compile_time_eval():
                    values[i] = jax.device_put(value)  # `jnp.asarray` compiles a program for that
                self.numbers[i] = value, values[i]
            else:
                values[i] = array
        return values

    def finish(self, outputs: Sequence[Any], leaves: Sequence[Any], given: list[tuple[Any, int]]) -> Any:
        """Write the results of a call back, replay its reports and return its result.

        Args:
            outputs: What the program gave.
            leaves: The arguments of the call.
            given: The same as it came, and how many keys were drawn; emptied when all is written.
        """
        outputs = self.write(outputs, leaves)
        random.ops.count += given.pop()[1]  # not counted again if an interrupt comes behind it
        for values, observer, report in self.reports:
            report({k: build(outputs) for k, build in values.items()}, observer)
        result = self.result(outputs)
        for shared in self.once:
            shared.made = None
        return result

    def write(self, outputs: Sequence[Any], leaves: Sequence[Any]) -> Sequence[Any]:
        """Write the results of a call back, and return the outputs. Done once more, it does the same.

        Behind the outputs stand the Variables that may come out as they are: the arguments, and those found in places.
        """
        for at in self.cut:
            self.found()[at].unchain()
        if self.gives_back:
            outputs = [*outputs, *leaves, *self.found()]
        arrays = [as_array(y) for y in outputs] if self.variables else outputs
        for parameter, at in self.array_writes:
            parameter._value = arrays[at]
        for parameter, at in self.grad_writes:
            parameter._grad = arrays[at]
        for group in self.joined:
            group.write(outputs)
        for container, key, at in self.item_writes:
            container[key] = arrays[at]
        for write in self.other_writes:
            write.apply(outputs)
        return outputs

    def settle(self, given: Sequence[tuple[Any, int]], leaves: Sequence[Any]) -> None:
        """Write what an interrupted call gave, `KeyboardInterrupt` for instance: all of it, as buffers may be gone."""
        for outputs, draws in given:
            outputs = self.restored(outputs)
            if self.checks and not np.asarray(outputs[-1]):
                self._put_back(outputs)
            else:
                self.write(outputs, leaves)
                random.ops.count += draws

    def check_ends(self, leaves: Sequence[Any]) -> None:
        """Raise `GraphGoesOn` if eager mode's backward pass would go on where that of the program ends."""
        behind = [*leaves, *self.found()]
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
                self._put_back(outputs)
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
        if not self.guards or closed.effects or len(closed.jaxpr.invars) != len(self.expected):
            return None
        wanted = closed.jaxpr.replace(
            outvars=closed.jaxpr.outvars[self.predicates], debug_info=closed.jaxpr.debug_info.with_unknown_names()
        )
        return Foresight(ClosedJaxpr(wanted, closed.consts), self.guards, self.expected, self.made_with, self.name)

    def foresee(self, leaves: Sequence[Any]) -> bool:
        """Return whether the guards of a call would hold, where a call finds out late."""
        return self.asks or self.foresight is None or self.fits(self.gather(leaves))

    def _put_back(self, outputs: Sequence[Any]) -> None:
        """Give the cells whose buffers were donated their old values, which the program returned."""
        donated = set(self.donated.values())
        for parameter, at in self.array_writes:
            if at in donated:
                parameter._array = outputs[at]
        for container, key, at in self.item_writes:
            if at in donated:
                container[key] = outputs[at]


def _keeps_type(parameter: Parameter, output: Any) -> bool:
    """Return whether an output has the type that the parameter has, so that nothing but the array is to be written."""
    info = parameter._node.info
    return info is info_of(output, info.requires_grad)


def _types(template: Template, container: Any, key: Any) -> list[Info] | None:
    """Return the types of the arrays in a place; None if it is gone, or holds something else."""
    held: list[Any] = []
    try:
        fits = take(template, container[key], held)
    except MISSING:
        return None
    return [info_of(v, False) for v in held] if fits else None


_INFO = operator.attrgetter("_node.info")
_VALUE = operator.attrgetter("_value")
_WAITING = frozenset(WAITING)
_OTHERS = frozenset((np.ndarray, Variable, Parameter))  # a compiled call would take them for JAX's arrays


def _held() -> int:
    """Return `sys.getrefcount` of an array that only one cell and one list hold, as `Variant.__call__` sees it."""
    cell = [object()]
    values = list(cell)
    return sys.getrefcount(values[0])


HELD = _held()


HELD_IN_TUPLE = ALONE + 1  # the same of an array that a tuple holds, too, counted by `map`
