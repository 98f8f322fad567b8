"""What `control` is made of: a user's function as a function of arrays, and the node of the tape for its call."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.arrays import ARRAY_LIKE, info_of
from jaxchain.core.compat import jaxpr_as_fun
from jaxchain.core.config import thread_state, using_config
from jaxchain.core.errors import call_site
from jaxchain.core.gradients import gradients_of
from jaxchain.core.nodes import FunctionRecord, Scope, VariableNode
from jaxchain.core.op import GradientOp
from jaxchain.core.op_node import variable_on
from jaxchain.core.spread import struct_of, zeros_of
from jaxchain.core.variable import Variable, as_jax, on_tape

GRAPH = "it looks at the graph that leads to it, or cuts it"


class Irregular(Exception):
    """A body does what a lax primitive cannot repeat: it is run as Python."""


# -- bodies as functions of arrays -------------------------------------------------------------------------------------


class Body:
    """A user's function on trees of Variables, as a function of flat arrays.

    Args:
        function: The function.
        arguments: What it will be called with: tells which leaves are Variables.
        name: Name of its cluster.
    """

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], name: str) -> None:
        self.function, self.name = function, name
        leaves, self.tree = jax.tree.flatten(arguments)
        self.wrapped = [(isinstance(x, Variable), isinstance(x, Variable) and x.requires_grad) for x in leaves]
        self.out_tree: Any = None
        self.out_wrapped: list[bool] = []
        self.out_requires: list[bool] = []  # which of them have a gradient
        self.shapes: list[jax.ShapeDtypeStruct] = []
        self.captured: list[Variable] = []
        # what the outputs depend on: positions of inputs, identities of captured Variables
        self.reached: set[Any] = set()
        self.draws = 0
        self.scope, self.record = thread_state().scope, thread_state().record
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
        derived = trace.by_jax, trace.taped
        trace.by_jax = trace.taped = True  # the gradient of its gradient is JAX's
        state.scope = self.scope
        try:
            own = {n for n in nodes if n is not None}
            with cluster(self.name) as scope, trace.inside(scope, own), using_config("enable_backprop", record):
                result = self.function(*jax.tree_util.tree_unflatten(self.tree, inputs))
        finally:
            state.scope = outer
            trace.by_jax, trace.taped = derived
            if not shown:
                del trace.nodes[known:]
                trace.counts = counts
        outputs, self.out_tree = jax.tree.flatten(result)
        self.out_wrapped = [isinstance(y, Variable) for y in outputs]
        self.out_requires = [isinstance(y, Variable) and y.requires_grad for y in outputs]
        return nodes, outputs, scope

    def arrays(self, arrays: Sequence[Any]) -> list[Any]:
        """Return the output arrays."""
        # with a tape, though nobody looks at it: of what is run without one JAX has no derivative
        return [jnp.asarray(on_tape(y)) for y in self.run(arrays, self.record, shown=self.counts is None)[1]]

    def examine(self, arrays: Sequence[Any]) -> None:
        """Run the function on shapes only, to learn its outputs, what it captures and how many keys it draws.

        Raises:
            Irregular: It writes state or looks at values.
        """
        trace = thread_state().trace
        before, draws = trace.snapshot(self.function), trace.draws
        looks, cuts = trace.questions.inner, trace.cuts
        captured: dict[VariableNode, Variable] = {}

        def probe(*arrays: Any) -> list[Any]:
            own, outputs, scope = self.run(arrays, record=True)
            if not all(isinstance(y, (Variable, *ARRAY_LIKE, int, float, complex)) for y in outputs):
                raise Irregular("it returns what is no array")
            found, reached = _captured(outputs, [n for n in own if n is not None], scope)
            captured.update(found)
            self.reached = {own.index(n) for n in reached} | {id(v) for v in found.values()}
            return [jnp.asarray(on_tape(y)) for y in outputs]

        try:
            self.shapes = list(jax.eval_shape(probe, *arrays))
        except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
            raise Irregular("it looks at values") from error
        except Exception as error:
            if trace.cuts == cuts:
                raise
            raise Irregular(GRAPH) from error  # which is not there
        finally:
            self.draws, trace.draws = trace.draws - draws, draws
            changed = trace.put_back(before)
        if changed:
            raise Irregular("it writes state")
        if trace.questions.inner != looks:  # and caught what that raises
            raise Irregular("it looks at values")
        if trace.cuts != cuts:
            raise Irregular(GRAPH)
        self.captured = list(captured.values())

    def gradients(self, arrays: Sequence[Any], gys: Sequence[Any], captured: Sequence[Variable]) -> list[Any]:
        """Return the gradients of the inputs, then of the captured Variables: zeros where none flows, and None where
        the dtype has none.
        """
        nodes, outputs, _ = self.run(arrays, record=True)
        seeds = [
            (y._node, g)
            for y, g in zip(outputs, gys, strict=True)
            if isinstance(y, Variable) and y._node.info.differentiable
        ]
        with using_config("enable_backprop", False):
            found = gradients_of(seeds)
        targets = [(n, a) for n, a in zip(nodes, arrays, strict=True)] + [(v._node, v._array) for v in captured]
        return [
            (found[n] if n is not None and n in found else zeros_of(a)) if is_inexact(a) else None for n, a in targets
        ]


def is_inexact(array: Any) -> bool:
    """Return whether an array has a gradient, for its dtype."""
    return bool(jnp.issubdtype(array.dtype, jnp.inexact))


def as_it_is_now(function: Callable[..., Any], *examples: Any) -> Callable[..., Any]:
    """Return a function of arrays as the program that it is now.

    When a gradient is asked for, the names, attributes and configuration that a user's function reads may be others.

    Raises:
        Irregular: It writes state.
    """
    out_tree: Any = None
    trace = thread_state().trace
    before = trace.snapshot()

    def flat(*args: Any) -> list[Any]:
        nonlocal out_tree
        leaves, out_tree = jax.tree.flatten(function(*args))
        return leaves

    run = jaxpr_as_fun(jax.make_jaxpr(flat)(*examples))
    if trace.put_back(before):  # as the gradient of `forget` leaves those of parameters
        raise Irregular("its gradient writes state")
    return lambda *args: jax.tree_util.tree_unflatten(out_tree, run(*jax.tree.leaves(args)))


def with_arrays(result: Any) -> Any:
    """Return the result of Python's branch or loop as `lax` would: with arrays in the place of numbers."""
    numbers = int, float, complex, np.generic, np.ndarray
    return jax.tree.map(lambda y: jnp.asarray(y) if isinstance(y, numbers) else y, result)


@contextlib.contextmanager
def one_program() -> Iterator[None]:
    """Leave the block where a body turns out to be `Irregular`, as if it had not been tried."""
    state = thread_state()
    trace, scope = state.trace, state.scope
    draws, known, counts = trace.draws, len(trace.nodes), dict(trace.counts)
    count = None if scope is None else scope.count
    try:
        yield
    except Irregular:
        trace.draws, trace.counts = draws, counts
        del trace.nodes[known:]
        if scope is not None:
            scope.count = count


@contextlib.contextmanager
def cluster(name: str) -> Iterator[Scope]:
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
    stack = [y._node for y in outputs if isinstance(y, Variable)]
    seen: set[VariableNode] = set()
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in own:
            continue
        function = node.creator_node
        if function is not None and function.scope is not None and function.scope.is_within(scope):
            stack += function.inputs
        elif node.info.differentiable:
            variable = node.get_variable_or_none()
            if variable is not None:
                found[node] = variable
    return found, seen.intersection(own)


# -- the node of the tape ----------------------------------------------------------------------------------------------


class _Gradient(GradientOp):
    """The gradient of a control-flow node."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        super().__init__(name, f"{name} grad")
        self.function = function

    def pure(self, structure: Any) -> Callable[..., Any]:
        return lambda *flat: tuple(self.function(*flat))


class _ControlNode(FunctionRecord):
    """A `cond` or `scan` of a static trace: one node."""

    __slots__ = ("arrays", "backward", "name", "needs", "shapes")

    @property
    def label(self) -> str:
        return self.name

    def _filled(self, gys: Sequence[Any]) -> list[Any]:
        return [zeros_of(s) if g is None else g for g, s in zip(gys, self.shapes, strict=True)]

    def pullback(self, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        with jax.named_scope(f"backward{thread_state().trace.call_path(self.scope)}"):
            return self.needs, self.backward(*self.arrays, *self._filled(gys))

    def pullback_graph(self, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        inputs = [variable_on(node, array) for node, array in zip(self.inputs, self.arrays, strict=True)]
        result = _Gradient(self.name, self.backward).apply((), [*inputs, *self._filled(gys)], ())
        return self.needs, result if isinstance(result, tuple) else (result,)


def record(
    name: str,
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    body: Body,
    gradient: Callable[[], Callable[..., Sequence[Any]]],
) -> list[Any]:
    """Return the outputs, Variables where the body gave Variables, with one node behind those that have a gradient.

    Args:
        name: Label of the node.
        inputs: Variables and arrays: the body's own, then what it captured.
        outputs: Arrays.
        body: The body: which outputs are Variables, and which of its inputs they depend on.
        gradient: Makes, where there is a gradient, the function of the input arrays and the gradients of the
            differentiable outputs that returns one gradient per input.
    """
    state = thread_state()
    arrays = [as_jax(on_tape(x)) for x in inputs]
    nodes = tuple(
        x._node if isinstance(x, Variable) else VariableNode(info_of(a, False))
        for x, a in zip(inputs, arrays, strict=True)
    )
    wrapped, given = body.out_wrapped, len(body.wrapped)
    differentiable = [i for i, n in enumerate(nodes) if n.info.differentiable]
    connected = [w and bool(jnp.issubdtype(y.dtype, jnp.inexact)) for w, y in zip(wrapped, outputs, strict=True)]
    ordinal = 0 if state.scope is None else state.scope.next_ordinal()
    if not (state.record and differentiable and any(connected)):
        wants = body.out_requires  # leaves that the body made may
        return [Variable(y, requires_grad=r) if w else y for w, r, y in zip(wrapped, wants, outputs, strict=True)]
    node = _ControlNode()
    node.name, node.arrays, node.inputs = name, arrays, nodes
    node.needs = needs = tuple(i for i in differentiable if i >= given or i in body.reached)
    backward = gradient()
    node.backward = lambda *flat: [g for i, g in enumerate(backward(*flat)) if i in needs]
    node.shapes = [struct_of(y) for y, c in zip(outputs, connected, strict=True) if c]
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
            references.append(weakref.ref(own))
    node.outputs = tuple(references)
    return results


@contextlib.contextmanager
def in_place(variables: Sequence[Variable], arrays: Sequence[Any]) -> Iterator[None]:
    """Put other arrays into Variables for the time of the block, in which they are leaves of the graph."""
    old = [(v._array, v._node) for v in variables]
    for v, a in zip(variables, arrays, strict=True):
        v._array, v._node = a, VariableNode(v._node.info, v._node.name)
        v._node._variable = weakref.ref(v)
    try:
        yield
    finally:
        for v, (array, node) in zip(variables, old, strict=True):
            v._array, v._node = array, node


@contextlib.contextmanager
def keys(offset: Any) -> Iterator[None]:
    """Random draws in the block start at `offset` behind the trace's key."""
    trace = thread_state().trace
    key, draws = trace.key, trace.draws
    trace.key = None if key is None else key.at[2].add(jnp.asarray(offset, np.uint32))  # None: nothing was drawn
    trace.draws = 0
    try:
        yield
    finally:
        trace.key, trace.draws = key, draws
