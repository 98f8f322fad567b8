"""Files for other people's viewers: what they must hold, and that they say the same as the graph."""

import json
import re
import sys

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import cli
from jaxchain.views.show import show
from jaxchain.views.writers import model_explorer, tensorboard

X = np.ones((2, 3), np.float32)


class Net(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(3, 4)
            self.l2 = L.Linear(4, 2)

    def forward(self, x):
        return self.l2(F.relu(self.l1(x))) + self.l2(F.tanh(self.l1(x)))


@pytest.fixture(scope="module")
def views():
    jaxchain.seed(0)
    return show(Net(), X)


@pytest.fixture(scope="module", params=["eager", "jaxpr"])
def graph(request, views):
    from jaxchain.views import programs

    return views.graph.to_graph() if request.param == "eager" else programs.jaxpr_of(views.program).to_graph()


def test_model_explorer(graph):
    data = json.loads(model_explorer.write(graph))
    assert data.keys() == {"label", "graphs"}  # a graph collection
    (only,) = data["graphs"]
    nodes = {n["id"]: n for n in only["nodes"]}
    assert nodes.keys() == {n.id for n in graph.nodes}
    edges = [(e["sourceNodeId"], n["id"]) for n in only["nodes"] for e in n["incomingEdges"]]
    assert sorted(edges) == sorted((e.source, e.target) for e in graph.edges)
    for node in only["nodes"]:
        assert node.keys() == {"id", "label", "namespace", "attrs", "incomingEdges", "outputsMetadata"}
        assert all(a.keys() == {"key", "value"} and isinstance(a["value"], str) for a in node["attrs"])
        for edge in node["incomingEdges"]:
            outputs = nodes[edge["sourceNodeId"]]["outputsMetadata"]
            assert edge["sourceNodeOutputId"] in [o["id"] for o in outputs]
    namespaces = {n["namespace"] for n in only["nodes"]}
    assert {"l1", "l2"} <= namespaces if graph.kind == "eager" else {"Net/l1/LinearFunction#0"} <= namespaces


def test_tensorboard(graph, tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.graph_pb2 import GraphDef

    folder = tensorboard.write(graph, tmp_path / "logs")
    (file,) = folder.iterdir()
    assert "tfevents" in file.name
    data, found = file.read_bytes(), None
    while data:  # records: length, its checksum, the event, its checksum
        length = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + length])
        found = GraphDef.FromString(event.graph_def) if event.graph_def else found
        data = data[16 + length :]
    assert len(found.node) == len(graph.nodes)
    names = {n.name.rpartition("-")[2]: n for n in found.node}
    assert names.keys() == {n.id for n in graph.nodes}
    assert all(re.fullmatch(r"[A-Za-z0-9.][A-Za-z0-9_.\-/]*", n.name) for n in found.node)
    edges = [(i.rpartition("-")[2], n.name.rpartition("-")[2]) for n in found.node for i in n.input]
    assert sorted(edges) == sorted((e.source, e.target) for e in graph.edges)
    if graph.kind == "eager":
        shapes = [
            [d.size for d in n.attr["_output_shapes"].list.shape[0].dim]
            for n in found.node
            if "_output_shapes" in n.attr
        ]
        assert [2, 3] in shapes and [4, 3] in shapes
    assert any("l1/" in n.name for n in found.node)


def test_the_command_line_writes_them(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tensorboardX")
    (tmp_path / "net_to_view.py").write_text(
        "import jaxchain.links as L\nclass Net(L.Linear):\n    def __init__(self):\n        super().__init__(3, 2)\n"
    )
    monkeypatch.chdir(tmp_path)
    formats = "mermaid,model-explorer,tensorboard,stablehlo"
    assert cli.main(["view", "net_to_view.py:Net", "--input", "2,3", "--out", "views", "--format", formats]) == 0
    written = {str(p.relative_to(tmp_path / "views")) for p in (tmp_path / "views").rglob("*") if p.is_file()}
    events = {name for name in written if "tfevents" in name}
    assert {name.rsplit("/", 1)[0] for name in events} == {"tensorboard/graph", "tensorboard/jaxpr"}
    assert written - events == {
        "graph.mmd",
        "jaxpr.mmd",
        "graph.model_explorer.json",
        "jaxpr.model_explorer.json",
        "program.mlir",
    }
    assert (tmp_path / "views/graph.mmd").read_text().startswith("flowchart TD")
    assert "stablehlo.dot_general" in (tmp_path / "views/program.mlir").read_text()
    code = cli.main(
        ["view", "net_to_view.py:Net", "--input", "2,3", "--out", "v", "--mode", "eager", "--format", "stablehlo"]
    )
    assert code == 2 and "static mode" in capsys.readouterr().err


def test_without_the_package_the_extra_is_named(views, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    for name in ("attr_value", "graph"):
        monkeypatch.setitem(sys.modules, f"tensorboardX.proto.{name}_pb2", None)
    with pytest.raises(ImportError, match=r"pip install jaxchain\[tensorboard\]"):
        views.save(tmp_path, ["tensorboard"])
