"""Configuration: a thread-local layer over a global one, and the thread's state that the hot paths read.

`config` answers with the thread's own value of an entry if there is one, else with `global_config`'s. The entries that
every op looks at (`enable_backprop`, `mode`) are kept resolved in `ThreadState`, so that an op reads one attribute.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np

MODES = ("eager", "static")
_UNSET = object()


class ThreadState:
    """What one thread's ops and links look at on every call: plain slots, kept resolved by `config`."""

    __slots__ = (
        "__weakref__",
        "config_key",
        "debug",
        "hooks",
        "link_hooks",
        "overrides",
        "record",
        "scope",
        "special",
        "static",
        "trace",
    )

    several = False  # whether there may be several threads

    def __init__(self) -> None:
        self.overrides: dict[str, Any] = {}
        self.hooks: dict[str, Any] = {}  # function hooks of this thread, by name
        self.link_hooks: dict[str, Any] = {}
        self.scope: Any = None  # innermost link being called: a `nodes.Scope`
        self.trace: Any = None  # the static trace in progress, if any (core/trace.py)
        self.record = True  # config.enable_backprop, resolved
        self.static = False  # config.mode == "static", resolved
        self.special = False  # hooks, debug mode or a trace: ops take the slow path
        _threads.add(self)
        ThreadState.several |= len(_threads) > 1
        self.refresh()

    def refresh(self) -> None:
        """Resolve the entries that hot paths read. Called whenever one of them may have changed."""
        self.config_key: Any = None
        entries = global_config.__dict__
        overrides = self.overrides
        self.record = overrides["enable_backprop"] if "enable_backprop" in overrides else entries["enable_backprop"]
        self.static = (overrides["mode"] if "mode" in overrides else entries["mode"]) == "static"
        self.debug = bool(overrides["debug"] if "debug" in overrides else entries["debug"])
        self.special = bool(self.hooks) or self.trace is not None or self.debug


local = threading.local()
home = local  # where the states of threads are: elsewhere in a process in which ops must not run (core/forks.py)
_threads: weakref.WeakSet[ThreadState] = weakref.WeakSet()
lock = threading.RLock()  # held by who traces, or makes a call that takes over buffers: the cells hold what is no array
PATIENCE = 60.0  # seconds that an op waits for it, which would wait forever if the one who holds it waits for the op


def is_alone() -> bool:
    """Return whether there is one thread only: those that compiled something in the background have ended."""
    ThreadState.several = False
    ThreadState.several |= len(_threads) > 1  # asked after it was set: one that begins now sets it, too
    return not ThreadState.several


def thread_state() -> ThreadState:
    """Return the state of the calling thread, made on its first use."""
    try:
        return home.state
    except AttributeError:
        state = ThreadState.__new__(ThreadState)
        home.state = state
        state.__init__()
        return state


def _check(name: str, value: Any) -> None:
    if name == "mode" and value not in MODES:
        raise ValueError(f"config.mode: expected one of {MODES}, got {value!r}")


class GlobalConfig:
    """Configuration entries shared by all threads. User programs may add entries of their own."""

    def __init__(self, **entries: Any) -> None:
        self.__dict__.update(entries)

    def __setattr__(self, name: str, value: Any) -> None:
        _check(name, value)
        self.__dict__[name] = value
        for state in list(_threads):
            state.refresh()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"config has no entry {name!r}. Entries: {', '.join(sorted(self.__dict__))}")

    def show(self, file: Any = None) -> None:
        """Print every entry with its value."""
        for name in sorted(self.__dict__):
            print(f"{name:30} {self.__dict__[name]}", file=file)


class LocalConfig:
    """The calling thread's view of the configuration: its own entries over `global_config`'s."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        overrides = thread_state().overrides
        return overrides[name] if name in overrides else getattr(global_config, name)

    def __setattr__(self, name: str, value: Any) -> None:
        _check(name, value)
        state = thread_state()
        state.overrides[name] = value
        state.refresh()

    def __delattr__(self, name: str) -> None:
        state = thread_state()
        if name not in state.overrides:
            raise AttributeError(f"config has no thread-local entry {name!r}")
        del state.overrides[name]
        state.refresh()

    def show(self, file: Any = None) -> None:
        """Print every entry as this thread sees it."""
        for name, value in sorted(snapshot().items()):
            print(f"{name:30} {value}", file=file)


global_config = GlobalConfig(
    autotune=False,
    compile_at_once=8,
    compute_mode=None,
    cudnn_deterministic=False,
    cudnn_fast_batch_normalization=False,
    debug=False,
    dtype=np.dtype(np.float32),
    enable_backprop=True,
    in_recomputing=False,
    keep_graph_on_report=False,
    lazy_grad_sum=False,
    max_guards=256,
    max_variants=32,
    mode="eager",
    schedule_func=None,
    train=True,
    type_check=True,
    use_cudnn="auto",
    use_cudnn_tensor_core="auto",
    use_ideep="never",
    use_static_graph=True,
    warn_nondeterministic=False,
)
config = LocalConfig()


def snapshot() -> dict[str, Any]:
    """Return every configuration entry as the calling thread sees it."""
    return {**global_config.__dict__, **thread_state().overrides}


class using_config:
    """Context manager that sets one configuration entry for this thread.

    Args:
        name: The entry. Unknown names are accepted: programs keep entries of their own here.
        value: Its value inside the block.
        config: The configuration to change: `config` (default, this thread) or `global_config`.

    Raises:
        ValueError: `value` is not one that the entry can have.
    """

    def __init__(self, name: str, value: Any, config: Any = config) -> None:
        _check(name, value)
        self.name, self.value, self.config = name, value, config

    def __enter__(self) -> None:
        self._state = state = thread_state()
        self._entries = entries = state.overrides if self.config is config else self.config.__dict__
        self._old = entries.get(self.name, _UNSET)
        entries[self.name] = self.value
        self._refresh(state)

    def __exit__(self, *_: Any) -> None:
        if self._old is _UNSET:
            self._entries.pop(self.name, None)
        else:
            self._entries[self.name] = self._old
        self._refresh(self._state)

    def _refresh(self, state: ThreadState) -> None:
        if self.config is config:
            state.refresh()
        else:
            for each in list(_threads):
                each.refresh()


class recording:
    """``using_config("enable_backprop", value)`` for the backward pass, which enters it once per step: it resolves
    nothing anew, and what is known of the configuration is known again after it.
    """

    __slots__ = ("_key", "_old", "_record", "_state", "value")

    def __init__(self, value: bool) -> None:
        self.value = value

    def __enter__(self) -> None:
        self._state = state = thread_state()
        self._old = state.overrides.get("enable_backprop", _UNSET)
        self._record, self._key = state.record, state.config_key
        state.overrides["enable_backprop"] = state.record = self.value
        state.config_key = self  # not a key; stays if nothing else is set in the block

    def __exit__(self, *_: Any) -> None:
        state = self._state
        if self._old is _UNSET:
            del state.overrides["enable_backprop"]
        else:
            state.overrides["enable_backprop"] = self._old
        if state.config_key is self:
            state.record, state.config_key = self._record, self._key
        else:
            state.refresh()


def no_backprop_mode() -> using_config:
    """Return a context in which no graph is recorded."""
    return using_config("enable_backprop", False)


def force_backprop_mode() -> using_config:
    """Return a context in which the graph is recorded, also inside `no_backprop_mode`."""
    return using_config("enable_backprop", True)


def get_dtype(dtype: Any = None, map_mixed16: Any = None) -> np.dtype:
    """Return `dtype`, or `config.dtype` if it is None. `map_mixed16` stands for mixed16 where given (else float16)."""
    if dtype is None:
        dtype = config.dtype
    if dtype == "mixed16":
        dtype = np.float16 if map_mixed16 is None else map_mixed16
    return np.dtype(dtype)


def is_debug() -> bool:
    """Return whether debug mode is on for this thread."""
    return thread_state().debug


def set_debug(debug: bool) -> None:
    """Switch debug mode of this thread: ops check their results for NaN."""
    config.debug = debug


class DebugMode(using_config):
    """Context manager that switches debug mode."""

    def __init__(self, debug: bool) -> None:
        super().__init__("debug", debug)
