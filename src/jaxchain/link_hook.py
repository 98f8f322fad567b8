"""`LinkHook`: what sees link calls. Registered per link (`Link.add_hook`) or per thread (`with hook:`)."""

from __future__ import annotations

from typing import Any

from jaxchain.core.config import thread_state


class _ForwardPreprocessCallbackArgs:
    """What a hook is told before a call: ``link``, ``forward_name``, ``args``, ``kwargs``."""

    def __init__(self, link: Any, forward_name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.link, self.forward_name, self.args, self.kwargs = link, forward_name, args, kwargs

    def __repr__(self) -> str:
        fields = ", ".join(f"{k}={v!r}" for k, v in vars(self).items())
        return f"{type(self).__name__.lstrip('_')}({fields})"


class _ForwardPostprocessCallbackArgs(_ForwardPreprocessCallbackArgs):
    """The same after a call, with its result in ``out``."""

    def __init__(self, link: Any, forward_name: str, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        super().__init__(link, forward_name, args, kwargs)
        self.out = out


class LinkHook:
    """Base class of hooks that see link calls; subclasses override what they need.

    As a context manager it sees every link call of the thread, for which static mode makes way to eager mode; given to
    `Link.add_hook` it sees that link's, and in static mode is part of what is compiled, with the state that it reads
    and writes. One that only records can say ``_opaque = True``: then it does so while a call is traced, and no more.

    Attributes:
        name: Its key among the hooks of a thread or link.

    Examples:
        >>> class Shapes(jaxchain.LinkHook):
        ...     def forward_preprocess(self, args):
        ...         print(args.link.name, [x.shape for x in args.args])
        >>> with Shapes():
        ...     y = jaxchain.Sequential(L.Linear(3, 2))(np.ones((1, 3), np.float32))
        None [(1, 3)]
        0 [(1, 3)]
    """

    name = "LinkHook"

    def __enter__(self) -> Any:
        hooks = thread_state().link_hooks
        if self.name in hooks:
            raise KeyError(f"hook {self.name} already exists")
        hooks[self.name] = self
        self.added(None)
        return self

    def __exit__(self, *_: Any) -> None:
        hooks = thread_state().link_hooks
        hooks[self.name].deleted(None)
        del hooks[self.name]

    def added(self, link: Any) -> None:
        """The hook was registered.

        Args:
            link: With this link, or None: for the thread.
        """

    def deleted(self, link: Any) -> None:
        """The hook was unregistered.

        Args:
            link: From this link, or None: from the thread.
        """

    def forward_preprocess(self, args: _ForwardPreprocessCallbackArgs) -> None:
        """A link is about to run.

        Args:
            args: Has ``link``, ``forward_name``, ``args`` and ``kwargs``.
        """

    def forward_postprocess(self, args: _ForwardPostprocessCallbackArgs) -> None:
        """A link has run.

        Args:
            args: Has ``link``, ``forward_name``, ``args``, ``kwargs`` and ``out``.
        """
