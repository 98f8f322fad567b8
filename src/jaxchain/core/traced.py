"""What a trace gives: the jaxpr of the static mode, and what it was lifted from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from jaxchain.core.exact import exact_jit
from jaxchain.core.guard import Guard
from jaxchain.core.outputs import Once
from jaxchain.core.parameter import Parameter
from jaxchain.core.spread import spec
from jaxchain.core.state import Walk
from jaxchain.core.trace import Call
from jaxchain.core.writes import Write


class Called(NamedTuple):
    """A call that is to be traced.

    Attributes:
        function: What is called.
        leaves: Its arguments, flat.
        tree: Their structure.
        names: Their names.
        name: Name of the program.
        differentiate: Whether the gradients follow the outputs.
        by_jax: Whether JAX will differentiate over the program, though the gradients do not follow.
    """

    function: Callable[..., Any]
    leaves: Sequence[Any]
    tree: Any
    names: Sequence[str]
    name: str
    differentiate: bool
    by_jax: bool = False


class Gradients(NamedTuple):
    """Where the gradients of a program come from and go to. They are its last outputs, those of `inner` the very last.

    Attributes:
        outputs: The outputs that have a gradient.
        inputs: The inputs that get one.
        inner: Of the outputs that have one, by place, those that others of them were made of.
        origins: From which of the outputs each of `inputs`, then of `inner`, gets its gradient: bits, by place.
    """

    outputs: Sequence[int] = ()
    inputs: Sequence[int] = ()
    inner: Sequence[int] = ()
    origins: Sequence[int] = ()


@dataclasses.dataclass
class Lifted:
    """What a program was lifted from, and where its outputs go.

    Attributes:
        walk: The cells.
        roots: Where the walk started, besides the arguments.
        leaves: The arguments.
        dynamic: Which of them are inputs.
        holders: Places that hold Variables.
        bounds: First and last input of each group: key, arrays, grads, places, arguments.
        live: Which inputs are read.
        looked_at: Of the Variables in which places the program looks at the types.
        arrays: The parameters whose arrays are inputs.
        uninitialised: Those that have none.
        grads: The parameters whose gradients are inputs.
        grads_read: Whether the program reads gradients, or depends on which there are.
        grad_none: Which parameters had no gradient.
        draws: How many keys it takes from the stream.
        result: Makes the result from the outputs.
        writes: The cells that are written.
        ends: Where the Variables stand (`Outputs.came_in`) at which a gradient arrived.
        cut: Those that the program unchains before.
        dropped: Those that the program changes, takes out of the state and leaves to nobody.
        argument_writes: The arrays and gradients of Variables among the arguments that are written.
        reports: What is reported, and what is printed.
        gradients: Where gradients come from and go to.
        uses: How many things each output is needed for.
        once: Builders of what is in several places.
        gives_back: The Variables that were given or found and come out: see `Outputs`, `Results.write`.
    """

    walk: Walk
    roots: Sequence[tuple[str, Any]]
    leaves: Sequence[Any]
    dynamic: list[int]
    holders: list[tuple[Any, Any]]
    bounds: dict[str, tuple[int, int]]
    live: list[bool]
    looked_at: list[bool]
    arrays: list[Parameter]
    uninitialised: list[Parameter]
    grads: list[Parameter]
    grads_read: bool
    grad_none: list[bool]
    draws: int
    result: Callable[[Sequence[Any]], Any]
    writes: list[Write]
    ends: list[int]
    cut: list[int]
    dropped: list[int]
    argument_writes: list[Write]
    reports: list[tuple[dict[str, Any], Any, Any]]
    gradients: Gradients
    uses: list[int]
    once: list[Once]
    gives_back: dict[int, int]


@dataclasses.dataclass
class Traced:
    """One callable traced on given arguments: the jaxpr of the static mode and what it was lifted from.

    Attributes:
        jaxpr: The closed jaxpr, one ``jit[name=...]`` equation per eager node.
        name: Name of the program.
        inputs: Names of its inputs: cells and arguments.
        outputs: Names of its outputs: results, then the cells that are written.
        nodes: The ops, in the order of the calls.
        constants: What was baked in: (name, shape or value).
        guards: What was assumed about values. Their predicates are the last outputs, but for gradients.
        prints: The lines that print something: it is printed after every call.
        values: The inputs that it was traced on.
        lifted: What it was lifted from.
        seconds: Time to trace.
    """

    jaxpr: ClosedJaxpr
    name: str
    inputs: list[str]
    outputs: list[str]
    nodes: list[Call]
    constants: list[tuple[str, str]]
    guards: list[Guard]
    prints: list[str]
    values: Sequence[Any]
    lifted: Lifted
    seconds: float = 0.0

    def forget_values(self) -> None:
        """Keep the types it was traced on, not the values: they would live as long as the program."""
        self.values = [spec(v.aval, value) for v, value in zip(self.jaxpr.jaxpr.invars, self.values, strict=True)]
        del self.lifted

    def lower(self) -> jax.stages.Lowered:
        """Lower to StableHLO for the default backend."""
        function = jaxpr_as_fun(self.jaxpr)

        def call(*args: Any) -> Any:
            return tuple(function(*args))

        call.__name__ = self.name
        return exact_jit(call, keep_unused=True).lower(*self.values)
