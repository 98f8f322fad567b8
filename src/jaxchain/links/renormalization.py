"""Batch renormalisation, decorrelated batch normalisation and group normalisation layers."""

from __future__ import annotations

import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxchain import functions as F
from jaxchain.core.config import config, get_dtype
from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable
from jaxchain.functions.decorrelation import decorrelated_batch_normalization_with_statistics
from jaxchain.functions.renormalization import batch_renormalization_with_statistics
from jaxchain.initializers.base import Typed
from jaxchain.initializers.conversion import get_initializer
from jaxchain.link import Link
from jaxchain.links.normalization import Averaging, BatchNormalization, Guarded, GuardedNumber
from jaxchain.serializer import Deserializer, exchanged


class BatchRenormalization(BatchNormalization):
    """Batch normalisation corrected towards the moving averages, for small batches.

    Args:
        size: Shape of the statistics (int: number of channels).
        rmax: Largest correction of the deviation.
        dmax: Largest correction of the mean.
        decay: Decay of the moving averages.
        eps: Added to the variance.
        dtype: Type of the parameters. None: ``config.dtype``.
        use_gamma: Have a learnt scale.
        use_beta: Have a learnt shift.
        initial_gamma: Initializer, scalar or array. None: 1.
        initial_beta: Initializer, scalar or array. None: 0.
        initial_avg_mean: Initializer, scalar or array. None: 0. (Chainer takes it for `axis`.)
        initial_avg_var: Initializer, scalar or array. None: 1. (Chainer takes it for `initial_avg_mean`.)

    Attributes:
        gamma: Parameter `size`, or None.
        beta: Parameter `size`, or None.
        avg_mean: Persistent, `size`: moving average of the mean.
        avg_var: Persistent, `size`: moving average of the (unbiased) variance.
        N: Persistent: batches seen by fine-tuning.
        rmax: The same.
        dmax: The same.

    Source:
        Ioffe 2017, arXiv:1702.03275.

    Examples:
        >>> L.BatchRenormalization(2)(np.array([[1, 2], [3, 6]], np.float32)).shape
        (2, 2)
    """

    rmax: Any = GuardedNumber()
    dmax: Any = GuardedNumber()
    _before: tuple[Any, Any] | None = None

    def __init__(
        self,
        size: Any,
        rmax: float = 1,
        dmax: float = 0,
        decay: float = 0.9,
        eps: float = 2e-5,
        dtype: Any = None,
        use_gamma: bool = True,
        use_beta: bool = True,
        initial_gamma: Any = None,
        initial_beta: Any = None,
        initial_avg_mean: Any = None,
        initial_avg_var: Any = None,
    ) -> None:
        super().__init__(
            size,
            decay,
            eps,
            dtype,
            use_gamma,
            use_beta,
            initial_gamma,
            initial_beta,
            initial_avg_mean=initial_avg_mean,
            initial_avg_var=initial_avg_var,
        )
        self.rmax = rmax
        self.dmax = dmax

    def forward(self, x: Any, finetune: bool = False) -> Variable:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Normalise.

        Args:
            x: ``(n, channels, ...)``.
            finetune: In training mode: average the statistics of all batches since `start_finetuning` evenly.

        Returns:
            Same shape as `x`.
        """
        shape = self.avg_mean.shape
        gamma = np.ones(shape, x.dtype) if self.gamma is None else self.gamma
        beta = np.zeros(shape, x.dtype) if self.beta is None else self.beta
        if not config.train:
            return F.fixed_batch_normalization(x, gamma, beta, self.avg_mean, self.avg_var, self.eps)
        bounds = 1.0 * self.rmax, 1.0 * self.dmax
        if config.in_recomputing:  # the statistics of this batch are in already: correct towards those before it
            old = self._before or (self.avg_mean, self.avg_var)
            y, _, _ = batch_renormalization_with_statistics(x, gamma, beta, *old, *bounds, self.eps)
            return y
        decay = self._decay_of_batch(finetune)
        old = self.avg_mean, self.avg_var
        if not config.enable_backprop:  # perhaps the first run of `functions.forget`
            self._before = old
        y, self.avg_mean, self.avg_var = batch_renormalization_with_statistics(
            x, gamma, beta, *old, *bounds, self.eps, decay
        )
        return y


class _OneGroup(Deserializer):
    """A deserializer that gives every group the statistics of one, where a file has no more."""

    _fills = False

    def __init__(self, base: Any, groups: int) -> None:
        self.base, self.groups = base, groups

    def __call__(self, key: str, value: Any) -> Any:
        loaded = self.base(key, None) if key.startswith("avg_") else None
        if loaded is None or loaded.ndim != value.ndim - 1:
            return exchanged(self.base, key, value)
        if self.groups != 1:
            warnings.warn(
                "Found moving statistics of old DecorrelatedBatchNormalization, whose algorithm was different from the "
                "paper.",
                stacklevel=2,
            )
        if loaded.shape != value.shape[1:]:
            raise ValueError(f"{key}: expected shape {value.shape} or {value.shape[1:]}, got {loaded.shape}")
        return jnp.broadcast_to(jnp.asarray(loaded, value.dtype), value.shape)


class DecorrelatedBatchNormalization(Averaging):
    """Batch normalisation that also makes the channels of a group uncorrelated.

    In training mode it whitens with the statistics of the batch and keeps their moving averages; otherwise
    (``config.train`` False) it whitens with the averages.

    Args:
        size: Number of channels, a multiple of `groups`.
        groups: Number of groups; each is whitened by itself.
        decay: Decay of the moving averages.
        eps: Added to the variances.
        dtype: Type of the statistics.

    Attributes:
        avg_mean: Persistent, ``(groups, size / groups)``: moving average of the mean.
        avg_projection: Persistent, ``(groups, size / groups, size / groups)``: moving average of the whitening matrix.
        N: Persistent: batches seen by fine-tuning.
        decay: The same.
        eps: The same.

    Source:
        Huang et al. 2018, arXiv:1804.08450.

    Examples:
        >>> L.DecorrelatedBatchNormalization(4, groups=2)(np.eye(4, dtype=np.float32)).shape
        (4, 4)
    """

    avg_projection: Any = Guarded()

    def __init__(
        self, size: int, groups: int = 16, decay: float = 0.9, eps: float = 2e-5, dtype: Any = np.float32
    ) -> None:
        super().__init__()
        width = size // groups
        self.avg_mean = np.zeros((groups, width), dtype)
        self.register_persistent("avg_mean")
        self.avg_projection = np.tile(np.eye(width, dtype=dtype), (groups, 1, 1))
        self.register_persistent("avg_projection")
        self.N = 0
        self.register_persistent("N")
        self.decay = decay
        self.eps = eps
        self._groups = (groups,)  # in a tuple: unlike the numbers that are lifted, another one compiles anew

    @property
    def groups(self) -> int:
        """Number of groups."""
        return self._groups[0]

    def serialize(self, serializer: Any) -> None:
        """Save or load. Files of Chainer 4 have the statistics of one group: all groups get them."""
        loads = isinstance(serializer, Deserializer)
        super().serialize(_OneGroup(serializer, self.groups) if loads else serializer)

    def forward(self, x: Any, *, finetune: bool = False) -> Variable:
        """Normalise.

        Args:
            x: ``(n, channels, ...)``.
            finetune: In training mode: average the statistics of all batches since `start_finetuning` evenly.

        Returns:
            Same shape as `x`.
        """
        if not config.train:
            return F.fixed_decorrelated_batch_normalization(x, self.avg_mean, self.avg_projection, groups=self.groups)
        if config.in_recomputing:  # the statistics of this batch are in already
            return F.decorrelated_batch_normalization(x, groups=self.groups, eps=self.eps)
        decay = self._decay_of_batch(finetune)
        y, self.avg_mean, self.avg_projection = decorrelated_batch_normalization_with_statistics(
            x, self.avg_mean, self.avg_projection, groups=self.groups, eps=self.eps, decay=decay
        )
        return y


class GroupNormalization(Link):
    """Normalise each example over groups of channels, then scale and shift each channel.

    Args:
        groups: Number of groups; it divides the number of channels.
        size: Number of channels, or None: taken from the first input.
        eps: Added to the variance.
        initial_gamma: Initializer, scalar or array. None: 1.
        initial_beta: Initializer, scalar or array. None: 0.

    Attributes:
        gamma: Parameter ``(channels,)``: scale.
        beta: Parameter ``(channels,)``: shift.
        groups: The same.
        eps: The same.

    Source:
        Wu & He 2018, arXiv:1803.08494.

    Examples:
        >>> L.GroupNormalization(2)(np.ones((3, 4, 5), np.float32)).shape
        (3, 4, 5)
    """

    def __init__(
        self,
        groups: int,
        size: int | None = None,
        eps: float = 1e-5,
        initial_gamma: Any = None,
        initial_beta: Any = None,
    ) -> None:
        super().__init__()
        dtype = get_dtype(None, map_mixed16=np.float32)
        with self.init_scope():
            self.groups = groups
            self.gamma = Parameter(Typed(get_initializer(initial_gamma, 1), dtype))
            self.beta = Parameter(Typed(get_initializer(initial_beta, 0), dtype))
            self.eps = eps
        if size is not None:
            self._initialize_params(size)

    def _initialize_params(self, size: int) -> None:
        self.gamma.initialize((size,))
        self.beta.initialize((size,))

    def forward(self, x: Any) -> Variable:
        """Normalise.

        Args:
            x: ``(n, channels, ...)``.

        Returns:
            Same shape as `x`.

        Raises:
            ValueError: `x` has no channels.
        """
        if self.gamma.array is None:
            if x.ndim < 2:
                raise ValueError(
                    "Input dimension must be at least 2, including batch size dimension (first dimension)."
                )
            self._initialize_params(x.shape[1])
        return F.group_normalization(x, self.groups, self.gamma, self.beta, self.eps)
