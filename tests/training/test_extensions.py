"""Extensions by themselves: what they write, report, show and refuse."""

from __future__ import annotations

import functools
import io
import json
import sys
import types
import warnings

import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import datasets, iterators, optimizers, training
from jaxchain.core.explain import EagerFallback
from jaxchain.serializers import DictionarySerializer, NpzDeserializer
from jaxchain.training import extensions
from jaxchain.training.extensions import plotting


class Net(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(5, 8)
            self.l2 = L.Linear(8, 3)

    def forward(self, x):
        return self.l2(F.relu(self.l1(x)))


def trainer_of(tmp_path, mode=None, iterations=6):
    random = np.random.RandomState(0)
    data = datasets.TupleDataset(random.randn(12, 5).astype(np.float32), random.randint(0, 3, 12).astype(np.int32))
    model = L.Classifier(Net())
    optimizer = optimizers.SGD(lr=0.1).setup(model)
    updater = training.StandardUpdater(iterators.SerialIterator(data, 4, shuffle=False), optimizer, mode=mode)
    return training.Trainer(updater, (iterations, "iteration"), out=str(tmp_path))


def model_of(trainer):
    return trainer.updater.get_optimizer("main").target


def reload(extension, fresh):
    """What an extension saves, loaded into a new one."""
    saved = {}
    DictionarySerializer(saved).save(extension)
    NpzDeserializer(saved).load(fresh)
    return fresh


# -- plots -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def plots():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG")


def test_plot_report(tmp_path, mode, plots):
    trainer = trainer_of(tmp_path, mode)
    seen = []
    report = extensions.PlotReport(
        ["main/loss", "main/accuracy", "nothing"], "iteration", (2, "iteration"), lambda *a: seen.append(a)
    )
    trainer.extend(report)
    trainer.extend(extensions.PlotReport("main/loss", filename="one.svg", marker=None, grid=False))
    trainer.run()
    assert is_png(tmp_path / "plot.png") and b"<svg" in (tmp_path / "one.svg").read_bytes()
    assert len(seen) == 3 and seen[0][1].get_xlabel() == "iteration"
    assert [x for x, _ in report._data["main/loss"]] == [2, 4, 6] and report._data["nothing"] == []
    lines = seen[-1][1].get_lines()
    assert [line.get_label() for line in lines] == ["main/loss", "main/accuracy"]
    np.testing.assert_array_equal(lines[0].get_xdata(), [2, 4, 6])
    fresh = extensions.PlotReport(["main/loss", "main/accuracy", "nothing"], "iteration", (2, "iteration"))
    assert reload(report, fresh)._data["main/loss"] == [list(p) for p in report._data["main/loss"]]
    import matplotlib.pyplot as plt

    assert plt.get_fignums() == []


def test_a_plot_in_the_middle_of_an_interval_goes_on(tmp_path, plots):
    def make(iterations):
        jaxchain.seed(0)
        trainer = trainer_of(tmp_path, iterations=iterations)
        trainer.extend(extensions.PlotReport("main/loss", trigger=(4, "iteration")))
        return trainer

    whole, first, second = make(8), make(3), make(8)
    whole.run()
    first.run()
    NpzDeserializer(jaxchain.serializers.npz.serialize(first)).load(second)
    second.run()
    found = [[tuple(point) for point in t.get_extension("PlotReport")._data["main/loss"]] for t in (whole, second)]
    assert found[0] == found[1] and [x for x, _ in found[0]] == [4, 8]


def test_variable_statistics_plot(tmp_path, mode, plots):
    trainer = trainer_of(tmp_path, mode)
    model = model_of(trainer)
    every = extensions.VariableStatisticsPlot(model, max_sample_size=4, trigger=(3, "iteration"))
    trainer.extend(every)
    parts = [model.predictor.l1.W, [model.predictor.l2]]
    for name, options in {
        "mean": {"plot_std": False, "percentile_sigmas": ()},
        "std": {"plot_mean": False, "report_grad": False},
        "line": {"percentile_sigmas": 50, "plot_mean": False, "plot_std": False},
        "even": {"percentile_sigmas": [10, 90], "grid": False},
    }.items():
        plot = extensions.VariableStatisticsPlot(parts, filename=f"{name}.png", trigger=(3, "iteration"), **options)
        trainer.extend(plot, name=name)
    trainer.run()
    for name in ("statistics", "mean", "std", "line", "even"):
        assert is_png(tmp_path / f"{name}.png"), name
    idxs, data = every._samples.get_data()
    assert data.shape == (4, 2, 11) and len(idxs) == 4 and list(idxs) == sorted(idxs)
    assert every._samples.counter == 6
    fresh = extensions.VariableStatisticsPlot(model, max_sample_size=4, trigger=(3, "iteration"))
    np.testing.assert_array_equal(reload(every, fresh)._samples.data, every._samples.data)


def test_values_of_the_statistics_plot(tmp_path, plots):
    variable = jaxchain.Variable(np.arange(5, dtype=np.float32))
    plot = extensions.VariableStatisticsPlot(variable, percentile_sigmas=(0, 50, 100), report_grad=False)
    trainer = types.SimpleNamespace(
        updater=types.SimpleNamespace(iteration=1, epoch_detail=0.1), out=str(tmp_path), observation={}
    )
    plot(trainer)
    np.testing.assert_allclose(plot._samples.data[0, 0], [2, np.sqrt(2), 0, 2, 4], rtol=1e-6)


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setattr(plotting.importlib.util, "find_spec", lambda name: None)
    with pytest.warns(UserWarning, match="matplotlib is not installed"):
        report = extensions.PlotReport("main/loss")
    trainer = trainer_of(tmp_path)
    with pytest.warns(UserWarning, match="matplotlib is not installed"):
        report(trainer)
    with pytest.warns(UserWarning, match="matplotlib is not installed"):
        assert not extensions.VariableStatisticsPlot.available()
    assert list(tmp_path.iterdir()) == []


# -- reports -----------------------------------------------------------------------------------------------------------


def test_a_log_report_inside_a_print_report(tmp_path, mode):
    out = io.StringIO()
    trainer = trainer_of(tmp_path, mode)
    report = extensions.LogReport(["main/loss"], (3, "iteration"))
    trainer.extend(extensions.PrintReport(["iteration", "main/loss"], report, out))
    trainer.run()
    assert [entry["iteration"] for entry in report.log] == [3, 6]
    assert len(out.getvalue().splitlines()) == 3
    printed = trainer.get_extension("PrintReport")
    fresh = extensions.PrintReport(["iteration"], extensions.LogReport(["main/loss"], (3, "iteration")), out)
    assert reload(printed, fresh)._log_report.log == json.loads(json.dumps(report.log))
    with pytest.raises(TypeError, match="expected a LogReport or the name of one"):
        extensions.PrintReport(["a"], 3, out)(trainer)


def test_a_report_before_training(tmp_path):
    trainer = trainer_of(tmp_path, iterations=3)
    trainer.extend(extensions.observe_value("a", lambda t: 5), call_before_training=True, priority=400)
    trainer.extend(extensions.LogReport(trigger=(2, "iteration")), call_before_training=True)
    trainer.run()
    log = trainer.get_extension("LogReport").log
    assert [entry["iteration"] for entry in log] == [0, 2] and log[0]["a"] == 5.0


def test_print_report_goes_to_the_present_standard_output(tmp_path, capsys):
    trainer = trainer_of(tmp_path, iterations=3)
    trainer.extend(extensions.LogReport())
    trainer.extend(extensions.PrintReport(["epoch", "main/loss"]))
    trainer.extend(extensions.ProgressBar((10, "epoch"), update_interval=1, bar_length=10))
    trainer.run()
    text = capsys.readouterr().out
    assert text.startswith("epoch       main/loss \n") and "     total [#.........] 10.00%" in text
    assert "3 iter, 1 epoch / 10 epochs" in text


class Shell:
    kernel = True


class Handle:
    def __init__(self, shown):
        self.shown = shown

    def update(self, content):
        self.shown[-1] = content


@pytest.fixture
def notebook(monkeypatch):
    """A stand-in for IPython in a notebook: what each output of the cell shows."""
    shown = []
    display = types.ModuleType("IPython.display")
    display.HTML = lambda text: text

    def show(content, display_id):
        shown.append(content)
        handle = Handle(shown)
        at = len(shown) - 1
        handle.update = lambda content: shown.__setitem__(at, content)
        return handle

    display.display = show
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = Shell
    ipython.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return shown


def test_reports_in_a_notebook(tmp_path, notebook, capsys):
    trainer = trainer_of(tmp_path)
    trainer.extend(extensions.LogReport(trigger=(2, "iteration")))
    trainer.extend(extensions.PrintReport(["iteration", "<b>"]))
    trainer.extend(extensions.ProgressBar(update_interval=2))
    trainer.run()
    table, bar = notebook
    assert table.count("<tr>") == 4 and "<td>6</td><td></td>" in table and "<th>&lt;b&gt;</th>" in table
    assert bar.startswith("<pre>     total [####") and "6 iter" in bar
    assert capsys.readouterr().out == ""


def test_a_file_gets_text_also_in_a_notebook(tmp_path, notebook):
    out = io.StringIO()
    trainer = trainer_of(tmp_path)
    trainer.extend(extensions.LogReport(trigger=(2, "iteration")))
    trainer.extend(extensions.PrintReport(["iteration"], out=out))
    trainer.run()
    assert notebook == [] and out.getvalue().startswith("iteration ")


def test_progress_of_an_evaluation(capsys):
    iterator = iterators.SerialIterator(list(np.zeros((6, 5), np.float32)), 4, repeat=False, shuffle=False)
    model = Net()
    extensions.Evaluator(iterator, model, progress_bar=True)()
    text = capsys.readouterr().out
    assert "validation [##" in text and "/ 6 iterations" in text and text.endswith("\033[J")

    class Bare:
        def __iter__(self):
            return iter([])

        def reset(self):
            pass

    with pytest.raises(TypeError, match="a progress bar needs current_position"):
        extensions.Evaluator(Bare(), model, progress_bar=True)()


def test_an_iterator_without_reset_is_copied():
    class Batches:
        def __init__(self):
            self.left = 2

        def __iter__(self):
            return self

        def __next__(self):
            if not self.left:
                raise StopIteration
            self.left -= 1
            return [np.zeros(5, np.float32)]

    iterator = Batches()
    calls = []
    evaluator = extensions.Evaluator(iterator, Net(), eval_func=calls.append)
    for _ in range(2):
        with pytest.warns(DeprecationWarning, match="Batches has no `reset` method"):
            evaluator()
    assert len(calls) == 4 and iterator.left == 2


# -- graphs and checks -------------------------------------------------------------------------------------------------


def test_dump_graph(tmp_path, mode):
    trainer = trainer_of(tmp_path, mode, 3)
    trainer.extend(extensions.DumpGraph("main/loss", "g.dot"))
    flags = []
    trainer.extend(lambda t: flags.append(bool(jaxchain.config.keep_graph_on_report)), name="flag", priority=-5)
    trainer.run()
    dot = (tmp_path / "g.dot").read_text()
    assert dot.count("LinearFunction") == 2 and "SoftmaxCrossEntropy" in dot and "octagon" in dot
    program = (tmp_path / "g.jaxpr").read_text()
    assert "name=linear" in program and "SGD_update" in program
    assert flags == [False] * 3 and not jaxchain.config.keep_graph_on_report
    assert trainer.updater._last_batch is None and not trainer.updater._keep_batch
    fresh = reload(trainer.get_extension("dump_graph"), extensions.DumpGraph("main/loss"))
    assert not fresh.trigger(None)


def test_the_graph_is_the_same_in_both_modes(tmp_path):
    texts = {}
    for mode in ("eager", "static"):
        trainer = trainer_of(tmp_path / mode, mode, 1)
        trainer.extend(extensions.dump_graph("main/loss"))
        trainer.run()
        dot = (tmp_path / mode / "cg.dot").read_text()
        texts[mode] = sorted(line.split("label=")[1].split('"')[1] for line in dot.splitlines() if "label=" in line)
        texts[f"{mode} program"] = (tmp_path / mode / "cg.jaxpr").read_text()
    assert texts["eager"] == texts["static"]
    assert texts["eager program"] == texts["static program"]


def test_dumping_a_graph_changes_nothing(tmp_path, mode):
    weights = []
    for dump in (True, False):
        jaxchain.seed(3)
        trainer = trainer_of(tmp_path, mode, 3)
        if dump:
            trainer.extend(extensions.DumpGraph("main/loss"))
        trainer.run()
        weights.append(np.asarray(model_of(trainer).predictor.l1.W.array))
    np.testing.assert_array_equal(*weights)


def test_dump_graph_of_an_update_that_is_no_program(tmp_path, mode):
    trainer = trainer_of(tmp_path, mode, 2)
    model, seen = model_of(trainer), []

    def loss_func(x, t):
        loss = model(x, t)
        seen.append(float(loss.array))
        return loss

    trainer.updater.loss_func = loss_func
    trainer.extend(extensions.DumpGraph("main/loss"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EagerFallback)
        trainer.run()
    assert (tmp_path / "cg.dot").read_text().count("LinearFunction") == 2
    assert "no program: it takes a value out of the program" in (tmp_path / "cg.jaxpr").read_text()
    assert len(seen) == 2


def test_dump_graph_of_a_number(tmp_path):
    trainer = trainer_of(tmp_path, iterations=1)
    trainer.extend(extensions.observe_value("n", lambda t: 3), trigger=(1, "iteration"))
    trainer.extend(extensions.DumpGraph("n"))
    with pytest.raises(TypeError, match="expected a Variable as n, got <class 'int'>"):
        trainer.run(show_loop_exception_msg=False)
    assert not jaxchain.config.keep_graph_on_report


def test_unchain_variables(tmp_path):
    trainer = trainer_of(tmp_path, "eager", 2)
    kept = []
    trainer.extend(lambda t: kept.append(t.observation["main/loss"].creator is not None), name="before", priority=10)
    trainer.extend(extensions.unchain_variables())
    trainer.extend(lambda t: kept.append(t.observation["main/loss"].creator is not None), name="after", priority=-10)
    with jaxchain.using_config("keep_graph_on_report", True):
        trainer.run()
    assert kept == [True, False, True, False]


def test_fail_on_non_number(tmp_path, mode):
    trainer = trainer_of(tmp_path, mode, 3)
    weights = model_of(trainer).predictor.l2.W

    def spoil(trainer):
        if trainer.updater.iteration == 2:
            weights.array = weights.array.at[0, 0].set(np.inf)

    trainer.extend(spoil, name="spoil")
    trainer.extend(extensions.FailOnNonNumber())
    with pytest.raises(RuntimeError, match=r"optimizer 'main' diverge. R.I.P. \(/predictor/l2/W\)"):
        trainer.run(show_loop_exception_msg=False)
    assert trainer.updater.iteration == 2


def test_parameter_statistics(tmp_path, mode):
    trainer = trainer_of(tmp_path, mode, 2)
    model = model_of(trainer)
    own = extensions.ParameterStatistics(
        [model.predictor.l1], {"sum": np.sum}, report_grads=False, trigger=(2, "iteration")
    )
    own.register_statistics("two", lambda x: x[:2])
    trainer.extend(own)
    seen = {}
    trainer.extend(lambda t: seen.update(t.observation), name="see", priority=10)
    sums = []
    trainer.extend(lambda t: sums.append(float(model.predictor.l1.W.array.sum())), name="sums", priority=400)
    trainer.run()
    names = {k for k in seen if k.startswith("l1")}
    assert names == {f"l1/{p}/data/{f}" for p in "Wb" for f in ("sum", "two/0", "two/1")}
    np.testing.assert_allclose(seen["l1/W/data/sum"], np.mean(sums), rtol=1e-5)


def test_parameter_statistics_of_what_is_not_there():
    with pytest.raises(ValueError, match="/W is not initialised"):
        extensions.ParameterStatistics(L.Linear(None, 2))(None)
    link = L.Linear(2, 2)
    link.W.array = link.W.array * np.nan
    link.b.array = link.b.array * 0
    found = extensions.ParameterStatistics(link, skip_nan_params=True)  # there are no gradients: they count as NaN
    with jaxchain.reporter.Reporter() as reporter:
        trainer = types.SimpleNamespace(updater=types.SimpleNamespace(epoch_detail=1.0, iteration=1))
        found(trainer)
    assert np.isnan(reporter.observation["None/W/data/percentile"])
    assert reporter.observation["None/b/data/zeros"] == 2
    assert np.isnan(reporter.observation["None/b/grad/zeros"])


def test_micro_average_takes_variables(tmp_path):
    trainer = types.SimpleNamespace(updater=types.SimpleNamespace(epoch_detail=0.5, iteration=1), observation={})
    average = extensions.MicroAverage("a", "b", "c", (2, "iteration"))
    average(trainer)
    assert average._denominator == 0
    with jaxchain.reporter.Reporter() as reporter:
        for i in (1, 2):
            trainer.updater.iteration = i
            trainer.observation = {"a": jaxchain.Variable(np.float32(i)), "b": np.int32(2)}
            average(trainer)
            if i == 1:
                average = reload(average, extensions.MicroAverage("a", "b", "c", (2, "iteration")))
    assert reporter.observation == {"c": 0.75}


@pytest.mark.parametrize(("observed", "kind"), [(None, "i"), (2, "i"), (jnp.int32(2), "i"), (jnp.float32(2), "f")])
def test_micro_average_saves_whole_sums_as_such(observed, kind):
    """Chainer loads no others."""
    average = extensions.MicroAverage("a", "a", "c", (2, "iteration"))
    updater = types.SimpleNamespace(epoch_detail=0.5, iteration=1)
    average(types.SimpleNamespace(updater=updater, observation={} if observed is None else {"a": observed}))
    saved = DictionarySerializer()
    saved.save(average)
    assert {saved.target[key].dtype.kind for key in ("_numerator", "_denominator")} == {kind}
    loaded = extensions.MicroAverage("a", "a", "c", (2, "iteration"))
    NpzDeserializer(saved.target).load(loaded)
    assert loaded._numerator == (0 if observed is None else 2)


# -- the trainer -------------------------------------------------------------------------------------------------------


def test_any_function_is_an_extension(tmp_path):
    class Counter:
        n = 0

        def count(self, trainer):
            self.n += 1

    counter = Counter()
    trainer = trainer_of(tmp_path)
    trainer.extend(counter.count)
    trainer.run()
    assert counter.n == 6 and "count" in trainer._extensions


def test_a_trainer_runs_once(tmp_path):
    trainer = trainer_of(tmp_path, iterations=1)
    trainer.run()
    with pytest.raises(RuntimeError, match="cannot run training loop multiple times"):
        trainer.run()
    elapsed = trainer.elapsed_time
    assert trainer.elapsed_time == elapsed


def test_extensions_given_to_the_trainer(tmp_path):
    updater = trainer_of(tmp_path).updater
    trainer = training.Trainer(updater, (1, "iteration"), str(tmp_path), [extensions.LogReport()])
    assert isinstance(trainer.get_extension("LogReport"), extensions.LogReport)
    with pytest.raises(ValueError, match=r"extension x not found \(registered: LogReport\)"):
        trainer.get_extension("x")


def test_an_interrupt_finalizes_too(tmp_path):
    trainer = trainer_of(tmp_path)
    events = []

    @training.make_extension(finalizer=lambda: events.append("finalize"), on_error=lambda *a: events.append("error"))
    def interrupt(trainer):
        raise KeyboardInterrupt

    trainer.extend(interrupt)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert events == ["finalize"]


def test_a_finished_trigger_is_not_initialised(tmp_path):
    events = []
    trigger = training.triggers.ManualScheduleTrigger(1, "iteration")
    trigger.finished = True

    @training.make_extension(initializer=lambda trainer: events.append("initialize"))
    def extension(trainer):
        events.append("call")

    trainer = trainer_of(tmp_path, iterations=2)
    trainer.extend(extension, trigger=trigger)
    trainer.run()
    assert events == ["call"]


def test_the_updater_moves_models_and_batches(tmp_path):
    import jax

    model = L.Classifier(Net())
    optimizer = optimizers.SGD().setup(model)
    data = datasets.TupleDataset(np.zeros((4, 5), np.float32), np.zeros(4, np.int32))
    cpu, default = jax.devices("cpu")[0], jax.devices()[0]
    for device, found in ((-1, cpu), ("cpu", cpu), (0, default), (default, default)):
        updater = training.StandardUpdater(iterators.SerialIterator(data, 2), optimizer, device=device)
        assert updater.device == updater.input_device == found
        updater.update()
    updater = training.StandardUpdater(iterators.SerialIterator(data, 2), optimizer, input_device=-1)
    assert updater.device is None and updater.input_device == jax.devices("cpu")[0]


def test_objects_that_stand_for_a_device(tmp_path, mode):
    """As those of `jaxchain.backends`: converters may ask them to send arrays."""
    import jax

    class Device:
        jax_device = jax.devices("cpu")[0]
        sent = 0

        def send(self, array):
            self.sent += 1
            return jax.device_put(array, self.jax_device)

    @jaxchain.dataset.converter()
    def send(batch, device):
        return tuple(device.send(np.stack(column)) for column in zip(*batch, strict=True))

    data = datasets.TupleDataset(np.zeros((4, 5), np.float32), np.zeros(4, np.int32))
    for converter, sent in ((send, 2), (jaxchain.dataset.concat_examples, 0)):
        model = L.Classifier(Net())
        device = Device()
        iterator = iterators.SerialIterator(data, 4)
        updater = training.StandardUpdater(iterator, optimizers.SGD().setup(model), converter, device=device, mode=mode)
        updater.update()
        assert device.sent == sent and updater.device is device
        validation = iterators.SerialIterator(data, 4, repeat=False)
        extensions.Evaluator(validation, model, converter, device=device, mode=mode)()
        assert device.sent == 2 * sent


class Classed(jaxchain.dataset.Converter):
    def __call__(self, batch, device):
        return concat(batch, device)


def concat(batch, device):
    concat.devices.append(device)
    return jaxchain.dataset.concat_examples(batch, device)


@pytest.mark.parametrize("device", [None, -1, np.int64(-1), "@numpy", "cpu", jaxchain.get_device("@numpy")], ids=str)
@pytest.mark.parametrize(
    ("converter", "gets_objects"),
    [
        (concat, False),
        (functools.partial(concat), False),
        (jaxchain.dataset.converter()(concat), True),
        (Classed(), True),
    ],
)
def test_what_converters_get_for_a_device(converter, gets_objects, device, mode):
    """As in Chainer: functions get its number, converters that are marked as such an object that can send arrays."""
    data = datasets.TupleDataset(np.zeros((4, 5), np.float32), np.zeros(4, np.int32))
    model = L.Classifier(Net())
    concat.devices = []
    updater = training.StandardUpdater(
        iterators.SerialIterator(data, 4), optimizers.SGD().setup(model), converter, device=device, mode=mode
    )
    updater.update()
    extensions.Evaluator(iterators.SerialIterator(data, 4, repeat=False), model, converter, device=device, mode=mode)()
    expected = None if device is None else jaxchain.get_device("@numpy") if gets_objects else -1
    assert concat.devices == [expected] * 2
    assert [isinstance(d, jaxchain.backend.Device) for d in concat.devices] == [device is not None and gets_objects] * 2
    assert updater.device == (None if device is None else jaxchain.get_device("@numpy"))


def test_epochs_are_told_to_the_optimizer(tmp_path, mode):
    trainer = trainer_of(tmp_path, mode)
    trainer.run()
    assert trainer.updater.get_optimizer("main").epoch == 2 and trainer.updater.epoch == 2
    assert trainer.updater.is_new_epoch and trainer.updater.previous_epoch_detail == pytest.approx(5 / 3)
