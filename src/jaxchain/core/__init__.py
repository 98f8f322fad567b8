"""The engine: what an op, a graph, a state cell and a mode are. Imports jax and numpy, and nothing else of jaxchain."""

from jaxchain.core import cache as cache
