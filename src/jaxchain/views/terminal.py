"""Graphs and links as trees in the terminal, through the package `rich` (the extra ``terminal``).

``rich.print(model)`` and ``rich.print(graph)`` come here, too. Labels are text in it, never rich's markup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxchain.link import Link
from jaxchain.views.model import Graph, Node
from jaxchain.views.writers.text import printable

if TYPE_CHECKING:
    from rich.tree import Tree

_STYLES = {"function": "bold blue", "equation": "bold blue", "control": "bold yellow", "fusion": "bold yellow"}
_STYLES |= {"variable": "bright_black", "input": "green", "parameter": "green", "output": "green", "plumbing": "dim"}


def tree(view: Any) -> Tree:
    """Return a tree of a link (its children and parameters) or of a graph (its frames and nodes, in walk order).

    Args:
        view: A Link, a graph, or what has one: a drawing, `jaxchain.jaxpr(...)`.

    Returns:
        What `rich.print` draws.

    Raises:
        ImportError: rich is not installed.
        TypeError: `view` is none of these.
    """
    try:
        import rich.tree  # noqa: F401
    except ImportError as error:
        raise ImportError("tree: needs rich: pip install rich, or jaxchain[terminal]") from error
    if isinstance(view, Link):
        return _link(view)
    graph = view if isinstance(view, Graph) else view.to_graph() if hasattr(view, "to_graph") else None
    if not isinstance(graph, Graph):
        raise TypeError(f"tree: expected a Link or a graph, got {type(view).__name__}")
    return _graph(graph)


def _link(link: Link, name: str = "") -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    size = sum(int(p.size) for p in link.params() if p.array is not None)
    text = Text.assemble((printable(name) + " " if name else "", "bold"), (type(link).__name__, "bold blue"))
    text.append(f"  {size:,} parameters", "bright_black")
    branch = Tree(text)
    for label in sorted(link._params):
        p = getattr(link, label)
        what = "not initialised" if p.array is None else f"{p.dtype}{list(p.shape)}"
        branch.add(Text.assemble((printable(label), "green"), (f"  {what}", "bright_black")))
    branch.children += [_link(child, name) for name, child in link._named_children()]
    return branch


def _graph(graph: Graph) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    incoming: dict[str, list[str]] = {}
    for edge in graph.edges:
        incoming.setdefault(edge.target, []).append(edge.source)
    chains: dict[str | None, tuple[str, ...]] = {None: ()}
    labels: dict[str, str] = {}
    for cluster in graph.clusters:  # parents come first
        chains[cluster.id] = (*chains[cluster.parent], cluster.id)
        labels[cluster.id] = cluster.label

    def frames(node: Node) -> tuple[str, ...]:
        if node.cluster is None and node.attributes.get("link_path"):  # an eager graph without clusters
            return tuple(str(node.attributes["link_path"]).strip("/").split("/"))
        return chains[node.cluster]

    counts = f"{len(graph.nodes):,} nodes, {len(graph.edges):,} edges"
    root = Tree(Text.assemble((f"{graph.kind} graph", "bold"), (f"  {counts}", "bright_black")))
    open_: list[tuple[str, Tree]] = []
    for node in graph.nodes:
        chain = frames(node)
        shared = 0
        while shared < min(len(chain), len(open_)) and chain[shared] == open_[shared][0]:
            shared += 1
        del open_[shared:]
        for frame in chain[shared:]:
            at = open_[-1][1] if open_ else root
            open_.append((frame, at.add(Text(printable(labels.get(frame, frame)), "bold"))))
        text = Text.assemble((f"{node.id} ", "dim"), (printable(node.label), _STYLES.get(node.kind, "")))
        if sources := incoming.get(node.id):
            text.append(f"  <- {', '.join(sources)}", "bright_black")
        (open_[-1][1] if open_ else root).add(text)
    return root
