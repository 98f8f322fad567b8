"""Links: parameters, persistent values and child links under names, and the call that opens a scope in the graph.

What a link is made of lives in slots, so `__dict__` holds only what its author set: that is what static mode looks at
per call. A link knows nothing of how a mode works: `Link._run` hands the outermost call to core/static.py.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence
from typing import Any, ClassVar, Self, overload

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.config import get_dtype, thread_state
from jaxchain.core.variable import BrokenScope, Parameter, Scope, as_jax
from jaxchain.link_hook import LinkHook, _ForwardPostprocessCallbackArgs, _ForwardPreprocessCallbackArgs

COPY_MODES = ("init", "copy", "share")
NUMERIC = "biufc"


class Link:
    """A building block of models: named parameters and persistent values, and a `forward` on them.

    Subclasses call ``super().__init__()``, set parameters inside ``with self.init_scope():``, and define `forward`.

    Args:
        **params: Parameters to add: a shape, or ``(shape, dtype)``. They hold NaN until they are set.

    Attributes:
        name: Its name in the parent; None for a root.

    Examples:
        >>> class Shift(jaxchain.Link):
        ...     def __init__(self, size):
        ...         super().__init__()
        ...         with self.init_scope():
        ...             self.b = jaxchain.Parameter(0.5, (size,))
        ...     def forward(self, x):
        ...         return x + self.b
        >>> Shift(2)(np.float32([1, 2])).array.tolist()
        [1.5, 2.5]
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_hooks",
        "_mode",
        "_params",
        "_persistent",
        "_static",
        "_within_init_scope",
        "name",
    )
    _walk_slots: ClassVar[tuple[str, ...]] = ("_hooks",)  # the slots in which static mode looks for state

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__dict__.get("__slots__", ())
        if own and cls.__module__ != __name__:
            own = (own,) if isinstance(own, str) else tuple(s for s in own if not s.startswith("__"))
            cls._walk_slots = (*cls._walk_slots, *own)
        # A `__call__` of a class's own, or of a mixin, goes through `_run` like `forward` does.
        found = cls.__call__
        if found is Link.__call__:
            after = cls.__mro__[cls.__mro__.index(Link) + 1 :]
            found = next((vars(c)["__call__"] for c in after if "__call__" in vars(c)), found)
        if not hasattr(found, "_enters_link"):
            cls.__call__ = _entering(found)  # type: ignore[method-assign]

    def __init__(self, **params: Any) -> None:
        super().__init__()
        self._params: set[str] = set()
        self._persistent: set[str] = set()
        self._within_init_scope = False
        self._hooks: dict[str, LinkHook] | None = None
        self._mode: str | None = None
        self._static: Any = None
        self.name: str | None = None
        for name, value in params.items():
            self.add_param(name, *_shape_and_dtype(value))

    # -- calling -----------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`: in the scope of this link, seen by hooks, compiled if the mode says so."""
        try:
            forward = self.forward  # type: ignore[attr-defined]
        except AttributeError as error:
            if hasattr(type(self), "forward"):
                raise
            name = type(self).__name__
            raise AttributeError(f"{name!r} object has no attribute 'forward': define it, or __call__") from error
        if type(self).__call__ is not _link_call:  # reached by super().__call__: the scope is open
            return forward(*args, **kwargs)
        return self._run(forward, args, kwargs)

    @property
    def _forward(self) -> Callable[..., Any]:
        """What a call runs: `forward`, or the `__call__` that the class defines itself."""
        call = type(self).__call__
        return self.forward if call is _link_call else call.__wrapped__.__get__(self)  # type: ignore[attr-defined]

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a forward function of this link in its scope."""
        state = thread_state()
        outer = state.scope
        try:
            mode = self._mode
        except AttributeError:
            raise RuntimeError(_NO_INIT) from None
        if mode is not None or state.static or outer.__class__ is BrokenScope:
            outermost = (state.static and outer is None) or outer.__class__ is BrokenScope
            if (mode == "static" or (outermost and mode != "eager")) and state.trace is None:
                from jaxchain.core.static import call_link

                return call_link(self, function, args, kwargs)
        return self._enter(state, Scope(outer, self), function, args, kwargs)

    def _enter(self, state: Any, scope: Scope, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run a forward function in a scope, seen by hooks."""
        outer, state.scope = state.scope, scope
        try:
            if state.trace is None and not state.link_hooks and not self._hooks:
                return function(*args, **kwargs)
            return self._run_observed(state, function, args, kwargs)
        finally:
            state.scope = outer

    def _run_observed(self, state: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run under a trace or hooks: the slow path of `_run`."""
        hooks = list({**state.link_hooks, **(self._hooks or {})}.values())
        if hooks:
            before = _ForwardPreprocessCallbackArgs(self, "forward", args, kwargs)
            for hook in hooks:
                hook.forward_preprocess(before)
        if state.trace is None:
            out = function(*args, **kwargs)
        else:
            with state.trace.link_scope(self):
                out = function(*args, **kwargs)
        if hooks:
            after = _ForwardPostprocessCallbackArgs(self, "forward", args, kwargs, out)
            for hook in hooks:
                hook.forward_postprocess(after)
        return out

    def static(self) -> Self:
        """Compile every outermost call of this link from now on. Returns the link itself."""
        self._mode = "static"
        return self

    def eager(self) -> Self:
        """Run this link eagerly from now on, also where the configuration says static. Returns the link itself."""
        self._mode = "eager"
        return self

    def explain(self) -> Any:
        """Return why and when calls of this link were compiled; print it."""
        from jaxchain.core.static import static_link

        return static_link(self).explain()

    def summary(self, *args: Any, **kwargs: Any) -> Any:
        """Return a table of this link and those in it, on given arguments: `jaxchain.summary`."""
        return importlib.import_module("jaxchain.views.summary").summary(self, *args, **kwargs)

    def __rich__(self) -> Any:
        """Return the tree that `rich.print` draws."""
        return importlib.import_module("jaxchain.views.terminal").tree(self)

    def _repr_html_(self) -> str:
        """Draw it in a notebook."""
        return importlib.import_module("jaxchain.views.notebook").link_html(self)

    # -- registration ------------------------------------------------------------------------------

    @property
    def within_init_scope(self) -> bool:
        """Whether an `init_scope` of this link is open."""
        return getattr(self, "_within_init_scope", False)

    @contextlib.contextmanager
    def init_scope(self) -> Iterator[None]:
        """Return a context in which parameters (and links, for a `Chain`) set as attributes are registered.

        Raises:
            RuntimeError: ``super().__init__()`` was not called.
        """
        try:
            old = self._within_init_scope
        except AttributeError:
            raise RuntimeError(_NO_INIT) from None
        self._within_init_scope = True
        try:
            yield
        finally:
            self._within_init_scope = old

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            if self.within_init_scope:
                value.name = name
                self._params.add(name)
                self._persistent.discard(name)
        elif isinstance(value, np.ndarray) and name in getattr(self, "_persistent", ()):
            value = _as_persistent(value)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        self._params.discard(name)
        self._persistent.discard(name)
        object.__delattr__(self, name)

    def add_param(
        self, name: str, shape: int | Sequence[int] | None = None, dtype: Any = np.float32, initializer: Any = None
    ) -> None:
        """Add a parameter.

        Args:
            name: Name of the parameter and of the attribute.
            shape: Shape; None leaves it uninitialised.
            dtype: Dtype, where `initializer` is None.
            initializer: Initialiser, scalar or array. None: NaN.

        Raises:
            AttributeError: The attribute exists.
        """
        if name in self.__dict__:
            raise AttributeError(f"cannot register a new parameter {name}: attribute exists")
        if initializer is None:
            from jaxchain.initializers import NaN

            initializer = NaN(dtype)
        with self.init_scope():
            setattr(self, name, Parameter(initializer, shape))

    def add_persistent(self, name: str, value: Any) -> None:
        """Add a value that is saved and loaded with the link, e.g. a running mean.

        Args:
            name: Name of the value and of the attribute.
            value: The value. A NumPy array becomes a JAX array (copied).

        Raises:
            AttributeError: The attribute exists.
        """
        if name in self.__dict__:
            raise AttributeError(f"cannot register a new persistent value {name}: attribute exists")
        self._persistent.add(name)
        self._params.discard(name)
        self.__dict__[name] = _as_persistent(value)

    def register_persistent(self, name: str) -> None:
        """Make an existing attribute a persistent value. A parameter of that name is no parameter any more.

        Args:
            name: Name of the attribute.

        Raises:
            AttributeError: There is none.
        """
        if not hasattr(self, name):
            raise AttributeError(f"cannot register non-existent attribute {name} as a persistent value")
        self._persistent.add(name)
        self._params.discard(name)
        value = getattr(self, name)
        if isinstance(value, np.ndarray):
            setattr(self, name, _as_persistent(value))

    @classmethod
    def from_params(cls, *args: Any, **kwargs: Any) -> Any:
        """Return a link made from given parameter arrays; defined by links that can.

        Raises:
            NotImplementedError: This link cannot.
        """
        raise NotImplementedError(f"{cls.__name__} does not implement from_params")

    # -- what is in it -----------------------------------------------------------------------------

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
            yield "/", self
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

    @property
    def printable_specs(self) -> Iterator[tuple[str, Any]]:
        """(name, value) of what it was made with, for `str(link)`. Subclasses override it."""
        return iter(())

    def __str__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in self.printable_specs)})"

    # -- copies ------------------------------------------------------------------------------------

    def copy(self, mode: str = "share") -> Self:
        """Copy the hierarchy. The copy has no name.

        Args:
            mode: ``share``: new `Parameter` objects with gradients of their own start with the same arrays (they stay
                the same until one is assigned or updated: arrays are immutable here). ``copy``: everything is copied.
                ``init``: copied, and initialised anew.

        Raises:
            ValueError: Another mode.
        """
        if mode not in COPY_MODES:
            raise ValueError(f"The 'mode' argument should be either 'init', 'copy', or 'share'. But {mode} was given.")
        if mode == "share":
            copied = copy.copy(self)
            copied._params, copied._persistent = set(self._params), set(self._persistent)
            for name in copied._params:
                param = copied.__dict__[name] = copy.copy(self.__dict__[name])
                param._grad = None
            copied._copy_children()
        else:
            copied = copy.deepcopy(self)
            if mode == "init":
                for param in copied.params(include_uninit=False):
                    param.initialize(param.shape)
        copied.name = None
        return copied

    def _copy_children(self) -> None:
        """Give a shallow copy children of its own."""

    def __getstate__(self) -> Any:
        attributes, slots = super().__getstate__()  # type: ignore[misc]
        attributes = {k: v for k, v in (attributes or {}).items() if k != "_static_methods"}
        return attributes, {**slots, "_static": None}  # compiled calls stay with the link they were compiled for

    def repeat(self, n_repeat: int, mode: str = "init") -> Sequential:
        """Return a `Sequential` of copies of this link.

        Args:
            n_repeat: How many.
            mode: As for `copy`.

        Raises:
            ValueError: Another mode.
        """
        repeated = Sequential()
        if n_repeat <= 0:
            return repeated
        if mode not in COPY_MODES:
            raise ValueError(f"The 'mode' argument should be either 'init', 'copy', or 'share'. But {mode} was given.")
        for _ in range(n_repeat):
            repeated.append(self.copy(mode))
        return repeated

    def copyparams(self, link: Link, copy_persistent: bool = True) -> None:
        """Take over the parameter arrays of a link of the same structure; gradients stay.

        Args:
            link: The link to take from.
            copy_persistent: Also take its persistent values.
        """
        theirs, ours = link.__dict__, self.__dict__
        for name in self._params:
            _copy_data(ours[name], theirs[name])
        if copy_persistent:
            for name in self._persistent:
                value = theirs[name]
                ours[name] = value if isinstance(value, jax.Array) else copy.deepcopy(value)
        self._with_children(link, lambda mine, other: mine.copyparams(other, copy_persistent))

    def addgrads(self, link: Link) -> None:
        """Add the gradients of a link of the same structure to this link's.

        Args:
            link: The link to take from.
        """
        for name in self._params:
            self.__dict__[name].addgrad(link.__dict__[name])
        self._with_children(link, lambda mine, other: mine.addgrads(other))

    def _with_children(self, link: Any, do: Callable[[Link, Link], None]) -> None:
        """Call `do` with each child and its counterpart in `link`."""
        for name, child in self._named_children():
            do(child, link.__dict__[name])

    # -- gradients and updates ---------------------------------------------------------------------

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

    # -- files -------------------------------------------------------------------------------------

    def serialize(self, serializer: Any) -> None:
        """Save or load parameters and persistent values.

        Args:
            serializer: The serializer or deserializer.
        """
        attributes = self.__dict__
        for name in sorted(self._params):
            param = attributes[name]
            data = serializer(name, param.array)
            if data is not None and data is not param.array:
                if param.array is None:
                    wanted = get_dtype(getattr(param.initializer, "dtype", None), map_mixed16=np.float32)
                    param.array = jnp.array(data, wanted)
                else:
                    param.array = jnp.array(data, param.array.dtype)
        for name in sorted(self._persistent):
            attributes[name] = _as_persistent(serializer(name, attributes[name]))
        for name, child in self._named_children():
            child.serialize(serializer[name])

    # -- hooks -------------------------------------------------------------------------------------

    @property
    def local_link_hooks(self) -> dict[str, LinkHook]:
        """Hooks of this link, by name."""
        if self._hooks is None:
            self._hooks = {}
        return self._hooks

    def add_hook(self, hook: LinkHook, name: str | None = None) -> Self:
        """Add a hook that sees the calls of this link.

        Args:
            hook: The hook.
            name: Its key; None: ``hook.name``.

        Returns:
            The link itself.

        Raises:
            TypeError: `hook` is not a `LinkHook`.
            KeyError: There is a hook of that name.
        """
        if not isinstance(hook, LinkHook):
            raise TypeError("Hook must be of type LinkHook")
        name = hook.name if name is None else name
        if name in self.local_link_hooks:
            raise KeyError(f"Hook {name} already exists")
        self.local_link_hooks[name] = hook
        hook.added(self)
        return self

    def delete_hook(self, name: str) -> None:
        """Remove a hook.

        Args:
            name: Its key.

        Raises:
            KeyError: There is none.
        """
        if name not in self.local_link_hooks:
            raise KeyError(f"Hook {name} does not exist")
        self.local_link_hooks.pop(name).deleted(self)

    # -- devices -----------------------------------------------------------------------------------

    @property
    def xp(self) -> Any:
        """The array module: `jax.numpy`."""
        return jnp

    @property
    def device(self) -> Any:
        """Device of its first initialised parameter; JAX's default device if there is none."""
        for param in self.params(include_uninit=False):
            return param.device
        return jax.devices()[0]

    def to_device(self, device: Any) -> Self:
        """Move parameters, gradients and persistent arrays.

        Args:
            device: A `jax.Device`, or a name such as ``"cpu"``, ``"gpu:0"``, ``"@numpy"``, ``"@cupy:0"``.

        Returns:
            The link itself.
        """
        device = getattr(device, "jax_device", _device(device))  # an object of `backends`, a name, or JAX's own
        for link in self.links():
            for name in link._params:
                link.__dict__[name].to_device(device)
            for name in link._persistent:
                if isinstance(link.__dict__[name], jax.Array):
                    link.__dict__[name] = jax.device_put(link.__dict__[name], device)
        return self

    def to_cpu(self) -> Self:
        """Move to the host's CPU. Returns the link itself."""
        return self.to_device("cpu")

    def to_gpu(self, device: int | None = None) -> Self:
        """Move to a GPU. Returns the link itself.

        Args:
            device: Its number; None: the first.

        Raises:
            RuntimeError: There is none.
        """
        return self.to_device(f"gpu:{device or 0}")

    def to_intel64(self) -> Self:
        """Move to the host's CPU: XLA chooses its kernels itself. Returns the link itself."""
        return self.to_cpu()

    def to_chx(self) -> Self:
        """Stay where it is: there is no other array library here. Returns the link itself."""
        return self

    def from_chx(self) -> Self:
        """Stay where it is: there is no other array library here. Returns the link itself."""
        return self


_NO_INIT = "Link.__init__() has not been called."
_link_call = Link.__call__
_link_call._enters_link = True  # type: ignore[attr-defined]


def _entering(function: Any) -> Any:
    """Return a class's own `__call__` so that it opens its link's scope once, however often it calls super."""

    @functools.wraps(function)
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        if type(self).__call__ is not __call__:
            return function(self, *args, **kwargs)
        return self._run(function.__get__(self), args, kwargs)

    __call__._enters_link = True  # type: ignore[attr-defined]
    return __call__


def _is_shape(value: Any) -> bool:
    if value is None:
        return True
    try:
        return all(int(x) >= 0 for x in value) if isinstance(value, Sequence) else int(value) >= 0
    except (TypeError, ValueError):
        return False


def _shape_and_dtype(value: Any) -> tuple[Any, Any]:
    return (value, np.float32) if _is_shape(value) else value


def _as_persistent(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in NUMERIC:
        return as_jax(value)
    return value


def _copy_data(target: Parameter, source: Parameter) -> None:
    if source.array is None:
        if target.array is not None:
            source.initialize(target.shape)
        else:
            return
    target.array = source.array if target.array is None else jnp.asarray(source.array, target.array.dtype)


def _device(device: Any) -> Any:
    if not isinstance(device, str):
        return device
    name, _, index = device.removeprefix("@").partition(":")
    platform = {"numpy": "cpu", "native": "cpu", "intel64": "cpu", "cupy": "gpu", "cuda": "gpu"}.get(name, name)
    return jax.devices(platform)[int(index or 0)]


def _indented(pairs: Iterable[tuple[Any, str]]) -> str:
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

    def __init__(self, **links: Link) -> None:
        super().__init__()
        self._children: set[str] = set()
        for name, link in links.items():
            self.add_link(name, link)

    def __str__(self) -> str:
        return f"{type(self).__name__}({_indented((c.name, str(c)) for c in self.children())})"

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
    _walk_slots = ("_hooks", "_children")

    def __init__(self, *links: Link) -> None:
        super().__init__()
        self._children: list[Link] = []
        for link in links:
            self.add_link(link)

    def __str__(self) -> str:
        return f"{type(self).__name__}({_indented((i, str(c)) for i, c in enumerate(self._children))})"

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

    def insert(self, index: int, value: Link) -> None:
        """Insert a child link.

        Args:
            index: Where.
            value: The link.
        """
        self._children.insert(index, value)
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


class Sequential(ChainList):
    """Layers called one after the other: links, and any other callables. Tuples are unpacked into arguments.

    Args:
        *layers: The layers.

    Examples:
        >>> model = jaxchain.Sequential(L.Linear(None, 8), F.relu, L.Linear(8, 3))
        >>> model(np.ones((2, 5), np.float32)).shape
        (2, 3)
    """

    __slots__ = ("_layers",)
    _walk_slots = ("_hooks", "_children", "_layers")

    def __init__(self, *layers: Callable[..., Any]) -> None:
        super().__init__()
        self._layers: list[Any] = []
        for layer in layers:
            self.append(layer)

    def forward(self, *x: Any) -> Any:
        """Call the layers one after the other.

        Args:
            *x: Arguments of the first layer.

        Returns:
            What the last layer returns.

        Raises:
            RuntimeError: There is no layer.
        """
        if not self._layers:
            raise RuntimeError("Sequential does not have any layer.")
        value: Any = x
        for layer in self._layers:
            value = layer(*value) if isinstance(value, tuple) else layer(value)
        return value

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._layers)

    def __reversed__(self) -> Iterator[Any]:
        return reversed(self._layers)

    def __contains__(self, item: Any) -> bool:
        return item in self._layers

    def __getitem__(self, index: Any) -> Any:
        """Return a layer, or a list of them."""
        return self._layers[index]

    def __setitem__(self, index: int, layer: Any) -> None:
        if index >= len(self):
            raise ValueError(f"{index} should be less than {len(self)}")
        _check_callable(layer)
        if self._layers[index] is not layer:
            del self[index]
            self.insert(index, layer)

    def __delitem__(self, index: Any) -> None:
        gone = self._layers[index]
        del self._layers[index]
        for layer in gone if isinstance(index, slice) else [gone]:
            if isinstance(layer, Link) and not any(layer is other for other in self._layers):
                self._children = [child for child in self._children if child is not layer]
        self._rename()

    def __add__(self, other: Any) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(f"add (+) operator supports only objects of Sequential class, but {type(other)} is given.")
        return Sequential(*self, *other)

    def __iadd__(self, other: Any) -> Self:  # type: ignore[override, misc]
        if not isinstance(other, Sequential):
            raise ValueError(f"add (+) operator supports only objects of Sequential class, but {type(other)} is given.")
        self.extend(other)
        return self

    def append(self, value: Callable[..., Any]) -> None:
        """Add a layer at the end.

        Args:
            value: The layer.
        """
        self.insert(len(self), value)

    def extend(self, values: Iterable[Callable[..., Any]]) -> None:
        """Add layers at the end.

        Args:
            values: The layers.
        """
        for layer in list(values):
            self.append(layer)

    def insert(self, index: int, value: Callable[..., Any]) -> None:
        """Insert a layer.

        Args:
            index: Where.
            value: The layer.

        Raises:
            IndexError: There is no such place.
            ValueError: It is not callable.
        """
        n = len(self._layers)
        if not -n <= index <= n:
            raise IndexError(f"Index out of range: {index}")
        if index < 0:
            index += n
        _check_callable(value)
        self._layers.insert(index, value)
        if isinstance(value, Link):
            # Chainer's numbering, which its files have: a new link goes behind the first one, so that the links of
            # Sequential(a, b, c) are called 0, 2, 1.
            before = [j for j in range(index) if isinstance(self._layers[j], Link)]
            place = 0 if index == 0 else (before[0] if before else 0) + 1
            self._children.insert(place, value)
            self._rename()

    def remove(self, value: Any) -> None:
        """Remove the first layer that equals `value`.

        Args:
            value: The layer.

        Raises:
            ValueError: There is none.
        """
        if value not in self:
            raise ValueError(f"There is no layer object that is same as {value}")
        del self[self.index(value)]

    def remove_by_layer_type(self, type_name: str) -> None:
        """Remove the layers of one kind.

        Args:
            type_name: Class name of a link, or name of a function.
        """
        for layer in [layer for layer in self if _type_name(layer) == type_name]:
            self.remove(layer)

    def pop(self, index: int = -1) -> Any:
        """Remove a layer and return it.

        Args:
            index: Which.
        """
        layer = self._layers[index]
        del self[index]
        return layer

    def clear(self) -> None:
        """Remove every layer."""
        self._layers, self._children = [], []

    def index(self, value: Any, start: int | None = None, stop: int | None = None) -> int:  # type: ignore[override]
        """Return the index of a layer, counted from `start`.

        Args:
            value: The layer.
            start: First index to look at.
            stop: End of the indices to look at.
        """
        return self._layers[start:stop].index(value)

    def count(self, value: Any) -> int:
        """Return how often a layer occurs.

        Args:
            value: The layer.
        """
        return self._layers.count(value)

    def count_by_layer_type(self, type_name: str) -> int:
        """Return how many layers of one kind there are.

        Args:
            type_name: Class name of a link, or name of a function.
        """
        return sum(_type_name(layer) == type_name for layer in self._layers)

    def copy(self, mode: str = "share") -> Sequential:  # type: ignore[override]
        """Copy the layers: links by their `copy(mode)`, other callables shallowly.

        Args:
            mode: As for `Link.copy`.
        """
        return Sequential(*(layer.copy(mode) if isinstance(layer, Link) else copy.copy(layer) for layer in self))

    def copyparams(self, link: Link, copy_persistent: bool = True) -> None:
        """Take over the parameter arrays of another `Sequential` of the same structure.

        Args:
            link: The one to take from.
            copy_persistent: Also take its persistent values.

        Raises:
            ValueError: It is not a `Sequential`.
        """
        if not isinstance(link, Sequential):
            raise ValueError("Objects other than Sequential object cannot be copied to a Sequential object.")
        for mine, other in zip(self, link, strict=False):
            if isinstance(mine, Link):
                mine.copyparams(other, copy_persistent)

    def flatten(self) -> Sequential:
        """Return one `Sequential` of the layers of this one and of those in it."""
        flat = Sequential()
        for layer in self:
            flat.extend(layer.flatten() if isinstance(layer, Sequential) else [layer])
        return flat

    def _with_children(self, link: Any, do: Callable[[Link, Link], None]) -> None:
        for mine, other in zip(self._children, link._children, strict=True):
            do(mine, other)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if any(getattr(layer, "__name__", None) == "<lambda>" for layer in self._layers):
            raise ValueError(
                "This Sequential object has at least one lambda function as its component. Lambda function can not be "
                "pickled, so please consider to use functools.partial instead."
            )
        return super().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = memo[id(self)] = type(self).__new__(type(self))
        attributes, slots = copy.deepcopy(self.__getstate__(), memo)
        copied.__dict__.update(attributes)
        for name, value in slots.items():
            object.__setattr__(copied, name, value)
        return copied

    def __str__(self) -> str:
        return f"{type(self).__name__}({_indented((i, _layer_text(layer)) for i, layer in enumerate(self))})"


def _check_callable(layer: Any) -> None:
    if not callable(layer):
        raise ValueError(f"All elements of a Sequential class should be callable. But given {layer} is not callable.")


def _type_name(layer: Any) -> str:
    return type(layer).__name__ if isinstance(layer, Link) else getattr(layer, "__name__", type(layer).__name__)


def _layer_text(layer: Any) -> str:
    if getattr(layer, "__name__", None) == "<lambda>":
        return inspect.getsource(layer).strip().rstrip(",")
    return str(layer)
