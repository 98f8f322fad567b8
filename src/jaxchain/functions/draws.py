"""Random arrays that are no function of anything: what samplers draw before a differentiable function takes over.

The key comes from the global stream, so the same seed draws the same in both modes.
"""

import functools

import jax

from jaxchain.core.op import Array
from jaxchain.core.random import as_key, drawn, next_key


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _draw(key: Array, kind: str, shape: tuple[int, ...], dtype: str, *parameters: Array) -> Array:
    law = getattr(jax.random, kind)
    values = law(as_key(key), *parameters, shape=shape) if parameters else drawn(law, as_key(key), shape)
    return values.astype(dtype)


def draw(kind: str, shape: tuple[int, ...], dtype: str, *parameters: Array) -> Array:
    """Draw an array.

    Args:
        kind: A distribution of `jax.random`: 'normal', 'uniform', 'gumbel', 'gamma', ...
        shape: Its shape.
        dtype: Its dtype. It is drawn in the dtype that `jax.random` chooses and cast.
        parameters: The distribution's parameters, in the order of `jax.random`.
    """
    return _draw(next_key(), kind, tuple(shape), str(dtype), *parameters)
