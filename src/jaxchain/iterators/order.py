"""The order in which examples come, and the arithmetic of sweeps that all iterators share."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from jaxchain.serializer import Serializer


class OrderSampler:
    """Base class of order samplers: called before each sweep for its order."""

    def __call__(self, current_order: np.ndarray, current_position: int) -> np.ndarray:
        """Return the next order.

        Args:
            current_order: The last one, indices ``(n,)``.
            current_position: Where the iterator is in it.

        Returns:
            Indices, as many as before.
        """
        raise NotImplementedError

    def serialize(self, serializer: Any) -> None:
        """Save or load NumPy random generators that are attributes of this object; iterators call it.

        NumPy's global generator is left out: the trainer's snapshots have it. A file without these entries (Chainer's)
        leaves the generators as they are.

        Args:
            serializer: Serializer or deserializer.
        """
        for name, generator in self._generators():
            _serialize_generator(serializer, name.strip("_"), generator)

    @property
    def has_state(self) -> bool:
        """Whether `serialize` has something to do."""
        return type(self).serialize is not OrderSampler.serialize or bool(self._generators())

    def _generators(self) -> list[tuple[str, Any]]:
        kinds = np.random.RandomState | np.random.Generator
        found = [(name, value) for name, value in sorted(vars(self).items()) if isinstance(value, kinds)]
        return [(name, value) for name, value in found if value is not np.random.mtrand._rand]


class ShuffleOrderSampler(OrderSampler):
    """A random order for each sweep.

    Args:
        random_state: Where to draw from. None: NumPy's global generator, as in Chainer.
    """

    def __init__(self, random_state: np.random.RandomState | None = None) -> None:
        self._random: Any = np.random.mtrand._rand if random_state is None else random_state

    def __call__(self, current_order: np.ndarray, current_position: int) -> np.ndarray:
        """Return a permutation."""
        return self._random.permutation(len(current_order))


class Position(NamedTuple):
    """Where an iterator is."""

    current_position: int
    epoch: int
    is_new_epoch: bool
    order: np.ndarray | None


def advance(
    position: Position, batch_size: int, repeat: bool, order_sampler: Any, length: int
) -> tuple[Position, np.ndarray | None]:
    """Return the position after one batch, and the indices of the batch; None when the only sweep is over."""
    start, epoch, _, order = position
    if not repeat and epoch > 0:
        return position, None
    n = length if order is None else len(order)
    if repeat and n == 0:
        raise ValueError("Epoch size must be positive for an iterator that repeats.")
    taken = []
    stop = start + batch_size
    is_new_epoch = False
    while stop >= n:
        taken.append(_slice(order, start, n))
        if order is not None:
            new_order = order_sampler(order, start)
            if len(new_order) != len(order):
                raise ValueError("The size of order does not match the size of the previous order.")
            order = new_order
        epoch += 1
        is_new_epoch = True
        start = 0
        stop = stop - n if repeat else 0
        if not repeat:
            break
    taken.append(_slice(order, start, stop))
    return Position(stop, epoch, is_new_epoch, order), np.concatenate(taken)


def _slice(order: np.ndarray | None, start: int, stop: int) -> np.ndarray:
    return np.arange(start, stop, dtype=np.intp) if order is None else order[start:stop]


def _serialize_generator(serializer: Any, key: str, generator: Any) -> None:
    """Save or load a generator's state, whichever algorithm it runs: JSON text, as an array of its bytes."""
    new = not isinstance(generator, np.random.RandomState)
    if isinstance(serializer, Serializer):
        state = generator.bit_generator.state if new else generator.get_state(legacy=False)
        text = json.dumps(state, default=lambda array: array.tolist())
        serializer(key, np.frombuffer(text.encode(), np.uint8))
        return
    try:
        loaded = serializer(key, None)
    except KeyError:
        return
    if loaded is None:
        return
    state = json.loads(np.asarray(loaded, np.uint8).tobytes())
    if new:
        generator.bit_generator.state = state
    else:
        generator.set_state(state)
