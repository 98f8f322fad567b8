"""Chainer's old path of two names."""

from jaxchain.training.triggers import IntervalTrigger as IntervalTrigger
from jaxchain.training.util import get_trigger as get_trigger
