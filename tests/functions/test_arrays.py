"""What the tables of arrays and normalizations do not say: draws, statistics, recomputation, devices, debug mode."""

import jax
import numpy as np
import pytest
from test_functions import compiles

import jaxchain
import jaxchain.functions as F
from jaxchain import Variable
from jaxchain.functions.decorrelation import decorrelated_batch_normalization_with_statistics
from jaxchain.functions.renormalization import batch_renormalization_with_statistics

X = np.arange(12, dtype=np.float32).reshape(3, 4)
W = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)

# -- random ones ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "draw",
    [
        lambda x: F.rrelu(-x),
        lambda x: F.gumbel_softmax(x, 1.0),
        lambda x: F.simplified_dropconnect(x, W),
        lambda x: F.simplified_dropconnect(x, W, use_batchwise_mask=False),
        lambda x: F.zoneout(x, -x),
        lambda x: F.zoneout(F.rrelu(-x), F.dropout(x)),
    ],
    ids=["rrelu", "gumbel_softmax", "dropconnect", "dropconnect, one mask", "zoneout", "together"],
)
def test_the_same_seed_draws_the_same_in_both_modes(draw):
    step = jaxchain.static(lambda a: draw(Variable(a)).array)
    jaxchain.seed(5)
    eager = [np.asarray(draw(Variable(X)).array) for _ in range(3)]
    jaxchain.seed(5)
    static = [np.asarray(step(X)) for _ in range(3)]
    np.testing.assert_allclose(static, eager, rtol=1e-5, atol=1e-6)
    assert not np.array_equal(eager[0], eager[1])


def test_rrelu_draws_slopes_between_its_bounds_and_returns_them():
    x = Variable(np.full((100, 100), -1, np.float32))
    y, r = F.rrelu(x, 0.2, 0.6, return_r=True)
    assert 0.2 <= r.min() < 0.21 and 0.59 < r.max() < 0.6 and abs(float(r.mean()) - 0.4) < 0.01
    np.testing.assert_array_equal(y.array, -r)
    np.testing.assert_array_equal(F.rrelu(x, 0.2, 0.6, r=r).array, y.array)
    (g,) = jaxchain.grad([F.sum(y)], [x])
    np.testing.assert_array_equal(g.array, r)


def test_rrelu_takes_the_middle_outside_training():
    with jaxchain.using_config("train", False):
        y, r = F.rrelu(np.float32([-2, 3]), 0.25, 0.75, r=np.float32([0.3, 0.3]), return_r=True)
    assert y.array.tolist() == [-1, 3] and r.tolist() == [0.5, 0.5]


def test_zoneout_keeps_a_share_and_sends_gradients_to_what_it_took():
    h, x = Variable(np.zeros((100, 100), np.float32)), Variable(np.ones((100, 100), np.float32))
    y = F.zoneout(h, x, 0.3)
    assert abs(float(y.array.mean()) - 0.7) < 0.02
    g_h, g_x = jaxchain.grad([F.sum(y)], [h, x])
    np.testing.assert_array_equal(g_x.array, y.array)
    np.testing.assert_array_equal(g_h.array, 1 - y.array)
    with jaxchain.using_config("train", False):
        assert F.zoneout(h, x) is x


def test_dropconnect_keeps_the_mean_and_its_gradient_has_the_same_mask():
    x, w = Variable(np.eye(50, dtype=np.float32)), Variable(np.ones((40, 50), np.float32))
    y = F.simplified_dropconnect(x, w, ratio=0.25, use_batchwise_mask=False)  # y is the transposed masked W
    assert abs(float(y.array.mean()) - 1) < 0.05 and set(np.unique(y.array).round(3)) == {0, np.float32(1.333)}
    (g,) = jaxchain.grad([F.sum(y)], [w])
    np.testing.assert_allclose(g.array, y.array.T, rtol=1e-6)
    ones = Variable(np.ones((400, 50), np.float32))
    apart = np.asarray(F.simplified_dropconnect(ones, w, ratio=0.25).array)
    assert apart.std(0).min() > 0  # every sample has a mask of its own
    together = np.asarray(F.simplified_dropconnect(ones, w, ratio=0.25, use_batchwise_mask=False).array)
    np.testing.assert_allclose(together.std(0), 0, atol=1e-3)
    full = F.simplified_dropconnect(ones, w, ratio=0.25, train=False)
    np.testing.assert_allclose(full.array, 50, rtol=1e-6)


def test_gumbel_softmax_takes_categories_as_often_as_they_should_come():
    jaxchain.seed(0)
    p = np.float32([0.2, 0.3, 0.5])
    y = np.asarray(F.gumbel_softmax(np.broadcast_to(np.log(p), (20_000, 3)).copy(), 0.1).array)
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.bincount(y.argmax(1)) / 20_000, p, atol=0.015)


# -- statistics: Chainer 7.8.1's, of the calls in the tests -----------------------------------------------------------

SIN = np.sin(np.arange(24, dtype=np.float32)).reshape(6, 4)
RENORM_MEAN = np.float32([1.020914, 1.3060113, 1.6382713, 2.0066428])
RENORM_VAR = np.float32([14.066022, 18.065016, 21.841002, 25.55077])
DECOR_MEAN = np.float32([[0.013376, 0.0245871], [0.0131929, -0.0103308]])
DECOR_PROJECTION = np.float32(
    [[[0.5259972, -0.1644893], [-0.1644893, 0.45722]], [[0.4667491, -0.0937708], [-0.0937708, 0.4781713]]]
)


def test_running_statistics_of_renormalization_are_chainers():
    x, one, zero = X**1.5, np.ones(4, np.float32), np.zeros(4, np.float32)
    mean, var = zero.copy(), Variable(one)
    still = F.batch_renormalization(x, one, zero, 2.0, 1.0, running_mean=mean, running_var=var)
    assert not mean.any() and (np.asarray(var.array) == 1).all()
    y = F.batch_renormalization(x, one, zero, 2.0, 1.0, running_mean=mean, running_var=var, update_statistics=True)
    np.testing.assert_array_equal(y.array, still.array)
    np.testing.assert_allclose(mean, RENORM_MEAN, rtol=1e-6)
    np.testing.assert_allclose(var.array, RENORM_VAR, rtol=1e-6)
    _, mean, var = batch_renormalization_with_statistics(x, one, zero, zero, one, 2.0, 1.0)
    np.testing.assert_allclose(mean, RENORM_MEAN, rtol=1e-6)
    with pytest.raises(TypeError, match="batch_renormalization_with_statistics"):
        F.batch_renormalization(x, one, zero, 2.0, 1.0, running_mean=mean, running_var=var, update_statistics=True)
    with jaxchain.using_config("train", False), pytest.raises(AssertionError, match="fixed_batch_normalization"):
        F.batch_renormalization(x, one, zero, 2.0, 1.0, running_mean=zero, running_var=one)


def test_running_statistics_of_decorrelation_are_chainers():
    mean, projection = np.zeros((2, 2), np.float32), Variable(np.zeros((2, 2, 2), np.float32))
    options = {"groups": 2, "eps": 1e-2, "decay": 0.75}
    F.decorrelated_batch_normalization(SIN, running_mean=mean, running_projection=projection, **options)
    np.testing.assert_allclose(mean, DECOR_MEAN, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(projection.array, DECOR_PROJECTION, rtol=1e-4, atol=1e-6)
    _, one, none = decorrelated_batch_normalization_with_statistics(SIN, np.zeros((2, 2), np.float32), None, **options)
    np.testing.assert_allclose(one, mean, rtol=1e-6)
    assert none is None
    with pytest.raises(TypeError, match="immutable"):
        F.decorrelated_batch_normalization(SIN, running_mean=one, groups=2)


def test_decorrelated_batches_are_decorrelated_and_equal_eigenvalues_do_no_harm():
    drawn = np.random.RandomState(0).randn(64, 4).astype(np.float32) @ np.tri(4, dtype=np.float32)
    y = np.asarray(F.decorrelated_batch_normalization(drawn, groups=1, eps=1e-6).array)
    np.testing.assert_allclose(np.cov(y.T, bias=True), np.eye(4), atol=1e-3)
    x = Variable(np.float32([[1, 0], [-1, 0], [0, 1], [0, -1]]))  # both eigenvalues are 1/2

    def loss(a):
        centred = a - a.mean(0)
        w, v = np.linalg.eigh(centred.T @ centred / 4 + 2e-5 * np.eye(2))
        return float((centred @ (v * w**-0.5) @ v.T)[0].sum())

    (g,) = jaxchain.grad([F.sum(F.decorrelated_batch_normalization(x, groups=1)[0])], [x])
    numeric = np.zeros((4, 2))
    for i in np.ndindex(4, 2):
        step = np.zeros((4, 2))
        step[i] = 1e-5
        numeric[i] = (loss(np.asarray(x.array) + step) - loss(np.asarray(x.array) - step)) / 2e-5
    np.testing.assert_allclose(g.array, numeric, atol=1e-3)


def test_gradients_of_given_statistics_are_right():
    """Chainer's have other shapes than what they are gradients of."""
    rng = np.random.RandomState(0)
    x, mean, projection = (rng.randn(*s).astype(np.float32) for s in [(5, 4), (2, 2), (2, 2, 2)])
    variables = [Variable(a) for a in (x, mean, projection)]
    y = F.fixed_decorrelated_batch_normalization(*variables, groups=2)
    cotangent = rng.randn(5, 4).astype(np.float32)
    _, g_mean, g_projection = jaxchain.grad([y], variables, [Variable(cotangent)])
    g = cotangent.T.reshape(2, 2, 5)
    np.testing.assert_allclose(g_mean.array, -(projection.transpose(0, 2, 1) @ g).sum(2), rtol=1e-4, atol=1e-5)
    centred = x.T.reshape(2, 2, 5) - mean[:, :, None]
    np.testing.assert_allclose(g_projection.array, g @ centred.transpose(0, 2, 1), rtol=1e-4, atol=1e-5)


# -- arrays -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("edge", {}),
        ("reflect", {}),
        ("reflect", {"reflect_type": "odd"}),
        ("symmetric", {}),
        ("wrap", {}),
        ("linear_ramp", {"end_values": 2.0}),
        ("maximum", {}),
        ("mean", {"stat_length": 2}),
        ("minimum", {}),
    ],
)
def test_the_gradient_of_padding_counts_padded_elements(mode, options):
    x = np.float64([[1.0, 2.5, -4.0], [3.0, -1.0, 0.5]])
    weights = np.random.RandomState(0).uniform(-1, 1, (5, 6))
    with jax.enable_x64(True):
        v = Variable(x)
        (g,) = jaxchain.grad([F.sum(F.pad(v, (1, 2), mode, **options) * weights)], [v])
        g = np.asarray(g.array)
    for i in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[i] = 1e-6
        up, down = (np.pad(x + s, (1, 2), mode, **options) for s in (step, -step))
        assert g[i] == pytest.approx(((up - down) * weights).sum() / 2e-6, abs=1e-7)


def test_permutations_and_scattering_compile_once():
    def run(order):
        return F.permutate(Variable(X), np.int32(order)), F.scatter_add(Variable(X), (order[0], slice(0, 2)), X[0, :2])

    run([0, 1, 2])
    with compiles() as counted:
        y, z = run([2, 0, 1])
    assert not counted
    np.testing.assert_array_equal(y.array, X[[2, 0, 1]])
    assert z.array[2].tolist() == [8, 10, 10, 11]


def test_a_negative_axis_permutes_the_axis_it_names():
    np.testing.assert_array_equal(F.permutate(X, np.int32([3, 0, 1, 2]), axis=-1).array, X[:, [3, 0, 1, 2]])


def test_debug_mode_checks_indices():
    with jaxchain.using_config("debug", True):
        for wrong in ([0, 0, 1], [0, 1, 3]):
            with pytest.raises(ValueError, match="permutation"):
                F.permutate(X, np.int32(wrong))
        for wrong in ([0, 4, 0], [0, -1, 0]):
            with pytest.raises(ValueError, match="Each label `t`"):
                F.select_item(X, np.int32(wrong))
        F.permutate(X, np.int32([2, 1, 0]))
        F.select_item(X, np.int32([3, 0, 1]))


def test_copies_between_devices_and_back():
    cpus = jax.devices("cpu")
    x = Variable(X)
    y = F.copy(x, cpus[-1])
    assert y.array.devices() == {cpus[-1]}
    (g,) = jaxchain.grad([F.sum(y * y)], [x])
    np.testing.assert_array_equal(g.array, 2 * X)
    assert g.array.devices() == x.array.devices()
    np.testing.assert_array_equal(jaxchain.static(lambda a: F.copy(Variable(a), "@numpy").array)(X), X)


# -- recomputation ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["eager", "static"])
def mode(request):
    return request.param


def losses(model, wrap):
    """Return a function of data: (loss, gradient of the data, gradient of the weights)."""

    def step(a):
        model.cleargrads()
        x = Variable(a)
        inner = F.forget(model, x) if wrap else model(x)
        loss = F.sum(inner * inner)
        loss.backward()
        return loss.array, x.grad, model.W.grad

    return step


class Noisy(jaxchain.Link):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.W = jaxchain.Parameter(W)

    def forward(self, x):
        return F.dropout(F.tanh(F.dropout(F.linear(x, self.W), 0.5)), 0.25)


def test_forget_gives_parameters_their_gradients_and_draws_the_same_masks_again(mode):
    model = Noisy()
    run = (lambda f: f) if mode == "eager" else jaxchain.static
    jaxchain.seed(3)
    known = [[np.asarray(v) for v in run(losses(model, False))(X / 10)] for _ in range(2)]
    after = F.dropout(np.ones(8, np.float32)).array
    jaxchain.seed(3)
    step = run(losses(model, True))
    for expected in known:
        for a, b in zip(step(X / 10), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(F.dropout(np.ones(8, np.float32)).array, after)  # the stream goes on as without
    assert known[0][2].any()


def test_an_output_that_nobody_uses_gives_what_forget_read_no_gradient(mode):
    class Heads(jaxchain.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.a, self.b = jaxchain.Parameter(W), jaxchain.Parameter(W)

        def forward(self, x):
            return F.forget(lambda x: F.linear(x, self.a), x), F.forget(lambda x: F.linear(x, self.b), x)

    model = Heads() if mode == "eager" else Heads().static()
    F.sum(model(X)[0]).backward()
    assert model.a.grad is not None and model.b.grad is None


def test_forget_keeps_its_inputs_only():
    x = Variable(X)
    y = F.forget(lambda a: F.tanh(F.exp(F.sigmoid(a))), x)
    node = y.creator
    assert node.label == "Forget" and [n.data is x.array for n in node.inputs] == [True]
    assert y.creator_node.rank == 0  # one node


def test_forget_runs_twice_and_statistics_change_once():
    runs = []

    def f(a):
        runs.append(jaxchain.config.in_recomputing)
        return a * a

    x = Variable(X)
    y = F.forget(f, x)
    y.grad = np.ones_like(X)
    y.backward()
    assert runs == [False, True]
    np.testing.assert_array_equal(x.grad, 2 * X)


def test_forget_survives_compilation():
    """Inside a compiled step the forward must not be found equal to its recomputation."""

    def step(a):
        x = Variable(a)
        (g,) = jaxchain.grad([F.sum(F.forget(lambda v: F.tanh(v), x))], [x])
        return g.array

    assert "optimization_barrier" in str(jaxchain.jaxpr(step, X))


@pytest.mark.parametrize(
    ("function", "kind", "text"),
    [
        (3, TypeError, "callable"),
        (lambda x: 3, RuntimeError, "expected a Variable"),
        (lambda x: (x, 3), RuntimeError, "element 1"),
    ],
)
def test_errors_of_forget(function, kind, text):
    with pytest.raises(kind, match=text):
        F.forget(function, Variable(X))


def test_forget_has_no_second_derivative():
    x = Variable(X)
    with pytest.raises(RuntimeError, match="double backpropagation"):
        jaxchain.grad([F.sum(F.forget(lambda a: a * a, x))], [x], enable_double_backprop=True)
