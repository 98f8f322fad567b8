"""How long functions take, and what is done with times of links, too."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from jaxchain.function_hook import FunctionHook

UNITS = {"sec": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


class Stopwatch:
    """What hooks share that measure time: calls are timed, those inside others, too.

    Attributes:
        call_history: (name, seconds) of each call, in the order in which they ended.
    """

    table = UNITS
    _heading: str  # of the names in the report

    def __init__(self) -> None:
        self.call_history: list[tuple[str, float]] = []
        self._running: list[float] = []
        self._total_time = 0.0

    def _start(self) -> None:
        self._running.append(time.perf_counter())

    def _stop(self, name: str) -> None:
        elapsed = time.perf_counter() - self._running.pop()
        self.call_history.append((name, elapsed))
        if not self._running:
            self._total_time += elapsed

    def total_time(self) -> float:
        """Return the seconds spent in the outermost calls."""
        return self._total_time

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return ``{name: {"elapsed_time": seconds, "occurrence": count}}``."""
        found: dict[str, dict[str, Any]] = {}
        for name, elapsed in self.call_history:
            record = found.setdefault(name, {"elapsed_time": 0.0, "occurrence": 0})
            record["elapsed_time"] += elapsed
            record["occurrence"] += 1
        return found

    def print_report(self, unit: str = "auto", file: TextIO | None = None) -> None:
        """Print a table: name, elapsed time, occurrence.

        Args:
            unit: ``sec``, ``ms``, ``us``, ``ns``, ``auto`` (one for all) or ``auto_foreach`` (one for each row).
            file: Where to; None: standard output.
        """
        out: TextIO = sys.stdout if file is None else file
        summary = self.summary()
        if unit == "auto":
            unit = _unit_for(max((r["elapsed_time"] for r in summary.values()), default=0.0))
        rows = [(self._heading, "ElapsedTime", "Occurrence")]
        for name, record in summary.items():
            seconds = record["elapsed_time"]
            own = _unit_for(seconds) if unit == "auto_foreach" else unit
            rows.append((name, f"{seconds * UNITS[own]:3.2f}{own}", str(record["occurrence"])))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            out.write("  ".join(f"{text:>{width}}" for text, width in zip(row, widths, strict=True)) + "\n")
        out.flush()


def _unit_for(seconds: float) -> str:
    return next((unit for unit in ("sec", "ms", "us") if seconds * UNITS[unit] >= 1), "ns")


class TimerHook(Stopwatch, FunctionHook):
    """Measures the wall time of every function, forward and backward.

    JAX runs ahead of Python, so what is measured is the time until a function returns, its dispatch. For the time that
    devices take, profile a compiled program.

    Attributes:
        call_history: (name, seconds) of each function, in order. The name is that of Chainer's class, the same for all
            numbers: ``MulConstant`` for ``2 * x``.

    Examples:
        >>> with jaxchain.function_hooks.TimerHook() as hook:
        ...     y = F.relu(np.float32([1]))
        >>> [name for name, seconds in hook.call_history]
        ['ReLU']
    """

    name = "TimerHook"
    _heading = "FunctionName"

    def forward_preprocess(self, function: Any, in_data: tuple[Any, ...]) -> None:
        """Start the clock."""
        self._start()

    def forward_postprocess(self, function: Any, in_data: tuple[Any, ...]) -> None:
        """Stop the clock."""
        self._stop(function._impl_name)

    def backward_preprocess(self, function: Any, in_data: tuple[Any, ...], out_grad: tuple[Any, ...]) -> None:
        """Start the clock."""
        self._start()

    def backward_postprocess(self, function: Any, in_data: tuple[Any, ...], out_grad: tuple[Any, ...]) -> None:
        """Stop the clock."""
        self._stop(function._impl_name)
