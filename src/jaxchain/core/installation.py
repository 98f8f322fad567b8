"""A trace's hands on the cells: other values in, what changed out, the old values back.

While a trace is on, the cells that a walk (core/state.py) found hold tracers; `Installation` puts them there, finds
what the trace changed and puts the old values back, also when it fails. Only core/attempt.py makes one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from jaxchain.core.arrays import Info
from jaxchain.core.cells import (
    ARRAY,
    GONE,
    MISSING,
    NUMBER,
    Template,
    View,
    contents_of,
    take,
    tuple_of,
    value_at,
    variables_in,
)
from jaxchain.core.compat import is_tracer
from jaxchain.core.config import thread_state
from jaxchain.core.nodes import VariableNode
from jaxchain.core.outputs import Outputs
from jaxchain.core.outside import substitute
from jaxchain.core.parameter import SharedParameter
from jaxchain.core.state import Walk
from jaxchain.core.variable import Variable
from jaxchain.core.writes import (
    ArrayWrite,
    ContentsWrite,
    Deletion,
    GradientWrite,
    ItemWrite,
    VariableArrayWrite,
    VariableGradientWrite,
    Write,
)


class FoundNode(VariableNode):
    """The node of a Variable that a trace found in a place: whether its type is looked at is noted."""

    __slots__ = ()

    @property
    def info(self) -> Info:  # type: ignore[override]
        """Shape, dtype and whether a gradient is wanted."""
        trace = thread_state().trace
        if trace is not None:
            trace.installation.looked_at.add(id(self))
        return _INFO.__get__(self)

    @info.setter
    def info(self, value: Info) -> None:
        _INFO.__set__(self, value)


_INFO: Any = VariableNode.__dict__["info"]


class Installation:
    """The cells of a walk, to have other values in them for the time of a trace.

    Args:
        walk: The cells.
        held: Which of the Variables in places others hold, too.
    """

    def __init__(self, walk: Walk, held: Sequence[bool] = ()) -> None:
        self.walk, self.held = walk, held
        self.ends: list[int] = []
        self.dropped: list[int] = []
        self.saved = [(p, p._array, p._grad, p._node.info, p._node.creator_node, p._node.rank) for p in walk.parameters]
        self.stand_ins = [(p, p.stand_in) for p in walk.parameters if isinstance(p, SharedParameter)]
        self.saved_places: list[tuple[Any, Any, Any, Any]] = []
        self.variables: dict[int, tuple[Any, Any]] = {}
        self.found_nodes: list[VariableNode] = []
        self.cut: set[int] = set()  # Variables from which no gradient goes on
        self._variable_tracers: dict[int, tuple[Any, Any]] = {}
        self.looked_at: set[int] = set()  # those whose types the program looks at
        self.originals: dict[int, tuple[Any, Any]] = {}  # see `outside.substitute`
        self.installed: list[Any] = []

    def install(self, arrays: Sequence[Any], grads: Sequence[Any], values: Sequence[Any]) -> None:
        """Put other values into the cells. `restore` takes them out again, also where this was interrupted.

        Args:
            arrays: New parameter arrays, one per parameter (None: leave).
            grads: New gradients, one per parameter.
            values: Flat arrays of the places, in order.
        """
        walk, rest = self.walk, iter(values)
        for container, key, name in walk.outside:
            container[key] = substitute(name, container[key], self.originals)
        for container, key, template, _ in walk.places:
            old = container[key]
            new = self._build(template, old, rest)
            self.installed.append(new)
            self.saved_places.append((container, key, old, new))
            if new is not old:
                container[key] = new
        self.found = [v for _, _, old, _ in self.saved_places for v in variables_in(old)]
        self.positions: dict[int, int] = {}  # where each of these stands first, from behind
        for at, v in enumerate(self.found, -len(self.found)):
            self.positions.setdefault(id(v), at)
        for p, a, g in zip(walk.parameters, arrays, grads, strict=True):
            if isinstance(p, SharedParameter):  # comes after its origin
                p.stand_in = (p.origin._array, a)
            elif a is not None:
                p._array = a
            p._grad = g
        self.arrays, self.grads = list(arrays), list(grads)
        self.found_grads = {id(g): saved[2] for g, saved in zip(grads, self.saved, strict=True) if g is not None}

    def _build(self, template: Template, old: Any, rest: Any) -> Any:
        if template is ARRAY or template is NUMBER:
            return next(rest)
        if template[0] == "same":
            return old
        if template[0] == "var":  # the same object, with a tracer in it
            if id(old) not in self.variables:
                node = old._node
                self.variables[id(old)] = (old, (old._array, old._grad, node.info, node.creator_node))
                if type(node) is VariableNode:
                    node.__class__ = FoundNode
                    self.found_nodes.append(node)
            old._array = next(rest)
            old._grad = next(rest) if template[1] else None
            old._node.creator_node = None
            return old
        return tuple_of(template[2], [self._build(t, v, rest) for t, v in zip(template[1], old, strict=True)])

    def unchained(self, node: VariableNode) -> None:
        """The program says that no gradient goes on from a Variable: if it was found, and none has arrived yet, none
        will.
        """
        variable = node.get_variable_or_none()
        found = self._variable_tracers.get(id(variable))
        if variable is not None and found is not None and variable._grad is found[1]:
            self.cut.add(id(variable))

    def writes(self, outputs: Outputs) -> list[Write]:
        """Return what the trace changed, as writes to do after every call."""
        walk = self.walk
        found: list[tuple[str, type[Write], Any, Any, Any]] = []  # (name, kind, container, key, value)
        for p, name, a, g in zip(walk.parameters, walk.parameter_names, self.arrays, self.grads, strict=True):
            own = not isinstance(p, SharedParameter)
            if own and p._array is not a and (a is not None or is_tracer(p._array)):
                found.append((name, ArrayWrite, p, None, p._array))
            if p._grad is not g:
                found.append((f"{name}.grad", GradientWrite, p, None, p.grad))
        cells: list[tuple[Any, Any, Any, str]] = [*walk.plain]  # what each held, or was given for the trace
        cells += [(c, key, given, name) for (c, key, _, name), given in zip(walk.places, self.installed, strict=True)]
        for container, key, given, name in cells:
            now = value_at(container, key)
            if now is GONE:
                found.append((name, Deletion, container, key, None))
            elif now is not given and self.originals.get(id(now), (now, now))[1] is not given:
                found.append((name, ItemWrite, container, key, now))
        added = walk.added()
        found += [(key, ItemWrite, view, key, value) for view, key, value in added]
        if added:
            walk.note_absent(added)
        ordered = {id(d) for d in walk.ordered}
        for container, contents in walk.contents:
            if id(container) in ordered and not _in_order(container, contents):
                found = [w for w in found if w[2] is not container]
                found.append((type(container).__name__, ContentsWrite, container, None, dict(container)))
            elif isinstance(container, dict):
                for key in container.keys() - contents.keys():
                    found.append((str(key), ItemWrite, container, key, container[key]))
            elif len(container) != len(contents) or (isinstance(container, set) and container != contents):
                found = [w for w in found if w[2] is not container]
                found.append((type(container).__name__, ContentsWrite, container, None, contents_of(container)))
        writes = []
        for name, kind, container, key, value in sorted(found, key=lambda w: (w[0], w[1].__name__)):
            # by name: two variants that write the same cells have the same outputs
            outputs.name = name
            writes.append(kind(name, container, key, outputs.builder(value), outputs.index_of(value)))
        writes += self._writes_to_variables(outputs)
        outputs.name = "report"
        return writes

    def _writes_to_variables(self, outputs: Outputs) -> list[Write]:
        """Return what the trace changed of the Variables that it found, as far as anybody can see it: those that are
        still in the state, that come out, or that others hold, too.
        """
        places = zip(self.walk.places, self.saved_places, strict=True)
        homes = {id(v): (p.name, p.container, p.key) for p, (_, _, old, _) in places for v in variables_in(old)}
        left = {id(v) for c, key, _, _ in self.walk.places for v in variables_in(value_at(c, key))}
        self.ends, self.dropped = [], []
        writes = []
        for i, (v, _) in self.variables.items():
            at = self.positions[i]
            (name, container, key), (array, grad) = homes[i], self._variable_tracers[i]
            changed: list[tuple[str, type[Write], Any]] = []
            changed += [(name, VariableArrayWrite, v._array)] if v._array is not array else []
            changed += [(f"{name}.grad", VariableGradientWrite, v.grad)] if v._grad is not grad else []
            if v._grad is not grad and v._grad is not None and i not in self.cut:
                self.ends.append(at)
            if changed and not (i in left or at in outputs.gives_back or self.held[at]):
                self.dropped.append(at)
                continue
            for outputs.name, kind, value in changed:
                build = outputs.builder(value)
                writes.append(kind(outputs.name, container, key, build, outputs.index_of(value), at))
                outputs.gives_back.setdefault(at, -1)
        return writes

    def freeze(self) -> None:
        """Remember the tracers put into Variables, to tell later which were replaced."""
        self._variable_tracers = {i: (v._array, v._grad) for i, (v, _) in self.variables.items()}

    def given_to(self, variable: Variable) -> Any:
        """Return the tracer that was put into a Variable, whatever is in there now."""
        return self._variable_tracers[id(variable)][0]

    def looks_at(self) -> list[bool]:
        """Return for each place whether the program looks at the type of a Variable in there."""
        return [any(id(v._node) in self.looked_at for v in variables_in(old)) for _, _, old, _ in self.saved_places]

    def restore(self) -> None:
        """Put every cell back as it was; once more, also what was initialised in the trace and stayed so."""
        for p, array, grad, info, creator, rank in self.saved:
            if not isinstance(p, SharedParameter):
                p._array = array
            p._grad = grad
            p._node.info, p._node.creator_node, p._node.rank = info, creator, rank
        for shared, stand_in in self.stand_ins:
            shared.stand_in = stand_in
        for node in self.found_nodes:
            node.__class__ = VariableNode
        for variable, (array, grad, info, creator) in self.variables.values():
            variable._array, variable._grad = array, grad
            variable._node.info, variable._node.creator_node = info, creator
        self.walk.restore_containers()
        for container, key, old, new in self.saved_places:
            if new is not old or (isinstance(container, View) and container[key] is not old):
                container[key] = old
        for container, key, old, _ in self.walk.plain:
            if isinstance(container, View):
                if container[key] is not old:
                    container[key] = old
            elif isinstance(container, dict) and container.get(key, self) is not old:
                container[key] = old


def _in_order(container: dict[Any, Any], contents: dict[Any, Any]) -> bool:
    """Return whether what is left of a dictionary stands where it stood, and what is new behind it."""
    left = [key for key in contents if key in container]
    return left == list(itertools.islice(container, len(left)))


def read(walk: Walk) -> tuple[list[Any], list[Any], list[Any]] | None:
    """Return (parameter arrays, gradients, flat place arrays), or None if a place no longer fits its template."""
    values: list[Any] = []
    for container, key, template, _ in walk.places:
        try:
            if not take(template, container[key], values):
                return None
        except MISSING:
            return None
    return [p._array for p in walk.parameters], [p._grad_array() for p in walk.parameters], values
