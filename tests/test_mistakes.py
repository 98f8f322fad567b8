"""What a beginner gets wrong first: each message says what was expected, and what to write."""

import zipfile

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import datasets, iterators, optimizers, serializers, training
from jaxchain.dataset import concat_examples
from jaxchain.utils.type_check import InvalidType

X, T = np.ones((4, 2), np.float32), np.zeros(4, np.int32)


def updater(optimizer=None):
    return training.StandardUpdater(
        iterators.SerialIterator([1, 2], 1), optimizer or optimizers.SGD().setup(L.Linear(2))
    )


@pytest.mark.parametrize(
    "mistake, error, message",
    [
        (lambda: optimizers.SGD(L.Linear(2)), TypeError, r"lr: expected a number, got Linear.*setup\(model\)"),
        (lambda: optimizers.Adam(L.Linear(2).params()), TypeError, "alpha: expected a number, got generator"),
        (lambda: optimizers.SGD().setup(L.Linear), TypeError, "must be a link, got <class .*Linear'>"),
        (
            lambda: optimizers.SGD().setup(L.Linear(2)).update(F.sum(X)),
            TypeError,
            r"got Variable: optimizer.update\(model, x, t\), or loss.backward(.|\n)*at .*test_mistakes",
        ),
        (lambda: training.StandardUpdater(optimizers.SGD(), [1]), TypeError, "expected an iterator, got SGD"),
        (lambda: training.StandardUpdater({"main": X}, None), TypeError, "expected an iterator, got ndarray"),
        (lambda: training.StandardUpdater(iter([1]), L.Linear(2)), TypeError, "expected an optimizer, got Linear"),
        (
            lambda: training.Trainer(updater(optimizers.SGD())),
            RuntimeError,
            "'main' is not set up: call",
        ),
        (lambda: training.Trainer(updater(), 3), TypeError, r"expected a trigger: \(number, 'epoch' .* got 3"),
        (lambda: training.get_trigger("epoch"), TypeError, "got 'epoch'"),
        (lambda: datasets.TupleDataset(X, T[:3]), ValueError, "wrong length: expected 4, got 3"),
        (lambda: concat_examples([X[0], X[0, :1]]), ValueError, r"one shape, got \(2,\), \(1,\): padding="),
        (lambda: jaxchain.seed("a"), TypeError, "seed: expected a whole number, got 'a'"),
        (lambda: L.Linear(-3, 4), ValueError, r"sizes of 0 or more, got \(4, -3\)"),
        (
            lambda: L.Linear(3, 4, initialW="normal"),
            TypeError,
            "expected an Initializer, .* got 'normal'",
        ),
        (lambda: F.softmax_cross_entropy(X, T.astype("f")), TypeError, r"integer dtype(.|\n)*t: float32, \(4,\)"),
        (lambda: F.max_pooling_2d(X[None, None], 5, cover_all=False), AssertionError, "positive. Actual: 0"),
        (lambda: jaxchain.scan(lambda h, x: h + x, X[0], X), InvalidType, r"f returns \(state, y\)(.|\n)*ArrayImpl"),
        (lambda: L.Linear(X), TypeError, r"in whole numbers, got .*\.\.\."),
        (lambda: jaxchain.Variable(X) * (X,), TypeError, r"class 'tuple'>\nat .*test_mistakes"),
        (
            lambda: serializers.save_npz(L.Linear(2), "a.npz"),
            TypeError,
            r"got 'a.npz' \(the file is the first",
        ),
        (lambda: serializers.load_npz(L.Linear(2), "a.npz"), TypeError, "the file is the first argument"),
        (lambda: serializers.load_npz(__file__, L.Linear(2)), zipfile.BadZipFile, "test_mistakes.py is no npz file"),
    ],
)
def test_mistake(mistake, error, message):
    with pytest.raises(error, match=message):
        mistake()


@pytest.mark.parametrize("name", ["contrast", "export", "hlo", "jaxpr", "static", "summary", "verify"])
def test_a_class_where_its_instance_belongs(name):
    with pytest.raises(TypeError, match=r"got the class Linear: give an instance, Linear\(...\)\nat .*test_mistakes"):
        getattr(jaxchain, name)(L.Linear, *([] if name == "static" else [X]))


def test_a_zip_archive_without_arrays_lists_what_is_missing(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("data.pkl", b"\x80\x02}")
    with pytest.raises(KeyError, match=r"missing +W \(3, 2\)"):
        serializers.load_npz(tmp_path / "model.pt", L.Linear(2, 3))


def test_an_update_of_no_parameters_warns(mode):
    class Net(jaxchain.Chain):
        def __init__(self):
            super().__init__()
            self.l1 = L.Linear(2, 1)  # not inside init_scope

        def forward(self, x):
            return F.sum(self.l1(x))

    model = Net()
    optimizer = optimizers.SGD().setup(model)

    def step(x):
        optimizer.update(model, x)

    with pytest.warns(UserWarning, match=r"SGD.update: Net has no parameters.*init_scope") as caught:
        (step if mode == "eager" else jaxchain.static(step))(X)
    assert caught[0].filename == __file__
