"""What ChainerMN puts around optimizers, iterators, extensions and links, so that processes train one model."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain import functions as F
from jaxchain.core.config import config
from jaxchain.core.function_node import FunctionNode
from jaxchain.core.variable import Variable, as_array
from jaxchain.dataset import Iterator
from jaxchain.functions.checks import unbiased
from jaxchain.interop.communicator import CommunicatorBase, over_processes
from jaxchain.iterators import ShuffleOrderSampler
from jaxchain.links import BatchNormalization as _BatchNormalization
from jaxchain.serializers import load_npz, save_npz
from jaxchain.training import Extension
from jaxchain.training import extension as extension_module
from jaxchain.training.triggers import EarlyStoppingTrigger
from jaxchain.training.util import get_trigger


class Around:
    """An object that stands for another one: attributes are the other's, to read and to set.

    Args:
        actual: The other one.
        **own: Attributes of its own.
    """

    def __init__(self, actual: Any, **own: Any) -> None:
        self.__dict__.update(actual=actual, **own)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["actual"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__:
            self.__dict__[name] = value
        else:
            setattr(self.actual, name, value)


class MultiNodeOptimizer(Around):
    """Updates by the mean of the processes' gradients.

    Where it meets new parameters, the first time say, it sends round those of rank 0 instead, as in ChainerMN.

    Args:
        actual: The optimizer.
        comm: The communicator.
        zero_fill: Whether gradients that are None become zeros.
    """

    def __init__(self, actual: Any, comm: CommunicatorBase, zero_fill: bool) -> None:
        super().__init__(actual, communicator=comm, zero_fill=zero_fill, known=[])

    @property
    def actual_optimizer(self) -> Any:
        """The optimizer."""
        return self.actual

    def setup(self, link: Any) -> MultiNodeOptimizer:
        """Set the optimizer up for a link; returns this one."""
        self.actual.setup(link)
        return self

    def update(self, lossfun: Callable[..., Any] | None = None, *args: Any, **kwargs: Any) -> None:
        """Compute gradients, if a loss function is given, and update.

        Args:
            lossfun: The loss function, or None: gradients are there.
            *args: Its arguments.
            **kwargs: The same.
        """
        target = self.actual.target
        if lossfun is not None:
            self.actual._run(lossfun, args, kwargs)
        params = [(name, p.array is not None) for name, p in sorted(target.namedparams())]
        if params != self.known:
            self.known = params
            self.communicator.bcast_data(target)
        else:
            self.communicator.multi_node_mean_grad(target, self.zero_fill)
            self.actual.update()


def with_mean_results(evaluator: Any, comm: CommunicatorBase) -> Any:
    """Return an evaluator, whose results are from now on the means over processes.

    Args:
        evaluator: The evaluator.
        comm: The communicator.
    """
    local = evaluator.evaluate

    def evaluate() -> dict[str, Any]:
        return {name: comm.allreduce_obj(value) / comm.size for name, value in sorted(local().items())}

    evaluator.evaluate = evaluate
    return evaluator


class MultiNodeIterator(Iterator):
    """Gives all processes the batches of one of them.

    Args:
        actual: The iterator of that one.
        comm: The communicator.
        root: Its rank.
    """

    _FIELDS = ("epoch", "epoch_detail", "previous_epoch_detail", "is_new_epoch", "current_position")

    def __init__(self, actual: Any, comm: CommunicatorBase, root: int) -> None:
        self._actual, self._comm, self._root = actual, comm, root
        self._share(None)

    def _share(self, batch: Any) -> Any:
        state = {name: getattr(self._actual, name, None) for name in self._FIELDS} if self._is_root else None
        batch, state = self._comm.bcast_obj((batch, state), root=self._root)
        self.__dict__.update(state)
        return batch

    @property
    def _is_root(self) -> bool:
        return self._comm.rank == self._root

    def __next__(self) -> list[Any]:
        batch = self._share(next(self._actual, None) if self._is_root else None)
        if batch is None:
            raise StopIteration
        return batch

    def reset(self) -> None:
        """Start a sweep anew."""
        if self._is_root:
            self._actual.reset()
        self._share(None)

    def finalize(self) -> None:
        """Release what the iterator holds."""
        if self._is_root:
            self._actual.finalize()

    def serialize(self, serializer: Any) -> None:
        """Save or load where it is: all processes call it, one of them reads and writes.

        Args:
            serializer: Serializer or deserializer.
        """
        if self._is_root:
            self._actual.serialize(serializer)
        self._share(None)


def synchronized(iterator: Any, comm: CommunicatorBase) -> Any:
    """Return an iterator, whose order is from now on the same in all processes.

    Args:
        iterator: The iterator.
        comm: The communicator.

    Raises:
        ValueError: It has no order that could be drawn.
    """
    if not hasattr(iterator, "order_sampler"):
        raise ValueError("actual_iterator must have order_sampler")
    seed = comm.bcast_obj(int(np.random.randint(0, 2**32 - 1)))
    iterator.order_sampler = ShuffleOrderSampler(np.random.RandomState(seed))
    iterator.reset()
    return iterator


class ObservationAggregator(Extension):
    """Puts the mean over processes in the place of an observed value.

    Args:
        comm: The communicator.
        original_key: Key of the value.
        aggregated_key: Key of the mean. None: the same.
        comm_trigger: When the processes talk to each other.
        aggregator: A function of the lists of what each process has observed since the last time. None: their mean.
    """

    trigger = 1, "iteration"
    priority = extension_module.PRIORITY_EDITOR
    name = None

    def __init__(
        self,
        comm: CommunicatorBase,
        original_key: str,
        aggregated_key: str | None = None,
        *,
        comm_trigger: Any = (1, "iteration"),
        aggregator: Callable[[Sequence[list[Any]]], Any] | None = None,
    ) -> None:
        self._comm, self._key, self._aggregated_key = comm, original_key, aggregated_key or original_key
        self._trigger, self._aggregator = get_trigger(comm_trigger), aggregator or _mean_of_all
        self._observed: list[Any] = []

    def __call__(self, trainer: Any) -> None:
        """Note the value; when it is time, put the mean there."""
        if self._key in trainer.observation:
            self._observed.append(np.asarray(as_array(trainer.observation[self._key])))
        if self._trigger(trainer):
            observed, self._observed = self._comm.allgather_obj(self._observed), []
            trainer.observation[self._aggregated_key] = self._aggregator(observed)


def _mean_of_all(observed: Sequence[list[Any]]) -> Any:
    values = [value for of_one in observed for value in of_one]
    return sum(values) / len(values)


class AllreducePersistent(Extension):
    """Puts means over processes in the place of persistent arrays: the statistics of batch normalisation.

    Args:
        model: The link.
        comm: The communicator.
    """

    trigger = 1, "epoch"
    priority = extension_module.PRIORITY_WRITER + 1

    def __init__(self, model: Any, comm: CommunicatorBase) -> None:
        self._model = model

    def __call__(self, trainer: Any = None) -> None:
        """Put the means there."""
        places = [
            (link, name)
            for _, link in sorted(self._model.namedlinks(), key=lambda named: named[0])
            for name in sorted(link._persistent)
            if jnp.issubdtype(getattr(getattr(link, name), "dtype", np.int32), jnp.floating)
        ]
        means = over_processes([jnp.asarray(getattr(link, name)) for link, name in places])
        for (link, name), mean in zip(places, means, strict=True):
            setattr(link, name, mean)


class MultiNodeEarlyStoppingTrigger:
    """`EarlyStoppingTrigger` on the mean over processes: all of them stop at the same time.

    Args:
        comm: The communicator.
        check_trigger: When to look.
        monitor: Key of the value.
        patience: How often in a row it may be no better.
        mode: ``max``, ``min`` or ``auto``.
        verbose: Whether to say so.
        max_trigger: When to stop at the latest.
        suffix: What the key of the mean ends with.
    """

    def __init__(
        self,
        comm: CommunicatorBase,
        *,
        check_trigger: tuple[int, str] = (1, "epoch"),
        monitor: str = "main/loss",
        patience: int | None = None,
        mode: str = "auto",
        verbose: bool = False,
        max_trigger: tuple[int, str] = (100, "epoch"),
        suffix: str = "_aggregated",
        **kwargs: Any,
    ) -> None:
        self._actual = EarlyStoppingTrigger(
            check_trigger=check_trigger,
            monitor=monitor + suffix,
            patience=patience,
            mode=mode,
            verbose=verbose,
            max_trigger=max_trigger,
            **kwargs,
        )
        self._aggregator = ObservationAggregator(comm, monitor, monitor + suffix, comm_trigger=check_trigger)

    def __call__(self, trainer: Any) -> bool:
        """Return whether to stop."""
        self._aggregator(trainer)
        return self._actual(trainer)

    def get_training_length(self) -> tuple[float, str]:
        """Return when it stops at the latest."""
        return self._actual.get_training_length()


class MultiNodeSnapshot(Extension):
    """A snapshot that one process of each set takes. At the start all processes of a set get what it has loaded.

    Args:
        comm: The communicator.
        snapshot: The snapshot extension.
        replica_sets: Sets of ranks, each of processes whose trainers are alike; what is in none is one more set.

    Raises:
        ValueError: A rank is in two sets.
    """

    priority = extension_module.PRIORITY_WRITER

    def __init__(self, comm: CommunicatorBase, snapshot: Any, replica_sets: Sequence[Sequence[int]]) -> None:
        sets = [sorted(s) for s in replica_sets]
        ranks = [rank for s in sets for rank in s]
        if len(set(ranks)) < len(ranks):
            raise ValueError(f"multi_node_snapshot: a rank is in two sets: {replica_sets}")
        rest = [rank for rank in range(comm.size) if rank not in ranks]
        self._master = next(s[0] for s in [*sets, rest] if comm.rank in s)
        self._comm, self._snapshot = comm, snapshot
        self.trigger = snapshot.trigger
        self.name = getattr(snapshot, "name", None) or "snapshot"

    @property
    def is_master(self) -> bool:
        """Whether this process takes the snapshot."""
        return self._comm.rank == self._master

    def initialize(self, trainer: Any) -> None:
        """Load, where the snapshot does, and give the others what came of it."""
        if self.is_master:
            self._snapshot.initialize(trainer)
        if not self._snapshot.autoload:
            return
        target = trainer if self._snapshot._target is None else self._snapshot._target
        data = None
        if self.is_master:
            buffer = io.BytesIO()
            save_npz(buffer, target)
            data = buffer.getvalue()
        found = self._comm.allgather_obj(data)[self._master]
        if not self.is_master:
            load_npz(io.BytesIO(found), target)

    def __call__(self, trainer: Any) -> None:
        """Take the snapshot, in one process."""
        if self.is_master:
            self._snapshot(trainer)

    def on_error(self, trainer: Any, exc: Exception, tb: Any) -> None:
        """Do what the snapshot does."""
        if self.is_master:
            self._snapshot.on_error(trainer, exc, tb)

    def finalize(self) -> None:
        """Wait until everything is written."""
        if self.is_master:
            self._snapshot.finalize()


class _Mean(FunctionNode):
    """The mean over processes. Its gradient is the mean of theirs."""

    def forward(self, inputs: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        return tuple(over_processes(inputs))

    def backward(self, target_input_indexes: Any, grad_outputs: Any) -> tuple[Variable, ...]:
        return _Mean().apply(grad_outputs)


class MultiNodeBatchNormalization(_BatchNormalization):
    """Batch normalisation over the batches of all processes, which are equally long.

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

    def _of_batch(self, x: Any, gamma: Any, beta: Any, finetune: bool) -> Variable:
        if jax.process_count() == 1:
            return super()._of_batch(x, gamma, beta, finetune)
        axis = self.axis or tuple(i for i in range(x.ndim) if i != 1)
        wide = F.cast(x, self._highprec_dtype)
        mean, square = _Mean().apply((F.average(wide, axis), F.average(F.square(wide), axis)))
        var = square - F.square(mean)
        if not config.in_recomputing:
            decay = self._decay_of_batch(finetune)
            adjust = unbiased(x.size // self.avg_mean.size)
            self.avg_mean = decay * self.avg_mean + (1 - decay) * mean.array
            self.avg_var = decay * self.avg_var + (1 - decay) * adjust * var.array
        return F.fixed_batch_normalization(x, gamma, beta, mean, var, eps=self.eps, axis=self.axis)


def with_multi_node_normalization(link: Any, comm: CommunicatorBase, communication_backend: str = "auto") -> Any:
    """Return a copy of a link, in which batch normalisations are over the batches of all processes.

    Args:
        link: The link.
        comm: The communicator.
        communication_backend: Not used.
    """
    copied = link.copy(mode="copy")
    for each in copied.links():
        if type(each) is _BatchNormalization:
            each.__class__ = MultiNodeBatchNormalization
    return copied
