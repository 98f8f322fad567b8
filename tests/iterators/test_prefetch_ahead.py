"""Iterators that read ahead: the same batches as SerialIterator, under shuffles and resumes."""

from __future__ import annotations

import copy
import io
import pickle
import threading
import time

import numpy as np
import pytest

from jaxchain import iterators, serializers
from jaxchain.iterators.ahead import AheadIterator

Shuffle = iterators.ShuffleOrderSampler


class DeepAheadIterator(AheadIterator):
    """Reads three batches ahead, in this thread."""

    n_prefetch = 3

    def _submit(self, indices):
        batch = [self.dataset[i] for i in indices]
        return lambda: batch


KINDS = [iterators.SerialIterator, iterators.MultithreadIterator, DeepAheadIterator]


class Own:
    """An order sampler that is no `OrderSampler`, with a state that no file has."""

    def __init__(self):
        self.calls = 0

    def __call__(self, order, position):
        self.calls += 1
        return np.roll(np.arange(len(order)), self.calls)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def trace(it, n):
    seen = []
    for _ in range(n):
        batch = it.next()
        seen.append((batch, it.epoch, it.is_new_epoch, it.current_position, it.epoch_detail, it.previous_epoch_detail))
    return seen


@pytest.mark.parametrize("repeat", [True, False])
@pytest.mark.parametrize("sampler", [lambda: None, lambda: Shuffle(np.random.RandomState(4)), Own])
@pytest.mark.parametrize(("n", "batch_size"), [(10, 3), (6, 3), (3, 7), (1, 1)])
def test_same_as_serial(kind, repeat, sampler, n, batch_size):
    def make(kind):
        own = sampler()
        return kind(range(n), batch_size, repeat, None if own else False, order_sampler=own)

    count = 9 if repeat else -(-n // batch_size)
    with make(kind) as it:
        assert it.previous_epoch_detail is None
        expected = make(iterators.SerialIterator)
        assert trace(it, count) == trace(expected, count)
        if not repeat:
            last = list(it)  # an empty one where a batch ended with the sweep
            assert last == list(expected)
            with pytest.raises(StopIteration):
                it.next()
        it.reset()
        assert (it.epoch, it.current_position, it.is_new_epoch) == (0, 0, False)
        if sampler().__class__ is type(None):
            assert it.next() == list(range(n))[:batch_size] or n < batch_size


def test_shuffles_as_chainer(kind):
    """One permutation at the start and one at each new sweep, from NumPy's global generator."""
    np.random.seed(3)
    with kind(range(6), 4) as it:
        seen = [it.next() for _ in range(3)]
    np.random.seed(3)
    assert np.concatenate(seen).tolist() == [*np.random.permutation(6), *np.random.permutation(6)]
    with pytest.raises(ValueError, match="custom `order_sampler`"):
        kind(range(3), 1, shuffle=True, order_sampler=Own())


@pytest.mark.parametrize("own", [np.random.RandomState, np.random.default_rng, None, Own])
@pytest.mark.parametrize("taken", [0, 1, 4, 5, 9])
def test_resumed_run_goes_on_exactly(kind, own, taken):
    """With a generator of its own, NumPy's global one (which the trainer saves), or a sampler that cannot be saved."""

    def make(seed):
        sampler = Own() if own is Own else Shuffle(own and own(seed))
        return kind(range(10), 4, order_sampler=sampler)

    np.random.seed(5)
    with make(1) as it:
        for _ in range(taken):
            it.next()
        state = np.random.get_state()
        buffer = io.BytesIO()
        serializers.save_npz(buffer, it)
        copied = copy.copy(it)
        calls = it.order_sampler.calls if own is Own else 0
        n = 3 if own is Own and kind is not DeepAheadIterator else 8
        expected = trace(it, n)
    np.random.set_state(state)
    with make(2) as it:
        if own is Own:
            it.order_sampler.calls = calls
        else:
            trace(it, 2)  # threads have read ahead in another order
        np.random.set_state(state)
        serializers.load_npz(buffer, it)
        assert trace(it, n) == expected
    if own is None:
        np.random.set_state(state)
        assert trace(copied, n) == expected
    copied.finalize()


def test_snapshots_of_chainer(kind):
    """The entries of Chainer's file: threads call the order `_order`, the others `order`."""
    for name in ("order", "_order"):
        entries = {
            "current_position": np.array(6),
            "epoch": np.array(2),
            "is_new_epoch": np.array(False),
            name: np.arange(10)[::-1],
            "previous_epoch_detail": np.array(2.3),
        }
        with kind(range(10), 3) as it:
            serializers.NpzDeserializer(entries).load(it)
            assert (it.epoch, it.epoch_detail, it.previous_epoch_detail) == (2, 2.6, 2.3)
            assert it.next() == [3, 2, 1]
    with kind(range(10), 3) as it:
        it.next()
        saved = serializers.npz.serialize(it)
    expected = {"current_position", "epoch", "is_new_epoch", "previous_epoch_detail"}
    order = "_order" if kind is iterators.MultithreadIterator else "order"
    assert set(saved) - {"orders_ahead"} == {*expected, order}
    with kind(range(10), 3, shuffle=False) as it:
        saved = serializers.npz.serialize(it)
        serializers.NpzDeserializer(saved).load(it)
    assert set(saved) == expected | ({"_order"} if kind is iterators.MultithreadIterator else set())
    saved = {}
    with kind(range(10), 3) as it:  # a function may be the serializer, as in Chainer: nothing else is asked
        it.serialize(saved.__setitem__)
    assert {*expected, order} <= set(saved)


def test_pickle(kind):
    with kind(range(10), 4, order_sampler=Shuffle(np.random.RandomState(0))) as it:
        it.next()
        with pickle.loads(pickle.dumps(it)) as other:
            assert trace(other, 6) == trace(it, 6)


class Slow:
    """Counts how many threads are in it at a time."""

    def __init__(self, parties):
        self.barrier = threading.Barrier(parties)

    def __len__(self):
        return 4

    def __getitem__(self, i):
        self.barrier.wait(30)
        return i


def test_threads_work_at_a_time_and_ahead():
    data = Slow(2)
    with iterators.MultithreadIterator(data, 2, shuffle=False, n_threads=2) as it:
        assert it.next() == [0, 1]
        while data.barrier.n_waiting or not it._ahead[0][1].__closure__[0].cell_contents[-1].done():
            time.sleep(0.001)  # the next batch comes without being asked for
        assert it.next() == [2, 3]


def test_errors_of_the_dataset_are_raised_for_their_batch():
    class Fails:
        def __len__(self):
            return 6

        def __getitem__(self, i):
            if i == 3:
                raise KeyError("three")
            return i

    with iterators.MultithreadIterator(Fails(), 2, repeat=False, shuffle=False, n_threads=2) as it:
        assert it.next() == [0, 1]
        with pytest.raises(KeyError, match="three"):
            it.next()
        assert it.next() == [4, 5]
        it.finalize()
        it.finalize()
        it.reset()
        assert it.next() == [0, 1]
    with pytest.raises(ValueError, match="n_threads >= 1, got 0"):
        iterators.MultithreadIterator([1], 1, n_threads=0)
