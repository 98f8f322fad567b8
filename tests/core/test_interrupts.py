"""`KeyboardInterrupt`, or what a signal handler raises, at any line: no state is lost or half done."""

import itertools
import linecache
import logging
import sys

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxchain
import jaxchain.functions as F
from jaxchain import Chain, Parameter, Variable, optimizers
from jaxchain.core import background, foresight, installation, interrupts, random, results, variant
from jaxchain.core.compat import Tracer
from jaxchain.core.config import thread_state
from jaxchain.core.static import trace
from jaxchain.optimizers import compiled, gradient_method, transformation, update_rule
from jaxchain.serializers.npz import serialize

X = np.arange(3, dtype=np.float32)
SGD = optax.sgd(1.0)
WRITING = {(variant.__file__, name) for name in ("_call", "finish")}
WRITING |= {(results.__file__, name) for name in ("write", "put_back")}
ENTERING = {(installation.__file__, name) for name in ("install", "_build", "restore")}
ENTERING |= {(interrupts.__file__, name) for name in ("patched", "put_back")}


class Interrupter:
    """Raises `KeyboardInterrupt` before one of the lines that some functions run; ``with`` it.

    Args:
        functions: (file, name).
        at: How many of the lines are run.
    """

    def __init__(self, functions, at):
        self.functions, self.left, self.raised = functions, at, False

    def __enter__(self):
        self.tracer = sys.gettrace()
        sys.settrace(self.called)
        return self

    def __exit__(self, kind, *_):
        sys.settrace(self.tracer)
        return kind is KeyboardInterrupt

    def called(self, frame, *_):
        code = frame.f_code
        return self.line if (code.co_filename, code.co_name) in self.functions and not self.raised else None

    def line(self, frame, event, _):
        there = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not self.raised and "whole(" not in there:  # the one line where it must not come
            if not self.left:
                self.raised = True
                raise KeyboardInterrupt
            self.left -= 1
        return self.line


class Model(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.w, self.v = Parameter(np.zeros(3, np.float32)), Parameter(np.zeros(3, np.float32))
        self.add_persistent("mean", jnp.zeros(3))
        self.add_persistent("steps", jnp.zeros((), jnp.int32))
        self.kept = Variable(np.zeros(3, np.float32))

    @property
    def total(self):
        """What all the numbers in the cells are."""
        arrays = [self.w.array, self.v.array, self.mean, self.kept.array, self.steps]
        assert not any(isinstance(a, Tracer) for a in arrays)
        (total,) = {float(n) for a in arrays for n in np.ravel(a)}
        return total


def step(model, x):
    more = 1 if F.sum(x).array > 0 else -2
    model.w.array, model.v.array = model.w.array + more, model.v.array + more
    model.mean, model.steps = model.mean + more, model.steps + more
    model.kept.array = model.kept.array + more
    return F.sum(F.dropout(x))


def test_a_compiled_step_is_done_or_not_begun(monkeypatch):
    """Its buffers are gone with the call: what it gave has to be written, whatever comes."""
    monkeypatch.setattr(foresight, "is_small", lambda _: False)  # the guards are in the program, which has the buffers
    monkeypatch.setattr(background, "is_busy", lambda: True)  # the two variants are not merged
    model, compiled = Model(), jaxchain.static(step)
    for x in (X, -X, X, -X):
        compiled(model, x)
    begun, done = set(), set()
    for at, (x, more) in itertools.product(range(1000), ((X, 1), (-X, -2))):
        before, drawn = model.total, random.ops.count
        with Interrupter(WRITING, at) as interrupter:
            compiled(model, x)
        moved = model.total - before
        assert moved in (0, more)
        assert random.ops.count - drawn == bool(moved)
        (done if moved else begun).add(at)
        if not interrupter.raised:
            break
    assert len(begun) > 10 and len(done) > 10


@pytest.mark.parametrize("make", [optimizers.Adam, lambda: optimizers.Optax(SGD)], ids=["Adam", "Optax"])
def test_an_eager_update_is_done_or_not_begun(make):
    """One program makes all of it: parameters, the optimizer's arrays, its count."""
    files = gradient_method.__file__, compiled.__file__, update_rule.__file__, transformation.__file__
    names = "update", "_update_at_once", "_apply", "apply_updates", "write", "_init_states", "_fill_states"
    found = set()
    for at in range(1000):
        model = Model()
        optimizer = make().setup(model)
        model.w.grad = model.v.grad = jnp.ones(3)
        with Interrupter(set(itertools.product(files, names)), at) as interrupter:
            optimizer.update()
        arrays = [np.asarray(p.array) for p in model.params()]
        saved = [a for name, a in serialize(optimizer).items() if name.endswith("/m")]
        done = {bool(a.all()) for a in arrays + saved if a.shape}
        assert done == {bool(optimizer.t)}
        found |= done
        optimizer.update()
        assert optimizer.t == 1 + done.pop()
        if not interrupter.raised:
            break
    assert found == {False, True} and at > 20


def test_an_interrupted_trace_leaves_nothing_in_the_cells():
    def outside():
        return sys.stdout, print, vars(logging.Logger)["_log"], vars(Tracer).get("__bool__")

    model, state, before = Model(), thread_state(), outside()
    at = 0
    for at in range(10_000):
        with Interrupter(ENTERING, at * 29) as interrupter:
            trace(step, model, X)
        assert model.total == 0
        assert state.trace is None and state.scope is None
        assert outside() == before
        if not interrupter.raised:
            break
    assert at > 5
