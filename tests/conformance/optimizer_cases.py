"""Rows for optimizers: how to build one, its hooks, what changes between steps. Run by real Chainer and by jaxchain."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

STEPS = 10
SHAPES = {"l1/W": (3, 4), "l1/b": (3,), "l2/W": (2, 3), "l2/b": (2,)}


@dataclass
class Case:
    """One optimizer with its hooks."""

    name: str
    build: Callable[[Any], Any]
    hooks: Callable[[Any], list] = field(default=lambda hooks: [])
    each_step: Callable[[Any, int], None] = field(default=lambda optimizer, step: None)


def _halve(name):
    def change(optimizer, step):
        setattr(optimizer, name, getattr(optimizer, name) * 0.5)

    return change


CASES = [
    Case("sgd", lambda optimizers: optimizers.SGD()),
    Case("sgd_lr", lambda optimizers: optimizers.SGD(lr=0.3), each_step=_halve("lr")),
    Case("momentum_sgd", lambda optimizers: optimizers.MomentumSGD(lr=0.1, momentum=0.8)),
    Case("momentum_sgd_lr", lambda optimizers: optimizers.MomentumSGD(0.3), each_step=_halve("lr")),
    Case("adam", lambda optimizers: optimizers.Adam()),
    Case(
        "adam_alpha",
        lambda optimizers: optimizers.Adam(alpha=0.1, beta1=0.8, beta2=0.99, eps=1e-3),
        each_step=_halve("alpha"),
    ),
    Case("adam_eta", lambda optimizers: optimizers.Adam(alpha=0.1, eta=0.5, weight_decay_rate=0.02)),
    Case("adam_amsgrad", lambda optimizers: optimizers.Adam(alpha=0.1, amsgrad=True)),
    Case("adam_adabound", lambda optimizers: optimizers.Adam(alpha=0.1, adabound=True)),
    Case("sgd_weight_decay", lambda optimizers: optimizers.SGD(0.1), lambda hooks: [hooks.WeightDecay(0.1)]),
    Case("sgd_clipping", lambda optimizers: optimizers.SGD(0.1), lambda hooks: [hooks.GradientClipping(0.5)]),
    Case("sgd_clipping_idle", lambda optimizers: optimizers.SGD(0.1), lambda hooks: [hooks.GradientClipping(1e3)]),
    Case(
        "adam_both",
        lambda optimizers: optimizers.Adam(0.05),
        lambda hooks: [hooks.WeightDecay(0.05), hooks.GradientClipping(1.0)],
    ),
    Case(
        "momentum_both",
        lambda optimizers: optimizers.MomentumSGD(0.05),
        lambda hooks: [hooks.GradientClipping(1.0), hooks.WeightDecay(0.05)],
    ),
    Case("ada_delta", lambda optimizers: optimizers.AdaDelta()),
    Case("ada_grad", lambda optimizers: optimizers.AdaGrad(lr=0.1)),
    Case("adam_w", lambda optimizers: optimizers.AdamW(alpha=0.1, weight_decay_rate=0.01)),
    Case("ams_grad", lambda optimizers: optimizers.AMSGrad(alpha=0.1)),
    Case("ada_bound", lambda optimizers: optimizers.AdaBound(alpha=0.1)),
    Case("ams_bound", lambda optimizers: optimizers.AMSBound(alpha=0.1)),
    Case("corrected_momentum_sgd", lambda optimizers: optimizers.CorrectedMomentumSGD(0.3), each_step=_halve("lr")),
    Case("msvag", lambda optimizers: optimizers.MSVAG(0.1)),
    Case("nesterov_ag", lambda optimizers: optimizers.NesterovAG(0.1)),
    Case("rmsprop", lambda optimizers: optimizers.RMSprop(0.1)),
    Case("rmsprop_inside", lambda optimizers: optimizers.RMSprop(0.1, eps_inside_sqrt=True)),
    Case("rmsprop_graves", lambda optimizers: optimizers.RMSpropGraves(0.01)),
    Case("smorms3", lambda optimizers: optimizers.SMORMS3(0.1)),
    Case("sgd_lasso", lambda optimizers: optimizers.SGD(0.1), lambda hooks: [hooks.Lasso(0.05)]),
    Case(
        "sgd_hard_clipping",
        lambda optimizers: optimizers.SGD(0.1),
        lambda hooks: [hooks.GradientHardClipping(-0.5, 0.7)],
    ),
    Case("sgd_lars", lambda optimizers: optimizers.SGD(0.1), lambda hooks: [hooks.GradientLARS(0.1, 0.01)]),
]


class Names:
    """Stands for a framework's module of optimizers or hooks, and notes which names a row uses."""

    def __init__(self):
        self.used = []

    def __getattr__(self, name):
        self.used.append(name)
        return lambda *args, **kwargs: None


def names_of(case):
    """Return (optimizers, hooks) that a row uses."""
    optimizers, hooks = Names(), Names()
    case.build(optimizers)
    case.hooks(hooks)
    return optimizers.used, hooks.used


def initial():
    """Return the initial parameters."""
    rng = np.random.RandomState(0)
    return {key: rng.randn(*shape).astype(np.float32) for key, shape in SHAPES.items()}


def gradients(step):
    """Return the gradients of a step; the last layer's bias has none on odd steps."""
    rng = np.random.RandomState(100 + step)
    found = {key: rng.randn(*shape).astype(np.float32) for key, shape in SHAPES.items()}
    if step % 2:
        found["l2/b"] = None
    return found


def run(case, framework, as_array):
    """Take ten steps; return the parameters after each and the optimizer's serialised entries at the end."""
    model = framework.Chain()
    with model.init_scope():
        model.l1 = framework.links.Linear(4, 3)
        model.l2 = framework.links.Linear(3, 2)
    for path, param in model.namedparams():
        param.array = initial()[path.strip("/")]
    optimizer = case.build(framework.optimizers).setup(model)
    for hook in case.hooks(framework.optimizer_hooks):
        optimizer.add_hook(hook)
    found = {}
    for step in range(STEPS):
        given = gradients(step)
        for path, param in model.namedparams():
            param.cleargrad()
            if given[path.strip("/")] is not None:
                param.grad = given[path.strip("/")]
        optimizer.update()
        case.each_step(optimizer, step)
        for path, param in model.namedparams():
            found[f"step{step}{path}"] = as_array(param.array)
    serializer = framework.serializers.DictionarySerializer()
    serializer.save(optimizer)
    found.update({"state/" + key: np.array(value) for key, value in serializer.target.items()})
    return found
