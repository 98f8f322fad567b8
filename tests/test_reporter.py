"""Reporter, Summary, DictSummary: Chainer's behaviour, in both modes."""

import threading

import numpy as np
import pytest

import jaxchain
import jaxchain.functions.reduction as F
from jaxchain import reporter as R
from jaxchain.link import Chain, Link


def test_report_without_reporter_does_nothing():
    R.report({"x": 1})
    with pytest.raises(IndexError):
        R.get_current_reporter()


def test_scope_and_observers():
    reporter, observer, observation = R.Reporter(), object(), {}
    reporter.add_observer("me", observer)
    reporter.add_observers("main", [("/l1", reporter)])
    with reporter.scope(observation):
        assert R.get_current_reporter() is reporter
        R.report({"x": 1}, observer)
        R.report({"y": 2}, reporter)
        R.report({"z": 3})
        with pytest.raises(KeyError):
            R.report({"x": 1}, object())
    assert observation == {"me/x": 1, "main/l1/y": 2, "z": 3}
    assert reporter.observation == {}


def test_report_scope_restores_after_an_exception():
    reporter, inner = R.Reporter(), {}
    with reporter:
        with pytest.raises(ZeroDivisionError), R.report_scope(inner):
            R.report({"x": 1})
            _ = 1 / 0
        R.report({"y": 2})
    assert inner == {"x": 1} and reporter.observation == {"y": 2}


def test_variables_lose_their_graph():
    reporter = R.Reporter()
    y = F.sum(jaxchain.Variable(np.ones(3, np.float32)))
    with reporter:
        R.report({"y": y})
        with jaxchain.using_config("keep_graph_on_report", True):
            R.report({"z": y})
    assert reporter.observation["y"].creator is None and float(reporter.observation["y"].array) == 3
    assert reporter.observation["z"].creator is not None


def test_reporters_are_per_thread():
    seen = []
    with R.Reporter() as reporter:
        thread = threading.Thread(target=lambda: (R.report({"x": 1}), seen.append(len(R._stack.entries))))
        thread.start()
        thread.join()
    assert reporter.observation == {} and seen == [0]


class Loss(Link):
    def forward(self, x):
        loss = F.sum(x)
        R.report({"loss": loss}, self)
        return loss


@pytest.mark.parametrize("mode", ["eager", "static"])
def test_report_inside_a_link_in_both_modes(mode):
    model = Chain(inner=Loss())
    model.forward = lambda x: model["inner"](x)
    reporter = R.Reporter()
    reporter.add_observers("main", model.namedlinks())
    with jaxchain.using_config("mode", mode):
        for i in range(3):
            observation = {}
            with reporter.scope(observation):
                model(np.full(2, i, np.float32))
            assert list(observation) == ["main/inner/loss"]
            assert float(observation["main/inner/loss"].array) == 2.0 * i


def test_scope_opened_inside_a_static_function():
    reporter = R.Reporter()

    @jaxchain.static
    def step(x):
        observation = {}
        with reporter.scope(observation):
            R.report({"x": F.sum(x)})
        return observation["x"]

    for i in range(3):
        assert float(step(np.full(2, i, np.float32)).array) == 2 * i


def test_summary():
    summary = R.Summary()
    for x in (1.0, 2.0, 6.0):
        summary.add(x)
    assert summary.compute_mean() == 3
    mean, std = summary.make_statistics()
    assert mean == 3 and abs(std - np.std([1, 2, 6])) < 1e-12
    summary.add(np.float32(7), weight=3)
    assert abs(summary.compute_mean() - 5) < 1e-6


def test_summary_of_equal_values_has_no_nan():
    summary = R.Summary()
    for _ in range(7):
        summary.add(jaxchain.Variable(np.array(0.1, np.float32)).array)
    assert float(summary.make_statistics()[1]) < 1e-3


def test_dict_summary():
    summary = R.DictSummary()
    two = jaxchain.Variable(np.array(2, np.float32))
    summary.add({"a": 1.0, "v": two, "skip": np.ones(2), "text": "x", "w": (4.0, 2)})
    summary.add({"a": 3.0, "w": (1.0, 1)})
    assert {k: float(v) for k, v in summary.compute_mean().items()} == {"a": 2.0, "v": 2.0, "w": 3.0}
    assert float(summary.make_statistics()["a.std"]) == 1.0
    with pytest.raises(ValueError, match="w was not scalar"):
        summary.add({"w": (1.0, np.ones(2))})


def test_dict_summary_serializes():
    from jaxchain.serializers import DictionarySerializer, NpzDeserializer

    summary = R.DictSummary()
    summary.add({"a/b": 1.0, "c": np.float32(2)})
    summary.add({"a/b": 3.0})
    serializer = DictionarySerializer()
    serializer.save(summary)
    loaded = R.DictSummary()
    loaded.add({"old": 5.0})
    NpzDeserializer(serializer.target).load(loaded)
    assert loaded.compute_mean() == {"a/b": 2.0, "c": 2.0}
    with pytest.warns(UserWarning, match="names of statistics are not saved"):
        NpzDeserializer({}).load(loaded)
    assert loaded.compute_mean() == {}
