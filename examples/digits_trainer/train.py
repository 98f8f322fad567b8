"""An MLP on real handwritten digits: the Trainer, in either mode.

``python train.py --mode eager`` runs and records operation by operation; ``--mode static`` compiles each update and
each evaluation. Stop it when you like: ``--resume`` goes on from the latest snapshot in ``--out``, with the same
losses.
"""

import argparse

import numpy as np

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import datasets, iterators, optimizers, training
from jaxchain.training import extensions


class MLP(jaxchain.Chain):
    def __init__(self, n_units, n_out):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(None, n_units)
            self.l2 = L.Linear(None, n_units)
            self.l3 = L.Linear(None, n_out)

    def forward(self, x):
        h = F.dropout(F.relu(self.l1(x)), 0.2)
        h = F.dropout(F.relu(self.l2(h)), 0.2)
        return self.l3(h)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mode", choices=("eager", "static"), default="eager")
    parser.add_argument("--data", choices=("digits", "mnist_5k"), default="digits")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--units", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="result", help="folder for the log, plots and snapshots")
    parser.add_argument("--resume", action="store_true", help="go on from the latest snapshot in --out")
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
    optimizer = optimizers.MomentumSGD(lr=0.1).setup(model)
    optimizer.add_hook(jaxchain.optimizer_hooks.WeightDecay(1e-4))

    train_iterator = iterators.SerialIterator(train, args.batch)
    test_iterator = iterators.SerialIterator(test, args.batch, repeat=False, shuffle=False)
    updater = training.updaters.StandardUpdater(train_iterator, optimizer, mode=args.mode)
    trainer = training.Trainer(updater, (args.epochs, "epoch"), out=args.out)

    trainer.extend(extensions.Evaluator(test_iterator, model, mode=args.mode))
    trainer.extend(extensions.DumpGraph("main/loss"))
    trainer.extend(extensions.ExponentialShift("lr", 0.9), trigger=(1, "epoch"))
    trainer.extend(extensions.observe_lr())
    trainer.extend(extensions.FailOnNonNumber(), trigger=(1, "epoch"))
    trainer.extend(extensions.snapshot(n_retains=2, autoload=args.resume))
    trainer.extend(extensions.LogReport())
    for name in ("loss", "accuracy"):
        keys = [f"main/{name}", f"validation/main/{name}"]
        trainer.extend(extensions.PlotReport(keys, "epoch", filename=f"{name}.png"), name=f"plot of {name}")
    columns = ["main/loss", "validation/main/loss", "main/accuracy", "validation/main/accuracy"]
    trainer.extend(extensions.PrintReport(["epoch", *columns, "lr", "elapsed_time"]))
    trainer.extend(extensions.ProgressBar(update_interval=10))
    trainer.run()
    return trainer.get_extension("LogReport").log


if __name__ == "__main__":
    main()
