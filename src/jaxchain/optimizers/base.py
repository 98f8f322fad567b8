"""What all optimizers are: a target, clocks, hooks, loss scaling. Those that follow gradients: gradient_method.py."""

from __future__ import annotations

import math
import reprlib
import warnings
from collections.abc import Callable
from typing import Any, Self

import jax.numpy as jnp

from jaxchain.core import graph
from jaxchain.core.arrays import plain_number
from jaxchain.core.config import lock
from jaxchain.core.errors import user_line
from jaxchain.link import Link
from jaxchain.optimizers.hooks import Hooks
from jaxchain.optimizers.hyperparameter import Clock, number_of
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
