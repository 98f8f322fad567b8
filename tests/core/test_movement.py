"""Programs that only move data: NumPy gives what XLA gives, and nothing is compiled for it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxchain
import jaxchain.functions as F
from jaxchain import Parameter, Variable
from jaxchain.core import movement

X = np.arange(24, dtype=np.float32).reshape(4, 6) - 7
I = np.array([0, 3, -1, 9, 3], np.int32)

PROGRAMS = {
    "pad": lambda x: lax.pad(x, 0.5, [(1, 2, 0), (0, 1, 2)]),
    "pad, negative": lambda x: lax.pad(x, 0.5, [(-1, -2, 0), (2, -3, 1)]),
    "pad, negative inside a gap": lambda x: lax.pad(x, 0.5, [(-1, -1, 3), (-4, -4, 2)]),
    "pad to nothing": lambda x: lax.pad(x, 0.5, [(-2, -2, 0), (0, 0, 0)]),
    "slice with steps": lambda x: lax.slice(x, (0, 1), (4, 6), (2, 3)),
    "dynamic slice, out of bounds": lambda x: lax.dynamic_slice(x, (3, -4), (2, 3)),
    "dynamic update": lambda x: lax.dynamic_update_slice(x, x[:2, :2] + x[2:, :2], (3, 1)),
    "reverse, transpose, broadcast": lambda x: jnp.broadcast_to(x[::-1].T[:, None], (6, 3, 4)),
    "rows": lambda x: x.at[I].get(mode="fill", fill_value=jnp.nan),
    "elements": lambda x: x.at[I, I].get(mode="fill", fill_value=2.0),
    "rows, known to be there": lambda x: x.at[np.clip(I, 0, 3)].get(mode="promise_in_bounds"),
    "rows added": lambda x: jnp.zeros_like(x).at[I].add(x[0], mode="drop"),
    "choice": lambda x: jnp.where(x < 0, x[:1], x),
    "cast": lambda x: x.astype(np.float16).astype(np.float32),
    "stack, split, concatenate": lambda x: jnp.concatenate(jnp.split(jnp.stack([x, x + x]), 2, axis=2), 1),
    "repeat": lambda x: jnp.tile(x, (2, 3)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_numpy_gives_what_xla_gives(name):
    function = PROGRAMS[name]
    closed = jax.make_jaxpr(function)(X)
    assert movement.only_moves(closed.jaxpr), closed
    (found,) = movement.Steps(closed)([X])
    known = np.asarray(jax.jit(function)(X))
    assert found.dtype == known.dtype
    np.testing.assert_array_equal(found, known)


TINY = float(np.finfo(np.float32).tiny)
EDGES = np.float32([TINY / 4, -TINY / 4, 0, -0.0, TINY, -1.5 * TINY, 1.25 * TINY, np.nan, np.inf, -np.inf, 3, -3])
QUESTIONS = {
    "greater": lambda x, y: x > y,
    "at least": lambda x, y: x >= y,
    "less": lambda x, y: x < y,
    "at most": lambda x, y: x <= y,
    "equal": lambda x, y: x == y,
    "not equal": lambda x, y: x != y,
    "any": lambda x, y: jnp.any(x > y),
    "all, not": lambda x, y: ~jnp.all(x[:3] <= y[:3]),
    "and, or": lambda x, y: ((x > 0) & (y > 0)) | (x == 0),
    "largest": lambda x, y: jnp.max(x[:4]) > 0,
    "largest, NaN": lambda x, y: jnp.max(x) > 0,
    "least of each row": lambda x, y: jnp.min(x.reshape(3, 4), axis=1) < y[:3],
    "finite": lambda x, y: jnp.isfinite(x),
    "one element": lambda x, y: x[0] > 0,
    "a sum": lambda x, y: x + y > 0,
}


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8])
@pytest.mark.parametrize("name", QUESTIONS)
def test_numpy_answers_as_xla_does(name, dtype):
    """XLA's CPU backend takes subnormal numbers for zero."""
    x = EDGES if dtype == np.float32 else np.array([0, 1, 2, 250, 3, 4, 5, 6, 7, 8, 9, 255]).astype(dtype)
    question = QUESTIONS[name]
    for a, b in ((x, x[::-1].copy()), (x, np.roll(x, 3)), (-x, x)):
        closed = jax.make_jaxpr(question)(a, b)
        assert movement.only_moves(closed.jaxpr, movement.ANSWERS), closed
        (found,) = movement.Steps(closed, movement.ANSWERS)([a, b])
        np.testing.assert_array_equal(found, np.asarray(jax.jit(question)(a, b)))


def test_sums_of_subnormal_numbers_are_those_of_xla():
    x = EDGES / 2
    for add in (lambda x: x + x, lambda x: x.at[np.array([0, 1, 0])].add(x[4:7], mode="drop")):
        closed = jax.make_jaxpr(add)(x)
        (found,) = movement.Steps(closed)([x])
        known = np.asarray(jax.jit(add)(x))
        np.testing.assert_array_equal(found, known)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(known))


@pytest.mark.parametrize(
    "question",
    [lambda x: x.mean() > 0, lambda x: x * 2 > 1, lambda x: x.astype(jnp.bfloat16) != 0, lambda x: jnp.sort(x)[0] > 0],
)
def test_questions_that_compute_are_asked_of_xla(question):
    assert not movement.only_moves(jax.make_jaxpr(question)(EDGES).jaxpr, movement.ANSWERS)


@pytest.mark.parametrize("function", [jnp.sin, lambda x: x * 2, lambda x: x.sum(), lambda x: x.astype(np.int32)])
def test_what_computes_is_compiled(function):
    assert not movement.only_moves(jax.make_jaxpr(function)(X).jaxpr)


def concat():
    parts = [Variable(np.full((n, 3), n, np.float32)) for n in (2, 5)]
    y = F.concat(parts, axis=0)
    F.sum(F.concat([y, y], axis=1) * np.float32(2)).backward()
    return y, parts


@pytest.mark.cpu
def test_it_is_compiled_once_that_pays():
    y, parts = concat()
    mover = y.creator.plan.forward
    assert isinstance(mover, movement.Mover) and 400 < mover.left < 500
    known = np.asarray(y.array)
    mover.left = 1
    for left in (0, 0):
        y, parts = concat()
        assert y.creator.plan.forward is mover and mover.left == left
        np.testing.assert_array_equal(y.array, known)
        np.testing.assert_array_equal(parts[1].grad, np.full((5, 3), 4, np.float32))


@pytest.mark.cpu
def test_large_arrays_are_left_to_the_compiler_sooner():
    x = np.zeros((2**18,), np.float32)
    reshape = jax.jit(lambda x: x.reshape(2, -1))
    assert 20 < movement.mover(reshape, reshape.trace(x).jaxpr, True).left < 50


@pytest.mark.cpu
def test_what_was_moved_to_the_only_device_compiles_nothing_either():
    device = jaxchain.get_device("@numpy")
    x, p = Variable(np.ones((3, 7), np.float32)), Parameter(0)
    x.to_device(device)
    p.to_device(device)
    p.initialize((3, 8))
    for moved in (x, p, Variable(device.send(np.ones((3, 9), np.float32)))):
        y = F.concat([moved, moved], axis=0)
        mover = y.creator.plan.forward
        left = mover.left
        assert y.array.shape[0] == 6 and not moved.array.committed and mover.left == left - 1


def test_results_are_arrays_of_their_own():
    x = Variable(X)
    y = F.reshape(x, (24,))
    before = x.array.unsafe_buffer_pointer()
    assert y.array.unsafe_buffer_pointer() != before  # a donated buffer is written to


def test_in_a_trace_it_is_compiled_code():
    found = jax.make_jaxpr(lambda a: F.reshape(Variable(a), (6, 4)).array)(X)
    assert [eqn.primitive.name for eqn in found.eqns] == ["jit"]


def test_an_index_out_of_bounds_as_when_compiled():
    w = Variable(X)
    y = F.embed_id(np.array([1, 7], np.int32), w)
    assert np.isnan(np.asarray(y.array)[1]).all() and not np.isnan(np.asarray(y.array)[0]).any()


def test_arrays_of_another_dtype_or_shape_than_planned_are_not_cast():
    compiled = jax.jit(lambda x, at: x[at])
    x = np.arange(400, dtype=np.float32)
    mover = movement.mover(compiled, compiled.trace(x, np.uint8([1])).jaxpr, True)
    assert isinstance(mover, movement.Mover)
    for at in (np.uint8([1]), np.int32([300]), np.uint8([2, 3])):
        np.testing.assert_array_equal(mover(jnp.asarray(x), jnp.asarray(at)), x[at])
