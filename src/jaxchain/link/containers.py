"""Links that hold links: under names, and in a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableSequence
from typing import Any, overload

from jaxchain.link.base import Link


def indented(pairs: Iterable[tuple[Any, str]]) -> str:
    """Return the lines of `str` of links that hold others, from (name, text) of each."""
    lines = [f"  {line}\n" for name, text in pairs for line in f"({name}): {text},".splitlines()]
    return "\n" + "".join(lines) if lines else ""


class Chain(Link):
    """A link with child links under names: those set as attributes inside ``with self.init_scope():``.

    Args:
        **links: Child links by name.

    Examples:
        >>> class MLP(jaxchain.Chain):
        ...     def __init__(self):
        ...         super().__init__()
        ...         with self.init_scope():
        ...             self.l1, self.l2 = L.Linear(None, 8), L.Linear(8, 3)
        ...     def forward(self, x):
        ...         return self.l2(F.relu(self.l1(x)))
        >>> [path for path, _ in MLP().namedparams()]
        ['/l1/W', '/l1/b', '/l2/W', '/l2/b']
    """

    __slots__ = ("_children",)
    _walk_slots = Link._walk_slots

    def __init__(self, **links: Link) -> None:
        super().__init__()
        self._children: set[str] = set()
        for name, link in links.items():
            self.add_link(name, link)

    def __str__(self) -> str:
        return f"{type(self).__name__}({indented((c.name, str(c)) for c in self.children())})"

    def __getitem__(self, name: str) -> Any:
        """Return an attribute, e.g. a child link."""
        return getattr(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Link) and self.within_init_scope:
            if hasattr(self, name):
                raise AttributeError(f"cannot register a new link {name}: attribute exists")
            value.name = name
            self._children.add(name)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        self._children.discard(name)
        super().__delattr__(name)

    def add_link(self, name: str, link: Link) -> None:
        """Add a child link.

        Args:
            name: Name of the link and of the attribute.
            link: The link.

        Raises:
            AttributeError: The attribute exists.
            TypeError: It is not a link.
        """
        if name in self.__dict__:
            raise AttributeError(f"cannot register a new link {name}: attribute exists")
        if not isinstance(link, Link):
            raise TypeError("cannot register a non-link object as a child")
        with self.init_scope():
            setattr(self, name, link)

    def _named_children(self) -> Iterable[tuple[str, Link]]:
        attributes = self.__dict__
        return [(name, attributes[name]) for name in sorted(self._children)]

    def _copy_children(self) -> None:
        self._children = set(self._children)
        for name in self._children:
            child = self.__dict__[name] = self.__dict__[name].copy()
            child.name = name


class ChainList(Link, MutableSequence):
    """A link with child links under numbers: a list of links.

    Args:
        *links: The child links.

    Examples:
        >>> layers = jaxchain.ChainList(*[L.Linear(4, 4) for _ in range(2)])
        >>> layers.append(L.Linear(4, 1))
        >>> [path for path, _ in layers.namedlinks()]
        ['/', '/0', '/1', '/2']
    """

    __slots__ = ("_children",)
    _walk_slots = (*Link._walk_slots, "_children")

    def __init__(self, *links: Link) -> None:
        super().__init__()
        self._children: list[Link] = []
        for link in links:
            self.add_link(link)

    def __str__(self) -> str:
        return f"{type(self).__name__}({indented((i, str(c)) for i, c in enumerate(self._children))})"

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Link) and self.within_init_scope:
            raise TypeError('cannot register a new link within a "with chainlist.init_scope():" block.')
        super().__setattr__(name, value)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """Return a child link, or a list of them."""
        return self._children[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        if not isinstance(index, int | slice):
            raise TypeError(f"ChainList indices must be integers or slices, not {type(index).__name__}")
        self._children[index] = value
        self._rename()

    def __delitem__(self, index: int | slice) -> None:
        del self._children[index]
        self._rename()

    def insert(self, index: int, link: Link) -> None:  # type: ignore[override]
        """Insert a child link.

        Args:
            index: Where.
            link: The link.
        """
        self._children.insert(index, link)
        self._rename()

    def _rename(self) -> None:
        for i, child in enumerate(self._children):
            child.name = str(i)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._children)

    def __len__(self) -> int:
        return len(self._children)

    def add_link(self, link: Link) -> None:
        """Add a child link at the end.

        Args:
            link: The link.
        """
        self.append(link)

    def _named_children(self) -> Iterable[tuple[str, Link]]:
        return [(str(i), child) for i, child in enumerate(self._children)]

    def _copy_children(self) -> None:
        self._children = [child.copy() for child in self._children]
        self._rename()

    def _with_children(self, link: Any, do: Callable[[Link, Link], None]) -> None:
        for i, child in enumerate(self._children):
            do(child, link[i])
