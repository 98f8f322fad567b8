"""Random arrays that are no function of anything: what samplers draw before a differentiable function takes over.

The key comes from the global stream, so the same seed draws the same in both modes.
"""

import functools

import jax

from jaxchain.core.op import Array
from jaxchain.core.random import as_key, next_key


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _draw(key: Array, kind: str, shape: tuple[int, ...], dtype: str) -> Array:
    return getattr(jax.random, kind)(as_key(key), shape).astype(dtype)


def draw(kind: str, shape: tuple[int, ...], dtype: str) -> Array:
    """Draw an array.

    Args:
        kind: A distribution of `jax.random` without parameters: 'normal', 'uniform', 'gumbel', 'exponential', ...
        shape: Its shape.
        dtype: Its dtype. It is drawn in float32 (float64 under ``jax_enable_x64``) and cast.
    """
    return _draw(next_key(), kind, tuple(shape), str(dtype))
