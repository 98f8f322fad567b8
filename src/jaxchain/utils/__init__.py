"""Chainer's utilities."""

from jaxchain.utils import argument as argument
from jaxchain.utils import cache as cache
from jaxchain.utils import collections_abc as collections_abc
from jaxchain.utils import conv as conv
from jaxchain.utils import conv_nd as conv_nd
from jaxchain.utils import imgproc as imgproc
from jaxchain.utils import precision as precision
from jaxchain.utils import type_check as type_check
from jaxchain.utils import walker_alias as walker_alias
from jaxchain.utils.arrays import experimental as experimental
from jaxchain.utils.arrays import force_array as force_array
from jaxchain.utils.arrays import force_type as force_type
from jaxchain.utils.arrays import nondeterministic as nondeterministic
from jaxchain.utils.arrays import size_of_shape as size_of_shape
from jaxchain.utils.arrays import sum_to as sum_to
from jaxchain.utils.arrays import tempdir as tempdir
from jaxchain.utils.conv import get_conv_outsize as get_conv_outsize
from jaxchain.utils.conv import get_deconv_outsize as get_deconv_outsize
from jaxchain.utils.sparse import CooMatrix as CooMatrix
from jaxchain.utils.sparse import get_order as get_order
from jaxchain.utils.sparse import to_coo as to_coo
from jaxchain.utils.walker_alias import WalkerAlias as WalkerAlias
