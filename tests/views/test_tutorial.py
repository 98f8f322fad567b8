"""The pictures of the two tutorial programs, to the byte; ids aside they are what Chainer 7.8.1 draws for them."""

import runpy
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden" / "tutorial"
EXAMPLES = Path(__file__).parents[2] / "examples" / "tutorial"


@pytest.mark.parametrize(
    ("program", "pictures"),
    [("dynamic_graph", ["dynamic_graph_relu", "dynamic_graph_sigmoid"]), ("static_graph", ["static_graph"])],
)
def test_pictures(program, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / f"{program}.py"), run_name="__main__")
    for name in pictures:
        assert (tmp_path / f"{name}.dot").read_text() == (GOLDEN / f"{name}.dot").read_text()
