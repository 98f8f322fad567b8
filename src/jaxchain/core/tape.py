"""The gradients of a trace: what the tape says, as in eager mode. JAX would see through what is not on the tape."""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax

from jaxchain.core.config import using_config
from jaxchain.core.gradients import gradients_of, pull_arrays
from jaxchain.core.op_node import OpNode
from jaxchain.core.outputs import Outputs
from jaxchain.core.spread import zeros_of
from jaxchain.core.traced import Gradients

COTANGENT = "output_gradient"  # name of the calls that stand for the gradients of outputs


def gradients(outputs: Outputs, targets: dict[Any, int]) -> Gradients:
    """Add the gradients of `targets` (node -> input number) to the outputs, from placeholders for output gradients."""
    seeds, differentiable = _seeds(outputs, targets)
    beside = _Beside(targets)
    between: dict[Any, Any] = {}
    with using_config("enable_backprop", False), beside.collected():
        found = gradients_of(seeds, pull=beside.pull, on_intermediate=between.__setitem__)
    for node, gradient in beside.gradients.items():
        found[node] = found[node] + gradient if node in found else gradient
    reached = [node for node in found if node in targets]
    inner = [(place, node) for place, (node, seed) in enumerate(seeds) if between.get(node, seed) is not seed]
    if not reached:
        inner = []
    outputs.arrays += [*(found[node] for node in reached), *(between[node] for _, node in inner)]
    origins = _origins([node for node, _ in seeds], beside)
    return Gradients(
        outputs=differentiable,
        inputs=[targets[node] for node in reached],
        inner=[place for place, _ in inner],
        origins=[origins[node] for node in (*reached, *(node for _, node in inner))],
    )


def _seeds(outputs: Outputs, targets: dict[Any, int]) -> tuple[list[tuple[Any, Any]], list[int]]:
    """Return the nodes of the outputs that have a gradient, with placeholders for it; and which outputs they are."""
    seeds, differentiable = [], []
    for at, node in outputs.nodes.items():
        if (node.creator_node is not None or node in targets) and node.info.differentiable:

            def output_gradient(info: Any = node.info) -> Any:
                return zeros_of(info.struct)

            output_gradient.__name__ = COTANGENT
            seeds.append((node, jax.jit(output_gradient)()))
            differentiable.append(at)
    return seeds, differentiable


class _Beside:
    """Gradients that arrive beside the graph: a function may go backward through what it runs again (`forget`).

    Args:
        nodes: The nodes at whose Variables they arrive.

    Attributes:
        gradients: Them, by node.
        origins: The output gradients that led to each: bits, by place.
    """

    def __init__(self, nodes: Iterable[Any]) -> None:
        self.variables = [v for node in nodes if (v := node.get_variable_or_none()) is not None]
        self.gradients: dict[Any, Any] = {}
        self.origins: dict[Any, int] = {}
        self._wrote: dict[Any, list[Any]] = {}  # by function: to which nodes

    @contextlib.contextmanager
    def collected(self) -> Iterator[None]:
        """Return a context that ends with the gradients collected, and those of before in their places."""
        before = [v._grad for v in self.variables]
        for v in self.variables:
            v._grad = None
        yield
        self.gradients = {v._node: v._grad for v in self.variables if v._grad is not None}
        for v, gradient in zip(self.variables, before, strict=True):
            v._grad = gradient

    def pull(self, function: Any, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        """Return what `pull_arrays` does."""
        if isinstance(function, OpNode):
            return pull_arrays(function, gys)
        was = [v._grad for v in self.variables]
        pulled = pull_arrays(function, gys)
        self._wrote[function] = [v._node for v, g in zip(self.variables, was, strict=True) if v._grad is not g]
        return pulled

    def pull_bits(self, function: Any, gys: list[Any]) -> tuple[Sequence[int], Sequence[int]]:
        """The same of bits: of an op they reach the inputs that each output depends on, of others all of them."""
        for node in self._wrote.get(function, ()):
            self.origins[node] = _joined((self.origins.get(node), *gys))
        if isinstance(function, OpNode):
            plan = function.plan
            return plan.needs, [_joined(g for at, g in enumerate(gys) if plan.origins[i] >> at & 1) for i in plan.needs]
        return range(len(function.inputs)), [_joined(gys)] * len(function.inputs)


def _origins(seeds: Sequence[Any], beside: _Beside) -> dict[Any, int]:
    """Return from which of the outputs, `seeds`, each node gets its gradient: bits, by place."""
    bits = [(node, 1 << place) for place, node in enumerate(seeds)]
    origins: dict[Any, int] = {}
    origins |= gradients_of(bits, pull=beside.pull_bits, add=operator.or_, on_intermediate=origins.__setitem__)
    for node, came in beside.origins.items():
        origins[node] = origins.get(node, 0) | came
    return origins


def _joined(bits: Iterable[int | None]) -> int:
    return functools.reduce(operator.or_, (b for b in bits if b is not None), 0)
