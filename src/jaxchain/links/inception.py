"""Blocks of convolutions: several in a row on every pixel, several side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from jaxchain import functions as F
from jaxchain.core.config import get_dtype
from jaxchain.core.variable import Variable
from jaxchain.link import Chain, ChainList
from jaxchain.links.convolution import Convolution2D
from jaxchain.links.normalization import BatchNormalization


class MLPConvolution2D(ChainList):
    """A convolution, then fully connected layers on every pixel.

    Args:
        in_channels: Channels of the input, or None: taken from the first input. May be left out.
        out_channels: Channels of the output of each layer.
        ksize: Size of the first kernel, or pair (height, width).
        stride: Step of the first convolution, or pair.
        pad: Zeros on each side in the first convolution, or pair.
        activation: Function between the layers; none after the last.
        *args: None are allowed: old programs gave ``wscale`` here.
        **kwargs: ``conv_init`` and ``bias_init``: initializers.

    Attributes:
        activation: As given. The layers are children ``0``, ``1``, ...

    Raises:
        TypeError: ``wscale``, or another argument that is not there, was given.
        AssertionError: ``out_channels`` is empty.

    Source: Lin et al. 2013, Network in network, arXiv:1312.4400.

    Examples:
        >>> L.MLPConvolution2D(3, (8, 5), 3)(np.ones((1, 3, 6, 6), np.float32)).shape
        (1, 5, 4, 4)
    """

    def __init__(
        self,
        in_channels: int | None,
        out_channels: Sequence[int],
        ksize: Any = None,
        stride: Any = 1,
        pad: Any = 0,
        activation: Callable = F.relu,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        options = {"conv_init": None, "bias_init": None}
        unknown = [name for name in kwargs if name not in options]
        if args or "wscale" in unknown:
            error = TypeError if args else ValueError  # as in Chainer: once an argument by position, too
            raise error("wscale is not supported anymore. Use conv_init and bias_init to say how parameters start.")
        if unknown:
            raise TypeError(f"MLPConvolution2D: unexpected keyword argument {', '.join(map(repr, unknown))}")
        options |= kwargs
        if ksize is None:
            out_channels, ksize, in_channels = in_channels, out_channels, None  # type: ignore[assignment]
        if not len(out_channels):
            raise AssertionError("MLPConvolution2D: expected out_channels of at least one layer, got none")
        initial: dict[str, Any] = {"initialW": options["conv_init"], "initial_bias": options["bias_init"]}
        super().__init__(
            Convolution2D(in_channels, out_channels[0], ksize, stride, pad, **initial),
            *[Convolution2D(n_in, n_out, 1, **initial) for n_in, n_out in pairwise(out_channels)],
        )
        self.activation = activation

    def forward(self, x: Any) -> Variable:
        """Apply the layers.

        Args:
            x: Images ``(n, in, h, w)``.

        Returns:
            ``(n, out, h', w')``.
        """
        *layers, last = self
        for layer in layers:
            x = self.activation(layer(x))
        return last(x)


class Inception(Chain):
    """Convolutions of sizes 1, 3 and 5 and a pooling, side by side: the block of GoogLeNet.

    Args:
        in_channels: Channels of the input, or None: taken from the first input.
        out1: Channels of the 1 x 1 convolution.
        proj3: Channels before the 3 x 3 convolution.
        out3: Channels of the 3 x 3 convolution.
        proj5: Channels before the 5 x 5 convolution.
        out5: Channels of the 5 x 5 convolution.
        proj_pool: Channels after the pooling.
        conv_init: Initializer of all weights.
        bias_init: Initializer of all biases.

    Attributes:
        conv1: The 1 x 1 convolution.
        proj3: Before ``conv3``.
        conv3: The 3 x 3 convolution.
        proj5: Before ``conv5``.
        conv5: The 5 x 5 convolution.
        projp: After the pooling.

    Source: Szegedy et al. 2014, Going deeper with convolutions, arXiv:1409.4842.

    Examples:
        >>> L.Inception(3, 2, 2, 4, 1, 2, 1)(np.ones((1, 3, 6, 6), np.float32)).shape
        (1, 9, 6, 6)
    """

    def __init__(
        self,
        in_channels: int | None,
        out1: int,
        proj3: int,
        out3: int,
        proj5: int,
        out5: int,
        proj_pool: int,
        conv_init: Any = None,
        bias_init: Any = None,
    ) -> None:
        super().__init__()
        initial = {"initialW": conv_init, "initial_bias": bias_init}
        with self.init_scope():
            self.conv1 = Convolution2D(in_channels, out1, 1, **initial)
            self.proj3 = Convolution2D(in_channels, proj3, 1, **initial)
            self.conv3 = Convolution2D(proj3, out3, 3, pad=1, **initial)
            self.proj5 = Convolution2D(in_channels, proj5, 1, **initial)
            self.conv5 = Convolution2D(proj5, out5, 5, pad=2, **initial)
            self.projp = Convolution2D(in_channels, proj_pool, 1, **initial)

    def forward(self, x: Any) -> Variable:
        """Apply the block.

        Args:
            x: Images ``(n, in, h, w)``.

        Returns:
            ``(n, out1 + out3 + out5 + proj_pool, h, w)``.
        """
        out3 = self.conv3(F.relu(self.proj3(x)))
        out5 = self.conv5(F.relu(self.proj5(x)))
        pool = self.projp(F.max_pooling_2d(x, 3, stride=1, pad=1))
        return F.relu(F.concat((self.conv1(x), out3, out5, pool), axis=1))


class InceptionBN(Chain):
    """The block of GoogLeNet with batch normalisation, and two 3 x 3 convolutions in place of the 5 x 5 one.

    Args:
        in_channels: Channels of the input, or None: taken from the first input.
        out1: Channels of the 1 x 1 convolution; 0: it is left out.
        proj3: Channels before the 3 x 3 convolution.
        out3: Channels of the 3 x 3 convolution.
        proj33: Channels before the two 3 x 3 convolutions.
        out33: Channels of the two 3 x 3 convolutions.
        pooltype: ``'max'`` or ``'avg'``.
        proj_pool: Channels after the pooling, or None: the pooling is not projected.
        stride: Step of the last convolutions and the pooling.
        conv_init: Initializer of all weights.
        dtype: Data type of the normalisations, or None for ``config.dtype``.

    Attributes:
        conv1: The 1 x 1 convolution, if ``out1``.
        proj3: Before ``conv3``.
        conv3: The 3 x 3 convolution.
        proj33: Before ``conv33a`` and ``conv33b``.
        conv33a: The first of two 3 x 3 convolutions.
        conv33b: The second.
        poolp: After the pooling, if ``proj_pool``. The normalisation after a convolution has its name and ``n``.

    Raises:
        NotImplementedError: Unknown ``pooltype``.
        AssertionError: A 1 x 1 convolution with a stride, or without ``proj_pool``.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167.

    Examples:
        >>> L.InceptionBN(3, 2, 2, 4, 2, 3, "avg", 1)(np.ones((2, 3, 6, 6), np.float32)).shape
        (2, 10, 6, 6)
    """

    def __init__(
        self,
        in_channels: int | None,
        out1: int,
        proj3: int,
        out3: int,
        proj33: int,
        out33: int,
        pooltype: str,
        proj_pool: int | None = None,
        stride: int = 1,
        conv_init: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if pooltype not in ("max", "avg"):
            raise NotImplementedError(f"InceptionBN: expected pooltype 'max' or 'avg', got {pooltype!r}")
        if out1 > 0 and (stride != 1 or proj_pool is None):
            raise AssertionError("InceptionBN: with out1 > 0, expected stride 1 and a proj_pool")
        dtype = get_dtype(dtype)
        self.out1 = out1
        self.proj_pool = proj_pool
        self.stride = stride
        self.pooltype = pooltype

        def conv(n_in: int | None, n_out: int, ksize: int, **more: Any) -> Convolution2D:
            return Convolution2D(n_in, n_out, ksize, nobias=True, initialW=conv_init, **more)

        with self.init_scope():
            self.proj3 = conv(in_channels, proj3, 1)
            self.conv3 = conv(proj3, out3, 3, pad=1, stride=stride)
            self.proj33 = conv(in_channels, proj33, 1)
            self.conv33a = conv(proj33, out33, 3, pad=1)
            self.conv33b = conv(out33, out33, 3, pad=1, stride=stride)
            self.proj3n = BatchNormalization(proj3, dtype=dtype)
            self.conv3n = BatchNormalization(out3, dtype=dtype)
            self.proj33n = BatchNormalization(proj33, dtype=dtype)
            self.conv33an = BatchNormalization(out33, dtype=dtype)
            self.conv33bn = BatchNormalization(out33, dtype=dtype)
            if out1 > 0:
                self.conv1 = conv(in_channels, out1, 1, stride=stride)
                self.conv1n = BatchNormalization(out1, dtype=dtype)
            if proj_pool is not None:
                self.poolp = conv(in_channels, proj_pool, 1)
                self.poolpn = BatchNormalization(proj_pool, dtype=dtype)

    def forward(self, x: Any) -> Variable:
        """Apply the block.

        Args:
            x: Images ``(n, in, h, w)``.

        Returns:
            ``(n, out1 + out3 + out33 + (proj_pool, or in), h', w')``.
        """
        outs = [F.relu(self.conv1n(self.conv1(x)))] if self.out1 > 0 else []
        h3 = F.relu(self.proj3n(self.proj3(x)))
        outs.append(F.relu(self.conv3n(self.conv3(h3))))
        h33 = F.relu(self.proj33n(self.proj33(x)))
        h33 = F.relu(self.conv33an(self.conv33a(h33)))
        outs.append(F.relu(self.conv33bn(self.conv33b(h33))))
        if self.pooltype == "max":
            pool = F.max_pooling_2d(x, 3, stride=self.stride, pad=1, cover_all=False)
        else:
            pool = F.average_pooling_2d(x, 3, stride=self.stride, pad=1)
        if self.proj_pool is not None:
            pool = F.relu(self.poolpn(self.poolp(pool)))
        return F.concat([*outs, pool], axis=1)
