"""Optimizers and update rules: an update of all parameters is one compiled call, in eager mode too.

A rule is a class with a pure `transform(h, t)` (an optax transformation) and the names of its `slots`; hooks of ours
have a pure form as well. `GradientMethod.update` gathers numbers, parameters, gradients and slots, calls one jitted
function (`program`, one per layout) and writes the results back. User-written rules and hooks run in Python, in
Chainer's order.

State: hyperparameters and the clock declare ``_lifted_scalars``, so static mode takes them as inputs; a rule's own `t`
is the clock less an offset, so that 400 parameters cost one counter.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxchain.core.compat import Tracer
from jaxchain.core.config import thread_state
from jaxchain.core.errors import StaticError, user_line
from jaxchain.core.variable import Parameter
from jaxchain.link import Link

TIMINGS = ("pre", "post")
LOSS_SCALE_MAX = 65504  # the largest float16
COMPLEMENTS = ("beta1", "beta2", "beta")


def plain_number(value: Any) -> Any:
    """Return a Python number for a concrete array that a compiled call left behind; anything else as it is."""
    return value.item() if isinstance(value, jax.Array) and not isinstance(value, Tracer) else value


class Hyperparameter:
    """Numbers that a rule reads, with a parent that answers for those not set here.

    Args:
        parent: The parent, e.g. the optimizer's.
    """

    __slots__ = ("__dict__", "_known", "_parent")
    _lifted_scalars = True
    _walk_slots = ("_parent",)

    def __init__(self, parent: Hyperparameter | None = None) -> None:
        self._parent = parent
        self._known: Any = (None, None)  # (values, their split) of the last eager update

    def __getattr__(self, name: str) -> Any:
        parent = None if name == "_parent" else self._parent
        if parent is None:
            raise AttributeError(f"hyperparameter {name!r} is not set")
        return getattr(parent, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, np.generic | np.ndarray) and value.ndim == 0:
            value = value.item()
        object.__setattr__(self, name, value)
        if name in COMPLEMENTS:  # float32 keeps 0.001 but not 1 - 0.999, so both are there for compiled programs
            self.__dict__[f"_complement_of_{name}"] = 1 - value

    def __repr__(self) -> str:
        return f"Hyperparameter({', '.join(f'{k}={v}' for k, v in sorted(self.get_dict().items()))})"

    @property
    def parent(self) -> Hyperparameter | None:
        """Where values that are not set here come from."""
        return self._parent

    def get_dict(self) -> dict[str, Any]:
        """Return every value, the parents' included."""
        return {k: plain_number(v) for k, v in self.values().items() if not k.startswith("_")}

    def values(self) -> dict[str, Any]:
        """Return every value as it is stored: a tracer under a trace."""
        return {**(self._parent.values() if self._parent is not None else {}), **self.__dict__}

    def split(self) -> tuple[dict[str, Any], tuple[tuple[str, Any], ...]]:
        """Return (numbers, static values), as `split`; remembered while the values stay the same."""
        values = self.values()
        if thread_state().trace is not None:
            return split(values)
        known, found = self._known
        if known != values:
            found = split(values)
            object.__setattr__(self, "_known", (values, found))
        return found

    def __getstate__(self) -> Any:
        return self._parent, {k: plain_number(v) for k, v in self.__dict__.items()}

    def __setstate__(self, state: Any) -> None:
        object.__setattr__(self, "_parent", state[0])
        object.__setattr__(self, "_known", (None, None))
        self.__dict__.update(state[1])


class HyperparameterProxy:
    """An attribute of an optimizer that stands for the entry of its hyperparameter.

    Args:
        attr_name: Name of the entry.
    """

    def __init__(self, attr_name: str) -> None:
        self._attr_name = attr_name
        self.__doc__ = f"Alias to ``self.hyperparam.{attr_name}``"

    def __get__(self, obj: Any, type: Any = None) -> Any:
        return self if obj is None else plain_number(getattr(obj.hyperparam, self._attr_name))

    def __set__(self, obj: Any, value: Any) -> None:
        setattr(obj.hyperparam, self._attr_name, value)


class Clock:
    """Counters shared by an optimizer and its rules.

    Attributes:
        t: Updates so far.
        epoch: Epochs so far.
        busy: Whether the optimizer has ticked and its rules are being applied.
    """

    __slots__ = ("__dict__", "busy")
    _lifted_scalars = True

    def __init__(self) -> None:
        self.t = self.epoch = 0
        self.busy = False


class Hooks:
    """Hook functions by name: those called before an update and those called after it, in order of registration."""

    def __init__(self) -> None:
        self.pre: dict[str, Any] = {}
        self.post: dict[str, Any] = {}

    def add(self, hook: Callable[..., Any], name: str | None, timing: str, fallback: bool) -> None:
        """Register a hook; `fallback`: an attribute `timing` that is neither stands for 'pre'."""
        if not callable(hook):
            raise TypeError("hook function must be callable")
        if timing not in (*TIMINGS, "auto"):
            raise ValueError("timing must be one of ('pre', 'post', 'auto')")
        if timing == "auto":
            timing = getattr(hook, "timing", "pre")
            if timing not in TIMINGS and fallback:
                message = "Hook timing attribute not in ('pre', 'post'), defaulting timing to 'pre'."
                warnings.warn(message, stacklevel=3)
                timing = "pre"
        name = getattr(hook, "name", getattr(hook, "__name__", None)) if name is None else name
        if name is None:
            raise ValueError("the name of the hook function is not specified")
        if name in self.pre or name in self.post:
            raise KeyError(f'hook "{name}" already exists')
        (self.pre if timing == "pre" else self.post)[name] = hook

    def remove(self, name: str) -> None:
        """Unregister a hook."""
        del (self.pre if name in self.pre else self.post)[name]

    def at(self, timing: str) -> list[Any]:
        """Return the hooks of one timing."""
        if timing not in TIMINGS:
            raise ValueError("timing must be either 'pre' or 'post'")
        return list((self.pre if timing == "pre" else self.post).values())


class GradientHook:
    """Base of the built-in hooks: a pure function of parameters and gradients, with numbers as attributes.

    Attributes:
        name: Its key among the hooks.
        call_for_each_param: Whether it looks at one parameter at a time.
        timing: ``'pre'`` or ``'post'``: before or after the update.
    """

    _lifted_scalars = True
    name: ClassVar[str] = "GradientHook"
    call_for_each_param: ClassVar[bool] = False
    timing: Any = "pre"

    @staticmethod
    def gradients(h: Any, params: Sequence[jax.Array], grads: Sequence[jax.Array]) -> Sequence[jax.Array]:
        """Return the new gradients.

        Args:
            h: The hook's numbers, as attributes.
            params: The parameters.
            grads: Their gradients.
        """
        raise NotImplementedError

    def __call__(self, *args: Any) -> None:
        """Change gradients: of ``(rule, param)``, or of all parameters of ``(optimizer,)``."""
        params = [args[1]] if len(args) == 2 else list(args[0].target.params(False))
        params = [p for p in params if p.array is not None and p.grad is not None]
        if not params:
            return
        numbers, statics = split(self.__dict__)
        grads = hook_program(type(self), statics)(numbers, [p.array for p in params], [p.grad for p in params])
        for p, g in zip(params, grads, strict=True):
            p._grad = g


def is_pure_hook(hook: Any) -> bool:
    """Return whether a hook can be part of the compiled update."""
    return isinstance(hook, GradientHook) and type(hook).__call__ is GradientHook.__call__


@functools.cache
def hook_program(kind: type[GradientHook], statics: Any) -> Callable[..., Any]:
    """Return the compiled form of a hook alone."""

    def hook(numbers: Any, params: Any, grads: Any) -> Any:
        return kind.gradients(SimpleNamespace(**numbers, **dict(statics)), params, grads)

    hook.__name__ = kind.__name__
    return jax.jit(hook)


def split(values: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[tuple[str, Any], ...]]:
    """Return (numbers, which are runtime inputs; the rest, which is static)."""
    numbers, statics = {}, []
    for name, value in values.items():
        kind = type(value)
        if kind is float or kind is int:
            numbers[name] = device_scalar(value)
        elif isinstance(value, float | int | jax.Array) and kind is not bool:
            numbers[name] = value
        else:
            statics.append((name, value))
    return numbers, tuple(statics)


@functools.lru_cache(maxsize=1024, typed=True)
def device_scalar(value: float) -> jax.Array:
    """Return a number as a weakly typed array: a jit call spends 4 us on each Python number, and none on these."""
    with jax.ensure_compile_time_eval():
        return jnp.asarray(value)


# -- the compiled update ---------------------------------------------------------------------------

Group = tuple[Any, ...]  # (rule class, static values, hooks before, hooks after): what a program is compiled for


def _apply_hooks(hooks: Any, numbers: Any, params: Sequence[Any], grads: Sequence[Any]) -> Sequence[Any]:
    for (kind, statics), values in zip(hooks, numbers, strict=True):
        grads = kind.gradients(SimpleNamespace(**values, **dict(statics)), params, grads)
    return grads


def _apply_rule(kind: Any, h: Any, t: Any, params: Sequence[Any], grads: Sequence[Any], slots: Any) -> tuple[Any, Any]:
    """Apply a rule to some parameters: return (new parameters, new slots, one tuple of slots per parameter)."""
    transformation = kind.transform(h, t)
    probe = jax.eval_shape(transformation.init, jax.ShapeDtypeStruct((2, 3), jnp.float32))
    leaves, tree = jax.tree_util.tree_flatten(probe)
    if any(leaf.shape != (2, 3) for leaf in leaves):  # some state is not per element: one parameter at a time
        updates, states = [], []
        for p, g, s in zip(params, grads, slots, strict=True):
            u, state = transformation.update(g, jax.tree_util.tree_unflatten(tree, s), p)
            updates.append(u)
            states.append(tuple(jax.tree_util.tree_leaves(state)))
    else:
        state = jax.tree_util.tree_unflatten(tree, [tuple(s[i] for s in slots) for i in range(len(leaves))])
        updates, state = transformation.update(tuple(grads), state, tuple(params))
        columns = tree.flatten_up_to(state)
        states = [tuple(c[i] for c in columns) for i in range(len(params))]
    new = [jnp.asarray(p + u).astype(p.dtype) for p, u in zip(params, updates, strict=True)]
    return new, [
        tuple(n.astype(o.dtype) for n, o in zip(s, old, strict=True)) for s, old in zip(states, slots, strict=True)
    ]


@functools.lru_cache(maxsize=256)
def program(
    name: str, groups: tuple[Group, ...], members: tuple[int, ...], pre: Any, post: Any, scaled: bool
) -> Callable[..., Any]:
    """Return the compiled update of one layout.

    Args:
        name: Its name in jaxprs.
        groups: What each group of parameters has in common.
        members: Group of each parameter; -1: it is not updated, but seen by hooks.
        pre: (class, static values) of the optimizer's hooks before the update.
        post: The same after it.
        scaled: Whether gradients are divided by a loss scale.
    """
    places = [[i for i, m in enumerate(members) if m == k] for k in range(len(groups))]

    def update(numbers: Any, ts: Any, hook_numbers: Any, scale: Any, params: Any, grads: Any, slots: Any) -> Any:
        params, slots = list(params), list(slots)
        grads = list(_apply_hooks(pre, hook_numbers[0], params, list(grads)))
        for (kind, statics, before, after), at, values, t, inner in zip(
            groups, places, numbers, ts, hook_numbers[2], strict=True
        ):
            h = SimpleNamespace(**values, **dict(statics))
            some = [params[i] for i in at]
            gs = [grads[i] / jnp.asarray(scale, grads[i].dtype) for i in at] if scaled else [grads[i] for i in at]
            if before:
                gs = [_apply_hooks(before, inner[0], [p], [g])[0] for p, g in zip(some, gs, strict=True)]
            new, states = _apply_rule(kind, h, t, some, gs, [slots[i] for i in at])
            if after:
                gs = [_apply_hooks(after, inner[1], [p], [g])[0] for p, g in zip(new, gs, strict=True)]
            for i, p, g, s in zip(at, new, gs, states, strict=True):
                params[i], grads[i], slots[i] = p, g, s
        changed = bool(pre or post or scaled or any(g[2] or g[3] for g in groups))
        grads = list(_apply_hooks(post, hook_numbers[1], params, grads))
        return [p for p, m in zip(params, members, strict=True) if m >= 0], grads if changed else None, slots

    update.__name__ = update.__qualname__ = name
    return jax.jit(update)


def _hooks_of(hooks: Iterable[Any]) -> tuple[Any, list[dict[str, Any]]]:
    """Return (the static part, the numbers) of some pure hooks."""
    parts = [(type(hook), *split(hook.__dict__)) for hook in hooks]
    return tuple((kind, statics) for kind, _, statics in parts), [numbers for _, numbers, _ in parts]


_NO_HOOKS: Any = ((), [])


def apply_updates(
    name: str,
    params: Sequence[Parameter],
    clock: Clock | None,
    pre: Sequence[Any] = (),
    post: Sequence[Any] = (),
    scale: Any = None,
) -> None:
    """Update parameters with rules of ours, in one compiled call.

    Args:
        name: Name of the program.
        params: Initialised parameters with gradients.
        clock: The optimizer's clock; rules join it. None: each rule's own.
        pre: Pure hooks of the optimizer, before.
        post: Pure hooks of the optimizer, after.
        scale: Loss scale to divide the gradients by, or None.
    """
    groups: dict[Any, int] = {}
    details: list[Group] = []
    numbers, ts, inner, members, slots = [], [], [], [], []
    for p in params:
        rule = p.update_rule
        if rule is None or not rule._status[0]:
            members.append(-1)
            slots.append(())
            continue
        state = rule._state
        names = rule.slots
        if state is None and names:
            rule._init_states(p)
            state = rule._state
        _, offset, own, hooks = rule._status
        key = (type(rule), id(rule._hyper), offset if type(offset) is int else id(offset), id(hooks), rule._extra)
        group = groups.get(key)
        if group is None:
            group = groups[key] = len(details)
            values, statics = rule._hyper.split()
            before, before_numbers = _hooks_of(hooks.pre.values()) if hooks else _NO_HOOKS
            after, after_numbers = _hooks_of(hooks.post.values()) if hooks else _NO_HOOKS
            details.append((type(rule), statics + rule._extra, before, after))
            numbers.append(values)
            ts.append(own.t - offset)
            inner.append((before_numbers, after_numbers))
        members.append(group)
        slots.append(tuple([state[s] for s in names]) if names and state else ())
    pre_static, pre_numbers = _hooks_of(pre) if pre else _NO_HOOKS
    post_static, post_numbers = _hooks_of(post) if post else _NO_HOOKS
    compiled = program(name, tuple(details), tuple(members), pre_static, post_static, scale is not None)
    arguments = (
        numbers,
        ts,
        (pre_numbers, post_numbers, inner),
        scale,
        [p._array for p in params],
        [p.grad for p in params],
        slots,
    )
    trace = thread_state().trace
    if trace is None:
        new, grads, states = compiled(*arguments)
    else:
        with trace.op_scope(name.removesuffix("_update"), name):
            new, grads, states = compiled(*arguments)
    arrays = iter(new)
    for p, member, values in zip(params, members, states, strict=True):
        if member >= 0:
            p._array = next(arrays)
            if values:
                state = p.update_rule._state
                for slot, value in zip(p.update_rule.slots, values, strict=True):
                    state[slot] = value
    if grads is not None:
        for p, g in zip(params, grads, strict=True):
            p._grad = g


# -- rules -----------------------------------------------------------------------------------------


@runtime_checkable
class Loader(Protocol):
    """What tells a deserializer from a serializer: it loads."""

    def load(self, obj: Any) -> None:
        """Load an object."""

    def __call__(self, key: str, value: Any) -> Any:
        """Return what was saved under a key."""


class UpdateRule:
    """How one parameter is updated. Subclasses give `transform` and `slots`, or override `update_core` as in Chainer.

    Args:
        parent_hyperparam: Where values that are not set on this rule come from.

    Attributes:
        slots: Names of the arrays of its state, in the order of the leaves of the transformation's state.
    """

    _extra: tuple[tuple[str, Any], ...] = ()  # static values of this rule that `transform` sees in `h`
    slots: Any = ()
    is_elementwise = False

    def __init__(self, parent_hyperparam: Hyperparameter | None = None) -> None:
        self._state: dict[str, Any] | None = None
        self._hyper = Hyperparameter() if parent_hyperparam is None else parent_hyperparam
        # (enabled, clock.t - t, or t while disabled, clock, hooks): one object, compared by identity per static call
        self._status: tuple[bool, Any, Clock, Hooks | None] = (True, 0, Clock(), None)
        if not is_pure_rule(type(self)):
            _ = self.hyperparam  # code of the user's will ask for it: better now than inside a trace

    @staticmethod
    def transform(h: Any, t: Any) -> optax.GradientTransformation:
        """Return the rule as a transformation of a gradient into what is added to the parameter.

        Args:
            h: Hyperparameters as attributes; numbers are tracers.
            t: The rule's number of updates, this one included: a tracer.
        """
        raise NotImplementedError

    @property
    def hyperparam(self) -> Hyperparameter:
        """The rule's own hyperparameters, over the optimizer's."""
        own = self._hyper
        if not getattr(self, "_own_hyper", False):
            own = self._hyper = Hyperparameter(own)
            self._own_hyper = True
        return own

    @hyperparam.setter
    def hyperparam(self, value: Hyperparameter) -> None:
        self._hyper, self._own_hyper = value, True

    @property
    def state(self) -> dict[str, Any] | None:
        """Arrays by slot name; None before the first update."""
        return self._state

    @state.setter
    def state(self, value: dict[str, Any] | None) -> None:
        self._state = value

    @property
    def enabled(self) -> bool:
        """Whether updates do anything."""
        return self._status[0]

    @enabled.setter
    def enabled(self, value: bool) -> None:
        old, offset, clock, hooks = self._status
        if bool(value) != old:
            # the same step there and back; a plain number, so that compiled programs compare the tuple by identity
            self._status = (bool(value), plain_number(clock.t - offset), clock, hooks)

    @property
    def t(self) -> Any:
        """Number of updates made by this rule."""
        enabled, offset, clock, _ = self._status
        return plain_number(clock.t - offset if enabled else offset)

    @t.setter
    def t(self, value: Any) -> None:
        if value is self.t or (type(value) is int and value == self.t):
            return  # compiled programs know `_status` by identity
        enabled, _, clock, hooks = self._status
        self._status = (enabled, clock.t - value if enabled else value, clock, hooks)

    def _join(self, clock: Clock) -> None:
        """Count by another clock from now on."""
        t = self.t
        enabled, _, _, hooks = self._status
        self._status = (enabled, plain_number(clock.t) - t if enabled else t, clock, hooks)

    def add_hook(self, hook: Callable[..., Any], name: str | None = None, timing: str = "auto") -> None:
        """Add a hook: ``hook(rule, param)``.

        Args:
            hook: The function.
            name: Its key; None: ``hook.name``.
            timing: ``'pre'``, ``'post'``, or ``'auto'``: ``hook.timing``.

        Raises:
            TypeError: It is not callable.
            KeyError: There is a hook of that name.
        """
        enabled, offset, clock, hooks = self._status
        hooks = Hooks() if hooks is None else hooks
        hooks.add(hook, name, timing, False)
        self._status = (enabled, offset, clock, hooks)

    def remove_hook(self, name: str) -> None:
        """Remove a hook.

        Args:
            name: Its key.
        """
        hooks = self._status[3]
        if hooks is None:
            raise KeyError(name)
        hooks.remove(name)

    def _is_pure(self) -> bool:
        """Whether this rule can be part of the compiled update."""
        hooks = self._status[3]
        return (
            is_pure_rule(type(self))
            and not getattr(self, "_fp32", False)
            and (hooks is None or all(map(is_pure_hook, (*hooks.pre.values(), *hooks.post.values()))))
        )

    def update(self, param: Parameter) -> None:
        """Update a parameter: hooks, `update_core`, hooks.

        Args:
            param: The parameter, with its gradient.
        """
        if not self._status[0]:
            return
        if not self._status[2].busy:
            self.t = self.t + 1
        if param.array is None:
            return
        if getattr(self, "_fp32", False) and param.dtype == np.float16:
            self._update_in_float32(param)
        else:
            self._update(param)

    def _update(self, param: Parameter) -> None:
        if self._state is None:
            self._init_states(param)
        hooks = self._status[3]
        for hook in hooks.at("pre") if hooks else ():
            hook(self, param)
        self.update_core(param)
        for hook in hooks.at("post") if hooks else ():
            hook(self, param)

    def _update_in_float32(self, param: Parameter) -> None:
        """Update a float32 copy that is kept beside a float16 parameter."""
        copied = getattr(self, "_fp32_param", None)
        if copied is None:
            if thread_state().trace is not None:
                raise StaticError(
                    f"the float32 copy of {param.name} does not exist yet: make the first update outside the static "
                    f"function\nat {user_line(2)}"
                )
            copied = self._fp32_param = Parameter(param.array.astype(jnp.float32), name=param.name)
        copied.grad = None if param.grad is None else param.grad.astype(jnp.float32)
        copied.update_rule = self
        self._update(copied)
        copied.update_rule = None  # no cycle
        copied.cleargrad()
        param.array = copied.array.astype(param.dtype)

    def update_core(self, param: Parameter) -> None:
        """Update a parameter that has a gradient; override it to write a rule by hand (assign ``param.array``).

        Args:
            param: The parameter.
        """
        if type(self).update_core_cpu is not UpdateRule.update_core_cpu:
            _update_on_numpy(self, param)
        elif param.grad is not None:
            _, offset, clock, _ = self._status
            old_rule, old_status = param.update_rule, self._status
            param.update_rule = self
            self._status = (True, offset, clock, None)  # hooks are the caller's
            try:
                apply_updates(f"{type(self).__name__.removesuffix('Rule')}_update", [param], None)
            finally:
                param.update_rule, self._status = old_rule, old_status

    def update_core_cpu(self, param: Any) -> None:
        """As `update_core`, for rules written on NumPy: `param` and `state` hold arrays that may be changed in place.

        Args:
            param: The parameter.
        """
        raise NotImplementedError

    def update_core_gpu(self, param: Any) -> None:
        """Never called: there is one kind of array here.

        Args:
            param: The parameter.
        """
        raise NotImplementedError

    def init_state(self, param: Parameter) -> None:
        """Fill ``self.state`` for a parameter; called before its first update.

        Args:
            param: The parameter. Inside a static trace it holds zeros.
        """
        if type(self).transform is not UpdateRule.transform:
            values = {k: 1.0 if isinstance(v, Tracer) else plain_number(v) for k, v in self._hyper.values().items()}
            h = SimpleNamespace(**values, **dict(self._extra))
            leaves = jax.tree_util.tree_leaves(type(self).transform(h, 1).init(param.array))
            assert self._state is not None
            self._state.update(zip(self.slots, leaves, strict=True))

    def _init_states(self, param: Any) -> None:
        self._state = {}
        trace = thread_state().trace
        with jax.ensure_compile_time_eval():
            if trace is not None:
                param = Parameter(np.zeros(param.shape, param.dtype), name=param.name)
            self.init_state(param)
            for key, value in self._state.items():
                if isinstance(value, np.ndarray):
                    self._state[key] = jnp.array(value)
        if self._state and trace is not None:
            trace.initialised(self)
            self._state = dict(self._state)  # the trace writes into this one and keeps the other

    def _uninitialise(self) -> None:
        """Forget the state: undo of an initialisation."""
        self._state = None

    def serialize(self, serializer: Any) -> None:
        """Save or load `t` and the state.

        Args:
            serializer: The serializer or deserializer.
        """
        self.t = int(serializer("t", self.t))
        if self._state is not None:
            for key, value in self._state.items():
                self._state[key] = _loaded(serializer(key, value))
        elif isinstance(serializer, Loader):
            self._state = {}
            self.init_state(Parameter(np.zeros(1, np.float32)))  # tells which keys there are
            for key in self._state:
                try:
                    value = serializer(key, None)
                except KeyError:
                    if self.enabled:
                        raise
                    value = None
                if value is None:
                    self._state = None
                    break
                self._state[key] = _loaded(value)

    def use_fp32_update(self, flag: bool = True) -> None:
        """Update float16 parameters through a float32 copy.

        Args:
            flag: Whether to.
        """
        self._fp32 = flag


def _loaded(value: Any) -> Any:
    return jnp.array(value) if isinstance(value, np.ndarray) else value


@functools.cache
def is_pure_rule(kind: type[UpdateRule]) -> bool:
    """Return whether a rule class is a transformation and nothing else."""
    own = (kind.update, kind.update_core, kind.update_core_cpu)
    return (
        own == (UpdateRule.update, UpdateRule.update_core, UpdateRule.update_core_cpu)
        and kind.transform is not UpdateRule.transform
    )


class _NumpyParameter(SimpleNamespace):
    """A parameter as a NumPy-bodied rule sees it."""

    xp = np

    @property
    def data(self) -> Any:
        return self.array

    @data.setter
    def data(self, value: Any) -> None:
        self.array = value

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> Any:
        return self.array.dtype


def _update_on_numpy(rule: UpdateRule, param: Parameter) -> None:
    """Run a rule's `update_core_cpu` on writable NumPy copies; under a trace, through `jax.pure_callback`."""
    state = rule._state or {}
    names = [k for k, v in state.items() if isinstance(v, jax.Array | np.ndarray)]
    grad = param.grad

    def run(t: Any, array: Any, grad: Any, *values: Any) -> tuple[Any, ...]:
        stand_in = _NumpyParameter(
            array=np.array(array), grad=None if grad is None else np.array(grad), name=param.name, update_rule=rule
        )
        saved, saved_status = rule._state, rule._status
        rule._state = {**state, **{k: np.array(v) for k, v in zip(names, values, strict=True)}}
        clock = Clock()
        clock.t = clock_t = int(t)
        rule._status = (True, 0, clock, None)
        try:
            rule.update_core_cpu(stand_in)
            return tuple(np.asarray(v) for v in (stand_in.array, *(rule._state[k] for k in names)))
        finally:
            rule._state, rule._status = saved, saved_status
            assert clock.t == clock_t

    status = rule._status
    arguments = (status[2].t - status[1], param.array, grad, *(state[k] for k in names))
    if thread_state().trace is None:
        results = [jnp.array(v) for v in run(*arguments)]
    else:
        shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (param.array, *(state[k] for k in names))]
        results = jax.pure_callback(run, shapes, *arguments, vmap_method="sequential")
    param.array = results[0]
    state.update(zip(names, results[1:], strict=True))


# -- optimizers ------------------------------------------------------------------------------------


class LossScale:
    """The factor that keeps small float16 gradients from becoming zero."""

    _lifted_scalars = True

    def __init__(self, scale: float, multiplier: float | None = None) -> None:
        self.scale = scale
        self.multiplier = multiplier  # None: static
        self.is_nan = False
        self.was_nan = False

    def step(self) -> None:
        """Grow, or shrink after an overflow."""
        if self.multiplier is not None:
            factor = 0.5 if self.is_nan else self.multiplier if self.was_nan else 2.0
            self.scale = max(1.0, min(LOSS_SCALE_MAX, self.scale * factor))


class Optimizer:
    """Base class of all optimizers.

    Attributes:
        target: The link whose parameters are updated.
        use_auto_new_epoch: Whether an updater counts the epochs.
    """

    target: Any = None
    use_auto_new_epoch = False
    _hooks: Hooks | None = None
    _scaling: LossScale | None = None
    _own_clock: Clock | None = None

    @property
    def _clock(self) -> Clock:
        if self._own_clock is None:
            self._own_clock = Clock()
        return self._own_clock

    @property
    def t(self) -> Any:
        """Number of updates."""
        return plain_number(self._clock.t)

    @t.setter
    def t(self, value: Any) -> None:
        clock = self._clock
        if type(value) is int and value == plain_number(clock.t):
            return  # compiled programs know `_status` by identity
        difference = value - plain_number(clock.t)
        clock.t = value
        for param in self.target.params() if self.target is not None else ():
            rule = param.update_rule
            if isinstance(rule, UpdateRule) and rule._status[2] is clock and rule._status[0]:
                rule._status = (True, rule._status[1] + difference, *rule._status[2:])

    @property
    def epoch(self) -> Any:
        """Number of epochs."""
        return plain_number(self._clock.epoch)

    @epoch.setter
    def epoch(self, value: Any) -> None:
        self._clock.epoch = value

    def setup(self, link: Link) -> Self:
        """Take over the parameters of a link. What was known of another is forgotten.

        Args:
            link: The link.

        Returns:
            The optimizer itself.

        Raises:
            TypeError: It is not a link.
        """
        if not isinstance(link, Link):
            raise TypeError("optimization target must be a link")
        self.target = link
        self._own_clock = Clock()
        self._hooks = Hooks()
        return self

    def update(self, lossfun: Callable[..., Any] | None = None, *args: Any, **kwds: Any) -> None:
        """Update the parameters.

        Args:
            lossfun: The loss function; None: gradients are there already.
            *args: Its arguments.
            **kwds: The same by name.
        """
        raise NotImplementedError

    def new_epoch(self, auto: bool = False) -> None:
        """Count an epoch.

        Args:
            auto: Whether an updater calls it.

        Raises:
            RuntimeError: Both the updater and the program count.
        """
        if auto and not self.use_auto_new_epoch:
            raise RuntimeError(
                "invalid new_epoch call with auto=True.\nFix the updater to set optimizer.use_auto_new_epoch = True."
            )
        if not auto and self.use_auto_new_epoch:
            raise RuntimeError(
                "duplicated new_epoch with the updater.\nPass auto_new_epoch=False to the updater or stop calling "
                "new_epoch outside the updater."
            )
        self.epoch += 1

    def _check_set_up(self) -> Hooks:
        if self._hooks is None:
            raise RuntimeError(
                f"Optimizer is not set up. Call `setup` method: optimizer.setup(model)\nat {user_line(2)}"
            )
        return self._hooks

    def add_hook(self, hook: Callable[..., Any], name: str | None = None, timing: str = "auto") -> None:
        """Add a hook: ``hook(optimizer)``, or ``hook(rule, param)`` if it has a true ``call_for_each_param``.

        Args:
            hook: The function.
            name: Its key; None: ``hook.name``.
            timing: ``'pre'``, ``'post'``, or ``'auto'``: ``hook.timing``.

        Raises:
            RuntimeError: The optimizer is not set up.
            TypeError: It is not callable.
            KeyError: There is a hook of that name.
        """
        self._check_set_up().add(hook, name, timing, True)

    def remove_hook(self, name: str) -> None:
        """Remove a hook.

        Args:
            name: Its key.
        """
        self._check_set_up().remove(name)

    def call_hooks(self, timing: str = "pre") -> None:
        """Call the hooks of one timing.

        Args:
            timing: ``'pre'`` or ``'post'``.
        """
        for hook in self._check_set_up().at(timing):
            self.call_hook(hook)

    def call_hook(self, hook: Callable[..., Any]) -> None:
        """Call one hook.

        Args:
            hook: The hook.
        """
        if getattr(hook, "call_for_each_param", False):
            for param in self.target.params():
                hook(param.update_rule, param)
        else:
            hook(self)

    def serialize(self, serializer: Any) -> None:
        """Save or load counters and the state of the rules; parameters are the link's.

        Args:
            serializer: The serializer or deserializer.
        """
        self.t = int(serializer("t", self.t))
        self.epoch = int(serializer("epoch", self.epoch))
        for name, param in self.target.namedparams():
            if param.update_rule is not None:
                param.update_rule.serialize(serializer[name])

    # -- loss scaling ------------------------------------------------------------------------------

    @property
    def _loss_scale(self) -> Any:
        return None if self._scaling is None else plain_number(self._scaling.scale)

    def loss_scaling(self, interval: int = 1000, scale: float | None = None) -> None:
        """Scale the loss before backward passes and the gradients back before updates.

        Args:
            interval: Updates until the factor doubles, where it is dynamic.
            scale: The factor; None: dynamic.

        Raises:
            ValueError: A number is out of range.
        """
        if scale is not None:
            if scale <= 0:
                raise ValueError(f"loss_scale must be a positive number. Actual: {scale}")
            self._scaling = LossScale(float(scale))
        else:
            if interval < 1:
                raise ValueError(f"interval must be greater than or equal to 1. Actual: {interval}")
            self._scaling = LossScale(1.0, math.pow(2.0, 1.0 / interval))

    def set_loss_scale(self, loss_scale: float) -> None:
        """Scale the loss by a fixed factor.

        Args:
            loss_scale: The factor.
        """
        self.loss_scaling(scale=loss_scale)

    def check_nan_in_grads(self) -> None:
        """Look for gradients that are not finite, where the loss scale is dynamic."""
        scaling = self._scaling
        if scaling is None or scaling.multiplier is None:
            return
        scaling.is_nan = False
        for name, param in self.target.namedparams():
            if not bool(jnp.isfinite(param.grad).all()):
                scaling.is_nan = scaling.was_nan = True
                warnings.warn(
                    f"Non finite number found in param.grad of {name} (iteration: {self.t}, loss_scale: "
                    f"{scaling.scale})",
                    stacklevel=3,
                )

    def is_safe_to_update(self) -> bool:
        """Return whether the last `check_nan_in_grads` found nothing."""
        return self._scaling is None or not self._scaling.is_nan

    def update_loss_scale(self) -> None:
        """Adapt a dynamic loss scale."""
        if self._scaling is not None:
            self._scaling.step()


class GradientMethod(Optimizer):
    """Base class of optimizers that need one gradient per update. Subclasses give `create_update_rule`.

    Attributes:
        hyperparam: What the rules read unless they have values of their own.
    """

    _use_cleargrads = True
    _fp32 = False

    def __init__(self) -> None:
        super().__init__()
        self.hyperparam = Hyperparameter()

    def setup(self, link: Link) -> Self:
        """Take over the parameters of a link: each gets an update rule.

        Args:
            link: The link.

        Returns:
            The optimizer itself.
        """
        super().setup(link)
        for param in link.params():
            rule = param.update_rule = self.create_update_rule()
            if isinstance(rule, UpdateRule):
                rule._join(self._clock)
                if self._fp32:
                    rule.use_fp32_update()
        return self

    def create_update_rule(self) -> UpdateRule:
        """Return a new rule for a parameter; defined by subclasses."""
        raise NotImplementedError

    def reallocate_cleared_grads(self) -> None:
        """Set gradients that are None to zeros."""
        _reallocate(self.target.params(False))

    def call_hook(self, hook: Callable[..., Any]) -> None:
        """Call one hook; it sees, and leaves, no gradient that is None.

        Args:
            hook: The hook.
        """
        super().call_hook(hook)
        self.reallocate_cleared_grads()

    def update(self, lossfun: Callable[..., Any] | None = None, *args: Any, **kwds: Any) -> None:
        """Update the parameters, from a loss function or from the gradients that are there.

        Args:
            lossfun: Called with the arguments; then gradients are cleared and its result's `backward` runs.
            *args: Its arguments.
            **kwds: The same by name.

        Raises:
            RuntimeError: The optimizer is not set up.
        """
        hooks = self._check_set_up()
        if lossfun is not None:
            loss = lossfun(*args, **kwds)
            if self._use_cleargrads:
                self.target.cleargrads()
            else:
                for param in self.target.params():
                    param.zerograd()
            loss.backward(loss_scale=self._loss_scale)
            del loss
        clock = self._clock
        params = list(self.target.params())
        if type(self).reallocate_cleared_grads is GradientMethod.reallocate_cleared_grads:
            _reallocate(params)
        else:
            self.reallocate_cleared_grads()
        self.check_nan_in_grads()
        for param in params:
            rule = param.update_rule
            if isinstance(rule, UpdateRule) and rule._status[2] is not clock:
                rule._join(clock)
        safe = self.is_safe_to_update()
        name = f"{type(self).__name__}_update"
        if safe and self._is_pure(hooks, params):
            clock.t = clock.t + 1
            with_arrays = [p for p in params if p._array is not None]
            scale = None if self._scaling is None else self._scaling.scale
            self._apply(name, with_arrays, list(hooks.pre.values()), list(hooks.post.values()), scale)
        else:
            self.call_hooks("pre")
            if safe:
                clock.t = clock.t + 1
                self._update_each(name, params)
            else:
                self.t = self.t + 1  # the rules' own counts stay
            self.reallocate_cleared_grads()
            self.call_hooks("post")
        self.update_loss_scale()

    def _is_pure(self, hooks: Hooks, params: Sequence[Parameter]) -> bool:
        """Return whether everything this update does is ours, so that it can be one compiled call."""
        kind = type(self)
        return (
            kind.call_hooks is Optimizer.call_hooks
            and kind.call_hook is GradientMethod.call_hook
            and all(map(is_pure_hook, hooks.pre.values()))
            and all(map(is_pure_hook, hooks.post.values()))
            and all(
                p._array is None
                or (
                    p._grad is not None
                    and (p.update_rule is None or (isinstance(p.update_rule, UpdateRule) and p.update_rule._is_pure()))
                )
                for p in params
            )
        )

    def _apply(self, name: str, params: Sequence[Parameter], pre: Any = (), post: Any = (), scale: Any = None) -> None:
        """Update initialised parameters with gradients in one compiled call, pure hooks included."""
        apply_updates(name, params, self._clock, pre, post, scale)

    def _update_each(self, name: str, params: Sequence[Parameter]) -> None:
        """Update parameter by parameter where a rule is the user's; those of ours in one call before them."""
        scaling, clock = self._scaling, self._clock
        if scaling is not None:
            for p in params:
                if p._array is not None and p._grad is not None:
                    p._grad = p.grad / jnp.asarray(scaling.scale, p.grad.dtype)
        ours = [
            p
            for p in params
            if p._array is not None
            and p._grad is not None
            and isinstance(p.update_rule, UpdateRule)
            and p.update_rule._is_pure()
        ]
        if ours:
            self._apply(name, ours)
        done = set(map(id, ours))
        clock.busy = True
        try:
            for p in params:
                if id(p) not in done:
                    p.update()
        finally:
            clock.busy = False

    def use_cleargrads(self, use: bool = True) -> None:
        """Choose between clearing and zeroing gradients in `update(lossfun)`. Deprecated.

        Args:
            use: Whether to clear.
        """
        warnings.warn("GradientMethod.use_cleargrads is deprecated.", DeprecationWarning, stacklevel=2)
        self._use_cleargrads = use

    def use_fp32_update(self, flag: bool = True) -> None:
        """Update float16 parameters through float32 copies.

        Args:
            flag: Whether to.
        """
        self._fp32 = flag
        if self.target is not None:
            for param in self.target.params():
                param.update_rule.use_fp32_update()


def _reallocate(params: Iterable[Parameter]) -> None:
    for param in params:
        array = param._array
        if param._grad is None and array is not None:
            param._grad = _zeros(array.shape, array.dtype)


_zeros_cache: dict[Any, jax.Array] = {}


def _zeros(shape: tuple[int, ...], dtype: Any) -> Any:
    if thread_state().trace is not None:
        return jnp.zeros(shape, dtype)
    zeros = _zeros_cache.get((shape, dtype))
    if zeros is None or zeros.is_deleted():
        zeros = _zeros_cache[shape, dtype] = jnp.array(np.zeros(shape, dtype))
    return zeros


__all__ = [
    "GradientHook",
    "GradientMethod",
    "Hyperparameter",
    "HyperparameterProxy",
    "Optimizer",
    "UpdateRule",
]
