"""The graph is defined once: a small model whose graph is the same at every call."""

import numpy as np

import jaxchain as chainer
import jaxchain.computational_graph as c
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Chain, Variable


class StaticGraphModel(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(None, 5)
            self.l2 = L.Linear(5, 2)

    def forward(self, x):
        h = F.relu(self.l1(x))
        return self.l2(h)


def main():
    np.random.seed(0)
    chainer.seed(0)
    model = StaticGraphModel()
    x = Variable(np.random.randn(3, 4).astype(np.float32))
    with chainer.using_config("mode", "eager"):  # the picture is of the recorded graph
        y = model(x)
    with open("static_graph.dot", "w") as file:
        file.write(c.build_computational_graph([y]).dump())
    y = model(x)  # in either mode
    model.cleargrads()
    F.sum(y).backward()
    print("Output:", y)
    return np.asarray(y.array), np.asarray(model.l1.W.grad)


if __name__ == "__main__":
    main()
