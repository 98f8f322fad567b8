"""GoogLeNet: nine inception blocks, and two classifiers on the way that help it train."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from jaxchain import functions as F
from jaxchain import initializers
from jaxchain.links.convolution import Convolution2D
from jaxchain.links.inception import Inception
from jaxchain.links.linear import Linear
from jaxchain.links.vision.base import Stages, VisionModel

_INCEPTIONS = {
    "inc3a": (192, 64, 96, 128, 16, 32, 32),
    "inc3b": (256, 128, 128, 192, 32, 96, 64),
    "inc4a": (480, 192, 96, 208, 16, 48, 64),
    "inc4b": (512, 160, 112, 224, 24, 64, 64),
    "inc4c": (512, 128, 128, 256, 24, 64, 64),
    "inc4d": (512, 112, 144, 288, 32, 64, 64),
    "inc4e": (528, 256, 160, 320, 32, 128, 128),
    "inc5a": (832, 256, 160, 320, 32, 128, 128),
    "inc5b": (832, 384, 192, 384, 48, 128, 128),
}

_CAFFE_INCEPTION = {
    "conv1": "1x1",
    "proj3": "3x3_reduce",
    "conv3": "3x3",
    "proj5": "5x5_reduce",
    "conv5": "5x5",
    "projp": "pool_proj",
}
_CAFFE_LAYERS = {"conv1": "conv1/7x7_s2", "conv2_reduce": "conv2/3x3_reduce", "conv2": "conv2/3x3"}


def _loss_layer(link: str) -> str:
    """Return Caffe's name of a layer of a classifier: ``loss1_fc2`` is ``loss1/classifier``."""
    loss, layer = link.split("_")
    return f"{loss}/" + {"conv": "conv", "fc1": "fc"}.get(layer, "classifier")


def _pool(x: Any) -> Any:
    return F.max_pooling_2d(x, ksize=3, stride=2)


def _normalize(x: Any) -> Any:
    return F.local_response_normalization(x, n=5, k=1, alpha=1e-4 / 5)


class GoogLeNet(VisionModel):
    """GoogLeNet, with the two classifiers that help it train.

    Args:
        pretrained_model: Path of an npz file with weights; ``"auto"``: where Chainer keeps it; None: random weights.

    Raises:
        FileNotFoundError: There are no weights where they were looked for.

    Attributes:
        available_layers: Names of the stages.
        functions: Name and functions of each stage, in order.

    Source: Szegedy et al. 2014, Going deeper with convolutions, arXiv:1409.4842.
    """

    mean = (104.0, 117.0, 123.0)
    features = "pool5"

    def __init__(self, pretrained_model: str | None = "auto") -> None:
        super().__init__()
        initial: dict[str, Any] = {
            "initialW": initializers.Zero() if pretrained_model else initializers.LeCunUniform(scale=1.0)
        }
        with self.init_scope():
            self.conv1 = Convolution2D(3, 64, 7, stride=2, pad=3, **initial)
            self.conv2_reduce = Convolution2D(64, 64, 1, **initial)
            self.conv2 = Convolution2D(64, 192, 3, stride=1, pad=1, **initial)
            for name, channels in _INCEPTIONS.items():
                setattr(self, name, Inception(*channels))
            self.loss3_fc = Linear(1024, 1000, **initial)
            for loss, channels in ((1, 512), (2, 528)):
                setattr(self, f"loss{loss}_conv", Convolution2D(channels, 128, 1, **initial))
                setattr(self, f"loss{loss}_fc1", Linear(2048, 1024, **initial))
                setattr(self, f"loss{loss}_fc2", Linear(1024, 1000, **initial))
        self._load(pretrained_model, "bvlc_googlenet.npz")

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

    def _caffe_path(self, key: str) -> str:
        """Return where the caffemodel keeps an entry: ``inc3a/proj3/W`` in ``inception_3a/3x3_reduce``."""
        link, *inner, entry = key.split("/")
        if inner:
            return f"inception_{link.removeprefix('inc')}/{_CAFFE_INCEPTION[inner[0]]}/{entry}"
        return f"{_CAFFE_LAYERS.get(link) or _loss_layer(link)}/{entry}"

    @property
    def functions(self) -> Stages:
        """Name and functions of each stage, in order; the helping classifiers last, as they are hardly asked for."""

        def inceptions(*names: str) -> Stages:
            return {f"inception_{name}": [getattr(self, f"inc{name}")] for name in names}

        def helper(loss: int) -> list[Callable[[Any], Any]]:
            conv, fc1, fc2 = (getattr(self, f"loss{loss}_{name}") for name in ("conv", "fc1", "fc2"))
            return [lambda x: F.average_pooling_2d(x, ksize=5, stride=3), conv, F.relu, fc1, F.relu, fc2]

        return {
            "conv1": [self.conv1, F.relu],
            "pool1": [_pool, _normalize],
            "conv2_reduce": [self.conv2_reduce, F.relu],
            "conv2": [self.conv2, F.relu, _normalize],
            "pool2": [_pool],
            **inceptions("3a", "3b"),
            "pool3": [_pool],
            **inceptions("4a", "4b", "4c", "4d", "4e"),
            "pool4": [_pool],
            **inceptions("5a", "5b"),
            "pool5": [lambda x: F.average_pooling_2d(x, ksize=7, stride=1)],
            "loss3_fc": [lambda x: F.dropout(x, ratio=0.4), self.loss3_fc],
            "prob": [F.softmax],
            "loss1_fc2": helper(1),
            "loss2_fc2": helper(2),
        }

    def _branches(self, name: str, x: Any) -> dict[str, Any]:
        return {"inception_4a": {"loss1_fc2": x}, "inception_4d": {"loss2_fc2": x}}.get(name, {})


prepare = GoogLeNet.prepare
