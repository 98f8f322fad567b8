"""Chainer's classes of functions. The values are Chainer 7.8.1's."""

import pickle

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
from jaxchain.interop.function_classes import class_of

x, y = (jaxchain.Variable(np.array(v, "f")) for v in ([1, 2], [3, 4]))
image = np.arange(8, dtype="f").reshape(1, 1, 8)
APPLIED = [
    ("Add", (), (x, y), [4, 6], "_ + _"),
    ("AddConstant", (-2,), (x,), [-1, 0], "_ + (-2)"),
    ("SubFromConstant", (2,), (x,), [1, 0], "2 - _"),
    ("DivFromConstant", (2,), (x,), [2, 1], "2 / _"),
    ("PowConstVar", (2,), (x,), [2, 4], "2 ** _"),
    ("Neg", (), (x,), [-1, -2], "__neg__"),
    ("Square", (), (x,), [1, 4], "square"),
    ("PolyGamma", (), (np.array([0, 0], "i"), np.array([1, 1], "f")), [-0.5772157] * 2, "polygamma"),
    ("Max", (None,), (x,), 2, "Max"),
    ("Where", (np.array([True, False]),), (x, y), [1, 4], "Where"),
    ("BroadcastTo", ((1, 2),), (x,), [[1, 2]], "BroadcastTo"),
    ("MaxPoolingND", (1, 2), (image,), [[[1, 3, 5, 7]]], "MaxPoolingND"),
    ("AveragePoolingND", (1, 4, 4), (image,), [[[1.5, 5.5]]], "AveragePoolingND"),
    ("ConvolutionND", (1, 3), (image, np.ones((1, 1, 2), "f")), [[[1, 7, 13]]], "ConvolutionND"),
    ("Concat", (0,), (x, y, x), [1, 2, 3, 4, 1, 2], "Concat"),
    ("Stack", (1,), (x, y), [[1, 3], [2, 4]], "Stack"),
    ("Hstack", (), (x,), [1, 2], "Hstack"),
    ("PadSequence", (3, 9), (x,), [[1, 2, 9]], "PadSequence"),
    ("TransposeSequence", (2,), (x, y), [1, 3], "TransposeSequence"),
    ("FFT", ("fft",), (x, y), [3, -1], "FFT"),
    ("EinSum", ("i,i", ""), (x, y), 11, "EinSum"),
    ("Mean", (None, False), (x,), 1.5, "Mean"),
    ("Zeta", (np.float32([2, 3]),), (x,), [1.6449341, 0.2020569], "zeta"),
    ("GroupNormalization", (1, 0.0), (np.float32([[1, 3]]), x, y), [[2, 6]], "GroupNormalization"),
    ("Dropout", (0.5, np.float32([0, 2])), (x,), [0, 4], "Dropout"),
    ("SimplifiedDropconnect", (0.5, np.eye(2), False), (x.reshape(1, 2), np.eye(2, dtype="f")), [[2, 4]], None),
    ("CooMatMul", (np.int32([1, 0]), np.int32([0, 1]), (2, 2)), (x, np.ones((2, 1), "f")), [[2], [1]], "CooMatMul"),
]


@pytest.mark.parametrize("row", APPLIED, ids=[row[0] for row in APPLIED])
def test_a_class_computes_what_chainers_does(row):
    name, args, inputs, expected, label = row
    cls = class_of(name)
    function = cls(*args)
    np.testing.assert_allclose(function.apply(inputs)[0].array, expected, rtol=1e-6)
    assert function.label == (label or name)


def test_nodes_are_instances_of_their_class_only():
    made = {"Add": x + y, "AddConstant": 2 + x, "MulConstant": x / 2, "SubFromConstant": 2 - x, "Sub": x - y}
    made |= {"PowVarConst": x**2, "PowConstVar": 2**x, "PowVarVar": x**y, "Exp": F.exp(x), "Log1p": F.log1p(x)}
    made |= {"MultiAdd": F.add(x, y, x), "BatchDet": F.batch_det(np.eye(2, dtype="f")[None] * x[0])}
    for name in made:
        assert [k for k, v in made.items() if isinstance(v.creator, class_of(name))] == [name]


def test_gradients_of_a_class_are_derived():
    (first,) = jaxchain.grad([F.sum(class_of("Mul")().apply((x, x))[0])], [x], enable_double_backprop=True)
    assert first.array.tolist() == [2, 4]
    assert jaxchain.grad([F.sum(first * first)], [x])[0].array.tolist() == [8, 16]


def ones(n):
    return [jaxchain.Variable(np.full((6, 7), k + 1, "f")) for k in range(n)]


NOISE = [
    ("Dropout", (0.5,), ones(1), lambda y, gx: gx, "mask"),
    ("Gaussian", (), ones(2), lambda y, gmean, gvar: gmean + 2 * gvar, "eps"),
    ("RReLU", (0.1, 0.3), [-v for v in ones(1)], lambda y, gx: -gx, "r"),
    ("Zoneout", (0.5,), ones(2), lambda y, gh, gx: gh + 2 * gx, "flag_h"),
]


@pytest.mark.parametrize("row", NOISE, ids=[row[0] for row in NOISE])
def test_the_gradient_of_a_noisy_class_is_that_of_what_was_drawn(row):
    name, args, inputs, expected, kept = row
    function = class_of(name)(*args)
    (y,) = function.apply(inputs)
    gradients = jaxchain.grad([y], inputs, [ones(1)[0]])
    np.testing.assert_allclose(y.array, expected(y, *gradients).array, rtol=1e-5)
    assert getattr(function, kept).shape == y.shape
    assert name == "Zoneout" or (function.apply(inputs)[0].array == y.array).all()


@pytest.mark.parametrize("name", ["Dropout", "Zoneout"])
def test_a_noisy_class_is_noisy_in_evaluation(name):
    with jaxchain.using_config("train", False):
        (y,) = class_of(name)(0.5).apply(ones(1 if name == "Dropout" else 2))
    assert len(np.unique(y.array)) == 2


def test_batch_normalization_updates_its_statistics_once():
    mean, var = np.zeros(1, "f"), np.ones(1, "f")
    function = class_of("BatchNormalization")(1e-5, mean, var, 0.5)
    inputs = [jaxchain.Variable(np.array(v, "f")) for v in ([[1], [3]], [1], [0])]
    jaxchain.grad(list(function.apply(inputs)), inputs, [inputs[0]])
    assert mean.tolist() == function.running_mean.tolist() == [1] and var.tolist() == [1.5]


class Doubled(class_of("LinearFunction")):
    def forward_cpu(self, inputs):
        (y,) = super().forward_cpu(inputs)
        y *= 2
        return (y,)

    def backward(self, indexes, gys):
        assert len(self.get_retained_inputs()) == 2
        return tuple(2 * g for g in super().backward(indexes, gys))


def test_a_subclass_may_replace_forward_cpu_in_both_modes():
    def step(x, W, b):
        inputs = [jaxchain.Variable(v) for v in (x, W, b)]
        (out,) = Doubled().apply(inputs)
        return [out.array] + [g.array for g in jaxchain.grad([out], inputs)]

    arrays = np.float32([[1, 2]]), np.float32([[3, 4]]), np.float32([5])
    for run in (step, jaxchain.static(step)):
        assert [v.tolist() for v in run(*arrays)] == [[[32]], [[6, 8]], [[2, 4]], [2]]


def test_sizes_are_attributes_as_chainers():
    class Twice(class_of("Pooling2D")):
        def forward(self, inputs):
            return (inputs[0].repeat(self.kh, 2).repeat(self.sx, 3),)

    assert Twice((2, 3), 1).apply((image[None],))[0].shape == (1, 1, 2, 8)
    with pytest.raises(jaxchain.utils.type_check.InvalidType, match="ndim"):
        Twice(2).apply((image,))
    function = class_of("Convolution2DFunction")(2, (1, 0), cudnn_fast=True)
    assert (function.sy, function.sx, function.ph, function.pw, function.groups) == (2, 2, 1, 0, 1)
    function = class_of("Unpooling2D")(2, outsize=(4, 5))
    assert (function.kh, function.sx, function.outh, function.outw, function.cover_all) == (2, 2, 4, 5, True)
    with pytest.raises(TypeError, match=r"Dropout: .*dropout_ratio(.|\n)*test_function_classes.py:"):
        class_of("Dropout")()


def test_hooks_see_a_class_once():
    seen = []

    class Labels(jaxchain.FunctionHook):
        def forward_postprocess(self, function, in_data):
            seen.append(function.label)

    with Labels():
        F.sum(class_of("ReLU")().apply((x,))[0]).backward()
    assert seen[:2] == ["ReLU", "Sum"] and "ReLU" not in seen[1:]


def test_a_class_can_be_pickled():
    function = pickle.loads(pickle.dumps(class_of("AddConstant")(2)))
    assert function.apply((x,))[0].array.tolist() == [3, 4]


def test_there_is_no_class_of_what_jaxchain_has_no_function_of():
    assert class_of("BaseNStepRNN") is None and class_of("TheanoFunction") is None
