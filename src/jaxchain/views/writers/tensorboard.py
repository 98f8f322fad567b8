"""Graph -> an event file whose graph TensorBoard shows, through the package tensorboardX."""

from __future__ import annotations

import importlib
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from jaxchain.views.model import Graph
from jaxchain.views.writers.names import namespaces, plain_name

ALLOWED = r"[A-Za-z0-9_.\-]"  # in the names of nodes


def graph_def(graph: Graph) -> Any:
    """Return the graph as TensorFlow's ``GraphDef``: links are name scopes.

    Raises:
        ImportError: tensorboardX is not installed.
    """
    attr_value_pb2, graph_pb2, node_def_pb2, tensor_shape_pb2, versions_pb2 = map(
        _proto, ("attr_value", "graph", "node_def", "tensor_shape", "versions")
    )
    paths = namespaces(graph, ALLOWED)
    names = {n.id: _name(paths[n.id], n.label, n.id) for n in graph.nodes}
    inputs: defaultdict[str, list[str]] = defaultdict(list)
    for edge in graph.edges:
        inputs[edge.target].append(names[edge.source])
    nodes = []
    for node in graph.nodes:
        facts = {k: str(v) for k, v in node.attributes.items() if v not in (None, "", (), [], {})}
        attr = {k: attr_value_pb2.AttrValue(s=v.encode()) for k, v in facts.items()}
        shape = node.attributes.get("shape")
        if isinstance(shape, tuple | list):
            sizes = [tensor_shape_pb2.TensorShapeProto.Dim(size=int(n)) for n in shape]
            shapes = [tensor_shape_pb2.TensorShapeProto(dim=sizes)]
            attr["_output_shapes"] = attr_value_pb2.AttrValue(list=attr_value_pb2.AttrValue.ListValue(shape=shapes))
        op = node.label.splitlines()[0] if node.label else node.kind
        nodes.append(node_def_pb2.NodeDef(name=names[node.id], op=op, input=inputs[node.id], attr=attr))
    return graph_pb2.GraphDef(node=nodes, versions=versions_pb2.VersionDef(producer=22))


def write(graph: Graph, folder: str | Path) -> Path:
    """Write an event file into a folder: ``tensorboard --logdir folder`` shows the graph.

    Returns:
        The folder.

    Raises:
        ImportError: tensorboardX is not installed.
    """
    data = graph_def(graph).SerializeToString()
    from tensorboardX.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    writer.add_event(_proto("event").Event(wall_time=0.0, graph_def=data))
    writer.close()
    return Path(folder)


def find_package() -> None:
    """Do nothing if tensorboardX is there.

    Raises:
        ImportError: It is not.
    """
    _proto("graph")


def _proto(name: str) -> Any:
    """Return one of TensorFlow's protocol buffer modules."""
    try:
        return importlib.import_module(f"tensorboardX.proto.{name}_pb2")
    except ImportError as error:
        raise ImportError("views for TensorBoard need tensorboardX: pip install jaxchain[tensorboard]") from error


def _name(path: str, label: str, id_: str) -> str:
    own = re.sub(r"^[^A-Za-z0-9.]+", "", plain_name(label, ALLOWED))
    return f"{path}/{own or 'node'}-{id_}" if path else f"{own or 'node'}-{id_}"
