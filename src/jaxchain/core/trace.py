"""A trace in progress: what ops, links, the key stream and the reporter tell while a program is traced."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxchain.core import random
from jaxchain.core.cells import contents_of, found_in
from jaxchain.core.compat import is_tracer
from jaxchain.core.config import thread_state
from jaxchain.core.errors import call_site, format_source, source_of
from jaxchain.core.guard import Outcome, Questions, StartOver, refuse
from jaxchain.core.installation import Installation
from jaxchain.core.inventory import put_back
from jaxchain.core.nodes import FunctionRecord, Scope, VariableNode, scope_path
from jaxchain.core.parameter import Parameter
from jaxchain.core.scopes import scope_name
from jaxchain.core.state import Walk
from jaxchain.core.variable import Variable


class Call(NamedTuple):
    """A call of an op that was traced: an eager node, in the views.

    Attributes:
        label: ``LinearFunction``.
        path: Path of the link: ``/predictor/l1``.
        ordinal: Which op of its link's call.
        op: Name of the op.
        call: Path of the link's call (`Trace.call_path`).
        source: File, line and function of the user's call, or None.
    """

    label: str
    path: str
    ordinal: int
    op: str
    call: str
    source: tuple[str, int, str] | None


class Trace:
    """A trace in progress: what ops, links, the key stream and the reporter tell while it is on."""

    by_jax = False  # whether JAX may differentiate over what is traced: then its derivatives are those of the tape ...
    taped = False  # ... which is followed here, too ...
    returning = False  # ... and now is

    def __init__(self, lifted: set[int], key: Any, assumed: Sequence[Outcome]) -> None:
        self.lifted = lifted
        self.key = key
        self.draws = 0
        self.missing: list[Parameter] = []
        self.inits: list[tuple[Any, Any]] = []
        self.reports: list[tuple[dict[str, Any], Any, Any]] = []
        self.nodes: list[Call] = []
        self.root = Scope(None, SimpleNamespace(name=""))  # around everything: its ops are numbered, too
        self.calls: dict[Scope, str] = {self.root: ""}
        self.counts: dict[str, int] = {}
        self.prints: list[tuple[Any, int]] = []  # where something was printed or logged, and its place in the reports
        self.environment: dict[str, str | None] = {}  # the variables that were read
        self.questions = Questions(assumed)
        self.installation: Installation | None = None
        self.reads_grads = False  # whether the program looked at a gradient that it found ...
        self.misses_grads = False  # ... or at one that is None, and a tracer stood there
        self.body: tuple[Scope, set[VariableNode]] | None = None  # of a loop, traced by itself: its scope and inputs
        self.cuts = 0  # how often a body would have cut, or looked at, the graph that leads to it

    def notice(self, nodes: Sequence[Any], arrays: Sequence[Any]) -> None:
        """Look at an op's inputs: a concrete Parameter here was not lifted."""
        for node, array in zip(nodes, arrays, strict=False):
            if isinstance(node, VariableNode) and not is_tracer(array):
                variable = node.get_variable_or_none()
                if isinstance(variable, Parameter) and id(variable) not in self.lifted:
                    self.missing.append(variable)

    def looked_at_gradient(self, array: Any) -> None:
        """A gradient was asked for: whether a parameter's is None may decide what the program does."""
        if self.installation is not None and id(array) in self.installation.found_grads:
            self.reads_grads = True
            if self.installation.found_grads[id(array)] is None:
                self.misses_grads = True
                raise StartOver

    @contextlib.contextmanager
    def inside(self, scope: Scope, inputs: set[VariableNode]) -> Iterator[None]:
        """The body of a loop or branch is traced by itself in the block: its inputs stand for what leads to it."""
        outer, self.body = self.body, (scope, inputs)
        try:
            yield
        finally:
            self.body = outer

    def cuts_outside(self, node: VariableNode) -> bool:
        """Return whether a node that is to be cut from what led to it is outside the body: it is left as it is."""
        if self.body is None:
            return False
        if node.creator_node is not None:
            return self.unchains_outside(node.creator_node)
        outside = node in self.body[1]
        self.cuts += outside
        return outside

    def unchains_outside(self, function: FunctionRecord) -> bool:
        """Return whether a function that is to be cut out of the graph is outside the body: it is left as it is."""
        outside = self.body is not None and not (function.scope and function.scope.is_within(self.body[0]))
        self.cuts += outside
        return outside

    def next_key(self) -> Any:
        """Return the next key of the stream, as a tracer."""
        key = self.key if self.draws == 0 else self.key.at[2].add(np.uint32(self.draws))
        self.draws += 1
        return key

    def seeded(self) -> None:
        """The streams of random keys are to start anew: what a call finds there is an argument of the program."""
        refuse(f"it calls jaxchain.seed: {format_source(source_of(call_site(2)))}")

    def initialised(self, owner: Any) -> None:
        """A parameter or update rule was initialised for real: it stays so, and the trace starts over."""
        self.inits.append((owner, (owner._array, owner._grad) if isinstance(owner, Parameter) else owner.state))

    def makes_parameters(self) -> bool:
        """Return whether a parameter was initialised that was not there before, as far as is known."""
        return any(isinstance(owner, Parameter) and id(owner) not in self.lifted for owner, _ in self.inits)

    def snapshot(self, function: Callable[..., Any] | None = None) -> Any:
        """Return what every cell holds now: those of the state, and what a function of the step's own can reach."""
        assert self.installation is not None
        walk = self.installation.walk
        cells = walk.snapshot([v for v, _ in self.installation.variables.values()])
        if function is not None:
            walk = Walk([("function", function)], known=walk.objects)
            cells += walk.snapshot(found_in(place.cell for place in walk.places), buffers=True)
        return cells, random.initializers.count, *map(len, (self.reports, self.prints, self.inits, self.missing))

    def put_back(self, snapshot: Any) -> bool:
        """Put every cell back as it was at a snapshot; return whether anything had changed."""
        cells, random.initializers.count, *counts = snapshot
        lists = (self.reports, self.prints, self.inits, self.missing)
        changed = [len(values) for values in lists] != counts
        for values, length in zip(lists, counts, strict=True):
            del values[length:]
        return put_back(cells) or changed

    def report(self, values: dict[str, Any], observer: Any, again: Callable[..., None]) -> None:
        """Remember what was reported: it is an output, reported by ``again(values, observer)`` after every call."""
        self.reports.append((dict(values), observer, again))

    def call_path(self, scope: Scope | None) -> str:
        """Return the path of a link call: as the link's, its later calls inside the same outer call numbered.

        ``/predictor/lstm``, then ``/predictor/lstm~2``; ``/predictor/layers.0`` if the list itself was not called.
        A link without a name goes by its class.
        """
        outer = []
        while scope is not None and scope not in self.calls:
            outer.append(scope)
            scope = scope.outer
        path = "" if scope is None else self.calls[scope]
        for inner in reversed(outer):
            names = inner.names.split("/") if inner.names else [type(inner.link).__name__]
            path = f"{path}/{'.'.join(map(scope_name, names))}"
            self.counts[path] = count = self.counts.get(path, 0) + 1
            path = path if count == 1 else f"{path}~{count}"
            self.calls[inner] = path
        return path

    def repeat(self, args: Sequence[Any], extra: Any, source: Any, again: Callable[..., None] | None = None) -> None:
        """Remember what was printed or logged: ``again(values, extra)`` does it after every call, with the values."""
        self.prints.append((source, len(self.reports)))
        values = {str(i): _as_printed(value) for i, value in enumerate(args)}
        self.reports.append((values, extra, again or _print_again))

    def print_out(self) -> None:
        """Print what the program printed before it failed."""
        for _, at in self.prints:
            values, extra, again = self.reports[at]
            again(values, extra)

    def op_scope(self, label: str, name: str, node: Any = None) -> contextlib.AbstractContextManager[Any]:
        """Name the equations of one op after its node, or those of its gradient after the `node` there is."""
        scope = thread_state().scope if node is None else node.scope
        ordinal = scope.count if node is None else node.ordinal
        call = self.call_path(scope)
        tag = f"{scope_name(label)}#{ordinal}"
        if node is not None:
            return jax.named_scope(f"backward{call}/{tag}")
        self.nodes.append(Call(label, scope_path(scope), ordinal, name, call, source_of(call_site(1))))
        return jax.named_scope(tag)

    @contextlib.contextmanager
    def update_scope(self, name: str) -> Iterator[None]:
        """Name the equations of an optimizer's update: a node of its own, as an op is."""
        with self.op_scope(name.removesuffix("_update"), name):
            yield
        thread_state().scope.count += 1

    def link_scope(self) -> contextlib.AbstractContextManager[Any]:
        """Name the equations of the innermost link call after the link."""
        return jax.named_scope(self.call_path(thread_state().scope).rsplit("/", 1)[-1])


def _as_printed(value: Any) -> Any:
    """Return what `print` would write of a value now, as far as it is known before the call."""
    if isinstance(value, Variable) and value._array is not None:
        return Variable(value._array, name=value.name)
    if type(value) in (list, tuple, dict, set):
        return contents_of(value) if type(value) is not tuple else tuple(map(_as_printed, value))
    return value


def _print_again(values: dict[str, Any], kwargs: dict[str, Any]) -> None:
    print(*values.values(), **kwargs)
