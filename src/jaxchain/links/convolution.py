"""Convolution layers: `F.convolution_2d` and its transpose with parameters. Data NCHW, weights OIHW."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxchain import functions as F
from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable, as_array
from jaxchain.initializers.conversion import get_initializer
from jaxchain.link import Link


def pair(x: Any) -> Any:
    """Return (x, x) for a number, else x as a tuple."""
    return tuple(x) if np.ndim(x) else (x, x)


def _options(link: str, dilate: Any = 1, groups: int = 1, **unexpected: Any) -> tuple[Any, int]:
    """Return the keyword options of a layer; the message for one that is gone says what to use."""
    if "deterministic" in unexpected:
        raise ValueError(
            "deterministic argument is not supported anymore. "
            "Use chainer.using_config('cudnn_deterministic', value) context where value is either `True` or `False`."
        )
    if unexpected:
        raise TypeError(f"{link}: unexpected keyword argument {', '.join(map(repr, unexpected))}")
    return pair(dilate), int(groups)


def check_groups(groups: int, in_channels: int, out_channels: int) -> None:
    """Raise ValueError unless both numbers of channels are divisible by the number of groups."""
    if out_channels % groups:
        raise ValueError("the number of output channels must be divisible by the number of groups")
    if in_channels % groups:
        raise ValueError("the number of input channels must be divisible by the number of groups")


class Filter(Link):
    """What convolution layers share: a filter, whose channels may be those of the first input, and a bias."""

    def _add_params(
        self, in_channels: int | None, out_channels: int, nobias: bool, initialW: Any, initial_bias: Any
    ) -> None:
        with self.init_scope():
            self.W = Parameter(get_initializer(initialW))
            if in_channels is not None:
                self._initialize_params(in_channels)
            if nobias:
                self.b = None
            else:
                self.b = Parameter(get_initializer(initial_bias, 0), out_channels)

    def _initialize_params(self, in_channels: int) -> None:
        """Make the filter, now that the channels of the input are known."""
        raise NotImplementedError


class Convolution2D(Filter):
    """Two-dimensional convolution layer.

    Args:
        in_channels: Channels of the input, or None: taken from the first input. May be left out.
        out_channels: Channels of the output.
        ksize: Size of the kernel, or pair (height, width).
        stride: Step, or pair.
        pad: Zeros on each side, or pair.
        nobias: Leave out ``b``.
        initialW: Initializer, scalar or array ``(out, in / groups, kh, kw)``. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array ``(out,)``. None: 0.
        **kwargs: ``dilate`` (1): distance of the kernel's elements, or pair; ``groups`` (1): number of groups of
            channels that are convolved apart.

    Raises:
        ValueError: Channels are not divisible by ``groups``.

    Attributes:
        W: Parameter ``(out, in / groups, kh, kw)``.
        b: Parameter ``(out,)``, or None.

    Examples:
        >>> L.Convolution2D(3, 7, 5)(np.ones((1, 3, 10, 10), np.float32)).shape
        (1, 7, 6, 6)
    """

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        ksize: Any = None,
        stride: Any = 1,
        pad: Any = 0,
        nobias: bool = False,
        initialW: Any = None,
        initial_bias: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if ksize is None:
            out_channels, ksize, in_channels = in_channels, out_channels, None  # type: ignore[assignment]
        self.dilate, self.groups = _options("Convolution2D", **kwargs)
        self.ksize = ksize
        self.stride = pair(stride)
        self.pad = pair(pad)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self._add_params(in_channels, out_channels, nobias, initialW, initial_bias)

    def _initialize_params(self, in_channels: int) -> None:
        check_groups(self.groups, in_channels, self.out_channels)
        self.W.initialize((self.out_channels, in_channels // self.groups, *pair(self.ksize)))

    @classmethod
    def from_params(
        cls, W: Any, b: Any = None, stride: Any = 1, pad: Any = 0, nobias: bool = False, **kwargs: Any
    ) -> Convolution2D:
        """Return a layer with given parameters.

        Args:
            W: Weight ``(out, in / groups, kh, kw)``.
            b: Bias ``(out,)`` or None.
            stride: As in the class.
            pad: As in the class.
            nobias: Ignore `b`.
            **kwargs: ``dilate``, ``groups``.

        Raises:
            ValueError: `b` does not fit `W`.
        """
        _, groups = _options("Convolution2D.from_params", **kwargs)
        out_channels, in_channels, *ksize = W.shape
        if b is not None and out_channels != b.size:
            raise ValueError("`out_channels` does not match the size of `b`")
        bias = as_array(b)
        return cls(in_channels * groups, out_channels, tuple(ksize), stride, pad, nobias, as_array(W), bias, **kwargs)

    @property
    def printable_specs(self) -> Iterator[tuple[str, Any]]:
        """Name and value of each argument, for `str(link)`."""
        yield "in_channels", self.in_channels
        yield "out_channels", self.out_channels
        yield "ksize", self.ksize
        yield "stride", self.stride
        yield "pad", self.pad
        yield "nobias", self.b is None
        yield "dilate", self.dilate
        yield "groups", self.groups

    def forward(self, x: Any) -> Variable:
        """Apply the layer.

        Args:
            x: Images ``(n, in, h, w)``.

        Returns:
            ``(n, out, h', w')``.
        """
        if self.W.array is None:
            self._initialize_params(x.shape[1])
        return F.convolution_2d(x, self.W, self.b, self.stride, self.pad, dilate=self.dilate, groups=self.groups)


class Deconvolution2D(Filter):
    """Two-dimensional transposed convolution layer.

    Args:
        in_channels: Channels of the input, or None: taken from the first input. May be left out.
        out_channels: Channels of the output.
        ksize: Size of the kernel, or pair (height, width).
        stride: Step, or pair.
        pad: Zeros on each side of the output that are cut off, or pair.
        nobias: Leave out ``b``.
        outsize: Size (height, width) of the output. None: the smallest that fits.
        initialW: Initializer, scalar or array ``(in, out / groups, kh, kw)``. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array ``(out,)``. None: 0.
        **kwargs: ``dilate`` (1): distance of the kernel's elements, or pair; ``groups`` (1): number of groups of
            channels that are convolved apart.

    Raises:
        ValueError: Channels are not divisible by ``groups``.

    Attributes:
        W: Parameter ``(in, out / groups, kh, kw)``.
        b: Parameter ``(out,)``, or None.

    Examples:
        >>> L.Deconvolution2D(7, 4, stride=2, pad=1)(np.ones((1, 3, 10, 10), np.float32)).shape
        (1, 7, 20, 20)
    """

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        ksize: Any = None,
        stride: Any = 1,
        pad: Any = 0,
        nobias: bool = False,
        outsize: Any = None,
        initialW: Any = None,
        initial_bias: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if ksize is None:
            out_channels, ksize, in_channels = in_channels, out_channels, None  # type: ignore[assignment]
        self.dilate, self.groups = _options("Deconvolution2D", **kwargs)
        self.ksize = ksize
        self.stride = pair(stride)
        self.pad = pair(pad)
        self.outsize = (None, None) if outsize is None else outsize
        self.in_channels = in_channels
        self.out_channels = out_channels
        self._add_params(in_channels, out_channels, nobias, initialW, initial_bias)

    def _initialize_params(self, in_channels: int) -> None:
        check_groups(self.groups, in_channels, self.out_channels)
        self.W.initialize((in_channels, self.out_channels // self.groups, *pair(self.ksize)))

    def forward(self, x: Any) -> Variable:
        """Apply the layer.

        Args:
            x: Images ``(n, in, h, w)``.

        Returns:
            ``(n, out, h', w')``.
        """
        if self.W.array is None:
            self._initialize_params(x.shape[1])
        outsize = None if self.outsize == (None, None) else tuple(self.outsize)
        return F.deconvolution_2d(
            x, self.W, self.b, self.stride, self.pad, outsize, dilate=self.dilate, groups=self.groups
        )
