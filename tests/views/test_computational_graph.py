"""Chainer's computational graph: the same drawing as Chainer's, stable ids, files, long chains."""

import hashlib
import json
import re
import subprocess
import sys
import weakref
from collections import Counter
from pathlib import Path

import graph_cases
import graphviz
import numpy as np
import pytest

import jaxchain
import jaxchain.functions
import jaxchain.links
from jaxchain.computational_graph import ComputationalGraph, DotNode, build_computational_graph
from jaxchain.views.readers import eager

GOLDEN = json.loads((Path(__file__).parent / "golden" / "chainer_graphs.json").read_text())["graphs"]
F = jaxchain.functions


def canonical(dot: str) -> tuple[str, int, Counter]:
    """Return what a DOT text says apart from its ids: head, number of edges, nodes with their surroundings.

    A node is described by its statement and, round after round, by the descriptions of its neighbours.
    """
    head, _, body = dot.partition(";")
    nodes = dict(re.findall(r"(\w+) (\[.*?\]);", body))
    edges = re.findall(r"(\w+) -> (\w+);", body)
    rest = re.sub(r"\w+ -> \w+;", "", re.sub(r"\w+ \[.*?\];", "", body))
    assert rest == "}", rest
    names = dict(nodes)
    for _ in range(len(nodes)):
        before: dict[str, list[str]] = {n: [] for n in nodes}
        after: dict[str, list[str]] = {n: [] for n in nodes}
        for a, b in edges:
            before[b].append(names[a])
            after[a].append(names[b])
        described = {n: repr((nodes[n], sorted(before[n]), sorted(after[n]))) for n in nodes}
        names = {n: hashlib.sha256(d.encode()).hexdigest() for n, d in described.items()}
    return head, len(edges), Counter(names.values())


@pytest.mark.parametrize("name", sorted(graph_cases.CASES))
def test_drawn_as_by_chainer(name):
    assert canonical(graph_cases.dump(jaxchain, build_computational_graph, name)) == canonical(GOLDEN[name])


def test_canonical_tells_graphs_apart():
    """The comparison itself: an edge moved, a label changed."""
    golden = GOLDEN["static"]
    edge = re.search(r"(\w+) -> (\w+);", golden)
    assert canonical(golden) != canonical(golden.replace(edge.group(), f"{edge.group(2)} -> {edge.group(1)};"))
    assert canonical(golden) != canonical(golden.replace('"ReLU"', '"Tanh"'))
    assert canonical(golden) != canonical(golden.replace("rankdir=TB", "rankdir=LR"))


def static_model():
    return graph_cases.CASES["static"][0](jaxchain)


def test_the_tutorials_static_model_to_the_letter():
    graph = build_computational_graph([static_model()])
    assert len([n for n in graph.nodes if not hasattr(n, "dtype")]) == 3
    assert len(graph.nodes) == 11 and len(graph.edges) == 10
    v, f = 'shape="octagon",fillcolor="#E0E0E0",style="filled"', 'shape="record",fillcolor="#6495ED",style="filled"'
    assert graph.dump() == (
        "digraph graphname{rankdir=TB;"
        f'n1 [label="(3, 4), float32",{v}];n2 [label="W: (5, 4), float32",{v}];n3 [label="b: (5), float32",{v}];'
        f'n4 [label="LinearFunction",{f}];n5 [label="(3, 5), float32",{v}];n6 [label="ReLU",{f}];'
        f'n7 [label="(3, 5), float32",{v}];n8 [label="W: (2, 5), float32",{v}];n9 [label="b: (2), float32",{v}];'
        f'n10 [label="LinearFunction",{f}];n11 [label="(3, 2), float32",{v}];'
        "n1 -> n4;n2 -> n4;n3 -> n4;n4 -> n5;n5 -> n6;n6 -> n7;n7 -> n10;n8 -> n10;n9 -> n10;n10 -> n11;}"
    )


def test_two_dumps_are_equal_within_and_between_runs():
    graph = build_computational_graph([static_model()])
    assert graph.dump() == graph.dump() == build_computational_graph([static_model()]).dump()
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import jaxchain, jaxchain.functions, jaxchain.links\n"
        "import graph_cases; from jaxchain.computational_graph import build_computational_graph as b\n"
        "print(graph_cases.dump(jaxchain, b, 'classifier'))"
    )
    texts = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert texts == {graph_cases.dump(jaxchain, build_computational_graph, "classifier") + "\n"}


def test_several_outputs_and_kinds_of_outputs():
    x = jaxchain.Variable(np.ones((2,), np.float32), name="x")
    y, z = F.relu(x), F.tanh(x)
    both = build_computational_graph([y, z])
    assert [n.label for n in both.nodes] == ["(2), float32", "ReLU", "(2), float32", "Tanh", "(2), float32"]
    assert build_computational_graph(y).dump() == build_computational_graph([y.node]).dump()
    assert len(build_computational_graph(y.creator).nodes) == 2
    assert build_computational_graph(v for v in [y, z]).dump() == both.dump()


def test_bad_arguments_are_chainers_errors():
    y = F.relu(jaxchain.Variable(np.ones((2,), np.float32)))
    with pytest.raises(TypeError, match="must be either Variable, VariableNode, or FunctionNode, got ndarray"):
        build_computational_graph([np.ones(2)])
    with pytest.raises(TypeError, match="element of outputs"):
        build_computational_graph("y")
    with pytest.raises(TypeError, match="element of outputs"):
        build_computational_graph(None)
    with pytest.raises(ValueError, match="rankdir must be in TB, BT, LR or RL"):
        build_computational_graph([y], rankdir="tb")
    with pytest.raises(ValueError, match="remove_split=False is not supported"):
        build_computational_graph([y], remove_split=False)
    with pytest.raises(NotImplementedError, match="only dot format"):
        build_computational_graph([y]).dump("svg")
    with pytest.raises(ValueError, match="'default' or None"):
        build_computational_graph([y], variable_style="fancy")
    with pytest.raises(TypeError, match="head and tail should be the set of VariableNode and Function"):
        ComputationalGraph([y.node], [(y.node, y.node)]).dump()


def test_dot_node():
    y = F.relu(jaxchain.Variable(np.ones((2,), np.float32), name="y"))
    assert DotNode(y.creator).label == 'n1 [label="ReLU",shape="box"];'
    x = y.creator.inputs[0]
    assert DotNode(x).label == 'n1 [label="y: (2), float32",shape="oval"];'
    assert (
        DotNode(x, {"color": "red", "shape": "box"}, False).label
        == 'n1 [label="(2), float32",shape="box",color="red"];'
    )


@pytest.mark.parametrize("name", ['</script>"; x', "{a|b}", "<b>&lt;", "back\\", "new\nline"])
def test_hostile_variable_names(name, tmp_path):
    y = F.relu(jaxchain.Variable(np.ones((2,), np.float32), name=name))
    graph = build_computational_graph([y], variable_style={"shape": "record"})
    svg = graph._repr_svg_()
    assert svg.count('class="node"') == 3 and "<script" not in svg
    assert json.loads(graph.save(tmp_path / "g.json").read_text())["nodes"][0]["label"] == f"{name}: (2), float32"


def test_files_of_every_kind(tmp_path):
    graph = build_computational_graph([static_model()])
    assert graph.save(tmp_path / "g.dot").read_text() == graph.dump()
    svg = graph.save(str(tmp_path / "g.svg")).read_text()
    assert svg.count('class="node"') == 11 and svg.count('class="edge"') == 10 and ">LinearFunction<" in svg
    assert graph.save(tmp_path / "g.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    data = json.loads(graph.save(tmp_path / "g.json").read_text())
    functions = [n for n in data["nodes"] if n["kind"] == "function"]
    assert [n["attributes"]["link_path"] for n in functions] == ["/l1", "", "/l2"]
    assert all(n["attributes"]["source"][0].endswith("graph_cases.py") for n in functions)
    assert [n["attributes"].get("parameter") for n in data["nodes"] if n["label"].startswith("W")] == [True, True]
    assert "LinearFunction  <- n1, n2, n3" in graph.save(tmp_path / "g.txt").read_text()
    with pytest.raises(ValueError, match=r"g\.pdf: expected a name ending in one of \.dot"):
        graph.save(tmp_path / "g.pdf")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["g.dot", "g.json", "g.png", "g.svg", "g.txt"]


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    graph = build_computational_graph([static_model()])
    path = graph.save(tmp_path / "g.svg")
    old = path.read_bytes()
    monkeypatch.setattr("jaxchain.views.writers.image.shutil.which", lambda *a, **k: None)
    with pytest.raises(RuntimeError, match="no Graphviz"):
        graph.save(path)
    assert path.read_bytes() == old and [p.name for p in tmp_path.iterdir()] == ["g.svg"]
    assert graph._repr_svg_() is None


def test_a_frozen_drawing_keeps_no_arrays():
    y = static_model()
    graph = build_computational_graph([y])
    drawing, text, array = graph.freeze(), graph.dump(), weakref.ref(y.creator.inputs[0].creator_node)
    assert array() is not None
    del y, graph
    assert array() is None
    assert drawing.dump() == text and drawing._repr_svg_().count('class="node"') == 11
    assert repr(drawing) == "<Drawing: 11 nodes, 10 edges>"


def test_to_graphviz_and_repr():
    graph = build_computational_graph([static_model()])
    source = graph.to_graphviz()
    assert isinstance(source, graphviz.Source) and source.source.strip() == graph.dump()
    assert repr(graph) == "<ComputationalGraph: 11 nodes, 10 edges>"


def test_clusters_follow_the_links():
    graph = build_computational_graph([static_model()]).to_graph(clusters=True)
    assert [(c.label, c.attributes["path"]) for c in graph.clusters] == [("l1", "/l1"), ("l2", "/l2")]
    assert [graph.path(n) for n in graph.of_kind("function")] == [("l1",), (), ("l2",)]


def test_a_long_chain_is_drawn_without_recursion_in_linear_time():
    code = """
import sys, time, numpy as np, jaxchain, jaxchain.functions as F
from jaxchain.computational_graph import build_computational_graph
sys.setrecursionlimit(200)
def chain(n):
    x = jaxchain.Variable(np.ones(1, np.float32))
    for _ in range(n):
        x = F.relu(x)
    return x
def seconds(y):
    start = time.process_time()
    text = build_computational_graph([y]).dump()
    return time.process_time() - start, text
small, _ = seconds(chain(5_000))
large, text = seconds(chain(50_000))
assert text.count("ReLU") == 50_000 and text.count("->") == 100_000, "wrong graph"
assert text.startswith("digraph graphname{rankdir=TB;n1 [") and text.endswith("n100000 -> n100001;}")
print(small, large)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    small, large = map(float, done.stdout.split())
    assert large < 40 * small + 1, (small, large)
    assert large < 30


class Inner(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l = jaxchain.links.Linear(4, 4)

    def forward(self, x):
        return F.relu(self.l(F.tanh(x)))


def test_variables_that_only_a_link_sees_lie_in_its_cluster():
    model = jaxchain.Chain(a=Inner(), b=Inner())
    x = jaxchain.Variable(np.ones((2, 4), np.float32))
    graph = eager.read(F.sum(model.b(model.a(x))), clusters=True)
    paths = {c.id: c.attributes["path"] for c in graph.clusters} | {None: ""}
    found = [(n.label.split(",")[0].split(":")[0], paths[n.cluster]) for n in graph.nodes]
    within = [("(2", "{}"), ("W", "{}/l"), ("b", "{}/l"), ("LinearFunction", "{}/l"), ("(2", "{}"), ("ReLU", "{}")]
    a, b = ([(label, path.format(link)) for label, path in [("Tanh", "{}"), *within]] for link in ("/a", "/b"))
    assert found == [("(2", ""), *a, ("(2", ""), *b, ("(2", ""), ("Sum", ""), ("float32", "")]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    graph = build_computational_graph(jaxchain.Variable(np.zeros(1, np.float32)))
    path = tmp_path / "none" / "graph.dot"
    with pytest.raises(FileNotFoundError) as caught:
        graph.save(path)
    assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as caught:
        jaxchain.serializers.save_npz(tmp_path / "none" / "model.npz", {})
    assert caught.value.filename == str(tmp_path / "none" / "model.npz")
