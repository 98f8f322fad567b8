"""Activation functions.

Each is one jitted JAX function. The forward formula is chosen so that its derivative has Chainer's value at kinks and
stays finite where a branch is not taken; ops whose gradient reads only the output say so with `.vjp`.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from jaxchain.core.op import Array, op
from jaxchain.functions.checks import axis_in_range
from jaxchain.functions.composed import composed


@op(label="ReLU")
def relu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Rectified linear unit, :math:`\max(0, x)`.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``.

    At 0: gradient 0. NaN stays NaN.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: Glorot et al. 2011, Deep sparse rectifier neural networks.

    Examples:
        >>> F.relu(np.float32([-1, 0, 2])).array
        Array([0., 0., 2.], dtype=float32)
    """
    return jnp.maximum(x, 0)


@relu.vjp
def _(gy, y, x):
    return jnp.where(y > 0, gy, 0)


@op(label="LeakyReLU")
def leaky_relu(x: Float[Array, "..."], slope: float = 0.2) -> Float[Array, "..."]:
    r"""Leaky rectified linear unit, :math:`x` if :math:`x > 0`, else :math:`a x`.

    Args:
        x: Any shape, floating dtype.
        slope: The slope :math:`a` of the negative side. Traced: changing it does not recompile.

    Returns:
        Same shape and dtype as ``x``.

    At 0: gradient ``slope``. At NaN: 1.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: Maas et al. 2013, Rectifier nonlinearities improve neural network acoustic models.

    Examples:
        >>> F.leaky_relu(np.float32([-1, 2])).array
        Array([-0.2,  2. ], dtype=float32)
    """
    return jnp.where(x <= 0, slope * x, x)


@op(label="ELU")
def elu(x: Float[Array, "..."], alpha: float = 1.0) -> Float[Array, "..."]:
    r"""Exponential linear unit, :math:`x` if :math:`x > 0`, else :math:`\alpha(e^x - 1)`.

    Args:
        x: Any shape, floating dtype.
        alpha: Minus the value approached as x goes to minus infinity. Traced: changing it does not recompile.

    Returns:
        Same shape and dtype as ``x``.

    At 0: gradient ``alpha``.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: Clevert et al. 2015, arXiv:1511.07289.

    Examples:
        >>> F.elu(np.float32([-1, 2])).array.round(3)
        Array([-0.632,  2.   ], dtype=float32)
    """
    # The guarded branch keeps expm1 finite where it is not taken: else 0 * inf = nan in the gradient.
    return jnp.where(x > 0, x, alpha * jnp.expm1(jnp.where(x > 0, 0, x)))


@op(label="Sigmoid")
def sigmoid(x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Logistic function, :math:`(1 + e^{-x})^{-1}`.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: Rumelhart et al. 1986, Learning internal representations by error propagation.

    Examples:
        >>> F.sigmoid(np.float32([0, 100])).array
        Array([0.5, 1. ], dtype=float32)
    """
    return jax.nn.sigmoid(x)


@sigmoid.vjp
def _(gy, y, x):
    return gy * y * (1 - y)


@op(label="Tanh")
def tanh(x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Hyperbolic tangent.

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: LeCun et al. 1998, Efficient BackProp (as an activation).

    Examples:
        >>> F.tanh(np.float32([0, 100])).array
        Array([0., 1.], dtype=float32)
    """
    return jnp.tanh(x)


@tanh.vjp
def _(gy, y, x):
    return gy * (1 - y * y)


@op(label="Softplus")
def softplus(x: Float[Array, "..."], beta: float = 1.0) -> Float[Array, "..."]:
    r"""Smooth rectifier, :math:`\frac{1}{\beta}\log(1 + e^{\beta x})`.

    Args:
        x: Any shape, floating dtype.
        beta: Sharpness. Traced: changing it does not recompile.

    Returns:
        Same shape and dtype as ``x``. Finite for finite ``x``: no overflow.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: Dugas et al. 2001, Incorporating second-order functional knowledge for better option pricing.

    Examples:
        >>> F.softplus(np.float32([-1000, 1000])).array
        Array([   0., 1000.], dtype=float32)
    """
    return jnp.logaddexp(beta * x, 0).astype(x.dtype) / beta


@op(label="Softmax")
def softmax(x: Float[Array, "..."], axis: int = 1) -> Float[Array, "..."]:
    r"""Softmax along an axis, :math:`e^{x_i} / \sum_j e^{x_j}`.

    Args:
        x: Any shape with the axis, floating dtype.
        axis: The axis that sums to one.

    Returns:
        Same shape and dtype as ``x``.

    Raises:
        InvalidType: ``x`` is not floating, or has no such axis.

    Source: Bridle 1990, Probabilistic interpretation of feedforward classification network outputs.

    Examples:
        >>> F.softmax(np.float32([[0, 0], [0, 1000]])).array
        Array([[0.5, 0.5],
               [0. , 1. ]], dtype=float32)
    """
    axis_in_range("x", x, axis)
    e = jnp.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@softmax.vjp
def _(gy, y, x, axis):
    g = gy * y
    return g - y * g.sum(axis, keepdims=True)


@op(label="LogSoftmax")
def log_softmax(x: Float[Array, "..."], axis: int = 1) -> Float[Array, "..."]:
    r"""Logarithm of the softmax along an axis, :math:`x_i - \log\sum_j e^{x_j}`.

    Args:
        x: Any shape with the axis, floating dtype.
        axis: The axis that sums to one.

    Returns:
        Same shape and dtype as ``x``. More exact than ``log(softmax(x))``.

    Raises:
        InvalidType: ``x`` is not floating, or has no such axis.

    Source: Bridle 1990, Probabilistic interpretation of feedforward classification network outputs.

    Examples:
        >>> F.log_softmax(np.float32([[0, 1000]])).array
        Array([[-1000.,     0.]], dtype=float32)
    """
    axis_in_range("x", x, axis)
    shifted = x - x.max(axis, keepdims=True)
    return shifted - jnp.log(jnp.exp(shifted).sum(axis, keepdims=True))


@log_softmax.vjp
def _(gy, y, x, axis):
    return gy - jnp.exp(y) * gy.sum(axis, keepdims=True)


@op(label="ClippedReLU")
def _clipped_relu(x: Float[Array, "..."], z: float) -> Float[Array, "..."]:
    return jnp.where((x > 0) & (x < z), x, jnp.clip(lax.stop_gradient(x), 0, z)).astype(x.dtype)


@composed
def clipped_relu(x, z: float = 20.0):
    r"""Clipped rectifier, :math:`\min(\max(0, x), z)`.

    Args:
        x: Any shape, floating dtype.
        z: The ceiling, a positive float. Traced: changing it does not recompile.

    Returns:
        Same shape and dtype as ``x``.

    At 0, at z and at NaN: gradient 0.

    Raises:
        InvalidType: ``x`` is not floating.
        TypeError: ``z`` is not a float.
        AssertionError: ``z`` is not positive.

    Source: Hannun et al. 2014, arXiv:1412.5567.

    Examples:
        >>> F.clipped_relu(np.float32([-1, 3, 30])).array
        Array([ 0.,  3., 20.], dtype=float32)
    """
    if not isinstance(z, float):
        raise TypeError(f"clipped_relu: z must be float value, got {type(z).__name__}")
    if not z > 0:
        raise AssertionError(f"clipped_relu: z must be positive, got {z}")
    return _clipped_relu(x, z)


@op(label="HardSigmoid")
def hard_sigmoid(x: Float[Array, "..."]) -> Float[Array, "..."]:
    r"""Piecewise linear sigmoid, :math:`0.2 x + 0.5` clipped to [0, 1].

    Args:
        x: Any shape, floating dtype.

    Returns:
        Same shape and dtype as ``x``.

    At -2.5, at 2.5 and at NaN: gradient 0.

    Raises:
        InvalidType: ``x`` is not floating.

    Source: Courbariaux et al. 2015, arXiv:1511.00363.

    Examples:
        >>> F.hard_sigmoid(np.float32([-3, 0, 3])).array
        Array([0. , 0.5, 1. ], dtype=float32)
    """
    y = 0.2 * x + 0.5
    return jnp.where((x > -2.5) & (x < 2.5), y, jnp.clip(lax.stop_gradient(y), 0, 1))
