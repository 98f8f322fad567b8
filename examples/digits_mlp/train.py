"""An MLP on real handwritten digits: the plain training loop, in either mode.

``python train.py --mode eager`` runs and records operation by operation; ``--mode static`` compiles the same step.
"""

import argparse
import time

import numpy as np
from tqdm import tqdm

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import datasets, iterators, optimizers, serializers
from jaxchain.dataset import concat_examples


class MLP(jaxchain.Chain):
    def __init__(self, n_units, n_out):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(None, n_units)
            self.l2 = L.Linear(None, n_units)
            self.l3 = L.Linear(None, n_out)

    def forward(self, x):
        h = F.relu(self.l1(x))
        h = F.relu(self.l2(h))
        return self.l3(h)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mode", choices=("eager", "static"), default="eager")
    parser.add_argument("--data", choices=("digits", "mnist_5k"), default="digits")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--units", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", help="write the model to this npz file")
    parser.add_argument("--smoke", action="store_true", help="one epoch only")
    args = parser.parse_args(argv)
    if args.smoke:
        args.epochs = 1
    if args.epochs < 1:
        parser.error("--epochs: at least 1")

    jaxchain.seed(args.seed)
    np.random.seed(args.seed)
    train, test = getattr(datasets, f"get_{args.data}")()
    model = L.Classifier(MLP(args.units, 10))
    optimizer = optimizers.MomentumSGD(lr=0.05).setup(model)
    optimizer.add_hook(jaxchain.optimizer_hooks.WeightDecay(1e-4))

    def step(x, t):
        optimizer.update(model, x, t)  # clears the gradients, calls the model, goes back, updates
        return model.loss

    def evaluate(x, t):
        with jaxchain.using_config("train", False), jaxchain.no_backprop_mode():
            return model(x, t), model.accuracy

    if args.mode == "static":
        step, evaluate = jaxchain.static(step), jaxchain.static(evaluate)

    iterator = iterators.SerialIterator(train, args.batch)
    losses = []
    start = time.perf_counter()
    for epoch in range(args.epochs):
        for _ in tqdm(range(len(train) // args.batch), f"epoch {epoch + 1}", leave=False):
            losses.append(step(*concat_examples(iterator.next())))
        loss, accuracy = evaluate(*concat_examples(test[:]))
        print(
            f"epoch {epoch + 1:2}  train loss {float(losses[-1].array):.4f}  "
            f"test loss {float(loss.array):.4f}  test accuracy {float(accuracy.array):.4f}"
        )
    print(f"{args.mode}: {len(losses)} steps in {time.perf_counter() - start:.1f} s")
    if args.save:
        serializers.save_npz(args.save, model)
    return [float(loss.array) for loss in losses], float(accuracy.array)


if __name__ == "__main__":
    main()
