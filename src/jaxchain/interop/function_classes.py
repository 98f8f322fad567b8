"""Chainer's classes of functions (`functions.activation.relu.ReLU`), which jaxchain has as plain functions.

Programs use them in three ways: ``isinstance(variable.creator, ReLU)``, calls (``ReLU().apply((x,))``), and subclasses
that change the forward or the backward pass (guided backpropagation). All three work; a class is made when it is asked
for. A node is an instance if it has the label of the class's nodes, as it has in Chainer.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import jaxchain.functions as F
from jaxchain.core.config import force_backprop_mode, no_backprop_mode, thread_state, using_config
from jaxchain.core.errors import user_line
from jaxchain.core.function_node import FunctionNode
from jaxchain.core.graph import grad
from jaxchain.core.op import Op
from jaxchain.core.variable import Variable, as_array, as_variable
from jaxchain.functions.recomputation import drawn_again, next_draw
from jaxchain.interop.class_functions import CLASSES
from jaxchain.utils import type_check

_INPUTS = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
_PAIRS = {
    "ksize": ("kh", "kw"),
    "stride": ("sy", "sx"),
    "pad": ("ph", "pw"),
    "dilate": ("dy", "dx"),
    "outsize": ("outh", "outw"),
}


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
        *args: The arguments of Chainer's class.
        **kwargs: The same, by name.
    """

    function: Any = None
    node_label = ""
    _first_draw = 0
    _kept: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self._args, self._kwargs = args, kwargs
        parameters = list(inspect.signature(type(self).function).parameters.values())
        own = [p for p in parameters if p.kind not in _INPUTS]
        if len(own) == len(parameters):  # a function of jaxchain's: which are inputs is known at the call
            return
        own = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) if p.kind is p.KEYWORD_ONLY else p for p in own]
        try:
            bound = inspect.Signature(own).bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}\nat {user_line(2)}") from None
        bound.apply_defaults()
        self._args, self._kwargs = (), {p.name: bound.arguments[p.name] for p in own if p.kind is not p.VAR_KEYWORD}
        vars(self).update(_attributes(self._kwargs, "2D" in type(self).node_label))

    def __call__(self, *inputs: Any) -> Any:
        """Call the function. The result is a Variable, or a tuple of several."""
        outputs = self.apply(inputs)
        return outputs[0] if len(outputs) == 1 else outputs

    @classmethod
    def _forward_in_numpy(cls) -> bool:
        return cls.forward is FunctionClass.forward and cls.forward_cpu is not FunctionClass.forward_cpu

    def _first_argument(self) -> Any:
        return next(iter((*self._args, *self._kwargs.values())), None)

    def _call(self, inputs: Sequence[Any], again: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Run the function.

        Args:
            inputs: Its inputs.
            again: Draw what was drawn the last time, or take what was kept.

        Returns:
            The outputs, and what Chainer's class keeps as attributes.
        """
        function = type(self).function
        arguments = self._kwargs
        if self._args:
            names = list(inspect.signature(function).parameters)[len(inputs) :]
            if names[:1] == ["b"]:  # a bias that is not given
                names = names[1:]
            arguments = dict(zip(names, self._args, strict=False)) | arguments
        if again:
            if thread_state().trace is None:
                arguments = arguments | {name: vars(self)[name] for name in self._kept if name in arguments}
            with drawn_again(self._first_draw):
                result = function(*inputs, **arguments)
        else:
            self._first_draw = next_draw()
            result = function(*inputs, **arguments)
        result = tuple(result) if isinstance(result, tuple | list) else (result,)
        return (result[:-1], result[-1]) if result and isinstance(result[-1], dict) else (result, {})

    def forward(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the function's arrays: what `forward_cpu` gives, which a subclass may replace."""
        return self.forward_cpu(inputs)

    def forward_cpu(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the function's arrays. Inputs and outputs are kept for `backward`; a bias is not."""
        names = list(inspect.signature(type(self).function).parameters)
        biases = [i for i in range(2, len(inputs)) if names[i : i + 1] in (["b"], ["beta"])]
        self.retain_inputs([i for i in range(len(inputs)) if i not in biases])
        again = any(name in self._kwargs for name in self._kept)  # a mask, say, is drawn once
        with no_backprop_mode(), _unseen():
            results, kept = self._call([as_variable(x) for x in inputs], again)
        vars(self).update(kept)
        self._kept = tuple(kept)
        outputs = tuple(as_array(y) for y in results)
        self.retain_outputs(range(len(outputs)))
        return tuple(map(np.array, outputs)) if any(isinstance(x, np.ndarray) for x in inputs) else outputs

    forward_gpu = forward_cpu

    def backward(self, target_input_indexes: tuple[int, ...], grad_outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the gradients of the inputs that are asked for."""
        read = dict(zip(self._input_indexes_to_retain or (), self.get_retained_inputs(), strict=True))
        with force_backprop_mode(), using_config("in_recomputing", True), _unseen():
            # one Variable may be two inputs; the values of a bias are read by no gradient
            inputs = [F.identity(read[i]) if i in read else _zeros(x) for i, x in enumerate(self.inputs)]
            pairs = [(y, g) for y, g in zip(self._call(inputs, True)[0], grad_outputs, strict=True) if g is not None]
        return tuple(
            grad(
                [y for y, _ in pairs],
                [inputs[i] for i in target_input_indexes],
                [g for _, g in pairs],
                enable_double_backprop=True,
            )
        )


@contextlib.contextmanager
def _unseen() -> Iterator[None]:
    """Return a context in which hooks see no functions: they see the class's node."""
    state = thread_state()
    hooks, state.hooks = state.hooks, {}
    state.refresh()
    try:
        yield
    finally:
        state.hooks = hooks
        state.refresh()


def _attributes(arguments: dict[str, Any], plane: bool) -> dict[str, Any]:
    """Return what Chainer's class calls its arguments: in a class for images, sizes are two numbers."""
    if not plane:
        return arguments
    found = {name: value for name, value in arguments.items() if name not in _PAIRS}
    for name, pair in _PAIRS.items():
        if name in arguments:
            value = arguments["ksize"] if name == "stride" and arguments[name] is None else arguments[name]
            found |= zip(pair, value if np.iterable(value) else (value, value), strict=True)
    return found


def _zeros(node: Any) -> Variable:
    return Variable(np.zeros(node.shape, node.dtype))


class Pooling2D(FunctionNode):
    """Base of the classes of pooling that users write.

    Args:
        ksize: Window size, a number or two.
        stride: Step of the windows; None for ``ksize``.
        pad: Padding.
        cover_all: Whether every element is in some window.
        return_indices: For the subclass.
    """

    def __init__(
        self, ksize: Any, stride: Any = None, pad: Any = 0, cover_all: bool = True, return_indices: bool = False
    ) -> None:
        sizes = {"ksize": ksize, "stride": stride, "pad": pad}
        vars(self).update(_attributes(sizes, True), cover_all=cover_all, return_indices=return_indices)

    def check_type_forward(self, in_types: Any) -> None:
        """Check that the input is a batch of images."""
        type_check.expect(in_types.size() == 1, in_types[0].dtype.kind == "f", in_types[0].ndim == 4)


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
def class_of(name: str) -> type[FunctionNode] | None:
    """Return one of Chainer's classes, or None: jaxchain has no such function.

    Args:
        name: Name of the class.
    """
    if name == "Pooling2D":
        return Pooling2D
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
        members["label"] = property(lambda self: label.replace("{}", _number(self._first_argument())))
    return _Labelled(name, (FunctionClass,), members)


def __getattr__(name: str) -> Any:
    """Return a class by its name, which is how `pickle` finds it."""
    cls = class_of(name) if name[:1].isupper() else None
    if cls is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return cls
