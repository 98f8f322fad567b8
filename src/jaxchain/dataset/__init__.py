"""Datasets, iterators and converters as ideas: base classes, downloads, and the way from examples to batches."""

from jaxchain.dataset.convert import ConcatWithAsyncTransfer as ConcatWithAsyncTransfer
from jaxchain.dataset.convert import Converter as Converter
from jaxchain.dataset.convert import concat_examples as concat_examples
from jaxchain.dataset.convert import converter as converter
from jaxchain.dataset.convert import to_device as to_device
from jaxchain.dataset.dataset_mixin import DatasetMixin as DatasetMixin
from jaxchain.dataset.download import DownloadError as DownloadError
from jaxchain.dataset.download import cache_or_load_file as cache_or_load_file
from jaxchain.dataset.download import cached_download as cached_download
from jaxchain.dataset.download import get_dataset_directory as get_dataset_directory
from jaxchain.dataset.download import get_dataset_root as get_dataset_root
from jaxchain.dataset.download import set_dataset_root as set_dataset_root
from jaxchain.dataset.iterator import Iterator as Iterator
from jaxchain.dataset.tabular.tabular_dataset import TabularDataset as TabularDataset

__all__ = [
    "ConcatWithAsyncTransfer",
    "Converter",
    "DatasetMixin",
    "DownloadError",
    "Iterator",
    "TabularDataset",
    "cache_or_load_file",
    "cached_download",
    "concat_examples",
    "converter",
    "get_dataset_directory",
    "get_dataset_root",
    "set_dataset_root",
    "to_device",
]
