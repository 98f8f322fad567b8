"""Record what real Chainer 7.8.1 does with the image networks into golden/vision.npz.

Run with a Python that has Chainer 7.8.1 (NumPy 1.23) and Pillow: `python make_golden_vision.py` in this folder.
Weights are drawn by vision_cases.py, and not recorded.
"""

import json
import sys
from pathlib import Path

import chainer
import chainer.links as L
import numpy as np
from chainer.links.model.vision import googlenet, resnet, vgg

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from vision_cases import FORWARDS, HELPERS, MODELS, few, fill, images, is_used, maps, picture  # noqa: E402


def main():
    """Write the file."""
    load = chainer.serializers.npz.load_npz
    chainer.serializers.npz.load_npz = lambda *args: None  # models start from zeros: it takes less time
    models = {name: getattr(L, name)("none.npz") for name in MODELS}
    chainer.serializers.npz.load_npz = load
    golden, index = {}, {}
    for name, model in models.items():
        serializer = chainer.serializers.DictionarySerializer()
        serializer.save(model)
        entries = {key: [list(np.shape(v)), np.asarray(v).dtype.name] for key, v in serializer.target.items()}
        index[name] = {"layers": model.available_layers, "entries": entries}
    chainer.config.train = False
    chainer.config.enable_backprop = False
    for name, layers in FORWARDS.items():
        entries = {key: entry for key, entry in index[name]["entries"].items() if is_used(name, key)}
        filled = {key: fill(key, shape, dtype) for key, (shape, dtype) in entries.items()}
        chainer.serializers.NpzDeserializer(filled, strict=False).load(models[name])
        for layer, y in models[name](images(32), layers=layers).items():
            golden[f"{name}/{layer}"] = few(y.array)
    for layer, channels in HELPERS.items():
        h = maps(channels)
        for function in models["GoogLeNet"].functions[layer]:
            h = function(h)
        golden[f"GoogLeNet/{layer}"] = h.array
    for module in (googlenet, resnet, vgg):
        golden[f"prepare/{module.__name__.rpartition('.')[2]}"] = module.prepare(picture(7, 9, 3), (5, 6))
    golden["prepare/grey"] = vgg.prepare(picture(1, 7, 9), None)
    golden["prepare/chw"] = vgg.prepare(picture(3, 7, 9), None)
    path = HERE / "golden" / "vision.npz"
    np.savez_compressed(path, index=np.frombuffer(json.dumps(index).encode(), np.uint8), **golden)
    print(path.name, path.stat().st_size // 1024, "KiB")


if __name__ == "__main__":
    main()
