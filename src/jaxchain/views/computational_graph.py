"""Chainer's `computational_graph`: the eager graph as DOT, in Chainer's look, and as a picture."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxchain.core.nodes import VariableNode
from jaxchain.views.model import Graph
from jaxchain.views.readers import eager
from jaxchain.views.save import save_graph
from jaxchain.views.writers import dot, image

if TYPE_CHECKING:
    import graphviz


class DotNode:
    """A node of the computational graph in the DOT language.

    Args:
        node: A variable node or a function node.
        attribute: DOT attributes, over the defaults.
        show_name: Whether a variable's name stands before its shape.

    Attributes:
        attribute: DOT attributes by name.
        id_: Its id. A node alone is called ``n1``; `ComputationalGraph` numbers its own.
    """

    def __init__(self, node: eager.AnyNode, attribute: Mapping[str, Any] | None = None, show_name: bool = True) -> None:
        eager.start_nodes(node)
        self.node = node
        self.id_ = "n1"
        shape = "oval" if isinstance(node, VariableNode) else "box"
        self.attribute = {"label": eager.label_of(node, show_name), "shape": shape, **(attribute or {})}

    @property
    def label(self) -> str:
        """The node's statement: ``n1 [label="ReLU",shape="record"];``."""
        return dot.statement(self.id_, self.attribute)


class Drawable:
    """What can be drawn: files, pictures in notebooks, a `graphviz.Source`."""

    def dump(self, format: str = "dot") -> str:
        """Return the graph as text."""
        raise NotImplementedError

    def to_graph(self) -> Graph:
        """Return the graph in the model of all views."""
        raise NotImplementedError

    def to_graphviz(self) -> graphviz.Source:
        """Return it as a `graphviz.Source` of the graphviz package (whose `render` needs the system's ``dot``)."""
        import graphviz

        return graphviz.Source(self.dump())

    def save(self, path: str | Path) -> Path:
        """Write a file; its kind is told by the suffix: ``.dot``, ``.svg``, ``.png``, ``.json`` or ``.txt``.

        Returns:
            The path.

        Raises:
            ValueError: Another suffix.
            RenderError: No picture could be made.
        """
        return save_graph(self.to_graph, self.dump, path)

    def animate(self, path: str | Path, title: str = "") -> Path:
        """Write a page on which the graph grows as the program runs, with a slider: one HTML file, offline.

        Args:
            path: Where to.
            title: Heading of the page.

        Returns:
            The path.

        Raises:
            RenderError: There is no Graphviz to lay it out, or the graph is too large.
        """
        return self.to_graph().animate(path, title)

    def __rich__(self) -> Any:
        """Return the tree that `rich.print` draws."""
        return importlib.import_module("jaxchain.views.terminal").tree(self)

    def _repr_svg_(self) -> str | None:
        """Draw it in a notebook; nothing where no renderer is installed."""
        try:
            return image.render(self.dump(), "svg").decode()
        except image.RenderError:
            return None

    def _repr_html_(self) -> str:
        """Show it in a notebook: its counts, and the picture if it is small."""
        return importlib.import_module("jaxchain.views.notebook").graph_html(self.to_graph())


class Drawing(Drawable):
    """A finished drawing of an eager graph.

    Args:
        graph: The graph in the model of all views.
        dot: Its DOT text.
    """

    def __init__(self, graph: Graph, dot: str) -> None:
        self._graph, self._dot = graph, dot

    def dump(self, format: str = "dot") -> str:
        """Return the DOT text."""
        if format != "dot":
            raise NotImplementedError("Currently, only dot format is supported.")
        return self._dot

    def to_graph(self) -> Graph:
        """Return the graph in the model of all views."""
        return self._graph

    def __repr__(self) -> str:
        return f"<Drawing: {len(self._graph.nodes)} nodes, {len(self._graph.edges)} edges>"


class ComputationalGraph(Drawable):
    """Nodes and edges behind some outputs, ready to be drawn.

    Args:
        nodes: Variable nodes and function nodes.
        edges: Pairs of nodes (from, to).
        variable_style: DOT attributes of variables; ``'default'`` is Chainer's grey octagon, None a plain oval.
        function_style: DOT attributes of functions; ``'default'`` is Chainer's blue record, None a plain box.
        rankdir: TB (top to bottom), BT, LR or RL.
        remove_variable: Draw functions only.
        show_name: Show variables' names.

    Raises:
        ValueError: `rankdir` is none of the four.
    """

    def __init__(
        self,
        nodes: Sequence[eager.AnyNode],
        edges: Iterable[tuple[eager.AnyNode, eager.AnyNode]],
        variable_style: Mapping[str, Any] | str | None = "default",
        function_style: Mapping[str, Any] | str | None = "default",
        rankdir: str = "TB",
        remove_variable: bool = False,
        show_name: bool = True,
    ) -> None:
        if rankdir not in dot.RANKDIRS:
            raise ValueError("rankdir must be in TB, BT, LR or RL.")
        self.nodes = list(nodes)
        self.edges = list(edges)
        self.variable_style = _style(variable_style, dot.VARIABLE)
        self.function_style = _style(function_style, dot.FUNCTION)
        self.rankdir = rankdir
        self.remove_variable = remove_variable
        self.show_name = show_name

    def to_graph(self, *, clusters: bool = False) -> Graph:
        """Return the graph in the model of all views, with each node's facts (link path, source line, ...)."""
        return self._graph(details=True, clusters=clusters)

    def _graph(self, details: bool = False, clusters: bool = False) -> Graph:
        return eager.from_lists(
            self.nodes,
            self.edges,
            remove_variable=self.remove_variable,
            show_name=self.show_name,
            details=details,
            clusters=clusters,
        )

    def dump(self, format: str = "dot") -> str:
        """Return the graph as text.

        Args:
            format: Must be ``'dot'``.

        Returns:
            One line of DOT. Ids are ``n1``, ``n2``, ... in walk order, the same in every run.

        Raises:
            NotImplementedError: Another format.
        """
        if format != "dot":
            raise NotImplementedError("Currently, only dot format is supported.")
        style = dot.Style(
            nodes={
                "variable": {"shape": "oval", **self.variable_style},
                "function": {"shape": "box", **self.function_style},
            }
        )
        return dot.write(self._graph(), style=style, rankdir=self.rankdir, separator="")

    def freeze(self) -> Drawing:
        """Return the drawing as it is now. It holds no nodes, so it keeps no arrays alive and changes no more."""
        return Drawing(self.to_graph(), self.dump())

    def __repr__(self) -> str:
        return f"<ComputationalGraph: {len(self.nodes)} nodes, {len(self.edges)} edges>"


def build_computational_graph(
    outputs: Any,
    remove_split: bool = True,
    variable_style: Mapping[str, Any] | str | None = "default",
    function_style: Mapping[str, Any] | str | None = "default",
    rankdir: str = "TB",
    remove_variable: bool = False,
    show_name: bool = True,
) -> ComputationalGraph:
    """Build the graph of the functions and variables from which some outputs were computed.

    Args:
        outputs: A Variable, VariableNode or FunctionNode, or several.
        remove_split: Must be True (an old argument of Chainer's).
        variable_style: DOT attributes of variables, or ``'default'``.
        function_style: DOT attributes of functions, or ``'default'``.
        rankdir: TB (top to bottom), BT, LR or RL.
        remove_variable: Draw functions only.
        show_name: Show variables' names.

    Returns:
        The graph. Where a variable was unchained, it ends.

    Raises:
        TypeError: An output is not a Variable, VariableNode or FunctionNode.
        ValueError: `remove_split` is False, or `rankdir` is none of the four.
    """
    if not remove_split:
        raise ValueError("remove_split=False is not supported anymore")
    nodes, edges = eager.walk(eager.start_nodes(outputs))
    return ComputationalGraph(nodes, edges, variable_style, function_style, rankdir, remove_variable, show_name)


def _style(style: Mapping[str, Any] | str | None, default: Mapping[str, str]) -> dict[str, Any]:
    if style is None:
        return {}
    if isinstance(style, str):
        if style != "default":
            raise ValueError(f"a style is a dict of DOT attributes, 'default' or None, got {style!r}")
        return dict(default)
    return dict(style)
