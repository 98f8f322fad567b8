"""Updaters: what happens in one iteration of the training loop."""

from jaxchain.training.updaters.parallel import MultiprocessParallelUpdater as MultiprocessParallelUpdater
from jaxchain.training.updaters.parallel import ParallelUpdater as ParallelUpdater
from jaxchain.training.updaters.standard import StandardUpdater as StandardUpdater

__all__ = ["MultiprocessParallelUpdater", "ParallelUpdater", "StandardUpdater"]
