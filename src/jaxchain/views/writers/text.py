"""Graph -> plain text: one line a node, in walk order, indented by cluster."""

from __future__ import annotations

from jaxchain.views.model import Graph


def write(graph: Graph) -> str:
    """Return a listing: ``n4  ReLU  <- n3``. Clusters are headings, their nodes are indented.

    Control characters of labels are shown escaped, so that a label cannot move the terminal's cursor.
    """
    incoming: dict[str, list[str]] = {}
    for edge in graph.edges:
        incoming.setdefault(edge.target, []).append(edge.source if edge.kind == "data" else f"{edge.source}~")
    by_id = {c.id: c for c in graph.clusters}
    chains: dict[str | None, tuple[str, ...]] = {None: ()}
    for cluster in graph.clusters:  # parents come first
        chains[cluster.id] = (*chains[cluster.parent], cluster.id)
    lines: list[str] = []
    open_: tuple[str, ...] = ()
    width = max((len(n.id) for n in graph.nodes), default=0)
    for node in graph.nodes:
        chain = chains[node.cluster]
        if chain != open_:
            shared = 0
            while shared < min(len(chain), len(open_)) and chain[shared] == open_[shared]:
                shared += 1
            lines.extend("  " * k + f"[{printable(by_id[chain[k]].label)}]" for k in range(shared, len(chain)))
            open_ = chain
        sources = incoming.get(node.id)
        arrow = f"  <- {', '.join(sources)}" if sources else ""
        lines.append("  " * len(chain) + f"{node.id:<{width}}  {printable(node.label)}{arrow}")
    return "\n".join(lines) + ("\n" if lines else "")


def printable(text: str) -> str:
    """Return text with its control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
