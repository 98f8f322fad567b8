"""Graph -> the JSON that Google's Model Explorer opens (``model-explorer file.json``): its ``graph_builder`` form."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from jaxchain.views.model import Graph
from jaxchain.views.writers.names import namespaces


def as_dict(graph: Graph) -> dict[str, Any]:
    """Return the graph as a graph collection: links are namespaces, attributes are shown beside a node."""
    paths = namespaces(graph)
    incoming: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    outputs: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for edge in graph.edges:
        number = len(outputs[edge.source])
        shown = [{"key": "tensor_shape", "value": edge.label}] if edge.label else []
        outputs[edge.source].append({"id": str(number), "attrs": shown})
        incoming[edge.target].append(
            {
                "sourceNodeId": edge.source,
                "sourceNodeOutputId": str(number),
                "targetNodeInputId": str(len(incoming[edge.target])),
            }
        )
    nodes = [
        {
            "id": node.id,
            "label": node.label.replace("\n", " "),
            "namespace": paths[node.id],
            "attrs": [{"key": "kind", "value": node.kind}, *_attributes(node.attributes)],
            "incomingEdges": incoming[node.id],
            "outputsMetadata": outputs[node.id],
        }
        for node in graph.nodes
    ]
    return {"label": graph.name, "graphs": [{"id": graph.kind, "nodes": nodes}]}


def write(graph: Graph) -> str:
    """Return the graph as JSON text."""
    return json.dumps(as_dict(graph))


def _attributes(attributes: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"key": str(k), "value": str(v)} for k, v in attributes.items() if v not in (None, "", (), [], {})]
