"""Calls that wait: nobody can tell but by the clock."""

import copy
import gc
import pickle
import sys
import threading
import traceback
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Variable, function_hooks, no_backprop_mode, optimizers, using_config
from jaxchain.core import background, deferred, forms
from jaxchain.utils.type_check import InvalidType

RNG = np.random.RandomState(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def waits(variable):
    return isinstance(variable._value, deferred.Waiting) and variable._value.value is None


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(forms, "AFTER", 2)
    monkeypatch.setattr(forms, "_forms", {})


def programs():
    return [form for form in forms._forms.values() if form.program is not None]


def test_shape_and_dtype_are_known_and_the_value_comes_when_asked_for():
    x = Variable(normal(3, 4))
    y = F.relu(x)
    assert waits(y)
    assert (y.shape, y.dtype, y.ndim, y.size, len(y), y.label) == ((3, 4), np.float32, 2, 12, 3, "(3, 4), float32")
    assert waits(y)
    np.testing.assert_array_equal(y.array, np.maximum(x.array, 0))
    assert not waits(y) and y.array is y.array


def test_one_of_several_outputs():
    x = Variable(normal(4, 3))
    a, b = F.split_axis(x * 2, 2, axis=0)
    total = F.sum(a) + F.sum(b * b)
    assert waits(a) and waits(total) and b.shape == (2, 3)
    np.testing.assert_allclose(total.array, 2 * x.array[:2].sum() + (4 * x.array[2:] ** 2).sum(), rtol=1e-5)
    np.testing.assert_array_equal(a.array, 2 * x.array[:2])


def test_what_a_reader_can_do_with_a_variable_that_waits():
    x = Variable(normal(2, 3))
    known = np.asarray(jnp.tanh(x.array))
    for read in (np.asarray, lambda a: np.asarray(jnp.asarray(a))):
        np.testing.assert_array_equal(read(F.tanh(x).array), known)
    np.testing.assert_array_equal(F.tanh(x).to_numpy(), known)
    np.testing.assert_array_equal(F.tanh(x).data, known)
    np.testing.assert_array_equal(copy.copy(F.tanh(x)).array, known)
    np.testing.assert_array_equal(copy.deepcopy(F.tanh(x)).array, known)
    with no_backprop_mode():
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(F.tanh(x))).array, known)
    assert float(F.sum(x * 0)) == 0 and F.sum(x * 0).item() == 0 and repr(F.sum(x * 0)).startswith("variable(")


def test_calls_on_large_arrays_are_made_at_once():
    x = Variable(np.zeros(deferred.SMALL // 8 + 1, np.float32))  # in and out: twice
    assert not waits(F.relu(x))
    y = Variable(np.zeros(deferred.SMALL // 8, np.float32))
    assert waits(F.relu(y)) and not waits(F.concat([x, F.relu(y)], axis=0))


def test_nothing_waits_while_somebody_watches():
    x = Variable(normal(3))
    with function_hooks.TimerHook() as timer:
        assert not waits(F.relu(x))
    assert timer.summary()["ReLU"]["occurrence"] == 1
    with using_config("debug", True), pytest.raises(RuntimeError, match=r"NaN is detected on the result of log"):
        F.log(x * 0 - 1)


def test_errors_come_at_the_call():
    h = F.relu(Variable(normal(2, 3)))
    with pytest.raises(InvalidType, match=r"x.shape\[1\] == W.shape\[1\]") as caught:
        F.linear(h, Variable(normal(5, 4)))
    assert waits(h) and "F.linear(h" in traceback.format_exception(caught.value)[-1] + str(caught.value)


def test_in_a_trace_of_jax():
    outside = F.exp(Variable(np.float32([0, 1])))

    def function(a):
        return F.sum(F.sin(Variable(a)) * outside).array

    a = normal(2)
    known = (np.sin(a) * np.exp([0, 1])).sum()
    np.testing.assert_allclose(jax.jit(function)(a), known, rtol=1e-6)
    np.testing.assert_allclose(outside.array, np.exp([0, 1]), rtol=1e-6)  # no tracer
    np.testing.assert_allclose(jax.grad(function)(a), np.cos(a) * np.exp([0, 1]), rtol=1e-6)
    waiting = F.exp(Variable(a))
    np.testing.assert_allclose(jax.jit(lambda b: b + waiting.array)(a), a + np.exp(a), rtol=1e-6)
    np.testing.assert_allclose(waiting.array, np.exp(a), rtol=1e-6)


def test_a_static_step_does_not_take_the_arrays_that_a_call_waits_for():
    model = L.Linear(3, 2)
    optimizer = optimizers.MomentumSGD(0.5).setup(model)
    x = normal(4, 3)

    @jaxchain.static
    def step(x):
        model.cleargrads()
        F.sum(model(x) ** 2).backward()
        optimizer.update()

    def by_hand():
        return x @ np.asarray(model.W.array).T + np.asarray(model.b.array)

    step(x)
    before, y = by_hand(), model(x)
    assert waits(y)
    step(x)
    np.testing.assert_allclose(y.array, before, rtol=1e-5, atol=1e-6)
    before, y = by_hand(), model(x)
    model.W.array = model.W.array * 0
    np.testing.assert_allclose(y.array, before, rtol=1e-5, atol=1e-6)


def test_a_static_step_takes_what_waits():
    scale = jaxchain.static(lambda v: v * 2)
    x = Variable(normal(3))
    np.testing.assert_array_equal(scale(F.relu(x)).array, np.maximum(x.array, 0) * 2)


def test_long_chains_are_run_on_the_way():
    x = y = Variable(np.float32([1, 2]))
    with no_backprop_mode():
        for _ in range(3 * deferred.DEEP):
            y = y + 1
            assert not isinstance(y._value, deferred.Waiting) or y._value.depth <= deferred.DEEP
    np.testing.assert_array_equal(y.array, x.array + 3 * deferred.DEEP)


def test_what_is_dropped_is_freed_and_never_run():
    gc.collect()
    x = Variable(normal(5))
    before = len(jax.live_arrays())
    y = F.exp(F.sin(x) * 2)
    call = weakref.ref(y.node)
    del y
    assert call() is None and len(jax.live_arrays()) == before


def test_threads_read_the_same_calls(soon):
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    x = Variable(normal(5, 5))
    try:
        for _ in range(60):
            ys = [x]
            for k in range(20):
                ys.append(F.leaky_relu(F.matmul(ys[-1], x) + k, 0.1 * k))
            found = {}
            start = threading.Barrier(4)

            def read(number, ys=ys, found=found, start=start):
                start.wait()
                found[number] = [y.array for y in (ys if number % 2 else reversed(ys))]

            threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(found) == 4  # none of them raised
            for number, arrays in found.items():
                for y, array in zip(ys if number % 2 else reversed(ys), arrays, strict=True):
                    np.testing.assert_array_equal(array, y.array)
    finally:
        sys.setswitchinterval(interval)


def test_another_thread_reads():
    y = F.sum(F.exp(Variable(normal(3, 3))) * 2)
    found = []
    thread = threading.Thread(target=lambda: found.append(float(y.array)))
    thread.start()
    thread.join()
    assert found == [float(y.array)]


@pytest.mark.cpu
def test_an_evaluation_is_one_program(soon):
    model = jaxchain.Sequential(L.Linear(6, 64), F.relu, L.Linear(64, 10))
    x, t = normal(32, 6), RNG.randint(0, 10, 32)

    def evaluate():
        with no_backprop_mode():
            y = model(x)
            loss, accuracy = F.softmax_cross_entropy(y, t), F.accuracy(y, t)
        return [np.asarray(v.array) for v in (loss, accuracy, y)]

    known = evaluate()
    for _ in range(4):
        for ours, one_by_one in zip(evaluate(), known, strict=True):
            np.testing.assert_array_equal(ours, one_by_one)
        background.settle()
    assert len(programs()) >= 1


@pytest.mark.cpu
def test_what_is_held_comes_out_of_the_step_and_what_is_not_can_be_had_again(soon):
    w = jaxchain.Parameter(normal(3))
    x = Variable(normal(3))

    def step():
        w.cleargrad()
        h = F.sin(x * w)
        loss = F.sum(F.exp(h) * h)
        loss.backward()
        background.settle()
        return h, loss

    for _ in range(3):
        h, loss = step()
    assert len(programs()) == 1 and not waits(h) and not waits(loss)
    known = w.grad
    w.cleargrad()
    loss.backward()  # the product waits still: nobody asked for it
    np.testing.assert_array_equal(w.grad, known)
    s = np.sin(x.array * w.array)
    np.testing.assert_allclose(known, np.exp(s) * (1 + s) * np.cos(x.array * w.array) * x.array, rtol=1e-5)
    np.testing.assert_allclose(loss.array, (np.exp(s) * s).sum(), rtol=1e-5)


def test_a_copy_has_the_value_of_the_step_too(soon):
    w = jaxchain.Parameter(normal(3))
    for _ in range(3):
        w.cleargrad()
        loss = F.sum(F.exp(w))
        reported = copy.copy(loss)
        assert waits(reported)
        node = weakref.ref(loss.node)
        loss.backward()
        background.settle()
        del loss
        assert node() is None and not waits(reported)
        np.testing.assert_allclose(reported.array, np.exp(w.array).sum(), rtol=1e-6)


def test_gradients_of_higher_order_from_what_waits():
    x = Variable(normal(3))
    y = F.sum(F.sin(x) ** 3)
    (g,) = jaxchain.grad([y], [x], enable_double_backprop=True)
    (gg,) = jaxchain.grad([F.sum(g)], [x])
    s, c = np.sin(x.array), np.cos(x.array)
    np.testing.assert_allclose(g.array, 3 * s**2 * c, rtol=1e-5)
    np.testing.assert_allclose(gg.array, 6 * s * c**2 - 3 * s**3, rtol=1e-4, atol=1e-6)


def test_dropout_has_one_mask_however_often_it_is_run():
    x = Variable(np.ones(64, np.float32))
    y = F.dropout(x, 0.5)
    F.sum(y).backward()
    np.testing.assert_array_equal(x.grad, y.array)


def test_arrays_of_weak_type_go_one_by_one(soon):
    x = Variable(np.float32([1, 2]))
    for factor in (jnp.asarray(2.0), np.float32(2), jnp.asarray(2.0), np.float32(2), jnp.asarray(2.0)):
        y = F.sum(x * factor)
        x.cleargrad()
        y.backward()
        background.settle()
        assert float(y.array) == 6 and list(np.asarray(x.grad)) == [2, 2]


def test_what_is_read_at_once_again_and_again_does_not_wait_until_it_is_part_of_something():
    x = Variable(np.arange(6, dtype=np.float32).reshape(2, 3))
    waits = lambda y: y._value.__class__ is deferred.Deferred  # noqa: E731
    seen = []
    for _ in range(deferred.ALONE + 2 * deferred.AGAIN):
        y = F.cosh(x)
        seen.append(waits(y))
        np.testing.assert_array_equal(y.array, jnp.cosh(x.array))
    assert seen[: deferred.ALONE] == [True] * deferred.ALONE
    assert sum(seen[deferred.ALONE :]) == 2  # it looks again from time to time
    while not waits(y := F.cosh(x)):
        pass
    F.sum(y).array
    assert waits(F.cosh(x))


def test_results_that_are_collected_hold_no_more_than_a_budget(monkeypatch):
    linear = L.Linear(1000, 1)
    linear(np.ones((1, 1000), np.float32)).array
    monkeypatch.setattr(deferred, "BUDGET", 2**20)
    monkeypatch.setattr(deferred.budget, "left", 2**20)
    gc.collect()
    before = sum(a.nbytes for a in jax.live_arrays())
    with jaxchain.no_backprop_mode():
        results = [linear(np.full((100, 1000), k, np.float32)) for k in range(20)]  # 0.4 MB each
    prepared = [F.sum(np.full((100, 1000), k, np.float32)) for k in range(20)]  # has no gradient: keeps nothing
    held = sum(a.nbytes for a in jax.live_arrays()) - before
    assert held < 5 * 2**20, held
    weight = np.asarray(linear.W.array).sum()
    np.testing.assert_allclose([float(y.array[0, 0]) for y in results], weight * np.arange(20), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose([float(y.array) for y in prepared], 1e5 * np.arange(20))
