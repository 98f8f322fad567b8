"""The Mermaid writer."""

from jaxchain.views.model import Builder
from jaxchain.views.writers import mermaid


def test_nodes_edges_and_nested_clusters():
    builder = Builder("eager")
    outer = builder.cluster("net")
    inner = builder.cluster("l1", outer)
    x = builder.node("x\n(2, 3)", "variable")
    f = builder.node("Linear", "function", inner)
    g = builder.node("ReLU", "function", outer)
    builder.edge(x, f)
    builder.edge(f, g, "float32[2,3]")
    assert mermaid.write(builder.build()) == (
        'flowchart TD\n  n1(["x<br/>(2, 3)"])\n  subgraph c1["net"]\n    n3["ReLU"]\n    subgraph c2["l1"]\n'
        '      n2["Linear"]\n    end\n  end\n  n1 --> n2\n  n2 -->|"float32[2,3]"| n3\n'
    )


def test_labels_cannot_leave_their_quotes():
    builder = Builder("eager")
    builder.node('a"] --> b["<script>#&|`', "function")
    assert mermaid.write(builder.build()).splitlines()[1] == (
        '  n1["a#quot;] --#gt; b[#quot;#lt;script#gt;#35;#amp;#124;#96;"]'
    )
