"""One callable traced on its arguments and on every cell that it reaches: the jaxpr of the static mode."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from jaxchain.core import random
from jaxchain.core.arguments import TRACED, argument_names, array_of, containers_in, leaves_of, objects_of
from jaxchain.core.cells import contents_of, count, holds
from jaxchain.core.compat import live_inputs
from jaxchain.core.config import thread_state, using_config
from jaxchain.core.effects import Effects
from jaxchain.core.errors import StaticError, format_source, traceback_source
from jaxchain.core.guard import Guard, NotCompilable, Outcome, Refused, Undecided, answering, evaluate
from jaxchain.core.installation import Installation, Outputs, Untaken, lock, read
from jaxchain.core.outside import watched
from jaxchain.core.state import SAMPLE, Walk, is_iterator
from jaxchain.core.trace import Call, Trace
from jaxchain.core.variable import (
    Parameter,
    Variable,
    zeros,
)

MAX_RETRACES = 8


class Raised(Exception):
    """The program raised an error behind an assumed outcome."""


class Traced:
    """One callable traced on given arguments: the jaxpr of the static mode and what it was lifted from.

    Attributes:
        jaxpr: The closed jaxpr, one ``jit[name=...]`` equation per eager node.
        inputs: Names of its inputs: cells and arguments.
        outputs: Names of its outputs: results, then the cells that are written.
        nodes: The ops, in the order of the calls.
        constants: What was baked in: (name, shape or value).
        guards: What was assumed about values. Their predicates are the last outputs.
        prints: The lines that print something: it is printed after every call.
    """

    def __init__(self, **fields: Any) -> None:
        self.jaxpr: ClosedJaxpr = fields["jaxpr"]
        self.name: str = fields["name"]
        self.inputs: list[str] = fields["inputs"]
        self.outputs: list[str] = fields["outputs"]
        self.nodes: list[Call] = fields["nodes"]
        self.constants: list[tuple[str, str]] = fields["constants"]
        self.guards: list[Guard] = fields["guards"]
        self.prints: list[str] = fields["prints"]
        self.values: list[Any] = fields["values"]
        self.plan: dict[str, Any] = fields["plan"]
        self.seconds: float = fields["seconds"]

    def forget_values(self) -> None:
        """Keep the shapes and dtypes it was traced on, not the values: they would live as long as the program."""
        self.values = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in self.jaxpr.jaxpr.invars]
        self.plan.clear()

    def lower(self) -> jax.stages.Lowered:
        """Lower to StableHLO for the default backend."""
        function = jaxpr_as_fun(self.jaxpr)

        def call(*args: Any) -> Any:
            return tuple(function(*args))

        call.__name__ = self.name
        return jax.jit(call, keep_unused=True).lower(*self.values)


@contextlib.contextmanager
def borrowed(target: Any, make: Callable[[list[Parameter]], Trace]) -> Iterator[None]:
    """Run code of `target` inside somebody else's transformation: its cells may be given tracers, and are put back.

    Args:
        target: A link or another root of state.
        make: Returns the trace that ops and links see, from the parameters.
    """
    state = thread_state()
    with lock:
        walk = Walk([("target", target)], rules=False)
        cells = read(walk)
        assert cells is not None
        arrays, grads, values = cells
        installed = Installation(walk, arrays, [None] * len(grads), values)
        outer = state.trace, state.scope
        state.trace = make(walk.parameters)
        state.scope = state.trace.root
        state.refresh()
        try:
            yield
        finally:
            state.trace, state.scope = outer
            state.refresh()
            installed.restore()


def trace_call(
    function: Callable[..., Any],
    args: Any,
    kwargs: Any,
    roots: Sequence[tuple[str, Any]],
    name: str,
    rules: bool,
    assumed: Sequence[Outcome] = (),
    differentiate: bool = False,
) -> Traced:
    """Run `function` with tracers in its arguments and in every cell it can reach.

    Traces again while parameters are found that were not lifted or were initialised on the way, and when the program
    asks for a value that is not known yet. Whatever happens, every cell is left as it was; only initialisations of a
    trace that succeeded stay.

    With `differentiate` the outputs are followed by the gradients of parameters and arguments. Calls of `COTANGENT`
    stand for the output gradients.

    Raises:
        NotCompilable: The program does with a value what no variant can assume.
    """
    with lock:
        return _trace_call(function, args, kwargs, roots, name, rules, assumed, differentiate)


def _trace_call(
    function: Callable[..., Any],
    args: Any,
    kwargs: Any,
    roots: Sequence[tuple[str, Any]],
    name: str,
    rules: bool,
    assumed: Sequence[Outcome],
    differentiate: bool,
) -> Traced:
    start = time.perf_counter()
    leaves, tree = leaves_of(args, kwargs)
    names = argument_names(function, args, kwargs)
    extra: list[tuple[str, Any]] = []
    outcomes = list(assumed)
    all_grads = True
    attempts = 0
    early: list[Any] | None = [] if rules else None  # update rules initialised before the trace that will ask for it
    try:
        while attempts < MAX_RETRACES:
            walk = Walk([*roots, *extra, *objects_of(leaves)], rules=rules)
            if early is not None and _initialise_rules(walk, early):
                walk = Walk([*roots, *extra, *objects_of(leaves)], rules=rules)
            every = [*roots, *extra]
            traced, again = _trace_once(
                function, leaves, tree, names, walk, name, all_grads, outcomes, differentiate, every
            )
            if traced is not None:
                if early is not None and _forget_unused(traced, early):
                    early = None
                    continue
                early = None
                traced.seconds = time.perf_counter() - start
                return traced
            if isinstance(again, bool | int):
                outcomes.append(again)
                continue
            attempts += 1
            if again == "grads":
                all_grads = False
            elif again:
                extra += [(p.name or "parameter", p) for p in again]
    finally:
        for rule in early or ():
            rule._uninitialise()
    raise StaticError(
        f"{name}: tracing did not settle after {MAX_RETRACES} attempts: new parameters turn up in every one"
    )


def _initialise_rules(walk: Walk, early: list[Any]) -> bool:
    """Make the slots of update rules now: made inside the trace, they would start it over."""
    found = len(early)
    for p in walk.parameters:
        rule = p.update_rule
        if p._array is not None and hasattr(rule, "_init_states") and rule.state is None:
            rule._init_states(p)
            if rule.state:
                early.append(rule)
            else:
                rule._uninitialise()
    return len(early) > found


def _forget_unused(traced: Traced, early: Sequence[Any]) -> bool:
    """Take back the slots that no update of the trace wrote."""
    written = {id(w.container) for w in traced.plan["writes"]}
    unused = [rule for rule in early if id(rule.state) not in written]
    for rule in unused:
        rule._uninitialise()
    return bool(unused)


def _holders(walk: Walk, leaves: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Return the places that hold Variables: an argument may be one of these."""
    if not any(isinstance(leaf, Variable) for leaf in leaves):
        return []
    return [place for place, t in zip(walk.places, walk.templates, strict=True) if t[0] in ("var", "tuple")]


def _trace_once(
    function: Callable[..., Any],
    leaves: Sequence[Any],
    tree: Any,
    names: Sequence[str],
    walk: Walk,
    name: str,
    all_grads: bool,
    assumed: Sequence[Outcome],
    differentiate: bool,
    roots: Sequence[tuple[str, Any]] = (),
) -> tuple[Traced | None, Any]:
    state_values = read(walk)
    assert state_values is not None
    arrays, grads, places = state_values
    placeholder = functools.cache(zeros)
    # with all_grads every initialised parameter gets a gradient tracer, also where it is None: if none is read, as in a
    # step that clears them first, the variant serves both cases
    grad_values = [
        None
        if a is None
        else (g.array if isinstance(g, Variable) else g)
        if g is not None
        else (placeholder(a.shape, a.dtype) if all_grads else None)
        for a, g in zip(arrays, grads, strict=True)
    ]
    dynamic = [i for i, leaf in enumerate(leaves) if isinstance(leaf, TRACED) and not isinstance(leaf, Parameter)]
    arguments: list[Any] = []
    given_names: list[str] = []
    for i in dynamic:
        leaf = leaves[i]
        arguments.append(leaf._array if isinstance(leaf, Variable) else array_of(leaf))
        given_names.append(names[i])
        if isinstance(leaf, Variable) and leaf._grad is not None:
            arguments.append(leaf.grad)
            given_names.append(f"{names[i]}.grad")
    groups = {
        "key": [random.ops.state()],
        "arrays": [a for a in arrays if a is not None],
        "grads": [g for g in grad_values if g is not None],
        "places": places,
        "arguments": arguments,
    }
    flat = [v for g in groups.values() for v in g]
    outputs = Outputs(walk)
    effects = Effects(walk)
    found: dict[str, Any] = {}
    state = thread_state()

    def pure(*tracers: Any) -> Any:
        rest = iter(tracers)
        trace = found["trace"] = Trace({id(p) for p in walk.parameters}, next(rest), assumed)
        for leaf in leaves:
            if isinstance(leaf, Parameter):
                trace.lifted.add(id(leaf))
        new_arrays = [None if a is None else next(rest) for a in arrays]
        new_grads = [None if g is None else next(rest) for g in grad_values]
        installation = Installation(walk, new_arrays, new_grads, [next(rest) for _ in places])
        trace.installation = installation
        old_trace, old_scope, old_init = state.trace, state.scope, random.initializers.count
        state.trace, state.scope = trace, trace.root
        state.refresh()
        ok = False
        try:
            installation.freeze()
            stand_ins = list(leaves)
            originals: list[tuple[int, Variable, Any, Any]] = []
            for i, leaf in enumerate(leaves):
                if is_iterator(leaf):
                    stand_ins[i] = Untaken(names[i])
            known = {i: leaf for i, (leaf, _) in installation.variables.items()}
            for i in dynamic:
                leaf = leaves[i]
                array = next(rest)
                if id(leaf) in known:  # the state holds it, or it came before
                    stand_ins[i] = known[id(leaf)]
                    if leaf._grad is not None:
                        next(rest)
                elif isinstance(leaf, Variable):
                    stand_in = Variable(array, name=leaf.name, requires_grad=leaf.requires_grad)
                    grad = None
                    if leaf._grad is not None:
                        stand_in._grad = grad = next(rest)
                    originals.append((i, stand_in, array, grad))
                    stand_ins[i] = known[id(leaf)] = stand_in
                else:
                    stand_ins[i] = array
            call_args, call_kwargs = jax.tree_util.tree_unflatten(tree, stand_ins)
            given = [(c, contents_of(c)) for c in containers_in((call_args, [*call_kwargs.values()]))]
            result = function(*call_args, **call_kwargs)
            if not all(holds(c, contents) for c, contents in given):
                raise NotCompilable("it changes a list or a dictionary that is an argument")
            found["result"] = outputs.builder(result)
            outputs.name = "argument"
            found["argument_writes"] = []
            for i, stand_in, array, grad in originals:
                if stand_in._array is not array:
                    found["argument_writes"].append((i, "array", outputs.builder(stand_in._array)))
                if stand_in._grad is not grad:
                    found["argument_writes"].append((i, "grad", outputs.builder(stand_in.grad)))
            found["writes"] = installation.writes(outputs)
            found["reports"] = [
                ({k: outputs.builder(v) for k, v in values.items()}, observer, again)
                for values, observer, again in trace.reports
            ]
            outputs.name = "guard"
            outputs.arrays += trace.questions.predicates  # always the last
            outputs.names += [str(g) for g in trace.questions.guards]
            if differentiate:
                position = {id(t): i for i, t in enumerate(tracers)}
                leaves_in = [(p._node, a) for p, a in zip(walk.parameters, new_arrays, strict=True)]
                leaves_in += [(v._node, array) for _, v, array, _ in originals]
                leaves_in += [(v._node, v._array) for v, _ in installation.variables.values()]
                targets = {node: position[id(a)] for node, a in leaves_in if id(a) in position}
                found["gradients"] = _gradients(outputs, targets)
            ok = trace.questions.undecided is None and trace.questions.refused is None
            return tuple(outputs.arrays) if ok else (trace.questions.undecided,)
        except (Undecided, Refused):
            return (trace.questions.undecided,)
        finally:
            state.trace, state.scope = old_trace, old_scope
            state.refresh()
            installation.restore()
            if not (ok and trace.inits):  # what is initialised on the way stays so
                trace.questions.refused = trace.questions.refused or effects.undone()
            effects.forget_tracers()
            if ok:
                for owner, value in trace.inits:
                    if isinstance(owner, Parameter):
                        owner.array = value
                    else:
                        owner.state = value
            else:
                random.initializers.count = old_init

    pure.__name__ = name
    start = time.perf_counter()
    with answering(), watched():
        try:
            jaxpr = jax.make_jaxpr(pure)(*flat)
        except (
            jax.errors.ConcretizationTypeError,
            jax.errors.TracerArrayConversionError,
            jax.errors.TracerIntegerConversionError,
        ) as error:
            raise _control_flow_error(error) from error
        except StaticError:
            raise
        except Exception as error:
            if found["trace"].questions.refused is not None:
                raise NotCompilable(found["trace"].questions.refused) from error
            if found["trace"].questions.guards:
                raise Raised from error
            found["trace"].print_out()
            raise
    trace: Trace = found["trace"]
    if trace.questions.refused is not None:
        raise NotCompilable(trace.questions.refused)
    if trace.questions.undecided is not None:
        if any(isinstance(v, jax.ShapeDtypeStruct) for v in flat):
            raise NotCompilable(f"it branches on a value, and there are only shapes: {trace.questions.asked}")
        return None, evaluate(jaxpr, flat)
    if trace.inits or trace.missing:
        return None, trace.missing
    jaxpr = ClosedJaxpr(jaxpr.jaxpr, [c.copy() if isinstance(c, np.ndarray) else c for c in jaxpr.consts])
    live = live_inputs(jaxpr.jaxpr)
    at = 1 + len(groups["arrays"])
    if (
        all_grads
        and any(g is None and v is not None for g, v in zip(grads, grad_values, strict=True))
        and any(live[at : at + len(groups["grads"])])
    ):
        return None, "grads"
    input_names = ["random key"]
    input_names += [n for n, a in zip(walk.parameter_names, arrays, strict=True) if a is not None]
    input_names += [f"{n}.grad" for n, g in zip(walk.parameter_names, grad_values, strict=True) if g is not None]
    input_names += _place_names(walk)
    input_names += given_names
    constants = [
        (f"constant {i}", f"{c.dtype}[{','.join(map(str, c.shape))}]")
        for i, c in enumerate(jaxpr.consts)
        if getattr(c, "size", 0) > 1
    ]
    constants += [
        (n, f"NumPy array {a.dtype}{list(a.shape)}, changes in place are looked for in {SAMPLE} elements")
        for n, a in walk.large
    ]
    constants += [(n, f"{kind} object, not looked into") for n, kind in walk.unseen]
    constants += [
        (n, repr(v))
        for n, v in zip(walk.plain_names, walk.plain_values, strict=True)
        if isinstance(v, bool | int | float | str) and not n.rsplit(".", 1)[-1].startswith("_")
    ]
    walk.environment.update(trace.environment)
    constants += [(f"os.environ[{k!r}]", repr(v)) for k, v in walk.environment.items()]
    grads_read = [i for i in range(len(groups["grads"])) if live[at + i]]
    fields = {
        "jaxpr": jaxpr,
        "name": name,
        "inputs": input_names,
        "outputs": outputs.names,
        "nodes": trace.nodes,
        "constants": constants,
        "guards": trace.questions.guards,
        "prints": [format_source(s) for s, _ in trace.prints],
        "values": flat,
        "seconds": time.perf_counter() - start,
        "plan": {
            **found,
            "walk": walk,
            "live": live,
            "groups": groups,
            "arrays": [p for p, a in zip(walk.parameters, arrays, strict=True) if a is not None],
            "uninitialised": [p for p, a in zip(walk.parameters, arrays, strict=True) if a is None],
            "grads": [p for p, g in zip(walk.parameters, grad_values, strict=True) if g is not None],
            "grads_read": bool(grads_read) or not all_grads,
            "grad_none": [g is None for g in grads],
            "dynamic": dynamic,
            "leaves": leaves,
            "roots": roots,
            "holders": _holders(walk, leaves),
            "uses": outputs.uses,
        },
    }
    return Traced(**fields), None


COTANGENT = "output_gradient"


def _gradients(outputs: Outputs, targets: dict[Any, int]) -> tuple[list[int], list[int]]:
    """Add the gradients of `targets` (node -> input number) to the outputs, from placeholders for output gradients.

    The tape decides what a gradient is, as in eager mode: not JAX, which would see through what is not on the tape.

    Returns:
        The outputs that have a gradient, and the inputs that get one.
    """
    from jaxchain.core.walk import walk

    seeds, differentiable = [], []
    for at, node in outputs.nodes.items():
        if (node.creator_node is not None or node in targets) and node.info.differentiable:

            def output_gradient(info: Any = node.info) -> Any:
                return jnp.zeros(info.shape, info.dtype)

            output_gradient.__name__ = COTANGENT
            seeds.append((node, jax.jit(output_gradient)()))
            differentiable.append(at)
    with using_config("enable_backprop", False):
        found = walk(seeds)
    reached = [(targets[node], gradient) for node, gradient in found.items() if node in targets]
    outputs.arrays += [gradient for _, gradient in reached]
    return differentiable, [at for at, _ in reached]


def _place_names(walk: Walk) -> list[str]:
    names = []
    for name, template in zip(walk.place_names, walk.templates, strict=True):
        n = count(template)
        names += [name] if n == 1 else [f"{name}.{i}" for i in range(n)]
    return names


def _control_flow_error(error: Exception) -> NotCompilable:
    return NotCompilable(
        f"it takes a value out of the program: {format_source(traceback_source(error)) or 'unknown line'}"
    )
