"""Samples of a discrete distribution in constant time each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.op import Key, op
from jaxchain.core.random import as_key, drawn, next_key
from jaxchain.device_resident import DeviceResident, DeviceResidentsVisitor


@op(label="WalkerAlias", name="walker_alias")
def _sample(threshold: jax.Array, values: jax.Array, key: Key, shape: tuple[int, ...]) -> jax.Array:
    at = drawn(jax.random.uniform, as_key(key), shape, maxval=threshold.shape[0])
    column = jnp.minimum(at.astype(jnp.int32), threshold.shape[0] - 1)
    return values[2 * column + (threshold[column] < at - column).astype(jnp.int32)]


class WalkerAlias(DeviceResident):
    """Sampler of integers with given probabilities, by Walker's alias method.

    Each of as many columns as there are integers holds at most two of them and a threshold between them: a sample is
    one uniform number, whatever the size.

    Args:
        probs: Probabilities of 0, 1, ..., or weights: they are divided by their sum.

    Attributes:
        threshold: Where each column changes from its first to its second integer, ``(n,)``, float32.
        values: The two integers of each column, ``(2 n,)``, int32.

    Source:
        Walker 1974, Electronics Letters 10(8).

    Examples:
        >>> WalkerAlias([0, 3, 1]).values.tolist()
        [0, 1, 2, 1, 1, 0]
    """

    def __init__(self, probs: Sequence[float] | np.ndarray) -> None:
        p = np.array(probs, np.float32)
        p /= np.sum(p)
        n = len(p)
        threshold = np.empty(n, np.float32)
        values = np.empty((n, 2), np.int32)
        left = right = 0  # columns that have their first, their second integer
        for share, i in sorted(zip(p.tolist(), range(n), strict=True)):
            rest = share * n
            while rest > 1 and right < left:
                values[right, 1] = i
                rest -= 1.0 - float(threshold[right])
                right += 1
            threshold[left] = rest
            values[left, 0] = i
            left += 1
        values[right:, 1] = 0
        self.threshold: Any = threshold
        self.values: Any = values.ravel()

    def device_resident_accept(self, visitor: DeviceResidentsVisitor) -> None:
        """Show both arrays to a visitor.

        Args:
            visitor: The visitor.
        """
        super().device_resident_accept(visitor)
        self.threshold, self.values = visitor.visit_array(self.threshold), visitor.visit_array(self.values)

    def sample(self, shape: int | tuple[int, ...]) -> Any:
        """Return samples from the global stream of random keys, the same in both modes.

        Args:
            shape: Shape of the result.

        Returns:
            Array of that shape, int32.
        """
        shape = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
        return _sample(self.threshold, self.values, next_key(), shape).array
