"""Static mode: trace -> lift -> compile -> call -> write back.

The same Python code as in eager mode runs once with tracers in the cells (core/state.py); its jaxpr is compiled and
replayed. A call gathers the cells that the program reads into one flat tuple, calls the compiled program and writes the
results back. There is no second implementation of anything.

Three doors: `static(fn)` for a function (a whole training step), `link.static()` and `using_config("mode", "static")`
for the outermost link call. The latter leave one differentiable node in the eager graph, so `loss.backward()` works on
them, compiled.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from jaxchain.core import random
from jaxchain.core.config import snapshot, thread_state
from jaxchain.core.errors import StaticError, format_source, traceback_source
from jaxchain.core.explain import Compile, Explanation, warn_if_often
from jaxchain.core.op import Op, live_inputs
from jaxchain.core.state import Installation, Outputs, Walk, Write, aval_of, read
from jaxchain.core.variable import Parameter, Variable, VariableNode, info_of, scope_path

MAX_RETRACES = 8
_lock = threading.RLock()


class VariantMismatch(Exception):
    """A cell no longer has the shape or dtype that a variant was compiled for."""


# -- tracing -----------------------------------------------------------------------------------------------------------


class Trace:
    """A trace in progress: what ops, links, the key stream and the reporter tell while it is on."""

    def __init__(self, lifted: set[int], key: Any) -> None:
        self.lifted = lifted
        self.key = key
        self.draws = 0
        self.missing: list[Parameter] = []
        self.inits: list[tuple[Any, Any]] = []
        self.reports: list[tuple[dict[str, Any], Any]] = []
        self.nodes: list[tuple[str, str, int, str]] = []
        self.root = 0

    def notice(self, nodes: Sequence[Any], arrays: Sequence[Any]) -> None:
        """Look at an op's inputs: a concrete Parameter here was not lifted."""
        for node, array in zip(nodes, arrays, strict=False):
            if isinstance(node, VariableNode) and not isinstance(array, jax.core.Tracer):
                variable = node.get_variable_or_none()
                if isinstance(variable, Parameter) and id(variable) not in self.lifted:
                    self.missing.append(variable)

    def next_key(self) -> Any:
        """Return the next key of the stream, as a tracer."""
        offset = np.array([0, 0, self.draws], np.uint32)
        self.draws += 1
        return self.key + offset

    def initialised(self, owner: Any) -> None:
        """A parameter or update rule was initialised for real: it stays so, and the trace starts over with it lifted."""
        self.inits.append((owner, owner._array if isinstance(owner, Parameter) else owner.state))

    def report(self, values: dict[str, Any], observer: Any) -> None:
        """Remember what was reported: it is an output, reported again after every call."""
        self.reports.append((dict(values), observer))

    @contextlib.contextmanager
    def op_scope(self, label: str, name: str, node: Any = None) -> Iterator[None]:
        """Name the equations of one op after its node."""
        scope = node.scope if node is not None else thread_state().scope
        path = scope_path(scope)
        if node is not None:
            ordinal = node.ordinal
        elif scope is not None:
            ordinal = scope.count
        else:
            ordinal = self.root
            self.root += 1
        if node is None:
            self.nodes.append((label, path, ordinal, name))
        tag = f"{label}#{ordinal}".replace("/", "|").replace(";", ",").replace("@", "a")
        if node is not None:
            tag = f"backward{path}/{tag}"
        with jax.named_scope(tag):
            yield

    @contextlib.contextmanager
    def link_scope(self, link: Any) -> Iterator[None]:
        """Name the equations of one link call after the link."""
        with jax.named_scope(link.name or type(link).__name__):
            yield


class Traced:
    """One callable traced on given arguments: the jaxpr of the static mode and what it was lifted from.

    Attributes:
        jaxpr: The closed jaxpr, one ``jit[name=...]`` equation per eager node.
        inputs: Names of its inputs: cells and arguments.
        outputs: Names of its outputs: results, then the cells that are written.
        nodes: (label, link path, ordinal, op name) of each op, in the order of the calls.
        constants: What was baked in: (name, shape or value).
    """

    def __init__(self, **fields: Any) -> None:
        self.jaxpr: ClosedJaxpr = fields["jaxpr"]
        self.name: str = fields["name"]
        self.inputs: list[str] = fields["inputs"]
        self.outputs: list[str] = fields["outputs"]
        self.nodes: list[tuple[str, str, int, str]] = fields["nodes"]
        self.constants: list[tuple[str, str]] = fields["constants"]
        self.values: list[Any] = fields["values"]
        self.plan: dict[str, Any] = fields["plan"]
        self.seconds: float = fields["seconds"]

    def lower(self) -> jax.stages.Lowered:
        """Lower to StableHLO for the default backend."""
        function = jaxpr_as_fun(self.jaxpr)

        def call(*args: Any) -> Any:
            return tuple(function(*args))

        call.__name__ = self.name
        return jax.jit(call, keep_unused=True).lower(*self.values)


def _leaves(args: Any, kwargs: Any) -> tuple[list[Any], Any]:
    return jax.tree_util.tree_flatten((args, kwargs), is_leaf=lambda v: v is None)


ARRAY_LIKE = (jax.Array, np.ndarray, np.generic)


def _key_of(leaf: Any) -> Any:
    """Return what a variant's key holds of one argument leaf."""
    if isinstance(leaf, Variable):
        if isinstance(leaf, Parameter):
            return ("object", id(leaf))
        return ("Variable", leaf._node.info, leaf._grad is not None)
    if isinstance(leaf, ARRAY_LIKE):
        return info_of(leaf, False)
    try:
        hash(leaf)
    except TypeError:
        return ("object", id(leaf))
    return (type(leaf), leaf)


def _array_of(leaf: Any) -> Any:
    """Return an argument leaf as the compiled call takes it; NumPy buffers are copied, since JAX would alias them."""
    if isinstance(leaf, np.ndarray | np.generic):
        return np.array(leaf)
    return leaf


def trace_call(function: Callable[..., Any], args: Any, kwargs: Any, roots: Sequence[tuple[str, Any]], name: str, rules: bool) -> Traced:
    """Run `function` with tracers in its arguments and in every cell it can reach.

    Traces again while parameters are found that were not lifted or were initialised on the way. Whatever happens, every
    cell is left as it was; only initialisations of a trace that succeeded stay.
    """
    start = time.perf_counter()
    extra: list[tuple[str, Any]] = []
    all_grads = True
    for _ in range(MAX_RETRACES):
        traced, again = _trace_once(function, args, kwargs, [*roots, *extra], name, rules, all_grads)
        if traced is not None:
            traced.seconds = time.perf_counter() - start
            return traced
        if again == "grads":
            all_grads = False
        elif again:
            extra += [(p.name or "parameter", p) for p in again]
    raise StaticError(f"{name}: tracing did not settle after {MAX_RETRACES} attempts: new parameters turn up in every one")


def _trace_once(
    function: Callable[..., Any], args: Any, kwargs: Any, roots: Sequence[tuple[str, Any]], name: str, rules: bool, all_grads: bool
) -> tuple[Traced | None, Any]:
    leaves, tree = _leaves(args, kwargs)
    objects = [
        (f"argument {i}", leaf) for i, leaf in enumerate(leaves) if isinstance(leaf, Parameter) or not isinstance(leaf, (Variable, *ARRAY_LIKE))
    ]
    walk = Walk([*roots, *objects], rules=rules)
    state_values = read(walk)
    assert state_values is not None
    arrays, grads, places = state_values
    # with all_grads every initialised parameter gets a gradient tracer, also where it is None: if none is read, as in a
    # step that clears them first, the variant serves both cases
    grad_values = [
        None if a is None else (g.array if isinstance(g, Variable) else g) if g is not None else (jnp.zeros(a.shape, a.dtype) if all_grads else None)
        for a, g in zip(arrays, grads, strict=True)
    ]
    dynamic = [i for i, leaf in enumerate(leaves) if isinstance(leaf, (Variable, *ARRAY_LIKE)) and not isinstance(leaf, Parameter)]
    arguments: list[Any] = []
    argument_names: list[str] = []
    names = _argument_names(function, args, kwargs, leaves)
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
        trace = Trace({id(p) for p in walk.parameters}, next(rest))
        for leaf in leaves:
            if isinstance(leaf, Parameter):
                trace.lifted.add(id(leaf))
        new_arrays = [None if a is None else next(rest) for a in arrays]
        new_grads = [None if g is None else next(rest) for g in grad_values]
        installation = Installation(walk, new_arrays, new_grads, [next(rest) for _ in places])
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
            found["n_results"] = len(outputs.arrays)
            found["argument_writes"] = []
            for i, stand_in, array, grad in originals:
                if stand_in._array is not array:
                    found["argument_writes"].append((i, "array", outputs.builder(stand_in._array)))
                if stand_in._grad is not grad:
                    found["argument_writes"].append((i, "grad", outputs.builder(stand_in.grad)))
            found["writes"] = installation.writes(outputs)
            found["reports"] = [
                ({k: outputs.builder(v.array if isinstance(v, Variable) else v) for k, v in values.items()}, observer)
                for values, observer in trace.reports
            ]
            found["trace"] = trace
            ok = True
            return tuple(outputs.arrays)
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
    with _lock:
        try:
            jaxpr = jax.make_jaxpr(pure)(*flat)
        except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError, jax.errors.TracerIntegerConversionError) as error:
            raise _control_flow_error(name, error) from error
    trace: Trace = found["trace"]
    if trace.inits or trace.missing:
        return None, trace.missing
    live = live_inputs(jaxpr.jaxpr)
    at = 1 + len(groups["arrays"])
    if all_grads and any(g is None and v is not None for g, v in zip(grads, grad_values, strict=True)) and any(live[at : at + len(groups["grads"])]):
        return None, "grads"
    input_names = ["random key"]
    input_names += [n for n, a in zip(walk.parameter_names, arrays, strict=True) if a is not None]
    input_names += [f"{n}.grad" for n, g in zip(walk.parameter_names, grad_values, strict=True) if g is not None]
    input_names += _place_names(walk)
    input_names += argument_names
    output_names = [f"result {i}" for i in range(found["n_results"])]
    output_names += [""] * (len(outputs.arrays) - len(output_names))
    constants = [(f"constant {i}", f"{c.dtype}[{','.join(map(str, c.shape))}]") for i, c in enumerate(jaxpr.consts) if getattr(c, "size", 0) > 1]
    constants += [(n, f"NumPy array {a.dtype}{list(a.shape)}, changes in place are not seen") for n, a in walk.large]
    constants += [(n, repr(v)) for n, v in zip(walk.plain_names, walk.plain_values, strict=True) if isinstance(v, bool | int | float | str) and not n.rsplit(".", 1)[-1].startswith("_")]
    grads_read = [i for i in range(len(groups["grads"])) if live[at + i]]
    fields = {
        "jaxpr": jaxpr,
        "name": name,
        "inputs": input_names,
        "outputs": output_names,
        "nodes": trace.nodes,
        "constants": constants,
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
            "grads_read": bool(grads_read),
            "grad_none": [g is None for g in grads],
            "dynamic": dynamic,
            "leaves": leaves,
        },
    }
    return Traced(**fields), None


def _place_names(walk: Walk) -> list[str]:
    from jaxchain.core.state import count

    names = []
    for name, template in zip(walk.place_names, walk.templates, strict=True):
        n = count(template)
        names += [name] if n == 1 else [f"{name}.{i}" for i in range(n)]
    return names


def _argument_names(function: Callable[..., Any], args: Any, kwargs: Any, leaves: Sequence[Any]) -> list[str]:
    paths = jax.tree_util.tree_flatten_with_path((args, kwargs), is_leaf=lambda v: v is None)[0]
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    known = code.co_varnames[: code.co_argcount] if code is not None else ()
    known = known[1:] if hasattr(function, "__self__") or known[:1] == ("self",) else known
    names = []
    for path, _ in paths:
        head, rest = path[1], path[2:]
        if path[0].idx == 0:
            first = known[head.idx] if head.idx < len(known) else f"argument {head.idx}"
        else:
            first = head.key
        names.append(first + jax.tree_util.keystr(rest))
    return names


def _control_flow_error(name: str, error: Exception) -> StaticError:
    source = traceback_source(error)
    return StaticError(
        f"{name}: the program looks at a value that exists only when it runs, so static mode cannot compile this line:\n"
        f"  {format_source(source) or 'unknown line'}\n"
        "Ways out: 1. choose with arrays: F.where(condition, a, b), or jax.lax.cond / jax.lax.while_loop on arrays; "
        "2. make it a Python value that does not depend on data (an argument, an attribute, config); "
        "3. leave this part eager: link.eager(), or call it outside the static function."
    )


# -- compiled variants -------------------------------------------------------------------------------------------------


class Variant:
    """One compiled program of a static callable: what it needs to hold, what it reads, what it writes."""

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
        self.grad_none = plan["grad_none"] if plan["grads_read"] or not plan["grads"] else None
        self.grads_read = plan["grads_read"]
        self.place_at = kept("places")
        self.simple_places = all(t in ("array", "number") for t in self.walk.templates)
        self.places = [self.walk.places[i] for i in self.place_at] if self.simple_places else []
        self.argument_at = kept("arguments")
        self.dynamic = plan["dynamic"]
        self.result = plan["result"]
        self.writes: list[Write] = plan["writes"]
        self.argument_writes = plan["argument_writes"]
        self.reports = plan["reports"]
        self.hits = 0
        order = [i for group in groups for i in range(*bounds[group]) if live[i]]
        self.order = order
        values = traced.values
        expected = [aval_of(values[i]) for i in order]
        total = len(values)
        run = jaxpr_as_fun(traced.jaxpr)

        def call(*args: Any) -> tuple[Any, ...]:
            full: list[Any] = [0] * total
            for i, value, want in zip(order, args, expected, strict=True):
                if value is None or (not isinstance(want, type) and (value.shape, value.dtype) != want):
                    raise VariantMismatch
                full[i] = value
            return tuple(run(*full))

        call.__name__ = call.__qualname__ = self.name
        self.function = call
        self.donated = self._donated(live, bounds) if donate else []
        self.compiled = jax.jit(call, donate_argnums=tuple(self.donated))

    def _donated(self, live: list[bool], bounds: dict[str, tuple[int, int]]) -> list[int]:
        """Return the inputs whose buffers the program may take over: cells that it reads and writes."""
        written = {(w.how, id(w.container), w.key) for w in self.writes}
        donated = []
        position = int(self.uses_key)
        for p in self.arrays:
            if ("array", id(p), None) in written:
                donated.append(position)
            position += 1
        position += len(self.grads)
        for container, key in self.places:
            if ("item", id(container), key) in written and isinstance(container[key], jax.Array):
                donated.append(position)
            position += 1
        return donated

    def difference(self) -> str | None:
        """Return why this variant does not fit the program's state now, or None."""
        for p in self.uninitialised:
            if p._array is not None:
                return f"parameter {p.name} was initialised"
        reason = self.walk.difference()
        if reason is not None:
            return reason
        if not self.simple_places and read(self.walk) is None:
            for (container, key), template, name in zip(self.walk.places, self.walk.templates, self.walk.place_names, strict=True):
                from jaxchain.core.state import take, template_of

                try:
                    value = container[key]
                except (KeyError, IndexError, AttributeError, ValueError):
                    return f"{name} was deleted"
                if not take(template, value, [], []):
                    return f"{name}: {template} -> {template_of(value) or type(value).__name__}"
        if self.grads_read and self.grad_none is not None:
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
        if self.simple_places:
            values += [container[key] for container, key in self.places]
        else:
            state_values = read(self.walk)
            if state_values is None:
                raise VariantMismatch
            values += [state_values[2][i] for i in self.place_at]
        arguments: list[Any] = []
        for i in self.dynamic:
            leaf = leaves[i]
            if isinstance(leaf, Variable):
                arguments.append(leaf._array)
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
        for write in self.writes:
            write.apply(outputs)
        for i, how, build in self.argument_writes:
            if how == "array":
                leaves[i].array = build(outputs)
            else:
                leaves[i]._grad = build(outputs)
        random.ops.count += self.draws
        if self.reports:
            from jaxchain.reporter import report

            for values, observer in self.reports:
                report({k: build(outputs) for k, build in values.items()}, observer)
        return self.result(outputs)

    def __call__(self, leaves: Sequence[Any]) -> Any:
        """Run the compiled program on the cells and arguments."""
        values = self.gather(leaves)
        for i in self.donated:  # an array that somebody else holds is copied first: its buffer must not be taken over
            if sys.getrefcount(values[i]) > HELD and isinstance(values[i], jax.Array):
                values[i] = jnp.array(values[i], copy=True)
        outputs = self.compiled(*values)
        self.hits += 1
        return self.finish(outputs, leaves)


def _held() -> int:
    """Return `sys.getrefcount` of an array that only one cell and one list hold, as `Variant.__call__` sees it."""
    cell = [object()]
    values = list(cell)
    for i in [0]:
        return sys.getrefcount(values[i])
    raise AssertionError


HELD = _held()


class Static:
    """A callable compiled on demand: one variant per structure of its arguments, configuration and state.

    Args:
        function: The function to compile.
        name: Name of the compiled program.
        roots: Where the walk for state starts: (name, object) pairs; the function itself by default.
        rules: Whether update rules belong to the state.
        donate: Whether the buffers of cells that are read and written may be reused.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None = None,
        roots: Sequence[tuple[str, Any]] | None = None,
        rules: bool = True,
        donate: bool = True,
    ) -> None:
        functools.update_wrapper(self, function, updated=())
        self.function = function
        self.__wrapped_static__ = function
        self.name = name or getattr(function, "__name__", type(function).__name__).strip("<>")
        self.roots = [(self.name, function)] if roots is None else list(roots)
        self.rules, self.donate = rules, donate
        self.variants: dict[Any, list[Any]] = {}
        self.compiles: list[Compile] = []

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind a decorated method: each instance has variants of its own."""
        if instance is None:
            return self
        cache = instance.__dict__.setdefault("_static_methods", _Methods())
        bound = cache.get(self.name)
        if bound is None:
            bound = cache[self.name] = Static(self.function.__get__(instance, owner), self.name, rules=self.rules, donate=self.donate)
        return bound

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the compiled function; compile it first if no variant fits. Inside a trace it is inlined."""
        state = thread_state()
        if state.trace is not None:
            return self.function(*args, **kwargs)
        leaves, tree = _leaves(args, kwargs)
        key = (tree, tuple(map(_key_of, leaves)), _config_key(state))
        known = self.variants.get(key)
        if known is not None:
            for i, variant in enumerate(known):
                if variant.difference() is None:
                    if i:
                        known.insert(0, known.pop(i))
                    try:
                        return self.run(variant, leaves)
                    except VariantMismatch:
                        continue
        return self.run(self.compile(key, leaves, args, kwargs), leaves, first=True)

    def run(self, variant: Any, leaves: Sequence[Any], first: bool = False) -> Any:
        """Call one variant."""
        if not first:
            return variant(leaves)
        start = time.perf_counter()
        result = variant(leaves)
        self.compiles[-1].compile_seconds = time.perf_counter() - start
        return result

    def compile(self, key: Any, leaves: Sequence[Any], args: Any, kwargs: Any) -> Any:
        """Trace and compile a new variant, and record why."""
        reason = self.reason(key)
        traced = trace_call(self.function, args, kwargs, self.roots, self.name, self.rules)
        variant = self.make(traced)
        self.variants.setdefault(key, []).insert(0, variant)
        self.compiles.append(Compile(self.name, reason, key, variant, traced.seconds))
        warn_if_often(self.name, self.compiles)
        return variant

    def make(self, traced: Traced) -> Any:
        """Return the variant of a trace."""
        return Variant(traced, self.donate)

    def reason(self, key: Any) -> str:
        """Return why no variant fits, as a difference from the nearest one."""
        if not self.compiles:
            return "first call"
        same = [c for c in self.compiles if c.key == key]
        if same:
            return same[-1].variant.difference() or "the shape or dtype of a state array changed"
        return _key_difference(self.compiles, key)

    def explain(self) -> Explanation:
        """Return every compile with its reason, times, lifted state and what was baked in. Print it, or take `to_dict()`."""
        return Explanation(self.name, self.compiles)

    def clear(self) -> None:
        """Forget every variant."""
        self.variants.clear()
        self.compiles.clear()


class _Methods(dict):
    """Static methods of one instance: not copied and not pickled with it."""

    def __deepcopy__(self, memo: Any) -> _Methods:
        return _Methods()

    def __reduce__(self) -> Any:
        return (_Methods, ())


def _config_key(state: Any) -> Any:
    entries = {k: v for k, v in snapshot().items() if k != "mode"} if state.config_key is None else None
    if entries is not None:
        state.config_key = tuple(sorted((k, v if isinstance(v, (str, int, float, bool, type(None), np.dtype)) else repr(v)) for k, v in entries.items()))
    return state.config_key


def _describe_leaf(key: Any) -> str:
    if isinstance(key, tuple):
        if key[0] == "Variable":
            return f"Variable {key[1]!r}" + (" with grad" if key[2] else "")
        return "another object" if key[0] == "object" else repr(key[1])
    return repr(key)


def _key_difference(compiles: Sequence[Compile], key: Any) -> str:
    def differences(old: Any) -> list[str]:
        found = []
        if old[0] != key[0]:
            found.append("the structure of the arguments changed")
        else:
            names = [jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_flatten_with_path(jax.tree_util.tree_unflatten(key[0], range(key[0].num_leaves)))[0]]
            for name, a, b in zip(names, old[1], key[1], strict=True):
                if a != b:
                    found.append(f"arg {name}: {_describe_leaf(a)} -> {_describe_leaf(b)}")
        before, after = dict(old[2]), dict(key[2])
        found += [f"config.{k} {before.get(k)} -> {after.get(k)}" for k in sorted(before.keys() | after.keys()) if before.get(k) != after.get(k)]
        return found

    return ", ".join(min((differences(c.key) for c in compiles), key=len))


# -- links -------------------------------------------------------------------------------------------------------------


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
    """A variant of a link call: differentiable with respect to parameters and arguments."""

    def __init__(self, traced: Traced) -> None:
        super().__init__(traced, donate=False)
        self.op = LinkOp(self)

    def __call__(self, leaves: Sequence[Any]) -> Any:
        """Run the compiled program; leave one node in the graph."""
        values = self.gather(leaves)
        at = int(self.uses_key)
        values[at : at + len(self.arrays)] = self.arrays
        if len(self.argument_at) == len(self.dynamic):  # arguments go in as Variables, so that gradients reach them
            start = len(values) - len(self.dynamic)
            for k, i in enumerate(self.dynamic):
                if isinstance(leaves[i], Variable):
                    values[start + k] = leaves[i]
        else:
            start = len(values) - len(self.argument_at)
            for k, j in enumerate(self.argument_at):
                if isinstance(leaves[self.dynamic[j]], Variable):
                    values[start + k] = leaves[self.dynamic[j]]
        outputs = self.op.apply((), values, ())
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        self.hits += 1
        arrays = [y._array for y in outputs]
        self.result_of(arrays, leaves)
        return self.result(_Mixed(outputs))

    def result_of(self, arrays: Sequence[Any], leaves: Sequence[Any]) -> None:
        """Write the cells back."""
        result, self.result = self.result, lambda outputs: None
        try:
            self.finish(arrays, leaves)
        finally:
            self.result = result


class _Mixed(tuple):
    """Outputs of a link call: builders of Variables take the Variable with its graph."""


class StaticLink(Static):
    """The compiled calls of one link."""

    def make(self, traced: Traced) -> Any:
        """Return the variant of a trace."""
        return LinkVariant(traced)




def call_link(link: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call a link in static mode: compiled, with one differentiable node in the eager graph.

    Args:
        link: The link.
        function: What to run: its bound `forward`.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.
    """
    return static_link(link, function)(*args, **kwargs)


def static_link(link: Any, function: Callable[..., Any] | None = None) -> StaticLink:
    """Return the compiled calls of a link, made on first use."""
    entry = link._static
    if entry is None:
        name = type(link).__name__

        def call(*args: Any, **kwargs: Any) -> Any:
            return link._run(function or link.forward, args, kwargs)

        entry = link._static = StaticLink(call, name, roots=[(link.name or name, link)], rules=False)
    return entry


def static(function: Any = None, /, *, donate: bool = True) -> Any:
    """Compile a function: a decorator.

    The function may be a whole training step: models, optimizers, Variables and random draws that it reaches through
    its arguments, its closure and the globals it names are its state, found by looking.

    Args:
        function: The function, or a link (then the same as ``link.static()``).
        donate: Whether state that is overwritten may give its buffers to the result.

    Returns:
        A callable with the same arguments and results, and `explain()`.
    """
    if function is None:
        return functools.partial(static, donate=donate)
    if hasattr(function, "_run") and hasattr(function, "namedparams"):
        return function.static()
    return Static(function, donate=donate)


def trace(target: Any, *args: Any, **kwargs: Any) -> Traced:
    """Trace a link, a function or a static callable on arguments, without running it."""
    if isinstance(target, Static):
        return trace_call(target.function, args, kwargs, target.roots, target.name, target.rules)
    if hasattr(target, "_run") and hasattr(target, "namedparams"):
        entry = static_link(target)
        return trace_call(entry.function, args, kwargs, entry.roots, entry.name, False)
    name = getattr(target, "__name__", type(target).__name__).strip("<>")
    return trace_call(target, args, kwargs, [(name, target)], name, True)


