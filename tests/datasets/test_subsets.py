"""Parts of datasets and datasets put together; the numbers are real Chainer's."""

import numpy as np
import pytest

from jaxchain import datasets as D

DATA = list("abcdefg")


def test_sub_dataset():
    part = D.SubDataset(DATA, 1, 4, [6, 5, 4, 3, 2, 1, 0])
    assert (len(part), part[0], part[2], part[-1], part[0:2]) == (3, "f", "d", "d", ["f", "e"])
    for i in (3, -4):
        with pytest.raises(IndexError, match="3 examples"):
            part[i]
    with pytest.raises(ValueError, match="7 examples"):
        D.SubDataset(DATA, 0, 8)
    with pytest.raises(ValueError, match="2 indices"):
        D.SubDataset(DATA, 0, 2, [0, 1])


def test_splits():
    first, second = D.split_dataset(DATA, 3)
    assert (first[:], second[:]) == (["a", "b", "c"], ["d", "e", "f", "g"])
    first, second = D.split_dataset_random(DATA, 3, seed=7)
    assert (first[:], second[:]) == (RANDOM[:3], RANDOM[3:])
    assert [p[:] for p in D.split_dataset_n(DATA, 3)] == [["a", "b"], ["c", "d"], ["e", "f"]]
    assert [p[:] for p in D.split_dataset_n_random(DATA, 3, seed=7)] == [RANDOM[:2], RANDOM[2:4], RANDOM[4:6]]
    with pytest.raises(TypeError, match="expected an int"):
        D.split_dataset(DATA, 1.5)
    for size in (-1, 8):
        with pytest.raises(ValueError, match="0 to 7"):
            D.split_dataset(DATA, size)


RANDOM = [DATA[i] for i in np.random.RandomState(7).permutation(7)]


def test_cross_validation():
    folds = D.get_cross_validation_datasets(DATA, 3)
    assert ["".join(test) for _, test in folds] == ["efg", "cd", "ab"]
    assert ["".join(train) for train, _ in folds] == ["abcd", "efgab", "cdefg"]
    random = D.get_cross_validation_datasets_random(DATA, 3, seed=7)
    assert sorted("".join("".join(test) for _, test in random)) == DATA


def test_put_together():
    both = D.ConcatenatedDataset(DATA, [], range(2))
    assert (len(both), both[6], both[7], both[8]) == (9, "g", 0, 1)
    for i in (9, -1):
        with pytest.raises(IndexError, match="9 examples"):
            both[i]
    named = D.DictDataset(x=DATA, y=np.arange(7))
    assert named[2] == {"x": "c", "y": 2} and named[5:9] == [{"x": "f", "y": 5}, {"x": "g", "y": 6}]
    with pytest.raises(ValueError, match="one length"):
        D.DictDataset(x=DATA, y=[1])
    with pytest.raises(ValueError, match="none"):
        D.DictDataset()
    upper = D.TransformDataset(DATA, str.upper)
    assert (len(upper), upper[1], upper[:2]) == (7, "B", ["A", "B"])


def test_cross_validation_by_the_old_name():
    with pytest.warns(DeprecationWarning, match="write n_folds"):
        assert len(D.get_cross_validation_datasets(range(6), n_fold=3)) == 3
    with pytest.raises(TypeError, match="expected n_folds"):
        D.get_cross_validation_datasets(range(6))
