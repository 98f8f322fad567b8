"""Every example runs in both modes with the same losses."""

from __future__ import annotations

import numpy as np
import pytest
from example_files import EXAMPLES, load

import jaxchain


def agree(eager, static, rtol=1e-4):
    np.testing.assert_allclose(np.asarray(static), np.asarray(eager), rtol=rtol, atol=1e-6)


def test_every_example_says_what_it_reached():
    folders = [f for f in EXAMPLES.iterdir() if f.is_dir() and f.name != "__pycache__"]
    assert len(folders) >= 4
    for folder in folders:
        text = (folder / "README.md").read_text()
        assert "Reached:" in text, folder
        for script in folder.glob("*.py"):
            assert len(script.read_text().splitlines()) < 160, script
            assert script.name != "train.py" or '"--smoke"' in script.read_text(), script


def test_digits_mlp(capsys):
    pytest.importorskip("sklearn")
    pytest.importorskip("tqdm")
    module = load("digits_mlp/train.py")
    (eager, a), (static, b) = (module.main(["--mode", mode, "--epochs", "2"]) for mode in ("eager", "static"))
    assert len(eager) == 44 and eager[-1] < eager[0] / 2
    agree(eager, static)
    assert a == pytest.approx(b, abs=0.01) and a > 0.7
    assert "test accuracy" in capsys.readouterr().out


def test_digits_mlp_saves_what_it_learnt(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("tqdm")
    module = load("digits_mlp/train.py")
    module.main(["--mode", "static", "--smoke", "--save", str(tmp_path / "model.npz")])
    model = jaxchain.links.Classifier(module.MLP(100, 10))
    jaxchain.serializers.load_npz(tmp_path / "model.npz", model)
    assert model.predictor.l1.W.shape == (100, 64)


@pytest.mark.slow  # links/test_flax_function.py trains with modules, too
def test_flax_module():
    pytest.importorskip("sklearn")
    pytest.importorskip("tqdm")
    module = load("flax_module/train.py")
    (eager, a, alone), (static, b, _) = (module.main(["--mode", mode, "--smoke"]) for mode in ("eager", "static"))
    agree(eager, static)
    assert a == pytest.approx(b, abs=0.01) and alone == pytest.approx(a, abs=0.003) and eager[-1] < eager[0]


def test_word_lstm_compiles_once_a_length():
    module = load("word_lstm/train.py")
    eager, _ = module.main(["--mode", "eager", "--smoke"])
    static, (compiles, lengths) = module.main(["--mode", "static", "--smoke"])
    agree(eager, static)
    assert lengths == 2 and compiles <= lengths + 1  # the first call also finds the optimizer without its slots
    assert eager[-1] < eager[0]


def test_custom_function():
    module = load("custom_function/train.py")
    eager, static = (module.main(["--mode", mode, "--smoke"]) for mode in ("eager", "static"))
    agree(eager, static, 1e-3)
    assert eager[-1] < eager[0]


def test_tutorial_dynamic(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = load("tutorial/dynamic_graph.py")
    results = module.main()
    x = np.random.RandomState(0).randn(3, 4).astype(np.float32)
    assert x.mean() > 0
    relu = np.maximum(x, 0)
    sigmoid = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(results["relu"][0], relu.sum(), rtol=1e-6)
    np.testing.assert_allclose(results["relu"][1], x > 0)
    np.testing.assert_allclose(results["sigmoid"][0], sigmoid.sum(), rtol=1e-6)
    np.testing.assert_allclose(results["sigmoid"][1], sigmoid * (1 - sigmoid), rtol=1e-5)
    dot = (tmp_path / "dynamic_graph_relu.dot").read_text()
    assert dot.startswith("digraph") and "ReLU" in dot and "Sum" in dot
    negative = module.dynamic_graph_example(jaxchain.Variable(-abs(x)), False)
    assert negative.creator.label == "Prod"


def test_tutorial_static(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = load("tutorial/static_graph.py")
    eager = module.main()
    with jaxchain.using_config("mode", "static"):
        static = module.main()
    for a, b in zip(eager, static, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    dot = (tmp_path / "static_graph.dot").read_text()
    assert dot.count("LinearFunction") == 2 and dot.count("ReLU") == 1
    assert dot.count("octagon") == 8 and dot.count(" -> ") == 10


@pytest.mark.parametrize("script", sorted(str(f.relative_to(EXAMPLES)) for f in EXAMPLES.glob("*/train.py")))
def test_a_run_of_no_steps_is_refused(script, capsys, monkeypatch):
    for needed in ("sklearn", "tqdm", "matplotlib"):
        pytest.importorskip(needed)
    monkeypatch.syspath_prepend((EXAMPLES / script).parent)  # dqn's environment lies beside it
    option = "--steps" if '"--steps"' in (EXAMPLES / script).read_text() else "--epochs"
    with pytest.raises(SystemExit):
        load(script).main([option, "0"])
    assert f"{option}: at least 1" in capsys.readouterr().err
