"""`jaxchain.contrast`: what it compares, what it counts, what it leaves alone, what it saves."""

import json
import os
import time
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import distributions as D
from jaxchain.contrast import _medians, contrast
from jaxchain.core import background
from jaxchain.core import random as streams
from jaxchain.core.explain import EagerFallback
from jaxchain.core.guard import NotCompilable
from jaxchain.views import programs
from jaxchain.views.compare import difference, differences
from jaxchain.views.progress import watched
from jaxchain.views.readers import eager
from jaxchain.views.report import Difference
from jaxchain.views.writers import image

X = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
T = np.array([0, 1, 2, 0, 1, 2], np.int32)


class MLP(jaxchain.Chain):
    def __init__(self, n_in=4):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(n_in, 8)
            self.bn = L.BatchNormalization(8)
            self.l2 = L.Linear(8, 3)

    def forward(self, x):
        return self.l2(F.dropout(F.relu(self.bn(self.l1(x))), 0.5))


def state_of(model):
    """Return everything that a call could change, as plain values."""
    values = {f"{n} array": None if p.array is None else np.asarray(p.array) for n, p in model.namedparams()}
    values |= {f"{n} grad": None if p._grad is None else np.asarray(p.grad) for n, p in model.namedparams()}
    for path, link in model.namedlinks():
        values |= {f"{path}.{k}": np.asarray(getattr(link, k)) for k in link._persistent}
    for name, stream in (("ops", streams.ops), ("initializers", streams.initializers)):
        values[name] = stream.state()
    values["numpy"] = np.random.get_state()[1].copy()
    return values


def assert_same_state(before, after):
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert (value is None) == (after[key] is None), key
        if value is not None:
            np.testing.assert_array_equal(value, after[key], err_msg=key)


@pytest.fixture(scope="module")
def report():
    jaxchain.seed(0)
    return contrast(L.Classifier(MLP()), X, T, repeats=5)


def test_both_modes_agree_on_a_classifier_with_dropout_and_batch_normalisation(report):
    statistics = [f"predictor.bn.{name} afterwards" for name in ("avg_mean", "avg_var")]
    assert [d.name for d in report.outputs] == ["output", *statistics]
    assert report.outputs[0].type == "float32[]"
    types = {d.name: d.type for d in report.gradients}
    assert types == {
        "predictor.l1.W": "float32[8,4]",
        "predictor.l1.b": "float32[8]",
        "predictor.bn.gamma": "float32[8]",
        "predictor.bn.beta": "float32[8]",
        "predictor.l2.W": "float32[3,8]",
        "predictor.l2.b": "float32[3]",
        "x": "float32[6,4]",
    } or (set(types.values()) >= {"float32[8,4]", "float32[3,8]", "float32[6,4]"} and len(types) == 7)
    assert report.largest_difference < 1e-5
    assert report.outputs[0].relative < 1e-6
    assert report.agrees()
    assert not report.agrees(-1.0)


def test_costs_are_those_of_the_programs(report):
    forward, backward = report.forward, report.backward
    assert forward.eager_nodes == len(list(report.graph.to_graph().of_kind("function"))) + 1  # and the accuracy
    assert forward.equations >= forward.eager_nodes
    assert report.jaxpr.counts["equations"] == forward.equations
    assert {"predictor.l1.W", "predictor.bn.avg_mean", "argument 0", "argument 1"} <= set(report.jaxpr.inputs)
    assert ("predictor.l1.out_size", "8") in report.constants
    assert backward.equations > forward.equations
    assert report.hlo.counts["instructions"] == forward.instructions_after
    assert report.hlo_before.counts["instructions"] == forward.instructions_before
    assert report.hlo_before.counts["fusions"] == 0 < forward.fusions
    assert 0 < forward.kernels <= forward.instructions_after
    assert all(t > 0 for t in (forward.eager_call, forward.static_call, forward.trace, forward.lower, forward.compile))
    n_parameters = 8 * 4 + 8 + 8 + 8 + 3 * 8 + 3
    assert forward.arguments >= 4 * (n_parameters + X.size + T.size)
    assert backward.outputs >= 4 * (n_parameters + X.size)
    assert forward.retained > 0


def test_retained_bytes_are_exact():
    w = jaxchain.Parameter(np.ones((4, 4), np.float32))
    x = jaxchain.Variable(X)
    small = contrast(lambda x: F.sigmoid(F.matmul(x, w)), x, repeats=1)
    assert small.forward.retained == 6 * 4 * 4  # sigmoid's output; x and w are held by others anyway
    plain = contrast(lambda x: F.sigmoid(F.matmul(x, w)), X, repeats=1)
    assert plain.forward.retained == plain.backward.retained == 6 * 4 * 4  # x is held by who called


def test_retained_bytes_of_functions_of_ones_own_and_of_compiled_links():
    class Cube(jaxchain.FunctionNode):
        def forward(self, inputs):
            self.retain_inputs((0,))
            return (inputs[0] ** 3,)

        def backward(self, indexes, gys):
            (x,) = self.get_retained_inputs()
            return (3 * x * x * gys[0],)

    w = jaxchain.Parameter(np.ones((4, 4), np.float32))
    found = contrast(lambda x: Cube().apply((F.matmul(x, w),))[0], X, repeats=1)
    assert found.forward.retained == 6 * 4 * 4  # what the cube is of
    assert contrast(lambda x: Cube().apply((x,))[0], jaxchain.Variable(X), repeats=1).forward.retained == 0
    y = L.Linear(4, 3).static()(X)
    assert y.creator.keeps() and eager.retained_bytes(y) == (0, 0)  # W and x


def test_an_update_is_a_node_as_in_the_explorer():
    model = L.Linear(4, 3)
    optimizer = jaxchain.optimizers.SGD().setup(model)

    def step(x):
        model.cleargrads()
        F.sum(model(x)).backward()
        optimizer.update()

    found = contrast(step, X, repeats=1)
    assert found.forward.eager_nodes == len(programs.program(step, X).nodes) == 3


def test_eager_nodes_are_those_that_run():
    def running(xs):
        return jaxchain.scan(lambda total, x: (F.tanh(total + x), total * x), jaxchain.Variable(np.float32(0)), xs)

    found = contrast(running, np.arange(5, dtype=np.float32), repeats=1)
    assert found.forward.eager_nodes == 5 * 3 + 1  # the rounds, and what stacks their results
    assert found.forward.equations < 16


def test_a_dict_of_outputs_and_a_function(report):
    w = jaxchain.Parameter(np.full((4, 2), 0.5, np.float32), name="w")

    def f(x, scale=2.0):
        h = F.matmul(x, w) * scale
        return {"sum": F.sum(h), "h": h, "label": F.argmax(h, axis=1).array}

    found = contrast(f, X, repeats=1, scale=3.0)
    assert [(d.name, d.type) for d in found.outputs] == [
        ("output['h']", "float32[6,2]"),
        ("output['label']", f"{found.outputs[1].type}"),
        ("output['sum']", "float32[]"),
    ]
    assert {d.name for d in found.gradients} == {"w", "x"}
    assert found.largest_difference < 1e-5


def test_the_state_is_left_as_it_was():
    model = L.Classifier(MLP(None))  # l1 is not initialised before and must not be afterwards
    model.predictor.l2.W.grad = jnp.ones((3, 8))
    before = state_of(model)
    assert before["/predictor/l1/W array"] is None
    compute_accuracy, keys = model.compute_accuracy, set(vars(model))
    found = contrast(model, X, T, repeats=2)
    assert "W: (8, 4), float32" in found.graph.dump()  # drawn before it was put back
    assert_same_state(before, state_of(model))
    assert model.compute_accuracy is compute_accuracy and set(vars(model)) == keys
    with pytest.raises(RuntimeError):
        _ = model.predictor.l1.W.grad  # Chainer's error for an uninitialised parameter: it was put back, too


def test_the_state_is_left_as_it_was_after_an_error_and_by_a_training_step():
    model = L.Classifier(L.Linear(4, 3))
    optimizer = jaxchain.optimizers.Adam().setup(model)
    calls = []

    def step(x, t):
        loss = model(x, t)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        loss.unchain_backward()
        return loss

    before = state_of(model)
    found = contrast(step, X, T, repeats=2)
    assert found.agrees() and found.forward.retained is None  # nothing is kept any more, but was
    cells = [f"model.predictor.{name}" for name in ("W", "b")]
    assert [d.name for d in found.gradients] == cells and found.backward is None  # its own: it was run as it is
    assert [d.name for d in found.outputs] == ["output", *(f"{name} afterwards" for name in cells)]
    assert "with gradients" not in found.levels
    assert any("update_rule" in name for name in found.jaxpr.inputs)
    inside = contrast(model, X, T, repeats=1, gradients=False)
    assert not any("update_rule" in name for name in (*inside.jaxpr.inputs, *dict(inside.constants)))
    assert optimizer.t == 0
    assert_same_state(before, state_of(model))

    def broken(x):
        calls.append(1)
        model(x, T)
        raise ValueError("user's own")

    with pytest.raises(ValueError, match="user's own"):
        contrast(broken, X)
    assert_same_state(before, state_of(model))


def test_gradients_that_a_compiled_step_left_are_no_difference():
    model = jaxchain.Sequential(L.Linear(4, 3), L.Linear(3, 2))

    @jaxchain.static
    def step(x):
        model.cleargrads()
        F.sum(model(x)).backward()

    def predict(x):
        return F.sum(model(F.cast(x, np.float32)))

    step(X)
    assert contrast(predict, T[:, None] * np.ones((1, 4), np.int32), repeats=1, gradients=False).gradients == []


def test_large_arrays_are_left_as_they_were():
    x = np.ones((32, 784), np.float32)  # more than a walk copies whole
    seen = np.zeros(100_000, np.float32)

    def count(x):
        seen[1:] += 1
        return F.sum(x)

    with pytest.warns(EagerFallback), pytest.raises(NotCompilable, match="changed in place"):
        contrast(count, x, repeats=1)
    assert not seen.any() and (x == 1).all()
    assert contrast(L.Linear(784, 2), x, repeats=1).agrees()


def test_variables_given_as_arguments_keep_their_gradients():
    x = jaxchain.Variable(X, grad=np.ones_like(X))
    array, gradient = x.array, x.grad
    found = contrast(lambda x: F.sum(x * x), x, repeats=1)
    assert [d.name for d in found.gradients] == ["x"]
    assert x.array is array and x.grad is gradient and x.creator is None


def test_the_mode_of_the_configuration_does_not_matter():
    with jaxchain.using_config("mode", "static"):
        found = contrast(jaxchain.Sequential(L.Linear(4, 3), F.relu), X, repeats=1)
    assert [n.label for n in found.graph.to_graph().of_kind("function")] == ["LinearFunction", "ReLU"]
    assert found.agrees(1e-6) and found.forward.eager_nodes == 2


def test_distributions_and_other_objects_that_come_out_are_compared():
    class Both:
        def __init__(self, y):
            self.y = y

    layer = L.Linear(3, 2)
    report = contrast(lambda x: (D.Normal(layer(x), F.exp(layer(x))), Both(layer(x))), np.ones((2, 3), "f"), repeats=1)
    assert [d.name for d in report.outputs] == ["output[0].loc", "output[0].scale", "output[1].y"]
    assert {d.name for d in report.gradients} == {"layer.W", "layer.b", "x"}
    assert max(d.relative for d in report.outputs + report.gradients) < 1e-6


def test_gradients_of_parameters_that_a_function_hides_from_the_graph():
    layer = L.Linear(3, 2)
    report = contrast(lambda x: F.forget(lambda h: F.tanh(layer(h)), x), np.ones((2, 3), "f"), repeats=1)
    assert {d.name for d in report.gradients} == {"x", "layer.W", "layer.b"}
    assert max(d.relative for d in report.gradients) < 1e-6 and layer.W.grad is None


def test_a_stateful_recurrent_link_starts_from_its_state():
    model = L.LSTM(4, 3)
    model(X)
    model.h.unchain()  # a graph does not outlive a compiled call: eager gradients would go back through time
    model.c.unchain()
    h = np.asarray(model.h.array)
    found = contrast(model, X, repeats=2)
    assert found.agrees(1e-5)
    np.testing.assert_array_equal(h, np.asarray(model.h.array))


def test_links_switched_to_static_and_static_functions_are_contrasted_all_the_same():
    model = jaxchain.Sequential(L.Linear(4, 3), F.relu).static()
    found = contrast(model, X, repeats=1, gradients=False)
    assert found.forward.eager_nodes == 2 and len(found.graph.to_graph().nodes) == 7
    assert model._mode == "static"
    same = contrast(jaxchain.static(lambda x: F.relu(x)), jaxchain.Variable(X), repeats=1)
    assert same.forward.eager_nodes == 1 and [n.label for n in same.graph.to_graph().of_kind("function")] == ["ReLU"]


def test_modes_that_differ_are_reported():
    class Sneaky:
        def __call__(self, x):
            return F.relu(x) * (2.0 if isinstance(x.array if hasattr(x, "array") else x, jax.core.Tracer) else 1.0)

    found = contrast(Sneaky(), np.abs(X), repeats=1)
    assert not found.agrees()
    assert found.outputs[0].relative == pytest.approx(1.0)
    assert found.outputs[0].largest == pytest.approx(np.abs(X).max())


@pytest.mark.parametrize(
    ("eager", "compiled", "largest", "relative"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5, 0.25),
        ([np.nan, 1.0], [np.nan, 1.0], 0.0, 0.0),
        ([np.nan, 1.0], [0.0, 1.0], np.inf, np.inf),
        ([np.inf, 2.0], [np.inf, 2.0], 0.0, 0.0),
        ([np.inf, 2.0], [-np.inf, 2.0], np.inf, np.inf),
        ([0.0], [1e-9], 1e-9, np.inf),
        ([], [], 0.0, 0.0),
    ],
)
def test_differences(eager, compiled, largest, relative):
    found = difference("y", np.array(eager), np.array(compiled))
    assert found == Difference("y", f"float64[{len(eager)}]", pytest.approx(largest), pytest.approx(relative))


def test_what_should_be_zero_is_measured_against_the_largest():
    eager = [("bias", np.array([1e-8])), ("W", np.array([2.0]))]
    compiled = [("bias", np.array([3e-8])), ("W", np.array([2.0]))]
    assert [d.relative for d in differences(eager, compiled)] == [pytest.approx(2e-8 / 0.02), 0.0]


def test_differences_of_types_and_of_nothing():
    assert difference("y", np.zeros(2, np.float32), np.zeros(3, np.float32)).type == "float32[2] / float32[3]"
    assert difference("y", np.zeros(2, np.float32), np.zeros(2, np.float64)).largest == np.inf
    assert difference("y", None, None) == Difference("y", "none", 0.0, 0.0)
    assert difference("y", None, np.zeros(1)).largest == np.inf
    assert difference("y", np.array([1, 2]), np.array([1, 5])).largest == 3


def test_nothing_to_differentiate_and_bad_arguments():
    found = contrast(lambda x: jnp.argmax(x), X, repeats=1)
    assert found.gradients == [] and found.backward is None
    assert any("no gradients" in note for note in found.notes)
    with pytest.raises(ValueError, match="repeats must be at least 1"):
        contrast(lambda x: x, X, repeats=0)
    assert contrast(F.relu, X, repeats=1, gradients=False).backward is None


def test_a_function_that_works_on_arrays_only_is_noted():
    w = jaxchain.Parameter(np.ones((4, 2), np.float32), name="w")
    found = contrast(
        lambda x: F.matmul(x.astype("float32") if type(x).__module__ != "jaxchain.core.variable" else x.no, w), X
    )
    assert [d.name for d in found.gradients] == ["w"]
    assert any("AttributeError" in note for note in found.notes)


def test_the_printed_table(report):
    text = str(report)
    lines = text.splitlines()
    assert lines[0] == f"Classifier on {jax.default_backend()}, eager and static mode"
    assert "forward, eager" in lines[2] and "with gradients, static" in lines[2]
    for label in ("time per call", "HLO instructions", "kernels (fusions)", "memory in between", "baked in:"):
        assert label in text
    assert f"{report.forward.instructions_before} -> {report.forward.instructions_after}" in text
    assert "Classifier" in repr(report)


def test_the_saved_folder(report, tmp_path):
    folder = tmp_path / "new" / "views"
    written = report.save(folder)
    names = {"report.md", "report.json", "graph.dot", "graph.svg", "graph.png", "jaxpr.txt", "jaxpr.svg", "hlo.txt"}
    assert names <= {p.name for p in written} == set(os.listdir(folder))
    data = json.loads((folder / "report.json").read_text())
    assert data["forward"]["kernels"] == report.forward.kernels
    assert data["largest_difference"] == report.largest_difference
    assert [d["name"] for d in data["gradients"]] == [d.name for d in report.gradients]
    assert (folder / "graph.dot").read_text() == report.graph.dump()
    assert (folder / "jaxpr.txt").read_text() == str(report.jaxpr)
    assert (folder / "hlo.txt").read_text().startswith("HloModule")
    assert "SoftmaxCrossEntropy" in (folder / "graph.svg").read_text()
    assert (folder / "jaxpr.svg").read_text().count('class="cluster"') >= report.forward.eager_nodes
    assert (folder / "graph.png").read_bytes()[:4] == b"\x89PNG"
    markdown = (folder / "report.md").read_text()
    assert markdown.startswith("# Classifier: eager and static mode\n") and "![eager graph](graph.svg)" in markdown
    report.save(folder)  # over the old one


def test_saving_without_a_renderer_leaves_pictures_out_and_says_so(report, tmp_path, monkeypatch):
    monkeypatch.setattr(image.shutil, "which", lambda *a, **k: None)
    report, tried = replace(report, notes=[]), []
    render = image.render
    monkeypatch.setattr(image, "render", lambda dot, format: tried.append(format) or render(dot, format))
    report.save(tmp_path)
    assert tried == ["svg", "svg"]  # of the graph and of the jaxpr: what cannot be drawn is not tried again as PNG
    written = {p.name for p in report.save(tmp_path)}
    assert {"report.md", "graph.dot", "jaxpr.txt", "hlo.txt"} <= written and not {"graph.svg", "graph.png"} & written
    text = (tmp_path / "report.md").read_text()
    assert "graph.svg, graph.png, jaxpr.svg left out: no Graphviz" in text and "![eager graph]" not in text
    assert len(report.notes) == 1  # for all of them, said once


def test_markdown_shows_hostile_names_as_they_are(report):
    hostile = Difference("a|b`<script>*_[x](y)", "float32[]", 0.0, 0.0)
    text = type(report)(**{**vars(report), "outputs": [hostile], "name": "<b>|"}).markdown()
    assert "| a\\|b\\`&lt;script>\\*\\_\\[x\\](y) |" in text
    assert "# &lt;b>\\|:" in text


def test_the_stages_are_told():
    told = []
    with watched(told.append):
        contrast(MLP(), X, repeats=1)
    assert told[:3] == ["running in eager mode", "running in static mode", "compiling"]
    assert told.index("running with gradients") > told.index("timing each function")


def test_an_exported_program_with_symbolic_sizes(tmp_path):
    model = jaxchain.Sequential(L.Linear(4, 3), F.relu, L.BatchNormalization(3))
    report = contrast(jaxchain.export(model, X, train=True, vjp_order=1), X, repeats=1)
    assert report.agrees() and len(report.gradients) == 5
    assert report.hlo_before is None and report.forward.instructions_before is None
    assert [note.split(":")[0] for note in report.notes] == ["no HLO before XLA's passes"] and "? -> " in str(report)
    names = {p.name for p in report.save(tmp_path)}
    assert "hlo.txt" in names and "hlo_before.txt" not in names
    assert json.loads((tmp_path / "report.json").read_text())["forward"]["instructions_before"] is None


def test_nothing_is_compiled_beside_the_calls_that_are_timed():
    busy = []

    def call():
        busy.append(background.is_busy())

    background.start(lambda: time.sleep(0.05))
    _medians(call, call, (), {}, 1)
    assert busy == [True, True, False, False]  # two warm-ups, two that count
