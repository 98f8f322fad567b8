"""Measures of how good predictions are. No gradient flows through them."""

from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Shaped

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, op
from jaxchain.core.variable import as_array
from jaxchain.functions.checks import integer, one_of, same_shape
from jaxchain.functions.composed import composed


def _scores_and_labels(y: Array, t: Array) -> None:
    """Raise `InvalidType` unless y is (n, classes, ...) and t is (n, ...), integers."""
    integer("t", t)
    expect(y.ndim >= t.ndim, "y.ndim >= t.ndim", f"{y.ndim} < {t.ndim}")
    expect(y.ndim >= 2, "y.ndim >= 2", f"{y.ndim} < 2")
    expect(y.shape[0] == t.shape[0], "y.shape[0] == t.shape[0]", f"{y.shape[0]} != {t.shape[0]}")
    inner = y.shape[2 : t.ndim + 1]
    expect(inner == t.shape[1:], "y.shape[2:t.ndim + 1] == t.shape[1:]", f"{inner} != {t.shape[1:]}")
    for i in range(t.ndim + 1, y.ndim):
        expect(y.shape[i] == 1, f"y.shape[{i}] == 1", f"{y.shape[i]} != 1")


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
    _scores_and_labels(y, t)
    right = y.argmax(1).reshape(t.shape) == t
    if ignore_label is None:
        return right.mean(dtype=jnp.promote_types(y.dtype, jnp.float32)).astype(y.dtype)
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


@op(label="ClassificationSummary", name="classification_summary")
def _summary(
    y: Float[Array, "..."], t: Shaped[Array, "..."], beta: float, label_num: int, ignore_label: int | None
) -> tuple[Array, Array, Array, Array]:
    _scores_and_labels(y, t)
    out = jnp.asarray(label_num, "int32")  # the bin of what does not count
    ignored = jnp.zeros(t.size, bool) if ignore_label is None else t.ravel() == ignore_label
    true = jnp.where(ignored, out, t.ravel().astype("int32"))
    prediction = jnp.where(ignored, out, y.argmax(1).ravel().astype("int32"))

    def count(labels: Array) -> Array:
        # a scatter: `bincount` would count negative labels as 0
        return jnp.zeros(label_num, int).at[jnp.where(labels < 0, out, labels)].add(1, mode="drop")

    support, relevant = count(true), count(prediction)
    hits = count(jnp.where(prediction == true, true, out))
    precision, recall = hits / relevant, hits / support
    square = jnp.asarray(beta * beta).astype(precision.dtype)
    fbeta = (1 + square) * precision * recall / (square * precision + recall)
    return precision, recall, fbeta, support


def _summarise(y: Any, t: Any, label_num: int | None, beta: float, ignore_label: int | None) -> tuple[Any, ...]:
    if label_num is None:
        label_num = int(as_array(t).max()) + 1
    return _summary(y, t, beta, int(label_num), None if ignore_label is None else int(ignore_label))


@composed
def classification_summary(y, t, label_num: int | None = None, beta: float = 1.0, ignore_label: int | None = -1):
    r"""Precision, recall, F-beta score and number of samples of each class.

    Args:
        y: Scores ``(n, classes, ...)``, floating dtype.
        t: Labels ``(n, ...)``, integers.
        label_num: How many classes; None: the largest label plus one, which is read off ``t`` here.
        beta: Weight of recall in the F-beta score. Traced: changing it does not recompile.
        ignore_label: Samples with this label do not count; None counts all.

    Returns:
        Precision, recall, F-beta score (floating; NaN for 0 / 0) and support (integers), each ``(label_num,)``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: van Rijsbergen 1979: :math:`F_\beta = (1 + \beta^2) P R / (\beta^2 P + R)`.

    Examples:
        >>> precision, recall, fbeta, support = F.classification_summary(
        ...     np.float32([[0, 1], [1, 0], [1, 0]]), np.int32([1, 1, 0])
        ... )
        >>> precision.array, recall.array, support.array
        (Array([0.5, 1. ], dtype=float32), Array([1. , 0.5], dtype=float32), Array([1, 2], dtype=int32))
    """
    return _summarise(y, t, label_num, beta, ignore_label)


@composed
def precision(y, t, label_num: int | None = None, ignore_label: int | None = -1):
    """Share of the predictions of each class that are right.

    Args:
        y: Scores ``(n, classes, ...)``, floating dtype.
        t: Labels ``(n, ...)``, integers.
        label_num: How many classes; None: the largest label plus one, which is read off ``t`` here.
        ignore_label: Samples with this label do not count; None counts all.

    Returns:
        The precision (floating; NaN for 0 / 0) and the support (integers), each ``(label_num,)``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: van Rijsbergen 1979.

    Examples:
        >>> score, support = F.precision(np.float32([[0, 1], [1, 0], [1, 0]]), np.int32([1, 1, 0]))
        >>> score.array
        Array([0.5, 1. ], dtype=float32)
    """
    found = _summarise(y, t, label_num, 1.0, ignore_label)
    return found[0], found[3]


@composed
def recall(y, t, label_num: int | None = None, ignore_label: int | None = -1):
    """Share of the samples of each class that are found.

    Args:
        y: Scores ``(n, classes, ...)``, floating dtype.
        t: Labels ``(n, ...)``, integers.
        label_num: How many classes; None: the largest label plus one, which is read off ``t`` here.
        ignore_label: Samples with this label do not count; None counts all.

    Returns:
        The recall (floating; NaN for 0 / 0) and the support (integers), each ``(label_num,)``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: van Rijsbergen 1979.

    Examples:
        >>> score, support = F.recall(np.float32([[0, 1], [1, 0], [1, 0]]), np.int32([1, 1, 0]))
        >>> score.array
        Array([1. , 0.5], dtype=float32)
    """
    found = _summarise(y, t, label_num, 1.0, ignore_label)
    return found[1], found[3]


@composed
def f1_score(y, t, label_num: int | None = None, ignore_label: int | None = -1):
    """Harmonic mean of precision and recall of each class.

    Args:
        y: Scores ``(n, classes, ...)``, floating dtype.
        t: Labels ``(n, ...)``, integers.
        label_num: How many classes; None: the largest label plus one, which is read off ``t`` here.
        ignore_label: Samples with this label do not count; None counts all.

    Returns:
        The f1 score (floating; NaN for 0 / 0) and the support (integers), each ``(label_num,)``.

    Raises:
        InvalidType: Shapes or dtypes do not fit.

    Source: van Rijsbergen 1979.

    Examples:
        >>> score, support = F.f1_score(np.float32([[0, 1], [0, 1], [1, 0]]), np.int32([1, 1, 0]))
        >>> score.array
        Array([1., 1.], dtype=float32)
    """
    found = _summarise(y, t, label_num, 1.0, ignore_label)
    return found[2], found[3]


@op(label="R2_score")
def _r2_score(pred: Float[Array, "..."], true: Float[Array, "..."], multioutput: str) -> Float[Array, "..."]:
    same_shape(pred=pred, true=true)
    pred, true = lax.stop_gradient(pred), lax.stop_gradient(true)
    residual = jnp.square(pred - true).sum(0)
    total = jnp.square(true - true.mean(0, keepdims=True)).sum(0)
    score = jnp.where(total == 0, 0, 1 - residual / jnp.where(total == 0, 1, total)).astype(pred.dtype)
    return score.mean() if multioutput == "uniform_average" else score


@composed
def r2_score(pred, true, sample_weight: None = None, multioutput: str = "uniform_average"):
    r"""Coefficient of determination, :math:`1 - \sum (t - p)^2 / \sum (t - \bar t)^2` over the first axis.

    Args:
        pred: Predictions ``(n, ...)``, floating dtype.
        true: What they should be, same shape.
        sample_weight: Only None.
        multioutput: ``"uniform_average"`` for the mean over the outputs, ``"raw_values"`` for each.

    Returns:
        A scalar, or the shape of ``pred`` without its first axis; 0 where ``true`` does not vary.

    Raises:
        InvalidType: Shapes differ, or dtypes are not floating.
        NotImplementedError: ``sample_weight`` is given.
        ValueError: ``multioutput`` is unknown.

    Source: Wright 1921, Correlation and causation.

    Examples:
        >>> F.r2_score(np.float32([1, 2, 3]), np.float32([1, 2, 3])).array
        Array(1., dtype=float32)
    """
    if sample_weight is not None:
        raise NotImplementedError("r2_score: sample_weight must be None")
    one_of("multioutput", multioutput, ("uniform_average", "raw_values"))
    return _r2_score(pred, true, multioutput)
