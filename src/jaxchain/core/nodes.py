"""The nodes of the graph.

A function node holds its input nodes strongly and its output nodes weakly, so there are no cycles and dropping the loss
frees the graph at once. Nodes hold no arrays; a function keeps those that its gradient reads.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import numpy as np

from jaxchain.core.arrays import UNKNOWN, Info, off_tape
from jaxchain.core.config import thread_state
from jaxchain.core.errors import Site, source_of

if TYPE_CHECKING:
    from jaxchain.core.variable import Variable


class VariableNode:
    """A variable in the graph. It outlives its `Variable` as long as a function node needs it.

    Attributes:
        creator_node: The function node that made it, or None for a leaf.
        output_index: Which of the creator's outputs it is.
        rank: Length of the longest path from a leaf.
        name: The variable's name, e.g. ``W``.
    """

    __slots__ = ("__weakref__", "_variable", "creator_node", "info", "name", "output_index", "rank")
    variable_class: ClassVar[type[Variable]]  # its module, above this one, says which

    def __init__(self, info: Info, name: str | None = None) -> None:
        self.info = info
        self.name = name
        self.creator_node: FunctionRecord | None = None
        self.output_index = 0
        self.rank = 0
        self._variable: Callable[[], Variable | None] = _nothing

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.info.shape

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the array."""
        return self.info.dtype

    @property
    def requires_grad(self) -> bool:
        """Whether backward passes leave a gradient here."""
        return self.info.requires_grad

    @property
    def creator(self) -> Any:
        """The function node that made it, or None."""
        return None if self.creator_node is None else self.creator_node.public

    @property
    def label(self) -> str:
        """Short text for drawings: ``(2, 3), float32``."""
        if self.info.struct is UNKNOWN:
            return "(uninitialized)"
        shape = self.info.shape
        text = f"({', '.join(map(str, shape))})"
        return f"{text}, {self.info.dtype}" if shape else str(self.info.dtype)

    @property
    def data(self) -> jax.Array | None:
        """The array, if the Variable is alive or its creator retained it; else None."""
        variable = self._variable()
        if variable is not None:
            return variable._array
        return None if self.creator_node is None else self.creator_node.retained_output(self.output_index)

    @property
    def grad(self) -> jax.Array | None:
        """Gradient of the Variable, if it is alive."""
        variable = self._variable()
        return None if variable is None else variable.grad

    @property
    def grad_var(self) -> Variable | None:
        """Gradient of the Variable as a Variable, if it is alive."""
        variable = self._variable()
        return None if variable is None else variable.grad_var

    def get_variable_or_none(self) -> Variable | None:
        """Return the Variable of this node if it is alive."""
        return self._variable()

    def has_own_gradient(self) -> bool:
        """Return whether a function made it and a gradient waits on its Variable."""
        variable = self._variable()
        return variable is not None and variable._grad is not None and self.creator_node is not None

    def get_variable(self) -> Variable:
        """Return the Variable of this node; if it is gone, a new one (its array None unless retained)."""
        variable = self._variable()
        return self.variable_class._of(self.data, self) if variable is None else variable

    def set_creator_node(self, creator_node: FunctionRecord) -> None:
        """Say which function made this variable."""
        self.creator_node = creator_node
        self.rank = creator_node.rank + 1

    def unchain(self) -> None:
        """Forget the function that made this variable."""
        self.creator_node = None


def _nothing() -> None:
    return None


class FunctionRecord:
    """A function node: what was called on what, where, and how gradients go back through it.

    Attributes:
        inputs: Nodes of the inputs.
        outputs: Weak references to the nodes of the outputs.
        rank: The largest rank of its inputs.
    """

    __slots__ = ("__weakref__", "inputs", "ordinal", "outputs", "rank", "scope", "site")

    inputs: tuple[VariableNode, ...]
    outputs: tuple[Callable[[], VariableNode | None], ...]
    rank: int
    scope: Any
    site: Site | None
    ordinal: int

    @property
    def inner(self) -> Sequence[int]:
        """Places of the outputs that other outputs were made of: a compiled link call may have some."""
        return ()

    @property
    def public(self) -> Any:
        """What `Variable.creator` gives: this node, or the old-style `Function` it wraps."""
        return self

    @property
    def wanting_inputs(self) -> Sequence[VariableNode]:
        """The inputs that a gradient may go to."""
        return [n for n in self.inputs if n is not None] if self.inputs else ()

    @property
    def drawn_inputs(self) -> Sequence[VariableNode]:
        """The inputs that graphs show: all, but for what belongs to the call and is no variable to a user."""
        return self.inputs or ()

    @property
    def label(self) -> str:
        """Name in drawings and hooks, e.g. ``LinearFunction``."""
        return type(self).__name__

    @property
    def _impl_name(self) -> str:
        """Name of the function's class in Chainer: the label, but for labels with numbers or signs in them."""
        return self.label

    @property
    def op_name(self) -> str:
        """Name of the op in the jaxpr, e.g. ``linear``."""
        return self.label

    @property
    def static_args(self) -> dict[str, Any]:
        """Values of the parameters that are not graph inputs."""
        return {}

    @property
    def source(self) -> tuple[str, int, str] | None:
        """(file name, line, function name) of the user's call."""
        return source_of(getattr(self, "site", None))

    @property
    def link_path(self) -> str:
        """Path of the link it was called in, e.g. ``/predictor/l1``; empty outside any link."""
        return scope_path(getattr(self, "scope", None))

    def output_node(self, index: int, info: Info) -> VariableNode:
        """Return the node of an output; a new one takes its place if nobody holds it any more.

        Args:
            index: Which output.
            info: Its shape and dtype.
        """
        node = self.outputs[index]()
        if node is None:
            node = VariableNode(info)
            node.set_creator_node(self)
            node.output_index = index
            self.outputs = (*self.outputs[:index], weakref.ref(node), *self.outputs[index + 1 :])
        return node

    def retained_output(self, index: int) -> jax.Array | None:
        """Return the array of an output, if it was kept for the gradient."""
        return None

    def keeps(self) -> list[tuple[VariableNode | None, Any]]:
        """Return the arrays kept for the gradient, each with the input that it is, or None."""
        return []

    def pullback(self, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        """Return (positions, gradients) of the inputs, as arrays."""
        raise NotImplementedError

    def pullback_graph(self, gys: list[Any]) -> tuple[Sequence[int], Sequence[Any]]:
        """Return (positions, gradients) of the inputs, as Variables with a graph of their own."""
        raise NotImplementedError

    def totals(self, gys: Sequence[Any]) -> Sequence[Any]:
        """Return the whole gradients of the outputs, from those that arrived at each: they differ for `inner`."""
        return gys

    def unchain(self) -> None:
        """Cut this function out of the graph: its outputs become leaves."""
        trace = thread_state().trace
        if trace is not None and trace.unchains_outside(self):  # of the body of a loop: Python will cut it
            return
        for reference in self.outputs:
            node = reference()
            if node is not None:
                node.unchain()
                variable = node.get_variable_or_none()
                if variable is not None:
                    variable._value = off_tape(variable._value)
        self.inputs = ()


class Scope:
    """A link being called: where it was called from and how many ops ran in it so far."""

    __slots__ = ("_names", "count", "link", "outer")
    _names: str

    def __init__(self, outer: Scope | None, link: Any) -> None:
        self.outer, self.link, self.count = outer, link, 0

    def is_within(self, other: Scope) -> bool:
        """Return whether a scope is another one, or inside it."""
        scope: Scope | None = self
        while scope is not None and scope is not other:
            scope = scope.outer
        return scope is not None

    def next_ordinal(self) -> int:
        """Return which op of the call comes now, and count it."""
        self.count += 1
        return self.count - 1

    @property
    def names(self) -> str:
        """Where the link is below the one that called it: ``l1``, or ``layers/0`` if the list itself was not called."""
        try:
            return self._names
        except AttributeError:
            self._names = names = self._find_names()
            return names

    def _find_names(self) -> str:
        caller = self.outer
        while caller is not None and not hasattr(caller.link, "namedlinks"):  # the body of a loop, say
            caller = caller.outer
        name = self.link.name or ""
        if caller is None or _has_child(caller.link, name, self.link):
            return name
        below = caller.link.namedlinks(skipself=True)
        return next((path[1:] for path, link in below if link is self.link), name)


def _has_child(parent: Any, name: str, link: Any) -> bool:
    """Return whether a link is directly below another one: found without a walk, as most are."""
    if vars(parent).get(name) is link:
        return True
    return name.isdecimal() and hasattr(parent, "__len__") and int(name) < len(parent) and parent[int(name)] is link


class BrokenScope(Scope):
    """A link called in static mode that could not be compiled as a whole: the links that it calls are compiled."""

    __slots__ = ()


def scope_path(scope: Scope | None) -> str:
    """Return the names of the links from the outermost in: ``/predictor/l1``."""
    names = []
    while scope is not None:
        if scope.names:
            names.append(scope.names)
        scope = scope.outer
    return "".join("/" + n for n in reversed(names))
