"""Exported programs: the model's numbers without the model's code, and files that cannot be trusted."""

import functools
import json
import os
import re
import subprocess
import sys
import textwrap
import warnings
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Chain, ExportError, Sequential, Variable, export, load_exported, optimizers

X = np.random.RandomState(0).randn(4, 3, 6, 6).astype(np.float32)
MODES = ["eager", "static"]


class CNN(Chain):
    def __init__(self, ratio=0.0):
        super().__init__()
        self.ratio = ratio
        with self.init_scope():
            self.conv = L.Convolution2D(3, 4, 3, pad=1)
            self.norm = L.BatchNormalization(4)
            self.head = Sequential(L.Linear(36, 5), F.relu, L.Linear(5, 2))

    def forward(self, x):
        h = F.max_pooling_2d(F.relu(self.norm(self.conv(x))), 2)
        return self.head(F.dropout(h, self.ratio))


@pytest.fixture
def model():
    jaxchain.seed(0)
    model = CNN()
    for _ in range(3):
        model(X)  # statistics
    return model


def test_call(value):
    with jaxchain.using_config("train", False):
        return value(X)


test_call.__test__ = False


@pytest.mark.parametrize("mode", MODES)
def test_a_model_keeps_its_numbers(model, mode, tmp_path):
    export(model, X).save(tmp_path / "m.jaxchain")
    loaded = load_exported(tmp_path / "m.jaxchain")
    for size in (1, 4, 9):
        x = np.random.RandomState(size).randn(size, 3, 6, 6).astype(np.float32)
        with jaxchain.using_config("train", False):
            expected = model(x).array
        with jaxchain.using_config("mode", mode):
            np.testing.assert_allclose(loaded(x).array, expected, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(loaded(jaxchain.Variable(x)).array, expected, rtol=1e-5, atol=1e-6)


def test_names_are_the_models(model, tmp_path):
    exported = export(model, X)
    assert [p for p, _ in exported.namedparams()] == [p for p, _ in model.namedparams()]
    for path, p in model.namedparams():
        np.testing.assert_array_equal(dict(exported.namedparams())[path].array, p.array)
    np.testing.assert_array_equal(exported.norm.avg_mean, model.norm.avg_mean)
    jaxchain.serializers.save_npz(tmp_path / "m.npz", model)
    with np.load(tmp_path / "m.npz") as saved:
        for path, p in exported.namedparams():
            np.testing.assert_array_equal(saved[path[1:]], p.array)


def test_it_loads_and_saves_the_models_files(model, tmp_path):
    exported = export(model, X, train=True)
    kinds = {entry["name"]: entry["kind"] for entry in exported.manifest["state"]}
    assert kinds["/norm/avg_mean"] == "state" and kinds["/norm/eps"] == kinds["/norm/decay"] == "attribute"
    jaxchain.serializers.save_npz(tmp_path / "before.npz", model)
    before = test_call(model).array
    model(2 * X + 1)
    model.conv.W.array *= 2
    jaxchain.serializers.save_npz(tmp_path / "after.npz", model)
    jaxchain.serializers.load_npz(tmp_path / "after.npz", exported)
    np.testing.assert_allclose(exported(X).array, model(X).array, rtol=1e-4, atol=1e-5)
    jaxchain.serializers.save_npz(tmp_path / "exported.npz", exported)
    with np.load(tmp_path / "exported.npz") as saved, np.load(tmp_path / "before.npz") as known:
        assert set(saved) == set(known) - {"norm/N"}  # what the program does not read
    exported = export(model, X)
    jaxchain.serializers.load_npz(tmp_path / "before.npz", exported)
    np.testing.assert_allclose(exported(X).array, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", [1, 2])
def test_gradients(model, order, mode, tmp_path):
    export(model, X, vjp_order=order).save(tmp_path / "m.jaxchain")
    loaded = load_exported(tmp_path / "m.jaxchain")
    found = []
    for target in (model, loaded):
        target.cleargrads()
        x = jaxchain.Variable(X)
        with jaxchain.using_config("train", False), jaxchain.using_config("mode", mode):
            y = F.sum(target(x) ** 2)
        if order == 2:
            (gx,) = jaxchain.grad([y], [x], enable_double_backprop=True)
            y = F.sum(gx**2)
        y.backward()
        found.append({path: p.grad for path, p in target.namedparams()})
    for path, gradient in found[0].items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(found[1][path], gradient, rtol=1e-4, atol=1e-5 * max(scale, 1))


def test_vmap_calls_it_once_for_each():
    """JAX has no rule for what `jax.export` gives."""
    model, xs = L.Linear(3, 2), np.random.RandomState(0).randn(4, 1, 3).astype("float32")
    exported = export(model, xs[0], vjp_order=2)

    def norm(target, x):
        return (jax.grad(lambda x: (target(x).array ** 3).sum())(x) ** 2).sum()

    for call in (lambda target, x: target(x).array, lambda target, x: jax.grad(functools.partial(norm, target))(x)):
        found, expected = (jax.vmap(functools.partial(call, target))(xs) for target in (exported, model))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_more_gradients_than_exported_are_an_error_that_says_what_to_write(tmp_path):
    export(L.Linear(3, 2), X[:, :, 0, 0], vjp_order=1).save(tmp_path / "m.jaxchain")
    exported, x = load_exported(tmp_path / "m.jaxchain"), jaxchain.Variable(X[:, :, 0, 0])
    F.sum(exported(x) ** 2).backward()
    assert exported.W.grad.shape == (2, 3)
    message = r"differentiated 2 times, and exported with vjp_order=1. Export it with vjp_order=2\nat .*test_export"
    with pytest.raises(ExportError, match=message):
        jaxchain.grad([F.sum(exported(x) ** 2)], [x], enable_double_backprop=True)


def test_without_a_gradient_nothing_is_recorded(model):
    y = export(model, X)(X)
    assert y.creator is None


@pytest.mark.parametrize("mode", MODES)
def test_training_mode_updates_the_statistics(model, mode):
    exported = export(model, X, train=True)
    with jaxchain.using_config("mode", mode):
        for _ in range(2):
            expected, got = model(X), exported(X)
    np.testing.assert_allclose(got.array, expected.array, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(exported.norm.avg_mean, model.norm.avg_mean, rtol=1e-5, atol=1e-7)


def test_random_draws_are_those_of_the_model():
    jaxchain.seed(0)
    model = CNN(ratio=0.5)
    exported = export(model, X, train=True)
    outputs = []
    for target in (model, exported):
        jaxchain.seed(7)
        outputs.append([target(X).array for _ in range(2)])
    assert not np.array_equal(outputs[0][0], outputs[0][1])
    np.testing.assert_allclose(outputs[1], outputs[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_it_trains_further(model, mode, tmp_path):
    export(model, X, vjp_order=1).save(tmp_path / "m.jaxchain")
    loaded = load_exported(tmp_path / "m.jaxchain")
    optimizer = optimizers.SGD(0.002).setup(loaded)

    def step():
        loss = F.sum(loaded(X) ** 2)
        loaded.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    step = jaxchain.static(step) if mode == "static" else step
    losses = [float(step().array) for _ in range(3)]
    assert losses[2] < losses[1] < losses[0]
    loaded.save(tmp_path / "again.jaxchain")
    np.testing.assert_allclose(load_exported(tmp_path / "again.jaxchain")(X).array, loaded(X).array)


def test_a_recurrent_state_goes_on(tmp_path):
    jaxchain.seed(0)
    model = L.LSTM(3, 2)
    x = X[:, :, 0, 0]
    model(x)
    exported = export(model, x, batch="fixed")
    for _ in range(2):
        np.testing.assert_allclose(exported(x).array, model(x).array, rtol=1e-5, atol=1e-6)
    kinds = {entry["name"]: entry["kind"] for entry in exported.manifest["state"]}
    assert kinds["/c"] == kinds["/h"] == "attribute"
    jaxchain.serializers.save_npz(tmp_path / "lstm.npz", model)  # without h and c
    h = exported.h
    jaxchain.serializers.load_npz(tmp_path / "lstm.npz", exported)
    np.testing.assert_array_equal(exported.h, h)
    exported.save(tmp_path / "lstm.jaxchain")
    np.testing.assert_allclose(load_exported(tmp_path / "lstm.jaxchain")(x).array, model(x).array, rtol=1e-5, atol=1e-6)
    with pytest.raises(ExportError, match=r"LSTM needs a number where it has a symbolic size, in one of its links"):
        export(model, x)


def test_state_must_keep_its_shape():
    class Longer(Chain):
        def __init__(self):
            super().__init__()
            self.seen = jax.numpy.zeros((1, 3))

        def forward(self, x):
            self.seen = F.concat([self.seen, x], axis=0).array
            return F.sum(self.seen)

    with pytest.raises(ExportError, match=r"seen changes from float32\[1,3\] to float32\[5,3\] in a call"):
        export(Longer(), X[:, :, 0, 0], batch="fixed")


def test_state_that_only_a_call_makes_is_named():
    model = L.LSTM(3, 2)
    with pytest.warns(UserWarning, match=r"also sets LSTM.c, LSTM.h"):
        export(model, X[:, :, 0, 0])


def test_a_whole_training_step():
    jaxchain.seed(0)
    model = L.Classifier(L.Linear(3, 2))
    optimizer = optimizers.Adam().setup(model)
    x, t = X[:, :, 0, 0], np.array([0, 1, 1, 0], np.int32)

    def step(x, t):
        loss = model(x, t)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return {"loss": loss, "pair": (model.accuracy, [None, 3])}

    step(x, t)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # model.loss, model.y
        exported = export(step, x, t, train=True)
    for _ in range(3):
        expected, got = step(x, t), exported(x, t)
        np.testing.assert_allclose(got["loss"].array, expected["loss"].array, rtol=1e-5)
        assert got["pair"][1] == [None, 3]
    assert exported(x[:3], t[:3])["loss"].shape == ()


def test_arguments_in_containers_and_numbers():
    def f(pair, options, n):
        return [pair[0] + n * options["b"], pair[1]]

    a, b = np.ones((2, 3), np.float32), np.full((2, 3), 2, np.float32)
    exported = export(f, (a, b), {"b": b}, 3)
    assert [i["name"] for i in exported.manifest["inputs"]] == ["pair[0]", "pair[1]", "options['b']"]
    np.testing.assert_array_equal(exported((a, b), {"b": b}, 3)[0].array, a + 3 * b)
    with pytest.raises(TypeError, match=r"expected the arguments .* 3\), got .* 4\)"):
        exported((a, b), {"b": b}, 4)


def test_arguments_by_name(tmp_path):
    def f(x, *, options, mask=None, scale=2.0):
        return x * mask * scale + options["b"].sum() / options["a"]

    x, mask, a = np.ones((4, 2), np.float32), np.float32([[1], [2], [3], [4]]), np.full((4, 1), 5, np.float32)
    given = {"options": {"b": x, "a": a}, "mask": mask}
    export(f, x, **given, scale=3.0, vjp_order=1).save(tmp_path / "f.jaxchain")
    exported = load_exported(tmp_path / "f.jaxchain")
    inputs = [f"{i['name']}: {i['shape']}" for i in exported.manifest["inputs"]]
    assert inputs == [
        f"{n}: ['batch', {k}]" for n, k in (("x", 2), ("mask", 1), ("options['a']", 1), ("options['b']", 2))
    ]
    v = Variable(x)
    y = exported(v, scale=3.0, **given)
    F.sum(y).backward()
    np.testing.assert_allclose(y.array, f(x, scale=3.0, **given))
    np.testing.assert_allclose(v.grad, np.broadcast_to(mask * 3, (4, 2)))
    np.testing.assert_allclose(exported.run([x, mask, a, x])["result 0"], y.array)
    with pytest.raises(
        TypeError, match=r"^f: expected the arguments \(x: .*,\) and {'mask': mask: .*'scale': 3.0}, got"
    ):
        exported(v, **given)


@pytest.mark.parametrize("wide", [True, False])
def test_arrays_of_64_bits_come_in_as_they_do_to_the_model(wide, tmp_path):
    def f(x, i):
        return F.sum(x) * 2, i + 1

    x, i = np.ones((2, 3)), np.arange(2)
    with jax.enable_x64(wide):
        export(f, x, i).save(tmp_path / "m.jaxchain")
        y, j = load_exported(tmp_path / "m.jaxchain")(x, i)
        assert (str(y.dtype), str(j.dtype)) == (("float64", "int64") if wide else ("float32", "int32"))
    if wide:
        with jax.enable_x64(False), pytest.raises(ExportError, match=r"takes x: float64\[batch,3\], and"):
            load_exported(tmp_path / "m.jaxchain")


def test_arrays_of_another_type_than_the_program_takes_are_not_saved(tmp_path):
    exported = export(L.Linear(3, 2), X[:, :, 0, 0])
    exported.W.array = exported.W.array.astype(np.float16)
    with pytest.raises(ExportError, match=r"takes /W: float32\[2,3\], and this link holds /W: float16\[2,3\]"):
        exported.save(tmp_path / "m.jaxchain")
    assert not os.listdir(tmp_path)


def test_sizes_by_name():
    def f(x, w):
        return F.matmul(x, w)

    x, w = np.ones((2, 3), np.float32), np.ones((3, 5), np.float32)
    exported = export(f, x, w, batch=["n, k", "k, _"])
    assert exported(np.ones((7, 4), np.float32), np.ones((4, 5), np.float32)).shape == (7, 5)
    with pytest.raises(TypeError, match=r"expected w: float32\[k,5\] with n = 7, k = 4, got w: float32\[3,5\]"):
        exported(np.ones((7, 4), np.float32), w)
    with pytest.raises(ExportError, match=r"one size of the first axis, got \{'x': 2, 'w': 3\}"):
        export(f, x, w)
    with pytest.raises(ExportError, match="a list of 2 shapes"):
        export(f, x, w, batch=["n, k"])
    with pytest.raises(ExportError, match=r"does not fit w of shape \(3, 5\)"):
        export(f, x, w, batch=["n, k", "k"])
    with pytest.raises(ExportError, match=r"got key of type key<fry>: pass jax.random.key_data"):
        export(lambda x, key: x, x, jax.random.key(0), batch="fixed")


def test_shapes_are_enough_as_examples(model):
    exported = export(model, jax.ShapeDtypeStruct((1, 3, 6, 6), np.float32))
    np.testing.assert_allclose(exported(X).array, test_call(model).array, rtol=1e-5, atol=1e-6)


def test_cond_can_be_exported_and_a_choice_by_value_cannot():
    def choice(x):
        return x * 2 if F.sum(x).array > 0 else x

    def cond(x):
        return jaxchain.cond(F.sum(x).array > 0, lambda x: x * 2, lambda x: x, x)

    exported = export(cond, X)
    np.testing.assert_array_equal(exported(np.abs(X)).array, 2 * np.abs(X))
    np.testing.assert_array_equal(exported(-np.abs(X)).array, -np.abs(X))
    with pytest.raises(ExportError, match=r"branches on a value.*test_export.py:\d+"):
        export(choice, X)


@pytest.mark.parametrize(
    "number", [int, lambda n: np.zeros(n).size, lambda n: int(f"{n}")], ids=["int", "NumPy", "text"]
)
def test_a_number_of_the_symbolic_size_is_named(number):
    def f(x):
        return F.sum(x) * float(number(x.shape[0]))

    with pytest.raises(ExportError, match=r"needs a number where it has a symbolic size: .*test_export.py:\d+"):
        export(f, X)
    assert float(export(f, X, batch="fixed")(X).array) == pytest.approx(4 * X.sum(), rel=1e-4)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"platforms": ["gpu"]}, "platforms: expected some of cpu, cuda, rocm, tpu"),
        ({"platforms": "cpu"}, "platforms: expected some of"),
        ({"vjp_order": -1}, "vjp_order: expected a number from 0"),
        ({"batch": "any"}, "expected 'symbolic', 'fixed' or a list of 1 shapes"),
    ],
)
def test_wrong_options(kwargs, message):
    with pytest.raises(ExportError, match=message):
        export(L.Linear(3, 2), X[:, :, 0, 0], **kwargs)


def test_wrong_targets_and_calls():
    with pytest.raises(ExportError, match="expected a link or a function, got int"):
        export(3)

    def f(x):
        return object()

    with pytest.raises(ExportError, match="the result of f holds a object"):
        export(f, X)
    exported = export(L.Linear(3, 2), X[:, :, 0, 0])
    with pytest.raises(TypeError, match=r"Linear: expected x: float32\[batch,3\].*got x: float16\[4,3\]"):
        exported(X[:, :, 0, 0].astype(np.float16))
    with pytest.raises(TypeError, match="expected the arguments"):
        exported(X[:, :, 0, 0], X[:, :, 0, 0])


def test_another_platform_is_refused_before_anything_runs():
    exported = export(L.Linear(3, 2), X[:, :, 0, 0], platforms=["tpu"])
    with pytest.raises(ExportError, match=r"was exported for tpu, and this is \w+: export it again"):
        exported(X[:, :, 0, 0])


def test_files_that_were_cut_off_or_changed(tmp_path):
    path, bad = tmp_path / "m.jaxchain", tmp_path / "bad.jaxchain"
    export(L.Linear(3, 2), X[:, :, 0, 0]).save(path)
    data = path.read_bytes()
    rng = np.random.RandomState(0)
    for end in [0, 1, *rng.randint(2, len(data), 20), len(data) - 1]:
        bad.write_bytes(data[:end])
        with pytest.raises(ExportError, match=r"bad.jaxchain"):
            load_exported(bad)
    for at in rng.randint(0, len(data), 60):
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randint(8)
        bad.write_bytes(changed)
        try:
            loaded = load_exported(bad)
        except ExportError:
            continue
        # a bit of the zip's own bookkeeping, such as a date: every part is as it was
        np.testing.assert_array_equal(loaded(X[:, :, 0, 0]).array, load_exported(path)(X[:, :, 0, 0]).array)
    changed = bytearray(data)
    changed[data.rindex(b"PK\1\2") + 8] ^= 1  # says that a part is encrypted
    bad.write_bytes(changed)
    with pytest.raises(ExportError, match=r"bad.jaxchain: .*encrypted"):
        load_exported(os.fsencode(bad))


def rewritten(path, bad, name, change):
    """Change one part, and its checksum with it or not."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(bad, "w") as new:
        for entry in old.namelist():
            data = old.read(entry)
            new.writestr(entry, change(data) if entry == name else data)


def test_a_changed_part_is_found_by_its_sum(tmp_path):
    path, bad = tmp_path / "m.jaxchain", tmp_path / "bad.jaxchain"
    export(L.Linear(3, 2), X[:, :, 0, 0]).save(path)
    for name in ("manifest.json", "program.bin", "arrays/0"):
        rewritten(path, bad, name, lambda data: data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(ExportError, match=f"damaged or changed: {name}"):
            load_exported(bad)


def test_another_version_is_named(tmp_path):
    path = tmp_path / "m.jaxchain"
    for field, value, message in [
        ("format", "jaxchain.export/9", "format 'jaxchain.export/9': this version of jaxchain reads"),
        ("calling_convention_version", 99, r"made by jax \S+ \(calling convention 99\); jax \S+ reads \d+ to \d+"),
        ("inputs", [], "the program does not take|not readable"),
    ]:
        exported = export(L.Linear(3, 2), X[:, :, 0, 0])
        exported._program.manifest[field] = value
        exported.save(path)
        with pytest.raises(ExportError, match=message):
            load_exported(path)


def test_other_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_exported(tmp_path / "none")
    np.savez(tmp_path / "m.npz", a=X)
    with pytest.raises(ExportError, match=r"no exported program: it has no manifest.json"):
        load_exported(tmp_path / "m.npz")
    with pytest.raises(IsADirectoryError, match=rf"directory: '{re.escape(str(tmp_path))}'$"):
        export(L.Linear(3, 2), X[:, :, 0, 0]).save(tmp_path)


def test_the_file_is_the_same_every_time(tmp_path):
    jaxchain.seed(0)
    exported = export(L.Linear(3, 2), X[:, :, 0, 0])
    exported.save(tmp_path / "a")
    exported.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_it_runs_without_the_models_code(tmp_path):
    (tmp_path / "secret.py").write_text(
        textwrap.dedent("""
        import jaxchain, jaxchain.links as L, jaxchain.functions as F
        class Model(jaxchain.Chain):
            def __init__(self):
                super().__init__()
                with self.init_scope():
                    self.l = L.Linear(3, 2)
            def forward(self, x):
                return F.tanh(self.l(x))
        """)
    )
    sys.path.insert(0, str(tmp_path))
    try:
        import secret  # type: ignore[import-not-found]

        model = secret.Model()
    finally:
        sys.path.remove(str(tmp_path))
    x = X[:, :, 0, 0]
    export(model, x).save(tmp_path / "m.jaxchain")
    os.unlink(tmp_path / "secret.py")
    np.save(tmp_path / "x.npy", x)
    code = (
        "import json, sys, numpy as np, jaxchain\n"
        f"m = jaxchain.load_exported({str(tmp_path / 'm.jaxchain')!r})\n"
        f"print(json.dumps(np.asarray(m(np.load({str(tmp_path / 'x.npy')!r})).array).tolist()))\n"
        "assert 'secret' not in sys.modules\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    np.testing.assert_allclose(json.loads(out.stdout), model(x).array, rtol=1e-5)


def test_metadata_and_text(model):
    exported = export(model, X, metadata={"classes": ["a", "b"]})
    assert exported.manifest["metadata"] == {"classes": ["a", "b"]}
    assert exported.manifest["jax"] == jax.__version__
    assert "stablehlo.convolution" in exported.as_text()
    assert str(exported) == "Exported(program=CNN, inputs=x: float32[batch,3,6,6])"


def test_copies_and_pickles(model):
    import copy
    import pickle

    exported = export(model, X)
    for other in (copy.deepcopy(exported), pickle.loads(pickle.dumps(exported)), exported.copy("copy")):
        np.testing.assert_array_equal(other(X).array, exported(X).array)


BROADCASTING = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y * 2,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / (y * y + 1),
    "power": lambda x, y: (x * x + 1) ** y,
    "maximum": F.maximum,
    "where": lambda x, y: F.where(np.array([True, False, True]), x, y),
    "a row": lambda x, y: x * F.sum(y, axis=1, keepdims=True),
    "bias": lambda x, y: F.bias(x + y, np.ones(3, "f")),
    "scale": lambda x, y: F.scale(x + y, np.ones(3, "f")),
    "broadcast_to": lambda x, y: x * F.broadcast_to(F.max(y, axis=1, keepdims=True), y.shape),
    "add several": lambda x, y: F.add(x, y, x * y),
    "concat": lambda x, y: F.concat([x, y], axis=1),
    "mean_squared_error": F.mean_squared_error,
    "columns": lambda x, y: x[:, 1:] * y[:, :2],
    "rows": lambda x, y: x[:2] * y[::-1][:2] + x[0:1],
    "half": lambda x, y: x[: x.shape[0] // 2] * y[: x.shape[0] // 2],
    "first and last": lambda x, y: x[0, 1:] * y[-1, [0, 2]],
    "by the size": lambda x, y: F.sum(x * y) / x.shape[0] + x * y.size,
    "select_item": lambda x, y: F.select_item(x * y, jnp.argmax(x.array, axis=1)),
    "scatter_add": lambda x, y: F.scatter_add(x, (slice(None), slice(1)), y[:, 1:2]),
}


@pytest.mark.parametrize("name", BROADCASTING)
def test_two_arrays_of_a_symbolic_size_broadcast(name):
    class Two(Chain):
        def forward(self, x, y):
            return BROADCASTING[name](x, y)

    rng = np.random.RandomState(0)
    exported = jaxchain.export(Two(), *(Variable(rng.randn(2, 3).astype("f")) for _ in range(2)), vjp_order=1)
    x, y = (Variable(rng.randn(5, 3).astype("f")) for _ in range(2))
    results = []
    for call in (Two(), exported):
        x.cleargrad(), y.cleargrad()
        z = call(x, y)
        F.sum(z * z).backward()
        results.append([np.asarray(a) for a in (z.array, x.grad, y.grad) if a is not None])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_what_has_no_symbolic_size_is_said_at_the_users_line():
    class Loop(Chain):
        def forward(self, x):
            return F.concat(list(F.separate(x)), axis=0)

    with pytest.raises(ExportError, match=r"(?s)Loop needs a number where it has a symbolic size.*batch='fixed'"):
        jaxchain.export(Loop(), np.ones((2, 3), "f"))
