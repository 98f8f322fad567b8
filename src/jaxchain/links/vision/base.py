"""What the image classifiers share: stages by name, images, the file of their weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from jaxchain.core.config import get_dtype, no_backprop_mode, using_config
from jaxchain.core.variable import Variable
from jaxchain.dataset import concat_examples, get_dataset_directory
from jaxchain.link import Chain
from jaxchain.links.caffe import CaffeFunction
from jaxchain.serializers import DictionarySerializer, NpzDeserializer, load_npz, save_npz

Stages = dict[str, list[Callable[[Any], Any]]]


class VisionModel(Chain):
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

    def _load(self, pretrained_model: str | os.PathLike[str] | None, file: str) -> None:
        if not pretrained_model:
            return
        path = os.fspath(pretrained_model)
        if path == "auto":
            path = os.path.join(get_dataset_directory("pfnet/chainer/models", False), file)
            caffe = os.path.splitext(path)[0] + ".caffemodel"
            if not os.path.exists(path) and os.path.exists(caffe):
                path = caffe
            if not os.path.exists(path):
                raise FileNotFoundError(
                    f"{type(self).__name__}: no weights at {path}. Put an npz file that Chainer saved or a caffemodel "
                    "there, give its path as pretrained_model, or give None to start from random weights."
                )
        if path.endswith(".caffemodel"):
            self._copy_caffe(path)
        else:
            load_npz(path, self)

    def _caffe_path(self, key: str) -> str:
        """Return where a caffemodel keeps what this model serialises under `key`."""
        return key

    def _copy_caffe(self, path: str | os.PathLike[str]) -> None:
        """Take over the weights of a caffemodel. Biases and counters that it does not have stay as they are.

        Raises:
            ValueError: A weight is missing or has another shape.
        """
        theirs, ours = DictionarySerializer(), DictionarySerializer()
        theirs.save(CaffeFunction(path))
        ours.save(self)
        found = {}
        for key, value in ours.target.items():
            source = self._caffe_path(key)
            if source not in theirs.target and key.rsplit("/", 1)[-1] not in ("b", "N"):
                raise ValueError(f"{type(self).__name__}: {os.fspath(path)} has no {source}, for {key}")
            array = np.asarray(theirs.target.get(source, value))
            if array.shape != np.shape(value):
                raise ValueError(
                    f"{type(self).__name__}: {os.fspath(path)}: {source}: expected the shape {np.shape(value)}, "
                    f"got {array.shape}"
                )
            found[key] = array
        NpzDeserializer(found).load(self)

    @classmethod
    def _convert(cls, path_caffemodel: str | os.PathLike[str], path_npz: str | os.PathLike[str], *args: Any) -> None:
        model = cls(None, *args)  # type: ignore[call-arg]
        model._copy_caffe(path_caffemodel)
        save_npz(path_npz, model, compression=False)

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
