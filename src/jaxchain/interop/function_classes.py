"""Chainer's classes of functions (`functions.activation.relu.ReLU`), which jaxchain has as plain functions.

Programs use them in three ways: ``isinstance(variable.creator, ReLU)``, calls (``ReLU().apply((x,))``), and subclasses
that change the forward or the backward pass (guided backpropagation). All three work; a class is made when it is asked
for. A node is an instance if it has the label of the class's nodes, as it has in Chainer.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import operator
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np

import jaxchain.functions as F
from jaxchain.core.config import force_backprop_mode, no_backprop_mode
from jaxchain.core.function_node import FunctionNode
from jaxchain.core.graph import grad
from jaxchain.core.op import Op
from jaxchain.core.variable import Variable, as_array

CLASSES: dict[str, tuple[str, Callable[..., Any]]] = {
    "Absolute": ("|_|", abs),
    "Neg": ("__neg__", operator.neg),
    "Add": ("_ + _", F.add),
    "AddConstant": ("_ + {}", lambda x, value: x + value),
    "Sub": ("_ - _", operator.sub),
    "SubFromConstant": ("{} - _", lambda x, value: value - x),
    "Mul": ("_ * _", operator.mul),
    "MulConstant": ("_ * {}", lambda x, value: x * value),
    "Div": ("_ / _", operator.truediv),
    "DivFromConstant": ("{} / _", lambda x, value: value / x),
    "PowVarVar": ("_ ** _", operator.pow),
    "PowVarConst": ("_ ** {}", lambda x, value: x**value),
    "PowConstVar": ("{} ** _", lambda x, value: value**x),
    "BatchDet": ("det", F.batch_det),
    "AveragePoolingND": (
        "",
        lambda x, ndim, ksize, stride=None, pad=0, cover_all=False, pad_value=0: F.average_pooling_nd(
            x, ksize, stride, pad, pad_value
        ),
    ),
    "MaxPoolingND": (
        "",
        lambda x, ndim, ksize, stride=None, pad=0, cover_all=True, return_indices=False: F.max_pooling_nd(
            x, ksize, stride, pad, cover_all
        ),
    ),
    "ConvolutionND": (
        "",
        lambda x, W, b=None, ndim=0, stride=1, pad=0, cover_all=False, dilate=1, groups=1: F.convolution_nd(
            x, W, b, stride, pad, cover_all, dilate, groups
        ),
    ),
    "DeconvolutionND": (
        "",
        lambda x, W, b=None, ndim=0, stride=1, pad=0, outsize=None, dilate=1, groups=1: F.deconvolution_nd(
            x, W, b, stride, pad, outsize, dilate, groups
        ),
    ),
    "UnpoolingND": (
        "",
        lambda x, ndim, ksize, stride=None, pad=0, outsize=None, cover_all=True: F.unpooling_nd(
            x, ksize, stride, pad, outsize, cover_all
        ),
    ),
    "ScatterAdd": ("", lambda a, b, slices: F.scatter_add(a, slices, b)),
    "Where": ("", lambda x, y, condition: F.where(condition, x, y)),
}
"""Classes whose nodes have another label (else: empty) or whose arguments are not the function's.

``{}`` in a label stands for a number.
"""


class _Labelled(type(FunctionNode)):
    """Metaclass: nodes of jaxchain's own functions are instances by their label."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if "function" in cls.__dict__ and _fits(getattr(instance, "label", None), cls.__dict__["node_label"]):
            return True
        return super().__instancecheck__(instance)


def _fits(label: str | None, pattern: str) -> bool:
    """Return whether a node's label is that of a class, whose ``{}`` stands for anything but an operand."""
    before, number, behind = pattern.partition("{}")
    if label is None or not number:
        return label == pattern
    fits = label.startswith(before) and label.endswith(behind)
    return fits and label != pattern.replace("{}", "_")


class FunctionClass(FunctionNode, metaclass=_Labelled):
    """Base of the classes: the function as a node, with a derived backward pass of any order.

    Args:
        *args: The function's arguments behind its inputs.
        **kwargs: The same, by name.
    """

    function: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self._args, self._kwargs = args, kwargs

    def __call__(self, *inputs: Any) -> Any:
        """Call the function. The result is a Variable, or a tuple of several."""
        outputs = self.apply(inputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def _call(self, inputs: Any) -> tuple[Variable, ...]:
        function = type(self).function
        names = list(inspect.signature(function).parameters)[len(inputs) :]
        if names[:1] == ["b"]:  # a bias that is not given
            names = names[1:]
        result = function(*inputs, **dict(zip(names, self._args, strict=False)), **self._kwargs)
        return tuple(result) if isinstance(result, tuple | list) else (result,)

    def forward(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the function's arrays. All inputs and outputs are kept for `backward`."""
        self.retain_inputs(range(len(inputs)))
        with no_backprop_mode():
            outputs = tuple(as_array(y) for y in self._call(inputs))
        self.retain_outputs(range(len(outputs)))
        return outputs

    def backward(self, target_input_indexes: tuple[int, ...], grad_outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the gradients of the inputs that are asked for."""
        with force_backprop_mode():
            inputs = [F.identity(x) for x in self.get_retained_inputs()]  # one Variable may be two inputs
            pairs = [(y, g) for y, g in zip(self._call(inputs), grad_outputs, strict=True) if g is not None]
        return tuple(
            grad(
                [y for y, _ in pairs],
                [inputs[i] for i in target_input_indexes],
                [g for _, g in pairs],
                enable_double_backprop=True,
            )
        )


@functools.cache
def _functions() -> dict[str, tuple[str, Callable[..., Any]]]:
    """Return label and function of each class that is not in `CLASSES`, by the class's name in small letters."""
    found = {}
    for module in pkgutil.iter_modules(F.__path__, "jaxchain.functions."):
        for value in vars(importlib.import_module(module.name)).values():
            op = getattr(value, "op", None)
            if isinstance(op, Op) and callable(getattr(F, op.name, None)):
                found[op.label.replace("_", "").lower()] = op.label, getattr(F, op.name)
    return found


def _number(value: Any) -> str:
    return f"({value})" if np.isscalar(value) and value < 0 else str(value)  # type: ignore[operator]


@functools.cache
def class_of(name: str) -> type[FunctionClass] | None:
    """Return one of Chainer's classes, or None: jaxchain has no such function.

    Args:
        name: Name of the class.
    """
    label, function = CLASSES.get(name) or _functions().get(name.replace("_", "").lower()) or (name, None)
    label = label or name
    if function is None or (label.isidentifier() and label[:1].isupper() and label != name):
        return None
    members: dict[str, Any] = {
        "function": staticmethod(function),
        "node_label": label,
        "__doc__": f"The function {label!r} as a class.",
    }
    if label != name:
        members["label"] = property(lambda self: label.replace("{}", "".join(map(_number, self._args[:1]))))
    return _Labelled(name, (FunctionClass,), members)
