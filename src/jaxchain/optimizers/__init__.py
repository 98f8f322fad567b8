"""Optimizers with Chainer's names, arguments, defaults and numbers."""

from jaxchain.optimizers.adaptive import MSVAG as MSVAG
from jaxchain.optimizers.adaptive import SMORMS3 as SMORMS3
from jaxchain.optimizers.adaptive import AdaDelta as AdaDelta
from jaxchain.optimizers.adaptive import AdaGrad as AdaGrad
from jaxchain.optimizers.adaptive import CorrectedMomentumSGD as CorrectedMomentumSGD
from jaxchain.optimizers.adaptive import NesterovAG as NesterovAG
from jaxchain.optimizers.adaptive import RMSprop as RMSprop
from jaxchain.optimizers.adaptive import RMSpropGraves as RMSpropGraves
from jaxchain.optimizers.rules import SGD as SGD
from jaxchain.optimizers.rules import AdaBound as AdaBound
from jaxchain.optimizers.rules import Adam as Adam
from jaxchain.optimizers.rules import AdamW as AdamW
from jaxchain.optimizers.rules import AMSBound as AMSBound
from jaxchain.optimizers.rules import AMSGrad as AMSGrad
from jaxchain.optimizers.rules import MomentumSGD as MomentumSGD
from jaxchain.optimizers.transformation import Optax as Optax
