"""The optimizers: each is its hyperparameters and one sentence over optax, with Chainer's numbers."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax

from jaxchain.core.arrays import ARRAY_LIKE, plain_number, zeros
from jaxchain.optimizers.gradient_method import GradientMethod
from jaxchain.optimizers.hyperparameter import Hyperparameter, HyperparameterProxy
from jaxchain.optimizers.update_rule import UpdateRule


class Rule(UpdateRule):
    """A rule whose slots start as zeros of the parameter's shape; arguments are hyperparameters of its own.

    Args:
        parent_hyperparam: Where other values come from. None: the defaults.
        *values: Hyperparameters of this rule in the order of `defaults`; None: the parent's.
        **named: The same by name.

    Raises:
        TypeError: The rule has no such hyperparameter.

    Attributes:
        defaults: Names and values of the hyperparameters.
    """

    is_elementwise = True
    defaults: ClassVar[Hyperparameter] = Hyperparameter()

    def __init__(self, parent_hyperparam: Hyperparameter | None = None, *values: Any, **named: Any) -> None:
        super().__init__(self.defaults if parent_hyperparam is None else parent_hyperparam)
        names = list(self.defaults.get_dict())
        given = dict(zip(names, values, strict=False))
        if len(values) > len(names) or not named.keys() <= set(names) - given.keys():
            raise TypeError(f"{type(self).__name__}: expected hyperparameters {names}, got {values} and {named}")
        for name, value in (given | named).items():
            if value is not None:
                setattr(self.hyperparam, name, value)

    def init_state(self, param: Any) -> None:
        """Fill the state with zeros.

        Args:
            param: The parameter.
        """
        assert self._state is not None
        for slot in self.slots:
            self._state[slot] = zeros(param.shape, param.dtype)


class Method(GradientMethod):
    """An optimizer that is its hyperparameters and the class of its rules.

    Args:
        **values: The hyperparameters.

    Attributes:
        rule_class: The class of its rules.
    """

    rule_class: ClassVar[type[Rule]]

    def __init__(self, **values: Any) -> None:
        super().__init__()
        self.hyperparam = hyperparameters(**values)

    def create_update_rule(self) -> UpdateRule:
        """Return a new rule with the optimizer's hyperparameters."""
        return self.rule_class(self.hyperparam)


def hyperparameters(**values: Any) -> Hyperparameter:
    """Return hyperparameters with values."""
    made = Hyperparameter()
    for name, value in values.items():
        if value is not None and not isinstance(value, (bool, int, float, *ARRAY_LIKE)):
            raise TypeError(f"{name}: expected a number, got {type(value).__name__}. A model is given to setup(model)")
        setattr(made, name, value)
    return made


def stateful(slots: tuple[str, ...], step: Any) -> optax.GradientTransformation:
    """Return a transformation from ``step(g, p, *slots) -> (update, *slots)`` on one array.

    Args:
        slots: Names of the slots, which start as zeros.
        step: The formula.
    """

    def init(params: Any) -> Any:
        return tuple(jax.tree_util.tree_map(jnp.zeros_like, params) for _ in slots)

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        leaves, tree = jax.tree_util.tree_flatten(updates)
        columns = [tree.flatten_up_to(s) for s in (params, *state)]
        shared = jax.jit(step)  # traced once per shape, not once per parameter
        results = [shared(g, *rest) for g, *rest in zip(leaves, *columns, strict=True)]
        new, *states = (jax.tree_util.tree_unflatten(tree, column) for column in zip(*results, strict=True))
        return new, tuple(states)

    return optax.GradientTransformation(init, update)


class SGDRule(Rule):
    """Update rule of `SGD`.

    Args:
        parent_hyperparam: Where other values come from.
        lr: Learning rate.
    """

    defaults = hyperparameters(lr=0.01)

    @staticmethod
    def transform(h: Any, t: Any) -> optax.GradientTransformation:
        """Return ``-lr g``."""
        return optax.sgd(h.lr)


class SGD(Method):
    r"""Stochastic gradient descent, :math:`p \leftarrow p - \eta g`.

    Args:
        lr: Learning rate :math:`\eta`.

    Examples:
        >>> model = L.Linear(2, 1)
        >>> optimizer = jaxchain.optimizers.SGD(lr=0.1).setup(model)
        >>> optimizer.update(lambda: F.sum(model(np.ones((1, 2), np.float32))))
        >>> model.b.array.tolist()
        [-0.10000000149011612]
    """

    rule_class = SGDRule
    lr = HyperparameterProxy("lr")

    def __init__(self, lr: float = 0.01) -> None:
        super().__init__(lr=lr)


class MomentumSGDRule(Rule):
    """Update rule of `MomentumSGD`; slot ``v``.

    Args:
        parent_hyperparam: Where other values come from.
        lr: Learning rate.
        momentum: Decay of the velocity.
    """

    defaults = hyperparameters(lr=0.01, momentum=0.9)
    slots = ("v",)

    @staticmethod
    def transform(h: Any, t: Any) -> optax.GradientTransformation:
        """Return ``v = momentum v - lr g``. lr comes before the trace: after it, it would scale the past too."""
        return optax.chain(optax.scale(-h.lr), optax.trace(h.momentum))


class MomentumSGD(Method):
    r"""SGD with momentum, :math:`v \leftarrow \mu v - \eta g;\ p \leftarrow p + v`.

    Args:
        lr: Learning rate :math:`\eta`.
        momentum: Decay :math:`\mu` of the velocity.
    """

    rule_class = MomentumSGDRule
    lr = HyperparameterProxy("lr")
    momentum = HyperparameterProxy("momentum")

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__(lr=lr, momentum=momentum)


def adam_rate(h: Any, t: Any) -> Any:
    """Return Adam's learning rate with the bias corrections of both moments, accurate in float32."""
    c1, c2 = h._complement_of_beta1, h._complement_of_beta2
    fix1, fix2 = (-jnp.expm1(t * jnp.log1p(-jnp.asarray(c))) for c in (c1, c2))
    return h.alpha * jnp.sqrt(fix2) / fix1


class AdamRule(Rule):
    """Update rule of `Adam`; slots ``m``, ``v`` and, with amsgrad, ``vhat``.

    Args:
        parent_hyperparam: Where other values come from.
        alpha: Step size.
        beta1: Decay of the first moment.
        beta2: Decay of the second moment.
        eps: Added to the root of the second moment.
        eta: Factor of the whole step.
        weight_decay_rate: Decoupled weight decay.
        amsgrad: Whether to take the largest second moment so far.
        adabound: Whether to bound the learning rates.
        final_lr: Where the bounds meet.
        gamma: How fast they do.
    """

    defaults = hyperparameters(
        alpha=0.001,
        beta1=0.9,
        beta2=0.999,
        eps=1e-8,
        eta=1.0,
        weight_decay_rate=0,
        amsgrad=False,
        adabound=False,
        final_lr=0.1,
        gamma=1e-3,
    )

    def __init__(self, parent_hyperparam: Hyperparameter | None = None, *values: Any, **named: Any) -> None:
        super().__init__(parent_hyperparam, *values, **named)
        if self._hyper.adabound:
            self._extra = (("initial_alpha", plain_number(self._hyper.alpha)),)

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the arrays of its state."""
        return ("m", "v", "vhat") if self._hyper.amsgrad else ("m", "v")

    @staticmethod
    def transform(h: Any, t: Any) -> optax.GradientTransformation:
        """Return ``-eta (alpha_t m / (sqrt(v) + eps) + weight_decay_rate p)``."""
        rate = adam_rate(h, t)

        def step(g: Any, p: Any, m: Any, v: Any, *vhat: Any) -> Any:
            wide = jnp.promote_types(p.dtype, jnp.float32)  # half precision: computed in float32, kept in half
            g = g.astype(wide)
            m = (m + h._complement_of_beta1 * (g - m)).astype(m.dtype)
            v = (v + h._complement_of_beta2 * (g * g - v)).astype(v.dtype)
            vhat = tuple(jnp.maximum(old, v) for old in vhat)
            size = rate / (jnp.sqrt((vhat or (v,))[0].astype(wide)) + h.eps)
            if h.adabound:
                final = h.final_lr * h.alpha / h.initial_alpha
                size = jnp.clip(size, final * (1 - 1 / (h.gamma * t + 1)), final * (1 + 1 / (h.gamma * t)))
            # in the parameter's own dtype only after the sum: see `_apply_rule`
            return -h.eta * (size * m.astype(wide) + h.weight_decay_rate * p.astype(wide)), m, v, *vhat

        return stateful(("m", "v", "vhat") if h.amsgrad else ("m", "v"), step)

    @property
    def initial_alpha(self) -> Any:
        """``alpha`` when the rule was made, where `adabound` is set."""
        return dict(self._extra)["initial_alpha"]

    @property
    def alpha_t(self) -> Any:
        """Step size with the bias corrections.

        Raises:
            RuntimeError: There was no update yet.
        """
        return _alpha_t(self._hyper, self.t)

    @property
    def lr(self) -> Any:
        """Old name of `alpha_t`."""
        message = "AdamRule.lr has been renamed to AdamRule.alpha_t. Use of AdamRule.lr is deprecated in Chainer v6."
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return self.alpha_t

    @property
    def bounds(self) -> tuple[Any, Any]:
        """(lower, upper) bound of the learning rates of AdaBound.

        Raises:
            RuntimeError: There was no update yet.
        """
        if self.t == 0:
            raise RuntimeError(
                "Can't determine the bounds of AdaBound optimizer because the update steps have not been started."
            )
        h = self._hyper
        final = h.final_lr * h.alpha / self.initial_alpha
        return final * (1 - 1 / (h.gamma * self.t + 1)), final * (1 + 1 / (h.gamma * self.t))


def _alpha_t(h: Any, t: Any) -> Any:
    if isinstance(t, int) and t == 0:
        raise RuntimeError(
            "Can't determine the learning rate of Adam optimizer because the update steps have not been started."
        )
    if isinstance(t, int):
        values = h.get_dict()
        return values["alpha"] * (1 - values["beta2"] ** t) ** 0.5 / (1 - values["beta1"] ** t)
    return adam_rate(h, t)


class Adam(Method):
    r"""Adam, :math:`p \leftarrow p - \eta (\alpha_t m / (\sqrt{v} + \epsilon) + \lambda p)`.

    Args:
        alpha: Step size :math:`\alpha`.
        beta1: Decay of the first moment :math:`m`.
        beta2: Decay of the second moment :math:`v`.
        eps: :math:`\epsilon`.
        eta: Factor :math:`\eta` of the whole step, for schedules.
        weight_decay_rate: Decoupled weight decay :math:`\lambda`.
        amsgrad: Whether to take the largest second moment so far.
        adabound: Whether to bound the learning rates.
        final_lr: Where the bounds meet.
        gamma: How fast they do.
    """

    rule_class = AdamRule
    alpha = HyperparameterProxy("alpha")
    beta1 = HyperparameterProxy("beta1")
    beta2 = HyperparameterProxy("beta2")
    eps = HyperparameterProxy("eps")
    eta = HyperparameterProxy("eta")
    weight_decay_rate = HyperparameterProxy("weight_decay_rate")
    amsgrad = HyperparameterProxy("amsgrad")
    adabound = HyperparameterProxy("adabound")
    final_lr = HyperparameterProxy("final_lr")
    gamma = HyperparameterProxy("gamma")

    def __init__(
        self,
        alpha: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        eta: float = 1.0,
        weight_decay_rate: float = 0,
        amsgrad: bool = False,
        adabound: bool = False,
        final_lr: float = 0.1,
        gamma: float = 1e-3,
    ) -> None:
        super().__init__(
            alpha=alpha,
            beta1=beta1,
            beta2=beta2,
            eps=eps,
            eta=eta,
            weight_decay_rate=weight_decay_rate,
            amsgrad=amsgrad,
            adabound=adabound,
            final_lr=final_lr,
            gamma=gamma,
        )

    @property
    def alpha_t(self) -> Any:
        """Step size with the bias corrections.

        Raises:
            RuntimeError: There was no update yet.
        """
        return _alpha_t(self.hyperparam, self.t)

    @property
    def lr(self) -> Any:
        """Old name of `alpha_t`."""
        message = "Adam.lr has been renamed to AdamRule.alpha_t. Use of Adam.lr is deprecated in Chainer v6."
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return self.alpha_t


class AdamW(Adam):
    """Adam with decoupled weight decay.

    Args:
        alpha: Step size.
        beta1: Decay of the first moment.
        beta2: Decay of the second moment.
        eps: Added to the root of the second moment.
        eta: Factor of the whole step.
        weight_decay_rate: Weight decay.
    """

    def __init__(
        self,
        alpha: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        eta: float = 1.0,
        weight_decay_rate: float = 0,
    ) -> None:
        super().__init__(alpha, beta1, beta2, eps, eta, weight_decay_rate)


class AMSGrad(Adam):
    """Adam with the largest second moment so far.

    Args:
        alpha: Step size.
        beta1: Decay of the first moment.
        beta2: Decay of the second moment.
        eps: Added to the root of the second moment.
        eta: Factor of the whole step.
    """

    def __init__(
        self, alpha: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, eta: float = 1.0
    ) -> None:
        super().__init__(alpha, beta1, beta2, eps, eta, amsgrad=True)


class AdaBound(Adam):
    """Adam with learning rates between bounds that close in on `final_lr`.

    Args:
        alpha: Step size.
        beta1: Decay of the first moment.
        beta2: Decay of the second moment.
        final_lr: Where the bounds meet.
        gamma: How fast they do.
        eps: Added to the root of the second moment.
        eta: Factor of the whole step.
    """

    _amsgrad = False

    def __init__(
        self,
        alpha: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        final_lr: float = 0.1,
        gamma: float = 1e-3,
        eps: float = 1e-8,
        eta: float = 1.0,
    ) -> None:
        super().__init__(
            alpha, beta1, beta2, eps, eta, amsgrad=self._amsgrad, adabound=True, final_lr=final_lr, gamma=gamma
        )


class AMSBound(AdaBound):
    """`AdaBound` with the largest second moment so far."""

    _amsgrad = True
