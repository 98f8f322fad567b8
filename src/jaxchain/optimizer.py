"""Chainer's path of the optimizers' base classes."""

from jaxchain.optimizers.base import GradientMethod as GradientMethod
from jaxchain.optimizers.base import Hyperparameter as Hyperparameter
from jaxchain.optimizers.base import HyperparameterProxy as HyperparameterProxy
from jaxchain.optimizers.base import Optimizer as Optimizer
from jaxchain.optimizers.base import UpdateRule as UpdateRule
from jaxchain.optimizers.hooks import GradientClipping as GradientClipping
from jaxchain.optimizers.hooks import GradientHardClipping as GradientHardClipping
from jaxchain.optimizers.hooks import Lasso as Lasso
from jaxchain.optimizers.hooks import WeightDecay as WeightDecay
