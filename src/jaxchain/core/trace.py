"""One callable traced on its arguments and on every cell that it reaches: the jaxpr of the static mode."""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from jaxchain.core import random
from jaxchain.core.compat import is_tracer, live_inputs
from jaxchain.core.config import thread_state, using_config
from jaxchain.core.errors import StaticError, format_source, traceback_source
from jaxchain.core.guard import Guard, NotCompilable, Outcome, Questions, Undecided, answering, evaluate
from jaxchain.core.state import Installation, Outputs, Walk, read
from jaxchain.core.variable import (
    ARRAY_LIKE,
    NUMPY_TYPES,
    Parameter,
    Scope,
    Variable,
    VariableNode,
    info_of,
    scope_path,
    zeros,
)

MAX_RETRACES = 8
TRACED = (Variable, *ARRAY_LIKE, jax.ShapeDtypeStruct)  # arguments that become inputs: a shape will do for a trace
_lock = threading.RLock()


class Raised(Exception):
    """The program raised an error behind an assumed outcome."""


class Trace:
    """A trace in progress: what ops, links, the key stream and the reporter tell while it is on."""

    def __init__(self, lifted: set[int], key: Any, assumed: Sequence[Outcome]) -> None:
        self.lifted = lifted
        self.key = key
        self.draws = 0
        self.missing: list[Parameter] = []
        self.inits: list[tuple[Any, Any]] = []
        self.reports: list[tuple[dict[str, Any], Any, Any]] = []
        self.nodes: list[tuple[str, str, int, str, str]] = []
        self.calls: dict[Scope, str] = {}
        self.counts: dict[str, int] = {}
        self.root = 0
        self.questions = Questions(assumed)
        self.installation: Installation | None = None

    def notice(self, nodes: Sequence[Any], arrays: Sequence[Any]) -> None:
        """Look at an op's inputs: a concrete Parameter here was not lifted."""
        for node, array in zip(nodes, arrays, strict=False):
            if isinstance(node, VariableNode) and not is_tracer(array):
                variable = node.get_variable_or_none()
                if isinstance(variable, Parameter) and id(variable) not in self.lifted:
                    self.missing.append(variable)

    def next_key(self) -> Any:
        """Return the next key of the stream, as a tracer."""
        key = self.key if self.draws == 0 else self.key.at[2].add(np.uint32(self.draws))
        self.draws += 1
        return key

    def initialised(self, owner: Any) -> None:
        """A parameter or update rule was initialised for real: it stays so, and the trace starts over."""
        self.inits.append((owner, owner._array if isinstance(owner, Parameter) else owner.state))

    def snapshot(self) -> Any:
        """Return what every cell holds now."""
        assert self.installation is not None
        return self.installation.snapshot(), len(self.reports), len(self.inits), len(self.missing)

    def put_back(self, snapshot: Any) -> bool:
        """Put every cell back as it was at a snapshot; return whether anything had changed."""
        assert self.installation is not None
        cells, *counts = snapshot
        lists = (self.reports, self.inits, self.missing)
        changed = [len(values) for values in lists] != counts
        for values, count in zip(lists, counts, strict=True):
            del values[count:]
        return self.installation.put_back(cells) or changed

    def report(self, values: dict[str, Any], observer: Any, again: Callable[..., None]) -> None:
        """Remember what was reported: it is an output, reported by ``again(values, observer)`` after every call."""
        self.reports.append((dict(values), observer, again))

    def call_path(self, scope: Scope | None) -> str:
        """Return the path of a link call: as the link's, its later calls inside the same outer call numbered.

        ``/predictor/lstm``, then ``/predictor/lstm~2``; a link without a name goes by its class.
        """
        outer = []
        while scope is not None and scope not in self.calls:
            outer.append(scope)
            scope = scope.outer
        path = "" if scope is None else self.calls[scope]
        for inner in reversed(outer):
            path = f"{path}/{inner.link.name or type(inner.link).__name__}"
            self.counts[path] = count = self.counts.get(path, 0) + 1
            path = path if count == 1 else f"{path}~{count}"
            self.calls[inner] = path
        return path

    @contextlib.contextmanager
    def op_scope(self, label: str, name: str, node: Any = None) -> Iterator[None]:
        """Name the equations of one op after its node."""
        scope = node.scope if node is not None else thread_state().scope
        call = self.call_path(scope)
        if node is not None:
            ordinal = node.ordinal
        elif scope is not None:
            ordinal = scope.count
        else:
            ordinal = self.root
            self.root += 1
        if node is None:
            self.nodes.append((label, scope_path(scope), ordinal, name, call))
        tag = f"{label}#{ordinal}".replace("/", "|").replace(";", ",").replace("@", "a")
        if node is not None:
            tag = f"backward{call}/{tag}"
        with jax.named_scope(tag):
            yield

    @contextlib.contextmanager
    def link_scope(self, link: Any) -> Iterator[None]:
        """Name the equations of one link call after the link."""
        with jax.named_scope(self.call_path(thread_state().scope).rsplit("/", 1)[-1]):
            yield


@contextlib.contextmanager
def borrowed(target: Any, make: Callable[[list[Parameter]], Trace]) -> Iterator[None]:
    """Run code of `target` inside somebody else's transformation: its cells may be given tracers, and are put back.

    Args:
        target: A link or another root of state.
        make: Returns the trace that ops and links see, from the parameters.
    """
    state = thread_state()
    with _lock:
        walk = Walk([("target", target)], rules=False)
        cells = read(walk)
        assert cells is not None
        arrays, grads, values = cells
        installed = Installation(walk, arrays, [None] * len(grads), values)
        outer = state.trace, state.scope
        state.trace, state.scope = make(walk.parameters), None
        state.refresh()
        try:
            yield
        finally:
            state.trace, state.scope = outer
            state.refresh()
            installed.restore()


class Traced:
    """One callable traced on given arguments: the jaxpr of the static mode and what it was lifted from.

    Attributes:
        jaxpr: The closed jaxpr, one ``jit[name=...]`` equation per eager node.
        inputs: Names of its inputs: cells and arguments.
        outputs: Names of its outputs: results, then the cells that are written.
        nodes: (label, link path, ordinal, op name, path of the link's call) of each op, in the order of the calls.
        constants: What was baked in: (name, shape or value).
        guards: What was assumed about values. Their predicates are the last outputs.
    """

    def __init__(self, **fields: Any) -> None:
        self.jaxpr: ClosedJaxpr = fields["jaxpr"]
        self.name: str = fields["name"]
        self.inputs: list[str] = fields["inputs"]
        self.outputs: list[str] = fields["outputs"]
        self.nodes: list[tuple[str, str, int, str, str]] = fields["nodes"]
        self.constants: list[tuple[str, str]] = fields["constants"]
        self.guards: list[Guard] = fields["guards"]
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


def leaves_of(args: Any, kwargs: Any) -> tuple[list[Any], Any]:
    """Return the leaves of a call's arguments (Variables and None are leaves) and their structure."""
    if not kwargs and _single.issuperset(map(type, args)):
        return list(args), _flat_structure(len(args))
    _single.update(type(a) for a in args if isinstance(a, (Variable, *ARRAY_LIKE)))
    return jax.tree_util.tree_flatten((args, kwargs), is_leaf=lambda v: v is None)


_single: set[type] = set()  # types seen so far whose objects are one leaf: no need to ask JAX


@functools.cache
def _flat_structure(count: int) -> Any:
    return jax.tree_util.tree_structure(((0,) * count, {}))


def key_of(leaf: Any) -> Any:
    """Return what a variant's key holds of one argument leaf."""
    if isinstance(leaf, Variable):
        if isinstance(leaf, Parameter):
            return ("object", id(leaf))
        return ("Variable", leaf._node.info, leaf._grad is not None)
    if isinstance(leaf, TRACED):
        return info_of(leaf, False)
    try:
        hash(leaf)
    except TypeError:
        return ("object", id(leaf))
    return (type(leaf), leaf)


def _array_of(leaf: Any) -> Any:
    """Return an argument leaf as the compiled call takes it; NumPy buffers are copied, since JAX would alias them."""
    if isinstance(leaf, NUMPY_TYPES):
        return np.array(leaf)
    return leaf


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
            walk = Walk([*roots, *extra, *_objects(leaves)], rules=rules)
            if early is not None and _initialise_rules(walk, early):
                walk = Walk([*roots, *extra, *_objects(leaves)], rules=rules)
            traced, again = _trace_once(function, leaves, tree, names, walk, name, all_grads, outcomes, differentiate)
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


def _objects(leaves: Sequence[Any]) -> list[tuple[str, Any]]:
    """Return the arguments that state may hang on."""
    return [
        (f"argument {i}", leaf)
        for i, leaf in enumerate(leaves)
        if isinstance(leaf, Parameter) or not isinstance(leaf, TRACED)
    ]


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
    argument_names: list[str] = []
    for i in dynamic:
        leaf = leaves[i]
        arguments.append(leaf._array if isinstance(leaf, Variable) else _array_of(leaf))
        argument_names.append(names[i])
        if isinstance(leaf, Variable) and leaf._grad is not None:
            arguments.append(leaf.grad)
            argument_names.append(f"{names[i]}.grad")
    groups = {
        "key": [random.ops.state()],
        "arrays": [a for a in arrays if a is not None],
        "grads": [g for g in grad_values if g is not None],
        "places": places,
        "arguments": arguments,
    }
    flat = [v for g in groups.values() for v in g]
    outputs = Outputs()
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
        state.trace, state.scope = trace, None
        state.refresh()
        ok = False
        try:
            installation.freeze()
            stand_ins = list(leaves)
            originals: list[tuple[int, Variable, Any, Any]] = []
            for i in dynamic:
                leaf = leaves[i]
                array = next(rest)
                if isinstance(leaf, Variable):
                    stand_in = Variable(array, name=leaf.name, requires_grad=leaf.requires_grad)
                    grad = None
                    if leaf._grad is not None:
                        stand_in._grad = grad = next(rest)
                    originals.append((i, stand_in, array, grad))
                    stand_ins[i] = stand_in
                else:
                    stand_ins[i] = array
            call_args, call_kwargs = jax.tree_util.tree_unflatten(tree, stand_ins)
            result = function(*call_args, **call_kwargs)
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
            ok = trace.questions.undecided is None
            return tuple(outputs.arrays) if ok else (trace.questions.undecided,)
        except Undecided:
            return (trace.questions.undecided,)
        finally:
            state.trace, state.scope = old_trace, old_scope
            state.refresh()
            installation.restore()
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
    with _lock, answering():
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
            if found["trace"].questions.guards:
                raise Raised from error
            raise
    trace: Trace = found["trace"]
    if trace.questions.undecided is not None:
        if any(isinstance(v, jax.ShapeDtypeStruct) for v in flat):
            raise NotCompilable(f"it branches on a value, and there are only shapes: {trace.questions.asked}")
        return None, evaluate(jaxpr, flat)
    if trace.inits or trace.missing:
        return None, trace.missing
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
    input_names += argument_names
    constants = [
        (f"constant {i}", f"{c.dtype}[{','.join(map(str, c.shape))}]")
        for i, c in enumerate(jaxpr.consts)
        if getattr(c, "size", 0) > 1
    ]
    constants += [(n, f"NumPy array {a.dtype}{list(a.shape)}, changes in place are not seen") for n, a in walk.large]
    constants += [
        (n, repr(v))
        for n, v in zip(walk.plain_names, walk.plain_values, strict=True)
        if isinstance(v, bool | int | float | str) and not n.rsplit(".", 1)[-1].startswith("_")
    ]
    grads_read = [i for i in range(len(groups["grads"])) if live[at + i]]
    fields = {
        "jaxpr": jaxpr,
        "name": name,
        "inputs": input_names,
        "outputs": outputs.names,
        "nodes": trace.nodes,
        "constants": constants,
        "guards": trace.questions.guards,
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
    from jaxchain.core.state import count

    names = []
    for name, template in zip(walk.place_names, walk.templates, strict=True):
        n = count(template)
        names += [name] if n == 1 else [f"{name}.{i}" for i in range(n)]
    return names


def argument_names(function: Callable[..., Any], args: Any, kwargs: Any) -> list[str]:
    """Return the name of each leaf of a call's arguments, as in ``x``, ``batch['image']``."""
    paths = jax.tree_util.tree_flatten_with_path((args, kwargs), is_leaf=lambda v: v is None)[0]
    function = inspect.unwrap(function)
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    known: tuple[str, ...] = code.co_varnames[: code.co_argcount] if code is not None else ()
    known = known[1:] if hasattr(function, "__self__") or known[:1] == ("self",) else known
    names = []
    for path, _ in paths:
        head, rest = path[1], path[2:]
        if path[0].idx == 0:
            first = known[head.idx] if head.idx < len(known) else f"argument {head.idx}"
        else:
            first = head.key
        names.append(f"{first}{jax.tree_util.keystr(rest)}")
    return names


def _control_flow_error(error: Exception) -> NotCompilable:
    return NotCompilable(
        f"it takes a value out of the program: {format_source(traceback_source(error)) or 'unknown line'}"
    )
