"""What the vision models are asked, by real Chainer and by jaxchain."""

import zlib

import numpy as np

MODELS = ("VGG16Layers", "VGG19Layers", "ResNet50Layers", "ResNet101Layers", "ResNet152Layers", "GoogLeNet")
FORWARDS = {
    "ResNet50Layers": [(["pool5", "prob"], 64)],
    "GoogLeNet": [(["pool2", "inception_4a"], 64)],
}


def image(size):
    """Return one image of noise."""
    return np.random.RandomState(1).randn(1, 3, size, size).astype(np.float32)


def arrays_of(framework, model):
    """Return the arrays that are serialised, by key."""
    target = {}
    serializer = framework.serializers.DictionarySerializer(target)
    serializer.save(model)
    return {key: value for key, value in target.items() if isinstance(value, np.ndarray)}


def values(arrays):
    """Return reproducible numbers of the size that keeps activations near one, by key."""
    found = {}
    for key, array in arrays.items():
        if not array.ndim:
            continue
        draw = np.random.RandomState(zlib.crc32(key.encode()) % 2**31)
        if key.endswith("/W"):
            scale = np.sqrt(2 / np.prod(array.shape[1:]))
        elif key.endswith(("gamma", "avg_var")):
            found[key] = draw.uniform(0.5, 1, array.shape).astype(array.dtype)
            continue
        else:
            scale = 0.1
        found[key] = (scale * draw.randn(*array.shape)).astype(array.dtype)
    return found


def fill(arrays):
    """Write the numbers in place, where arrays are the model's own."""
    for key, value in values(arrays).items():
        arrays[key][...] = value
