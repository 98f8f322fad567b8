"""Functions written as classes: which arrays they are given, gradients, errors; in both modes."""

from __future__ import annotations

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
from jaxchain import Chain, Function, FunctionHook, FunctionNode, Variable
from jaxchain.core.errors import InvalidType
from jaxchain.core.explain import EagerFallback
from jaxchain.utils import type_check

X = np.random.RandomState(0).randn(3, 4).astype(np.float32)


class Square(FunctionNode):
    """New style, retained input."""

    def forward(self, inputs):
        self.retain_inputs((0,))
        return (inputs[0] ** 2,)

    def backward(self, indexes, gys):
        (x,) = self.get_retained_inputs()
        return (2 * x * gys[0],)


class Exp(FunctionNode):
    """New style, retained output."""

    def forward(self, inputs):
        self.retain_outputs((0,))
        return (jnp.exp(inputs[0]),)

    def backward(self, indexes, gys):
        (y,) = self.get_retained_outputs()
        return (y * gys[0],)


class MulAdd(FunctionNode):
    """Several inputs: gradients only of those asked for."""

    def forward(self, inputs):
        self.retain_inputs((0, 1))
        x, y, z = inputs
        return (x * y + z,)

    def backward(self, indexes, gys):
        x, y = self.get_retained_inputs()
        (g,) = gys
        return tuple(g * y if i == 0 else g * x if i == 1 else g for i in indexes)


class Accumulating(FunctionNode):
    """`backward_accumulate` in the place of `backward`."""

    def forward(self, inputs):
        self.retain_inputs((0, 1))
        return (inputs[0] * inputs[1] + inputs[2],)

    def backward_accumulate(self, indexes, gys, sums):
        x, y = self.get_retained_inputs()
        gxs = [gys[0] * y if i == 0 else gys[0] * x if i == 1 else gys[0] for i in indexes]
        return tuple(g if s is None else g + s for g, s in zip(gxs, sums, strict=True))


class Partial(Function):
    """Only one of three outputs is there."""

    def forward(self, inputs):
        self.retain_outputs((1, 2))
        return None, inputs[0] * 3, None

    def backward(self, inputs, gys):
        assert gys[0] is gys[2] is None and [y is None for y in self.output_data] == [True, False, True]
        return (gys[1] * 3,)


class PartialNode(FunctionNode):
    """The same as a node."""

    def forward(self, inputs):
        self.retain_outputs((1, 2))
        return None, inputs[0] * 3, None

    def backward(self, indexes, gys):
        assert gys[0] is gys[2] is None and [y is None for y in self.get_retained_outputs()] == [False, True]
        return (gys[1] * 3,)


class Split(FunctionNode):
    """Several outputs: a gradient may be None."""

    def forward(self, inputs):
        (x,) = inputs
        return x * 2, x * 3

    def backward(self, indexes, gys):
        a, b = gys
        parts = [k * g for k, g in ((2, a), (3, b)) if g is not None]
        return (sum(parts[1:], parts[0]),)


class OldScale(Function):
    """Old style on operators."""

    def __init__(self, factor):
        self.factor = factor

    def forward(self, inputs):
        return (inputs[0] * self.factor,)

    def backward(self, inputs, grad_outputs):
        return (grad_outputs[0] * self.factor,)


class NumpyRelu(Function):
    """NumPy-bodied, in place, with a value left for backward."""

    def forward_cpu(self, inputs):
        (x,) = inputs
        assert type(x) is np.ndarray
        y = x.copy()
        self.mask = x < 0
        y[self.mask] = 0
        return (y,)

    def backward_cpu(self, inputs, grad_outputs):
        g = grad_outputs[0].copy()
        g[self.mask] = 0
        return (g,)


class InPlaceRelu(Function):
    """In place in `forward`: it fails on JAX arrays and runs again on NumPy's."""

    def forward(self, inputs):
        y = inputs[0].copy()
        y[inputs[0] < 0] = 0
        return (y,)

    def backward(self, inputs, grad_outputs):
        g = grad_outputs[0].copy()
        g[inputs[0] < 0] = 0
        return (g,)


class NodeRelu(FunctionNode):
    """New style, NumPy-bodied, with a value left for backward."""

    def forward_cpu(self, inputs):
        self.mask = inputs[0] > 0
        return (np.maximum(inputs[0], 0),)

    def backward(self, indexes, gys):
        return (Variable(np.where(self.mask, gys[0].array, np.float32(0))),)


class NumpyPower(Function):
    """NumPy's functions in `forward`, which does not say that it is NumPy code."""

    def forward(self, inputs):
        self.sign = np.sign(inputs[0])
        return (np.abs(inputs[0]) ** 1.5,)

    def backward(self, inputs, gys):
        return ((1.5 * np.sqrt(np.abs(inputs[0])) * self.sign * gys[0]).astype(np.float32),)


class NodePower(FunctionNode):
    """The same as a node; the gradient asks for numbers."""

    def forward(self, inputs):
        self.retain_inputs((0,))
        return (np.abs(inputs[0]) ** 1.5,)

    def backward(self, indexes, gys):
        (x,) = self.get_retained_inputs()
        factor = np.float32(1.5) * np.array([float(gys[0].array.sum()) / gys[0].size], np.float32)
        return (Variable(factor * np.sqrt(np.abs(x.array)) * np.sign(x.array)),)


class Branching(FunctionNode):
    """Looks at a value: fine in eager mode, a callback in static mode."""

    def forward(self, inputs):
        self.retain_inputs((0,))
        (x,) = inputs
        self.positive = bool(x.mean() > 0)
        return (x * 2 if self.positive else x * 3,)

    def backward(self, indexes, gys):
        return (gys[0] * (2 if self.positive else 3),)


CASES = {
    "new, input": (lambda x: Square().apply((x,))[0], lambda x: x**2, lambda x: 2 * x),
    "new, output": (lambda x: Exp().apply((x,))[0], np.exp, np.exp),
    "new, three inputs": (lambda x: MulAdd().apply((x, x, X))[0], lambda x: x * x + X, lambda x: 2 * x),
    "new, accumulating": (
        lambda x: Accumulating().apply((x, x, X))[0],
        lambda x: x * x + X,
        lambda x: 2 * x,
    ),
    "old, outputs that are None": (lambda x: Partial()(x)[1], lambda x: 3 * x, lambda x: np.full_like(x, 3)),
    "new, outputs that are None": (
        lambda x: PartialNode().apply((x,))[1],
        lambda x: 3 * x,
        lambda x: np.full_like(x, 3),
    ),
    "new, one of two outputs": (lambda x: Split().apply((x,))[1], lambda x: 3 * x, lambda x: np.full_like(x, 3)),
    "new, both outputs": (lambda x: sum(Split().apply((x,))[::-1], 0), lambda x: 5 * x, lambda x: np.full_like(x, 5)),
    "old": (lambda x: OldScale(3.0)(x), lambda x: 3 * x, lambda x: np.full_like(x, 3)),
    "numpy": (lambda x: NumpyRelu()(x), lambda x: np.maximum(x, 0), lambda x: (x > 0).astype("f")),
    "in place": (lambda x: InPlaceRelu()(x), lambda x: np.maximum(x, 0), lambda x: (x > 0).astype("f")),
    "new, numpy": (lambda x: NodeRelu().apply((x,))[0], lambda x: np.maximum(x, 0), lambda x: (x > 0).astype("f")),
    "numpy, not said": (
        lambda x: NumpyPower()(x),
        lambda x: np.abs(x) ** 1.5,
        lambda x: 1.5 * np.sqrt(np.abs(x)) * np.sign(x),
    ),
    "new, numpy, not said": (
        lambda x: NodePower().apply((x,))[0],
        lambda x: np.abs(x) ** 1.5,
        lambda x: 1.5 * np.sqrt(np.abs(x)) * np.sign(x),
    ),
    "branch": (
        lambda x: Branching().apply((x,))[0],
        lambda x: x * (2 if x.mean() > 0 else 3),
        lambda x: np.full_like(x, 2 if x.mean() > 0 else 3),
    ),
}


@pytest.mark.parametrize("mode", ["eager", "static"])
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(case, mode):
    function, value, gradient = CASES[case]

    def step(x):
        x = Variable(x)
        y = function(x)
        F.sum(y).backward()
        return y, x.grad

    run = jaxchain.static(step) if mode == "static" else step
    for x in (X + 1, X, X - 1):  # the first is not what a trace may bake in
        y, gx = run(x)
        np.testing.assert_allclose(y.array, value(x), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(gx, gradient(x), rtol=1e-5, atol=1e-6)
        assert gx.dtype == np.float32
    if mode == "static":
        assert len(run.compiles) == (2 if case == "branch" else 1)  # one per outcome


@pytest.mark.parametrize("mode", ["eager", "static"])
@pytest.mark.parametrize("case", ["new, input", "new, output", "new, three inputs"])
def test_second_order(case, mode):
    function = CASES[case][0]

    def second(x):
        x = Variable(x)
        (g,) = jaxchain.grad([F.sum(function(x))], [x], enable_double_backprop=True)
        (gg,) = jaxchain.grad([F.sum(g)], [x])
        return gg

    run = jaxchain.static(second) if mode == "static" else second
    expected = np.exp(X) if case == "new, output" else np.full_like(X, 2)
    np.testing.assert_allclose(run(X).array, expected, rtol=1e-5)


def test_old_style_gradients_are_leaves_that_have_no_gradient():
    x = Variable(X)
    F.sum(OldScale(3.0)(x)).backward(enable_double_backprop=True)
    assert x.grad_var.creator is None
    for differentiate in (lambda y: y.backward(), lambda y: jaxchain.grad([y], [x])):
        with pytest.raises(RuntimeError, match='cannot twice-differentiate an old style Function "OldScale"'):
            differentiate(F.sum(x.grad_var**2) + F.sum(x))


class Returning(FunctionNode):
    """What it is given as its gradients."""

    def __init__(self, gxs):
        self.gxs = gxs

    def forward(self, inputs):
        return (inputs[0] * 2,)

    def backward(self, indexes, gys):
        return self.gxs


@pytest.mark.parametrize(
    ("gxs", "kind", "text"),
    [
        (None, TypeError, "expected a tuple of Variables and None, got NoneType"),
        ((1,), TypeError, "expected a tuple of Variables and None, got tuple of int"),
        ((Variable(X), Variable(X)), ValueError, r"\(2\) does not match the number of inputs that need one \(1\)"),
        ((), ValueError, r"\(0\) does not match the number of inputs that need one \(1\)"),
        ((Variable(X[0]),), ValueError, r"shape of the gradient .* input 0: expected \(3, 4\), got \(4,\)"),
        ((Variable(X.astype(np.int32)),), TypeError, "dtype of the gradient .* input 0: expected float32, got int32"),
    ],
)
def test_what_backward_returns_is_checked(gxs, kind, text):
    (y,) = Returning(gxs).apply((Variable(X),))
    with pytest.raises(kind, match=rf"(?s){text}.*Returning|Returning.*{text}") as raised:
        F.sum(y).backward()
    assert "Returning(gxs).apply" in str(raised.value)  # the line of the call


def test_an_old_style_backward_without_a_return():
    class Nothing(Function):
        def forward(self, inputs):
            return inputs

        def backward(self, inputs, gys):
            pass

    with pytest.raises(TypeError, match=r"Nothing\.backward: expected a tuple of arrays and None, got NoneType"):
        F.sum(Nothing()(Variable(X))).backward()


def test_a_number_as_gradient_of_an_old_style_function():
    class Number(Function):
        def forward(self, inputs):
            return inputs

        def backward(self, inputs, gys):
            return (1,)

    y = Number()(Variable(X))
    with pytest.raises(TypeError, match=r"Number\.backward: expected .*, got also int\ncalled at .*Number\(\)"):
        F.sum(y).backward()


def test_type_checks_compute_with_shapes_and_dtypes():
    class Checked(FunctionNode):
        def check_type_forward(self, in_types):
            (x,) = in_types
            assert x.dtype.kind == "f" and [i for i in range(x.ndim)] == [0, 1] and np.prod(x.shape) == 12
            rows, _ = x.shape
            type_check.expect(in_types.size() == 1, x.shape[0] == rows, x.shape[1] < 4)

        def forward(self, inputs):
            return inputs

    with pytest.raises(InvalidType, match="Checked"):  # the message has no expressions: there were none
        Checked().apply((X,))


def test_a_creator_may_be_set():
    x = Variable(X)
    y = x * 2
    y.creator = None
    assert y.creator is y.creator_node is None and y.rank == 1
    for function in (OldScale(1.0), Square()):
        y.creator = function
        node = getattr(function, "node", function)
        assert y.creator is function and y.creator_node is node and y.rank == 1
        y.creator_node = None
        y.creator_node = node
        assert y.creator is function


def test_the_graph():
    x = Variable(X)
    (y,) = Square().apply((x,))
    node = y.creator
    assert type(node) is Square and node.label == "Square" and node.inputs == (x.node,) and node.outputs[0]() is y.node
    assert node.rank == 0 and y.rank == 1 and node.source[0] == __file__ and node.link_path == ""
    old = OldScale(2.0)
    z = old(y)
    assert z.creator is old and z.node.creator_node.function is old and old.label == "OldScale"
    assert old.rank == 1 and old.inputs == (y.node,) and old.node is z.node.creator_node
    assert OldScale(1.0)(X).creator is not None
    node.unchain()
    assert y.creator is None


def test_output_data():
    class Old(Function):
        def forward(self, inputs):
            self.retain_inputs(())
            self.retain_outputs((0,))
            return inputs[0] * 2, inputs[0]

        def backward(self, inputs, grad_outputs):
            assert inputs == (None,) and self.output_data[1] is None
            return (self.output_data[0] * grad_outputs[0],)

    x = Variable(X)
    F.sum(Old()(x)[0]).backward()
    np.testing.assert_allclose(x.grad, 2 * X)


def test_no_graph_without_backprop():
    with jaxchain.no_backprop_mode():
        (y,) = Square().apply((Variable(X),))
    assert y.creator is None


def test_integers_get_no_gradient():
    class Take(FunctionNode):
        def forward(self, inputs):
            self.retain_inputs((1,))
            return (inputs[0][inputs[1]],)

        def backward(self, indexes, gys):
            assert indexes == (0,)
            return (Variable(jnp.ones((3, 4), jnp.float32)),)

    x, i = Variable(X), Variable(np.array([0, 2]))
    F.sum(Take().apply((x, i))[0]).backward()
    assert x.grad is not None and i.grad is None


def test_a_graph_is_freed_at_once():
    x = Variable(X)
    gc.disable()
    try:
        for make in (lambda: Square().apply((x,))[0], lambda: NumpyRelu()(x)):
            y = F.sum(make())
            y.backward()
            node = weakref.ref(y.creator.inputs[0].creator_node)
            del y
            assert node() is None
    finally:
        gc.enable()


# -- errors ------------------------------------------------------------------------------------------------------------


class Checked(FunctionNode):
    def check_type_forward(self, in_types):
        type_check._argname(in_types, ("x", "W"))
        x, w = in_types
        type_check.expect(x.dtype.kind == "f", x.ndim == 2, x.shape[1] == w.shape[1], w.shape[0] % 2 == 0)

    def forward(self, inputs):
        return (inputs[0] @ inputs[1].T,)


@pytest.mark.parametrize(
    ("shapes", "dtype", "expected", "actual"),
    [
        (((3, 4), (2, 5)), "f", "x.shape[1] == W.shape[1]", "4 != 5"),
        (((3,), (2, 5)), "f", "x.ndim == 2", "1 != 2"),
        (((3, 4), (2, 4)), "i", "x.dtype.kind == 'f'", "i != f"),
        (((3, 4), (3, 4)), "f", "W.shape[0] % 2 == 0", "1 != 0"),
    ],
)
def test_type_check(shapes, dtype, expected, actual):
    with pytest.raises(InvalidType) as info:
        Checked().apply([np.ones(s, dtype) for s in shapes])
    text = str(info.value)
    assert "Invalid operation is performed in: Checked (Forward)" in text and "test_function.py" in text
    assert f"Expect: {expected}\nActual: {actual}" in text


def test_type_checks_that_branch_say_what_failed():
    class Branching(FunctionNode):
        def check_type_forward(self, in_types):
            type_check.expect(in_types[0].shape[0] == (7 if in_types[0].ndim % 2 else 8))

        def forward(self, inputs):
            return inputs

    with pytest.raises(InvalidType, match="Actual: 3 != 8"):  # an expression was true whatever its value
        Branching().apply((X,))


def test_type_checks_can_be_switched_off():
    with jaxchain.using_config("type_check", False):
        assert Checked().apply([np.ones((3, 4), "i"), np.ones((3, 4), "i")])[0].shape == (3, 3)


def test_the_number_of_arguments_is_checked():
    with pytest.raises(InvalidType, match="argument"):
        Checked().apply((X,))


@pytest.mark.parametrize(
    ("forward", "message"), [(lambda x: x, "must be a tuple"), (lambda x: (3,), "must be a tuple of ndarrays")]
)
def test_what_forward_returns_is_checked(forward, message):
    class Bad(FunctionNode):
        def forward(self, inputs):
            return forward(inputs[0])

    with pytest.raises(TypeError, match=rf"{message}(.|\n)*test_function\.py"):
        Bad().apply((X,))


def test_calling_a_node_is_an_error():
    with pytest.raises(RuntimeError, match="Use apply"):
        Square()(X)


def test_no_forward_is_an_error():
    with pytest.raises(NotImplementedError, match="Nothing does not define forward"):
        type("Nothing", (FunctionNode,), {})().apply((X,))


def test_errors_of_user_code_come_through():
    class Broken(Function):
        def forward(self, inputs):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        Broken()(X)


def test_nan_in_debug_mode():
    class Bad(FunctionNode):
        def forward(self, inputs):
            return (inputs[0] * np.float32(np.nan),)

    with jaxchain.DebugMode(True), pytest.raises(RuntimeError, match="NaN is detected on forward computation of Bad"):
        Bad().apply((X,))


# -- hooks of one function ---------------------------------------------------------------------------------------------


def test_local_hooks():
    seen = []

    class Hook(FunctionHook):
        name = "mine"

        def added(self, function):
            seen.append("added")

        def deleted(self, function):
            seen.append("deleted")

        def forward_preprocess(self, function, in_data):
            seen.append(("forward", function.label, len(in_data)))

        def backward_postprocess(self, function, in_data, out_grad):
            seen.append(("backward", function.label, in_data[0].shape, out_grad[0].shape))

    function, x = Square(), Variable(X)
    with pytest.raises(TypeError, match=r"Square\.add_hook: expected a FunctionHook, got int"):
        function.add_hook(3)
    function.add_hook(Hook())
    with pytest.raises(KeyError, match="already exists"):
        function.add_hook(Hook())
    F.sum(function.apply((x,))[0]).backward()
    function.delete_hook("mine")
    with pytest.raises(KeyError, match="does not exist"):
        function.delete_hook("mine")
    assert seen == ["added", ("forward", "Square", 1), ("backward", "Square", (3, 4), (3, 4)), "deleted"]
    old = OldScale(2.0)
    old.add_hook(Hook())
    F.sum(old(x)).backward()
    assert ("forward", "OldScale", 1) in seen


def test_expressions():
    (x,) = type_check.get_types([X], "x")
    assert str((x.shape[0] + 1) * 2 == 8) == "(x[0].shape[0] + 1) * 2 == 8"
    assert bool((x.shape[0] + 1) * 2 == 8) and str(-x.ndim < 3) == "-x[0].ndim < 3"
    assert type_check.eval(type_check.prod(x.shape)) == 12
    type_check.expect(type_check.make_variable(3, "n") >= 2)
    with pytest.raises(InvalidType, match=r"(?s)Expect: n > 3.*3 <= 3"):
        type_check.expect(type_check.make_variable(3, "n") > 3)
    with pytest.raises(InvalidType, match="broadcastable"):
        type_check.expect_broadcast_shapes(x.shape, (5,))
    with pytest.raises(TypeError, match="got None"):
        type_check.get_types([None])


def test_callbacks_are_in_the_program():
    def step(x):
        return NumpyRelu()(x)

    assert "pure_callback" in str(jaxchain.jaxpr(step, X))
    assert "pure_callback" not in str(jaxchain.jaxpr(lambda x: Square().apply((x,))[0], X))
    assert jax.default_backend() is not None


def test_every_node_is_a_function_node():
    class Own(jaxchain.FunctionNode):
        def forward(self, inputs):
            return inputs

    x = Variable(np.ones(2, np.float32))
    (y,) = Own().apply((x,))
    node = F.sum(y).creator
    assert isinstance(node, jaxchain.FunctionNode) and isinstance(y.creator, jaxchain.FunctionNode)
    assert isinstance(y.creator, Own) and not isinstance(node, Own) and not isinstance(x, jaxchain.FunctionNode)


def test_the_shape_of_what_is_not_initialised():
    link = jaxchain.links.Linear(None, 2)
    for name in ("shape", "ndim", "size"):
        with pytest.raises(AttributeError, match="parameter W is not initialised: it has no shape"):
            getattr(link.W, name)


@pytest.mark.parametrize("mode", ["eager", "static"])
@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda g: np.add.at(g, [0, 0], 1), [[2, 2], [0, 0]]),
        (lambda g: np.copyto(g, 1), [[1, 1], [1, 1]]),
        (lambda g: np.fill_diagonal(g, 1), [[1, 0], [0, 1]]),
        (lambda g: np.putmask(g, g == 0, 2), [[2, 2], [2, 2]]),
        (lambda g: np.put(g, [0], 2), [[2, 0], [0, 0]]),
        (lambda g: g.fill(1), [[1, 1], [1, 1]]),
    ],
    ids=["add.at", "copyto", "fill_diagonal", "putmask", "put", "fill"],
)
def test_numpys_writers_in_a_function(write, expected, mode):
    class Same(jaxchain.Function):
        def forward(self, inputs):
            return (inputs[0],)

        def backward(self, inputs, gys):
            g = inputs[0] * 0
            write(g)
            return (g,)

    x = Variable(np.ones((2, 2), np.float32))

    def gradient(x):
        y = Same()(x)
        y.grad = np.ones((2, 2), np.float32)
        y.backward()
        return x.grad

    got = (jaxchain.static(gradient) if mode == "static" else gradient)(x)
    np.testing.assert_array_equal(got, expected)


class LazyMask(Function):
    """NumPy code that makes what `backward` reads once."""

    def forward_cpu(self, inputs):
        if not hasattr(self, "mask"):
            self.mask = np.array(inputs[0]) > 0
        return (inputs[0] * self.mask,)

    def backward_cpu(self, inputs, grad_outputs):
        return (grad_outputs[0] * self.mask,)


class LazyMaskNode(FunctionNode):
    """The same in JAX code, with None in the place of what is made."""

    def __init__(self):
        self.mask = None

    def forward(self, inputs):
        if self.mask is None:
            self.mask = inputs[0] > 0
        return (inputs[0] * self.mask,)

    def backward(self, indexes, grad_outputs):
        return (grad_outputs[0] * self.mask.astype(np.float32),)

    def __call__(self, x):
        return self.apply((x,))[0]


@pytest.mark.parametrize("function", [LazyMask, LazyMaskNode])
@pytest.mark.parametrize("mode", ["eager", "static", "step"])
def test_what_forward_makes_once_on_the_object_is_of_this_call(function, mode):
    class Net(Chain):
        def forward(self, x):
            return F.sum(function()(x) ** 2)

    def run(x):
        x = Variable(x)
        net(x).backward()
        return x.grad

    net, run = Net(), jaxchain.static(run) if mode == "step" else run
    with jaxchain.using_config("mode", "static" if mode == "static" else "eager"):
        for x in ([1, -1], [-1, 2]):
            np.testing.assert_array_equal(run(np.float32(x)), np.maximum(2 * np.float32(x), 0))


def test_what_backward_writes_is_there_after_a_compiled_link():
    class Counted(FunctionNode):
        def forward(self, inputs):
            self.retain_inputs((0,))
            return (inputs[0] ** 2,)

        def backward(self, indexes, grad_outputs):
            net.backwards += 1
            return (grad_outputs[0] * 2 * self.get_retained_inputs()[0],)

    class Net(Chain):
        backwards = 0

        def forward(self, x):
            return F.sum(Counted().apply((x,))[0])

    net, x = Net(), Variable(np.float32([3]))
    with pytest.warns(EagerFallback, match="the gradient of one of its functions changes an attribute"):
        for _ in range(2):
            net.static()(x).backward()
    assert (net.backwards, x.grad.tolist()) == (2, [12])
