"""Chainer's classes of functions. The values are Chainer 7.8.1's."""

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
]


@pytest.mark.parametrize("row", APPLIED, ids=[row[0] for row in APPLIED])
def test_a_class_computes_what_chainers_does(row):
    name, args, inputs, expected, label = row
    cls = class_of(name)
    function = cls(*args)
    np.testing.assert_allclose(function.apply(inputs)[0].array, expected, rtol=1e-6)
    assert function.label == label


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


def test_there_is_no_class_of_what_jaxchain_has_no_function_of():
    assert class_of("BaseNStepRNN") is None and class_of("TheanoFunction") is None
