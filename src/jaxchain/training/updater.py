"""Chainer's old path of the updaters."""

from jaxchain.training.updaters import ParallelUpdater as ParallelUpdater
from jaxchain.training.updaters import StandardUpdater as StandardUpdater
from jaxchain.training.updaters.base import Updater as Updater
