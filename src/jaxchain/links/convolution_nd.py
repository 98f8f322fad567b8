"""Convolution layers over any number of axes. Data ``(n, c, d1, ..., dN)``."""

from __future__ import annotations

from typing import Any

from jaxchain import functions as F
from jaxchain.core.variable import Variable, as_array
from jaxchain.functions.checks import sizes
from jaxchain.links.convolution import Filter, check_groups


class _FilterND(Filter):
    """What a convolution layer and its transpose share."""

    def __init__(
        self,
        ndim: int,
        in_channels: int | None,
        out_channels: int,
        ksize: Any,
        stride: Any,
        pad: Any,
        nobias: bool,
        initialW: Any,
        initial_bias: Any,
        dilate: Any,
        groups: int,
    ) -> None:
        super().__init__()
        if ksize is None:
            out_channels, ksize, in_channels = in_channels, out_channels, None  # type: ignore[assignment]
        self.out_channels = out_channels
        self.ksize = sizes(ksize, ndim)
        self.stride = stride
        self.pad = pad
        self.dilate = sizes(dilate, ndim)
        self.groups = int(groups)
        self._add_params(in_channels, out_channels, nobias, initialW, initial_bias)

    def _filter_channels(self, in_channels: int) -> tuple[int, int]:
        raise NotImplementedError

    def _initialize_params(self, in_channels: int) -> None:
        check_groups(self.groups, in_channels, self.out_channels)
        self.W.initialize((*self._filter_channels(in_channels), *self.ksize))


class ConvolutionND(_FilterND):
    """Convolution layer over N axes.

    Args:
        ndim: Number of axes N.
        in_channels: Channels of the input, or None: taken from the first input. May be left out.
        out_channels: Channels of the output.
        ksize: Size of the kernel, an int or one for each axis.
        stride: Step, an int or one for each axis.
        pad: Zeros on each side, an int or one for each axis.
        nobias: Leave out ``b``.
        initialW: Initializer, scalar or array ``(out, in / groups, k1, ..., kN)``. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array ``(out,)``. None: 0.
        cover_all: Round the output size up, so that every element is in some window.
        dilate: Distance of the kernel's elements, an int or one for each axis.
        groups: Number of groups of channels that are convolved apart.

    Raises:
        ValueError: Channels are not divisible by ``groups``.

    Attributes:
        W: Parameter ``(out, in / groups, k1, ..., kN)``.
        b: Parameter ``(out,)``, or None.

    Examples:
        >>> L.ConvolutionND(3, 2, 4, 3)(np.ones((1, 2, 5, 5, 5), np.float32)).shape
        (1, 4, 3, 3, 3)
    """

    def __init__(
        self,
        ndim: int,
        in_channels: int | None,
        out_channels: int,
        ksize: Any = None,
        stride: Any = 1,
        pad: Any = 0,
        nobias: bool = False,
        initialW: Any = None,
        initial_bias: Any = None,
        cover_all: bool = False,
        dilate: Any = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(
            ndim, in_channels, out_channels, ksize, stride, pad, nobias, initialW, initial_bias, dilate, groups
        )
        self.cover_all = cover_all

    def _filter_channels(self, in_channels: int) -> tuple[int, int]:
        return self.out_channels, in_channels // self.groups

    @classmethod
    def from_params(
        cls,
        W: Any,
        b: Any = None,
        stride: Any = 1,
        pad: Any = 0,
        nobias: bool = False,
        *,
        cover_all: bool = False,
        dilate: Any = 1,
        groups: int = 1,
    ) -> ConvolutionND:
        """Return a layer with given parameters.

        Args:
            W: Weight ``(out, in / groups, k1, ..., kN)``.
            b: Bias ``(out,)`` or None.
            stride: As in the class.
            pad: As in the class.
            nobias: Ignore `b`.
            cover_all: As in the class.
            dilate: As in the class.
            groups: As in the class.

        Raises:
            ValueError: `b` does not fit `W`.
        """
        out_channels, in_channels, *ksize = W.shape
        if b is not None and out_channels != b.size:
            raise ValueError("`out_channels` does not match the size of `b`")
        dimensions: dict[str, Any] = {"ndim": len(ksize)} if cls is ConvolutionND else {}
        return cls(
            **dimensions,
            in_channels=in_channels * groups,
            out_channels=out_channels,
            ksize=tuple(ksize),
            stride=stride,
            pad=pad,
            nobias=nobias,
            initialW=as_array(W),
            initial_bias=as_array(b),
            cover_all=cover_all,
            dilate=dilate,
            groups=groups,
        )

    def forward(self, x: Any) -> Variable:
        """Apply the layer.

        Args:
            x: ``(n, in, d1, ..., dN)``.

        Returns:
            ``(n, out, o1, ..., oN)``.
        """
        if self.W.array is None:
            self._initialize_params(x.shape[1])
        return F.convolution_nd(
            x, self.W, self.b, self.stride, self.pad, self.cover_all, dilate=self.dilate, groups=self.groups
        )


class DeconvolutionND(_FilterND):
    """Transposed convolution layer over N axes.

    Args:
        ndim: Number of axes N.
        in_channels: Channels of the input, or None: taken from the first input. May be left out.
        out_channels: Channels of the output.
        ksize: Size of the kernel, an int or one for each axis.
        stride: Step, an int or one for each axis.
        pad: Zeros on each side of the output that are cut off, an int or one for each axis.
        nobias: Leave out ``b``.
        outsize: Size of the output over the N axes. None: the smallest that fits.
        initialW: Initializer, scalar or array ``(in, out / groups, k1, ..., kN)``. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array ``(out,)``. None: 0.
        dilate: Distance of the kernel's elements, an int or one for each axis.
        groups: Number of groups of channels that are convolved apart.

    Raises:
        ValueError: Channels are not divisible by ``groups``.

    Attributes:
        W: Parameter ``(in, out / groups, k1, ..., kN)``.
        b: Parameter ``(out,)``, or None.

    Examples:
        >>> L.DeconvolutionND(1, 2, 4, 3, stride=2)(np.ones((1, 2, 5), np.float32)).shape
        (1, 4, 11)
    """

    def __init__(
        self,
        ndim: int,
        in_channels: int | None,
        out_channels: int,
        ksize: Any = None,
        stride: Any = 1,
        pad: Any = 0,
        nobias: bool = False,
        outsize: Any = None,
        initialW: Any = None,
        initial_bias: Any = None,
        dilate: Any = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(
            ndim, in_channels, out_channels, ksize, stride, pad, nobias, initialW, initial_bias, dilate, groups
        )
        self.outsize = outsize

    def _filter_channels(self, in_channels: int) -> tuple[int, int]:
        return in_channels, self.out_channels // self.groups

    def forward(self, x: Any) -> Variable:
        """Apply the layer.

        Args:
            x: ``(n, in, d1, ..., dN)``.

        Returns:
            ``(n, out, o1, ..., oN)``.
        """
        if self.W.array is None:
            self._initialize_params(x.shape[1])
        return F.deconvolution_nd(
            x, self.W, self.b, self.stride, self.pad, self.outsize, dilate=self.dilate, groups=self.groups
        )


class Convolution1D(ConvolutionND):
    """One-dimensional convolution layer: `ConvolutionND` with ``ndim`` 1.

    Args:
        in_channels: Channels of the input, or None: taken from the first input.
        out_channels: Channels of the output.
        ksize: Size of the kernel.
        stride: Step.
        pad: Zeros on each side.
        nobias: Leave out ``b``.
        initialW: Initializer, scalar or array. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array ``(out,)``. None: 0.
        cover_all: Round the output size up, so that every element is in some window.
        dilate: Distance of the kernel's elements.
        groups: Number of groups of channels that are convolved apart.

    Attributes:
        W: Parameter ``(out, in / groups, k)``.
        b: Parameter ``(out,)``, or None.
    """

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        ksize: Any,
        stride: Any = 1,
        pad: Any = 0,
        nobias: bool = False,
        initialW: Any = None,
        initial_bias: Any = None,
        cover_all: bool = False,
        dilate: Any = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(
            1, in_channels, out_channels, ksize, stride, pad, nobias, initialW, initial_bias, cover_all, dilate, groups
        )


class Convolution3D(ConvolutionND):
    """Three-dimensional convolution layer: `ConvolutionND` with ``ndim`` 3.

    Args:
        in_channels: Channels of the input, or None: taken from the first input.
        out_channels: Channels of the output.
        ksize: Size of the kernel, an int or one for each axis.
        stride: Step, an int or one for each axis.
        pad: Zeros on each side, an int or one for each axis.
        nobias: Leave out ``b``.
        initialW: Initializer, scalar or array. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array ``(out,)``. None: 0.
        cover_all: Round the output size up, so that every element is in some window.
        dilate: Distance of the kernel's elements, an int or one for each axis.
        groups: Number of groups of channels that are convolved apart.

    Attributes:
        W: Parameter ``(out, in / groups, kd, kh, kw)``.
        b: Parameter ``(out,)``, or None.
    """

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        ksize: Any,
        stride: Any = 1,
        pad: Any = 0,
        nobias: bool = False,
        initialW: Any = None,
        initial_bias: Any = None,
        cover_all: bool = False,
        dilate: Any = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(
            3, in_channels, out_channels, ksize, stride, pad, nobias, initialW, initial_bias, cover_all, dilate, groups
        )


class Deconvolution1D(DeconvolutionND):
    """One-dimensional transposed convolution layer: `DeconvolutionND` with ``ndim`` 1.

    Args:
        in_channels: Channels of the input, or None: taken from the first input.
        out_channels: Channels of the output.
        ksize: Size of the kernel.
        stride: Step.
        pad: Zeros on each side of the output that are cut off.
        nobias: Leave out ``b``.
        outsize: Size of the output. None: the smallest that fits.
        initialW: Initializer, scalar or array. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array ``(out,)``. None: 0.
        dilate: Distance of the kernel's elements.
        groups: Number of groups of channels that are convolved apart.

    Attributes:
        W: Parameter ``(in, out / groups, k)``.
        b: Parameter ``(out,)``, or None.
    """

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        ksize: Any,
        stride: Any = 1,
        pad: Any = 0,
        nobias: bool = False,
        outsize: Any = None,
        initialW: Any = None,
        initial_bias: Any = None,
        dilate: Any = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(
            1, in_channels, out_channels, ksize, stride, pad, nobias, outsize, initialW, initial_bias, dilate, groups
        )


class Deconvolution3D(DeconvolutionND):
    """Three-dimensional transposed convolution layer: `DeconvolutionND` with ``ndim`` 3.

    Args:
        in_channels: Channels of the input, or None: taken from the first input.
        out_channels: Channels of the output.
        ksize: Size of the kernel, an int or one for each axis.
        stride: Step, an int or one for each axis.
        pad: Zeros on each side of the output that are cut off, an int or one for each axis.
        nobias: Leave out ``b``.
        outsize: Size of the output. None: the smallest that fits.
        initialW: Initializer, scalar or array. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array ``(out,)``. None: 0.
        dilate: Distance of the kernel's elements, an int or one for each axis.
        groups: Number of groups of channels that are convolved apart.

    Attributes:
        W: Parameter ``(in, out / groups, kd, kh, kw)``.
        b: Parameter ``(out,)``, or None.
    """

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        ksize: Any,
        stride: Any = 1,
        pad: Any = 0,
        nobias: bool = False,
        outsize: Any = None,
        initialW: Any = None,
        initial_bias: Any = None,
        dilate: Any = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(
            3, in_channels, out_channels, ksize, stride, pad, nobias, outsize, initialW, initial_bias, dilate, groups
        )
