"""prefetch_to_device: the same batches and snapshots as the iterator below, as arrays on the device."""

from __future__ import annotations

import io
import threading

import jax
import numpy as np
import pytest
from worker_data import Plain

from jaxchain import dataset, iterators, links, optimizers, serializers, training
from jaxchain.iterators import prefetch_to_device
from jaxchain.iterators.lanes import WorkerDied

DATA = [(np.full(3, i, np.float32), np.int32(i)) for i in range(10)]


def threads(data, n, **kwargs):
    return iterators.MultithreadIterator(data, n, n_threads=2, **kwargs)


@pytest.mark.parametrize("kind", [iterators.SerialIterator, threads])
def test_same_batches_and_snapshots(kind):
    def sampler(seed):
        return iterators.ShuffleOrderSampler(np.random.RandomState(seed))

    plain = kind(DATA, 4, order_sampler=sampler(0))
    below = kind(DATA, 4, order_sampler=sampler(0))
    assert plain.next()[0][1] == below.next()[0][1]
    assert plain.next()[0][1] == below.next()[0][1]  # threads have drawn the order of the next sweep by now
    with prefetch_to_device(below, n_prefetch=2) as it:
        state = None
        for step in range(7):
            x, t = it.next()
            assert isinstance(x, jax.Array) and x.shape == (4, 3)
            assert t.tolist() == [label for _, label in plain.next()]
            for name in ("epoch", "is_new_epoch", "epoch_detail", "previous_epoch_detail", "current_position"):
                assert getattr(it, name) == getattr(plain, name)
            if step == 2:
                state = io.BytesIO()
                serializers.save_npz(state, it)
                later = kind(DATA, 4, order_sampler=sampler(7))
                serializers.load_npz(state, later)  # the file is that of the iterator below
        again = [later.next() for _ in range(4)]
        serializers.load_npz(state, it)
        assert [it.next()[1].tolist() for _ in range(4)] == [[label for _, label in batch] for batch in again]
        it.reset()
        assert it.epoch == 0 and it.next().arrays[0].shape == (4, 3)
        later.finalize()
    plain.finalize()


def test_end_converter_and_errors():
    seen = []

    def convert(batch, device):
        seen.append(threading.current_thread().name)
        return {"x": dataset.to_device(device, np.array([x for x, _ in batch]))}

    cpu = jax.devices("cpu")[0]
    it = prefetch_to_device(iterators.SerialIterator(DATA, 4, repeat=False, shuffle=False), cpu, convert)
    with it:
        batches = list(it)
    assert [batch["x"].shape for batch in batches] == [(4, 3), (4, 3), (2, 3)]
    assert batches[0]["x"].devices() == {cpu} and all("prefetch" in name for name in seen)
    assert dataset.concat_examples(batches[1]) is batches[1].arrays
    for wrong in (len, lambda batch: batch[0::2]):
        with pytest.raises(
            TypeError, match="OnDevice: expected a list of examples, got a batch that prefetch_to_device"
        ):
            wrong(batches[0])
    with pytest.raises(TypeError, match=r"prefetch_to_device: expected a SerialIterator.*got DeviceIterator"):
        prefetch_to_device(it)
    with pytest.raises(ValueError, match="n_prefetch >= 1, got 0"):
        prefetch_to_device(iterators.SerialIterator(DATA, 4), n_prefetch=0)


def test_a_worker_that_dies():
    below = iterators.MultiprocessIterator(Plain(10, {3: "kill"}), 2, repeat=False, shuffle=False, n_processes=1)
    with prefetch_to_device(below, n_prefetch=2) as it:
        assert it.next().arrays.tolist() == [0, 1]
        with pytest.raises(WorkerDied, match="signal 9"):
            it.next()
        assert [batch.arrays.tolist() for batch in it] == [[4, 5], [6, 7], [8, 9]]


@pytest.mark.parametrize("mode", ["eager", "static"])
def test_updater(mode):
    """An updater takes it as it is, and trains as with the iterator below."""
    weights = []
    for prefetch in (False, True):
        it = iterators.SerialIterator(DATA, 4, shuffle=False)
        model = links.Classifier(links.Linear(3, 10, initialW=np.zeros((10, 3), np.float32)))
        optimizer = optimizers.SGD(0.1).setup(model)
        updater = training.StandardUpdater(prefetch_to_device(it) if prefetch else it, optimizer, mode=mode)
        for _ in range(4):
            updater.update()
        assert updater.epoch == 1 and updater.epoch_detail == 1.6
        updater.finalize()
        weights.append(np.asarray(model.predictor.W.array))
    assert np.array_equal(*weights) and weights[0].any()
