"""GradientNoise, and the other optimizers in static mode."""

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import optimizer_hooks, optimizers

OTHERS = ["AdaDelta", "AdaGrad", "CorrectedMomentumSGD", "MSVAG", "NesterovAG", "RMSprop", "RMSpropGraves", "SMORMS3"]
X = np.random.RandomState(0).randn(6, 3).astype("float32")


def train(name, mode, hook=None, steps=4):
    jaxchain.seed(0)
    model = L.Linear(3, 2)
    optimizer = getattr(optimizers, name)().setup(model)
    if hook is not None:
        optimizer.add_hook(hook)

    def step(x):
        loss = F.sum(model(x) ** 2)
        model.cleargrads()
        loss.backward()
        optimizer.update()

    run = jaxchain.static(step) if mode == "static" else step
    for _ in range(steps):
        run(X)
    if mode == "static":
        assert len(run.compiles) == 1
    return np.array(model.W.array), {k: np.array(v) for k, v in model.W.update_rule.state.items()}


@pytest.mark.parametrize("name", OTHERS)
def test_static_equals_eager(name):
    (w, state), (expected, expected_state) = train(name, "static"), train(name, "eager")
    np.testing.assert_allclose(w, expected, rtol=1e-5, atol=1e-3 if name == "MSVAG" else 1e-6)
    assert sorted(state) == sorted(expected_state)


@pytest.mark.parametrize("mode", ["eager", "static"])
def test_gradient_noise_has_the_papers_variance_and_is_the_same_in_both_modes(mode):
    noise = optimizer_hooks.GradientNoise(0.3)
    w, _ = train("AdaGrad", mode, noise)
    np.testing.assert_allclose(
        w, train("AdaGrad", "eager", optimizer_hooks.GradientNoise(0.3))[0], rtol=1e-5, atol=1e-6
    )
    assert abs(w - train("AdaGrad", "eager")[0]).max() > 1e-6
    parameter = jaxchain.Parameter(np.zeros((200, 200), "float32"))
    parameter.grad = np.zeros((200, 200), "float32")
    rule = type("Rule", (), {"t": 3})()
    noise(rule, parameter)
    assert np.array(parameter.grad).std() == pytest.approx(np.sqrt(0.3 / 4**0.55), rel=0.02)


def test_gradient_noise_of_the_users():
    parameter = jaxchain.Parameter(np.zeros(2, "float32"))
    parameter.grad = np.ones(2, "float32")
    hook = optimizer_hooks.GradientNoise(1, lambda xp, shape, dtype, hook, rule: xp.full(shape, 2, dtype))
    hook(None, parameter)
    np.testing.assert_array_equal(parameter.grad, [3, 3])


def test_msvag_saves_how_many_updates_it_made():
    model, other = L.Linear(3, 2), L.Linear(3, 2)
    first, second = optimizers.MSVAG().setup(model), optimizers.MSVAG().setup(other)
    for optimizer, m in ((first, model), (first, model), (second, other)):
        optimizer.update(lambda m=m: F.sum(m(X) ** 2))
    target = {}
    jaxchain.serializers.DictionarySerializer(target).save(first)
    jaxchain.serializers.NpzDeserializer(target).load(second)
    assert float(other.W.update_rule.state["updates"].max()) == 2
    for key in [k for k in target if k.endswith("/updates")]:
        del target[key]
    third_model = L.Linear(3, 2)
    third = optimizers.MSVAG().setup(third_model)
    for m, optimizer in ((other, second), (third_model, third)):  # with slots and without
        jaxchain.serializers.NpzDeserializer(target).load(optimizer)  # as Chainer saves it
        assert m.W.update_rule.state["updates"].tolist() == [[2.0] * 3] * 2


def test_values_of_a_rule_by_place_and_by_name():
    from jaxchain.optimizers.adaptive import RMSpropRule

    parent = jaxchain.optimizers.RMSprop(lr=0.5, eps=0.25).hyperparam
    rule = RMSpropRule(parent, None, 0.75, eps_inside_sqrt=True)
    assert rule.hyperparam.get_dict() == {"lr": 0.5, "alpha": 0.75, "eps": 0.25, "eps_inside_sqrt": True}
    for values, named in (((0.1, 0.2, 0.3, True, 1), {}), ((), {"rate": 1}), ((0.1,), {"lr": 0.2})):
        with pytest.raises(TypeError, match="RMSpropRule: expected hyperparameters"):
            RMSpropRule(parent, *values, **named)
