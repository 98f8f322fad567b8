"""VGG: 3 x 3 convolutions, 16 or 19 layers with weights."""

from __future__ import annotations

import os
from typing import Any

from jaxchain import functions as F
from jaxchain import initializers
from jaxchain.links.convolution import Convolution2D
from jaxchain.links.linear import Linear
from jaxchain.links.vision.base import Stages, VisionModel


class VGGLayers(VisionModel):
    """VGG with 16 or 19 layers.

    Args:
        pretrained_model: Path of an npz file with weights; ``"auto"``: where Chainer keeps it; None: random weights.
        n_layers: 16 or 19.

    Raises:
        ValueError: Another number of layers.
        FileNotFoundError: There are no weights where they were looked for.

    Attributes:
        available_layers: Names of the stages.
        functions: Name and functions of each stage, in order.

    Source: Simonyan and Zisserman 2014, arXiv:1409.1556.
    """

    mean = (103.939, 116.779, 123.68)
    features = "fc7"

    def __init__(self, pretrained_model: str | None = "auto", n_layers: int = 16) -> None:
        super().__init__()
        if n_layers not in (16, 19):
            raise ValueError(f"The n_layers argument should be either 16 or 19, but {n_layers} was given.")
        initialW = initializers.Zero() if pretrained_model else initializers.Normal(0.01)
        initial: dict[str, Any] = {"initialW": initialW, "initial_bias": initializers.Zero()}
        self._counts = (2, 2, 3, 3, 3) if n_layers == 16 else (2, 2, 4, 4, 4)
        channels = 3
        with self.init_scope():
            for block, (count, out) in enumerate(zip(self._counts, (64, 128, 256, 512, 512), strict=True), 1):
                for i in range(1, count + 1):
                    setattr(self, f"conv{block}_{i}", Convolution2D(channels, out, 3, 1, 1, **initial))
                    channels = out
            self.fc6 = Linear(512 * 7 * 7, 4096, **initial)
            self.fc7 = Linear(4096, 4096, **initial)
            self.fc8 = Linear(4096, 1000, **initial)
        self._load(pretrained_model, f"VGG_ILSVRC_{n_layers}_layers.npz")

    @classmethod
    def convert_caffemodel_to_npz(
        cls, path_caffemodel: str | os.PathLike[str], path_npz: str | os.PathLike[str]
    ) -> None:
        """Write the weights of a caffemodel as an npz file that this class and Chainer's load.

        Args:
            path_caffemodel: The binary caffemodel.
            path_npz: The file to write.

        Raises:
            ValueError: The file is no caffemodel, or not of this network.
        """
        cls._convert(path_caffemodel, path_npz)

    @property
    def functions(self) -> Stages:
        """Name and functions of each stage, in order."""
        stages: Stages = {}
        for block, count in enumerate(self._counts, 1):
            for i in range(1, count + 1):
                stages[f"conv{block}_{i}"] = [getattr(self, f"conv{block}_{i}"), F.relu]
            stages[f"pool{block}"] = [lambda x: F.max_pooling_2d(x, ksize=2)]
        return stages | {
            "fc6": [self.fc6, F.relu, F.dropout],
            "fc7": [self.fc7, F.relu, F.dropout],
            "fc8": [self.fc8],
            "prob": [F.softmax],
        }


class VGG16Layers(VGGLayers):
    """VGG with 16 layers.

    Args:
        pretrained_model: Path of an npz file with weights; ``"auto"``: where Chainer keeps it; None: random weights.

    Raises:
        FileNotFoundError: There are no weights where they were looked for.

    Attributes:
        available_layers: Names of the stages.
        functions: Name and functions of each stage, in order.

    Source: Simonyan and Zisserman 2014, arXiv:1409.1556.
    """

    def __init__(self, pretrained_model: str | None = "auto") -> None:
        super().__init__(pretrained_model, 16)


class VGG19Layers(VGGLayers):
    """VGG with 19 layers.

    Args:
        pretrained_model: Path of an npz file with weights; ``"auto"``: where Chainer keeps it; None: random weights.

    Raises:
        FileNotFoundError: There are no weights where they were looked for.

    Attributes:
        available_layers: Names of the stages.
        functions: Name and functions of each stage, in order.

    Source: Simonyan and Zisserman 2014, arXiv:1409.1556.
    """

    def __init__(self, pretrained_model: str | None = "auto") -> None:
        super().__init__(pretrained_model, 19)


prepare = VGGLayers.prepare
