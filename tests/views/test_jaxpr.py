"""The jaxpr reader on calls, loops, branches and custom rules."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jaxchain.views.model import Graph
from jaxchain.views.readers import jaxpr as reader
from jaxchain.views.writers import dot, image

X = jnp.ones((3, 4), jnp.float32)


def read(f, *args, **kwargs) -> Graph:
    return reader.read(jax.make_jaxpr(f)(*args), **kwargs)


def labels(graph: Graph, *kinds: str) -> list[str]:
    return [n.label.replace("\n", " ") for n in graph.of_kind(*kinds)]


def arrows(graph: Graph, kind: str = "data") -> list[tuple[str, str]]:
    name = {n.id: n.label.split("\n")[0] for n in graph.nodes}
    return [(name[e.source], name[e.target]) for e in graph.edges if e.kind == kind]


def clusters(graph: Graph) -> list[tuple[str, str]]:
    by_id = {c.id: c.label for c in graph.clusters}
    return [(c.label, by_id.get(c.parent, "")) for c in graph.clusters]


def test_flat_program_with_literals_and_names():
    graph = read(lambda x, y: (jnp.sin(x) * 2.0 + y, 1.5), X, X, inputs=["x", "y"], outputs=["total"], name="f")
    assert graph.kind == "jaxpr" and graph.name == "f"
    assert labels(graph, "input") == ["x float32[3,4]", "y float32[3,4]"]
    assert labels(graph, "equation") == ["sin", "mul _ 2.0", "add"]
    assert labels(graph, "output") == ["total float32[3,4]", "out1 1.5"]
    assert arrows(graph) == [("x", "sin"), ("sin", "mul _ 2.0"), ("mul _ 2.0", "add"), ("y", "add"), ("add", "total")]
    assert {e.label for e in graph.edges} == {"float32[3,4]"}
    assert graph.attributes == {"equations": 3, "all_equations": 3, "nested_jaxprs": 0}
    facts = next(graph.of_kind("equation")).attributes
    assert facts["primitive"] == "sin" and facts["outputs"] == ["float32[3,4]"]
    assert "test_jaxpr.py" in facts["source"]


def test_calls_are_drawn_through_and_drawn_at_each_call():
    @jax.jit
    def f(x):
        return jnp.maximum(x, 0.0)

    graph = read(lambda x: f(f(x)), X)
    assert clusters(graph) == [("jit f", ""), ("jit f", "")]
    assert arrows(graph) == [("in0", "max _ 0.0"), ("max _ 0.0", "max _ 0.0"), ("max _ 0.0", "out0")]
    assert len(list(graph.of_kind("equation"))) == 2
    assert graph.attributes == {"equations": 2, "all_equations": 4, "nested_jaxprs": 2}


def test_jit_that_gives_an_input_back_keeps_its_arrow():
    graph = read(lambda x: jax.jit(lambda a: (a, a + 1.0))(x), X)
    assert ("in0", "out0") in arrows(graph)
    assert ("add _ 1.0", "out1") in arrows(graph)


def test_scan_has_its_own_inputs_and_a_carry():
    def f(w, x):
        return lax.scan(lambda c, t: (jnp.tanh(c @ w) + t, c.sum()), x, jnp.ones((5, 4)))

    graph = read(f, jnp.ones((4, 4)), X)
    assert clusters(graph) == [("scan x5", ""), ("body", "scan x5")]
    assert labels(graph, "control") == ["scan x5"]
    inside = [n for n in graph.nodes if graph.path(n) == ("scan x5", "body")]
    assert [n.label.split("\n")[0] for n in inside][:3] == ["const", "carry", "xs"]
    assert "float32[4]" in inside[2].label  # one row of the (5, 4) input
    assert arrows(graph, "carry") == [("scan x5", "carry")]
    assert arrows(graph, "call") == [("add", "scan x5"), ("reduce_sum", "scan x5")]
    assert arrows(graph)[-2:] == [("scan x5", "out0"), ("scan x5", "out1")]


def test_cond_has_a_branch_each_and_an_index():
    graph = read(lambda x: lax.cond(x.sum() > 0, lambda a: a * 2, lambda a: a + 1, x), X)
    assert clusters(graph) == [("cond", ""), ("branch 0", "cond"), ("branch 1", "cond")]
    call = [e for e in graph.edges if e.kind == "call"]
    assert [e.label for e in call] == ["branch 0", "branch 1"]
    assert arrows(graph, "call") == [("add _ 1.0", "cond"), ("mul _ 2.0", "cond")]
    assert ("convert_element_type", "cond") in arrows(graph)
    assert [e.label for e in graph.edges if e.label == "index"] == ["index"]


def test_switch_with_three_branches():
    graph = read(lambda i, x: lax.switch(i, [lambda a: a, jnp.sin, lambda a: a * 3], x), 1, X)
    assert [c for c, _ in clusters(graph)] == ["cond", "branch 0", "branch 1", "branch 2"]


def test_while_has_condition_and_body():
    limit = X.sum()
    graph = read(lambda x, n: lax.while_loop(lambda a: a.sum() < n, lambda a: a * 2.0, x), X, limit)
    assert clusters(graph) == [("while", ""), ("condition", "while"), ("body", "while")]
    assert arrows(graph, "call") == [("lt", "while"), ("mul _ 2.0", "while")]
    assert arrows(graph, "carry") == [("while", "carry"), ("while", "carry")]
    assert ("in1", "const") in arrows(graph)


def test_fori_loop_keeps_its_literal_start():
    graph = read(lambda x: lax.fori_loop(0, 3, lambda i, a: a + i, x), X)
    assert next(c for c, _ in clusters(graph)) == "scan x3"
    assert "0" in labels(graph, "constant")


@pytest.mark.parametrize("kind", ["vjp", "jvp"])
def test_custom_rules_are_drawn_through(kind):
    if kind == "vjp":
        f = jax.custom_vjp(lambda x: jnp.exp(x))
        f.defvjp(lambda x: (jnp.exp(x), x), lambda x, g: (g * x,))
    else:
        f = jax.custom_jvp(lambda x: jnp.exp(x))
        f.defjvp(lambda p, t: (jnp.exp(p[0]), t[0]))
    graph = read(lambda x: f(x) + 1.0, X)
    assert [c.kind for c in graph.clusters] == [f"custom_{kind}_call"]
    assert arrows(graph) == [("in0", "exp"), ("exp", "add _ 1.0"), ("add _ 1.0", "out0")]


def test_checkpoint_gradient_and_second_order():
    def f(x):
        return jax.checkpoint(lambda a: jnp.sin(jnp.sin(a)).sum())(x)

    graph = read(jax.grad(f), X)
    kinds = [c.kind for c in graph.clusters]
    assert "remat2" in kinds or "checkpoint" in kinds
    assert labels(read(jax.grad(lambda x: jax.grad(f)(x).sum()), X), "output") == ["out0 float32[3,4]"]


def test_constants_are_nodes():
    table = jnp.arange(6.0)
    graph = read(lambda x: x + table.sum() + table[2:5].reshape(3, 1), X)
    assert any(text.startswith("const0 float32[6]") for text in labels(graph, "constant"))


def test_combiner_jaxprs_and_scatter():
    graph = read(lambda x: x.at[0].add(1.0) + lax.reduce(x, 0.0, lambda a, b: a * b + 1, (0,)), X)
    assert len(list(graph.of_kind("output"))) == 1  # every nested form is drawn or left out without an error


def test_scopes_are_prefixed_and_tags_read():
    def f(x):
        with jax.named_scope("l1"), jax.named_scope("ReLU#3"):
            return jax.jit(lambda a: jnp.maximum(a, 0.0))(x)

    node = next(read(f, X).of_kind("equation"))
    assert node.attributes["scope"].startswith("l1/ReLU#3")
    assert node.attributes["tag"] == {"label": "ReLU", "ordinal": 3, "role": "forward"}


def test_same_program_gives_the_same_text_twice_and_it_renders():
    def f(x):
        return lax.scan(lambda c, t: (lax.cond(c.sum() > t.sum(), jnp.sin, jnp.cos, c), t), x, X)

    first, second = dot.write(read(f, X[0])), dot.write(read(f, X[0]))
    assert first == second
    svg = image.render(first, "svg").decode()
    assert svg.count('class="cluster"') == 5 and "branch 1" in svg


def test_counts():
    closed = jax.make_jaxpr(lambda x: lax.scan(lambda c, t: (c + t, c * t), x, X))(X[0])
    assert reader.counts(closed) == {"equations": 1, "all_equations": 3, "nested_jaxprs": 1}
    assert reader.primitive_counts(closed) == {"add": 1, "mul": 1, "scan": 1}
