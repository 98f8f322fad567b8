"""The graph model and its text and JSON forms."""

import json

import pytest

from jaxchain.views.model import Builder, Cluster, Edge, Graph, Node
from jaxchain.views.writers import json as json_writer
from jaxchain.views.writers import text


def small() -> Graph:
    builder = Builder("eager", "small")
    x = builder.node("x", "variable", shape=[2])
    link = builder.cluster("l1", None, "link")
    inner = builder.cluster("act", link, "link")
    f = builder.node("ReLU", "function", inner, value=float("nan"))
    y = builder.node("y\x1b[2J", "variable")
    builder.edge(x, f)
    builder.edge(f, y, "out", "call")
    return builder.build(functions=1)


def test_builder_numbers_nodes_and_clusters_in_order():
    graph = small()
    assert [n.id for n in graph.nodes] == ["n1", "n2", "n3"]
    assert [(c.id, c.parent) for c in graph.clusters] == [("c1", None), ("c2", "c1")]
    assert graph.path(graph.node("n2")) == ("l1", "act")
    assert graph.path(graph.node("n1")) == ()
    assert [n.label for n in graph.of_kind("function")] == ["ReLU"]
    with pytest.raises(KeyError):
        graph.node("n9")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"nodes": (Node("a", "", ""), Node("a", "", ""))}, "two nodes share an id"),
        ({"nodes": (Node("a", "", "", "c1"),)}, "lies in the cluster c1"),
        ({"nodes": (Node("a", "", ""),), "edges": (Edge("a", "b"),)}, "edge a -> b"),
        ({"clusters": (Cluster("c2", "", "c1"),)}, "its parent c1 does not come before"),
        ({"clusters": (Cluster("c1", ""), Cluster("c1", ""))}, "two clusters share"),
    ],
)
def test_inconsistent_graph_is_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        Graph("eager", **parts)


def test_text_lists_nodes_indented_by_cluster_and_shows_control_characters_escaped():
    assert text.write(small()) == ("n1  x\n[l1]\n  [act]\n    n2  ReLU  <- n1\nn3  y\\x1b[2J  <- n2~\n")
    assert text.write(Graph("eager")) == ""


def test_json_round_trip_and_no_script_can_be_closed():
    builder = Builder("jaxpr", "</script>")
    a = builder.node("</script><b>&'\"\u2028", "input", values=[1, 2.5, float("inf"), None, True], odd=object)
    builder.edge(a, a, "x", "carry")
    written = json_writer.write(builder.build(equations=1))
    assert "<" not in written
    data = json.loads(written)
    assert data["nodes"][0]["label"] == "</script><b>&'\"\u2028"
    assert data["nodes"][0]["attributes"]["values"] == [1, 2.5, "inf", None, True]
    graph = json_writer.read(written)
    assert graph.nodes[0].id == "n1"
    assert graph.edges == (Edge("n1", "n1", "x", "carry"),)
    assert graph.attributes == {"equations": 1}
    assert json_writer.write(graph) == written


def test_json_of_something_else_is_refused():
    with pytest.raises(ValueError, match="jaxchain-graph/1"):
        json_writer.read("{}")
    with pytest.raises(ValueError, match="jaxchain-graph/1"):
        json_writer.read("[1]")
