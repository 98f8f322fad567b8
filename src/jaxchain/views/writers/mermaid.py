"""Graph -> Mermaid, the diagrams that GitHub and many notebooks draw from text."""

from __future__ import annotations

from jaxchain.views.model import Graph


def write(graph: Graph) -> str:
    """Return the graph as a Mermaid flowchart; clusters are subgraphs. Labels are quoted and escaped."""
    inside: dict[str | None, list[str]] = {}
    for node in graph.nodes:
        opening, closing = ("([", "])") if node.kind in ("variable", "input", "parameter") else ("[", "]")
        inside.setdefault(node.cluster, []).append(f"{node.id}{opening}{_quoted(node.label)}{closing}")
    children: dict[str | None, list[str]] = {}
    labels = {c.id: c.label for c in graph.clusters}
    for cluster in graph.clusters:
        children.setdefault(cluster.parent, []).append(cluster.id)
    lines = ["flowchart TD", *(f"  {line}" for line in inside.get(None, ()))]
    stack = [(c, 1, True) for c in reversed(children.get(None, []))]
    while stack:
        at, depth, opens = stack.pop()
        if not opens:
            lines.append("  " * depth + "end")
            continue
        lines.append("  " * depth + f"subgraph {at}[{_quoted(labels[at])}]")
        lines += ["  " * (depth + 1) + line for line in inside.get(at, ())]
        stack.append((at, depth, False))
        stack += [(c, depth + 1, True) for c in reversed(children.get(at, []))]
    for edge in graph.edges:
        label = f"|{_quoted(edge.label)}|" if edge.label else ""
        lines.append(f"  {edge.source} -->{label} {edge.target}")
    return "\n".join(lines) + "\n"


_ENTITIES = str.maketrans(
    {"&": "#amp;", "#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;", "|": "#124;"}
)


def _quoted(text: str) -> str:
    return '"' + "<br/>".join(text.translate(_ENTITIES).splitlines()) + '"'
