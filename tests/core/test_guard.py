"""Python control flow on data in static mode: variants with guards, and what runs in eager mode instead."""

from __future__ import annotations

import types
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Chain, Variable, optimizers
from jaxchain.core.explain import EagerFallback

UP = np.array([1.0, 2.0, 3.0], "float32")
DOWN = -UP


def compiled(fn):
    return len(fn.explain().compiles)


# -- the ways to look at a value ---------------------------------------------------------------------------------------


def _if(x):
    return x * 2 if x.array.sum() > 0 else x - 1


def _while(x):
    n = 0
    while F.sum(x).array < 20 and n < 6:
        x, n = x + 3, n + 1
    return x


def _for(x):
    for _ in range(int(abs(x.array[0]))):
        x = x * 3
    return x


def _break(x):
    for i in range(5):
        x = x + i
        if x.array[0] > 1:
            break
    return x


def _item(x):
    k = (x.array > 0).sum().item()
    return x * k


def _index(x):
    return [x, x * x][(x.array[0] > 0).astype("int32")]


def _short_circuit(x):
    return x if (x.array[0] > 0 and x.array[1] > 5) or not x.array[2] > 100 else -x


def _ternary_chain(x):
    return x + (1 if x.array.max() > 2.5 else 2 if x.array.min() < -2.5 else 3)


def _in(x):
    return x if x.array[0] in (1.0, 7.0) else -x


def _min_builtin(x):
    return x * min(x.array[0], x.array[1])


def _inside_jnp(x):
    y = jax.nn.relu(x.array) + jax.jit(lambda a: a * 2)(x.array)
    return Variable(y) if y.sum() > 0 else x


WAYS = [_if, _while, _for, _break, _item, _index, _short_circuit, _ternary_chain, _in, _min_builtin, _inside_jnp]


@pytest.mark.parametrize("fn", WAYS, ids=lambda f: f.__name__[1:])
def test_every_way_to_look_at_a_value(fn):
    step = jaxchain.static(fn)
    with warnings.catch_warnings():
        warnings.simplefilter("error", EagerFallback)
        for x in (UP, DOWN, UP * 2, DOWN, UP, UP * 2):
            np.testing.assert_allclose(step(Variable(x)).array, fn(Variable(x)).array, rtol=1e-6)
    before = compiled(step)
    for x in (UP, DOWN, UP * 2):
        step(Variable(x))
    assert compiled(step) == before


@pytest.mark.parametrize("fn", WAYS, ids=lambda f: f.__name__[1:])
def test_gradients_go_through_every_way(fn):
    def step(x):
        x = Variable(x)
        F.sum(fn(x)).backward()
        return x.grad

    static = jaxchain.static(step)
    for x in (UP, DOWN, UP):
        expected, got = step(x), static(x)
        assert (expected is None) == (got is None)
        if expected is not None:
            np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_variants_are_explained_with_the_line():
    step = jaxchain.static(_if)
    step(Variable(UP))
    step(Variable(DOWN))
    explanation = step.explain()
    assert [c.reason.split(":")[0] for c in explanation.compiles] == ["first call", "branch at test_guard.py"]
    assert explanation.compiles[1].reason.endswith("took False")
    data = explanation.to_dict()["variants"]
    assert data[0]["misses"] == 1 and len(data[0]["guards"]) == 1
    assert "assumes: branch at test_guard.py" in str(explanation)


def test_the_last_variant_taken_is_tried_first():
    step = jaxchain.static(_if)
    for x in (UP, DOWN, DOWN, DOWN, UP, UP):
        step(Variable(x))
    assert [c.variant.misses for c in step.explain().compiles] == [1, 1]


@pytest.mark.parametrize("way", ["step", "link"])
@pytest.mark.parametrize("period", [[0, 1], [0, 0, 1], [0, 1, 2, 1]], ids=str)
def test_outcomes_that_go_round_are_predicted(way, period):
    static, xs, _ = three_ways(way)
    for k in range(40):
        static(xs[period[k % len(period)]])
    before = [c.variant.misses for c in static.explain().compiles]
    for k in range(40, 80):
        static(xs[period[k % len(period)]])
    assert [c.variant.misses for c in static.explain().compiles] == before


@pytest.mark.parametrize("way", ["step", "link"])
def test_while_nothing_can_be_predicted_questions_come_first(way):
    static, xs, eager = three_ways(way, dear=True)
    order = np.random.RandomState(0).randint(0, 3, 120)
    for k in order:
        np.testing.assert_allclose(static(xs[k]).array, eager(xs[k]).array, rtol=1e-6)
    compiles = static.explain().compiles
    assert len(compiles) == 3
    assert sum(c.variant.hits for c in compiles) == len(order)
    assert sum(c.variant.misses for c in compiles) < len(order) / 4  # of about 60 wrong guesses


@pytest.mark.parametrize("way", ["step", "link"])
@pytest.mark.parametrize("dear", [False, True])
def test_cheap_questions_always_come_first(way, dear):
    static, xs, eager = three_ways(way, dear)
    for k in (0, 1, 2, 2, 1, 0, 1, 0):
        np.testing.assert_array_equal(static(xs[k]).array, eager(xs[k]).array)
    for compile_ in static.explain().compiles:
        variant = compile_.variant
        assert (variant.asks, variant.checks) == (not dear, dear)
        outputs = variant.compiled(*(jnp.zeros(a.shape, a.dtype) for a in variant.programs()[0][1]))
        assert (outputs[variant.predicates.start] is None) == (not dear)  # the program has no question in it


def three_ways(way, dear=False):
    """Return a static callable of three outcomes, an input for each, and the same callable in eager mode.

    A dear question costs a matrix product: then the program itself answers it.
    """
    ones = jnp.ones((3, 1), np.float32)

    class Way(jaxchain.Chain):
        def forward(self, x):
            smallest = (x.array @ ones if dear else x.array).min()
            if smallest > 2 + 4 * dear:
                return x * 3
            return x + 1 if smallest > 0 else -x

    eager = Way()
    static = Way().static() if way == "link" else jaxchain.static(Way())
    return static, [Variable(np.full((2, 3), v, np.float32)) for v in (-1, 1, 5)], eager


def test_one_question_twice_is_one_guard():
    @jaxchain.static
    def step(x):
        positive = x.array.sum() > 0
        y = x * 2 if positive else x
        return y + 1 if positive else y

    step(Variable(UP))
    assert len(step.explain().compiles[0].variant.guards) == 1


def test_an_assertion_that_fails_is_the_programs_own():
    @jaxchain.static
    def step(x):
        assert x.array.min() > 0, f"negative: {float(x.array.min())}"
        return x * 2

    np.testing.assert_allclose(step(Variable(UP)).array, UP * 2)
    with pytest.raises(AssertionError, match=r"negative: -3\.0"):
        step(Variable(DOWN))
    np.testing.assert_allclose(step(Variable(UP)).array, UP * 2)


def test_an_exception_that_is_caught_is_an_outcome():
    @jaxchain.static
    def step(x):
        try:
            if x.array.min() <= 0:  # pytest's own assert would write down the values
                raise ValueError
        except ValueError:
            return -x
        return x

    for x in (UP, DOWN, UP):
        np.testing.assert_allclose(step(Variable(x)).array, abs(x))


@pytest.mark.parametrize(("bad", "error"), [(np.nan, ValueError), (np.inf, OverflowError)])
def test_the_integer_of_what_is_none_is_the_programs_own_error(bad, error):
    link = L.Linear(3, 3)
    optimizer = optimizers.SGD(0.1).setup(link)

    @jaxchain.static
    def step(x):
        loss = F.sum(link(x)) * int(x.array[0, 0])
        link.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    step(Variable(UP[None]))
    before = np.asarray(link.W.array)
    for _ in range(2):
        with pytest.raises(error, match="cannot convert float"):
            step(Variable(np.full_like(UP[None], bad)))
    np.testing.assert_array_equal(link.W.array, before)
    step(Variable(UP[None]))
    assert len(step.explain().compiles) == 1


# -- misses lose nothing -----------------------------------------------------------------------------------------------


class Net(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(3, 4, nobias=True)  # a bias would have a gradient of zero, but for rounding
            self.bn = L.BatchNormalization(4)
            self.l2 = L.Linear(4, 2)
        self.calls = 0

    def forward(self, x):
        h = self.bn(self.l1(x))
        h = F.dropout(F.relu(h), 0.3) if x.array.mean() > 0 else F.tanh(h)
        return self.l2(h)


def training(mode, n=8):
    jaxchain.seed(3)
    model, optimizer = Net(), optimizers.Adam()
    optimizer.setup(model)

    def step(x):
        y = model(x)
        loss = F.mean(y * y)
        model.cleargrads()
        loss.backward()
        if loss.array > 0.5:
            optimizer.hyperparam.alpha *= 0.9
        optimizer.update()
        return loss

    run = jaxchain.static(step) if mode == "step" else step
    rng = np.random.RandomState(0)
    losses = []
    with jaxchain.using_config("mode", "static" if mode == "link" else "eager"):
        for i in range(n):
            x = rng.randn(5, 3).astype("float32") + (1 if i % 3 else -1)
            losses.append(run(Variable(x)).array)
    state = {k: np.array(p.array) for k, p in model.namedparams()}
    state["mean"] = np.array(model.bn.avg_mean)
    state["alpha"] = np.array(optimizer.hyperparam.alpha)
    state["m"] = np.array(model.l1.W.update_rule.state["m"])
    return np.array(losses), state


@pytest.mark.parametrize("mode", ["step", "link"])
def test_a_miss_leaves_no_trace_in_state_or_random_draws(mode):
    losses, state = training("eager")
    got_losses, got_state = training(mode)
    np.testing.assert_allclose(got_losses, losses, rtol=2e-5, atol=1e-6)
    for name, value in state.items():
        np.testing.assert_allclose(got_state[name], value, rtol=2e-4, atol=2e-6, err_msg=name)


def test_donated_buffers_survive_a_miss():
    model, optimizer = L.Linear(3, 2), optimizers.MomentumSGD()
    optimizer.setup(model)

    @jaxchain.static
    def step(x):
        loss = F.sum(model(x))
        model.cleargrads()
        loss.backward()
        if x.array.sum() < 0:
            raise ValueError("refused")
        optimizer.update()
        return loss

    x = Variable(np.ones((2, 3), "float32"))
    step(x)
    step(x)
    assert step.explain().compiles[-1].variant.donated
    before = {k: np.array(p.array) for k, p in model.namedparams()}
    t = optimizer.t
    with pytest.raises(ValueError, match="refused"):
        step(Variable(-x.array))
    for k, p in model.namedparams():
        np.testing.assert_array_equal(p.array, before[k])
    assert optimizer.t == t
    step(x)


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read",
    [lambda a: float(a), lambda a: a.item(), lambda a: np.asarray(a), lambda a: a.tolist(), lambda a: f"{a:.2f}"],
    ids=["float", "item", "asarray", "tolist", "format"],
)
def test_a_float_read_runs_eagerly_and_says_so_once(read):
    seen = []

    @jaxchain.static
    def step(x):
        loss = F.sum(x)
        seen.append(read(loss.array))
        return loss * 2

    with pytest.warns(EagerFallback, match=r"test_guard.py:\d+(.|\n)*Ways out") as caught:
        for k in range(5):
            assert float(step(Variable(UP * k)).array) == 12 * k
    assert len([w for w in caught if w.category is EagerFallback]) == 1
    assert compiled(step) == 0
    assert seen[-5:] == [read(np.float32(6 * k)) for k in range(5)] or len(seen) >= 5
    assert "runs in eager mode: it " in str(step.explain())
    assert step.explain().to_dict()["eager"]


def test_links_inside_a_step_that_runs_eagerly_are_compiled():
    model = L.Linear(3, 2)

    @jaxchain.static
    def step(x):
        y = model(x)
        return y * float(F.sum(y).array)

    with pytest.warns(EagerFallback):
        for k in (1, 2, 3):
            x = Variable(np.ones((2, 3), "float32") * k)
            y = model(x)
            np.testing.assert_allclose(step(x).array, y.array * float(F.sum(y).array), rtol=1e-6)
    assert [c.variant.hits for c in model.explain().compiles] == [3]


def test_links_below_a_link_that_runs_eagerly_are_compiled():
    class Reads(Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.l1, self.l2 = L.Linear(3, 3), L.Linear(3, 2)

        def forward(self, x):
            h = self.l1(x)
            return self.l2(h * float(F.sum(h).array))

    model = Reads()
    x = Variable(UP[None])
    expected = model(x)
    expected.grad = np.ones_like(expected.array)
    expected.backward()
    grads = {k: np.array(p.grad) for k, p in model.namedparams()}
    model.cleargrads()
    with jaxchain.using_config("mode", "static"), pytest.warns(EagerFallback):
        y = model(x)
        np.testing.assert_allclose(model(x).array, y.array)
    np.testing.assert_allclose(y.array, expected.array, rtol=1e-6)
    y.grad = np.ones_like(y.array)
    y.backward()
    for k, p in model.namedparams():
        np.testing.assert_allclose(p.grad, grads[k], rtol=1e-5)
    assert len(model.l1.explain().compiles) == len(model.l2.explain().compiles) == 1


def test_too_many_variants_stop_compiling():
    @jaxchain.static
    def step(x):
        return x * int(x.array[0])

    with jaxchain.using_config("max_variants", 3), pytest.warns(EagerFallback, match=r"max_variants\).*test_guard.py"):
        for k in range(8):
            np.testing.assert_allclose(step(Variable(UP * k)).array, UP * k * k)
    assert compiled(step) == 3


def test_too_many_questions_stop_compiling():
    @jaxchain.static
    def step(x):
        while x.array[0] < 50:
            x = x + 1
        return x

    with jaxchain.using_config("max_guards", 10), pytest.warns(EagerFallback, match=r"max_guards.*\n?.*while_loop"):
        assert float(step(Variable(UP)).array[0]) == 50


def test_a_question_inside_a_nested_jit_is_answered_eagerly():
    @jaxchain.static
    def step(x):
        return Variable(jax.jit(lambda a: a if a[0] > 0 else -a)(x.array))

    with pytest.raises(jax.errors.TracerBoolConversionError):
        step(Variable(UP))  # as in eager mode: that jit is the user's own


def test_tracers_are_as_jax_made_them_outside_a_trace():
    jaxchain.static(_if)(Variable(UP))
    with pytest.raises(jax.errors.TracerBoolConversionError):
        jax.jit(lambda a: a if a[0] > 0 else -a)(UP)


def test_a_question_about_an_array_of_another_shape_is_asked_anew():
    state = types.SimpleNamespace()

    @jaxchain.static
    def step(x):
        return x * 2 if state.h.ravel()[0] > 0 else x * 3

    arrays = [np.ones(3), np.ones(3), -np.ones((3, 2)), np.ones((2, 2)), -np.ones(3), np.ones(5, np.int32), np.ones(3)]
    for h in arrays:
        state.h = jnp.asarray(h, np.int32 if h.dtype == np.int32 else np.float32)
        assert float(step(jnp.ones(()))) == (2 if h.flat[0] > 0 else 3)
