"""Means: Chainer's numbers, added up late."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
from jaxchain.serializers import DictionarySerializer, NpzDeserializer
from jaxchain.training.means import AT_ONCE, Means


def filled(values, weights=None):
    means = Means()
    for i, value in enumerate(values):
        means.add({"x": value if weights is None else (value, weights[i]), "other": np.zeros(3), "text": "no"})
    return means


@pytest.mark.parametrize("n", [1, 3, AT_ONCE - 1, AT_ONCE, 3 * AT_ONCE + 5])
@pytest.mark.parametrize("kind", [float, np.float32, jnp.float32, lambda v: jaxchain.Variable(np.float32(v))])
def test_mean_and_deviation_in_float64(n, kind):
    values = np.random.RandomState(0).rand(n).astype(np.float32)
    means = filled([kind(v) for v in values])
    assert list(means.compute_mean()) == ["x"]
    assert means.compute_mean()["x"] == pytest.approx(values.astype(np.float64).mean(), rel=1e-13)
    statistics = means.make_statistics()
    assert statistics["x.std"] == pytest.approx(values.astype(np.float64).std(), rel=1e-6, abs=1e-9)


def test_weights():
    means = filled([1.0, jnp.float32(4)], [1, jnp.int32(3)])
    assert means.compute_mean()["x"] == 3.25
    with pytest.raises(ValueError, match="Given weight to a was not scalar"):
        means.add({"a": (1.0, np.zeros(2))})


def test_integers_and_half_precision():
    means = Means()
    means.add({"i": np.int32(3), "h": jnp.float16(0.5), "b": jnp.bfloat16(2)})
    means.add({"i": 4, "h": 1.5})
    assert means.compute_mean() == {"i": 3.5, "h": 1.0, "b": 2.0}


def test_a_mean_goes_on_after_a_snapshot_exactly():
    values = np.random.RandomState(0).rand(20).astype(np.float32)
    whole = filled(values)
    first, second = filled(values[:7]), Means()
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
    means = Means()
    means.add({"y": y})
    assert all(not isinstance(value, jaxchain.Variable) for _, value, _ in means._pending)
