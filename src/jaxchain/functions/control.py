"""Control flow that stays one program: `cond`, `while_loop` and `scan` on Variables.

In eager mode they are Python, and every op is in the graph, inside a cluster. In static mode they become `lax.cond`,
`lax.while_loop` and `lax.scan`, one node of the tape: its gradient runs the body once more with the tape on and walks
it backward, so it is the gradient of eager mode. A body that does what the lax primitives cannot repeat (writes state,
draws random numbers in one branch only, looks at values, changes shapes) is run as Python in static mode, too: then its
branches are guarded variants and its loops are unrolled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.compat import is_tracer
from jaxchain.core.config import thread_state, using_config
from jaxchain.core.errors import InvalidType, call_site, expect, user_line
from jaxchain.core.op import Op
from jaxchain.core.variable import (
    ARRAY_LIKE,
    FunctionRecord,
    Scope,
    Variable,
    VariableNode,
    as_array,
    as_jax,
    info_of,
)
from jaxchain.core.walk import walk
from jaxchain.functions.indexing import get_item
from jaxchain.functions.shape import stack


class _Irregular(Exception):
    """A body does what a lax primitive cannot repeat: it is run as Python."""


# -- bodies as functions of arrays -------------------------------------------------------------------------------------


def _flatten(value: Any) -> tuple[list[Any], Any]:
    return jax.tree_util.tree_flatten(value)


class _Body:
    """A user's function on trees of Variables, as a function of flat arrays.

    Args:
        function: The function.
        arguments: What it will be called with: tells which leaves are Variables.
        name: Name of its cluster.
    """

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], name: str) -> None:
        self.function, self.name = function, name
        leaves, self.tree = _flatten(arguments)
        self.wrapped = [(isinstance(x, Variable), isinstance(x, Variable) and x.requires_grad) for x in leaves]
        self.out_tree: Any = None
        self.out_wrapped: list[bool] = []
        self.shapes: list[jax.ShapeDtypeStruct] = []
        self.captured: list[Variable] = []
        self.reached: set[Any] = (
            set()
        )  # what the outputs depend on: positions of inputs, identities of captured Variables
        self.draws = 0
        self.scope = thread_state().scope
        self.counts: dict[str, int] | None = None  # of the link calls so far, when the views' ops were traced

    def run(
        self, arrays: Sequence[Any], record: bool, shown: bool = False
    ) -> tuple[list[VariableNode | None], list[Any], Any]:
        """Call the function on arrays. Its ops are named as in the call that the views show.

        Returns:
            The nodes of the inputs, the output leaves, and the scope it ran in.
        """
        inputs = [Variable(a, requires_grad=r) if v else a for a, (v, r) in zip(arrays, self.wrapped, strict=True)]
        nodes = [x._node if isinstance(x, Variable) else None for x in inputs]
        state = thread_state()
        trace, outer = state.trace, state.scope
        counts, known = trace.counts, len(trace.nodes)
        if shown:
            self.counts = dict(counts)
        else:
            trace.counts = dict(counts if self.counts is None else self.counts)
        state.scope = self.scope
        try:
            with _cluster(self.name) as scope, using_config("enable_backprop", record):
                result = self.function(*jax.tree_util.tree_unflatten(self.tree, inputs))
        finally:
            state.scope = outer
            if not shown:
                del trace.nodes[known:]
                trace.counts = counts
        outputs, self.out_tree = _flatten(result)
        self.out_wrapped = [isinstance(y, Variable) for y in outputs]
        return nodes, outputs, scope

    def arrays(self, arrays: Sequence[Any]) -> list[Any]:
        """Return the output arrays."""
        return [jnp.asarray(as_array(y)) for y in self.run(arrays, record=False, shown=self.counts is None)[1]]

    def examine(self, arrays: Sequence[Any]) -> None:
        """Run the function on shapes only, to learn its outputs, what it captures and how many keys it draws.

        Raises:
            _Irregular: It writes state or looks at values.
        """
        trace = thread_state().trace
        before, draws = trace.snapshot(), trace.draws
        looks = trace.questions.inner
        captured: dict[VariableNode, Variable] = {}

        def probe(*arrays: Any) -> list[Any]:
            own, outputs, scope = self.run(arrays, record=True)
            found, reached = _captured(outputs, [n for n in own if n is not None], scope)
            captured.update(found)
            self.reached = {own.index(n) for n in reached} | {id(v) for v in found.values()}
            return [jnp.asarray(as_array(y)) for y in outputs]

        try:
            self.shapes = list(jax.eval_shape(probe, *arrays))
        except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
            raise _Irregular("it looks at values") from error
        finally:
            self.draws, trace.draws = trace.draws - draws, draws
            changed = trace.put_back(before)
        if changed:
            raise _Irregular("it writes state")
        if trace.questions.inner != looks:  # and caught what that raises
            raise _Irregular("it looks at values")
        self.captured = list(captured.values())

    def gradients(self, arrays: Sequence[Any], gys: Sequence[Any], captured: Sequence[Variable]) -> list[Any]:
        """Return the gradients of the inputs, then of the captured Variables, zeros where none flows."""
        nodes, outputs, _ = self.run(arrays, record=True)
        seeds = [
            (y._node, g)
            for y, g in zip(outputs, gys, strict=True)
            if isinstance(y, Variable) and y._node.info.differentiable
        ]
        with using_config("enable_backprop", False):
            found = walk(seeds)
        targets = [(n, a) for n, a in zip(nodes, arrays, strict=True)] + [(v._node, v._array) for v in captured]
        return [
            (found[n] if n is not None and n in found else jnp.zeros(a.shape, a.dtype))
            if jnp.issubdtype(a.dtype, jnp.inexact)
            else np.zeros(a.shape, jax.dtypes.float0)
            for n, a in targets
        ]


@contextlib.contextmanager
def _cluster(name: str) -> Iterator[Scope]:
    """Ops in the block belong to a cluster of the graph, like those of a link call."""
    state = thread_state()
    outer = state.scope
    state.scope = scope = Scope(outer, SimpleNamespace(name=name))
    try:
        with state.trace.link_scope() if state.trace is not None else contextlib.nullcontext():
            yield scope
    finally:
        state.scope = outer


def _captured(
    outputs: Sequence[Any], own: Sequence[VariableNode], scope: Scope
) -> tuple[dict[VariableNode, Variable], set[VariableNode]]:
    """Return the Variables from outside that the outputs depend on, and the nodes of `own` that they depend on."""
    found: dict[VariableNode, Variable] = {}
    stack_ = [y._node for y in outputs if isinstance(y, Variable)]
    seen: set[VariableNode] = set()
    while stack_:
        node = stack_.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in own:
            continue
        function = node.creator_node
        if function is not None and _within(function.scope, scope):
            stack_ += function.inputs
        elif node.info.differentiable:
            variable = node.get_variable_or_none()
            if variable is not None:
                found[node] = variable
    return found, seen.intersection(own)


def _within(scope: Any, cluster: Scope) -> bool:
    while scope is not None:
        if scope is cluster:
            return True
        scope = scope.outer
    return False


# -- the node of the tape ----------------------------------------------------------------------------------------------


class _Gradient(Op):
    """The gradient of a control-flow node as an op, to be differentiated again."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name, self.label, self.rule, self.plans = f"{name}_vjp", f"{name} grad", None, {}
        self._pure = function

    def pure(self, structure: Any) -> Callable[..., Any]:
        return lambda *flat: tuple(self._pure(*flat))

    def check(self, structure: Any, infos: Any) -> None:
        pass

    def describe(self, structure: Any, infos: Any) -> str:
        return f"{self.name}({', '.join(map(repr, infos))})"

    def parameters_of(self, structure: Any, scalars: Sequence[Any]) -> dict[str, Any]:
        return {}

    def label_of(self, structure: Any, scalars: Sequence[Any]) -> str:
        return self.label


class _ControlNode(FunctionRecord):
    """A `cond` or `scan` of a static trace: one node."""

    __slots__ = ("arrays", "backward", "hooks", "name", "needs", "shapes")

    @property
    def label(self) -> str:
        return self.name

    def _filled(self, gys: Sequence[Any]) -> list[Any]:
        return [jnp.zeros(s.shape, s.dtype) if g is None else g for g, s in zip(gys, self.shapes, strict=True)]

    def pullback(self, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        with jax.named_scope(f"backward{thread_state().trace.call_path(self.scope)}"):
            return self.needs, self.backward(*self.arrays, *self._filled(gys))

    def pullback_graph(self, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        inputs = []
        for node, array in zip(self.inputs, self.arrays, strict=True):
            variable = node.get_variable_or_none()
            inputs.append(Variable._of(array, node) if variable is None else variable)
        result = _Gradient(self.name, self.backward).apply((), [*inputs, *self._filled(gys)], ())
        return self.needs, result if isinstance(result, tuple) else (result,)


def _record(
    name: str,
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    wrapped: Sequence[bool],
    backward: Callable[..., Sequence[Any]],
) -> list[Any]:
    """Return the outputs, Variables where the body gave Variables, with one node behind those that have a gradient.

    Args:
        name: Label of the node.
        inputs: Variables and arrays.
        outputs: Arrays.
        wrapped: Which outputs are Variables.
        backward: Input arrays, gradients of the differentiable outputs -> one gradient per input.
    """
    state = thread_state()
    arrays = [as_jax(as_array(x)) for x in inputs]
    nodes = tuple(
        x._node if isinstance(x, Variable) else VariableNode(info_of(a, False))
        for x, a in zip(inputs, arrays, strict=True)
    )
    needs = tuple(i for i, n in enumerate(nodes) if n.info.differentiable)
    connected = [w and bool(jnp.issubdtype(y.dtype, jnp.inexact)) for w, y in zip(wrapped, outputs, strict=True)]
    ordinal = 0
    if state.scope is not None:
        ordinal = state.scope.count
        state.scope.count += 1
    if not (state.record and needs and any(connected)):
        return [Variable(y, requires_grad=False) if w else y for w, y in zip(wrapped, outputs, strict=True)]
    node = _ControlNode()
    node.name, node.arrays, node.inputs, node.needs = name, arrays, nodes, needs
    node.backward = lambda *flat: [g for i, g in enumerate(backward(*flat)) if i in needs]
    node.shapes = [jax.ShapeDtypeStruct(y.shape, y.dtype) for y, c in zip(outputs, connected, strict=True) if c]
    node.rank = max(n.rank for n in nodes)
    node.scope, node.site, node.ordinal = state.scope, call_site(3), ordinal
    results, references = [], []
    for y, w, c in zip(outputs, wrapped, connected, strict=True):
        if not w:
            results.append(y)
            continue
        variable = Variable(y, requires_grad=c)
        results.append(variable)
        if c:
            own = variable._node
            own.creator_node, own.rank, own.output_index = node, node.rank + 1, len(references)
            references.append(own._variable and _reference(own))
    node.outputs = tuple(references)
    return results


def _reference(node: VariableNode) -> Any:
    import weakref

    return weakref.ref(node)


@contextlib.contextmanager
def _in_place(variables: Sequence[Variable], arrays: Sequence[Any]) -> Iterator[None]:
    """Put other arrays into Variables for the time of the block."""
    old = [v._array for v in variables]
    for v, a in zip(variables, arrays, strict=True):
        v._array = a
    try:
        yield
    finally:
        for v, a in zip(variables, old, strict=True):
            v._array = a


@contextlib.contextmanager
def _keys(offset: Any) -> Iterator[None]:
    """Random draws in the block start at `offset` behind the trace's key."""
    trace = thread_state().trace
    key, draws = trace.key, trace.draws
    trace.key, trace.draws = key.at[2].add(jnp.asarray(offset, np.uint32)), 0
    try:
        yield
    finally:
        trace.key, trace.draws = key, draws


# -- cond --------------------------------------------------------------------------------------------------------------


def _taken(holds: bool, true_fun: Callable[..., Any], false_fun: Callable[..., Any], operands: tuple[Any, ...]) -> Any:
    with _cluster("cond_true" if holds else "cond_false"):
        return (true_fun if holds else false_fun)(*operands)


def cond(pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any) -> Any:
    """Call one of two functions: both are in the compiled program, and a new outcome compiles nothing.

    Args:
        pred: A boolean scalar: Variable, array or `bool`.
        true_fun: Called with the operands where `pred` holds. Variables and links it uses may come from outside.
        false_fun: Called with the operands where it does not. In static mode, outputs of the same structure, shapes and
            dtypes as those of `true_fun`, and gradients of the same Variables where gradients are recorded, make one
            program; others are compiled as variants, one per outcome, since a gradient of None is not one of zero.
        operands: Variables, arrays, or trees of them.

    Returns:
        What the function returned.

    Raises:
        InvalidType: `pred` has more than one element.

    Source: `jax.lax.cond`.
    """
    value = as_array(pred)
    expect(np.size(value) == 1, "pred.size == 1", np.size(value))
    state = thread_state()
    if state.trace is None or not is_tracer(value):
        return _taken(bool(value), true_fun, false_fun, operands)
    leaves, _ = _flatten(operands)
    if not all(isinstance(x, Variable | jax.Array) or isinstance(x, ARRAY_LIKE) for x in leaves):
        leaves = [x if isinstance(x, Variable) else jnp.asarray(x) for x in leaves]
    arrays = [as_jax(as_array(x)) for x in leaves]
    bodies = [_Body(f, operands, name) for f, name in ((false_fun, "cond_false"), (true_fun, "cond_true"))]
    try:
        for body in bodies:
            body.examine(arrays)
        first, second = bodies
        same = first.out_tree == second.out_tree and first.out_wrapped == second.out_wrapped
        if not same or [(s.shape, s.dtype) for s in first.shapes] != [(s.shape, s.dtype) for s in second.shapes]:
            raise _Irregular("the branches return different shapes")
        if first.draws or second.draws:
            raise _Irregular("a branch draws random numbers")
        if state.record and first.reached != second.reached:
            raise _Irregular("the branches have gradients of different Variables")
    except _Irregular:
        return _taken(bool(value), true_fun, false_fun, operands)
    captured = list({id(v): v for body in bodies for v in body.captured}.values())
    which = jnp.reshape(value, ()).astype(bool)
    outputs = jax.lax.cond(which, bodies[1].arrays, bodies[0].arrays, arrays)
    inexact = [w and jnp.issubdtype(s.dtype, jnp.inexact) for w, s in zip(first.out_wrapped, first.shapes, strict=True)]

    def backward(*flat: Any) -> list[Any]:
        xs, rest = flat[: len(arrays)], flat[len(arrays) :]
        held, given = rest[: len(captured)], iter(rest[len(captured) :])
        gys = [next(given) if c else None for c in inexact]

        def branch(body: _Body) -> Callable[..., Any]:
            def run(xs: Any) -> list[Any]:
                return body.gradients(xs, gys, captured)

            return run

        with _in_place(captured, held):
            return jax.lax.cond(which, branch(bodies[1]), branch(bodies[0]), list(xs))

    results = _record("cond", [*leaves, *captured], outputs, first.out_wrapped, backward)
    return jax.tree_util.tree_unflatten(first.out_tree, results)


# -- while_loop --------------------------------------------------------------------------------------------------------


def while_loop(cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init: Any) -> Any:
    """Call a function on its own result while a condition holds.

    In static mode one `lax.while_loop`, whatever the number of rounds. JAX has no gradient of it: where one is recorded
    (an input requires a gradient and `config.enable_backprop` is on) the loop is compiled as variants, one per number
    of rounds, like a Python `while`; `scan` has a gradient and compiles once.

    Args:
        cond_fun: State -> boolean scalar.
        body_fun: State -> state.
        init: The first state: a Variable, an array, or a tree of them.

    Returns:
        The first state for which the condition does not hold.

    Source: `jax.lax.while_loop`.
    """
    state = thread_state()
    if state.trace is not None:
        leaves, tree = _flatten(init)
        arrays = [
            as_jax(as_array(x)) if isinstance(x, Variable | jax.Array | np.ndarray) else jnp.asarray(x) for x in leaves
        ]
        test, body = _Body(cond_fun, (init,), "while"), _Body(body_fun, (init,), "while")
        with contextlib.suppress(_Irregular):
            test.examine(arrays)
            body.examine(arrays)
            _same_state("while_loop", body, tree, arrays)
            if test.draws or body.draws:
                raise _Irregular("it draws random numbers")
            gradient = body.captured or any(isinstance(x, Variable) and x._node.info.differentiable for x in leaves)
            if not (state.record and gradient):
                outputs = jax.lax.while_loop(
                    lambda xs: jnp.reshape(test.arrays(xs)[0], ()).astype(bool), body.arrays, arrays
                )
                results = [
                    Variable(y, requires_grad=False) if v else y
                    for y, (v, _) in zip(outputs, body.wrapped, strict=True)
                ]
                return jax.tree_util.tree_unflatten(tree, results)
    current = init
    with _cluster("while"):
        while bool(as_array(cond_fun(current))):
            current = body_fun(current)
    return current


def _same_state(name: str, body: _Body, tree: Any, arrays: Sequence[Any]) -> None:
    """Raise unless the state that comes out has the structure, shapes and dtypes of the one that went in."""
    if body.out_tree != tree or [(s.shape, s.dtype) for s in body.shapes] != [(a.shape, a.dtype) for a in arrays]:
        raise _Irregular(f"{name}: the state changes its structure, shape or dtype")


# -- scan --------------------------------------------------------------------------------------------------------------


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Call a function along the first axis, with a state that goes from call to call.

    Args:
        f: (state, x) -> (state, y). Variables and links it uses may come from outside.
        init: The first state: a Variable, an array, or a tree of them.
        xs: A Variable or array (T, ...), or a tree of them; None: `f` is called with None, `length` times.
        length: T, if there are no `xs`.
        reverse: From the last element to the first.

    Returns:
        The last state, and the y stacked along a new first axis. In static mode one `lax.scan`, compiled once for any T
        of the same size; the gradient keeps the states and runs `f` once more.

    Raises:
        InvalidType: The `xs` differ in length, or their length is not `length`, or there is neither.

    Source: `jax.lax.scan`.
    """
    leaves, xs_tree = _flatten(xs)
    sizes = {np.shape(as_array(x))[0] if np.ndim(as_array(x)) else -1 for x in leaves} | ({length} - {None})
    if len(sizes) != 1 or -1 in sizes:
        raise InvalidType("scan: one common length of xs", f"{sorted(sizes, key=str)}", f"at {user_line()}")
    count = int(max(s for s in sizes if s is not None))
    if thread_state().trace is not None and count:
        with contextlib.suppress(_Irregular):
            return _lax_scan(f, init, leaves, xs_tree, count, reverse)
    order = range(count - 1, -1, -1) if reverse else range(count)
    state, collected = init, {}
    with _cluster("scan"):
        for i in order:
            x = jax.tree_util.tree_unflatten(xs_tree, [_at(leaf, i) for leaf in leaves])
            state, collected[i] = f(state, x)
        if not collected:
            return state, None
        ys = [_flatten(collected[i])[0] for i in range(count)]
        columns = [
            stack(column) if isinstance(column[0], Variable) else jnp.stack(column) for column in zip(*ys, strict=True)
        ]
    return state, jax.tree_util.tree_unflatten(_flatten(collected[0])[1], columns)


def _at(leaf: Any, i: int) -> Any:
    return get_item(leaf, i) if isinstance(leaf, Variable) else as_jax(leaf)[i]


def _lax_scan(f: Any, init: Any, leaves: list[Any], xs_tree: Any, count: int, reverse: bool) -> tuple[Any, Any]:
    state = thread_state()
    carry_leaves, carry_tree = _flatten(init)
    carry_leaves = [x if isinstance(x, Variable) else jnp.asarray(x) for x in carry_leaves]
    carry = [as_jax(as_array(x)) for x in carry_leaves]
    xs = [as_jax(as_array(x)) for x in leaves]
    wraps = [isinstance(x, Variable) for x in leaves]
    first = [
        Variable(a[0], requires_grad=x.requires_grad) if w else a[0] for a, w, x in zip(xs, wraps, leaves, strict=True)
    ]
    body = _Body(f, (init, jax.tree_util.tree_unflatten(xs_tree, first)), "scan")
    body.examine([*carry, *(a[0] for a in xs)])
    n_carry = len(carry)
    if jax.tree_util.tree_structure((init, 0)).num_leaves != n_carry + 1 or len(body.shapes) < n_carry:
        raise _Irregular("the state changes its structure")
    got = [(s.shape, s.dtype) for s in body.shapes[:n_carry]]
    if got != [(a.shape, a.dtype) for a in carry] or body.out_tree.children()[:1] != [carry_tree]:
        raise _Irregular("the state changes its structure, shape or dtype")
    trace, captured = state.trace, body.captured
    start, draws = trace.draws, body.draws
    steps = jnp.arange(count, dtype=np.uint32)
    turns = steps[::-1] if reverse else steps  # how many calls went before

    def step(carry: Any, element: Any) -> Any:
        turn, *x = element
        with _keys(start + draws * turn):
            outputs = body.arrays([*carry, *x])
        return outputs[:n_carry], (outputs[n_carry:], carry)

    last, (ys, states) = jax.lax.scan(step, carry, [turns, *xs], reverse=reverse)
    trace.draws = start + draws * count
    inexact = [w and jnp.issubdtype(s.dtype, jnp.inexact) for w, s in zip(body.out_wrapped, body.shapes, strict=True)]

    def backward(*flat: Any) -> list[Any]:
        n = n_carry + len(xs)
        first_carry, elements = flat[:n_carry], flat[n_carry:n]
        held, given = flat[n : n + len(captured)], iter(flat[n + len(captured) :])
        g_last = [next(given) if c else None for c in inexact[:n_carry]]
        g_ys = [next(given) if c else None for c in inexact[n_carry:]]
        if any(a is not b for a, b in zip((*first_carry, *elements), (*carry, *xs), strict=True)) or any(
            h is not v._array for h, v in zip(held, captured, strict=True)
        ):  # differentiated again: the states are a function of the inputs
            with _in_place(captured, held):
                # a function of its own: JAX keeps what it traced by function, with what that captured
                _, (_, kept) = jax.lax.scan(
                    lambda c, e: step(c, e), list(first_carry), [turns, *elements], reverse=reverse
                )
        else:
            kept = states
        floating = [jnp.issubdtype(a.dtype, jnp.inexact) for a in (*carry, *elements, *held)]

        def back(sums: Any, element: Any) -> Any:
            g_state, g_held = sums
            turn, at, x, g_y = element
            given_state, given_y = iter(g_state), iter(g_y)
            gys = [next(given_state) if c else None for c in inexact[:n_carry]]
            gys += [next(given_y) if c else None for c in inexact[n_carry:]]
            with _keys(start + draws * turn):
                grads = body.gradients([*at, *x], gys, captured)
            new = [g for g, c in zip(grads[:n_carry], inexact[:n_carry], strict=True) if c]
            of_x = [g for g, w in zip(grads[n_carry:n], floating[n_carry:n], strict=True) if w]
            return (new, [a + b for a, b in zip(g_held, grads[n:], strict=True)]), of_x

        zeros = [jnp.zeros(h.shape, h.dtype) for h in held]
        with _in_place(captured, held):
            (g_first, g_held), g_xs = jax.lax.scan(
                back,
                ([g for g in g_last if g is not None], zeros),
                (turns, kept, list(elements), [g for g in g_ys if g is not None]),
                reverse=not reverse,
            )
        of_first, of_xs = iter(g_first), iter(g_xs)
        result = [next(of_first) if c else None for c in inexact[:n_carry]]
        return [*result, *(next(of_xs) if w else None for w in floating[n_carry:n]), *g_held]

    inputs = [*carry_leaves, *leaves, *captured]
    results = _record("scan", inputs, [*last, *ys], body.out_wrapped, backward)
    final = jax.tree_util.tree_unflatten(body.out_tree, results)
    return final[0], final[1]
