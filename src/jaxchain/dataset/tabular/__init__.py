"""Datasets as tables, with named columns: made of lists, arrays and functions, sliced, joined and transformed."""

from jaxchain.dataset.tabular.from_data import DelegateDataset as DelegateDataset
from jaxchain.dataset.tabular.from_data import from_data as from_data
