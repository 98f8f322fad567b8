"""Variants that differ by outcomes become one program, and nobody can tell but by the clock."""

import jax
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Chain, ChainList, Variable, as_variable, optimizers, reporter
from jaxchain.core import background
from jaxchain.core.known import Known

UP, DOWN = np.full((2, 3), 0.5, np.float32), np.full((2, 3), -0.5, np.float32)


@pytest.fixture(autouse=True)
def early(monkeypatch):
    """Merge after the second turn."""
    monkeypatch.setattr(Known, "TURNS", 2)


def calls(function, batches):
    """Call on batches; what is compiled in the background is ready for the next call."""
    results = []
    for x in batches:
        results.append(function(x))
        background.settle()
    return results


def merged(function):
    """Return the merged variants of a static function."""
    return [c.variant for c in function.compiles if c.variant.is_merged]


class Branching(Chain):
    """Two layers, and between them what the first element decides."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1, self.l2 = L.Linear(3, 4), L.Linear(4, 2)

    def forward(self, x):
        h, first = self.l1(x), as_variable(x).array[0, 0]
        return self.l2(F.tanh(h) if first > 0 else F.relu(h))


def training(model, optimizer, body=None):
    optimizer.setup(model)

    def step(x):
        loss = F.sum(model(x) ** 2) if body is None else body(x)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    return step


def trained(batches, make, static):
    """Return losses, parameters, gradients and slots after training; and the step."""
    jaxchain.seed(0)
    model, optimizer = make(), optimizers.Adam(0.01)
    step = training(model, optimizer)
    if static:
        step = jaxchain.static(step)
    losses = [float(loss.array) for loss in calls(step, batches)]
    arrays = [a for _, p in sorted(model.namedparams()) for a in (p.array, p.grad, *p.update_rule.state.values())]
    return np.array(losses), [np.array(a) for a in arrays], step


@pytest.mark.parametrize("order", ["0101010101", "0110100110", "1100110011"])
def test_a_training_step_with_a_branch_is_one_program(order):
    batches = [(DOWN, UP)[int(i)] * (1 + 0.1 * n) for n, i in enumerate(order)]
    losses, arrays, _ = trained(batches, Branching, False)
    got, others, step = trained(batches, Branching, True)
    np.testing.assert_allclose(got, losses, rtol=1e-5)
    for a, b in zip(others, arrays, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    (variant,) = merged(step)
    assert variant.guards == [] and variant.hits >= 2 and variant.donated
    assert len(step.compiles) == 3
    assert "outcomes in turn: 2 variants in one" in str(step.explain())


def test_nothing_compiles_once_it_is_taken_in():
    jaxchain.seed(0)
    step, compiled = jaxchain.static(training(Branching(), optimizers.Adam(0.01))), []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration, **_: compiled.append(event) if "backend_compile" in event else None
    )
    calls(step, [UP, DOWN] * 4)
    del compiled[:]
    calls(step, [UP, DOWN] * 4)
    assert compiled == [] and merged(step)[0].hits > 8


def test_what_both_have_in_common_comes_first_and_once():
    _, _, step = trained([UP, DOWN] * 4, Branching, True)
    (variant,) = merged(step)
    eqns = variant.traced.jaxpr.jaxpr.eqns
    names = [e.params.get("name", e.primitive.name) for e in eqns]
    assert names.count("linear") == 1 and names.index("linear") < names.index("cond") == len(names) - 1
    inside = str(eqns[-1].params["branches"])
    assert inside.count("name=linear\n") == 2 and "tanh" in inside and "relu" in inside  # the second layer, in each


def test_a_question_that_is_the_whole_step_is_no_longer_asked():
    @jaxchain.static
    def step(x):
        y = F.matmul(x, x, transb=True)
        return y * 2 if F.sum(y * y).array > 1 else y / 2

    batches = [UP, DOWN / 10] * 6
    for x, y in zip(batches, calls(step, batches), strict=True):
        product = x @ x.T
        np.testing.assert_allclose(y.array, product * 2 if (product**2).sum() > 1 else product / 2, rtol=1e-6)
    (variant,) = merged(step)
    misses = [c.variant.misses for c in step.compiles]
    calls(step, batches)
    assert [c.variant.misses for c in step.compiles] == misses and variant.hits >= 12


def test_numbers_choose_among_several_layers():
    model = ChainList(*[L.Linear(3, 3) for _ in range(4)])
    optimizer = optimizers.SGD(0.1)
    step = jaxchain.static(training(model, optimizer, lambda x: F.sum(model[int(x[0, 0])](x))))
    twin = model.copy("copy")
    eager = training(twin, optimizers.SGD(0.1), lambda x: F.sum(twin[int(x[0, 0])](x)))
    for model_ in (model, twin):
        model_.cleargrads()
    for k in (*(0, 1, 2) * 3, *(3, 0, 1, 2) * 3):
        x = np.full((2, 3), k, np.float32)
        np.testing.assert_allclose(calls(step, [x])[0].array, eager(x).array, rtol=1e-5)
        for p, q in zip(model.params(), twin.params(), strict=True):
            np.testing.assert_allclose(p.array, q.array, rtol=1e-5)
            assert (p.grad is None) == (q.grad is None)
    first, second = merged(step)
    assert first.hits > 0 and second.hits > 0  # an unknown number is a miss, until it is known


def test_a_switch_of_one_shape_is_merged_and_merged_again_with_more():
    weights = Variable(np.arange(12, dtype=np.float32).reshape(4, 3))

    @jaxchain.static
    def choose(x):
        acts = [F.relu, F.tanh, F.sigmoid, F.exp]
        return acts[int(x[0])](weights[0] + x)

    def check(k):
        x = np.float32([k, 0.25, -1])
        got = calls(choose, [x])[0].array
        expected = [F.relu, F.tanh, F.sigmoid, F.exp][k](weights[0] + x).array
        np.testing.assert_allclose(got, expected, rtol=1e-6)

    for k in (0, 1, 0, 1, 0, 1, 0):
        check(k)
    (first,) = merged(choose)
    assert ["came out as before" in str(g) for g in first.guards] == [True]
    hits = first.hits
    assert hits > 0
    for k in (2, 0, 2, 1, 2, 0, 2, 1, 2, 0):
        check(k)
    second = merged(choose)[-1]
    assert second is not first and second.hits > 0
    (known,) = choose.variants.values()
    assert [v for v in known if v.is_merged] == [second]


def test_loops_on_data_are_nested():
    @jaxchain.static
    def halve(x):
        while F.sum(x).array > 1:
            x = x / 2
        return x

    batches = [np.float32([k, k]) for k in (0.25, 1, 2, 4) * 6]
    for x, y in zip(batches, calls(halve, batches), strict=True):
        while x.sum() > 1:
            x = x / 2
        np.testing.assert_array_equal(y, x)
    assert merged(halve)[-1].hits > 0
    assert np.asarray(halve(np.float32([40, 40]))).sum() <= 1  # more rounds than any before
    np.testing.assert_array_equal(halve(np.float32([1, 1])), [0.5, 0.5])


def test_a_miss_leaves_donated_state_as_it_was():
    state = {"total": Variable(np.float32([1, 2]))}

    @jaxchain.static
    def add(x):
        k = int(x[0])
        state["total"] = Variable(state["total"].array * (k + 1) + x)
        return state["total"].array.sum()

    total = np.float32([1, 2])
    for k in (0, 1, 0, 1, 0, 1, 0, 1, 5, 0, 1, 5, 0):
        x = np.float32([k, 0.5])
        total = total * (k + 1) + x
        calls(add, [x])
        np.testing.assert_allclose(state["total"].array, total, rtol=1e-6)
    assert merged(add)[0].misses > 0


@pytest.mark.parametrize(
    "different",
    [
        lambda y, up: (y, "up" if up else "down"),
        lambda y, up: {"up": y} if up else {"down": y},
        lambda y, up: Variable(y.array, name="up" if up else "down"),
        lambda y, up: y.array if up else y,
        lambda y, up: y if up else F.sum(y),
        lambda y, up: F.cast(y, "float16") if up else y,
        lambda y, up: (y, None) if up else (y, y),
        lambda y, up: y if up else Variable(y.array),
        lambda y, up: (lambda one: (one, one))([y]) if up else ([y], [y]),
    ],
)
def test_what_returns_different_things_stays_apart(different):
    scale = jaxchain.Parameter(np.full(UP.shape, 2, np.float32))  # something for a gradient to reach

    def function(x):
        up = bool(x[0, 0] > 0)
        return different(F.exp(x * scale) if up else F.tanh(x * scale), up)

    step = jaxchain.static(function)
    batches = [UP, DOWN] * 5
    for x, got in zip(batches, calls(step, batches), strict=True):
        expected = function(x)
        assert type(got) is type(expected) and repr(got)[:12] == repr(expected)[:12]
        assert getattr(got, "name", None) == getattr(expected, "name", None)
    assert merged(step) == []


def test_what_writes_or_draws_different_things_stays_apart():
    class Counting(Branching):
        def __init__(self):
            super().__init__()
            self.add_persistent("seen", np.zeros(3, np.float32))

        def forward(self, x):
            if x[0, 0] > 0:
                self.seen = self.seen + x[0]
            else:
                x = F.dropout(x, 0.5)
            return super().forward(x)

    jaxchain.seed(1)
    model = Counting()
    step = jaxchain.static(lambda x: F.sum(model(x)))
    total = np.zeros(3, np.float32)
    for x in [UP, DOWN] * 5:
        calls(step, [x])
        total += x[0] * (x[0, 0] > 0)
        np.testing.assert_allclose(model.seen, total, rtol=1e-6)
    assert merged(step) == []


def test_draws_and_statistics_go_on_as_in_eager_mode():
    class Noisy(Branching):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.bn = L.BatchNormalization(3)

        def forward(self, x):
            x = F.dropout(self.bn(x), 0.5) + 0.1
            return super().forward(x)

    def run(static):
        jaxchain.seed(3)
        model = Noisy()
        step = training(model, optimizers.MomentumSGD(0.01))
        step = jaxchain.static(step) if static else step
        rng = np.random.RandomState(0)
        losses = [float(y.array) for y in calls(step, [rng.randn(2, 3).astype(np.float32) for _ in range(12)])]
        return losses, model.bn.avg_mean, model.bn.avg_var, F.dropout(np.ones(32, np.float32)).array, step

    eager, static = run(False), run(True)
    for a, b in zip(static[:3], eager[:3], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(static[3], eager[3])
    assert merged(static[4])[0].hits > 0


def test_reports_and_prints_are_those_of_the_call(capsys):
    model = Branching()

    @jaxchain.static
    def step(x):
        y = F.sum(model(x))
        reporter.report({"y": y}, model)
        print("y is", y.array)
        return y

    observed = reporter.Reporter()
    observed.add_observer("main", model)
    for x in [UP, DOWN] * 5:
        seen = {}
        with observed.scope(seen):
            y = calls(step, [x])[0]
        np.testing.assert_allclose(as_variable(seen["main/y"]).array, y.array)
        assert capsys.readouterr().out == f"y is {y.array!s}\n"
    assert merged(step)[0].hits > 0


def test_a_branch_that_raises_is_no_part_of_it():
    @jaxchain.static
    def step(x):
        if x[0, 0] > 1:
            raise ValueError("too large")
        return F.exp(x) if x[0, 0] > 0 else F.tanh(x)

    calls(step, [UP, DOWN] * 5)
    variant = merged(step)[0]
    assert variant.hits > 0
    with pytest.raises(ValueError, match="too large"):
        step(UP * 4)
    np.testing.assert_allclose(step(UP).array, np.exp(UP), rtol=1e-6)


def test_other_state_is_another_program():
    model = Branching()
    model.flag = True

    @jaxchain.static
    def step(x):
        y = model(x)
        return y if model.flag else -y

    up = calls(step, [UP, DOWN] * 5)[-2].array
    assert merged(step)[0].hits > 0
    model.flag = False
    np.testing.assert_allclose(step(UP).array, -up, rtol=1e-6)
    model.flag = True
    np.testing.assert_allclose(step(UP).array, up, rtol=1e-6)


def test_state_that_is_made_anew_in_every_call_is_followed():
    class Holder:
        pass

    holder = Holder()

    @jaxchain.static
    def step(x):
        last = holder.history[-1]
        y = F.exp(x + last) if x[0, 0] > 0 else F.tanh(x + last)
        holder.history = [last, y.array * 0.5]
        return y

    expected = np.zeros((2, 3), np.float32)
    holder.history = [expected, Variable(expected).array]
    for x in [UP, DOWN] * 6:
        y = np.exp(x + expected) if x[0, 0] > 0 else np.tanh(x + expected)
        np.testing.assert_allclose(calls(step, [x])[0].array, y, rtol=1e-5)
        expected = y * 0.5
    assert merged(step)[0].hits > 0


def test_links_called_in_evaluation_are_merged():
    model = Branching()
    with jaxchain.using_config("mode", "static"), jaxchain.no_backprop_mode():
        got = [y.array for y in calls(model, [UP, DOWN] * 6)]
    assert merged(model._static)[0].hits > 0
    for x, y in zip([UP, DOWN] * 6, got, strict=True):
        np.testing.assert_allclose(y, model(x).array, rtol=1e-5)


def test_links_with_a_gradient_keep_a_variant_per_outcome():
    model, twin = Branching(), None
    twin = model.copy("copy")
    with jaxchain.using_config("mode", "static"):
        for x in [UP, DOWN] * 6:
            model.cleargrads()
            F.sum(calls(model, [x])[0]).backward()
            with jaxchain.using_config("mode", "eager"):
                twin.cleargrads()
                F.sum(twin(x)).backward()
            for p, q in zip(model.params(), twin.params(), strict=True):
                np.testing.assert_allclose(p.grad, q.grad, rtol=1e-5, atol=1e-7)
    assert merged(model._static) == []


def test_debug_mode_merges_nothing():
    model = Branching()
    step = jaxchain.static(lambda x: F.sum(model(x)))
    with jaxchain.using_config("debug", True):
        calls(step, [UP, DOWN] * 6)
    assert merged(step) == []
