"""Several devices, of which XLA makes two of the host's CPU: what moves, and what follows."""

import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Variable
from jaxchain.backends import cuda
from jaxchain.backends import cupy as cupy_module

HERE = pathlib.Path(__file__).parent


def run(devices, program, *arguments):
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(HERE / program), *arguments]
    run = subprocess.run(command, env={**os.environ, **flags}, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0 and run.stdout.endswith("done\n"), run.stderr[-3000:]


WAYS = ("eager", "static", "link")
EVERY = [pytest.param(how, "every", marks=pytest.mark.slow) for how in WAYS]


@pytest.mark.parametrize(("how", "optimizers"), [*((how, "some") for how in WAYS), *EVERY])
def test_a_program_on_two_devices(how, optimizers):
    run(2, "program_devices.py", how, optimizers)


def test_a_program_of_two_processes(tmp_path, run_together):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(HERE / "program_processes.py"), str(port)]
    run_together([([*command, rank, str(tmp_path)], tmp_path, {}) for rank in "01"])


def test_a_program_on_a_mesh_with_explicit_axes():
    run(4, "program_mesh.py")


# -- cuda.cupy ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def accelerator(monkeypatch):
    monkeypatch.setattr(cupy_module, "accelerators", jax.devices)


@pytest.mark.skipif(cuda.available, reason="there is an accelerator")
def test_without_an_accelerator_there_is_no_cupy():
    assert not cuda.cupy and "not available" in repr(cuda.cupy)
    with pytest.raises(cuda.CupyUnavailable, match=r"cupy\.zeros: CuPy is not available"):
        cuda.cupy.zeros(3)


def test_with_one_cupy_is_the_module_of_jaxs_arrays(accelerator):
    xp = cuda.cupy
    assert xp and repr(xp) == "<cupy: jax.numpy>"
    x = xp.arange(6, dtype=xp.float32).reshape(2, 3)
    assert isinstance(x, xp.ndarray) and isinstance(x, jax.Array)
    np.testing.assert_array_equal(xp.asnumpy(xp.maximum(x, 2)), [[2, 2, 2], [3, 4, 5]])
    assert isinstance(xp.asnumpy(x), np.ndarray)
    assert xp.get_array_module(np.ones(2)) is np and xp.get_array_module(x) is jax.numpy
    assert xp.cuda.Stream is cuda.Stream
    for name in ("ElementwiseKernel", "RawKernel", "no_such_function"):
        with pytest.raises(cuda.CupyUnavailable, match=name):
            getattr(xp, name)


def test_cupys_random_numbers_are_a_stream_of_their_own(accelerator):
    np.random.seed(3)
    cuda.cupy.random.seed(1)
    drawn = cuda.cupy.random.uniform(-1, 1, (2, 2), dtype=np.float32)
    assert isinstance(drawn, jax.Array) and drawn.dtype == np.float32
    np.testing.assert_allclose(drawn, np.random.RandomState(1).uniform(-1, 1, (2, 2)), rtol=1e-6)
    assert np.random.rand() == np.random.RandomState(3).rand()
    assert type(cuda.cupy.random.randint(5)) is int
    with pytest.raises(AttributeError, match="no gaussian"):
        cuda.cupy.random.gaussian(3)


# -- what of JAX's configuration is in a program -----------------------------------------------------------------------


@pytest.fixture
def usual_precision():
    with jax.default_matmul_precision(None):
        yield


def test_a_change_of_jaxs_precision_is_not_missed(usual_precision):
    low = "BF16_BF16_F32"  # CPUs compute it as they do any other
    x = Variable(np.ones((2, 3), np.float32))
    link = L.Linear(3, 2)

    def backward_text():
        y = link(x)
        return y.creator.plan.pullback(None, ()).compiled.lower(x.array, link.W.array, y.array).as_text()

    assert "bf16" not in backward_text()
    with jax.default_matmul_precision(low):
        assert "bf16" in backward_text()
    assert "bf16" not in backward_text()

    step = jaxchain.static(lambda x: F.sum(link(x)))
    step(x)
    with jax.default_matmul_precision(low):
        step(x), step(x)
        assert "bf16" in step.lower(x).as_text()
    step(x), step(x)
    compiles = step.explain().compiles
    assert [c.reason for c in compiles] == ["first call", f"jax_default_matmul_precision was None, is {low}"]
    assert [c.variant.hits for c in compiles] == [3, 2]
    assert str(step.explain())  # lowers each program as it was traced


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64")
def test_a_change_of_jaxs_width_is_not_missed():
    step = jaxchain.static(lambda x: F.cast(x, np.float64))
    x = np.ones(2, np.float32)
    assert step(Variable(x)).dtype == np.float32
    with jax.enable_x64(True):
        assert step(Variable(x)).dtype == np.float64
    assert step(Variable(x)).dtype == np.float32
    assert [c.reason for c in step.explain().compiles] == ["first call", "jax_enable_x64 was False, is True"]
    assert str(step.explain())


def test_programs_without_products_are_kept_apart_by_precision_too(usual_precision):
    step = jaxchain.static(lambda x: F.relu(x))
    x = Variable(np.ones(2, np.float32))
    for _ in range(3):
        step(x)
        with jax.default_matmul_precision("highest"):
            step(x)
    assert len(step.explain().compiles) == 2
