"""What notebooks show of a Variable, a Link, a graph and a report: HTML that needs nothing else.

Colours are those of the page (``currentColor``), so it fits light and dark notebooks. Every name is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from jaxchain.core.compat import is_tracer
from jaxchain.views.computational_graph import build_computational_graph
from jaxchain.views.units import bytes_text
from jaxchain.views.writers import dot, image

if TYPE_CHECKING:
    from jaxchain.core.variable import Variable
    from jaxchain.link import Link
    from jaxchain.views.model import Graph
    from jaxchain.views.report import Contrast

DRAWN = 60  # nodes: a larger graph is told in words, its layout would keep the reader waiting
VALUES = 1000  # elements: larger arrays are shown by their corners, as NumPy prints them
_BOX = "border:1px solid #8888;border-radius:8px;padding:8px 12px;display:inline-block;max-width:100%;overflow:auto"
_MONO = "font-family:ui-monospace,Menlo,monospace;font-size:12px;white-space:pre;margin:6px 0 0;line-height:1.4"
_CELL = "text-align:left;padding:1px 14px 1px 0;vertical-align:top"


def variable_html(variable: Variable) -> str:
    """Return a card: shape, dtype, range, where it comes from, its values, and the graph behind it."""
    array = variable.array
    if array is None or is_tracer(array):
        text = "None" if array is None else f"{variable.node.info!r}, being traced"  # its own text would be baked in
        return _box(_title(type(variable).__name__, variable.name), f'<pre style="{_MONO}">{_text(text)}</pre>')
    facts = [("shape", str(variable.shape)), ("dtype", str(variable.dtype)), ("size", bytes_text(array.nbytes))]
    facts += _range(array)
    facts.append(("gradient", "none" if variable.grad is None else _range_text(variable.grad)))
    creator = variable.node.creator_node
    parts = [_title(type(variable).__name__, variable.name)]
    if creator is not None:
        facts.append(("made by", creator.label + (f" in {creator.link_path}" if creator.link_path else "")))
        if creator.source is not None:
            facts.append(("at", f"{creator.source[0]}:{creator.source[1]}"))
    parts.append(_facts(facts))
    values = np.array2string(np.asarray(array), threshold=VALUES, max_line_width=110)
    parts.append(_details("values", f'<pre style="{_MONO}">{_text(values)}</pre>', opened=array.size <= 40))
    if creator is not None:
        parts.append(_details("graph", _drawing(build_computational_graph(variable).to_graph())))
    return _box(*parts)


def link_html(link: Link) -> str:
    """Return a tree of a link: its parameters, its persistent values, its children."""
    count = sum(int(p.size) for p in link.params() if p.array is not None)
    size = sum(int(p.array.nbytes) for p in link.params() if p.array is not None)
    title = _title(type(link).__name__, link.name, f"{count:,} parameters, {bytes_text(size)}")
    # children before their parents, so that no tree is too deep for the stack
    made: dict[str, list[str]] = {}
    links = list(link.namedlinks())
    for path, child in reversed(links):
        name = path.rpartition("/")[2]
        inner = _own(child) + "".join(reversed(made.pop(path.rstrip("/"), [])))
        if path == "/":
            return _box(title, inner)
        own = sum(int(p.size) for p in child.params() if p.array is not None)
        head = f"<b>{_text(name)}</b> {_text(type(child).__name__)} {_soft(f'{own:,}')}"
        made.setdefault(path.rpartition("/")[0], []).append(
            _details(head, inner, opened=len(links) <= 12, escaped=True)
        )
    return _box(title)


def graph_svg(graph: Graph) -> str | None:
    """Return a picture of a graph, or None if there is nothing to draw it with."""
    try:
        return image.render(dot.write(graph), "svg").decode()
    except image.RenderError:
        return None


def graph_html(graph: Graph) -> str:
    """Return a graph with its counts: as a picture if it is small, else in words."""
    counts = [("nodes", f"{len(graph.nodes):,}"), ("edges", f"{len(graph.edges):,}")]
    counts += [(k, str(v)) for k, v in graph.attributes.items() if isinstance(v, int | str)]
    return _box(_title(f"{graph.kind} graph", None), _facts(counts), _drawing(graph))


def contrast_html(report: Contrast) -> str:
    """Return a report: its table, its largest differences, and the explorer in a frame of its own."""
    head, *rows = report.rows()
    table = "<tr>" + "".join(f'<th style="{_CELL}">{_text(c)}</th>' for c in head) + "</tr>"
    table += "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{_text(c)}</td>' for c in cells) + "</tr>" for cells in rows
    )
    facts = [
        ("largest difference", f"{report.largest_difference:.2g}"),
        ("relative", f"{report.largest_relative_difference:.2g}"),
    ]
    parts = [_title(report.name, None, f"eager and static mode on {report.backend}"), f"<table>{table}</table>"]
    parts.append(_facts(facts))
    parts += [f"<div>{_text(note)}</div>" for note in report.notes]
    if report.levels:
        page = html.escape(report.explorer(), quote=True)
        frame = f'<iframe srcdoc="{page}" sandbox="allow-scripts" style="width:100%;height:640px;border:0"></iframe>'
        parts.append(_details("explorer", frame))
    return f'<div style="{_BOX.replace("inline-block", "block")}">{"".join(parts)}</div>'


def _own(link: Link) -> str:
    rows = []
    for name, p in sorted(link.namedparams()):
        if name.count("/") == 1:
            what = "not initialised" if p.array is None else f"{p.dtype}{list(p.shape)}"
            rows.append((name[1:], what))
    rows += [(name, _persistent(getattr(link, name))) for name in sorted(link._persistent)]
    return _facts(rows) if rows else ""


def _persistent(value: Any) -> str:
    return f"{value.dtype}{list(value.shape)}, persistent" if hasattr(value, "dtype") else f"{value!r}, persistent"


def _drawing(graph: Graph) -> str:
    if len(graph.nodes) > DRAWN:
        return f"<div>{_soft(f'{len(graph.nodes):,} nodes: save it as .svg, or open the explorer')}</div>"
    picture = graph_svg(graph)
    if picture is None:
        return f"<div>{_soft('no Graphviz to draw it with: pip install graphviz-pure')}</div>"
    start = picture.find("<svg")
    return f'<div style="background:#fff;border-radius:6px;padding:6px;display:inline-block">{picture[start:]}</div>'


def _range(array: Any) -> list[tuple[str, str]]:
    return [("range", _range_text(array))] if array.size else []


def _range_text(array: Any) -> str:
    """Return ``-1.2 ... 3.4, mean 0.5``, and how many elements are not finite."""
    values = np.asarray(array.astype(jnp.float32) if array.dtype == jnp.bfloat16 else array)
    if values.size == 0 or values.dtype.kind not in "fiub":
        return f"{values.dtype}{list(values.shape)}"
    finite = values[np.isfinite(values)].astype(np.float64)
    text = f"{finite.min():.4g} ... {finite.max():.4g}, mean {finite.mean():.4g}" if finite.size else ""
    lost = values.size - finite.size
    return ", ".join(filter(None, [text, f"{lost} not finite" if lost else ""]))


def _text(value: Any) -> str:
    return html.escape(str(value))


def _soft(text: str) -> str:
    return f'<span style="opacity:.65">{_text(text)}</span>'


def _title(kind: str, name: str | None, more: str = "") -> str:
    return f"<div><b>{_text(kind)}</b> {_text(name or '')} {_soft(more) if more else ''}</div>"


def _facts(pairs: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f'<tr><td style="{_CELL}">{_soft(k)}</td><td style="{_CELL}">{_text(v)}</td></tr>' for k, v in pairs)
    return f'<table style="margin:4px 0">{rows}</table>'


def _details(title: str, inner: str, opened: bool = False, escaped: bool = False) -> str:
    head = title if escaped else _text(title)
    return f'<details{" open" if opened else ""} style="margin-left:8px"><summary>{head}</summary>{inner}</details>'


def _box(*parts: str | Iterable[str]) -> str:
    return f'<div style="{_BOX}">{"".join(str(p) for p in parts)}</div>'
