"""`utils`: what functions that users write need. The values are Chainer 7.8.1's."""

import os
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
from jaxchain import utils
from jaxchain.utils import argument, cache, conv, conv_nd, imgproc, precision, type_check

ROWS = [
    (lambda: utils.force_array(np.float32(3)), np.float32, 3),
    (lambda: utils.force_array(2.0, np.float16), np.float16, 2),
    (lambda: utils.force_array(jnp.ones(2, "f"), np.float16), np.float16, [1, 1]),
    (lambda: utils.force_type(np.float32, np.float64(2)), np.float32, 2),
    (lambda: utils.force_type(np.float32, np.ones(2)), np.float32, [1, 1]),
    (lambda: utils.sum_to(np.ones((2, 3, 4), "f"), (3, 1)), np.float32, [[8], [8], [8]]),
    (lambda: utils.sum_to(jnp.ones((2, 3), "f"), ()), np.float32, 6),
    (lambda: utils.sum_to(jnp.ones((2, 3), "f"), (2, 3)), np.float32, [[1, 1, 1], [1, 1, 1]]),
]


@pytest.mark.parametrize("row", ROWS)
def test_arrays(row):
    value = row[0]()
    assert value.dtype == row[1] and np.asarray(value).tolist() == row[2]


def test_sizes():
    assert (utils.get_conv_outsize, utils.get_deconv_outsize) == (conv.get_conv_outsize, conv.get_deconv_outsize)
    assert [utils.size_of_shape(s) for s in ((2, 3, 4), ())] == [24, 1]
    given = [(5, 3, 2, 1), (5, 3, 2, 1, True), (6, 3, 2, 0, True, 2), (7, 2, 3, 0, False, 3)]
    assert [conv.get_conv_outsize(*a) for a in given] == [3, 3, 2, 2]
    given = [(3, 3, 2, 1), (3, 3, 2, 1, True), (3, 3, 2, 0, False, 2)]
    assert [conv.get_deconv_outsize(*a) for a in given] == [5, 4, 9]


def test_windows():
    x = np.arange(32.0).reshape(1, 2, 4, 4)
    c = conv.im2col_cpu(x, 3, 2, 2, 1, 1, 0)
    assert c.shape == (1, 2, 3, 2, 2, 3) and c.sum() == 906
    assert c[0, 1, 2, 1].tolist() == [[21, 22, 23], [29, 30, 31]]
    covering = conv.im2col_cpu(x, 2, 2, 2, 2, 1, 1, 7.0, True, 1, 2)
    assert covering.shape == (1, 2, 2, 2, 3, 3) and covering.sum() == 792
    d = conv.col2im_cpu(c, 2, 1, 1, 0, 4, 4)
    assert d[0, 1].tolist() == [[16, 34, 36, 19], [40, 84, 88, 46], [24, 50, 52, 27], [28, 58, 60, 31]]

    np.testing.assert_array_equal(conv.im2col(x, 2, 2, 2, 2, 1, 1, True), conv.im2col_cpu(x, 2, 2, 2, 2, 1, 1, 0, True))


def test_ten_crops_of_each_image():
    images = list(np.arange(2 * 3 * 5 * 7).reshape(2, 3, 5, 7))
    crops = imgproc.oversample(images, (2, 4))
    assert crops.shape == (20, 3, 2, 4)
    corners = [0, 3, 21, 24, 8]  # upper left, upper right, lower left, lower right, centre
    assert crops[:5, 0, 0, 0].tolist() == corners and crops[10:15, 0, 0, 0].tolist() == [105 + c for c in corners]
    np.testing.assert_array_equal(crops[5:10], crops[:5, :, :, ::-1])
    with pytest.raises(ValueError, match="crops of 6 x 4 do not fit into images of 5 x 7"):
        imgproc.oversample(images, (6, 4))


def test_arguments():
    def f(**kwargs):
        return argument.parse_kwargs(kwargs, ("a", 1), ("b", 2), c="c is gone")

    assert (f(), f(b=5)) == ((1, 2), (1, 5))
    with pytest.raises(ValueError, match="c is gone"):
        f(c=1)
    with pytest.raises(TypeError, match=r"^f\(\) got unexpected keyword argument\(s\) 'y', 'z'$"):
        f(z=1, a=2, y=3)
    with pytest.raises(TypeError, match=r"^<lambda>\(\) got unexpected keyword argument\(s\) 'z'$"):
        (lambda: argument.assert_kwargs_empty({"z": 1}))()


def test_experimental(monkeypatch):
    with pytest.warns(FutureWarning, match=r"my\.api is experimental"):
        utils.experimental("my.api")
    monkeypatch.setattr(jaxchain, "disable_experimental_feature_warning", True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        utils.experimental("my.api")
    assert utils.collections_abc.Iterable
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        utils.nondeterministic("f")
    with jaxchain.using_config("warn_nondeterministic", True), pytest.warns(UserWarning, match="f may be"):
        utils.nondeterministic("f")


def test_temporary_folders(tmp_path):
    with utils.tempdir(dir=tmp_path, prefix="a") as path:
        assert os.path.isdir(path) and os.path.basename(path).startswith("a")
    assert not os.path.exists(path)


def test_samplers_move():
    sampler = utils.WalkerAlias([0, 3, 1])
    assert sampler.device == jaxchain.get_device("@numpy")
    assert sampler.to_cpu() is sampler and sampler.threshold.devices() == {jax.devices("cpu")[0]}
    assert sampler.sample((2, 3)).shape == (2, 3)


@pytest.mark.parametrize(
    ("args", "total", "back"),
    [
        (((2, 3, 2), (1, 2, 1), (1, 0, 1)), 102624, 214362),
        (((2, 2, 2), (2, 2, 2), (0, 1, 0), -1, True), 19961, 41834),
        (((2, 2, 2), (1, 1, 1), (0, 0, 0), 0, False, (1, 2, 2)), 34042, 63681),
    ],
)
def test_windows_along_three_axes(args, total, back):
    x = np.arange(120.0).reshape(1, 2, 3, 5, 4)
    col = conv_nd.im2col_nd_cpu(x, *args)
    col *= np.arange(col.size).reshape(col.shape) % 7
    image = conv_nd.col2im_nd(col, args[1], args[2], x.shape[2:], args[5] if len(args) > 5 else 1)
    assert col.sum() == total and (image * (np.arange(120).reshape(x.shape) % 5)).sum() == back


def test_windows_are_checked():
    x = np.ones((1, 1, 2, 2))
    assert conv_nd.im2col_nd(x, (2, 2), (1, 1), (0, 0), True, 1).shape == (1, 1, 2, 2, 1, 1)
    with pytest.raises(AssertionError, match="2 elements of ksize"):
        conv_nd.im2col_nd(x, (2,), (1, 1), (0, 0))
    with pytest.raises(AssertionError, match="should be positive"):
        conv_nd.im2col_nd(x, (3, 3), (1, 1), (0, 0))
    assert conv_nd.as_tuple(2, 3) == (2, 2, 2) and conv_nd.as_tuple([1, 2], 2) == (1, 2)


def test_cached_property_is_computed_once_with_and_once_without_a_graph():
    class Holder:
        calls = 0

        @cache.cached_property
        def y(self):
            self.calls += 1
            return jaxchain.functions.exp(jaxchain.Variable(np.zeros(1, "f")))

    holder = Holder()
    assert holder.y is holder.y and holder.y.creator is not None and holder.calls == 1
    with jaxchain.no_backprop_mode():
        assert holder.y is holder.y and holder.y.creator is None and holder.calls == 2
    with pytest.raises(AttributeError, match="'y' of Holder cannot be set"):
        holder.y = 1


def test_half_precision_is_computed_in_single():
    class Sum:
        @precision._fp16_mixed_precision_helper
        def forward(self, inputs):
            self.seen = [x.dtype for x in inputs]
            return inputs[0] + inputs[1].astype("f"), None

    s, half = Sum(), np.ones(2, np.float16)
    assert s.forward((half, np.ones(2, "i")))[0].dtype == np.float16 and s.seen == [np.float32, np.int32]
    assert s.forward((half, np.ones(2, "f")))[0].dtype == np.float32


X = type_check.make_variable(5, "x")


@pytest.mark.parametrize(
    ("expression", "text", "value"),
    [
        (X | 2 ^ X & 3, "x | 2 ^ x & 3", 7),
        (1 << X >> 2, "1 << x >> 2", 8),
        ((X + 1) << 2, "x + 1 << 2", 24),
        (X << (X >> 1), "x << (x >> 1)", 20),
        (-(X + 1), "-(x + 1)", -6),
        (+X + ~X, "+x + ~x", -1),
        (2**X**1, "2 ** x ** 1", 32),
        ((2**X) ** 2, "(2 ** x) ** 2", 1024),
        ((-X) ** 2 == 25, "(-x) ** 2 == 25", True),
        ((X | 2) == 7, "x | 2 == 7", True),
        ((X == 5) == True, "(x == 5) == True", True),  # noqa: E712
    ],
)
def test_type_check_expressions(expression, text, value):
    assert str(expression) == text and type_check.eval(expression) == value
