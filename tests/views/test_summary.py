"""`summary`: a table of a model by link."""

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import summary


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
    assert lines[0].split() == ["link", "class", "result", "parameters", "flops", "equations", "eager", "static"]
    assert lines[-1].split()[:2] == ["total", "67"]
    assert all(r.eager > 0 and r.static > 0 for r in table.rows)


def test_a_link_in_a_loop_has_its_operations():
    class Loop(jaxchain.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.cells = jaxchain.ChainList(L.Linear(4, 4))

        def forward(self, x):
            last, _ = jaxchain.scan(lambda c, _: (F.tanh(self.cells[0](c)), None), x, np.zeros(3, np.float32))
            return last

    rows = {r.path: r for r in summary(Loop(), np.ones((2, 4), np.float32)).rows}
    assert rows["/cells/0"].flops == 3 * (2 * 2 * 4 * 4 + 2 * 4) and rows["/"].flops == 3 * 2 * 4
    assert rows["/cells/0"].result == "float32[2,4]"


class Odd(jaxchain.Chain):
    """One link twice, one that only works after what comes before it, one that is not called."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.twice, self.never = L.Linear(4, 4), L.Linear(4, 4)
            self.after = Reader()

    def forward(self, x):
        self.after.given = x
        return self.after(self.twice(self.twice(x)))


class Reader(jaxchain.Link):
    given = None

    def forward(self, x):
        return x + self.given.shape[0]


def test_links_without_a_time_of_their_own():
    model = Odd()
    table = model.summary(np.ones((6, 4), np.float32))
    rows = {r.path: r for r in table.rows}
    assert rows["/twice"].static > 0 and rows["/twice"].flops == 2 * (2 * 6 * 4 * 4 + 6 * 4)
    assert (rows["/never"].eager, rows["/never"].static, rows["/never"].result) == (None, None, "")
    assert rows["/after"].eager > 0 and rows["/after"].static is None
    assert model.after.given is None


def test_html_is_escaped():
    kind = type("<b>", (MLP,), {})
    page = summary(kind(), np.ones((6, 4), np.float32))._repr_html_()
    assert page.count("text-align:left") == 3 * page.count("<tr>") and "text-align:right" in page
    assert "&lt;b&gt;" in page and "<b>" not in page


def test_only_links():
    with pytest.raises(TypeError, match="expected a Link, got int"):
        summary(3, 4)
