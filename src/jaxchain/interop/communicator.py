"""ChainerMN's communicator, on the collectives of JAX (`jax.distributed`): ``mpiexec -n 4 jaxchain run train.py``.

As in ChainerMN each process has a model of its own, on a device of its own. All that processes say to one another goes
through two doors: `gathered`, for objects, and `over_processes`, for arrays that stay on devices. Both are collective:
every process calls them, in the same order. Messages from one process to another are not there.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental.multihost_utils import process_allgather
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxchain.core import random
from jaxchain.core.arrays import placed, zeros
from jaxchain.core.compat import in_trace
from jaxchain.core.config import is_debug
from jaxchain.core.guard import refuse

LAUNCHERS = ("OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
"""Where Open MPI and Slurm say how many processes they have started."""


def start() -> None:
    """Join the other processes, if a launcher has started several: before JAX computes anything."""
    if not jax.distributed.is_initialized() and any(os.environ.get(name, "1") != "1" for name in LAUNCHERS):
        jax.distributed.initialize()
    if jax.distributed.is_initialized():
        random.differ()


def gathered(data: Any) -> list[Any]:
    """Return what each process gives, by rank: it is pickled."""
    rank, size = jax.process_index(), jax.process_count()
    if size == 1:
        return [data]
    message = np.frombuffer(pickle.dumps(data), np.uint8)
    lengths = process_allgather(np.int32(message.size)).tolist()
    padded = np.zeros(1 << max(max(lengths) - 1, 0).bit_length(), np.uint8)  # few sizes: each is compiled for
    padded[: message.size] = message
    rows = process_allgather(padded)
    return [
        data if r == rank else pickle.loads(row[:length].tobytes())
        for r, (row, length) in enumerate(zip(rows, lengths, strict=True))
    ]


@functools.cache
def _mesh() -> Mesh:
    first: dict[int, Any] = {}
    for device in jax.devices():
        first.setdefault(device.process_index, device)
    return Mesh(np.array([first[rank] for rank in sorted(first)]), ("process",))


def _mean(a: jax.Array) -> jax.Array:
    return a.mean(0)


def _first(a: jax.Array) -> jax.Array:
    return a[0]


@functools.cache
def _program(function: Callable[[Any], Any]) -> Any:
    everywhere = NamedSharding(_mesh(), PartitionSpec())
    return jax.jit(lambda arrays: list(map(function, arrays)), out_shardings=everywhere)


def over_processes(arrays: Sequence[Any], function: Callable[[jax.Array], jax.Array] = _mean) -> list[jax.Array]:
    """Return `function` of what the processes have of each array, stacked: their mean.

    Args:
        arrays: Arrays of the same shapes and dtypes in all processes.
        function: A function of the stack.
    """
    if jax.process_count() == 1:
        return list(arrays)
    if in_trace():
        refuse("it averages over processes (ChainerMN)")
    mesh = _mesh()
    own, split = mesh.devices[jax.process_index()], NamedSharding(mesh, PartitionSpec("process"))
    stacks = [
        jax.make_array_from_single_device_arrays((mesh.size, *a.shape), split, [jax.device_put(a[None], own)])
        for a in arrays
    ]
    results = _program(function)(stacks)
    if own.platform == "cpu":
        jax.block_until_ready(results)  # messages of two programs at once get mixed up
    return [placed(y.addressable_data(0), next(iter(a.devices()))) for y, a in zip(results, arrays, strict=True)]


class CommunicatorBase:
    """What the processes of a program have to say to one another.

    Attributes:
        rank: Number of this process, from 0.
        size: Number of processes.
        intra_rank: 0: a process sees its own devices only, of which it uses the first.
        intra_size: 1.
        inter_rank: As `rank`.
        inter_size: As `size`.
    """

    intra_rank, intra_size = 0, 1

    def __init__(self) -> None:
        start()
        self.rank = self.inter_rank = jax.process_index()
        self.size = self.inter_size = jax.process_count()
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
        """Return the communicator, if all processes are of one colour.

        Raises:
            RuntimeError: They are not: there are no communicators of some processes.
        """
        if len(set(gathered(color))) > 1:
            raise RuntimeError("split: a communicator has all processes; give all the same color")
        return self

    def finalize(self) -> None:
        """Do nothing."""

    def bcast(self, data: Any, max_buf_len: int | None = None, root: int = 0) -> Any:
        """Return what `root` gives."""
        self._check(root)
        return gathered(data if self.rank == root else None)[root]

    def gather(self, data: Any, root: int = 0) -> tuple[Any, ...] | None:
        """Return, in `root`, what each process gives; None elsewhere."""
        self._check(root)
        found = gathered(data)
        return tuple(found) if self.rank == root else None

    def allgather(self, x: Any) -> tuple[Any, ...]:
        """Return what each process gives."""
        return tuple(gathered(x))

    def alltoall(self, xs: Sequence[Any]) -> tuple[Any, ...]:
        """Return what each process has for this one: `xs` has an element for each."""
        return tuple(row[self.rank] for row in gathered(self._one_each(xs)))

    def scatter(self, xs: Sequence[Any] | None, root: int = 0) -> Any:
        """Return this process's element of what `root` gives."""
        self._check(root)
        return gathered(self._one_each(xs) if self.rank == root else None)[root][self.rank]

    def allreduce(self, data: Any) -> Any:
        """Return the sum over processes."""
        return functools.reduce(operator.add, gathered(data))

    bcast_obj, gather_obj, allreduce_obj, scatter_obj = bcast, gather, allreduce, scatter

    def allgather_obj(self, obj: Any) -> list[Any]:
        """Return what each process gives."""
        return gathered(obj)

    def bcast_data(self, model: Any) -> None:
        """Give all processes the parameters of rank 0.

        Args:
            model: The link. Parameters whose shapes are not known yet are left out.
        """
        params = [p for _, p in sorted(model.namedparams()) if p.array is not None]
        if self.size > 1:
            for p, array in zip(params, over_processes([p.array for p in params], _first), strict=True):
                p.array = array

    broadcast_data = bcast_data

    def multi_node_mean_grad(self, model: Any, zero_fill: bool = False) -> None:
        """Put the mean over processes in the place of gradients.

        Args:
            model: The link.
            zero_fill: Whether gradients that are None become zeros. Else they are None in all processes.

        Raises:
            ValueError: In debug mode, the processes have other gradients.
        """
        params = [p for _, p in sorted(model.namedparams()) if p.array is not None]
        if zero_fill:
            for p in params:
                if p.grad is None:
                    p.grad = zeros(p.shape, p.dtype)
        params = [p for p in params if p.grad is not None]
        if self.size == 1:
            return
        if is_debug():
            kinds = gathered([(p.name, p.shape, str(p.dtype)) for p in params])
            if any(kind != kinds[0] for kind in kinds):
                raise ValueError(f"multi_node_mean_grad: expected the same gradients in all processes, got {kinds}")
        for p, grad in zip(params, over_processes([p.grad for p in params]), strict=True):
            p.grad = grad

    allreduce_grad = multi_node_mean_grad

    def send(self, data: Any, dest: int, tag: int) -> None:
        """Raise RuntimeError: there are no messages from one process to another."""
        raise RuntimeError(f"rank {self.rank} of {self.size}: nothing can be sent to rank {dest} alone; see allgather")

    def recv(self, source: int, tag: int) -> Any:
        """Raise RuntimeError: there are no messages from one process to another."""
        raise RuntimeError(f"rank {self.rank} of {self.size}: nothing can be received from rank {source} alone")

    send_obj, recv_obj = send, recv

    def _check(self, root: int) -> None:
        if not 0 <= root < self.size:
            raise ValueError(f"root must be the rank of a process, 0 to {self.size - 1}, got {root}")

    def _one_each(self, xs: Sequence[Any] | None) -> Sequence[Any]:
        if xs is None or len(xs) != self.size:
            got = xs if xs is None else len(xs)
            raise ValueError(f"expected an element for each of {self.size} process(es), got {got}")
        return xs
