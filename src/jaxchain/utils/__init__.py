"""Chainer's utilities."""

from jaxchain.utils import type_check as type_check
from jaxchain.utils import walker_alias as walker_alias
from jaxchain.utils.sparse import CooMatrix as CooMatrix
from jaxchain.utils.sparse import to_coo as to_coo
from jaxchain.utils.walker_alias import WalkerAlias as WalkerAlias
