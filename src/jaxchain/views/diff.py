"""`diff`: two graphs in one picture: what was added, removed, changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jaxchain.core.scopes import TAG
from jaxchain.views import collector
from jaxchain.views.computational_graph import Drawable
from jaxchain.views.matching import Side, facts, match
from jaxchain.views.model import Builder, Graph, Node
from jaxchain.views.readers import eager
from jaxchain.views.writers import dot

COLOURS = {"added": "#A6E3B0", "removed": "#F7B2AE", "changed": "#FBE29A", "same": "#ECEEF2"}
_LINES = {"added": "#1A7F37", "removed": "#CF222E", "changed": "#9A6700", "same": "#9AA7B8"}
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
LISTED = 40


@dataclass(frozen=True)
class Change:
    """A node that is in both graphs, and not the same in both.

    Attributes:
        before: The node in the first graph.
        after: The node in the second.
        facts: For each fact that differs: (name, before, after).
    """

    before: Node
    after: Node
    facts: tuple[tuple[str, str, str], ...]


class Diff(Drawable):
    """What `diff` found. Printed, it is a list; drawn, one picture in colours.

    Attributes:
        added: Nodes of the second graph alone.
        removed: Nodes of the first graph alone.
        changed: Nodes of both that are not the same in both.
        same: Number of nodes that are the same in both.
        added_edges: (label, label) of the edges between nodes of both graphs that only the second has.
        removed_edges: Those that only the first has.
        matches: Ids of the first graph with those of the second.
    """

    def __init__(self, a: Graph, b: Graph) -> None:
        sides = Side(a), Side(b)
        self.matches = match(*sides)
        self._graphs = a, b
        matched = set(self.matches.values())
        self.removed = tuple(n for n in a.nodes if n.id not in self.matches)
        self.added = tuple(n for n in b.nodes if n.id not in matched)
        pairs = ((sides[0].nodes[i], sides[1].nodes[j]) for i, j in self.matches.items())
        self.changed = tuple(Change(x, y, found) for x, y in pairs if (found := _differing(x, y)))
        self.same = len(self.matches) - len(self.changed)
        ours = {(self.matches.get(e.source), self.matches.get(e.target)) for e in a.edges}
        theirs = {(e.source, e.target) for e in b.edges}
        back = {j: i for i, j in self.matches.items()}
        names = [{n.id: n.label for n in g.nodes} for g in (a, b)]
        self.added_edges = tuple(
            (names[1][s], names[1][t]) for s, t in sorted(theirs - ours, key=_numbers) if s in back and t in back
        )
        self.removed_edges = tuple(
            (names[0][back[s]], names[0][back[t]])
            for s, t in sorted(((s, t) for s, t in ours - theirs if s and t), key=_numbers)
        )

    def __bool__(self) -> bool:
        """Whether the graphs differ."""
        return bool(self.added or self.removed or self.changed or self.added_edges or self.removed_edges)

    def to_graph(self) -> Graph:
        """Return both graphs as one; the attribute ``change`` of nodes and edges tells which has them."""
        a, b = self._graphs
        changed = {c.after.id: c for c in self.changed}
        back = {j: i for i, j in self.matches.items()}
        builder = Builder("diff", b.name)
        frames: dict[tuple[str, ...], str] = {}
        ids: dict[tuple[int, str], str] = {}
        clusters = [{c.id: c for c in g.clusters} for g in (a, b)]

        def frame(side: int, at: str | None) -> str | None:
            chain = []
            while at is not None:
                chain.append(clusters[side][at])
                at = chain[-1].parent
            path: tuple[str, ...] = ()
            parent = None
            for cluster in reversed(chain):
                path = (*path, cluster.label)
                if path not in frames:
                    frames[path] = builder.cluster(cluster.label, parent, cluster.kind)
                parent = frames[path]
            return parent

        def add(side: int, node: Node, change: str, more: Mapping[str, Any]) -> str:
            look = {"fillcolor": COLOURS[change], "color": _LINES[change], "style": "filled"}
            if change == "removed":
                look["style"] = "filled,dashed"
            attributes = {
                **node.attributes,
                **more,
                "change": change,
                "dot": {**node.attributes.get("dot", {}), **look},
            }
            return builder.node(node.label, node.kind, frame(side, node.cluster), **attributes)

        gone = iter(self.removed)
        order = {n.id: k for k, n in enumerate(a.nodes)}
        waiting = next(gone, None)
        for node in b.nodes:
            mine = back.get(node.id)
            while waiting is not None and mine is not None and order[waiting.id] < order[mine]:
                ids[0, waiting.id] = add(0, waiting, "removed", {})
                waiting = next(gone, None)
            change = "added" if mine is None else "changed" if node.id in changed else "same"
            more = {"changes": [list(f) for f in changed[node.id].facts]} if change == "changed" else {}
            ids[1, node.id] = add(1, node, change, more)
            if mine is not None:
                ids[0, mine] = ids[1, node.id]
        while waiting is not None:
            ids[0, waiting.id] = add(0, waiting, "removed", {})
            waiting = next(gone, None)
        both = {(ids[0, e.source], ids[0, e.target]) for e in a.edges}
        drawn = set()
        for edge in b.edges:
            pair = ids[1, edge.source], ids[1, edge.target]
            drawn.add(pair)
            change = "same" if pair in both else "added"
            builder.edge(*pair, edge.label, edge.kind, change=change, dot=_line(change))
        for edge in a.edges:
            pair = ids[0, edge.source], ids[0, edge.target]
            if pair not in drawn:
                builder.edge(*pair, edge.label, edge.kind, change="removed", dot=_line("removed"))
        return builder.build(
            added=len(self.added), removed=len(self.removed), changed=len(self.changed), same=self.same
        )

    def dump(self, format: str = "dot") -> str:
        """Return the picture as DOT text."""
        if format != "dot":
            raise NotImplementedError("Currently, only dot format is supported.")
        return dot.write(self.to_graph())

    def __str__(self) -> str:
        counts = (
            f"{len(self.added)} added, {len(self.removed)} removed, {len(self.changed)} changed, {self.same} the same"
        )
        lines = [f"nodes: {counts}"]
        lines += _listed("added", (_name(n) for n in self.added))
        lines += _listed("removed", (_name(n) for n in self.removed))
        lines += _listed(
            "changed",
            (
                f"{_name(c.after)}: " + ", ".join(f"{name} {before} -> {after}" for name, before, after in c.facts)
                for c in self.changed
            ),
        )
        for sign, edges in (("+", self.added_edges), ("-", self.removed_edges)):
            lines += [f"{sign} {_line_of(s)} -> {_line_of(t)}" for s, t in edges[:LISTED]]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<diff: {str(self).splitlines()[0]}>"


@collector.paused()
def diff(a: Any, b: Any) -> Diff:
    """Compare two graphs: two runs of a dynamic model, or eager mode against static mode.

    Args:
        a: The first: a Variable or several (their graph), a drawing, a view (`jaxchain.jaxpr`, `jaxchain.hlo`), a graph
            of views/model.py. An eager graph and a jaxpr are compared by their functions.
        b: The second.

    Returns:
        The difference: print it, or draw it with ``save("diff.svg")``. It is true if there is one.

    Raises:
        TypeError: One of them is none of these, or their kinds cannot be compared (a jaxpr and HLO, say).

    Examples:
        >>> x = jaxchain.Variable(np.ones(3, np.float32), name="x")
        >>> print(jaxchain.diff(F.sum(F.relu(x)), F.sum(F.sigmoid(x))))
        nodes: 1 added, 1 removed, 0 changed, 3 the same
        + Sigmoid
        - ReLU
    """
    graphs = [_graph(v) for v in (a, b)]
    kinds = {g.kind for g in graphs}
    if kinds == {"eager", "jaxpr"}:
        graphs = [functions_of(g) for g in graphs]
    elif len(kinds) > 1:
        raise TypeError(f"diff: expected two graphs of one kind, or eager and jaxpr, got {' and '.join(sorted(kinds))}")
    return Diff(*graphs)


def functions_of(graph: Graph) -> Graph:
    """Return a graph of functions alone: of an eager graph, or of the ops that a jaxpr's scopes name.

    Equations of no op (the sum of two gradients, say) stay as they are.
    """
    builder = Builder("functions", graph.name)
    frames = {c.id: c for c in graph.clusters}
    ids: dict[str, str] = {}
    made: dict[str, str] = {}
    behind: dict[str, list[str]] = {}
    for node in graph.nodes:
        if node.kind in ("variable", "input", "constant", "output", "parameter"):
            continue
        at = node.cluster
        top = None
        while at is not None:
            top = frames[at] if "tag" in frames[at].attributes else top
            at = frames[at].parent
        owner = node if top is None else top
        tag = owner.attributes.get("tag")
        if tag is None and graph.kind == "jaxpr":
            ids[node.id] = builder.node(node.label, node.kind)
            continue
        label = node.label if tag is None else str(tag["label"])
        path = str(node.attributes.get("link_path") or "")
        if tag is not None:
            scope = str(owner.attributes.get("scope", ""))
            starts = [m.start() for m in TAG.finditer(scope)]
            parts = scope[: starts[-1]].strip("/").replace(".", "/").split("/")[1:] if starts else []
            path = "".join("/" + p for p in parts)
        key = owner.id
        if key not in made:
            made[key] = builder.node(label, "function", None, op=label, link_path=path)
        ids[node.id] = made[key]
    for edge in graph.edges:
        behind.setdefault(edge.target, []).append(edge.source)
    drawn = set()
    for edge in graph.edges:
        if edge.target not in ids or edge.kind == "carry":
            continue
        sources = [edge.source] if edge.source in ids else behind.get(edge.source, [])
        for source in sources:
            pair = ids.get(source), ids[edge.target]
            if pair[0] is not None and pair[0] != pair[1] and pair not in drawn:
                drawn.add(pair)
                builder.edge(pair[0], pair[1])
    return builder.build()


def _graph(value: Any) -> Graph:
    if isinstance(value, Graph):
        return value
    if hasattr(value, "to_graph"):
        return value.to_graph()
    try:
        return eager.read(value)
    except TypeError:
        raise TypeError(f"diff: expected a graph, a view or Variables, got {type(value).__name__}") from None


def _differing(a: Node, b: Node) -> tuple[tuple[str, str, str], ...]:
    one, two = facts(a), facts(b)
    found = [
        (k, str(one.get(k, "")), str(two.get(k, ""))) for k in {**one, **two} if str(one.get(k)) != str(two.get(k))
    ]
    # the label of data holds its shape and dtype
    plain = [f for f in found if f[0] != "label"]
    return tuple(plain or found)


def _numbers(pair: tuple[str | None, str | None]) -> tuple[int, ...]:
    return tuple(int(str(v)[1:]) for v in pair)


def _line(change: str) -> dict[str, str]:
    return {"color": _LINES[change]} | ({"style": "dashed"} if change == "removed" else {})


def _line_of(label: str) -> str:
    return " ".join(label.split())


def _name(node: Node) -> str:
    path = node.attributes.get("link_path")
    return _line_of(node.label) + (f" in {path}" if path else "")


def _listed(change: str, names: Iterable[str]) -> list[str]:
    lines = [f"{_SIGNS[change]} {name}" for name in names]
    more = [f"{_SIGNS[change]} ... {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    return lines[:LISTED] + more
