"""Special functions, elementwise: the error function and its relatives, the normal distribution, gamma and zeta.

Half precision is computed in float32. The rules of the gradients are closed forms in functions of this file, so that
gradients of any order stay in it.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.special as jsp
import numpy as np
from jax import lax
from jaxtyping import Float, Shaped

from jaxchain.core.op import Array, Key, op
from jaxchain.core.variable import as_array
from jaxchain.functions.arithmetic import sum_to_shape
from jaxchain.functions.checks import broadcastable, integer, left_to_numpy
from jaxchain.functions.composed import composed
from jaxchain.functions.half import at_least_single, in_single

_SQRT_HALF = math.sqrt(0.5)


@op
def erf(x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Error function :math:`\frac{2}{\sqrt\pi} \int_0^x e^{-t^2} dt`, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``, in [-1, 1].

    Raises:
        InvalidType: ``x`` is not floating.

    Source: Abramowitz and Stegun 1964, 7.1.1.

    Examples:
        >>> F.erf(np.float32([0, 1])).array.round(2)
        Array([0.  , 0.84], dtype=float32)
    """
    return lax.erf(x)


@op
def erfc(x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Complementary error function :math:`1 - \mathrm{erf}(x)`, elementwise, without cancellation.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``, in [0, 2].

    Raises:
        InvalidType: ``x`` is not floating.

    Source: Abramowitz and Stegun 1964, 7.1.2.

    Examples:
        >>> F.erfc(np.float32([0, 1])).array.round(2)
        Array([1.  , 0.16], dtype=float32)
    """
    return lax.erfc(x)


# (-1)^k (2k-1)!! / 2^k for k = 10, ..., 0: the asymptotic series of sqrt(pi) x erfcx(x) in 1 / x^2
_SERIES = [(-1) ** k * math.prod(range(1, 2 * k, 2)) / 2**k for k in range(10, -1, -1)]
_SLOPE = [-(2 * k + 1) * c for k, c in zip(range(10, -1, -1), _SERIES, strict=True)]


def _series(coefficients: list[float], x: Array) -> tuple[Array, Array]:
    """Return where the asymptotic series holds to the last digit (11 terms), and its sum there."""
    far = x > (12 if x.dtype == np.float64 else 5)
    t = 1 / jnp.square(jnp.where(far, x, 1))
    return far, jnp.polyval(jnp.asarray(coefficients, x.dtype), t) / math.sqrt(math.pi)


@jax.custom_jvp
def _erfcx(x: Array) -> Array:
    far, series = _series(_SERIES, x)
    near = jnp.clip(x, -40, 12)  # e^1600 is inf in every dtype
    # x^2 = head^2 + (x - head) (x + head), the first term exact: rounding x^2 itself would cost digits of e^(x^2).
    head = jnp.round(near * 16) / 16
    product = jnp.exp(jnp.square(head)) * jnp.exp((near - head) * (near + head)) * lax.erfc(near)
    return jnp.where(far, series / jnp.where(far, x, 1), product)


def _erfcx_slope(x: Array, y: Array) -> Array:
    # 2 (x y - 1 / sqrt(pi)) cancels where x is large: there the series is derived term by term.
    far, series = _series(_SLOPE, x)
    near = jnp.where(far, 0, x) * jnp.where(far, 0, y) - 1 / math.sqrt(math.pi)
    return jnp.where(far, series / jnp.square(jnp.where(far, x, 1)), 2 * near)


@_erfcx.defjvp
def _(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (dx,) = primals, tangents
    y = _erfcx(x)
    return y, _erfcx_slope(x, y) * dx


@op
def erfcx(x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Scaled complementary error function :math:`e^{x^2} \mathrm{erfc}(x)`, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``; inf where x is very negative, about :math:`1 / (x \sqrt\pi)` where it is large.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: Abramowitz and Stegun 1964, 7.1.23 (asymptotic series for large x).

    Examples:
        >>> F.erfcx(np.float32([0, np.inf])).array
        Array([1., 0.], dtype=float32)
    """
    return in_single(_erfcx)(x)


@erfcx.vjp
def _(gy, y, x):
    if x.dtype.itemsize < 4:
        return (_erfcx_slope(at_least_single(x), at_least_single(y)) * gy).astype(x.dtype)
    return _erfcx_slope(x, y) * gy


# Giles 2010, table 5: the single precision polynomials, highest power first.
_GILES_CENTRE = (
    *(2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 2.1858087e-4),
    *(-1.25372503e-3, -4.17768164e-3, 0.246640727, 1.50140941),
)
_GILES_TAIL = (
    *(-2.00214257e-4, 1.00950558e-4, 1.34934322e-3, -3.67342844e-3, 5.73950773e-3),
    *(-7.6224613e-3, 9.43887047e-3, 1.00167406, 2.83297682),
)


def _erfinv(x: Array) -> Array:
    # lax.erf_inv takes the logarithm of 1 - x * x: of the rounded square, which has lost its digits where x is near 1
    if x.dtype == jnp.float64:
        far = jnp.abs(x) > 0.5
        tail = -jsp.ndtri((1 - jnp.where(far, jnp.abs(x), 1)) / 2) * _SQRT_HALF
        return jnp.where(far, jnp.copysign(tail, x), lax.erf_inv(x))
    w = -jnp.log((1 - x) * (1 + x))
    centre = w < 5
    at = jnp.where(centre, w - 2.5, jnp.sqrt(jnp.where(centre, 5, w)) - 3)
    y = jnp.zeros_like(x)
    for near, far in zip(_GILES_CENTRE, _GILES_TAIL, strict=True):
        y = y * at + jnp.where(centre, near, far)
    return jnp.where(jnp.abs(x) == 1, x * jnp.inf, y * x)


@op(class_name="ErfInv")
def erfinv(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Inverse of `erf`, elementwise.

    Args:
        x: In [-1, 1], any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``; NaN outside [-1, 1]. The gradient is read off the output.

    At the ends: value and gradient are infinite.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: Giles 2010, Approximating the erfinv function; in float64 `ndtri` towards the ends.

    Examples:
        >>> F.erfinv(np.float32([0, 1])).array
        Array([ 0., inf], dtype=float32)
    """
    return in_single(_erfinv)(x)


@erfinv.vjp
def _(gy, y, x):
    return math.sqrt(math.pi) / 2 * jnp.exp(jnp.square(y)) * gy


def _erfcinv(x: Array) -> Array:
    return -jsp.ndtri(x / 2) * jnp.asarray(_SQRT_HALF, x.dtype)


@op(class_name="ErfcInv")
def erfcinv(x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Inverse of `erfc`, elementwise; exact digits also where ``x`` is tiny.

    Args:
        x: In [0, 2], any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``; NaN outside [0, 2]. The gradient is read off the output.

    At the ends: value and gradient are infinite.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: :math:`-\Phi^{-1}(x/2) / \sqrt 2`, with Cephes' rational approximations of :math:`\Phi^{-1}`.

    Examples:
        >>> F.erfcinv(np.float32([1, 0])).array
        Array([-0., inf], dtype=float32)
    """
    return in_single(_erfcinv)(x)


@erfcinv.vjp
def _(gy, y, x):
    return -math.sqrt(math.pi) / 2 * jnp.exp(jnp.square(y)) * gy


@op
def ndtr(x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Distribution function of the normal distribution, :math:`\Phi(x)`, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``, in [0, 1].

    Raises:
        InvalidType: ``x`` is not floating.

    Source: Abramowitz and Stegun 1964, 26.2.29: :math:`\frac12 \mathrm{erfc}(-x / \sqrt 2)`.

    Examples:
        >>> F.ndtr(np.float32([0, 1])).array.round(2)
        Array([0.5 , 0.84], dtype=float32)
    """
    return in_single(jsp.ndtr)(x)


@op
def ndtri(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Quantile of the normal distribution: the inverse of `ndtr`, elementwise.

    Args:
        x: A probability in [0, 1], any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``; NaN outside [0, 1]. The gradient is read off the output.

    At the ends: value and gradient are infinite.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: Moshier, Cephes mathematical library, ndtri.

    Examples:
        >>> F.ndtri(np.float32([0.5, 1])).array
        Array([ 0., inf], dtype=float32)
    """
    return in_single(jsp.ndtri)(x)


@ndtri.vjp
def _(gy, y, x):
    return math.sqrt(2 * math.pi) * jnp.exp(jnp.square(y) / 2) * gy


def _log_ndtr(x: Array) -> Array:
    half = jnp.asarray(_SQRT_HALF, x.dtype)
    low = jnp.log(_erfcx(-jnp.where(x < -1, x, -1) * half) / 2) - x * x / 2
    return jnp.where(x < -1, low, jnp.log1p(-lax.erfc(x * half) / 2))


def _log_ndtr_slope(x: Array) -> Array:
    # Up to 0 as Chainer; above, where erfcx(-x / sqrt(2)) overflows, the density divided by the distribution function.
    low = math.sqrt(2 / math.pi) / _erfcx(-jnp.where(x <= 0, x, 0) * jnp.asarray(_SQRT_HALF, x.dtype))
    high = jnp.where(x <= 0, 0, x)
    high = jnp.exp(-jnp.square(high) / 2) / math.sqrt(2 * math.pi) / jsp.ndtr(high)
    return jnp.where(x <= 0, low, high)


@op
def log_ndtr(x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Logarithm of the normal distribution function, :math:`\log \Phi(x)`, elementwise, without underflow.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: :math:`\log(\frac12 \mathrm{erfcx}(-x / \sqrt 2)) - x^2 / 2` below -1 and
        :math:`\log1p(-\frac12 \mathrm{erfc}(x / \sqrt 2))` above, as SciPy.

    Examples:
        >>> F.log_ndtr(np.float32([0, -np.inf])).array.round(2)
        Array([-0.69,  -inf], dtype=float32)
    """
    return in_single(_log_ndtr)(x)


@log_ndtr.vjp
def _(gy, y, x):
    return in_single(_log_ndtr_slope)(x) * gy


@op(class_name="LGamma")
def lgamma(x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Logarithm of the absolute value of the gamma function, :math:`\log |\Gamma(x)|`, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``.

    At 0 and negative integers: value inf.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: Lanczos 1964; Abramowitz and Stegun 1964, 6.1.

    Examples:
        >>> F.lgamma(np.float32([1, 4])).array.round(2)
        Array([0.  , 1.79], dtype=float32)
    """
    return lax.lgamma(x)


@lgamma.vjp
def _(gy, y, x):
    return _digamma(x) * gy


@jax.custom_jvp
def _digamma(x: Array) -> Array:
    # XLA gives nan at 0; the pole has the sign that SciPy gives it.
    return jnp.where(x == 0, -jnp.copysign(jnp.asarray(jnp.inf, x.dtype), x), lax.digamma(x))


@_digamma.defjvp
def _(primals, tangents):
    return _digamma(*primals), _polygamma(jnp.ones((), jnp.int32), *primals) * tangents[0]


@op(class_name="DiGamma")
def digamma(x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Logarithmic derivative of the gamma function, :math:`\Gamma'(x) / \Gamma(x)`, elementwise.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``.

    At 0: value -inf, gradient inf. At negative integers: value NaN.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: Abramowitz and Stegun 1964, 6.3.

    Examples:
        >>> F.digamma(np.float32([1, 2])).array.round(2)
        Array([-0.58,  0.42], dtype=float32)
    """
    return _digamma(x)


@digamma.vjp
def _(gy, y, x):
    return _polygamma(jnp.ones((), jnp.int32), x) * gy


def _is_pole(x: Array) -> Array:
    return (x <= 0) & (x == jnp.floor(x))


def _polygamma(n: Array, x: Array) -> Array:
    n, x = jnp.broadcast_arrays(n, x)
    pole, end = _is_pole(x) & (n > 0), (x == jnp.inf) & (n > 0)  # XLA gives nan at inf and at every other pole
    wide = at_least_single(jnp.where(pole | end, 1, x))
    order = n.astype(wide.dtype) + 1
    derivative = jnp.exp(lax.lgamma(order)) * _hurwitz(order, wide)
    y = jnp.where(n == 0, _digamma(wide), jnp.where(n % 2 == 1, derivative, -derivative))
    return jnp.where(pole, jnp.where(n % 2 == 1, jnp.inf, -jnp.inf), jnp.where(end, 0, y)).astype(x.dtype)


@op(class_name="PolyGamma")
def polygamma(n: Shaped[Array, "..."], x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""The n-th derivative of `digamma`, elementwise; shapes broadcast.

    Args:
        n: Orders, 0 and up; integers. No gradient flows to them.
        x: A shape that broadcasts with ``n``'s, floating dtype.

    Returns:
        The broadcast shape, dtype of ``x``.

    At 0 and negative integers: inf where ``n`` is odd, -inf where it is even and not 0.

    Raises:
        InvalidType: ``n`` is no integer, ``x`` is not floating, or the shapes do not broadcast.

    Source: Abramowitz and Stegun 1964, 6.4.10: :math:`(-1)^{n+1} n!\, \zeta(n + 1, x)`.

    Examples:
        >>> F.polygamma(np.int32([1]), np.float32([1])).array.round(2)
        Array([1.64], dtype=float32)
    """
    integer("n", n)
    with left_to_numpy():
        broadcastable(n=n, x=x)
    return _polygamma(n, x)


@polygamma.vjp
def _(gy, y, n, x):
    return None, sum_to_shape(_polygamma(n + 1, x) * gy, x.shape)


def _hurwitz(x: Array, q: Array) -> Array:
    x, q = jnp.broadcast_arrays(x, q)
    pole, end = _is_pole(q) & (x > 1), (q == jnp.inf) & (x > 1)  # XLA gives nan at inf and at every other pole
    zeta, low, q = in_single(jsp.zeta), q < 0, jnp.where(pole | end, 1, q)
    # XLA's sum ends ten terms after q. Terms below 0 are (-1)^x times those from the last on less those from 1 - q.
    last = jnp.where(low, jnp.ceil(q) - q, 1)
    sign = jnp.where(x % 2 == 0, 1, jnp.where(x % 2 == 1, -1, jnp.nan)).astype(q.dtype)
    y = zeta(x, jnp.where(low, q - jnp.floor(q), q))
    y = jnp.where(low, y + sign * zeta(x, last) - sign * zeta(x, jnp.where(low, 1 - q, 1)), y)
    return jnp.where(pole, jnp.inf, jnp.where(end, 0, y)).astype(q.dtype)


@op
def _zeta(q: Float[Array, "..."], x: Key, shape: tuple[int, ...]) -> Float[Array, "..."]:
    with left_to_numpy():
        broadcastable(x=x, q=q)
    return _hurwitz(x, q)


@_zeta.vjp
def _(gy, y, q, x, shape):
    return sum_to_shape(gy * jnp.broadcast_to(-x, y.shape) * _hurwitz(x + 1, q), q.shape)


@composed
def zeta(x: Any, q):
    r"""Hurwitz zeta function :math:`\sum_{k=0}^\infty (k + q)^{-x}`, elementwise; shapes broadcast.

    Args:
        x: Exponents above 1: a number or an array. No gradient flows to them. Traced: changing them does not recompile.
        q: A shape that broadcasts with ``x``'s, floating dtype.

    Returns:
        The broadcast shape, dtype of ``q``.

    At 0 and negative integers of ``q``: inf.

    Raises:
        InvalidType: ``q`` is not floating, or the shapes do not broadcast.

    Source: Abramowitz and Stegun 1964, 23.2; Euler-Maclaurin summation.

    Examples:
        >>> F.zeta(2, np.float32([1])).array.round(2)
        Array([1.64], dtype=float32)
    """
    x = as_array(x)
    x = x.astype(q.dtype) if isinstance(x, jax.Array) else np.asarray(x, q.dtype)
    return _zeta(q, x, x.shape)  # the shape is static: it is part of what is compiled
