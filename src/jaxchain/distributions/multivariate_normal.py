"""The normal distribution of vectors."""

import math
from typing import Any

import jaxchain.functions as F
from jaxchain.distribution import Distribution, register_kl
from jaxchain.distributions.base import Values, variable
from jaxchain.functions.densities import triangular_inverse
from jaxchain.functions.draws import draw

LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)


class MultivariateNormal(Distribution):
    """Normal distribution of vectors.

    Args:
        loc: Means ``(..., d)``.
        scale_tril: Cholesky factors of the covariances, ``(..., d, d)``: lower triangular. Required.

    Raises:
        ValueError: `scale_tril` is missing.

    Examples:
        >>> normal = D.MultivariateNormal(np.zeros(2, np.float32), scale_tril=np.eye(2, dtype=np.float32))
        >>> normal.log_prob(np.zeros(2, np.float32)).array.round(3)
        Array(-1.838, dtype=float32)
    """

    def __init__(self, loc: Any, *, scale_tril: Any = None) -> None:
        if scale_tril is None:
            raise ValueError("`scale_tril` must have a value.")
        self.loc = variable(loc)
        self.scale_tril = variable(scale_tril)

    @property
    def d(self) -> int:
        """Length of an event."""
        return self.scale_tril.shape[-1]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """All axes of `loc` but the last."""
        return self.loc.shape[:-1]

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The last axis of `loc`."""
        return self.loc.shape[-1:]

    @property
    def params(self) -> dict[str, Any]:
        """`loc` and `scale_tril`."""
        return {"loc": self.loc, "scale_tril": self.scale_tril}

    @property
    def support(self) -> str:
        """``real``."""
        return "real"

    @property
    def _log_determinant(self) -> Values:
        """Logarithm of the determinant of the factor."""
        return F.sum(F.log(abs(F.diagonal(self.scale_tril, axis1=-2, axis2=-1))), axis=-1)

    @property
    def mean(self) -> Values:
        """`loc`."""
        return self.loc

    @property
    def covariance(self) -> Values:
        """The factor times its transpose."""
        return F.matmul(self.scale_tril, F.swapaxes(self.scale_tril, -1, -2))

    @property
    def entropy(self) -> Values:
        r""":math:`\log|L| + \frac d2\log 2\pi e`."""
        return self._log_determinant + (LOG_ROOT_2PI + 0.5) * self.d

    def log_prob(self, x: Any) -> Values:
        """Return the logarithm of the density.

        Args:
            x: Events ``(..., d)``.
        """
        away = F.expand_dims(x - self.loc, -1)
        inverse = F.broadcast_to(triangular_inverse(self.scale_tril), (*away.shape[:-2], self.d, self.d))
        square = F.sum(F.squeeze(F.matmul(inverse, away), -1) ** 2, axis=-1)
        constant = -LOG_ROOT_2PI * self.d - self._log_determinant
        return F.broadcast_to(constant, square.shape) - 0.5 * square

    def sample_n(self, n: int) -> Values:
        """Draw `n` samples; gradients reach both parameters.

        Args:
            n: How many.
        """
        eps = draw("normal", (n, *self.loc.shape, 1), self.loc.dtype.name)
        factor = F.broadcast_to(self.scale_tril, (n, *self.scale_tril.shape))
        return self.loc + F.squeeze(F.matmul(factor, variable(eps)), -1)


@register_kl(MultivariateNormal, MultivariateNormal)
def _(p: MultivariateNormal, q: MultivariateNormal) -> Values:
    inverse = triangular_inverse(q.scale_tril)
    trace = F.sum(F.matmul(inverse, p.scale_tril) ** 2, axis=(-1, -2))
    distance = F.sum(F.matmul(inverse, F.expand_dims(p.loc - q.loc, -1)) ** 2, axis=(-1, -2))
    return q._log_determinant - p._log_determinant + 0.5 * (trace + distance) - 0.5 * p.d
