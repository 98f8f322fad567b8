"""The directive `functions-table`: every public function of jaxchain.functions, found by walking the package.

A table for each file: what a function does, its source, and the literature that its docstring's `Source` names, with
links to arXiv and DOI. Under the tables the documentation of each function.
"""

import importlib
import inspect
import re

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.util.nodes import nested_parse_with_titles

LINKS = (
    (re.compile(r"arXiv:([0-9]{4}\.[0-9]{4,5})"), r"`arXiv:\1 <https://arxiv.org/abs/\1>`__"),
    (re.compile(r"doi:(10\.[^\s,;]+[^\s,;.])"), r"`doi:\1 <https://doi.org/\1>`__"),
)


def functions():
    """Yield (name, function) of the public functions."""
    package = importlib.import_module("jaxchain.functions")
    for name, value in sorted(vars(package).items()):
        if not name.startswith("_") and callable(value) and not inspect.ismodule(value):
            yield name, value


def summary_and_source(function):
    """Return the first paragraph of a docstring and its `Source` section, each as one line."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    source = next((p for p in paragraphs if p.startswith("Source:")), "").removeprefix("Source:")
    source = " ".join(source.split())
    for pattern, link in LINKS:
        source = pattern.sub(link, source)
    return " ".join(paragraphs[0].split()), source


def rooms():
    """Yield (module, functions in it), modules and functions by name."""
    found = {}
    for name, function in functions():
        found.setdefault(inspect.getmodule(inspect.unwrap(function)), []).append((name, function))
    yield from sorted(found.items(), key=lambda item: item[0].__name__)


class FunctionsTable(Directive):
    """The tables, and under them the full documentation of each function."""

    def run(self):
        """Return the nodes."""
        rst = []
        for module, members in rooms():
            path = module.__name__.removeprefix("jaxchain.").replace(".", "/")
            rst += [f".. rubric:: {path.split('/')[-1].replace('_', ' ').capitalize()}", ""]
            rst += [(inspect.getdoc(module) or "").split("\n\n")[0].replace("\n", " "), ""]
            rst += [".. list-table::", "   :header-rows: 1", "   :widths: 22 44 10 24", ""]
            rst += ["   * - Function", "     - What it does", "     - Written in", "     - Literature"]
            for name, function in members:
                summary, source = summary_and_source(function)
                page = f"../_modules/{module.__name__.replace('.', '/')}.html#{name}"
                rst += [f"   * - :py:func:`~jaxchain.functions.{name}`", f"     - {summary}"]
                rst += [f"     - `{path.split('/')[-1]}.py <{page}>`__", f"     - {source}"]
            rst.append("")
        rst += [".. rubric:: All functions", ""]
        for name, _ in functions():
            rst += [f".. autofunction:: jaxchain.functions.{name}", ""]
        node = nodes.section()
        node.document = self.state.document
        nested_parse_with_titles(self.state, StringList(rst, source="functions-table"), node)
        return node.children


def setup(app):
    """Register the directive."""
    app.add_directive("functions-table", FunctionsTable)
    return {"parallel_read_safe": True}
