"""The examples of images, text, sequences and trees run in both modes with the same losses."""

from __future__ import annotations

import numpy as np
import pytest
from example_files import load


def test_cnn(tmp_path, capsys):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    pytest.importorskip("tqdm")
    main = load("cnn/train.py").main
    runs = [("eager", "custom"), ("static", "custom"), ("static", "trainer")]
    logs = [
        np.asarray(main(["--smoke", "--mode", mode, "--loop", loop, "--out", str(tmp_path / mode / loop)]))
        for mode, loop in runs
    ]
    losses, accuracies = logs[0].T
    assert len(losses) == 2 and losses[1] < losses[0]
    for log in logs[1:]:  # the Trainer does what the loop does
        np.testing.assert_allclose(log[:, 0], losses, rtol=1e-4)
        np.testing.assert_allclose(log[:, 1], accuracies, atol=0.04)  # two digits of 64
    for mode, loop in runs:
        assert (tmp_path / mode / loop / "mistakes.png").stat().st_size > 1000
        assert (tmp_path / mode / loop / "log").exists() == (loop == "trainer")
    assert "test digits are wrong" in capsys.readouterr().out


def test_char_lm(tmp_path):
    pytest.importorskip("tqdm")
    main = load("char_lm/train.py").main
    (eager, a, text), (static, b, again) = (
        main(["--smoke", "--mode", mode, "--out", str(tmp_path / mode)]) for mode in ("eager", "static")
    )
    assert len(eager) > 100 and np.mean(eager[-10:]) < 0.9 * np.mean(eager[:10])
    np.testing.assert_allclose(static, eager, rtol=1e-3)  # rounding grows over a hundred steps of Adam
    assert a == pytest.approx(b, rel=1e-3)
    assert text.startswith("The ") and len(text) == len(again) == 24
    assert (tmp_path / "eager" / "sample.txt").read_text() == text


@pytest.mark.slow
def test_varying_length(tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("tqdm")
    main = load("varying_length/train.py").main
    eager, a, _ = main(["--smoke", "--mode", "eager", "--out", str(tmp_path / "eager")])
    static, b, (programs, lengths) = main(["--smoke", "--mode", "static", "--out", str(tmp_path / "static")])
    np.testing.assert_allclose(static, eager, rtol=1e-4)
    assert len(eager) == 10 and a == pytest.approx(b, abs=0.06)  # one line of 20
    assert programs <= 2 < lengths  # one size; the first call also finds the optimizer without its slots
    assert (tmp_path / "static" / "confusion.png").stat().st_size > 1000


@pytest.mark.slow
def test_tree_lstm(tmp_path):
    pytest.importorskip("tqdm")
    main = load("tree_lstm/train.py").main
    (eager, a), (static, b) = (
        main(["--smoke", "--epochs", "2", "--mode", mode, "--out", str(tmp_path / mode)])
        for mode in ("eager", "static")
    )
    assert len(eager) == 6 and np.mean(eager[3:]) < np.mean(eager[:3])
    np.testing.assert_allclose(static, eager, rtol=1e-4)
    assert a == pytest.approx(b, abs=0.06)  # one sample of 20
    rows = (tmp_path / "static" / "predictions.txt").read_text().splitlines()
    assert len(rows) == 21 and rows[0].split() == ["predicted", "true", "source"]
