"""What the linked model says became of planted nodes, and the operations it counts, against sums done by hand."""

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain.views import programs
from jaxchain.views.linked import link

X = np.ones((4, 8), np.float32)


def ones(*shape):
    return np.ones(shape, np.float32)


def dead(x):
    F.exp(x)
    return F.sum(F.tanh(x))


def twins(x):
    return F.sum(F.exp(x)) + F.sum(F.exp(x) * 2)


def halves(x):  # equal equations on two results of one split are no twins
    a, b = F.split_axis(x, 2, 1)
    return F.sum(F.exp(a) * F.tanh(b)) + F.sum(F.exp(b))


def views(x):
    return F.relu(F.identity(F.reshape(F.reshape(x, (32,)), (4, 8))))


def constant(x):
    return x * F.exp(jaxchain.Variable(ones(4, 8)) * 2)


FATES = {
    dead: ["removed: dead: no result depends on it", "fused", "fused"],
    twins: ["fused", "fused", "removed: merged: e1 computes the same", "fused", "fused", "fused"],
    views: ["free: free: the same bytes"] * 3 + ["kernel"],
    constant: ["removed: folded into constants or into its neighbours"] * 2 + ["kernel"],
    lambda x: F.matmul(x, x.T): ["library call"],
    lambda x: F.relu(x): ["kernel"],
}


@pytest.mark.parametrize("program", FATES, ids=lambda f: f.__name__)
def test_fates(program):
    nodes = link(programs.program(program, X)).nodes
    assert [n.fate + (f": {n.why}" if n.why else "") for n in nodes] == FATES[program]


def test_a_constant_that_two_kernels_share_says_of_neither_that_it_is_in_the_other():
    def layers(x):
        return F.relu(F.matmul(F.relu(F.matmul(x, ones(8, 8)) + 1), ones(8, 8)) + 2)  # one zero for both

    nodes = link(programs.program(layers, X)).nodes
    assert [[nodes[int(i[1:]) - 1].label for i in n.fused_with] for n in nodes if n.label == "ReLU"] == [
        ["_ + 1"],
        ["_ + 2"],
    ]


def test_readers_of_a_split_are_not_merged():
    assert not any(n.why.startswith("merged") for n in link(programs.program(halves, X)).nodes)


@pytest.mark.parametrize(
    ("program", "arrays", "flops"),
    [
        (F.matmul, (ones(4, 8), ones(8, 5)), 2 * 4 * 5 * 8),
        (F.matmul, (ones(3, 4, 5), ones(3, 5, 6)), 2 * 3 * 4 * 6 * 5),
        (F.linear, (X, ones(5, 8), ones(5)), 2 * 4 * 5 * 8 + 4 * 5),
        (lambda x, w: F.convolution_2d(x, w, pad=1), (ones(2, 3, 8, 8), ones(4, 3, 3, 3)), 2 * 2 * 4 * 64 * 27),
        (lambda x, w: F.convolution_2d(x, w, groups=2), (ones(2, 4, 8, 8), ones(6, 2, 3, 3)), 2 * 2 * 6 * 36 * 18),
        (lambda x, w: F.deconvolution_2d(x, w, stride=2), (ones(2, 3, 8, 8), ones(3, 5, 3, 3)), 2 * 2 * 64 * 3 * 45),
        (F.sum, (X,), 32),
        (F.argmax, (X,), 32),
        (lambda x: F.average_pooling_2d(x, 3, 1), (ones(1, 1, 5, 5),), 9 * 9 + 9),
        (F.relu, (X,), 32),
        (lambda x: F.transpose(F.reshape(x, (8, 4))), (X,), 0),
        (F.identity, (X,), 0),
    ],
)
def test_flops(program, arrays, flops):
    assert sum(n.flops for n in link(programs.program(program, *arrays)).nodes) == flops


def test_the_gradient_of_a_table_counts_the_rows_that_were_taken():
    table = jaxchain.Parameter(ones(1000, 8))

    def step(i):
        F.sum(F.embed_id(i, table)).backward()
        return table.grad

    embed, _ = link(programs.program(step, np.array([1, 2, 3], np.int32))).nodes
    assert 3 * 8 <= embed.backward_flops < 50


def test_rounds_of_a_loop_count():
    def total(times):
        def body(carry, x):
            return F.tanh(carry), x

        return link(programs.program(lambda c, x: jaxchain.scan(body, c, x)[0], ones(3), ones(times, 1)))

    assert sum(n.flops for n in total(6).nodes) == 2 * sum(n.flops for n in total(3).nodes) > 0


LOOPS = {
    "while": lambda x: jaxchain.while_loop(lambda x: F.sum(x).array < 100, lambda x: F.exp(x) * 2, x),
    "scan": lambda x: jaxchain.scan(lambda c, x: (F.tanh(c), x), x[0], x)[0],
    "cond": lambda x: jaxchain.cond(F.sum(x).array > 0, lambda x: F.exp(x), lambda x: F.tanh(x) * 2, x),
}


@pytest.mark.parametrize("name", LOOPS)
def test_ops_inside_loops_and_branches_are_linked(name):
    linked = link(programs.program(LOOPS[name], X))
    inner = [n for n in linked.nodes if n.path.startswith(f"/{name}")]
    assert ["cond_false", "cond_true"] == sorted({n.path[1:] for n in inner}) or name != "cond"
    assert [n.label for n in inner] == {
        "while": ["Sum", "exp", "_ * 2"],
        "scan": ["Tanh"],
        "cond": ["exp", "Tanh", "_ * 2"],
    }[name]
    for n in inner:
        assert n.equations and n.instructions and n.fate in ("fused", "kernel"), n


def test_a_convolution_that_lost_its_scope_belongs_to_its_node():
    linked = link(programs.program(lambda x, w: F.relu(F.convolution_2d(x, w)), ones(1, 1, 4, 4), ones(1, 1, 3, 3)))
    [made] = [n for n in linked.hlo.nodes if n.attributes.get("opcode") == "convolution"]
    assert "op_name" not in made.attributes
    assert linked.owners["h" + made.id] == ("e1",) and "h" + made.id in linked.inferred
    assert linked.nodes[0].fate == "library call"


def test_calls_of_a_link_are_told_apart_on_all_levels():
    class Twice(jaxchain.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.l = L.Linear(8, 8)

        def forward(self, x):
            return self.l(F.tanh(self.l(x)))

    first, _, second = (linked := link(programs.program(Twice(), X))).nodes
    assert (first.call, second.call) == ("/Twice/l", "/Twice/l~2") and first.path == second.path == "/l"
    assert first.instructions and second.instructions and not set(first.instructions) & set(second.instructions)
    assert all(len(owners) == 1 for key, owners in linked.owners.items() if key[0] == "j")
