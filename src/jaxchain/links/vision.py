"""Image classifiers of the literature: VGG, ResNet, GoogLeNet, as networks that load weights from an npz file.

Their names, sizes and serialised keys are Chainer's, so a file that real Chainer wrote loads. Weights come with none of
them: with ``pretrained_model="auto"`` a model looks for its file where Chainer keeps it, in the folder
``pfnet/chainer/models`` of the dataset root.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from jaxchain import functions as F
from jaxchain import initializers
from jaxchain.core.config import get_dtype, no_backprop_mode, using_config
from jaxchain.core.variable import Variable
from jaxchain.dataset import concat_examples, get_dataset_directory
from jaxchain.link import Chain
from jaxchain.links.convolution import Convolution2D
from jaxchain.links.inception import Inception
from jaxchain.links.linear import Linear
from jaxchain.links.normalization import BatchNormalization
from jaxchain.serializers import load_npz

Stages = dict[str, list[Callable[[Any], Any]]]


class _Classifier(Chain):
    """A network in named stages. Subclasses give `functions`, the mean colour, and the file of their weights."""

    mean: ClassVar[tuple[float, float, float]]  # blue, green, red
    features: ClassVar[str]  # the stage that `extract` returns

    @property
    def functions(self) -> Stages:
        """Name and functions of each stage, in order."""
        raise NotImplementedError

    @property
    def available_layers(self) -> list[str]:
        """Names of the stages."""
        return list(self.functions)

    def _load(self, pretrained_model: str | None, file: str | None) -> None:
        if pretrained_model == "auto":
            folder = get_dataset_directory("pfnet/chainer/models", False)
            pretrained_model = os.path.join(folder, file) if file else None
            if pretrained_model is None or not os.path.exists(pretrained_model):
                raise FileNotFoundError(
                    f"{type(self).__name__}: no weights at {pretrained_model}. Put an npz file that Chainer saved "
                    "there, give its path as pretrained_model, or give None to start from random weights."
                )
        if pretrained_model:
            load_npz(pretrained_model, self)

    def forward(self, x: Any, layers: Sequence[str] | None = None) -> dict[str, Variable]:
        """Compute stages of the network.

        Args:
            x: Images ``(n, 3, h, w)`` that `prepare` made: blue, green, red, less the mean.
            layers: Names of the stages that are asked for; None: ``["prob"]``.

        Returns:
            Result of each stage by name. Stages behind the last of them are not computed.

        Raises:
            ValueError: There is no such stage.
        """
        wanted = set(["prob"] if layers is None else layers)
        unknown = wanted - set(self.available_layers)
        if unknown:
            raise ValueError(
                f"{type(self).__name__}: no layers {sorted(unknown)}. There are {', '.join(self.available_layers)}"
            )
        found: dict[str, Variable] = {}
        kept: dict[str, Any] = {}
        for name, functions in self.functions.items():
            if wanted <= found.keys():
                break
            x = kept.get(name, x)
            for function in functions:
                x = function(x)
            kept.update(self._branches(name, x))
            if name in wanted:
                found[name] = x
        return found

    def _branches(self, name: str, x: Any) -> dict[str, Any]:
        """Return the stages that start from this one's result and not from the one before them."""
        return {}

    def extract(
        self, images: Iterable[Any], layers: Sequence[str] | None = None, size: tuple[int, int] | None = (224, 224)
    ) -> dict[str, Variable]:
        """Compute stages of the network on images as they are.

        Args:
            images: Pillow's images, or NumPy arrays in RGB.
            layers: Names of the stages; None: the last one before the classifier.
            size: Size that images are brought to, or None: they have one size already.

        Returns:
            Result of each stage by name.
        """
        x = concat_examples([self.prepare(image, size) for image in images])
        return self(Variable(x), layers=[self.features] if layers is None else layers)

    def predict(self, images: Iterable[Any], oversample: bool = True) -> Variable:
        """Return the probabilities of the classes, in evaluation mode and without a graph.

        Args:
            images: Pillow's images, or NumPy arrays in RGB.
            oversample: Average over the centre, the corners and their mirror images; else the centre only.

        Returns:
            ``(n, classes)``.
        """
        x = np.asarray(concat_examples([self.prepare(image, (256, 256)) for image in images]))
        crops = _crops(x) if oversample else [x[:, :, 16:240, 16:240]]
        with no_backprop_mode(), using_config("train", False):
            total: Any = 0
            for crop in crops:
                total = total + self(Variable(crop), layers=["prob"])["prob"]
            return total / len(crops)

    @classmethod
    def prepare(cls, image: Any, size: tuple[int, int] | None = (224, 224)) -> np.ndarray:
        """Return an image as the network takes it.

        Args:
            image: Pillow's image, or a NumPy array in RGB: ``(h, w)``, ``(h, w, 3)``, ``(3, h, w)`` or ``(1, h, w)``.
            size: Size (width, height) it is brought to, or None.

        Returns:
            ``(3, h, w)``: blue, green, red, less the mean; dtype ``config.dtype``.

        Raises:
            ImportError: Pillow is not installed.
        """
        try:
            from PIL import Image
        except ImportError as error:
            raise ImportError(f"{cls.__name__}.prepare needs Pillow: pip install pillow") from error
        if isinstance(image, np.ndarray):
            if image.ndim == 3 and image.shape[0] in (1, 3):
                image = image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0)
            image = Image.fromarray(image.astype(np.uint8))
        image = image.convert("RGB")
        if size:
            image = image.resize(size)
        dtype = get_dtype(None)
        return (np.asarray(image, dtype)[:, :, ::-1] - np.array(cls.mean, dtype)).transpose(2, 0, 1)


def _crops(x: np.ndarray, size: int = 224) -> list[np.ndarray]:
    """Return the centre and the corners of images, and their mirror images."""
    far = [n - size for n in x.shape[2:]]
    corners = [(far[0] // 2, far[1] // 2), (0, 0), (0, far[1]), (far[0], 0), (far[0], far[1])]
    crops = [x[:, :, top : top + size, left : left + size] for top, left in corners]
    return [*crops, *[crop[:, :, :, ::-1] for crop in crops]]


# -- VGG ------------------------------------------------------------------------------------------------------------


class VGGLayers(_Classifier):
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


# -- ResNet ---------------------------------------------------------------------------------------------------------


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
            self.a = _Bottleneck(in_channels, mid_channels, out_channels, stride, initialW, downsample_fb, True)
            for name in self._names[1:]:
                setattr(self, name, _Bottleneck(out_channels, mid_channels, out_channels, 1, initialW, False, False))

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


class ResNetLayers(_Classifier):
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


# -- GoogLeNet ------------------------------------------------------------------------------------------------------

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


def _pool(x: Any) -> Any:
    return F.max_pooling_2d(x, ksize=3, stride=2)


def _normalize(x: Any) -> Any:
    return F.local_response_normalization(x, n=5, k=1, alpha=1e-4 / 5)


class GoogLeNet(_Classifier):
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
