"""Linked programs -> one HTML page with three panes: eager graph, jaxpr, HLO. It works offline, by itself."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jaxchain.views import collector
from jaxchain.views.fates import is_library_call
from jaxchain.views.linked import Linked, LinkedNode
from jaxchain.views.model import Graph, Node
from jaxchain.views.units import bytes_text, flops_text, seconds_text
from jaxchain.views.writers.page import asset, fill, script_data, snippet

LISTED = 30  # nodes named in a card: all of them, for each node of a large fusion, would be n * n names
NUMBERED = 12  # calls of a link that are frames of their own: more are in one frame
ALIKE = 60  # the same for ops of one name in a link's call


@collector.paused()
def write(
    programs: Mapping[str, Linked], facts: Mapping[str, Sequence[tuple[str, str]]] | None = None, name: str = ""
) -> str:
    """Return the page.

    Args:
        programs: The linked programs by the title of their tab: the variants of a static function, say.
        facts: For each title further (name, value) pairs for the strip at the top: times, memory.
        name: Heading of the page; by default the name of each program.

    Returns:
        HTML. Labels are data in it, never markup.

    Raises:
        ValueError: There is no program.
    """
    if not programs:
        raise ValueError("explorer: expected at least one program, got none")
    data = [_program(title, linked, (facts or {}).get(title, ()), name) for title, linked in programs.items()]
    scripts = asset("layout.js") + asset("explorer.js")
    parts = {"css": asset("explorer.css"), "js": scripts, "data": script_data(data)}
    parts["title"] = html.escape(name or next(iter(programs.values())).name)
    return fill(asset("explorer.html"), parts)


def _program(title: str, linked: Linked, facts: Iterable[tuple[str, str]], name: str) -> dict[str, Any]:
    equations = [n for n in linked.jaxpr.nodes if n.kind in ("equation", "control")]
    totals = [
        ("eager nodes", len(linked.nodes)),
        ("equations", len(equations)),
        ("kernels", linked.hlo.attributes["kernels"]),
    ]
    frames = _Frames(linked)
    return {
        "title": title,
        "name": name or linked.name,
        "totals": totals,
        "facts": [[k, _micro(v)] for k, v in (*facts, *_sums(linked))],
        "panes": [_eager(linked, frames), _jaxpr(linked, equations, frames), _hlo(linked, frames)],
    }


def _sums(linked: Linked) -> list[tuple[str, str]]:
    """Return pairs for the strip: operations, and the eager nodes' time if they were measured."""
    backward = sum(n.backward_flops for n in linked.nodes)
    found = [("forward" if backward else "operations", flops_text(sum(n.flops for n in linked.nodes)))]
    found += [("backward", flops_text(backward))] if backward else []
    times = [n.seconds for n in linked.nodes if n.seconds is not None]
    return [*found, ("eager nodes, one by one", seconds_text(sum(times)))] if times else found


class _Frames:
    """The frames around nodes: a link's, or one for each of its calls if there are several; and of an eager node."""

    def __init__(self, linked: Linked) -> None:
        self.linked = linked
        calls: dict[str, dict[str, int]] = {}  # a link's place in the call around it -> its calls there, numbered
        for n in linked.nodes:
            parts = n.call.split("/")[1:]
            for k, part in enumerate(parts):
                here = calls.setdefault("/".join([*parts[:k], part.split("~")[0]]), {})
                here.setdefault("/".join(parts[: k + 1]), len(here) + 1)
        self._calls = {call: (k, len(here)) for here in calls.values() for call, k in here.items()}
        alike: dict[tuple[str, str], list[str]] = {}
        for n in linked.nodes:
            alike.setdefault((n.call, n.label), []).append(n.id)
        self.own: dict[str, str] = {}  # ReLU, or "ReLU 2" if few in its link's call are called so
        for (_, label), ids in alike.items():
            numbered = 1 < len(ids) <= ALIKE
            self.own |= {id_: f"{label} {k}" if numbered else label for k, id_ in enumerate(ids, 1)}
        self._around: dict[str, tuple[str, ...]] = {}
        self._single = _single(linked)
        self._leans = _leanings(linked, "j", linked.jaxpr) | _leanings(linked, "h", linked.hlo)
        called = [(n.call.replace(".", "/").split("/"), n) for n in linked.nodes if n.call]
        unnamed = {names[1] for names, n in called if n.path.count("/") < len(names) - 1}
        self._hidden = unnamed if len(unnamed) == 1 else set()  # the model itself, called once

    def around(self, id_: str) -> list[str]:
        """Return the frames around an eager node, from the outermost in."""
        call = self.linked.node(id_).call
        if call not in self._around:
            found: list[str] = []
            parts = call.split("/")[1:]
            for k, part in enumerate(parts):
                number, count = self._calls["/".join(parts[: k + 1])]
                name = part.split("~")[0]
                if not (k == 0 and part in self._hidden):
                    found += [name] if count == 1 else [f"{name} · call {number}"]
                    if count > NUMBERED:
                        found[-1:] = [name, found[-1]]
            self._around[call] = tuple(found)
        return list(self._around[call])

    def of(self, key: str, inside: Iterable[str] = ()) -> tuple[list[str], str, list[str]]:
        """Return the frames, the role and the owners of an equation or instruction; of a loop those of its body."""
        mine = [key] if self.linked.owners.get(key) else [k for k in inside if self.linked.owners.get(k)]
        owners = list(dict.fromkeys(o for k in mine for o in self.linked.owners[k]))
        roles = {self.linked.roles.get(k, "other") for k in mine}
        role = "other" if not roles else "backward" if roles == {"backward"} else "forward"
        if not owners:
            name = "XLA's own" if key in self.linked.compiler_made else "between the ops"
            role = self._leans.get(key, role)
            return ["backward", name] if role == "backward" else [name], role, []
        common = self.around(owners[0])
        for other in owners[1:]:
            parts = self.around(other)
            while common != parts[: len(common)]:
                common.pop()
        if len(owners) == 1 and key not in self._single:
            common = [*common, self.own[owners[0]]]
        return (["backward", *common] if role == "backward" else common), role, owners

    def label(self, key: str, text: str) -> str:
        """Return the label of an equation or instruction; one that is alone in its op is called after the op, too."""
        if key not in self._single:
            return text
        op = _rounded(self.linked.node(self.linked.owners[key][0]).label)
        return op if op.lower() == text.lower() else f"{op} · {text}"


def _single(linked: Linked) -> set[str]:
    """Return the equations and kernels that are all that an op has of its kind and role: they need no frame."""
    shown = {"j" + n.id for n in linked.jaxpr.nodes if n.kind in ("equation", "control")}
    shown |= {"h" + n.id for n in linked.hlo.nodes if n.cluster is None and n.kind in ("fusion", "instruction")}
    mine: dict[tuple[str, str, str], list[str]] = {}
    for key in shown:
        owners = linked.owners.get(key, ())
        if len(owners) == 1:
            mine.setdefault((owners[0], key[0], linked.roles[key]), []).append(key)
    return {keys[0] for keys in mine.values() if len(keys) == 1}


def _leanings(linked: Linked, prefix: str, graph: Graph) -> dict[str, str]:
    """Return for what no op owns: ``backward`` if only gradients read it (or, unread, if it reads only them)."""
    roles = {n.id: {linked.roles[prefix + n.id]} if prefix + n.id in linked.roles else set() for n in graph.nodes}
    unowned = {id_ for id_, found in roles.items() if not found}
    steps = [(e.target, e.source) for e in reversed(graph.edges)], [(e.source, e.target) for e in graph.edges]
    for near in steps:
        neighbours: dict[str, list[str]] = {}
        for a, b in near:
            neighbours.setdefault(b, []).append(a)
        order = graph.nodes[::-1] if near is steps[0] else graph.nodes
        for n in order:
            if n.id in unowned and not roles[n.id]:
                roles[n.id] = set().union(*(roles[a] for a in neighbours.get(n.id, ())))
    return {prefix + id_: "backward" if roles[id_] == {"backward"} else "other" for id_ in unowned}


_LONG = re.compile(r"^(?:bfloat|float|uint|int|complex)(?=\d)")


def _short(type_: str) -> str:
    """Return a type as jaxprs print it: ``f32[3,4]`` for ``float32[3,4]``."""
    return _LONG.sub(lambda found: found.group()[0] if found.group() != "bfloat" else "bf", type_)


def _kind(n: LinkedNode) -> str:
    """Return the name of its look."""
    return {"library call": "library", "no equation": "removed"}.get(n.fate, n.fate)


def _eager(linked: Linked, frames: _Frames) -> dict[str, Any]:
    nodes = []
    total, most = sum(n.seconds or 0.0 for n in linked.nodes), max((n.seconds or 0.0 for n in linked.nodes), default=0)
    for n in linked.nodes:
        fused = [_called(linked.node(f)) for f in n.sharing[: LISTED + 1] if f != n.id][:LISTED]
        if len(n.sharing) - 1 > LISTED:
            fused.append(f"... {len(n.sharing) - 1 - LISTED:,} more")
        gradient = f" + {flops_text(n.backward_flops)} backward" if n.backward_flops else ""
        details = {
            "results": list(n.outputs),
            "reads": list(n.inputs),
            "operations": flops_text(n.flops) + gradient + (", estimated" if n.flops or gradient else ""),
            "results take": bytes_text(n.bytes),
            "eager time": _micro(_share(n.seconds, total)),
            "in kernels with": fused,
            "op": n.op,
            "link": n.path or "/",
        }
        nodes.append(
            {
                "id": n.id,
                "label": _rounded(n.label),
                "sub": _short(n.outputs[0]) if n.outputs else "",
                "group": frames.around(n.id),
                "kind": _kind(n),
                "role": n.role,
                "gradient": bool(n.backward_equations),
                "own": [n.id],
                "fate": _fate(linked, n),
                "cost": "" if n.seconds is None else _micro(seconds_text(n.seconds)),
                "heat": round((n.seconds or 0.0) / most, 3) if most else 0,
                "more": {k: v for k, v in details.items() if v not in ([], "")},
                "code": snippet(n.source),
            }
        )
    return {"name": "eager graph", "nodes": nodes, "edges": [list(e) for e in linked.edges]}


def _fate(linked: Linked, n: LinkedNode) -> str:
    if n.why.startswith("merged: "):
        twin, rest = n.why.removeprefix("merged: ").split(" ", 1)
        return f"Merged: {_called(linked.node(twin))} {rest}."
    return f"{n.why[:1].upper()}{n.why[1:]}." if n.why else _FATES[n.fate]


_DECIMALS = re.compile(r"\d+\.\d{5,}(?:e[+-]?\d+)?")


def _rounded(label: str) -> str:
    """Return a label with its long numbers cut to four places: ``_ * 0.3536``."""
    return _DECIMALS.sub(lambda found: f"{float(found.group()):.4g}", label)


def _micro(text: str) -> str:
    """Return a time as a page can show it: ``12.3 µs``."""
    return re.sub(r"(?<=\d) us\b", " µs", text)


def _share(seconds: float | None, total: float) -> str:
    return "" if seconds is None else f"{seconds_text(seconds)}, {seconds / total:.0%} of all nodes'"


def _called(node: LinkedNode) -> str:
    return f"{node.label} {node.path}".strip()


_FATES = {
    "kernel": "A kernel of its own.",
    "fused": "Fused: its kernels compute others, too.",
    "library call": "A library call: matrix product, convolution, sort, on a CPU many sums.",
    "free": "Free: the same bytes.",
    "removed": "Removed.",
    "no equation": "No equation: it ran in Python only.",
}


def _jaxpr(linked: Linked, equations: Sequence[Node], frames: _Frames) -> dict[str, Any]:
    nodes = []
    for n in equations:
        groups, role, owners = frames.of("j" + n.id)
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
                "label": frames.label("j" + n.id, _rounded(n.label)),
                "sub": _short(outputs[0]) if outputs else "",
                "group": groups,
                "kind": _kind(linked.node(owners[0])) if owners else n.kind,
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


def _hlo(linked: Linked, names: _Frames) -> dict[str, Any]:
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
    members: dict[str, list[str]] = {}
    for n in linked.hlo.nodes:
        within.setdefault(homes[n.id], {}).update(dict.fromkeys(linked.owners.get("h" + n.id, ())))
        members.setdefault(homes[n.id], []).append("h" + n.id)
        if homes[n.id] != n.id and n.kind in ("instruction", "fusion"):
            inner.setdefault(homes[n.id], []).append(f"{n.attributes['opcode']} {n.attributes['type'].split('{')[0]}")
    nodes, inferred = [], set(linked.inferred)
    for n in linked.hlo.nodes:
        if n.cluster is not None or n.kind not in ("instruction", "fusion"):
            continue
        key = "h" + n.id
        groups, role, _ = names.of(key, members[n.id])
        owners = list(within.get(n.id, ()))
        opcode = str(n.attributes["opcode"])
        more = {
            "name": n.attributes["name"],
            "type": n.attributes["type"],
            "from": [_called(linked.node(o)) for o in owners],
            "scope": n.attributes.get("op_name", ""),
            "linked by": "what reads it: XLA has dropped its scope" if key in inferred else "",
            "inside": inner.get(n.id, [])[:60],
        }
        last = str(n.attributes.get("op_name", "")).split(";")[0].rsplit("/", 1)[-1]
        called = last if opcode == "call" else f"fusion: {last}" if opcode == "fusion" else opcode  # a loop is a "call"
        nodes.append(
            {
                "id": key,
                "label": names.label(key, called if last else opcode),
                "sub": str(n.attributes["type"]).split("{")[0][:40],
                "group": groups,
                "kind": "library" if is_library_call(n) else "fused" if n.kind == "fusion" else "kernel",
                "role": role,
                "own": owners,
                "more": {k: v for k, v in more.items() if v},
            }
        )
    ids = {n["id"] for n in nodes}
    return {
        "name": "optimised HLO",
        "nodes": nodes,
        "edges": _spliced(linked.hlo, "h", ids, homes.__getitem__),
        "inside": linked.hlo.attributes["kernels"] - len(nodes),  # those in loops, branches and calls
    }


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
