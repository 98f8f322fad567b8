"""Why an eager node has no code in the compiled program: nobody reads it, its bytes are there already, it is a twin."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

from jaxchain.views.model import Graph, Node

VIEWS = frozenset(
    {"reshape", "squeeze", "expand_dims", "bitcast_convert_type", "stop_gradient", "copy", "copy_p", "jit", "pjit"}
)
LIBRARY = frozenset({"custom-call", "dot", "convolution", "fft", "triangular-solve", "cholesky", "sort"})
_IDENTITIES = frozenset({"transpose", "broadcast_in_dim", "convert_element_type"})


def is_library_call(instruction: Node) -> bool:
    """Whether an HLO instruction is left to a library: a matrix product, a convolution, a custom call."""
    return instruction.attributes.get("opcode") in LIBRARY or instruction.attributes.get("detail") == "kCustom"


def fate(equations: Sequence[str], kernels: Sequence[Node], shared: bool) -> str:
    """Return what became of a node: ``library call``, ``fused``, ``kernel``, ``free``, ``removed``, ``no equation``.

    Args:
        equations: Ids of its forward equations.
        kernels: What runs its instructions.
        shared: Whether other nodes have instructions there, too.
    """
    if not equations:
        return "no equation"
    working = [n for n in kernels if n.kind != "plumbing"]
    if not working:
        return "free" if kernels else "removed"
    if any(is_library_call(n) for n in working):
        return "library call"
    return "fused" if shared else "kernel"


class Removals:
    """Tells why a node's equations have left no code.

    Args:
        jaxpr: The jaxpr's graph.
        owners: For each id of an equation (``j`` before it) the eager ids it came from.
    """

    def __init__(self, jaxpr: Graph, owners: Mapping[str, tuple[str, ...]]) -> None:
        self._nodes = {n.id: n for n in jaxpr.nodes}
        self._into: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for edge in jaxpr.edges:
            self._into[edge.target].append((edge.source, edge.label))
        self._used = self._reached(n.id for n in jaxpr.of_kind("output"))
        numbers: dict[Hashable, int] = {}
        self._number: dict[str, int] = {}
        self._twins: dict[int, list[str]] = defaultdict(list)
        for node in jaxpr.nodes:
            value = self._number[node.id] = numbers.setdefault(self._value(node), len(numbers))
            self._twins[value] += owners.get("j" + node.id, ())

    def _reached(self, ends: Iterable[str]) -> set[str]:
        found, stack = set(), list(ends)
        while stack:
            at = stack.pop()
            if at not in found:
                found.add(at)
                stack.extend(source for source, _ in self._into[at])
        return found

    def _value(self, node: Node) -> Hashable:
        """Return what a node computes: equal for two equations that must give the same."""
        sources = [self._nodes[s] for s, _ in self._into[node.id]]
        # of a source with several results the edge does not tell which: no two readers are known to be equal
        if node.kind != "equation" or any(len(s.attributes.get("outputs", ())) > 1 for s in sources):
            return node.id
        params = tuple(sorted(node.attributes.get("params", {}).items()))
        if any(str(text).endswith("…") for _, text in params):
            return node.id
        return node.label, params, tuple(self._number.get(s.id, s.id) for s in sources)

    def why(self, id_: str, equations: Sequence[str]) -> tuple[str, str]:
        """Return the fate of a node without instructions, ``free`` or ``removed``, and the reason in words.

        Args:
            id_: Its id.
            equations: Ids of its forward equations.
        """
        if not any(e in self._used for e in equations):
            return "removed", "dead: no result depends on it"
        if all(self._is_view(self._nodes[e]) for e in equations):
            return "free", "free: the same bytes"
        ends = [e for e in equations if self._number[e] in self._twins]
        twins = [t for e in ends[-1:] for t in self._twins[self._number[e]] if t != id_]
        if twins:
            return "removed", f"merged: {twins[0]} computes the same"
        return "removed", "folded into constants or into its neighbours"

    def _is_view(self, node: Node) -> bool:
        primitive = node.attributes.get("primitive")
        if primitive in VIEWS:
            return True
        return primitive in _IDENTITIES and [t for _, t in self._into[node.id]] == list(node.attributes["outputs"])
