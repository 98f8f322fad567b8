"""What is asked of a whole tree of links: its parameters, the links in it, their gradients and their updates."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import jax

from jaxchain.core.arrays import beside
from jaxchain.core.parameter import Parameter

if TYPE_CHECKING:
    from jaxchain.link.base import Link


class Hierarchy:
    """The part of `Link` that follows from the names of its parameters and from its children."""

    __slots__ = ()
    _params: set[str]
    _persistent: set[str]
    _shared: dict[str, Any] | None

    def _named_children(self) -> Iterable[tuple[str, Link]]:
        return ()

    def params(self, include_uninit: bool = True) -> Iterator[Parameter]:
        """Yield every parameter of the hierarchy.

        Args:
            include_uninit: Also those without an array.
        """
        attributes = self.__dict__
        for name in sorted(self._params):
            if include_uninit or attributes[name].is_initialized:
                yield attributes[name]
        for _, child in self._named_children():
            yield from child.params(include_uninit)

    def namedparams(self, include_uninit: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Yield (path, parameter) of every parameter of the hierarchy, e.g. ``("/l1/W", W)``; in order of names.

        Args:
            include_uninit: Also those without an array.
        """
        attributes = self.__dict__
        for name in sorted(self._params):
            if include_uninit or attributes[name].is_initialized:
                yield "/" + name, attributes[name]
        for name, child in self._named_children():
            for path, param in child.namedparams(include_uninit):
                yield f"/{name}{path}", param

    def links(self, skipself: bool = False) -> Iterator[Link]:
        """Yield every link of the hierarchy, parents first.

        Args:
            skipself: Leave this link out.
        """
        for _, link in self.namedlinks(skipself):
            yield link

    def namedlinks(self, skipself: bool = False) -> Iterator[tuple[str, Link]]:
        """Yield (path, link) of every link of the hierarchy, parents first; this link's path is ``/``.

        Args:
            skipself: Leave this link out.
        """
        if not skipself:
            yield "/", cast("Link", self)
        for name, child in self._named_children():
            yield "/" + name, child
            for path, link in child.namedlinks(True):
                yield f"/{name}{path}", link

    def children(self) -> Iterator[Link]:
        """Yield the child links."""
        for _, child in self._named_children():
            yield child

    def count_params(self) -> int:
        """Return the number of scalars in all parameters; warns about uninitialised ones, which do not count."""
        size = 0
        for path, param in self.namedparams():
            if param.array is None:
                warnings.warn(
                    f"Parameter {path!r} has not been initialized, so the resulting count will not include the number "
                    "of parameters in it.",
                    stacklevel=2,
                )
            else:
                size += param.size
        return size

    def _home(self, name: str) -> dict[str, Any]:
        """Return the dict that holds a parameter or persistent value."""
        own = self.__dict__
        return own if self._shared is None or name in own or name not in self._shared else self._shared

    def copyparams(self, link: Any, copy_persistent: bool = True) -> None:
        """Take over the parameter arrays of a link of the same structure; gradients stay.

        Args:
            link: The link to take from.
            copy_persistent: Also take its persistent values.

        Raises:
            ValueError: The shape of a parameter is another one.
        """
        theirs, ours = link.__dict__, self.__dict__
        for name in sorted(self._params):
            ours[name].copydata(theirs[name])
        if copy_persistent:
            for name in sorted(self._persistent):
                value = link._home(name)[name]
                home = self._home(name)
                own = home[name] if isinstance(home[name], jax.Array) else None
                home[name] = beside(value, own) if isinstance(value, jax.Array) else copy.deepcopy(value)
        self._with_children(link, lambda mine, other: mine.copyparams(other, copy_persistent))

    def addgrads(self, link: Any) -> None:
        """Add the gradients of a link of the same structure to this link's.

        Args:
            link: The link to take from.
        """
        for name in sorted(self._params):
            self.__dict__[name].addgrad(link.__dict__[name])
        self._with_children(link, lambda mine, other: mine.addgrads(other))

    def _with_children(self, link: Any, do: Callable[[Link, Link], None]) -> None:
        """Call `do` with each child and its counterpart in `link`."""
        for name, child in self._named_children():
            do(child, link.__dict__[name])

    def cleargrads(self) -> None:
        """Set the gradient of every parameter to None."""
        for param in self.params():
            param.cleargrad()

    def zerograds(self) -> None:
        """Set the gradient of every parameter to zeros. Deprecated: use `cleargrads`."""
        warnings.warn("Link.zerograds is deprecated. Use Link.cleargrads instead.", DeprecationWarning, stacklevel=2)
        for param in self.params():
            param.zerograd()

    def enable_update(self) -> None:
        """Let optimizers update every parameter of the hierarchy."""
        self._set_enabled(True)

    def disable_update(self) -> None:
        """Keep optimizers from updating the parameters of the hierarchy (after `Optimizer.setup`)."""
        self._set_enabled(False)

    def _set_enabled(self, enabled: bool) -> None:
        for param in self.params():
            if param.update_rule is not None:
                param.update_rule.enabled = enabled

    @property
    def update_enabled(self) -> bool:
        """Whether at least one parameter would be updated."""
        return any(p.update_rule is not None and p.update_rule.enabled for p in self.params())
