"""How long links take."""

from __future__ import annotations

import time
from typing import Any, TextIO

from jaxchain.function_hooks.timer import UNITS, summarize, write_report
from jaxchain.link_hook import LinkHook


class TimerHook(LinkHook):
    """Measures the wall time of every call of a link, children included.

    JAX runs ahead of Python, so what is measured is the time until a call returns, its dispatch. While it watches a
    thread, what is in static mode runs in eager mode there: for the time that devices take, profile the compiled
    program.

    Attributes:
        call_history: (name of the link's class, seconds) of each call, in the order in which they ended.

    Examples:
        >>> with jaxchain.link_hooks.TimerHook() as hook:
        ...     y = L.Classifier(L.Linear(3, 2))(np.ones((1, 3), np.float32), np.zeros(1, np.int32))
        >>> [name for name, seconds in hook.call_history]
        ['Linear', 'Classifier']
    """

    name = "TimerHook"
    table = UNITS
    _opaque = True

    def __init__(self) -> None:
        self.call_history: list[tuple[str, float]] = []
        self._running: list[float] = []
        self._total_time = 0.0

    def forward_preprocess(self, args: Any) -> None:
        """Start the clock."""
        self._running.append(time.perf_counter())

    def forward_postprocess(self, args: Any) -> None:
        """Stop the clock."""
        elapsed = time.perf_counter() - self._running.pop()
        self.call_history.append((type(args.link).__name__, elapsed))
        if not self._running:
            self._total_time += elapsed

    def total_time(self) -> float:
        """Return the seconds spent in the outermost calls."""
        return self._total_time

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return ``{class name: {"elapsed_time": seconds, "occurrence": count}}``."""
        return summarize(self.call_history)

    def print_report(self, unit: str = "auto", file: TextIO | None = None) -> None:
        """Print a table: link, elapsed time, occurrence.

        Args:
            unit: ``sec``, ``ms``, ``us``, ``ns``, ``auto`` (one for all) or ``auto_foreach`` (one for each row).
            file: Where to; None: standard output.
        """
        write_report("LinkName", self.summary(), unit, file)
