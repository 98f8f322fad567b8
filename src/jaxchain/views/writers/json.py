"""Graph -> JSON text, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxchain.views import collector
from jaxchain.views.model import Cluster, Edge, Graph, Node

FORMAT = "jaxchain-graph/1"


def as_dict(graph: Graph) -> dict[str, Any]:
    """Return the graph as plain lists and dicts."""
    return {
        "format": FORMAT,
        "kind": graph.kind,
        "name": graph.name,
        "attributes": plain(graph.attributes),
        "nodes": [
            {"id": n.id, "label": n.label, "kind": n.kind, "cluster": n.cluster, "attributes": plain(n.attributes)}
            for n in graph.nodes
        ],
        "edges": [
            {
                "source": e.source,
                "target": e.target,
                "label": e.label,
                "kind": e.kind,
                "attributes": plain(e.attributes),
            }
            for e in graph.edges
        ],
        "clusters": [
            {"id": c.id, "label": c.label, "parent": c.parent, "kind": c.kind, "attributes": plain(c.attributes)}
            for c in graph.clusters
        ],
    }


@collector.paused()
def write(graph: Graph, *, indent: int | None = None) -> str:
    r"""Return the graph as JSON. ``<`` is written as ``\u003c``, so that the text may stand inside a script element."""
    text = json.dumps(as_dict(graph), indent=indent, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c")


def read(text: str) -> Graph:
    """Return the graph that `write` wrote.

    Raises:
        ValueError: The text is not such a graph.
    """
    data = json.loads(text)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"expected JSON of the format {FORMAT}")
    return Graph(
        data["kind"],
        tuple(Node(**n) for n in data["nodes"]),
        tuple(Edge(**e) for e in data["edges"]),
        tuple(Cluster(**c) for c in data["clusters"]),
        data["name"],
        data["attributes"],
    )


def plain(value: Any) -> Any:
    """Return `value` made of what JSON knows; what it does not know becomes its text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return str(value)


def plain_text(data: Any) -> str:
    """Return any plain data as indented JSON; numbers that JSON does not know become text."""
    return json.dumps(plain(data), indent=1, allow_nan=False) + "\n"
