"""Fully connected layers and embeddings."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Shaped

from jaxchain.core.config import is_debug
from jaxchain.core.errors import expect, user_line
from jaxchain.core.guard import holds
from jaxchain.core.op import Array, op
from jaxchain.core.variable import as_array, as_variable
from jaxchain.functions.checks import integer, same_dtype
from jaxchain.functions.composed import composed
from jaxchain.functions.shape import reshape


@op(label="LinearFunction")
def _linear(x: Float[Array, "n i"], W: Float[Array, "o i"], b: Float[Array, " o"] | None = None) -> Float[Array, "n o"]:
    y = (
        lax.dot_general(x, W, (((1,), (1,)), ((), ()))).astype(x.dtype)
        if x.dtype == W.dtype
        else (x @ W.T).astype(x.dtype)
    )
    if b is None:
        return y
    same_dtype(b=b, x=x)
    return y + b


def linear(x, W, b=None, n_batch_axes: int = 1):
    r"""Affine map, :math:`y = x W^\top + b`.

    Args:
        x: ``(n, i)``, or any shape whose axes after the batch axes have ``i`` elements; they are flattened.
        W: Weight ``(o, i)``.
        b: Bias ``(o,)``, dtype of ``x``, or None.
        n_batch_axes: Number of leading axes that are kept.

    Returns:
        The batch axes, then ``o``; dtype of ``x``.

    Raises:
        InvalidType: Sizes do not fit, or a dtype is not floating.
        ValueError: ``n_batch_axes`` is not positive.

    Source: elementary.

    Examples:
        >>> F.linear(np.float32([[1, 2]]), np.float32([[1, 1], [0, 1]]), np.float32([0, 10])).array
        Array([[ 3., 12.]], dtype=float32)
    """
    if n_batch_axes <= 0:
        raise ValueError(f"linear: n_batch_axes should be greater than 0, got {n_batch_axes}\nat {user_line()}")
    if n_batch_axes == 1 and getattr(x, "ndim", 0) <= 2:  # the usual call: the op looks at what came
        return _linear(x, W, b)
    x = as_variable(x)
    batch = x.shape[:n_batch_axes]
    y = _linear(reshape(x, (math.prod(batch), math.prod(x.shape[n_batch_axes:]))), W, b)
    return y if n_batch_axes == 1 else reshape(y, (*batch, y.shape[-1]))


@op(label="EmbedIDFunction")
def _embed_id(x: Shaped[Array, "..."], W: Float[Array, "v d"], ignore_label: int | None) -> Float[Array, "... d"]:
    integer("x", x)
    expect(x.ndim >= 1, "x.ndim >= 1", f"{x.ndim} < 1")
    y = W.at[x].get(mode="fill", fill_value=jnp.nan)  # out of range: nan, and no gradient
    return y if ignore_label is None else jnp.where((x == ignore_label)[..., None], 0, y)


@composed
def embed_id(x, W, ignore_label: int | None = None):
    """Rows of a table, chosen by integers.

    Args:
        x: Integer array of any shape but a scalar.
        W: Table ``(v, d)``.
        ignore_label: This value gives zeros and no gradient.

    Returns:
        ``x.shape`` and ``d``; dtype of ``W``. A value out of range gives NaN; in debug mode it raises.

    Raises:
        InvalidType: ``x`` is not an integer array, or ``W`` not a floating matrix.
        ValueError: In debug mode, a value is out of range.

    Source: elementary.

    Examples:
        >>> F.embed_id(np.array([1, 0]), np.float32([[1, 2], [3, 4]])).array
        Array([[3., 4.],
               [1., 2.]], dtype=float32)
    """
    if is_debug():
        check_labels("x", x, W.shape[0], ignore_label)
    return _embed_id(x, W, ignore_label)


def check_labels(name: str, labels, n: int, ignore_label: int | None) -> None:
    """Raise ValueError if a label is outside [0, n) and is not ignored."""
    labels = as_array(labels)
    labels = labels if isinstance(labels, jax.Array) else np.asarray(labels)
    valid = (labels >= 0) & (labels < n)
    if ignore_label is not None:
        valid |= labels == ignore_label
    if not holds(valid):
        raise ValueError(f"Each label `{name}` need to satisfy `0 <= {name} < {n}` or `{name} == {ignore_label}`")
