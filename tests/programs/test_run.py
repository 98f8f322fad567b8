"""`jaxchain run`: programs written for Chainer, untouched, print what they print with real Chainer.

The answers beside the scripts (`*.out`) were recorded with Chainer 7.8.1: ``python SCRIPT.py > SCRIPT.out``.
"""

import contextlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jaxchain
from jaxchain.interop import chainer_modules

SCRIPTS = Path(__file__).parent / "chainer_scripts"


def run(*arguments, cwd=None, **variables):
    command = [sys.executable, "-W", "ignore", "-m", "jaxchain.cli", "run", *map(str, arguments)]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", **variables}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300)


# programs that compile for long run in one mode in the suite, in the other one in the slow sweeps
SLOW = {("word_vectors", "static"), ("adversarial", "eager"), ("language_model", "eager")}
RUNS = [
    pytest.param(script, mode, id=f"{script.stem}-{mode}", marks=[pytest.mark.slow] * ((script.stem, mode) in SLOW))
    for script in sorted(SCRIPTS.glob("*.py"))
    for mode in ("eager", "static")
]


@pytest.mark.parametrize(("script", "mode"), RUNS)
def test_the_output_is_chainers(script, mode):
    result = run(script, "--mode", mode)
    assert result.returncode == 0, result.stderr
    assert result.stdout == script.with_suffix(".out").read_text()


def test_arguments_exit_codes_and_main_are_pythons(tmp_path):
    program = tmp_path / "program.py"
    (tmp_path / "helper.py").write_text("import chainer.links as L\nlink = L.Linear(2, 3)\n")
    program.write_text(
        "import sys, helper, chainer\n"
        "print(__name__, sys.argv[1:], helper.link.W.shape, chainer.__version__, chainer.config.mode)\n"
        "chainer.disable_experimental_feature_warning = True\n"
        "chainer.utils.experimental('f')\n"
        "sys.exit(3)\n"
    )
    result = run("--mode", "static", program, "--x", "1", "--", "--mode", "eager")
    assert result.returncode == 3 and "FutureWarning" not in result.stderr, result.stderr
    assert result.stdout == "__main__ ['--x', '1', '--mode', 'eager'] (3, 2) 7.8.1 static\n"


def test_modules_are_run_as_python_runs_them(tmp_path):
    package = tmp_path / "package" / "inner"
    package.mkdir(parents=True)
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "bad.py").write_text("import nothing_there\n")
    (package / "__init__.py").write_text("")
    (package / "net.py").write_text(
        "import chainer.links as L\n"
        "def first():\n"
        "    l = L.Linear(2, 2)\n"
        "    l.W.data[0, 0] = 7\n"
        "    return l.W.data[0, 0]\n"
    )
    (package / "__main__.py").write_text(
        "import sys\nfrom .net import first\nprint(__name__, __spec__.name, __package__, sys.argv[1:], first())\n"
    )
    result = run("--mode", "static", "-m", "package.inner", "--x", "1", cwd=tmp_path)
    assert result.stdout == "__main__ package.inner.__main__ package.inner ['--x', '1'] 7.0\n", result.stderr
    result = run("-m", "package.nowhere", cwd=tmp_path)
    assert result.returncode == 2 and "no module 'package.nowhere' to run" in result.stderr
    result = run("-m", "package.bad", cwd=tmp_path)
    assert result.returncode == 1 and "No module named 'nothing_there'" in result.stderr
    assert "jaxchain" not in result.stderr


def test_what_a_program_loads_by_hand_may_write_into_arrays(tmp_path):
    (tmp_path / "net.py").write_text("import chainer.links as L\nl = L.Linear(2, 2)\nl.W.data[0, 0] = 7\n")
    (tmp_path / "program.py").write_text(
        "import importlib.machinery, importlib.util, runpy\n"
        "spec = importlib.util.spec_from_file_location('one', 'net.py')\n"
        "one = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(one)\n"
        "two = importlib.machinery.SourceFileLoader('two', 'net.py').load_module()\n"  # as `imp.load_source` does
        "three = runpy.run_path('net.py')\n"
        "text = open('net.py').read()\n"
        "four = {}\n"
        "exec(text, four)\n"
        "exec(compile(text, 'net.py', 'exec', dont_inherit=True))\n"
        "exec(compile(text, 'net.py', mode='exec'), five := {})\n"
        "assert isinstance(compile(text, 'net.py', 'exec', flags=1024), __import__('ast').Module)\n"
        "print([float(m.W.data[0, 0]) for m in (one.l, two.l, three['l'], four['l'], five['l'], l)])\n"
    )
    result = run("program.py", cwd=tmp_path)
    assert result.stdout == "[7.0, 7.0, 7.0, 7.0, 7.0, 7.0]\n", result.stderr


OLD = """
import base64, collections, fractions, inspect, threading, time, warnings
warnings.simplefilter("ignore")
import imp
import numpy as np, chainer
xp = chainer.Variable(np.zeros(1, np.float32)).xp
print(np.float is float, np.int is int, np.object is object, np.bool(1) == True, np.float_ is np.float64)
print(np.NaN, np.Inf, np.NINF, np.math.sqrt(4), int(np.product([2, 3])), np.in1d([[1, 2]], [2]), np.asfarray([1]).dtype)
print(np.msort([[2], [1]]).tolist(), np.round_(2.4) == 2, np.trapz([1, 2, 3]) == 4, np.mat([1, 2]).shape)
print(np.find_common_type([np.float32], [np.int64, np.float64]), np.find_common_type([np.int32], [np.float64]))
print(np.fromstring(b"ab", np.uint8), np.fromstring("1 2", sep=" "), np.array((1, 2), copy=False))
a = np.zeros(2)
print(np.array(a, copy=False) is a, np.array(a, np.float32, copy=False).dtype, np.VisibleDeprecationWarning.__name__)
print(collections.Iterable.__name__, fractions.gcd(6, 4), tuple(inspect.getargspec(lambda a, b=1: 0)))
print(time.clock() >= 0, threading.Thread().isAlive(), len(base64.encodestring(b"a")), imp.load_source("m", "net.py").x)
print(int(xp.product(xp.asarray([2, 3]))), xp.float is float, xp.array(xp.zeros(2), copy=False).shape)
"""


def test_names_that_numpy_and_python_have_dropped_are_there(tmp_path):
    (tmp_path / "net.py").write_text("x = 1")
    (tmp_path / "program.py").write_text(OLD)
    result = run("program.py", cwd=tmp_path)
    assert result.stdout.splitlines() == [  # as NumPy 1.23.5 and Python 3.8 print it
        "True True True True True",
        "nan inf -inf 2.0 6 [False  True] float64",
        "[[1], [2]] True True (1, 2)",
        "float32 float64",
        "[97 98] [1. 2.] [1 2]",
        "True float32 VisibleDeprecationWarning",
        "Iterable 2 (['a', 'b'], None, None, (1,))",
        "True False 5 1",
        "6 True (2,)",
    ], result.stderr


def test_a_traceback_shows_the_program_and_what_jaxchain_has_not(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import chainer\n\nchainer.functions.convolutoin_2d(1)\n")
    result = run(program)
    assert result.returncode == 1
    assert 'program.py", line 3' in result.stderr and "interop/run.py" not in result.stderr
    assert "jaxchain has no chainer.functions.convolutoin_2d. Similar names: convolution_2d" in result.stderr


def test_a_syntax_error_is_reported_as_python_does(tmp_path):
    (tmp_path / "broken.py").write_text("x = (1,\n")
    program = tmp_path / "program.py"
    program.write_text("import broken\n")
    for file in (tmp_path / "broken.py", program):
        ours = run(file)
        python = subprocess.run([sys.executable, str(file)], capture_output=True, text=True)
        shown = [line for line in ours.stderr.splitlines() if not line.startswith("Traceback")]
        assert ours.returncode == 1
        assert shown == [line for line in python.stderr.splitlines() if not line.startswith("Traceback")]


def test_absent_libraries_are_absent(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import chainerx, chainer\n"
        "try:\n    import cupy\nexcept ImportError:\n    print('no cupy')\n"
        "print(chainerx.is_available(), chainer.backends.cuda.available, chainer.get_device('@numpy').name)\n"
    )
    result = run(program)
    assert result.stdout == "no cupy\nFalse False @numpy\n", result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.py"], "can't open file"),
        ([], "no script is given"),
        (["-m"], "unknown option -m"),
        (["-m", "no_such_module"], "no module 'no_such_module' to run"),
        (["--mode", "fast", "a.py"], "expected eager or static"),
    ],
)
def test_bad_command_lines(arguments, message):
    result = run(*arguments)
    assert result.returncode == 2 and message in result.stderr and "Traceback" not in result.stderr


def test_chainers_environment_variables_set_the_configuration(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import numpy as np, chainer, chainer.links as L\n"
        "print(chainer.config.dtype, chainer.config.debug, chainer.config.type_check, chainer.config.lazy_grad_sum)\n"
        "dtype = chainer.get_dtype()\n"
        "print(dtype, L.Linear(3, 2)(np.ones((1, 3), dtype)).dtype)\n"
    )
    result = run(program)
    assert result.stdout == "float32 False True False\nfloat32 float32\n", result.stderr
    flags = {"CHAINER_DEBUG": "1", "CHAINER_TYPE_CHECK": "0", "CHAINER_LAZY_GRAD_SUM": "1"}
    result = run(program, CHAINER_DTYPE="float64", **flags)
    assert result.stdout == "float64 True False True\nfloat64 float64\n", result.stderr
    result = run(program, CHAINER_DTYPE="mixed16")
    assert result.stdout == "mixed16 False True False\nfloat16 float16\n", result.stderr
    for name, value in (("CHAINER_DTYPE", "float128"), ("CHAINER_DEBUG", "yes")):
        result = run(program, **{name: value})
        assert result.returncode == 2 and f"{name}: expected" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize("file", ["vgg", "resnet", "googlenet"])
def test_files_of_the_vision_models_have_names_of_their_own(file):
    module = chainer_modules.resolve(f"chainer.links.model.vision.{file}")
    assert module.prepare.__self__.__module__ == f"jaxchain.links.vision.{file}"


def test_the_caffe_room_has_names_of_its_own():
    room = chainer_modules.resolve("chainer.links.caffe")
    assert room.CaffeFunction is chainer_modules.resolve("chainer.links.caffe.caffe_function").CaffeFunction


def test_arrays_have_more_of_numpys_methods(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import chainer\n"
        "a = chainer.links.Linear(1, 1).xp.zeros((1, 1), 'f') + 2.5\n"
        "print(float(a), int(a), complex(a), a.tobytes() == b'\\x00\\x00 @', a.strides, a.flags.c_contiguous)\n"
        "try:\n    float(a.repeat(2))\nexcept TypeError as error:\n    print('TypeError')\n"
    )
    result = run(program)
    assert result.stdout == "2.5 2 (2.5+0j) True (4, 4) True\nTypeError\n", result.stderr


INDICES = """
import jax, numpy as np, chainer
xp = chainer.links.Linear(1, 1).xp
a = chainer.get_device("-1").send(np.arange(12, dtype="f").reshape(3, 4))
rows = [True, False, True]
for i in (1, (1, 2), (slice(None), -1), [0, 2], rows, None, (0, [1, 3]), xp.asarray([2, 0]), (a > 5).any(1)):
    print(a[i].tolist(), type(a[i]) is type(a))
for i in (3, [3], (0, -5), xp.asarray([4])):
    try:
        print(a[i])
    except IndexError:
        print("IndexError")
print([float(row.sum()) for row in a], jax.jit(lambda i: a[i])(5).tolist(), jax.jit(lambda x: x[1])(a).tolist())
b = xp.asarray(np.arange(50, dtype="f"))
print([len(b[b > n]) + len(b[n:]) for n in range(5)])
join = xp.concatenate([b, xp.stack([b[1], 2.5]), np.zeros(1)])
print([p.tolist() for p in xp.split(join, [2, 51])[::2]], type(join) is type(a), jax.jit(xp.vstack)([b, b]).shape)
"""


@pytest.mark.parametrize("mode", ["eager", "static"])
def test_arrays_on_a_cpu_are_indexed_by_numpy(tmp_path, mode):
    lines = output_of(tmp_path, INDICES, "--mode", mode)
    assert lines[:9] == [
        f"{value} True"
        for value in (
            [4.0, 5.0, 6.0, 7.0],
            6.0,
            [3.0, 7.0, 11.0],
            [[0.0, 1.0, 2.0, 3.0], [8.0, 9.0, 10.0, 11.0]],
            [[0.0, 1.0, 2.0, 3.0], [8.0, 9.0, 10.0, 11.0]],
            [[[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0], [8.0, 9.0, 10.0, 11.0]]],
            [1.0, 3.0],
            [[8.0, 9.0, 10.0, 11.0], [0.0, 1.0, 2.0, 3.0]],
            [[4.0, 5.0, 6.0, 7.0], [8.0, 9.0, 10.0, 11.0]],
        )
    ]
    assert lines[9:13] == ["IndexError"] * 4
    assert lines[13] == "[6.0, 22.0, 38.0] [8.0, 9.0, 10.0, 11.0] [4.0, 5.0, 6.0, 7.0]"
    assert lines[14] == "[99, 97, 95, 93, 91]"
    assert lines[15] == "[[0.0, 1.0], [2.5, 0.0]] True (2, 50)"


def test_installed_packages_that_import_chainer_may_write_into_arrays(tmp_path):
    (tmp_path / "program").mkdir()
    package = tmp_path / "site-packages"
    package.mkdir()
    (package / "filler.py").write_text("import chainer.links as L\nlink = L.Linear(1, 2)\nlink.W.array[...] = 3\n")
    program = tmp_path / "program" / "program.py"
    program.write_text(
        f"import sys\nsys.path.append({str(package)!r})\nfrom filler import link\nprint(link.W.array.tolist())\n"
    )
    result = run(program)
    assert result.stdout == "[[3.0], [3.0]]\n", result.stderr


def test_draws_of_the_array_module(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import numpy as np, chainer\n"
        "xp = chainer.links.Linear(1, 1).xp\n"
        "np.random.seed(0)\n"
        "for name, mean in (('gumbel', 0.577), ('laplace', 0), ('exponential', 1)):\n"
        "    a = getattr(xp.random, name)(size=(400, 50))\n"
        "    xp.testing.assert_array_equal(a, a)\n"
        "    print(name, a.shape, a.dtype, abs(float(a.mean()) - mean) < 0.05)\n"
    )
    result = run(program)
    assert result.stdout == "".join(f"{n} (400, 50) float32 True\n" for n in ("gumbel", "laplace", "exponential"))


@pytest.mark.parametrize(
    "path",
    [
        "initializer.Initializer",
        "functions.array.reshape.reshape",
        "functions.connection.convolution_2d.convolution_2d",
        "links.model.vision.vgg.VGG16Layers",
        "optimizers.adam.Adam",
        "training.updaters.standard_updater.StandardUpdater",
        "training.triggers.minmax_value_trigger.BestValueTrigger",
        "datasets.sub_dataset.split_dataset_random",
        "iterators.order_samplers.ShuffleOrderSampler",
        "optimizer_hooks.weight_decay.WeightDecay",
        "utils.conv.get_conv_outsize",
        "testing.attr.gpu",
        "testing.backend.BackendConfig",
        "graph_optimizations.static_graph",
    ],
)
def test_files_are_attributes_once_chainer_is_imported(path):
    value = chainer_modules.resolve("chainer")
    with contextlib.ExitStack() as stack:
        stack.callback(sys.meta_path.remove, finder := chainer_modules.Finder())
        sys.meta_path.insert(0, finder)
        for name in path.split("."):
            value = getattr(value, name)
        for name in [n for n in sys.modules if n.partition(".")[0] == "chainer"]:
            del sys.modules[name]
    assert callable(value)


def test_names_are_not_taken_for_files():
    for path in ("chainer.nothing", "chainer.optimizers.adma", "chainer.functions.rleu"):
        room, _, name = path.rpartition(".")
        with pytest.raises(AttributeError, match=f"jaxchain has no {path}"):
            getattr(chainer_modules.resolve(room), name)


@pytest.mark.parametrize("path", ["functions.activation.relu", "testing.attr", "utils.type_check", "optimizers.adam"])
def test_a_name_that_a_file_lacks_cannot_be_imported(path, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(f"import chainer.optimizer_hooks.lasso\nfrom chainer.{path} import nothing_of_this_name\n")
    result = run(program)
    assert result.returncode == 1
    assert "ImportError: cannot import name 'nothing_of_this_name'" in result.stderr


def output_of(tmp_path, source, *options):
    """Run a program and return the lines that it prints."""
    program = tmp_path / "program.py"
    program.write_text(source)
    result = run(program, *options)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


CLASSES = """
import chainer, chainer.functions as F, numpy as np
from chainer.functions.activation import relu
from chainer.functions.connection.convolution_2d import Convolution2DFunction
from chainer.functions.connection.linear import LinearFunction
from chainer.functions.noise.dropout import Dropout

class GuidedReLU(relu.ReLU):
    def backward(self, indexes, gy):
        y = self.get_retained_outputs()[0]
        return F.where(y.array > 0, F.relu(gy[0]), gy[0].array * 0),

x = chainer.Variable(np.float32([-1, 2, 3]))
nodes = [f.creator for f in (F.relu(x), F.sigmoid(x), relu.ReLU().apply((x,))[0], GuidedReLU()(x))]
print([isinstance(n, relu.ReLU) for n in nodes], isinstance(nodes[0], GuidedReLU), type(nodes[3]).__name__)
print(chainer.grad([F.sum(GuidedReLU()(x) * np.float32([1, -1, 2]))], [x])[0].array.tolist())
first, = chainer.grad([F.sum(relu.ReLU().apply((x,))[0] ** 3)], [x], enable_double_backprop=True)
print(first.array.tolist(), chainer.grad([F.sum(first)], [x])[0].array.tolist())
image, W = np.ones((1, 1, 3, 3), "f"), np.ones((2, 1, 3, 3), "f")
print(Convolution2DFunction(1, 1).apply((image, W))[0].array[0, 1].tolist())
print(LinearFunction().apply((np.ones((1, 2), "f"), np.ones((1, 2), "f"), np.ones(1, "f")))[0].array.tolist())
with chainer.using_config("train", False):
    print(Dropout(0.5, np.float32([2, 0, 2])).apply((x,))[0].array.tolist())
"""


def test_classes_of_functions_are_types_of_nodes_functions_and_bases(tmp_path):
    assert output_of(tmp_path, CLASSES) == [
        "[True, False, True, True] False GuidedReLU",
        "[0.0, 0.0, 2.0]",
        "[0.0, 12.0, 27.0] [0.0, 12.0, 18.0]",
        "[[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]",
        "[[3.0]]",
        "[-2.0, 0.0, 6.0]",
    ]


RULES = """
import chainer, numpy as np
from chainer.optimizers.adam import AdamRule
from chainer.optimizers import momentum_sgd

class Halved(AdamRule):
    def update_core_cpu(self, param):
        param.array = param.array - 0.5 * param.grad

class Halves(chainer.optimizers.Adam):
    def create_update_rule(self):
        return Halved(self.hyperparam)

link = chainer.links.Linear(2, 1, initialW=1)
optimizer = Halves().setup(link)
link.cleargrads()
chainer.functions.sum(link(np.float32([[1, 2]]))).backward()
optimizer.update()
print(link.W.array.tolist(), isinstance(link.W.update_rule, AdamRule))
link = chainer.links.Linear(2, 1)
chainer.optimizers.MomentumSGD().setup(link)
print(isinstance(link.W.update_rule, momentum_sgd.MomentumSGDRule), isinstance(link.W.update_rule, AdamRule))
"""


def test_update_rules_are_in_chainers_files(tmp_path):
    assert output_of(tmp_path, RULES) == ["[[0.5, 0.0]] True", "True False"]


PROCESSES = """
import chainer, chainermn, numpy as np
from chainermn.datasets import scatter_index

comm = chainermn.create_communicator("naive")
print(comm.rank, comm.size, comm.intra_rank, comm.allreduce_obj(3), comm.gather([1]), comm.bcast_obj({"a": 1}))
data = chainer.datasets.TupleDataset(np.arange(6, dtype="f")[:, None], np.int32([0, 1, 0, 1, 0, 1]))
part = chainermn.scatter_dataset(data, comm, shuffle=True, seed=3)
print(len(part), sorted(float(x[0]) for x, _ in part), scatter_index(6, comm))
print([float(x[0]) for x, _ in part] == np.random.RandomState(3).permutation(6).tolist())
model = chainer.links.Classifier(chainer.Sequential(
    chainer.links.Linear(1, 2, initialW=1), chainermn.links.MultiNodeBatchNormalization(2, comm)))
optimizer = chainermn.create_multi_node_optimizer(chainer.optimizers.SGD(0.1), comm).setup(model)
iterator = chainer.iterators.SerialIterator(part, 3, shuffle=False)
trainer = chainer.training.Trainer(chainer.training.StandardUpdater(iterator, optimizer), (2, "iteration"))
test = chainer.iterators.SerialIterator(part, 3, repeat=False, shuffle=False)
evaluator = chainermn.create_multi_node_evaluator(chainer.training.extensions.Evaluator(test, model), comm)
trainer.extend(evaluator, trigger=(1, "iteration"))
trainer.run()
print(round(float(trainer.observation["main/loss"]), 4), sorted(evaluator()))
for wrong in (lambda: comm.send(1, 1, 0), lambda: chainermn.create_communicator("tcp"), lambda: chainermn.nothing):
    try:
        wrong()
    except Exception as error:
        print(type(error).__name__, str(error)[:50])
"""


def test_chainermn_in_two_processes(tmp_path, run_together):
    """As Open MPI starts them."""
    command = [sys.executable, "-m", "jaxchain", "run", str(Path(__file__).with_name("program_chainermn.py"))]
    job = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_MCA_orte_hnp_uri": f"{os.getpid()}.0;tcp://127.0.0.1:1"}
    runs = []
    for rank in "01":
        (tmp_path / rank).mkdir()
        variables = {"OMPI_COMM_WORLD_RANK": rank, "OMPI_COMM_WORLD_LOCAL_RANK": rank, **job}
        runs.append((command, tmp_path / rank, variables))
    run_together(runs)


@pytest.mark.parametrize("mode", ["eager", "static"])
def test_chainermn_is_a_communicator_of_one_process(tmp_path, mode):
    lines = output_of(tmp_path, PROCESSES, "--mode", mode)
    assert lines[:3] == [
        "0 1 0 3 ([1],) {'a': 1}",
        "6 [0.0, 1.0, 2.0, 3.0, 4.0, 5.0] (0, 6)",
        "True",
    ]
    assert lines[3] == "0.6988 ['validation/main/accuracy', 'validation/main/loss']"
    assert lines[4:] == [
        "RuntimeError rank 0 of 1: nothing can be sent to rank 1 alone; ",
        "ValueError Unrecognized communicator: 'tcp'; there are naive,",
        "AttributeError chainermn.nothing: jaxchain lacks that part of Cha",
    ]


def test_pickles_of_chainers_objects_say_what_to_do():
    with pytest.raises(pickle.UnpicklingError, match="save_npz"):
        chainer_modules.resolve("chainer.variable")._recover_parameter(np.zeros(1), "W", None, None, None, None)
    with pytest.raises(pickle.UnpicklingError, match="not made by jaxchain"):
        jaxchain.optimizer.Hyperparameter().__setstate__({"_parent": None, "alpha": 0.1})


def test_names_that_have_no_meaning_say_why():
    with pytest.raises(ModuleNotFoundError, match="memory_layouts': XLA chooses the layouts"):
        chainer_modules.resolve("chainer.memory_layouts")
    with pytest.raises(AttributeError, match=r"functions\.theano_function: Theano is not maintained"):
        chainer_modules.resolve("chainer.functions").theano_function
    with pytest.raises(AttributeError, match=r"jaxchain has no chainer\.functions\.activation\.relu\.ReLu\b"):
        chainer_modules.resolve("chainer.functions.activation.relu").ReLu


@pytest.mark.parametrize("file", ["static_graph", "static_graph_utilities"])
def test_static_graph_is_found_and_changes_nothing(file):
    module = chainer_modules.resolve(f"chainer.graph_optimizations.{file}")
    assert module.static_graph(len) is len and module.static_code(verbosity_level=0)(len) is len


PRIVATE = """
import chainer, chainer.functions as F, numpy as np
from chainer._backend import Device
from chainer.dataset.convert import _call_converter, _concat_arrays, _concat_arrays_with_padding
from chainer.functions.rnn.lstm import _extract_gates
from chainer.links.rnn.n_step_rnn import argsort_list_descent, permutate_list
from chainer.links.connection.convolution_2d import _pair

print(isinstance(chainer.get_device("@numpy"), Device), len(chainer._get_link_hooks()), chainer.cuda.numpy is np)
print(_pair(3), _pair((1, 2)))
arrays = [np.float32([1, 2]), np.float32([3])]
print(_concat_arrays([1, 2], None).tolist(), _concat_arrays(arrays, 9).tolist())
print(_concat_arrays_with_padding(arrays, 0).tolist())
print(_call_converter(chainer.dataset.concat_examples, arrays[:1], None).tolist())
print(_call_converter(lambda batch, device: (len(batch), device), arrays, None))
print([g.tolist() for g in _extract_gates(np.arange(8, dtype="f").reshape(1, 8))])
order = argsort_list_descent([[1], [1, 2, 3], [1, 2]])
print(order.tolist(), permutate_list("abc", order, False), permutate_list("abc", order, True))
print(chainer.utils.array.as_vec(np.ones((2, 2))).tolist(), chainer.utils.array.as_mat(np.ones((2, 1, 1))).tolist())
chainer.gradient_check.assert_allclose(1, 1)
print(chainer.utils.type_check.Variable(2, "n") + 1, chainer.utils.type_check.in_light_mode())
from chainer.functions.rnn.n_step_rnn import n_step_rnn_base
from chainer.links.model.vision.resnet import BottleneckA, BottleneckB
from chainer.links.rnn.gru import GRUBase
from chainer.links.rnn.lstm import LSTMBase
from chainer.links.rnn.mgu import MGUBase
from chainer.links.rnn.n_step_gru import NStepGRUBase
from chainer.links.rnn.n_step_lstm import NStepLSTMBase
from chainer.links.rnn.n_step_rnn import NStepRNNBase
from chainer.optimizer_hooks.gradient_noise import exponential_decay_noise
class Cell(LSTMBase):
    def forward(self, c, x):
        if self.upward.W.array is None:
            self.upward._initialize_params(x.shape[1])
            self._initialize_params()
        return F.lstm(c, self.upward(x))
class Steps(NStepRNNBase):
    n_weights = 2
    def rnn(self, *args):
        return n_step_rnn_base(*args, "relu", False)
c, h = Cell(None, 2, forget_bias_init=3)(np.zeros((1, 2), "f"), np.ones((1, 3), "f"))
h2, ys = Steps(1, 2, 3, 0.0)(None, [np.ones((n, 2), "f") for n in (1, 2)])
x = np.ones((1, 4, 2, 2), "f")
print(h.shape, h2.shape, [y.shape for y in ys], BottleneckA(4, 2, 6)(x).shape, BottleneckB(4, 2)(x).shape)
print(sorted(n for n, _ in GRUBase(2, 3).namedlinks())[1:], sorted(n for n, _ in MGUBase(2, 3).namedlinks())[1:])
from chainer.training.updaters.multiprocess_parallel_updater import gather_grads, gather_params, scatter_grads
link, other = (chainer.links.Linear(2, 2, initialW=i) for i in (1, 2))
link.W.grad = np.float32([[1, 2], [3, 4]])
scatter_grads(other, gather_grads(link))
print(gather_params(other).tolist(), other.W.grad.tolist(), other.b.grad.tolist())
"""


def test_private_names_that_programs_copied(tmp_path):
    assert output_of(tmp_path, PRIVATE) == [
        "True 0 True",
        "(3, 3) (1, 2)",
        "[1, 2] [[1.0, 2.0], [3.0, 9.0]]",
        "[[1.0, 2.0], [3.0, 0.0]]",
        "[[1.0, 2.0]]",
        "(2, None)",
        "[[[0.0, 4.0]], [[1.0, 5.0]], [[2.0, 6.0]], [[3.0, 7.0]]]",
        "[1, 2, 0] ['b', 'c', 'a'] ['c', 'a', 'b']",
        "[1.0, 1.0, 1.0, 1.0] [[1.0], [1.0]]",
        "n + 1 False",
        "(1, 2) (1, 2, 3) [(1, 3), (2, 3)] (1, 6, 1, 1) (1, 4, 2, 2)",
        "['/U', '/U_r', '/U_z', '/W', '/W_r', '/W_z'] ['/W_f', '/W_h']",
        "[2.0, 2.0, 2.0, 2.0, 0.0, 0.0] [[1.0, 2.0], [3.0, 4.0]] [0.0, 0.0]",
    ]
