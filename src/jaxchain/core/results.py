"""What a compiled call leaves behind: its outputs go into the state, to reporters, and to the caller."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from jaxchain.core.arrays import info_of
from jaxchain.core.cells import found_in
from jaxchain.core.joined import joined
from jaxchain.core.parameter import Parameter
from jaxchain.core.traced import Traced
from jaxchain.core.variable import as_array
from jaxchain.core.writes import ArrayWrite, GradientWrite, ItemWrite, Write


class Results:
    """What is done with the outputs of a compiled program.

    Args:
        traced: The trace.
        variables: Whether Variables may be among the outputs.

    Attributes:
        writes: The cells that are written.
        holders: The places that hold Variables.
        array_writes: Those that put one output into a parameter without ceremony: (parameter, output).
        grad_writes: The same of gradients.
        item_writes: The same of places: (container, key, output).
        other_writes: The rest.
        joined: Small gradients that come out as one array.
    """

    def __init__(self, traced: Traced, variables: bool) -> None:
        lifted, outvars = traced.lifted, traced.jaxpr.jaxpr.outvars
        self.variables = variables
        self.result, self.once, self.reports = lifted.result, lifted.once, lifted.reports
        self.gives_back, self.cut = lifted.gives_back, lifted.cut
        self.writes, self.holders = lifted.writes, lifted.holders
        self.array_writes: list[tuple[Any, int]] = []
        self.grad_writes: list[tuple[Any, int]] = []
        self.item_writes: list[tuple[Any, Any, int]] = []
        self.other_writes: list[Write] = []
        for write in self.writes:
            at, owner = write.index, write.container
            if at is None:
                self.other_writes.append(write)
            elif isinstance(write, GradientWrite):
                self.grad_writes.append((owner, at))
            elif isinstance(write, ItemWrite):
                self.item_writes.append((owner, write.key, at))
            elif isinstance(write, ArrayWrite) and _keeps_type(owner, outvars[at]):
                self.array_writes.append((owner, at))
            else:
                self.other_writes.append(write)
        self.other_writes += lifted.argument_writes
        self.joined = [] if variables else joined(self.grad_writes, [v.aval for v in outvars], lifted.uses)
        taken = {at for group in self.joined for at in group.places}
        self.grad_writes = [w for w in self.grad_writes if w[1] not in taken]

    def rebind(self, there: Callable[[Any], Any]) -> None:
        """Write into the objects that have taken the places of others.

        Args:
            there: Which object has taken the place of another.
        """
        self.item_writes = [(there(c), key, at) for c, key, at in self.item_writes]
        self.holders = [(there(c), key) for c, key in self.holders]
        for write in self.writes:
            write.container = there(write.container)

    def write(self, outputs: Sequence[Any], leaves: Sequence[Any]) -> Sequence[Any]:
        """Write the results of a call back, and return the outputs. Done once more, it does the same.

        Behind the outputs stand the Variables that may come out as they are: the arguments, and those found in places.

        Args:
            outputs: What the program gave.
            leaves: The arguments of the call.
        """
        for at in self.cut:
            found_in(self.holders)[at].unchain()
        if self.gives_back:
            outputs = [*outputs, *leaves, *found_in(self.holders)]
        arrays = [as_array(y) for y in outputs] if self.variables else outputs
        for parameter, at in self.array_writes:
            parameter._value = arrays[at]
        for parameter, at in self.grad_writes:
            parameter._grad = arrays[at]
        for group in self.joined:
            group.write(outputs)
        for container, key, at in self.item_writes:
            container[key] = arrays[at]
        for write in self.other_writes:
            write.apply(outputs)
        return outputs

    def given_out(self, outputs: Sequence[Any]) -> Any:
        """Replay the reports of a call, and return its result.

        Args:
            outputs: What `write` returned.
        """
        for values, observer, report in self.reports:
            report({k: build(outputs) for k, build in values.items()}, observer)
        result = self.result(outputs)
        for shared in self.once:
            shared.made = None
        return result

    def put_back(self, outputs: Sequence[Any], donated: Collection[int]) -> None:
        """Give cells whose buffers were donated their old values, which the program returned.

        Args:
            outputs: What the program gave.
            donated: The outputs that such buffers were meant for.
        """
        for parameter, at in self.array_writes:
            if at in donated:
                parameter._array = outputs[at]
        for container, key, at in self.item_writes:
            if at in donated:
                container[key] = outputs[at]


def _keeps_type(parameter: Parameter, output: Any) -> bool:
    """Return whether an output has the type that the parameter has, so that nothing but the array is to be written."""
    info = parameter._node.info
    return info is info_of(output, info.requires_grad)
