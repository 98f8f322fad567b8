"""How long links take."""

from __future__ import annotations

from typing import Any

from jaxchain.function_hooks.timer import Stopwatch
from jaxchain.link_hook import LinkHook


class TimerHook(Stopwatch, LinkHook):
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
    _heading = "LinkName"
    _opaque = True

    def forward_preprocess(self, args: Any) -> None:
        """Start the clock."""
        self._start()

    def forward_postprocess(self, args: Any) -> None:
        """Stop the clock."""
        self._stop(type(args.link).__name__)
