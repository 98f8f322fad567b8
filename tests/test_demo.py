"""The demo: what it prints and leaves behind, and that it fails when it should."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("tqdm")
pytest.importorskip("matplotlib")

from jaxchain import demo


def test_short_demo(tmp_path, capsys):
    status = demo.main(["--epochs", "2", "--model", "MLP", "--out", str(tmp_path / "out")])
    captured = capsys.readouterr()
    assert status == 1  # too short to reach the accuracy, and it says so
    assert captured.err.count("test accuracy is only") == 2 and "loss curves of the two modes" not in captured.err
    assert str(tmp_path / "out") in captured.out and "times eager's" in captured.out
    for name in ("losses.png", "mlp/graph.svg", "mlp/graph.png"):
        assert (tmp_path / "out" / name).stat().st_size > 500, name
    for name in (
        "results.txt",
        "mlp/report.md",
        "mlp/graph.dot",
        "mlp/jaxpr.txt",
        "mlp/hlo.txt",
        "mlp/compiles.txt",
        "mlp/training_step.jaxpr.txt",
    ):
        assert (tmp_path / "out" / name).stat().st_size > 100, name
    assert (tmp_path / "out" / "losses.png").read_bytes().startswith(b"\x89PNG")


def _run(losses, accuracy=0.99):
    return demo.Run(None, list(losses), accuracy, 1.0, "")


def test_difference_is_the_largest_of_any_step():
    assert demo.difference({"eager": _run([1, 2, 4]), "static": _run([1, 1, 4])}) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("eager", "static", "message"),
    [
        (_run([1, 2]), _run([1, 2]), None),
        (_run([1, 2]), _run([1, 2.001]), "the loss curves of the two modes differ by 5.0e-04"),
        (_run([1, 2]), _run([1, np.nan]), "the loss curves of the two modes differ by nan"),
        (_run([1, 2], 0.9), _run([1, 2]), "MLP, eager: test accuracy is only 90.00 %"),
        (_run([1, 2]), _run([1, 2], 0.94), "MLP, static: test accuracy is only 94.00 %"),
    ],
)
def test_it_fails_when_it_should(eager, static, message, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(demo, "train", lambda make, data, mode, epochs, seed: {"eager": eager, "static": static}[mode])
    monkeypatch.setattr(demo, "save_views", lambda run, data, folder: folder.mkdir())
    monkeypatch.setattr(demo, "step_times", lambda runs, data: dict.fromkeys(runs, 0.1))
    status = demo.main(["--model", "MLP", "--out", str(tmp_path)])
    error = capsys.readouterr().err
    assert (status, message is None) in ((0, True), (1, False))
    assert message is None or message in error


def test_a_folder_that_cannot_be_made_is_said_first(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="2"):
        demo.main(["--out", str(tmp_path / "file" / "out")])
    printed = capsys.readouterr()
    assert "out: Not a directory" in printed.err and printed.out == ""
