"""The report of `jaxchain.contrast`: data, a table, Markdown, a folder of files."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jax

from jaxchain.views import programs
from jaxchain.views.computational_graph import Drawing
from jaxchain.views.linked import link
from jaxchain.views.progress import stage
from jaxchain.views.save import write_file
from jaxchain.views.units import bytes_text, seconds_text
from jaxchain.views.writers import explorer
from jaxchain.views.writers import json as json_writer
from jaxchain.views.writers.image import RenderError

LARGEST_PICTURE = 1500  # nodes: beyond that a layout takes minutes and shows nothing


@dataclass(frozen=True)
class Difference:
    """One result of both modes.

    Attributes:
        name: Which output, parameter or argument.
        type: Dtype and shape in eager mode, ``float32[3,4]``; those in static mode, too, where they differ.
        largest: Largest absolute difference (inf where the types differ or only one is not a number).
        relative: The same, divided by the largest absolute value in eager mode (of this result, but at least a
            hundredth of that of all outputs, or of all gradients: what should be zero is only noise).
    """

    name: str
    type: str
    largest: float
    relative: float


@dataclass(frozen=True)
class Cost:
    """What one kind of call (forward, or forward and gradients) costs in both modes. Seconds and bytes.

    Attributes:
        eager_call: Median time of a call.
        static_call: Median time of a call, compiled.
        eager_first: Time of the first call here (compiles the operations that are new to this process).
        trace: Time to trace.
        lower: Time to lower to StableHLO.
        compile: Time of XLA's compilation, without the persistent cache.
        eager_nodes: Function nodes, and updates of optimizers, run one by one.
        equations: Equations at the top of the jaxpr.
        all_equations: With those of nested jaxprs.
        instructions_before: HLO instructions before XLA's passes, or None where there is no such HLO.
        instructions_after: HLO instructions after them, those inside fusions included.
        kernels: Instructions that run by themselves after them.
        fusions: Fusions among these.
        arguments: Bytes of the compiled program's inputs.
        outputs: Bytes of its results.
        temporary: Bytes it needs in between.
        retained: Bytes that the eager graph keeps for its gradients, without parameters and inputs; None if the call
            has let it go.
    """

    eager_call: float
    static_call: float
    eager_first: float
    trace: float
    lower: float
    compile: float
    eager_nodes: int
    equations: int
    all_equations: int
    instructions_before: int | None
    instructions_after: int
    kernels: int
    fusions: int
    arguments: int | None
    outputs: int | None
    temporary: int | None
    retained: int | None

    @property
    def speedup(self) -> float:
        """Eager time over static time."""
        return self.eager_call / self.static_call if self.static_call else float("nan")


@dataclass
class Contrast:
    """The report of `contrast`. Printed, it is a table; `save` writes a folder.

    Attributes:
        name: Name of the model or function.
        backend: Where it ran.
        outputs: Each output in both modes.
        gradients: Each gradient in both modes: those that the call leaves in the parameters if it runs a backward pass
            itself, else those of the sum of the floating outputs.
        forward: What a call costs.
        backward: What a call with its gradients costs, or None if there are none or `forward` has them already.
        constants: What was baked into the compiled program: (name, what).
        notes: What could not be done, and why.
        graph: The eager graph.
        jaxpr: The jaxpr of static mode.
        hlo: The HLO after XLA's passes.
        hlo_before: The HLO before them, or None where there is none.
        opcodes: How often each opcode occurs.
        levels: The traced programs and their HLO text, for the explorer: with gradients, forward.
        times: (label, link path, seconds) of each function of the forward call in eager mode, in order.
    """

    name: str
    backend: str
    outputs: list[Difference]
    gradients: list[Difference]
    forward: Cost
    backward: Cost | None
    constants: list[tuple[str, str]]
    notes: list[str]
    graph: Drawing
    jaxpr: programs.JaxprView
    hlo: programs.HloView
    hlo_before: programs.HloView | None
    opcodes: dict[str, int] = field(default_factory=dict)
    levels: dict[str, tuple[programs.Program, str]] = field(default_factory=dict)
    times: list[tuple[str, str, float]] = field(default_factory=list)

    @property
    def largest_difference(self) -> float:
        """Largest absolute difference of any output or gradient."""
        return max((d.largest for d in (*self.outputs, *self.gradients)), default=0.0)

    @property
    def largest_relative_difference(self) -> float:
        """Largest relative difference of any output or gradient."""
        return max((d.relative for d in (*self.outputs, *self.gradients)), default=0.0)

    def agrees(self, rtol: float = 1e-4) -> bool:
        """Whether both modes gave the same, up to `rtol` of each result's largest value."""
        return self.largest_relative_difference <= rtol

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain data."""
        return {
            "format": "jaxchain-contrast/1",
            "name": self.name,
            "backend": self.backend,
            "jax": jax.__version__,
            "largest_difference": self.largest_difference,
            "largest_relative_difference": self.largest_relative_difference,
            "outputs": [asdict(d) for d in self.outputs],
            "gradients": [asdict(d) for d in self.gradients],
            "forward": asdict(self.forward),
            "backward": None if self.backward is None else asdict(self.backward),
            "constants": [list(c) for c in self.constants],
            "opcodes": self.opcodes,
            "primitives": self.jaxpr.primitives,
            "notes": self.notes,
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Return the cells of the table, the heading first."""
        own = self.gradients and self.backward is None  # a training step runs its backward pass itself
        costs = [("step" if own else "forward", self.forward)]
        if self.backward is not None:
            costs.append(("with gradients", self.backward))
        table: list[tuple[str, ...]] = [
            ("", *(f"{title}, {mode}" for title, _ in costs for mode in ("eager", "static")))
        ]

        def row(label: str, eager: Callable[[Cost], str], compiled: Callable[[Cost], str]) -> None:
            table.append((label, *(text(cost) for _, cost in costs for text in (eager, compiled))))

        row(
            "time per call",
            lambda c: seconds_text(c.eager_call),
            lambda c: f"{seconds_text(c.static_call)} ({c.speedup:.1f}x)",
        )
        row(
            "first call / compile",
            lambda c: seconds_text(c.eager_first),
            lambda c: seconds_text(c.trace + c.lower + c.compile),
        )
        row(
            "  trace + lower + XLA",
            lambda c: "",
            lambda c: " + ".join(map(seconds_text, (c.trace, c.lower, c.compile))),
        )
        row(
            "nodes / equations",
            lambda c: f"{c.eager_nodes} nodes",
            lambda c: f"{c.equations} ({c.all_equations} nested)",
        )
        row("HLO instructions", lambda c: "", lambda c: f"{_known(c.instructions_before)} -> {c.instructions_after}")
        row("kernels (fusions)", lambda c: "", lambda c: f"{c.kernels} ({c.fusions})")
        row(
            "memory in between",
            lambda c: f"{bytes_text(c.retained)} retained",
            lambda c: f"{bytes_text(c.temporary)} temporary",
        )
        row("arguments + results", lambda c: "", lambda c: f"{bytes_text(c.arguments)} + {bytes_text(c.outputs)}")
        return table

    def __str__(self) -> str:
        rows = self.rows()
        widths = [max(len(r[k]) for r in rows) for k in range(len(rows[0]))]
        lines = [f"{self.name} on {self.backend}, eager and static mode", ""]
        for i, cells in enumerate(rows):
            lines.append("  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip())
            if i == 0:
                lines.append("  ".join("-" * w for w in widths))
        lines.append("")
        everything = [*self.outputs, *self.gradients]
        width = max((len(d.name) for d in everything), default=0)
        types = max((len(d.type) for d in everything), default=0)
        for title, found in (("outputs", self.outputs), ("gradients", self.gradients)):
            lines.append(
                f"{title}: largest difference {_number(max((d.largest for d in found), default=0.0))}"
                if found
                else f"{title}: none"
            )
            lines += [
                f"  {d.name:<{width}}  {d.type:<{types}}  {_number(d.largest)} (relative {_number(d.relative)})"
                for d in found[:20]
            ]
            if len(found) > 20:
                lines.append(f"  ... {len(found) - 20} more")
        lines.append(f"baked in: {_some(self.constants)}")
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)

    def __repr__(self) -> str:
        difference = _number(self.largest_difference)
        return f"<contrast of {self.name}: largest difference {difference}, {self.forward.speedup:.1f}x>"

    def _repr_html_(self) -> str:
        """Show it in a notebook: the table, and the explorer in a frame."""
        return importlib.import_module("jaxchain.views.notebook").contrast_html(self)

    def markdown(self, files: Sequence[str] = ()) -> str:
        """Return the report as Markdown."""
        rows = [[_cell(c) for c in row] for row in self.rows()]
        lines = [
            f"# {_cell(self.name)}: eager and static mode",
            "",
            f"Backend: {self.backend}, JAX {jax.__version__}.",
            "",
        ]
        lines += ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
        lines += ["| " + " | ".join(row) + " |" for row in rows[1:]]
        for title, found in (("Outputs", self.outputs), ("Gradients", self.gradients)):
            if found:
                lines += ["", f"## {title}", "", "| name | type | largest difference | relative |", "|---|---|---|---|"]
                lines += [
                    f"| {_cell(d.name)} | {_cell(d.type)} | {_number(d.largest)} | {_number(d.relative)} |"
                    for d in found
                ]
        lines += ["", "## Baked in", ""]
        lines += [f"- {_cell(n)} = {_cell(w)}" for n, w in self.constants] or ["Nothing."]
        if self.notes:
            lines += ["", "## Notes", ""] + [f"- {_cell(note)}" for note in self.notes]
        if files:
            lines += ["", "## Files", ""] + [f"- [{name}]({name})" for name in files]
        if "graph.svg" in files:
            lines += ["", "![eager graph](graph.svg)"]
        return "\n".join(lines) + "\n"

    def explorer(self) -> str:
        """Return a page that shows the eager graph, the jaxpr and the HLO side by side, linked. It needs no server."""
        costs = {"forward": self.forward, "with gradients": self.backward}
        linked = {
            title: link(made, text, self.times if title in costs else ()) for title, (made, text) in self.levels.items()
        }
        return explorer.write(
            linked,
            {title: _facts(cost) for title, cost in costs.items() if cost is not None},
            self.name,
        )

    def save(self, folder: str | Path) -> list[Path]:
        """Write the report and the views into a folder, which is made if it is not there.

        Writes ``report.md``, ``report.json``, ``graph.dot|svg|png|json``, ``jaxpr.txt|dot|svg``, ``hlo.txt``,
        ``hlo_before.txt``, ``explorer.html``.
        A picture that cannot be made (no renderer, too large) is left out, and `notes` says why.

        Returns:
            The paths written.

        Raises:
            OSError: The folder cannot be made or written.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written: list[Path] = []
        left_out: dict[str, list[str]] = {}  # why -> the names of the files
        refused: dict[int, str] = {}  # what was too large to lay out as SVG is too large as PNG
        graph_size, jaxpr_size = len(self.graph.to_graph().nodes), len(self.jaxpr.to_graph().nodes)
        wanted = [("graph.dot", self.graph, 0), ("graph.json", self.graph, 0), ("graph.svg", self.graph, graph_size)]
        wanted += [("graph.png", self.graph, graph_size), ("jaxpr.txt", self.jaxpr, 0), ("jaxpr.dot", self.jaxpr, 0)]
        wanted += [("jaxpr.svg", self.jaxpr, jaxpr_size), ("hlo.txt", self.hlo, 0)]
        wanted += [] if self.hlo_before is None else [("hlo_before.txt", self.hlo_before, 0)]
        for name, view, size in wanted:
            if size > LARGEST_PICTURE:
                left_out.setdefault(f"{size} nodes are too many to draw", []).append(name)
                continue
            stage(f"writing {name}")
            try:
                if size and id(view) in refused:
                    raise RenderError(refused[id(view)])
                written.append(view.save(folder / name))
            except RenderError as error:
                refused[id(view)] = str(error)
                left_out.setdefault(str(error), []).append(name)
        stage("writing explorer.html")
        if self.levels:
            written.append(write_file(folder / "explorer.html", self.explorer()))
        notes = [f"{', '.join(names)} left out: {why}" for why, names in left_out.items()]
        self.notes += [note for note in notes if note not in self.notes]
        written.append(write_file(folder / "report.json", json_writer.plain_text(self.to_dict())))
        written.append(write_file(folder / "report.md", self.markdown([p.name for p in written])))
        return written


def _facts(cost: Cost) -> list[tuple[str, str]]:
    return [
        ("eager call", seconds_text(cost.eager_call)),
        ("static call", f"{seconds_text(cost.static_call)} ({cost.speedup:.1f}x)"),
        ("kept for gradients, eager", bytes_text(cost.retained)),
        ("temporary, static", bytes_text(cost.temporary)),
    ]


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.2g}"


def _known(value: int | None) -> str:
    return "?" if value is None else str(value)


def _cell(text: str) -> str:
    """Return text that is only text in a Markdown table."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("\\", "\\\\")
    for c in "|`*_[]":
        text = text.replace(c, f"\\{c}")
    return " ".join(text.split())


def _some(constants: Sequence[tuple[str, str]], limit: int = 12) -> str:
    if not constants:
        return "nothing"
    more = f", ... {len(constants) - limit} more" if len(constants) > limit else ""
    return ", ".join(f"{n} = {w}" for n, w in constants[:limit]) + more
