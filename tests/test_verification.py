"""verify: both modes agree, and where they do not, the first node that differs."""

import jax
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import optimizers

X = np.random.RandomState(0).randn(5, 3).astype(np.float32)
T = np.array([0, 1, 0, 1, 1], np.int32)


class Hidden:
    """A counter that static mode does not see."""

    _opaque = True

    def __init__(self):
        self.n = 0

    def next(self):
        self.n += 1
        return self.n


@pytest.fixture
def training():
    jaxchain.seed(0)
    model = L.Classifier(
        jaxchain.Sequential(L.Linear(3, 4), L.BatchNormalization(4), F.relu, F.dropout, L.Linear(4, 2))
    )
    optimizer = optimizers.Adam().setup(model)

    def step(x, t):
        loss = model(x, t)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    return model, optimizer, step


@pytest.mark.parametrize("decorated", [False, True])
def test_a_training_step_agrees_and_is_put_back(training, decorated):
    model, optimizer, step = training
    before = [np.array(p.array) for p in model.params()]
    result = jaxchain.verify(jaxchain.static(step) if decorated else step, X, T)
    assert result and result.agrees and result.culprit is None
    names = {d.name for d in result.differences}
    assert "output" in names and any(n.endswith("W.grad") for n in names) and any("avg_mean" in n for n in names)
    assert any("update_rule" in n for n in names)  # the slots of Adam
    assert "both modes agree" in str(result)
    for old, p in zip(before, model.params(), strict=True):
        np.testing.assert_array_equal(p.array, old)
    assert optimizer.t == 0


def test_a_link_agrees(training):
    model, *_ = training
    assert jaxchain.verify(model, X, T)
    assert jaxchain.verify(model.static(), X, T)


def test_a_parameter_that_has_no_array_yet_is_none_of_the_results():
    model = L.Linear(None, 2)
    assert jaxchain.verify(lambda x: (F.sum(x), next(iter(model.params())).name), X)


def test_a_number_that_changes_unseen_is_found():
    hidden = Hidden()

    def f(x):
        y = F.tanh(x)
        z = y * float(hidden.next())
        return F.sum(z)

    result = jaxchain.verify(f, X)
    assert not result
    assert result.culprit.cause == "program" and result.culprit.node == "_ * 1"
    assert "test_verification.py" in result.culprit.source and "hidden.next()" in result.culprit.source
    assert "what it is given differs" in str(result) and "output (float32[])" in str(result)


def test_a_branch_that_changes_unseen_is_found():
    hidden = Hidden()

    def f(x):
        y = F.tanh(x)
        y = F.exp(y) if hidden.next() == 1 else F.sin(y)
        return F.sum(y)

    culprit = jaxchain.verify(f, X).culprit
    assert (culprit.cause, culprit.node) == ("program", "exp")
    assert "the trace has Sum here" in culprit.what


def test_a_gradient_that_differs_is_found():
    hidden = Hidden()

    def f(x):
        v = jaxchain.Variable(x)
        y = F.sum(F.tanh(v) ** 2)
        y.grad = jaxchain.core.arrays.zeros((), np.float32) + float(hidden.next())
        y.backward()
        return v.grad

    culprit = jaxchain.verify(f, X).culprit
    assert culprit.cause == "program" and culprit.node == "Sum (backward)"


def test_the_sum_of_two_gradients_is_not_taken_for_an_op():
    hidden = Hidden()

    def f(x):
        v = jaxchain.Variable(x)
        y = F.tanh(v)
        F.sum(y + F.sin(y)).backward()
        return F.exp(v.grad_var * float(hidden.next()))

    assert jaxchain.verify(f, X).culprit.node == "_ * 1"


def test_rounding_of_the_compiler_is_found():
    def f(x):
        y = F.exp(x)
        z = y * 3.0
        w = z + 1.0
        return F.sum(w)

    result = jaxchain.verify(f, X, rtol=0)  # XLA joins the product and the sum
    if result.culprit is None:
        assert result.agrees  # a CPU without fused multiply-add
    else:
        assert result.culprit.cause == "compiler"
        assert "test_verification.py" in result.culprit.source


class Noisy(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        self.key = jax.random.key(1)

    def forward(self, x):
        self.key, key = jax.random.split(self.key)
        return x + jax.random.normal(key, x.shape)


def test_random_keys_of_jax_are_compared():
    assert jaxchain.verify(Noisy(), X)
    assert "key afterwards  uint32[2]" in str(jaxchain.contrast(Noisy(), X))
    clock = Hidden()
    found = jaxchain.verify(lambda x: (jax.random.key(clock.next()), x), X)
    assert [d.relative > 0 for d in found.differences] == [True, False]
