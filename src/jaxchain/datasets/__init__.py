"""Datasets: ways to combine them, and real ones that need no network."""

from jaxchain.datasets.offline import get_digits as get_digits
from jaxchain.datasets.offline import get_mnist_5k as get_mnist_5k
from jaxchain.datasets.tuple_dataset import TupleDataset as TupleDataset

__all__ = ["TupleDataset", "get_digits", "get_mnist_5k"]
