"""Trees in the terminal."""

import sys

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain.views.computational_graph import build_computational_graph
from jaxchain.views.terminal import tree

console = pytest.importorskip("rich.console")


class Net(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.inner = jaxchain.Sequential(L.Linear(4, 8))
            self.last = L.Linear(None, 3)

    def forward(self, x):
        return F.relu(self.last(self.inner(x)))


def drawn(value):
    out = console.Console(width=100, no_color=True, legacy_windows=False)
    with out.capture() as capture:
        out.print(value)
    return capture.get().splitlines()


def test_link():
    assert drawn(Net()) == [
        "Net  43 parameters",
        "├── inner Sequential  40 parameters",
        "│   └── 0 Linear  40 parameters",
        "│       ├── W  float32[8, 4]",
        "│       └── b  float32[8]",
        "└── last Linear  3 parameters",
        "    ├── W  not initialised",
        "    └── b  float32[3]",
    ]


def test_a_link_whose_name_has_a_slash():
    model = jaxchain.Chain()
    model.add_link("a/b", L.Linear(3, 2))
    assert drawn(model)[1:3] == ["└── a/b Linear  8 parameters", "    ├── W  float32[2, 3]"]


def test_graph_by_links_and_by_clusters():
    x = jaxchain.Variable(np.ones((2, 4), np.float32), name="[red]x\x1b[2J")
    graph = build_computational_graph(Net()(x))
    lines = drawn(graph)
    assert lines[0] == f"eager graph  {len(graph.nodes)} nodes, {len(graph.edges)} edges"
    assert lines[1].endswith("[red]x\\x1b[2J: (2, 4), float32")
    at = next(k for k, line in enumerate(lines) if line.endswith("inner"))
    assert lines[at + 1].endswith("└── 0")
    assert "W: (8, 4)" in lines[at + 2] and "b: (8)" in lines[at + 3] and "LinearFunction  <- " in lines[at + 4]
    clustered = drawn(graph.to_graph(clusters=True))
    assert [line for line in clustered if "LinearFunction" in line or "ReLU" in line] == [
        line for line in lines if "LinearFunction" in line or "ReLU" in line
    ]


def test_mistakes(monkeypatch):
    with pytest.raises(TypeError, match="got int"):
        tree(3)
    monkeypatch.setitem(sys.modules, "rich.tree", None)
    with pytest.raises(ImportError, match="pip install rich"):
        tree(Net())
