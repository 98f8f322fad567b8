"""Record the serialised keys and some results of Chainer's vision models into golden/vision.npz and vision.json.

Run with a Python that has Chainer 7.8.1: `python tests/conformance/make_golden_vision.py`.
"""

import json
import sys
from pathlib import Path

import chainer
import chainer.links as L
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from vision_cases import FORWARDS, MODELS, arrays_of, fill, image  # noqa: E402


def main():
    """Write both files."""
    keys, results = {}, {}
    for name in MODELS:
        model = getattr(L, name)(pretrained_model=None)
        keys[name] = {key: list(array.shape) for key, array in sorted(arrays_of(chainer, model).items())}
        for layers, size in FORWARDS.get(name, ()):
            fill(arrays_of(chainer, model))
            with chainer.using_config("train", False), chainer.no_backprop_mode():
                for layer, y in model(image(size), layers=layers).items():
                    results[f"{name}/{layer}"] = y.array
    (HERE / "golden" / "vision.json").write_text(json.dumps(keys, separators=(",", ":")) + "\n")
    np.savez_compressed(HERE / "golden" / "vision.npz", **results)
    print({key: value.shape for key, value in results.items()})


if __name__ == "__main__":
    main()
