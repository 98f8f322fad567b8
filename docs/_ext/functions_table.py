"""The directive `functions-table`: every public function of jaxchain.functions, found by walking the package.

One row a function: what it does, where it is written, and the `Source` line of its docstring.
"""

import importlib
import inspect

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.util.nodes import nested_parse_with_titles


def functions():
    """Yield (name, function) of the public functions."""
    package = importlib.import_module("jaxchain.functions")
    for name, value in sorted(vars(package).items()):
        if not name.startswith("_") and callable(value) and not inspect.ismodule(value):
            yield name, value


def row(name, function):
    """Return the cells of a function: name, first line, source file, literature."""
    lines = (inspect.getdoc(function) or "").splitlines()
    source = ""
    for i, line in enumerate(lines):
        if line.startswith("Source:"):
            rest = []
            for more in lines[i + 1 :]:
                if not more.strip():
                    break
                rest.append(more.strip())
            source = " ".join([line.removeprefix("Source:").strip(), *rest]).strip()
    target = inspect.unwrap(function)
    module = getattr(target, "__module__", "jaxchain.functions")
    return name, lines[0] if lines else "", module, source


class FunctionsTable(Directive):
    """The table, and under it the full documentation of each function."""

    def run(self):
        """Return the nodes."""
        rst = [".. list-table::", "   :header-rows: 1", "", "   * - Function", "     - What it does"]
        rst += ["     - Written in", "     - Source"]
        for name, summary, module, source in (row(*f) for f in functions()):
            page = "_modules/" + module.replace(".", "/") + ".html"
            rst += [f"   * - :py:func:`~jaxchain.functions.{name}`", f"     - {summary}"]
            rst += [f"     - `{module.removeprefix('jaxchain.')} <../{page}>`__", f"     - {source}"]
        rst.append("")
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
