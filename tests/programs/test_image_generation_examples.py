"""The examples that generate images run in both modes with the same losses."""

from __future__ import annotations

import numpy as np
import pytest
from example_files import load


def logs(example, tmp_path):
    """Run an example's smoke test in both modes and return the logs."""
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    main = load(f"{example}/train.py").main
    return [main(["--smoke", "--mode", mode, "--out", str(tmp_path / mode)]) for mode in ("eager", "static")]


def column(log, key):
    return [float(entry[key]) for entry in log]


def test_vae(tmp_path):
    eager, static = logs("vae", tmp_path)
    assert len(eager) == 2
    losses = column(eager, "validation/main/loss")
    assert losses[1] < losses[0]
    for key in ("main/loss", "main/kl", "main/reconstruction", "validation/main/loss"):
        np.testing.assert_allclose(column(static, key), column(eager, key), rtol=1e-4)
    for name in ("digits.png", "loss.png"):
        assert (tmp_path / "static" / name).stat().st_size > 1000


@pytest.mark.slow
def test_dcgan(tmp_path):
    eager, static = logs("dcgan", tmp_path)
    assert len(eager) == 4
    for key in ("gen/loss", "dis/loss"):
        assert len(set(column(eager, key))) == 4  # both learn
        np.testing.assert_allclose(column(static, key), column(eager, key), rtol=1e-3)
    assert (tmp_path / "static" / "samples.png").stat().st_size > 1000
    assert (tmp_path / "static" / "snapshot_iter_4").exists()
