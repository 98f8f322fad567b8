"""Laws, bounds, dtypes and errors of the initializers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
from jaxchain import initializers as I

SHAPE = (60, 40, 5, 5)
FAN_IN, FAN_OUT = 1000, 1500
NORMALS = [
    (I.Normal(), 0.05),
    (I.Normal(2.0), 2.0),
    (I.LeCunNormal(), FAN_IN**-0.5),
    (I.LeCunNormal(3.0), 3 * FAN_IN**-0.5),
    (I.GlorotNormal(), (2 / (FAN_IN + FAN_OUT)) ** 0.5),
    (I.HeNormal(), (2 / FAN_IN) ** 0.5),
    (I.HeNormal(fan_option="fan_out"), (2 / FAN_OUT) ** 0.5),
]
UNIFORMS = [
    (I.Uniform(), 0.05),
    (I.LeCunUniform(), (3 / FAN_IN) ** 0.5),
    (I.GlorotUniform(), (6 / (FAN_IN + FAN_OUT)) ** 0.5),
    (I.HeUniform(2.0), 2 * (6 / FAN_IN) ** 0.5),
]
ALL = [i for i, _ in NORMALS + UNIFORMS]


@pytest.mark.parametrize(("initializer", "deviation"), NORMALS)
def test_normal(initializer, deviation):
    jaxchain.seed(0)
    a = np.asarray(I.generate_array(initializer, SHAPE)) / deviation
    assert abs(a.mean()) < 4 / a.size**0.5
    assert a.std() == pytest.approx(1, abs=0.01)
    assert (a**4).mean() == pytest.approx(3, abs=0.15)
    assert 3.5 < np.abs(a).max() < 6


@pytest.mark.parametrize(("initializer", "bound"), UNIFORMS)
def test_uniform(initializer, bound):
    jaxchain.seed(0)
    a = np.asarray(I.generate_array(initializer, SHAPE)) / bound
    assert np.abs(a).max() <= 1.000001 and a.max() > 0.999 and a.min() < -0.999
    assert a.std() == pytest.approx(3**-0.5, abs=0.01)


@pytest.mark.parametrize("initializer", ALL, ids=lambda i: type(i).__name__)
def test_same_seed_same_array(initializer):
    def draw():
        jaxchain.seed(5)
        return np.asarray(I.generate_array(initializer, (7, 3))), np.asarray(I.generate_array(initializer, (7, 3)))

    (a, b), (c, d) = draw(), draw()
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(b, d)
    assert (a != b).all()


@pytest.mark.parametrize("initializer", ALL, ids=lambda i: type(i).__name__)
def test_rng_is_used(initializer):
    own = type(initializer)(0.5, rng=np.random.RandomState(1))
    law = np.random.RandomState(1)
    other = type(initializer)(0.5, rng=np.random.RandomState(1))
    a, b = I.generate_array(own, (4, 3), np), I.generate_array(other, (4, 3), np)
    np.testing.assert_array_equal(a, b)
    if isinstance(initializer, I.Normal):
        np.testing.assert_allclose(a, law.normal(scale=0.5, size=(4, 3)), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, jnp.bfloat16])
@pytest.mark.parametrize("cls", [I.Normal, I.HeUniform, I.Orthogonal, I.Identity, I.Zero, I.One, I.NaN])
def test_dtypes(cls, dtype):
    a = I.generate_array(cls(dtype=dtype), (4, 4))
    assert isinstance(a, jax.Array) and a.dtype == dtype and not a.aval.weak_type
    assert I.generate_array(cls(), (4, 4), dtype=dtype).dtype == dtype
    with jaxchain.using_config("dtype", np.dtype(dtype)):
        assert I.generate_array(cls(), (4, 4)).dtype == dtype


def test_dtype_mismatch():
    with pytest.raises(ValueError, match="dtype mismatch: float16 != float32"):
        I.generate_array(I.Zero(dtype="float32"), 3, dtype="float16")


def test_constants():
    np.testing.assert_array_equal(I.generate_array(I.Constant(3), 2), [3, 3])
    np.testing.assert_array_equal(I.generate_array(I.Constant(np.arange(3)), (2, 3)), [[0, 1, 2]] * 2)
    np.testing.assert_array_equal(I.generate_array(I.Constant(jnp.arange(3)), (2, 3)), [[0, 1, 2]] * 2)
    np.testing.assert_array_equal(I.generate_array(I.Identity(2), (2, 2)), [[2, 0], [0, 2]])
    assert np.isnan(I.generate_array(I.NaN(), 2)).all()
    assert I.generate_array(I.One(), ()).shape == ()
    with pytest.raises(ValueError, match="2D squared"):
        I.generate_array(I.Identity(), (2, 3))
    with pytest.raises(ValueError, match="fill_value must be a scalar or an array, got list"):
        I.Constant([1])


def test_constant_copies_the_users_array():
    given = np.ones(3, np.float32)
    a = I.generate_array(I.Constant(given), 3)
    given[:] = 7
    np.testing.assert_array_equal(a, [1, 1, 1])


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 3, 2), (3, 2, 5)])
def test_orthogonal(shape):
    q = np.asarray(I.generate_array(I.Orthogonal(2.0), shape)).reshape(shape[0], -1)
    gram = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)


def test_orthogonal_is_uniform():
    jaxchain.seed(0)
    first = np.array([np.asarray(I.generate_array(I.Orthogonal(1.0), (3, 3)))[0, 0] for _ in range(300)])
    assert abs(first.mean()) < 0.12  # without the sign of R's diagonal the mean is far from 0
    assert (first**2).mean() == pytest.approx(1 / 3, abs=0.06)


@pytest.mark.parametrize(
    ("mode", "shape"), [("projection", (3, 2)), ("embedding", (2, 3)), ("basis", (2, 3)), ("basis", (3, 2))]
)
def test_orthogonal_modes(mode, shape):
    with pytest.raises(ValueError, match=f"Cannot make orthogonal {mode}"):
        I.generate_array(I.Orthogonal(mode=mode), shape)


def test_orthogonal_edges():
    assert abs(float(I.generate_array(I.Orthogonal(1.5), ()))) == 1.5
    with pytest.raises(ValueError, match="must be non-empty"):
        I.generate_array(I.Orthogonal(), (0, 3))
    with pytest.raises(ValueError, match="Invalid mode: 'x'"):
        I.Orthogonal(mode="x")
    q = I.generate_array(I.Orthogonal(1.0, rng=np.random.RandomState(0)), (2, 3), np)
    np.testing.assert_allclose(q @ q.T, np.eye(2), atol=1e-6)


def test_sampling_filters():
    up = np.asarray(I.generate_array(I.UpsamplingDeconvFilter(), (2, 2, 4)))
    np.testing.assert_allclose(up, [[[0.25, 0.75, 0.75, 0.25], [0] * 4], [[0] * 4, [0.25, 0.75, 0.75, 0.25]]])
    down = np.asarray(I.generate_array(I.DownsamplingConvFilter(), (3, 1, 3, 3)))
    np.testing.assert_allclose(down.sum((1, 2, 3)), 1)
    np.testing.assert_allclose(down[0, 0, 1], [0.125, 0.25, 0.125])
    with pytest.raises(ValueError, match="Unsupported interpolation"):
        I.UpsamplingDeconvFilter("cubic")


def test_fans():
    assert I.get_fans((3, 4)) == (4, 3)
    assert I.get_fans((3, 4, 5, 6)) == (120, 90)
    with pytest.raises(ValueError, match="length >= 2"):
        I.get_fans((3,))
    with pytest.raises(ValueError, match="must be tuple"):
        I.get_fans([3, 4])
    with pytest.raises(ValueError, match="fan_option"):
        I.generate_array(I.HeNormal(fan_option="fan"), (2, 2))


def test_user_callables_get_a_buffer():
    def fill(array):
        assert isinstance(array, np.ndarray) and array.dtype == np.float32
        array[...] = 4

    np.testing.assert_array_equal(I.generate_array(fill, (2,)), [4, 4])
    assert isinstance(I.generate_array(fill, (2,), np), np.ndarray)
    with pytest.raises(NotImplementedError, match="override __call__"):
        I.generate_array(I.Initializer(), 2)


def test_ours_fill_a_buffer_too():
    buffer = np.zeros((3, 4), np.float16)
    I.Normal(1.0)(buffer)
    assert buffer.all()
    with pytest.raises(TypeError, match="immutable"):
        I.Zero()(jnp.zeros(3))
    with pytest.raises(AssertionError, match="float16 != float32"):
        I.Zero(dtype=np.float32)(buffer)


def test_arguments_that_stand_for_initializers():
    assert isinstance(I._get_initializer(None), I.LeCunNormal)
    assert isinstance(I._get_initializer(3), I.Constant)
    assert isinstance(I._get_initializer(np.ones(2)), I.Constant)
    assert I._get_initializer(print) is print
    with pytest.raises(TypeError, match="invalid type of initializer"):
        I._get_initializer([3])


def test_concrete_inside_a_trace():
    seen = []

    @jax.jit
    def f(x):
        seen.append([I.generate_array(i, (3, 3)) for i in (I.LeCunNormal(), I.Constant(2), I.Orthogonal())])
        return x

    f(1.0)
    assert not any(isinstance(a, jax.core.Tracer) for a in seen[0])


def test_ops_and_initializers_draw_from_separate_streams():
    from jaxchain.core.random import next_key

    jaxchain.seed(1)
    a = np.asarray(next_key())
    jaxchain.seed(1)
    I.generate_array(I.Normal(), 3)
    np.testing.assert_array_equal(np.asarray(next_key()), a)
