"""What `import chainermn` gives under `jaxchain run`: a communicator with one process.

One process drives all local devices here (`jaxchain.training.updaters.ParallelUpdater`). So programs of ChainerMN run
as they do with ChainerMN without ``mpiexec``: rank 0 of 1. What needs a second process is not here, and says so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxchain.datasets import SubDataset
from jaxchain.interop.checkpointer import create_multi_node_checkpointer as create_multi_node_checkpointer
from jaxchain.links import BatchNormalization as _BatchNormalization

NAMES = ("naive", "flat", "hierarchical", "two_dimensional", "single_node", "non_cuda_aware", "pure_nccl", "dummy")


class DataSizeError(RuntimeError):
    """Data are too large for one message. Never raised: nothing is sent."""


class CommunicatorBase:
    """A communicator whose only process is this one: what is sent to all comes back as it is."""

    rank = intra_rank = inter_rank = 0
    size = intra_size = inter_size = 1

    def __init__(self) -> None:
        self._configs: dict[str, Any] = {}

    def set_config(self, name: str, value: Any = True, **kwargs: Any) -> None:
        """Remember a setting; nothing reads it."""
        self._configs[name] = kwargs or value

    def get_config(self, name: str | None = None) -> Any:
        """Return a setting, or all of them."""
        return self._configs if name is None else self._configs[name]

    @contextlib.contextmanager
    def config_scope(self) -> Iterator[CommunicatorBase]:
        """Give the communicator itself."""
        yield self

    def split(self, color: int, key: int) -> CommunicatorBase:
        """Return the communicator: one process cannot be split."""
        return self

    def finalize(self) -> None:
        """Do nothing."""

    def bcast(self, data: Any, max_buf_len: int | None = None, root: int = 0) -> Any:
        """Return `data`."""
        return self._from(root, data)

    def gather(self, data: Any, root: int = 0) -> tuple[Any, ...]:
        """Return ``(data,)``."""
        return (self._from(root, data),)

    def allgather(self, x: Any) -> tuple[Any, ...]:
        """Return ``(x,)``."""
        return (x,)

    def alltoall(self, xs: Sequence[Any]) -> tuple[Any, ...]:
        """Return `xs`, which has one element."""
        return tuple(self._one(xs))

    def scatter(self, xs: Sequence[Any], root: int = 0) -> Any:
        """Return the only element of `xs`."""
        return self._from(root, self._one(xs)[0])

    def allreduce(self, data: Any) -> Any:
        """Return `data`, the sum over one process."""
        return data

    bcast_obj, gather_obj, allreduce_obj, scatter_obj = bcast, gather, allreduce, scatter

    def allgather_obj(self, obj: Any) -> list[Any]:
        """Return ``[obj]``."""
        return [obj]

    def bcast_data(self, model: Any) -> None:
        """Do nothing: the model is where it is needed."""

    broadcast_data = bcast_data

    def multi_node_mean_grad(self, model: Any, zero_fill: bool = False) -> None:
        """Do nothing but fill: the mean over one process is there.

        Args:
            model: The link.
            zero_fill: Whether gradients that are None become zeros.
        """
        if zero_fill:
            for parameter in model.params():
                if parameter.array is not None and parameter.grad is None:
                    parameter.grad = np.zeros(parameter.shape, parameter.dtype)

    allreduce_grad = multi_node_mean_grad

    def send(self, data: Any, dest: int, tag: int) -> None:
        """Raise RuntimeError: there is nobody to send to."""
        raise RuntimeError(f"there is one process, rank 0: nothing can be sent to rank {dest}")

    def recv(self, source: int, tag: int) -> Any:
        """Raise RuntimeError: there is nobody to receive from."""
        raise RuntimeError(f"there is one process, rank 0: nothing can be received from rank {source}")

    send_obj, recv_obj = send, recv

    def _from(self, root: int, data: Any) -> Any:
        if root != 0:
            raise ValueError(f"root must be the rank of a process, 0, got {root}")
        return data

    def _one(self, xs: Sequence[Any]) -> Sequence[Any]:
        if len(xs) != 1:
            raise ValueError(f"expected one element for the one process, got {len(xs)}")
        return xs


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
    """Return this process's part of a dataset: all of it, shuffled if asked for.

    Args:
        dataset: The dataset.
        comm: The communicator.
        root: Rank of the process that has it, 0.
        shuffle: Whether to shuffle it once.
        seed: Seed of the shuffle.
        max_buf_len: Not used.
        force_equal_length: Not used: all parts are equally long.
    """
    comm.bcast(None, root=root)
    order = np.random.RandomState(seed).permutation(len(dataset)).tolist() if shuffle else None
    return SubDataset(dataset, 0, len(dataset), order)


def scatter_index(
    n_total_samples: int, comm: CommunicatorBase, root: int = 0, *, force_equal_length: bool = True
) -> tuple[int, int]:
    """Return (begin, end) of this process's part of so many examples."""
    comm.bcast(None, root=root)
    return 0, n_total_samples


def create_empty_dataset(dataset: Any) -> list[tuple[()]]:
    """Return a dataset of empty tuples, as long as `dataset`."""
    return [()] * len(dataset)


def create_multi_node_optimizer(
    actual_optimizer: Any, communicator: CommunicatorBase, double_buffering: bool = False, zero_fill: bool = True
) -> Any:
    """Return the optimizer: the mean of the gradients over one process is the gradient."""
    return actual_optimizer


def create_multi_node_evaluator(actual_evaluator: Any, communicator: CommunicatorBase) -> Any:
    """Return the evaluator: the mean of the results over one process is the result."""
    return actual_evaluator


def create_multi_node_iterator(actual_iterator: Any, communicator: CommunicatorBase, rank_master: int = 0) -> Any:
    """Return the iterator, whose batches all processes get."""
    communicator.bcast(None, root=rank_master)
    return actual_iterator


def create_synchronized_iterator(actual_iterator: Any, communicator: CommunicatorBase) -> Any:
    """Return the iterator, whose order all processes share."""
    return actual_iterator


class MultiNodeBatchNormalization(_BatchNormalization):
    """Batch normalisation over the batches of all processes, which are one.

    Args:
        size: As for `jaxchain.links.BatchNormalization`, like all further ones.
        comm: The communicator.
    """

    def __init__(
        self,
        size: Any,
        comm: CommunicatorBase,
        decay: float = 0.9,
        eps: float = 2e-5,
        dtype: Any = None,
        use_gamma: bool = True,
        use_beta: bool = True,
        initial_gamma: Any = None,
        initial_beta: Any = None,
        communication_backend: str = "auto",
    ) -> None:
        super().__init__(size, decay, eps, dtype, use_gamma, use_beta, initial_gamma, initial_beta)


def create_mnbn_model(link: Any, comm: CommunicatorBase, communication_backend: str = "auto") -> Any:
    """Return a copy of a link: its batch normalisations see all processes' batches already.

    Args:
        link: The link.
        comm: The communicator.
        communication_backend: Not used.
    """
    return link.copy(mode="copy")


def multi_node_snapshot(comm: CommunicatorBase, snapshot: Any, replica_sets: Sequence[Any]) -> Any:
    """Return the snapshot extension: the one process takes it."""
    return snapshot


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
        f"chainermn.{name}: jaxchain has ChainerMN for one process only, which drives "
        f"{jax.local_device_count()} device(s); see jaxchain.training.updaters.ParallelUpdater"
    )
