"""The README's own code runs: its blocks, one after the other, as a newcomer copies them."""

from __future__ import annotations

import pathlib
import re

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
