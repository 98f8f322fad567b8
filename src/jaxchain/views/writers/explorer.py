"""Linked programs -> one HTML page with three panes: eager graph, jaxpr, HLO. It works offline, by itself."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jaxchain.views import collector
from jaxchain.views.linked import Linked, LinkedNode
from jaxchain.views.model import Graph, Node
from jaxchain.views.units import seconds_text
from jaxchain.views.writers.page import asset, fill, script_data, snippet

LISTED = 30  # nodes named in a card: all of them, for each node of a large fusion, would be n * n names
NUMBERED = 12  # nodes of one name in one link that have frames of their own: more are one frame


@collector.paused()
def write(programs: Mapping[str, Linked], facts: Mapping[str, Sequence[tuple[str, str]]] | None = None) -> str:
    """Return the page.

    Args:
        programs: The linked programs by the title of their tab: the variants of a static function, say.
        facts: For each title further (name, value) pairs for the strip at the top: times, memory.

    Returns:
        HTML. Labels are data in it, never markup.

    Raises:
        ValueError: There is no program.
    """
    if not programs:
        raise ValueError("explorer: expected at least one program, got none")
    data = [_program(title, linked, (facts or {}).get(title, ())) for title, linked in programs.items()]
    parts = {"css": asset("explorer.css"), "js": asset("explorer.js"), "data": script_data(data)}
    parts["title"] = html.escape(next(iter(programs.values())).name)
    return fill(asset("explorer.html"), parts)


def _program(title: str, linked: Linked, facts: Iterable[tuple[str, str]]) -> dict[str, Any]:
    equations = [n for n in linked.jaxpr.nodes if n.kind in ("equation", "control")]
    totals = [("eager nodes", len(linked.nodes)), ("equations", len(equations)), ("kernels", _kernel_count(linked))]
    totals.append(("flops, forward", sum(n.flops for n in linked.nodes)))
    facts = [*facts, *_eager_time(linked)]
    return {
        "title": title,
        "name": linked.name,
        "totals": totals,
        "facts": [list(f) for f in facts],
        "panes": [_eager(linked), _jaxpr(linked, equations), _hlo(linked)],
    }


def _eager_time(linked: Linked) -> list[tuple[str, str]]:
    """Return the pair for the strip, if the eager nodes were measured."""
    times = [n.seconds for n in linked.nodes if n.seconds is not None]
    return [("eager nodes' time", seconds_text(sum(times)))] if times else []


def _kernel_count(linked: Linked) -> int:
    return sum(n.cluster is None and n.kind in ("fusion", "instruction") for n in linked.hlo.nodes)


def _groups(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _eager(linked: Linked) -> dict[str, Any]:
    nodes = []
    total = sum(n.seconds or 0.0 for n in linked.nodes)
    for n in linked.nodes:
        fused = [_called(linked.node(f)) for f in n.sharing[: LISTED + 1] if f != n.id][:LISTED]
        if len(n.sharing) - 1 > LISTED:
            fused.append(f"... {len(n.sharing) - 1 - LISTED:,} more")
        details = {
            "link": n.path or "/",
            "op": n.op,
            "results": list(n.outputs),
            "reads": list(n.inputs),
            "flops (estimate)": f"{n.flops:,}",
            "bytes of results": f"{n.bytes:,}",
            "equations": f"{len(n.equations)} forward, {len(n.backward_equations)} backward",
            "HLO instructions": f"{len(n.instructions)} forward, {len(n.backward_instructions)} backward",
            "eager time": _share(n.seconds, total),
            "became": _FATES[n.fate],
            "in kernels with": fused,
        }
        nodes.append(
            {
                "id": n.id,
                "label": n.label,
                "sub": n.outputs[0] if n.outputs else "",
                "group": _groups(n.path),
                "kind": n.fate,
                "role": "forward",
                "own": [n.id],
                "more": {k: v for k, v in details.items() if v not in ([], "")},
                "code": snippet(n.source),
            }
        )
    return {"name": "eager graph", "nodes": nodes, "edges": [list(e) for e in linked.edges]}


def _share(seconds: float | None, total: float) -> str:
    return "" if seconds is None else f"{seconds_text(seconds)}, {seconds / total:.0%} of all nodes'"


def _called(node: LinkedNode) -> str:
    return f"{node.label} {node.path}".strip()


_FATES = {
    "kernel": "a kernel of its own",
    "fused": "fused with others",
    "library call": "a library call (matrix product, convolution, ...)",
    "removed": "removed: folded, or nobody read it",
    "no equation": "no equation: Python only",
}


def _frames(linked: Linked) -> dict[str, str]:
    """Return what the frame of each eager node is called: ``ReLU``, or ``ReLU 2`` if few in its link are called so."""
    alike: dict[tuple[str, str], list[str]] = {}
    for n in linked.nodes:
        alike.setdefault((n.path, n.label), []).append(n.id)
    frames = {}
    for (_, label), ids in alike.items():
        numbered = 1 < len(ids) <= NUMBERED
        frames |= {id_: f"{label} {k}" if numbered else label for k, id_ in enumerate(ids, 1)}
    return frames


def _grouping(linked: Linked, key: str, frames: Mapping[str, str]) -> tuple[list[str], str, list[str]]:
    """Return the frames, the role and the owners of an equation or instruction."""
    owners = list(linked.owners.get(key, ()))
    role = linked.roles.get(key, "other")
    if not owners:
        return (["XLA's own"] if key in linked.compiler_made else ["between the ops"]), role, []
    common = _groups(linked.node(owners[0]).path)
    for other in owners[1:]:
        parts = _groups(linked.node(other).path)
        while common != parts[: len(common)]:
            common.pop()
    if len(owners) == 1:
        common = [*common, frames[owners[0]]]
    return (["backward", *common] if role == "backward" else common), role, owners


def _jaxpr(linked: Linked, equations: Sequence[Node]) -> dict[str, Any]:
    nodes, names = [], _frames(linked)
    for n in equations:
        groups, role, owners = _grouping(linked, "j" + n.id, names)
        outputs = n.attributes.get("outputs", ())
        more = {
            "results": list(outputs),
            "scope": n.attributes.get("scope", ""),
            "formula at": n.attributes.get("source"),
        }
        more |= {f"param {k}": v for k, v in n.attributes.get("params", {}).items()}
        nodes.append(
            {
                "id": "j" + n.id,
                "label": n.label,
                "sub": outputs[0] if outputs else "",
                "group": groups,
                "kind": n.kind,
                "role": role,
                "own": owners,
                "more": {k: v for k, v in more.items() if v},
            }
        )
    return {
        "name": "jaxpr",
        "nodes": nodes,
        "edges": _spliced(linked.jaxpr, "j", {n["id"] for n in nodes}, lambda i: i),
    }


def _hlo(linked: Linked) -> dict[str, Any]:
    """Draw the kernels; what is inside a fusion or a loop is told in its details."""
    inner: dict[str, list[str]] = {}
    frames = {c.id: c for c in linked.hlo.clusters}
    by_name = {(n.attributes.get("computation"), n.attributes.get("name")): n.id for n in linked.hlo.nodes}
    entry = next((n.attributes.get("computation") for n in linked.hlo.nodes if n.cluster is None), None)

    def home(n: Node) -> str:
        at, outer = n.cluster, None
        while at is not None:
            outer, at = frames[at], frames[at].parent
        return n.id if outer is None else by_name.get((entry, outer.attributes.get("caller")), n.id)

    homes = {n.id: home(n) for n in linked.hlo.nodes}
    within: dict[str, dict[str, None]] = {}
    for n in linked.hlo.nodes:
        within.setdefault(homes[n.id], {}).update(dict.fromkeys(linked.owners.get("h" + n.id, ())))
        if homes[n.id] != n.id and n.kind in ("instruction", "fusion"):
            inner.setdefault(homes[n.id], []).append(f"{n.attributes['opcode']} {n.attributes['type'].split('{')[0]}")
    nodes, names = [], _frames(linked)
    for n in linked.hlo.nodes:
        if n.cluster is not None or n.kind not in ("instruction", "fusion"):
            continue
        key = "h" + n.id
        groups, role, _ = _grouping(linked, key, names)
        owners = list(within.get(n.id, ()))
        opcode = str(n.attributes["opcode"])
        more = {
            "name": n.attributes["name"],
            "type": n.attributes["type"],
            "from": [_called(linked.node(o)) for o in owners],
            "scope": n.attributes.get("op_name", ""),
            "inside": inner.get(n.id, [])[:60],
        }
        last = str(n.attributes.get("op_name", "")).split(";")[0].rsplit("/", 1)[-1]
        nodes.append(
            {
                "id": key,
                "label": f"fusion: {last}" if opcode == "fusion" and last else opcode,
                "sub": str(n.attributes["type"]).split("{")[0][:40],
                "group": groups,
                "kind": n.kind,
                "role": role,
                "own": owners,
                "more": {k: v for k, v in more.items() if v},
            }
        )
    ids = {n["id"] for n in nodes}
    return {"name": "optimised HLO", "nodes": nodes, "edges": _spliced(linked.hlo, "h", ids, homes.__getitem__)}


def _spliced(graph: Graph, prefix: str, keep: set[str], home: Callable[[str], str]) -> list[list[str]]:
    """Return the edges between the nodes to keep; what lies between (tuples, casts of layout) is passed through."""
    before: dict[str, list[str]] = {}
    for edge in graph.edges:
        a, b = home(edge.source), home(edge.target)
        if a != b and edge.kind != "carry":
            before.setdefault(b, []).append(a)
    sources: dict[str, tuple[str, ...]] = {}

    def behind(id_: str) -> tuple[str, ...]:
        """Return the kept nodes that lead into a node."""
        found: dict[str, None] = {}
        seen, stack = {id_}, list(reversed(before.get(id_, ())))
        while stack:
            at = stack.pop()
            if at in seen:
                continue
            seen.add(at)
            if prefix + at in keep:
                found[at] = None
            elif at in sources:
                found.update(dict.fromkeys(sources[at]))
            else:
                stack.extend(reversed(before.get(at, ())))
        sources[id_] = tuple(found)
        return sources[id_]

    return [[prefix + a, prefix + n.id] for n in graph.nodes if prefix + n.id in keep for a in behind(n.id)]
