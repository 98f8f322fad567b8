"""Parallel updaters on several devices: XLA is told to split the host's CPU into four."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).parent / "program_parallel.py"


@pytest.mark.parametrize("mode_", ["eager", "static"])
def test_four_devices(tmp_path, mode_):
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(PROGRAM), mode_, str(tmp_path / "out")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0 and run.stdout.endswith("done\n"), run.stderr[-3000:]
