"""Sequences of varying lengths: padding them to one length, and taking them apart by time."""

from collections.abc import Sequence
from itertools import pairwise

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, op
from jaxchain.functions.checks import same_dtype
from jaxchain.functions.composed import composed
from jaxchain.functions.shape import filled, padded


@op(label="PadSequence")
def _pad_sequence(xs: Sequence[Array], length: int | None, padding: float) -> Array:
    for i, x in enumerate(xs):
        expect(x.ndim > 0, f"x{i}.ndim > 0", "0")
        same_dtype(**{"x0": xs[0], f"x{i}": x})
        expect(x.shape[1:] == xs[0].shape[1:], f"x{i}.shape[1:] == x0.shape[1:]", f"{x.shape[1:]} != {xs[0].shape[1:]}")
        if length is not None:
            expect(x.shape[0] <= length, f"x{i}.shape[0] <= length", f"{x.shape[0]} > {length}")
    return padded(xs, max(x.shape[0] for x in xs) if length is None else length, padding)


@composed
def pad_sequence(xs, length: int | None = None, padding: float = 0):
    """Pad arrays of varying lengths to one and stack them.

    Args:
        xs: Arrays ``(n_i, ...)`` of one dtype whose other axes agree.
        length: Length to pad to; None for the longest.
        padding: Value to pad with.

    Returns:
        ``(len(xs), length, ...)``.

    Raises:
        InvalidType: Dtypes or other axes differ, or an array is longer than ``length``.
        ValueError: ``xs`` is empty.

    Source: elementary.

    Examples:
        >>> F.pad_sequence([np.float32([1, 2]), np.float32([3])]).array
        Array([[1., 2.],
               [3., 0.]], dtype=float32)
    """
    return _pad_sequence(filled("pad_sequence", xs), length, padding)


@op(label="TransposeSequence")
def _transpose_sequence(xs: Sequence[Array]) -> tuple[Array, ...]:
    for i, x in enumerate(xs):
        expect(x.ndim > 0, f"x{i}.ndim > 0", x.ndim)
    for i, (p, n) in enumerate(pairwise(xs)):
        expect(p.shape[0] >= n.shape[0], f"x{i}.shape[0] >= x{i + 1}.shape[0]", f"{p.shape[0]} < {n.shape[0]}")
        expect(p.shape[1:] == n.shape[1:], f"x{i}.shape[1:] == x{i + 1}.shape[1:]", f"{p.shape[1:]} != {n.shape[1:]}")
    length = xs[0].shape[0]
    together = padded(xs, length, 0)
    return tuple(together[: sum(x.shape[0] > t for x in xs), t] for t in range(length))


@composed
def transpose_sequence(xs):
    """Turn a batch of sequences into a sequence of batches.

    Args:
        xs: Arrays ``(n_i, ...)``, longest first, whose other axes agree.

    Returns:
        Tuple of ``n_0`` arrays; the t-th stacks the t-th elements of all sequences that are long enough.

    Raises:
        InvalidType: The lengths increase, or other axes differ.

    Source: elementary.

    Examples:
        >>> [y.shape for y in F.transpose_sequence([np.zeros((3, 2), np.float32), np.zeros((1, 2), np.float32)])]
        [(2, 2), (1, 2), (1, 2)]
    """
    xs = list(xs)
    if not xs or xs[0].shape[:1] == (0,):
        return ()
    return _transpose_sequence(xs)
