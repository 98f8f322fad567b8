"""Chainer's path of `Sequential`."""

from jaxchain.link import Sequential as Sequential
