"""The other optimizers of Chainer: momentum variants, and step sizes that adapt to each element."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import optax

from jaxchain.optimizers.hyperparameter import HyperparameterProxy
from jaxchain.optimizers.rules import Method, Rule, hyperparameters, stateful


class AdaDeltaRule(Rule):
    """Update rule of `AdaDelta`; slots ``msg``, ``msdx``.

    Args:
        parent_hyperparam: Where other values come from.
        rho: Decay of the means.
        eps: Added to the means.
    """

    defaults = hyperparameters(rho=0.95, eps=1e-6)
    slots = ("msg", "msdx")

    @staticmethod
    def transform(h: Any, t: Any) -> optax.GradientTransformation:
        """Return ``-sqrt((msdx + eps) / (msg + eps)) g``."""

        def step(g: Any, p: Any, msg: Any, msdx: Any) -> Any:
            msg = h.rho * msg + (1 - h.rho) * g * g
            dx = jnp.sqrt((msdx + h.eps) / (msg + h.eps)) * g
            return -dx, msg, h.rho * msdx + (1 - h.rho) * dx * dx

        return stateful(("msg", "msdx"), step)


class AdaDelta(Method):
    r"""AdaDelta: the step is the gradient times a ratio of running means, without a learning rate.

    Args:
        rho: Decay of the running means of :math:`g^2` and of the squared steps.
        eps: Added to both.

    Source: Zeiler, "ADADELTA: an adaptive learning rate method", 2012.
    """

    rule_class = AdaDeltaRule
    rho = HyperparameterProxy("rho")
    eps = HyperparameterProxy("eps")

    def __init__(self, rho: float = 0.95, eps: float = 1e-6) -> None:
        super().__init__(rho=rho, eps=eps)


class AdaGradRule(Rule):
    """Update rule of `AdaGrad`; slot ``h``.

    Args:
        parent_hyperparam: Where other values come from.
        lr: Learning rate.
        eps: Added to the root.
    """

    defaults = hyperparameters(lr=0.001, eps=1e-8)
    slots = ("h",)

    @staticmethod
    def transform(h: Any, t: Any) -> optax.GradientTransformation:
        """Return ``-lr g / (sqrt(h) + eps)`` with the sum h of all squared gradients."""

        def step(g: Any, p: Any, total: Any) -> Any:
            total = total + g * g
            return -h.lr * g / (jnp.sqrt(total) + h.eps), total

        return stateful(("h",), step)


class AdaGrad(Method):
    r"""AdaGrad, :math:`p \leftarrow p - \eta g / (\sqrt{\sum g^2} + \epsilon)`.

    Args:
        lr: Learning rate :math:`\eta`.
        eps: :math:`\epsilon`.

    Source: Duchi et al., "Adaptive subgradient methods for online learning and stochastic optimization", 2011.
    """

    rule_class = AdaGradRule
    lr = HyperparameterProxy("lr")
    eps = HyperparameterProxy("eps")

    def __init__(self, lr: float = 0.001, eps: float = 1e-8) -> None:
        super().__init__(lr=lr, eps=eps)


class CorrectedMomentumSGDRule(Rule):
    """Update rule of `CorrectedMomentumSGD`; slot ``v``.

    Args:
        parent_hyperparam: Where other values come from.
        lr: Learning rate.
        momentum: Decay of the velocity.
    """

    defaults = hyperparameters(lr=0.01, momentum=0.9)
    slots = ("v",)

    @staticmethod
    def transform(h: Any, t: Any) -> optax.GradientTransformation:
        """Return ``lr v`` with ``v = momentum v - g``."""
        return optax.chain(optax.scale(-1.0), optax.trace(h.momentum), optax.scale(h.lr))


class CorrectedMomentumSGD(Method):
    r"""SGD with momentum whose velocity does not hold the learning rate: :math:`v \leftarrow \mu v - g;\ p \leftarrow
    p + \eta v`. A new learning rate counts for all of it.

    Args:
        lr: Learning rate :math:`\eta`.
        momentum: Decay :math:`\mu` of the velocity.
    """

    rule_class = CorrectedMomentumSGDRule
    lr = HyperparameterProxy("lr")
    momentum = HyperparameterProxy("momentum")

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(lr=lr, momentum=momentum)


class NesterovAGRule(Rule):
    """Update rule of `NesterovAG`; slot ``v``.

    Args:
        parent_hyperparam: Where other values come from.
        lr: Learning rate.
        momentum: Decay of the velocity.
    """

    defaults = hyperparameters(lr=0.01, momentum=0.9)
    slots = ("v",)

    @staticmethod
    def transform(h: Any, t: Any) -> optax.GradientTransformation:
        """Return ``momentum^2 v - (1 + momentum) lr g`` with ``v = momentum v - lr g``."""

        def step(g: Any, p: Any, v: Any) -> Any:
            v = h.momentum * v - h.lr * g
            return h.momentum * h.momentum * v - (1 + h.momentum) * h.lr * g, v

        return stateful(("v",), step)


class NesterovAG(Method):
    """Nesterov's accelerated gradient, in the form that looks ahead of the parameters it keeps.

    Args:
        lr: Learning rate.
        momentum: Decay of the velocity.

    Source: Bengio et al., "Advances in optimizing recurrent networks", 2012.
    """

    rule_class = NesterovAGRule
    lr = HyperparameterProxy("lr")
    momentum = HyperparameterProxy("momentum")

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(lr=lr, momentum=momentum)


class MSVAGRule(Rule):
    """Update rule of `MSVAG`; slots ``m``, ``v`` and ``updates``, the number of updates, which Chainer does not save.

    Args:
        parent_hyperparam: Where other values come from.
        lr: Learning rate.
        beta: Decay of the moments.
        eta: Factor of the whole step.
        weight_decay_rate: Decoupled weight decay.
    """

    defaults = hyperparameters(lr=0.1, beta=0.9, eta=1.0, weight_decay_rate=0)
    slots = ("m", "v", "updates")

    @staticmethod
    def transform(h: Any, t: Any) -> optax.GradientTransformation:
        """Return ``-eta (lr factor m + weight_decay_rate p)``, with a factor for the variance of the gradient."""

        def step(g: Any, p: Any, m: Any, v: Any, updates: Any) -> Any:
            updates = updates + 1
            c = h._complement_of_beta
            fix = -jnp.expm1(updates * jnp.log1p(-jnp.asarray(c)))  # 1 - beta^updates, accurate in float32
            rho = jnp.minimum(c**2 * fix * (2 - fix) / (fix**2 * c * (2 - c)), 0.9999)
            m = m + c * (g - m)
            v = v + c * (g * g - v)
            mean, square = m / fix, v / fix
            variance = (square - mean**2) / (1 - rho)
            factor = jnp.clip(mean**2 / (mean**2 + rho * variance), 0, 1)
            factor = jnp.where(jnp.isnan(factor), 0, factor)
            return -h.eta * (h.lr * mean * factor + h.weight_decay_rate * p), m, v, updates

        return stateful(("m", "v", "updates"), step)

    def _serialize_slot(self, serializer: Any, key: str, value: Any) -> Any:
        """Save or load a slot. A file of Chainer's has no number of updates: it is that of the rule."""
        try:
            return super()._serialize_slot(serializer, key, value)
        except KeyError:
            if key != "updates" or self._state is None:
                raise
            return jnp.full_like(self._state["m"], self.t)


class MSVAG(Method):
    r"""Momentum SGD whose step is smaller where the gradient varies more.

    Args:
        lr: Learning rate.
        beta: Decay of both moments.
        eta: Factor of the whole step, for schedules.
        weight_decay_rate: Decoupled weight decay.

    Source: Balles and Hennig, "Dissecting Adam: the sign, magnitude and variance of stochastic gradients", 2018.
    """

    rule_class = MSVAGRule
    lr = HyperparameterProxy("lr")
    beta = HyperparameterProxy("beta")
    eta = HyperparameterProxy("eta")
    weight_decay_rate = HyperparameterProxy("weight_decay_rate")

    def __init__(self, lr: float = 0.1, beta: float = 0.9, eta: float = 1.0, weight_decay_rate: float = 0) -> None:
        super().__init__(lr=lr, beta=beta, eta=eta, weight_decay_rate=weight_decay_rate)


class RMSpropRule(Rule):
    """Update rule of `RMSprop`; slot ``ms``.

    Args:
        parent_hyperparam: Where other values come from.
        lr: Learning rate.
        alpha: Decay of the mean.
        eps: Added to the root, or inside it.
        eps_inside_sqrt: Whether inside.
    """

    defaults = hyperparameters(lr=0.01, alpha=0.99, eps=1e-8, eps_inside_sqrt=False)
    slots = ("ms",)

    @staticmethod
    def transform(h: Any, t: Any) -> optax.GradientTransformation:
        """Return ``-lr g / (sqrt(ms) + eps)``."""

        def step(g: Any, p: Any, ms: Any) -> Any:
            ms = h.alpha * ms + (1 - h.alpha) * g * g
            root = jnp.sqrt(ms + h.eps) if h.eps_inside_sqrt else jnp.sqrt(ms) + h.eps
            return -h.lr * g / root, ms

        return stateful(("ms",), step)


class RMSprop(Method):
    r"""RMSprop, :math:`p \leftarrow p - \eta g / (\sqrt{m} + \epsilon)` with the running mean :math:`m` of
    :math:`g^2`.

    Args:
        lr: Learning rate :math:`\eta`.
        alpha: Decay of :math:`m`.
        eps: :math:`\epsilon`.
        eps_inside_sqrt: Whether :math:`\epsilon` is added inside the root.

    Source: Tieleman and Hinton, "Lecture 6.5 - rmsprop", COURSERA, 2012.
    """

    rule_class = RMSpropRule
    lr = HyperparameterProxy("lr")
    alpha = HyperparameterProxy("alpha")
    eps = HyperparameterProxy("eps")
    eps_inside_sqrt = HyperparameterProxy("eps_inside_sqrt")

    def __init__(self, lr: float = 0.01, alpha: float = 0.99, eps: float = 1e-8, eps_inside_sqrt: bool = False) -> None:
        super().__init__(lr=lr, alpha=alpha, eps=eps, eps_inside_sqrt=eps_inside_sqrt)


class RMSpropGravesRule(Rule):
    """Update rule of `RMSpropGraves`; slots ``n``, ``g``, ``delta``.

    Args:
        parent_hyperparam: Where other values come from.
        lr: Learning rate.
        alpha: Decay of the means.
        momentum: Decay of the step.
        eps: Added inside the root.
    """

    defaults = hyperparameters(lr=1e-4, alpha=0.95, momentum=0.9, eps=1e-4)
    slots = ("n", "g", "delta")

    @staticmethod
    def transform(h: Any, t: Any) -> optax.GradientTransformation:
        """Return ``delta = momentum delta - lr g / sqrt(n - mean^2 + eps)``."""

        def step(g: Any, p: Any, n: Any, mean: Any, delta: Any) -> Any:
            n = h.alpha * n + (1 - h.alpha) * g * g
            mean = h.alpha * mean + (1 - h.alpha) * g
            delta = h.momentum * delta - h.lr * g / jnp.sqrt(n - mean * mean + h.eps)
            return delta, n, mean, delta

        return stateful(("n", "g", "delta"), step)


class RMSpropGraves(Method):
    """RMSprop with momentum and the variance of the gradient in place of its mean square.

    Args:
        lr: Learning rate.
        alpha: Decay of the running means.
        momentum: Decay of the step.
        eps: Added inside the root.

    Source: Graves, "Generating sequences with recurrent neural networks", 2013.
    """

    rule_class = RMSpropGravesRule
    lr = HyperparameterProxy("lr")
    alpha = HyperparameterProxy("alpha")
    momentum = HyperparameterProxy("momentum")
    eps = HyperparameterProxy("eps")

    def __init__(self, lr: float = 1e-4, alpha: float = 0.95, momentum: float = 0.9, eps: float = 1e-4) -> None:
        super().__init__(lr=lr, alpha=alpha, momentum=momentum, eps=eps)


class SMORMS3Rule(Rule):
    """Update rule of `SMORMS3`; slots ``mem``, ``g``, ``g2``.

    Args:
        parent_hyperparam: Where other values come from.
        lr: Largest learning rate.
        eps: Added to the mean square and to its root.
    """

    defaults = hyperparameters(lr=0.001, eps=1e-16)
    slots = ("mem", "g", "g2")

    def init_state(self, param: Any) -> None:
        """Fill the state: the memory with ones, the means with zeros.

        Args:
            param: The parameter.
        """
        super().init_state(param)
        assert self._state is not None
        self._state["mem"] = jnp.ones_like(self._state["mem"])

    @staticmethod
    def transform(h: Any, t: Any) -> optax.GradientTransformation:
        """Return ``-min(x, lr) g / (sqrt(g2) + eps)`` with ``x = mean^2 / (g2 + eps)``."""

        def step(g: Any, p: Any, mem: Any, mean: Any, square: Any) -> Any:
            r = 1 / (mem + 1)
            mean = (1 - r) * mean + r * g
            square = (1 - r) * square + r * g * g
            x = mean * mean / (square + h.eps)
            return -g * jnp.minimum(x, h.lr) / (jnp.sqrt(square) + h.eps), 1 + mem * (1 - x), mean, square

        return stateful(("mem", "g", "g2"), step)


class SMORMS3(Method):
    """RMSprop whose memory and step size follow from how much the gradient agrees with its mean.

    Args:
        lr: Largest learning rate.
        eps: Added to the mean square and to its root.

    Source: Funk, "RMSprop loses to SMORMS3 - beware the epsilon!", 2015.
    """

    rule_class = SMORMS3Rule
    lr = HyperparameterProxy("lr")
    eps = HyperparameterProxy("eps")

    def __init__(self, lr: float = 0.001, eps: float = 1e-16) -> None:
        super().__init__(lr=lr, eps=eps)
