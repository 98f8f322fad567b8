"""A table of a model by link: class, result, parameters, operations, times in both modes."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from jaxchain.core.calls import refuse_class
from jaxchain.core.parameter import Parameter
from jaxchain.core.untouched import untouched
from jaxchain.link import Link
from jaxchain.views.linked import Linked, link
from jaxchain.views.programs import program
from jaxchain.views.timing import link_times
from jaxchain.views.units import seconds_text

HEADING = ("link", "class", "result", "parameters", "flops", "equations", "eager", "static")
BODIES = frozenset({"cond_true", "cond_false", "while", "scan"})  # what functions/control.py calls its clusters


@dataclass(frozen=True)
class Row:
    """One link.

    Attributes:
        path: ``/l1``; the model itself is ``/``.
        type: Its class.
        result: Type of what its last op gives, or empty if it was not called.
        parameters: Number of its parameters' elements, without those of its children.
        flops: Estimated operations of its own ops, forward.
        equations: Number of their equations.
        eager: Seconds of its calls in eager mode, children included, or None if it was not called.
        static: Seconds of these calls, compiled by itself (the model: as a whole), or None: `timing.link_times`.
    """

    path: str
    type: str
    result: str
    parameters: int
    flops: int
    equations: int
    eager: float | None = None
    static: float | None = None


@dataclass(frozen=True)
class Summary:
    """The table; printed or shown in a notebook, it is one.

    Attributes:
        rows: One per link, the model first.
        linked: The program behind it.
    """

    rows: tuple[Row, ...]
    linked: Linked

    @property
    def parameters(self) -> int:
        """Number of all parameters' elements."""
        return sum(row.parameters for row in self.rows)

    @property
    def flops(self) -> int:
        """Estimated operations of a forward call, those outside any link included."""
        return sum(node.flops for node in self.linked.nodes)

    def _cells(self) -> Iterator[tuple[str, ...]]:
        for r in self.rows:
            yield (
                r.path,
                r.type,
                r.result,
                f"{r.parameters:,}",
                f"{r.flops:,}",
                str(r.equations),
                _time(r.eager),
                _time(r.static),
            )
        equations = sum(len(n.equations) for n in self.linked.nodes)
        eager, static = (_time(self.rows[0].eager), _time(self.rows[0].static)) if self.rows else ("", "")
        yield ("total", "", "", f"{self.parameters:,}", f"{self.flops:,}", str(equations), eager, static)

    def __str__(self) -> str:
        table = [HEADING, *self._cells()]
        widths = [max(len(row[k]) for row in table) for k in range(len(HEADING))]
        lines = [
            "  ".join(c.ljust(w) if k < 3 else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True)))
            for row in table
        ]
        rule = "  ".join("-" * w for w in widths)
        return "\n".join(line.rstrip() for line in (lines[0], rule, *lines[1:-1], rule, lines[-1]))

    def _repr_html_(self) -> str:
        def line(cells: tuple[str, ...], tag: str) -> str:
            looks = ("left" if k < 3 else "right" for k in range(len(cells)))  # words, then numbers
            style = "padding:2px 10px;white-space:nowrap;text-align"
            return (
                "<tr>"
                + "".join(
                    f'<{tag} style="{style}:{look}">{html.escape(c)}</{tag}>'
                    for c, look in zip(cells, looks, strict=True)
                )
                + "</tr>"
            )

        return "<table>" + line(HEADING, "th") + "".join(line(cells, "td") for cells in self._cells()) + "</table>"


def summary(model: Link, *args: object, **kwargs: object) -> Summary:
    """Return a table of a model on given arguments. The model is left as it was.

    Times are the shortest of five calls, children included. In static mode each link is compiled by itself, so its
    children may add up to more than it takes: what is compiled together is fused.

    Args:
        model: The model.
        args: Arguments of a call.
        kwargs: Its keyword arguments.

    Returns:
        The table: one row per link, in the order of `namedlinks`.

    Raises:
        TypeError: `model` is no Link.

    Examples:
        >>> table = jaxchain.summary(L.Linear(4, 2), np.ones((3, 4), np.float32))
        >>> table.parameters, table.flops, table.rows[0].result
        (10, 54, 'float32[3,2]')
    """
    refuse_class(model)
    if not isinstance(model, Link):
        raise TypeError(f"summary: expected a Link, got {type(model).__name__}")
    with untouched(model, args, kwargs) as reset:
        model(*args, **kwargs)  # makes the parameters whose shapes the input tells
        reset()
        linked = link(program(model, *args, **kwargs))
        reset()
        eager, static = link_times(model, args, kwargs, reset)
        rows = []
        known = {path.rstrip("/") for path, _ in model.namedlinks()}
        placed = [(_place(n.path, known), n) for n in linked.nodes]
        for path, child in model.namedlinks():
            here = path.rstrip("/")
            nodes = [n for at, n in placed if at == here]
            inside = [n for at, n in placed if at == here or at.startswith(here + "/")]
            rows.append(
                Row(
                    path,
                    type(child).__name__,
                    inside[-1].outputs[0] if inside and inside[-1].outputs else "",
                    sum(int(p.size) for _, p in _own(child)),
                    sum(n.flops for n in nodes),
                    sum(len(n.equations) for n in nodes),
                    eager.get(id(child)),
                    static.get(id(child)),
                )
            )
    return Summary(tuple(rows), linked)


def _place(path: str, known: Collection[str]) -> str:
    """Return the path of a node's link without the loops and branches that it was called in."""
    return path if path in known else "".join("/" + p for p in path.split("/")[1:] if p not in BODIES)


def _time(seconds: float | None) -> str:
    return "" if seconds is None else seconds_text(seconds)


def _own(child: Link) -> Iterator[tuple[str, Parameter]]:
    """Yield the link's own parameters that have values."""
    for name, p in child.namedparams():
        if name.count("/") == 1 and p.array is not None:
            yield name, p
