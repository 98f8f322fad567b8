"""Initializers: how parameters get their first values. Chainer's names, arguments and laws."""

from jaxchain.initializers.base import Initializer as Initializer
from jaxchain.initializers.base import generate_array as generate_array
from jaxchain.initializers.base import get_fans as get_fans
from jaxchain.initializers.constant import Constant as Constant
from jaxchain.initializers.constant import Identity as Identity
from jaxchain.initializers.constant import NaN as NaN
from jaxchain.initializers.constant import One as One
from jaxchain.initializers.constant import Zero as Zero
from jaxchain.initializers.conversion import get_initializer as _get_initializer
from jaxchain.initializers.random import GlorotNormal as GlorotNormal
from jaxchain.initializers.random import GlorotUniform as GlorotUniform
from jaxchain.initializers.random import HeNormal as HeNormal
from jaxchain.initializers.random import HeUniform as HeUniform
from jaxchain.initializers.random import LeCunNormal as LeCunNormal
from jaxchain.initializers.random import LeCunUniform as LeCunUniform
from jaxchain.initializers.random import Normal as Normal
from jaxchain.initializers.random import Orthogonal as Orthogonal
from jaxchain.initializers.random import Uniform as Uniform
from jaxchain.initializers.sampling import DownsamplingConvFilter as DownsamplingConvFilter
from jaxchain.initializers.sampling import UpsamplingDeconvFilter as UpsamplingDeconvFilter

__all__ = [
    "Constant",
    "DownsamplingConvFilter",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LeCunNormal",
    "LeCunUniform",
    "NaN",
    "Normal",
    "One",
    "Orthogonal",
    "Uniform",
    "UpsamplingDeconvFilter",
    "Zero",
    "_get_initializer",
    "generate_array",
    "get_fans",
]
