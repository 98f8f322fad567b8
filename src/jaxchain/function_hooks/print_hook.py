"""What goes into functions."""

from __future__ import annotations

import sys
import warnings
from typing import Any, TextIO

import jax.numpy as jnp

from jaxchain.core.variable import Variable
from jaxchain.function_hook import FunctionHook


class PrintHook(FunctionHook):
    """Prints every function with its inputs, and on the way back with the gradients of its outputs.

    Args:
        sep: Ignored. Deprecated.
        end: What each line ends with.
        file: Where to; None: standard output.
        flush: Whether to flush after each function.
    """

    name = "PrintHook"

    def __init__(self, sep: Any = None, end: str = "\n", file: TextIO | None = None, flush: bool = True) -> None:
        if sep is not None:
            message = "sep argument in function_hooks.PrintHook is deprecated."
            warnings.warn(message, DeprecationWarning, stacklevel=2)
        self.sep, self.end, self.flush = sep, end, flush
        self.file = sys.stdout if file is None else file

    def _print(self, text: str) -> None:
        self.file.write(text + self.end)

    def _process(self, function: Any, in_data: tuple[Any, ...], out_grad: tuple[Any, ...] | None = None) -> None:
        self._print(f"function\t{function.label}")
        self._print("input data")
        for array in in_data:
            self._print("(removed)" if array is None else Variable(array).debug_print())
        if out_grad is not None:
            self._print("output gradient")
            for gradient in out_grad:
                variable = Variable() if gradient is None else Variable(jnp.zeros_like(gradient))
                if gradient is not None:
                    variable.grad = gradient
                self._print(variable.debug_print())
        if self.flush:
            self.file.flush()

    def forward_preprocess(self, function: Any, in_data: tuple[Any, ...]) -> None:
        """Print the function and its inputs."""
        self._process(function, in_data)

    def backward_preprocess(self, function: Any, in_data: tuple[Any, ...], out_grad: tuple[Any, ...]) -> None:
        """Print the function, what it kept, and the gradients of its outputs."""
        self._process(function, in_data, out_grad)
