"""Steps compiled as one program: the same bits as op by op, taken over silently, dropped where it does not apply."""

import gc

import jax
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Chain, Variable, function_hooks
from jaxchain.core import background, forms

RNG = np.random.RandomState(0)


def normal(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


class CNN(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.c = L.Convolution2D(1, 4, 3, pad=1)
            self.b = L.BatchNormalization(4)
            self.l = L.Linear(None, 10)

    def forward(self, x):
        h = F.max_pooling_2d(F.relu(self.b(self.c(x))), 2)
        return self.l(F.dropout(h, 0.3))


class Shared(Chain):
    """Weights used twice, a value used three times, an op with a scalar, an op with two outputs."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l = L.Linear(6, 6)
            self.lstm = L.StatelessLSTM(6, 6)

    def forward(self, x):
        h = F.tanh(self.l(x))
        c, y = self.lstm(h, h, self.l(h * 0.5) + h)
        return c * y + h


class Half(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.w = jaxchain.Parameter(normal(5, 3, dtype=np.float16))

    def forward(self, x):
        return F.cast(F.softmax(F.matmul(F.cast(x, np.float16), self.w)), np.float32)


PROGRAMS = {
    "cnn": (CNN, lambda m, x, t: F.softmax_cross_entropy(m(x), t), (normal(4, 1, 8, 8), RNG.randint(0, 10, 4))),
    "mlp": (
        lambda: L.Classifier(jaxchain.Sequential(L.Linear(6, 64), F.relu, L.Linear(64, 10))),
        lambda m, x, t: m(x, t),
        (normal(32, 6), RNG.randint(0, 10, 32)),
    ),
    "shared": (Shared, lambda m, x, t: F.mean((m(x) - t) ** 2), (normal(3, 6), normal(3, 6))),
    "half": (Half, lambda m, x, t: F.mean_squared_error(m(x), t), (normal(4, 5), normal(4, 3))),
}


def gradients(model, loss, args, passes):
    """Return the gradients of every pass, the parameters moving in between."""
    jaxchain.seed(0)
    model.cleargrads()
    history = []
    for _ in range(passes):
        model.cleargrads()
        y = loss(model, *args)
        y.backward()
        history.append({"loss": np.asarray(y.array), **{name: np.asarray(p.grad) for name, p in model.namedparams()}})
        for p in model.params():
            p.array = p.array - 0.1 * p.grad.astype(p.dtype)
        background.settle()
    return history


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(forms, "AFTER", 2)
    monkeypatch.setattr(forms, "_forms", {})


def compiled_forms():
    return [form for form in forms._forms.values() if form.program is not None]


@pytest.mark.cpu
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_compiled_pass_gives_the_same_bits(name, monkeypatch):
    make, loss, args = PROGRAMS[name]
    jaxchain.seed(0)
    model = make()
    loss(model, *args)
    twin = model.copy("copy")
    compiled = gradients(model, loss, args, 5)
    assert len(compiled_forms()) == (2 if name == "cnn" else 1)  # running means are read half-way
    monkeypatch.setattr(forms, "AFTER", 10**9)
    forms._forms.clear()
    op_by_op = gradients(twin, loss, args, 5)
    assert not compiled_forms()
    for ours, known in zip(compiled, op_by_op, strict=True):
        assert ours.keys() == known.keys()
        for path in ours:
            np.testing.assert_array_equal(ours[path], known[path], err_msg=path)


def scale(x, w):
    return F.sum(F.sin(x * w))


def repeat(program, times=4):
    for _ in range(times):
        out = program()
        background.settle()
    return out


@pytest.mark.cpu
def test_gradients_add_up_over_passes():
    x, w = Variable(normal(3)), jaxchain.Parameter(normal(3))
    repeat(lambda: scale(x, w).backward())
    assert compiled_forms()
    np.testing.assert_allclose(w.grad, 4 * np.cos(x.array * w.array) * x.array, rtol=1e-6)


@pytest.mark.cpu
def test_another_wiring_is_another_form():
    x, w, v = Variable(normal(3)), jaxchain.Parameter(normal(3)), jaxchain.Parameter(normal(3))

    def one(a, b):
        x.cleargrad(), w.cleargrad(), v.cleargrad()
        F.sum(F.sin(a) * F.sin(b)).backward()
        return [None if p.grad is None else np.asarray(p.grad) for p in (w, v)]

    repeat(lambda: one(w, v))
    assert len(compiled_forms()) == 1
    gw, gv = one(w, w)  # the same ops on the same shapes
    assert gv is None and len(forms._forms) == 2
    np.testing.assert_allclose(gw, np.sin(2 * np.asarray(w.array)), rtol=1e-5)


@pytest.mark.cpu
def test_several_outputs_and_given_gradients():
    w = jaxchain.Parameter(normal(3))
    gy = normal(3)

    def program():
        w.cleargrad()
        y, z = F.sin(w), F.sum(w * w)
        y.grad = gy
        jaxchain.backward([y, z])
        return np.asarray(w.grad)

    np.testing.assert_allclose(repeat(program), np.cos(w.array) * gy + 2 * w.array, rtol=1e-5)
    assert compiled_forms()


def test_a_gradient_set_on_another_output_is_not_lost_once_the_pass_is_compiled():
    w = jaxchain.Parameter(normal(2, 3))

    def program(own=None):
        w.cleargrad()
        a, b = F.split_axis(w, 2, 0)
        b.grad = own
        F.sum(a).backward()
        return np.asarray(w.grad)

    np.testing.assert_array_equal(repeat(program), [[1, 1, 1], [0, 0, 0]])
    assert compiled_forms()
    np.testing.assert_array_equal(program(np.full((1, 3), 7, np.float32)), [[1, 1, 1], [7, 7, 7]])


@pytest.mark.cpu
def test_hooks_see_every_op_of_a_form_that_is_compiled():
    x, w = Variable(normal(3)), jaxchain.Parameter(normal(3))
    repeat(lambda: scale(x, w).backward())
    assert compiled_forms()
    with function_hooks.TimerHook() as timer:
        scale(x, w).backward()
    assert [name for name, _ in timer.call_history] == ["Mul", "Sin", "Sum", "Sum", "Sin", "Mul"]


def test_retained_gradients_come_op_by_op():
    x, w = Variable(normal(3)), jaxchain.Parameter(normal(3))
    repeat(lambda: scale(x, w).backward())
    y = F.sin(x * w)
    F.sum(y).backward(retain_grad=True)
    np.testing.assert_array_equal(y.grad, np.ones(3))


def test_a_users_function_is_called_every_time():
    calls = []

    class Double(jaxchain.FunctionNode):
        def forward(self, inputs):
            return (inputs[0] * 2,)

        def backward(self, indexes, gys):
            calls.append(1)
            return (gys[0] * 2,)

    w = jaxchain.Parameter(normal(3))
    repeat(lambda: F.sum(Double().apply((w,))[0]).backward())
    assert len(calls) == 4 and not compiled_forms()


@pytest.mark.cpu
def test_the_program_holds_no_arrays():
    w = jaxchain.Parameter(normal(3))

    def program():
        w.cleargrad()
        F.sum(F.sin(w) * Variable(normal(3))).backward()

    repeat(program)
    assert compiled_forms()
    w.cleargrad()
    gc.collect()
    before = len(jax.live_arrays())
    repeat(program)
    w.cleargrad()
    gc.collect()
    assert len(jax.live_arrays()) == before


@pytest.mark.parametrize("read", [False, True])
def test_gradients_of_compiled_links_are_programs_of_their_own(read):
    link = L.Linear(3, 2)
    x = Variable(normal(4, 3))

    def second():
        link.cleargrads()
        (g,) = jaxchain.grad([F.sum(link(x) ** 2)], [link.W], enable_double_backprop=True)
        total = F.sum(g * g)
        if read:
            assert total.array.shape == ()
        total.backward()
        return np.asarray(link.W.grad)

    known = repeat(second)
    link.static()
    np.testing.assert_allclose(repeat(second), known, rtol=1e-5)
