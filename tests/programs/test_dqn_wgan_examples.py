"""The examples of reinforcement learning and of the gradient penalty run in both modes with the same losses."""

from __future__ import annotations

import importlib.util
import pathlib
import sys

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).parent.parent.parent / "examples"


def load(path):
    """Import an example's file as a module."""
    name = "example_" + path.replace("/", "_").removesuffix(".py")
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_wgan_gp(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    main = load("wgan_gp/train.py").main
    (eager, a), (static, b) = (
        main(["--smoke", "--mode", mode, "--out", str(tmp_path / mode)]) for mode in ("eager", "static")
    )
    assert len(eager) == 6
    distances, penalties = np.transpose(eager)
    assert distances[-1] > distances[0] and penalties[-1] < penalties[0]  # the critic learns, its gradient grows to one
    np.testing.assert_allclose(static, eager, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    for name in ("samples.png", "distance.png"):
        assert (tmp_path / "static" / name).stat().st_size > 1000
