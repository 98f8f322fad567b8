"""One callable traced on its arguments and on every cell that it reaches: the jaxpr of the static mode."""

from __future__ import annotations

import collections
import contextlib
import functools
import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from jaxchain.core import random
from jaxchain.core.cells import contents_of, count, holds, tuple_of
from jaxchain.core.compat import is_tracer, live_inputs
from jaxchain.core.config import thread_state, using_config
from jaxchain.core.effects import Effects
from jaxchain.core.errors import StaticError, call_site, format_source, source_of, traceback_source
from jaxchain.core.guard import Guard, NotCompilable, Outcome, Questions, Refused, Undecided, answering, evaluate
from jaxchain.core.installation import Installation, Outputs, Untaken, lock, read
from jaxchain.core.outside import watched
from jaxchain.core.state import SAMPLE, Walk, is_iterator, is_record
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


class Call(NamedTuple):
    """A call of an op that was traced: an eager node, in the views.

    Attributes:
        label: ``LinearFunction``.
        path: Path of the link: ``/predictor/l1``.
        ordinal: Which op of its link's call.
        op: Name of the op.
        call: Path of the link's call (`Trace.call_path`).
        source: File, line and function of the user's call, or None.
    """

    label: str
    path: str
    ordinal: int
    op: str
    call: str
    source: tuple[str, int, str] | None


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
        self.nodes: list[Call] = []
        self.root = Scope(None, SimpleNamespace(name=""))  # around everything: its ops are numbered, too
        self.calls: dict[Scope, str] = {self.root: ""}
        self.counts: dict[str, int] = {}
        self.prints: list[tuple[Any, int]] = []  # where something was printed or logged, and its place in the reports
        self.environment: dict[str, str | None] = {}  # the variables that were read
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
        return self.installation.snapshot(), *map(len, (self.reports, self.prints, self.inits, self.missing))

    def put_back(self, snapshot: Any) -> bool:
        """Put every cell back as it was at a snapshot; return whether anything had changed."""
        assert self.installation is not None
        cells, *counts = snapshot
        lists = (self.reports, self.prints, self.inits, self.missing)
        changed = [len(values) for values in lists] != counts
        for values, length in zip(lists, counts, strict=True):
            del values[length:]
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

    def repeat(self, args: Sequence[Any], extra: Any, source: Any, again: Callable[..., None] | None = None) -> None:
        """Remember what was printed or logged: ``again(values, extra)`` does it after every call, with the values."""
        self.prints.append((source, len(self.reports)))
        values = {str(i): _as_printed(value) for i, value in enumerate(args)}
        self.reports.append((values, extra, again or _print_again))

    def print_out(self) -> None:
        """Print what the program printed before it failed."""
        for _, at in self.prints:
            values, extra, again = self.reports[at]
            again(values, extra)

    def op_scope(self, label: str, name: str, node: Any = None) -> contextlib.AbstractContextManager[Any]:
        """Name the equations of one op after its node, or those of its gradient after the `node` there is."""
        scope = thread_state().scope if node is None else node.scope
        ordinal = scope.count if node is None else node.ordinal
        call = self.call_path(scope)
        tag = f"{label}#{ordinal}".replace("/", "|").replace(";", ",").replace("@", "a")
        if node is not None:
            return jax.named_scope(f"backward{call}/{tag}")
        self.nodes.append(Call(label, scope_path(scope), ordinal, name, call, source_of(call_site(1))))
        return jax.named_scope(tag)

    def link_scope(self) -> contextlib.AbstractContextManager[Any]:
        """Name the equations of the innermost link call after the link."""
        return jax.named_scope(self.call_path(thread_state().scope).rsplit("/", 1)[-1])


def _as_printed(value: Any) -> Any:
    """Return what `print` would write of a value now, as far as it is known before the call."""
    if isinstance(value, Variable) and value._array is not None:
        return Variable(value._array, name=value.name)
    if type(value) in (list, tuple, dict, set):
        return contents_of(value) if type(value) is not tuple else tuple(map(_as_printed, value))
    return value


def _print_again(values: dict[str, Any], kwargs: dict[str, Any]) -> None:
    print(*values.values(), **kwargs)


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


def leaves_of(args: Any, kwargs: Any) -> tuple[list[Any], Any]:
    """Return the leaves of a call's arguments (Variables and None are leaves) and their structure."""
    if not kwargs and _single.issuperset(map(type, args)):
        return list(args), _flat_structure(len(args))
    _single.update(type(a) for a in args if isinstance(a, (Variable, *ARRAY_LIKE)))
    return jax.tree_util.tree_flatten(_in_order((args, kwargs)), is_leaf=lambda v: v is None)


class _Dict(dict):
    """A dictionary in an argument: JAX would sort its keys, and a program may go through them."""


def _flatten_dict(value: _Dict) -> tuple[Any, Any]:
    return [(jax.tree_util.DictKey(k), v) for k, v in value.items()], tuple(value)


def _unflatten_dict(keys: Any, values: Any) -> Any:
    return dict(zip(keys, values, strict=True))


jax.tree_util.register_pytree_with_keys(_Dict, _flatten_dict, _unflatten_dict)


def _in_order(value: Any) -> Any:
    """Return a call's arguments with dictionaries that stay in order."""
    kind = type(value)
    if kind is dict:
        return _Dict((k, _in_order(v)) for k, v in value.items())
    if kind is list:
        return list(map(_in_order, value))
    return tuple_of(kind, map(_in_order, value)) if isinstance(value, tuple) else value


_single: set[type] = set()  # types seen so far whose objects are one leaf: no need to ask JAX


@functools.cache
def _flat_structure(count: int) -> Any:
    return jax.tree_util.tree_structure(((0,) * count, _Dict()))


def key_of(leaf: Any) -> Any:
    """Return what a variant's key holds of one argument leaf."""
    if isinstance(leaf, Variable):
        if isinstance(leaf, Parameter):
            return ("object", id(leaf))
        return ("Variable", leaf._node.info, leaf._grad is not None)
    if isinstance(leaf, TRACED):
        return info_of(leaf, False)
    if isinstance(leaf, float):
        return (type(leaf), leaf.hex())  # two zeros are two, and NaN is one
    if is_exchangeable(leaf):
        return ("record", type(leaf))
    try:
        hash(leaf)
    except TypeError:
        return ("object", id(leaf))
    return (type(leaf), leaf)


def is_exchangeable(leaf: Any) -> bool:
    """Return whether an argument is an object with data and no equality: each call may bring another."""
    kind = type(leaf)
    return kind.__hash__ in (object.__hash__, None) and (kind in (set, collections.deque) or is_record(leaf))


def keys_of(leaves: Sequence[Any]) -> tuple[Any, ...]:
    """Return what a variant's key holds of the arguments, and which Variables among them are one."""
    keys = tuple(map(key_of, leaves))
    if len(leaves) > 1 and len(set(map(id, leaves))) < len(leaves):
        at: dict[int, int] = {}
        firsts = tuple(at.setdefault(id(v), i) if isinstance(v, Variable) else i for i, v in enumerate(leaves))
        if firsts != tuple(range(len(leaves))):
            return (*keys, ("aliases", firsts))
    return keys


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


def _containers(value: Any) -> Iterator[Any]:
    """Return the lists and dictionaries in a call's arguments."""
    if isinstance(value, list | dict):
        yield value
    if isinstance(value, list | dict | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _containers(inner)


def objects_of(leaves: Sequence[Any]) -> list[tuple[str, Any]]:
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
            given = [(c, contents_of(c)) for c in _containers((call_args, [*call_kwargs.values()]))]
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
    input_names += argument_names
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


def argument_names(function: Callable[..., Any], args: Any, kwargs: Any) -> list[str]:
    """Return the name of each leaf of a call's arguments, as in ``x``, ``batch['image']``."""
    paths = jax.tree_util.tree_flatten_with_path(_in_order((args, kwargs)), is_leaf=lambda v: v is None)[0]
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
