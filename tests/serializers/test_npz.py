"""npz files: round trips, Chainer's own files, refusal of pickle, what a kill leaves behind, messages."""

from __future__ import annotations

import io
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import textwrap
import time
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
import jaxchain.links as L
from jaxchain import serializers
from jaxchain.serializers import files

GOLDEN = pathlib.Path(__file__).parent.parent / "conformance" / "golden"


class Values:
    """Any object with a serialize method."""

    def __init__(self, **values):
        self.values = values

    def serialize(self, serializer):
        for key, value in self.values.items():
            if isinstance(value, Values):
                value.serialize(serializer[key])
            else:
                self.values[key] = serializer(key, value)


def model():
    chain = jaxchain.Chain()
    with chain.init_scope():
        chain.l1 = L.Linear(3, 2)
        chain.bn = L.BatchNormalization(2)
        chain.lst = jaxchain.ChainList(L.Linear(None, 4))
    return chain


def test_round_trip(tmp_path):
    path = tmp_path / "model.npz"
    a, b = model(), model()
    a.bn(np.ones((3, 2), np.float32) * 5)
    serializers.save_npz(path, a)
    serializers.load_npz(str(path), b)
    for (_, p), (name, q) in zip(a.namedparams(), b.namedparams(), strict=True):
        if p.array is None:
            assert q.array is None, name
        else:
            np.testing.assert_array_equal(p.array, q.array)
            assert isinstance(q.array, jax.Array)
    np.testing.assert_array_equal(a.bn.avg_mean, b.bn.avg_mean)
    assert os.listdir(tmp_path) == ["model.npz"]


def test_keys_are_chainers():
    serializer = serializers.DictionarySerializer()
    serializer.save(model())
    keys = "l1/W l1/b bn/gamma bn/beta bn/avg_mean bn/avg_var bn/N lst/0/W lst/0/b".split()
    assert sorted(serializer.target) == sorted(keys)
    assert all(isinstance(v, np.ndarray) for v in serializer.target.values())


def test_reads_chainers_files():
    """chainer_model.npz was saved by Chainer 7.8.1; lst/0/W was uninitialised: None, which Chainer pickles."""
    link = model()
    serializers.load_npz(GOLDEN / "chainer_model.npz", link)
    with np.load(GOLDEN / "chainer_model.npz") as file:
        np.testing.assert_array_equal(link.l1.W.array, file["l1/W"])
        np.testing.assert_array_equal(link.bn.avg_var, file["bn/avg_var"])
        assert int(link.bn.N) == int(file["bn/N"]) == 2
    assert link.lst[0].W.array is None


def test_loading_initialises(tmp_path):
    full = model()
    full.lst[0](np.ones((1, 2), np.float32))
    serializers.save_npz(tmp_path / "a.npz", full)
    empty = model()
    serializers.load_npz(tmp_path / "a.npz", empty)
    np.testing.assert_array_equal(empty.lst[0].W.array, full.lst[0].W.array)


@pytest.mark.parametrize("compression", [True, False])
def test_numpy_reads_ours(tmp_path, compression):
    serializers.save_npz(tmp_path / "a.npz", model(), compression)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file["l1/W"].shape == (2, 3) and file["bn/N"].shape == ()
    kinds = {e.compress_type for e in zipfile.ZipFile(tmp_path / "a.npz").infolist()}
    assert kinds == {zipfile.ZIP_DEFLATED if compression else zipfile.ZIP_STORED}


def test_values_of_every_kind():
    before = Values(
        i=3,
        f=2.5,
        b=True,
        s="text",
        none=None,
        a=np.arange(3.0),
        j=jnp.arange(3),
        child=Values(x=jnp.ones(2)),
        e=np.zeros((0, 2)),
    )
    buffer = io.BytesIO()
    serializers.save_npz(buffer, before)
    buffer.seek(0)
    given = np.zeros(3)
    after = Values(
        i=0, f=0.0, b=False, s="", none=7, a=given, j=jnp.zeros(3, jnp.int32), child=Values(x=None), e=np.ones((0, 2))
    )
    serializers.load_npz(buffer, after)
    v = after.values
    assert (v["i"], v["f"], v["b"], v["s"], v["none"]) == (3, 2.5, True, "text", None)
    assert type(v["i"]) is int and type(v["b"]) is bool
    assert v["a"] is given and list(given) == [0, 1, 2]
    assert isinstance(v["j"], jax.Array) and v["j"].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(v["child"].values["x"], [1, 1])


def test_bfloat16_survives():
    before = Values(x=jnp.array([1.5, -3e38], jnp.bfloat16))
    buffer = io.BytesIO()
    serializers.save_npz(buffer, before)
    after = Values(x=jnp.zeros(2, jnp.bfloat16))
    serializers.load_npz(buffer, after)
    assert after.values["x"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(after.values["x"], before.values["x"])


def test_missing_keys_are_all_listed(tmp_path):
    serializers.save_npz(tmp_path / "a.npz", {"l1/W": np.ones((2, 3)), "l1/b": np.ones(5), "extra/W": np.ones(4)})
    with pytest.raises(KeyError) as error:
        serializers.load_npz(tmp_path / "a.npz", model())
    text = str(error.value)
    for row in (
        "missing     bn/gamma",
        "missing     bn/N",
        "missing     lst/0/b (4,)",
        "unexpected  extra/W (4,)",
        "(5,)",
    ):
        assert row in text, (row, text)


class Filling(jaxchain.Deserializer):
    """As programs write them for Chainer: it fills the array that it is given."""

    def __init__(self, values, path="", returns=True):
        self.values, self.path, self.returns = values, path, returns

    def __getitem__(self, key):
        return Filling(self.values, f"{self.path}{key.strip('/')}/", self.returns)

    def __call__(self, key, value):
        loaded = self.values[self.path + key]
        if isinstance(value, np.ndarray):
            value[...] = loaded
        else:
            value = loaded if value is None else type(value)(loaded)
        return value if self.returns else None


@pytest.mark.parametrize("returns", [True, False])
def test_deserializers_that_fill_arrays(returns):
    made = [jaxchain.optimizers.MomentumSGD().setup(L.Linear(2, 1)) for _ in range(2)]
    for optimizer in made:
        optimizer.target.W.grad, optimizer.target.b.grad = np.ones((1, 2), np.float32), np.ones(1, np.float32)
        optimizer.update()
    source, other = made
    Filling(serializers.npz.serialize(source.target), returns=returns).load(other.target)
    np.testing.assert_array_equal(other.target.W.array, source.target.W.array)
    if returns:
        source.target.W.update_rule.state["v"] *= 3
        Filling(serializers.npz.serialize(source)).load(other)
        np.testing.assert_array_equal(*(o.target.W.update_rule.state["v"] for o in made))


def test_wrong_shape():
    buffer = io.BytesIO()
    serializers.save_npz(buffer, {"x": np.ones(3), "y": np.ones(2)})
    with pytest.raises(
        ValueError, match=r"y: expected shape \(4,\), got \(2,\)[\s\S]*shape       x: expected \(2,\), got \(3,\)"
    ):
        serializers.load_npz(buffer, Values(y=np.ones(4), x=np.ones(2)))


def test_wrong_type():
    with pytest.raises(TypeError, match="x: expected int32, got float64"):
        serializers.NpzDeserializer({"x": np.ones(3)})("x", jnp.ones(3, jnp.int32))
    with pytest.raises(TypeError, match="cannot safely deserialize"):
        serializers.NpzDeserializer({"x": np.array(1.5)})("x", 3)


def test_not_strict_path_and_ignored_names(tmp_path):
    serializers.save_npz(tmp_path / "a.npz", {"m/l1/W": np.ones((2, 3)), "m/l1/b": np.ones(2)})
    link = model()
    before = np.asarray(link.bn.gamma.array)
    serializers.load_npz(tmp_path / "a.npz", link, path="m/", strict=False, ignore_names="m/l1/b")
    assert (np.asarray(link.l1.W.array) == 1).all() and not np.asarray(link.l1.b.array).any()
    np.testing.assert_array_equal(link.bn.gamma.array, before)
    link = model()
    ignore = [lambda key: key.startswith(("m/bn", "m/lst")), "m/l1/W"]
    serializers.load_npz(tmp_path / "a.npz", link, path="m/", ignore_names=ignore)
    assert (np.asarray(link.l1.b.array) == 1).all()
    with pytest.raises(ValueError, match="ignore_names needs to be"):
        serializers.load_npz(tmp_path / "a.npz", link, path="m/", ignore_names=[3])


class Bomb:
    def __reduce__(self):
        return os.system, ("echo pickle ran",)


@pytest.mark.parametrize("value", [[None, Bomb()], Bomb(), "text", [None]])
def test_pickles_are_refused(value, capfd):
    array = np.empty((), object)
    array[()] = value
    buffer = io.BytesIO()
    np.savez(buffer, x=array)
    buffer.seek(0)
    with pytest.raises(ValueError, match="x: holds Python objects, which could run code when loaded; refused"):
        serializers.load_npz(buffer, Values(x=np.ones(3)))
    assert capfd.readouterr().out == ""
    with pytest.raises(TypeError, match="only by pickle"):
        serializers.save_npz(io.BytesIO(), {"x": array})


def test_a_pickle_that_is_not_an_archive():
    with pytest.raises(zipfile.BadZipFile):
        serializers.load_npz(io.BytesIO(pickle.dumps(Bomb())), model())


def test_damaged_file(tmp_path):
    path = tmp_path / "a.npz"
    serializers.save_npz(path, model(), compression=False)
    data = bytearray(path.read_bytes())
    position = data.find(np.asarray(1, np.float32).tobytes() * 2)  # gamma
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        serializers.load_npz(path, model())
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(zipfile.BadZipFile):
        serializers.load_npz(path, model())


def test_zip_bomb(tmp_path, monkeypatch):
    serializers.save_npz(tmp_path / "a.npz", {"x": np.zeros(1 << 20, np.uint8)})
    assert (tmp_path / "a.npz").stat().st_size < 5000
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="more than the limit of 1000"):
        serializers.load_npz(tmp_path / "a.npz", Values(x=None))


def test_a_failing_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.npz"
    serializers.save_npz(path, {"x": np.ones(3)})
    with pytest.raises(TypeError):
        serializers.save_npz(path, {"x": np.zeros(3), "y": np.array([{}])})
    with np.load(path) as file:
        assert file["x"].tolist() == [1, 1, 1]
    assert os.listdir(tmp_path) == ["a.npz"]


def test_permissions_are_those_of_open(tmp_path):
    serializers.save_npz(tmp_path / "a.npz", {"x": np.ones(3)})
    (tmp_path / "b").write_bytes(b"")
    assert (tmp_path / "a.npz").stat().st_mode == (tmp_path / "b").stat().st_mode
    (tmp_path / "a.npz").chmod(0o640)
    serializers.save_npz(tmp_path / "a.npz", {"x": np.ones(3)})
    assert (tmp_path / "a.npz").stat().st_mode & 0o777 == 0o640


SAVER = """
import sys, itertools
import numpy as np
from jaxchain.serializers.npz import save_npz
print("ready", flush=True)
for i in itertools.count(1):
    save_npz(sys.argv[1], {"x": np.full(500_000, i, np.float32)}, False)
"""


def test_kill_in_mid_save(tmp_path):
    path = tmp_path / "a.npz"
    serializers.save_npz(path, {"x": np.zeros(500_000, np.float32)}, False)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SAVER), str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for delay in np.random.RandomState(0).uniform(0.01, 0.1, 4):
        time.sleep(delay)
        with np.load(path) as file:  # also while it is being replaced
            assert len(set(file["x"].tolist())) == 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with np.load(path) as file:
        x = file["x"]
        assert x.shape == (500_000,) and (x == x[0]).all() and x[0] > 0
