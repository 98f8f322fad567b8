"""Chainer's public path of the eager graph's drawing; it lives in `views`."""

from jaxchain.views.computational_graph import ComputationalGraph as ComputationalGraph
from jaxchain.views.computational_graph import DotNode as DotNode
from jaxchain.views.computational_graph import build_computational_graph as build_computational_graph
