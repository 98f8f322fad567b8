"""A training program that is killed and started again: ``python program_to_kill.py OUT MODE ITERATIONS``.

Everything random is in it: shuffles, dropout, NumPy's and Python's generators; and most of what has a state.
"""

import random
import sys

import numpy as np

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import datasets, iterators, optimizers, training
from jaxchain.training import extensions


class Net(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            # a bias here would have gradients of pure rounding, and Adam makes whole steps of their signs
            self.l1 = L.Linear(None, 8, nobias=True)
            self.bn = L.BatchNormalization(8)
            self.l2 = L.Linear(None, 3)

    def forward(self, x):
        return self.l2(F.dropout(F.relu(self.bn(self.l1(x))), 0.3))


def examples(n, seed):
    draw = np.random.RandomState(seed)
    return datasets.TupleDataset(draw.randn(n, 5).astype(np.float32), draw.randint(0, 3, n).astype(np.int32))


def make(out, mode, iterations, seed=0, every=3, **options):
    """Return the trainer."""
    jaxchain.seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    model = L.Classifier(Net())
    optimizer = optimizers.Adam().setup(model)
    updater = training.StandardUpdater(iterators.SerialIterator(examples(26, 0), 8), optimizer, mode=mode)
    trainer = training.Trainer(updater, (iterations, "iteration"), out=out)
    validation = iterators.SerialIterator(examples(10, 1), 4, repeat=False, shuffle=False)
    trainer.extend(extensions.Evaluator(validation, model, mode=mode))

    @training.make_extension(priority=training.PRIORITY_WRITER)
    def noise(trainer):
        jaxchain.report({"numpy": np.random.randn(), "python": random.gauss(0, 1)})

    trainer.extend(noise)
    trainer.extend(extensions.MicroAverage("main/accuracy", "main/loss", "ratio", (5, "iteration")))
    trainer.extend(extensions.LogReport(trigger=(2, "iteration")))
    trainer.extend(extensions.LogReport(trigger=(7, "iteration"), filename="log_7"))
    trainer.extend(extensions.MultistepShift("alpha", 0.7, [4, 9, 30, 60], 0.01))
    trainer.extend(extensions.observe_value("alpha", lambda t: optimizer.alpha), trigger=(1, "iteration"))
    best = training.triggers.MaxValueTrigger("main/accuracy", (4, "iteration"))
    trainer.extend(lambda trainer: jaxchain.report({"best": 1}), name="best", trigger=best, priority=150)
    trainer.extend(extensions.snapshot(n_retains=2, autoload=True, **options), trigger=(every, "iteration"))
    return trainer


def main(out, mode, iterations):
    """Train to the end, from the latest snapshot on."""
    trainer = make(out, mode, int(iterations))

    def tell(trainer):
        print(trainer.updater.iteration, flush=True)

    trainer.extend(tell, name="tell")
    trainer.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
