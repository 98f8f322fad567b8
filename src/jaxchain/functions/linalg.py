"""Linear algebra: products over chosen axes, inverse, determinant, Cholesky factor. `matmul` is in arithmetic.py.

Half precision is computed in float32 where LAPACK is behind it.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from jaxchain.core.config import is_debug, using_config
from jaxchain.core.errors import InvalidType, expect
from jaxchain.core.guard import holds
from jaxchain.core.op import Array, Key, op
from jaxchain.core.variable import Variable
from jaxchain.functions import shape
from jaxchain.functions.checks import left_to_numpy, same_dtype
from jaxchain.functions.composed import composed
from jaxchain.functions.half import at_least_single, in_single
from jaxchain.utils.sparse import CooMatrix

# -- products ---------------------------------------------------------------------------------------------------------


@op(label="BatchL2NormSquared")
def batch_l2_norm_squared(x: Float[Array, "..."]) -> Float[Array, "n"]:
    r"""Squared Euclidean norm of each sample, :math:`\sum_j x_{ij}^2`.

    Args:
        x: ``(n, ...)``, floating dtype; the axes after the first are taken as one.

    Returns:
        ``(n,)``, same dtype.

    Raises:
        InvalidType: ``x`` has less than two axes, or is not floating.

    Source: elementary.

    Examples:
        >>> F.batch_l2_norm_squared(np.float32([[3, 4], [1, 0]])).array
        Array([25.,  1.], dtype=float32)
    """
    expect(x.ndim >= 2, "x.ndim >= 2", f"{x.ndim} < 2")
    return jnp.square(x).sum(tuple(range(1, x.ndim)))


@op(label="BatchMatMul")
def _batch_matmul(a: Float[Array, "..."], b: Float[Array, "..."], transa: bool, transb: bool) -> Float[Array, "n i j"]:
    same_dtype(a=a, b=b)
    for name, x in (("a", a), ("b", b)):
        expect(2 <= x.ndim <= 3, f"2 <= {name}.ndim <= 3", x.ndim)
    a, b = (x if x.ndim == 3 else x[:, :, None] for x in (a, b))
    a = a.swapaxes(1, 2) if transa else a
    b = b.swapaxes(1, 2) if transb else b
    with left_to_numpy():
        expect(a.shape[0] == b.shape[0], "a.shape[0] == b.shape[0]", f"{a.shape[0]} != {b.shape[0]}")
    expect(a.shape[2] == b.shape[1], "columns of a == rows of b", f"{a.shape[2]} != {b.shape[1]}")
    return a @ b


@composed
def batch_matmul(a, b, transa: bool = False, transb: bool = False):
    """Matrix products of two batches. Deprecated, as in Chainer: `matmul` does the same and more.

    Args:
        a: ``(n, i, k)``, or ``(n, i)`` for matrices of one column.
        b: ``(n, k, j)``, or ``(n, k)`` for matrices of one column.
        transa: Transpose each matrix of ``a`` first.
        transb: Transpose each matrix of ``b`` first.

    Returns:
        ``(n, i, j)``, same dtype.

    Raises:
        InvalidType: Sizes or dtypes do not fit.

    Source: elementary.

    Examples:
        >>> import warnings
        >>> with warnings.catch_warnings(action="ignore"):
        ...     F.batch_matmul(np.float32([[1, 2]]), np.float32([[3, 4]]), transa=True).array
        Array([[[11.]]], dtype=float32)
    """
    warnings.warn("batch_matmul is deprecated. Use matmul instead.", DeprecationWarning, stacklevel=2)
    return _batch_matmul(a, b, bool(transa), bool(transb))


@op(label="TensorDot")
def _tensordot(
    a: Float[Array, "..."], b: Float[Array, "..."], a_axes: tuple[int, ...], b_axes: tuple[int, ...]
) -> Float[Array, "..."]:
    return jnp.tensordot(a, b, (a_axes, b_axes))


def _axes_of(axes: Any) -> tuple[int, ...]:
    return (int(axes),) if isinstance(axes, int | np.integer) else tuple(int(i) for i in axes)


@composed
def tensordot(a, b, axes: Any = 2):
    """Sum of products over chosen axes of two arrays.

    Args:
        a: Any shape, floating dtype.
        b: Any shape, floating dtype.
        axes: How many axes: the last of ``a``, the first of ``b``. Or a pair: the axes of ``a``, the axes of ``b``.

    Returns:
        The other axes of ``a``, then the other axes of ``b``.

    Raises:
        InvalidType: An input is not floating.
        TypeError: ``axes`` is neither an int nor a pair.
        ValueError: The numbers of axes or their sizes differ.

    Source: as `numpy.tensordot`.

    Examples:
        >>> F.tensordot(np.float32([[1, 2]]), np.float32([[3], [4]]), axes=1).array
        Array([[11.]], dtype=float32)
    """
    if isinstance(axes, Sequence) and not isinstance(axes, str):
        if len(axes) != 2:
            raise ValueError(f"tensordot: axes must be a pair of sequences of integers, got {axes!r}")
        a_axes, b_axes = _axes_of(axes[0]), _axes_of(axes[1])
    elif isinstance(axes, int | np.integer):
        a_axes, b_axes = tuple(range(a.ndim - int(axes), a.ndim)), tuple(range(int(axes)))
    else:
        raise TypeError(f"tensordot: axes must be an integer or a pair of sequences of integers, got {axes!r}")
    if len(a_axes) != len(b_axes):
        raise ValueError(f"tensordot: axes count mismatch: {a_axes} of a, {b_axes} of b")
    if a.ndim < len(a_axes) or b.ndim < len(b_axes):
        raise ValueError(f"tensordot: {len(a_axes)} axes, but a.ndim = {a.ndim} and b.ndim = {b.ndim}")
    sizes = [a.shape[i] for i in a_axes], [b.shape[i] for i in b_axes]
    if sizes[0] != sizes[1]:
        raise ValueError(f"tensordot: shape mismatch: {sizes[0]} along {a_axes} of a, {sizes[1]} along {b_axes} of b")
    return _tensordot(a, b, tuple(i % a.ndim for i in a_axes), tuple(i % b.ndim for i in b_axes))


# -- inverse, determinant, factors ------------------------------------------------------------------------------------


def _square(name: str, x: Array, ndim: int) -> None:
    expect(x.ndim == ndim, f"{name}.ndim == {ndim}", f"{x.ndim} != {ndim}")
    with left_to_numpy():
        expect(x.shape[-2] == x.shape[-1], f"{name}.shape[-2] == {name}.shape[-1]", f"{x.shape[-2]} != {x.shape[-1]}")


def _inverse_slope(gy: Array, y: Array) -> Array:
    yt = y.swapaxes(-1, -2)
    return -(yt @ gy @ yt)


@op(label="Inv")
def _inv(a: Float[Array, "..."]) -> Float[Array, "n n"]:
    _square("a", a, 2)
    return in_single(jnp.linalg.inv)(a)


@op(label="BatchInv")
def _batch_inv(a: Float[Array, "..."]) -> Float[Array, "m n n"]:
    _square("a", a, 3)
    return in_single(jnp.linalg.inv)(a)


@_inv.vjp
@_batch_inv.vjp
def _(gy, y, a):
    return _inverse_slope(gy, y)


def _checked(name: str, call: Callable[[Any], Variable], a: Any, what: str) -> Variable:
    """Return ``call(a)``; in debug mode raise ValueError where LAPACK could not compute it."""
    if not is_debug():
        return call(a)
    with using_config("debug", False):  # else the engine's own check reports the NaN, and not what it means
        out = call(a)
    if not holds(jnp.isfinite(out.array)):
        raise ValueError(f"{name}: {what}")
    return out


@composed
def inv(a):
    """Inverse of a matrix.

    Args:
        a: ``(n, n)``, floating dtype.

    Returns:
        ``(n, n)``, same dtype. The gradient is read off the output. A singular matrix gives inf or NaN; in debug mode
        it raises.

    Raises:
        InvalidType: ``a`` is no square matrix, or not floating.
        ValueError: In debug mode, ``a`` is singular.

    Source: LAPACK getrf, getrs.

    Examples:
        >>> F.inv(np.float32([[2, 0], [0, 4]])).array
        Array([[0.5 , 0.  ],
               [0.  , 0.25]], dtype=float32)
    """
    return _checked("inv", _inv, a, "input has singular matrices")


@composed
def batch_inv(a):
    """Inverse of each matrix of a batch.

    Args:
        a: ``(m, n, n)``, floating dtype.

    Returns:
        ``(m, n, n)``, same dtype; see `inv`.

    Raises:
        InvalidType: ``a`` is no batch of square matrices, or not floating.
        ValueError: In debug mode, a matrix is singular.

    Source: LAPACK getrf, getrs.

    Examples:
        >>> F.batch_inv(np.float32([[[2]], [[4]]])).array.ravel()
        Array([0.5 , 0.25], dtype=float32)
    """
    return _checked("batch_inv", _batch_inv, a, "input has singular matrices")


@op(label="det")
def batch_det(a: Float[Array, "..."]) -> Float[Array, "m"]:
    """Determinant of each matrix of a batch.

    Args:
        a: ``(m, n, n)``, floating dtype.

    Returns:
        ``(m,)``, same dtype.

    At singular matrices: the gradient is the matrix of cofactors, as elsewhere (Chainer raises).

    Raises:
        InvalidType: ``a`` is no batch of square matrices, or not floating.

    Source: LAPACK getrf.

    Examples:
        >>> F.batch_det(np.float32([[[2, 0], [0, 4]]])).array
        Array([8.], dtype=float32)
    """
    _square("a", a, 3)
    return in_single(jnp.linalg.det)(a) if a.shape[1] else jnp.ones(a.shape[:1], a.dtype)


@composed
def det(a):
    """Determinant of a matrix.

    Args:
        a: ``(n, n)``, floating dtype.

    Returns:
        A scalar, same dtype; see `batch_det`.

    Raises:
        InvalidType: ``a`` is no square matrix, or not floating.

    Source: LAPACK getrf.

    Examples:
        >>> F.det(np.float32([[2, 0], [0, 4]])).array
        Array(8., dtype=float32)
    """
    return shape.reshape(batch_det(shape.reshape(a, (1, a.shape[0], a.shape[1]))), ())


@op
def _cholesky(a: Float[Array, "..."]) -> Float[Array, "n n"]:
    _square("a", a, 2)
    return in_single(lambda x: lax.linalg.cholesky(x, symmetrize_input=False))(a)


@_cholesky.vjp
def _(gy, y, a):
    # Murray 2016, arXiv:1602.07527, eq. 10: y^-T Phi(y^T gy) y^-1, made symmetric.
    y, gy = at_least_single(y), at_least_single(gy)
    half = jnp.tril(y.T @ gy)
    half = half - jnp.diag(jnp.diag(half)) / 2
    left = lax.linalg.triangular_solve(y, half, left_side=True, lower=True, transpose_a=True)
    s = lax.linalg.triangular_solve(y, left, left_side=False, lower=True)
    return ((s + s.T) / 2).astype(a.dtype)


@composed
def cholesky(a):
    r"""Lower triangular :math:`L` with :math:`L L^\top = a`.

    Args:
        a: ``(n, n)``, positive definite, floating dtype; only the lower triangle is read.

    Returns:
        ``(n, n)``, same dtype. The gradient is symmetric, and read off the output. A matrix that is not positive
        definite gives NaN; in debug mode it raises.

    Raises:
        InvalidType: ``a`` is no square matrix, or not floating.
        ValueError: In debug mode, ``a`` is not positive definite (Chainer: NumPy's LinAlgError, a ValueError).

    Source: LAPACK potrf; gradient: Murray 2016, arXiv:1602.07527.

    Examples:
        >>> F.cholesky(np.float32([[4, 0], [0, 9]])).array
        Array([[2., 0.],
               [0., 3.]], dtype=float32)
    """
    return _checked("cholesky", _cholesky, a, "matrix is not positive definite")


# -- sparse -----------------------------------------------------------------------------------------------------------


@op(label="CooMatMul", name="sparse_matmul")
def _coo_matmul(
    sp: Float[Array, "..."],
    dn: Float[Array, "..."],
    row: Key,
    col: Key,
    size: tuple[int, int],
    transa: bool,
    transb: bool,
    transc: bool,
) -> Float[Array, "..."]:
    """Return sparse times dense; `transc` gives the transpose. Products are added where their row says."""
    expect(2 <= dn.ndim <= 3, "2 <= dn.ndim <= 3", dn.ndim)
    expect(sp.ndim == dn.ndim - 1, "sp.ndim == dn.ndim - 1", f"{sp.ndim} != {dn.ndim - 1}")
    if transa:
        row, col, size = col, row, (size[1], size[0])
    if transb:
        dn = dn.swapaxes(-1, -2)
    expect(size[1] == dn.shape[-2], "columns of sp == rows of dn", f"{size[1]} != {dn.shape[-2]}")
    dtype = jnp.result_type(sp, dn)
    used = row >= 0
    if sp.ndim == 1:
        products = jnp.where(used, sp, 0)[:, None] * dn[col]
        out = jnp.zeros((size[0], dn.shape[-1]), dtype).at[jnp.where(used, row, size[0])].add(products, mode="drop")
    else:
        expect(sp.shape[0] == dn.shape[0], "sp.shape[0] == dn.shape[0]", f"{sp.shape[0]} != {dn.shape[0]}")
        batch = jnp.arange(sp.shape[0])[:, None]
        products = jnp.where(used, sp, 0)[:, :, None] * dn[batch, col]
        out = jnp.zeros((sp.shape[0], size[0], dn.shape[-1]), dtype)
        out = out.at[batch, jnp.where(used, row, size[0])].add(products, mode="drop")
    return out.swapaxes(-1, -2) if transc else out


def _places(sp: CooMatrix) -> tuple[Any, Any]:
    """Return the rows and columns as int32."""
    if not sp.data.shape == sp.row.shape == sp.col.shape:
        raise InvalidType(
            "sp.data.shape == sp.row.shape == sp.col.shape",
            f"{sp.data.shape}, {sp.row.shape}, {sp.col.shape}",
            "Invalid operation is performed in: CooMatMul (Forward)",
        )
    return sp.row.astype(np.int32), sp.col.astype(np.int32)


@composed
def sparse_matmul(a, b, transa: bool = False, transb: bool = False):
    """Product of a sparse and a dense matrix, in either order, or of batches of them.

    Args:
        a: Left factor ``(m, k)`` or ``(batch, m, k)``: a `utils.CooMatrix`, or a dense array.
        b: Right factor ``(k, n)`` or ``(batch, k, n)``: dense if ``a`` is sparse, sparse if ``a`` is dense.
        transa: Transpose ``a`` first.
        transb: Transpose ``b`` first.

    Returns:
        ``(m, n)`` or ``(batch, m, n)``, dense. Gradients flow to the dense factor, and to the entries of the sparse one
        if it was made with ``requires_grad=True``.

    Raises:
        InvalidType: Sizes do not fit, or dtypes are not floating.
        ValueError: Both factors are sparse, or none.

    Source: elementary.

    Examples:
        >>> from jaxchain.utils import to_coo
        >>> a = to_coo(np.float32([[0, 2], [-1, 0]]))
        >>> F.sparse_matmul(a, np.float32([[1, 2], [3, 4]])).array
        Array([[ 6.,  8.],
               [-1., -2.]], dtype=float32)
    """
    transa, transb = bool(transa), bool(transb)
    if isinstance(a, CooMatrix) == isinstance(b, CooMatrix):
        raise ValueError("sparse_matmul: one of a and b must be a CooMatrix, the other a dense array")
    if isinstance(a, CooMatrix):
        return _coo_matmul(a.data, b, *_places(a), tuple(a.shape), transa, transb, False)
    # (a b)^T = b^T a^T: the sparse factor first
    return _coo_matmul(b.data, a, *_places(b), tuple(b.shape), not transb, not transa, True)
