"""The examples of images, text, sequences and trees run in both modes with the same losses."""

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


@pytest.mark.parametrize("loop", ["custom", "trainer"])
def test_cnn(loop, tmp_path, capsys):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    pytest.importorskip("tqdm")
    main = load("cnn/train.py").main
    eager, static = (
        main(["--smoke", "--mode", mode, "--loop", loop, "--out", str(tmp_path / mode)]) for mode in ("eager", "static")
    )
    assert len(eager) == 2 and eager[1][0] < eager[0][0]
    np.testing.assert_allclose(np.asarray(static)[:, 0], np.asarray(eager)[:, 0], rtol=1e-4)
    np.testing.assert_allclose(np.asarray(static)[:, 1], np.asarray(eager)[:, 1], atol=0.04)  # two digits of 64
    for mode in ("eager", "static"):
        assert (tmp_path / mode / "mistakes.png").stat().st_size > 1000
        assert (tmp_path / mode / "log").exists() == (loop == "trainer")
    assert "test digits are wrong" in capsys.readouterr().out
