"""Paths of names for viewers that nest nodes by them: ``predictor/l1``."""

from __future__ import annotations

import re

from jaxchain.views.model import Graph, Node


def namespaces(graph: Graph, allowed: str = r"[^/]") -> dict[str, str]:
    """Return the path of each node: the link it was called in (and its eager node), else the clusters around it.

    Args:
        graph: The graph.
        allowed: A regular expression of one allowed character; others become ``_``.

    Returns:
        Paths without the node's own name, by id.
    """
    around: dict[str | None, tuple[str, ...]] = {None: ()}
    for cluster in graph.clusters:  # parents come first
        around[cluster.id] = (*around[cluster.parent], cluster.label)
    return {n.id: "/".join(plain_name(p, allowed) for p in _parts(n) or around[n.cluster]) for n in graph.nodes}


def _parts(node: Node) -> tuple[str, ...]:
    scope = str(node.attributes.get("scope") or node.attributes.get("link_path") or "")
    return tuple(part for part in scope.split("/") if part and not part.startswith("jit("))


def plain_name(label: str, allowed: str = r"[^/]") -> str:
    """Return the first line of a label in allowed characters."""
    line = (label.splitlines() or [""])[0]
    return "".join(c if re.match(allowed, c) else "_" for c in line).strip() or "_"
