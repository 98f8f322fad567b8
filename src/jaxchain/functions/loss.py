"""Loss functions."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from jaxchain.core.config import is_debug
from jaxchain.core.errors import expect
from jaxchain.core.op import Array, Undrawn, op
from jaxchain.core.variable import Variable
from jaxchain.functions.checks import integer, left_to_numpy, one_of, same_dtype, same_shape
from jaxchain.functions.composed import composed
from jaxchain.functions.connection import check_labels


def _sum_dtype(x: Array) -> Any:
    """Return the dtype to reduce in: at least float32."""
    return jnp.promote_types(x.dtype, jnp.float32)


def _count(valid: Array, n: int, normalize: bool, dtype: Any) -> Any:
    """Return what a mean loss is divided by."""
    return jnp.maximum(valid.sum(), 1).astype(dtype) if normalize else max(n, 1)


@op(label="SoftmaxCrossEntropy")
def _softmax_cross_entropy(
    x: Float[Array, "..."],
    t: Shaped[Array, "..."],
    class_weight: Undrawn[Array | None],
    normalize: bool,
    ignore_label: int,
    reduce: str,
) -> Float[Array, "..."]:
    expect(t.ndim == x.ndim - 1, "t.ndim == x.ndim - 1", f"{t.ndim} != {x.ndim} - 1")
    expect(x.shape[0] == t.shape[0], "x.shape[0] == t.shape[0]", f"{x.shape[0]} != {t.shape[0]}")
    expect(x.shape[2:] == t.shape[1:], "x.shape[2:] == t.shape[1:]", f"{x.shape[2:]} != {t.shape[1:]}")
    integer("t", t)
    valid = t != ignore_label
    log_p = jax.nn.log_softmax(x, 1)
    if class_weight is not None:
        log_p = log_p * class_weight.reshape(-1, *[1] * (x.ndim - 2)).astype(x.dtype)
    at = jnp.expand_dims(jnp.where(valid, t, 0), 1)
    # A label out of range gives nan: a loss that is wrong and looks right is worse.
    picked = jnp.take_along_axis(log_p, jnp.where(at < 0, x.shape[1], at), 1, mode="fill", fill_value=jnp.nan).squeeze(
        1
    )
    loss = -jnp.where(valid, picked, 0)
    if reduce == "no":
        return loss
    dtype = _sum_dtype(x)
    return (loss.astype(dtype).sum() / _count(valid, x.shape[0], normalize, dtype)).astype(x.dtype)


@_softmax_cross_entropy.vjp
def _(gy, y, x, t, class_weight, normalize, ignore_label, reduce):
    valid = t != ignore_label
    if reduce == "mean":
        gy = (gy / _count(valid, x.shape[0], normalize, gy.dtype)).astype(x.dtype)
    weight = jnp.where(valid, gy, 0)
    if class_weight is not None:
        weight = weight * class_weight[jnp.where(valid, t, 0)].astype(x.dtype)
    # One dense pass: faster than the scatter that the derivative of taking one element would be.
    classes = jnp.arange(x.shape[1], dtype=t.dtype).reshape(-1, *[1] * (x.ndim - 2))
    hot = classes == jnp.expand_dims(t, 1)
    gx = (jax.nn.softmax(x, 1) - hot.astype(x.dtype)) * jnp.expand_dims(weight, 1)
    return gx, None, None


@op(label="SoftmaxCrossEntropy", name="softmax_cross_entropy")
def _soft_target_cross_entropy(
    x: Float[Array, "..."], t: Float[Array, "..."], reduce: str, soft_target_loss: str
) -> Float[Array, "..."]:
    expect(
        t.shape == x.shape,
        "t: labels, of an integer dtype, or probabilities, in the shape of x",
        f"t: {t.dtype}, {t.shape}; x: {x.shape}",
    )
    log_p = jax.nn.log_softmax(x, 1)
    t = jax.lax.stop_gradient(t)
    if soft_target_loss == "kl-divergence":
        loss = (t * (jnp.log(t + 1e-7) - log_p)).sum(1)
    else:
        loss = -(t * log_p).sum(1)
    loss = loss.astype(x.dtype)
    return loss if reduce == "no" else loss.sum() / max(loss.size, 1)


@composed
def softmax_cross_entropy(
    x,
    t,
    normalize: bool = True,
    cache_score: bool = True,
    class_weight: Any = None,
    ignore_label: int = -1,
    reduce: str = "mean",
    enable_double_backprop: bool = False,
    soft_target_loss: str = "cross-entropy",
):
    r"""Cross entropy of the softmax of scores, :math:`-\log \mathrm{softmax}(x)_t`.

    Args:
        x: Scores ``(n, classes, ...)``, floating dtype.
        t: Labels ``(n, ...)``, integers in [0, classes) or ``ignore_label``; or target probabilities like ``x``.
        normalize: Divide the sum by the number of labels that are not ignored; else by ``n``.
        cache_score: Accepted for Chainer's programs; nothing is cached.
        class_weight: Weight of each class ``(classes,)``, or None.
        ignore_label: This label has no loss and no gradient.
        reduce: ``'mean'``, or ``'no'`` for the loss of each label.
        enable_double_backprop: Accepted for Chainer's programs; always possible.
        soft_target_loss: With target probabilities, ``'cross-entropy'`` or ``'kl-divergence'``.

    Returns:
        A scalar, or ``(n, ...)`` if ``reduce`` is ``'no'``; dtype of ``x``. A label out of range gives NaN.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        ValueError: An option is unknown; in debug mode, a label is out of range.

    Source: elementary.

    Examples:
        >>> F.softmax_cross_entropy(np.float32([[0, 0], [9, 9]]), np.int32([0, -1])).array.round(4)
        Array(0.6931, dtype=float32)
    """
    one_of("reduce", reduce, ("mean", "no"))
    one_of("soft_target_loss", soft_target_loss, ("cross-entropy", "kl-divergence"))
    if t.dtype.kind not in "iu" and jnp.issubdtype(t.dtype, jnp.floating):  # bfloat16 has a kind of its own
        return _soft_target_cross_entropy(x, t, reduce, soft_target_loss)
    if class_weight is not None:
        if isinstance(class_weight, Variable):
            raise ValueError("class_weight should be an array, not a Variable")
        if class_weight.ndim != 1:
            raise ValueError("class_weight.ndim should be 1")
        if not np.issubdtype(class_weight.dtype, np.floating):
            raise ValueError("The dtype of class_weight should be 'f'")
    if is_debug():
        check_labels("t", t, x.shape[1], ignore_label)
    return _softmax_cross_entropy(x, t, class_weight, bool(normalize), int(ignore_label), reduce)


@op(label="SigmoidCrossEntropy")
def _sigmoid_cross_entropy(
    x: Float[Array, "..."], t: Shaped[Array, "..."], normalize: bool, reduce: str
) -> Float[Array, "..."]:
    same_shape(x=x, t=t)
    integer("t", t)
    valid = t != -1
    positive = (x >= 0).astype(x.dtype)
    loss = -jnp.where(valid, x * (t.astype(x.dtype) - positive) - jnp.log1p(jnp.exp(-jnp.abs(x))), 0)
    if reduce == "no":
        return loss
    dtype = _sum_dtype(x)
    return (loss.astype(dtype).sum() / _count(valid, x.shape[0] if x.ndim else 1, normalize, dtype)).astype(x.dtype)


@_sigmoid_cross_entropy.vjp
def _(gy, y, x, t, normalize, reduce):
    valid = t != -1
    if reduce == "mean":
        gy = (gy / _count(valid, x.shape[0] if x.ndim else 1, normalize, gy.dtype)).astype(x.dtype)
    return jnp.where(valid, gy * (jax.nn.sigmoid(x) - t.astype(x.dtype)), 0), None


@composed
def sigmoid_cross_entropy(x, t, normalize: bool = True, reduce: str = "mean"):
    r"""Cross entropy of the sigmoid of scores, :math:`-t\log\sigma(x) - (1-t)\log(1-\sigma(x))`.

    Args:
        x: Scores, any shape, floating dtype.
        t: Labels 0 or 1, or -1 to ignore an element; integers of the same shape.
        normalize: Divide the sum by the number of elements that are not ignored; else by ``len(x)``.
        reduce: ``'mean'``, or ``'no'`` for the loss of each element.

    Returns:
        A scalar, or the shape of ``x``; dtype of ``x``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        ValueError: ``reduce`` is unknown.

    Source: elementary.

    Examples:
        >>> F.sigmoid_cross_entropy(np.float32([[0, 0]]), np.int32([[1, -1]])).array.round(4)
        Array(0.6931, dtype=float32)
    """
    one_of("reduce", reduce, ("mean", "no"))
    return _sigmoid_cross_entropy(x, t, bool(normalize), reduce)


@op(label="SquaredError")
def squared_error(x0: Float[Array, "..."], x1: Float[Array, "..."]) -> Float[Array, "..."]:
    """Square of the difference, element by element.

    Args:
        x0: Any shape, floating dtype.
        x1: Same shape and dtype.

    Returns:
        Same shape and dtype.

    Raises:
        InvalidType: Shapes or dtypes differ, or are not floating.

    Source: elementary.

    Examples:
        >>> F.squared_error(np.float32([1, 2]), np.float32([1, 5])).array
        Array([0., 9.], dtype=float32)
    """
    same_dtype(x0=x0, x1=x1)
    same_shape(x0=x0, x1=x1)
    return jnp.square(x0 - x1)


@composed
def squared_difference(x1, x2):
    """Same as `squared_error`.

    Args:
        x1: Any shape, floating dtype.
        x2: Same shape and dtype.

    Returns:
        Same shape and dtype.

    Source: elementary.

    Examples:
        >>> F.squared_difference(np.float32([1, 2]), np.float32([1, 5])).array
        Array([0., 9.], dtype=float32)
    """
    return squared_error(x1, x2)


@op(label="AbsoluteError")
def absolute_error(x0: Float[Array, "..."], x1: Float[Array, "..."]) -> Float[Array, "..."]:
    """Absolute value of the difference, element by element.

    Args:
        x0: Any shape, floating dtype.
        x1: Same shape and dtype.

    Returns:
        Same shape and dtype.

    At equal elements: gradient 0.

    Raises:
        InvalidType: Shapes or dtypes differ, or are not floating.

    Source: elementary.

    Examples:
        >>> F.absolute_error(np.float32([1, 2]), np.float32([1, 5])).array
        Array([0., 3.], dtype=float32)
    """
    same_dtype(x0=x0, x1=x1)
    same_shape(x0=x0, x1=x1)
    difference = x0 - x1
    return difference * jnp.sign(difference)  # and not abs, whose derivative at 0 is 1 in JAX


@op(label="MeanSquaredError")
def mean_squared_error(x0: Float[Array, "..."], x1: Float[Array, "..."]) -> Float[Array, ""]:
    """Mean of the squared differences.

    Args:
        x0: Any shape, floating dtype.
        x1: Same shape and dtype.

    Returns:
        A scalar of that dtype.

    Raises:
        InvalidType: Shapes or dtypes differ, or are not floating.

    Source: elementary.

    Examples:
        >>> F.mean_squared_error(np.float32([1, 2]), np.float32([1, 4])).array
        Array(2., dtype=float32)
    """
    same_dtype(x0=x0, x1=x1)
    same_shape(x0=x0, x1=x1)
    return jnp.square(x0 - x1).mean()


@op(label="MeanAbsoluteError")
def mean_absolute_error(x0: Float[Array, "..."], x1: Float[Array, "..."]) -> Float[Array, ""]:
    """Mean of the absolute differences.

    Args:
        x0: Any shape, floating dtype.
        x1: Same shape and dtype.

    Returns:
        A scalar of that dtype.

    At equal elements: gradient 0.

    Raises:
        InvalidType: Shapes or dtypes differ, or are not floating.

    Source: elementary.

    Examples:
        >>> F.mean_absolute_error(np.float32([1, 2]), np.float32([1, 4])).array
        Array(1., dtype=float32)
    """
    same_dtype(x0=x0, x1=x1)
    same_shape(x0=x0, x1=x1)
    difference = x0 - x1
    return (difference * jnp.sign(difference)).mean()  # and not abs, whose derivative at 0 is 1 in JAX


@op(label="HuberLoss")
def _huber_loss(x: Float[Array, "..."], t: Float[Array, "..."], delta: float, reduce: str) -> Float[Array, "..."]:
    same_dtype(x=x, t=t)
    same_shape(x=x, t=t)
    a = x - t
    bounded = jnp.where(a > delta, delta, jnp.where(a < -delta, -delta, a))
    clipped = jnp.where(jnp.isnan(delta), delta, bounded).astype(x.dtype)
    loss = clipped * (a - clipped / 2)  # a^2 / 2 inside, delta (|a| - delta / 2) outside; no square to overflow
    if reduce == "no":
        return loss
    with left_to_numpy():
        expect(x.ndim >= 2, "x.ndim >= 2", f"{x.ndim} < 2")
    return loss.sum(1)


@composed
def huber_loss(x, t, delta: float, reduce: str = "sum_along_second_axis"):
    r"""Quadratic near zero, linear far from it: less sensitive to outliers than the squared error.

    :math:`\frac12 a^2` where :math:`|a| \le \delta`, else :math:`\delta(|a| - \frac12\delta)`, with :math:`a = x - t`.

    Args:
        x: ``(n, k, ...)``, floating dtype.
        t: Same shape and dtype.
        delta: Where it becomes linear, not negative. Traced.
        reduce: ``'sum_along_second_axis'``, or ``'no'`` for the loss of each element.

    Returns:
        The second axis summed, or the shape of ``x``.

    Raises:
        InvalidType: Shapes or dtypes differ, or are not floating.
        ValueError: ``reduce`` is unknown, or ``delta`` is negative: then it would have no minimum.

    Source: Huber 1964, Robust estimation of a location parameter.

    Examples:
        >>> F.huber_loss(np.float32([[1, 5]]), np.float32([[0, 0]]), 1.0).array
        Array([5.], dtype=float32)
    """
    one_of("reduce", reduce, ("sum_along_second_axis", "no"))
    if delta < 0:
        raise ValueError(f"delta must not be negative, got {delta}")
    return _huber_loss(x, t, delta, reduce)
