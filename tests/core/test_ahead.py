"""Compiling before the first call, and taking compiled programs along."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import optimizers
from jaxchain.core import cache
from jaxchain.core.errors import StaticError

X = np.random.RandomState(0).randn(4, 3).astype(np.float32)
SHAPE = jax.ShapeDtypeStruct((4, 3), np.float32)


@pytest.fixture
def compiled_programs():
    """Return a list that grows by the name of each program that JAX compiles."""
    names = []

    def listen(event, seconds, fun_name="", **_):
        if event.endswith("backend_compile_duration"):
            names.append(fun_name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield names
    jax.monitoring.clear_event_listeners()


def make_step():
    jaxchain.seed(0)
    model = L.Linear(3, 2)
    optimizer = optimizers.Adam().setup(model)

    def step(x):
        loss = F.sum(model(x) ** 2)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    return step


def test_the_first_calls_of_a_step_compile_it_and_nothing_else(compiled_programs):
    step, x = jaxchain.static(make_step()), jnp.asarray(X)
    compiled_programs.clear()
    step(x), step(x)  # its hyperparameters become arrays
    assert [name for name in compiled_programs if "step" not in name] == []
    assert len(compiled_programs) == 1


def test_a_step_is_compiled_before_its_first_call(compiled_programs):
    step = jaxchain.static(make_step())
    lowered = step.lower(SHAPE)
    assert "stablehlo" in lowered.as_text() and lowered.cost_analysis()["flops"] > 0
    assert not any("step" in name for name in compiled_programs)
    compiled = lowered.compile()
    assert sum("step" in name for name in compiled_programs) == 1
    assert "HloModule" in compiled.as_text() and compiled.cost_analysis()["flops"] > 0
    memory = compiled.memory_analysis()
    assert memory["arguments"] > X.nbytes and memory["shared"] > 0
    eager = make_step()
    for _ in range(2):
        np.testing.assert_allclose(compiled(X).array, eager(X).array, rtol=1e-5)
    assert sum("step" in name for name in compiled_programs) == 1
    assert len(step.explain().compiles) == 1
    assert step.explain().to_dict()["variants"][0]["memory"] == memory
    assert "memory: arguments" in str(step.explain())


def test_lowering_changes_nothing():
    function = make_step()
    step = jaxchain.static(function)
    model = next(c.cell_contents for c in function.__closure__ if isinstance(c.cell_contents, L.Linear))
    before = np.array(model.W.array)
    step.lower(SHAPE)
    np.testing.assert_array_equal(model.W.array, before)
    assert model.W.update_rule.state is None or not np.any(model.W.update_rule.state["m"])
    lowered = step.lower(X)
    assert len(step.explain().compiles) == 1  # the same variant for the same shapes
    assert lowered.variant is step.explain().compiles[0].variant


def test_a_link_is_compiled_with_its_backward_pass(compiled_programs):
    jaxchain.seed(0)
    link = L.Linear(3, 2).static()
    compiled = link.lower(SHAPE).compile()
    assert sorted(n for n in compiled_programs if "Linear" in n) == ["jit(Linear)", "jit(Linear_vjp)"]
    y = compiled(X)
    link.cleargrads()
    F.sum(y).backward()
    np.testing.assert_allclose(link.W.grad, np.ones((4, 2)).T @ X, rtol=1e-5)
    assert len([n for n in compiled_programs if "Linear" in n]) == 2


def test_a_branch_on_data_needs_data():
    @jaxchain.static
    def f(x):
        return x * 2 if F.sum(x).array > 0 else x

    with pytest.raises(StaticError, match=r"branches on a value.*test_ahead.py:\d+"):
        f.lower(SHAPE)
    f.lower(np.abs(X)).compile()
    np.testing.assert_array_equal(f(np.abs(X)), 2 * np.abs(X))


PROGRAM = """
import sys
import jax, numpy as np
import jaxchain, jaxchain.links as L
jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
events = []
jaxchain.seed(0)
link = L.Linear(3, 2).static()
x = np.ones((4, 3), np.float32)
link.lower(x)
events.clear()
y = link(x)
print("HITS", sum(e.endswith("cache_hits") for e in events), "MISSES", sum(e.endswith("cache_misses") for e in events))
if sys.argv[1:]:
    print("SAVED", link.save_cache(sys.argv[1]))
"""


def test_a_saved_cache_spares_the_compile(tmp_path):
    def run(*argv, **environment):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "JAXCHAIN_"))}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, *argv],
            env={**kept, "JAX_PLATFORMS": "cpu", **environment},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    out = run(str(tmp_path), JAXCHAIN_CACHE="off")
    assert "HITS 0" in out and "SAVED 2" in out
    assert len(list(tmp_path.rglob("jit_Linear*"))) >= 2
    out = run(JAXCHAIN_CACHE=str(tmp_path))
    assert "HITS 1" in out


def test_a_folder_that_others_can_write_to_is_refused(tmp_path):
    link = L.Linear(3, 2).static()
    link(X)
    before = jax.config.jax_compilation_cache_dir
    folder = tmp_path / cache._machine()
    folder.mkdir()
    os.chmod(folder, 0o777)
    with pytest.raises(StaticError, match="must be writable by you and by nobody else"):
        link.save_cache(tmp_path)
    assert jax.config.jax_compilation_cache_dir == before
