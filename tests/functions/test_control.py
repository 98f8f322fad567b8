"""cond, while_loop and scan: eager equals static in values, gradients and random draws; one compile."""

from __future__ import annotations

import types

import jax
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Variable

UP = np.array([[1.0, 2.0], [3.0, 0.5]], "float32")
XS = np.random.RandomState(0).randn(5, 2, 3).astype("float32")


def run(make, inputs, mode):
    """Return values, gradients of inputs and parameters, and the number of compiles."""
    jaxchain.seed(1)
    program, model = make()

    def step(*xs):
        xs = [Variable(x) for x in xs]
        y = program(*xs)
        ys = y if isinstance(y, tuple) else (y,)
        model.cleargrads()
        sum(F.sum(v * v) for v in ys).backward()
        return [v.array for v in ys], [x.grad for x in xs], [p.grad for _, p in sorted(model.namedparams())]

    call = jaxchain.static(step) if mode == "static" else step
    found = [call(*xs) for xs in inputs]
    if mode == "static":
        print(call.explain())
    return found, len(call.compiles) if mode == "static" else None


def same(make, inputs, compiles):
    expected, _ = run(make, inputs, "eager")
    got, count = run(make, inputs, "static")
    for a, b in zip(got, expected, strict=True):
        for p, q in zip(a, b, strict=True):
            for u, v in zip(p, q, strict=True):
                assert (u is None) == (v is None)
                if u is not None:
                    np.testing.assert_allclose(u, v, rtol=1e-4, atol=1e-5)
    assert count == compiles


def test_cond_is_one_program():
    def make():
        model = L.Linear(2, 2)
        return lambda x: jaxchain.cond(x.array.sum() > 0, lambda a: F.relu(model(a)), lambda a: model(a) * 2, x), model

    same(make, [(UP,), (-UP,), (UP,)], 1)


def test_cond_whose_branches_use_different_parameters_is_two_variants():
    def make():
        model = L.Linear(2, 2)
        return lambda x: jaxchain.cond(x.array.sum() > 0, lambda a: model(a), lambda a: a * 2, x), model

    same(make, [(UP,), (-UP,), (UP,)], 2)


def test_cond_keeps_what_is_cut_off_the_graph_cut_off():
    def make():
        model = L.Linear(2, 2)
        return lambda x: jaxchain.cond(
            x.array[0, 0] > 0, lambda a: a * model(a).array, lambda a: model(a) * 3, x
        ), model

    same(make, [(UP,), (-UP,)], 2)  # the first branch has no gradient of the model


def test_cond_with_branches_of_different_shapes_is_two_variants():
    def make():
        model = L.Linear(2, 2)
        return lambda x: jaxchain.cond(x.array.sum() > 0, lambda a: model(a)[:1], lambda a: model(a), x), model

    same(make, [(UP,), (-UP,), (UP,)], 2)


def test_cond_with_random_draws_draws_as_eager_mode_does():
    def make():
        model = L.Linear(2, 2)

        def program(x):
            y = jaxchain.cond(x.array.sum() > 0, lambda a: F.dropout(model(a), 0.5), lambda a: a, x)
            return F.dropout(y, 0.5)

        return program, model

    same(make, [(UP,), (-UP,), (UP,)], 2)


def test_cond_on_trees_and_several_outputs():
    def make():
        model = L.Linear(2, 2)

        def program(x, y):
            out = jaxchain.cond(
                F.sum(x).array < 5,
                lambda d: {"a": d["x"] + d["y"], "b": d["x"]},
                lambda d: {"a": d["y"] * d["x"], "b": -d["x"]},
                {"x": x, "y": y},
            )
            return model(out["a"]), out["b"]

        return program, model

    same(make, [(UP, UP), (-UP, UP)], 1)


def test_cond_refuses_a_predicate_that_is_not_one_value():
    with pytest.raises(TypeError, match=r"pred.size == 1"):
        jaxchain.cond(np.array([True, False]), lambda: 1, lambda: 2)


def rnn():
    model = jaxchain.Chain()
    with model.init_scope():
        model.x2h, model.h2h = L.Linear(3, 4), L.Linear(4, 4, nobias=True)

    def program(xs):
        def f(h, x):
            h = F.tanh(model.x2h(x) + model.h2h(h))
            return h, h * 2

        return jaxchain.scan(f, Variable(np.zeros((2, 4), "float32")), xs)

    return program, model


def test_scan_is_one_program_with_the_gradient_of_eager_mode():
    same(rnn, [(XS,), (XS * 2,)], 1)


def test_scan_compiles_one_equation_whatever_the_length():
    program, _ = rnn()
    short = jaxchain.core.static.trace(lambda x: program(Variable(x)), XS[:2])
    long = jaxchain.core.static.trace(lambda x: program(Variable(x)), np.concatenate([XS] * 20))
    assert len(long.jaxpr.eqns) == len(short.jaxpr.eqns)
    assert any(e.primitive.name == "scan" for e in long.jaxpr.eqns)


def test_scan_reverse_with_dropout_and_trees():
    def make():
        model = L.Linear(3, 3)

        def f(state, x):
            h, n = state["h"], state["n"]
            h = F.dropout(F.sigmoid(model(x["a"])), 0.4) * h + x["b"]
            return {"h": h, "n": n + 1}, (h, F.sum(x["a"]))

        def program(a, b):
            start = {"h": Variable(np.ones((2, 3), "float32")), "n": np.int32(0)}
            state, (ys, sums) = jaxchain.scan(f, start, {"a": a, "b": b}, reverse=True)
            return F.dropout(state["h"], 0.5), ys, sums

        return program, model

    same(make, [(XS, XS + 1), (XS * 2, XS)], 1)


def test_scan_that_writes_state_is_unrolled():
    def make():
        model = L.BatchNormalization(3)

        def program(xs):
            return jaxchain.scan(lambda h, x: (h + model(x), h), Variable(np.zeros((2, 3), "float32")), xs)

        return program, model

    same(make, [(XS,), (XS * 2,)], 1)


def test_scan_without_xs_and_errors():
    state, ys = jaxchain.scan(lambda h, _: (h * 2, h), Variable(np.float32([1.0])), length=4)
    assert float(state.array[0]) == 16
    np.testing.assert_array_equal(ys.array[:, 0], [1, 2, 4, 8])
    with pytest.raises(TypeError, match="length"):
        jaxchain.scan(lambda h, x: (h, x), Variable(UP), {"a": XS, "b": XS[:2]})
    with pytest.raises(TypeError, match="length"):
        jaxchain.scan(lambda h, x: (h, x), Variable(UP))
    with pytest.raises(TypeError, match=r"returns \(state, y\)"):
        jaxchain.static(lambda x: jaxchain.scan(lambda h, x: (h, x, x), x[0], x))(XS)


def test_scan_second_derivative():
    model = L.Linear(3, 3)
    xs = Variable(XS)

    def step(x):
        x = Variable(x)
        _, ys = jaxchain.scan(lambda h, e: (F.tanh(model(e) * h + h), h * e), Variable(np.ones((2, 3), "float32")), x)
        (gx,) = jaxchain.grad([F.sum(ys * ys)], [x], enable_double_backprop=True)
        model.cleargrads()
        F.sum(gx * gx).backward()
        return gx.array, x.grad, model.W.grad

    expected = step(xs.array)
    for a, b in zip(jaxchain.static(step)(xs.array), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5)


class Late:
    factor = 2.0


def rebound(x):
    y = Variable(np.float32([1, 1]))
    for row in x:
        y = jaxchain.cond(F.sum(x).array > 0, lambda y: y * row, lambda y: y - row, y + 1)  # noqa: B023
    return y


def configured(x):
    with jaxchain.using_config("train", False):
        return jaxchain.scan(lambda h, r: (h + F.dropout(r * r, 0.5), None), Variable(np.zeros(2, "f")), x)[0]


def changed(x):
    Late.factor = 2.0
    y = jaxchain.scan(lambda h, r: (h + r * r * Late.factor, None), Variable(np.zeros(2, "f")), x)[0]
    Late.factor = 3.0
    return y


def of_tanh(body):
    def function(x):
        h = F.tanh(x)
        return body(x, h)

    return function


BODIES = {  # what a gradient that calls the functions again later, or does not stop at what they use, gets wrong
    "rebound": rebound,
    "configured": configured,
    "changed": changed,
    "cond": of_tanh(lambda x, h: jaxchain.cond(F.sum(x).array > 0, lambda: h * h * x, lambda: -h * x)),
    "cond itself": of_tanh(lambda x, h: jaxchain.cond(F.sum(x).array > 0, lambda: h, lambda: -h)),
    "nested": of_tanh(
        lambda x, h: jaxchain.cond(
            F.sum(x).array > 0, lambda: jaxchain.cond(F.sum(h).array > 0, lambda: h * x, lambda: -h * x), lambda: h + x
        )
    ),
    "scan": of_tanh(lambda x, h: jaxchain.scan(lambda c, r: (c * h[1] + r * h[0], c), Variable(UP[0]), x)[1]),
}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", BODIES)
def test_the_gradient_is_of_what_ran(name, order):
    def step(x):
        x = Variable(x)
        (gradient,) = jaxchain.grad([F.sum(BODIES[name](x) ** 2)], [x], enable_double_backprop=order > 1)
        if order > 1:
            (gradient,) = jaxchain.grad([F.sum(gradient * gradient)], [x])
        return gradient.array

    compiled = jaxchain.static(step)
    for x in (UP, -UP):
        np.testing.assert_allclose(compiled(x), step(x), rtol=1e-4, atol=1e-5)
    assert not compiled.eager_reasons


def test_what_a_body_leaves_outside_is_left_once():
    def step(x):
        states, last, calls = [], {}, 0

        def body(h, r):
            nonlocal calls
            calls += 1
            states.append(h * calls)
            return h + r * calls, h

        def branch(h):
            last["h"] = h * 2
            return h

        h, _ = jaxchain.scan(body, Variable(np.zeros(2, "f")), x)
        h = jaxchain.cond(F.sum(h).array > 0, branch, lambda h: -h, h)
        return h, states, last, calls

    compiled = jaxchain.static(step)
    for x in (UP, -UP, UP):
        for got, expected in zip(*(jax.tree.leaves(f(Variable(x))) for f in (compiled, step)), strict=True):
            np.testing.assert_allclose(getattr(got, "array", got), getattr(expected, "array", expected))
    assert not compiled.eager_reasons


FORGETFUL = {
    "alone": lambda link, xs: F.forget(lambda x: F.tanh(link(x)), xs[0]) + link(xs[1]),
    "in a scan": lambda link, xs: jaxchain.scan(
        lambda h, x: (F.forget(lambda x: F.tanh(link(x)), x) + h, None), Variable(np.zeros((2, 3), "f")), xs
    )[0],
    "in a cond": lambda link, xs: jaxchain.cond(
        F.sum(xs).array > 0, lambda x: F.forget(link, x), lambda x: F.forget(link, -x), xs[0]
    ),
    "around a scan": lambda link, xs: F.forget(
        lambda xs: jaxchain.scan(lambda h, x: (F.tanh(link(x) + h), None), Variable(np.zeros((2, 3), "f")), xs)[0], xs
    ),
}


@pytest.mark.parametrize("name", FORGETFUL)
def test_forget_leads_to_parameters_in_every_mode(name):
    class Net(jaxchain.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.l = L.Linear(3, 3)

        def forward(self, xs):
            return FORGETFUL[name](self.l, xs)

    found = []
    for mode in ("eager", "link", "static"):
        jaxchain.seed(0)
        model = Net()
        if mode == "link":
            model.static()

        def step(xs, model=model):
            model.cleargrads()
            F.sum(model(xs) ** 2).backward()
            return xs.grad, model.l.W.grad, model.l.b.grad

        found.append((jaxchain.static(step) if mode == "static" else step)(Variable(XS)))
    for got in found[1:]:
        for a, b in zip(got, found[0], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


# What a body does to the graph, or to what the step itself has made. Each is (body of w, h, made by the step).
def unchains(h, made, c):
    c.unchain()


def unchains_what_leads_to_it(h, made, c):
    F.tanh(c).unchain_backward()


def unchains_a_variable_outside(h, made, c):
    h.unchain_backward()


def unchains_what_made_it(h, made, c):
    c.creator.unchain()


def unchains_its_own(h, made, c):
    F.tanh(Variable(c.array)).unchain_backward()


def replaces_an_array(h, made, c):
    made.v.array = c.array


def sets_a_gradient(h, made, c):
    made.v.grad = c.array


def sets_an_attribute(h, made, c):
    made.last = c


def fills_a_list(h, made, c):
    made.list.append(c)


def replaces_an_array_in_a_tuple(h, made, c):
    made.tuple[0].array = c.array


def counts_in_numpy(h, made, c):
    made.buffer += 1


SIDE_EFFECTS = [unchains, unchains_what_leads_to_it, unchains_a_variable_outside, unchains_what_made_it]
SIDE_EFFECTS += [
    unchains_its_own,
    replaces_an_array,
    sets_a_gradient,
    sets_an_attribute,
    fills_a_list,
    replaces_an_array_in_a_tuple,
    counts_in_numpy,
]


@pytest.mark.parametrize("loop", ["scan", "cond"])
@pytest.mark.parametrize("effect", SIDE_EFFECTS, ids=lambda f: f.__name__)
def test_what_a_body_does_to_the_graph_and_to_what_the_step_made(effect, loop):
    def step(w, xs):
        h, k = w * 2.0, w * 0.5
        made = types.SimpleNamespace(v=Variable(XS[0]), last=k, list=[k], tuple=(Variable(XS[1]),), buffer=np.zeros(1))

        def body(c, x):
            effect(h, made, c)
            c = F.tanh(c + x)
            return c, c * 2.0

        if loop == "scan":
            c, y = jaxchain.scan(body, h, xs)
        else:
            c, y = jaxchain.cond(w.array[0, 0] > -100, body, body, h, xs[0])
        seen = made.v, made.last, made.list[-1], made.tuple[0]
        total = sum(F.sum(v) * (i + 1) for i, v in enumerate((c, y, h, *seen)))
        total.backward()
        return total, w.grad, xs.grad, made.v.grad, made.buffer[0], len(made.list)

    expected, got = [run(Variable(XS[0]), Variable(XS)) for run in (step, jaxchain.static(step))]
    for a, b in zip(got, expected, strict=True):
        assert (a is None) == (b is None)
        if b is not None:
            np.testing.assert_allclose(getattr(a, "array", a), getattr(b, "array", b), rtol=1e-5, atol=1e-6)


def test_a_branch_that_is_not_taken_cuts_nothing():
    def cuts(x):
        return F.sum(h.creator.unchain() or x)

    def step(w):
        nonlocal h
        h = w * 2
        y = jaxchain.cond(w.array[0, 0] < -100, cuts, F.sum, h)
        (y + F.sum(h)).backward()
        return w.grad

    h = None
    expected, got = [run(Variable(XS[0])) for run in (step, jaxchain.static(step))]
    np.testing.assert_array_equal(got, expected)


def test_a_state_that_begins_without_a_gradient():
    def make():
        model = L.Linear(3, 3)

        def program(xs):
            h = F.tanh(xs.array[0])
            assert not h.requires_grad
            return jaxchain.scan(lambda c, x: (F.tanh(model(c) + x), c * 2.0), h, xs)

        return program, model

    same(make, [(XS,)], 1)


def test_what_a_body_does_not_depend_on_has_no_gradient():
    def step(w, xs):
        c, _ = jaxchain.scan(lambda c, x: (c * 2.0 + x.array, None), w, xs)
        F.sum(c).backward()
        return w.grad, xs.grad

    for call in (step, jaxchain.static(step)):
        gw, gx = call(Variable(XS[0]), Variable(XS))
        np.testing.assert_array_equal(gw, np.full_like(XS[0], 2.0 ** len(XS)))
        assert gx is None


def test_a_state_that_begins_as_an_array():
    def make():
        model = L.Linear(3, 3)
        return lambda xs: jaxchain.scan(lambda h, x: (F.tanh(model(x) + h), h * 2), np.ones((2, 3), "f"), xs), model

    same(make, [(XS,), (XS * 2,)], 1)


RESULTS = {
    "cond": lambda x: jaxchain.cond(x.array.sum() > 0, lambda: (x, 1, None), lambda: (x * 2, 2, None)),
    "cond of other dtypes": lambda x: jaxchain.cond(x.array.sum() > 0, lambda: 1, lambda: 2.0),
    "cond of texts": lambda x: jaxchain.cond(x.array.sum() > 0, lambda: "up", lambda: "down"),
    "cond on texts": lambda x: jaxchain.cond(x.array.sum() > 0, lambda x, s: (x, s), lambda x, s: (-x, s), x, "a"),
    "while_loop": lambda x: jaxchain.while_loop(lambda s: s["n"] < 5, lambda s: {"n": s["n"] + 1}, {"n": 0}),
    "while_loop of variables": lambda x: jaxchain.while_loop(
        lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * 2), (0, x)
    ),
    "scan": lambda x: jaxchain.scan(lambda n, r: (n + 1, r * n), 0, x),
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_of_one_kind_in_both_modes(name):
    function = RESULTS[name]
    compiled = jaxchain.static(function)
    for x in (UP, -UP):
        got, expected = (jax.tree.leaves(f(Variable(x))) for f in (compiled, function))
        assert [type(y) for y in got] == [type(y) for y in expected]
        for a, b in zip(got, expected, strict=True):
            assert a == b if isinstance(a, str) else a.dtype == b.dtype
            assert isinstance(a, str) or np.array_equal(getattr(a, "array", a), getattr(b, "array", b))
    assert not compiled.eager_reasons


def test_while_loop_without_a_gradient_is_one_program():
    def halve(x):
        return jaxchain.while_loop(
            lambda s: F.sum(s[0]).array > 1,
            lambda s: (s[0] / 2, s[1] + 1),
            (Variable(x, requires_grad=False), np.int32(0)),
        )

    step = jaxchain.static(halve)
    for scale in (1, 8, 100):
        expected, got = halve(UP * scale), step(UP * scale)
        np.testing.assert_allclose(got[0].array, expected[0].array)
        assert int(got[1]) == int(expected[1])
    assert len(step.compiles) == 1


def test_while_loop_with_a_gradient_is_a_family_of_variants():
    def make():
        model = L.Linear(2, 2)
        return (
            lambda x: jaxchain.while_loop(lambda h: F.sum(h).array < 20, lambda h: h * 2 + model(h) * 0.0 + 1, x),
            model,
        )

    same(make, [(UP,), (UP * 4,), (UP,)], 2)


@pytest.mark.parametrize("mode", ["eager", "static"])
def test_links_with_scans_in_link_mode(mode):
    class Net(jaxchain.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.cell = L.Linear(3, 3)

        def forward(self, xs):
            h, ys = jaxchain.scan(lambda h, x: (F.tanh(self.cell(x) + h),) * 2, Variable(np.zeros((2, 3), "f")), xs)
            return jaxchain.cond(F.sum(h).array > 0, lambda a: a * 2, lambda a: a * 3, ys)

    jaxchain.seed(0)
    model = Net()
    with jaxchain.using_config("mode", mode):
        loss = F.sum(model(Variable(XS)) ** 2)
        loss.backward()
    jaxchain.seed(0)
    other = Net()
    F.sum(other(Variable(XS)) ** 2).backward()
    np.testing.assert_allclose(model.cell.W.grad, other.cell.W.grad, rtol=2e-5, atol=1e-5)


def test_the_eager_graph_has_clusters():
    y = jaxchain.cond(True, lambda a: F.relu(a), lambda a: a, Variable(UP))
    assert y.creator.link_path == "/cond_true"
    _, ys = jaxchain.scan(lambda h, x: (h, F.tanh(x)), Variable(UP), Variable(XS))
    assert ys.creator.inputs[0].creator_node.link_path == "/scan"
