"""More rectifiers: concatenated, parametric, random, self-normalising, and maxout. See `activation` for the rules."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxchain.core.arrays import info_of
from jaxchain.core.config import config
from jaxchain.core.errors import InvalidType, expect
from jaxchain.core.op import Array, Key, Undrawn, op
from jaxchain.core.random import as_key, drawn, next_key
from jaxchain.core.variable import as_array
from jaxchain.functions.activation import clipped_relu, elu
from jaxchain.functions.checks import axis_in_range, same_dtype, same_shape
from jaxchain.functions.composed import composed
from jaxchain.functions.noise import NO_KEY
from jaxchain.functions.reduction import max as maximum_over
from jaxchain.functions.shape import reshape


@op(label="CReLU")
def _crelu(x: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    axis_in_range("x", x, axis)
    return jnp.concatenate([jnp.maximum(x, 0), jnp.maximum(-x, 0)], axis)


@_crelu.vjp
def _(gy, y, x, axis):
    positive, negative = jnp.split(gy, 2, axis)
    return jnp.where(x > 0, positive, 0) - jnp.where(x < 0, negative, 0)


@composed
def crelu(x, axis: int = 1):
    r"""Concatenated rectifier: :math:`\max(0, x)` and :math:`\max(0, -x)` side by side.

    Args:
        x: Any shape with the axis, floating dtype.
        axis: The axis to concatenate along; it doubles.

    Returns:
        Twice as long along the axis.

    At 0: gradient 0.

    Raises:
        InvalidType: ``x`` is not floating, or has no such axis.
        TypeError: ``axis`` is no int.

    Source: Shang et al. 2016, arXiv:1603.05201.

    Examples:
        >>> F.crelu(np.float32([[-1, 2]])).array
        Array([[0., 2., 1., 0.]], dtype=float32)
    """
    if not isinstance(axis, int):
        raise TypeError(f"crelu: axis must be an integer value, got {type(axis).__name__}")
    return _crelu(x, axis)


@composed
def maxout(x, pool_size: int, axis: int = 1):
    """Maximum over groups of neighbours along an axis.

    Args:
        x: Any shape with the axis, floating dtype.
        pool_size: Size of a group.
        axis: The axis; it shrinks by ``pool_size``.

    Returns:
        The maxima.

    At ties: each of the largest gets the whole gradient.

    Raises:
        InvalidType: The axis cannot be divided by ``pool_size``, or ``x`` is not floating.
        ValueError: ``pool_size`` is not positive.

    Source: Goodfellow et al. 2013, arXiv:1302.4389.

    Examples:
        >>> F.maxout(np.float32([[1, 2, 4, 3]]), 2).array
        Array([[2., 4.]], dtype=float32)
    """
    if pool_size <= 0:
        raise ValueError(f"pool_size must be a positive integer, got {pool_size}")
    shape = tuple(x.shape)
    if not -len(shape) <= axis < len(shape) or shape[axis] % pool_size:
        raise InvalidType(
            "x.shape[axis] % pool_size == 0", f"x.shape = {shape}, axis = {axis}, pool_size = {pool_size}"
        ).located("maxout", f"maxout(x: {info_of(x)!r})")
    axis %= len(shape)
    pooled = reshape(x, (*shape[:axis], shape[axis] // pool_size, pool_size, *shape[axis + 1 :]))
    return maximum_over(pooled, axis=axis + 1)


def beside_batch(x: Array, name: str, parameter: Array) -> Array:
    """Return a parameter of shape ``x.shape[1 : 1 + k]`` in a shape that broadcasts with `x`."""
    same_dtype(**{"x": x, name: parameter})
    k = parameter.ndim
    expect(x.ndim >= k + 1, f"x.ndim >= {name}.ndim + 1", f"{x.ndim} < {k + 1}")
    expect(
        x.shape[1 : 1 + k] == parameter.shape,
        f"x.shape[1:{1 + k}] == {name}.shape",
        f"{x.shape[1 : 1 + k]} != {parameter.shape}",
    )
    return parameter.reshape(1, *parameter.shape, *[1] * (x.ndim - k - 1))


@op(label="PReLUFunction")
def prelu(x: Float[Array, "..."], W: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Parametric rectifier, :math:`x` if :math:`x \ge 0`, else :math:`w x`.

    Args:
        x: ``(n, ...)``, floating dtype.
        W: The slope of the negative side: one number, or an array of the shape of the axes after the first. Same dtype.

    Returns:
        Same shape and dtype as ``x``.

    At 0: gradient 1 to ``x``, 0 to ``W``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: He et al. 2015, arXiv:1502.01852.

    Examples:
        >>> F.prelu(np.float32([[-4, 2]]), np.float32([0.5, 0.5])).array
        Array([[-2.,  2.]], dtype=float32)
    """
    slope = beside_batch(x, "W", W)
    # The guarded branch keeps the gradient to W finite where it is not taken: else 0 * inf = nan.
    return jnp.where(x >= 0, x, slope * jnp.where(x >= 0, 0, x))


@composed
def relu6(x):
    r"""Rectifier with a ceiling of 6, :math:`\min(\max(0, x), 6)`.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``.

    At 0, at 6 and at NaN: gradient 0.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: Howard et al. 2017, arXiv:1704.04861.

    Examples:
        >>> F.relu6(np.float32([-1, 3, 30])).array
        Array([0., 3., 6.], dtype=float32)
    """
    return clipped_relu(x, 6.0)


@op(label="RReLU")
def _rrelu(
    x: Float[Array, "..."], slope: Undrawn[Float[Array, "..."] | None], key: Key, lower: float, upper: float
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Return (y, the slopes): those given, or drawn ones."""
    if slope is None:
        slope = drawn(jax.random.uniform, as_key(key), x.shape, minval=lower, maxval=upper).astype(x.dtype)
    same_dtype(x=x, r=slope)
    same_shape(x=x, r=slope)
    return jnp.where(x >= 0, x, x * slope), slope


@_rrelu.vjp
def _(gy, y, x, slope, key, lower, upper):
    return jnp.where(y[0] >= 0, gy[0], gy[0] * y[1]), None


@composed
def rrelu(x, l: float = 1.0 / 8, u: float = 1.0 / 3, *, r: Any = None, return_r: bool = False):  # noqa: E741
    r"""Randomised leaky rectifier: the slope of the negative side is drawn between two bounds for each element.

    Args:
        x: Any shape, floating dtype.
        l: Lower bound, in [0, 1). Traced.
        u: Upper bound, in [0, 1). Traced.
        r: The slopes, from an earlier call; None draws them. Not used outside training, where every slope is the mean
            of the bounds.
        return_r: Also return the slopes as an array.

    Returns:
        Same shape and dtype as ``x``.

    At 0: gradient 1.

    Raises:
        InvalidType: ``x`` is not floating, or ``r`` has another shape or dtype.
        ValueError: The bounds are not in [0, 1) and in order.

    Source: Xu et al. 2015, arXiv:1505.00853.

    Examples:
        >>> F.rrelu(np.float32([-4, 2]), r=np.float32([0.25, 0.25])).array
        Array([-1.,  2.], dtype=float32)
    """
    if not 0.0 <= l < 1.0:
        raise ValueError(f"rrelu: lower must be in the range [0, 1), got {l}")
    if not 0.0 <= u < 1.0:
        raise ValueError(f"rrelu: upper must be in the range [0, 1), got {u}")
    if not l < u:
        raise ValueError(f"rrelu: lower must be less than upper, got {l} and {u}")
    if not config.train:
        r = jnp.full(x.shape, (l + u) / 2, x.dtype)
    y, slopes = _rrelu(x, None if r is None else as_array(r), next_key() if r is None else NO_KEY, l, u)
    return (y, slopes.array if r is None else r) if return_r else y


@composed
def selu(x, alpha: float = 1.6732632423543772, scale: float = 1.0507009873554805):
    r"""Scaled exponential linear unit, :math:`\lambda x` if :math:`x > 0`, else :math:`\lambda\alpha(e^x - 1)`.

    Args:
        x: Any shape, floating dtype.
        alpha: :math:`\alpha`. Traced.
        scale: :math:`\lambda`. Traced.

    Returns:
        Same shape and dtype as ``x``.

    At 0: gradient ``scale * alpha``.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: Klambauer et al. 2017, arXiv:1706.02515.

    Examples:
        >>> F.selu(np.float32([0, 2])).array
        Array([0.      , 2.101402], dtype=float32)
    """
    return scale * elu(x, alpha=alpha)


@op(label="Swish")
def swish(x: Float[Array, "..."], beta: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Swish, :math:`x \sigma(\beta x)`.

    Args:
        x: ``(n, ...)``, floating dtype.
        beta: One number, or an array of the shape of the axes after the first. Same dtype.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: Ramachandran et al. 2017, arXiv:1710.05941.

    Examples:
        >>> F.swish(np.float32([[0, 100]]), np.float32(1)).array
        Array([[  0., 100.]], dtype=float32)
    """
    return x * jax.nn.sigmoid(beside_batch(x, "beta", beta) * x)
