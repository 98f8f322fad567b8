"""Trading time for memory: `forget` keeps a function's inputs only, and runs it again for the gradient."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jax import lax

from jaxchain.core import random
from jaxchain.core.config import config, force_backprop_mode, thread_state, using_config
from jaxchain.core.function_node import FunctionNode, refused_twice
from jaxchain.core.graph import backward
from jaxchain.core.variable import Variable
from jaxchain.functions.composed import composed
from jaxchain.functions.elementwise import identity

NOT_TWICE = "double backpropagation in functions.forget is not allowed."


def _called(function: Callable[..., Any], xs: Sequence[Variable]) -> tuple[Variable, ...]:
    """Return the function's results as a tuple of Variables."""
    ys = function(*xs)
    if isinstance(ys, Variable):
        return (ys,)
    if not isinstance(ys, tuple):
        raise RuntimeError(f"forget: expected a Variable or a tuple of them to be returned, got {type(ys).__name__}")
    for i, y in enumerate(ys):
        if not isinstance(y, Variable):
            raise RuntimeError(f"forget: expected element {i} of the returned tuple to be a Variable, got {type(y)}")
    return ys


class Forget(FunctionNode):
    """A function of Variables as one node."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def forward(self, inputs):
        """Run the function without a graph."""
        self.retain_inputs(range(len(inputs)))
        self.first_draw = next_draw()
        trace = thread_state().trace
        by_jax = trace is not None and trace.by_jax and config.enable_backprop
        with using_config("enable_backprop", by_jax):
            return tuple(y._array for y in _called(self.function, [Variable(x) for x in inputs]))

    def _forward_with_backward(self, arrays):
        return self._forward(arrays)  # JAX goes through what the function calls, and on to its parameters

    def _traced(self, arrays, trace):
        outputs = self._forward(arrays)
        return refused_twice(outputs, arrays, NOT_TWICE) if trace.taped else outputs

    def backward(self, target_input_indexes, grad_outputs):
        """Run the function again with a graph, drawing the same random numbers, and go back through it."""
        if config.enable_backprop:
            raise RuntimeError(NOT_TWICE)
        arrays = [x._array for x in self.get_retained_inputs()]
        if thread_state().trace is not None:
            arrays = lax.optimization_barrier(arrays)  # else XLA finds the forward's results equal, and keeps them
        xs = [Variable(a) for a in arrays]
        with force_backprop_mode(), using_config("in_recomputing", True), drawn_again(self.first_draw):
            ys = [identity(y) for y in _called(self.function, xs)]
        wanted = [(y, g) for y, g in zip(ys, grad_outputs, strict=True) if g is not None]
        backward([y for y, _ in wanted], [g for _, g in wanted])
        gxs = tuple(xs[i].grad_var for i in target_input_indexes)
        trace = thread_state().trace
        if trace is None or not trace.taped:
            return gxs
        refused = refused_twice(tuple(None if g is None else g._array for g in gxs), arrays, NOT_TWICE)
        return tuple(None if g is None else Variable(g) for g in refused)


def next_draw() -> int:
    """Return the number of the next draw of a random key."""
    counter, name = _draws()
    return getattr(counter, name)


@contextlib.contextmanager
def drawn_again(first: int) -> Iterator[None]:
    """Return a context in which the random numbers are those from a draw on."""
    counter, name = _draws()
    later = getattr(counter, name)
    setattr(counter, name, first)
    try:
        yield
    finally:
        setattr(counter, name, later)


def _draws() -> tuple[Any, str]:
    """Return what counts the draws of random keys: (object, attribute)."""
    trace = thread_state().trace
    return (random.ops, "count") if trace is None else (trace, "draws")


@composed
def forget(func: Callable[..., Any], *xs):
    """Call a function without keeping what is in between: it runs again when the gradient is wanted.

    Args:
        func: Function of Variables that returns a Variable or a tuple of them. Parameters that it uses get their
            gradients as always. Random functions inside it draw the same numbers the second time.
        xs: Its arguments: Variables or arrays.

    Returns:
        What ``func`` returns. Its gradient has no gradient of its own.

    Raises:
        RuntimeError: ``func`` returned something else; or, later, a gradient of the gradient was asked for.
        TypeError: ``func`` cannot be called.

    Source: Chen et al. 2016, arXiv:1604.06174.

    Examples:
        >>> F.forget(lambda x: x * x + 1, np.float32([3])).array
        Array([10.], dtype=float32)
    """
    if not callable(func):
        raise TypeError(f"forget: func must be callable, got {type(func).__name__}")
    ys = Forget(func).apply([x if isinstance(x, Variable) else Variable(x) for x in xs])
    return ys[0] if len(ys) == 1 else ys
