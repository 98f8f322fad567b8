"""The graph of the loss and the program of the update, as files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any

import jax

from jaxchain.core.config import config, using_config
from jaxchain.core.static import Static, trace
from jaxchain.core.untouched import untouched
from jaxchain.core.variable import Variable
from jaxchain.training.extension import Extension
from jaxchain.training.updaters.base import call
from jaxchain.training.updaters.standard import StandardUpdater
from jaxchain.views import RenderError, build_computational_graph, jaxpr

VARIABLE_STYLE = {"shape": "octagon", "fillcolor": "#E0E0E0", "style": "filled"}
FUNCTION_STYLE = {"shape": "record", "fillcolor": "#6495ED", "style": "filled"}


class DumpGraph(Extension):
    """Writes the graph of the first update's loss in DOT, a picture of it, and the jaxpr of the whole update.

    ``cg.dot`` is the graph as Chainer draws it, ``cg.png`` its picture if something can draw it, ``cg.jaxpr`` the
    program (forward, backward, optimizer) that static mode compiles, or the reason why there is none. In static mode,
    where calls leave no graph, the graph is that of the loss function called on the first batch while it is traced.

    Args:
        root_name: Name of the loss in the observation, e.g. ``"main/loss"``.
        filename: Name of the DOT file. None: ``"cg.dot"``.
        variable_style: DOT attributes of Variables.
        function_style: DOT attributes of functions.
        out_name: Old name of `filename`.
    """

    default_name = "dump_graph"  # type: ignore[assignment]

    def __init__(
        self,
        root_name: str,
        filename: str | None = None,
        variable_style: Mapping[str, Any] | None = None,
        function_style: Mapping[str, Any] | None = None,
        *,
        out_name: str = "cg.dot",
    ) -> None:
        self._root_name = root_name
        self._filename = out_name if filename is None else filename
        self._variable_style = VARIABLE_STYLE if variable_style is None else variable_style
        self._function_style = FUNCTION_STYLE if function_style is None else function_style
        self._original_flag: Any = None
        self._flag_called = False

    def initialize(self, trainer: Any) -> None:
        """Keep the graph and the batch of the first update.

        Args:
            trainer: The trainer.
        """
        if self._flag_called:
            return
        self._original_flag = config.keep_graph_on_report
        if not _is_one_program(trainer.updater):  # such a call leaves no graph, and would be compiled for the flag
            config.keep_graph_on_report = True
        if hasattr(trainer.updater, "_keep_batch"):
            trainer.updater._keep_batch = True

    def trigger(self, trainer: Any) -> bool:
        """Return whether it was not called yet.

        Args:
            trainer: Not used.
        """
        first, self._flag_called = not self._flag_called, True
        return first

    def __call__(self, trainer: Any) -> None:
        """Write the files.

        Args:
            trainer: The trainer.

        Raises:
            TypeError: What has the name of the loss is not a Variable.
        """
        updater = trainer.updater
        try:
            root = trainer.observation[self._root_name]
            if not isinstance(root, Variable):
                raise TypeError(f"DumpGraph: expected a Variable as {self._root_name}, got {type(root)}")
            path = os.path.join(trainer.out, self._filename)
            batch = getattr(updater, "_last_batch", None)
            if root.creator_node is not None or batch is None:
                self._draw(root, path)
            else:
                function = updater.loss_func or updater.get_optimizer("main").target
                self._draw_traced(function, batch, path)
            if batch is not None:
                self._write_jaxpr(updater, batch, path)
        finally:
            config.keep_graph_on_report = self._original_flag
            if hasattr(updater, "_keep_batch"):
                updater._keep_batch, updater._last_batch = False, None

    def _draw(self, root: Variable, path: str) -> None:
        graph = build_computational_graph(
            [root], variable_style=self._variable_style, function_style=self._function_style
        )
        with open(path, "w") as file:
            file.write(graph.dump())
        with contextlib.suppress(RenderError):  # nothing here can draw it: the DOT file is there
            graph.save(f"{os.path.splitext(path)[0]}.png")

    def _draw_traced(self, function: Any, batch: Any, path: str) -> None:
        """Draw the graph that exists while the loss function is traced; the trace leaves nothing else behind."""
        done = []

        def draw(*args: Any, **kwargs: Any) -> Any:
            loss = function(*args, **kwargs)
            if not done:
                done.append(True)
                self._draw(loss, path)
            return loss

        def draw_eager(*args: Any, **kwargs: Any) -> None:
            with untouched(function, args, kwargs), using_config("mode", "eager"):
                self._draw(function(*args, **kwargs), path)

        target = Static(draw, "loss", [("loss_func", function)], rules=False)
        try:
            call(lambda *args, **kwargs: trace(target, *args, **kwargs), batch)
        except Exception:  # what a program may do, its trace may not
            if jax.process_count() == 1:  # else it may wait for the others
                call(draw_eager, batch)

    def _write_jaxpr(self, updater: Any, batch: Any, path: str) -> None:
        static = updater._get_step().static
        try:
            text = call(lambda *args, **kwargs: str(jaxpr(static, *args, **kwargs)), batch)
        except Exception as error:
            text = f"# the update is no program: {error}"
        with open(f"{os.path.splitext(path)[0]}.jaxpr", "w") as file:
            file.write(text + "\n")

    def serialize(self, serializer: Any) -> None:
        """Save or load whether it was called. Chainer's keys.

        Args:
            serializer: Serializer or deserializer.
        """
        self._original_flag = serializer("_original_flag", self._original_flag)
        self._flag_called = serializer("_flag_called", self._flag_called)


def _is_one_program(updater: Any) -> bool:
    """Return whether an update is one compiled call."""
    static = (getattr(updater, "_mode", None) or config.mode) == "static"
    return static and getattr(type(updater), "update_core", None) is StandardUpdater.update_core
