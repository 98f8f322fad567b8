"""Any optax transformation as an optimizer: against optax itself, in both modes, resumed exactly."""

from __future__ import annotations

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Variable
from jaxchain.optimizers import Optax
from jaxchain.optimizers.hooks import GradientClipping, WeightDecay

MODES = ["eager", "static"]
X = np.random.RandomState(0).randn(6, 3).astype(np.float32)
T = np.random.RandomState(1).randn(6, 2).astype(np.float32)


def make(lazy=False):
    jaxchain.seed(0)
    return jaxchain.Sequential(L.Linear(None if lazy else 3, 4), F.tanh, L.Linear(None if lazy else 4, 2))


def loss_of(model, x=X):
    return F.mean((model(x) - T) ** 2)


def stepper(model, optimizer, mode):
    """Return a training step."""

    def step(x):
        optimizer.update(loss_of, model, x)

    return jaxchain.static(step) if mode == "static" else step


def train(rule, mode, steps=4, lazy=False):
    model = make(lazy)
    optimizer = Optax(rule).setup(model)
    step = stepper(model, optimizer, mode)
    for _ in range(steps):
        step(Variable(X))
    return model, optimizer, step


def arrays(model):
    return {path: np.asarray(p.array) for path, p in model.namedparams()}


def by_optax(rule, steps=4):
    """The same training in optax alone."""
    params = {path: p.array for path, p in make().namedparams()}

    def loss(p):
        h = jnp.tanh(X @ p["/0/W"].T + p["/0/b"])
        return jnp.mean((h @ p["/1/W"].T + p["/1/b"] - T) ** 2)

    @jax.jit
    def step(params, state):
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optax.with_extra_args_support(rule).update(grads, state, params, value=value)
        return optax.apply_updates(params, updates), state

    state = rule.init(params)
    for _ in range(steps):
        params, state = step(params, state)
    return params


def labels(params):
    return {path: "weights" if path.endswith("W") else "biases" for path in params}


RULES = {
    "sgd": optax.sgd(0.1),
    "adam": optax.adam(0.05),
    "clip": optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(0.5, momentum=0.9)),
    "labels": optax.multi_transform({"weights": optax.adam(0.05), "biases": optax.sgd(0.1)}, labels),
    "schedule": optax.adamw(optax.cosine_decay_schedule(0.1, 5)),
    "inject": optax.inject_hyperparams(optax.rmsprop)(learning_rate=0.05),
    "accumulate": optax.MultiSteps(optax.adam(0.05), 2).gradient_transformation(),
    "noise": optax.chain(optax.add_noise(0.01, 0.5, 3), optax.sgd(0.1)),
    "average": optax.contrib.schedule_free_sgd(0.1),
    "plateau": optax.chain(optax.adam(0.05), optax.contrib.reduce_on_plateau(patience=1, rtol=0.9)),
    "factored": optax.adafactor(0.1, min_dim_size_to_factor=2),
}


BOTH = ("clip", "labels", "inject", "noise", "average", "plateau")


@pytest.mark.parametrize(("name", "mode"), [*((name, "eager") for name in RULES), *((name, "static") for name in BOTH)])
def test_against_optax(name, mode):
    model, optimizer, step = train(RULES[name], mode)
    for path, expected in by_optax(RULES[name]).items():
        np.testing.assert_allclose(arrays(model)[path], expected, rtol=2e-5, atol=2e-6, err_msg=path)
    assert optimizer.t == 4
    if mode == "static":
        assert len(step.compiles) == 1


@pytest.mark.parametrize("name", ["sgd", "clip", "average"])
def test_lazy_parameters_are_the_same_in_both_modes(name):
    (eager, *_), (static, *_) = (train(RULES[name], mode, lazy=True) for mode in MODES)
    for path, expected in arrays(eager).items():
        np.testing.assert_allclose(arrays(static)[path], expected, rtol=2e-5, atol=2e-6)


RESUMED = [
    *((name, "eager", False) for name in ("sgd", "inject", "noise", "factored")),
    ("labels", "static", True),
    ("average", "static", False),
    *((name, "eager", True) for name in ("labels", "average")),
]


@pytest.mark.parametrize(("name", "mode", "lazy"), RESUMED)
def test_resumed_exactly(name, mode, lazy, tmp_path):
    model, optimizer, step = train(RULES[name], mode, 2)
    jaxchain.serializers.save_npz(tmp_path / "model.npz", model)
    jaxchain.serializers.save_npz(tmp_path / "optimizer.npz", optimizer)
    step(Variable(X))
    step(Variable(X))
    other = make(lazy)
    resumed = Optax(RULES[name]).setup(other)
    jaxchain.serializers.load_npz(tmp_path / "optimizer.npz", resumed)  # snapshots load it before the model
    jaxchain.serializers.load_npz(tmp_path / "model.npz", other)
    again = stepper(other, resumed, mode)
    again(Variable(X))
    again(Variable(X))
    for path, expected in arrays(model).items():
        np.testing.assert_array_equal(arrays(other)[path], expected)
    assert resumed.t == 4


def test_keys_are_named_by_parameter(tmp_path):
    optimizer = train(optax.adam(0.1), "eager", 1)[1]
    jaxchain.serializers.save_npz(tmp_path / "o.npz", optimizer)
    keys = set(np.load(tmp_path / "o.npz").files)
    assert {"t", "epoch", "0/W/0.mu", "1/b/0.nu", "optax/0.count", "optax/names"} <= keys
    assert len(keys) == 4 + 8


def test_state_of_other_parameters_is_an_error(tmp_path):
    jaxchain.serializers.save_npz(tmp_path / "o.npz", train(optax.adam(0.1), "eager", 1)[1])
    other = Optax(optax.adam(0.1)).setup(jaxchain.Sequential(L.Linear(3, 4), L.Linear(4, 4), L.Linear(4, 2)))
    with pytest.raises(KeyError, match="transformation for /2/W, /2/b is not in the file"):
        jaxchain.serializers.load_npz(tmp_path / "o.npz", other)


@pytest.mark.parametrize("mode", MODES)
def test_hyperparameters_are_attributes(mode):
    optimizer = Optax(optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)).setup(make())
    model = optimizer.target
    assert optimizer.lr == optimizer.learning_rate == optimizer.hyperparam.learning_rate == pytest.approx(0.1)
    optimizer.lr = 0.25  # before there is a state
    step = stepper(model, optimizer, mode)
    for rate in (0.25, 0.0, 0.5):
        optimizer.hyperparam.learning_rate = rate
        before = arrays(model)
        step(Variable(X))
        for path, p in model.namedparams():
            np.testing.assert_allclose(p.array, before[path] - rate * np.asarray(p.grad), rtol=1e-5, atol=1e-6)
    assert optimizer.lr == 0.5 and optimizer.hyperparam.get_dict() == {"learning_rate": 0.5}
    if mode == "static":
        assert len(step.compiles) == 1


def test_what_is_not_injected_cannot_be_set():
    optimizer = Optax(optax.sgd(0.1)).setup(make())
    with pytest.raises(AttributeError, match="inject_hyperparams"):
        optimizer.lr
    with pytest.raises(AttributeError, match="inject_hyperparams"):
        optimizer.lr = 1.0
    with pytest.raises(AttributeError, match="injected by"):
        optimizer.hyperparam.momentum = 1.0


def test_extensions_work_on_hyperparameters():
    from jaxchain import training
    from jaxchain.training import extensions

    model = make()
    optimizer = Optax(optax.inject_hyperparams(optax.sgd)(learning_rate=1.0)).setup(model)
    iterator = jaxchain.iterators.SerialIterator(jaxchain.datasets.TupleDataset(X, T), 3)
    updater = training.updaters.StandardUpdater(iterator, optimizer, loss_func=lambda x, t: F.mean((model(x) - t) ** 2))
    trainer = training.Trainer(updater, (3, "iteration"))
    trainer.extend(extensions.ExponentialShift("lr", 0.5), trigger=(1, "iteration"))
    trainer.run()
    assert optimizer.learning_rate == 0.125
    assert optimizer.t == 3 and optimizer.epoch == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pure", [True, False])
def test_hooks(mode, pure):
    rule = optax.adam(0.05)
    model = make()
    optimizer = Optax(rule).setup(model)
    optimizer.add_hook(WeightDecay(0.1))
    optimizer.add_hook(GradientClipping(0.2))
    seen = []
    if not pure:
        optimizer.add_hook(lambda o: seen.append(o), "mine")
        model[0].W.update_rule.add_hook(lambda rule, p: setattr(p, "grad", p.grad * 2), "twice")
    step = stepper(model, optimizer, mode)
    step(Variable(X))
    decay = [optax.add_decayed_weights(0.1), optax.clip_by_global_norm(0.2)]
    if not pure:
        twice = optax.stateless(lambda g, p: {**g, "/0/W": g["/0/W"] * 2})
        decay.append(twice)
    for path, expected in by_optax(optax.chain(*decay, rule), 1).items():
        np.testing.assert_allclose(arrays(model)[path], expected, rtol=1e-5, atol=1e-6)
    assert bool(seen) != pure


@pytest.mark.parametrize("mode", MODES)
def test_disabled_parameters_stay(mode):
    model = make()
    optimizer = Optax(optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.1, momentum=0.9))).setup(model)
    step = stepper(model, optimizer, mode)
    step(Variable(X))
    model[0].disable_update()
    before, trace = arrays(model), np.asarray(optimizer._leaves["/0/W/1.0.trace"])
    step(Variable(X))
    after = arrays(model)
    assert [np.array_equal(before[k], after[k]) for k in ("/0/W", "/0/b", "/1/W", "/1/b")] == [True, True, False, False]
    np.testing.assert_array_equal(optimizer._leaves["/0/W/1.0.trace"], trace)
    model.enable_update()
    step(Variable(X))
    assert not np.array_equal(arrays(model)["/0/W"], after["/0/W"])


def test_enabling_again_is_noticed_in_static_mode():
    model = make()
    optimizer = jaxchain.optimizers.SGD(0.1).setup(model)
    step = stepper(model, optimizer, "static")
    step(Variable(X))
    for enabled in (False, True):
        (model.enable_update if enabled else model.disable_update)()
        before = arrays(model)["/0/W"]
        step(Variable(X))
        assert np.array_equal(before, arrays(model)["/0/W"]) != enabled


def test_one_compiled_call_for_all_parameters():
    optimizer = train(RULES["clip"], "eager")[1]
    model = optimizer.target

    def step(x):
        optimizer.update(loss_of, model, x)

    text = str(jaxchain.jaxpr(step, Variable(X)))
    assert text.count("name=Optax_update") == 1


def test_loss_scaling_and_value():
    model = make()
    optimizer = Optax(RULES["plateau"]).setup(model)
    optimizer.loss_scaling(scale=64.0)
    for _ in range(4):
        optimizer.update(loss_of, model)
    expected = by_optax(RULES["plateau"])
    other = make()
    by_hand = Optax(RULES["plateau"]).setup(other)
    for _ in range(4):
        loss = loss_of(other)
        other.cleargrads()
        loss.backward()
        by_hand.update(value=loss)
    for path in expected:
        np.testing.assert_allclose(arrays(model)[path], expected[path], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(arrays(other)[path], expected[path], rtol=1e-5, atol=1e-6)


def test_wrong_use():
    with pytest.raises(TypeError, match=r"expected an optax\.GradientTransformation"):
        Optax(0.1)
    optimizer = Optax(optax.MultiSteps(optax.sgd(0.1), 2))  # no transformation itself, but it has one
    with pytest.raises(RuntimeError, match="setup"):
        optimizer.update()
    model = make()
    optimizer.setup(model)
    with pytest.raises(TypeError, match="expected a lossfun or value="):
        optimizer.update(loss=1)
    with pytest.raises(RuntimeError, match=r"optimizer.update\(\)"):
        model[0].W.update()
    with pytest.raises(NotImplementedError, match="use_fp32_update"):
        optimizer.use_fp32_update()


def test_models_are_copied_and_pickled():
    model, *_ = train(RULES["adam"], "eager", 1)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other[0].W.array, model[0].W.array)
        optimizer = Optax(RULES["adam"]).setup(other)
        optimizer.update(loss_of, other)
        assert not np.array_equal(other[0].W.array, model[0].W.array)
