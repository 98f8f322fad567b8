"""The vision models: Chainer's serialised entries, Chainer's numbers, stages, images."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import vision_cases as cases

import jaxchain
import jaxchain.links as L
from jaxchain.links.vision import base, resnet, vgg

CONFORMANCE = Path(__file__).resolve().parent.parent / "conformance"
GOLDEN = np.load(CONFORMANCE / "golden" / "vision.npz")
INDEX = json.loads(GOLDEN["index"].tobytes())


def check(y, key):
    """Compare an answer with Chainer's: 20 times the largest difference seen, of the largest number."""
    known = GOLDEN[key]
    y = cases.few(np.asarray(y))
    assert y.shape == known.shape and y.dtype == known.dtype
    np.testing.assert_allclose(y, known, rtol=0, atol=1e-4 * np.abs(known).max(), err_msg=key)


@pytest.mark.parametrize("name", cases.MODELS)
def test_stages_and_serialised_entries_are_chainers(name, monkeypatch):
    # models start from zeros and load nothing: random numbers for 140 million weights take their time
    monkeypatch.setattr(base, "load_npz", lambda file, model: None)
    model = getattr(L, name)(pretrained_model="weights.npz")
    assert model.available_layers == INDEX[name]["layers"]
    serializer = jaxchain.serializers.DictionarySerializer()
    serializer.save(model)
    shapes = {key: list(np.shape(array)) for key, array in serializer.target.items()}
    assert shapes == {key: shape for key, (shape, _) in INDEX[name]["entries"].items()}


@pytest.mark.parametrize("name", ["ResNet50Layers", "GoogLeNet"])
def test_results_are_chainers_with_weights_from_a_file(name, tmp_path):
    weights = tmp_path / "weights.npz"
    np.savez(weights, **{key: cases.fill(key, *entry) for key, entry in INDEX[name]["entries"].items()})
    model = getattr(L, name)(pretrained_model=str(weights))
    weights.unlink()
    layers = cases.FORWARDS[name]
    with jaxchain.using_config("train", False), jaxchain.no_backprop_mode():
        found = model.static()(cases.images(32), layers=layers)
        assert list(found) == layers
        for layer, y in found.items():
            check(y.array, f"{name}/{layer}")
        for layer, channels in cases.HELPERS.items() if name == "GoogLeNet" else ():
            h = cases.maps(channels)
            for function in model.functions[layer]:
                h = function(h)
            check(h.array, f"{name}/{layer}")


def test_vgg_is_chainers_up_to_its_second_pooling(monkeypatch):
    monkeypatch.setattr(base, "load_npz", lambda file, model: None)
    model = L.VGG16Layers("weights.npz")
    entries = {key: e for key, e in INDEX["VGG16Layers"]["entries"].items() if cases.is_used("VGG16Layers", key)}
    filled = {key: cases.fill(key, *entry) for key, entry in entries.items()}
    jaxchain.serializers.NpzDeserializer(filled, strict=False).load(model)
    check(model(cases.images(32), layers=["conv2_2"])["conv2_2"].array, "VGG16Layers/conv2_2")


def test_downsample_fb_moves_the_step(monkeypatch):
    monkeypatch.setattr(base, "load_npz", lambda file, model: None)
    for fb, strides in ((False, ((2, 2), (1, 1))), (True, ((1, 1), (2, 2)))):
        a = L.ResNet50Layers("weights.npz", downsample_fb=fb).res3.a
        assert (a.conv1.stride, a.conv2.stride) == strides and a.conv4.stride == (2, 2)


@pytest.mark.parametrize("name", ["googlenet", "resnet", "vgg"])
def test_pictures_are_prepared_as_chainer_does(name):
    pytest.importorskip("PIL")
    prepare = importlib.import_module(f"jaxchain.links.vision.{name}").prepare
    # a resize may round otherwise in another version of Pillow
    np.testing.assert_allclose(prepare(cases.picture(7, 9, 3), (5, 6)), GOLDEN[f"prepare/{name}"], atol=1.01)


def test_arrays_of_other_shapes_are_prepared():
    pytest.importorskip("PIL")
    np.testing.assert_array_equal(vgg.prepare(cases.picture(1, 7, 9), None), GOLDEN["prepare/grey"])
    np.testing.assert_array_equal(vgg.prepare(cases.picture(3, 7, 9), None), GOLDEN["prepare/chw"])
    assert resnet.prepare(cases.picture(7, 9)).shape == (3, 224, 224)


def test_without_pillow_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        vgg.prepare(cases.picture(7, 9))


class Tiny(base.VisionModel):
    """Two stages on images of any size."""

    mean = (1.0, 2.0, 3.0)
    features = "pool"

    @property
    def functions(self):
        return {"pool": [lambda x: jaxchain.functions.mean(x, axis=(2, 3))], "prob": [jaxchain.functions.softmax]}


def test_extract_and_predict():
    pytest.importorskip("PIL")
    images = [np.full((8, 8, 3), v, np.uint8) for v in (0, 9)]
    model = Tiny()
    np.testing.assert_allclose(model.extract(images)["pool"].array, [[-1, -2, -3], [8, 7, 6]], atol=1e-5)
    known = np.exp([-1.0, -2.0, -3.0]) / np.exp([-1.0, -2.0, -3.0]).sum()
    for oversample in (False, True):
        y = model.predict(images, oversample)
        assert y.creator is None
        np.testing.assert_allclose(y.array, [known, known], rtol=1e-5)


def test_ten_crops():
    x = np.arange(2 * 256 * 256, dtype=np.float32).reshape(1, 2, 256, 256)
    crops = base._crops(x)
    corners = sorted(int(crop[0, 0, 0, 0]) for crop in crops)
    lefts = [top * 256 + left for top in (0, 32) for left in (0, 32)] + [16 * 256 + 16]
    assert corners == sorted([*lefts, *[left + 223 for left in lefts]])
    assert {crop.shape for crop in crops} == {(1, 2, 224, 224)}


def test_what_is_not_there_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "get_dataset_directory", lambda name, create: str(tmp_path / name))
    with pytest.raises(ValueError, match=r"no layers \['fc9'\]. There are pool, prob"):
        Tiny()(np.zeros((1, 3, 2, 2), np.float32), layers=["fc9"])
    with pytest.raises(ValueError, match="16 or 19"):
        vgg.VGGLayers(None, 17)
    with pytest.raises(ValueError, match="50, 101, or 152"):
        resnet.ResNetLayers(None, 18)
    with pytest.raises(FileNotFoundError, match=r"no weights at .*pfnet.chainer.models.ResNet-50-model.npz"):
        L.ResNet50Layers()
    with pytest.raises(FileNotFoundError):
        L.GoogLeNet("bvlc_googlenet.caffemodel")
