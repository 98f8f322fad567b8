"""Reporter, Summary, DictSummary: Chainer's behaviour, in both modes."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
import jaxchain.functions.reduction as F
from jaxchain import reporter as R
from jaxchain.link import Chain, Link
from jaxchain.serializers import DictionarySerializer, NpzDeserializer


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


def filled(values, weights=None):
    summary = R.DictSummary()
    for i, value in enumerate(values):
        summary.add({"x": value if weights is None else (value, weights[i]), "other": np.zeros(3), "text": "no"})
    return summary


@pytest.mark.parametrize("n", [1, 3, R.AT_ONCE - 1, R.AT_ONCE, 3 * R.AT_ONCE + 5])
@pytest.mark.parametrize("kind", [float, np.float32, jnp.float32, lambda v: jaxchain.Variable(np.float32(v))])
def test_mean_and_deviation_in_float64(n, kind):
    values = np.random.RandomState(0).rand(n).astype(np.float32)
    summary = filled([kind(v) for v in values])
    assert list(summary.compute_mean()) == ["x"]
    assert summary.compute_mean()["x"] == pytest.approx(values.astype(np.float64).mean(), rel=1e-13)
    statistics = summary.make_statistics()
    assert statistics["x.std"] == pytest.approx(values.astype(np.float64).std(), rel=1e-6, abs=1e-9)


def test_weights():
    summary = filled([1.0, jnp.float32(4)], [1, jnp.int32(3)])
    assert summary.compute_mean()["x"] == 3.25
    with pytest.raises(ValueError, match="Given weight to a was not scalar"):
        summary.add({"a": (1.0, np.zeros(2))})


def test_integers_and_half_precision():
    summary = R.DictSummary()
    summary.add({"i": np.int32(3), "h": jnp.float16(0.5), "b": jnp.bfloat16(2)})
    summary.add({"i": 4, "h": 1.5})
    assert summary.compute_mean() == {"i": 3.5, "h": 1.0, "b": 2.0}


@pytest.mark.parametrize(
    ("weights", "kind"),
    [([2, 3], "i"), ([jnp.int32(2), 3], "i"), ([np.array(2), np.array(3)], "i"), ([0.5, jnp.float32(2)], "f")],
)
def test_weights_go_on_after_a_snapshot(weights, kind):
    """Whole ones stay whole in the file: Chainer loads no others."""
    saved, loaded = {}, R.DictSummary()
    DictionarySerializer(saved).save(filled([1.0], weights[:1]))
    assert saved["_summaries/0/_n"].dtype.kind == kind
    NpzDeserializer(saved).load(loaded)
    loaded.add({"x": (4.0, weights[1])})
    whole = filled([1.0, 4.0], weights)
    assert loaded.make_statistics() == whole.make_statistics()
    assert loaded.compute_mean() == {"x": pytest.approx(np.average([1.0, 4.0], weights=weights))}


def test_a_summary_of_arrays_goes_on_after_a_snapshot():
    saved, summary, loaded = {}, R.Summary(), R.Summary()
    summary.add(np.array([1.0, 2.0]))
    DictionarySerializer(saved).save(summary)
    NpzDeserializer(saved).load(loaded)
    loaded.add(np.array([3.0, 6.0]))
    assert loaded.compute_mean().tolist() == [2.0, 4.0]
    NpzDeserializer({}, strict=False).load(loaded)
    assert loaded.compute_mean().tolist() == [2.0, 4.0]


def test_a_mean_goes_on_after_a_snapshot_exactly():
    values = np.random.RandomState(0).rand(20).astype(np.float32)
    whole = filled(values)
    first, second = filled(values[:7]), R.DictSummary()
    saved = {}
    DictionarySerializer(saved).save(first)
    NpzDeserializer(saved).load(second)
    for value in values[7:]:
        second.add({"x": jnp.float32(value)})
    assert second.compute_mean() == whole.compute_mean()
    assert second.make_statistics() == whole.make_statistics()


def test_no_graph_is_kept():
    x = jaxchain.Variable(np.float32([1, 2]))
    y = jaxchain.functions.sum(x)
    summary = R.DictSummary()
    summary.add({"y": y})
    assert all(isinstance(value, jax.Array) for value, _ in summary._summaries["y"]._pending)


def test_statistics_of_complex_numbers():
    summary = R.Summary()
    for x in (1 + 1j, jnp.complex64(3 - 1j)):
        summary.add(x)
    mean, deviation = summary.make_statistics()
    assert mean == 2 and deviation == np.sqrt(((1 + 1j) ** 2 + (3 - 1j) ** 2) / 2 - 4)


def test_a_numpy_array_may_change_after_it_was_added():
    summary, value = R.Summary(), np.zeros((), np.float32)
    for _ in range(3):
        value += 1
        summary.add(value)
    assert summary.compute_mean() == 2


def test_a_sum_inside_a_static_function():
    summary = R.Summary()

    @jaxchain.static
    def step(x):
        summary.add(F.sum(x).array)

    for i in range(3):
        step(np.full(2, i, np.float32))
        summary.add(jnp.float32(i))  # between the calls: compiles nothing
    assert summary._n == 6 - len(summary._pending) and float(summary.compute_mean()) == 1.5
    assert len(step.explain().compiles) <= 2, str(step.explain())


def test_arrays_are_averaged_element_by_element():
    for array in (np.float32, jnp.asarray):
        summary = R.Summary()
        summary.add(array([1, 2]))
        summary.add(array([3, 2]))
        mean, deviation = summary.make_statistics()
        np.testing.assert_array_equal(summary.compute_mean(), [2, 2])
        np.testing.assert_array_equal(mean, [2, 2])
        np.testing.assert_array_equal(deviation, [1, 0])
