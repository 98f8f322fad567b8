"""What the distributions share: parameters, samples, and logarithms that know where a value cannot be."""

from typing import Any

import jax.numpy as jnp

import jaxchain.functions as F
from jaxchain.core.variable import as_array, as_variable
from jaxchain.distribution import Distribution
from jaxchain.functions.draws import draw

Values = Any  # a Variable: type checkers do not see its operators, which jaxchain.functions attaches


def variable(x: Any) -> Values:
    """Return a Variable of an array, a Variable as it is."""
    return as_variable(x)


def exactly_one(**given: Any) -> None:
    """Raise ValueError unless one value, and only one, is given."""
    if sum(value is not None for value in given.values()) != 1:
        raise ValueError(f"Either {' or '.join(f'`{name}`' for name in given)} (not both) must have a value.")


def masked(condition: Any, values: Values, otherwise: float) -> Values:
    """Return `values` where the condition holds, else a number."""
    shape: Any = jnp.broadcast_shapes(condition.shape, values.shape)
    condition = jnp.broadcast_to(condition, shape)
    return F.where(condition, F.broadcast_to(values, shape), jnp.full(shape, otherwise, values.dtype))


def x_log_x(p: Values) -> Values:
    r"""Return :math:`p \log p`: 0 at 0, with gradient 0 there."""
    positive = p.array > 0
    return masked(positive, p, 0.0) * F.log(masked(positive, p, 1.0))


class Univariate(Distribution):
    """A distribution of numbers, whose parameters all have the shape of the batch.

    Attributes:
        names: Names of the parameters; the first gives shape and dtype.
    """

    names: tuple[str, ...] = ()
    words = ""

    def _set(self, **parameters: Any) -> None:
        """Keep the parameters as Variables: attributes of their names."""
        for name, value in parameters.items():
            setattr(self, name, variable(value))

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the parameters."""
        return getattr(self, self.names[0]).shape

    @property
    def event_shape(self) -> tuple[int, ...]:
        """``()``: an event is a number."""
        return ()

    @property
    def params(self) -> dict[str, Any]:
        """The parameters by name."""
        return {name: getattr(self, name) for name in self.names}

    @property
    def support(self) -> str:
        """The values an event can take, in words."""
        return self.words

    def _draw(self, n: int, kind: str, *parameters: Values, dtype: str = "") -> Any:
        """Return `n` draws of one of `jax.random`'s distributions for each element of the batch, as an array."""
        first = getattr(self, self.names[0])
        return draw(kind, (n, *self.batch_shape), dtype or first.dtype.name, *[as_array(p) for p in parameters])
