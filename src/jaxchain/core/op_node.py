"""The nodes that calls of ops leave in the graph, and the ways an op runs that hooks, debug mode or a trace watch."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from jaxchain.core.arrays import Info, has_nan, off_tape
from jaxchain.core.compat import is_tracer
from jaxchain.core.config import is_debug, thread_state
from jaxchain.core.deferred import Deferred, Part, budget, concrete
from jaxchain.core.errors import Site, call_site, format_source, user_line
from jaxchain.core.nodes import FunctionRecord, VariableNode
from jaxchain.core.variable import Variable

new = object.__new__
reference = weakref.ref


class OpNode(FunctionRecord):
    """The node that one call of an op leaves in the graph."""

    __slots__ = ("kept", "plan", "scalars")

    plan: Any  # `plan.Plan`: what the op does on inputs of these shapes
    kept: Sequence[Any]  # retained inputs, then retained outputs: arrays, or what waits in their place
    scalars: tuple[Any, ...]

    @property
    def label(self) -> str:
        """The op's label; ``{parameter}`` fields are filled with the values of this call."""
        return self.plan.op.label_of(self.plan.structure, self.scalars)

    @property
    def _impl_name(self) -> str:
        return self.plan.op.class_name

    @property
    def info(self) -> Info:
        """Shape and dtype of the output, of an op that has one."""
        return self.plan.out_infos[0]

    @property
    def wanting_inputs(self) -> Sequence[VariableNode]:
        """The inputs that a gradient goes to."""
        return [self.inputs[i] for i in self.plan.needs] if self.inputs else ()

    @property
    def drawn_inputs(self) -> Sequence[VariableNode]:
        """The inputs that graphs show."""
        return [self.inputs[i] for i in self.plan.op.drawn(self.plan.structure)] if self.inputs else ()

    @property
    def op_name(self) -> str:
        """Name of the op in the jaxpr."""
        return self.plan.op.name

    @property
    def static_args(self) -> dict[str, Any]:
        """Values of the parameters that are not graph inputs, by name."""
        return self.plan.op.parameters_of(self.plan.structure, self.scalars)

    def retained_output(self, index: int) -> Any:
        """Return the array of an output, if it was kept for the gradient."""
        ins, outs = self.plan.retained(self.scalars)
        return concrete([self.kept[len(ins) + outs.index(index)]])[0] if index in outs else None

    def keeps(self) -> list[tuple[VariableNode | None, Any]]:
        """Return the arrays kept for the gradient, each with the input that it is, or None."""
        ins, outs = self.plan.retained(self.scalars)
        return list(zip([*(self.inputs[i] for i in ins), *(None for _ in outs)], concrete(self.kept), strict=True))

    def pullback(self, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        """Return (positions, gradients) of the inputs, as arrays."""
        plan = self.plan
        if not plan.needs:
            return (), ()
        given = None
        if len(gys) > 1 and any(g is None for g in gys):
            given = tuple(g is not None for g in gys)
            gys = [g for g in gys if g is not None]
        op = plan._pullbacks.get(given) or plan.pullback(given, self.scalars)
        state = thread_state()
        if state.special:
            return op.needs, special_pullback(self, op, gys, state)
        return op.needs, op.compiled(*concrete(self.kept), *gys, *self.scalars)

    def pullback_graph(self, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        """Return (positions, gradients) of the inputs, as Variables with a graph of their own."""
        plan = self.plan
        if not plan.needs:
            return (), ()
        ins, outs = plan.retained(self.scalars)
        kept = [variable_on(self.inputs[i], self.kept[k]) for k, i in enumerate(ins)]
        for k, i in enumerate(outs, len(ins)):
            kept.append(variable_on(self.output_node(i, plan.out_infos[i]), self.kept[k]))
        given = tuple(g is not None for g in gys) if any(g is None for g in gys) else None
        op = plan.pullback(given, self.scalars)
        result = op.apply((), (*kept, *(g for g in gys if g is not None)), self.scalars)
        return op.needs, result if isinstance(result, tuple) else (result,)


def variable_on(node: VariableNode, array: Any) -> Variable:
    """Return the Variable of a node; a new one on the array if there is none any more."""
    variable = node.get_variable_or_none()
    return Variable._of(array, node) if variable is None else variable


def special_forward(
    op: Any, plan: Any, arrays: list[Any], scalars: tuple[Any, ...], nodes: list[Any], state: Any
) -> Any:
    """Run a forward under hooks, debug mode or a trace: the slow path of `Op.apply`."""
    trace = state.trace
    label = op.label_of(plan.structure, scalars)
    if trace is not None:
        trace.notice(nodes, arrays)
    shown = None
    if state.hooks:
        shown = plan.node()
        shown.plan, shown.scalars, shown.scope, shown.site = plan, scalars, state.scope, call_site(4)
        shown.inputs = tuple(
            n if isinstance(n, VariableNode) else VariableNode(i) for n, i in zip(nodes, plan.infos, strict=True)
        )
        shown.rank, shown.outputs = 0, ()
        for hook in list(state.hooks.values()):
            hook.forward_preprocess(shown, tuple(arrays))
    if trace is None:
        out = (plan.ruled if any(map(is_tracer, arrays)) else plan.forward)(*arrays, *scalars)
    else:
        with trace.op_scope(label, op.name):
            out = (plan.ruled if trace.by_jax else plan.forward)(*arrays, *scalars)
        if not (state.record or trace.returning):
            out = off_tape(out) if plan.single else tuple(map(off_tape, out))
    if shown is not None:
        for hook in list(state.hooks.values()):
            hook.forward_postprocess(shown, tuple(arrays))
    if state.trace is None:
        check_nan(label, out)
    return out


def special_pullback(node: Any, op: Any, gys: Sequence[Any], state: Any) -> Any:
    """Run a gradient under hooks, debug mode or a trace: the slow path of a node's `pullback`."""
    in_data = tuple(concrete(node.kept))
    for hook in list(state.hooks.values()):
        hook.backward_preprocess(node, in_data, tuple(gys))
    if state.trace is None:
        out = op.compiled(*in_data, *gys, *node.scalars)
    else:
        with state.trace.op_scope(node.label, op.name, node):
            out = op.compiled(*in_data, *gys, *node.scalars)
    for hook in list(state.hooks.values()):
        hook.backward_postprocess(node, in_data, tuple(gys))
    if state.trace is None:
        check_nan(f"{node.label} (backward)", out, node)
    return out


def check_nan(label: str, out: Any, node: OpNode | None = None) -> None:
    """Raise a RuntimeError in debug mode if there is a NaN in the results of a call, or of a node's gradient."""
    if not is_debug():
        return
    for y in out if isinstance(out, tuple) else (out,):
        if has_nan(y):
            line = user_line(4) if node is None else format_source(node.source)
            raise RuntimeError(f"NaN is detected on the result of {label}\nat {line}")


def record(
    plan: Any,
    out: Any,
    nodes: tuple[VariableNode, ...],
    kept: Sequence[Any],
    rank: int,
    scalars: tuple[Any, ...],
    state: Any,
    site: Site | None,
) -> Any:
    """Return the Variables of an op's output or outputs, with a node that says how they came about. The hot path of
    eager mode: objects are made without their constructors, which costs 0.3 us less each.
    """
    function = new(plan.node)
    function.plan = plan
    function.scalars = scalars
    function.rank = rank
    function.site = site
    function.inputs = nodes
    function.kept = kept
    function.scope = scope = state.scope
    if scope is None:
        function.ordinal = 0
    else:
        function.ordinal = scope.count
        scope.count += 1
    if plan.single:
        result = new(Variable)
        result._value = out
        result._grad = None
        if out.__class__ is Deferred:
            result._made = node = new(VariableNode)
            node.info = plan.out_infos[0]
            node.name = None
            node.creator_node = function
            node.output_index = 0
            node.rank = rank + 1
            node._variable = reference(result)
            function.outputs = out.nodes = (reference(node),)
            if not plan.needs:
                budget.charge(out)
        else:
            result._made = function
        return result
    results = []
    for at, y in enumerate(out):
        results.append(result_on(y, plan.out_infos[at]))
        node = results[-1]._made
        node.creator_node = function
        node.rank = rank + 1
        node.output_index = at
    function.outputs = tuple([reference(y._made) for y in results])
    if out and out[0].__class__ is Part:
        out[0].call.nodes = function.outputs
        if not plan.needs:
            budget.charge(out[0].call)
    return tuple(results)


def outputs_of(plan: Any, out: Any) -> Sequence[Any]:
    """Return the outputs of a call, arrays or what waits in their place."""
    if plan.single:
        return (out,)
    return [Part(out, at) for at in range(len(plan.out_infos))] if out.__class__ is Deferred else out


def result_on(array: Any, info: Info) -> Variable:
    """Return the Variable of an op's output: `Variable.__init__` without its checks."""
    variable = Variable.__new__(Variable)
    variable._value = array
    variable._grad = None
    variable._node = node = VariableNode(info)
    node._variable = weakref.ref(variable)
    return variable
