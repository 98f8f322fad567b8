"""Losses that look at distances, margins and covariances between samples."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Shaped

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, op
from jaxchain.functions.checks import integer, one_of, same_dtype, same_shape
from jaxchain.functions.composed import composed


def _positive(x: Array) -> Array:
    """Return max(x, 0) with gradient 0 at 0; NaN stays."""
    return jnp.where(x <= 0, 0, x)


def _root(x: Array) -> Array:
    """Return the square root, with gradient 0 at 0."""
    return jnp.where(x == 0, 0, jnp.sqrt(jnp.where(x == 0, 1, x)))


def _mean_or_all(loss: Array, reduce: str) -> Array:
    return loss.sum() / loss.shape[0] if reduce == "mean" else loss


def _check_margin(margin: Any) -> None:
    if margin <= 0:
        raise ValueError(f"margin should be positive value, got {margin}")


@op(label="Contrastive")
def _contrastive(
    x0: Float[Array, "n k"], x1: Float[Array, "n k"], y: Shaped[Array, " n"], margin: float, reduce: str
) -> Float[Array, "..."]:
    same_dtype(x0=x0, x1=x1)
    integer("y", y)
    expect(x0.shape[0] > 0, "x0.shape[0] > 0", 0)
    squared = jnp.square(x0 - x1).sum(1)
    gap = _positive(margin - _root(squared))
    return _mean_or_all((y * squared + (1 - y) * gap * gap).astype(x0.dtype) * 0.5, reduce)


@_contrastive.vjp
def _(gy, out, x0, x1, y, margin, reduce):
    # Chainer's: the direction away from a sample that is very near is damped. 1e-7 is 0 in float16.
    least = 5e-3 if x0.dtype == jnp.float16 else 1e-7
    difference = x0 - x1
    squared = jnp.square(difference).sum(1)
    gap = _positive(margin - _root(squared))
    apart = (1 - y) * gap / jnp.sqrt(jnp.where(squared > least**2, squared, least**2))
    g = (y - apart) * (gy / len(y) if reduce == "mean" else gy)
    gx = g.astype(x0.dtype)[:, None] * difference
    return gx, -gx, None


@composed
def contrastive(x0, x1, y, margin: float = 1, reduce: str = "mean"):
    r"""Contrastive loss: pulls similar pairs together and pushes others apart, up to a margin.

    :math:`\frac12 (y d^2 + (1 - y) \max(margin - d, 0)^2)` with :math:`d = \|x_0 - x_1\|_2`.

    Args:
        x0: Samples ``(n, k)``, floating dtype, ``n`` at least 1.
        x1: The other samples of the pairs, same shape and dtype.
        y: Labels ``(n,)``, integers: 1 for a similar pair, 0 for another.
        margin: Distance from which other pairs cost nothing. Traced.
        reduce: ``'mean'``, or ``'no'`` for the loss of each pair.

    Returns:
        A scalar, or ``(n,)`` if ``reduce`` is ``'no'``.

    At equal samples: gradient 0.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        ValueError: ``margin`` is not positive, or ``reduce`` is unknown.

    Source: Hadsell et al. 2006, Dimensionality reduction by learning an invariant mapping.

    Examples:
        >>> F.contrastive(np.float32([[0, 0]]), np.float32([[3, 4]]), np.int32([1])).array
        Array(12.5, dtype=float32)
    """
    _check_margin(margin)
    one_of("reduce", reduce, ("mean", "no"))
    return _contrastive(x0, x1, y, margin, reduce)


@op(label="Triplet")
def _triplet(
    anchor: Float[Array, "..."],
    positive: Float[Array, "..."],
    negative: Float[Array, "..."],
    margin: float,
    reduce: str,
) -> Float[Array, "..."]:
    same_dtype(anchor=anchor, positive=positive, negative=negative)
    same_shape(anchor=anchor, positive=positive, negative=negative)
    expect(anchor.ndim >= 2, "anchor.ndim >= 2", f"{anchor.ndim} < 2")
    expect(anchor.shape[0] > 0, "anchor.shape[0] > 0", 0)
    return _mean_or_all(_positive(_nearer(anchor, positive, negative) + margin), reduce)


def _nearer(anchor: Array, positive: Array, negative: Array) -> Array:
    return (jnp.square(anchor - positive) - jnp.square(anchor - negative)).sum(1)


@_triplet.vjp
def _(gy, y, anchor, positive, negative, margin, reduce):
    # Left to itself the anchor's gradient is a difference of two distances: far from both samples no digit is left.
    loss = _nearer(anchor, positive, negative) + margin
    _, pullback = jax.vjp(lambda loss: _mean_or_all(_positive(loss), reduce), loss)
    g = 2 * pullback(gy)[0][:, None]
    return g * (negative - positive), g * (positive - anchor), g * (anchor - negative)


@composed
def triplet(anchor, positive, negative, margin: float = 0.2, reduce: str = "mean"):
    r"""Triplet loss: a sample should be nearer to its like than to another, by a margin.

    :math:`\max(\|a - p\|^2 - \|a - n\|^2 + margin, 0)`.

    Args:
        anchor: Samples ``(n, k)``, floating dtype, ``n`` at least 1.
        positive: Samples like the anchors, same shape and dtype.
        negative: Samples unlike them, same shape and dtype.
        margin: By how much nearer. Traced.
        reduce: ``'mean'``, or ``'no'`` for the loss of each triplet.

    Returns:
        A scalar, or ``(n,)`` if ``reduce`` is ``'no'``.

    At 0: gradient 0.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        ValueError: ``margin`` is not positive, or ``reduce`` is unknown.

    Source: Wang et al. 2014, arXiv:1404.4661.

    Examples:
        >>> F.triplet(np.float32([[0]]), np.float32([[2]]), np.float32([[1]]), margin=1).array
        Array(4., dtype=float32)
    """
    _check_margin(margin)
    one_of("reduce", reduce, ("mean", "no"))
    return _triplet(anchor, positive, negative, margin, reduce)


@op(label="Hinge")
def _hinge(x: Float[Array, "n k"], t: Shaped[Array, " n"], norm: str, reduce: str) -> Float[Array, "..."]:
    integer("t", t)
    k = x.shape[1]
    at = jnp.where(t < 0, t + k, t)
    sign = jnp.where(jnp.arange(k) == at[:, None], -1, 1).astype(x.dtype)
    loss = _positive(1 + sign * x)
    # A label out of range gives nan: a loss that is wrong and looks right is worse.
    loss = jnp.where(((at >= 0) & (at < k))[:, None], loss if norm == "L1" else loss * loss, jnp.nan)
    return _mean_or_all(loss, reduce)


@composed
def hinge(x, t, norm: str = "L1", reduce: str = "mean"):
    r"""Hinge loss of one class against the rest, :math:`\sum_k \max(0, 1 - s_k x_k)^p`, s = 1 at the label, else -1.

    Args:
        x: Scores ``(n, k)``, floating dtype.
        t: Labels ``(n,)``, integers in [0, k); negative ones count from the end.
        norm: ``'L1'`` for p = 1, ``'L2'`` for p = 2.
        reduce: ``'mean'`` over the samples, or ``'no'`` for the loss of each element.

    Returns:
        A scalar, or ``(n, k)`` if ``reduce`` is ``'no'``; dtype of ``x``. A label out of range gives NaN.

    At the margin: gradient 0.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        NotImplementedError: ``norm`` is unknown.
        ValueError: ``reduce`` is unknown.

    Source: Crammer and Singer 2001; elementary.

    Examples:
        >>> F.hinge(np.float32([[-2, 3, 0.5]]), np.int32([1])).array
        Array(1.5, dtype=float32)
    """
    if norm not in ("L1", "L2"):
        raise NotImplementedError(f"norm should be either 'L1' or 'L2', got {norm!r}")
    one_of("reduce", reduce, ("mean", "no"))
    return _hinge(x, t, norm, reduce)


def _half_square(covariance: Array, reduce: str) -> Array:
    return covariance if reduce == "no" else jnp.square(covariance).sum() * 0.5


@op(label="CrossCovariance")
def _cross_covariance(y: Float[Array, "n i"], z: Float[Array, "n j"], reduce: str) -> Float[Array, "..."]:
    same_dtype(y=y, z=z)
    return _half_square((y - y.mean(0)).T @ (z - z.mean(0)) / y.shape[0], reduce)


@composed
def cross_covariance(y, z, reduce: str = "half_squared_sum"):
    r"""Covariance between two groups of features, as a penalty: :math:`\frac12 \sum_{ij} C_{ij}^2`.

    Args:
        y: Samples ``(n, i)``, floating dtype.
        z: Samples ``(n, j)``, same dtype.
        reduce: ``'half_squared_sum'``, or ``'no'`` for the matrix.

    Returns:
        A scalar, or ``(i, j)`` if ``reduce`` is ``'no'``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.
        ValueError: ``reduce`` is unknown.

    Source: Cheung et al. 2014, arXiv:1412.6583.

    Examples:
        >>> F.cross_covariance(np.float32([[0], [2]]), np.float32([[0, 0], [2, 4]]), reduce="no").array
        Array([[1., 2.]], dtype=float32)
    """
    one_of("reduce", reduce, ("half_squared_sum", "no"))
    return _cross_covariance(y, z, reduce)


def _off_diagonal(matrix: Array) -> Array:
    return jnp.where(jnp.eye(len(matrix), dtype=bool), 0, matrix)


@op(label="DeCov")
def _decov(h: Float[Array, "n k"], reduce: str) -> Float[Array, "..."]:
    centred = h - h.mean(0)
    return _half_square(_off_diagonal(centred.T @ centred / h.shape[0]), reduce)


@_decov.vjp
def _(gy, y, h, reduce):
    # The matrix is symmetric: one product where the derived gradient has two, one of them transposed.
    centred = h - h.mean(0)
    g = gy * (centred.T @ centred / h.shape[0]) if reduce == "half_squared_sum" else gy
    g = _off_diagonal(g)
    return centred @ (g + g.T) / h.shape[0]


@composed
def decov(h, reduce: str = "half_squared_sum"):
    r"""Covariance between different features, as a penalty: :math:`\frac12 \sum_{i \ne j} C_{ij}^2`.

    Args:
        h: Samples ``(n, k)``, floating dtype.
        reduce: ``'half_squared_sum'``, or ``'no'`` for the matrix, its diagonal 0.

    Returns:
        A scalar, or ``(k, k)`` if ``reduce`` is ``'no'``.

    Raises:
        InvalidType: ``h`` is not a floating matrix.
        ValueError: ``reduce`` is unknown.

    Source: Cogswell et al. 2015, arXiv:1511.06068.

    Examples:
        >>> F.decov(np.float32([[1, 2], [3, 5]])).array
        Array(2.25, dtype=float32)
    """
    one_of("reduce", reduce, ("half_squared_sum", "no"))
    return _decov(h, reduce)


@op(
    label="DiscriminativeMarginBasedClusteringLoss",
    name="discriminative_margin_based_clustering_loss",
)
def _clustering(
    embeddings: Float[Array, "n c h w"],
    labels: Shaped[Array, "n h w"],
    delta_v: float,
    delta_d: float,
    norm: int,
    alpha: float,
    beta: float,
    gamma: float,
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    def size(x: Array, axis: Any) -> Array:
        return (x * jnp.sign(x)).sum(axis) if norm == 1 else _root(jnp.square(x).sum(axis))

    n, count = embeddings.shape[:2]
    dtype = embeddings.dtype
    ids = jnp.arange(1, count + 1).reshape(-1, 1, 1, 1)
    mask = (labels == ids).astype(dtype)[:, :, None]  # (instance, n, 1, h, w)
    mean = (embeddings * mask).sum((3, 4)) / jnp.maximum(mask.sum((2, 3, 4)), 1)[:, :, None]
    regular = size(mean, (1, 2)).sum() / (count * n)
    spread = jnp.square(_positive(size((mean[..., None, None] - embeddings) * mask, 2) - delta_v)).sum((1, 2, 3))
    variance = (spread / jnp.maximum(mask.sum((1, 2, 3, 4)), 1)).sum() / count
    a, b = jnp.triu_indices(count, 1)
    near = jnp.square(_positive(2 * delta_d - size(mean[a] - mean[b], 2))).sum() / max(len(a) * n, 1)
    return tuple((w * x).astype(dtype) for w, x in ((alpha, variance), (beta, near), (gamma, regular)))  # pyright: ignore[reportReturnType]


@composed
def discriminative_margin_based_clustering_loss(
    embeddings,
    labels,
    delta_v: float,
    delta_d: float,
    max_embedding_dim: int,
    norm: int = 1,
    alpha: float = 1.0,
    beta: float = 1.0,
    gamma: float = 0.001,
):
    """Loss for instance segmentation: pixels of an instance come together, the means of instances go apart.

    Args:
        embeddings: An embedding for each pixel, ``(n, max_embedding_dim, h, w)``, floating dtype.
        labels: Instance of each pixel, ``(n, h, w)``, integers from 1 to ``max_embedding_dim``; others do not count.
        delta_v: Distance from its mean up to which a pixel costs nothing. Traced.
        delta_d: Half the distance between two means from which they cost nothing. Traced.
        max_embedding_dim: Number of channels, and of instances at most.
        norm: 1 or 2: how distances are measured.
        alpha: Weight of the first loss. Traced.
        beta: Weight of the second. Traced.
        gamma: Weight of the third. Traced.

    Returns:
        Three scalars: distances of pixels from their mean, nearness of the means, size of the means.

    At distance 0: gradient 0 (Chainer's is NaN for ``norm=2``).

    Raises:
        AssertionError: ``embeddings`` has another number of channels.
        InvalidType: Shapes or dtypes do not fit.
        ValueError: ``max_embedding_dim`` is not positive, or ``norm`` is neither 1 nor 2.

    Source: De Brabandere et al. 2017, arXiv:1708.02551.

    Examples:
        >>> x, t = np.zeros((1, 2, 1, 2), np.float32), np.int32([[[1, 2]]])
        >>> [float(y.array) for y in F.discriminative_margin_based_clustering_loss(x, t, 0.5, 1.0, 2)]
        [0.0, 4.0, 0.0]
    """
    if max_embedding_dim <= 0:
        raise ValueError("Max number of embeddings has to be positive!")
    if norm not in (1, 2):
        raise ValueError(f"For discriminative loss, norm can only be 1 or 2. Obtained the value : {norm}")
    if embeddings.shape[1] != max_embedding_dim:
        raise AssertionError(
            "discriminative_margin_based_clustering_loss: expected embeddings.shape[1] == max_embedding_dim, "
            f"got {embeddings.shape[1]} != {max_embedding_dim}"
        )
    return _clustering(embeddings, labels, delta_v, delta_d, int(norm), alpha, beta, gamma)
