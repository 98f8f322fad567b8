"""The compiled variants of a static function as tabs of one explorer: every path that its programs took so far."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxchain.core.explain import Compile
from jaxchain.core.static import Static, static_link
from jaxchain.link import Link
from jaxchain.views import programs
from jaxchain.views.linked import link
from jaxchain.views.save import write_file
from jaxchain.views.units import bytes_text, seconds_text
from jaxchain.views.writers import explorer

TABS = 12  # each costs a compile, to see the HLO


def compiled(target: Any) -> list[Compile]:
    """Return the compiles of a static callable or of a static link, the first one first.

    Raises:
        TypeError: `target` is neither.
    """
    entry = static_link(target) if isinstance(target, Link) else target
    if not isinstance(entry, Static):
        raise TypeError(f"variants: expected a function of jaxchain.static or a Link, got {type(target).__name__}")
    return entry.compiles


def variants(target: Any) -> dict[str, programs.Program]:
    """Return the programs of the compiled variants by their titles: what each assumes, or why it was compiled.

    Args:
        target: A function made by `jaxchain.static`, or a Link; called at least once, compiled.

    Returns:
        At most 12 programs, the most called ones.

    Raises:
        TypeError: `target` is neither.
    """
    known = programs.parameter_names(target)
    found = {}
    for k, compile_ in _chosen(compiled(target)):
        title = f"{k}. {title_of(compile_)}"
        found[title] = programs.program_of(compile_.variant.traced, compile_.name, known)
    return found


def facts(target: Any) -> dict[str, list[tuple[str, str]]]:
    """Return (name, value) pairs about each variant, by the titles of `variants`: what `explain()` says of it."""
    return {f"{k}. {title_of(c)}": _facts(c.to_dict()) for k, c in _chosen(compiled(target))}


def _facts(variant: dict[str, Any]) -> list[tuple[str, str]]:
    found = [
        ("calls", f"{variant['calls']:,}"),
        ("misses", f"{variant['misses']:,}" if variant["guards"] else ""),
        ("traced in", seconds_text(variant["trace_seconds"])),
        ("first call", seconds_text(variant["compile_seconds"])),
        ("lifted", f"{len(variant['lifted'])}"),
        ("written", f"{len(variant['written'])}"),
        ("baked in", f"{len(variant['constants'])}"),
        *((f"memory: {kind}", bytes_text(size)) for kind, size in variant["memory"].items()),
        ("compiled because", variant["reason"]),
    ]
    return [(name, value) for name, value in found if value]


def levels(target: Any) -> dict[str, tuple[programs.Program, str]]:
    """Return the variants with their HLO, as `contrast` keeps its programs; none of what has only one."""
    if not isinstance(target, Static) or len(compiled(target)) < 2:
        return {}
    return {title: (made, programs.hlo_text(made.lower(), True)) for title, made in variants(target).items()}


def explore(target: Any, path: str | Path) -> Path:
    """Write an explorer whose tabs are the compiled variants of a static function.

    Args:
        target: A function made by `jaxchain.static`, or a Link; called at least once, compiled.
        path: Where to: an HTML file.

    Returns:
        The path.

    Raises:
        TypeError: `target` is neither.
        ValueError: It was not compiled yet.
    """
    found = variants(target)
    if not found:
        raise ValueError(
            f"explore: expected a function that was compiled, got {programs.name_of(target)}: call it first"
        )
    return write_file(path, explorer.write({title: link(made) for title, made in found.items()}, facts(target)))


def _chosen(compiles: Sequence[Compile]) -> list[tuple[int, Compile]]:
    numbered = list(enumerate(compiles, 1))
    most = sorted(numbered, key=lambda p: -p[1].variant.hits)[:TABS]
    return sorted(most, key=lambda p: p[0])


def title_of(compile_: Compile) -> str:
    """Return what a variant assumes, and why it was compiled where that is something else."""
    guards = compile_.variant.traced.guards
    if not guards:
        return compile_.reason
    words = [str(g).removeprefix("branch at ") for g in guards]
    assumed = ", ".join(words[:3]) + (f", ... {len(words) - 3} more" if len(words) > 3 else "")
    told = compile_.reason.startswith(("first call", "branch at "))
    return assumed if told else f"{compile_.reason}; {assumed}"
