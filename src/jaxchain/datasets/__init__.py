"""Datasets: ways to combine them, files, and real ones."""

from jaxchain.datasets.cifar import get_cifar10 as get_cifar10
from jaxchain.datasets.cifar import get_cifar100 as get_cifar100
from jaxchain.datasets.image import ImageDataset as ImageDataset
from jaxchain.datasets.image import LabeledImageDataset as LabeledImageDataset
from jaxchain.datasets.image import LabeledZippedImageDataset as LabeledZippedImageDataset
from jaxchain.datasets.image import MultiZippedImageDataset as MultiZippedImageDataset
from jaxchain.datasets.image import ZippedImageDataset as ZippedImageDataset
from jaxchain.datasets.mnist import get_fashion_mnist as get_fashion_mnist
from jaxchain.datasets.mnist import get_fashion_mnist_labels as get_fashion_mnist_labels
from jaxchain.datasets.mnist import get_kuzushiji_mnist as get_kuzushiji_mnist
from jaxchain.datasets.mnist import get_kuzushiji_mnist_labels as get_kuzushiji_mnist_labels
from jaxchain.datasets.mnist import get_mnist as get_mnist
from jaxchain.datasets.offline import get_digits as get_digits
from jaxchain.datasets.offline import get_mnist_5k as get_mnist_5k
from jaxchain.datasets.pickle import PickleDataset as PickleDataset
from jaxchain.datasets.pickle import PickleDatasetWriter as PickleDatasetWriter
from jaxchain.datasets.pickle import open_pickle_dataset as open_pickle_dataset
from jaxchain.datasets.pickle import open_pickle_dataset_writer as open_pickle_dataset_writer
from jaxchain.datasets.ptb import get_ptb_words as get_ptb_words
from jaxchain.datasets.ptb import get_ptb_words_vocabulary as get_ptb_words_vocabulary
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
from jaxchain.datasets.svhn import get_svhn as get_svhn
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
    "get_cifar10",
    "get_cifar100",
    "get_cross_validation_datasets",
    "get_cross_validation_datasets_random",
    "get_digits",
    "get_fashion_mnist",
    "get_fashion_mnist_labels",
    "get_kuzushiji_mnist",
    "get_kuzushiji_mnist_labels",
    "get_mnist",
    "get_mnist_5k",
    "get_ptb_words",
    "get_ptb_words_vocabulary",
    "get_svhn",
    "open_pickle_dataset",
    "open_pickle_dataset_writer",
    "split_dataset",
    "split_dataset_n",
    "split_dataset_n_random",
    "split_dataset_random",
]
