"""Owners of HLO instructions that no scope tells: XLA's rewrites (a convolution into another layout) drop it.

An instruction without a scope whose readers all belong to one eager node was made for that node. For a convolution or
matrix product the node must have such an equation: if its readers have none, it is the nearest one behind them.
A constant that is spread over an array belongs to what reads it: XLA keeps one of equal ones, under one op's scope.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from jaxchain.views.model import Graph, Node

Owner = tuple[str, str]  # id of an eager node, role
_MADE_OF = {"convolution": {"conv_general_dilated"}, "dot": {"dot_general", "conv_general_dilated"}}


class _Equations:
    """The equations of each eager node, and what lies behind them."""

    def __init__(self, jaxpr: Graph, owners: Mapping[str, tuple[str, ...]], roles: Mapping[str, str]) -> None:
        self._of: dict[Owner, list[str]] = defaultdict(list)
        self._owners: dict[str, list[Owner]] = {}
        self._primitive = {n.id: str(n.attributes.get("primitive")) for n in jaxpr.nodes}
        self._behind: dict[str, list[str]] = defaultdict(list)
        for edge in jaxpr.edges:
            self._behind[edge.target].append(edge.source)
        for n in jaxpr.nodes:
            self._owners[n.id] = [(o, roles["j" + n.id]) for o in owners.get("j" + n.id, ())]
            for owner in self._owners[n.id]:
                self._of[owner].append(n.id)

    def makers(self, readers: Iterable[Owner], primitives: set[str]) -> frozenset[Owner]:
        """Return the owners of the nearest equations of some primitives, at the readers' own or behind them."""
        found: set[Owner] = set()
        stack = [e for owner in readers for e in self._of[owner]]
        seen = set(stack)
        while stack:
            at = stack.pop()
            if self._primitive[at] in primitives:
                found.update(self._owners[at])
                continue
            new = [e for e in self._behind[at] if e not in seen]
            seen.update(new)
            stack += new
        return frozenset(found)


def of_readers(hlo: Graph, owners: dict[str, tuple[str, ...]], roles: dict[str, str]) -> None:
    """Give a constant that is spread over an array, or counted up in one, the owners of what reads it."""
    kinds = {n.id: n.kind for n in hlo.nodes}
    spread = {n.id for n in hlo.nodes if n.attributes.get("opcode") in ("broadcast", "iota")}
    spread -= {edge.target for edge in hlo.edges if kinds[edge.source] != "constant"}
    readers: dict[str, list[str]] = defaultdict(list)
    for edge in hlo.edges:
        if edge.source in spread and "h" + edge.target in owners:
            readers["h" + edge.source].append("h" + edge.target)
    for key, read_by in readers.items():
        owners[key] = tuple(dict.fromkeys(o for r in read_by for o in owners[r]))
        roles[key] = "forward" if any(roles[r] == "forward" for r in read_by) else "backward"


def infer(
    hlo: Graph, jaxpr: Graph, owners: Mapping[str, tuple[str, ...]], roles: Mapping[str, str]
) -> dict[str, Owner]:
    """Return the owner of each instruction without one that can be told from its readers.

    Args:
        hlo: The graph of the HLO.
        jaxpr: The graph of the jaxpr.
        owners: For each id of an equation (``j`` before it) or instruction (``h``) the eager ids it came from.
        roles: For the same ids ``forward`` or ``backward``.
    """
    equations = _Equations(jaxpr, owners, roles)
    readers: dict[str, list[str]] = defaultdict(list)
    for edge in hlo.edges:
        readers[edge.source].append(edge.target)
    nodes = {n.id: n for n in hlo.nodes}
    inside: dict[str, list[Node]] = defaultdict(list)  # computation -> its instructions
    for n in hlo.nodes:
        inside[str(n.attributes.get("computation"))].append(n)
    found: dict[str, Owner] = {}
    known: dict[str, frozenset[Owner]] = {}

    def stated(n: Node) -> frozenset[Owner]:
        """Return the owners that scopes tell: of an instruction, or of what is in a fusion, a loop, a branch."""
        every, stack = [n], list(n.attributes.get("called", ()))
        while stack:
            within = inside[stack.pop()]
            every += within
            stack += [name for i in within for name in i.attributes.get("called", ())]
        keys = ["h" + i.id for i in every]
        return frozenset((o, roles[k]) for k in keys if k in owners for o in owners[k])

    def opcodes(n: Node) -> set[str]:
        every = [n, *(i for name in n.attributes.get("called", ()) for i in inside[name])]
        return {str(i.attributes.get("opcode")) for i in every}

    for start in hlo.nodes:
        stack = [start.id]
        while stack:
            at = stack[-1]
            if at in known:
                stack.pop()
                continue
            n = nodes[at]
            own = stated(n)
            waiting = [] if own else [r for r in readers[at] if r not in known]
            if waiting:
                stack += waiting
                continue
            stack.pop()
            if not own:
                own = frozenset().union(*(known[r] for r in readers[at]))
                wanted = set().union(*(_MADE_OF.get(o, set()) for o in opcodes(n)))
                if wanted:
                    own = equations.makers(own, wanted)
                if len(own) == 1 and n.kind not in ("parameter", "constant"):
                    found[at] = next(iter(own))
            known[at] = own
    return found
