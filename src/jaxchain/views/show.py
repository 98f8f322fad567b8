"""All views of one call: the eager graph, the jaxpr, the HLO, and the explorer that joins them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jaxchain.core.config import using_config
from jaxchain.core.untouched import untouched
from jaxchain.views import programs
from jaxchain.views.compare import as_variables, is_variable, results_of
from jaxchain.views.computational_graph import Drawing, build_computational_graph
from jaxchain.views.linked import link
from jaxchain.views.progress import stage
from jaxchain.views.save import write_file
from jaxchain.views.timing import node_times
from jaxchain.views.writers import explorer, tensorboard, text

Format = Literal["dot", "svg", "png", "html", "json", "text", "mermaid", "model-explorer", "tensorboard", "stablehlo"]
SUFFIXES = {"text": "txt", "mermaid": "mmd", "model-explorer": "model_explorer.json"}  # of others: their names


@dataclass(frozen=True)
class Views:
    """The views of one call.

    Attributes:
        name: Name of the model or function.
        graph: The eager graph, or None if only static mode was asked for.
        program: The traced program, or None if only eager mode was asked for.
        times: (label, link path, seconds) of each function in eager mode, in order, if both modes were asked for.
    """

    name: str
    graph: Drawing | None
    program: programs.Program | None
    times: Sequence[tuple[str, str, float]] = ()

    def __str__(self) -> str:
        parts = [] if self.graph is None else [text.write(self.graph.to_graph())]
        return "\n\n".join(parts if self.program is None else [*parts, str(programs.jaxpr_of(self.program))])

    def save(self, folder: str | Path, formats: Sequence[Format] = ("html",)) -> list[Path]:
        """Write ``graph``, ``jaxpr`` and ``hlo`` in the given formats; ``html`` is one file, ``explorer.html``.

        The HLO is written as text only: its graph is too large to draw whole; the explorer shows it in parts.
        ``stablehlo`` is the program before XLA, ``program.mlir``; ``tensorboard`` are folders of event files.

        Returns:
            The paths written.

        Raises:
            ValueError: ``html`` or ``stablehlo`` of eager mode alone.
            RenderError: No picture could be made.
            ImportError: ``tensorboard`` without tensorboardX.
        """
        for kind in ("html", "stablehlo"):
            if kind in formats and self.program is None:
                raise ValueError(f"{kind}: there is a program in static mode only, expected mode 'static' or 'both'")
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        stage("compiling")
        hlo = None if self.program is None else programs.hlo_text(self.program.lower(), True)
        for kind in formats:
            stage(f"writing {kind}")
            if kind == "html" and self.program is not None:
                page = explorer.write({"forward": link(self.program, hlo, self.times)})
                written.append(write_file(folder / "explorer.html", page))
                continue
            if kind == "stablehlo" and self.program is not None:
                written.append(write_file(folder / "program.mlir", self.program.lower().as_text()))
                continue
            if kind == "tensorboard":
                views = {"graph": self.graph, "jaxpr": self.program and programs.jaxpr_of(self.program)}
                graphs = {name: view.to_graph() for name, view in views.items() if view is not None}
                written += [tensorboard.write(graph, folder / "tensorboard" / name) for name, graph in graphs.items()]
                continue
            suffix = SUFFIXES.get(kind, kind)
            if self.graph is not None:
                written.append(self.graph.save(folder / f"graph.{suffix}"))
            if self.program is not None:
                written.append(programs.jaxpr_of(self.program).save(folder / f"jaxpr.{suffix}"))
            if kind == "text" and hlo is not None:
                written.append(write_file(folder / "hlo.txt", hlo))
        return written


def eager_graph(call: Callable[..., Any], args: Any, kwargs: Any, reset: Callable[[], None]) -> Drawing:
    """Run an eager call and return its graph; the state is put back.

    Floating arrays are given as Variables where the call takes them: what operators do to plain arrays leaves no graph.
    """
    with using_config("mode", "eager"):
        try:
            given, named = as_variables((args, kwargs))
            out = call(*given, **named)
        except Exception:  # it works on arrays only, or fails in any case
            reset()
            out = call(*args, **kwargs)
        graph = build_computational_graph([v for _, v in results_of(out) if is_variable(v)]).freeze()
    reset()
    return graph


def show(model_or_fn: Any, *args: Any, mode: Literal["eager", "static", "both"] = "both", **kwargs: Any) -> Views:
    """Run or trace a call and return its views; the state that it can reach is put back.

    Args:
        model_or_fn: A Link or a function on Variables.
        args: Its arguments.
        mode: Which graphs.
        kwargs: Its keyword arguments.

    Returns:
        The views.
    """
    graph, program, times = None, None, []
    with untouched(model_or_fn, args, kwargs) as reset:
        if mode != "static":
            stage("running in eager mode")
            graph = eager_graph(model_or_fn, args, kwargs, reset)
        if mode == "both":
            stage("timing each function")
            times = node_times(model_or_fn, args, kwargs, reset)
        if mode != "eager":
            stage("tracing")
            program = programs.program(model_or_fn, *args, **kwargs)
    return Views(programs.name_of(model_or_fn), graph, program, times)
