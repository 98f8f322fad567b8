"""Normalisation layers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxchain import functions as F
from jaxchain.core.arrays import as_shape, plain_number
from jaxchain.core.config import config, get_dtype, lock
from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable
from jaxchain.functions.normalization import batch_normalization_with_statistics
from jaxchain.initializers import generate_array
from jaxchain.initializers.base import Typed
from jaxchain.initializers.conversion import get_initializer
from jaxchain.link import Link


class Guarded:
    """An attribute that static steps read and write.

    Nobody reads it while another thread has a tracer there, or takes the buffer over: nobody takes what is held.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, link: Any, owner: type | None = None) -> Any:
        if link is None:
            return self
        with lock:
            try:
                return link.__dict__[self.name]
            except KeyError:
                raise AttributeError(f"{type(link).__name__!r} object has no attribute {self.name!r}") from None

    def __set__(self, link: Any, value: Any) -> None:
        link.__dict__[self.name] = value

    def __delete__(self, link: Any) -> None:
        del link.__dict__[self.name]


class GuardedNumber(Guarded):
    """The same of a number, which a static step leaves as an array."""

    def __get__(self, link: Any, owner: type | None = None) -> Any:
        return plain_number(super().__get__(link, owner))


class Averaging(Link):
    """What layers share that keep running averages of the statistics of batches.

    Attributes:
        avg_mean: Running average of the mean.
        eps: Added to the variance.
        decay: What is left of an average at each batch.
        N: Number of batches since fine-tuning began.
    """

    avg_mean: Any = Guarded()
    eps: Any = GuardedNumber()
    decay: Any = GuardedNumber()
    N: Any = GuardedNumber()
    _lifted_scalars = True  # N counts in fine-tuning, eps and decay may be changed: none of them compiles anew

    def _decay_of_batch(self, finetune: bool) -> float:
        """Return what is left of the averages at this batch; in fine-tuning all batches count alike."""
        if not finetune:
            return self.decay
        self.N += 1
        return 1.0 - 1.0 / self.N

    def start_finetuning(self) -> None:
        """Start to count batches from 0 for fine-tuning. Not needed the first time."""
        self.N = 0


class BatchNormalization(Averaging):
    """Batch normalisation layer.

    In training mode it normalises with the statistics of the batch and keeps their moving averages; otherwise
    (``config.train`` False) it normalises with the averages.

    Args:
        size: Shape of the statistics (int: number of channels). None: taken from the first input; then give `axis`.
        decay: Decay of the moving averages.
        eps: Added to the variance.
        dtype: Type of the parameters. None: ``config.dtype``.
        use_gamma: Have a learnt scale.
        use_beta: Have a learnt shift.
        initial_gamma: Initializer, scalar or array. None: 1.
        initial_beta: Initializer, scalar or array. None: 0.
        axis: Axes to average over, e.g. ``(0, 2, 3)`` for images. None: all but the channels (axis 1).
        initial_avg_mean: Initializer, scalar or array. None: 0.
        initial_avg_var: Initializer, scalar or array. None: 1.

    Raises:
        RuntimeError: Neither `size` nor `axis` is given.

    Attributes:
        gamma: Parameter `size`, or None.
        beta: Parameter `size`, or None.
        avg_mean: Persistent, `size`: moving average of the mean.
        avg_var: Persistent, `size`: moving average of the (unbiased) variance.
        N: Persistent: batches seen by fine-tuning.

    Source:
        Ioffe & Szegedy 2015, arXiv:1502.03167.

    Examples:
        >>> bn = L.BatchNormalization(2)
        >>> bn(np.array([[1, 2], [3, 6]], np.float32)).array.round(2)
        Array([[-1., -1.],
               [ 1.,  1.]], dtype=float32)
        >>> [round(float(mean), 4) for mean in bn.avg_mean]
        [0.2, 0.4]
    """

    gamma: Any = None
    beta: Any = None
    avg_var: Any = Guarded()

    def __init__(
        self,
        size: Any = None,
        decay: float = 0.9,
        eps: float = 2e-5,
        dtype: Any = None,
        use_gamma: bool = True,
        use_beta: bool = True,
        initial_gamma: Any = None,
        initial_beta: Any = None,
        axis: Any = None,
        initial_avg_mean: Any = None,
        initial_avg_var: Any = None,
    ) -> None:
        super().__init__()
        if size is None and axis is None:
            raise RuntimeError("size or axis is required")
        self._initial_avg_mean = initial_avg_mean
        self._initial_avg_var = initial_avg_var
        self.N = 0
        self.register_persistent("N")
        self.decay = decay
        self.eps = eps
        self.axis = (int(axis),) if isinstance(axis, int | np.integer) else axis if axis is None else tuple(axis)
        self._highprec_dtype = get_dtype(dtype, map_mixed16=np.float32)
        with self.init_scope():
            if use_gamma:
                initializer = get_initializer(initial_gamma, 1)
                self.gamma = Parameter(Typed(initializer, self._highprec_dtype))
            if use_beta:
                initializer = get_initializer(initial_beta, 0)
                self.beta = Parameter(Typed(initializer, self._highprec_dtype))
        self.avg_mean = self.avg_var = None
        if size is not None:
            self._initialize_params(size)
        self.register_persistent("avg_mean")
        self.register_persistent("avg_var")

    def _initialize_params(self, shape: Any) -> None:
        shape = as_shape(shape)
        self.avg_mean = self._statistic(self._initial_avg_mean, 0, shape)
        self.avg_var = self._statistic(self._initial_avg_var, 1, shape)
        self._initial_avg_mean = self._initial_avg_var = None
        for parameter in (self.gamma, self.beta):
            if parameter is not None and parameter.array is None:  # a static trace starts over with them made
                parameter.initialize(shape)

    def _statistic(self, initializer: Any, default: float, shape: tuple[int, ...]) -> Any:
        initializer = get_initializer(initializer, default)
        return generate_array(initializer, shape, dtype=self._highprec_dtype)

    @property
    def printable_specs(self) -> Iterator[tuple[str, Any]]:
        """Name and value of each argument, for `str(link)`."""
        yield "size", None if self.avg_mean is None else self.avg_mean.shape[0]
        yield "decay", self.decay
        yield "eps", self.eps
        yield "dtype", self._highprec_dtype
        yield "use_gamma", self.gamma is not None
        yield "use_beta", self.beta is not None

    def forward(self, x: Any, *, finetune: bool = False) -> Variable:
        """Normalise.

        Args:
            x: ``(n, channels, ...)``, or with `axis` any shape.
            finetune: In training mode: average the statistics of all batches since `start_finetuning` evenly.

        Returns:
            Same shape as `x`.
        """
        if self.avg_mean is None:
            axis = self.axis or ()
            self._initialize_params(tuple(n for i, n in enumerate(x.shape) if i not in axis))
        statistics: Any = self.avg_mean
        shape = statistics.shape
        gamma = np.ones(shape, self._highprec_dtype) if self.gamma is None else self.gamma
        beta = np.zeros(shape, self._highprec_dtype) if self.beta is None else self.beta
        if not config.train:
            return F.fixed_batch_normalization(
                x, gamma, beta, self.avg_mean, self.avg_var, eps=self.eps, axis=self.axis
            )
        return self._of_batch(x, gamma, beta, finetune)

    def _of_batch(self, x: Any, gamma: Any, beta: Any, finetune: bool) -> Variable:
        """Normalise with the statistics of the batch, and average them."""
        if config.in_recomputing:  # the statistics of this batch are in already
            return F.batch_normalization(x, gamma, beta, eps=self.eps, axis=self.axis)
        decay = self._decay_of_batch(finetune)
        y, self.avg_mean, self.avg_var = batch_normalization_with_statistics(
            x, gamma, beta, self.avg_mean, self.avg_var, eps=self.eps, decay=decay, axis=self.axis
        )
        return y


class LayerNormalization(Link):
    """Layer normalisation layer: each example by its own mean and variance.

    Args:
        size: Size of the input vectors, or None: taken from the first input.
        eps: Added to the variance.
        initial_gamma: Initializer, scalar or array. None: 1.
        initial_beta: Initializer, scalar or array. None: 0.

    Attributes:
        gamma: Parameter ``(size,)``: scale.
        beta: Parameter ``(size,)``: shift.
        eps: The same.

    Source:
        Ba et al. 2016, arXiv:1607.06450.
    """

    def __init__(
        self, size: int | None = None, eps: float = 1e-6, initial_gamma: Any = None, initial_beta: Any = None
    ) -> None:
        super().__init__()
        self.eps = eps
        with self.init_scope():
            self.gamma = Parameter(get_initializer(initial_gamma, 1))
            self.beta = Parameter(get_initializer(initial_beta, 0))
        if size is not None:
            self._initialize_params(size)

    def _initialize_params(self, size: int) -> None:
        self.gamma.initialize((size,))
        self.beta.initialize((size,))

    def forward(self, x: Any) -> Variable:
        """Normalise `x`, ``(n, size)``; the result has the same shape."""
        if self.gamma.array is None:
            self._initialize_params(math.prod(x.shape[1:]))
        return F.layer_normalization(x, self.gamma, self.beta, self.eps)
