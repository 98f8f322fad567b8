"""Datasets, iterators and converters as ideas: base classes, and the way from examples to batches."""

from jaxchain.dataset.convert import Converter as Converter
from jaxchain.dataset.convert import concat_examples as concat_examples
from jaxchain.dataset.convert import converter as converter
from jaxchain.dataset.convert import to_device as to_device
from jaxchain.dataset.dataset_mixin import DatasetMixin as DatasetMixin
from jaxchain.dataset.iterator import Iterator as Iterator

__all__ = ["Converter", "DatasetMixin", "Iterator", "concat_examples", "converter", "to_device"]
