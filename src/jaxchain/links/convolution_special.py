"""Convolutions of other kinds: each channel by itself, dilated, with learnt offsets, with a filter for every place."""

from __future__ import annotations

from typing import Any

from jaxchain import functions as F
from jaxchain.core.parameter import Parameter
from jaxchain.core.variable import Variable
from jaxchain.functions.convolution import conv_outsize
from jaxchain.initializers import HeNormal
from jaxchain.initializers.conversion import get_initializer
from jaxchain.link import Chain, Link
from jaxchain.links.convolution import Convolution2D, Filter, pair


class DepthwiseConvolution2D(Link):
    """Convolution of each channel by itself.

    Args:
        in_channels: Channels of the input, or None: taken from the first input.
        channel_multiplier: Channels of the output for each of the input.
        ksize: Size of the kernel, or pair (height, width).
        stride: Step, or pair.
        pad: Zeros on each side, or pair.
        nobias: Leave out ``b``.
        initialW: Initializer, scalar or array ``(multiplier, in, kh, kw)``. None: `HeNormal` with scale 1 / sqrt 2.
        initial_bias: Initializer, scalar or array. None: 0.

    Attributes:
        W: Parameter ``(multiplier, in, kh, kw)``.
        b: Parameter ``(multiplier * in,)``, or None.

    Source: Chollet 2016, arXiv:1610.02357.

    Examples:
        >>> L.DepthwiseConvolution2D(3, 2, 3, pad=1)(np.ones((1, 3, 5, 5), np.float32)).shape
        (1, 6, 5, 5)
    """

    def __init__(
        self,
        in_channels: int | None,
        channel_multiplier: int,
        ksize: Any,
        stride: Any = 1,
        pad: Any = 0,
        nobias: bool = False,
        initialW: Any = None,
        initial_bias: Any = None,
    ) -> None:
        super().__init__()
        self.ksize = ksize
        self.stride = pair(stride)
        self.pad = pair(pad)
        self.channel_multiplier = channel_multiplier
        self.nobias = nobias
        with self.init_scope():
            self.W = Parameter(get_initializer(initialW, HeNormal(0.5**0.5)))
            self.b = None
            if not nobias:
                self.b = Parameter(get_initializer(initial_bias, 0))
        if in_channels is not None:
            self._initialize_params(in_channels)

    def _initialize_params(self, in_channels: int) -> None:
        self.W.initialize((self.channel_multiplier, in_channels, *pair(self.ksize)))
        if self.b is not None:
            self.b.initialize((self.channel_multiplier * in_channels,))

    def forward(self, x: Any) -> Variable:
        """Apply the layer.

        Args:
            x: Images ``(n, in, h, w)``.

        Returns:
            ``(n, multiplier * in, h', w')``.
        """
        if self.W.array is None:
            self._initialize_params(x.shape[1])
        return F.depthwise_convolution_2d(x, self.W, self.b, self.stride, self.pad)


class DilatedConvolution2D(Filter):
    """Convolution whose kernel's elements stand apart; `Convolution2D` has the same as an option.

    Args:
        in_channels: Channels of the input, or None: taken from the first input. May be left out.
        out_channels: Channels of the output.
        ksize: Size of the kernel, or pair (height, width).
        stride: Step, or pair.
        pad: Zeros on each side, or pair.
        dilate: Distance of the kernel's elements, or pair.
        nobias: Leave out ``b``.
        initialW: Initializer, scalar or array ``(out, in, kh, kw)``. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array ``(out,)``. None: 0.

    Attributes:
        W: Parameter ``(out, in, kh, kw)``.
        b: Parameter ``(out,)``, or None.

    Source: Yu and Koltun 2015, arXiv:1511.07122.

    Examples:
        >>> L.DilatedConvolution2D(3, 7, 3, dilate=2)(np.ones((1, 3, 9, 9), np.float32)).shape
        (1, 7, 5, 5)
    """

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        ksize: Any = None,
        stride: Any = 1,
        pad: Any = 0,
        dilate: Any = 1,
        nobias: bool = False,
        initialW: Any = None,
        initial_bias: Any = None,
    ) -> None:
        super().__init__()
        if ksize is None:
            out_channels, ksize, in_channels = in_channels, out_channels, None  # type: ignore[assignment]
        self.ksize = ksize
        self.stride = pair(stride)
        self.pad = pair(pad)
        self.dilate = pair(dilate)
        self.out_channels = out_channels
        self._add_params(in_channels, out_channels, nobias, initialW, initial_bias)

    def _initialize_params(self, in_channels: int) -> None:
        self.W.initialize((self.out_channels, in_channels, *pair(self.ksize)))

    def forward(self, x: Any) -> Variable:
        """Apply the layer.

        Args:
            x: Images ``(n, in, h, w)``.

        Returns:
            ``(n, out, h', w')``.
        """
        if self.W.array is None:
            self._initialize_params(x.shape[1])
        return F.dilated_convolution_2d(x, self.W, self.b, self.stride, self.pad, self.dilate)


class DeformableConvolution2D(Chain):
    """Convolution that reads where a second convolution of the same input says.

    Args:
        in_channels: Channels of the input, or None: taken from the first input.
        out_channels: Channels of the output.
        ksize: Size of the kernel, or pair (height, width).
        stride: Step, or pair.
        pad: Zeros on each side, or pair.
        offset_nobias: Leave out the bias of the offsets.
        offset_initialW: Initializer of the weight of the offsets. None: `LeCunNormal`.
        offset_initial_bias: Initializer of the bias of the offsets. None: 0.
        deform_nobias: Leave out the bias.
        deform_initialW: Initializer of the weight. None: 0.
        deform_initial_bias: Initializer of the bias. None: 0.

    Attributes:
        offset_conv: `Convolution2D` to ``2 kh kw`` channels, the offsets.
        deform_conv: `DeformableConvolution2DSampler`.

    Source: Dai et al. 2017, arXiv:1703.06211.

    Examples:
        >>> L.DeformableConvolution2D(3, 7, 3, pad=1)(np.ones((1, 3, 5, 5), np.float32)).shape
        (1, 7, 5, 5)
    """

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        ksize: Any,
        stride: Any = 1,
        pad: Any = 0,
        offset_nobias: bool = False,
        offset_initialW: Any = None,
        offset_initial_bias: Any = None,
        deform_nobias: bool = False,
        deform_initialW: Any = None,
        deform_initial_bias: Any = None,
    ) -> None:
        super().__init__()
        kh, kw = pair(ksize)
        with self.init_scope():
            self.offset_conv = Convolution2D(
                in_channels, 2 * kh * kw, ksize, stride, pad, offset_nobias, offset_initialW, offset_initial_bias
            )
            self.deform_conv = DeformableConvolution2DSampler(
                in_channels, out_channels, ksize, stride, pad, deform_nobias, deform_initialW, deform_initial_bias
            )

    def forward(self, x: Any) -> Variable:
        """Apply the layer.

        Args:
            x: Images ``(n, in, h, w)``.

        Returns:
            ``(n, out, h', w')``.
        """
        return self.deform_conv(x, self.offset_conv(x))


class DeformableConvolution2DSampler(Link):
    """Convolution that reads where it is told to.

    Args:
        in_channels: Channels of the input, or None: taken from the first input.
        out_channels: Channels of the output.
        ksize: Size of the kernel, or pair (height, width).
        stride: Step, or pair.
        pad: Zeros on each side, or pair.
        nobias: Leave out ``b``.
        initialW: Initializer, scalar or array ``(out, in, kh, kw)``. None: 0.
        initial_bias: Initializer, scalar or array ``(out,)``. None: 0.

    Attributes:
        W: Parameter ``(out, in, kh, kw)``.
        b: Parameter ``(out,)``, or None.

    Source: Dai et al. 2017, arXiv:1703.06211.
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
    ) -> None:
        super().__init__()
        self.ksize = ksize
        self.stride = pair(stride)
        self.pad = pair(pad)
        self.out_channels = out_channels
        with self.init_scope():
            self.W = Parameter(get_initializer(initialW, 0))
            self.b = None
            if not nobias:
                self.b = Parameter(get_initializer(initial_bias, 0))
        if in_channels is not None:
            self._initialize_params(in_channels)

    def _initialize_params(self, in_channels: int) -> None:
        self.W.initialize((self.out_channels, in_channels, *pair(self.ksize)))
        if self.b is not None:
            self.b.initialize((self.out_channels,))

    def forward(self, x: Any, offset: Any) -> Variable:
        """Apply the layer.

        Args:
            x: Images ``(n, in, h, w)``.
            offset: Offsets ``(n, 2 kh kw, h', w')``.

        Returns:
            ``(n, out, h', w')``.
        """
        if self.W.array is None:
            self._initialize_params(x.shape[1])
        return F.deformable_convolution_2d_sampler(x, offset, self.W, self.b, self.stride, self.pad)


class LocalConvolution2D(Link):
    """Convolution with a filter of its own for every place.

    Args:
        in_channels: Channels of the input, or None: taken from the first input.
        out_channels: Channels of the output.
        in_size: Size of the input, or pair (height, width), or None: taken from the first input.
        ksize: Size of the kernel, or pair.
        stride: Step, or pair.
        nobias: Leave out ``b``.
        initialW: Initializer, scalar or array. None: `LeCunNormal`.
        initial_bias: Initializer, scalar or array. None: 0.
        **kwargs: Ignored, as in Chainer.

    Attributes:
        W: Parameter ``(out, h', w', in, kh, kw)``.
        b: Parameter ``(out, h', w')``, or None.

    Source: Taigman et al. 2014, DeepFace.

    Examples:
        >>> L.LocalConvolution2D(3, 7, 5, 3)(np.ones((1, 3, 5, 5), np.float32)).shape
        (1, 7, 3, 3)
    """

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        in_size: Any = None,
        ksize: Any = None,
        stride: Any = 1,
        nobias: bool = False,
        initialW: Any = None,
        initial_bias: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.ksize = ksize
        self.stride = pair(stride)
        self.nobias = nobias
        self.out_channels = out_channels
        with self.init_scope():
            self.W = Parameter(get_initializer(initialW))
            self.b = None
            if not nobias:
                self.b = Parameter(get_initializer(initial_bias, 0))
            if in_channels is not None and in_size is not None:
                self._initialize_params(in_channels, pair(in_size))

    def _initialize_params(self, in_channels: int, in_size: tuple[int, int]) -> None:
        ksize = pair(self.ksize)
        out = tuple(conv_outsize(n, k, s, 0) for n, k, s in zip(in_size, ksize, self.stride, strict=True))
        self.W.initialize((self.out_channels, *out, in_channels, *ksize))
        if self.b is not None:
            self.b.initialize((self.out_channels, *out))

    def forward(self, x: Any) -> Variable:
        """Apply the layer.

        Args:
            x: Images ``(n, in, h, w)``.

        Returns:
            ``(n, out, h', w')``.
        """
        if self.W.array is None:
            self._initialize_params(x.shape[1], x.shape[2:])
        return F.local_convolution_2d(x, self.W, self.b, self.stride)
