"""Files of views: the suffix tells the kind; written under another name first, so that no half file is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jaxchain.serializers.files import write_whole
from jaxchain.views.model import Graph
from jaxchain.views.writers import image, mermaid, model_explorer
from jaxchain.views.writers import json as json_writer
from jaxchain.views.writers import text as text_writer

SUFFIXES = (".dot", ".gv", ".svg", ".png", ".json", ".model_explorer.json", ".mmd", ".txt")


def write_file(path: str | Path, content: str | bytes) -> Path:
    """Write a file whole or not at all."""
    data = content.encode() if isinstance(content, str) else content
    write_whole(path, lambda file: file.write(data))
    return Path(path)


def save_graph(
    graph: Callable[[], Graph], dot: Callable[[], str], path: str | Path, text: Callable[[], str] | None = None
) -> Path:
    """Write a graph to a file of the kind that its suffix tells.

    Args:
        graph: Gives the graph (for JSON and text).
        dot: Gives its DOT text.
        path: Where to.
        text: Gives the text for ``.txt``; by default a listing of the graph.

    Returns:
        The path.

    Raises:
        ValueError: The suffix is not known.
        RenderError: No picture could be made.
    """
    suffix = Path(path).suffix.lower()
    if suffix in (".dot", ".gv"):
        return write_file(path, dot())
    if suffix in (".svg", ".png"):
        return write_file(path, image.render(dot(), suffix[1:]))
    if Path(path).name.lower().endswith(".model_explorer.json"):
        return write_file(path, model_explorer.write(graph()))
    if suffix == ".mmd":
        return write_file(path, mermaid.write(graph()))
    if suffix == ".json":
        return write_file(path, json_writer.write(graph()))
    if suffix == ".txt":
        return write_file(path, text() if text is not None else text_writer.write(graph()))
    raise ValueError(f"{Path(path).name}: expected a name ending in one of {', '.join(SUFFIXES)}")
