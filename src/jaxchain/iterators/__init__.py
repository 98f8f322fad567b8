"""Iterators over datasets."""

from jaxchain.iterators.order import OrderSampler as OrderSampler
from jaxchain.iterators.order import ShuffleOrderSampler as ShuffleOrderSampler
from jaxchain.iterators.serial import SerialIterator as SerialIterator

__all__ = ["OrderSampler", "SerialIterator", "ShuffleOrderSampler"]
