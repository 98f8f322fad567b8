"""Chainer's classes of functions (`functions.activation.relu.ReLU`), which jaxchain has as plain functions.

Programs use them in three ways: ``isinstance(variable.creator, ReLU)``, calls (``ReLU().apply((x,))``), and subclasses
that change the forward or the backward pass (guided backpropagation). All three work; a class is made when it is asked
for. A node is an instance if its label is the class's name, as it is in Chainer.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from typing import Any

import jaxchain.functions as F
from jaxchain.core.config import force_backprop_mode, no_backprop_mode
from jaxchain.core.function import FunctionNode
from jaxchain.core.graph import grad
from jaxchain.core.op import Op
from jaxchain.core.variable import Variable, as_array


class _Labelled(type(FunctionNode)):
    """Metaclass: nodes of jaxchain's own functions are instances by their label."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if "function" in cls.__dict__ and getattr(instance, "label", None) == cls.__name__:
            return True
        return super().__instancecheck__(instance)


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
        inputs = self.get_retained_inputs()
        with force_backprop_mode():
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
def labels() -> frozenset[str]:
    """Return the labels of all functions that have a class's name for one."""
    found = set()
    for module in pkgutil.iter_modules(F.__path__, "jaxchain.functions."):
        ops = [getattr(v, "op", None) for v in vars(importlib.import_module(module.name)).values()]
        found |= {o.label for o in ops if isinstance(o, Op)}
    return frozenset(name for name in found if name.isidentifier())


@functools.cache
def class_of(file: str, name: str) -> type[FunctionClass] | None:
    """Return one of Chainer's classes, or None: jaxchain has no such function.

    Args:
        file: Name of the file that Chainer has it in: that of the function.
        name: Name of the class.
    """
    function = getattr(F, file, None)
    if function is None or name not in labels():
        return None
    members = {"function": staticmethod(function), "__doc__": f"`jaxchain.functions.{file}` as a class."}
    return _Labelled(name, (FunctionClass,), members)
