"""Hooks on links: what the tables of tests/links do not ask."""

from __future__ import annotations

import io

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Variable
from jaxchain.link_hooks import SpectralNormalization, TimerHook, WeightStandardization

MODES = ["eager", "static"]
X = np.random.RandomState(0).randn(5, 4).astype(np.float32)


def largest(matrix):
    return np.linalg.svd(np.asarray(matrix), compute_uv=False)[0]


@pytest.mark.parametrize("hook", [SpectralNormalization, WeightStandardization])
def test_where_a_hook_can_be(hook):
    with pytest.raises(NotImplementedError, match="add_hook"), hook():
        pass
    with pytest.raises(ValueError, match=r"weight 'V'.*does not exist"):
        L.Linear(4, 3).add_hook(hook(weight_name="V"))
    assert list(L.Linear(4, 3).add_hook(hook(name="mine")).local_link_hooks) == ["mine"]


def test_the_parameter_is_the_links_own_outside_of_calls():
    link = L.Linear(4, 3)
    W, array = link.W, np.asarray(link.W.array)
    link.add_hook(SpectralNormalization())
    link(X)
    assert link.W is W
    np.testing.assert_array_equal(W.array, array)


def test_deleting_takes_everything_away():
    link = L.Linear(4, 3)
    plain = sorted(vars(link))
    hook = SpectralNormalization(use_gamma=True)
    link.add_hook(hook)
    assert sorted(p for p, _ in link.namedparams()) == ["/W", "/b", "/gamma"]
    assert link.gamma.array == pytest.approx(largest(link.W.array), rel=1e-4)
    link.delete_hook(hook.name)
    assert sorted(vars(link)) == plain
    np.testing.assert_allclose(link(X).array, X @ np.asarray(link.W.array).T, rtol=1e-4, atol=1e-5)


def test_the_right_vector_is_the_hooks():
    link, hook = L.Linear(4, 3), SpectralNormalization(n_power_iteration=50)
    link.add_hook(hook)(X)
    right = np.linalg.svd(np.asarray(link.W.array))[2][0]
    assert abs(right @ np.asarray(hook.v)) == pytest.approx(1, rel=1e-4)


def test_wrong_iterations_and_no_outputs():
    with pytest.raises(ValueError, match="n_power_iteration of at least 1, got 0"):
        SpectralNormalization(n_power_iteration=0)
    with pytest.raises(ValueError, match=r"W.shape\[0\] > 0"):
        L.Linear(4, 0).add_hook(SpectralNormalization())


@pytest.mark.parametrize("mode", MODES)
def test_vector_goes_on_in_training_only(mode):
    link = L.Linear(4, 3).add_hook(SpectralNormalization())
    with jaxchain.using_config("mode", mode):
        before = np.asarray(link.W_u)
        with jaxchain.using_config("train", False):
            link(X)
        np.testing.assert_array_equal(link.W_u, before)
        for _ in range(30):
            y = link(X)
    assert np.linalg.norm(link.W_u) == pytest.approx(1, rel=1e-4)
    np.testing.assert_allclose(y.array, X @ np.asarray(link.W.array).T / largest(link.W.array), rtol=1e-2, atol=1e-3)


def lazy(mode):
    jaxchain.seed(1)
    link = L.Convolution2D(None, 3, 2).add_hook(SpectralNormalization(use_gamma=True))
    assert link.W_u is None
    x = np.random.RandomState(1).randn(2, 4, 3, 3).astype(np.float32)
    with jaxchain.using_config("mode", mode):
        ys = [np.asarray(link(x).array) for _ in range(3)]
    return link, ys


def test_lazy_links_are_the_same_in_both_modes():
    (eager, ys), (static, zs) = lazy("eager"), lazy("static")
    np.testing.assert_allclose(ys, zs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(eager.W_u, static.W_u, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(eager.gamma.array, static.gamma.array)


def test_the_vector_is_saved_and_loaded_before_the_first_call(tmp_path):
    link = lazy("eager")[0]
    jaxchain.serializers.save_npz(tmp_path / "link.npz", link)
    assert sorted(np.load(tmp_path / "link.npz").files) == ["W", "W_u", "b", "gamma"]
    other = L.Convolution2D(None, 3, 2).add_hook(SpectralNormalization(use_gamma=True))
    jaxchain.serializers.load_npz(tmp_path / "link.npz", other)
    x = np.ones((1, 4, 3, 3), np.float32)
    np.testing.assert_array_equal(other(x).array, link(x).array)


def train(mode):
    """Take three training steps."""
    jaxchain.seed(2)
    model = jaxchain.Sequential(
        L.Linear(4, 5).add_hook(SpectralNormalization(use_gamma=True)),
        F.relu,
        L.Linear(5, 2).add_hook(WeightStandardization()),
    )
    optimizer = jaxchain.optimizers.SGD(0.003).setup(model)

    def step(x):
        model.cleargrads()
        loss = F.sum(model(x) ** 2)
        loss.backward()
        optimizer.update()
        return loss

    run = jaxchain.static(step) if mode == "static" else step
    losses = [float(run(Variable(X)).array) for _ in range(4)]
    return model, losses, len(run.compiles) if mode == "static" else 0


def test_training_is_the_same_in_both_modes():
    (eager, losses, _), (static, others, compiles) = train("eager"), train("static")
    np.testing.assert_allclose(losses, others, rtol=1e-5)
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(eager[0].W_u, static[0].W_u, rtol=1e-5, atol=1e-6)
    assert float(static[0].gamma.array) == pytest.approx(float(eager[0].gamma.array), rel=1e-4)
    assert compiles == 1


@pytest.mark.parametrize("mode", MODES)
def test_what_is_computed_again_is_the_same(mode):
    gradients = []
    for forget in (False, True):
        jaxchain.seed(3)
        link = L.Linear(4, 3).add_hook(SpectralNormalization())
        x = Variable(X)

        def step(x, link=link, forget=forget):
            link.cleargrads()
            F.sum((F.forget(link, x) if forget else link(x)) ** 2).backward()

        for _ in range(2):
            (jaxchain.static(step) if mode == "static" else step)(x)
        gradients.append((link.W.grad, link.W_u))
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_timer():
    model = L.Classifier(jaxchain.Sequential(L.Linear(4, 3), F.relu, L.Linear(3, 3)))
    with TimerHook() as hook:
        model(X, np.zeros(5, np.int32))
    assert [name for name, _ in hook.call_history] == ["Linear", "Linear", "Sequential", "Classifier"]
    assert hook.summary()["Linear"]["occurrence"] == 2
    assert hook.total_time() == hook.call_history[-1][1] > 0
    out = io.StringIO()
    hook.print_report(unit="ms", file=out)
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert lines[0] == ["LinkName", "ElapsedTime", "Occurrence"]
    assert [line[0] for line in lines[1:]] == ["Linear", "Sequential", "Classifier"]
    assert all(line[1].endswith("ms") for line in lines[1:])


def test_programs_written_for_chainer_find_them():
    from jaxchain.interop import chainer_modules

    assert chainer_modules.resolve("chainer.link_hooks").SpectralNormalization is SpectralNormalization
    assert (
        chainer_modules.resolve("chainer.link_hooks.spectral_normalization").SpectralNormalization
        is SpectralNormalization
    )
    assert jaxchain.link_hooks.WeightStandardization is WeightStandardization
