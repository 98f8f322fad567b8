"""One program at three levels: each eager node with its jaxpr equations, and these with their HLO instructions.

The scopes that tracing leaves (core/scopes.py) join the levels; where XLA has dropped them, an instruction's readers do
(`Linked.inferred`). What neither tells is listed, not guessed:
`Linked.outside` (equations and instructions of no op, such as the sum of two gradients) and `Linked.compiler_made`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jaxchain.core.scopes import TAG, role_of, scope_name
from jaxchain.core.trace import Call
from jaxchain.views import collector, programs
from jaxchain.views.fates import Removals, fate
from jaxchain.views.flops import flops_of, rounds_of, size_of
from jaxchain.views.inference import infer, of_readers
from jaxchain.views.model import Cluster, Graph, Node
from jaxchain.views.readers import jaxpr as jaxpr_reader

_WORK = ("equation", "control")
# what JAX calls the bodies of loops and branches in HLO's scopes; ours are called after the function
# "closed_call" until jax 0.10, "eval_jaxpr" from 0.12
_CONTROL = re.compile(r"/while/(?:body|cond)(?:/closed_call|/eval_jaxpr)?(?=/|$)|/cond/branch_\d+_fun(?=/|$)")


@dataclass(frozen=True)
class LinkedNode:
    """An eager node and what became of it.

    Attributes:
        id: ``e1``, ``e2`` ... in the order of the calls.
        label: ``LinearFunction``.
        path: Path of the link: ``/predictor/l1``.
        call: Path of the link's call: as `path`, the later calls of a link numbered: ``/Classifier/predictor/l1~2``.
        ordinal: Which op of its link's call.
        op: Name of the op.
        outputs: Types of its results, the op's own first: ``float32[6,8]``; then what its gradient keeps.
        inputs: Names of the program's inputs that it reads: parameters, arguments.
        source: File, line and function of the user's call, or None.
        flops: Estimated operations of its forward equations (a multiply-add is two).
        bytes: Bytes of its results.
        equations: Ids of its forward equations in `Linked.jaxpr`.
        backward_equations: Those of its gradient.
        instructions: Ids of its forward instructions in `Linked.hlo`.
        backward_instructions: Those of its gradient.
        backward_flops: The same of its gradient's equations.
        role: ``backward`` if the gradient of another node runs it, else ``forward``.
        fate: ``kernel``, ``fused``, ``library call``, ``free`` (a reshape), ``removed`` or ``no equation``.
        why: The reason in words, where it has left no code: ``dead: no result depends on it``.
        sharing: Ids of the nodes in its kernels, its own among them; nodes of the same kernels hold one tuple.
        seconds: Measured time in eager mode, until its result is there and without the functions that it calls, of all
            rounds of a loop, or None if it was not measured.
    """

    id: str
    label: str
    path: str
    call: str
    ordinal: int
    op: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    source: tuple[str, int, str] | None
    flops: int
    bytes: int
    equations: tuple[str, ...]
    backward_equations: tuple[str, ...]
    instructions: tuple[str, ...]
    backward_instructions: tuple[str, ...]
    backward_flops: int
    role: str
    fate: str
    why: str
    sharing: tuple[str, ...]
    seconds: float | None = None

    @property
    def fused_with(self) -> tuple[str, ...]:
        """Ids of the nodes it shares a kernel with."""
        return tuple(id_ for id_ in self.sharing if id_ != self.id)


@dataclass(frozen=True)
class Linked:
    """A program at its three levels.

    Attributes:
        name: Name of the program.
        nodes: The eager nodes.
        edges: Pairs of their ids: the second reads what the first gives.
        jaxpr: The jaxpr's graph.
        hlo: The graph of the HLO after XLA's passes.
        owners: For each id of an equation (``j`` before it) or instruction (``h``): the eager ids it came from.
        roles: For the same ids: ``forward`` or ``backward``.
        outside: Ids of equations and instructions with a scope that names no op.
        compiler_made: Ids of instructions without a scope: XLA's own.
        inferred: Ids of instructions without a scope whose owner their readers tell (views/inference.py).
        kernels: For each instruction that runs by itself: the eager ids in it.
    """

    name: str
    nodes: tuple[LinkedNode, ...]
    edges: tuple[tuple[str, str], ...]
    jaxpr: Graph
    hlo: Graph
    owners: dict[str, tuple[str, ...]]
    roles: dict[str, str]
    outside: tuple[str, ...]
    compiler_made: tuple[str, ...]
    inferred: tuple[str, ...]
    kernels: dict[str, tuple[str, ...]]

    @property
    def coverage(self) -> float:
        """Share of the eager nodes that have an equation."""
        return sum(bool(n.equations) for n in self.nodes) / len(self.nodes) if self.nodes else 1.0

    def node(self, id_: str) -> LinkedNode:
        """Return the eager node of this id."""
        return self.nodes[int(id_[1:]) - 1]


class _Names:
    """Finds the eager nodes that a scope names."""

    def __init__(self, nodes: Iterable[Call]) -> None:
        self.nodes: dict[tuple[str, int], list[tuple[str, str]]] = defaultdict(list)
        for k, node in enumerate(nodes, 1):
            self.nodes[scope_name(node.label), node.ordinal].append((node.call, f"e{k}"))

    def find(self, scope: str) -> tuple[list[str], str]:
        """Return the ids of the nodes of the innermost op that a scope names, and the role of the code."""
        for tag in reversed(list(TAG.finditer(scope))):
            candidates = self.nodes.get((tag.group(1), int(tag.group(2))), [])
            before = _CONTROL.sub("", _calls(scope[: tag.start()]))
            fitting = [(call, id_) for call, id_ in candidates if before.endswith(call)]
            if fitting:
                longest = max(len(call) for call, _ in fitting)
                return list(dict.fromkeys(id_ for call, id_ in fitting if len(call) == longest)), role_of(scope, tag)
        return [], ""


def _calls(scope: str) -> str:
    """Return the link calls that a scope names: an op goes on from its own, its gradient starts anew."""
    gradient = scope.rfind("backward/")
    op = TAG.search(scope, gradient) if gradient >= 0 else None
    return re.sub("/+", "/", "/" + TAG.sub("", scope[op.end() :] if op else scope)).rstrip("/")


def _called_by_gradient(scope: str) -> bool:
    """Return whether the op that a scope names was called by the gradient of another: ``backward/Mine#0/Tanh#2``."""
    gradient = scope.rfind("backward/")
    return gradient >= 0 and len(TAG.findall(scope, gradient)) > 1


@collector.paused()
def link(
    program: programs.Program,
    hlo_text: str | None = None,
    times: Iterable[tuple[str, str, float]] = (),
) -> Linked:
    """Join the levels of a traced program.

    Args:
        program: From `programs.program`.
        hlo_text: Its HLO after XLA's passes, if it is compiled already.
        times: (label, link path, seconds) of the eager call's functions in their order, from `timing.node_times`.

    Returns:
        The linked program.
    """
    text = hlo_text if hlo_text is not None else programs.hlo_text(program.lower(), True)
    jaxpr = jaxpr_reader.read(program.jaxpr, inputs=program.inputs, outputs=program.outputs, name=program.name)
    hlo = programs.HloView(text, True, program.name).to_graph()
    names = _Names(program.nodes)
    owners: dict[str, tuple[str, ...]] = {}
    roles: dict[str, str] = {}
    outside: list[str] = []
    compiler_made: list[str] = []
    for node in jaxpr.of_kind(*_WORK):
        ids, role = names.find(str(node.attributes.get("scope", "")))
        if not ids:
            outside.append("j" + node.id)
            continue
        owners["j" + node.id], roles["j" + node.id] = tuple(ids), role
    for node in hlo.nodes:
        op_name = str(node.attributes.get("op_name", ""))
        if node.kind in ("parameter", "constant"):
            continue
        found: dict[str, None] = {}
        role = "backward"
        for scope in op_name.split(";"):
            ids, one = names.find(scope)
            found.update(dict.fromkeys(ids))
            role = "forward" if ids and one == "forward" else role
        if found:
            owners["h" + node.id], roles["h" + node.id] = tuple(found), role
        else:
            (outside if op_name else compiler_made).append("h" + node.id)
    of_readers(hlo, owners, roles)
    inferred = infer(hlo, jaxpr, owners, roles)
    for key, (id_, role) in inferred.items():
        if "h" + key not in owners and "h" + key not in outside:
            owners["h" + key], roles["h" + key] = (id_,), role
    outside, compiler_made = ([key for key in keys if key not in owners] for keys in (outside, compiler_made))
    kernels, home = _kernels(hlo, owners)
    return Linked(
        program.name,
        tuple(_nodes(program, jaxpr, hlo, owners, roles, kernels, home, times)),
        _edges(jaxpr, owners, roles),
        jaxpr,
        hlo,
        owners,
        roles,
        tuple(outside),
        tuple(compiler_made),
        tuple("h" + key for key in inferred if "h" + key in owners),
        kernels,
    )


def _kernels(hlo: Graph, owners: dict[str, tuple[str, ...]]) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Return the nodes in each kernel, and the kernel of each instruction."""
    by_name = {(n.attributes.get("computation"), n.attributes.get("name")): n for n in hlo.nodes}
    frames = {c.id: c for c in hlo.clusters}
    inside: dict[str, Node] = {}  # cluster of a fusion -> the fusion
    callers: dict[str, Node] = {}
    for node in by_name.values():
        for computation in node.attributes.get("called", ()):
            callers.setdefault(computation, node)
    for cluster in hlo.clusters:
        caller = callers.get(str(cluster.attributes.get("computation")))
        if caller is not None and (caller.kind == "fusion" or cluster.kind == "to_apply"):
            inside[cluster.id] = caller
    home: dict[str, str] = {}
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for node in hlo.nodes:
        kernel, at = node, node.cluster
        while at is not None:
            kernel = inside.get(at, kernel)
            at = frames[at].parent
        home[node.id] = kernel.id
        if kernel.kind not in ("parameter", "constant", "plumbing"):
            found[kernel.id].update(dict.fromkeys(owners.get("h" + node.id, ())))
    return {k: tuple(v) for k, v in found.items()}, home


def _edges(jaxpr: Graph, owners: dict[str, tuple[str, ...]], roles: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Return who reads whose result, also through what belongs to no op: loops and branches, slices between ops."""
    into: dict[str, list[str]] = defaultdict(list)
    kinds = {n.id: n.kind for n in jaxpr.nodes}
    for edge in jaxpr.edges:
        passed = kinds[edge.target] == "control" and (kinds[edge.source] == "input" or edge.label == "index")
        if edge.kind != "carry" and not passed:  # passed: states that a loop keeps, and which branch is taken
            into[edge.target].append(edge.source)
    found: dict[tuple[str, str], None] = {}
    behind: dict[str, dict[str, None]] = {}  # for each node: whose results it stands for
    for node in jaxpr.nodes:  # a node comes after what it reads
        mine = dict.fromkeys(owner for source in into[node.id] for owner in behind.get(source, ()))
        key = "j" + node.id
        if key not in roles:
            behind[node.id] = mine
        elif roles[key] == "forward":
            behind[node.id] = dict.fromkeys(owners[key])
            found.update(((a, b), None) for a in mine for b in owners[key] if int(a[1:]) < int(b[1:]))
    return tuple(found)


def _nodes(
    program: programs.Program,
    jaxpr: Graph,
    hlo: Graph,
    owners: dict[str, tuple[str, ...]],
    roles: dict[str, str],
    kernels: dict[str, tuple[str, ...]],
    home: dict[str, str],
    times: Iterable[tuple[str, str, float]],
) -> Iterable[LinkedNode]:
    mine: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for key, ids in owners.items():
        for id_ in ids:
            mine[id_, key[0], roles[key]].append(key[1:])
    by_id = {n.id: n for n in jaxpr.nodes}
    frames = {c.id: c for c in jaxpr.clusters}
    instructions = {n.id: n for n in hlo.nodes}
    into: dict[str, list[tuple[str, str]]] = defaultdict(list)
    out_of: dict[str, list[str]] = defaultdict(list)
    for edge in jaxpr.edges:
        into[edge.target].append((edge.source, edge.label))
        out_of[edge.source].append(edge.target)
    measured = _measured(program.nodes, times)

    def work(id_: str) -> int:
        return flops_of(by_id[id_], [t for _, t in into[id_]]) * rounds_of(by_id[id_], frames)

    groups: dict[tuple[str, ...], tuple[str, ...]] = {}  # one tuple for all nodes of a kernel, or a large one is n * n
    removals, only = Removals(jaxpr, owners), _only(jaxpr, owners, frames)
    for k, (label, path, ordinal, op, call, source) in enumerate(program.nodes, 1):
        id_ = f"e{k}"
        forward = mine[id_, "j", "forward"]
        own = set(forward)
        results = [e for e in forward if not out_of[e] or any(t not in own for t in out_of[e])]
        runs = dict.fromkeys(_run(by_id[e].cluster, id_, frames, only) for e in forward)
        if len(runs) == 1 and (run := next(iter(runs))) is not None:  # one run of the op: its results in order
            outputs = tuple(frames[run].attributes.get("outputs", ()))
        else:
            outputs = tuple(t for e in results for t in by_id[e].attributes.get("outputs", ()))
        reads = dict.fromkeys(
            by_id[s].label.split("\n")[0] for e in forward for s, _ in into[e] if by_id[s].kind == "input"
        )
        used = mine[id_, "h", "forward"]
        backward = mine[id_, "j", "backward"]
        scopes = [str(by_id[e].attributes.get("scope", "")) for e in backward]
        code = forward or backward  # what a gradient runs, a recomputation say, has no other
        at = tuple(dict.fromkeys(home[h] for h in (used if forward else mine[id_, "h", "backward"])))
        if at not in groups:
            groups[at] = tuple(dict.fromkeys(o for h in at for o in kernels.get(h, ())))
        shared = groups[at]
        became, why = fate(code, [instructions[h] for h in at], len(shared) > 1), ""
        if became == "removed":
            became, why = removals.why(id_, code)
        yield LinkedNode(
            id=id_,
            label=label,
            path=path,
            call=call,
            ordinal=ordinal,
            op=op,
            outputs=outputs,
            inputs=tuple(reads),
            source=source,
            flops=sum(work(e) for e in forward),
            bytes=sum(size_of(t)[1] for t in outputs),
            equations=tuple(forward),
            backward_equations=tuple(backward),
            instructions=tuple(used),
            backward_instructions=tuple(mine[id_, "h", "backward"]),
            backward_flops=sum(work(e) for e in backward),
            role="backward" if not forward and any(map(_called_by_gradient, scopes)) else "forward",
            fate=became,
            why=why,
            sharing=shared,
            seconds=measured.get(k),
        )


def _measured(nodes: Sequence[Call], times: Iterable[tuple[str, str, float]]) -> dict[int, float]:
    """Return the seconds of each node, by its number; a node in the body of a loop ran once a round in eager mode.

    Where other calls of the same link ran another number of times than there are nodes, nothing tells whose is what.
    """
    runs: dict[tuple[str, str], list[float]] = defaultdict(list)
    for label, path, seconds in times:
        runs[label, path].append(seconds)
    alike: dict[tuple[str, str], list[int]] = defaultdict(list)
    for k, node in enumerate(nodes, 1):
        alike[node.label, node.path].append(k)
    found: dict[int, float] = {}
    for key, numbers in alike.items():
        took, count = runs[key], len(numbers)
        looped = len(took) > count
        if looped and (len(took) % count or len({nodes[k - 1].call for k in numbers}) > 1):
            continue
        found |= {k: sum(took[i::count]) for i, k in enumerate(numbers[: len(took)])}
    return found


def _only(jaxpr: Graph, owners: dict[str, tuple[str, ...]], frames: dict[str, Cluster]) -> dict[str, tuple[str, ...]]:
    """Return for each cluster whose equations are in it, if all of them are the same nodes'; else nothing."""
    found: dict[str, tuple[str, ...]] = {}
    for node in jaxpr.of_kind(*_WORK):
        at, mine = node.cluster, owners.get("j" + node.id, ())
        while at is not None:
            found[at] = mine if found.get(at, mine) == mine else ()
            at = frames[at].parent
    return found


def _run(cluster: str | None, id_: str, frames: dict[str, Cluster], only: dict[str, tuple[str, ...]]) -> str | None:
    """Return the outermost cluster around an equation that holds nothing but its node's: the call of the op."""
    found = None
    while cluster is not None and only.get(cluster) == (id_,):
        found, cluster = cluster, frames[cluster].parent
    return found
