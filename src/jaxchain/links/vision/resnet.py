"""ResNet: residual blocks of three convolutions, 50, 101 or 152 layers with weights."""

from __future__ import annotations

import os
from typing import Any

from jaxchain import functions as F
from jaxchain import initializers
from jaxchain.core.variable import Variable
from jaxchain.link import Chain
from jaxchain.links.convolution import Convolution2D
from jaxchain.links.linear import Linear
from jaxchain.links.normalization import BatchNormalization
from jaxchain.links.vision.base import Stages, VisionModel


class _Bottleneck(Chain):
    """Three convolutions around a shortcut; with ``project`` the shortcut is a convolution of its own."""

    def __init__(
        self, n_in: int, mid: int, out: int, stride: int, initialW: Any, downsample_fb: bool, project: bool
    ) -> None:
        super().__init__()
        first, second = (1, stride) if downsample_fb else (stride, 1)
        self._project = project

        def conv(n_in: int, n_out: int, ksize: int, stride: int = 1, pad: int = 0) -> Convolution2D:
            return Convolution2D(n_in, n_out, ksize, stride, pad, initialW=initialW, nobias=True)

        with self.init_scope():
            self.conv1, self.bn1 = conv(n_in, mid, 1, first), BatchNormalization(mid)
            self.conv2, self.bn2 = conv(mid, mid, 3, second, 1), BatchNormalization(mid)
            self.conv3, self.bn3 = conv(mid, out, 1), BatchNormalization(out)
            if project:
                self.conv4, self.bn4 = conv(n_in, out, 1, stride), BatchNormalization(out)

    def forward(self, x: Any) -> Variable:
        """Apply the block."""
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.relu(self.bn2(self.conv2(h)))
        h = self.bn3(self.conv3(h))
        return F.relu(h + (self.bn4(self.conv4(x)) if self._project else x))


class BottleneckA(_Bottleneck):
    """The first block at a resolution: its shortcut is a convolution.

    Args:
        in_channels: Channels of the input.
        mid_channels: Channels inside.
        out_channels: Channels of the output.
        stride: Step of the block.
        initialW: Initializer of the convolutions.
        downsample_fb: Put the stride on the 3 x 3 convolution, as Facebook's models do, not on the first 1 x 1.

    Source: He et al. 2015, arXiv:1512.03385.
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        stride: int = 2,
        initialW: Any = None,
        downsample_fb: bool = False,
    ) -> None:
        super().__init__(in_channels, mid_channels, out_channels, stride, initialW, downsample_fb, True)


class BottleneckB(_Bottleneck):
    """A block that keeps the resolution and the number of channels.

    Args:
        in_channels: Channels of the input and the output.
        mid_channels: Channels inside.
        initialW: Initializer of the convolutions.

    Source: He et al. 2015, arXiv:1512.03385.
    """

    def __init__(self, in_channels: int, mid_channels: int, initialW: Any = None) -> None:
        super().__init__(in_channels, mid_channels, in_channels, 1, initialW, False, False)


class BuildingBlock(Chain):
    """The blocks of ResNet that work at one resolution: ``a``, which changes it, then ``b1``, ``b2``, ...

    Args:
        n_layers: Number of blocks.
        in_channels: Channels of the input.
        mid_channels: Channels inside.
        out_channels: Channels of the output.
        stride: Step of the first block.
        initialW: Initializer of the convolutions.
        downsample_fb: Put the stride on the 3 x 3 convolution, as Facebook's models do, not on the first 1 x 1.

    Source: He et al. 2015, arXiv:1512.03385.
    """

    def __init__(
        self,
        n_layers: int,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        stride: int,
        initialW: Any = None,
        downsample_fb: bool = False,
    ) -> None:
        super().__init__()
        self._names = ["a", *(f"b{i}" for i in range(1, n_layers))]
        with self.init_scope():
            self.a = BottleneckA(in_channels, mid_channels, out_channels, stride, initialW, downsample_fb)
            for name in self._names[1:]:
                setattr(self, name, BottleneckB(out_channels, mid_channels, initialW))

    def forward(self, x: Any) -> Variable:
        """Apply the blocks.

        Args:
            x: ``(n, in, h, w)``.

        Returns:
            ``(n, out, h / stride, w / stride)``.
        """
        for name in self._names:
            x = getattr(self, name)(x)
        return x


def _global_average_pooling_2d(x: Any) -> Any:
    n, channels, *size = x.shape
    return F.reshape(F.average_pooling_2d(x, tuple(size), stride=1), (n, channels))


class ResNetLayers(VisionModel):
    """ResNet with 50, 101 or 152 layers.

    Args:
        pretrained_model: Path of an npz file with weights; ``"auto"``: where Chainer keeps it; None: random weights.
        n_layers: 50, 101 or 152.
        downsample_fb: Put strides on the 3 x 3 convolutions, as Facebook's models do, not on the first 1 x 1.

    Raises:
        ValueError: Another number of layers.
        FileNotFoundError: There are no weights where they were looked for.

    Attributes:
        available_layers: Names of the stages.
        functions: Name and functions of each stage, in order.

    Source: He et al. 2015, arXiv:1512.03385.
    """

    mean = (103.063, 115.903, 123.152)
    features = "pool5"

    def __init__(self, pretrained_model: str | None, n_layers: int, downsample_fb: bool = False) -> None:
        super().__init__()
        self._numbered = n_layers > 50  # how the caffemodel names blocks: with letters, or b1, b2, ...
        counts = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
        if n_layers not in counts:
            raise ValueError(f"The n_layers argument should be either 50, 101, or 152, but {n_layers} was given.")
        initialW = initializers.Zero() if pretrained_model else initializers.HeNormal(scale=1.0)
        with self.init_scope():
            self.conv1 = Convolution2D(3, 64, 7, 2, 3, initialW=initialW)
            self.bn1 = BatchNormalization(64)
            channels = 64
            for i, count in enumerate(counts[n_layers]):
                mid, out = 64 << i, 256 << i
                block = BuildingBlock(count, channels, mid, out, 1 if i == 0 else 2, initialW, downsample_fb)
                setattr(self, f"res{i + 2}", block)
                channels = out
            self.fc6 = Linear(2048, 1000)
        self._load(pretrained_model, f"ResNet-{n_layers}-model.npz")

    @classmethod
    def convert_caffemodel_to_npz(
        cls, path_caffemodel: str | os.PathLike[str], path_npz: str | os.PathLike[str], n_layers: int = 50
    ) -> None:
        """Write the weights of a caffemodel as an npz file that this class and Chainer's load.

        Args:
            path_caffemodel: The binary caffemodel.
            path_npz: The file to write.
            n_layers: 50, 101 or 152; a class for one number of layers has its own.

        Raises:
            ValueError: The file is no caffemodel, or not of this network.
        """
        cls._convert(path_caffemodel, path_npz, *([n_layers] if cls is ResNetLayers else []))

    def _caffe_path(self, key: str) -> str:
        """Return where the caffemodel keeps an entry: ``res3/b2/bn1/gamma`` in ``scale3c_branch2a/W``."""
        if key.startswith("fc6"):
            return key.replace("fc6", "fc1000")
        *block, link, entry = key.split("/")
        if block:
            stage, place = block[0].removeprefix("res"), block[1]
            if place != "a" and not (self._numbered and len(list(self[block[0]].children())) > 3):
                place = "abcdefgh"[int(place[1:])]
            name = f"{stage}{place}_" + {"1": "branch2a", "2": "branch2b", "3": "branch2c", "4": "branch1"}[link[-1]]
        else:
            name = "_conv1"
        if link.startswith("conv"):
            return f"res{name}/{entry}" if block else key
        layer = "bn" if entry in ("avg_mean", "avg_var", "N") else "scale"
        return f"{layer}{name}/" + {"gamma": "W", "beta": "bias/b"}.get(entry, entry)

    @property
    def functions(self) -> Stages:
        """Name and functions of each stage, in order."""
        return {
            "conv1": [self.conv1, self.bn1, F.relu],
            "pool1": [lambda x: F.max_pooling_2d(x, ksize=3, stride=2)],
            **{f"res{i}": [getattr(self, f"res{i}")] for i in range(2, 6)},
            "pool5": [_global_average_pooling_2d],
            "fc6": [self.fc6],
            "prob": [F.softmax],
        }


class ResNet50Layers(ResNetLayers):
    """ResNet with 50 layers.

    Args:
        pretrained_model: Path of an npz file with weights; ``"auto"``: where Chainer keeps it; None: random weights.
        downsample_fb: Put strides on the 3 x 3 convolutions, as Facebook's models do, not on the first 1 x 1.

    Raises:
        FileNotFoundError: There are no weights where they were looked for.

    Attributes:
        available_layers: Names of the stages.
        functions: Name and functions of each stage, in order.

    Source: He et al. 2015, arXiv:1512.03385.
    """

    def __init__(self, pretrained_model: str | None = "auto", downsample_fb: bool = False) -> None:
        super().__init__(pretrained_model, 50, downsample_fb)


class ResNet101Layers(ResNetLayers):
    """ResNet with 101 layers.

    Args:
        pretrained_model: Path of an npz file with weights; ``"auto"``: where Chainer keeps it; None: random weights.
        downsample_fb: Put strides on the 3 x 3 convolutions, as Facebook's models do, not on the first 1 x 1.

    Raises:
        FileNotFoundError: There are no weights where they were looked for.

    Attributes:
        available_layers: Names of the stages.
        functions: Name and functions of each stage, in order.

    Source: He et al. 2015, arXiv:1512.03385.
    """

    def __init__(self, pretrained_model: str | None = "auto", downsample_fb: bool = False) -> None:
        super().__init__(pretrained_model, 101, downsample_fb)


class ResNet152Layers(ResNetLayers):
    """ResNet with 152 layers.

    Args:
        pretrained_model: Path of an npz file with weights; ``"auto"``: where Chainer keeps it; None: random weights.
        downsample_fb: Put strides on the 3 x 3 convolutions, as Facebook's models do, not on the first 1 x 1.

    Raises:
        FileNotFoundError: There are no weights where they were looked for.

    Attributes:
        available_layers: Names of the stages.
        functions: Name and functions of each stage, in order.

    Source: He et al. 2015, arXiv:1512.03385.
    """

    def __init__(self, pretrained_model: str | None = "auto", downsample_fb: bool = False) -> None:
        super().__init__(pretrained_model, 152, downsample_fb)


prepare = ResNetLayers.prepare
