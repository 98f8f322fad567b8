"""Hooks on links: weights that are normalised before every call, and how long links take."""

from jaxchain.link_hooks.spectral_normalization import SpectralNormalization as SpectralNormalization
from jaxchain.link_hooks.timer import TimerHook as TimerHook
from jaxchain.link_hooks.weight_standardization import WeightStandardization as WeightStandardization

__all__ = ["SpectralNormalization", "TimerHook", "WeightStandardization"]
