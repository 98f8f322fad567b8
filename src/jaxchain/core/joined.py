"""Small gradients leave a compiled program as one flat array: copying is cheaper than arrays of their own."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from jaxchain.core.compat import bytes_of
from jaxchain.core.spread import struct_of

MANY = 4  # gradients from which it pays
SMALL = 4096  # elements of a gradient up to which it does
TINY = 512  # bytes: XLA runs a program in this thread as long as no buffer in it is larger
PART = 2**20  # bytes of one flat array: larger ones come from the system anew in every call


class JoinedGradients:
    """Gradients of one dtype that come out of a program as one array.

    Args:
        writes: The parameters, each with the output that is its gradient.
        avals: The types of the program's outputs.
    """

    def __init__(self, writes: Sequence[tuple[Any, int]], avals: Sequence[Any]) -> None:
        self.parameters = [p for p, _ in writes]
        self.places = [at for _, at in writes]
        self.at = self.places[0]  # the output in whose place the flat array is
        self.shapes = [avals[at].shape for at in self.places]
        self.starts = [*itertools.accumulate(map(math.prod, self.shapes[:-1]), initial=0)]

    def join(self, outputs: list[Any]) -> None:
        """Put the flat array in the place of the first of the outputs, None in that of the others."""
        flat = jnp.concatenate([outputs[at].ravel() for at in self.places])
        for at in self.places:
            outputs[at] = None
        outputs[self.at] = flat

    def write(self, outputs: Sequence[Any]) -> None:
        """Give each parameter its part, which is cut out once it is read."""
        parts = zip(itertools.repeat(outputs[self.at]), self.starts, self.shapes, strict=False)
        for parameter, part in zip(self.parameters, parts, strict=False):
            parameter._grad = part


def joined(writes: Sequence[tuple[Any, int]], avals: Sequence[Any], uses: Any) -> list[JoinedGradients]:
    """Return which of the gradients that a program writes are joined.

    Args:
        writes: The parameters whose gradients are written, each with its output.
        avals: The types of the program's outputs.
        uses: How often each output is used.
    """
    small = [(p, at) for p, at in writes if avals[at].size <= SMALL and uses[at] == 1 and _is_whole(p, avals[at])]
    sizes = [bytes_of([aval]) or 0 for aval in avals]
    limit = TINY if max(sizes, default=0) <= TINY else PART
    groups = [
        [w for w in small if avals[w[1]].dtype == dtype] for dtype in dict.fromkeys(avals[at].dtype for _, at in small)
    ]
    parts = [part for group in groups for part in _parts(group, sizes, limit)]
    return [JoinedGradients(part, avals) for part in parts if len(part) >= MANY]


def _is_whole(parameter: Any, aval: Any) -> bool:
    """Return whether a gradient is whole where it is: those of parameters that are split over a mesh stay split."""
    return struct_of(aval).sharding is None and (parameter._array is None or parameter._array.is_fully_replicated)


def _parts(writes: Sequence[tuple[Any, int]], sizes: Sequence[int], limit: int) -> list[list[tuple[Any, int]]]:
    """Cut a list of writes into parts that together are no larger than some bytes, in order."""
    parts: list[list[tuple[Any, int]]] = [[]]
    for write in writes:
        if sum(sizes[at] for _, at in parts[-1]) + sizes[write[1]] > limit:
            parts.append([])
        parts[-1].append(write)
    return parts
