"""Chainer's path of the optimizers' base classes."""

from jaxchain.optimizers.base import Optimizer as Optimizer
from jaxchain.optimizers.gradient_method import GradientMethod as GradientMethod
from jaxchain.optimizers.hooks import GradientClipping as GradientClipping
from jaxchain.optimizers.hooks import GradientHardClipping as GradientHardClipping
from jaxchain.optimizers.hooks import GradientNoise as GradientNoise
from jaxchain.optimizers.hooks import Lasso as Lasso
from jaxchain.optimizers.hooks import WeightDecay as WeightDecay
from jaxchain.optimizers.hyperparameter import Hyperparameter as Hyperparameter
from jaxchain.optimizers.hyperparameter import HyperparameterProxy as HyperparameterProxy
from jaxchain.optimizers.update_rule import UpdateRule as UpdateRule
