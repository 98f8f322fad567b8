"""Programs are compiled for where their arguments are."""

import types

import jax
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
from jaxchain import Variable
from jaxchain.core import exact


@pytest.fixture
def several_platforms(monkeypatch):
    monkeypatch.setattr(exact, "backends", lambda: {"cpu": None, "cuda": None})


def bound_to(platform):
    return types.SimpleNamespace(committed=True, devices=lambda: [types.SimpleNamespace(platform=platform)])


@pytest.mark.cpu
def test_where_there_are_only_cpus_the_function_is_jax_jits_own():
    assert type(exact.exact_jit(lambda x: x)) is type(jax.jit(lambda x: x))


@pytest.mark.cpu
def test_the_device_of_bound_arguments_decides_then_the_default_one(several_platforms, monkeypatch):
    jitted = exact.exact_jit(lambda *args: args)
    free = types.SimpleNamespace(committed=False)
    assert jitted.placed([free, 1.0, bound_to("gpu")]) is jitted.elsewhere
    assert jitted.placed([free, 1.0, bound_to("cpu")]) is jitted.on_cpu
    assert jitted.placed([free, 1.0]) is jitted.on_cpu  # these tests' default device is a CPU
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert jitted.placed([free]) is jitted.elsewhere
    assert jitted.placed([bound_to("cpu")]) is jitted.on_cpu
    with jax.default_device(jax.devices("cpu")[0]):
        assert jitted.placed([free]) is jitted.on_cpu


@pytest.mark.cpu
def test_only_the_cpus_compiler_is_asked_to_keep_barriers(several_platforms):
    jitted = exact.exact_jit(lambda x: jax.lax.optimization_barrier(x * 2) + 1)
    x = np.float32([1, 2])
    assert "opt-barrier" in jitted.on_cpu.lower(x).compile().as_text()
    assert "opt-barrier" not in jitted.elsewhere.lower(x).compile().as_text()
    assert "opt-barrier" in jitted.lower(x).compile().as_text()


def test_a_step_runs_trains_and_explains_itself_there(several_platforms, tmp_path):
    model = jaxchain.Sequential(jaxchain.links.Convolution2D(None, 4, 3), lambda x: F.max_pooling_2d(x, 2), F.relu)
    x = Variable(np.random.RandomState(0).standard_normal((2, 3, 8, 8)).astype(np.float32))
    results = []
    for compiled in (False, True):
        jaxchain.seed(0)
        net = model.copy(mode="init")

        def step(x, net=net):
            net.cleargrads()
            loss = F.max(net(x)) + F.sum(net(x))
            loss.backward()
            return loss

        step = jaxchain.static(step) if compiled else step
        results.append([step(x).array, *(p.grad for p in net.params())])
    for of_eager, of_static in zip(*results, strict=True):
        np.testing.assert_array_equal(of_eager, of_static)
    assert isinstance(step.lower(x).compile().as_text(), str)
    assert step.save_cache(tmp_path) == 1
    link = model.static() or model
    link.cleargrads()
    y = link(x)
    (gx,) = jaxchain.grad([F.sum(y * y)], [x], enable_double_backprop=True)
    F.sum(gx * gx).backward()
    assert all(np.abs(p.grad).sum() > 0 for p in model.params() if p.name == "W")
