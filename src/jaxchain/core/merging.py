"""Variants of one program that differ by outcomes, made into one: what they have in common, then `lax.cond`.

A variant per outcome is the quickest program while the outcome stays. Where outcomes come in turn, each call asks for
them first or runs for nothing, and Python waits for the answer. The jaxprs of such variants are equal up to the
question: they come from one program, which was told the same so far. So that part runs first, once, and `lax.cond`
chooses among what is left of each. Where every outcome has its variant, no guard is left.

Merged is what leaves the same things behind, whatever the outcome: what the variants write and return is compared.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxpr_as_fun

from jaxchain.core.cells import View, found_in, same
from jaxchain.core.compat import fingerprint
from jaxchain.core.guard import Guard, passed
from jaxchain.core.kinds import is_record
from jaxchain.core.spread import spec
from jaxchain.core.traced import Lifted, Traced
from jaxchain.core.variable import Variable

EQUATIONS = 2000  # of all variants together, up to which they are merged: longer ones gain little and compile long


class Unlike(Exception):
    """The jaxprs of two variants differ before the question that tells them apart."""


class OneOf(Guard):
    """The assumption of a merged program: the outcomes are some that came before."""

    def __str__(self) -> str:
        return f"what is asked from {self.place} on came out as before"


def merge(traces: Sequence[Traced]) -> Traced | None:
    """Return one program for several traces of a call, each with its own outcomes; None if there is none.

    Args:
        traces: Made on the same arguments and state, without gradients, each told the outcomes of one variant.
    """
    first, programs = traces[0], [_Branch(t) for t in traces]
    lifted = [t.lifted for t in traces]
    if any(t.jaxpr.effects for t in traces):
        return None
    if not all(_same_cells(first, t) and _finish_alike(first, t) for t in traces[1:]):
        return None

    def program(*args: Any) -> Sequence[Any]:
        known: dict[Any, Any] = {}
        for p in programs:
            p.names = dict(zip(p.jaxpr.invars, programs[0].jaxpr.invars, strict=True))
            known.update(zip(p.jaxpr.constvars, p.consts, strict=True))
        _share_constants(programs)
        known.update(zip(programs[0].jaxpr.invars, args, strict=True))
        outputs, held = _run(programs, 0, 0, known)
        return outputs if held is None else [*outputs, held]

    program.__name__ = first.name
    try:
        is_complete = _is_complete(programs, 0)
        jaxpr = jax.make_jaxpr(program)(*(spec(v.aval) for v in first.jaxpr.jaxpr.invars))
    except Unlike:
        return None
    for x in lifted:
        first.lifted.walk.environment.update(x.walk.environment)
    guards: list[Guard] = [] if is_complete else [OneOf(True, first.guards[0].source)]
    merged = dataclasses.replace(
        first.lifted,
        live=[any(live) for live in zip(*(x.live for x in lifted), strict=True)],
        looked_at=[any(looked) for looked in zip(*(x.looked_at for x in lifted), strict=True)],
        grads_read=any(x.grads_read for x in lifted),
        dropped=[*dict.fromkeys(at for x in lifted for at in x.dropped)],
        uses=[*map(max, zip(*(x.uses for x in lifted), strict=True))],
    )
    return dataclasses.replace(
        first,
        jaxpr=jaxpr,
        outputs=[*first.outputs[: len(programs[0].outputs)], *map(str, guards)],
        nodes=[*dict.fromkeys(node for t in traces for node in t.nodes)],
        constants=[*dict.fromkeys(constant for t in traces for constant in t.constants)],
        guards=guards,
        lifted=merged,
        seconds=sum(t.seconds for t in traces),
    )


# -- one program out of several ----------------------------------------------------------------------------------------


class _Branch:
    """The jaxpr of one variant.

    Attributes:
        outputs: What it returns, but for predicates.
        predicates: What decides its guards.
        live: Which equations any of these need.
        names: Its variables -> those of another branch that stand for the same value.
    """

    def __init__(self, traced: Traced) -> None:
        self.jaxpr, self.consts, self.guards = traced.jaxpr.jaxpr, traced.jaxpr.consts, traced.guards
        self.eqns = self.jaxpr.eqns
        count = len(self.jaxpr.outvars) - len(self.guards)
        self.outputs, self.predicates = self.jaxpr.outvars[:count], self.jaxpr.outvars[count:]
        needed = {v for v in self.jaxpr.outvars if not isinstance(v, Literal)}
        self.live = [False] * len(self.eqns)
        for i, eqn in reversed(list(enumerate(self.eqns))):
            if any(v in needed for v in eqn.outvars):
                self.live[i] = True
                needed.update(v for v in eqn.invars if not isinstance(v, Literal))
        self.names: dict[Any, Any] = {}

    def name(self, variable: Any) -> Any:
        """Return what a variable is known as."""
        return self.names.get(variable, variable)

    def value(self, variable: Any, known: dict[Any, Any]) -> Any:
        """Return the value of a variable or literal.

        Raises:
            Unlike: It is not known yet.
        """
        if isinstance(variable, Literal):
            return _as_array(variable)
        try:
            return known[self.name(variable)]
        except KeyError:
            raise Unlike from None


def _as_array(literal: Any) -> Any:
    """Return the value of a literal; of a weakly typed one, a weakly typed array."""
    is_weak = literal.aval.weak_type
    return jnp.asarray(np.asarray(literal.val).item()) if is_weak else jnp.asarray(literal.val, literal.aval.dtype)


def _is_complete(group: Sequence[_Branch], depth: int) -> bool:
    """Return whether there is a branch for every outcome of the guards from `depth` on."""
    if len(group) == 1:
        return len(group[0].guards) == depth
    outcomes = _by_outcome(group, depth)
    return _are_both(outcomes) and all(_is_complete(g, depth + 1) for g in outcomes.values())


def _are_both(outcomes: dict[Any, Any]) -> bool:
    """Return whether there are True and False, not 1 and 0."""
    return len(outcomes) == 2 and all(isinstance(outcome, bool) for outcome in outcomes)


def _by_outcome(group: Sequence[_Branch], depth: int) -> dict[Any, list[_Branch]]:
    """Return the branches by the outcome of one guard: one of two kinds, so that 1 is not taken for True."""
    found: dict[Any, list[_Branch]] = {}
    for branch in group:
        if depth == len(branch.guards):
            raise Unlike
        found.setdefault(branch.guards[depth].outcome, []).append(branch)
    if len({isinstance(outcome, bool) for outcome in found}) > 1:
        raise Unlike
    return found


def _run(group: Sequence[_Branch], begin: int, depth: int, known: dict[Any, Any]) -> tuple[list[Any], Any]:
    """Trace branches that are one program up to equation `begin`.

    Args:
        group: The branches.
        begin: The first equation that is not traced yet.
        depth: The first guard that is not decided yet.
        known: Variable -> value.

    Returns:
        The outputs, and whether there was a branch for these outcomes: None if there is one for all that can be.
    """
    leader = group[0]
    end = _common_end(group, begin)
    eqns = [leader.eqns[i] for i in range(begin, end) if any(b.live[i] for b in group)]
    known = {**known, **_evaluate(leader, eqns, known)}
    if len(group) == 1:
        guards, predicates = leader.guards[depth:], [leader.value(p, known) for p in leader.predicates[depth:]]
        held = passed(predicates, guards) if guards else None
        return [leader.value(v, known) for v in leader.outputs], held
    predicate = leader.value(leader.predicates[depth], known)
    parts = _by_outcome(group, depth)
    is_sure = all(_is_complete(part, depth + 1) for part in parts.values())

    def branch(part: Sequence[_Branch]) -> tuple[list[Any], Any]:
        outputs, held = _run(part, end, depth + 1, known)
        return outputs, None if is_sure else jnp.asarray(True) if held is None else held

    *others, last = [(outcome, functools.partial(branch, part)) for outcome, part in parts.items()]
    chosen = last[1]
    for outcome, other in others:
        chosen = functools.partial(jax.lax.cond, predicate == outcome, other, chosen)
    outputs, held = chosen()
    if not _are_both(parts):
        met = functools.reduce(operator.or_, [predicate == outcome for outcome in parts])
        held = met if held is None else held & met
    return outputs, held


def _evaluate(branch: _Branch, eqns: Sequence[Any], known: dict[Any, Any]) -> dict[Any, Any]:
    """Return the values of all variables that some equations give."""
    made = dict.fromkeys(v for eqn in eqns for v in eqn.outvars)
    read = dict.fromkeys(v for eqn in eqns for v in eqn.invars if not isinstance(v, Literal) and v not in made)
    jaxpr = branch.jaxpr.replace(
        constvars=[],
        invars=[*read],
        outvars=[*made],
        eqns=[*eqns],
        debug_info=branch.jaxpr.debug_info.with_unknown_names(),
    )
    values = jaxpr_as_fun(ClosedJaxpr(jaxpr, ()))(*(branch.value(v, known) for v in read))
    return dict(zip(map(branch.name, made), values, strict=True))


def _common_end(group: Sequence[_Branch], begin: int) -> int:
    """Return where branches begin to differ, and name the variables before it alike."""
    leader, end = group[0], begin
    if len(group) == 1:
        return len(leader.eqns)
    while end < min(len(b.eqns) for b in group) and all(_same_equation(leader, b, end) for b in group[1:]):
        for b in group[1:]:
            b.names.update(zip(b.eqns[end].outvars, map(leader.name, leader.eqns[end].outvars), strict=True))
        end += 1
    return end


def _share_constants(programs: Sequence[_Branch]) -> None:
    """Name constants alike that are the same array, or equal ones."""
    seen: list[tuple[Any, Any]] = []
    for p in programs:
        for variable, value in zip(p.jaxpr.constvars, p.consts, strict=True):
            twin = next((v for v, other in seen if other is value or _same_value(other, value)), None)
            if twin is None:
                seen.append((variable, value))
            else:
                p.names[variable] = twin


def _same_equation(one: _Branch, other: _Branch, at: int) -> bool:
    a, b = one.eqns[at], other.eqns[at]
    if a.primitive is not b.primitive or len(a.invars) != len(b.invars) or a.params.keys() != b.params.keys():
        return False
    for v, w in zip(a.invars, b.invars, strict=True):
        if isinstance(v, Literal) or isinstance(w, Literal):
            if not (isinstance(v, Literal) and isinstance(w, Literal) and v.aval == w.aval):  # type: ignore[attr-defined]
                return False
            if not _same_value(v.val, w.val):
                return False
        elif one.name(v) is not other.name(w):
            return False
    avals = [v.aval for v in a.outvars] == [v.aval for v in b.outvars]
    return avals and all(_same_value(value, b.params[key]) for key, value in a.params.items())


def _same_value(a: Any, b: Any) -> bool:
    """Return whether two parameters of equations, or two constants, are equal."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, ClosedJaxpr):
        return fingerprint(a) == fingerprint(b)
    if isinstance(a, Jaxpr):
        return fingerprint(ClosedJaxpr(a, ())) == fingerprint(ClosedJaxpr(b, ()))
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(_same_value, a, b))
    if isinstance(a, np.ndarray | np.generic | jax.Array):
        return a.shape == b.shape and a.dtype == b.dtype and np.asarray(a).tobytes() == np.asarray(b).tobytes()
    return same(a, b) or (not isinstance(a, float) and a == b)


# -- whether variants leave the same things behind ---------------------------------------------------------------------


def _same_cells(a: Traced, b: Traced) -> bool:
    """Return whether two traces read the same things, in the same order."""
    one, other = a.lifted, b.lifted
    if one.bounds != other.bounds or one.dynamic != other.dynamic or len(one.walk.places) != len(other.walk.places):
        return False
    pairs = [(one.walk.parameters, other.walk.parameters), (one.arrays, other.arrays), (one.grads, other.grads)]
    if any(len(x) != len(y) or not all(p is q for p, q in zip(x, y, strict=True)) for x, y in pairs):
        return False
    places = zip(one.walk.places, other.walk.places, strict=True)
    return all(p.key == q.key and _same_container(p.container, q.container) for p, q in places)


def _same_container(a: Any, b: Any) -> bool:
    if a is b or type(a) is not type(b) or not isinstance(a, View):
        return a is b
    return all(
        getattr(a, slot) is getattr(b, slot) for kind in type(a).__mro__ for slot in getattr(kind, "__slots__", ())
    )


def _finish_alike(a: Traced, b: Traced) -> bool:
    """Return whether two programs write, report and return the same things, but for values of arrays."""
    one, other = a.lifted, b.lifted
    count = len(a.outputs) - len(a.guards)
    if count != len(b.outputs) - len(b.guards) or one.draws != other.draws or len(one.once) != len(other.once):
        return False
    avals = [[(v.aval.shape, v.aval.dtype) for v in t.jaxpr.jaxpr.outvars[:count]] for t in (a, b)]
    if avals[0] != avals[1]:
        return False
    outputs: list[Any] = [jax.device_put(np.float32(i)) for i in range(count)]  # what is built of them is compared
    outputs += [object() for _ in (*one.leaves, *found_in(one.holders))]  # and what may come out as it is
    try:
        return _build_alike(one, other, outputs)
    finally:
        for shared in (*one.once, *other.once):
            shared.made = None


def _build_alike(one: Lifted, other: Lifted, outputs: Sequence[Any]) -> bool:
    if not _same_result(one.result(outputs), other.result(outputs)):
        return False
    writes = [[*lifted.writes, *lifted.argument_writes] for lifted in (one, other)]
    if len(writes[0]) != len(writes[1]) or len(one.reports) != len(other.reports):
        return False
    if (one.ends, one.cut) != (other.ends, other.cut):
        return False
    for w, v in zip(*writes, strict=True):
        if (type(w), w.index, w.at, w.key) != (type(v), v.index, v.at, v.key):
            return False
        if not _same_container(w.container, v.container) or not _same_result(w.build(outputs), v.build(outputs)):
            return False
    for (values, observer, again), (others, watcher, anew) in zip(one.reports, other.reports, strict=True):
        if again is not anew or not _same_result(observer, watcher) or values.keys() != others.keys():
            return False
        if not all(_same_result(build(outputs), others[name](outputs)) for name, build in values.items()):
            return False
    return True


def _same_result(a: Any, b: Any) -> bool:
    """Return whether two values are one object, equal plain values, or containers of such."""
    if same(a, b):
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, Variable):
        described = [(v.name, v.requires_grad, v.rank) for v in (a, b)]
        return a._value is b._value and a._grad is b._grad and described[0] == described[1]
    if isinstance(a, dict):
        return [*a] == [*b] and all(_same_result(v, b[k]) for k, v in a.items())
    if isinstance(a, tuple | list | collections.deque):
        lengths = len(a) == len(b) and getattr(a, "maxlen", None) == getattr(b, "maxlen", None)
        return lengths and all(map(_same_result, a, b))
    if isinstance(a, set | frozenset):
        return a == b
    return is_record(a) and hasattr(a, "__dict__") and _same_result(vars(a), vars(b))
