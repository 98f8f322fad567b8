"""Programs whose graphs Chainer and jaxchain must draw alike. Runs under both: `chainer` is either package.

`tests/conformance/make_golden_graph.py` runs them under real Chainer 7.8.1 and writes `golden/chainer_graphs.json`.
"""

import numpy as np


def _static_model(chainer):
    F, L = chainer.functions, chainer.links

    class StaticGraphModel(chainer.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.l1 = L.Linear(None, 5)
                self.l2 = L.Linear(5, 2)

        def forward(self, x):
            return self.l2(F.relu(self.l1(x)))

    return StaticGraphModel()(np.ones((3, 4), np.float32))


def _dynamic(chainer, apply_relu, sign):
    F = chainer.functions
    x = chainer.Variable(sign * np.array([[0.5, -0.25], [1.5, 0.125]], np.float32))
    h = F.relu(x) if apply_relu else F.sigmoid(x)
    return F.sum(h) if x.array.mean() > 0 else F.prod(h)


def _shared(chainer):
    a = chainer.Variable(np.ones((3, 4), np.float32), name="a")
    return a * a + a


def _arithmetic(chainer):
    x = chainer.Variable(np.full((2,), 2, np.float32), name="x")
    return ((x + 1) * 2 - x / x) ** 2 - (-x)


def _classifier(chainer):
    F, L = chainer.functions, chainer.links
    model = L.Classifier(chainer.Sequential(L.Convolution2D(1, 2, 3), F.relu, L.Linear(None, 3)))
    return model(np.ones((2, 1, 5, 5), np.float32), np.array([0, 2], np.int32))


def _chain(chainer):
    x = chainer.Variable(np.ones((2, 2), np.float32), name="x")
    for _ in range(5):
        x = chainer.functions.relu(x)
    return x


def _unchained(chainer):
    y = _chain(chainer)
    middle = y.creator.inputs[0].get_variable()
    middle.unchain()
    return y


def _prepared(chainer):
    """What comes before the first parameter needs no gradient, and is drawn."""
    F, L = chainer.functions, chainer.links
    h = F.transpose(F.reshape(np.ones((2, 12), np.float32), (2, 3, 4)), (0, 2, 1))
    return L.Linear(12, 2)(F.relu(h - 1))


def _without_gradient(chainer):
    x = chainer.Variable(np.ones((2, 3), np.float32), requires_grad=False, name="x")
    a, b = chainer.functions.split_axis(x * x, [1], 1)
    return chainer.functions.sum(a) + chainer.functions.cast(chainer.functions.argmax(b), np.float32)


def _attributes(chainer):
    """Statistics, masks, indices and conditions are no variables of the graph."""
    F, L = chainer.functions, chainer.links
    h = L.BatchNormalization(3)(chainer.Variable(np.ones((4, 3), np.float32), name="x"))
    h = F.dropout(h, mask=np.ones((4, 3), np.float32))[np.array([0, 2])]
    h = F.where(np.ones((2, 3), bool), h, F.rrelu(h, r=np.ones((2, 3), np.float32)))
    return F.softmax_cross_entropy(h, np.array([0, 1], np.int32), class_weight=np.ones(3, np.float32))


# name -> (program, options of build_computational_graph)
CASES = {
    "static": (_static_model, {}),
    "static_LR": (_static_model, {"rankdir": "LR"}),
    "static_plain": (_static_model, {"variable_style": None, "function_style": None, "show_name": False}),
    "static_own_style": (_static_model, {"variable_style": {"shape": "box"}, "function_style": {"color": "red"}}),
    "static_functions_only": (_static_model, {"remove_variable": True}),
    "dynamic_relu": (lambda c: _dynamic(c, True, 1), {}),
    "dynamic_sigmoid": (lambda c: _dynamic(c, False, 1), {}),
    "dynamic_relu_prod": (lambda c: _dynamic(c, True, -1), {}),
    "dynamic_sigmoid_prod": (lambda c: _dynamic(c, False, -1), {}),
    "shared": (_shared, {}),
    "shared_functions_only": (_shared, {"remove_variable": True}),
    "arithmetic": (_arithmetic, {}),
    "classifier": (_classifier, {}),
    "chain_function": (lambda c: _chain(c).creator, {}),
    "unchained": (_unchained, {}),
    "prepared": (_prepared, {}),
    "prepared_functions_only": (_prepared, {"remove_variable": True}),
    "without_gradient": (_without_gradient, {}),
    "attributes": (_attributes, {}),
    "leaf": (lambda c: c.Variable(np.ones((3,), np.float32), name="a"), {}),
    "leaf_functions_only": (lambda c: c.Variable(np.ones((3,), np.float32), name="a"), {"remove_variable": True}),
    "scalar": (lambda c: c.Variable(np.ones((), np.float32)), {}),
    "nothing": (lambda c: [], {}),
}


def dump(chainer, build, name):
    """Return the DOT text of a case."""
    program, options = CASES[name]
    return build(program(chainer), **options).dump()
