"""Optimizers: an update of all parameters is one compiled call, in eager mode too.

A rule is a class with a pure `transform(h, t)` (an optax transformation) and the names of its `slots`; hooks of ours
have a pure form as well. `GradientMethod.update` hands them to `compiled.apply_updates`. User-written rules and hooks
run in Python, in Chainer's order.
"""

from __future__ import annotations

import math
import operator
import reprlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp

from jaxchain.core import graph
from jaxchain.core.arrays import KEPT, zeros
from jaxchain.core.config import lock, thread_state
from jaxchain.core.errors import user_line, warn
from jaxchain.core.parameter import Parameter
from jaxchain.link import Link
from jaxchain.optimizers.compiled import apply_updates
from jaxchain.optimizers.hooks import Hooks, is_pure_hook
from jaxchain.optimizers.hyperparameter import Clock, Hyperparameter, number_of, plain_number
from jaxchain.optimizers.update_rule import UpdateRule

LOSS_SCALE_MAX = 65504  # the largest float16


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
        return number_of(self._clock, "t")

    @t.setter
    def t(self, value: Any) -> None:
        clock = self._clock
        if type(value) is int and value == plain_number(clock.t):
            return  # compiled programs know `_status` by identity
        difference = value - plain_number(clock.t)
        clock.t = value
        for param in self.target.params() if self.target is not None else ():
            rule = param.update_rule
            if isinstance(rule, UpdateRule) and rule._status.clock is clock and rule._status.enabled:
                rule._status = rule._status._replace(offset=rule._status.offset + difference)

    @property
    def epoch(self) -> Any:
        """Number of epochs."""
        return number_of(self._clock, "epoch")

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
            raise TypeError(f"optimization target must be a link, got {reprlib.repr(link)}")
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
        with lock:  # no static step of another thread comes in between
            self.t = int(serializer("t", self.t))
            self.epoch = int(serializer("epoch", self.epoch))
            for name, param in self.target.namedparams():
                if param.update_rule is not None:
                    param.update_rule.serialize(serializer[name])

    # -- loss scaling ------------------------------------------------------------------------------

    @property
    def _loss_scale(self) -> Any:
        return None if self._scaling is None else number_of(self._scaling, "scale")

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
        graph.scaling = True
        self._tell_rules()

    def _tell_rules(self) -> None:
        """Say what the coming backward passes will say: a step that is compiled before the first one finds it so."""
        if self._scaling is not None and self.target is not None:
            for param in self.target.params():
                if isinstance(param.update_rule, UpdateRule):
                    param.update_rule.loss_scale = self._scaling

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
            if param.is_initialized and not bool(jnp.isfinite(param.grad).all()):
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
        params = list(link.params())
        for param in params:
            rule = param.update_rule = self.create_update_rule()
            if isinstance(rule, UpdateRule) and self._fp32:
                rule.use_fp32_update()
        self._set_clocks(params)
        self._tell_rules()
        return self

    def _set_clocks(self, params: Sequence[Parameter]) -> list[Sequence[Parameter]]:
        """Let rules count by the optimizer's clock, and those of parameters in several places by their own: they make
        several updates a step. Return the parameters in rounds.
        """
        clock, rounds = self._clock, _rounds(params)
        repeated = set(map(id, rounds[1])) if len(rounds) > 1 else ()
        for param in params:
            rule = param.update_rule
            if isinstance(rule, UpdateRule) and (rule._status.clock is clock) is (id(param) in repeated):
                rule._join(Clock() if id(param) in repeated else clock)
        return rounds

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
            TypeError: The loss function is none.
        """
        hooks = self._check_set_up()
        if lossfun is not None:
            if not callable(lossfun):
                raise TypeError(
                    f"update: expected a loss function and its arguments, got {type(lossfun).__name__}: "
                    f"optimizer.update(model, x, t), or loss.backward() and then optimizer.update()\nat {user_line()}"
                )
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
        if not params:
            warn(
                f"{type(self).__name__}.update: {type(self.target).__name__} has no parameters: links and parameters "
                "have to be assigned inside `with self.init_scope():`",
                UserWarning,
            )
        if type(self).reallocate_cleared_grads is GradientMethod.reallocate_cleared_grads:
            _reallocate(params)
        else:
            self.reallocate_cleared_grads()
        self.check_nan_in_grads()
        rounds = self._set_clocks(params)
        if graph.scaling and self._scaling is not None:
            for p in params:
                if getattr(p.update_rule, "loss_scale", None) is graph.TRACED:
                    p.update_rule.loss_scale = self._scaling
        safe = self.is_safe_to_update()
        name = f"{type(self).__name__}_update"
        if safe and len(rounds) == 1 and self._is_pure(hooks, params):
            with_arrays = [p for p in params if p._array is not None]
            before, t = list(map(_VALUE, with_arrays)), clock.t
            try:
                clock.t = t + 1
                self._apply(name, with_arrays, list(hooks.pre.values()), list(hooks.post.values()))
            except BaseException:  # `KeyboardInterrupt`, too: an update is done or not begun
                if all(map(operator.is_, map(_VALUE, with_arrays), before)):
                    clock.t = t
                raise
        else:
            self.call_hooks("pre")
            if safe:
                clock.t = clock.t + 1
                for each in rounds:
                    self._update_each(name, each)
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

    def _apply(self, name: str, params: Sequence[Parameter], pre: Any = (), post: Any = ()) -> None:
        """Update initialised parameters with gradients in one compiled call, pure hooks included."""
        apply_updates(name, params, pre, post, self._scales(params))

    def _scales(self, params: Sequence[Parameter]) -> list[Any] | None:
        """Return the loss scale of each parameter; None if no loss is scaled."""
        return [getattr(p.update_rule, "factor", None) for p in params] if graph.scaling else None

    def _update_each(self, name: str, params: Sequence[Parameter]) -> None:
        """Update parameter by parameter where a rule is the user's; those of ours in one call before them."""
        clock = self._clock
        rules = [p.update_rule for p in params if isinstance(p.update_rule, UpdateRule)]
        own = [rule._status.clock for rule in rules if rule._status.enabled and rule._status.clock is not clock]
        clocks = (clock, *own)
        for each in own:  # of parameters that are in several places
            each.t = each.t + 1
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
        for each in clocks:
            each.busy = True
        try:
            for p in params:
                if id(p) not in done:
                    p.update()
        finally:
            for each in clocks:
                each.busy = False

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


def _rounds(params: Sequence[Parameter]) -> list[Sequence[Parameter]]:
    """Return lists without repetitions: Chainer updates a parameter once for each place that it has in the model."""
    if len(set(map(id, params))) == len(params):
        return [params]
    rounds: list[dict[int, Parameter]] = []
    for param in params:
        free = next((each for each in rounds if id(param) not in each), None)
        if free is None:
            rounds.append(free := {})
        free[id(param)] = param
    return [list(each.values()) for each in rounds]


def _reallocate(params: Iterable[Parameter]) -> None:
    for param in params:
        array = param._array
        if param._grad is None and array is not None:
            param._grad = _zeros(array.shape, array.dtype)


_VALUE = operator.attrgetter("_value")
_small_zeros: dict[Any, jax.Array] = {}


def _zeros(shape: tuple[int, ...], dtype: Any) -> Any:
    if thread_state().trace is not None:
        return jnp.zeros(shape, dtype)
    found = _small_zeros.get((shape, dtype))
    if found is None or found.is_deleted():
        found = zeros(shape, dtype)
        if found.nbytes <= KEPT:
            _small_zeros[shape, dtype] = found
    return found
