"""Sizes that vary: bucket pads them to a few."""

import warnings

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Variable, optimizers
from jaxchain.core.sizes import PaddingCounts

RNG = np.random.RandomState(0)


def test_sizes_to_pad_to():
    policy = jaxchain.bucket({"x": 0})
    assert [policy.size(n) for n in (0, 1, 2, 3, 4, 5, 8, 9, 17, 64, 65)] == [0, 1, 2, 4, 4, 8, 8, 16, 32, 64, 128]
    given = jaxchain.bucket({"x": 0}, sizes=(32, 8))
    assert [given.size(n) for n in (1, 8, 9, 32, 40)] == [8, 8, 32, 32, 40]


@pytest.mark.parametrize("wrap", [np.asarray, Variable], ids=["array", "Variable"])
def test_a_thousand_batches_are_a_handful_of_programs(wrap):
    model, optimizer = L.Linear(3, 1), optimizers.SGD(0.01)
    optimizer.setup(model)

    @jaxchain.static(sizes=jaxchain.bucket({"x": 0, "t": 0}))
    def step(x, t, mask=None):
        error = F.squared_error(model(x), t) * mask.astype("float32")[:, None]
        loss = F.sum(error) / mask.sum()
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    for n in RNG.randint(1, 65, 1000):
        x, t = RNG.randn(n, 3).astype("float32"), RNG.randn(n, 1).astype("float32")
        step(wrap(x), wrap(t))
    assert len(step.compiles) <= 7
    before = float(F.mean(F.squared_error(model(x), t)).array)
    assert float(step(wrap(x), wrap(t)).array) == pytest.approx(before, rel=1e-5)


def test_a_padded_variable_gets_its_part_of_the_gradient():
    @jaxchain.static(sizes=jaxchain.bucket({"xs": 1}, sizes=(4,)))
    def step(xs, mask):
        F.sum(F.where(mask[0], xs[0] ** 2, 0 * xs[0]) + xs[1]).backward()

    xs = [Variable(RNG.randn(2, n).astype("float32")) for n in (3, 4)]
    for n in (1, 2):
        step(xs)
        np.testing.assert_allclose(xs[0].grad, n * 2 * xs[0].array, rtol=1e-6)
        np.testing.assert_array_equal(xs[1].grad, np.full((2, 4), n))


def test_labels_that_the_loss_ignores_need_no_mask():
    @jaxchain.static(sizes=jaxchain.bucket({"y": 0, "t": 0}, sizes=(8,), fill={"t": -1}))
    def step(y, t):
        return F.softmax_cross_entropy(y, t)

    for n in (3, 5, 8):
        y, t = RNG.randn(n, 4).astype("float32"), RNG.randint(0, 4, n).astype("int32")
        assert float(step(y, t).array) == pytest.approx(float(F.softmax_cross_entropy(y, t).array), rel=1e-6)
    assert len(step.compiles) == 1


@pytest.mark.filterwarnings("ignore::jaxchain.core.explain.EagerFallback")  # where the gradient goes on
@pytest.mark.parametrize("what", ["given twice", "made of another", "given a new array"])
def test_a_padded_variable_is_left_as_eager_mode_leaves_it(what):
    def step(x, y, mask=None):
        if what == "given a new array":
            x.array = x.array * 2
        y = F.sum(F.where(np.ones(3, bool) if mask is None else mask, x * x * y, x * 0))
        y.backward()

    def run(function):
        v = Variable(np.float32([1, 2, 3]))
        x = F.exp(v) if what == "made of another" else v
        function(x, x if what == "given twice" else Variable(np.float32([1, 1, 1])))
        return v.grad, x.array

    found = run(jaxchain.static(sizes=jaxchain.bucket({"x": 0, "y": 0}))(step))
    for a, b in zip(run(step), found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5)


def test_lists_are_padded_to_the_longest_with_a_mask_each():
    @jaxchain.static(sizes=jaxchain.bucket({"xs": 0}, sizes=(4, 8)))
    def total(xs, mask):
        return sum(F.sum(F.where(m, x, x * 0)) for x, m in zip(xs, mask, strict=True)), len(xs[0])

    xs = [np.ones(3, "float32"), np.ones(5, "float32")]
    value, length = total(xs)
    assert float(value.array) == 8 and length == 8
    assert len(total.compiles) == 1


def test_methods_keep_their_policy():
    class Model:
        @jaxchain.static(sizes=jaxchain.bucket({"x": 0}, sizes=(4,)))
        def run(self, x, mask=None):
            return F.sum(Variable(x)), mask

    value, mask = Model().run(np.ones(3, "float32"))
    assert float(value.array) == 3
    np.testing.assert_array_equal(mask, [True, True, True, False])


def test_errors():
    step = jaxchain.static(lambda x, t: x, sizes=jaxchain.bucket({"x": 0, "t": 0}))
    with pytest.raises(ValueError, match=r"one size, got \{'x': 2, 't': 3\}"):
        step(np.ones(2, "float32"), np.ones(3, "float32"))
    with pytest.raises(ValueError, match="'z' is not a parameter"):
        jaxchain.static(lambda x: x, sizes=jaxchain.bucket({"z": 0}))(np.ones(2, "float32"))
    with pytest.raises(ValueError, match=r"axis 3"):
        jaxchain.static(lambda x: x, sizes=jaxchain.bucket({"x": 3}))(np.ones(2, "float32"))
    with pytest.raises(ValueError, match="positive"):
        jaxchain.bucket({"x": 0}, sizes=())


@pytest.mark.parametrize("axis", [0, 1], ids=["batch", "time"])
def test_statistics_that_count_padding_are_told(axis):
    bn = L.BatchNormalization(3)

    @jaxchain.static(sizes=jaxchain.bucket({"x": axis}, sizes=(8,)))
    def step(x):
        return bn(x if axis == 0 else F.sum(x, axis=1))  # what is padded is not what it counts

    x = np.ones((5, 3) if axis == 0 else (5, 7, 3), "float32")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        step(x)
    expected = [r"step: F.batch_normalization counts the padding of bucket"] if axis == 0 else []
    assert [w.category for w in found] == [PaddingCounts] * len(expected)
    assert all(
        str(w.message).startswith(e) and __file__ in str(w.message) for w, e in zip(found, expected, strict=True)
    )
