"""Shared by all tests: the CPU unless JAX_PLATFORMS says otherwise, one compilation cache for all workers, `mode`."""

import gc
import os
import socket
import subprocess
import tempfile
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
if not os.environ["JAX_PLATFORMS"].startswith("cpu"):
    os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")  # not TensorFloat-32
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # several processes share the device
_cache = Path(tempfile.gettempdir()) / f"jaxchain-test-cache-{os.getuid()}"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_cache))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import jax
import pytest

import jaxchain
from jaxchain.core import arrays

arrays.OFTEN = 10**9  # else the tests that came before decide which one compiles for arrays of a shape


def pytest_runtest_setup(item):
    if item.get_closest_marker("cpu") and jax.default_backend() != "cpu":
        pytest.skip("JAX's default device is not a CPU")


def pytest_collection_finish(session):
    gc.collect()
    gc.freeze()  # thousands of tests are not looked at again and again


@pytest.fixture(params=["eager", "static"])
def mode(request):
    """The test runs once in each mode: `mode` is its name, and the configuration is set."""
    with jaxchain.using_config("mode", request.param):
        yield request.param


@pytest.fixture
def run_together():
    """Run commands at the same time: (command, folder, variables). Each has to print ``done`` in the end."""
    try:
        socket.gethostbyname(socket.gethostname())
    except OSError:
        pytest.skip("JAX's processes on CPUs find each other by the machine's name, which has no address here")

    def run(commands):
        every = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
        started = [
            subprocess.Popen(command, cwd=folder, env={**every, **variables}, stdout=-1, stderr=-1, text=True)
            for command, folder, variables in commands
        ]
        try:
            for process in started:
                out, error = process.communicate(timeout=200)
                assert process.returncode == 0 and out.endswith("done\n"), error[-3000:]
        finally:
            for process in started:
                process.kill()

    return run


@pytest.fixture(autouse=True)
def _seeded():
    jaxchain.seed(0)
