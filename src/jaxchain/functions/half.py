"""Half precision where XLA has no kernel for it, or a poor one: compute in float32, return in the given dtype."""

import functools
from collections.abc import Callable

import jax.numpy as jnp

from jaxchain.core.op import Array


def at_least_single(x: Array) -> Array:
    """Return `x`, in float32 if its dtype is narrower."""
    return x.astype(jnp.float32) if x.dtype.itemsize < 4 else x


def in_single(function: Callable[..., Array]) -> Callable[..., Array]:
    """Return `function` for any floating dtype: narrow arrays go through float32. The last one gives the dtype."""

    @functools.wraps(function)
    def call(*xs: Array) -> Array:
        return function(*(at_least_single(x) for x in xs)).astype(xs[-1].dtype)

    return call
