"""Optimizers, update rules and hooks: Chainer's behaviour, the compiled update, both modes. Numbers: test_golden.py."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import optimizer_hooks, optimizers
from jaxchain.optimizer import GradientMethod, Hyperparameter, HyperparameterProxy, Optimizer, UpdateRule
from jaxchain.optimizers import compiled
from jaxchain.optimizers.rules import Method
from jaxchain.serializers import DictionarySerializer, NpzDeserializer

ALL = [
    optimizers.SGD,
    optimizers.MomentumSGD,
    optimizers.Adam,
    optimizers.AdamW,
    optimizers.AMSGrad,
    optimizers.AdaBound,
    optimizers.AMSBound,
]
MODES = pytest.mark.parametrize("mode", ["eager", "static"])


class MLP(jaxchain.Chain):
    def __init__(self, n_in=4):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(n_in, 5)
            self.l2 = L.Linear(5, 3)

    def forward(self, x):
        return self.l2(F.tanh(self.l1(x)))


def batch(seed=0):
    rng = np.random.RandomState(seed)
    return rng.randn(6, 4).astype(np.float32), rng.randint(0, 3, 6).astype(np.int32)


def model_with_grads(seed=0):
    model = MLP()
    rng = np.random.RandomState(seed)
    for p in model.params():
        p.array = rng.randn(*p.shape).astype(np.float32)
        p.grad = rng.randn(*p.shape).astype(np.float32)
    return model


def arrays(model):
    return {path: np.asarray(p.array) for path, p in model.namedparams()}


def train(make, mode, steps=6, hooks=(), each_step=lambda optimizer: None, n_in=4):
    """Train a little; return losses, parameters, the optimizer and the step."""
    jaxchain.seed(0)
    model = MLP(n_in)
    optimizer = make().setup(model)
    for hook in hooks:
        optimizer.add_hook(hook)

    def step(x, t):
        loss = F.softmax_cross_entropy(model(x), t)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    run = jaxchain.static(step) if mode == "static" else step
    losses = []
    for i in range(steps):
        losses.append(float(run(*batch(i)).array))
        each_step(optimizer)
    return losses, arrays(model), optimizer, run


# -- set-up and counters -----------------------------------------------------------------------------------------------


def test_setup_returns_the_optimizer_and_takes_links_only():
    optimizer = optimizers.SGD()
    assert optimizer.setup(MLP()) is optimizer
    with pytest.raises(TypeError, match="must be a link"):
        optimizer.setup(3)


@pytest.mark.parametrize("use", [lambda o: o.update(), lambda o: o.add_hook(print), lambda o: o.call_hooks()])
def test_without_setup_the_error_names_the_users_line(use):
    with pytest.raises(RuntimeError, match=r"not set up(.|\n)*test_optimizers\.py"):
        use(optimizers.SGD())


def test_counters():
    optimizer = optimizers.SGD().setup(model_with_grads())
    assert (optimizer.t, optimizer.epoch) == (0, 0)
    optimizer.update()
    optimizer.new_epoch()
    assert (optimizer.t, optimizer.epoch) == (1, 1)
    with pytest.raises(RuntimeError, match="invalid new_epoch"):
        optimizer.new_epoch(auto=True)
    optimizer.use_auto_new_epoch = True
    optimizer.new_epoch(auto=True)
    with pytest.raises(RuntimeError, match="duplicated new_epoch"):
        optimizer.new_epoch()
    assert optimizer.setup(MLP()).t == 0


def test_setting_t_leaves_the_rules_alone():
    model = model_with_grads()
    optimizer = optimizers.Adam().setup(model)
    optimizer.update()
    optimizer.t = 7
    optimizer.update()
    assert optimizer.t == 8 and model.l1.W.update_rule.t == 2


def test_update_with_a_loss_function():
    one, two = model_with_grads(), model_with_grads()
    x, t = batch()
    optimizers.SGD(0.1).setup(one).update(lambda x, t: F.softmax_cross_entropy(one(x), t), x, t=t)
    optimizer = optimizers.SGD(0.1).setup(two)
    with pytest.warns(DeprecationWarning):
        optimizer.use_cleargrads(False)
    optimizer.update(lambda: F.softmax_cross_entropy(two(x), t))
    for key, value in arrays(one).items():
        np.testing.assert_allclose(arrays(two)[key], value, rtol=1e-6)


def test_gradients_that_are_none_become_zeros():
    model = model_with_grads()
    before = arrays(model)
    model.l2.b.cleargrad()
    optimizers.SGD().setup(model).update()
    assert not np.asarray(model.l2.b.grad).any()
    np.testing.assert_array_equal(model.l2.b.array, before["/l2/b"])


def test_large_zeros_and_ones_go_with_their_last_user():
    model = jaxchain.Link(p=(1000, 700))
    optimizers.SGD().setup(model).reallocate_cleared_grads()
    jaxchain.grad([F.exp(model.p)], [model.p])
    del model
    gc.collect()
    assert all(array.shape != (1000, 700) for array in jax.live_arrays())


def test_uninitialised_parameters_are_left_alone():
    model = MLP(None)
    model.cleargrads()
    optimizer = optimizers.Adam().setup(model)
    optimizer.update()
    assert model.l1.W.array is None and model.l1.W.update_rule.state is None and optimizer.t == 1
    optimizer.loss_scaling()
    optimizer.update()
    assert optimizer.t == 2


def test_a_target_without_parameters():
    optimizer = optimizers.SGD().setup(jaxchain.Chain())
    with pytest.warns(UserWarning, match="Chain has no parameters"):
        optimizer.update()
    assert optimizer.t == 1


# -- hyperparameters ---------------------------------------------------------------------------------------------------


def test_hyperparameters_are_attributes_with_parents():
    model = model_with_grads()
    optimizer = optimizers.Adam(alpha=0.5).setup(model)
    rule = model.l1.W.update_rule
    assert optimizer.alpha == 0.5 and optimizer.beta1 == 0.9 and rule.hyperparam.alpha == 0.5
    optimizer.alpha = 0.25
    assert optimizer.hyperparam.alpha == rule.hyperparam.alpha == 0.25
    rule.hyperparam.alpha = 1.0
    assert (optimizer.alpha, rule.hyperparam.alpha, model.l2.W.update_rule.hyperparam.alpha) == (0.25, 1.0, 0.25)
    assert rule.hyperparam.parent is optimizer.hyperparam
    assert rule.hyperparam.get_dict()["beta2"] == 0.999 and "_complement_of_beta2" not in rule.hyperparam.get_dict()
    assert repr(Hyperparameter()) == "Hyperparameter()"
    with pytest.raises(AttributeError, match="nothing"):
        _ = rule.hyperparam.nothing


def test_a_rule_with_a_learning_rate_of_its_own():
    model = model_with_grads()
    before = arrays(model)
    optimizer = optimizers.SGD(0.5).setup(model)
    model.l1.W.update_rule.hyperparam.lr = 0.0
    optimizer.update()
    np.testing.assert_array_equal(model.l1.W.array, before["/l1/W"])
    np.testing.assert_allclose(model.l2.W.array, before["/l2/W"] - 0.5 * np.asarray(model.l2.W.grad), rtol=1e-6)


def test_a_new_value_of_a_hyperparameter_does_not_compile():
    model = model_with_grads()
    optimizer = optimizers.Adam().setup(model)
    optimizer.add_hook(optimizer_hooks.WeightDecay(0.1))
    compiled.program.cache_clear()
    for i in range(5):
        optimizer.update()
        optimizer.alpha *= 0.5
        optimizer.beta1 = 0.9 - 0.01 * i
        optimizer._hooks.pre["WeightDecay"].rate *= 2
    assert compiled.program.cache_info().misses == 1


def test_alpha_t_and_bounds():
    model = model_with_grads()
    optimizer = optimizers.AdaBound().setup(model)
    for value in (lambda: optimizer.alpha_t, lambda: model.l1.W.update_rule.bounds):
        with pytest.raises(RuntimeError, match="not been started"):
            value()
    optimizer.update()
    assert abs(optimizer.alpha_t - 1e-3 * 0.001**0.5 / 0.1) < 1e-12
    lower, upper = model.l1.W.update_rule.bounds
    assert 0 < lower < 0.1 < upper
    with pytest.warns(DeprecationWarning):
        assert optimizer.lr == optimizer.alpha_t


# -- rules -------------------------------------------------------------------------------------------------------------


def test_disabled_rules():
    model = model_with_grads()
    optimizer = optimizers.Adam().setup(model)
    optimizer.update()
    before = arrays(model)
    model.l1.disable_update()
    assert model.update_enabled and not model.l1.update_enabled
    optimizer.update()
    rule = model.l1.W.update_rule
    np.testing.assert_array_equal(model.l1.W.array, before["/l1/W"])
    assert (np.asarray(model.l2.W.array) != before["/l2/W"]).any()
    assert (rule.t, model.l2.W.update_rule.t, optimizer.t) == (1, 2, 2)
    model.enable_update()
    optimizer.update()
    assert (rule.t, model.l2.W.update_rule.t, optimizer.t) == (2, 3, 3)


def test_param_update_counts_for_itself():
    model = model_with_grads()
    optimizer = optimizers.Adam().setup(model)
    model.l1.W.update()
    optimizer.update()
    assert (model.l1.W.update_rule.t, model.l1.b.update_rule.t, optimizer.t) == (2, 1, 1)


def test_a_parameter_without_a_rule_stays():
    model = model_with_grads()
    optimizer = optimizers.SGD().setup(model)
    model.l1.W.update_rule = None
    before = arrays(model)
    optimizer.update()
    np.testing.assert_array_equal(model.l1.W.array, before["/l1/W"])


class HandWritten(UpdateRule):
    def init_state(self, param):
        self.state["v"] = param.xp.zeros_like(param.array)

    def update_core(self, param):
        self.state["v"] = 0.9 * self.state["v"] - self.hyperparam.lr * param.grad
        param.array += self.state["v"]


class OnNumpy(UpdateRule):
    def init_state(self, param):
        self.state["v"] = np.zeros_like(np.asarray(param.array))

    def update_core_cpu(self, param):
        assert isinstance(param.data, np.ndarray) and self.t >= 1
        v = self.state["v"]
        v *= 0.9
        v -= self.hyperparam.lr * param.grad
        param.data += v


class Counts(UpdateRule):
    """Keeps numbers beside arrays, as rules written for Chainer do."""

    def init_state(self, param):
        self.state.update(total=np.zeros_like(np.asarray(param.grad)), n=0, decayed=1.0, first=True, name="text")

    def update_core_cpu(self, param):
        state = self.state
        if state["first"]:
            state["first"] = False
        else:
            state["decayed"] *= 0.5
        state["n"] = state["n"] + 1
        state["total"] = state["total"] + param.grad
        param.data -= self.hyperparam.lr * state["decayed"] * state["total"] / state["n"]


class CountsItself(UpdateRule):
    def init_state(self, param):
        self.state["total"] = jnp.zeros_like(param.array)

    def update_core(self, param):
        self.state["total"] += param.grad
        param.array -= self.hyperparam.lr * 0.5 ** (self.t - 1.0) * self.state["total"] / self.t


class WithOptax(UpdateRule):
    slots = ("v",)

    @staticmethod
    def transform(h, t):
        return optax.chain(optax.scale(-h.lr), optax.trace(0.9))


class Custom(GradientMethod):
    def __init__(self, rule):
        super().__init__()
        self.hyperparam.lr = 0.1
        self.rule = rule

    def create_update_rule(self):
        return self.rule(self.hyperparam)


@MODES
@pytest.mark.parametrize("rule", [HandWritten, OnNumpy, WithOptax])
def test_user_written_rules(rule, mode):
    expected = train(lambda: optimizers.MomentumSGD(0.1, 0.9), "eager")
    losses, _, optimizer, run = train(lambda: Custom(rule), mode)
    np.testing.assert_allclose(losses, expected[0], rtol=1e-5)
    assert optimizer.t == 6 and all(p.update_rule.t == 6 for p in optimizer.target.params())
    if mode == "static":
        assert len(run.compiles) == 1, run.explain()


@MODES
def test_numbers_in_the_state_of_a_rule_written_on_numpy(mode):
    expected = train(lambda: Custom(CountsItself), "eager")
    losses, _, optimizer, _ = train(lambda: Custom(Counts), mode)
    np.testing.assert_allclose(losses, expected[0], rtol=1e-5)
    for param in optimizer.target.params():
        state = param.update_rule.state
        assert (int(state["n"]), float(state["decayed"]), bool(state["first"]), state["name"]) == (
            6,
            0.5**5,
            False,
            "text",
        )


class MakesMore(Counts):
    def update_core_cpu(self, param):
        super().update_core_cpu(param)
        del self.state["name"]
        self.state["more"] = param.grad * 2


def test_what_a_rule_written_on_numpy_adds_to_its_state_is_kept():
    model = model_with_grads()
    optimizer = Custom(MakesMore).setup(model)
    optimizer.update()
    state = model.l1.W.update_rule.state
    assert sorted(state) == ["decayed", "first", "more", "n", "total"]
    np.testing.assert_array_equal(state["more"], 2 * np.asarray(model.l1.W.grad))
    with pytest.raises(Exception, match=r"MakesMore: .* init_state has to make the whole state.* more, name"):
        train(lambda: Custom(MakesMore), "static")


def test_a_transformation_with_state_that_is_not_per_element():
    class Counting(UpdateRule):
        slots = ("count", "mu", "nu")

        @staticmethod
        def transform(h, t):
            return optax.adam(h.lr)

    model, twin = model_with_grads(), model_with_grads()
    optimizer = Custom(Counting).setup(model)
    other = optimizers.Adam(0.1).setup(twin)
    for _ in range(3):
        optimizer.update()
        other.update()
    assert int(model.l1.W.update_rule.state["count"]) == 3
    for key, value in arrays(twin).items():
        np.testing.assert_allclose(arrays(model)[key], value, rtol=1e-4, atol=1e-5)


def test_an_optimizer_class_of_the_users():
    class Random(Optimizer):
        def update(self, lossfun=None, *args, **kwds):
            for p in self.target.params():
                p.array = p.array + 1
            self.t += 1

    model = model_with_grads()
    before = arrays(model)
    optimizer = Random().setup(model)
    optimizer.update()
    assert optimizer.t == 1
    np.testing.assert_array_equal(model.l1.b.array, before["/l1/b"] + 1)


def test_two_optimizers_on_one_link():
    model = model_with_grads()
    optimizers.SGD(0.1).setup(model)
    second = optimizers.Adam().setup(model)
    assert type(model.l1.W.update_rule).__name__ == "AdamRule"
    second.update()
    assert model.l1.W.update_rule.t == 1


# -- hooks -------------------------------------------------------------------------------------------------------------


def test_hook_names_and_timings():
    optimizer = optimizers.SGD().setup(model_with_grads())
    seen = []

    def first(opt):
        seen.append(("first", opt is optimizer))

    optimizer.add_hook(first)
    optimizer.add_hook(lambda opt: seen.append("post"), name="second", timing="post")
    with pytest.raises(KeyError, match="already exists"):
        optimizer.add_hook(first)
    with pytest.raises(TypeError, match="callable"):
        optimizer.add_hook(3)
    with pytest.raises(ValueError, match="timing"):
        optimizer.add_hook(first, name="x", timing="now")
    optimizer.update()
    assert seen == [("first", True), "post"]
    optimizer.remove_hook("second")
    optimizer.update()
    assert seen[2:] == [("first", True)]
    with pytest.raises(KeyError):
        optimizer.remove_hook("second")


def test_builtin_hooks_change_the_gradients_that_are_seen():
    model = model_with_grads()
    before = {k: np.asarray(p.grad) for k, p in model.namedparams()}
    optimizer = optimizers.SGD(0.0).setup(model)
    optimizer.add_hook(optimizer_hooks.WeightDecay(0.5))
    optimizer.update()
    for path, p in model.namedparams():
        np.testing.assert_allclose(p.grad, before[path] + 0.5 * np.asarray(p.array), rtol=1e-6)


@pytest.mark.parametrize(
    "hook",
    [
        lambda: optimizer_hooks.WeightDecay(0.1),
        lambda: optimizer_hooks.Lasso(0.1),
        lambda: optimizer_hooks.GradientClipping(0.5),
        lambda: optimizer_hooks.GradientHardClipping(-0.1, 0.2),
        lambda: optimizer_hooks.GradientLARS(),
    ],
)
def test_hooks_alone_and_compiled_give_the_same(hook):
    fused, split = model_with_grads(), model_with_grads()
    optimizer = optimizers.SGD().setup(fused)
    optimizer.add_hook(hook())
    optimizer.update()
    optimizer = optimizers.SGD().setup(split)
    optimizer.add_hook(hook())
    optimizer.add_hook(lambda opt: None, name="python")  # makes hooks run one by one
    optimizer.update()
    for key, value in arrays(fused).items():
        np.testing.assert_allclose(arrays(split)[key], value, rtol=1e-6)


def test_hooks_of_one_rule():
    model = model_with_grads()
    before, grads = arrays(model), {k: np.asarray(p.grad) for k, p in model.namedparams()}
    optimizer = optimizers.SGD(0.1).setup(model)
    rule = model.l1.W.update_rule
    rule.add_hook(optimizer_hooks.WeightDecay(0.5))
    optimizer.update()
    np.testing.assert_allclose(
        model.l1.W.array, before["/l1/W"] - 0.1 * (grads["/l1/W"] + 0.5 * before["/l1/W"]), rtol=1e-5
    )
    np.testing.assert_allclose(model.l2.W.array, before["/l2/W"] - 0.1 * grads["/l2/W"], rtol=1e-6)
    seen = []
    rule.remove_hook("WeightDecay")
    rule.add_hook(lambda rule, param: seen.append((rule.t, param.name)), name="mine", timing="post")
    optimizer.update()
    assert seen == [(2, "W")]


# -- parameters in several places --------------------------------------------------------------------------------------


class Repeats(jaxchain.Chain):
    """Has one link in three places."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l = L.Linear(2, 2, initialW=np.float32([[1, 0.5], [0, 1]]))
            self.c = jaxchain.Sequential(self.l, F.tanh, self.l)

    def forward(self, x):
        return F.sum(self.c(self.l(x)))


REPEATED = [  # optimizer, hook, and what Chainer makes of W in two steps
    ("SGD", None, [0.938232, 0.44042, -0.086107, 0.907685]),
    ("SGD", "WeightDecay", [0.920501, 0.43172, -0.086454, 0.889298]),
    ("SGD", "GradientClipping", [1.0, 0.499999, -1e-06, 0.999999]),
    ("MomentumSGD", None, [0.816401, 0.324671, -0.264091, 0.716376]),
    ("MomentumSGD", "WeightDecay", [0.763785, 0.299103, -0.265737, 0.661142]),
    ("MomentumSGD", "GradientClipping", [0.999998, 0.499999, -2e-06, 0.999998]),
    ("Adam", None, [0.939981, 0.440012, -0.060164, 0.939817]),
    ("Adam", "WeightDecay", [0.939997, 0.440025, -0.060157, 0.939844]),
    ("Adam", "GradientClipping", [0.941913, 0.441995, -0.058679, 0.941213]),
]


@MODES
@pytest.mark.parametrize("python_hook", [False, True])
@pytest.mark.parametrize(("name", "hook", "expected"), REPEATED)
def test_a_parameter_has_an_update_for_each_of_its_places(name, hook, expected, python_hook, mode):
    model = Repeats()
    optimizer = getattr(optimizers, name)(0.01).setup(model)
    optimizer.loss_scaling(scale=1.0)
    if hook:
        optimizer.add_hook(getattr(optimizer_hooks, hook)(0.1))
    if python_hook:
        optimizer.add_hook(lambda optimizer: None, name="nothing")

    def step(x):
        optimizer.update(model, x)

    run = jaxchain.static(step) if mode == "static" else step
    for _ in range(2):
        run(np.float32([[1, 2]]))
    np.testing.assert_allclose(np.ravel(model.l.W.array), expected, atol=2e-6)
    assert (optimizer.t, model.l.W.update_rule.t) == (2, 6)
    if mode == "static":
        assert len(run.compiles) == 1, run.explain()
    saved, other = DictionarySerializer(), Repeats()
    saved.save(optimizer)
    resumed = getattr(optimizers, name)(0.01).setup(other)
    NpzDeserializer(saved.target).load(resumed)
    assert (resumed.t, other.l.W.update_rule.t) == (2, 6)


def test_setting_t_leaves_the_count_of_a_repeated_parameter_alone():
    model = Repeats()
    optimizer = optimizers.Adam().setup(model)
    optimizer.update(model, np.float32([[1, 2]]))
    optimizer.t = 10
    assert model.l.W.update_rule.t == 3


# -- files, copies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", ALL)
def test_a_resumed_optimizer_goes_on_as_before(make):
    model = model_with_grads()
    optimizer = make().setup(model)
    optimizer.update()
    saved = DictionarySerializer()
    saved.save(optimizer)
    copied = model.copy("copy")
    resumed = make().setup(copied)
    NpzDeserializer(saved.target).load(resumed)
    assert (resumed.t, copied.l1.W.update_rule.t) == (1, 1)
    optimizer.update()
    resumed.update()
    for key, value in arrays(model).items():
        np.testing.assert_array_equal(arrays(copied)[key], value)


def test_serialised_keys():
    optimizer = optimizers.Adam().setup(model_with_grads())
    optimizer.update()
    saved = DictionarySerializer()
    saved.save(optimizer)
    expected = {"t", "epoch"} | {f"{p}/{k}" for p in ("l1/W", "l1/b", "l2/W", "l2/b") for k in ("t", "m", "v")}
    assert set(saved.target) == expected


def test_pickle_and_deepcopy():
    optimizer = optimizers.Adam().setup(model_with_grads())
    optimizer.update()
    for other in (pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)):
        assert other.t == 1 and other.alpha == optimizer.alpha
        other.update()
        assert (other.t, optimizer.t, other.target.l1.W.update_rule.t) == (2, 1, 2)


# -- modes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("n_in", [4, None], ids=["sized", "lazy"])
def test_static_equals_eager(make, n_in):
    def halve(optimizer):
        name = "lr" if "lr" in vars(optimizer.hyperparam) else "alpha"
        setattr(optimizer, name, getattr(optimizer, name) * 0.5)
        optimizer.new_epoch()

    def hooks():
        return [optimizer_hooks.WeightDecay(0.01), optimizer_hooks.GradientClipping(0.1)]

    eager = train(make, "eager", hooks=hooks(), each_step=halve, n_in=n_in)
    static = train(make, "static", hooks=hooks(), each_step=halve, n_in=n_in)
    np.testing.assert_allclose(static[0], eager[0], rtol=1e-5)
    for key, value in eager[1].items():
        np.testing.assert_allclose(static[1][key], value, rtol=1e-4, atol=1e-6)
    assert (static[2].t, static[2].epoch) == (6, 6)
    assert type(static[2].t) is int
    assert len(static[3].compiles) == 1, static[3].explain()


def test_python_hooks_in_both_modes():
    def shrink(rule, param):
        param.grad = param.grad * np.float32(0.5)

    shrink.call_for_each_param = True
    calls = []

    def hooks():
        return [optimizer_hooks.WeightDecay(0.1), shrink, optimizer_hooks.GradientClipping(0.3), calls_hook]

    def calls_hook(optimizer):
        calls.append(optimizer.t)

    eager = train(optimizers.Adam, "eager", hooks=hooks())
    assert calls == list(range(6))
    static = train(optimizers.Adam, "static", hooks=hooks())
    np.testing.assert_allclose(static[0], eager[0], rtol=1e-5)


def test_hooks_of_one_rule_in_both_modes():
    results = []
    for mode in ("eager", "static"):
        model = model_with_grads()
        optimizer = optimizers.MomentumSGD(0.1).setup(model)
        model.l1.W.update_rule.add_hook(optimizer_hooks.WeightDecay(0.5))
        x, t = batch()

        def step(model=model, optimizer=optimizer, x=x, t=t):
            optimizer.update(lambda: F.softmax_cross_entropy(model(x), t))

        run = jaxchain.static(step) if mode == "static" else step
        for _ in range(3):
            run()
        results.append(arrays(model))
    for key, value in results[0].items():
        np.testing.assert_allclose(results[1][key], value, rtol=1e-5, atol=1e-6)


def test_a_step_in_the_middle_that_fails_changes_nothing():
    model = model_with_grads()
    optimizer = optimizers.Adam().setup(model)
    before = arrays(model)

    @jaxchain.static
    def step():
        optimizer.update()
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        step()
    for key, value in before.items():
        np.testing.assert_array_equal(arrays(model)[key], value)
    assert optimizer.t == 0 and model.l1.W.update_rule.state is None
    optimizer.update()
    assert optimizer.t == 1


def test_going_on_in_the_other_mode():
    reference = train(optimizers.Adam, "eager", steps=6)
    for first, second in (("eager", "static"), ("static", "eager")):
        _, _, optimizer, run = train(optimizers.Adam, first, steps=3)
        model = optimizer.target

        def step(x, t, model=model, optimizer=optimizer):
            loss = F.softmax_cross_entropy(model(x), t)
            model.cleargrads()
            loss.backward()
            optimizer.update()
            return loss

        run = jaxchain.static(step) if second == "static" else step
        losses = [float(run(*batch(i)).array) for i in range(3, 6)]
        np.testing.assert_allclose(losses, reference[0][3:], rtol=1e-5)


# -- half precision ----------------------------------------------------------------------------------------------------


def test_update_in_float32():
    param = jaxchain.Parameter(np.float16([1.0]))
    link = jaxchain.Link()
    with link.init_scope():
        link.p = param
    optimizer = optimizers.SGD(1e-4)
    optimizer.use_fp32_update()
    optimizer.setup(link)
    for _ in range(20):
        param.grad = np.float16([1.0])
        optimizer.update()
    assert param.dtype == np.float16
    np.testing.assert_allclose(np.asarray(param.array, np.float32), [0.998], atol=6e-4)


@pytest.mark.parametrize("make", ALL)
def test_half_precision_is_kept(make):
    link = jaxchain.Link()
    with link.init_scope():
        link.p = jaxchain.Parameter(np.ones(3, np.float16))
    optimizer = make().setup(link)
    link.p.grad = np.ones(3, np.float16)
    optimizer.update()
    assert link.p.dtype == np.float16 and np.isfinite(np.asarray(link.p.array)).all()


def test_loss_scale():
    plain, scaled = model_with_grads(), model_with_grads()
    x, t = batch()
    optimizers.SGD(0.1).setup(plain).update(lambda: F.softmax_cross_entropy(plain(x), t))
    optimizer = optimizers.SGD(0.1).setup(scaled)
    optimizer.loss_scaling(scale=8.0)
    optimizer.update(lambda: F.softmax_cross_entropy(scaled(x), t))
    for key, value in arrays(plain).items():
        np.testing.assert_allclose(arrays(scaled)[key], value, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="positive"):
        optimizer.loss_scaling(scale=0)
    with pytest.raises(ValueError, match="interval"):
        optimizer.loss_scaling(interval=0)


@pytest.mark.parametrize("how", ["whole", "update", "backward"])
@MODES
def test_a_backward_pass_says_by_what_gradients_are_divided(mode, how):
    """As in Chainer: the optimizer need not know the loss scale. `how`: what is compiled."""

    def trained(scale):
        link = jaxchain.links.Linear(2, 3, initialW=1)
        optimizer = optimizers.SGD(0.01).setup(link)

        def backward(x):
            link.cleargrads()
            F.sum(link(x) ** 2).backward(loss_scale=scale)

        def step(x):
            run["backward"](x)
            run["update"]()

        run = {"backward": backward, "update": optimizer.update, "whole": step}
        if mode == "static":
            run[how] = jaxchain.static(run[how])
        for _ in range(3):
            run["whole"](np.ones((1, 2), np.float32))
        return np.asarray(link.W.array)

    np.testing.assert_allclose(trained(8.0), trained(None), rtol=1e-5)


@pytest.mark.parametrize("of_rule", [False, True])
@pytest.mark.parametrize("pure", [True, False])
def test_weight_decay_does_not_depend_on_the_loss_scale(pure, of_rule):
    """`pure`: one compiled call; `of_rule`: a hook of the rule, which sees gradients that are divided already."""

    def updated(scale):
        link = jaxchain.Link()
        with link.init_scope():
            link.p = jaxchain.Parameter(np.arange(3, dtype=np.float32))
        optimizer = optimizers.SGD(1).setup(link)
        if of_rule:
            link.p.update_rule.add_hook(optimizer_hooks.WeightDecay(1 / 8))
        else:
            optimizer.add_hook(optimizer_hooks.WeightDecay(1 / 8))
        if not pure:
            link.p.update_rule.add_hook(lambda rule, param: None, "user's")
        F.sum(link.p**3).backward(loss_scale=scale)
        optimizer.update()
        return np.asarray(link.p.array)

    np.testing.assert_allclose(updated(4.0), updated(None))
    np.testing.assert_allclose(updated(None), [0, -2.125, -10.25])


def test_gradients_of_losses_that_were_not_scaled_are_not_divided():
    link = jaxchain.links.Linear(2, 3, initialW=1)
    optimizer = optimizers.SGD(1).setup(link)
    optimizer.set_loss_scale(8.0)
    F.sum(link(np.ones((1, 2), np.float32))).backward()
    optimizer.update()
    np.testing.assert_allclose(link.W.array, 0)


@pytest.mark.parametrize(
    ("hook", "grad", "expected"),
    [
        (optimizer_hooks.GradientClipping(1.0), [300.0, 400.0], [0.6, 0.8]),  # the sum of squares is beyond float16
        (optimizer_hooks.GradientLARS(), [0.0, 0.0], [0.0, 0.0]),  # eps is 0 in float16
        (optimizer_hooks.GradientLARS(weight_decay=0.5), [300.0, 400.0], [0.8487, 1.1312]),
    ],
    ids=["clipping", "lars", "lars-decay"],
)
def test_norms_of_float16_are_taken_in_float32(hook, grad, expected):
    link = L.Parameter(np.float16([1.0, 1.0]))
    optimizer = optimizers.SGD(1.0).setup(link)
    optimizer.add_hook(hook)
    link.W.grad = np.float16(grad)
    optimizer.update()
    np.testing.assert_allclose(link.W.array, 1 - np.float16(expected), atol=1e-3)


def test_small_gradients_of_float16_are_divided_in_float32():
    link = jaxchain.Link()
    with link.init_scope():
        link.p = jaxchain.Parameter(np.zeros(1, np.float16))
    optimizer = optimizers.SGD(1).setup(link)
    optimizer.use_fp32_update()
    optimizer.set_loss_scale(1024.0)
    optimizer.update(lambda: F.sum(F.cast(link.p, np.float32) * np.float32(3e-8)))
    np.testing.assert_allclose(link.p.update_rule._fp32_param.array, -3e-8, rtol=1e-3)


@pytest.mark.parametrize("lazy", [False, True])
def test_float32_copies_are_there_from_the_first_static_step(lazy):
    """`lazy`: the parameter itself is made in the first step."""

    def trained(static):
        one = jaxchain.initializers.One(np.float16)
        link = jaxchain.links.Linear(None if lazy else 2, 1, initialW=one, nobias=True)
        optimizer = optimizers.MomentumSGD(0.01)
        optimizer.use_fp32_update()
        optimizer.setup(link)

        def step(x):
            optimizer.update(lambda: F.sum(link(x) ** 2))

        run = jaxchain.static(step) if static else step
        for _ in range(3):
            run(np.full((1, 2), 0.1, np.float16))
        rule = link.W.update_rule
        assert not static or len(run.compiles) < 3
        return np.asarray(link.W.array), np.asarray(rule._fp32_param.array), np.asarray(rule.state["v"])

    for a, b in zip(trained(False), trained(True), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_a_rule_without_slots_has_an_empty_state_after_an_update():
    model = model_with_grads()
    optimizer = optimizers.SGD().setup(model)
    assert model.l1.W.update_rule.state is None
    optimizer.update()
    assert model.l1.W.update_rule.state == {}


def test_a_core_that_is_set_on_one_rule_is_used():
    model = model_with_grads()
    optimizer = optimizers.SGD(0.1).setup(model)
    rule, seen = model.l1.W.update_rule, []
    rule.update_core = seen.append
    optimizer.update()
    assert seen == [model.l1.W]


def test_a_rule_updates_a_variable():
    x = jaxchain.Variable(np.ones(2, np.float32), grad=np.ones(2, np.float32))
    rule = optimizers.SGD(0.5).create_update_rule()
    rule.update(x)
    np.testing.assert_allclose(x.array, 0.5)


def test_dynamic_loss_scale():
    model = model_with_grads()
    x, t = batch()
    optimizer = optimizers.SGD(0.1).setup(model)
    optimizer.loss_scaling()
    optimizer.update(lambda: F.softmax_cross_entropy(model(x), t))
    assert optimizer._loss_scale == 2.0 and optimizer.is_safe_to_update()
    before = arrays(model)
    with pytest.warns(UserWarning, match="Non finite number"):
        optimizer.update(lambda: F.softmax_cross_entropy(model(x * np.float32(np.nan)), t))
    for key, value in before.items():
        np.testing.assert_array_equal(arrays(model)[key], value)
    assert optimizer._loss_scale == 1.0 and (optimizer.t, model.l1.W.update_rule.t) == (2, 1)


@MODES
@pytest.mark.parametrize("first", ["float32", "float64"])
def test_a_learning_rate_is_not_rounded_to_the_width_of_an_earlier_update(first, mode):
    def update(dtype):
        with jax.enable_x64(dtype == "float64"):
            parameter = jaxchain.Parameter(np.ones(2, dtype))
            link = jaxchain.Link()
            with link.init_scope():
                link.p = parameter
            optimizer = optimizers.SGD(0.0123).setup(link)
            parameter.grad = np.ones(2, dtype)
            (jaxchain.static(optimizer.update) if mode == "static" else optimizer.update)()
            return np.asarray(parameter.array)

    second = {"float32": "float64", "float64": "float32"}[first]
    for dtype in (first, second):
        result = update(dtype)
        assert result.dtype == dtype
        np.testing.assert_allclose(result, 1 - 0.0123, rtol=1e-15 if dtype == "float64" else 1e-7)


METHODS = [k for k in vars(optimizers).values() if isinstance(k, type) and issubclass(k, Method)]


@pytest.mark.parametrize("method", METHODS, ids=lambda k: k.__name__)
def test_an_optimizer_names_the_hyperparameters_of_its_rule_with_its_defaults(method):
    given = {name: p.default for name, p in inspect.signature(method).parameters.items()}
    defaults = method.rule_class.defaults.get_dict()
    assert given and given.items() <= defaults.items()
    assert all(isinstance(inspect.getattr_static(method, name), HyperparameterProxy) for name in defaults)
