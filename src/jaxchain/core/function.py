"""Functions written as classes with gradients on arrays: Chainer's old-style `Function`.

`forward` and `backward` get JAX arrays, or writable NumPy copies if they turn out to be NumPy code; `forward_cpu` and
`backward_cpu` always get NumPy copies (core/user_code.py).
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import jax

from jaxchain.core.arrays import NUMPY_TYPES
from jaxchain.core.compat import is_tracer
from jaxchain.core.errors import format_source
from jaxchain.core.function_node import FunctionNode, refused_twice
from jaxchain.core.nodes import FunctionRecord
from jaxchain.core.user_code import UserFunction, call
from jaxchain.core.variable import Variable, as_jax


class FunctionAdapter(FunctionNode):
    """The node of an old-style `Function`.

    Args:
        function: The function.
    """

    def __init__(self, function: Function) -> None:
        self._function = function
        function._weak_node = weakref.ref(self)

    @property
    def function(self) -> Function:
        """The function."""
        return self._function

    @property
    def public(self) -> Function:
        """What `Variable.creator` gives: the function."""
        return self._function

    @property
    def label(self) -> str:
        """The function's label."""
        return self._function.label

    @property
    def _impl_name(self) -> str:
        return type(self._function).__name__

    def _owner(self) -> Any:
        return self._function

    def check_type_forward(self, in_types: Any) -> None:
        """Ask the function."""
        self._function.check_type_forward(in_types)

    def _forward(self, arrays: tuple[Any, ...]) -> Any:
        self.retain_inputs(range(len(arrays)))  # an old-style function may look at all of them
        function = self._function
        outputs, self._left_values = call(function, function.forward, arrays, function._forward_in_numpy(), afresh=True)
        return outputs

    def pullback_graph(self, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        """Return (positions, gradients) of the inputs; to differentiate these raises."""
        positions, gxs = super().pullback_graph(gys)
        gxs = [g if g is None else Variable(g._array) for g in gxs]
        _NoSecondGradient(self, gys, [g for g in gxs if g is not None])
        return positions, gxs

    def _backward_targets(self, positions: tuple[int, ...], gys: tuple[Any, ...]) -> tuple[Any, ...]:
        function, kind = self._function, type(self._function)
        numpy = kind.backward is Function.backward and kind.backward_cpu is not Function.backward_cpu
        n_in, kept = len(self.inputs), self._retained_outputs
        retained = [self._retained_inputs.get(i) for i in range(n_in)]

        def run(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
            n = n_in + len(gys)
            self._retained_outputs = dict(zip(kept, arrays[n:], strict=False))
            try:
                gxs = function.backward(arrays[:n_in], arrays[n_in:n])
            finally:
                self._retained_outputs = kept
            if not isinstance(gxs, tuple | list):
                kind = type(gxs).__name__
                raise TypeError(
                    f"{self.label}.backward: expected a tuple of arrays and None, got {kind}{self._where()}"
                )
            if len(gxs) != n_in:
                raise ValueError(
                    f"number of gradients returned by {self.label}.backward ({len(gxs)}) is not that of its inputs "
                    f"({n_in}){self._where()}"
                )
            return tuple(gxs[i] for i in positions)

        arrays = [*retained, *(None if g is None else g._array for g in gys), *kept.values(), *self._out_data]
        gxs = call(function, run, arrays, numpy or self._left_values)[0]
        dtypes = [self.inputs[i].dtype for i in positions]
        for g in gxs:
            if not (g is None or isinstance(g, (jax.Array, *NUMPY_TYPES, Variable))):
                raise TypeError(
                    f"{self.label}.backward: expected arrays and None, got also {type(g).__name__}{self._where()}"
                )
        gxs = tuple(None if g is None else as_jax(g).astype(d) for g, d in zip(gxs, dtypes, strict=True))
        if any(map(is_tracer, arrays)):  # JAX may ask for the next derivative
            gxs = refused_twice(gxs, [a for a in arrays if a is not None], _refusal(self))
        return tuple(None if g is None else Variable(g, requires_grad=False) for g in gxs)


class _NoSecondGradient(FunctionRecord):
    """The function node that made the gradients of an old-style function: its own gradient is an error.

    Args:
        function: The node of the function.
        gys: The gradients of its outputs.
        gxs: Those of its inputs: what this node made.
    """

    __slots__ = ("name",)

    def __init__(self, function: FunctionAdapter, gys: Sequence[Any], gxs: Sequence[Any]) -> None:
        self.name, self.scope, self.site, self.ordinal = function.label, function.scope, function.site, function.ordinal
        self.inputs = (*function.inputs, *(g.node for g in gys if g is not None))
        self.rank = max(node.rank for node in self.inputs)
        for i, gx in enumerate(gxs):
            gx.node.set_creator_node(self)
            gx.node.output_index = i
        self.outputs = tuple(weakref.ref(gx.node) for gx in gxs)

    @property
    def label(self) -> str:
        """The function's."""
        return self.name

    @property
    def public(self) -> None:
        """Nothing: to a user the gradients are leaves."""
        return None

    def pullback_graph(self, gys: list[Any]) -> Any:
        """Raise an error."""
        raise RuntimeError(_refusal(self))

    pullback = pullback_graph


def _refusal(node: FunctionRecord) -> str:
    where = format_source(node.source)
    message = f'cannot twice-differentiate an old style Function "{node.label}": make it a FunctionNode'
    return f"{message}\ncalled at {where}" if where else message


class Function(UserFunction):
    """An old-style function: `forward` and `backward` on arrays. Its gradients cannot be differentiated again.

    Examples:
        >>> class Double(jaxchain.Function):
        ...     def forward(self, inputs):
        ...         return (inputs[0] * 2,)
        ...     def backward(self, inputs, grad_outputs):
        ...         return (grad_outputs[0] * 2,)
        >>> Double()(np.float32([3])).array.tolist()
        [6.0]
    """

    _weak_node: Any = None

    def __call__(self, *inputs: Any) -> Any:
        """Run the function and record it.

        Args:
            *inputs: Variables or arrays.

        Returns:
            The output, or a tuple of them if there are several.
        """
        node = self.__dict__.pop("_next_node", None) or FunctionAdapter(self)
        outputs = node.apply(inputs)
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def node(self) -> FunctionAdapter:
        """The node of its last call; if that is gone, or there was none, of its next one."""
        node = None if self._weak_node is None else self._weak_node()
        if node is None:
            node = self._next_node = FunctionAdapter(self)
        return node

    @property
    def inputs(self) -> Any:
        """Nodes of the inputs."""
        return self.node.inputs

    @property
    def outputs(self) -> Any:
        """Weak references to the nodes of the outputs."""
        return self.node.outputs

    @property
    def rank(self) -> int:
        """The largest rank of its inputs."""
        return self.node.rank

    @property
    def stack(self) -> Any:
        """Nothing: see `FunctionRecord.source` of its node."""
        return None

    @property
    def output_data(self) -> Any:
        """The kept output arrays; None for the others."""
        return self.node.output_data

    def backward(self, inputs: tuple[Any, ...], grad_outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the gradients of the inputs.

        Args:
            inputs: Arrays; None where `retain_inputs` left one out.
            grad_outputs: Arrays; None where an output did not contribute.

        Returns:
            One array or None per input.
        """
        if type(self).backward_cpu is not Function.backward_cpu or type(self).backward_gpu is Function.backward_gpu:
            return self.backward_cpu(inputs, grad_outputs)
        return self.backward_gpu(inputs, grad_outputs)

    def backward_cpu(self, inputs: tuple[Any, ...], grad_outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """As `backward`, in NumPy.

        Args:
            inputs: NumPy arrays.
            grad_outputs: NumPy arrays.
        """
        return (None,) * len(inputs)

    def backward_gpu(self, inputs: tuple[Any, ...], grad_outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """As `backward`; called if neither `backward` nor `backward_cpu` is defined.

        Args:
            inputs: Arrays.
            grad_outputs: Arrays.
        """
        return (None,) * len(inputs)

    def retain_inputs(self, indexes: Sequence[int]) -> None:
        """Keep these inputs for `backward` and no others; called in `forward`.

        Args:
            indexes: Which.
        """
        self.node.retain_inputs(indexes)

    def retain_outputs(self, indexes: Sequence[int], retain_after_backward: bool = False) -> None:
        """Keep outputs: they are in `output_data`; called in `forward`.

        Args:
            indexes: Which.
            retain_after_backward: Ignored: they stay as long as the node.
        """
        self.node.retain_outputs(indexes)

    def unchain(self) -> None:
        """Cut this function out of the graph: its outputs become leaves."""
        self.node.unchain()

    @property
    def local_function_hooks(self) -> dict[str, Any]:
        """Hooks of this function, by name."""
        return self.node.local_function_hooks
