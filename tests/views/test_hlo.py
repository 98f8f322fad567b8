"""The HLO reader: a pinned text, and what this version of JAX prints."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jaxchain.core.scopes import Tag, tag_of, tags_of
from jaxchain.views.readers import hlo as reader
from jaxchain.views.writers import dot, image

OPTIMIZED = (Path(__file__).parent / "golden" / "program.hlo.txt").read_text()


def test_counts_of_the_pinned_text():
    assert reader.counts(OPTIMIZED) == {
        "instructions": 7,  # add, broadcast, maximum, dot, fusion, reduce, custom-call
        "kernels": 4,  # dot, fusion, reduce, custom-call
        "fusions": 1,
        "fused_instructions": 2,
        "computations": 3,
    }
    assert reader.opcodes(OPTIMIZED)["parameter"] == 6


def test_instructions_of_the_pinned_text():
    module = reader.parse(OPTIMIZED)
    assert module.name == "jit_f" and module.entry.name == "main.13"
    by_name = {i.name: i for c in module.computations.values() for i in c.instructions}
    assert by_name["fusion"].operands == ["dot.3", "constant.1"]
    assert by_name["fusion"].called == [("calls", "fused_computation")]
    assert by_name["fusion"].detail == "kLoop"
    assert by_name["x.1"].type == "f32[2,4]{1,0:T(8,128)}"
    assert by_name["constant.1"].detail == "-inf"
    assert by_name["constant.2"].detail == "(7, {1, 2})"
    assert by_name["custom-call.1"].detail == "__my$target"
    assert by_name["custom-call.1"].operands == ["fusion"]
    assert by_name["custom-call.1"].called == []
    assert by_name["tuple.5"].type == "(f32[2,4]{1,0}, f32[])" and by_name["tuple.5"].root


def test_graph_of_the_pinned_text():
    graph = reader.read(OPTIMIZED)
    name = {n.id: n.attributes["name"] for n in graph.nodes}
    assert list(name.values())[:3] == ["W.1", "x.1", "constant.1"]  # the entry comes first
    data = {(name[e.source], name[e.target]) for e in graph.edges if e.kind == "data"}
    assert {("x.1", "dot.3"), ("dot.3", "fusion"), ("broadcast.1", "max.2"), ("sum.1", "tuple.5")} <= data
    assert [(name[e.source], name[e.target]) for e in graph.edges if e.kind == "call"] == [
        ("max.2", "fusion"),
        ("add.5", "sum.1"),
    ]
    assert [(c.label, c.parent) for c in graph.clusters] == [
        ("fusion: fused_computation", None),
        ("to_apply region_1.2", None),
    ]
    maximum = next(n for n in graph.nodes if n.attributes["name"] == "max.2")
    assert maximum.attributes["tags"] == [
        {"label": "ReLU", "ordinal": 1, "role": "forward"},
        {"label": "Sum", "ordinal": 4, "role": "backward"},
    ]
    assert [n.attributes["name"] for n in graph.of_kind("fusion")] == ["fusion"]
    assert graph.attributes["instructions"] == 7
    assert image.render(dot.write(graph), "svg").count(b'class="cluster"') == 2


def test_tags():
    assert tag_of("jit(f)/l1/_ / _#2/div") == Tag("_ / _", 2, "forward")
    assert tag_of("_ / _#0/div") == Tag("_ / _", 0, "forward")
    assert tag_of("jit(f)/a#0/b#1/c") == Tag("b", 1, "forward")
    assert tag_of("transpose(jvp(_ + 1.5#7))/mul") == Tag("_ + 1.5", 7, "backward")
    assert tag_of("jit(f)/main/mul") is None
    assert tag_of("jit(f)/backward/l1/_ | _#2/jit(div_vjp)/mul") == Tag("_ | _", 2, "backward")
    assert tag_of("jit(f)/SumGrad#2/jit(sum_vjp)/transpose(jvp())/mul") == Tag("SumGrad", 2, "forward")
    assert tags_of("A#0/x;A#0/y;jit(f)") == (Tag("A", 0, "forward"),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "HloModule m\n",
        "HloModule m\n\nENTRY e {\n  what is this\n}\n",
        "HloModule m\n\nENTRY e {\n  a = f32[ parameter(0\n}\n",
    ],
)
def test_what_is_not_hlo_is_a_clear_error(text):
    with pytest.raises(reader.HloSyntaxError):
        reader.parse(text)


def program(w, x):
    c, ys = lax.scan(lambda c, t: (jnp.tanh(c @ w) + t, c.sum()), x, jnp.ones((3, 4)))
    z = lax.cond(ys[0] > 0, lambda a: a * 2, lambda a: a + 1, c)
    return lax.while_loop(lambda a: a.sum() < 10, lambda a: a + 1.0, z), jax.nn.relu(z)


def test_what_this_jax_prints_is_read():
    """The canary: if a new jaxlib prints HLO otherwise, this fails first."""
    lowered = jax.jit(program).lower(jnp.ones((4, 4)), jnp.ones((2, 4)))
    before = reader.parse(lowered.as_text("hlo", debug_info=True))
    opcodes = reader.opcodes(before)
    assert (opcodes["while"], opcodes["conditional"], opcodes["dot"], opcodes["tanh"]) == (2, 1, 1, 1)
    assert reader.counts(before)["fusions"] == 0
    assert [i.opcode for i in before.entry.instructions].count("parameter") == 2
    compiled = lowered.compile()
    text = compiled.as_text()
    after = reader.parse(text)
    assert sum(len(c.instructions) for c in after.computations.values()) == text.count(" = ")
    assert reader.counts(after)["fusions"] == text.count(" fusion(") > 0
    assert len(after.computations) == sum(line.endswith("{") and not line.startswith(" ") for line in text.splitlines())
    graph = reader.read(text)
    assert {n.attributes["opcode"] for n in graph.nodes} >= {"while", "conditional", "dot", "tanh", "fusion"}
    assert len(graph.nodes) == text.count(" = ")  # every computation is reached from the entry
    assert any("body" in c.label for c in graph.clusters)


def test_opcodes_are_those_that_are_printed():
    text = jax.jit(program).lower(jnp.ones((4, 4)), jnp.ones((2, 4))).compile().as_text()
    counted = reader.opcodes(text)
    assert sum(counted.values()) == text.count(" = ")
    for opcode in ("fusion", "dot", "tanh", "reduce", "while", "conditional", "parameter", "copy"):
        assert counted[opcode] == text.count(f" {opcode}("), opcode
