"""The graph follows the program: a flag chooses the activation, the data choose the reduction."""

import numpy as np

import jaxchain as chainer
import jaxchain.computational_graph as c
import jaxchain.functions as F
from jaxchain import Variable


def dynamic_graph_example(x, apply_relu=True):
    if apply_relu:
        h = F.relu(x)
    else:
        h = F.sigmoid(x)
    if x.array.mean() > 0:
        return F.sum(h)
    return F.prod(h)


def main():
    np.random.seed(0)
    x = Variable(np.random.randn(3, 4).astype(np.float32))
    results = {}
    for name, apply_relu in (("relu", True), ("sigmoid", False)):
        y = dynamic_graph_example(x, apply_relu)
        x.cleargrad()
        y.backward()
        with open(f"dynamic_graph_{name}.dot", "w") as file:
            file.write(c.build_computational_graph([y]).dump())
        print(name, y, x.grad, sep="\n")
        results[name] = float(y.array), np.asarray(x.grad)
    return results


if __name__ == "__main__":
    print("mode:", chainer.config.mode)
    main()
