"""`verify`: does a call give the same in both modes, and if not, which node is the first to differ?

Two things can go wrong. The trace may be another program than the one that runs eagerly: something that changes from
call to call was read in a way that static mode does not see. Then the nodes of both are compared in order. Or the
compiler may round differently: then the program is cut after ever fewer nodes, until the one is found where it starts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from jaxchain.contrast import links_follow_the_mode
from jaxchain.core import static
from jaxchain.core.compat import equations, origin, values_of, without_dead_code
from jaxchain.core.config import using_config
from jaxchain.core.errors import format_source, source_of
from jaxchain.core.exact import exact_jit
from jaxchain.core.op_node import OpNode
from jaxchain.core.scopes import tag_of
from jaxchain.core.state import Walk
from jaxchain.core.traced import Traced
from jaxchain.core.untouched import untouched
from jaxchain.function_hook import FunctionHook
from jaxchain.link import Link
from jaxchain.views import programs
from jaxchain.views.compare import arrays_of, differences
from jaxchain.views.report import Difference


@dataclasses.dataclass(frozen=True)
class Culprit:
    """The first node that differs.

    Attributes:
        cause: ``"program"``: the trace computes something else than the eager run; ``"compiler"``: the same program,
            compiled, gives other numbers.
        node: Label of the node, ``"ReLU"``; of a gradient ``"ReLU (backward)"``.
        source: The user's line.
        what: What differs.
    """

    cause: str
    node: str
    source: str
    what: str


@dataclasses.dataclass(frozen=True)
class Verification:
    """What `verify` found: true if the modes agree. `str()` is a report.

    Attributes:
        name: Of the model or function.
        rtol: The tolerance.
        differences: Every result and every cell that the call leaves behind, in both modes.
        culprit: The first node that differs; None if the modes agree, or no node does alone.
    """

    name: str
    rtol: float
    differences: list[Difference]
    culprit: Culprit | None

    @property
    def agrees(self) -> bool:
        """Whether all differences are within the tolerance."""
        return all(d.relative <= self.rtol for d in self.differences)

    def __bool__(self) -> bool:
        return self.agrees

    def __str__(self) -> str:
        worst = max(self.differences, key=lambda d: d.relative, default=None)
        if worst is None or self.agrees:
            largest = f": largest relative difference {worst.relative:.2g} ({worst.name})" if worst else ""
            return f"{self.name}: both modes agree in {len(self.differences)} results{largest}"
        lines = [f"{self.name}: the modes differ"]
        for d in sorted(self.differences, key=lambda d: -d.relative):
            if d.relative > self.rtol:
                lines.append(f"  {d.name} ({d.type}): relative difference {d.relative:.2g}")
        if self.culprit is None:
            lines.append("  no node alone: it shows only in the whole program")
        else:
            whose = "the trace is another program" if self.culprit.cause == "program" else "the compiler rounds"
            lines.append(f"  first at {self.culprit.node}, {self.culprit.source}")
            lines.append(f"  {whose}: {self.culprit.what}")
        return "\n".join(lines)


def verify(model_or_fn: Any, *args: Any, rtol: float = 1e-4, **kwargs: Any) -> Verification:
    """Run a call in both modes, compare all that comes out and is left behind, and find the first node that differs.

    Everything that the call can reach is put back afterwards.

    Args:
        model_or_fn: A link or a function, a whole training step, too.
        *args: Its arguments.
        rtol: Largest difference that counts as equal, relative to the largest value of each array.
        **kwargs: Its keyword arguments.

    Returns:
        The result: ``assert jaxchain.verify(step, x, t)``, or print it.

    Examples:
        >>> print(jaxchain.verify(lambda x: F.sum(x * 2), np.ones(3, np.float32)))
        <lambda>: both modes agree in 1 results: largest relative difference 0 (output)
    """
    target = getattr(model_or_fn, "__wrapped_static__", model_or_fn)
    name = programs.name_of(target)
    with untouched(target, args, kwargs) as reset, links_follow_the_mode(target):
        recorder = _Recorder()
        with using_config("mode", "eager"), recorder:
            eager = _results(target, target(*args, **kwargs))
        reset()
        traced = static.trace(target, *args, **kwargs)
        reset()
        compiled = static.Static(target, name, [("target", target)], rules=not isinstance(target, Link))
        found = _results(target, compiled(*args, **kwargs))
        gaps = differences(*_aligned(eager, found))
        if all(d.relative <= rtol for d in gaps):
            return Verification(name, rtol, gaps, None)
        nodes = _nodes(traced)
        culprit = _program_differs(recorder.nodes, nodes, rtol) or _compiler_differs(traced, nodes, rtol)
        return Verification(name, rtol, gaps, culprit)


def _results(target: Any, out: Any) -> list[tuple[str, Any]]:
    """Return all that a call gave and left, as it is now: results, parameters, gradients, other cells."""
    walk = Walk([("target", target)])
    found = [(name, np.array(values_of(a))) for name, a in arrays_of(out)]
    for name, p in zip(walk.parameter_names, walk.parameters, strict=True):
        pair = ((name, p.array), (f"{name}.grad", p._grad_array()))  # also of one that has no array yet
        found += [(n.removeprefix("target."), None if a is None else np.array(a)) for n, a in pair]
    for container, key, _, name in walk.places:
        cell = name.removeprefix("target.")
        found += [(f"{cell}{n.removeprefix('output')}", _number(a)) for n, a in arrays_of(container[key])]
    return found


def _number(value: Any) -> np.ndarray:
    """Return the value of a cell; a number of Python and a scalar on the device, a counter say, are the same thing."""
    array = np.array(values_of(value))
    return array.astype(np.float64) if array.ndim == 0 and array.dtype.kind in "iuf" else array


def _aligned(
    eager: Sequence[tuple[str, Any]], found: Sequence[tuple[str, Any]]
) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """Return both with the same names in the same order, None where one has nothing."""
    a, b = dict(eager), dict(found)
    names = list(dict.fromkeys([*a, *b]))
    return [(n, a.get(n)) for n in names], [(n, b.get(n)) for n in names]


@dataclasses.dataclass
class _Node:
    op: str  # its name in the jaxpr
    label: str
    source: str
    inputs: list[Any]
    outputs: list[Any]
    equation: int = -1  # its number in the trace
    is_op: bool = True  # and not the sum of two gradients, say


class _Recorder(FunctionHook):
    """Records what every node of an eager run was given, in order."""

    name = "jaxchain.verify"

    def __init__(self) -> None:
        self.nodes: list[_Node] = []

    def forward_preprocess(self, function: Any, in_data: tuple[Any, ...]) -> None:
        self._add(function, function.op_name, function.label, source_of(function.site), in_data)

    def backward_preprocess(self, function: Any, in_data: tuple[Any, ...], out_grad: tuple[Any, ...]) -> None:
        given = (*in_data, *(g for g in out_grad if g is not None))
        self._add(function, f"{function.op_name}_vjp", f"{function.label} (backward)", function.source, given)

    def _add(self, function: Any, op: str, label: str, source: Any, given: Sequence[Any]) -> None:
        if isinstance(function, OpNode):  # a FunctionNode is many equations
            self.nodes.append(_Node(op, label, format_source(source), [*given, *function.scalars], []))


def _nodes(traced: Traced) -> list[_Node]:
    """Return the nodes of a trace with what they are given and give, each run alone."""
    found = []
    for at, (eqn, inputs, outputs) in enumerate(equations(traced.jaxpr, traced.values)):
        path, source = origin(eqn)
        tag = tag_of(path)
        op = str(eqn.params.get("name", eqn.primitive))
        label = op if tag is None else tag.label + (" (backward)" if tag.role == "backward" else "")
        found.append(_Node(op, label, format_source(source), inputs, outputs, at, tag is not None))
    return found


def _gap(eager: Sequence[Any], other: Sequence[Any]) -> float:
    pairs = [[(str(i), values_of(v)) for i, v in enumerate(side)] for side in (eager, other)]
    return max((d.relative for d in differences(*pairs)), default=0.0)


def _program_differs(eager: Sequence[_Node], traced: Sequence[_Node], rtol: float) -> Culprit | None:
    """Compare the nodes of the eager run with those of the trace, in order."""
    known = {n.op for n in eager}
    rest = [n for n in traced if n.op in known and n.is_op]  # updates of optimizers and what is no node have no partner
    for k, node in enumerate(eager):
        if k == len(rest):
            return Culprit("program", node.label, node.source, "the trace has no such node")
        other = rest[k]
        if other.op != node.op:
            return Culprit("program", node.label, node.source, f"the trace has {other.label} here, {other.source}")
        if (gap := _gap(node.inputs, other.inputs)) > rtol:
            return Culprit("program", node.label, node.source, f"what it is given differs by {gap:.2g} (relative)")
    if len(rest) > len(eager):
        return Culprit("program", rest[len(eager)].label, rest[len(eager)].source, "the eager run has no such node")
    return None


def _compiler_differs(traced: Traced, nodes: Sequence[_Node], rtol: float) -> Culprit | None:
    """Find the first node whose value changes if the program up to it is compiled as a whole."""

    def differs(node: _Node) -> float:
        jaxpr = traced.jaxpr.jaxpr
        cut = jaxpr.replace(
            outvars=list(jaxpr.eqns[node.equation].outvars),
            eqns=jaxpr.eqns[: node.equation + 1],
            debug_info=jaxpr.debug_info.with_unknown_names(),
        )
        pruned, _ = without_dead_code(ClosedJaxpr(cut, traced.jaxpr.consts), range(len(traced.values)))
        run = exact_jit(jaxpr_as_fun(pruned))
        gap = _gap(node.outputs, run(*traced.values))
        return gap if gap > rtol else 0.0

    low, high = 0, len(nodes) - 1
    if high < 0 or not differs(nodes[high]):
        at = next((n for n in nodes if differs(n)), None)
    else:
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if differs(nodes[middle]) else (middle + 1, high)
        at = nodes[low]
    if at is None:
        return None
    return Culprit("compiler", at.label, at.source, f"its result differs by {differs(at):.2g} (relative)")
