"""Rows for links: how to build one, and what to call it with. Run by real Chainer and by jaxchain.

A row is data: `build` gets the module of links, `calls` the arguments of each call, all in one graph. The oracle
imports this file too (Python 3.11, NumPy 1.23).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Case:
    """One link with one way to call it."""

    name: str
    build: Callable[[Any], Any]
    calls: list
    kwargs: dict


def case(name, build, *calls, **kwargs):
    """Return a row; each call is a tuple of arguments."""
    return Case(name, build, list(calls), kwargs)


def floats(seed, *shape):
    """Return reproducible float32 numbers."""
    return np.random.RandomState(seed).randn(*shape).astype(np.float32)


def ids(seed, high, *shape):
    """Return reproducible int32 ids."""
    return np.random.RandomState(seed).randint(0, high, shape).astype(np.int32)


IMAGES = floats(7, 2, 4, 6, 5)
VECTORS = floats(8, 5, 4)

CASES = [
    case("linear", lambda L: L.Linear(4, 3), (VECTORS,)),
    case("linear_lazy", lambda L: L.Linear(3), (floats(1, 2, 3, 4),)),
    case("linear_lazy_none", lambda L: L.Linear(None, 3, nobias=True), (VECTORS,)),
    case("linear_batch_axes", lambda L: L.Linear(None, 3), (floats(1, 2, 3, 4),), n_batch_axes=2),
    case("bias", lambda L: L.Bias(1, (4,)), (VECTORS,)),
    case("bias_axis0", lambda L: L.Bias(0, (2, 4)), (IMAGES,)),
    case("bias_given", lambda L: L.Bias(1), (VECTORS, floats(2, 4))),
    case("scale", lambda L: L.Scale(1, (4,)), (IMAGES,)),
    case("scale_bias", lambda L: L.Scale(1, (4, 6), bias_term=True), (IMAGES,)),
    case("scale_given_bias", lambda L: L.Scale(1, bias_term=True, bias_shape=(4,)), (VECTORS, floats(2, 4))),
    case("embed_id", lambda L: L.EmbedID(6, 3), (ids(3, 6, 4, 2),)),
    case("embed_id_ignore", lambda L: L.EmbedID(6, 3, ignore_label=-1), (ids(3, 7, 9) - 1,)),
    case("convolution_2d", lambda L: L.Convolution2D(4, 3, 3, pad=1), (IMAGES,)),
    case("convolution_2d_lazy", lambda L: L.Convolution2D(None, 6, (2, 3), stride=2, nobias=True), (IMAGES,)),
    case("convolution_2d_short", lambda L: L.Convolution2D(3, 2), (IMAGES,)),
    case("convolution_2d_groups", lambda L: L.Convolution2D(4, 6, 3, 1, (1, 2), groups=2, dilate=2), (IMAGES,)),
    case("deconvolution_2d", lambda L: L.Deconvolution2D(4, 3, 3), (IMAGES,)),
    case("deconvolution_2d_lazy", lambda L: L.Deconvolution2D(None, 3, 4, stride=2, pad=1), (IMAGES,)),
    case("deconvolution_2d_outsize", lambda L: L.Deconvolution2D(4, 2, 3, 2, 1, outsize=(12, 10)), (IMAGES,)),
    case("deconvolution_2d_groups", lambda L: L.Deconvolution2D(4, 6, 3, 2, 1, True, groups=2, dilate=2), (IMAGES,)),
    case("batch_normalization", lambda L: L.BatchNormalization(4), (VECTORS,), (floats(9, 3, 4),)),
    case(
        "batch_normalization_2d", lambda L: L.BatchNormalization(4, decay=0.5, eps=1e-3), (IMAGES,), (IMAGES * 3 + 1,)
    ),
    case("batch_normalization_lazy", lambda L: L.BatchNormalization(axis=(0, 2, 3)), (IMAGES,)),
    case("batch_normalization_axis", lambda L: L.BatchNormalization((4, 5), axis=(0, 2)), (IMAGES,)),
    case("batch_normalization_no_gamma", lambda L: L.BatchNormalization(4, use_gamma=False), (IMAGES,)),
    case("batch_normalization_no_beta", lambda L: L.BatchNormalization(4, use_beta=False), (IMAGES,)),
    case(
        "batch_normalization_finetune",
        lambda L: L.BatchNormalization(4),
        (VECTORS,),
        (floats(9, 3, 4),),
        (floats(10, 3, 4),),
        finetune=True,
    ),
    case("layer_normalization", lambda L: L.LayerNormalization(4), (VECTORS,)),
    case("layer_normalization_lazy", lambda L: L.LayerNormalization(eps=1e-3), (VECTORS,)),
    case("lstm", lambda L: L.LSTM(4, 3), (VECTORS,), (floats(11, 5, 4),), (floats(12, 5, 4),)),
    case("lstm_lazy_shrinking", lambda L: L.LSTM(None, 2), (VECTORS,), (floats(11, 3, 4),), (floats(12, 1, 4),)),
    case("stateless_lstm", lambda L: L.StatelessLSTM(4, 3), (floats(1, 5, 3), floats(2, 5, 3), VECTORS)),
    case("stateless_lstm_none", lambda L: L.StatelessLSTM(3), (None, None, VECTORS)),
    case(
        "n_step_lstm",
        lambda L: L.NStepLSTM(2, 4, 3, 0.0),
        (None, None, [floats(1, 2, 4), floats(2, 5, 4), floats(3, 3, 4)]),
    ),
    case(
        "n_step_lstm_state",
        lambda L: L.NStepLSTM(1, 4, 3, 0.0),
        (floats(4, 1, 2, 3), floats(5, 1, 2, 3), [floats(1, 2, 4), floats(2, 4, 4)]),
    ),
    case("prelu", lambda L: L.PReLU((4,)), (VECTORS,)),
    case("prelu_scalar", lambda L: L.PReLU(), (VECTORS,)),
    case("swish_lazy", lambda L: L.Swish(None), (VECTORS,)),
    case("swish", lambda L: L.Swish((4,), 2.0), (VECTORS,)),
    case("maxout", lambda L: L.Maxout(4, 3, 2), (VECTORS,)),
    case("maxout_lazy_nobias", lambda L: L.Maxout(None, 3, 2, initial_bias=None), (VECTORS,)),
    case("parameter", lambda L: L.Parameter(floats(1, 3, 2)), ()),
    case("classifier", lambda L: L.Classifier(L.Linear(4, 3)), (VECTORS, ids(4, 3, 5))),
    case("classifier_key0", lambda L: L.Classifier(L.Linear(4, 3), label_key=0), (ids(4, 3, 5), VECTORS)),
]


def flatten(outputs):
    """Return the variables in nested tuples and lists, in order."""
    if isinstance(outputs, (tuple, list)):
        return [y for part in outputs for y in flatten(part)]
    return [outputs]


def output_gradients(name, shapes):
    """Return the gradients of outputs: reproducible, unlike each other."""
    rng = np.random.RandomState(len(name) * 1000 + sum(map(ord, name)))
    return [rng.uniform(-1, 1, shape).astype(np.float32) for shape in shapes]


def fill(name, entries):
    """Return values for the serialised entries of a link: parameters, and statistics that are not the initial ones."""
    rng = np.random.RandomState(sum(map(ord, name)))
    filled = {}
    for key in sorted(entries):
        value = np.asarray(entries[key])
        leaf = key.rsplit("/", 1)[-1]
        if leaf == "N":
            filled[key] = value
        elif leaf == "avg_var":
            filled[key] = rng.uniform(0.5, 2, value.shape).astype(value.dtype)
        else:
            filled[key] = rng.uniform(-1, 1, value.shape).astype(value.dtype)
    return filled


def run(case, framework, link, as_array):
    """Run a row: training calls in one graph, backward, then the first call with config.train False.

    Args:
        case: The row.
        framework: `chainer` or `jaxchain`.
        link: The link, its parameters set.
        as_array: Turns an array of the framework into a NumPy array.

    Returns:
        What came out, by key.
    """
    found = {}
    tops, gradients = [], []
    inputs = []
    for number, call in enumerate(case.calls):
        arguments = [_variables(framework, a, inputs) for a in call]
        outputs = flatten(link(*arguments, **case.kwargs))
        weights = output_gradients(case.name, [y.shape for y in outputs])
        for i, (y, w) in enumerate(zip(outputs, weights, strict=True)):
            found[f"call{number}/y{i}"] = as_array(y.array)
            tops.append(y)
            gradients.append(framework.Variable(w))
    link.cleargrads()
    framework.backward(tops, gradients)
    for path, param in link.namedparams():
        if param.grad is None:
            found["without_grad" + path] = np.zeros(0, np.float32)
        else:
            found["grad" + path] = as_array(param.grad)
    for i, x in enumerate(inputs):
        found[f"gx{i}"] = as_array(x.grad)
    found.update({"after/" + key: value for key, value in entries_of(framework, link).items()})
    with framework.using_config("train", False), framework.no_backprop_mode():
        arguments = [_variables(framework, a, []) for a in case.calls[-1]]
        for i, y in enumerate(flatten(link(*arguments, **evaluation_kwargs(case)))):
            found[f"test/y{i}"] = as_array(y.array)
    return found


def evaluation_kwargs(case):
    """Return the keyword arguments of a call outside training."""
    return {key: value for key, value in case.kwargs.items() if key != "finetune"}


def entries_of(framework, link):
    """Return the serialised entries of a link."""
    serializer = framework.serializers.DictionarySerializer()
    serializer.save(link)
    return serializer.target


def _variables(framework, argument, inputs):
    """Return an argument with its float arrays as Variables, noted in `inputs`."""
    if isinstance(argument, list):
        return [_variables(framework, a, inputs) for a in argument]
    if argument is None or argument.dtype.kind != "f":
        return argument
    variable = framework.Variable(argument)
    inputs.append(variable)
    return variable
