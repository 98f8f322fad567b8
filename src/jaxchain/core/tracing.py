"""One callable traced on its arguments and on every cell that it reaches: the jaxpr of the static mode."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxchain.core import random
from jaxchain.core.arguments import argument_names, is_traceable, leaves_of, objects_of
from jaxchain.core.attempt import Attempt, Raised
from jaxchain.core.config import lock
from jaxchain.core.guard import NotCompilable, Outcome
from jaxchain.core.kinds import is_user_module
from jaxchain.core.state import Walk
from jaxchain.core.traced import Called, Traced

MAX_RETRACES = 8


def trace_call(
    function: Callable[..., Any],
    args: Any,
    kwargs: Any,
    roots: Sequence[tuple[str, Any]],
    name: str,
    rules: bool,
    assumed: Sequence[Outcome] = (),
    differentiate: bool = False,
    by_jax: bool = False,
) -> Traced:
    """Run `function` with tracers in its arguments and in every cell it can reach.

    Traces again while parameters are found that were not lifted or were initialised on the way, and when the program
    asks for a value that is not known yet. Whatever happens, every cell is left as it was; only initialisations of a
    trace that succeeded stay.

    With `differentiate` the outputs are followed by the gradients of parameters and arguments. Calls of `COTANGENT`
    stand for the output gradients. With `by_jax` JAX's derivative of the program is made of the gradients that ops and
    functions have.

    Raises:
        NotCompilable: The program does with a value what no variant can assume.
        Raised: It raised an error.
    """
    start = time.perf_counter()
    leaves, tree = leaves_of(args, kwargs)
    names = argument_names(function, args, kwargs)
    for argument, leaf in zip(names, leaves, strict=True):
        if isinstance(leaf, np.ndarray) and not is_traceable(leaf):
            what = f"{type(leaf).__module__}.{type(leaf).__qualname__} of {leaf.dtype}"
            raise NotCompilable(f"argument {argument} is a {what}, which JAX does not have")
    called = Called(function, leaves, tree, names, name, differentiate, by_jax)
    with lock:
        traced = _settled(called, list(roots), rules, list(assumed))
    traced.seconds = time.perf_counter() - start
    return traced


def _settled(called: Called, roots: list[tuple[str, Any]], rules: bool, outcomes: list[Outcome]) -> Traced:
    all_grads = True
    attempts = 0
    first: Attempt | None = None
    drawn = random.initializers.count
    early: list[Any] | None = [] if rules else None  # update rules begun before the trace that will, how to undo it
    try:
        while attempts < MAX_RETRACES:
            walk = Walk([*roots, *objects_of(called.leaves)], rules=rules)
            if early is not None and _begin_rules(walk, early):
                walk = Walk([*roots, *objects_of(called.leaves)], rules=rules)
            attempt, modules = Attempt(called, roots, walk, all_grads, outcomes), set(sys.modules)
            traced = attempt.run()
            if attempt.trace.makes_parameters() and first is not None and first.trace.makes_parameters():
                break
            first = first or attempt
            if isinstance(traced, Traced):
                if any(map(is_user_module, sys.modules.keys() - modules)):  # now its names are known
                    continue
                if early is not None and _forget_unused(traced, early):
                    early = None
                    continue
                early = None
                return traced
            if traced.outcome is not None:
                outcomes.append(traced.outcome)
                continue
            attempts += 1
            all_grads = all_grads and not traced.grads
            roots += [(p.name or "parameter", p) for p in traced.missing]
        raise NotCompilable("it makes parameters: new ones turn up in every trace")
    except (NotCompilable, Raised):
        if first is not None and first.trace.installation is not None:
            # also what was initialised on the way: the eager call does it, in its own order
            first.trace.installation.restore()
            first.effects.undone()
            random.initializers.count = drawn
        raise
    finally:
        for _, undo in early or ():
            undo()


def _begin_rules(walk: Walk, early: list[Any]) -> bool:
    """Make what update rules keep now: made inside the trace, it would start it over."""
    found = len(early)
    for p in walk.parameters:
        rule = p.update_rule
        if p._array is not None and hasattr(rule, "_begin"):
            undo = rule._begin(p)
            if undo is not None:
                early.append((rule, undo))
    return len(early) > found


def _forget_unused(traced: Traced, early: Sequence[Any]) -> bool:
    """Take back what no update of the trace wrote."""
    written = {id(w.container) for w in traced.lifted.writes}
    unused = [undo for rule, undo in early if written.isdisjoint((id(rule.state), id(rule._fp32_param)))]
    for undo in unused:
        undo()
    return bool(unused)
