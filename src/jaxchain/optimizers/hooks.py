"""Hooks that change gradients around an update: each is one pure formula, part of the compiled update."""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.random import as_key, drawn, next_key
from jaxchain.optimizers.hyperparameter import split

TIMINGS = ("pre", "post")
Arrays = Sequence[jax.Array]


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
            h: The hook's numbers, as attributes; `loss_scales`: the loss scale of each gradient, or None.
            params: The parameters.
            grads: Their gradients.
        """
        raise NotImplementedError

    def __call__(self, *args: Any) -> None:
        """Change gradients: of ``(rule, param)``, or of all parameters of ``(optimizer,)``."""
        found = [args[1]] if len(args) == 2 else list(args[0].target.params(False))
        found = [p for p in found if p.array is not None and p.grad is not None]
        if not found:
            return
        numbers, statics = split(self.__dict__)
        times = Counter(map(id, found))
        params = list({id(p): p for p in found}.values())
        repeated = tuple(times[id(p)] for p in params) if len(params) < len(found) else None
        program = hook_program(type(self), statics, repeated)
        scales = [getattr(getattr(p, "update_rule", None), "factor", None) for p in params]
        grads = program(numbers, scales, [p.array for p in params], [p.grad for p in params])
        for p, g in zip(params, grads, strict=True):
            p._grad = g


def is_pure_hook(hook: Any) -> bool:
    """Return whether a hook can be part of the compiled update."""
    return isinstance(hook, GradientHook) and type(hook).__call__ is GradientHook.__call__


@functools.cache
def hook_program(kind: type[GradientHook], statics: Any, times: tuple[int, ...] | None) -> Callable[..., Any]:
    """Return the compiled form of a hook alone; `times`: in how many places each parameter is, if any is in several."""

    def hook(numbers: Any, scales: Any, params: Any, grads: Any) -> Any:
        more = () if times is None else (times,)
        h = SimpleNamespace(**numbers, **dict(statics), loss_scales=scales)
        return kind.gradients(h, params, grads, *more)

    hook.__name__ = kind.__name__
    return jax.jit(hook)


def _wide(a: jax.Array) -> jax.Array:
    """Return an array in which squares of float16 can be added, and 1e-9 is not 0."""
    return a.astype(jnp.promote_types(a.dtype, jnp.float32))


class WeightDecay(GradientHook):
    r"""Weight decay, :math:`g \leftarrow g + \lambda p`.

    Args:
        rate: The coefficient :math:`\lambda`.
    """

    name = "WeightDecay"
    call_for_each_param = True

    def __init__(self, rate: float) -> None:
        self.rate = rate

    @staticmethod
    def gradients(h: Any, params: Arrays, grads: Arrays) -> Arrays:
        """Return ``g + rate p``; where the loss was scaled, so is the rate."""
        decayed = []
        for p, g, scale in zip(params, grads, h.loss_scales, strict=True):
            rate = h.rate if scale is None else h.rate * jnp.asarray(scale, _wide(g).dtype)
            decayed.append((g + rate * p).astype(g.dtype))
        return decayed


class Lasso(GradientHook):
    r"""L1 regularisation, :math:`g \leftarrow g + \lambda\,\mathrm{sign}(p)`.

    Args:
        rate: The coefficient :math:`\lambda`.
    """

    name = "Lasso"
    call_for_each_param = True

    def __init__(self, rate: float) -> None:
        self.rate = rate

    @staticmethod
    def gradients(h: Any, params: Arrays, grads: Arrays) -> Arrays:
        """Return ``g + rate sign(p)``."""
        return [(g + h.rate * jnp.sign(p)).astype(g.dtype) for p, g in zip(params, grads, strict=True)]


class GradientClipping(GradientHook):
    """Scales all gradients such that their common L2 norm is at most a threshold.

    Args:
        threshold: The largest norm.
    """

    name = "GradientClipping"

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    @staticmethod
    def gradients(h: Any, params: Arrays, grads: Arrays, times: Sequence[int] | None = None) -> Arrays:
        """Return ``g min(1, threshold / norm)``; as in Chainer, once for each place that a parameter has."""
        times = [1] * len(grads) if times is None else times
        norm = jnp.sqrt(sum(n * jnp.sum(jnp.square(_wide(g))) for g, n in zip(grads, times, strict=True)))
        rate = jnp.minimum(h.threshold / norm, 1)
        return [(g * rate**n).astype(g.dtype) for g, n in zip(grads, times, strict=True)]


class GradientHardClipping(GradientHook):
    """Clips every element of the gradients.

    Args:
        lower_bound: The least value.
        upper_bound: The greatest value.
    """

    name = "GradientHardClipping"
    call_for_each_param = True

    def __init__(self, lower_bound: float, upper_bound: float) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    @staticmethod
    def gradients(h: Any, params: Arrays, grads: Arrays) -> Arrays:
        """Return ``min(max(g, lower), upper)``."""
        return [jnp.clip(g, h.lower_bound, h.upper_bound).astype(g.dtype) for g in grads]


class GradientLARS(GradientHook):
    """Layer-wise adaptive rate scaling: scales each gradient to the norm of its parameter.

    Args:
        threshold: Parameters of a smaller norm are left as they are.
        weight_decay: Coefficient of the weight decay.
        eps: Added to the denominator.
    """

    name = "GradientLARS"
    call_for_each_param = True

    def __init__(self, threshold: float = 1e-2, weight_decay: float = 0.0, eps: float = 1e-9) -> None:
        self.threshold, self.weight_decay, self.eps = threshold, weight_decay, eps

    @staticmethod
    def gradients(h: Any, params: Arrays, grads: Arrays) -> Arrays:
        """Return ``(g + decay p) |p| / (eps + |g| + decay |p|)`` where ``|p|`` is above the threshold."""
        scaled = []
        for p, g in zip(params, grads, strict=True):
            p_norm, g_norm = (jnp.linalg.norm(_wide(a).ravel()) for a in (p, g))
            rate = jnp.where(p_norm > h.threshold, p_norm / (h.eps + g_norm + h.weight_decay * p_norm), 1.0)
            scaled.append(((g + h.weight_decay * p) * rate).astype(g.dtype))
        return scaled


def exponential_decay_noise(xp: Any, shape: tuple[int, ...], dtype: Any, hook: Any, opt: Any) -> Any:
    r"""Return normal noise of variance :math:`\eta / (1 + t)^{0.55}`, drawn from the key stream.

    Args:
        xp: The array module; not used.
        shape: Shape of the noise.
        dtype: Its dtype.
        hook: The hook, which has ``eta``.
        opt: The update rule, which has ``t``.
    """
    sigma = jnp.sqrt(hook.eta / (1.0 + opt.t) ** 0.55)
    return (sigma * drawn(jax.random.normal, as_key(jnp.asarray(next_key())), shape, dtype=jnp.float32)).astype(dtype)


class GradientNoise:
    """Adds noise to each gradient.

    Args:
        eta: Scale of the noise; the paper takes 0.01, 0.3 or 1.
        noise_func: ``noise_func(xp, shape, dtype, hook, rule)`` -> the noise, an array. A step that
            draws from NumPy in it runs in eager mode: draw from JAX's or the library's stream.

    Source: Neelakantan et al., "Adding gradient noise improves learning for very deep networks", 2015.
    """

    name = "GradientNoise"
    call_for_each_param = True
    timing = "pre"

    def __init__(self, eta: float, noise_func: Callable[..., Any] = exponential_decay_noise) -> None:
        self.eta, self.noise_func = eta, noise_func

    def __call__(self, rule: Any, param: Any) -> None:
        """Add noise to the gradient of one parameter, if it has one.

        Args:
            rule: Its update rule.
            param: The parameter.
        """
        if param.grad is not None:
            param.grad = param.grad + jnp.asarray(self.noise_func(np, param.shape, param.dtype, self, rule))
