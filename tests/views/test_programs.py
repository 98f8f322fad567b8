"""`jaxchain.jaxpr` and `jaxchain.hlo`: what static mode makes of a model, as text, graph and files."""

import json

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain.core.scopes import Tag, tags_of
from jaxchain.views import programs

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)


class Model(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(4, 5)
            self.l2 = L.Linear(5, 2)
            self.unused = L.Linear(7, 7)

    def forward(self, x, extra=None):
        return self.l2(F.relu(self.l1(x)))


@pytest.fixture(scope="module")
def model():
    jaxchain.seed(0)
    return Model()


def test_one_equation_per_eager_node_named_after_it(model):
    view = jaxchain.jaxpr(model, X)
    assert [str(e.primitive) for e in view.closed.jaxpr.eqns] == ["jit"] * 3
    assert [e.params["name"] for e in view.closed.jaxpr.eqns] == ["linear", "relu", "linear"]
    assert view.counts["equations"] == 3
    assert view.primitives["jit"] == 3 and view.primitives["dot_general"] == 2
    assert str(view).startswith("{ lambda ;") or "lambda" in str(view)
    assert str(view).count("name=linear") == 2
    assert repr(view).startswith("<jaxpr Model: 3 equations")


def test_inputs_are_what_the_program_reads_and_the_arguments(model):
    view = jaxchain.jaxpr(model, X, np.ones(3, np.float32))
    assert sorted(view.inputs[:4]) == ["l1.W", "l1.b", "l2.W", "l2.b"]
    assert list(view.inputs[4:]) == ["x", "extra"]  # an argument stays, though nothing reads it
    assert not any("unused" in name or "grad" in name or "key" in name for name in view.inputs)
    shapes = dict(zip(view.inputs, (v.aval.shape for v in view.closed.jaxpr.invars), strict=True))
    assert shapes["x"] == (3, 4) and shapes["extra"] == (3,)


def test_the_graph_has_a_cluster_per_eager_node_and_its_link(model):
    graph = jaxchain.jaxpr(model, X).to_graph()
    assert [c.label for c in graph.clusters if c.parent is None] == ["jit linear", "jit relu", "jit linear"]
    assert [c.attributes["tag"]["label"] for c in graph.clusters if c.parent is None] == [
        "LinearFunction",
        "ReLU",
        "LinearFunction",
    ]
    assert ["l1" in c.attributes["scope"] for c in graph.clusters if c.parent is None] == [True, False, False]
    assert [n.label for n in graph.of_kind("output")] == ["result 0\nfloat32[3,2]"]


def test_views_do_not_run_or_change_the_model(model):
    before = {name: p.array for name, p in model.namedparams()}
    jaxchain.jaxpr(model, X)
    jaxchain.hlo(model, X)
    assert all(p.array is before[name] and p._grad is None for name, p in model.namedparams())


def test_the_program_computes_what_the_model_computes(model):
    made = programs.program(model, X)
    (result,) = made.lower().compile()(*made.values)
    np.testing.assert_allclose(result, model(X).array, rtol=1e-6)


def test_a_training_step_shows_forward_backward_and_update():
    model = L.Linear(4, 2)
    optimizer = jaxchain.optimizers.SGD(0.1).setup(model)

    def step(x):
        loss = F.sum(model(x))
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    view = jaxchain.jaxpr(step, X)
    names = [e.params.get("name") for e in view.closed.jaxpr.eqns]
    assert {"linear", "sum", "sum_vjp", "linear_vjp"} <= set(names)
    graph = view.to_graph()
    tags = [c.attributes["tag"] for c in graph.clusters if "tag" in c.attributes]
    roles = {(tag["label"], tag["role"]) for tag in tags}
    assert {("LinearFunction", "forward"), ("LinearFunction", "backward"), ("Sum", "backward")} <= roles
    assert optimizer.t == 0


def test_hlo_before_and_after(model):
    before, after = jaxchain.hlo(model, X, optimized=False), jaxchain.hlo(model, X)
    assert str(before).startswith("HloModule jit_Model") and str(after).startswith("HloModule jit_Model")
    assert before.counts["fusions"] == 0 < after.counts["fusions"]
    assert before.opcodes["dot"] == 2
    assert after.counts["kernels"] < before.counts["instructions"]
    names = {n.attributes["name"].split(".")[0] for n in after.to_graph().of_kind("parameter")}
    assert {"x", "l1_W", "l1_b", "l2_W", "l2_b"} <= names
    tags = {tag for n in after.to_graph().nodes for tag in tags_of(n.attributes.get("op_name", ""))}
    assert {tag.label for tag in tags} == {"LinearFunction", "ReLU"}
    assert Tag("ReLU", 0, "forward") in tags
    assert "not optimized" in repr(before) and "instructions" in repr(after)


def test_files(model, tmp_path):
    view, code = jaxchain.jaxpr(model, X), jaxchain.hlo(model, X)
    assert view.save(tmp_path / "j.txt").read_text() == str(view)
    assert view.save(tmp_path / "j.svg").read_text().count('class="cluster"') == len(view.to_graph().clusters)
    assert view.save(tmp_path / "j.dot").read_text() == view.to_dot()
    assert json.loads(view.save(tmp_path / "j.json").read_text())["kind"] == "jaxpr"
    assert code.save(tmp_path / "h.txt").read_text() == code.text
    assert code.save(tmp_path / "h.png").read_bytes()[:4] == b"\x89PNG"
    assert json.loads(code.save(tmp_path / "h.json").read_text())["attributes"]["fusions"] == code.counts["fusions"]
    assert view._repr_svg_().count("<svg") == 1
    with pytest.raises(ValueError, match="expected a name ending in"):
        view.save(tmp_path / "j.html")


def test_the_persistent_cache_does_not_answer_with_another_programs_metadata(tmp_path):
    """Without care it does: the programs differ in their scopes only."""

    def compiled_text(tag, care):
        def f(x):
            with jax.named_scope(tag):
                return jax.numpy.tanh(x) * 2

        lowered = jax.jit(f).lower(X)
        return programs.hlo_text(lowered, True) if care else lowered.compile().as_text()

    names = ["jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs"]
    names += ["jax_persistent_cache_min_entry_size_bytes", "jax_enable_compilation_cache"]
    old = {name: getattr(jax.config, name) for name in names}
    try:
        for name, value in zip(names, (str(tmp_path), 0.0, -1, True), strict=True):
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        assert "First#0" in compiled_text("First#0", care=False)
        assert "First#0" in compiled_text("Second#0", care=False)  # the trap is there
        assert "Third#0" in compiled_text("Third#0", care=True)
        assert "First#0" in compiled_text("Fourth#0", care=False)  # the cache is as it was
        assert jax.config.jax_enable_compilation_cache is True
        assert len([p for p in tmp_path.iterdir() if p.name.startswith("jit_f")]) == 1
    finally:
        for name, value in old.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()


def test_identifiers():
    assert programs._identifiers(["/l1/W", "l1.W", "x['a']", "0", "+", "l1_W_1"]) == [
        "l1_W",
        "l1_W_1",
        "x_a",
        "in_0",
        "in4",
        "l1_W_1_1",
    ]


def test_name_of():
    assert programs.name_of(Model()) == "Model"
    assert programs.name_of(len) == "len"
    assert programs.name_of(jaxchain.static(lambda x: x)) in ("<lambda>", "lambda")
