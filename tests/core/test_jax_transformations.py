"""Functions, links, static functions and the user's own inside JAX's transformations, exports and Flax modules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Chain, Variable
from jaxchain.core.random import FixedDraws

TIES = np.array([[0, 0, 0], [1, 1, -1], [0, 1, 2], [1, 1, 1]], np.float32)
KINKED = {  # functions whose gradients at ties and kinks are not JAX's
    "relu": F.relu,
    "max": lambda x: F.max(x, axis=1),
    "min": lambda x: F.min(x, axis=1),
    "maximum": lambda x: F.maximum(x, x * 1.0),
    "max_pooling": lambda x: F.max_pooling_nd(F.reshape(x, (-1, 1, 3)), 2, stride=1),
    "absolute": lambda x: F.absolute(x),
}


class Applied(Chain):
    """A function as a link."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Reverse(jaxchain.FunctionNode):
    """Its gradient is not that of what it does."""

    def forward(self, inputs):
        x, label = inputs
        self.retain_inputs((0,))
        return (x * 2 + label,)

    def backward(self, indexes, gys):
        (x,) = self.get_retained_inputs()
        return -5 * gys[0] * x, None


class Sorted(jaxchain.FunctionNode):
    """In NumPy."""

    def forward(self, inputs):
        return (np.sort(inputs[0]),)

    def backward(self, indexes, gys):
        return (gys[0] * 3,)


FUNCTIONS = {
    **KINKED,
    "reverse": lambda x: Reverse().apply((x, np.arange(3, dtype="i")))[0],
    "sorted": lambda x: Sorted().apply((x,))[0],
    "forget": lambda x: F.forget(F.relu, x),
    "scan": lambda x: jaxchain.scan(lambda c, row: (F.relu(c + row), row), Variable(np.zeros(3, "f")), x)[0],
}


def array(y):
    return y.array if isinstance(y, Variable) else y


def ours(function):
    x = Variable(TIES)
    F.sum(function(x) * 2).backward()
    return np.asarray(x.grad)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("way", ["eager", "jit", "static", "link.static", "remat"])
def test_jaxs_gradient_is_ours(name, way):
    function = FUNCTIONS[name]
    wrapped = {
        "static": lambda f: jaxchain.static(lambda x: f(Variable(x))),
        "link.static": lambda f: Applied(f).static(),
    }.get(way, lambda f: f)(function)

    def loss(x):
        return jnp.sum(array(wrapped(x if way == "static" else Variable(x))) * 2)

    gradient = jax.grad(jax.checkpoint(loss) if way == "remat" else loss)
    got = (jax.jit(gradient) if way == "jit" else gradient)(TIES)
    np.testing.assert_array_equal(got, ours(function))


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n != "sorted"])
@pytest.mark.parametrize("batch", ["fixed", "symbolic"])
def test_the_gradient_of_an_export_is_ours(name, batch):
    if batch == "symbolic" and name == "scan":
        pytest.skip("its length is a number")
    exported = jaxchain.export(Applied(FUNCTIONS[name]), Variable(TIES), batch=batch, vjp_order=1)
    for mode in ("eager", "static"):
        x = Variable(TIES)
        with jaxchain.using_config("mode", mode):
            F.sum(exported(x) * 2).backward()
        np.testing.assert_array_equal(x.grad, ours(FUNCTIONS[name]))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_gradient_of_a_flax_module_is_ours(name):
    nnx = pytest.importorskip("flax.nnx")
    from jaxchain.interop.flax import to_nnx

    module = to_nnx(Applied(FUNCTIONS[name]))
    got = nnx.grad(lambda m, x: (m(Variable(x)) * 2).sum(), argnums=1)(module, jnp.asarray(TIES))
    np.testing.assert_array_equal(got, ours(FUNCTIONS[name]))


def test_static_functions_run_inside_jaxs_transformations():
    model = L.Linear(3, 2)

    @jaxchain.static
    def outputs(x):
        return F.relu(model(x)).array

    expected = np.asarray(outputs(TIES))
    compiled = len(outputs.explain().compiles)
    for transformed in (jax.jit(outputs), jax.vmap(lambda row: outputs(row[None])[0])):
        np.testing.assert_allclose(transformed(TIES), expected, rtol=1e-6)
    assert len(outputs.explain().compiles) == compiled


def test_second_derivatives_and_those_of_numbers_go_through_rules():
    x = np.float32([0.5, -0.5, 2])
    np.testing.assert_allclose(
        jax.hessian(lambda x: jnp.sum(F.softplus(x).array))(x), np.diag(np.exp(x) / (1 + np.exp(x)) ** 2), rtol=1e-5
    )
    slope = jax.grad(lambda s: jnp.sum(F.leaky_relu(x, s).array))(jnp.float32(0.2))
    assert float(slope) == -0.5


def test_several_outputs_and_arguments_without_gradients():
    def loss(x, t):
        a, b = F.split_axis(F.relu(x), [1], axis=1)
        return jnp.sum(a.array) + 3 * jnp.sum(b.array) + F.softmax_cross_entropy(x, t).array

    t = np.array([0, 1, -1, 2], "i")
    x = Variable(TIES)
    a, b = F.split_axis(F.relu(x), [1], axis=1)
    (F.sum(a) + 3 * F.sum(b) + F.softmax_cross_entropy(x, t)).backward()
    np.testing.assert_allclose(jax.grad(loss)(TIES, t), x.grad, rtol=1e-6, atol=1e-7)


def test_forget_leads_to_the_parameters():
    class Forgetful(Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.l = L.Linear(3, 4)

        def forward(self, x):
            return F.sum(F.forget(lambda x: F.relu(self.l(x)), x))

    model = Forgetful()
    exported = jaxchain.export(model, Variable(TIES), vjp_order=1)
    for link in (model, exported):
        link.cleargrads()
        link(Variable(TIES)).backward()
    (p,) = [p for path, p in exported.namedparams() if path.endswith("W")]
    np.testing.assert_allclose(p.grad, model.l.W.grad, rtol=1e-6)


def test_functions_in_numpy_are_not_exported():
    with pytest.raises(jaxchain.exporting.ExportError, match="Sorted"):
        jaxchain.export(Applied(FUNCTIONS["sorted"]), TIES, vjp_order=1)


def test_draws_that_a_jit_of_the_users_would_repeat_are_told():
    x = jnp.ones((2, 4))
    with pytest.warns(FixedDraws, match="jaxchain.static in the place of jax.jit") as told:
        jax.jit(lambda x: F.dropout(x).array)(x)
    assert told[0].filename == __file__
    jax.grad(lambda x: F.sum(F.dropout(x)).array)(x)  # draws anew in every call
    jaxchain.static(lambda x: F.dropout(x))(x)
