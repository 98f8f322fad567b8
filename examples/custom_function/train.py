"""A function of one's own, forward and backward written by hand, in the middle of a model.

`Fit` needs a smooth curve that F does not have: x / (1 + |x|). Its class is Chainer's `FunctionNode`, unchanged.
"""

import argparse

import numpy as np

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import optimizers


class Softsign(jaxchain.FunctionNode):
    """y = x / (1 + |x|), with the derivative 1 / (1 + |x|)^2."""

    def forward(self, inputs):
        self.retain_inputs((0,))
        (x,) = inputs
        return (x / (1 + abs(x)),)

    def backward(self, indexes, grad_outputs):
        (x,) = self.get_retained_inputs()
        (gy,) = grad_outputs
        denominator = 1 + abs(x)
        return (gy / (denominator * denominator),)


def softsign(x):
    return Softsign().apply((x,))[0]


class Fit(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(1, 32)
            self.l2 = L.Linear(32, 32)
            self.l3 = L.Linear(32, 1)

    def forward(self, x):
        return self.l3(softsign(self.l2(softsign(self.l1(x)))))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mode", choices=("eager", "static"), default="eager")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a few steps only")
    args = parser.parse_args(argv)
    if args.smoke:
        args.steps = 60
    if args.steps < 1:
        parser.error("--steps: at least 1")

    jaxchain.seed(args.seed)
    model = Fit()
    optimizer = optimizers.Adam(alpha=1e-2).setup(model)
    x = np.linspace(-3, 3, 128, dtype=np.float32)[:, None]
    y = np.sin(2 * x)

    def step(x, y):
        model.cleargrads()
        loss = F.mean_squared_error(model(x), y)
        loss.backward()
        optimizer.update()
        return loss

    if args.mode == "static":
        step = jaxchain.static(step)
    losses = []
    for i in range(args.steps):
        losses.append(float(step(x, y).array))
        if (i + 1) % 100 == 0:
            print(f"step {i + 1:4}  squared error {losses[-1]:.5f}")
    return losses


if __name__ == "__main__":
    main()
