"""Links: parameters, persistent values and child links under names, and the call that opens a scope in the graph.

What a link is made of lives in slots, so `__dict__` holds only what its author set: that is what static mode looks at
per call. A link knows nothing of how a mode works: `Link._run` hands the outermost call to core/static.py.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import jax
import numpy as np

from jaxchain.backends.device import default, of_array
from jaxchain.core.calls import located
from jaxchain.core.config import get_dtype, lock, thread_state
from jaxchain.core.nodes import BrokenScope, Scope
from jaxchain.core.parameter import Parameter
from jaxchain.core.static import static_link
from jaxchain.core.variable import as_jax
from jaxchain.device_resident import DeviceResident, DeviceResidentsVisitor
from jaxchain.initializers.constant import NaN
from jaxchain.link.hierarchy import Hierarchy
from jaxchain.link_hook import LinkHook, _ForwardPostprocessCallbackArgs, _ForwardPreprocessCallbackArgs
from jaxchain.serializer import exchanged

if TYPE_CHECKING:
    from jaxchain.core.ahead import Lowered
    from jaxchain.core.explain import Explanation
    from jaxchain.link.sequential import Sequential

COPY_MODES = ("init", "copy", "share")
NUMERIC = "biufc"


class Link(DeviceResident, Hierarchy):
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
        "_shared",
        "_static",
        "_within_init_scope",
        "name",
    )
    _walk_slots: ClassVar[tuple[str, ...]] = ("_hooks", "_shared")  # the slots in which static mode looks for state

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__dict__.get("__slots__", ())
        if own and "_walk_slots" not in cls.__dict__:
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
        self._shared: dict[str, Any] | None = None  # persistent arrays that copies have, too: see `copy`
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
                return static_link(self, function)(*args, **kwargs)
        state.scope = Scope(outer, self)
        try:
            if state.trace is None and not state.link_hooks and not self._hooks:
                return function(*args, **kwargs)
            return self._run_observed(state, function, args, kwargs)
        except Exception as error:
            problem = located(error, type(self).__name__, args, kwargs)
            if problem is error:
                raise
            raise problem from error
        finally:
            state.scope = outer

    def _enter(self, state: Any, scope: Scope, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run a forward function in a scope that static mode made, seen by hooks. `_run` does so by itself."""
        outer, state.scope = state.scope, scope
        try:
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
            with state.trace.link_scope():
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

    def explain(self) -> Explanation:
        """Return why and when calls of this link were compiled; print it."""
        return static_link(self).explain()

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """Trace and lower a call without running it; ``lower(x).compile()`` compiles it ahead of time.

        Args:
            *args: The arguments, or `jax.ShapeDtypeStruct` in the place of arrays.
            **kwargs: The same by name.

        Raises:
            StaticError: The call cannot be compiled, or it branches on a value and there are only shapes.
        """
        return static_link(self).lower(*args, **kwargs)

    def save_cache(self, folder: str | os.PathLike[str]) -> int:
        """Write every compiled program of this link into a folder, for processes with ``JAXCHAIN_CACHE=folder``.

        Returns:
            How many programs were written.

        Raises:
            StaticError: The folder cannot be made, or others can write to it.
        """
        return static_link(self).save_cache(folder)

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
        shared = getattr(self, "_shared", None)
        if shared is not None and name in shared and name not in self.__dict__:
            shared[name] = value
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name != "_shared":
            shared = getattr(self, "_shared", None)
            if shared is not None and name in shared:
                with lock:  # another thread may be tracing, or taking its buffer over
                    return shared[name]
        return object.__getattribute__(self, name)  # raises, with the message of a property that failed

    def __delattr__(self, name: str) -> None:
        self._params.discard(name)
        self._persistent.discard(name)
        home = self._home(name)
        if home is self.__dict__:
            object.__delattr__(self, name)
        else:  # from here on the copies have it without this link
            self._shared = {k: v for k, v in home.items() if k != name}

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
        if name in self.__dict__ or name in self._persistent:  # what a copy shares is not in `__dict__`
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

    @property
    def printable_specs(self) -> Iterator[tuple[str, Any]]:
        """(name, value) of what it was made with, for `str(link)`. Subclasses override it."""
        return iter(())

    def __str__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in self.printable_specs)})"

    # -- copies ------------------------------------------------------------------------------------

    def copy(self, mode: str = "share") -> Self:
        """Copy the hierarchy. A copy that shares arrays has no name.

        Args:
            mode: ``share``: new `Parameter` objects with the same arrays, now and after every update or assignment of
                either, and gradients of their own; persistent arrays are shared, too; other attributes (the state of
                an LSTM) are not. ``copy``: everything is copied. ``init``: copied, and initialised anew.

        Raises:
            ValueError: Another mode.
        """
        if mode not in COPY_MODES:
            raise ValueError(f"The 'mode' argument should be either 'init', 'copy', or 'share'. But {mode} was given.")
        if mode == "share":
            arrays = [n for n in self._persistent if n in self.__dict__ and isinstance(getattr(self, n), jax.Array)]
            if arrays:
                self._shared = {} if self._shared is None else self._shared
                self._shared.update({n: self.__dict__.pop(n) for n in arrays})
            copied = copy.copy(self)
            copied._params, copied._persistent = set(self._params), set(self._persistent)
            for name in copied._params:
                copied.__dict__[name] = self.__dict__[name].share()
            copied._copy_children()
            copied.name = None
        else:
            copied = copy.deepcopy(self)
            if mode == "init":
                for param in copied.params(include_uninit=False):
                    param.initialize(param.shape)
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
        from jaxchain.link.sequential import Sequential

        return Sequential(*[self.copy(mode) for _ in range(n_repeat)])

    def device_resident_accept(self, visitor: DeviceResidentsVisitor) -> None:
        """Show parameters, persistent arrays and child links to a visitor. Override it to show other arrays, too.

        Args:
            visitor: E.g. one that moves what it sees.

        Examples:
            >>> class Shifted(jaxchain.Chain):
            ...     def device_resident_accept(self, visitor):
            ...         super().device_resident_accept(visitor)
            ...         self.shift = visitor.visit_array(self.shift)
        """
        super().device_resident_accept(visitor)
        attributes = self.__dict__
        for name in sorted(self._params):  # in one order in all processes of a program: they may talk to each other
            visitor.visit_variable(attributes[name])
        for name in sorted(self._persistent):
            home = self._home(name)
            if isinstance(home[name], jax.Array):
                home[name] = visitor.visit_array(home[name])
        for child in self.children():
            child.device_resident_accept(visitor)

    @property
    def device(self) -> Any:
        """Device of its first initialised parameter, a `jaxchain.backend.Device`; JAX's default device if it has none.

        ``device.xp`` is the array module, ``device.jax_device`` JAX's device. In a static call: the default device.
        """
        first = next(iter(self.params(include_uninit=False)), None)
        return (None if first is None else of_array(first.array)) or default()

    @property
    def _device_id(self) -> int | None:
        """Number of the accelerator that it is on, None on the CPU: what programs of Chainer 4 and before ask for."""
        device = self.device.jax_device
        return None if device.platform == "cpu" else device.id

    # -- files -------------------------------------------------------------------------------------

    def serialize(self, serializer: Any) -> None:
        """Save or load parameters and persistent values.

        Args:
            serializer: The serializer or deserializer.
        """
        attributes = self.__dict__
        with lock:  # no static step of another thread comes in between
            for name in sorted(self._params):
                param = attributes[name]
                old = param.array
                data = exchanged(serializer, name, old)
                if data is not None and data is not old:
                    data = data if isinstance(data, jax.Array) else np.asarray(data)
                    dtype = get_dtype(getattr(param.initializer, "dtype", None)) if old is None else old.dtype
                    param.array = data if data.dtype == dtype else data.astype(dtype)
            for name in sorted(self._persistent):
                home = self._home(name)
                value = home[name]
                data = exchanged(serializer, name, value)
                if data is not value:
                    home[name] = _as_persistent(data)
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
