"""Graph -> one HTML page on which it grows step by step, with a slider. It works offline, by itself."""

from __future__ import annotations

import html
from typing import Any

from jaxchain.views.model import Graph, Node
from jaxchain.views.writers import dot, image
from jaxchain.views.writers.page import asset, fill, script_data, snippet

DATA = ("variable", "input", "parameter", "constant", "output")


def write(graph: Graph, title: str = "") -> str:
    """Return the page.

    A step is a function (of a jaxpr: an equation) with what it reads for the first time and what it gives. Steps come
    in walk order, in which the program could have run.

    Args:
        graph: The graph.
        title: Heading of the page; by default the graph's kind.

    Returns:
        HTML. Labels are data in it, never markup.

    Raises:
        RenderError: There is no Graphviz to lay it out, or the graph is too large.
    """
    labels = {n.id: n.label for n in graph.nodes}
    work = [n for n in graph.nodes if n.kind not in DATA]
    step = {n.id: k for k, n in enumerate(work, 1)}
    functions = set(step)
    gives: dict[str, list[str]] = {}
    results: set[str] = set()
    for edge in graph.edges:
        if edge.source in functions and edge.target not in functions:
            gives.setdefault(edge.source, []).append(labels[edge.target])
            results.add(edge.target)
            step[edge.target] = max(step[edge.source], step.get(edge.target, 0))
    for edge in graph.edges:  # what is only read comes with its first reader
        if edge.target in functions and edge.source not in functions and edge.source not in results:
            step[edge.source] = min(step[edge.target], step.get(edge.source, step[edge.target]))
    clusters: dict[str, int] = {}
    parents = {c.id: c.parent for c in graph.clusters}
    for node in graph.nodes:
        at = node.cluster
        while at is not None:
            clusters[at] = min(clusters.get(at, step.get(node.id, 0)), step.get(node.id, 0))
            at = parents[at]
    data = {
        "nodes": {n.id: step.get(n.id, 0) for n in graph.nodes},
        "clusters": clusters,
        "work": sorted(functions, key=step.__getitem__),
        "steps": [_step(n, gives.get(n.id, [])) for n in work],
    }
    picture = image.render(dot.write(graph), "svg").decode()
    return fill(
        asset("animation.html"),
        {
            "title": html.escape(title or f"{graph.kind} graph"),
            "css": asset("animation.css"),
            "js": asset("animation.js"),
            "svg": picture[picture.index("<svg") :],
            "data": script_data(data),
        },
    )


def _step(node: Node, gives: list[str]) -> dict[str, Any]:
    source = node.attributes.get("source")
    return {
        "label": " ".join(node.label.split()),
        "where": str(node.attributes.get("link_path") or ""),
        "gives": ", ".join([*gives, *map(str, node.attributes.get("outputs", ()))]),
        "code": snippet(tuple(source[:3])) if isinstance(source, list | tuple) else None,
    }
