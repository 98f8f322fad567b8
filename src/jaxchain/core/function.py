"""Functions written as classes with gradients on arrays: Chainer's old-style `Function`.

`forward` and `backward` get JAX arrays, or writable NumPy copies if they turn out to be NumPy code; `forward_cpu` and
`backward_cpu` always get NumPy copies (core/user_code.py).
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from jax.lax import stop_gradient

from jaxchain.core.compat import is_tracer
from jaxchain.core.function_node import FunctionNode
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
        outputs, self._left_values = call(function, function.forward, arrays, function._forward_in_numpy())
        return outputs

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
            if len(gxs) != n_in:
                raise ValueError(
                    f"number of gradients returned by {self.label} ({len(gxs)}) is not that of its inputs ({n_in})"
                )
            return tuple(gxs[i] for i in positions)

        arrays = [*retained, *(None if g is None else g._array for g in gys), *kept.values(), *self._out_data]
        gxs = call(function, run, arrays, numpy or self._left_values)[0]
        dtypes = [self.inputs[i].dtype for i in positions]
        gxs = [None if g is None else as_jax(g).astype(d) for g, d in zip(gxs, dtypes, strict=True)]
        return tuple(  # constants to the next derivative, also when JAX asks for it after the trace: no `off_tape`
            None if g is None else Variable(stop_gradient(g) if is_tracer(g) else g, requires_grad=False) for g in gxs
        )


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
        local = self.__dict__.pop("_early_hooks", None)
        node = FunctionAdapter(self)
        if local:
            node._hooks = local
        outputs = node.apply(inputs)
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def node(self) -> FunctionAdapter | None:
        """The node of its last call."""
        return None if self._weak_node is None else self._weak_node()

    def _of_node(self, name: str, default: Any) -> Any:
        node = self.node
        return default if node is None else getattr(node, name)

    @property
    def inputs(self) -> Any:
        """Nodes of the inputs."""
        return self._of_node("inputs", None)

    @property
    def outputs(self) -> Any:
        """Weak references to the nodes of the outputs."""
        return self._of_node("outputs", None)

    @property
    def rank(self) -> int:
        """The largest rank of its inputs."""
        return self._of_node("rank", 0)

    @property
    def stack(self) -> Any:
        """Nothing: see `FunctionRecord.source` of its node."""
        return None

    @property
    def output_data(self) -> Any:
        """The kept output arrays; None for the others."""
        return self._of_node("output_data", None)

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
        self._of_node("retain_inputs", None)(indexes)

    def retain_outputs(self, indexes: Sequence[int], retain_after_backward: bool = False) -> None:
        """Keep outputs: they are in `output_data`; called in `forward`.

        Args:
            indexes: Which.
            retain_after_backward: Ignored: they stay as long as the node.
        """
        self._of_node("retain_outputs", None)(indexes)

    def unchain(self) -> None:
        """Cut this function out of the graph: its outputs become leaves."""
        if self.node is not None:
            self.node.unchain()

    @property
    def local_function_hooks(self) -> dict[str, Any]:
        """Hooks of this function, by name."""
        node = self.node
        return self.__dict__.setdefault("_early_hooks", {}) if node is None else node.local_function_hooks
