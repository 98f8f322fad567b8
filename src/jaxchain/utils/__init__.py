"""Chainer's utilities."""

from jaxchain.utils.walker_alias import WalkerAlias as WalkerAlias

from jaxchain.utils import type_check as type_check
from jaxchain.utils import walker_alias as walker_alias
