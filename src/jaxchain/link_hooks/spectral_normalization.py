"""Spectral normalisation."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxchain.core.config import config
from jaxchain.core.parameter import Parameter
from jaxchain.core.random import next_init_rng
from jaxchain.functions.arithmetic import matmul
from jaxchain.link_hooks.weight import WeightHook


@functools.partial(jax.jit, static_argnames=("steps",))
def power_iteration(weight: jax.Array, u: jax.Array, eps: float, steps: int) -> tuple[jax.Array, jax.Array]:
    """Return nearer approximations of the first singular vectors.

    Args:
        weight: ``(n, m)``.
        u: ``(n,)``: the left vector so far.
        eps: Added to norms.
        steps: How many iterations.

    Returns:
        Left vector ``(n,)`` and right vector ``(m,)``.
    """
    weight = jax.lax.stop_gradient(weight)
    v = jnp.zeros(weight.shape[1:], weight.dtype)
    for _ in range(steps):
        v = u @ weight
        v = v / (jnp.linalg.norm(v) + eps)
        u = weight @ v
        u = u / (jnp.linalg.norm(u) + eps)
    return u, v


class SpectralNormalization(WeightHook):
    """Divides a link's weight by its largest singular value in each call, found by power iteration.

    The left singular vector goes on from call to call in training (``config.train``). It is a persistent value of the
    link, saved and loaded with it. Add the hook before `Optimizer.setup` if ``use_gamma`` is set.

    Args:
        n_power_iteration: Iterations a call.
        eps: Added to norms.
        use_gamma: Have a learnt scale, which starts as the largest singular value of the initial weight.
        factor: What the singular value is divided by. None: 1.
        weight_name: Name of the weight.
        name: Its key among the hooks of a link.

    Attributes:
        vector_name: Name of the persistent vector on the link: the weight's name and ``_u``.
        axis: Axis of the weight that counts the outputs.
        v: The right vector of the last call, with which `F.forget` computes it again.

    Source:
        Miyato et al. 2018, arXiv:1802.05957.

    Examples:
        >>> link = L.Linear(3, 5).add_hook(jaxchain.link_hooks.SpectralNormalization(n_power_iteration=20))
        >>> link.W_u.shape
        (5,)
        >>> used = link(np.eye(3, dtype=np.float32)).array - link.b.array
        >>> round(float(jnp.linalg.norm(used, 2)), 3)
        1.0
    """

    name = "SpectralNormalization"

    def __init__(
        self,
        n_power_iteration: int = 1,
        eps: float = 1e-6,
        use_gamma: bool = False,
        factor: float | None = None,
        weight_name: str = "W",
        name: str | None = None,
    ) -> None:
        if n_power_iteration < 1:
            raise ValueError(
                f"SpectralNormalization: expected n_power_iteration of at least 1, got {n_power_iteration}"
            )
        super().__init__(weight_name, name)
        self.n_power_iteration = n_power_iteration
        self.eps = eps
        self.use_gamma = use_gamma
        self.factor = factor
        self.vector_name = weight_name + "_u"
        self.v: Any = None
        self.axis = 0
        # Drawn now, so that a link that is initialised later draws the same in a trace, which may run twice.
        self._seed = int(next_init_rng().randint(2**31))

    def added(self, link: Any) -> None:
        """Register the vector, and the scale if there is to be one.

        Args:
            link: The link.
        """
        if any(kind.__name__.startswith("Deconvolution") for kind in type(link).__mro__):  # their W: (in, out, ...)
            self.axis = 1
        if hasattr(link, self.weight_name):
            link.add_persistent(self.vector_name, None)
            if self.use_gamma:
                with link.init_scope():
                    link.gamma = Parameter()
        super().added(link)

    def deleted(self, link: Any) -> None:
        """Take vector and scale away.

        Args:
            link: The link.
        """
        delattr(link, self.vector_name)
        if self.use_gamma:
            del link.gamma

    def prepare(self, link: Any) -> None:
        """Draw the vector and set the scale, where they are not there yet.

        Args:
            link: The link.

        Raises:
            ValueError: The weight has no outputs.
        """
        weight = getattr(link, self.weight_name)
        if weight.shape[self.axis] == 0:
            raise ValueError(f"SpectralNormalization: expected {self.weight_name}.shape[{self.axis}] > 0, got 0")
        if getattr(link, self.vector_name) is None:
            u = np.random.RandomState(self._seed).normal(size=weight.shape[self.axis])
            with jax.ensure_compile_time_eval():
                setattr(link, self.vector_name, jnp.asarray(u.astype(weight.dtype)))
        if self.v is None:
            with jax.ensure_compile_time_eval():
                self.v = jnp.asarray(np.zeros(weight.size // weight.shape[self.axis], weight.dtype))
        if self.use_gamma and link.gamma.array is None:
            matrix = np.moveaxis(np.asarray(weight.array), self.axis, 0).reshape(weight.shape[self.axis], -1)
            link.gamma.initializer = float(np.linalg.svd(matrix, compute_uv=False)[0])
            link.gamma.initialize(())

    def normalize_weight(self, link: Any) -> Any:
        """Return the weight divided by its largest singular value; in training the vector goes on.

        Args:
            link: The link.
        """
        weight = getattr(link, self.weight_name)
        matrix = self.reshape_W(weight)
        u = getattr(link, self.vector_name)
        if not config.in_recomputing:
            u, self.v = power_iteration(matrix.array, u, self.eps, self.n_power_iteration)
            if config.train:
                setattr(link, self.vector_name, u)
        sigma = matmul(matmul(u, matrix), self.v)
        if self.factor is not None:
            sigma = sigma / self.factor
        return (link.gamma * weight if self.use_gamma else weight) / sigma

    def reshape_W(self, W: Any) -> Any:
        """Return a weight as a matrix with one row per output.

        Args:
            W: The weight, of any number of axes.
        """
        if self.axis:
            W = W.transpose([self.axis, *(i for i in range(W.ndim) if i != self.axis)])
        return W if W.ndim == 2 else W.reshape(W.shape[0], -1)
