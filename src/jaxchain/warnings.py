"""Chainer's path of its warnings."""

from jaxchain.environment import PerformanceWarning as PerformanceWarning
