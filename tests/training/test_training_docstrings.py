"""The examples in the docstrings of this room are true, and every public name says what its arguments are."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import jaxchain
from jaxchain import training

DOORS = [
    training,
    training.updaters,
    training.triggers,
    training.extensions,
]
MODULES = [
    importlib.import_module(m.name)
    for m in pkgutil.walk_packages(training.__path__, "jaxchain.training.")
    if not m.ispkg
]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_examples(module):
    result = doctest.testmod(module, extraglobs={"jaxchain": jaxchain}, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    assert sum(bool(t.examples) for m in MODULES for t in finder.find(m)) >= 2


@pytest.mark.parametrize("door", DOORS, ids=lambda d: d.__name__)
def test_every_public_name_is_documented(door):
    for name in door.__all__:
        thing = getattr(door, name)
        if isinstance(thing, int):
            continue
        text = inspect.getdoc(thing)
        assert text, name
        target = thing.__init__ if inspect.isclass(thing) else thing
        parameters = [p for p in inspect.signature(target).parameters if p not in ("self", "args", "kwargs")]
        for parameter in parameters:
            assert f"{parameter}:" in text, (name, parameter)


def test_chainers_old_paths():
    assert training.trigger.IntervalTrigger is training.triggers.IntervalTrigger
    assert training.updater.StandardUpdater is training.updaters.StandardUpdater is training.StandardUpdater
    assert training.extension.Extension is training.Extension
    assert training.extensions.dump_graph is training.extensions.DumpGraph


def test_every_name_of_chainer_is_there():
    names = {
        training: "Extension IntervalTrigger ParallelUpdater StandardUpdater Trainer Updater get_trigger "
        "make_extension PRIORITY_EDITOR PRIORITY_READER PRIORITY_WRITER extension extensions trigger triggers "
        "updater updaters util",
        training.updaters: "MultiprocessParallelUpdater ParallelUpdater StandardUpdater",
        training.triggers: "BestValueTrigger EarlyStoppingTrigger IntervalTrigger ManualScheduleTrigger "
        "MaxValueTrigger MinValueTrigger OnceTrigger TimeTrigger",
        training.extensions: "DumpGraph Evaluator ExponentialShift FailOnNonNumber InverseShift LinearShift LogReport "
        "MicroAverage MultistepShift ParameterStatistics PlotReport PolynomialShift PrintReport ProgressBar StepShift "
        "VariableStatisticsPlot WarmupShift dump_graph observe_lr observe_value snapshot snapshot_object "
        "unchain_variables snapshot_writers",
        training.extensions.snapshot_writers: "Writer SimpleWriter StandardWriter ThreadWriter ProcessWriter "
        "QueueWriter ThreadQueueWriter ProcessQueueWriter",
    }
    for module, wanted in names.items():
        assert [name for name in wanted.split() if not hasattr(module, name)] == [], module.__name__
