"""Chainer's paths and names that ask about the surroundings."""

import io

import jax
import jax.numpy as jnp
import numpy as np

import jaxchain
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
