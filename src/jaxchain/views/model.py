"""The one graph model of all views: nodes, edges, nested clusters, attributes; frozen data.

Readers (`views.readers`) make it from an eager graph, a jaxpr or HLO; writers (`views.writers`) turn it into text, DOT,
JSON or an image. Neither knows the other. Nothing here imports jax.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Node:
    """A box of the graph.

    Attributes:
        id: Made up by the reader (``n1``, ``n2`` ... in walk order), so that two runs give the same ids. Never a name.
        label: Text for people. It may hold anything: writers escape it.
        kind: What it is: ``variable``, ``function``; ``input``, ``constant``, ``equation``, ``output``; ``parameter``,
            ``instruction``, ``fusion``, ``plumbing``. Writers choose the look by it.
        cluster: Id of the innermost cluster it lies in, or None.
        attributes: Further facts by name, JSON-like values.
    """

    id: str
    label: str
    kind: str
    cluster: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow from one node to another.

    Attributes:
        source: Id of the node it leaves.
        target: Id of the node it enters.
        label: Text for people, e.g. ``float32[3,4]``.
        kind: ``data``, ``call`` (the result of a nested graph) or ``carry`` (back to the start of a loop's body).
        attributes: Further facts by name.
    """

    source: str
    target: str
    label: str = ""
    kind: str = "data"
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A frame around nodes and other clusters.

    Attributes:
        id: Made up by the reader (``c1``, ``c2`` ...).
        label: Text for people.
        parent: Id of the cluster around it, or None.
        kind: ``link``, ``jit``, ``scan``, ``computation``, ...
        attributes: Further facts by name.
    """

    id: str
    label: str
    parent: str | None = None
    kind: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """Nodes, edges and clusters of one view of a program.

    Attributes:
        kind: ``eager``, ``jaxpr`` or ``hlo``.
        nodes: In walk order, inputs first.
        edges: In walk order.
        clusters: Parents before their children.
        name: Name of the program.
        attributes: Further facts by name.

    Raises:
        ValueError: An id is used twice, or an edge, a node or a cluster refers to an id that is not there.
    """

    kind: str
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    name: str = "graphname"
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ids = {node.id for node in self.nodes}
        if len(ids) != len(self.nodes):
            raise ValueError("graph: two nodes share an id")
        groups: set[str | None] = {None}
        for cluster in self.clusters:
            if cluster.parent not in groups:
                raise ValueError(f"graph: cluster {cluster.id}: its parent {cluster.parent} does not come before it")
            if cluster.id in groups:
                raise ValueError(f"graph: two clusters share the id {cluster.id}")
            groups.add(cluster.id)
        for node in self.nodes:
            if node.cluster not in groups:
                raise ValueError(f"graph: node {node.id} lies in the cluster {node.cluster}, which is not there")
        for edge in self.edges:
            if edge.source not in ids or edge.target not in ids:
                raise ValueError(f"graph: edge {edge.source} -> {edge.target} has an end that is not there")

    def of_kind(self, *kinds: str) -> Iterator[Node]:
        """Yield the nodes of these kinds, in walk order."""
        return (node for node in self.nodes if node.kind in kinds)

    def node(self, id_: str) -> Node:
        """Return the node of this id.

        Raises:
            KeyError: There is none.
        """
        for node in self.nodes:
            if node.id == id_:
                return node
        raise KeyError(id_)

    def path(self, node: Node) -> tuple[str, ...]:
        """Return the labels of the clusters around a node, from the outermost in."""
        by_id = {c.id: c for c in self.clusters}
        labels = []
        at = node.cluster
        while at is not None:
            labels.append(by_id[at].label)
            at = by_id[at].parent
        return tuple(reversed(labels))

    def animate(self, path: str | Path, title: str = "") -> Path:
        """Write a page on which the graph grows step by step: views/writers/animation.py."""
        page = importlib.import_module("jaxchain.views.writers.animation").write(self, title)
        return importlib.import_module("jaxchain.views.save").write_file(path, page)

    def __rich__(self) -> Any:
        """Return the tree that `rich.print` draws."""
        return importlib.import_module("jaxchain.views.terminal").tree(self)

    def _repr_svg_(self) -> str | None:
        """Draw it in a notebook; nothing where no renderer is installed."""
        return importlib.import_module("jaxchain.views.notebook").graph_svg(self)

    def _repr_html_(self) -> str:
        """Show it in a notebook: its counts, and the picture if it is small."""
        return importlib.import_module("jaxchain.views.notebook").graph_html(self)


class Builder:
    """Collects nodes, edges and clusters, and gives them their ids.

    Args:
        kind: Kind of the graph to be.
        name: Name of the graph to be.
    """

    def __init__(self, kind: str, name: str = "graphname") -> None:
        self._kind, self._name = kind, name
        self._nodes: list[Node] = []
        self._edges: list[Edge] = []
        self._clusters: list[Cluster] = []

    def node(self, label: str, kind: str, cluster: str | None = None, **attributes: Any) -> str:
        """Add a node and return its id."""
        id_ = f"n{len(self._nodes) + 1}"
        self._nodes.append(Node(id_, label, kind, cluster, attributes))
        return id_

    def edge(self, source: str, target: str, label: str = "", kind: str = "data", **attributes: Any) -> None:
        """Add an edge."""
        self._edges.append(Edge(source, target, label, kind, attributes))

    def cluster(self, label: str, parent: str | None = None, kind: str = "", **attributes: Any) -> str:
        """Add a cluster and return its id."""
        id_ = f"c{len(self._clusters) + 1}"
        self._clusters.append(Cluster(id_, label, parent, kind, attributes))
        return id_

    def build(self, **attributes: Any) -> Graph:
        """Return the graph."""
        return Graph(self._kind, tuple(self._nodes), tuple(self._edges), tuple(self._clusters), self._name, attributes)
