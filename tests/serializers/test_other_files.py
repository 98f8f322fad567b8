"""HDF5, safetensors and Orbax: what is saved is loaded, in new objects, with None and texts."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
import jaxchain.links as L
from jaxchain import Chain, optimizers, serializers


class Model(Chain):
    def __init__(self, lazy=False):
        super().__init__()
        with self.init_scope():
            self.l = L.Linear(None if lazy else 3, 4)
            self.b = L.BatchNormalization(4)
        self.add_persistent("count", 3)
        self.add_persistent("title", "one")


def trained():
    model = Model()
    optimizer = optimizers.Adam().setup(model)
    optimizer.update(lambda: jaxchain.functions.sum(model.b(model.l(np.ones((2, 3), np.float32)))))
    model.count, model.title = 7, "zwölf"
    return model, optimizer


class Both:
    """A model and its optimizer."""

    def __init__(self, model, optimizer):
        self.model, self.optimizer = model, optimizer

    def serialize(self, serializer):
        self.model.serialize(serializer["model"])
        self.optimizer.serialize(serializer["optimizer"])


def values(obj):
    serializer = serializers.DictionarySerializer()
    serializer.save(obj)
    return serializer.target


FORMATS = {
    "npz": (serializers.save_npz, serializers.load_npz, None),
    "hdf5": (serializers.save_hdf5, serializers.load_hdf5, "h5py"),
    "safetensors": (serializers.save_safetensors, serializers.load_safetensors, "safetensors"),
    "orbax": (serializers.save_orbax, serializers.load_orbax, "orbax.checkpoint"),
}


@pytest.fixture(params=FORMATS)
def files(request):
    save, load, needs = FORMATS[request.param]
    if needs:
        pytest.importorskip(needs)
    return save, load


def test_what_is_saved_is_loaded(files, tmp_path):
    save, load = files
    saved = Both(*trained())
    save(tmp_path / "file", saved)
    save(tmp_path / "file", saved)  # over the old one
    model = Model()
    loaded = Both(model, optimizers.Adam().setup(model))
    loaded.optimizer.update(lambda: jaxchain.functions.sum(model.b(model.l(np.zeros((2, 3), np.float32)))))
    load(tmp_path / "file", loaded)
    assert (model.count, model.title) == (7, "zwölf")
    known, found = values(saved), values(loaded)
    assert known.keys() == found.keys()
    for key, value in known.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)
        assert found[key].dtype == value.dtype, key


def test_parameters_that_are_not_initialised_stay_so(files, tmp_path):
    save, load = files
    save(tmp_path / "file", Model(lazy=True))
    model = Model(lazy=True)
    load(tmp_path / "file", model)
    assert model.l.W.array is None


@pytest.mark.parametrize("updates", [0, 2])
def test_optimizers_of_parameters_that_had_no_update(files, tmp_path, updates):
    """Chainer cannot load these."""
    save, load = files

    def make():
        model = jaxchain.Chain(used=L.Linear(3, 4, initialW=1), lazy=L.Linear(None, 2))
        return model, optimizers.Adam().setup(model)

    def step(model, optimizer):
        optimizer.update(lambda: jaxchain.functions.sum(model.used(np.ones((2, 3), np.float32)) ** 2))

    model, optimizer = make()
    for _ in range(updates):
        step(model, optimizer)
    save(tmp_path / "file", optimizer)
    other, resumed = make()
    load(tmp_path / "file", resumed)
    rules = other.used.W.update_rule, other.lazy.W.update_rule
    assert (resumed.t, [rule.t for rule in rules], rules[1].state) == (updates, [updates, updates], None)
    assert (rules[0].state is None) == (updates == 0)
    other.used.W.array, other.used.b.array = model.used.W.array, model.used.b.array
    for each in (model, optimizer), (other, resumed):
        step(*each)
    np.testing.assert_array_equal(other.used.W.array, model.used.W.array)
    other.lazy(np.ones((2, 3), np.float32))
    step(other, resumed)
    assert sorted(rules[1].state) == ["m", "v"]
    if updates:
        with pytest.raises(KeyError, match="ms"):
            load(tmp_path / "file", optimizers.RMSprop().setup(make()[0]))


def test_a_missing_key_and_a_wrong_shape_are_errors(files, tmp_path):
    save, load = files
    save(tmp_path / "file", L.Linear(3, 4, nobias=True))
    with pytest.raises(KeyError, match="b"):
        load(tmp_path / "file", L.Linear(3, 4))
    with pytest.raises(ValueError, match=r"expected shape \(5, 3\), got \(4, 3\)"):
        load(tmp_path / "file", L.Linear(3, 5, nobias=True))


def test_half_precision_comes_back(files, tmp_path):
    save, load = files
    for dtype in (np.float16, jnp.bfloat16):
        link = jaxchain.Link(w=((3,), np.float32))
        link.w.array = np.array([1, 2.5, -0.1], dtype)
        save(tmp_path / str(dtype.__name__), link)
        other = jaxchain.Link(w=((3,), np.float32))
        other.w.array = np.zeros(3, dtype)
        load(tmp_path / str(dtype.__name__), other)
        np.testing.assert_array_equal(other.w.array, link.w.array)


def test_hdf5_serializers_work_on_groups(tmp_path):
    h5py = pytest.importorskip("h5py")
    model, _ = trained()
    with h5py.File(tmp_path / "file", "w") as file:
        serializers.HDF5Serializer(file.create_group("some/where")).save(model)
        assert sorted(file["some/where/l"]) == ["W", "b"]
    other = Model()
    with h5py.File(tmp_path / "file", "r") as file:
        serializers.HDF5Deserializer(file["some/where"]).load(other)
        serializers.HDF5Deserializer(file["some"], strict=False).load(Model())
    np.testing.assert_array_equal(other.l.W.array, model.l.W.array)


def test_hdf5_children_know_their_group(tmp_path):
    """As Chainer's: objects with a `serialize` of their own may look at it."""
    pytest.importorskip("h5py")
    seen = []

    class Own:
        def serialize(self, serializer):
            child = serializer["a"]["b"]
            child("x", np.zeros(2))
            seen.append((type(serializer), type(child), child.group.name, getattr(child, "compression", None)))
            seen.append(None if isinstance(child, serializers.HDF5Serializer) else serializer["none"].group)

    serializers.save_hdf5(tmp_path / "file", Own(), compression=3)
    serializers.load_hdf5(tmp_path / "file", Own())
    saved, loaded = serializers.HDF5Serializer, serializers.HDF5Deserializer
    assert seen == [(saved, saved, "/a/b", 3), None, (loaded, loaded, "/a/b", None), None]


def test_chainers_hdf5_file_loads():
    """golden/chainer.h5 is real Chainer's, of a Chain with l = Linear(3, 4) filled with 0, 1, 2, ..."""
    pytest.importorskip("h5py")
    from pathlib import Path

    model = Chain(l=L.Linear(3, 4), lazy=L.Linear(None, 2))
    serializers.load_hdf5(Path(__file__).parent / "golden" / "chainer.h5", model)
    np.testing.assert_array_equal(model.l.W.array, np.arange(12).reshape(4, 3))
    np.testing.assert_array_equal(model.l.b.array, np.arange(4))
    assert model.lazy.W.array is None


def test_orbax_checkpoints_of_others_and_for_others(tmp_path):
    ocp = pytest.importorskip("orbax.checkpoint")
    tree = {"l": {"W": np.full((4, 3), 2, np.float32), "b": np.full(4, 3, np.float32)}}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "theirs", tree)
    model = jaxchain.Chain(l=L.Linear(3, 4))
    serializers.load_orbax(tmp_path / "theirs", model)
    np.testing.assert_array_equal(model.l.W.array, tree["l"]["W"])
    serializers.save_orbax(tmp_path / "ours", model)
    kinds = {key: ocp.RestoreArgs(restore_type=np.ndarray) for key in ("l/W", "l/b")}
    args = ocp.args.PyTreeRestore(restore_args=kinds)
    found = ocp.PyTreeCheckpointHandler().restore(tmp_path / "ours" / "arrays", args=args)
    assert found.keys() == {"l/W", "l/b"}
    np.testing.assert_array_equal(found["l/b"], tree["l"]["b"])
    (tmp_path / "none").mkdir()
    with pytest.raises(FileNotFoundError, match="there is no Orbax checkpoint of arrays at"):
        serializers.load_orbax(tmp_path / "none", model)


def test_a_package_that_is_not_there_is_named(monkeypatch, tmp_path):
    import sys

    for package, save in (
        ("h5py", serializers.save_hdf5),
        ("safetensors", serializers.save_safetensors),
        ("orbax", serializers.save_orbax),
    ):
        for name in [n for n in sys.modules if n.split(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(RuntimeError, match="pip install"):
            save(tmp_path / "file", L.Linear(1, 1))
        assert not (tmp_path / "file").exists()
