"""Iterators that read the next batches while the program works on this one.

Orders are drawn in the program's own thread, when it asks for a batch, never in the background: so the draws come at
the same moments in every run. What was drawn for batches that the program has not seen yet goes into snapshots; a
resumed run reads on exactly where it was, whatever the order sampler draws from.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxchain.iterators.order import Position, advance
from jaxchain.iterators.sweep import SweepIterator, optional
from jaxchain.serializer import Serializer

Collect = Callable[[], list[Any]]


class AheadIterator(SweepIterator):
    """Base class of iterators that read ahead; subclasses let `_submit` begin at once."""

    n_prefetch = 1
    _helpers: Any = None  # threads or processes
    _close: Any = None  # ends them; so does the end of this object, or of the program

    def reset(self) -> None:
        """Start over."""
        self._forget()
        self._drawn: deque[np.ndarray] = deque()  # orders of sweeps that the program is not in yet
        self._again = 0  # how many of these the next batches to be submitted take, instead of drawing
        super().reset()

    def _forget(self) -> None:
        """Forget what was read ahead, but not which orders were drawn."""
        self._ahead: deque[tuple[Position, Collect | None]] = deque()
        self._again = len(getattr(self, "_drawn", ()))

    def finalize(self) -> None:
        """End the threads or processes. Asked for another batch, the iterator starts new ones."""
        close, self._helpers, self._close = self._close, None, None
        self._forget()
        if close is not None:
            close()

    def _employ(self, helpers: Any) -> Any:
        """Have threads or processes, until `finalize`, and return them.

        Args:
            helpers: Something with ``close()``.
        """
        self._helpers = helpers
        self._close = weakref.finalize(self, helpers.close)
        return helpers

    def __next__(self) -> list[Any]:
        """Return the next batch, and begin to read the one after."""
        self._read_ahead(1)
        position, collect = self._ahead.popleft()
        for _ in range(position.epoch - self.epoch if self._drawn else 0):
            self._drawn.popleft()
        self._previous_epoch_detail = self.epoch_detail
        self._state = position
        if collect is None:
            raise StopIteration
        self._read_ahead(self.n_prefetch)
        return collect()

    def _read_ahead(self, n: int) -> None:
        """Let `n` batches be under way, or all that are left."""
        while len(self._ahead) < n:
            last = self._ahead[-1] if self._ahead else (self._state, True)
            if last[1] is None:
                return
            position, indices = advance(last[0], self.batch_size, self.repeat, self._next_order, len(self.dataset))
            self._ahead.append((position, None if indices is None else self._submit([int(i) for i in indices])))

    def _next_order(self, order: np.ndarray, position: int) -> np.ndarray:
        if self._again:
            self._again -= 1
            return self._drawn[len(self._drawn) - self._again - 1]
        assert self.order_sampler is not None
        new = self.order_sampler(order, position)
        self._drawn.append(np.asarray(new))
        return new

    def serialize(self, serializer: Any) -> None:
        """Save or load the position and the orders drawn so far. Chainer's keys, and one of ours.

        Args:
            serializer: Serializer or deserializer.
        """
        saving = isinstance(serializer, Serializer)
        if not saving:
            self._forget()
        super().serialize(serializer)
        if saving:
            if self._drawn:
                serializer("orders_ahead", np.stack(self._drawn))
            return
        drawn = optional(serializer, "orders_ahead", None)
        self._drawn = deque() if drawn is None else deque(drawn)
        self._again = len(self._drawn)

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes for a copy, which reads for itself."""
        state = {**self.__dict__, "_ahead": deque(), "_drawn": deque(self._drawn), "_again": len(self._drawn)}
        return {key: value for key, value in state.items() if key not in ("_helpers", "_close")}
