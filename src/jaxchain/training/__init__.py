"""Training: the loop (`Trainer`), what it does in each iteration (updaters), what it does besides (extensions), when
(triggers).
"""

from jaxchain.training import extension as extension
from jaxchain.training import extensions as extensions
from jaxchain.training import trigger as trigger
from jaxchain.training import triggers as triggers
from jaxchain.training import updater as updater
from jaxchain.training import updaters as updaters
from jaxchain.training import util as util
from jaxchain.training.extension import PRIORITY_EDITOR as PRIORITY_EDITOR
from jaxchain.training.extension import PRIORITY_READER as PRIORITY_READER
from jaxchain.training.extension import PRIORITY_WRITER as PRIORITY_WRITER
from jaxchain.training.extension import Extension as Extension
from jaxchain.training.extension import make_extension as make_extension
from jaxchain.training.trainer import Trainer as Trainer
from jaxchain.training.triggers import IntervalTrigger as IntervalTrigger
from jaxchain.training.updaters import ParallelUpdater as ParallelUpdater
from jaxchain.training.updaters import StandardUpdater as StandardUpdater
from jaxchain.training.updaters.base import Updater as Updater
from jaxchain.training.util import get_trigger as get_trigger

__all__ = [
    "PRIORITY_EDITOR",
    "PRIORITY_READER",
    "PRIORITY_WRITER",
    "Extension",
    "IntervalTrigger",
    "ParallelUpdater",
    "StandardUpdater",
    "Trainer",
    "Updater",
    "get_trigger",
    "make_extension",
]
