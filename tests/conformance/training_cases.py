"""Training programs that run on real Chainer and on jaxchain: what they return is compared.

Every function takes the module (``chainer`` or ``jaxchain``) and returns plain data. The oracle imports this file too
(Python 3.11, NumPy 1.23).
"""

import contextlib
import inspect
import io
import os
import sys
import tempfile
import time
import types
import warnings
import zipfile

import numpy as np

# -- triggers ----------------------------------------------------------------------------------------------------------


def position(iteration, per_epoch):
    """Return what a trainer looks like after some iterations."""
    updater = types.SimpleNamespace(
        iteration=iteration,
        epoch=iteration // per_epoch,
        epoch_detail=iteration / per_epoch,
        previous_epoch_detail=(iteration - 1) / per_epoch,
        is_new_epoch=iteration % per_epoch == 0,
    )
    return types.SimpleNamespace(updater=updater, observation={}, elapsed_time=iteration * 0.7)


VALUES = [3.0, 2.5, 2.75, 1.0, 1.5, 1.25, 2.0, 0.5, 0.75, 0.75, 0.25, 4.0, 5.0, 0.125, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0]

TRIGGERS = {
    "interval iteration": lambda t: t.IntervalTrigger(3, "iteration"),
    "interval epoch": lambda t: t.IntervalTrigger(1, "epoch"),
    "interval half an epoch": lambda t: t.IntervalTrigger(0.5, "epoch"),
    "interval two epochs": lambda t: t.IntervalTrigger(2, "epoch"),
    "schedule iteration": lambda t: t.ManualScheduleTrigger([2, 5, 11], "iteration"),
    "schedule epoch": lambda t: t.ManualScheduleTrigger([0.5, 2, 2.3], "epoch"),
    "schedule point": lambda t: t.ManualScheduleTrigger(4, "iteration"),
    "once": lambda t: t.OnceTrigger(),
    "once and on resume": lambda t: t.OnceTrigger(True),
    "time": lambda t: t.TimeTrigger(2.0),
    "max": lambda t: t.MaxValueTrigger("v", (2, "iteration")),
    "min": lambda t: t.MinValueTrigger("v", (2, "iteration")),
    "max epoch": lambda t: t.MaxValueTrigger("v"),
    "best": lambda t: t.BestValueTrigger("v", lambda best, new: abs(new - 1) < abs(best - 1), (3, "iteration")),
}
STOPPERS = {
    "early": lambda t: t.EarlyStoppingTrigger((2, "iteration"), "v", 2, max_trigger=(30, "iteration")),
    "early max": lambda t: t.EarlyStoppingTrigger((1, "iteration"), "v", 4, "max", max_trigger=(30, "iteration")),
    "early accuracy": lambda t: t.EarlyStoppingTrigger((1, "iteration"), "v/accuracy", max_trigger=(5, "epoch")),
    "early min": lambda t: t.EarlyStoppingTrigger((1, "iteration"), "v/accuracy", 3, "min", max_trigger=(5, "epoch")),
    "early last": lambda t: t.EarlyStoppingTrigger((1, "epoch"), "v", patients=20, max_trigger=(17, "iteration")),
}


def fires(ch, make, every=1, resume_at=None):
    """Return at which of 20 iterations a trigger fires, and whether it says that it is finished."""
    trigger = make(ch.training.triggers)
    found = []
    for i in range(1, 21):
        if i == resume_at:
            saved = {}
            ch.serializers.DictionarySerializer(saved).save(trigger)
            trigger = make(ch.training.triggers)
            ch.serializers.NpzDeserializer(saved).load(trigger)
        trainer = position(i, 4)
        trainer.observation = {"v": np.float32(VALUES[i - 1]), "v/accuracy": np.float32(VALUES[-i])}
        if i % every == 0:
            found.append((i, bool(trigger(trainer)), bool(getattr(trigger, "finished", False))))
    return [list(row) for row in found]


def trigger_answers(ch):
    """Return when every trigger fires."""
    found = {}
    for name, make in TRIGGERS.items():
        found[name] = fires(ch, make)
        found[f"{name}, resumed"] = fires(ch, make, resume_at=8)
        if "v" not in name.split():
            found[f"{name}, every other call"] = fires(ch, make, every=2)
    for name, make in STOPPERS.items():
        found[name] = fires(ch, make)
    trigger = ch.training.get_trigger((3, "epoch"))
    found["text"] = [str(trigger), list(trigger.get_training_length()), ch.training.get_trigger(None)(None)]
    return found


# -- schedules ---------------------------------------------------------------------------------------------------------

SHIFTS = {
    "exponential": lambda e: e.ExponentialShift("lr", 0.5),
    "exponential init target": lambda e: e.ExponentialShift("lr", 0.5, init=2.0, target=0.3),
    "exponential up": lambda e: e.ExponentialShift("lr", 1.5, target=1.0),
    "inverse": lambda e: e.InverseShift("lr", 0.3, 2),
    "inverse target": lambda e: e.InverseShift("lr", 0.3, 0.5, init=1.0, target=0.5),
    "inverse up": lambda e: e.InverseShift("lr", 0.3, -1, target=0.3),
    "polynomial": lambda e: e.PolynomialShift("lr", 2, 8),
    "polynomial target": lambda e: e.PolynomialShift("lr", 0.5, 14, init=1.0, target=0.7),
    "polynomial rising": lambda e: e.PolynomialShift("lr", -0.5, 40, init=0.5, target=0.55),
    "step": lambda e: e.StepShift("lr", 0.1, 3),
    "step target": lambda e: e.StepShift("lr", 2.0, 4, init=0.2, target=0.7),
    "linear": lambda e: e.LinearShift("lr", (1.0, 0.1), (2, 7)),
    "multistep": lambda e: e.MultistepShift("lr", 0.5, [2, 5, 9], 0.4),
    "multistep of the optimizer": lambda e: e.MultistepShift("lr", 0.5, [3], None),
    "warmup": lambda e: e.WarmupShift("lr", 0.01, 6, 0.6),
    "warmup of the optimizer": lambda e: e.WarmupShift("lr", None, 4, 0.6),
}
NOT_RESUMED_BY_CHAINER = ("multistep", "warmup")


def moves(ch, make, resume_at=None):
    """Return the values of a hyperparameter over 12 calls of a schedule."""
    optimizer = types.SimpleNamespace(lr=0.1)
    trainer = types.SimpleNamespace(updater=types.SimpleNamespace(get_optimizer=lambda name: optimizer))
    shift = make(ch.training.extensions)
    shift.initialize(trainer)
    values = [optimizer.lr]
    for i in range(12):
        if i == resume_at:
            saved = {}
            ch.serializers.DictionarySerializer(saved).save(shift)
            shift = make(ch.training.extensions)
            optimizer.lr = 0.1
            ch.serializers.NpzDeserializer(saved).load(shift)
            shift.initialize(trainer)
            values.append(optimizer.lr)
        shift(trainer)
        values.append(optimizer.lr)
    return [float(v) for v in values]


def shift_answers(ch):
    """Return the values of every schedule."""
    found = {name: moves(ch, make) for name, make in SHIFTS.items()}
    for name, make in SHIFTS.items():
        if name.split()[0] not in NOT_RESUMED_BY_CHAINER:
            found[f"{name}, resumed"] = moves(ch, make, 5)
    return found


# -- whole runs --------------------------------------------------------------------------------------------------------


class Clock:
    """A clock that moves when it is told to."""

    now = 1000.0

    def __call__(self):
        return self.now


@contextlib.contextmanager
def stopped_clock(ch):
    """Return a context in which training sees the clock that it yields."""
    clock = Clock()
    old = time.time, time.perf_counter
    module = sys.modules[f"{ch.__name__}.training.trainer"]
    old_get_time = getattr(module, "_get_time", None)
    time.time = time.perf_counter = clock
    if old_get_time is not None:
        module._get_time = clock
    try:
        yield clock
    finally:
        time.time, time.perf_counter = old
        if old_get_time is not None:
            module._get_time = old_get_time


def floats(seed, *shape):
    """Return reproducible float32 numbers."""
    return np.random.RandomState(seed).randn(*shape).astype(np.float32)


def build(ch, batch=4, mode=None, **options):
    """Return (updater, model, evaluator of a set with a short last batch) of a small classification problem."""

    class Net(ch.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.l1 = ch.links.Linear(3, 5, initialW=floats(1, 5, 3))
                self.bn = ch.links.BatchNormalization(5)
                self.l2 = ch.links.Linear(5, 4, initialW=floats(2, 4, 5))

        def forward(self, x):
            return self.l2(ch.functions.relu(self.bn(self.l1(x))))

    model = ch.links.Classifier(Net())
    optimizer = ch.optimizers.MomentumSGD(lr=0.1)
    optimizer.setup(model)
    x, t = floats(3, 10, 3), (np.arange(10) * 7 % 4).astype(np.int32)
    train = ch.datasets.TupleDataset(x, t)
    test = ch.datasets.TupleDataset(floats(4, 6, 3), (np.arange(6) * 5 % 4).astype(np.int32))
    iterator = ch.iterators.SerialIterator(train, batch, shuffle=False)
    kwargs = {} if mode is None else {"mode": mode}
    updater = ch.training.updaters.StandardUpdater(iterator, optimizer, **kwargs, **options)
    validation = ch.iterators.SerialIterator(test, 4, repeat=False, shuffle=False)
    evaluator = ch.training.extensions.Evaluator(validation, model, **kwargs)
    return updater, model, evaluator


def round_all(entry):
    """Round every number of a log entry: what is left is the same on every machine."""
    for key, value in entry.items():
        entry[key] = round(value, 3) + 0.0 if isinstance(value, float) else value


def read(folder, name):
    """Return the text of a file."""
    with open(os.path.join(folder, name)) as file:
        return file.read()


def keys_of(path):
    """Return the names in an npz file."""
    with zipfile.ZipFile(path) as archive:
        return sorted(name.removesuffix(".npy") for name in archive.namelist())


def run(ch, mode=None, iterations=12):
    """Train with most extensions on; return what they printed and wrote."""
    e = ch.training.extensions
    updater, model, evaluator = build(ch, mode=mode)
    printed, bar = io.StringIO(), io.StringIO()
    order = []
    with tempfile.TemporaryDirectory() as out, stopped_clock(ch) as clock:
        trainer = ch.training.Trainer(updater, (iterations, "iteration"), out=out)

        @ch.training.make_extension(priority=1000)
        def tick(trainer):
            clock.now += 0.5

        def observer(name):
            def observe(trainer):
                order.append(f"{trainer.updater.iteration} {name}")

            return observe

        trainer.extend(tick)
        trainer.extend(evaluator)
        trainer.extend(observer("writer"), name="x", priority=ch.training.PRIORITY_WRITER, trigger=(4, "iteration"))
        trainer.extend(observer("reader"), name="x", trigger=(4, "iteration"))
        trainer.extend(observer("editor"), name="x", priority=ch.training.PRIORITY_EDITOR, trigger=(4, "iteration"))
        trainer.extend(observer("before"), name="before", trigger=(100, "epoch"), call_before_training=True)
        trainer.extend(e.LogReport(postprocess=round_all))
        trainer.extend(e.LogReport(["main/loss"], (5, "iteration"), round_all, "log_{iteration}"))
        trainer.extend(e.observe_lr())
        trainer.extend(e.observe_value("twice", lambda trainer: 2 * trainer.updater.iteration), trigger=(1, "epoch"))
        trainer.extend(e.ExponentialShift("lr", 0.5), trigger=(1, "epoch"))
        for key, power in (("correct", 2), ("seen", 1)):
            value = e.observe_value(key, lambda trainer, power=power: trainer.updater.iteration**power)
            trainer.extend(value, trigger=(1, "iteration"))
        trainer.extend(e.MicroAverage("correct", "seen", "ratio", (1, "epoch")))
        trainer.extend(e.ParameterStatistics(model.predictor.l2, prefix="p", trigger=(1, "epoch")))
        trainer.extend(e.FailOnNonNumber())
        trainer.extend(e.DumpGraph("main/loss"))
        trainer.extend(e.snapshot(n_retains=2), trigger=(3, "iteration"))
        trainer.extend(e.snapshot_object(model, "model_{.updater.iteration}"), trigger=(5, "iteration"))
        entries = ["epoch", "iteration", "main/loss", "validation/main/accuracy", "missing", "lr", "elapsed_time"]
        trainer.extend(e.PrintReport(entries, out=printed))
        progress = e.ProgressBar(update_interval=3, out=bar)
        getattr(progress, "_pbar", progress)._out = bar  # Chainer's forgets where to write
        trainer.extend(progress)
        trainer.run()
        return {
            "names": list(trainer._extensions),
            "order": order,
            "printed": printed.getvalue(),
            "bar": bar.getvalue(),
            "files": sorted(os.listdir(out)),
            "log": read(out, "log"),
            "log_10": read(out, "log_10"),
            "graph": read(out, "cg.dot"),
            "snapshot": keys_of(os.path.join(out, "snapshot_iter_12")),
            "model": keys_of(os.path.join(out, "model_10")),
            "elapsed": trainer.elapsed_time,
            "epoch": updater.epoch,
            "evaluated": {k: round(float(v), 3) + 0.0 for k, v in evaluator().items()},
            "parameters": {k: np.asarray(p.array).ravel().tolist() for k, p in sorted(model.namedparams())},
        }


def failing_run(ch, mode=None, show=True):
    """Train until an extension fails; return who was told, and what was printed."""
    events = []
    updater, _, _ = build(ch, mode=mode)

    class Watcher(ch.training.Extension):
        def __init__(self, priority, fails):
            self.priority, self.fails = priority, fails

        def initialize(self, trainer):
            events.append(f"initialize {self.priority}")

        def __call__(self, trainer):
            if self.fails and trainer.updater.iteration == 3:
                raise ValueError("no more")

        def on_error(self, trainer, exc, tb):
            events.append(f"on_error {self.priority} {type(exc).__name__} {trainer.updater.iteration}")
            if self.priority == 200:
                raise KeyError("handler")

        def finalize(self):
            events.append(f"finalize {self.priority}")

    stderr = io.StringIO()
    with tempfile.TemporaryDirectory() as out, contextlib.redirect_stderr(stderr):
        trainer = ch.training.Trainer(updater, (6, "iteration"), out=out)
        for priority in (100, 300, 200):
            trainer.extend(Watcher(priority, priority == 100))
        trainer.extend(ch.training.extensions.snapshot(snapshot_on_error=True), trigger=(100, "epoch"))
        try:
            trainer.run(show_loop_exception_msg=show)
        except ValueError as error:
            events.append(f"raised {error}")
        files = sorted(os.listdir(out))
    lines = [line for line in stderr.getvalue().splitlines() if line and not line.startswith(" ")]
    return {"events": events, "files": files, "stderr": lines}


def stopped_run(ch, mode=None):
    """Train with early stopping; return when it stops and what it prints."""
    updater, _, _ = build(ch, mode=mode)
    stdout = io.StringIO()
    with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(stdout):
        trigger = ch.training.triggers.EarlyStoppingTrigger(
            (1, "iteration"), "main/accuracy", 2, verbose=True, max_trigger=(40, "iteration")
        )
        trainer = ch.training.Trainer(updater, trigger, out=out)
        trainer.run()
    return {"iteration": updater.iteration, "printed": stdout.getvalue(), "best": float(trigger.best)}


def parallel_run(ch, mode=None):
    """Train on two parts of each batch, one after the other on one device; return the parameters."""
    single, model, _ = build(ch)
    optimizer, iterator = single.get_optimizer("main"), single.get_iterator("main")
    kwargs = {} if mode is None else {"mode": mode}
    devices = {"main": -1, "second": -1}
    if ch.__name__ == "chainer":
        devices = {name: ch.get_device("@numpy") for name in devices}
    with ch.using_config("train", False):  # batch statistics are those of a part there, of the whole batch here
        updater = ch.training.updaters.ParallelUpdater(iterator, optimizer, devices=devices, **kwargs)
        for _ in range(5):
            updater.update()
    return {k: np.asarray(p.array).ravel().tolist() for k, p in sorted(model.namedparams())}


def signatures(ch):
    """Return the positional arguments of everything public, with those defaults that are plain values."""
    t = ch.training
    found = {}
    for module in (t, t.updaters, t.triggers, t.extensions, t.extensions.snapshot_writers):
        for name, thing in vars(module).items():
            if (
                name.startswith("_")
                or not callable(thing)
                or not thing.__module__.startswith(f"{ch.__name__}.training")
            ):
                continue
            parameters = inspect.signature(thing.__init__ if inspect.isclass(thing) else thing).parameters.values()
            found[f"{module.__name__.split('.', 1)[1]}.{name}"] = [
                [p.name, p.default if isinstance(p.default, int | float | str | bool) else None]
                for p in parameters
                if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"
            ]
    return found


def messages(ch):
    """Return the types of the errors that wrong uses get."""
    t, e = ch.training, ch.training.extensions
    updater, model, _ = build(ch)
    trainer = t.Trainer(updater)

    @t.make_extension()
    def reader(trainer):
        pass

    tries = {
        "unit": lambda: t.IntervalTrigger(1, "day"),
        "schedule unit": lambda: t.triggers.ManualScheduleTrigger(1, "day"),
        "patience twice": lambda: t.triggers.EarlyStoppingTrigger(patience=1, patients=2),
        "no name": lambda: trainer.extend(object()),
        "training": lambda: trainer.extend(reader, name="training"),
        "no extension": lambda: trainer.get_extension("nothing"),
        "removed": lambda: trainer.extend(reader, invoke_before_training=True),
        "unknown": lambda: trainer.extend(reader, colour=1),
        "make removed": lambda: t.make_extension(invoke_before_training=True),
        "not started": lambda: trainer.elapsed_time,
        "exponential": lambda: e.ExponentialShift("lr", -1),
        "inverse": lambda: e.InverseShift("lr", -1, 1),
        "writer and savefun": lambda: e.snapshot(savefun=print, writer=print),
        "nothing to plot": lambda: e.VariableStatisticsPlot(
            model, plot_mean=False, plot_std=False, percentile_sigmas=()
        ),
        "no variables": lambda: e.VariableStatisticsPlot([]),
        "no devices": lambda: t.ParallelUpdater(updater.get_iterator("main"), updater.get_optimizer("main")),
        "no main": lambda: t.ParallelUpdater(
            updater.get_iterator("main"), updater.get_optimizer("main"), devices={"second": -1}
        ),
        "abstract": lambda: t.Extension()(None),
        "attribute": lambda: t.Extension().invoke_before_training,
    }
    found = {}
    for name, attempt in tries.items():
        try:
            attempt()
        except Exception as error:
            found[name] = type(error).__name__
    return found


def answers(ch):
    """Return everything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "triggers": trigger_answers(ch),
            "shifts": shift_answers(ch),
            "run": run(ch),
            "failing": failing_run(ch),
            "quiet": failing_run(ch, show=False) if ch.__name__ != "chainer" else None,
            "stopped": stopped_run(ch),
            "parallel": parallel_run(ch),
            "messages": messages(ch),
            "signatures": signatures(ch),
        }
