"""Links: layers and models, with their parameters and child links under names."""

from jaxchain.link.base import Link as Link
from jaxchain.link.containers import Chain as Chain
from jaxchain.link.containers import ChainList as ChainList
from jaxchain.link.sequential import Sequential as Sequential
