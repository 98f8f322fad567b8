"""DOT: escaping of hostile names, clusters, and pictures that really render."""

import itertools
import struct
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from jaxchain.views.model import Builder
from jaxchain.views.writers import dot, image

HOSTILE = [
    "<b>x</b>",
    "ends in a backslash\\",
    'quote " and \\" escaped quote',
    "two\nlines",
    "</script><script>alert(1)</script>",
    "{left|right}<port>",
    "\\N \\G \\l",
    "&lt; &#60; & &amp;",
    "];n9 [label=x",
    "#tag ;a -> b {",
    "nul\0bell\x07escape\x1b[31m",
    "日本語 \U0001f600",
    "\ud800 lone surrogate",
    "%s %d {0}",
    "right \u202e to left",
    "",
]


def shown(name: str) -> str:
    """What must be seen of a name: without control characters, surrogates, changes of direction and line breaks."""
    kept = "".join(c for c in name if c == "\n" or (ord(c) >= 32 and not 0xD800 <= ord(c) <= 0xDFFF))
    return " ".join(kept.replace("\u202e", "").split())


def svg_texts(svg: bytes) -> list[str]:
    """Return what is written in each node of an SVG."""
    root = ElementTree.fromstring(svg)
    space = {"s": "http://www.w3.org/2000/svg"}
    nodes = root.findall(".//s:g[@class='node']", space)
    return [" ".join("\n".join(t.text or "" for t in node.findall(".//s:text", space)).split()) for node in nodes]


@pytest.mark.parametrize("kind", ["variable", "function"])  # an octagon and a record: two label syntaxes
def test_hostile_names_are_drawn_as_they_are(kind):
    builder = Builder("eager")
    ids = [builder.node(name, kind) for name in HOSTILE]
    for a, b in itertools.pairwise(ids):
        builder.edge(a, b)
    svg = image.render(dot.write(builder.build(), style=dot.CHAINER, separator=""), "svg")
    assert b"<script" not in svg
    assert svg_texts(svg) == [shown(name) for name in HOSTILE]


def test_hostile_cluster_and_edge_labels_and_style_keys():
    builder = Builder("jaxpr")
    frame = builder.cluster('c"}\\', None, "jit")
    a, b = builder.node("a", "input", frame), builder.node("b", "equation", frame)
    builder.edge(a, b, 'e"]; n7 [label="\\')
    text = dot.write(builder.build())
    svg = image.render(text, "svg").decode()
    assert "c&quot;}\\" in svg
    assert svg.count('class="node"') == 2
    assert dot.statement("n1", {"label": "x", 'odd"key]': "v"}) == 'n1 [label="x","odd\\"key]"="v"];'


def test_escape_exactly():
    assert dot.escape('a\\"b\n\r\0') == '"a\\\\\\"b\\n"'
    assert dot.escape("&lt;&x") == '"&amp;lt;&x"'
    assert dot.escape_record("a{b}|<c>") == '"a\\{b\\}\\|\\<c\\>"'
    assert dot.escape(3) == '"3"'


def test_plain_statement_is_chainers():
    look = {"label": "ReLU", **dot.FUNCTION}
    assert dot.statement("n3", look) == 'n3 [label="ReLU",shape="record",fillcolor="#6495ED",style="filled"];'


def test_clusters_nest_and_rankdir_is_checked():
    builder = Builder("eager")
    outer = builder.cluster("outer")
    inner = builder.cluster("inner", outer)
    builder.node("x", "function", inner)
    text = dot.write(builder.build(), style=dot.Style(), separator="")
    assert text == (
        'digraph graphname{rankdir=TB;subgraph cluster_c1 {label="outer";subgraph cluster_c2 {label="inner";'
        'n1 [label="x"];}}}'
    )
    with pytest.raises(ValueError, match="TB, BT, LR or RL"):
        dot.write(builder.build(), rankdir="XX")


def test_deep_nesting_of_clusters_needs_no_recursion():
    builder = Builder("jaxpr")
    at = None
    for _ in range(5000):
        at = builder.cluster("c", at)
    builder.node("x", "equation", at)
    assert dot.write(builder.build()).count("subgraph") == 5000


def png_size(data: bytes) -> tuple[int, int]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def test_png_is_rendered_and_its_size_is_capped():
    width, height = png_size(image.render('digraph{a [label="a"]; a -> b}', "png"))
    assert 40 < width < 400
    assert 80 < height < 600
    long = "digraph{" + ";".join(f"n{i} -> n{i + 1}" for i in range(150)) + "}"
    assert max(png_size(image.render(long, "png"))) <= image.PNG_INCHES * 96 + 8


def test_renderers_are_looked_up_in_order(monkeypatch, tmp_path):
    for name in ("dot", "graphviz-pure"):
        program = tmp_path / name
        program.write_text(f"#!{sys.executable}\nprint('{name}')\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert image.find_renderer() == str(tmp_path / "dot")
    assert image.render("digraph{}", "svg") == b"dot\n"
    (tmp_path / "dot").unlink()
    assert image.find_renderer().endswith("graphviz-pure")


def test_no_renderer_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(image.shutil, "which", lambda *a, **k: None)
    with pytest.raises(image.RenderError, match=r"pip install graphviz-pure.*save as \.dot"):
        image.render("digraph{}", "svg")


def test_bad_dot_bad_format_and_too_long_are_clear_errors():
    with pytest.raises(image.RenderError, match="failed"):
        image.render("digraph{", "svg")
    with pytest.raises(ValueError, match="svg or png"):
        image.render("digraph{}", "pdf")
    with pytest.raises(image.RenderError, match=r"too large.*\.dot or \.json"):
        image.render(
            "digraph{" + ";".join(f"a{i} -> b{j}" for i in range(60) for j in range(60)) + "}", "svg", timeout=0.05
        )
