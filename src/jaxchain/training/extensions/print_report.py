"""The table of logged values, printed while training runs."""

from __future__ import annotations

import html
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from jaxchain.training.extension import Extension
from jaxchain.training.extensions.console import ERASE, notebook_display
from jaxchain.training.extensions.log_report import LogReport


class PrintReport(Extension):
    """Prints chosen entries of a log, a row each time there is a new one.

    Args:
        entries: Names of the columns, e.g. ``["epoch", "main/loss"]``.
        log_report: The log: the name of a registered `LogReport`, or one of its own, which is then called from here.
        out: Stream. None: `sys.stdout`; in a notebook, the table is HTML.
    """

    def __init__(self, entries: Sequence[str], log_report: str | LogReport = "LogReport", out: Any = None) -> None:
        self._entries = list(entries)
        self._log_report = log_report
        self._out = out
        self._log_len = 0
        self._header_is_due = True
        self._cell: Any = None

    def __call__(self, trainer: Any) -> None:
        """Print what the log has more than last time.

        Args:
            trainer: The trainer.

        Raises:
            TypeError: The log is neither a name nor a `LogReport`.
        """
        report = self._log_report
        out = sys.stdout if self._out is None else self._out
        if self._cell is None:
            self._cell = notebook_display(out)
        if self._header_is_due and self._cell is None:
            out.write("  ".join(f"{entry:{_width(entry)}}" for entry in self._entries) + "\n")
        if isinstance(report, str):
            report = trainer.get_extension(report)
        elif isinstance(report, LogReport):
            report(trainer)
        else:
            raise TypeError(f"PrintReport: expected a LogReport or the name of one, got {type(report)}")
        rows = report.log[self._log_len :]
        self._log_len = len(report.log)
        if self._cell is not None:
            if rows or self._header_is_due:
                self._cell.update(_table(self._entries, report.log))
            self._header_is_due = False
            return
        self._header_is_due = False
        for row in rows:
            out.write(ERASE + "".join(_cell(entry, row) for entry in self._entries) + "\n")
            if hasattr(out, "flush"):
                out.flush()

    def serialize(self, serializer: Any) -> None:
        """Save or load its own log, if it has one.

        Args:
            serializer: Serializer or deserializer.
        """
        if isinstance(self._log_report, LogReport):
            self._log_report.serialize(serializer["_log_report"])


def _width(entry: str) -> int:
    return max(10, len(entry))


def _cell(entry: str, row: Mapping[str, Any]) -> str:
    width = _width(entry)
    return f"{row[entry]:<{width}g}  " if entry in row else " " * (width + 2)


def _table(entries: Sequence[str], log: Sequence[Mapping[str, Any]]) -> str:
    """Return the whole table as HTML."""
    head = "".join(f"<th>{html.escape(entry)}</th>" for entry in entries)
    body = "".join(
        "<tr>" + "".join(f"<td>{row[e]:g}</td>" if e in row else "<td></td>" for e in entries) + "</tr>" for row in log
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
