"""Tables against real Chainer 7.8.1, and what differs: JAX's arrays, rows from the end."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tabular_cases as cases

from jaxchain.dataset import TabularDataset, concat_examples, tabular
from jaxchain.iterators import SerialIterator

CONFORMANCE = pathlib.Path(__file__).parent.parent / "conformance"
GOLDEN = json.loads((CONFORMANCE / "golden" / "tabular.json").read_text())


@pytest.fixture(scope="module")
def found():
    return json.loads(json.dumps(cases.answers(tabular)))


def test_the_cases_are_those_of_the_golden_file(found):
    assert list(found) == list(GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_answers_are_chainers(found, name):
    mine, theirs = found[name], GOLDEN[name]
    if name == "concat":  # Chainer's fetch has a row too many: [5, 4, 1]
        wrong = "[4:0:-2]"
        assert mine[wrong]["fetch"]["dict"][0] == ["a", {"list": [5, 4]}]
        mine, theirs = ({k: v for k, v in answer.items() if k != wrong} for answer in (mine, theirs))
    assert mine == theirs


class Counted(TabularDataset):
    keys = ("a", "b")
    mode = tuple

    def __init__(self):
        self.asked = []

    def __len__(self):
        return 6

    def get_examples(self, indices, key_indices):
        self.asked.append((indices, key_indices))
        data = np.arange(12).reshape(6, 2)[slice(None) if indices is None else indices]
        return tuple(data.T if key_indices is None else data.T[list(key_indices)])


def test_only_what_is_needed_is_read():
    dataset = Counted()
    dataset.slice[4:0:-1].slice[::2, "b"].fetch()
    dataset.slice[[5, 0]].slice[[1]].fetch()
    dataset.join(tabular.from_data(("c", list(range(6))))).slice[:2, ("c", "a")].fetch()
    dataset.concat(dataset).slice[3:9:2].fetch()
    assert dataset.asked == [
        (slice(4, 0, -2), (1,)),
        ([0], None),
        (slice(0, 2, 1), (0,)),
        (slice(3, 7, 2), None),
        (slice(1, 3, 2), None),
    ]


def test_rows_from_the_end_of_a_view():
    view = Counted().slice[2:4]
    assert [int(v) for v in view[-1]] == [6, 7] and [int(v) for v in view.slice[[-2]][0]] == [4, 5]
    for i in (2, -3):
        with pytest.raises(IndexError, match="out of bounds for dataset with size 2"):
            view[i]


def test_arrays_of_jax():
    table = tabular.from_data({"x": jnp.arange(4.0), "y": [jnp.float32(i) for i in range(4)]})
    assert float(table[3]["x"]) == 3 and table.slice[[3, 0]].fetch()["x"].tolist() == [3, 0]
    data = table.convert(table.fetch())
    assert isinstance(data["y"], jax.Array) and data["y"].tolist() == [0, 1, 2, 3]
    with pytest.raises(IndexError, match="size 4"):
        table[4]


def test_columns_that_are_no_columns():
    for key in (["a", "b"], 1.5, None.__class__):
        with pytest.raises(KeyError, match="does not exist: the keys are"):
            Counted().slice[:, key]


def test_a_column_of_another_kind():
    with pytest.raises(TypeError, match="from_data: a: expected a list, an array or a function, got int"):
        tabular.from_data({"a": 3})


def test_batches_of_an_iterator():
    table = tabular.from_data((("x", np.arange(8, dtype=np.float32).reshape(4, 2)), ("t", [0, 1, 0, 1])))
    x, t = concat_examples(next(SerialIterator(table, 3, shuffle=False)))
    assert x.tolist() == [[0, 1], [2, 3], [4, 5]] and t.tolist() == [0, 1, 0]
