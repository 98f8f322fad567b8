"""What a compiled call leaves behind in the state: a class for each kind of thing that it may write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jaxchain.core.cells import refill


class Write:
    """One thing that a compiled call leaves behind: where, and how to build the value from the call's outputs.

    Args:
        name: What it is called in messages.
        container: The parameter, dictionary, list or view that is written to.
        key: Where in the container.
        build: Makes the value from the outputs of a call.
        index: Which output the value is, if it is just one.
        at: Where the Variable that is written to stands behind the outputs: see `Outputs.came_in`.
    """

    __slots__ = ("at", "build", "container", "index", "key", "name")

    def __init__(
        self,
        name: str,
        container: Any,
        key: Any,
        build: Callable[[Sequence[Any]], Any],
        index: int | None = None,
        at: int = 0,
    ) -> None:
        self.name, self.container, self.key, self.build, self.index, self.at = name, container, key, build, index, at

    def apply(self, outputs: Sequence[Any]) -> None:
        """Write the value of this call."""
        raise NotImplementedError


class ArrayWrite(Write):
    """The array of a parameter."""

    __slots__ = ()

    def apply(self, outputs: Sequence[Any]) -> None:
        """Write the value of this call."""
        self.container.array = self.build(outputs)


class GradientWrite(Write):
    """The gradient of a parameter."""

    __slots__ = ()

    def apply(self, outputs: Sequence[Any]) -> None:
        """Write the value of this call."""
        self.container._grad = self.build(outputs)


class ItemWrite(Write):
    """An item of a container, an attribute, a variable."""

    __slots__ = ()

    def apply(self, outputs: Sequence[Any]) -> None:
        """Write the value of this call."""
        self.container[self.key] = self.build(outputs)


class Deletion(Write):
    """An item that is not there after the call."""

    __slots__ = ()

    def apply(self, outputs: Sequence[Any]) -> None:
        """Delete it, if it is there."""
        if isinstance(self.container, dict):
            self.container.pop(self.key, None)


class ContentsWrite(Write):
    """All that a container holds."""

    __slots__ = ()

    def apply(self, outputs: Sequence[Any]) -> None:
        """Write the value of this call."""
        refill(self.container, self.build(outputs))


class VariableArrayWrite(Write):
    """The array of a Variable that the call was given, or found in a place."""

    __slots__ = ()

    def apply(self, outputs: Sequence[Any]) -> None:
        """Write the value of this call."""
        outputs[self.at].array = self.build(outputs)


class VariableGradientWrite(Write):
    """The gradient of such a Variable."""

    __slots__ = ()

    def apply(self, outputs: Sequence[Any]) -> None:
        """Write the value of this call."""
        outputs[self.at]._grad = self.build(outputs)
