"""The linked model: eager nodes, their equations and kernels, of whole training steps."""

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import optimizers
from jaxchain.views import programs
from jaxchain.views.linked import link

rng = np.random.default_rng(0)


class MLP(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1, self.l2 = L.Linear(4, 8), L.Linear(8, 3)

    def forward(self, x):
        return self.l2(F.relu(self.l1(x)))


class CNN(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv, self.bn, self.fc = L.Convolution2D(1, 4, 3), L.BatchNormalization(4), L.Linear(36, 3)

    def forward(self, x):
        return self.fc(F.max_pooling_2d(F.relu(self.bn(self.conv(x))), 2))


class LSTM(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.lstm, self.out = L.LSTM(4, 5), L.Linear(5, 3)

    def forward(self, x):
        self.lstm.reset_state()
        for k in range(3):
            h = self.lstm(x[:, k])
        return self.out(h)


class Attention(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.q, self.k, self.v, self.out = (L.Linear(4, 4) for _ in range(4))

    def forward(self, x):
        q, k, v = (F.reshape(f(F.reshape(x, (-1, 4))), x.shape) for f in (self.q, self.k, self.v))
        h = F.matmul(F.softmax(F.matmul(q, k, transb=True) * 0.5, axis=2), v)
        return self.out(F.sum(h, axis=1))


class Tree(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.leaf, self.node, self.out = L.Linear(4, 5), L.ChildSumTreeLSTM(5, 5), L.Linear(5, 3)

    def forward(self, x):
        cells = [self.node(None, None, self.leaf(x[:, k])) for k in range(2)]
        (c1, h1), (c2, h2) = cells
        _, h = self.node(c1, c2, h1, h2, self.leaf(x[:, 2]))
        return self.out(h)


CASES = {
    "mlp": (MLP, (6, 4)),
    "cnn": (CNN, (6, 1, 8, 8)),
    "lstm": (LSTM, (6, 3, 4)),
    "attention": (Attention, (6, 3, 4)),
    "tree-lstm": (Tree, (6, 3, 4)),
}


def linked_step(make, shape):
    model = L.Classifier(make())
    optimizer = optimizers.SGD(0.1).setup(model)
    x, t = rng.standard_normal(shape).astype(np.float32), np.array([0, 1, 2, 0, 1, 2], np.int32)

    def step(x, t):
        loss = model(x, t)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    step(x, t)
    return link(programs.program(step, x, t))


@pytest.fixture(scope="module", params=CASES)
def linked(request):
    return linked_step(*CASES[request.param])


def test_eager_nodes_have_equations(linked):
    assert linked.coverage >= 0.95, [n for n in linked.nodes if not n.equations]


def test_equations_belong_to_the_op_that_their_scope_names(linked):
    scopes = {"j" + n.id: n.attributes["scope"] for n in linked.jaxpr.nodes if "scope" in n.attributes}
    for key, owners in linked.owners.items():
        if key in scopes:
            assert len(owners) == 1  # calls of the same link are told apart
            node = linked.node(owners[0])
            tag = f"{node.label}#{node.ordinal}".replace("/", "|")
            assert f"{node.call}/{tag}/" in f"/{scopes[key]}/", (scopes[key], node)


def test_results_of_ops_in_branches_and_loops():
    def run(x, xs):
        y = jaxchain.cond(F.sum(x).array > 0, lambda x: F.sum(F.exp(x), axis=1), lambda x: F.sum(F.tanh(x), axis=1), x)
        return jaxchain.scan(lambda total, row: (total + F.sum(F.relu(row)), F.max(row)), F.sum(y), xs)

    x = jaxchain.Variable(np.ones((2, 4), np.float32))
    found = link(programs.program(run, x, jaxchain.Variable(np.ones((5, 3), np.float32))))
    results = {n.label: n.outputs for n in found.nodes if n.label != "Sum"}
    assert results["exp"] == results["Tanh"] == ("float32[2,4]",)
    assert results["ReLU"] == ("float32[3]",) and results["Max"] == ("float32[]",)


class Odd(jaxchain.FunctionNode):
    label = 'f(x) "q" \\\\ #2; ß@'

    def forward(self, inputs):
        return (inputs[0] * inputs[0],)


@pytest.mark.parametrize("name", ["größe", "入力層", "a\"b<b>&'x", "f(x)#1", "backward", "forward/backward"])
def test_names_of_all_kinds_are_linked(name):
    class Nét(jaxchain.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                setattr(self, name, L.Linear(4, 4))

        def forward(self, x):
            return F.sum(Odd().apply((getattr(self, name)(x) - 1,))[0])

    found = link(programs.program(Nét(), np.ones((2, 4), np.float32)))
    assert [n.label for n in found.nodes] == ["LinearFunction", "_ + (-1)", Odd.label, "Sum"]
    for node in found.nodes:
        assert node.equations and node.instructions and not node.backward_equations, node
    assert found.nodes[0].fate == "library call" and not any(key.startswith("j") for key in found.outside)


def test_what_is_forgotten_and_run_again_is_told_apart():
    model = L.Linear(4, 3)

    def step(x):
        loss = F.sum(F.forget(lambda h: F.tanh(model(h)), x))
        model.cleargrads()
        loss.backward()
        return loss

    found = link(programs.program(step, jaxchain.Variable(np.ones((2, 4), np.float32))))
    first, again = [n for n in found.nodes if n.label == "LinearFunction"]
    assert first.equations and not first.backward_equations and first.outputs == ("float32[2,3]",)
    assert again.backward_equations and not again.equations and again.fate == first.fate == "library call"
    scopes = [found.jaxpr.node(id_).attributes["scope"] for id_ in again.backward_equations]
    assert all("backward/Forget#0/" in scope for scope in scopes) and any("_vjp" in scope for scope in scopes)


def test_a_gradient_in_the_graph_is_a_node_as_others_are():
    model = L.Linear(4, 1)

    def penalty(x):
        (g,) = jaxchain.grad([F.sum(F.tanh(model(x)))], [x], enable_double_backprop=True)
        loss = F.sum(g * g)
        model.cleargrads()
        loss.backward()
        return loss

    found = link(programs.program(penalty, jaxchain.Variable(np.ones((3, 4), np.float32))))
    labels = {n.label: n for n in found.nodes if n.label != "Sum"}
    tanh, linear, product = (labels[label] for label in ("TanhGrad", "LinearFunctionGrad", "_ * _"))
    assert tanh.outputs == ("float32[3,1]",) and linear.outputs[0] == "float32[3,4]"
    assert {(labels["Tanh"].id, tanh.id), (tanh.id, linear.id), (linear.id, product.id)} <= set(found.edges)
    assert tanh.backward_equations and linear.backward_equations  # those of its own gradient
    assert found.coverage == 1


def test_the_updates_of_two_optimizers_are_told_apart():
    one, two = L.Linear(4, 2), L.Linear(2, 3)
    first, second = optimizers.Adam().setup(one), optimizers.Adam().setup(two)

    def step(x):
        loss = F.sum(two(F.relu(one(x))))
        one.cleargrads()
        two.cleargrads()
        loss.backward()
        first.update()
        second.update()
        return loss

    step(x := np.ones((3, 4), np.float32))
    found = link(programs.program(step, x))
    a, b = [n for n in found.nodes if n.label == "Adam"]
    assert (b.ordinal, b.outputs[0]) == (a.ordinal + 1, "float32[3,2]") and a.outputs[0] == "float32[2,4]"
    assert a.equations and b.equations and not set(a.equations) & set(b.equations)
    assert all(len(owners) == 1 for key, owners in found.owners.items() if key.startswith("j"))


def test_every_instruction_has_an_owner_or_is_listed(linked):
    work = {"h" + n.id for n in linked.hlo.nodes if n.kind not in ("parameter", "constant")}
    lists = [set(linked.owners), set(linked.outside), set(linked.compiler_made)]
    assert work <= set().union(*lists)
    assert not lists[0] & lists[1] and not lists[0] & lists[2] and not lists[1] & lists[2]
    for n in linked.hlo.nodes:
        if "h" + n.id in linked.outside:
            assert "#" not in n.attributes["op_name"], n.attributes["op_name"]
        elif "h" + n.id in linked.compiler_made:
            assert not n.attributes.get("op_name")


def test_gradients_are_told_from_forward_code(linked):
    for node in linked.nodes:
        for id_ in node.backward_equations:
            assert "backward/" in linked.jaxpr.node(id_).attributes["scope"]
    with_gradient = [n for n in linked.nodes if n.label == "LinearFunction"]
    assert with_gradient and all(n.backward_equations for n in with_gradient)


def test_fates_agree_with_the_kernels(linked):
    for node in linked.nodes:
        if node.fate == "removed":
            assert node.equations and not node.instructions
        if node.fate == "fused":
            assert node.fused_with
        for other in node.fused_with:
            assert any({node.id, other} <= set(owners) for owners in linked.kernels.values())


def test_facts_of_an_mlp():
    linked = linked_step(*CASES["mlp"])
    first = linked.nodes[0]
    assert (first.label, first.path, first.outputs) == ("LinearFunction", "/predictor/l1", ("float32[6,8]",))
    assert first.flops == 2 * 6 * 4 * 8 + 6 * 8
    assert first.bytes == 6 * 8 * 4
    assert any(name.endswith("l1.W") for name in first.inputs) and "x" in first.inputs
    labels = {n.id: n.label for n in linked.nodes}
    edges = {(labels[a], labels[b]) for a, b in linked.edges}
    assert ("LinearFunction", "ReLU") in edges and ("LinearFunction", "SoftmaxCrossEntropy") in edges
    assert ("ReLU", "SoftmaxCrossEntropy") not in edges


def test_calls_of_one_link_are_told_apart():
    class Twice(jaxchain.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.l = L.Linear(4, 4)

        def forward(self, x):
            return self.l(F.tanh(self.l(x)))

    linked = link(programs.program(Twice(), np.ones((2, 4), np.float32)))
    first, middle, last = linked.nodes
    assert first.path == last.path and first.ordinal == last.ordinal
    assert set(first.equations).isdisjoint(last.equations) and first.equations and last.equations
    assert (first.id, middle.id) in linked.edges and (middle.id, last.id) in linked.edges


def test_links_in_lists_that_are_not_called_have_the_paths_of_the_hierarchy():
    class Lists(jaxchain.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.up, self.down = (jaxchain.ChainList(L.Linear(4, 4)) for _ in range(2))

        def forward(self, x):
            return self.down[0](self.up[0](x))

    model, x = Lists(), np.ones((2, 4), np.float32)
    linked = link(programs.program(model, x))
    assert [(n.path, n.call) for n in linked.nodes] == [("/up/0", "/Lists/up.0"), ("/down/0", "/Lists/down.0")]
    assert all(n.equations and n.instructions for n in linked.nodes)
    table = jaxchain.summary(model, x)
    assert sum(r.flops for r in table.rows) == table.flops


def test_a_loop_s_nodes_and_its_reader():
    xs = np.ones((3, 2), np.float32)

    def call(x):
        return F.tanh(jaxchain.scan(lambda h, x: (F.tanh(h) + F.tanh(x), h), x, xs)[0])

    one = [("Tanh", "/scan", 1.0), ("Tanh", "/scan", 10.0), ("_ + _", "/scan", 100.0)]
    program = programs.program(call, jaxchain.Variable(xs[0]))
    linked = link(program, times=[*one * 3, ("Tanh", "", 1000.0)])
    nodes = linked.nodes
    made = [linked.hlo.node(id_) for id_ in nodes[-1].instructions]
    assert {n.attributes["opcode"] for n in made} <= {"fusion", "tanh"}  # what the loop starts with is not its reader's
    assert [(n.label, n.seconds) for n in nodes] == [("Tanh", 3), ("Tanh", 30), ("_ + _", 300), ("Tanh", 1000)]
    nodes = link(program, times=[*one, one[0], ("Tanh", "", 1000.0)]).nodes  # not the same in each round
    assert [n.seconds for n in nodes] == [None, None, 100, 1000]


def test_times_go_to_the_nodes_that_were_measured():
    model = LSTM()
    x = rng.standard_normal((2, 3, 4)).astype(np.float32)
    report = jaxchain.contrast(model, x, repeats=1)
    assert all(seconds > 0 for *_, seconds in report.times)
    made, text = report.levels["forward"]
    numbered = [(label, path, float(k)) for k, (label, path, _) in enumerate(report.times, 1)]
    nodes = link(made, text, numbered).nodes
    assert [n.seconds for n in nodes] == [float(k) for k in range(1, len(nodes) + 1)]  # the calls of one link in order
    assert all(n.seconds is None for n in link(made, text).nodes)
    assert "eager nodes, one by one" in report.explorer() and report.explorer().count('"eager time"') >= 2 * len(nodes)


def test_gradients_of_functions_outside_any_link_belong_to_their_nodes():
    w = jaxchain.Parameter(np.ones((4, 4), np.float32))

    def step(x):
        constant = F.relu(np.ones((2, 4), np.float32))  # records no node
        y = F.relu(F.relu(x @ w) @ w + constant)
        loss = F.sum(y * y)
        loss.backward()
        return loss

    nodes = link(programs.program(step, jaxchain.Variable(np.ones((2, 4), np.float32)))).nodes
    assert [n.ordinal for n in nodes] == list(range(len(nodes)))
    without = [n.label for n in nodes if not n.backward_equations]
    assert without == ["ReLU"] and not nodes[0].backward_equations
    assert all(n.source[0] == __file__ and n.source[2] == "step" for n in nodes)


class Branching(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.a, self.b = L.Linear(4, 4), L.Linear(4, 4)

    def forward(self, x):
        h = jaxchain.cond(F.sum(x).array > 0, lambda h: F.relu(self.a(h)), lambda h: F.tanh(self.a(h)), x)
        c, ys = jaxchain.scan(lambda c, x: ((y := F.tanh(self.b(c)) + x), y), h, F.stack([x, x]))
        return F.sum(c) + F.sum(ys)


def test_a_step_through_branches_and_loops():
    model = Branching()

    def step(x):
        loss = model(x)
        loss.backward()
        return loss

    linked = link(programs.program(step, np.ones((3, 4), np.float32)))
    nodes = {n.id: n for n in linked.nodes}
    inside = {n.call: [m.label for m in linked.nodes if m.call == n.call] for n in linked.nodes}
    assert inside == {
        "/Branching": ["Sum", "Stack", "Sum", "Sum", "_ + _"],
        "/Branching/cond_true/a": ["LinearFunction"],
        "/Branching/cond_true": ["ReLU"],
        "/Branching/cond_false/a": ["LinearFunction"],
        "/Branching/cond_false": ["Tanh"],
        "/Branching/scan/b": ["LinearFunction"],
        "/Branching/scan": ["Tanh", "_ + _"],
    }
    # the backward pass runs the bodies once more: no nodes of their own
    assert all(n.equations and (n.backward_equations or n.label in ("Sum", "Stack")) for n in linked.nodes)
    edges = {(nodes[a].label, nodes[b].call) for a, b in linked.edges}
    assert {("ReLU", "/Branching/scan/b"), ("Tanh", "/Branching/scan/b"), ("Stack", "/Branching/scan")} <= edges
    assert ("Sum", "/Branching/scan/b") not in edges  # which branch is taken is no data
