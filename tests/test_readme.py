"""Code as a newcomer copies it: the README's runs, a page of the documentation imports what it uses."""

from __future__ import annotations

import ast
import builtins
import pathlib
import re

import pytest

README = pathlib.Path(__file__).parent.parent / "README.md"


def test_the_blocks_of_the_tour_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "tour"}
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        # with the lines it has in the README: errors and views name them
        above = README.read_text().split(block)[0].count("\n")
        exec(compile("\n" * above + block, str(README), "exec"), names)
    printed = capsys.readouterr().out
    assert "first call" in printed and "name=linear" in printed and "outputs: largest difference" in printed
    assert (tmp_path / "graph.svg").read_text().startswith("<") and (tmp_path / "out").is_dir()


BLOCKS = re.compile(r"^```\{testcode\}[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = [p for p in sorted((README.parent / "docs").rglob("*.md")) if BLOCKS.search(p.read_text())]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_what_a_page_shows_imports_what_it_uses(page):
    known = set(vars(builtins)) | {"__name__"}
    for block in BLOCKS.findall(page.read_text()):
        code = "\n".join(line for line in block.splitlines() if not re.match(r":\w+:", line))
        tree = ast.parse(code)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                known |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                known.add(node.name)
            elif isinstance(node, ast.arg):
                known.add(node.arg)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                known.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                known.add(node.id)
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert used <= known, f"{page.name}: {sorted(used - known)} in\n{code}"
