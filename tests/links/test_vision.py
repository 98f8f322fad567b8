"""The vision models: Chainer's serialised keys, Chainer's numbers, stages, images."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import jaxchain
import jaxchain.links as L
from jaxchain.links import vision

CONFORMANCE = Path(__file__).resolve().parent.parent / "conformance"
sys.path.insert(0, str(CONFORMANCE))
import vision_cases  # noqa: E402

KEYS = json.loads((CONFORMANCE / "golden" / "vision.json").read_text())
GOLDEN = np.load(CONFORMANCE / "golden" / "vision.npz")


@pytest.fixture
def empty(monkeypatch):
    """Models start from zeros and load nothing: random numbers for 140 million weights take their time."""
    monkeypatch.setattr(vision, "load_npz", lambda file, model: None)


@pytest.mark.parametrize("name", vision_cases.MODELS)
def test_serialised_keys_are_chainers(name, empty):
    model = getattr(L, name)(pretrained_model="weights.npz")
    arrays = {path.lstrip("/"): p.shape for path, p in model.namedparams()}
    known = {key: tuple(shape) for key, shape in KEYS[name].items()}
    assert {key: known[key] for key in arrays} == arrays
    statistics = {key for key in known if key not in arrays}
    assert all(key.endswith(("avg_mean", "avg_var", "/N")) for key in statistics)


@pytest.mark.parametrize("name", list(vision_cases.FORWARDS))
def test_results_are_chainers(name, empty):
    model = getattr(L, name)(pretrained_model="weights.npz")
    numbers = vision_cases.values(vision_cases.arrays_of(jaxchain, model))
    jaxchain.serializers.NpzDeserializer(numbers, strict=False).load(model)
    for layers, size in vision_cases.FORWARDS[name]:
        with jaxchain.using_config("train", False), jaxchain.no_backprop_mode():
            found = model.static()(vision_cases.image(size), layers=layers)
        assert list(found) == layers
        for layer, y in found.items():
            known = GOLDEN[f"{name}/{layer}"]
            np.testing.assert_allclose(y.array, known, rtol=2e-3, atol=2e-4 * np.abs(known).max(), err_msg=layer)


class Tiny(vision._Classifier):
    """Two stages on images of any size."""

    mean = (1.0, 2.0, 3.0)
    features = "pool"

    @property
    def functions(self):
        return {"pool": [lambda x: jaxchain.functions.mean(x, axis=(2, 3))], "prob": [jaxchain.functions.softmax]}


def test_images_are_prepared_as_blue_green_red_less_the_mean():
    pytest.importorskip("PIL")
    rgb = np.zeros((4, 6, 3), np.uint8)
    rgb[..., 0] = 10
    x = vision._Classifier.prepare.__func__(Tiny, rgb, None)
    assert x.shape == (3, 4, 6) and x.dtype == np.float32
    np.testing.assert_array_equal(x[:, 0, 0], [-1, -2, 7])
    np.testing.assert_array_equal(Tiny.prepare(rgb.transpose(2, 0, 1), None), x)
    assert Tiny.prepare(rgb).shape == (3, 224, 224)
    assert Tiny.prepare(np.full((1, 4, 6), 5, np.uint8), None)[:, 0, 0].tolist() == [4, 3, 2]


def test_extract_and_predict():
    pytest.importorskip("PIL")
    images = [np.full((8, 8, 3), v, np.uint8) for v in (0, 9)]
    model = Tiny()
    np.testing.assert_allclose(model.extract(images)["pool"].array, [[-1, -2, -3], [8, 7, 6]], atol=1e-5)
    for oversample in (False, True):
        y = model.predict(images, oversample)
        assert y.shape == (2, 3) and y.creator is None
        np.testing.assert_allclose(np.asarray(y.array).sum(1), 1, rtol=1e-5)


def test_what_is_not_there_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("CHAINER_DATASET_ROOT", str(tmp_path))
    with pytest.raises(ValueError, match=r"no layers \['fc9'\]. There are pool, prob"):
        Tiny()(np.zeros((1, 3, 2, 2), np.float32), layers=["fc9"])
    with pytest.raises(ValueError, match="16 or 19"):
        vision.VGGLayers(None, 17)
    with pytest.raises(ValueError, match="50, 101, or 152"):
        vision.ResNetLayers(None, 18)
    jaxchain.dataset.set_dataset_root(str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"ResNet-50-model.npz"):
        L.ResNet50Layers()
