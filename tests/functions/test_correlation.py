"""The forms of a convolution that are fast on CPU give what XLA's own convolution gives, and so do their gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxchain.functions.correlation import correlate, filters_gradient, transposed

rng = np.random.default_rng(0)
CASES = {  # shape of x, shape of W, stride, padding, dilation, groups
    "each channel": ((2, 4, 6, 5), (4, 1, 3, 3), (1, 1), [(1, 1), (1, 1)], (1, 1), 4),
    "each channel, two results": ((2, 3, 6, 5), (6, 1, 3, 2), (2, 1), [(1, 0), (0, 2)], (1, 2), 3),
    "each channel, one axis, cut off": ((2, 3, 9), (3, 1, 2), (3,), [(0, -1)], (2,), 3),
    "each channel, a large filter": ((1, 2, 9, 9), (2, 1, 9, 9), (1, 1), [(4, 4), (4, 4)], (1, 1), 2),
    "groups": ((2, 6, 5, 6), (4, 3, 3, 3), (2, 1), [(1, 2), (1, 1)], (1, 1), 2),
    "many groups": ((2, 80, 4, 5), (40, 2, 3, 2), (1, 2), [(1, 1), (0, 1)], (1, 1), 40),
    "three axes": ((2, 3, 5, 4, 6), (4, 3, 3, 2, 3), (2, 1, 1), [(1, 0), (1, 1), (0, 2)], (1, 2, 1), 1),
    "three axes, groups": ((2, 4, 5, 4, 4), (6, 2, 2, 2, 2), (1, 1, 2), [(1, 1), (0, 0), (1, 0)], (2, 1, 1), 2),
}


OTHER_TYPES = [(name, dtype) for name in ("each channel", "groups") for dtype in ("float16", "float64")]


@pytest.mark.parametrize(("name", "dtype"), [*((name, "float32") for name in CASES), *OTHER_TYPES])
def test_values_and_gradients_are_those_of_xlas_convolution(name, dtype):
    x_shape, W_shape, stride, padding, dilate, groups = CASES[name]
    with jax.enable_x64(dtype == "float64"):
        x, W = (jnp.asarray(rng.standard_normal(s), dtype) for s in (x_shape, W_shape))

        def plain(x, W):
            return lax.conv_general_dilated(x, W, stride, padding, rhs_dilation=dilate, feature_group_count=groups)

        def ours(x, W):
            return correlate(x, W, stride, padding, dilate, groups)

        @functools.partial(jax.jit, static_argnums=0)
        def run(function, x, W, gy):
            y, pull = jax.vjp(function, x, W)
            return y, *pull(gy)

        gy = jnp.asarray(rng.standard_normal(jax.eval_shape(plain, x, W).shape), dtype)
        expected, got = run(plain, x, W, gy), run(ours, x, W, gy)
        back = jax.jit(lambda gy, W: transposed(gy, W, x_shape, stride, padding, dilate, groups))(gy, W)
        tolerance = {2: 2e-2, 4: 2e-5, 8: 1e-12}[np.dtype(dtype).itemsize]
        for a, b in zip((*got, back), (*expected, expected[1]), strict=True):
            assert a.dtype == b.dtype == dtype
            np.testing.assert_allclose(
                np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=tolerance, atol=tolerance * 8
            )


PLAIN = {  # without groups, over one and two axes: XLA's own kernel, but for the gradient of the filters
    "a product for each sample": ((2, 3, 9, 8), (4, 3, 3, 2), (1, 1), [(1, 0), (0, 1)], (1, 1)),
    "stride, dilation, an end unused": ((2, 3, 12, 11), (2, 3, 2, 3), (3, 2), [(1, -1), (0, 2)], (2, 1)),
    "one product": ((3, 20, 5, 4), (24, 20, 3, 2), (1, 1), [(1, 1), (1, 1)], (1, 1)),
    "one axis": ((2, 3, 30), (4, 3, 5), (2,), [(2, 2)], (1,)),
    "no samples": ((0, 3, 6, 6), (2, 3, 3, 3), (1, 1), [(1, 1), (1, 1)], (1, 1)),
    "fewer places than elements": ((2, 3, 5, 5), (4, 3, 5, 5), (1, 1), [(0, 0), (1, 0)], (1, 1)),
}
PLAIN_TYPES = [
    pytest.param(name, dtype, marks=[pytest.mark.slow] * (i > 0))
    for i, name in enumerate(list(PLAIN)[:4])
    for dtype in ("float16", "bfloat16", "float64")
]


@pytest.mark.parametrize(("name", "dtype"), [*((name, "float32") for name in PLAIN), *PLAIN_TYPES])
def test_the_filters_gradient_and_its_derivatives_are_those_of_xlas_convolution(name, dtype):
    x_shape, W_shape, *rest = PLAIN[name]
    with jax.enable_x64(dtype == "float64"):
        x, W, v = (jnp.asarray(rng.standard_normal(s), dtype) for s in (x_shape, W_shape, W_shape))
        stride, padding, dilate = rest
        gy = jnp.asarray(rng.standard_normal(jax.eval_shape(lambda x, W: correlate(x, W, *rest, 1), x, W).shape), dtype)

        def plain(x, gy):
            return jax.vjp(lambda W: lax.conv_general_dilated(x, W, stride, padding, rhs_dilation=dilate), W)[1](gy)[0]

        def ours(x, gy):
            return filters_gradient(x, gy, W.shape, *rest, 1)

        @functools.partial(jax.jit, static_argnums=0)
        def run(function, x, gy, v):
            gW, pull = jax.vjp(function, x, gy)
            return gW, *pull(v)

        tolerance = {2: 2e-2, 4: 2e-5, 8: 1e-12}[np.dtype(dtype).itemsize]
        for a, b in zip(run(ours, x, gy, v), run(plain, x, gy, v), strict=True):
            assert a.dtype == b.dtype == dtype
            np.testing.assert_allclose(
                np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=tolerance, atol=tolerance * 8
            )


@pytest.mark.cpu
def test_the_filters_gradient_is_made_of_products_unless_the_result_has_few_places():
    def program(name):
        x_shape, W_shape, *rest = PLAIN[name]
        x = jnp.zeros(x_shape)
        gy = jnp.zeros(jax.eval_shape(lambda x, W: correlate(x, W, *rest, 1), x, jnp.zeros(W_shape)).shape)
        return str(jax.make_jaxpr(lambda x, gy: filters_gradient(x, gy, W_shape, *rest, 1))(x, gy))

    for name in PLAIN:
        assert ("conv_general_dilated" in program(name)) == (name == "fewer places than elements")
