"""Progress bars: lines that are drawn over the last ones, on a terminal or in a notebook's cell."""

from __future__ import annotations

import collections
import datetime
import html
import sys
import time
from typing import Any

ERASE = "\033[J"  # from the cursor to the end of the screen


def notebook_display(out: Any) -> Any:
    """Return a display of a notebook's cell, ``update(html)``, if that is where `out` goes; else None.

    Args:
        out: A stream.
    """
    ipython = sys.modules.get("IPython")
    if ipython is None or out is not sys.stdout:
        return None
    shell = ipython.get_ipython()
    if shell is None or getattr(shell, "kernel", None) is None:  # IPython in a terminal understands escapes
        return None
    return _Cell(sys.modules.get("IPython.display") or ipython.display)


class _Cell:
    """One output of a notebook's cell, replaced at each update."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._handle: Any = None

    def update(self, text: str) -> None:
        """Show HTML in place of what was there.

        Args:
            text: The HTML.
        """
        content = self._module.HTML(text)
        if self._handle is None:
            self._handle = self._module.display(content, display_id=True)
        else:
            self._handle.update(content)


class LiveLines:
    """Base class of progress bars. Subclasses give `get_lines`.

    Args:
        bar_length: Characters of a bar. None: 50.
        out: Stream. None: `sys.stdout`.
    """

    def __init__(self, bar_length: int | None = None, out: Any = None) -> None:
        self.bar_length = 50 if bar_length is None else bar_length
        self._out = out
        self._timing: collections.deque[tuple[Any, Any, float]] = collections.deque(maxlen=100)
        self._cell: Any = None

    @property
    def out(self) -> Any:
        """The stream."""
        return sys.stdout if self._out is None else self._out

    def get_lines(self) -> list[str]:
        """Return the lines to show, each with its newline."""
        raise NotImplementedError

    def bar(self, title: str, rate: float) -> str:
        """Return one line with a bar.

        Args:
            title: What stands before it.
            rate: How much of it is done, 0 to 1.
        """
        marks = "#" * int(rate * self.bar_length)
        return f"{title} [{marks}{'.' * (self.bar_length - len(marks))}] {rate:6.2%}\n"

    def speed(self, iteration: Any, epoch_detail: Any) -> tuple[float, float]:
        """Return iterations and epochs per second, over the last 100 updates.

        Args:
            iteration: Iterations so far.
            epoch_detail: Epochs so far.
        """
        now = time.time()
        self._timing.append((iteration, epoch_detail, now))
        old_iteration, old_epoch, old = self._timing[0]
        if now == old:
            return float("inf"), float("inf")
        return (iteration - old_iteration) / (now - old), (epoch_detail - old_epoch) / (now - old)

    @staticmethod
    def estimate(iterations_per_second: float, seconds: float) -> str:
        """Return the line with the speed and the time that is left.

        Args:
            iterations_per_second: The speed.
            seconds: The time.
        """
        left = datetime.timedelta(seconds=seconds) if seconds < 1e14 else "unknown"  # nothing happened yet
        return f"{iterations_per_second:10.5g} iters/sec. Estimated time to finish: {left}.\n"

    def update(self) -> None:
        """Draw the lines over the last ones."""
        out = self.out
        lines = self.get_lines()
        self._cell = self._cell or notebook_display(out)
        if self._cell is not None:
            self._cell.update(f"<pre>{html.escape(''.join(lines))}</pre>")
            return
        out.write(ERASE + "".join(lines) + f"\033[{len(lines)}A")  # and back up
        self._flush()

    def close(self) -> None:
        """Erase the lines."""
        if self._cell is None:
            self.out.write(ERASE)
            self._flush()

    def _flush(self) -> None:
        if hasattr(self.out, "flush"):
            self.out.flush()


def left(amount: float, speed: float) -> float:
    """Return seconds until an amount is done; infinite where nothing moves.

    Args:
        amount: What is left.
        speed: What is done in a second.
    """
    return amount / speed if speed else float("inf")
