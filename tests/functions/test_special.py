"""Special functions where the rows cannot see: far arguments, where Chainer's own formulas lose digits or overflow."""

import jax
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
from jaxchain import Variable

# SciPy 1.10: scipy.special.erfcx
ERFCX = {
    4.9: 0.11287909055975874,
    5.1: 0.10861102631393281,
    9.3: 0.06032075148210422,
    11.9: 0.047245232484087664,
    12.1: 0.046469607339835,
    26.6: 0.02119517815916648,
    100.0: 0.005641613782989433,
    1e4: 5.641895807268084e-05,
}


def derivatives(function, x, n):
    """Return the function's derivatives of order 0 to n at the elements of an array."""
    x = Variable(np.asarray(x))
    out = [function(x)]
    for _ in range(n):
        (g,) = jaxchain.grad([F.sum(out[-1])], [x], enable_double_backprop=True)
        out.append(g)
    return [np.asarray(y.array) for y in out]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_erfcx_far_away(dtype):
    with jax.enable_x64(dtype == "float64"):
        x = np.array(list(ERFCX), dtype)
        y, slope = derivatives(F.erfcx, x, 1)
        np.testing.assert_allclose(y, list(ERFCX.values()), rtol=2e-6 if dtype == "float32" else 2e-14)
        # of y' = 2 (x y - 1 / sqrt(pi)) no digit is left in float32
        wide = x.astype(np.float64)
        series = -(1 - 1.5 / wide**2 + 3.75 / wide**4 - 13.125 / wide**6) / wide**2 / np.sqrt(np.pi)
        np.testing.assert_allclose(slope[2:], series[2:], rtol=2e-5)


# SciPy 1.10: scipy.special.erfinv, at numbers that float32 has
ERFINV = {
    0.75: 0.8134198475976185,
    0.984375: 1.7094723742995115,
    0.9998779296875: 2.716655240567082,
    0.9999998807907104: 3.7439211627767994,
    -0.9998779296875: -2.716655240567082,
}


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 4e-7), ("float64", 2e-15)])
def test_erfinv_keeps_its_digits_towards_the_ends(dtype, rtol):
    with jax.enable_x64(dtype == "float64"):
        np.testing.assert_allclose(F.erfinv(np.array(list(ERFINV), dtype)).array, list(ERFINV.values()), rtol=rtol)


@pytest.mark.parametrize(
    ("function", "points"),
    [
        (F.erf, [-30.0, 0.0, 30.0]),
        (F.erfc, [-30.0, 0.0, 30.0]),
        (F.erfcx, [-5.0, 0.0, 20.0, 1e4]),
        (F.erfinv, [-0.999, 0.0, 0.999]),
        (F.erfcinv, [1e-6, 1.0, 1.999]),
        (F.ndtr, [-30.0, 0.0, 30.0]),
        (F.ndtri, [1e-6, 0.5, 0.999]),
        (F.log_ndtr, [-1e4, -20.0, -1.0, 0.0, 1.0, 30.0, 1e4]),
        (F.lgamma, [-2.5, 0.5, 1.0, 1e4]),
        (F.digamma, [-2.5, 0.5, 1.0, 1e4]),
        (lambda x: F.polygamma(np.full(x.shape, 2, np.int32), x), [0.5, 1.0, 100.0]),
        (lambda x: F.zeta(2.5, x), [0.5, 1.0, 100.0]),
        (F.arctan, [-1e10, 0.0, 1e10]),
        (F.tan, [-1.5, 0.0, 1.5]),
        (F.expm1, [-100.0, 0.0, 10.0]),
        (F.rsqrt, [1e-3, 1.0, 1e4]),
    ],
    ids=[
        *("erf", "erfc", "erfcx", "erfinv", "erfcinv", "ndtr", "ndtri", "log_ndtr", "lgamma", "digamma"),
        *("polygamma", "zeta", "arctan", "tan", "expm1", "rsqrt"),
    ],
)
def test_three_derivatives_are_finite(function, points):
    for y in derivatives(function, np.float32(points), 3):
        assert np.isfinite(y).all()


def test_log_ndtr_to_third_order():
    """Against the closed forms in r = density / distribution: r, -r (x + r), r ((x + r)^2 - 1 + r (x + r))."""
    with jax.enable_x64(True):
        x = np.array([-3.0, -1.0, -0.1, 0.0, 0.1, 1.0, 3.0])
        _, r, second, third = derivatives(F.log_ndtr, x, 3)
    np.testing.assert_allclose(second, -r * (x + r), rtol=1e-9)
    np.testing.assert_allclose(third, r * ((x + r) ** 2 - 1 + r * (x + r)), rtol=1e-8)


def test_poles_are_scipys():
    x = np.float32([0.0, -0.0, -1.0])
    np.testing.assert_array_equal(F.digamma(x).array, [-np.inf, np.inf, np.nan])
    np.testing.assert_array_equal(F.zeta(3.0, x).array, [np.inf] * 3)
    np.testing.assert_array_equal(F.polygamma(np.int32([1, 2, 1]), x).array, [np.inf, -np.inf, np.inf])


def test_another_exponent_of_zeta_does_not_retrace_its_gradient():
    q = Variable(np.float32([1, 2]))
    slopes = [np.asarray(jaxchain.grad([F.sum(F.zeta(s, q))], [q])[0].array) for s in (2.0, 3.0)]
    assert not np.allclose(*slopes)
    for exponents in (np.float32([2, 3]), np.float64(2), 2, jax.numpy.float32(3)):
        (g,) = jaxchain.grad([F.sum(F.zeta(exponents, q))], [q])
        assert g.shape == (2,) and g.dtype == np.float32


@pytest.mark.parametrize("function", [F.inv, F.cholesky], ids=["inv", "cholesky"])
def test_what_lapack_cannot_do_raises_in_debug_mode(function):
    singular = np.zeros((2, 2), np.float32)
    assert not np.isfinite(function(singular).array).all()
    with jaxchain.using_config("debug", True), pytest.raises(ValueError, match=r"singular|definite"):
        function(singular)


def test_det_of_a_singular_matrix_has_a_gradient():
    a = Variable(np.float32([[1, 2], [2, 4]]))
    F.det(a).backward()
    np.testing.assert_allclose(a.grad, [[4, -2], [-2, 1]], rtol=1e-5)


def test_sparse_matrices_to_and_fro():
    from jaxchain.utils import CooMatrix, to_coo

    dense = np.float32([[[0, 2, 0], [-1, 0, 0]], [[1, 0, 3], [0, 0, 0]]])
    coo = to_coo(dense, ldnz=4, requires_grad=True)
    assert coo.data.shape == (2, 4) and coo.order == "C" and coo.shape == (2, 3)
    np.testing.assert_array_equal(coo.to_dense(), dense)
    b = np.float32(np.arange(12).reshape(2, 3, 2))
    y = F.sparse_matmul(coo, b)
    np.testing.assert_allclose(y.array, dense @ b)
    F.sum(y).backward()
    np.testing.assert_array_equal(coo.data.grad, [[5, 1, 0, 0], [13, 21, 0, 0]])
    step = jaxchain.static(lambda array: F.sparse_matmul(coo, array).array)
    np.testing.assert_allclose(step(b), dense @ b)
    places = coo.data.array, coo.row, coo.col
    made_inside = jaxchain.static(lambda *places: F.sparse_matmul(CooMatrix(*places, (2, 3)), b).array)
    np.testing.assert_allclose(made_inside(*places), dense @ b)
    ones = np.ones(2, np.float32)
    assert CooMatrix(ones, np.int32([1, 0]), np.int32([0, 1]), (2, 2)).order == "F"
    assert CooMatrix(ones, np.int32([1, 0]), np.int32([1, 0]), (2, 2)).order == "other"
    for arguments in (
        (ones, np.int32([0, 1]), np.int32([0]), (2, 2)),
        (ones, np.int32([0, -1]), np.int32([0, 1]), (2, 2)),
        (ones, np.int32([0, 1]), np.int32([0, 1]), (2, 0)),
        (ones, np.int32([0, 1]), np.int32([0, 1]), (2, 2), "Z"),
    ):
        with pytest.raises(ValueError):
            CooMatrix(*arguments)
    with pytest.raises(ValueError, match="CooMatrix"):
        F.sparse_matmul(b, b)


def test_plus_is_the_variable_itself():
    x = Variable(np.float32([1]))
    assert +x is x


# SciPy 1.10: scipy.special.polygamma(n, x), n from 0 to 3
POLYGAMMA = {
    -0.5: (0.03648997, 8.934802, -0.8287966, 193.4091),
    -7.25: (5.189977, 19.61035, 124.0085, 1558.541),
    -9.3: (4.565313, 14.97745, 68.82701, 769.0169),
    -20.3: (5.317561, 15.0314, 68.83582, 769.0281),
    -1000.7: (4.62627, 15.07926, -68.84693, 769.1398),
}


def test_polygamma_and_zeta_far_below_zero():
    """JAX sums ten terms of the series: the first ones alternate there, or are no longer the largest."""
    x, expected = np.float32([*POLYGAMMA]), np.float32([*POLYGAMMA.values()]).T
    _, *found = derivatives(F.lgamma, x, 3)
    for n, values in enumerate(expected):
        np.testing.assert_allclose(F.polygamma(np.int32([n]), x).array, values, rtol=1e-4, atol=1e-5)
        if n < 3:
            np.testing.assert_allclose(found[n], values, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(-2 * F.zeta(3, x).array, expected[2], rtol=1e-4, atol=1e-5)
