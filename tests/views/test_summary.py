"""`summary`: a table of a model by link."""

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain.views.summary import summary


class MLP(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1, self.l2 = L.Linear(4, 8), L.Linear(8, 3)

    def forward(self, x):
        return self.l2(F.relu(self.l1(x)))


def test_rows_and_totals():
    table = summary(MLP(), np.ones((6, 4), np.float32))
    rows = {r.path: r for r in table.rows}
    assert set(rows) == {"/", "/l1", "/l2"}
    assert (rows["/l1"].type, rows["/l1"].result, rows["/l1"].parameters) == ("Linear", "float32[6,8]", 4 * 8 + 8)
    assert rows["/l1"].flops == 2 * 6 * 4 * 8 + 6 * 8
    assert rows["/"].parameters == 0 and rows["/"].flops == 6 * 8  # ReLU
    assert table.parameters == 40 + 27
    assert table.flops == sum(r.flops for r in table.rows)
    lines = str(table).splitlines()
    assert lines[0].split() == ["link", "class", "result", "parameters", "flops", "equations"]
    assert lines[-1].split()[:2] == ["total", "67"]


def test_html_is_escaped():
    kind = type("<b>", (MLP,), {})
    page = summary(kind(), np.ones((6, 4), np.float32))._repr_html_()
    assert "&lt;b&gt;" in page and "<b>" not in page


def test_only_links():
    with pytest.raises(TypeError, match="expected a Link, got int"):
        summary(3, 4)
