"""The programs of static mode: `jaxpr` and `hlo` of a model or function, as text, as a graph, as files."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

from jaxchain.core import static
from jaxchain.core.exact import exact_jit
from jaxchain.core.trace import Call
from jaxchain.core.traced import Traced
from jaxchain.views.model import Graph
from jaxchain.views.readers import hlo as hlo_reader
from jaxchain.views.readers import jaxpr as jaxpr_reader
from jaxchain.views.save import save_graph
from jaxchain.views.writers import dot, image


class _View:
    """What both views share: text by `str`, a graph, DOT, files, a picture in notebooks."""

    def __str__(self) -> str:
        raise NotImplementedError

    def to_graph(self) -> Graph:
        """Return it in the model of all views."""
        raise NotImplementedError

    def to_dot(self, rankdir: str = "TB") -> str:
        """Return it in the DOT language."""
        return dot.write(self.to_graph(), rankdir=rankdir)

    def save(self, path: str | Path) -> Path:
        """Write a file; its kind is told by the suffix: ``.txt``, ``.dot``, ``.svg``, ``.png`` or ``.json``.

        Returns:
            The path.

        Raises:
            ValueError: Another suffix.
            RenderError: No picture could be made.
        """
        return save_graph(self.to_graph, self.to_dot, path, self.__str__)

    def _repr_svg_(self) -> str | None:
        try:
            return image.render(self.to_dot(), "svg").decode()
        except image.RenderError:
            return None


class JaxprView(_View):
    """The closed jaxpr of a program.

    Attributes:
        closed: The jaxpr itself.
        inputs: Names of its arguments, in order.
        outputs: Names of its results, in order.
        counts: Number of equations (at the top, in all) and nested jaxprs.
    """

    def __init__(
        self, closed: ClosedJaxpr, inputs: Sequence[str] = (), outputs: Sequence[str] = (), name: str = ""
    ) -> None:
        self.closed = closed
        self.inputs, self.outputs, self.name = tuple(inputs), tuple(outputs), name

    def __str__(self) -> str:
        return str(self.closed)

    def __repr__(self) -> str:
        counts = self.counts
        return f"<jaxpr {self.name}: {counts['equations']} equations, {counts['all_equations']} with nested ones>"

    @property
    def counts(self) -> dict[str, int]:
        """Number of equations and nested jaxprs."""
        return jaxpr_reader.counts(self.closed)

    @property
    def primitives(self) -> dict[str, int]:
        """How often each primitive occurs, nested ones included."""
        return jaxpr_reader.primitive_counts(self.closed)

    def to_graph(self) -> Graph:
        """Return it in the model of all views: an equation is a node, a nested jaxpr a cluster."""
        return jaxpr_reader.read(self.closed, inputs=self.inputs, outputs=self.outputs, name=self.name)


class HloView(_View):
    """The HLO of a program, before or after XLA's passes.

    Attributes:
        text: As JAX prints it.
        optimized: Whether XLA's passes have run.
    """

    def __init__(self, text: str, optimized: bool, name: str = "") -> None:
        self.text, self.optimized, self.name = text, optimized, name

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        counts, state = self.counts, "optimized" if self.optimized else "not optimized"
        return f"<hlo {self.name}, {state}: {counts['instructions']} instructions, {counts['fusions']} fusions>"

    @property
    def counts(self) -> dict[str, int]:
        """Number of instructions, kernels, fusions, fused instructions and computations."""
        return hlo_reader.counts(self.text)

    @property
    def opcodes(self) -> dict[str, int]:
        """How often each opcode occurs."""
        return hlo_reader.opcodes(self.text)

    def to_graph(self) -> Graph:
        """Return it in the model of all views: an instruction is a node, a called computation a cluster."""
        return hlo_reader.read(self.text)


@dataclass(frozen=True)
class Program:
    """What static mode makes of one call, without the cells that the program does not read.

    Attributes:
        name: Name of the model or function.
        jaxpr: The closed jaxpr.
        inputs: Names of its inputs: cells, then arguments.
        outputs: Names of its outputs: results, then the cells that are written.
        values: Its inputs on the given arguments.
        nodes: The eager nodes, in order.
        constants: What was baked in: (name, what).
        seconds: Time to trace.
    """

    name: str
    jaxpr: ClosedJaxpr
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    values: tuple[Any, ...]
    nodes: tuple[Call, ...]
    constants: tuple[tuple[str, str], ...]
    seconds: float

    def lower(self) -> jax.stages.Lowered:
        """Lower it for the default backend; its parameters keep their names."""
        function = jaxpr_as_fun(self.jaxpr)

        def call(*args: Any) -> tuple[Any, ...]:
            return tuple(function(*args))

        call.__name__ = self.name
        names = _identifiers(self.inputs)
        call.__signature__ = inspect.Signature([inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in names])  # type: ignore[attr-defined]
        return exact_jit(call, keep_unused=True).lower(*self.values)


def program(model_or_fn: Any, *args: Any, **kwargs: Any) -> Program:
    """Trace a call in static mode, without running it."""
    traced = static.trace(model_or_fn, *args, **kwargs)
    first, last = traced.lifted.bounds["arguments"]
    return program_of(traced, name_of(model_or_fn), parameter_names(model_or_fn), last - first)


def program_of(traced: Traced, name: str, known: Sequence[str] = (), arguments: int = 0) -> Program:
    """Return the program of a trace, without the cells that it does not read.

    Args:
        traced: The trace, its values perhaps forgotten.
        name: Name of the model or function.
        known: Names of its positional parameters.
        arguments: How many of its last inputs stay though it does not read them.
    """
    jaxpr = traced.jaxpr.jaxpr
    read = {v for eqn in jaxpr.eqns for v in eqn.invars if not isinstance(v, Literal)}
    read |= {v for v in jaxpr.outvars if not isinstance(v, Literal)}
    cells = len(jaxpr.invars) - arguments
    keep = [k for k, v in enumerate(jaxpr.invars) if k >= cells or v in read]

    def short(cell: str) -> str:
        return cell.removeprefix(f"{name}.")

    names = [_named_argument(short(traced.inputs[k]) if k < cells else traced.inputs[k], known) for k in keep]
    pruned = jaxpr.replace(
        invars=[jaxpr.invars[k] for k in keep],
        debug_info=jaxpr.debug_info._replace(arg_names=tuple(_identifiers(names))),
    )
    return Program(
        name,
        ClosedJaxpr(pruned, traced.jaxpr.consts),
        tuple(names),
        tuple(traced.outputs),
        tuple(traced.values[k] for k in keep),
        tuple(traced.nodes),
        tuple((short(cell), what) for cell, what in traced.constants),
        traced.seconds,
    )


def parameter_names(target: Any) -> list[str]:
    """Return the names of the positional parameters of a model or function; empty if it does not tell."""
    try:
        parameters = inspect.signature(getattr(target, "forward", target)).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _named_argument(name: str, known: Sequence[str]) -> str:
    """Return ``x.h`` for ``argument 0.h``, if the first parameter is called x."""
    found = re.match(r"argument (\d+)", name)
    if found is None or int(found.group(1)) >= len(known):
        return name
    return known[int(found.group(1))] + name[found.end() :]


def _identifiers(names: Sequence[str]) -> list[str]:
    """Return names that Python and HLO take as identifiers, each once: ``/l1/W`` becomes ``l1_W``."""
    found: dict[str, None] = {}
    for k, name in enumerate(names):
        plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or f"in{k}"
        plain = f"in_{plain}" if plain[0].isdigit() else plain
        unique, n = plain, 1
        while unique in found:
            unique, n = f"{plain}_{n}", n + 1
        found[unique] = None
    return list(found)


def jaxpr(model_or_fn: Any, *args: Any, **kwargs: Any) -> JaxprView:
    """Return the closed jaxpr that static mode makes of a call: one ``jit[name=...]`` equation per eager node.

    Args:
        model_or_fn: A Link or a function on Variables.
        args: Its arguments. Only their shapes, dtypes and static values count.
        kwargs: Its keyword arguments.

    Returns:
        The view: `str` gives the text.
    """
    return jaxpr_of(program(model_or_fn, *args, **kwargs))


def hlo(model_or_fn: Any, *args: Any, optimized: bool = True, **kwargs: Any) -> HloView:
    """Return the HLO that XLA gets from, or makes of, the static mode of a call.

    Args:
        model_or_fn: A Link or a function on Variables.
        args: Its arguments.
        optimized: After XLA's passes (compiles it), or before.
        kwargs: Its keyword arguments.

    Returns:
        The view: `str` gives the text.
    """
    made = program(model_or_fn, *args, **kwargs)
    return HloView(hlo_text(made.lower(), optimized), optimized, made.name)


def jaxpr_of(made: Program) -> JaxprView:
    """Return the view of a traced program."""
    return JaxprView(made.jaxpr, made.inputs, made.outputs, made.name)


def hlo_text(lowered: jax.stages.Lowered, optimized: bool) -> str:
    """Return the HLO of a lowered program, compiling it if it is to be optimised.

    Raises:
        RuntimeError: The backend does not give its HLO; or an exported program is in it whose sizes are symbols, which
            XLA's passes fill in: there is no HLO before them.
    """
    if optimized:
        with fresh_compile():
            text = lowered.compile().as_text()
    else:
        try:
            text = lowered.as_text("hlo", debug_info=True)
        except jax.errors.JaxRuntimeError as error:
            raise RuntimeError(
                "no HLO before XLA's passes: an exported program with symbolic sizes is in it (batch='fixed' has none)"
            ) from error
    if text is None:
        raise RuntimeError(f"the backend {jax.default_backend()} does not give its HLO as text")
    return text


@contextmanager
def fresh_compile() -> Iterator[None]:
    """Keep the persistent compilation cache out: it would answer with another program's metadata."""
    if not jax.config.jax_enable_compilation_cache:  # type: ignore[attr-defined]
        yield
        return
    # JAX looks at the switch once and remembers; reset_cache makes it look again (and forgets no file)
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
        compilation_cache.reset_cache()


def name_of(model_or_fn: Any) -> str:
    """Return a name for a model or function."""
    name = getattr(model_or_fn, "__name__", None)
    return name if isinstance(name, str) else type(model_or_fn).__name__
