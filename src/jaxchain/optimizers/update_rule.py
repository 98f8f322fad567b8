"""Update rules: how one parameter is updated. A rule's own `t` is the optimizer's clock less an offset, so that 400
parameters cost one counter.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxchain.core.arrays import beside, from_numpy, placed, plain_number
from jaxchain.core.compat import Tracer
from jaxchain.core.config import thread_state
from jaxchain.core.errors import StaticError, user_line
from jaxchain.core.parameter import Parameter
from jaxchain.optimizers.compiled import apply_updates
from jaxchain.optimizers.hooks import Hooks, is_pure_hook
from jaxchain.optimizers.hyperparameter import Clock, Hyperparameter
from jaxchain.serializer import exchanged


@runtime_checkable
class Loader(Protocol):
    """What tells a deserializer from a serializer: it loads."""

    def load(self, obj: Any) -> None:
        """Load an object."""

    def __call__(self, key: str, value: Any) -> Any:
        """Return what was saved under a key."""


class Status(NamedTuple):
    """What the updates of a rule hang on besides its hyperparameters: one object, compared by identity per static call.

    Attributes:
        enabled: Whether updates do anything.
        offset: ``clock.t - t``; while updates are disabled: t.
        clock: What counts.
        hooks: The rule's own.
    """

    enabled: bool
    offset: Any
    clock: Clock
    hooks: Hooks | None


class UpdateRule:
    """How one parameter is updated. Subclasses give `transform` and `slots`, or override `update_core` as in Chainer.

    Args:
        parent_hyperparam: Where values that are not set on this rule come from.

    Attributes:
        slots: Names of the arrays of its state, in the order of the leaves of the transformation's state.
        loss_scale: What the gradient was multiplied by in the last backward pass, and is divided by: a number, or the
            `LossScale` that has it; None: by nothing.
    """

    _extra: tuple[tuple[str, Any], ...] = ()  # static values of this rule that `transform` sees in `h`
    slots: Any = ()
    is_elementwise = False
    loss_scale: Any = None
    _fp32 = False
    _fp32_param: Parameter | None = None  # the float32 copy of a float16 parameter

    def __init__(self, parent_hyperparam: Hyperparameter | None = None) -> None:
        self._state: dict[str, Any] | None = None
        self._hyper = Hyperparameter() if parent_hyperparam is None else parent_hyperparam
        self._status = Status(True, 0, Clock(), None)
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
        return {} if self._state is None and not self.slots and self.t else self._state  # rules without slots have none

    @state.setter
    def state(self, value: dict[str, Any] | None) -> None:
        self._state = value

    @property
    def enabled(self) -> bool:
        """Whether updates do anything."""
        return self._status.enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        enabled, offset, clock, hooks = self._status
        if bool(value) != enabled:
            # the same step there and back; a plain number, so that compiled programs compare the tuple by identity
            self._status = Status(bool(value), plain_number(clock.t - offset), clock, hooks)

    @property
    def t(self) -> Any:
        """Number of updates made by this rule."""
        enabled, offset, clock, _ = self._status
        return plain_number(clock.t - offset if enabled else offset)

    @t.setter
    def t(self, value: Any) -> None:
        if value is self.t or (type(value) is int and value == self.t):
            return  # compiled programs know `_status` by identity
        enabled, _, clock, _ = self._status
        self._status = self._status._replace(offset=clock.t - value if enabled else value)

    def _join(self, clock: Clock) -> None:
        """Count by another clock from now on."""
        t = self.t
        offset = plain_number(clock.t) - t if self.enabled else t
        self._status = self._status._replace(offset=offset, clock=clock)

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
        hooks = self._status.hooks or Hooks()
        hooks.add(hook, name, timing, False)
        self._status = self._status._replace(hooks=hooks)

    def remove_hook(self, name: str) -> None:
        """Remove a hook.

        Args:
            name: Its key.
        """
        hooks = self._status.hooks
        if hooks is None:
            raise KeyError(name)
        hooks.remove(name)

    def _is_pure(self) -> bool:
        """Whether this rule can be part of the compiled update."""
        hooks = self._status.hooks
        return (
            is_pure_rule(type(self))
            and _CORES.isdisjoint(self.__dict__)
            and not self._fp32
            and (hooks is None or all(map(is_pure_hook, (*hooks.pre.values(), *hooks.post.values()))))
        )

    def update(self, param: Parameter) -> None:
        """Update a parameter: hooks, `update_core`, hooks.

        Args:
            param: The parameter, with its gradient.
        """
        if not self._status.enabled:
            return
        if not self._status.clock.busy:
            self.t = self.t + 1
        if param.array is None:
            return
        if self._is_copied(param):
            self._update_in_float32(param)
        else:
            self._update(param)

    @property
    def factor(self) -> Any:
        """The loss scale as a number, or None."""
        return getattr(self.loss_scale, "scale", self.loss_scale)

    def _update(self, param: Parameter) -> None:
        if self._state is None:
            self._init_states(param)
        scale = self.loss_scale
        if scale is not None:
            if param.grad is not None:
                param.grad = param.grad / jnp.asarray(self.factor, param.grad.dtype)
            self.loss_scale = None  # the rule's own hooks see what is divided
        hooks = self._status.hooks
        try:
            for hook in hooks.at("pre") if hooks else ():
                hook(self, param)
            self.update_core(param)
            for hook in hooks.at("post") if hooks else ():
                hook(self, param)
        finally:
            if scale is not None:
                self.loss_scale = scale

    def _is_copied(self, param: Any) -> bool:
        """Return whether a float32 copy is updated in a parameter's place."""
        return self._fp32 and param.dtype == np.float16

    def _update_in_float32(self, param: Parameter) -> None:
        """Update a float32 copy that is kept beside a float16 parameter."""
        copied, trace = self._fp32_param, thread_state().trace
        if copied is None:
            copied = Parameter(param.array.astype(jnp.float32), name=param.name)
            if trace is None:
                self._fp32_param = copied
            elif not trace.inits:  # else the trace starts over, with a copy that `_begin` makes
                raise StaticError(
                    f"the float32 copy of {param.name} does not exist yet: make the first update outside the static "
                    f"function\nat {user_line(2)}"
                )
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
        if getattr(self.update_core_cpu, "__func__", None) is not UpdateRule.update_core_cpu:
            _update_on_numpy(self, param)
        elif not isinstance(param, Parameter):  # a Variable has no place for a rule
            stand_in = Parameter(param.array, name=param.name)
            stand_in.grad = param.grad
            self.update_core(stand_in)
            param.array = stand_in.array
        elif param.grad is not None:
            old_rule, old_status = param.update_rule, self._status
            param.update_rule = self
            self._status = old_status._replace(enabled=True, hooks=None)  # hooks are the caller's
            try:
                apply_updates(f"{type(self).__name__.removesuffix('Rule')}_update", [param])
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
        before = self._state
        try:
            self._state = {}
            self._fill_states(param)
        except BaseException:  # `KeyboardInterrupt`, too: not some of it
            self._state = before
            raise

    def _fill_states(self, param: Any) -> None:
        trace = thread_state().trace
        assert self._state is not None
        with jax.ensure_compile_time_eval():
            if trace is not None or param.grad is None:  # at an update, gradients that are None are zeros
                zeros = np.zeros(param.shape, param.dtype)
                param = Parameter(param.array if trace is None else zeros, name=param.name)
                param.grad = zeros
            self.init_state(param)
            for key, value in self._state.items():
                if isinstance(value, np.ndarray):
                    value = from_numpy(value)
                if getattr(value, "shape", None) == param.shape:  # spread as the parameter is, from the first
                    value = beside(value, param.array)
                self._state[key] = value
        if self._state and trace is not None:
            trace.initialised(self)
            self._state = dict(self._state)  # the trace writes into this one and keeps the other

    def _begin(self, param: Parameter) -> Callable[[], None] | None:
        """Make now what the first update would make. Return what undoes it; None: there is nothing to make."""
        before = self._state, self._fp32_param
        if self._is_copied(param) and self._fp32_param is None:
            self._fp32_param = Parameter(param.array.astype(jnp.float32), name=param.name)
        if self._state is None:
            self._init_states(self._fp32_param if self._is_copied(param) else param)
            self._state = self._state or None

        def undo() -> None:
            self._state, self._fp32_param = before

        return None if self._state is before[0] and self._fp32_param is before[1] else undo

    def to_device(self, device: Any) -> None:
        """Move the state to a device: it follows its parameter. Numbers stay on none.

        Args:
            device: A `jax.Device`.
        """
        for key, value in (self._state or {}).items():
            if isinstance(value, jax.Array):
                self._state[key] = placed(value, device)  # type: ignore[index]
        if self._fp32_param is not None:
            self._fp32_param.to_device(device)
        numbers = [self._status.clock, self._hyper]
        while (parent := getattr(numbers[-1], "parent", None)) is not None:
            numbers.append(parent)
        for each in numbers:
            each.__dict__.update({name: plain_number(value) for name, value in each.__dict__.items()})

    def serialize(self, serializer: Any) -> None:
        """Save or load `t` and the state.

        Args:
            serializer: The serializer or deserializer.
        """
        self.t = int(serializer("t", self.t))
        if isinstance(serializer, Loader):
            self._load_state(serializer)
        elif self._state is not None:
            for key, value in self._state.items():
                self._state[key] = _loaded(self._serialize_slot(serializer, key, value))
        elif self.t:  # its parameter was not initialised at any update: None says so; Chainer's files lack the keys
            for key in self._example_state():
                self._serialize_slot(serializer, key, None)

    def _load_state(self, serializer: Any) -> None:
        fresh = self._state is None
        if self._state is None:
            self._state = self._example_state()
        for key, value in self._state.items():
            try:
                loaded = self._serialize_slot(serializer, key, None if fresh else value)
            except KeyError:
                if not fresh or (self.enabled and self.t):
                    raise
                loaded = None  # without an update there was no state to save
            if loaded is None:
                self._state = None
                return
            self._state[key] = _loaded(loaded)

    def _example_state(self) -> dict[str, Any]:
        """Return the state of a parameter of one element: it tells which keys there are."""
        before, example = self._state, Parameter(np.zeros(1, np.float32))
        example.grad = example.array
        self._state = {}
        self.init_state(example)
        state, self._state = self._state, before
        return state

    def _serialize_slot(self, serializer: Any, key: str, value: Any) -> Any:
        """Save or load one slot. Rules override it whose slots are not all in Chainer's files."""
        return exchanged(serializer, key, value)

    def use_fp32_update(self, flag: bool = True) -> None:
        """Update float16 parameters through a float32 copy.

        Args:
            flag: Whether to.
        """
        self._fp32 = flag


def _loaded(value: Any) -> Any:
    return from_numpy(value) if isinstance(value, np.ndarray) else value


_CORES = frozenset(("update", "update_core", "update_core_cpu"))  # what may be set on one rule, too


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

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "dtype", "ndim", "size"):
            return getattr(self.array, name)
        raise AttributeError(f"an update_core_cpu gets a parameter without {name!r}")


def _update_on_numpy(rule: UpdateRule, param: Parameter) -> None:
    """Run a rule's `update_core_cpu` on writable NumPy copies; under a trace, through `jax.pure_callback`.

    The state it leaves is taken whole. Under a trace its numbers become arrays, or they would be constants.
    """
    state: dict[str, Any] = dict(rule._state or {})
    traced = thread_state().trace is not None
    kinds = (jax.Array, np.ndarray, np.generic, int, float) if traced else (jax.Array, np.ndarray)
    arrays = {k: v for k, v in state.items() if isinstance(v, kinds)}

    def run(t: Any, array: Any, grad: Any, arrays: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        stand_in = _NumpyParameter(
            array=np.array(array), grad=None if grad is None else np.array(grad), name=param.name, update_rule=rule
        )
        saved, saved_status = rule._state, rule._status
        rule._state = {**state, **{k: np.array(v) for k, v in arrays.items()}}
        clock = Clock()
        clock.t = clock_t = int(t)
        rule._status = Status(True, 0, clock, None)
        try:
            rule.update_core_cpu(stand_in)
            return np.asarray(stand_in.array), rule._state
        finally:
            rule._state, rule._status = saved, saved_status
            assert clock.t == clock_t

    def run_typed(t: Any, array: Any, grad: Any, arrays: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        new, left = run(t, array, grad, arrays)
        if left.keys() != state.keys():
            changed = ", ".join(sorted(left.keys() ^ state.keys()))
            raise RuntimeError(
                f"{type(rule).__name__}: in static mode init_state has to make the whole state, and update_core_cpu "
                f"made or deleted {changed}"
            )
        return new, {k: np.asarray(left[k], v.dtype) for k, v in shapes[1].items()}

    status = rule._status
    arguments = (status.clock.t - status.offset, param.array, param.grad, arrays)
    if traced:
        shapes = jax.tree.map(lambda v: jax.ShapeDtypeStruct(np.shape(v), jnp.result_type(v)), (param.array, arrays))
        param.array, found = jax.pure_callback(run_typed, shapes, *arguments, vmap_method="sequential")
    else:
        array, left = run(*arguments)
        param.array = from_numpy(array)
        found = {k: from_numpy(v) if isinstance(v, np.ndarray) or k in arrays else v for k, v in left.items()}
        for key in state.keys() - found.keys():
            del state[key]
    state.update(found)
    rule._state = state
