"""What the image networks are asked, by real Chainer and by jaxchain."""

import zlib

import numpy as np

MODELS = ["GoogLeNet", "ResNet50Layers", "ResNet101Layers", "ResNet152Layers", "VGG16Layers", "VGG19Layers"]
FORWARDS = {
    "ResNet50Layers": ["pool1", "pool5", "prob"],
    "GoogLeNet": ["conv2", "inception_4d", "inception_5b"],
    "VGG16Layers": ["conv2_2"],
}
HELPERS = {"loss1_fc2": 512, "loss2_fc2": 528}
"""The classifiers on the way of GoogLeNet, and the channels of what they read."""


def fill(key, shape, dtype):
    """Return the values of a serialised entry: of the size of trained ones, the same wherever they are drawn."""
    rng = np.random.RandomState(zlib.crc32(key.encode()))
    leaf = key.rsplit("/", 1)[-1]
    if leaf == "N":
        return np.zeros(shape, dtype)
    if leaf in ("gamma", "avg_var"):
        return rng.uniform(0.5, 1, shape).astype(dtype)
    if leaf == "W":
        return rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(dtype)
    return rng.uniform(-0.2, 0.2, shape).astype(dtype)


def picture(*shape):
    """Return a picture as an array."""
    return np.random.RandomState(5).randint(0, 256, shape).astype(np.uint8)


def images(size):
    """Return the input of a network."""
    return np.random.RandomState(6).uniform(-1, 1, (1, 3, size, size)).astype(np.float32)


def maps(channels):
    """Return what a classifier on the way reads."""
    return np.random.RandomState(7).uniform(0, 1, (1, channels, 14, 14)).astype(np.float32)


def is_used(name, key):
    """Return whether an entry has a part in the answers. VGG's large layers have none."""
    return name != "VGG16Layers" or key < "conv3"


def few(array):
    """Return the part of an answer that is recorded."""
    return array[:, :, :4] if array.ndim == 4 else array
