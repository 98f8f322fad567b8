"""HLO text -> Graph: an instruction is a node, a computation a cluster inside the one that calls it.

Reads what JAX's public API prints: ``compiled.as_text()`` (after XLA's passes) and
``lowered.as_text('hlo', debug_info=True)`` (before them). The parser was written for jaxlib 0.10: `parse` is where to
look when a later one prints otherwise (tests/views/test_hlo.py would fail first).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from jaxchain.core.scopes import tags_of
from jaxchain.views import collector
from jaxchain.views.model import Builder, Graph

# No work of their own: XLA's plumbing and what feeds it.
PLUMBING = frozenset({"tuple", "get-tuple-element", "bitcast", "after-all", "opt-barrier"})
_MODULE = re.compile(r"^HloModule ([^,\s]+)")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([^\s(){}=]+)\s*(?:\(.*\)\s*->.*)?\{\s*$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?(\S+) = ")
_CALLED = re.compile(
    r"\b(calls|to_apply|body|condition|branch_computations|true_computation|false_computation|called_computations)="
    r"(\{[^}]*\}|%?[^\s,{}]+)"
)
_OP_NAME = re.compile(r'op_name="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_TARGET = re.compile(r'custom_call_target="((?:[^"\\]|\\.)*)"')
_KIND = re.compile(r"\bkind=(k\w+)")
_FOREIGN = re.compile(r", (?:metadata|backend_config|frontend_attributes)=")  # from here on text that is not HLO's own
_BRACKETS = re.compile(r'[()\[\]{}]|"(?:[^"\\]|\\.)*"')


class HloSyntaxError(ValueError):
    """The text is not HLO as this version of JAX prints it."""


@dataclass(slots=True)
class Instruction:
    """One line of HLO.

    Attributes:
        name: Its name, without the percent sign.
        opcode: ``dot``, ``fusion``, ``add``, ...
        type: Shape as printed: ``f32[3,4]{1,0}``.
        operands: Names of the instructions it reads.
        called: (attribute, computation) of what it calls: ``("calls", "fused_computation")``.
        op_name: Scope path from JAX, or empty.
        detail: A parameter's number, a constant's value, a fusion's kind, a custom call's target.
        root: Whether it is its computation's result.
    """

    name: str
    opcode: str
    type: str
    operands: list[str]
    called: list[tuple[str, str]]
    op_name: str
    detail: str
    root: bool


@dataclass(slots=True)
class Computation:
    """A named list of instructions."""

    name: str
    entry: bool
    instructions: list[Instruction] = field(default_factory=list)


@dataclass(slots=True)
class Module:
    """What a text holds: computations by name, in the text's order."""

    name: str
    computations: dict[str, Computation]

    @property
    def entry(self) -> Computation:
        """The computation that is run."""
        return next(c for c in self.computations.values() if c.entry)


def parse(text: str) -> Module:
    """Return the computations and instructions of an HLO text.

    Raises:
        HloSyntaxError: There is no module or entry in it, or an instruction cannot be read.
    """
    head = next((m for m in map(_MODULE.match, text.splitlines()) if m), None)
    if head is None:
        raise HloSyntaxError("no HloModule line: this is not HLO text")
    computations: dict[str, Computation] = {}
    current: Computation | None = None
    for line in text.splitlines():
        if current is None:
            start = _COMPUTATION.match(line)
            if start is not None:
                current = computations[start.group(2)] = Computation(start.group(2), start.group(1) is not None)
        elif line.startswith("}"):
            current = None
        elif line.strip():
            current.instructions.append(_instruction(line))
    if not any(c.entry for c in computations.values()):
        raise HloSyntaxError("no ENTRY computation in the HLO text")
    return Module(head.group(1), computations)


@collector.paused()
def read(text: str) -> Graph:
    """Return the graph of an HLO text, starting from its entry.

    Returns:
        A graph of kind ``hlo``: nodes of kind ``parameter``, ``constant``, ``instruction``, ``fusion``, ``plumbing``;
        a cluster per computation that is called, inside its first caller's; `counts` as attributes.

    Raises:
        HloSyntaxError: The text is not HLO.
    """
    module = parse(text)
    builder = Builder("hlo", module.name)
    ids: dict[tuple[str, str], str] = {}
    # A shared computation (the "add" of many reductions) is drawn once, at its first caller.
    stack: list[tuple[Computation, str | None]] = [(module.entry, None)]
    drawn = {module.entry.name}
    while stack:
        computation, frame = stack.pop()
        inside: list[tuple[Computation, str | None]] = []
        for instruction in computation.instructions:
            ids[computation.name, instruction.name] = builder.node(
                _label(instruction), _node_kind(instruction), frame, **_facts(computation, instruction)
            )
            for role, name in instruction.called:
                if name in module.computations and name not in drawn:
                    drawn.add(name)
                    label = f"{instruction.name}: {name}" if role == "calls" else f"{role} {name}"
                    box = builder.cluster(label, frame, role, computation=name, caller=instruction.name)
                    inside.append((module.computations[name], box))
        stack.extend(reversed(inside))
    for computation in module.computations.values():
        if computation.name not in drawn:
            continue
        types = {i.name: i.type for i in computation.instructions}
        for instruction in computation.instructions:
            target = ids[computation.name, instruction.name]
            for operand in dict.fromkeys(instruction.operands):
                source = ids.get((computation.name, operand))
                if source is not None:
                    builder.edge(source, target, _short_type(types[operand]))
            for role, name in instruction.called:
                called = module.computations.get(name)
                if called is not None:
                    root = next((i for i in called.instructions if i.root), called.instructions[-1])
                    builder.edge(ids[name, root.name], target, "" if role == "calls" else role, "call")
    return builder.build(**counts(module))


def counts(module: Module | str) -> dict[str, int]:
    """Count what a module holds.

    Returns:
        ``instructions``: of all computations, without parameters, constants and plumbing; ``kernels``: those that run
        by themselves (not inside a fusion or a combiner); ``fusions``; ``fused_instructions``: those inside fusions;
        ``computations``.
    """
    module = parse(module) if isinstance(module, str) else module
    fused, combiners = set(), set()
    for computation in module.computations.values():
        for instruction in computation.instructions:
            for role, name in instruction.called:
                if role == "calls" and instruction.opcode == "fusion":
                    fused.add(name)
                elif role == "to_apply" and instruction.opcode != "call":
                    combiners.add(name)
    found = {"instructions": 0, "kernels": 0, "fusions": 0, "fused_instructions": 0}
    for computation in module.computations.values():
        work = [i for i in computation.instructions if is_work(i)]
        found["instructions"] += len(work)
        found["fusions"] += sum(i.opcode == "fusion" for i in work)
        if computation.name in fused:
            found["fused_instructions"] += len(work)
        elif computation.name not in combiners:
            found["kernels"] += len(work)
    return found | {"computations": len(module.computations)}


def opcodes(module: Module | str) -> dict[str, int]:
    """Return how often each opcode occurs in all computations, most frequent first."""
    module = parse(module) if isinstance(module, str) else module
    return dict(Counter(i.opcode for c in module.computations.values() for i in c.instructions).most_common())


def is_work(instruction: Instruction) -> bool:
    """Whether an instruction computes: neither parameter nor constant nor plumbing."""
    return instruction.opcode not in PLUMBING and instruction.opcode not in ("parameter", "constant")


def _instruction(line: str) -> Instruction:
    head = _INSTRUCTION.match(line)
    if head is None:
        raise HloSyntaxError(f"cannot read the HLO line {line.strip()[:120]!r}")
    at = head.end()
    end = _closing(line, at) + 1 if line[at] == "(" else line.find(" ", at)
    opening = line.find("(", end)
    if end <= at or opening < 0:
        raise HloSyntaxError(f"cannot read the HLO line {line.strip()[:120]!r}")
    type_, opcode = line[at:end], line[end:opening].strip()
    closing = _closing(line, opening)
    inside, rest = line[opening + 1 : closing], line[closing + 1 :]
    op_name = _OP_NAME.search(rest)
    attributes = _FOREIGN.split(rest, maxsplit=1)[0]
    called = [
        (key, name.strip().lstrip("%"))
        for key, names in _CALLED.findall(attributes)
        for name in names.strip("{}").split(",")
    ]
    operands: list[str] = []
    detail = ""
    if opcode in ("parameter", "constant"):
        detail = inside
    else:
        operands = [part.split()[-1].lstrip("%") for part in _split(inside) if part.split()]
        found = _KIND.search(attributes) if opcode == "fusion" else _TARGET.search(attributes)
        detail = found.group(1) if found else ""
    return Instruction(
        head.group(2),
        opcode,
        type_,
        operands,
        called,
        _unescaped(op_name.group(1)) if op_name else "",
        detail,
        head.group(1) is not None,
    )


def _unescaped(text: str) -> str:
    """Return what a quoted text stands for: its bytes beyond ASCII are printed as octal numbers."""

    def byte(found: re.Match[bytes]) -> bytes:
        return bytes([int(found[1], 8)]) if found[1].isdigit() else _ESCAPED.get(found[1], found[1])

    return _ESCAPE.sub(byte, text.encode()).decode(errors="replace") if "\\" in text else text


def _closing(line: str, opening: int) -> int:
    """Return where the bracket at `opening` closes; quoted text does not count."""
    depth = 0
    for found in _BRACKETS.finditer(line, opening):
        token = found.group()
        if token in "([{":
            depth += 1
        elif token in ")]}":
            depth -= 1
            if depth == 0:
                return found.start()
    raise HloSyntaxError(f"a bracket does not close in the HLO line {line.strip()[:120]!r}")


def _split(text: str) -> list[str]:
    """Split at the commas outside brackets."""
    if not any(c in text for c in "([{"):
        return text.split(",")
    parts, depth, start = [], 0, 0
    for at, c in enumerate(text):
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def _short_type(type_: str) -> str:
    """Return ``f32[3,4]`` without its layout."""
    text = re.sub(r"\{[^}]*\}|/\*.*?\*/", "", type_)
    return text if len(text) <= 60 else text[:59] + "…"


def _node_kind(instruction: Instruction) -> str:
    if instruction.opcode in ("parameter", "constant", "fusion"):
        return instruction.opcode
    return "plumbing" if instruction.opcode in PLUMBING else "instruction"


def _label(instruction: Instruction) -> str:
    detail = instruction.detail if len(instruction.detail) <= 40 else instruction.detail[:39] + "…"
    if instruction.opcode == "constant":
        return f"{detail}\n{_short_type(instruction.type)}"
    if instruction.opcode == "parameter":
        return f"{instruction.name}\n{_short_type(instruction.type)}"
    return f"{instruction.opcode} {detail}".strip() + f"\n{instruction.name}"


def _facts(computation: Computation, instruction: Instruction) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": instruction.name,
        "opcode": instruction.opcode,
        "type": instruction.type,
        "computation": computation.name,
    }
    if instruction.root:
        facts["root"] = True
    if instruction.detail:
        facts["detail"] = instruction.detail
    if instruction.called:
        facts["called"] = [name for _, name in instruction.called]
    if instruction.op_name:
        facts["op_name"] = instruction.op_name
        tags = tags_of(instruction.op_name)
        if tags:
            facts["tags"] = [tag._asdict() for tag in tags]
    return facts
