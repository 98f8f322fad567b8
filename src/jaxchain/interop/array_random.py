"""NumPy's random functions on jaxchain's stream: what `xp.random` is in a program written for Chainer.

Draws come from the stream that `jaxchain.seed` seeds, so in static mode each call of a compiled step draws anew. JAX's
array module has no `random`; `jaxchain run` puts this module there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core import random as _streams
from jaxchain.core.random import as_key, drawn, next_key

Size = int | Sequence[int] | None


def _shape(size: Size, *parameters: Any) -> tuple[int, ...]:
    if size is None:
        return np.broadcast_shapes(*map(np.shape, parameters))
    return (int(size),) if isinstance(size, int | np.integer) else tuple(size)


def _key() -> jax.Array:
    return as_key(jnp.asarray(next_key()))


def seed(seed: int | None = None) -> None:
    """Seed jaxchain's streams.

    Args:
        seed: The seed; None: from the system.
    """
    _streams.seed(int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else int(seed))


def normal(loc: Any = 0.0, scale: Any = 1.0, size: Size = None, dtype: Any = np.float32) -> jax.Array:
    """Return normal draws.

    Args:
        loc: Mean.
        scale: Standard deviation.
        size: Shape.
        dtype: Floating type.
    """
    return loc + scale * drawn(jax.random.normal, _key(), _shape(size, loc, scale), dtype=dtype)


def uniform(low: Any = 0.0, high: Any = 1.0, size: Size = None, dtype: Any = np.float32) -> jax.Array:
    """Return uniform draws from ``[low, high)``.

    Args:
        low: Least value.
        high: Upper bound.
        size: Shape.
        dtype: Floating type.
    """
    return low + (high - low) * drawn(jax.random.uniform, _key(), _shape(size, low, high), dtype=dtype)


def random(size: Size = None, dtype: Any = np.float32) -> jax.Array:
    """Return uniform draws from ``[0, 1)``.

    Args:
        size: Shape.
        dtype: Floating type.
    """
    return uniform(size=() if size is None else size, dtype=dtype)


random_sample = ranf = sample = random


def rand(*shape: int, dtype: Any = np.float32) -> jax.Array:
    """Return uniform draws from ``[0, 1)``.

    Args:
        *shape: Sizes.
        dtype: Floating type.
    """
    return uniform(size=shape, dtype=dtype)


def randn(*shape: int, dtype: Any = np.float32) -> jax.Array:
    """Return standard normal draws.

    Args:
        *shape: Sizes.
        dtype: Floating type.
    """
    return normal(size=shape, dtype=dtype)


def standard_normal(size: Size = None, dtype: Any = np.float32) -> jax.Array:
    """Return standard normal draws.

    Args:
        size: Shape.
        dtype: Floating type.
    """
    return normal(size=() if size is None else size, dtype=dtype)


def randint(low: int, high: int | None = None, size: Size = None, dtype: Any = np.int32) -> jax.Array:
    """Return integers from ``[low, high)``, or from ``[0, low)``.

    Args:
        low: Least value, or the bound if it is alone.
        high: Upper bound.
        size: Shape.
        dtype: Integer type.
    """
    low, high = (0, low) if high is None else (low, high)
    return jax.random.randint(_key(), _shape(size, low, high), low, high, dtype)


def permutation(x: Any) -> jax.Array:
    """Return a permutation of ``range(x)``, or the rows of an array in random order.

    Args:
        x: Number or array.
    """
    return jax.random.permutation(_key(), x if np.ndim(x) == 0 else jnp.asarray(x))


def choice(a: Any, size: Size = None, replace: bool = True, p: Any = None) -> jax.Array:
    """Return elements of an array, or of ``range(a)``.

    Args:
        a: Number or array ``(n,)``.
        size: Shape.
        replace: Whether an element may come several times.
        p: Probabilities ``(n,)``.
    """
    a = a if np.ndim(a) == 0 else jnp.asarray(a)
    return jax.random.choice(_key(), a, _shape(size), replace, None if p is None else jnp.asarray(p))


def binomial(n: Any, p: Any, size: Size = None, dtype: Any = np.int32) -> jax.Array:
    """Return how many of `n` coins with probability `p` fall heads.

    Args:
        n: Number of coins.
        p: Probability.
        size: Shape.
        dtype: Integer type.
    """
    return jax.random.binomial(_key(), n, p, _shape(size, n, p)).astype(dtype)


def gumbel(loc: Any = 0.0, scale: Any = 1.0, size: Size = None, dtype: Any = np.float32) -> jax.Array:
    """Return draws from a Gumbel distribution.

    Args:
        loc: Its mode.
        scale: Its scale.
        size: Shape.
        dtype: Floating type.
    """
    return loc + scale * drawn(jax.random.gumbel, _key(), _shape(size, loc, scale), dtype=dtype)


def laplace(loc: Any = 0.0, scale: Any = 1.0, size: Size = None, dtype: Any = np.float32) -> jax.Array:
    """Return draws from a Laplace distribution.

    Args:
        loc: Its mean.
        scale: Its scale.
        size: Shape.
        dtype: Floating type.
    """
    return loc + scale * drawn(jax.random.laplace, _key(), _shape(size, loc, scale), dtype=dtype)


def exponential(scale: Any = 1.0, size: Size = None, dtype: Any = np.float32) -> jax.Array:
    """Return draws from an exponential distribution.

    Args:
        scale: Its mean.
        size: Shape.
        dtype: Floating type.
    """
    return scale * drawn(jax.random.exponential, _key(), _shape(size, scale), dtype=dtype)


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"xp.random.{name}: not there for JAX arrays. There are normal, uniform, rand, randn, random, randint, "
        "permutation, choice, binomial, gumbel, laplace, exponential and seed; or draw with numpy.random outside "
        "compiled steps."
    )
