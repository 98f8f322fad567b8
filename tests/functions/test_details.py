"""What a table does not say: random draws, statistics, indexing in loops, options that return more, debug mode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_functions import compiles

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Variable
from jaxchain.core.deferred import concrete
from jaxchain.core.errors import InvalidType
from jaxchain.core.explain import EagerFallback
from jaxchain.functions import batch_normalization_with_statistics

X = np.arange(12, dtype=np.float32).reshape(3, 4)


def test_dropout_is_the_identity_outside_training():
    x = Variable(X)
    with jaxchain.using_config("train", False):
        assert F.dropout(x) is x
        assert F.dropout(x, return_mask=True) == (x, None)


def test_dropout_multiplies_as_in_chainer():
    """What is infinite or NaN does not become 0 where it is dropped, nor does its gradient."""
    ones, x = Variable(np.ones(64, np.float32)), np.repeat(np.float32([np.inf, np.nan]), 32)
    y = F.dropout(ones)
    y.grad = x
    y.backward()
    for array in (F.dropout(x).array, ones.grad):
        assert np.isnan(array[32:]).all() and np.isnan(array[:32]).any() and np.isinf(array[:32]).any()


def test_dropout_keeps_the_mean_and_its_mask_reproduces_it():
    x = Variable(np.ones((200, 200), np.float32))
    y, mask = F.dropout(x, 0.25, return_mask=True)
    assert abs(float(y.array.mean()) - 1) < 0.02
    assert set(np.unique(np.asarray(y.array)).round(4)) == {np.float32(0), np.float32(1.3333)}
    np.testing.assert_array_equal(F.dropout(x, 0.25, mask=mask).array, y.array)
    y.grad = np.ones(y.shape, np.float32)
    y.backward()
    np.testing.assert_array_equal(x.grad, mask)


def test_another_number_of_samples_or_places_is_another_program():
    x, t, W = Variable(X[:2]), np.int32([0, 1]), Variable(np.eye(5, 4, dtype=np.float32))
    for size in (2, 4, 2):
        loss = F.negative_sampling(x, t, W, lambda shape: np.ones(shape, np.int32), size)
        scores = np.asarray(x.array) @ np.asarray(W.array).T
        expected = np.log1p(np.exp(-scores[[0, 1], t])).sum() + size * np.log1p(np.exp(scores[:, 1])).sum()
        np.testing.assert_allclose(loss.array, expected, rtol=1e-5)
    for places in ([2, 0, 1], [1, 0], [0, 1, 2]):
        y = Variable(X)
        z = F.permutate(y, np.int32(places))
        np.testing.assert_array_equal(z.array, X[places])
        (g,) = jaxchain.grad([z], [y], [Variable(X[: len(places)])])
        expected = np.zeros_like(X)
        expected[places] = X[: len(places)]
        np.testing.assert_array_equal(g.array, expected)


def test_an_empty_output_of_unpooling_has_an_empty_gradient():
    for n, unpooling in enumerate((F.unpooling_1d, F.unpooling_2d, F.unpooling_3d), 1):
        x = Variable(np.ones((1, 2, *(1,) * n), np.float32))
        y = unpooling(x, 1, pad=1)
        assert y.shape == (1, 2, *(0,) * n)
        (g,) = jaxchain.grad([y], [x], [Variable(np.ones(y.shape, np.float32))])
        np.testing.assert_array_equal(g.array, np.zeros(x.shape))


def test_annealed_ratio_does_not_compile():
    F.sum(F.dropout(Variable(X), 0.5)).backward()
    with compiles() as counted:
        F.sum(F.dropout(Variable(X), 0.25)).backward()
    assert not counted


def test_compiles_counts():
    with compiles() as counted:
        F.relu(Variable(np.ones((3, 1, 4, 1, 5), np.float32))).array
    assert counted


@pytest.mark.parametrize(
    "draw",
    [lambda x: F.dropout(x, 0.5), lambda x: F.gaussian(x, x), lambda x: F.dropout(F.gaussian(x, x))],
    ids=["dropout", "gaussian", "both"],
)
def test_the_same_seed_draws_the_same_in_both_modes(draw):
    step = jaxchain.static(lambda a: draw(Variable(a)).array)
    jaxchain.seed(5)
    eager = [np.asarray(draw(Variable(X)).array) for _ in range(3)]
    jaxchain.seed(5)
    static = [np.asarray(step(X)) for _ in range(3)]
    np.testing.assert_allclose(static, eager, rtol=1e-5)
    assert not np.array_equal(eager[0], eager[1])


def test_gaussian_returns_its_noise():
    mean, ln_var = np.zeros((100, 100), np.float32), np.full((100, 100), np.log(4.0), np.float32)
    y, eps = F.gaussian(mean, ln_var, return_eps=True)
    assert abs(float(y.array.std()) - 2) < 0.1
    np.testing.assert_allclose(F.gaussian(mean, ln_var, eps=eps).array, y.array)


# Chainer 7.8.1: F.batch_normalization(X, 1, 0, running_mean=zeros, running_var=ones, decay=0.9)
NEW_MEAN = np.float32([0.4, 0.5, 0.6, 0.7])
NEW_VAR = np.float32([2.5] * 4)


def test_running_statistics_are_chainers():
    one, zero = np.ones(4, np.float32), np.zeros(4, np.float32)
    y, mean, var = batch_normalization_with_statistics(X, one, zero, zero, one, decay=0.9)
    np.testing.assert_allclose(mean, NEW_MEAN, rtol=1e-6)
    np.testing.assert_allclose(var, NEW_VAR, rtol=1e-6)
    assert y.shape == X.shape
    in_place, held = zero.copy(), Variable(one)
    F.batch_normalization(X, one, zero, running_mean=in_place, running_var=held, decay=0.9)
    np.testing.assert_allclose(in_place, NEW_MEAN, rtol=1e-6)
    np.testing.assert_allclose(held.array, NEW_VAR, rtol=1e-6)
    with pytest.raises(TypeError, match="immutable"):
        F.batch_normalization(X, one, zero, running_mean=mean, running_var=var)


def test_batch_of_one_warns():
    with pytest.warns(UserWarning, match="no more than one sample"):
        F.batch_normalization(X[:1], np.ones(4, np.float32), np.zeros(4, np.float32))


def test_indexing_in_a_loop_compiles_once():
    x = Variable(np.arange(40, dtype=np.float32).reshape(10, 4))
    expected = np.asarray(x.array)
    got = []
    with compiles() as counted:
        for i in range(8):
            at = (i, slice(i, i + 3), [i, i - 1], (i, -1))
            got += [(x[index].array, expected[index]) for index in at]
    assert len(counted) <= 5  # one for each form of index, not for each index; one takes in lists
    for y, z in got:
        np.testing.assert_array_equal(y, z)


def test_gradients_of_repeated_elements_add_up():
    x = Variable(X)
    F.sum(x[[0, 0, 2], [1, 1, 3]]).backward()
    assert x.grad[0, 1] == 2 and x.grad[2, 3] == 1 and x.grad.sum() == 3


def test_a_mask_inside_a_static_call_says_what_to_do():
    with pytest.warns(EagerFallback, match=r"F\.where"):
        taken = jaxchain.static(lambda a: F.get_item(Variable(a), a > 3).array)(X)
    np.testing.assert_array_equal(taken, X[X > 3])


@pytest.mark.parametrize(("ksize", "stride", "pad"), [((3, 2), 2, (1, 0)), ((2, 5), (1, 3), (0, 2)), (3, 4, 1)])
def test_indices_of_max_pooling_are_the_first_of_the_largest(ksize, stride, pad):
    x = np.random.RandomState(0).randint(0, 3, (2, 2, 7, 8)).astype(np.float32)
    x[0, 0, 2:4] = -np.inf
    x[1, 1, 3, 3:6] = np.nan
    y, at = F.max_pooling_2d(x, ksize, stride, pad, return_indices=True)
    (kh, kw), (sh, sw), (ph, pw) = (pair if isinstance(pair, tuple) else (pair, pair) for pair in (ksize, stride, pad))
    wide = np.pad(x, ((0, 0), (0, 0), (ph, 9), (pw, 9)), constant_values=-np.inf)
    for n, c, i, j in np.ndindex(y.shape):
        window = wide[n, c, i * sh : i * sh + kh, j * sw : j * sw + kw]
        assert at[n, c, i, j] == window.argmax()


def test_the_program_of_indices_grows_with_the_width_of_windows_not_with_their_area():
    def lines(k):
        indices = lambda x: F.max_pooling_2d(x, k, 1, return_indices=True)[1]  # noqa: E731
        return str(jax.make_jaxpr(indices)(np.zeros((1, 1, 30, 30), np.float32))).count("\n")

    assert lines(24) < 5 * lines(6)


def test_max_pooling_returns_indices():
    _, at = F.max_pooling_2d(X.reshape(1, 1, 3, 4), 2, return_indices=True)
    np.testing.assert_array_equal(at[0, 0], [[3, 3], [1, 1]])


def test_n_step_lstm_dropout_is_for_training():
    rng = np.random.RandomState(0)

    def arrays(*shape):
        return rng.randn(*shape).astype(np.float32)

    ws = [[arrays(2, 3 if k == 0 and i < 4 else 2) for i in range(8)] for k in range(2)]
    bs = [[arrays(2) for _ in range(8)] for _ in range(2)]
    args = (2, 0.5, arrays(2, 2, 2), arrays(2, 2, 2), ws, bs, [arrays(2, 3), arrays(1, 3)])
    a, b = F.n_step_lstm(*args), F.n_step_lstm(*args)
    assert not np.array_equal(a[0].array, b[0].array)
    with jaxchain.using_config("train", False):
        a, b = F.n_step_lstm(*args), F.n_step_lstm(*args)
        np.testing.assert_array_equal(a[0].array, b[0].array)
        assert [y.shape for y in a[2]] == [(2, 2), (1, 2)]


def test_labels_out_of_range():
    t = np.int32([0, 4, -1])
    assert np.isnan(F.softmax_cross_entropy(X, t, reduce="no").array).tolist() == [False, True, False]
    assert np.isnan(F.embed_id(np.int32([3]), X).array).all()
    with pytest.raises(IndexError, match="roi_pooling_2d: an index is out of bounds for axis 0 with size 1"):
        F.roi_pooling_2d(np.ones((1, 1, 4, 4), np.float32), np.float32([[1, 0, 0, 3, 3]]), 1, 1, 1.0)
    with jaxchain.using_config("debug", True):
        with pytest.raises(ValueError, match="Each label `t`"):
            F.softmax_cross_entropy(X, t)
        with pytest.raises(ValueError, match="Each label `x`"):
            F.embed_id(np.int32([3]), X)
        F.softmax_cross_entropy(X, np.int32([0, 3, -1]))


@pytest.mark.parametrize(
    "compare",
    [
        *(lambda x: x > 0, lambda x: x < 0, lambda x: x >= 0, lambda x: x <= 0),
        *(lambda x: x == 0, lambda x: x != 0, lambda x: x == x, lambda x: 0 == x, lambda x: x in [0]),
    ],
)
def test_comparisons_are_not_defined(compare):
    with pytest.raises(
        TypeError, match=r"Variables do not support .* operator\. You could use `array` attribute instead\."
    ):
        compare(Variable(X))


@pytest.mark.parametrize("function", [F.floor, F.ceil, F.fix, F.sign, lambda x: x // 2])
@pytest.mark.parametrize("x", [X, Variable(X), Variable(X, requires_grad=False)], ids=["array", "variable", "constant"])
def test_roundings_give_leaves(function, x):
    if isinstance(x, np.ndarray) and function not in (F.floor, F.ceil, F.fix, F.sign):
        x = Variable(x)
    for y in (function(x), jaxchain.static(lambda: function(x))()):
        assert y.creator is None and y.rank <= 0 and not y.requires_grad


@pytest.mark.parametrize("function", [F.broadcast, F.identity])
def test_an_output_that_nobody_uses_gives_its_input_no_gradient(function):
    def gradients():
        x, y = Variable(X), Variable(X)
        F.sum(function(x, y)[1]).backward()
        return x.grad, y.grad

    class Model(jaxchain.Chain):
        def forward(self, x, y):
            return function(x, y)

    x, y = Variable(X), Variable(X)
    assert gradients()[0] is None and jaxchain.static(gradients)()[0] is None
    for call in (function, Model().static()):
        gx, gy = jaxchain.grad([call(x, y)[0]], [x, y], [Variable(X)], enable_double_backprop=True)
        assert gy is None
        np.testing.assert_array_equal(gx.array, X)


def test_normalize_over_all_axes():
    np.testing.assert_allclose(F.normalize(X, axis=None).array, X / (np.sqrt(506) + 1e-5), rtol=1e-6)


SCALARS = [
    np.bool_(True),
    np.float64(0.5),
    np.array(0.5),
    np.array(1),
    jnp.float32(0.5),
    jnp.int32(1),
    Variable(np.float32(0.5)),
]


@pytest.mark.parametrize("n", range(len(SCALARS)))
def test_a_scalar_of_another_kind_changes_nothing_for_the_calls_that_follow(n):
    half = np.linspace(-1, 1, 30 + n).astype(np.float16)  # a shape of its own: planned anew
    for call in (F.leaky_relu, F.elu, F.softplus):
        for scalar in (SCALARS[n], 0.25, 3):
            y = call(Variable(half), scalar)
            expected = call(Variable(half), float(np.asarray(getattr(scalar, "array", scalar))))
            assert y.dtype == y.array.dtype == np.float16
            np.testing.assert_array_equal(y.array, expected.array)
    x = Variable(X[:, : n % 3 + 1])
    for scalar in (np.bool_(True), -2.0, 1e30, 5):
        np.testing.assert_array_equal((x + scalar).array, np.asarray(x.array) + np.float32(scalar))


def test_truth_values_are_added_and_multiplied_as_numpys():
    x = Variable(np.array([True, False]))
    for y, expected in (
        (x + x, [1, 0]),
        (F.add(x, x.array), [1, 0]),
        (x + 1, [1, 1]),
        (x * 2.0, [1, 0]),
        (x / 2, [1, 0]),
    ):
        assert y.dtype == bool and y.array.tolist() == expected


@pytest.mark.parametrize("function", [F.bias, F.scale])
def test_an_array_beside_a_variable_has_its_dtype(function):
    half, own = np.float16([[1, 2, 3]]), Variable(np.float32([1, 2, 3]))
    for x in (half, jnp.asarray(half)):
        assert function(x, own).dtype == np.float32
    with pytest.raises(InvalidType):
        function(Variable(half), own)


def test_a_traced_scalar_is_weakly_typed():
    half = np.linspace(-1, 1, 29).astype(np.float16)
    step = jaxchain.static(lambda a, slope: F.leaky_relu(Variable(a), slope))
    for slope in (np.float32(0.25), np.float32(0.5), 0.5):
        y = step(half, jnp.asarray(slope))
        assert y.dtype == y.array.dtype == np.float16
        np.testing.assert_array_equal(y.array, np.where(half > 0, half, half * np.float16(slope)))
    assert F.leaky_relu(Variable(half), 0.5).dtype == np.float16


def test_a_variable_is_found_by_identity():
    x, y = Variable(X), Variable(X)
    assert x in [x] and {x: 1, y: 2}[y] == 2 and len({x, y}) == 2


def test_arrays_beside_variables_take_their_dtype():
    x = Variable(X)
    for y in (
        x + X.astype(np.float64),
        X.astype(np.float64) + x,
        x * np.int32(2),
        np.float64(2) * x,
        x + True,
        2 - x,
        2 // x,
    ):
        assert isinstance(y, Variable) and y.dtype == np.float32
    assert (Variable(np.int32([1])) + 1.5).array.tolist() == [2]


def test_the_gradient_of_relu_keeps_the_output_only():
    x = Variable(X)
    y = F.relu(x)
    assert len(y.creator.kept) == 1 and concrete(y.creator.kept)[0] is y.array
    assert F.sum(x).creator.kept == ()


def test_operators_in_place_of_methods():
    x = Variable(X)
    assert x.T.shape == (4, 3) and x.reshape(2, -1).shape == (2, 6) and x.transpose(1, 0).shape == (4, 3)
    assert float(x.mean()) == 5.5 and (x**2)[0, 3].array == 9
    assert F.reshape(x, (3, 4)) is x and F.broadcast_to(x, (3, 4)) is x and F.broadcast(x) is x


@pytest.mark.parametrize("shape", [("a",), (None,), (2, "6"), (float("nan"), 3)])
def test_what_is_no_shape_is_said_with_the_line(shape):
    x = Variable(X)
    for name, call in (("reshape", x.reshape), ("broadcast_to", lambda *shape: F.broadcast_to(x, shape))):
        with pytest.raises(TypeError, match=rf"{name}: expected a tuple of integers for a shape(.|\n)*test_details"):
            call(*shape)


def test_the_gradient_of_triplet_keeps_its_digits_far_from_both_samples():
    anchor, positive, negative = (Variable(np.float32([v])) for v in ([1e4, 2e4], [0.3, 0.1], [0.1, 0.9]))
    F.triplet(anchor, positive, negative).backward()
    np.testing.assert_allclose(anchor.grad, [[-0.4, 1.6]], rtol=1e-6)


def test_accuracy_is_computed_in_the_dtype_of_the_scores():
    y, t = np.eye(7, 3), np.int32([0, 1, 2, 1, 1, 1, 1])
    with jax.enable_x64(True):
        assert float(F.accuracy(y, t).array) == 3 / 7
    half = F.accuracy(y.astype(np.float16), t).array
    assert half.dtype == np.float16 and half == np.float16(3 / 7)


def message(call):
    """Return what a call raises."""
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("no error")


ROW = Variable(np.ones((2, 3), np.float32))


@pytest.mark.parametrize(
    ("call", "kind", "names"),
    [
        (lambda: F.sum(None), InvalidType, "sum("),
        (lambda: F.linear(None, ROW), InvalidType, "linear("),
        (lambda: F.linear(ROW, ROW, n_batch_axes=0), ValueError, "linear: n_batch_axes"),
        (lambda: F.linear([[1.0]], ROW, n_batch_axes=2), TypeError, "array, got list"),
        (lambda: F.concat([ROW, None]), InvalidType, "xs[1]"),
        (lambda: F.concat([ROW, [1.0, 2.0]]), InvalidType, "xs[1]"),
        (lambda: F.moveaxis([1, 2], 0, 1), InvalidType, "moveaxis([1, 2], 0, 1)"),
        (lambda: F.moveaxis(None, 0, 1), InvalidType, "NoneType"),
        (lambda: F.tile(ROW, [2]), TypeError, "tile(float32[2,3], [2])"),
        (lambda: F.average_pooling_2d(np.ones((1, 1, 4, 4), "f"), 2, stride=(3,)), ValueError, "stride=(3"),
        (lambda: F.average_pooling_2d(np.ones((1, 1, 1, 4), "f"), 2), AssertionError, "float32[1,1,1,4]"),
        (lambda: F.accuracy(ROW, np.int32(1)), IndexError, "accuracy(y: float32[2,3]"),
        (lambda: F.sum(ROW, bogus=1), TypeError, "sum(float32[2,3], bogus=1)"),
        (lambda: L.Convolution2D(None, 2, 3)(np.float32(1)), IndexError, "Convolution2D(float32[])"),
        (lambda: L.Convolution2D(None, 2, 3)([1, 2]), InvalidType, "list"),
    ],
)
def test_errors_name_the_call_and_the_line(call, kind, names):
    error = message(call)
    assert isinstance(error, kind)
    assert names in str(error)
    assert str(error).count("\nat ") == 1
    assert "test_details.py" in str(error)


def test_errors_of_the_users_own_code_stay_as_they_are():
    class Model(jaxchain.Chain):
        def forward(self, x):
            return F.forget(lambda x: x.bogus, x)

    assert str(message(lambda: Model()(ROW))) == "'Variable' object has no attribute 'bogus'"
    assert str(message(lambda: F.forget(lambda x: {}["key"], ROW))) == "'key'"


def test_every_function_names_itself_in_errors():
    functions = [f for name, f in vars(F).items() if callable(f) and not name.startswith("_")]
    functions.remove(F.linear)  # so often called that it does without; see the rows above
    assert [f for f in functions if not hasattr(f, "op") and not hasattr(f, "__wrapped__")] == []


@pytest.mark.parametrize(
    ("call", "given"),
    [
        (lambda x: F.accuracy(x, np.int32([0, 1])), False),
        (lambda x: F.sum(F.floor(x)), False),
        (lambda x: F.sum(x**0), True),
        (lambda x: F.sum(x * 0), True),
    ],
)
@pytest.mark.parametrize("mode", ["eager", "static"])
def test_what_no_gradient_flows_through_leaves_none(call, given, mode):
    link = jaxchain.Chain()
    with link.init_scope():
        link.x = jaxchain.Parameter(np.full((2, 3), 0.5, np.float32))
    link.forward = lambda: call(link.x)
    with jaxchain.using_config("mode", mode):
        link().backward()
    assert (link.x.grad is not None) == given


@pytest.mark.parametrize("dtypes", [("i", "b"), ("b", "i", "h")])
def test_the_gradient_takes_indices_of_another_dtype_than_the_first_call(dtypes):
    for dtype in dtypes:
        x = Variable(np.float32([[1], [2], [3]]))
        F.sum(F.permutate(x, np.array([2, 0, 1], dtype)) * np.float32([[1], [2], [3]])).backward()
        assert x.grad.ravel().tolist() == [2, 3, 1]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: F.max_pooling_2d(X[None, None], 0), "max_pooling_2d(float32[1,1,3,4], 0)"),
        (lambda: F.batch_normalization(X, X[0], X[0], axis=1.0), "batch_normalization(float32[3,4], "),
        (lambda: F.resize_images(X[None, None], (1, 2, 3)), "got (1, 2, 3)"),
        (lambda: F.im2col(X[None, None], 0), "Expect: ksize > 0"),
        (lambda: F.transpose_sequence([X[0, 0]]), "Expect: x0.ndim > 0"),
        (lambda: F.n_step_gru(1, 0.0, None, [], [], []), "at least one step in xs"),
        (lambda: F.dropout(X, train=True), "Use using_config('train', value)"),
        (lambda: F.elu(X, "a"), "expected a number, got 'a'"),
        (lambda: F.elu(X, 1j), "expected a number, got 1j"),
    ],
)
def test_an_error_names_the_function_that_was_called_and_what_is_wrong(call, said):
    with pytest.raises((TypeError, ValueError, InvalidType)) as caught:
        call()
    assert said in str(caught.value)
    assert "test_details.py" in str(caught.value)


def test_cuts_out_of_order_are_an_error_in_debug_mode():
    with jaxchain.using_config("debug", True), pytest.raises(ValueError, match="sorted"):
        F.split_axis(X, [2, 1], 1)


def test_a_label_without_a_row_has_no_loss_to_be_negatively_sampled():
    loss = F.negative_sampling(X[:2], np.int32([0, 5]), np.eye(5, 4, dtype="f"), lambda s: np.zeros(s, "i"), 2, "no")
    assert np.isfinite(loss.array[0]) and np.isnan(loss.array[1])


@pytest.mark.parametrize(
    "drawn",
    [
        lambda given: F.dropout(X, mask=given, return_mask=True),
        lambda given: F.gaussian(X, X, eps=given, return_eps=True),
        lambda given: F.rrelu(X, r=given, return_r=True),
    ],
)
def test_what_is_given_in_place_of_a_draw_is_returned_as_it_is(drawn):
    given = np.ones_like(X)
    assert drawn(given)[1] is given


@pytest.mark.parametrize(
    ("function", "low", "high"),
    [
        (lambda x, g: F.layer_normalization(F.reshape(x, (2, 16)), F.tile(g, 8), F.tile(g, 8)), -0.01, 0.01),
        (lambda x, g: F.group_normalization(x, 2, g, g), -0.01, 0.01),
        (lambda x, g: F.batch_renormalization(x, g, g, 3, 5, running_mean=g, running_var=g), 1e-4, 2e-4),
        (lambda x, g: F.normalize(x), 1e-4, 2e-4),
        (lambda x, g: F.local_response_normalization(x), 1e2, 1e3),
        (lambda x, g: F.average_pooling_2d(x, 2), 2e4, 6e4),
        (lambda x, g: F.average_pooling_nd(x, 2, pad=1, pad_value=None), 2e4, 6e4),
    ],
)
def test_float16_is_out_of_range_only_where_a_result_is(function, low, high):
    def run(dtype):
        x = Variable(np.linspace(low, high, 32).reshape(2, 2, 2, 4).astype("float16").astype(dtype))
        y = function(x, np.ones(2, dtype))
        (g,) = jaxchain.grad([y], [x], [Variable((np.arange(y.size) % 3).reshape(y.shape).astype(dtype))])
        assert y.dtype == g.dtype == dtype
        return np.float32(y.array), np.float32(g.array)

    for half, single in zip(run("float16"), run("float32"), strict=True):
        np.testing.assert_allclose(half, single, rtol=1e-2, atol=1e-2 * np.abs(single).max())


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (lambda x: x * F.log(x), 0.001, 999.5),  # x ** -2 is no half
        (lambda x: x * F.log1p(x - 1), 0.001, 999.5),
        (lambda x: x * F.log2(x), 0.003, 480.8),
        (lambda x: x * F.log10(x), 0.003, 144.7),
        (F.arctanh, [1.0, -1.0], [np.inf, -np.inf]),
    ],
)
def test_second_gradients_of_halves_and_at_poles(function, x, expected):
    x = Variable(np.float16(x))
    (gx,) = jaxchain.grad([F.sum(function(x))], [x], enable_double_backprop=True)
    (ggx,) = jaxchain.grad([F.sum(gx)], [x])
    np.testing.assert_allclose(np.float32(ggx.array), expected, rtol=2e-3)


def test_a_huber_loss_whose_delta_is_nan():
    x = Variable(np.float32([[1, -2]]))
    loss = F.sum(F.huber_loss(x, np.zeros((1, 2), np.float32), np.nan))
    loss.backward()
    assert np.isnan(loss.array) and np.isnan(x.grad).all()


def test_linear_of_an_empty_batch_of_images():
    assert F.linear(np.ones((0, 2, 3), np.float32), np.ones((4, 6), np.float32)).shape == (0, 4)


def test_nan_stays_nan():
    x = Variable(np.float32([[1, np.nan], [3, 4]]))
    y = F.normalize(x)
    assert np.isnan(y.array).tolist() == [[True, True], [False, False]]
    (gx,) = jaxchain.grad([F.sum(F.log_ndtr(x))], [x])
    assert np.isnan(gx.array).tolist() == [[False, True], [False, False]]
    h, w, b = np.ones((1, 2, 2), np.float32), [np.ones((2, 2), np.float32)] * 2, [np.zeros(2, np.float32)] * 2
    _, ys = F.n_step_rnn(1, 0.0, h, [w], [b], [x], activation="relu")
    assert np.isnan(ys[0].array).tolist() == [[True, True], [False, False]]
