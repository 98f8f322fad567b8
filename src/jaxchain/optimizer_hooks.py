"""Chainer's path of the optimizer hooks."""

from jaxchain.optimizers.hooks import GradientClipping as GradientClipping
from jaxchain.optimizers.hooks import GradientHardClipping as GradientHardClipping
from jaxchain.optimizers.hooks import GradientLARS as GradientLARS
from jaxchain.optimizers.hooks import GradientNoise as GradientNoise
from jaxchain.optimizers.hooks import Lasso as Lasso
from jaxchain.optimizers.hooks import WeightDecay as WeightDecay
