"""`jaxchain.diff`: what two graphs have in common, and what not."""

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain.views.computational_graph import build_computational_graph
from jaxchain.views.diff import COLOURS, functions_of
from jaxchain.views.model import Builder

X = np.ones((3, 4), np.float32)


class Net(jaxchain.Chain):
    def __init__(self, hidden=5, rounds=1):
        super().__init__()
        with self.init_scope():
            self.l1, self.l2, self.middle = L.Linear(4, hidden), L.Linear(hidden, 2), L.Linear(hidden, hidden)
        self.rounds = rounds

    def forward(self, x):
        h = F.relu(self.l1(x))
        for _ in range(self.rounds):
            h = F.tanh(self.middle(h))
        return self.l2(h) + 1


def labels(nodes):
    return [n.label for n in nodes]


def test_two_runs_of_one_dynamic_model():
    model = Net()
    short = build_computational_graph(model(X)).freeze()
    model.rounds = 3
    found = jaxchain.diff(short, model(X))
    assert [n for n in labels(found.added) if "," not in n] == ["LinearFunction", "Tanh"] * 2
    assert found and not found.removed and not found.changed
    # the parameters of `middle` are read by three functions now, and are the same nodes
    assert found.same == len(short.to_graph().nodes)
    assert found.removed_edges == (("(3, 5), float32", "LinearFunction"),)


def test_shapes_that_changed():
    found = jaxchain.diff(Net(5)(X), Net(7)(X))
    assert not found.added and not found.removed
    assert ("shape", "[5, 4]", "[7, 4]") in {f for c in found.changed for f in c.facts}
    assert "~ W: (7, 4), float32 in /l1: shape [5, 4] -> [7, 4]" in str(found).splitlines()


def test_a_function_for_another():
    x = jaxchain.Variable(X, name="x")
    found = jaxchain.diff(F.sum(F.relu(x)), F.sum(F.sigmoid(x)))
    assert (labels(found.removed), labels(found.added), found.same) == (["ReLU"], ["Sigmoid"], 4)


def test_static_arguments_are_changes():
    x = jaxchain.Variable(X)
    found = jaxchain.diff(F.sum(x, axis=0), F.sum(x, axis=1))
    assert [f[0] for c in found.changed for f in c.facts] == ["static_args", "shape"]


def test_equal_graphs_do_not_differ():
    model = Net(rounds=2)
    found = jaxchain.diff(model(X), model(X))
    assert not found and str(found).startswith("nodes: 0 added, 0 removed, 0 changed")
    assert found.matches == {n.id: n.id for n in found.to_graph().nodes}


def test_eager_against_static_mode():
    model = Net(rounds=2)
    static = jaxchain.jaxpr(model, X)
    same = jaxchain.diff(model(X), static)
    assert not same and same.same == 8
    model.rounds = 1
    assert labels(jaxchain.diff(model(X), static).added) == ["LinearFunction", "Tanh"]
    assert functions_of(static.to_graph()).kind == "functions"


def test_the_picture():
    x = jaxchain.Variable(X, name="x")
    found = jaxchain.diff(F.sum(F.relu(x)), F.sum(F.sigmoid(x)))
    graph = found.to_graph()
    marks = {n.label: n.attributes["change"] for n in graph.nodes}
    assert (marks["ReLU"], marks["Sigmoid"], marks["Sum"]) == ("removed", "added", "same")
    assert sorted(e.attributes["change"] for e in graph.edges) == ["added"] * 2 + ["removed"] * 2 + ["same"] * 2
    text = found.dump()
    assert COLOURS["added"] in text and COLOURS["removed"] in text
    assert "<svg" in found._repr_svg_()


def test_clusters_of_both_are_kept():
    def graph(*labels):
        b = Builder("jaxpr")
        frame = b.cluster("outer", None, "jit")
        inner = b.cluster("inner", frame, "jit")
        for label in labels:
            b.node(label, "equation", inner)
        return b.build()

    merged = jaxchain.diff(graph("add", "mul"), graph("mul", "sub")).to_graph()
    assert [c.label for c in merged.clusters] == ["outer", "inner"]
    assert {n.label: n.attributes["change"] for n in merged.nodes} == {"add": "removed", "mul": "same", "sub": "added"}
    assert {n.cluster for n in merged.nodes} == {merged.clusters[1].id}


@pytest.mark.parametrize(
    ("a", "message"), [(3, "got int"), ("x", "got str"), (Builder("hlo").build(), "got eager and hlo")]
)
def test_what_cannot_be_compared(a, message):
    with pytest.raises(TypeError, match=message):
        jaxchain.diff(a, jaxchain.Variable(X))
