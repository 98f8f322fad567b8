"""Discrete Fourier transforms of pairs (real part, imaginary part)."""

from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from jaxchain.core.errors import expect
from jaxchain.core.op import Array, op
from jaxchain.functions.checks import left_to_numpy, same_dtype, same_shape
from jaxchain.functions.composed import composed
from jaxchain.functions.half import at_least_single


@op(label="FFT")
def _fft(real: Float[Array, "..."], imag: Float[Array, "..."], method: str) -> tuple[Array, Array]:
    expect(real.ndim > 0, "real.ndim > 0", real.ndim)
    with left_to_numpy():
        expect(real.shape[-1] > 0, "real.shape[-1] > 0", real.shape[-1])
    same_shape(real=real, imag=imag)
    same_dtype(real=real, imag=imag)
    y = getattr(jnp.fft, method)(lax.complex(at_least_single(real), at_least_single(imag)))
    return y.real.astype(real.dtype), y.imag.astype(imag.dtype)


@composed
def fft(x: Any):
    r"""Discrete Fourier transform along the last axis, :math:`y_k = \sum_j x_j e^{-2 \pi i j k / n}`.

    Args:
        x: A pair ``(real, imag)`` of arrays ``(..., n)`` of one floating dtype.

    Returns:
        A pair of the same shape and dtype. Half precision is computed in float32.

    Raises:
        InvalidType: Shapes or dtypes differ or are not floating, or the arrays are scalars.

    Source: Cooley and Tukey 1965.

    Examples:
        >>> real, imag = F.fft((np.float32([1, 0]), np.float32([0, 0])))
        >>> real.array, imag.array
        (Array([1., 1.], dtype=float32), Array([0., 0.], dtype=float32))
    """
    real, imag = x
    return _fft(real, imag, "fft")


@composed
def ifft(x: Any):
    r"""Inverse of `fft`, :math:`y_k = \frac1n \sum_j x_j e^{2 \pi i j k / n}`.

    Args:
        x: A pair ``(real, imag)`` of arrays ``(..., n)`` of one floating dtype.

    Returns:
        A pair of the same shape and dtype. Half precision is computed in float32.

    Raises:
        InvalidType: Shapes or dtypes differ or are not floating, or the arrays are scalars.

    Source: Cooley and Tukey 1965.

    Examples:
        >>> real, imag = F.ifft((np.float32([1, 1]), np.float32([0, 0])))
        >>> real.array
        Array([1., 0.], dtype=float32)
    """
    real, imag = x
    return _fft(real, imag, "ifft")
