"""A chain that holds the parameters of something that is not made of links: a Flax module, an exported program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from jaxchain.core.parameter import Parameter
from jaxchain.link import Chain, Link

PARAM, STATE, ATTRIBUTE = "param", "state", "attribute"  # an attribute is no part of the files of `save_npz`
Key_ = tuple[str, ...]  # where a leaf is in the tree
Leaf = tuple[str, Key_, tuple[str, ...], str]  # kind, key, names of the links on the way, name of the attribute


class ParameterScope(Chain):
    """Parameters and persistent values of an inner part of a `ParameterTree`: it is not called.

    Attributes:
        name: Name of the part.
    """

    def forward(self, *args: Any) -> Any:
        """Refuse: only the whole can be called."""
        raise RuntimeError(f"{self.name!r} holds the parameters of a part: call the whole link")


class ParameterTree(Chain):
    """A chain whose parameters and persistent values come from a tree of arrays, in links named as its branches."""

    def __init__(self) -> None:
        super().__init__()
        self._layout: tuple[Leaf, ...] = ()

    def _register(
        self, leaves: Mapping[Key_, tuple[str, Any]], path_of: Callable[[Key_], Key_] = lambda key: key
    ) -> None:
        """Make parameters, persistent values, attributes and the links that hold them.

        Args:
            leaves: (`PARAM`, `STATE` or `ATTRIBUTE`, array) by key.
            path_of: Gives the names of the links on the way and of the attribute.
        """
        layout = []
        owners: dict[Key_, Link] = {(): self}
        names: dict[Key_, Key_] = {(): ()}
        for key, (kind, value) in sorted(leaves.items(), key=lambda item: item[0]):
            path = path_of(key)
            for n in range(1, len(path)):
                if path[:n] not in owners:
                    parent = owners[path[: n - 1]]
                    name = free_name(parent, path[n - 1])
                    scope = owners[path[:n]] = ParameterScope()
                    names[path[:n]] = (*names[path[: n - 1]], name)
                    with parent.init_scope():
                        setattr(parent, name, scope)
            owner, name = owners[path[:-1]], free_name(owners[path[:-1]], path[-1])
            if kind == PARAM:
                with owner.init_scope():
                    setattr(owner, name, Parameter(jnp.asarray(value)))
            elif kind == STATE:
                owner.add_persistent(name, jnp.asarray(value))
            else:
                setattr(owner, name, jnp.asarray(value))
            layout.append((kind, key, names[path[:-1]], name))
        self._layout = tuple(layout)

    def _cells(self) -> tuple[list[Any], list[tuple[Link, str]]]:
        """Return the parameters, and (link, name) of the persistent values and attributes."""
        places = [(kind, self._owner(path), name) for kind, _, path, name in self._layout]
        params = [owner.__dict__[name] for kind, owner, name in places if kind == PARAM]
        return params, [(owner, name) for kind, owner, name in places if kind != PARAM]

    def _owner(self, path: Key_) -> Link:
        owner: Any = self
        for part in path:
            owner = owner.__dict__[part]
        return owner

    def device_resident_accept(self, visitor: Any) -> None:
        """Move the attributes, too."""
        super().device_resident_accept(visitor)
        for kind, _, path, name in self._layout:
            if kind == ATTRIBUTE:
                home = self._owner(path).__dict__
                home[name] = visitor.visit_array(home[name])


def free_name(owner: Any, name: str) -> str:
    """Return a name that is no attribute of an object yet: underscores are added to one that is."""
    while hasattr(owner, name):  # attributes of links, or another leaf of the same path
        name += "_"
    return name
