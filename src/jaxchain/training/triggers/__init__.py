"""Triggers: functions of the trainer that say whether to act now."""

from jaxchain.training.triggers.interval import IntervalTrigger as IntervalTrigger
from jaxchain.training.triggers.interval import ManualScheduleTrigger as ManualScheduleTrigger
from jaxchain.training.triggers.moment import OnceTrigger as OnceTrigger
from jaxchain.training.triggers.moment import TimeTrigger as TimeTrigger
from jaxchain.training.triggers.value import BestValueTrigger as BestValueTrigger
from jaxchain.training.triggers.value import EarlyStoppingTrigger as EarlyStoppingTrigger
from jaxchain.training.triggers.value import MaxValueTrigger as MaxValueTrigger
from jaxchain.training.triggers.value import MinValueTrigger as MinValueTrigger

__all__ = [
    "BestValueTrigger",
    "EarlyStoppingTrigger",
    "IntervalTrigger",
    "ManualScheduleTrigger",
    "MaxValueTrigger",
    "MinValueTrigger",
    "OnceTrigger",
    "TimeTrigger",
]
