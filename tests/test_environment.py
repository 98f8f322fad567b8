"""Chainer's paths and names that ask about the surroundings."""

import io

import jax
import jax.numpy as jnp
import numpy as np

import jaxchain
import jaxchain.links as L
from jaxchain import configuration, variable


def test_paths_lead_to_the_same_objects():
    assert configuration.config is jaxchain.config and configuration.using_config is jaxchain.using_config
    assert variable.Parameter is jaxchain.Parameter
    assert issubclass(jaxchain.warnings.PerformanceWarning, Warning)


def test_array_types():
    assert jaxchain.get_array_types() == (np.ndarray, jax.Array)
    assert np.ndarray in jaxchain.get_cpu_array_types()
    assert jaxchain.is_arrays_compatible([np.ones(2), None])
    assert jaxchain.is_arrays_compatible([jnp.ones(2), jnp.ones(3)])
    assert not jaxchain.is_arrays_compatible([[1.0]])


def test_runtime_info_names_what_runs():
    out = io.StringIO()
    jaxchain.print_runtime_info(out)
    assert jax.__version__ in out.getvalue() and np.__version__ in out.getvalue()


def test_settings_of_cuda():
    assert jaxchain.get_compute_mode() is None
    assert jaxchain.should_use_cudnn(">=auto") is False
    assert jaxchain.mixed16 == "mixed16"
    assert jaxchain.get_dtype("mixed16") == np.float16


def test_in_mixed16_parameters_are_float16_and_those_of_normalizations_float32():
    x = np.linspace(-1, 1, 12, dtype=np.float16).reshape(4, 3)
    with jaxchain.using_config("dtype", jaxchain.mixed16):
        link, norm = L.Linear(None, 2, initial_bias=1), L.BatchNormalization(2)
        y = norm(link(x))
        assert (link.W.dtype, link.b.dtype, norm.gamma.dtype, norm.avg_mean.dtype) == ("f2", "f2", "f4", "f4")
        assert y.dtype == np.float16
        np.testing.assert_allclose(y.array[0], -y.array[-1], atol=2e-3)
        loaded = L.Linear(None, 2)
        jaxchain.serializers.NpzDeserializer({"W": np.ones((2, 3)), "b": np.zeros(2)}).load(loaded)
        assert loaded.W.dtype == np.float16 and float(loaded(x).array[0, 0]) == np.float16(x[0].sum())
    jaxchain.functions.sum(y).backward()
    assert link.W.grad.dtype == np.float16 and norm.gamma.grad.dtype == np.float32
