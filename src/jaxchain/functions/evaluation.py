"""Measures of how good predictions are. No gradient flows through them."""

import jax.numpy as jnp
from jaxtyping import Float, Shaped

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, op
from jaxchain.functions.checks import integer, same_shape


@op(label="Accuracy")
def accuracy(y: Float[Array, "..."], t: Shaped[Array, "..."], ignore_label: int | None = None) -> Float[Array, ""]:
    """Share of samples whose largest score is at the label.

    Args:
        y: Scores ``(n, classes, ...)``, floating dtype.
        t: Labels ``(n, ...)``, integers.
        ignore_label: Samples with this label do not count; None counts all.

    Returns:
        A scalar, dtype of ``y``; 0 if no sample counts. At ties the first class is the prediction.

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: elementary.

    Examples:
        >>> F.accuracy(np.float32([[0, 1], [1, 0]]), np.int32([1, 1])).array
        Array(0.5, dtype=float32)
    """
    integer("t", t)
    expect(y.ndim >= t.ndim, "y.ndim >= t.ndim", f"{y.ndim} < {t.ndim}")
    expect(y.ndim >= 2, "y.ndim >= 2", f"{y.ndim} < 2")
    expect(y.shape[0] == t.shape[0], "y.shape[0] == t.shape[0]", f"{y.shape[0]} != {t.shape[0]}")
    inner = y.shape[2 : t.ndim + 1]
    expect(inner == t.shape[1:], "y.shape[2:t.ndim + 1] == t.shape[1:]", f"{inner} != {t.shape[1:]}")
    for i in range(t.ndim + 1, y.ndim):
        expect(y.shape[i] == 1, f"y.shape[{i}] == 1", f"{y.shape[i]} != 1")
    right = y.argmax(1).reshape(t.shape) == t
    if ignore_label is None:
        return right.mean().astype(y.dtype)
    counts = t != ignore_label
    return ((right & counts).sum() / jnp.maximum(counts.sum(), 1)).astype(y.dtype)


@op(label="BinaryAccuracy")
def binary_accuracy(y: Float[Array, "..."], t: Shaped[Array, "..."]) -> Float[Array, ""]:
    """Share of elements whose score has the sign that the label says.

    Args:
        y: Scores, any shape, floating dtype; 0 and above predict 1.
        t: Labels 0 or 1, or -1 to ignore an element; integers of the same shape.

    Returns:
        A scalar, dtype of ``y``; 0 if no element counts.

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: elementary.

    Examples:
        >>> F.binary_accuracy(np.float32([-2, 3]), np.int32([0, 0])).array
        Array(0.5, dtype=float32)
    """
    integer("t", t)
    same_shape(y=y, t=t)
    return (((y >= 0) == (t == 1)) & (t >= 0)).sum().astype(y.dtype) / jnp.maximum((t != -1).sum(), 1).astype(y.dtype)
