"""Iterators over datasets."""

from jaxchain.iterators.dali import DaliIterator as DaliIterator
from jaxchain.iterators.device import prefetch_to_device as prefetch_to_device
from jaxchain.iterators.order import OrderSampler as OrderSampler
from jaxchain.iterators.order import ShuffleOrderSampler as ShuffleOrderSampler
from jaxchain.iterators.processes import MultiprocessIterator as MultiprocessIterator
from jaxchain.iterators.serial import SerialIterator as SerialIterator
from jaxchain.iterators.threads import MultithreadIterator as MultithreadIterator

__all__ = [
    "DaliIterator",
    "MultiprocessIterator",
    "MultithreadIterator",
    "OrderSampler",
    "SerialIterator",
    "ShuffleOrderSampler",
    "prefetch_to_device",
]
