"""`CaffeFunction` against real Chainer's, and the vision models' weights from caffemodels."""

import copy
import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain.links.caffe import CaffeFunction
from jaxchain.links.vision import base, resnet, vgg
from jaxchain.serializers import DictionarySerializer, load_npz

GOLDEN = np.load(Path(__file__).parents[1] / "conformance" / "golden" / "caffe.npz")


@pytest.fixture(params=["new", "old"])
def name(request):
    return request.param


def file_of(name, folder):
    path = folder / f"{name}.caffemodel"
    path.write_bytes(GOLDEN[f"{name}.caffemodel"].tobytes())
    return path


def read(name, folder):
    with pytest.warns(UserWarning, match="CaffeFunction does not support"):
        return CaffeFunction(file_of(name, folder))


def test_every_blob_is_chainers(name, tmp_path, mode):
    function = read(name, tmp_path)
    blobs = [k.split(" blob ")[1] for k in GOLDEN.files if k.startswith(f"{name} blob ")]
    with jaxchain.using_config("train", False):
        found = function({"data": GOLDEN["x"], "label": GOLDEN["label"]}, blobs)
    assert isinstance(found, tuple) and len(found) == len(blobs) > 6
    for blob, y in zip(blobs, found, strict=True):
        np.testing.assert_allclose(y.array, GOLDEN[f"{name} blob {blob}"], rtol=1e-5, atol=1e-5, err_msg=blob)


def test_entries_are_chainers(name, tmp_path):
    serializer = DictionarySerializer()
    serializer.save(read(name, tmp_path))
    found = {k: list(np.shape(v)) for k, v in serializer.target.items()}
    assert found == json.loads(bytes(GOLDEN[f"{name} entries"]))


def test_layers_can_be_left_out_and_blobs_must_be_there(tmp_path):
    function = read("new", tmp_path)
    inputs = {"data": GOLDEN["x"]}
    with jaxchain.using_config("train", False):
        (with_relu,) = function(inputs=inputs, outputs=["lrn"])
        (without,) = function(inputs=inputs, outputs=["lrn"], disable=["relu"])
        (inner,) = function(inputs={"flat": np.ones((3, 6), np.float32)}, outputs=["fc"])
    assert abs(with_relu.array - without.array).max() > 0.1
    np.testing.assert_allclose(inner.array, function["fc"](np.ones((3, 6), np.float32)).array)
    with pytest.raises(KeyError, match=r"no blobs \['loss'\]") as raised:
        function(inputs, ["loss"])
    assert "test_caffe.py" in raised.value.__notes__[0]  # a key stays the error's text


@pytest.mark.parametrize("mode", ["deep", "share", "copy", "init"])
def test_a_copy_calls_its_own_links(mode, tmp_path):
    function = read("new", tmp_path)
    other = copy.deepcopy(function) if mode == "deep" else function.copy(mode)
    before = function.fc.W.array
    other.fc.W.array = np.zeros_like(before)
    flat = {"flat": np.ones((3, 6), np.float32)}
    np.testing.assert_allclose(other(flat, ["fc"])[0].array, np.broadcast_to(other.fc.b.array, (3, 5)))
    np.testing.assert_array_equal(function.fc.W.array, np.zeros_like(before) if mode == "share" else before)
    F.sum(other(flat, ["fc"])[0]).backward()
    assert other.fc.W.grad is not None and function.fc.W.grad is None


def test_gradients_reach_the_weights(tmp_path, mode):
    function = read("old", tmp_path)
    (y,) = function({"data": GOLDEN["x"]}, ["prob"])
    jaxchain.functions.sum(y[:, 0]).backward()
    assert abs(function["conv/1"].W.grad).max() > 0


@pytest.mark.parametrize("cut", [1, 10, 100, 1000])
def test_a_truncated_file_is_refused(cut, tmp_path):
    path = tmp_path / "cut.caffemodel"
    path.write_bytes(GOLDEN["new.caffemodel"].tobytes()[:-cut])
    with pytest.raises(ValueError, match="no caffemodel"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        CaffeFunction(path)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 an npz file perhaps", b"name: 'a prototxt' layer { }", b"\xff" * 40]
)
def test_another_file_is_refused(content, tmp_path):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="caffemodel"):
        CaffeFunction(path)


# -- the vision models -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [50, 101, 152])
def test_resnet_knows_where_chainer_takes_its_weights_from(layers, monkeypatch):
    monkeypatch.setattr(resnet.BuildingBlock, "__init__", lean_block)
    model = resnet.ResNetLayers(None, layers)
    for key, source in json.loads(bytes(GOLDEN["names"]))[f"ResNet{layers}Layers"].items():
        assert model._caffe_path(key) == source


def lean_block(self, n_layers, *_):
    """Stand for a stage: so many blocks, without weights."""
    jaxchain.Chain.__init__(self)
    for k in range(n_layers):
        self.add_link("a" if k == 0 else f"b{k}", jaxchain.Chain())


def test_googlenet_knows_where_chainer_takes_its_weights_from():
    for key, source in json.loads(bytes(GOLDEN["names"]))["GoogLeNet"].items():
        assert L.GoogLeNet._caffe_path(None, key) == source


class Tiny(base.VisionModel):
    """A classifier with the layers of the second file."""

    mean, features = (1.0, 2.0, 3.0), "conv"

    def __init__(self, pretrained_model="auto"):
        super().__init__()
        with self.init_scope():
            self.conv, self.fc = L.Convolution2D(4, 3, (2, 3)), L.Linear(36, 4)
        self._load(pretrained_model, "tiny.npz")

    def _caffe_path(self, key):
        return key.replace("conv/", "conv/1/")

    convert_caffemodel_to_npz = classmethod(vgg.VGGLayers.convert_caffemodel_to_npz.__func__)


@pytest.mark.filterwarnings("ignore:Skip the layer")
def test_weights_of_a_caffemodel(tmp_path, monkeypatch):
    path = file_of("old", tmp_path)
    expected = CaffeFunction(path)
    converted = tmp_path / "tiny.npz"
    Tiny.convert_caffemodel_to_npz(path, converted)
    from_npz = Tiny(None)
    load_npz(converted, from_npz)
    monkeypatch.setattr(base, "get_dataset_directory", lambda name, create: str(tmp_path))
    (tmp_path / "tiny.caffemodel").write_bytes(path.read_bytes())
    by_npz = Tiny()
    converted.unlink()
    for model in (from_npz, by_npz, Tiny(), Tiny(str(path)), pickle.loads(pickle.dumps(by_npz))):
        np.testing.assert_array_equal(model.conv.W.array, expected["conv/1"].W.array)
        np.testing.assert_array_equal(model.fc.b.array, expected.fc.b.array)


@pytest.mark.filterwarnings("ignore:Skip the layer")
def test_a_caffemodel_of_another_network_is_refused(tmp_path):
    class Other(Tiny):
        def _caffe_path(self, key):
            return key

    with pytest.raises(ValueError, match="has no conv/W, for conv/W"):
        Other(str(file_of("old", tmp_path)))
    with pytest.raises(ValueError, match=r"GoogLeNet: .*has no .*, for "):
        L.GoogLeNet.convert_caffemodel_to_npz(file_of("new", tmp_path), tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()
