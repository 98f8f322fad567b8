"""The command line: results, exit codes, and one clear line for every mistake."""

import subprocess
import sys
import types

import numpy as np
import pytest

import jaxchain
from jaxchain import cli
from jaxchain.core.errors import user_line

MODEL = """
import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
import helper

class MLP(jaxchain.Chain):
    def __init__(self, n_in=4, n_out=3):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(n_in, 8)
            self.l2 = L.Linear(8, n_out)

    def forward(self, x):
        return self.l2(F.relu(self.l1(x)))

class Needs(jaxchain.Chain):
    def __init__(self, size):
        super().__init__()

class Fails:
    def __init__(self):
        raise OSError("no weights")

def loss(x, t):
    return F.softmax_cross_entropy(net(x), t)

def none():
    return helper.VALUE

def number_of(x):
    return F.sum(x) * float(F.sum(x).array)

net = MLP()
number = 3
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    (tmp_path / "the_model.py").write_text(MODEL)
    (tmp_path / "helper.py").write_text("VALUE = 1.0\n")
    (tmp_path / "broken.py").write_text("x = 1\nraise RuntimeError('inside the file')\n")
    (tmp_path / "syntax.py").write_text("def f(:\n")
    (tmp_path / "imports.py").write_text("import not_installed_anywhere\n")
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if not name.startswith(("jax", "numpy")):
            del sys.modules[name]


def run(*argv):
    return cli.main(list(argv))


def test_the_command_s_own_script_is_no_line_of_the_user_s(tmp_path):
    names = {"user_line": user_line}
    exec(compile("line = user_line(1)", str(tmp_path / "jaxchain"), "exec"), names)
    assert "test_cli.py" in names["line"]


def test_contrast_of_a_class_with_arguments(model, capsys):
    out = model / "views"
    code = run(
        "contrast", "the_model.py:MLP", "--args", "4, n_out=5", "--input", "2,4", "--out", str(out), "--repeats", "2"
    )
    printed = capsys.readouterr().out
    assert code == 0
    assert "MLP on " in printed and "float32[2,5]" in printed and f"saved in {out}" in printed
    assert {"report.md", "graph.svg", "jaxpr.svg", "hlo.txt", "report.json"} <= {p.name for p in out.iterdir()}


def test_without_a_renderer(model, monkeypatch, capsys):
    monkeypatch.setattr("jaxchain.views.writers.image.shutil.which", lambda *a, **k: None)
    assert run("contrast", "the_model.py:none", "--repeats", "1", "--out", str(model / "views")) == 0
    assert "note: graph.svg, graph.png, jaxpr.svg left out: no Graphviz" in capsys.readouterr().out
    assert run("view", "not_there.py:MLP", "--format", "html,svg", "--out", str(model / "more")) == 2
    assert "--format svg: no Graphviz found" in capsys.readouterr().err  # at once, before anything is compiled
    monkeypatch.setitem(sys.modules, "tensorboardX.proto.graph_pb2", None)
    assert run("view", "not_there.py:MLP", "--format", "html,tensorboard", "--out", str(model / "more")) == 2
    assert "pip install jaxchain[tensorboard]" in capsys.readouterr().err


def test_contrast_of_a_function_with_labels_and_of_an_instance_and_of_a_module(model, capsys):
    assert run("contrast", "the_model:loss", "--input", "6,4", "--input", "6,int32:3", "--repeats", "1") == 0
    assert "softmax" in str(sys.modules["the_model"].loss.__code__.co_names)
    assert (
        run("contrast", f"{model}/the_model.py:net", "--input", "6,4,float32", "--repeats", "1", "--no-gradients") == 0
    )
    printed = capsys.readouterr().out
    assert "loss on" in printed and "gradients: none" in printed
    assert run("contrast", "the_model.py:none", "--repeats", "1") == 0


def test_same_seed_same_numbers(model, capsys):
    seen = []

    def record(m, *inputs, **options):
        seen.append((np.asarray(m.l1.W.array), *inputs, jaxchain.config.train))
        raise ValueError("stop here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["jaxchain.contrast"], "contrast", record)
        for extra in ([], [], ["--seed", "1"], ["--test"]):
            assert run("contrast", "the_model.py:MLP", "--input", "2,4", "--input", "5,int64:7", *extra) == 2
    (w0, x0, t0, train0), (w1, x1, t1, _), (w2, x2, _, _), (_, _, _, train3) = seen
    np.testing.assert_array_equal(w0, w1)
    np.testing.assert_array_equal(x0, x1)
    np.testing.assert_array_equal(t0, t1)
    assert (w0 != w2).any() and (x0 != x2).any()
    assert x0.dtype == np.float32 and t0.dtype == np.int64 and t0.shape == (5,) and t0.min() >= 0 and t0.max() < 7
    assert train0 is True and train3 is False


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["contrast", "the_model.py"], "expected file.py:Name or pkg.mod:Name"),
        (["contrast", ":MLP"], "expected file.py:Name or pkg.mod:Name"),
        (["contrast", "nowhere.py:MLP"], "no file nowhere.py"),
        (["contrast", "nowhere.at.all:MLP"], "no module 'nowhere'"),
        (
            ["contrast", "the_model.py:Missing"],
            "no 'Missing' in the_model.py. It has: Fails, MLP, Needs, loss, net, none, number_of",
        ),
        (["contrast", "the_model.py:Needs"], "missing a required argument: 'size'"),
        (["contrast", "the_model.py:MLP", "--args", "open('x')"], "expected Python literals"),
        (["contrast", "the_model.py:MLP", "--args", "1, **{}"], "expected Python literals"),
        (["contrast", "the_model.py:MLP", "--args", "1) + f("], "expected Python literals"),
        (["contrast", "the_model.py:loss", "--args", "1"], "--args is for classes"),
        (["contrast", "the_model.py:number"], "int, which cannot be called"),
        (["contrast", "the_model.py:Fails"], "OSError: no weights"),
        (["contrast", "the_model.py:net", "--input", "2,5"], "float32[2,5] failed"),
        (["contrast", "the_model.py:net"], "on no arguments (see --input) failed"),
        (["view", "the_model.py:net"], "on no arguments (see --input) failed"),
        (["view", "the_model.py:number_of", "--input", "2"], "it cannot be compiled; --mode eager draws what runs"),
        (["contrast", "broken.py:f"], "RuntimeError: inside the file"),
        (["contrast", "syntax.py:f"], "SyntaxError"),
        (["contrast", "imports.py:f"], "No module named 'not_installed_anywhere'"),
        (["contrast", "imports:f"], "No module named 'not_installed_anywhere'"),
        (["contrast", "the_model.py:net", "--out", "the_model.py"], "is a file, not a folder"),
        (["contrast", "the_model.py:net", "--input", "2,4", "--repeats", "1", "--out", "the_model.py/x"], "--out"),
    ],
)
def test_mistakes_are_one_clear_message_and_exit_code_2(model, capsys, argv, message):
    assert run(*argv) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("jaxchain: ") and message in captured.err
    assert "Traceback" not in captured.err


def test_an_error_inside_the_model_names_its_lines(model, capsys):
    assert run("contrast", "the_model.py:loss", "--input", "2,5", "--input", "2,int32") == 2
    error = capsys.readouterr().err
    assert (
        "InvalidType" in error
        and error.count("the_model.py:15, in forward") == 1
        and "x.shape[1] == W.shape[1]" in error
    )
    assert "site-packages" not in error


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("32,784", ((32, 784), "float32", 2)),
        ("32", ((32,), "float32", 2)),
        ("float64", ((), "float64", 2)),
        ("32,int32:10", ((32,), "int32", 10)),
        (" 3 , 4 , bfloat16 ", ((3, 4), "bfloat16", 2)),
        ("0,4", ((0, 4), "float32", 2)),
        ("2,bool", ((2,), "bool", 2)),
    ],
)
def test_inputs(text, expected):
    given = cli._input(text)
    assert (given.shape, given.dtype.name, given.high) == expected
    drawn = given.draw(np.random.default_rng(0))
    assert drawn.shape == expected[0] and drawn.dtype == given.dtype


@pytest.mark.parametrize(
    "text", ["", ",", "a", "3,x,4", "3,-4", "3.5", "2,int32:0", "2,int32:x", "2,float32:3", "2,U5", "2,object"]
)
def test_bad_inputs(text, capsys):
    assert run("contrast", "x.py:y", "--input", text) == 2
    assert "argument --input" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["nothing"], ["contrast"], ["contrast", "a:b", "--repeats", "0"], ["--nope"]])
def test_usage_errors(argv, capsys):
    assert run(*argv) == 2
    assert "usage: jaxchain" in capsys.readouterr().err


def test_version_and_help(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"jaxchain {cli.version()}\n"
    assert run("contrast", "--help") == 0
    assert "--input SHAPE[,DTYPE[:HIGH]]" in capsys.readouterr().out


def test_modes_that_differ_are_exit_code_1(model, capsys):
    code = run("contrast", "the_model.py:net", "--input", "2,4", "--repeats", "1", "--rtol=-1")
    assert code == 1
    assert "the modes differ by" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["matplotlib.figure", "sklearn"])
def test_demo_says_at_once_what_is_not_installed(package, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run("demo", "--out", str(tmp_path)) == 2
    captured = capsys.readouterr()
    assert "jaxchain[examples]" in captured.err and not captured.out


def test_demo_gets_its_own_arguments(monkeypatch):
    seen = []
    stub = types.ModuleType("jaxchain.demo")
    stub.main = lambda argv: seen.append(argv) or 7
    monkeypatch.setitem(sys.modules, "jaxchain.demo", stub)
    monkeypatch.setattr(jaxchain, "demo", stub, raising=False)
    assert run("demo", "--out", "x", "--epochs", "2", "--help") == 7
    assert seen == [["--out", "x", "--epochs", "2", "--help"]]


def test_an_interrupt_is_no_traceback(model, monkeypatch, capsys):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["jaxchain.contrast"], "contrast", interrupt)
    assert run("contrast", "the_model.py:net", "--input", "2,4") == 130
    assert capsys.readouterr().err == "jaxchain: interrupted\n"


def test_python_dash_m(model):
    done = subprocess.run(
        [sys.executable, "-m", "jaxchain", "contrast", "nowhere.py:x"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "jaxchain: no file nowhere.py\n")


CHAINER_MODEL = """
import chainer
import chainer.functions as F
import chainer.links as L
from weights import fill

class MLP(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(4, 3)
        fill(self.l1.b)

    def __call__(self, x):
        return F.relu(self.l1(x))
"""


@pytest.mark.parametrize("place", ["written_for_chainer.py", "./written_for_chainer.py", "written_for_chainer"])
def test_a_model_written_for_chainer(place, tmp_path):
    (tmp_path / "written_for_chainer.py").write_text(CHAINER_MODEL)
    (tmp_path / "weights.py").write_text("def fill(p):\n    p.data[...] = 7\n")
    command = [sys.executable, "-m", "jaxchain", "contrast", f"{place}:MLP", "--input", "2,4", "--out", "report"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "l1.W" in done.stdout and "__wrapped__" not in done.stdout
    assert (tmp_path / "report" / "explorer.html").stat().st_size > 1000


def test_a_model_whose_names_chainer_does_not_have(tmp_path):
    (tmp_path / "m.py").write_text("from chainer import no_such_name\n")
    command = [sys.executable, "-m", "jaxchain", "view", "m.py:MLP", "--input", "2,4"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "m.py:MLP: loading it failed" in done.stderr and "no_such_name" in done.stderr


def test_export_and_run_exported(model, capsys):
    rng = np.random.RandomState(0)
    shapes = {"l1/W": (8, 4), "l1/b": (8,), "l2/W": (5, 8), "l2/b": (5,)}
    saved = {name: rng.randn(*shape).astype(np.float32) for name, shape in shapes.items()}
    np.savez(model / "weights.npz", **saved)
    x = rng.randn(3, 4).astype(np.float32)
    np.save(model / "x.npy", x)
    options = ["--args", "4, 5", "--input", "1,4", "--weights", "weights.npz", "--out", "mlp.jaxchain"]
    assert run("export", "the_model.py:MLP", *options, "--platforms", "cpu,tpu") == 0
    printed = capsys.readouterr().out
    assert "platforms: cpu, tpu" in printed and "input x: float32[batch,4]" in printed and "mlp.jaxchain" in printed
    assert run("run-exported", "mlp.jaxchain") == 0
    assert "output result 0: float32[batch,5]" in capsys.readouterr().out
    assert run("run-exported", "mlp.jaxchain", "--input", "x.npy", "--out", "y.npz") == 0
    hidden = np.maximum(x @ saved["l1/W"].T + saved["l1/b"], 0)
    with np.load("y.npz") as results:
        np.testing.assert_allclose(results["result 0"], hidden @ saved["l2/W"].T + saved["l2/b"], rtol=1e-4, atol=1e-5)
    assert run("run-exported", "mlp.jaxchain", "--input", "7,4") == 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["export", "the_model.py:MLP", "--input", "1,4", "--out", "none/x"], "not a file in an existing folder"),
        (["export", "the_model.py:MLP", "--input", "1,4", "--out", "x", "--platforms", "gpu"], "platforms: expected"),
        (["export", "the_model.py:MLP", "--input", "1,4", "--out", "x", "--vjp-order", "-1"], "vjp_order: expected"),
        (["export", "the_model.py:MLP", "--input", "1,4", "--out", "x", "--weights", "no.npz"], "no.npz"),
        (
            ["export", "the_model.py:MLP", "--input", "1,4", "--out", "x", "--weights", "the_model.py"],
            "load_npz: the_model.py is no npz file: File is not a zip file",
        ),
        (["export", "the_model.py:MLP", "--input", "1,5", "--out", "x"], "exporting it failed"),
        (["export", "the_model.py:nothing", "--out", "x"], "no 'nothing' in the_model.py"),
        (["run-exported", "the_model.py"], "no exported program, or damaged"),
        (["run-exported", "none.jaxchain"], "none.jaxchain"),
        (["run-exported", "the_model.py", "--input", "none.npy"], "cannot read 'none.npy'"),
    ],
)
def test_mistakes_with_exports(model, capsys, argv, message):
    assert run(*argv) == 2
    captured = capsys.readouterr()
    assert message in captured.err and "Traceback" not in captured.err
    assert not (model / "x").exists()


def test_an_exported_program_is_given_the_wrong_arrays(model, capsys):
    assert run("export", "the_model.py:net", "--input", "1,4", "--out", "net.jaxchain") == 0
    assert run("run-exported", "net.jaxchain", "--input", "1,4", "--input", "1,4") == 2
    assert "expected 1 arrays (x: float32[batch,4]), got 2" in capsys.readouterr().err
    assert run("run-exported", "net.jaxchain", "--input", "1,5") == 2
    assert "expected x: float32[batch,4]" in capsys.readouterr().err
    assert run("run-exported", "net.jaxchain", "--input", "0,4") == 2
    assert "expected x: float32[batch,4] with batch at least 1, got 0" in capsys.readouterr().err
    assert run("run-exported", "net.jaxchain", "--out", "y.npz") == 2
    assert "expected 1 arrays (x: float32[batch,4]), got 0" in capsys.readouterr().err
