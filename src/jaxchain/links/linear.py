"""Fully connected layer, elementwise bias and scale, and a bare parameter."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from jaxchain import functions as F
from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable, as_array
from jaxchain.initializers.conversion import get_initializer
from jaxchain.link import Chain, Link


class Linear(Link):
    """Fully connected layer, ``y = x W^T + b``.

    Args:
        in_size: Size of the input vectors, or None: taken from the first input.
        out_size: Size of the output vectors. With one size only, that is the output's.
        nobias: Leave out ``b``.
        initialW: Initializer, scalar or array ``(out, in)``. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array ``(out,)``. None: 0.

    Attributes:
        W: Parameter ``(out, in)``.
        b: Parameter ``(out,)``, or None.

    Examples:
        >>> L.Linear(None, 10)(np.ones((1, 5), np.float32)).shape
        (1, 10)
    """

    def __init__(
        self,
        in_size: int | None,
        out_size: int | None = None,
        nobias: bool = False,
        initialW: Any = None,
        initial_bias: Any = None,
    ) -> None:
        super().__init__()
        if out_size is None:
            in_size, out_size = None, in_size
        self.in_size = in_size
        self.out_size = out_size
        with self.init_scope():
            self.W = Parameter(get_initializer(initialW))
            if in_size is not None:
                self._initialize_params(in_size)
            if nobias:
                self.b = None
            else:
                self.b = Parameter(get_initializer(initial_bias, 0), out_size)

    def _initialize_params(self, in_size: int) -> None:
        self.W.initialize((self.out_size, in_size))  # type: ignore[arg-type]

    @classmethod
    def from_params(cls, W: Any, b: Any = None, nobias: bool = False) -> Linear:
        """Return a layer with given parameters.

        Args:
            W: Weight ``(out, in)``.
            b: Bias ``(out,)`` or None.
            nobias: Ignore `b`.

        Raises:
            ValueError: `b` does not fit `W`.
        """
        out_size, in_size = W.shape
        if b is not None and out_size != b.size:
            raise ValueError("`out_size` does not match the size of `b`")
        return cls(in_size, out_size, nobias, initialW=as_array(W), initial_bias=as_array(b))

    @property
    def printable_specs(self) -> Iterator[tuple[str, Any]]:
        """Name and value of each argument, for `str(link)`."""
        yield "in_size", self.in_size
        yield "out_size", self.out_size
        yield "nobias", self.b is None

    def forward(self, x: Any, n_batch_axes: int = 1) -> Variable:
        """Apply the layer.

        Args:
            x: ``(*batch, *features)``; the axes after the first `n_batch_axes` are taken as one.
            n_batch_axes: Number of batch axes, at least 1.

        Returns:
            ``(*batch, out)``.
        """
        if self.W.array is None:
            self._initialize_params(math.prod(x.shape[n_batch_axes:]))
        return F.linear(x, self.W, self.b, n_batch_axes=n_batch_axes)


class Bias(Link):
    """Add a learnt array, broadcast.

    Args:
        axis: First axis of the input that ``b`` is laid along.
        shape: Shape of ``b``. None: no parameter; the second input is added instead.

    Attributes:
        b: Parameter `shape`, if given.
    """

    def __init__(self, axis: int = 1, shape: Any = None) -> None:
        super().__init__()
        if shape is not None:
            with self.init_scope():
                self.b = Parameter(get_initializer(0), shape)
        self.axis = axis

    def forward(self, *xs: Any) -> Variable:
        """Add.

        Args:
            xs: The input, and what to add to it if the link has no ``b``.

        Returns:
            Same shape as the first input.
        """
        return F.bias(*_with_own(self, "b", xs), self.axis)


def _with_own(link: Link, name: str, xs: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return a call's two operands: the second is the link's own parameter, if it has one."""
    own = getattr(link, name, None)
    count = 2 if own is None else 1
    if len(xs) != count:
        has = "no parameter" if own is None else "a parameter"
        raise ValueError(
            f"{type(link).__name__}: expected {count} input{'s' * (count > 1)}, got {len(xs)}: it has {has} {name!r}"
        )
    return (*xs, own) if own is not None else xs  # type: ignore[return-value]


class Scale(Chain):
    """Multiply by a learnt array, broadcast, with a `Bias` after it if wanted.

    Args:
        axis: First axis of the input that ``W`` is laid along.
        W_shape: Shape of ``W``. None: no parameter; the input is multiplied by the second one.
        bias_term: Add a learnt bias too.
        bias_shape: Shape of the bias if there is no ``W``; else it is that of ``W``.

    Raises:
        ValueError: A bias is wanted and has no shape.

    Attributes:
        W: Parameter `W_shape`, if given.
        bias: The `Bias` link, if wanted.
    """

    def __init__(self, axis: int = 1, W_shape: Any = None, bias_term: bool = False, bias_shape: Any = None) -> None:
        super().__init__()
        self.axis = axis
        if bias_term and W_shape is None and bias_shape is None:
            raise ValueError("bias_shape should be given if W is not learnt parameter and bias_term is True.")
        with self.init_scope():
            if W_shape is not None:
                self.W = Parameter(get_initializer(1), W_shape)
            if bias_term:
                self.bias = Bias(axis, bias_shape if W_shape is None else W_shape)

    def forward(self, *xs: Any) -> Variable:
        """Multiply, then add the bias.

        Args:
            xs: The input, and what to multiply it with if the link has no ``W``.

        Returns:
            Same shape as the first input.
        """
        z = F.scale(*_with_own(self, "W", xs), self.axis)
        return self.bias(z) if hasattr(self, "bias") else z
