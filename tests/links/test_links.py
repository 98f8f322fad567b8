"""Every link against real Chainer: forward, gradients, persistent values, serialised keys; in both modes."""

from __future__ import annotations

import pathlib

import link_cases
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L

CONFORMANCE = pathlib.Path(__file__).parent.parent / "conformance"


GOLDEN = np.load(CONFORMANCE / "golden" / "links.npz")
# Twice the largest difference seen between eager and static on these rows; float32.
RTOL, ATOL = 2e-5, 4e-6


def golden(name):
    """Return Chainer's answers for a row."""
    return {key[len(name) + 1 :]: GOLDEN[key] for key in GOLDEN if key.startswith(name + "/")}


def load(case, answers):
    """Return the row's link with Chainer's parameters, loaded under Chainer's keys."""
    link = case.build(L)
    before = {key[len("before/") :]: value for key, value in answers.items() if key.startswith("before/")}
    jaxchain.serializers.NpzDeserializer(before).load(link)
    return link


@pytest.mark.parametrize("mode", ["eager", "static"])
@pytest.mark.parametrize("case", link_cases.CASES, ids=lambda c: c.name)
def test_against_chainer(case, mode):
    answers = golden(case.name)
    link = load(case, answers)
    with jaxchain.using_config("mode", mode):
        found = link_cases.run(case, jaxchain, link, np.asarray)
    expected = {k: v for k, v in answers.items() if not k.startswith(("before/", "namedparams", "str"))}
    assert sorted(found) == sorted(expected)
    for key, value in expected.items():
        assert found[key].shape == value.shape, key
        if not key.endswith("/N"):
            assert found[key].dtype == value.dtype, key
        # relative to the largest element: a small one may be the rest of large ones that cancel
        atol = ATOL * max(1.0, float(np.abs(value).max(initial=0)) if value.dtype.kind == "f" else 1.0)
        np.testing.assert_allclose(found[key], value, rtol=RTOL, atol=atol, err_msg=key)


@pytest.mark.parametrize("case", link_cases.CASES, ids=lambda c: c.name)
def test_names_and_keys(case):
    answers = golden(case.name)
    link = load(case, answers)
    names = answers["namedparams"]
    assert sorted(path for path, _ in link.namedparams()) == (names.split() if isinstance(names, str) else list(names))
    keys = sorted(key[len("before/") :] for key in answers if key.startswith("before/"))
    assert sorted(link_cases.entries_of(jaxchain, link)) == keys


@pytest.mark.parametrize("name", ["linear", "convolution_2d", "batch_normalization", "embed_id", "lstm"])
def test_str_is_chainers(name):
    case = next(c for c in link_cases.CASES if c.name == name)
    answers = golden(name)
    assert str(load(case, answers)) == str(answers["str"])


def _fresh_runs(case):
    for mode in ("eager", "static"):
        jaxchain.seed(3)
        link = case.build(L)
        with jaxchain.using_config("mode", mode):
            yield [np.asarray(y.array) for y in link_cases.flatten(link(*case.calls[0], **case.kwargs))]


@pytest.mark.parametrize("case", link_cases.CASES, ids=lambda c: c.name)
def test_lazy_initialisation_is_the_same_in_both_modes(case):
    eager, static = _fresh_runs(case)
    for a, b in zip(eager, static, strict=True):
        np.testing.assert_allclose(a, b, rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize(
    ("build", "path", "mean", "deviation"),
    [
        (lambda: L.Linear(400, 300), "/W", 0, 400**-0.5),
        (lambda: L.Convolution2D(40, 60, 5), "/W", 0, (40 * 25) ** -0.5),
        (lambda: L.Deconvolution2D(60, 40, 5), "/W", 0, (40 * 25) ** -0.5),
        (lambda: L.EmbedID(300, 200), "/W", 0, 1),
        (lambda: L.LSTM(300, 100), "/upward/W", 0, 300**-0.5),
        (lambda: L.LSTM(300, 100), "/lateral/W", 0, 100**-0.5),
        (lambda: L.NStepLSTM(1, 300, 100, 0.0), "/0/w0", 0, 300**-0.5),
        (lambda: L.NStepLSTM(1, 300, 100, 0.0), "/0/w4", 0, 100**-0.5),
        (lambda: L.PReLU((3,)), "/W", 0.25, 0),
        (lambda: L.BatchNormalization(3), "/gamma", 1, 0),
        (lambda: L.LayerNormalization(3), "/beta", 0, 0),
    ],
)
def test_initial_law(build, path, mean, deviation):
    jaxchain.seed(0)
    array = np.asarray(dict(build().namedparams())[path].array)
    assert abs(array.mean() - mean) <= 4 * deviation / array.size**0.5
    assert array.std() == pytest.approx(deviation, rel=0.02)


def test_lstm_biases_are_interleaved():
    b = np.asarray(L.LSTM(2, 3).upward.b.array)
    np.testing.assert_array_equal(b, [0, 0, 1, 0] * 3)
    b = np.asarray(L.LSTM(2, 3, bias_init=5, forget_bias_init=7).upward.b.array)
    np.testing.assert_array_equal(b, [5, 5, 7, 5] * 3)


def test_lstm_initializers_see_one_gate():
    seen = []

    def init(array):
        seen.append(array.shape)
        array[...] = len(seen)

    link = L.LSTM(2, 3, upward_init=init, lateral_init=init)
    assert seen == [(3, 2)] * 4 + [(3, 3)] * 4
    np.testing.assert_array_equal(np.asarray(link.upward.W.array)[:, 0], np.repeat([1, 2, 3, 4], 3))


def test_lstm_state():
    link = L.LSTM(4, 3)
    assert link.c is None and link.h is None
    y = link(np.ones((2, 4), np.float32))
    assert link.h is y and link.c.shape == (2, 3)
    with pytest.raises(TypeError, match="batch size of x must be equal to or less"):
        link(np.ones((3, 4), np.float32))
    link.reset_state()
    assert link.c is None and link.h is None
    with pytest.raises(TypeError, match="expected a Variable, got ndarray"):
        link.set_state(np.ones((1, 3)), np.ones((1, 3)))


@pytest.mark.parametrize("mode", ["eager", "static"])
def test_batch_normalization_modes(mode):
    x = np.random.RandomState(0).randn(6, 3).astype(np.float32) + 2
    bn = L.BatchNormalization(3, decay=0.5)
    with jaxchain.using_config("mode", mode):
        for _ in range(20):
            bn(x)
        np.testing.assert_allclose(bn.avg_mean, x.mean(0), rtol=1e-4)
        np.testing.assert_allclose(bn.avg_var, x.var(0, ddof=1), rtol=1e-4)
        with jaxchain.using_config("train", False):
            y = bn(x)
        np.testing.assert_allclose(y.array, (x - x.mean(0)) / np.sqrt(x.var(0, ddof=1) + 2e-5), rtol=1e-4, atol=1e-5)
        bn.start_finetuning()
        for i in range(3):
            bn(x + i, finetune=True)
        assert type(bn.N) is int and bn.N == 3
        shared = bn.copy("share")
        bn.N = 0
        assert shared.N == 3 and shared.avg_mean is bn.avg_mean
        np.testing.assert_allclose(bn.avg_mean, x.mean(0) + 1, rtol=1e-5)


def test_batch_normalization_needs_a_size():
    with pytest.raises(RuntimeError, match="size or axis is required"):
        L.BatchNormalization()


def test_batch_normalization_dtype_does_not_change_the_initializer():
    one = jaxchain.initializers.One()
    bn = L.BatchNormalization(2, dtype=np.float16, initial_gamma=one)
    assert bn.gamma.dtype == np.float16 and one.dtype is None


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: L.Convolution2D(3, 4, 2, groups=2), ValueError, "number of input channels must be divisible"),
        (lambda: L.Convolution2D(4, 3, 2, groups=2), ValueError, "number of output channels must be divisible"),
        (lambda: L.Convolution2D(4, 3, 2, deterministic=True), ValueError, "cudnn_deterministic"),
        (
            lambda: L.Convolution2D(4, 3, 2, colour="red"),
            TypeError,
            "Convolution2D: unexpected keyword argument 'colour'",
        ),
        (lambda: L.Scale(1, bias_term=True), ValueError, "bias_shape should be given"),
        (lambda: L.Scale(1, (2,))(np.ones(2), np.ones(2)), ValueError, "Scale: expected 1 input, got 2: .* 'W'"),
        (lambda: L.Bias(1)(np.ones(2)), ValueError, "Bias: expected 2 inputs, got 1: it has no parameter 'b'"),
        (lambda: L.Linear(2.5, 2), TypeError, r"whole numbers, got \(2, 2.5\)"),
        (lambda: L.BatchNormalization({}), TypeError, "whole numbers, got {}"),
        (lambda: L.MLPConvolution2D(3, (2, 2), wscale=1), ValueError, "wscale is not supported"),
        (lambda: L.Classifier(L.Linear(3), label_key=1.5), TypeError, "label_key must be int or str"),
        (lambda: L.Linear(3, initialW=[1, 2]), TypeError, "invalid type of initializer"),
        (lambda: L.Maxout(2, 3, 2, initialW=np.ones((6, 2))), ValueError, "initialW.ndim should be 3"),
        (lambda: L.Linear.from_params(np.ones((3, 2)), np.ones(2)), ValueError, "does not match the size of `b`"),
    ],
)
def test_bad_arguments(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_only_parameters_that_are_learnt_are_attributes():
    found = [hasattr(L.Scale(1, (2,)), "W"), hasattr(L.Scale(1, (2,)), "bias"), hasattr(L.Scale(1), "W")]
    assert found == [True, False, False] and not hasattr(L.Bias(1), "b")


def test_from_params():
    W, b = np.ones((3, 2), np.float32), np.arange(3, dtype=np.float32)
    y = L.Linear.from_params(W, b)(np.ones((1, 2), np.float32))
    np.testing.assert_array_equal(y.array, [[2, 3, 4]])
    assert L.Linear.from_params(W).b is not None and L.Linear.from_params(W, nobias=True).b is None
    V = np.ones((4, 1, 2, 3), np.float32)
    link = L.Convolution2D.from_params(jaxchain.Variable(V), groups=2, stride=2)
    assert (link.in_channels, link.out_channels, link.ksize, link.stride) == (2, 4, (2, 3), (2, 2))
    E = L.EmbedID.from_params(W, ignore_label=-1)
    np.testing.assert_array_equal(E(np.array([0, -1], np.int32)).array, [[1, 1], [0, 0]])


def test_user_initializer_fills_a_buffer():
    class Ramp(jaxchain.initializers.Initializer):
        def __call__(self, array):
            array[...] = np.arange(array.size).reshape(array.shape)

    for link in (L.Linear(2, 3, initialW=Ramp()), L.Linear(None, 3, initialW=Ramp())):
        link(np.ones((1, 2), np.float32))
        np.testing.assert_array_equal(link.W.array, [[0, 1], [2, 3], [4, 5]])


@pytest.mark.parametrize("mode", ["eager", "static"])
def test_classifier_reports(mode):
    model = L.Classifier(L.Linear(4, 3))
    x, t = np.ones((5, 4), np.float32), np.zeros(5, np.int32)
    reporter = jaxchain.reporter.Reporter()
    reporter.add_observer("main", model)
    seen = []
    with jaxchain.using_config("mode", mode):
        for _ in range(2):
            observation = {}
            with reporter.scope(observation):
                loss = model(x, t)
            assert float(observation["main/loss"].array) == pytest.approx(float(loss.array))
            seen.append(sorted(observation))
    assert seen == [["main/accuracy", "main/loss"]] * 2
    assert F.accuracy(model.predictor(x), t).shape == ()


def test_classifier_label_keys():
    x, t = np.ones((5, 4), np.float32), np.zeros(5, np.int32)
    named = L.Classifier(L.Linear(4, 3), label_key="t")
    assert named(x, t=t).shape == ()
    with pytest.raises(ValueError, match='Label key "t" is not found'):
        named(x)
    with pytest.raises(ValueError, match="Label key 3 is out of bounds"):
        L.Classifier(L.Linear(4, 3), label_key=3)(x, t)
    plain = L.Classifier(L.Linear(4, 3))
    plain.compute_accuracy = False
    plain(x, t)
    assert plain.accuracy is None and plain.y.shape == (5, 3)


def test_copies_do_not_share_lists():
    link = L.NStepLSTM(1, 2, 3, 0.0)
    copied = link.copy("copy")
    copied[0].w0.array = copied[0].w0.array * 0
    assert float(np.abs(link.ws[0][0].array).sum()) > 0
    assert copied.ws[0][0] is copied[0].w0


@pytest.mark.parametrize("integer", [np.int32, np.int64])
def test_sizes_may_be_numpy_integers(integer):
    """``n_vocab = max(words) + 1`` is one."""
    three, four = integer(3), integer(4)
    x, image = np.ones((2, 3), np.float32), np.ones((2, 3, 6, 6), np.float32)
    assert L.Linear(three, four)(x).shape == L.Linear(None, four)(x).shape == (2, 4)
    assert L.BatchNormalization(three)(x).shape == L.BatchRenormalization(three)(x).shape == (2, 3)
    assert L.Convolution2D(three, four, three, stride=integer(1), pad=integer(1))(image).shape == (2, 4, 6, 6)
    assert L.EmbedID(three, four)(np.zeros(2, np.int32)).shape == (2, 4)
    assert L.LSTM(three, four)(x).shape == (2, 4)
    assert L.InceptionBN(*[three] * 6, "max", three)(image).shape[0] == 2
    assert jaxchain.Parameter(0, four).shape == (4,)
    assert jaxchain.Parameter(0, np.array([3, 4])).shape == (3, 4)
    assert all(type(n) is int for n in jaxchain.Parameter(0, (three, four)).shape)


def test_parameter_link_gives_a_variable_made_by_identity():
    link = L.Parameter(np.ones((2, 3), np.float32))
    y = link()
    assert type(y) is jaxchain.Variable and y.creator.label == "Identity" and y.creator.inputs[0] is link.W.node


@pytest.mark.parametrize("shape", [None, (4,)])
def test_swish_takes_an_initializer(shape):
    link = L.Swish(shape, jaxchain.initializers.Constant(3.0))
    link(np.ones((2, 4), np.float32))
    np.testing.assert_array_equal(link.beta.array, [3.0] * 4)


def test_what_a_shared_copy_shares_is_persistent_already():
    link = L.Linear(2, 2)
    link.add_persistent("mask", np.ones(2, np.float32))
    link.copy("share")
    with pytest.raises(AttributeError, match="mask"):
        link.add_persistent("mask", np.zeros(2, np.float32))
