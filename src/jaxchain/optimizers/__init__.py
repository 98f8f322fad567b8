"""Optimizers with Chainer's names, arguments, defaults and numbers."""

from jaxchain.optimizers.rules import SGD as SGD
from jaxchain.optimizers.rules import AdaBound as AdaBound
from jaxchain.optimizers.rules import Adam as Adam
from jaxchain.optimizers.rules import AdamW as AdamW
from jaxchain.optimizers.rules import AMSBound as AMSBound
from jaxchain.optimizers.rules import AMSGrad as AMSGrad
from jaxchain.optimizers.rules import MomentumSGD as MomentumSGD
