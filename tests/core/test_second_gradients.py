"""Gradients of gradients are those of the tape, whoever derives them: eager mode, a compiled link, an export, Flax."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
from jaxchain import Chain, FunctionNode, Variable


def unchained(x):
    y = x * x
    y.unchain()
    return y


def cut_behind(x):
    y = F.sin(x * x)
    y.unchain_backward()
    return y


def without_graph(x):
    with jaxchain.no_backprop_mode():
        return x * x


def own_gradient(x):
    """A gradient that the program computes itself: without a graph it is a constant."""
    (g,) = jaxchain.grad([F.sum(x**3)], [x])
    return g


def own_backward(x):
    inner = Variable(x.array)
    F.sum(inner**3).backward()
    return inner.grad


class Straight(FunctionNode):
    """Its gradient is not the derivative of its forward."""

    def forward(self, inputs):
        self.retain_inputs((0,))
        return (jnp.sign(inputs[0]),)

    def backward(self, indexes, gys):
        (x,) = self.get_retained_inputs()
        return (gys[0] * x,)


class InNumPy(Straight):
    def forward_cpu(self, inputs):
        self.retain_inputs((0,))
        return (np.sign(inputs[0]),)

    forward = FunctionNode.forward


class Leaves(FunctionNode):
    def forward(self, inputs):
        self.kept = 3 * inputs[0] ** 2
        return (inputs[0] ** 3,)

    def backward(self, indexes, gys):
        return (gys[0] * self.kept,)


class OldStyle(jaxchain.Function):
    def forward(self, inputs):
        return (inputs[0] ** 3,)

    def backward(self, inputs, gys):
        return (3 * inputs[0] ** 2 * gys[0],)


def either(x):
    return jaxchain.cond(x.array[0] > 0, lambda v: v * v * Variable(v.array), lambda v: v * v.array, x)


def along(x):
    last, ys = jaxchain.scan(lambda h, v: (h * v, F.maximum(h, v) * Variable(v.array)), x[0], x)
    return ys * last


X, TIE = [1.0, 2.0, -3.0], [[1.0, 1.0, 2.0], [0.0, 3.0, 3.0]]
CASES = {
    "an array as a Variable": (lambda x: x * x * Variable(x.array), X),
    "an array": (lambda x: x * x * x.array, X),
    "no gradient required": (lambda x: x * x * Variable(2 * x.array, requires_grad=False), X),
    "no_backprop_mode": (lambda x: x * x * without_graph(x), X),
    "unchain": (lambda x: x * x * unchained(x), X),
    "unchain_backward": (lambda x: cut_behind(x) * x * x, X),
    "a gradient inside": (lambda x: x * x * own_gradient(x), X),
    "a backward pass inside": (lambda x: x * x * own_backward(x), X),
    "maximum": (lambda x: F.maximum(x, F.broadcast_to(x[0], x.shape)) ** 3, [1.0, 1.0, 2.0]),
    "minimum": (lambda x: F.minimum(x, 2 - x) ** 3, X),
    "max": (lambda x: (F.max(x, axis=1) + 1) ** 3, TIE),
    "max_pooling_2d": (lambda x: (F.max_pooling_2d(x[None, None], (2, 3)) + 1) ** 3, TIE),
    "relu": (lambda x: (F.relu(x) + x) ** 3, [0.0, 1.0, -1.0]),
    "clip": (lambda x: (F.clip(x, 0.0, 1.0) + x) ** 3, [0.0, 1.0, 0.5]),
    "a FunctionNode": (lambda x: Straight().apply((x,))[0] ** 2 * x, X),
    "a FunctionNode in NumPy": (lambda x: InNumPy().apply((x,))[0] ** 2 * x, X),
    "cond": (either, X),
    "scan": (along, [1.0, 1.0, 2.0]),
}


class Model(Chain):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return F.sum(self.function(x))


def orders(model, x, count=3):
    """Return the first derivatives, each of the sum of the one before times a fixed weight."""
    x = Variable(jnp.asarray(x, jnp.float32))
    y, found = model(x), []
    for _ in range(count):
        (g,) = jaxchain.grad([y], [x], enable_double_backprop=True)
        if g is None:
            break
        found.append(g.array)
        y = F.sum(g * np.arange(1, x.size + 1, dtype=np.float32).reshape(x.shape))
    return [*found, *[np.zeros(x.shape, np.float32)] * (count - len(found))]


@pytest.mark.parametrize("name", CASES)
def test_a_compiled_link_has_the_gradients_of_eager_mode(name):
    function, x = CASES[name]
    eager, static = orders(Model(function), x), orders(Model(function).static(), x)
    for want, got in zip(eager, static, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    assert np.any(eager[1])  # there is something to get wrong


@pytest.mark.parametrize("name", CASES)
def test_a_compiled_function_has_the_gradients_of_eager_mode(name):
    function, x = CASES[name]
    model = Model(function)
    for want, got in zip(orders(model, x), jaxchain.static(orders)(model, np.float32(x)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in CASES if "NumPy" not in n])  # what runs in Python is not exported
def test_an_exported_program_has_the_gradients_of_eager_mode(name):
    function, x = CASES[name]
    model = Model(function)
    exported = jaxchain.export(model, Variable(np.asarray(x, np.float32)), batch="fixed", vjp_order=2)
    for want, got in zip(orders(model, x, 2), orders(exported, x, 2), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


class Held(Chain):
    """A model of a parameter."""

    def __init__(self, function, x):
        super().__init__()
        self.function = function
        with self.init_scope():
            self.w = jaxchain.Parameter(np.asarray(x, np.float32))

    def forward(self):
        return F.sum(self.function(F.identity(self.w)))


@pytest.mark.parametrize("name", CASES)
def test_a_module_of_flax_has_the_gradients_of_eager_mode(name):
    from flax import nnx

    from jaxchain.interop.flax import to_nnx

    model = Held(*CASES[name])
    grads = nnx.grad(lambda module: module())(to_nnx(model))
    model().backward()
    want = 0 if model.w.grad is None else model.w.grad  # unchain_backward cut the parameter off
    np.testing.assert_allclose(grads["w"][...], want, rtol=1e-5, atol=1e-5)


def test_parameters_are_cut_off_where_their_arrays_are_read():
    class Scaled(Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.w = jaxchain.Parameter(np.float32([2, 3]))

        def forward(self, x):
            return F.sum(self.w * self.w * self.w.array * x)

    x = np.float32([1, 2])
    w = np.float32([2, 3])
    for model in (Scaled(), Scaled().static()):
        (g,) = jaxchain.grad([model(x)], [model.w], enable_double_backprop=True)
        (gg,) = jaxchain.grad([F.sum(g)], [model.w])
        np.testing.assert_allclose(g.array, 2 * w * w * x)
        np.testing.assert_allclose(gg.array, 2 * w * x)
    exported = jaxchain.export(Scaled(), x, vjp_order=1, batch="fixed")
    exported(x).backward()
    np.testing.assert_allclose(exported.w.grad, 2 * w * w * x)


def test_what_is_made_of_an_argument_that_is_an_array_keeps_its_gradient():
    model = Model(lambda x: F.square(x * 2 + 1))
    exported = jaxchain.export(model, np.zeros(3, np.float32), batch="fixed", vjp_order=1)
    x = Variable(np.float32(X))
    exported(x).backward()
    np.testing.assert_allclose(x.grad, 4 * (2 * x.array + 1))


def test_second_gradients_go_to_an_output_that_others_were_made_of():
    class Two(Chain):
        def forward(self, x):
            h = F.tanh(x * x)
            return h, F.sum(h**3 * x)

    found = []
    for model in (Two(), Two().static()):
        x = Variable(np.float32([0.5, -0.8]))
        h, y = model(x)
        g_h, g_x = (jaxchain.grad([y], [v], enable_double_backprop=True)[0] for v in (h, x))
        second = jaxchain.grad([F.sum(g_h * g_h) + F.sum(g_x * g_x)], [h, x])
        found.append([g.array for g in (g_h, g_x, *second)])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)
    assert np.all(found[0])


def test_values_left_on_a_function_have_no_second_gradient_in_a_compiled_link():
    model = Model(lambda x: Leaves().apply((x,))[0] ** 2).static()
    x = Variable(np.float32(X))
    y = model(x)
    y.backward()
    np.testing.assert_allclose(x.grad, 6 * x.array**5)
    with pytest.raises(RuntimeError, match="Leaves: `forward` leaves values on the object"):
        jaxchain.grad([y], [x], enable_double_backprop=True)


@pytest.mark.parametrize("how", ["eager", "compiled function", "compiled link", "exported"])
def test_an_old_style_function_has_no_second_gradient(how):
    model = Model(lambda x: OldStyle()(x) * x)
    called = {
        "compiled link": lambda: model.static(),
        "exported": lambda: jaxchain.export(model, Variable(np.float32(X)), batch="fixed", vjp_order=1),
    }.get(how, lambda: model)()
    x = Variable(np.float32(X))
    called(x).backward()
    np.testing.assert_allclose(x.grad, 4 * np.float32(X) ** 3, rtol=1e-5)
    run = jaxchain.static(orders) if how == "compiled function" else orders
    with pytest.raises(RuntimeError, match='cannot twice-differentiate an old style Function "OldStyle"'):
        run(called, np.float32(X), 2)


def test_forget_refuses_a_second_gradient_in_a_compiled_link_as_in_eager_mode():
    for model in (Model(lambda x: F.forget(F.square, x)), Model(lambda x: F.forget(F.square, x)).static()):
        x = Variable(np.float32(X))
        y = model(x)
        y.backward()
        np.testing.assert_allclose(x.grad, 2 * x.array)
        with pytest.raises(RuntimeError, match=r"double backpropagation in functions\.forget is not allowed"):
            jaxchain.grad([y], [x], enable_double_backprop=True)
