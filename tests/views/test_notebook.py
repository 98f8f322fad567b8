"""What notebooks show: it is HTML that parses, it says what counts, and no name becomes markup."""

from xml.etree import ElementTree

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain.views.computational_graph import build_computational_graph

HOSTILE = "</script><b>x</b>"


class Net(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.inner = jaxchain.Sequential(L.Linear(4, 8), L.BatchNormalization(8))
            self.last = L.Linear(None, 3)

    def forward(self, x):
        return F.relu(self.last(self.inner(x)))


def text_of(page):
    """Return the text of a piece of HTML that is XML, too."""
    return " ".join(" ".join(ElementTree.fromstring(page.replace(" open style", " style")).itertext()).split())


def test_variable():
    x = jaxchain.Variable(np.array([[1, -2], [np.nan, 4]], np.float32), name=HOSTILE)
    y = F.relu(x)
    text = text_of(x._repr_html_())
    assert HOSTILE in text and "(2, 2)" in text and "-2 ... 4, mean 1, 1 not finite" in text
    text = text_of(y._repr_html_().split("<details", 2)[0] + "</div>")
    assert "made by ReLU" in text and "test_notebook.py" in text
    assert "<b>x</b>" not in y._repr_html_()


@pytest.mark.parametrize("array", [None, np.zeros((0, 3), np.float32), np.array(3, np.int32), np.ones(2, np.bool_)])
def test_odd_variables(array):
    assert "Variable" in text_of(jaxchain.Variable(array)._repr_html_())


def test_variable_under_a_trace():
    seen = []

    @jaxchain.static
    def program(x):
        y = F.relu(x)
        seen.append(y._repr_html_())
        return y

    program(jaxchain.Variable(np.ones(2, np.float32)))
    assert "float32[2]" in text_of(seen[0])


def test_link():
    text = text_of(Net()._repr_html_())
    assert text.startswith("Net 59 parameters")
    for part in ("inner Sequential", "0 Linear", "W float32[8, 4]", "avg_mean float32[8], persistent", "last Linear"):
        assert part in text
    assert text.index("inner") < text.index("last")
    assert text.endswith("W not initialised b float32[3]") or text.endswith("b float32[3] W not initialised")


def test_graph_and_report():
    model = Net()
    x = np.ones((2, 4), np.float32)
    graph = build_computational_graph(model(x))
    for shown in (graph, graph.to_graph(), graph.freeze()):
        assert "eager graph" in shown._repr_html_() and shown._repr_svg_().count("<svg") == 1
    report = jaxchain.contrast(model, x, repeats=1, gradients=False)
    page = report._repr_html_()
    assert "time per call" in page and page.count("<iframe") == 1 and "<script>" not in page
