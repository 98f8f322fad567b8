"""One global stream of random keys: a base key and a counter, the same in both modes.

The k-th draw uses ``fold_in(base, k)``, done inside the op's own jit (`as_key`). The stream's state is three host
integers; inside a static trace it is an argument of the compiled call, and the number of draws is fixed per trace, so
the host advances its counter without looking at the device. Initialisers draw from a second counter, on the host: a
parameter that is initialised inside a trace does not shift the masks that follow, and no shape has to be compiled.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxchain.core.compat import is_compiling
from jaxchain.core.config import thread_state
from jaxchain.core.errors import user_line, warn


class FixedDraws(UserWarning):
    """Random numbers are drawn while JAX traces a function of the user's: all calls of its program have the same."""


class Stream:
    """A seed and a counter. Its state travels as ``uint32[3]``: two words of seed, one of count."""

    __slots__ = ("count", "high", "low")

    def __init__(self, seed: int, tag: int) -> None:
        self.low, self.high = (int(w) for w in np.random.SeedSequence([seed & (2**64 - 1), tag]).generate_state(2))
        self.count = 0

    def state(self) -> np.ndarray:
        """Return the state as a fresh ``uint32[3]`` array (JAX may alias NumPy buffers, so never a shared one)."""
        return np.array((self.low, self.high, self.count & 0xFFFFFFFF), np.uint32)

    def restore(self, state: np.ndarray) -> None:
        """Go on from a state that `state` returned."""
        self.low, self.high, self.count = (int(w) for w in np.asarray(state))

    def draw(self) -> np.ndarray:
        """Return the next key and count it."""
        key = self.state()
        self.count += 1
        return key


ops = Stream(0, 0)
initializers = Stream(0, 1)


def seed(value: int) -> None:
    """Restart both streams from `value`: the same seed gives the same draws, in either mode.

    Where a program has several processes (`jax.distributed`), each must call it with the same number before anything
    is drawn.

    Raises:
        TypeError: It is no whole number.
    """
    global _seeded
    try:
        value = operator.index(value)
    except TypeError:
        raise TypeError(f"seed: expected a whole number, got {value!r}") from None
    if (trace := thread_state().trace) is not None:
        trace.seeded()
    _seeded = True
    _restart(value)


def _restart(value: int) -> None:
    for tag, stream in enumerate((ops, initializers)):
        stream.restore(Stream(value, tag).state())


_seeded = False  # by the program
_restart(int.from_bytes(os.urandom(4), "little"))


def differ() -> None:
    """Let the processes of a program draw different numbers: each has a model of its own, as in ChainerMN."""
    global _seeded
    _seeded = True


def _same_in_all_processes(stream: Stream) -> None:
    """Raise a RuntimeError if other processes of the program draw other numbers from a stream."""
    if not stream.count and not _seeded and jax.distributed.is_initialized():
        raise RuntimeError(
            "random numbers: this process is one of several (jax.distributed), and each would draw other ones. Call "
            f"jaxchain.seed with the same number in all of them, before models are built\nat {user_line(3)}"
        )


def next_key() -> jax.Array | np.ndarray:
    """Return the next key for an op, ``uint32[3]``: pass it to a parameter annotated `Key`.

    Inside a `jax.jit` that is not jaxchain's it is baked in: `FixedDraws`.

    Raises:
        RuntimeError: This is one of several processes, and nobody has seeded it.
    """
    _same_in_all_processes(ops)
    trace = thread_state().trace
    if trace is not None:
        return trace.next_key()
    if is_compiling():
        warn(
            "random numbers are drawn while JAX traces a function of yours (jax.jit, scan, checkpoint): every call of "
            "its program will have these. Ways out: jaxchain.static in the place of jax.jit; the model as an nnx "
            "module (jaxchain.interop.flax.to_nnx), which takes a key; masks as arguments (F.dropout(x, mask=mask))",
            FixedDraws,
        )
    return ops.draw()


def next_init_rng() -> np.random.RandomState:
    """Return a generator for the next parameter: NumPy's `RandomState`, whose laws are frozen, on Philox bits.

    Raises:
        RuntimeError: This is one of several processes, and nobody has seeded it.
    """
    _same_in_all_processes(initializers)
    low, high, count = (int(word) for word in initializers.draw())
    return np.random.RandomState(np.random.Philox(key=np.array([low | high << 32, count], np.uint64)))


def as_key(key: jax.Array) -> jax.Array:
    """Return the JAX key that a ``uint32[3]`` stands for. For the bodies of ops and initialisers."""
    return jax.random.fold_in(jax.random.wrap_key_data(key[:2], impl="threefry2x32"), key[2])


def drawn(law: Callable[..., jax.Array], key: jax.Array, shape: Sequence[int], **options: Any) -> jax.Array:
    """Return what ``law(key, shape, **options)`` returns, drawn in a row and then given its shape.

    The numbers are the same; XLA compiles the program in a third of the time that three axes or more take it.
    """
    return law(key, (math.prod(shape),), **options).reshape(shape)
