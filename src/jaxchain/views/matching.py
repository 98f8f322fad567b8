"""Which node of one graph is which node of another: linear in their size, in four passes from sure to likely.

1. Work (functions, equations) that computes the same from the same inputs.
2. Work that is used for the same in the same way.
3. What is left of the work, in walk order, by its name and link.
4. Data (variables, inputs): what stands at the same place of two nodes matched before.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from difflib import SequenceMatcher
from typing import Any

from jaxchain.views.model import Graph, Node

DATA = ("variable", "input", "parameter", "constant", "output")
ALIGNED = 4_000_000  # pairs: beyond, what is left is matched in order, without looking for the longest common part


class Side:
    """A graph with what matching asks of it.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = {n.id: n for n in graph.nodes}
        self.before: dict[str, list[str]] = defaultdict(list)
        self.after: dict[str, list[str]] = defaultdict(list)
        for edge in graph.edges:
            if edge.kind != "carry":
                self.before[edge.target].append(edge.source)
                self.after[edge.source].append(edge.target)
        self.paths = paths(graph)

    def key(self, node: Node) -> Hashable:
        """Return what a node is called: for work with its link, for data without its shape."""
        if node.kind in DATA:
            name = node.attributes.get("name", node.label.split("\n")[0] if node.kind != "variable" else None)
            return (node.kind, name)
        return (node.kind, node.attributes.get("op", node.label), self.paths[node.cluster], _link(node))

    def facts(self, node: Node) -> Hashable:
        """Return all that a node is, but for its place."""
        return (self.key(node), *(str(v) for v in facts(node).values()))


def facts(node: Node) -> dict[str, Any]:
    """Return the facts of a node that a difference tells: label, shape, dtype, static arguments, results."""
    given = node.attributes
    found = {k: given[k] for k in ("shape", "dtype", "static_args", "outputs", "params", "type") if k in given}
    return {"label": node.label} | found


def paths(graph: Graph) -> dict[str | None, tuple[str, ...]]:
    """Return for each cluster the labels of the clusters around it and its own, from the outermost in."""
    found: dict[str | None, tuple[str, ...]] = {None: ()}
    for cluster in graph.clusters:  # parents come first
        found[cluster.id] = (*found[cluster.parent], cluster.label)
    return found


def match(a: Side, b: Side) -> dict[str, str]:
    """Return the ids of `a` with their counterparts in `b`."""
    pairs = _Pairs(a, b)
    numbers: dict[Hashable, int] = {}
    for forward in (True, False):
        pairs.by_key(_cones(a, forward, numbers).__getitem__, _cones(b, forward, numbers).__getitem__)
        pairs.spread()
    pairs.align(lambda side, n: side.key(n))
    pairs.align(lambda side, n: (n.kind, n.attributes.get("op", n.label)))
    pairs.spread()
    pairs.by_key(lambda n: a.facts(a.nodes[n]), lambda n: b.facts(b.nodes[n]), data=True)
    pairs.by_key(lambda n: a.key(a.nodes[n]), lambda n: b.key(b.nodes[n]), data=True)
    return pairs.found


class _Pairs:
    """The pairs found so far."""

    def __init__(self, a: Side, b: Side) -> None:
        self.sides = (a, b)
        self.found: dict[str, str] = {}
        self.taken: set[str] = set()

    def free(self, side: int, data: bool) -> list[str]:
        done = self.taken if side else self.found
        return [n.id for n in self.sides[side].graph.nodes if (n.kind in DATA) == data and n.id not in done]

    def add(self, a: str, b: str) -> None:
        self.found[a] = b
        self.taken.add(b)

    def by_key(self, of_a: Callable[[str], Hashable], of_b: Callable[[str], Hashable], data: bool = False) -> None:
        """Match free nodes of equal keys, in walk order."""
        waiting: dict[Hashable, deque[str]] = defaultdict(deque)
        for id_ in self.free(1, data):
            waiting[of_b(id_)].append(id_)
        for id_ in self.free(0, data):
            if queue := waiting.get(of_a(id_)):
                self.add(id_, queue.popleft())

    def align(self, key: Callable[[Side, Node], Hashable]) -> None:
        """Match free work by its keys, keeping the order."""
        left = [self.free(k, data=False) for k in (0, 1)]
        keys = [[key(self.sides[k], self.sides[k].nodes[i]) for i in left[k]] for k in (0, 1)]
        if len(left[0]) * len(left[1]) > ALIGNED:
            names = [dict(zip(left[k], keys[k], strict=True)) for k in (0, 1)]
            self.by_key(names[0].__getitem__, names[1].__getitem__)
            return
        for block in SequenceMatcher(None, *keys, autojunk=False).get_matching_blocks():
            for k in range(block.size):
                self.add(left[0][block.a + k], left[1][block.b + k])

    def spread(self) -> None:
        """Match data at the same place of matched work: first of the same facts, then of the same name."""
        a, b = self.sides
        for same in (Side.facts, Side.key):
            for id_, other in list(self.found.items()):
                for mine, theirs in ((a.before[id_], b.before[other]), (a.after[id_], b.after[other])):
                    self._pair(mine, theirs, same)

    def _pair(self, mine: Iterable[str], theirs: Iterable[str], same: Callable[[Side, Node], Hashable]) -> None:
        a, b = self.sides
        waiting: dict[Hashable, deque[str]] = defaultdict(deque)
        for id_ in theirs:
            if b.nodes[id_].kind in DATA and id_ not in self.taken:
                waiting[same(b, b.nodes[id_])].append(id_)
        for id_ in mine if waiting else ():
            if a.nodes[id_].kind in DATA and id_ not in self.found and (queue := waiting.get(same(a, a.nodes[id_]))):
                self.add(id_, queue.popleft())


def _cones(side: Side, forward: bool, numbers: dict[Hashable, int]) -> Mapping[str, int]:
    """Return for each node a number that tells all that it is computed from (or, backward, used for)."""
    order = side.graph.nodes if forward else side.graph.nodes[::-1]
    near = side.before if forward else side.after
    found: dict[str, int] = {}
    for node in order:
        # a neighbour without a number comes later in walk order: a loop's carry, which tells nothing
        key = (forward, side.facts(node), tuple(found.get(n, -1) for n in near[node.id]))
        found[node.id] = numbers.setdefault(key, len(numbers))
    return found


def _link(node: Node) -> str:
    return str(node.attributes.get("link_path") or "")
