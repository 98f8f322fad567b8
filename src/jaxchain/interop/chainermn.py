"""What `import chainermn` gives under `jaxchain run`: one process, or as many as ``mpiexec`` or ``srun`` have started.

Processes talk to each other through JAX (`jaxchain.interop.communicator`), which has to hear of them before it computes
anything: when this is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxchain.core.errors import warn
from jaxchain.datasets import SubDataset
from jaxchain.interop import multi_node
from jaxchain.interop.checkpointer import create_multi_node_checkpointer as create_multi_node_checkpointer
from jaxchain.interop.communicator import CommunicatorBase as CommunicatorBase
from jaxchain.interop.communicator import start
from jaxchain.interop.multi_node import AllreducePersistent as AllreducePersistent
from jaxchain.interop.multi_node import MultiNodeBatchNormalization as MultiNodeBatchNormalization
from jaxchain.interop.multi_node import MultiNodeEarlyStoppingTrigger as MultiNodeEarlyStoppingTrigger
from jaxchain.interop.multi_node import ObservationAggregator as ObservationAggregator
from jaxchain.interop.multi_node import with_multi_node_normalization as create_mnbn_model  # noqa: F401

start()

NAMES = ("naive", "flat", "hierarchical", "two_dimensional", "single_node", "non_cuda_aware", "pure_nccl", "dummy")


class DataSizeError(RuntimeError):
    """Data are too large for one message. Never raised: messages may be of any size."""


def create_communicator(communicator_name: str = "pure_nccl", mpi_comm: Any = None, **kwargs: Any) -> CommunicatorBase:
    """Return the communicator.

    Args:
        communicator_name: One of ChainerMN's names.
        mpi_comm: Not used.
        **kwargs: Not used.

    Raises:
        ValueError: There is no such name.
    """
    if communicator_name not in NAMES:
        raise ValueError(f"Unrecognized communicator: {communicator_name!r}; there are {', '.join(NAMES)}")
    return CommunicatorBase()


def scatter_dataset(
    dataset: Any,
    comm: CommunicatorBase,
    root: int = 0,
    shuffle: bool = False,
    seed: int | None = None,
    max_buf_len: int = 256 * 1024 * 1024,
    *,
    force_equal_length: bool = True,
) -> SubDataset:
    """Return this process's part of a dataset.

    Args:
        dataset: The dataset; it counts in the process `root` only.
        comm: The communicator.
        root: Rank of the process that has it.
        shuffle: Whether to shuffle it once, before it is cut.
        seed: Seed of the shuffle.
        max_buf_len: Not used.
        force_equal_length: Whether all parts are equally long: then an example may be in two.
    """
    order = np.random.RandomState(seed).permutation(len(dataset)).tolist() if shuffle and dataset is not None else None
    dataset, order = comm.bcast_obj((dataset, order), root=root)
    return SubDataset(dataset, *scatter_index(len(dataset), comm, root, force_equal_length=force_equal_length), order)


def scatter_index(
    n_total_samples: int, comm: CommunicatorBase, root: int = 0, *, force_equal_length: bool = True
) -> tuple[int, int]:
    """Return (begin, end) of this process's part of so many examples.

    Args:
        n_total_samples: How many there are.
        comm: The communicator.
        root: Not used.
        force_equal_length: Whether all parts are equally long: then some overlap.
    """
    begin, end = (n_total_samples * rank // comm.size for rank in (comm.rank, comm.rank + 1))
    return (begin, begin - -n_total_samples // comm.size) if force_equal_length else (begin, end)


def create_empty_dataset(dataset: Any) -> list[tuple[()]]:
    """Return a dataset of empty tuples, as long as `dataset`."""
    return [()] * len(dataset)


def create_multi_node_optimizer(
    actual_optimizer: Any, communicator: CommunicatorBase, double_buffering: bool = False, zero_fill: bool = True
) -> Any:
    """Return an optimizer that updates by the mean of the processes' gradients: the optimizer itself for one process.

    Args:
        actual_optimizer: The optimizer.
        communicator: The communicator.
        double_buffering: There is none: a warning says that the gradients are those of this update.
        zero_fill: Whether gradients that are None become zeros.
    """
    if double_buffering:
        warn("create_multi_node_optimizer: no double buffering here: updates take this step's gradients", UserWarning)
    one = communicator.size == 1
    return actual_optimizer if one else multi_node.MultiNodeOptimizer(actual_optimizer, communicator, zero_fill)


def create_multi_node_evaluator(actual_evaluator: Any, communicator: CommunicatorBase) -> Any:
    """Return the evaluator, whose results are from now on the means over processes."""
    return multi_node.with_mean_results(actual_evaluator, communicator) if communicator.size > 1 else actual_evaluator


def create_multi_node_iterator(actual_iterator: Any, communicator: CommunicatorBase, rank_master: int = 0) -> Any:
    """Return an iterator that gives all processes the batches of one: the iterator itself for one process."""
    communicator.bcast(None, root=rank_master)
    if communicator.size == 1:
        return actual_iterator
    return multi_node.MultiNodeIterator(actual_iterator, communicator, rank_master)


def create_synchronized_iterator(actual_iterator: Any, communicator: CommunicatorBase) -> Any:
    """Return the iterator, whose order is from now on the same in all processes."""
    return multi_node.synchronized(actual_iterator, communicator) if communicator.size > 1 else actual_iterator


def multi_node_snapshot(comm: CommunicatorBase, snapshot: Any, replica_sets: Sequence[Sequence[int]]) -> Any:
    """Return a snapshot extension that one process of each set takes: the snapshot itself for one process."""
    return multi_node.MultiNodeSnapshot(comm, snapshot, replica_sets) if comm.size > 1 else snapshot


def __getattr__(name: str) -> Any:
    if name in ("communicators", "datasets", "extensions", "iterators", "links", "optimizers"):
        import importlib

        return importlib.import_module(f"chainermn.{name}")
    if name == "__version__":
        from jaxchain.interop.chainer_modules import CHAINER_VERSION

        return CHAINER_VERSION
    if name.startswith("_"):
        raise AttributeError(name)
    raise AttributeError(
        f"chainermn.{name}: jaxchain lacks that part of ChainerMN; see jaxchain.training.updaters.ParallelUpdater"
    )
