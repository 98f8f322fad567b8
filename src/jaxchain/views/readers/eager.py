"""Eager graph -> Graph: the variable and function nodes that lie behind some outputs.

The walk is iterative and linear, inputs come before what uses them, and nothing depends on addresses: the same program
gives the same ids in every run.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from typing import Any

from jaxchain.core.nodes import FunctionRecord, VariableNode
from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable
from jaxchain.views import collector
from jaxchain.views.model import Builder, Graph

AnyNode = VariableNode | FunctionRecord


def start_nodes(outputs: Any) -> list[AnyNode]:
    """Return the nodes of one output or of several.

    Raises:
        TypeError: An output is not a Variable, a VariableNode or a FunctionNode.
    """
    if isinstance(outputs, Variable | VariableNode | FunctionRecord):
        outputs = [outputs]
    elif isinstance(outputs, str) or not isinstance(outputs, Iterable):
        outputs = [outputs]
    starts: list[AnyNode] = []
    for output in outputs:
        if isinstance(output, Variable):
            starts.append(output.node)
        elif isinstance(output, VariableNode | FunctionRecord):
            starts.append(output)
        else:
            kind = type(output).__name__
            raise TypeError(f"element of outputs must be either Variable, VariableNode, or FunctionNode, got {kind}")
    return starts


def walk(starts: Iterable[AnyNode]) -> tuple[list[AnyNode], list[tuple[AnyNode, AnyNode]]]:
    """Return the nodes behind `starts`, inputs first, and the edges between them, each once."""
    nodes: list[AnyNode] = []
    edges: list[tuple[AnyNode, AnyNode]] = []
    seen: set[AnyNode] = set()
    for start in starts:
        stack: list[tuple[AnyNode, bool]] = [(start, False)]
        while stack:
            node, done = stack.pop()
            if not done and node in seen:
                continue
            before = parents(node)
            if done:
                nodes.append(node)
                edges.extend((parent, node) for parent in before)
                continue
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent in reversed(before) if parent not in seen)
    return nodes, edges


def parents(node: AnyNode) -> Sequence[AnyNode]:
    """Return what leads into a node: a variable's creator, or a function's inputs, each once."""
    if isinstance(node, VariableNode):
        return () if node.creator_node is None else (node.creator_node,)
    inputs = node.drawn_inputs
    return inputs if len(inputs) < 2 else tuple(dict.fromkeys(inputs))


@collector.paused()
def read(
    outputs: Any,
    *,
    remove_variable: bool = False,
    show_name: bool = True,
    details: bool = True,
    clusters: bool = False,
) -> Graph:
    """Return the graph behind some outputs.

    Args:
        outputs: A Variable, VariableNode or FunctionNode, or several.
        remove_variable: Leave variables out; functions are joined directly.
        show_name: Put a variable's name before its shape: ``W: (5, 4), float32``.
        details: Fill the nodes' attributes (link path, source line, static arguments, ...), not only their labels.
        clusters: Put the functions into one cluster per link, and with them its parameters and the variables that only
            it sees.

    Returns:
        A graph of kind ``eager``.

    Raises:
        TypeError: An output is none of these.
    """
    nodes, edges = walk(start_nodes(outputs))
    return from_lists(
        nodes, edges, remove_variable=remove_variable, show_name=show_name, details=details, clusters=clusters
    )


def from_lists(
    nodes: Sequence[AnyNode],
    edges: Iterable[tuple[AnyNode, AnyNode]],
    *,
    remove_variable: bool = False,
    show_name: bool = True,
    details: bool = True,
    clusters: bool = False,
) -> Graph:
    """Return the graph of given nodes and (from, to) pairs. Arguments as for `read`."""
    builder = Builder("eager")
    edges = list(edges)
    frames: dict[str, str] = {}
    paths = _paths(edges) if clusters or details else {}
    ids: dict[AnyNode, str] = {}

    def add(node: AnyNode) -> str:
        path = node.link_path if isinstance(node, FunctionRecord) else paths.get(node, "")
        frame = _frame(builder, frames, path) if clusters and path else None
        kind = "variable" if isinstance(node, VariableNode) else "function"
        ids[node] = builder.node(label_of(node, show_name), kind, frame, **(_facts(node, path) if details else {}))
        return ids[node]

    for node in nodes:
        if not (remove_variable and isinstance(node, VariableNode)):
            add(node)
    drawn: set[tuple[str, str]] = set()
    for head, tail in edges:
        source: AnyNode | None = head
        if remove_variable:
            if isinstance(tail, VariableNode):
                continue  # the edge from the variable on to its user stands for both
            source = head.creator_node if isinstance(head, VariableNode) else head
            if source is None:
                continue
        elif isinstance(head, VariableNode) == isinstance(tail, VariableNode):
            raise TypeError("head and tail should be the set of VariableNode and Function")
        pair = (ids.get(source) or add(source), ids.get(tail) or add(tail))
        if pair not in drawn:
            drawn.add(pair)
            builder.edge(*pair)
    functions = sum(isinstance(node, FunctionRecord) for node in nodes)
    return builder.build(functions=functions, variables=len(nodes) - functions)


def label_of(node: AnyNode, show_name: bool = True) -> str:
    """Return a node's text: ``LinearFunction``, ``W: (5, 4), float32``."""
    if show_name and isinstance(node, VariableNode) and node.name is not None:
        return f"{node.name}: {node.label}"
    return node.label


def retained_bytes(outputs: Any) -> tuple[int, int]:
    """Return (bytes, arrays) that the graph keeps for its gradients, leaves aside: others hold them."""
    nodes, _ = walk(start_nodes(outputs))
    leaves: set[int] = set()
    kept: dict[int, Any] = {}
    for node in nodes:
        if isinstance(node, FunctionRecord):
            for variable, array in node.keeps():
                kept[id(array)] = array
                if variable is not None and variable.creator_node is None:
                    leaves.add(id(array))
    own = [a for key, a in kept.items() if key not in leaves]
    return sum(a.nbytes for a in own), len(own)


def _paths(edges: Iterable[tuple[AnyNode, AnyNode]]) -> dict[Any, str]:
    """Return the link that each variable lies in: the innermost around its creator and all its users.

    What comes in from outside (a leaf that is no parameter) or goes out (nothing uses it) lies in none.
    """
    around: dict[VariableNode, list[str]] = {}
    used = set()
    for head, tail in edges:
        if isinstance(head, VariableNode) and isinstance(tail, FunctionRecord):
            used.add(head)
            variable, function = head, tail
        elif isinstance(head, FunctionRecord) and isinstance(tail, VariableNode):
            variable, function = tail, head
        else:
            continue
        around.setdefault(variable, []).append(function.link_path or "/")
    return {
        node: posixpath.commonpath(links).rstrip("/")
        for node, links in around.items()
        if node in used and (node.creator_node is not None or isinstance(node.get_variable_or_none(), Parameter))
    }


def _frame(builder: Builder, frames: dict[str, str], path: str) -> str:
    """Return the cluster of a link path, making those around it first."""
    if path not in frames:
        parts = path.strip("/").split("/")
        parent = None
        for k, part in enumerate(parts):
            prefix = "/" + "/".join(parts[: k + 1])
            if prefix not in frames:
                frames[prefix] = builder.cluster(part, parent, "link", path=prefix)
            parent = frames[prefix]
        frames[path] = parent or ""
    return frames[path]


def _facts(node: AnyNode, path: str) -> dict[str, Any]:
    facts: dict[str, Any] = {"rank": node.rank, "link_path": path}
    if isinstance(node, VariableNode):
        facts |= {"shape": list(node.shape), "dtype": str(node.dtype), "name": node.name}
        if isinstance(node.get_variable_or_none(), Parameter):
            facts["parameter"] = True
        return facts
    facts |= {"op": node.op_name, "static_args": dict(node.static_args)}
    ordinal = getattr(node, "ordinal", None)
    if ordinal is not None:
        facts["ordinal"] = ordinal
    source = node.source
    if source is not None:
        facts["source"] = list(source)
    return facts
