"""Datasets: ways to combine them, files, and real ones."""

from jaxchain.datasets.image import ImageDataset as ImageDataset
from jaxchain.datasets.image import LabeledImageDataset as LabeledImageDataset
from jaxchain.datasets.image import LabeledZippedImageDataset as LabeledZippedImageDataset
from jaxchain.datasets.image import MultiZippedImageDataset as MultiZippedImageDataset
from jaxchain.datasets.image import ZippedImageDataset as ZippedImageDataset
from jaxchain.datasets.offline import get_digits as get_digits
from jaxchain.datasets.offline import get_mnist_5k as get_mnist_5k
from jaxchain.datasets.pickle import PickleDataset as PickleDataset
from jaxchain.datasets.pickle import PickleDatasetWriter as PickleDatasetWriter
from jaxchain.datasets.pickle import open_pickle_dataset as open_pickle_dataset
from jaxchain.datasets.pickle import open_pickle_dataset_writer as open_pickle_dataset_writer
from jaxchain.datasets.subsets import ConcatenatedDataset as ConcatenatedDataset
from jaxchain.datasets.subsets import DictDataset as DictDataset
from jaxchain.datasets.subsets import SubDataset as SubDataset
from jaxchain.datasets.subsets import TransformDataset as TransformDataset
from jaxchain.datasets.subsets import get_cross_validation_datasets as get_cross_validation_datasets
from jaxchain.datasets.subsets import get_cross_validation_datasets_random as get_cross_validation_datasets_random
from jaxchain.datasets.subsets import split_dataset as split_dataset
from jaxchain.datasets.subsets import split_dataset_n as split_dataset_n
from jaxchain.datasets.subsets import split_dataset_n_random as split_dataset_n_random
from jaxchain.datasets.subsets import split_dataset_random as split_dataset_random
from jaxchain.datasets.text import TextDataset as TextDataset
from jaxchain.datasets.tuple_dataset import TupleDataset as TupleDataset

__all__ = [
    "ConcatenatedDataset",
    "DictDataset",
    "ImageDataset",
    "LabeledImageDataset",
    "LabeledZippedImageDataset",
    "MultiZippedImageDataset",
    "PickleDataset",
    "PickleDatasetWriter",
    "SubDataset",
    "TextDataset",
    "TransformDataset",
    "TupleDataset",
    "ZippedImageDataset",
    "get_cross_validation_datasets",
    "get_cross_validation_datasets_random",
    "get_digits",
    "get_mnist_5k",
    "open_pickle_dataset",
    "open_pickle_dataset_writer",
    "split_dataset",
    "split_dataset_n",
    "split_dataset_n_random",
    "split_dataset_random",
]
