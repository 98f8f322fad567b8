"""What jaxchain needs of JAX and what no deprecation policy promises: fails loudly when JAX moves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxpr_as_fun

from jaxchain.core import compat

X = np.ones((2, 3), np.float32)


@jax.jit
def relu(x):
    return jnp.maximum(x, 0)


@jax.jit
def scaled(x, y):
    return x * 2, y * 3


def test_tracer_is_the_class_of_traced_values_only():
    seen = []
    jax.jit(lambda x: seen.append(x) or x)(X)
    assert [compat.is_tracer(x) for x in seen] == [True]
    assert not compat.is_tracer(jnp.asarray(X)) and not compat.is_tracer(X)


def test_tracer_is_the_class_under_grad_and_vmap():
    seen = []
    jax.grad(lambda x: seen.append(x) or x.sum())(X)
    jax.vmap(lambda x: seen.append(x) or x)(X)
    assert len(seen) == 2 and all(map(compat.is_tracer, seen))


def test_a_jitted_call_is_one_equation_named_jit_with_name_and_jaxpr():
    closed = jax.make_jaxpr(lambda x: relu(x) + 1)(X)
    assert isinstance(closed, ClosedJaxpr) and isinstance(closed.jaxpr, Jaxpr)
    eqn = closed.jaxpr.eqns[0]
    assert eqn.primitive.name == "jit"
    assert eqn.primitive.name in compat.CALLS
    assert eqn.params["name"] == "relu"
    assert isinstance(eqn.params["jaxpr"], ClosedJaxpr)
    assert len(eqn.params["jaxpr"].jaxpr.invars) == len(eqn.invars)


def test_a_jaxpr_has_the_fields_and_literals_have_values():
    closed = jax.make_jaxpr(lambda x: x + 1.0)(X)
    jaxpr = closed.jaxpr
    assert len(jaxpr.invars) == len(jaxpr.outvars) == len(jaxpr.eqns) == 1
    assert list(jaxpr.constvars) == list(closed.consts) == []
    literal = jaxpr.eqns[0].invars[1]
    assert isinstance(literal, Literal) and literal.val == 1.0
    assert not jaxpr.eqns[0].effects


def test_a_jaxpr_can_be_rebuilt_with_other_inputs_and_run():
    jaxpr = jax.make_jaxpr(lambda x, y: (x * 2, y))(X, X).jaxpr
    rebuilt = jaxpr.replace(
        invars=jaxpr.invars[:1], outvars=jaxpr.outvars[:1], debug_info=jaxpr.debug_info.with_unknown_names()
    )
    (out,) = jaxpr_as_fun(ClosedJaxpr(rebuilt, []))(X)
    np.testing.assert_array_equal(out, 2 * X)


def test_live_inputs_looks_into_nested_jits():
    jaxpr = jax.make_jaxpr(lambda x, y: scaled(x, y)[0])(X, X).jaxpr
    assert compat.live_inputs(jaxpr) == [True, False]
    assert compat.live_inputs(jaxpr, [False]) == [False, False]


def test_without_dead_code_drops_what_the_outputs_do_not_need():
    closed = jax.make_jaxpr(lambda x, y: (jnp.sin(y), x * 2)[1])(X, X)
    pruned, named = compat.without_dead_code(closed, [0])
    assert named == []
    assert [e.primitive.name for e in pruned.jaxpr.eqns] == ["mul"]
    np.testing.assert_array_equal(jaxpr_as_fun(pruned)(X)[0], 2 * X)


def test_without_dead_code_names_inputs_that_a_nested_call_keeps():
    closed = jax.make_jaxpr(lambda x, y: scaled(x, y)[0])(X, X)
    pruned, named = compat.without_dead_code(closed, [0])
    assert named == [1]
    np.testing.assert_array_equal(jaxpr_as_fun(pruned)(X, X)[0], 2 * X)


def test_fingerprint_tells_programs_and_their_constants_apart():
    def program(constant):
        constant = np.full(3, constant, np.float32)
        return compat.fingerprint(jax.make_jaxpr(lambda x: x + constant)(X))

    def drawing(seed):
        key = jax.random.key(seed)
        return compat.fingerprint(jax.make_jaxpr(lambda x: x + jax.random.normal(key))(X))

    for of in (program, drawing):
        assert of(1) == of(1)
        assert of(1) != of(2)


@pytest.mark.parametrize(
    ("use", "error"),
    [
        (bool, "TracerBoolConversionError"),
        (float, "ConcretizationTypeError"),
        (np.asarray, "TracerArrayConversionError"),
        (lambda x: [0, 1][x], "TracerIntegerConversionError"),
    ],
)
def test_using_a_tracer_as_a_value_raises_what_we_translate(use, error):
    x = np.int32(1)
    with pytest.raises(getattr(jax.errors, error)) as caught:
        jax.jit(lambda x: use(x))(x)
    assert isinstance(caught.value, jax.errors.JAXTypeError)


def test_a_bool_of_a_tracer_is_a_concretization_error():
    assert issubclass(jax.errors.TracerBoolConversionError, jax.errors.ConcretizationTypeError)


def test_a_leaked_tracer_raises_what_we_translate():
    leaked = []
    jax.jit(lambda x: leaked.append(x) or x)(X)
    with pytest.raises(jax.errors.UnexpectedTracerError):
        jax.jit(lambda x: x + 1)(leaked[0])


def test_the_width_of_types_is_that_of_the_thread_now():
    assert not compat.has_64_bits()
    with jax.enable_x64():
        assert compat.has_64_bits()
    assert not compat.has_64_bits()


def test_the_class_of_arrays():
    assert compat.array_class() is type(jnp.asarray(X))
