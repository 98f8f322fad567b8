"""When a compiled program fits: what of a call's arguments and of the state must be as it was when it was traced."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from jaxchain.core.arguments import is_exchangeable, objects_of
from jaxchain.core.arrays import Info, info_of
from jaxchain.core.cells import MISSING, Template, count, found_in, held_elsewhere, holds_arrays, take, template_of
from jaxchain.core.config import lock
from jaxchain.core.state import Walk
from jaxchain.core.traced import Lifted
from jaxchain.core.variable import Variable


class Conditions:
    """What must be as it was for a program to fit.

    Args:
        lifted: What the program was lifted from.

    Attributes:
        walk: What was found: everything but the values of arrays must be as it was.
        holders: The places that hold Variables.
        records: Arguments that must be the same objects.
        aliases: Which arguments and Variables in places are one and the same; None: that cannot change.
        mixed: Places that hold several arrays, or arrays beside other things.
        unread: Places, and the types of what is there: the program asked for them, not for the values.
    """

    def __init__(self, lifted: Lifted) -> None:
        self.walk, self.roots, self.holders, self.dropped = lifted.walk, lifted.roots, lifted.holders, lifted.dropped
        self.uninitialised = lifted.uninitialised
        self.grads_read, self.grad_none = lifted.grads_read, lifted.grad_none
        self.records = [(i, leaf) for i, leaf in enumerate(lifted.leaves) if is_exchangeable(leaf)]
        several = len(self.found()) + sum(isinstance(leaf, Variable) for leaf in lifted.leaves) > 1
        self.aliases = self._aliases(lifted.leaves) if several and self.holders else None
        self.mixed = [(c, key, t) for c, key, t, _ in self.walk.places if not isinstance(t, str)]
        self.unread: list[tuple[Any, Any, Template, Any]] = []
        at = lifted.bounds["places"][0]
        for (container, key, template, _), looked_at in zip(self.walk.places, lifted.looked_at, strict=True):
            n = count(template)
            if (looked_at or holds_arrays(template)) and not all(lifted.live[at : at + n]):
                self.unread.append((container, key, template, _types(template, container, key)))
            at += n
        live = lifted.live[slice(*lifted.bounds["arrays"])]
        self.unread_parameters = [p for p, is_read in zip(lifted.arrays, live, strict=True) if not is_read]
        self.unread_infos = list(map(_INFO, self.unread_parameters))

    def found(self) -> list[Variable]:
        """Return the Variables in places."""
        return found_in(self.holders)

    def _aliases(self, leaves: Sequence[Any]) -> list[int]:
        """Return for each argument and each Variable in a place where the same one is first; -1 for no Variable."""
        held = [*leaves, *self.found()]
        first: dict[int, int] = {}
        return [first.setdefault(id(v), i) if isinstance(v, Variable) else -1 for i, v in enumerate(held)]

    def _aliases_now(self, leaves: Sequence[Any]) -> list[int] | None:
        try:
            return self._aliases(leaves)
        except MISSING:
            return None

    def difference(self, leaves: Sequence[Any] | None = None) -> str | None:
        """Return why the program does not fit the state and a call's arguments now, or None."""
        if leaves is not None:
            if self.records and any(leaves[i] is not old for i, old in self.records):
                return "an argument is another object"
            if self.aliases is not None and self._aliases_now(leaves) != self.aliases:
                return "other places of the state or arguments are one and the same Variable than before"
        for p in self.uninitialised:
            if p._array is not None:
                return f"parameter {p.name} was initialised"
        reason = self.walk.difference()
        if reason is not None:
            return reason
        for container, key, template in self.mixed:
            try:
                value = container[key]
            except MISSING:
                return f"{key} was deleted"
            if not take(template, value, []):
                return f"{key}: {template} -> {template_of(value) or type(value).__name__}"
        if list(map(_INFO, self.unread_parameters)) != self.unread_infos:
            pairs = zip(self.unread_parameters, self.unread_infos, strict=True)
            name = next(p.name for p, info in pairs if p._node.info is not info)
            return f"the type of parameter {name}, which is not read, changed"
        for container, key, template, types in self.unread:
            if _types(template, container, key) != types:
                return f"the type of {key}, which is not read, changed"
        if self.grads_read:
            now = [p._grad is None for p in self.walk.parameters]
            if now != self.grad_none:
                return "a gradient was None before and is not now, or the reverse"
        if self.dropped:
            held = held_elsewhere(self.holders, {})
            if any(held[at] for at in self.dropped):
                return "a Variable that is changed and taken out of the state is held elsewhere, too"
        return None

    def rebind(self, leaves: Sequence[Any], walks: dict[Any, Walk]) -> Callable[[Any], Any] | None:
        """Look at other objects than before, if the state is now held by such as were there: lists that are made anew
        in every step, a batch that is an object.

        Args:
            leaves: The arguments of the call.
            walks: What was found from which roots, filled here.

        Returns:
            What says which object has taken the place of another; None if the state is not alike.
        """
        roots = tuple((name, id(root)) for name, root in self.roots)
        with lock:
            if roots not in walks:
                walks[roots] = Walk([*self.roots, *objects_of(leaves)], rules=self.walk.rules)
            moved = self.walk.take_over(walks[roots])
        if moved is None:
            return None

        def there(container: Any) -> Any:
            return moved.get(id(container), container)

        templates = {(id(c), k): t for c, k, t, _ in self.walk.places}
        self.mixed = [(there(c), k, templates[id(there(c)), k]) for c, k, _ in self.mixed]
        self.unread = [(there(c), k, templates[id(there(c)), k], types) for c, k, _, types in self.unread]
        self.holders = [(there(c), k) for c, k in self.holders]
        self.records = [(i, leaves[i]) for i, _ in self.records]
        return there


def _types(template: Template, container: Any, key: Any) -> list[Info] | None:
    """Return the types of the arrays in a place; None if it is gone, or holds something else."""
    held: list[Any] = []
    try:
        fits = take(template, container[key], held)
    except MISSING:
        return None
    return [info_of(v, False) for v in held] if fits else None


_INFO = operator.attrgetter("_node.info")
