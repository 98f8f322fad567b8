"""Written for Chainer: the Trainer with an updater of its own, an evaluator and reports."""

import argparse
import os
import tempfile

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
from chainer import training
from chainer.training import extensions


class Net(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(1, 2, 3, initialW=0.1)
            self.bn = L.BatchNormalization(2)
            self.fc = L.Linear(None, 2, initialW=0.05)

    def forward(self, x):
        h = F.max_pooling_2d(F.relu(self.bn(self.conv(x))), 2)
        return self.fc(h)


class Updater(training.StandardUpdater):
    def update_core(self):
        batch = self.get_iterator("main").next()
        x, t = self.converter(batch, self.device)
        optimizer = self.get_optimizer("main")
        optimizer.update(optimizer.target, x, t)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", "-d", type=str, default="-1")
    args = parser.parse_args()
    device = chainer.get_device(args.device)
    device.use()

    rng = np.random.RandomState(1)
    x = rng.rand(32, 1, 6, 6).astype("f")
    t = (x.mean(axis=(1, 2, 3)) > 0.5).astype("i")
    data = chainer.datasets.TupleDataset(x, t)
    train, test = chainer.datasets.split_dataset(data, 24)
    model = L.Classifier(Net())
    model.to_device(device)
    optimizer = chainer.optimizers.MomentumSGD(0.05).setup(model)
    train_iter = chainer.iterators.SerialIterator(train, 8, shuffle=False)
    test_iter = chainer.iterators.SerialIterator(test, 8, repeat=False, shuffle=False)
    updater = Updater(train_iter, optimizer, device=device)
    with tempfile.TemporaryDirectory() as out:
        trainer = training.Trainer(updater, (2, "epoch"), out=out)
        trainer.extend(extensions.Evaluator(test_iter, model, device=device))
        trainer.extend(extensions.LogReport())
        trainer.extend(extensions.snapshot(filename="snapshot_{.updater.epoch}"), trigger=(1, "epoch"))
        trainer.run()
        log = trainer.get_extension("LogReport").log
        for entry in log:
            print(
                entry["epoch"],
                "%.4f" % entry["main/loss"],
                "%.4f" % entry["validation/main/loss"],
                "%.3f" % entry["validation/main/accuracy"],
            )
        print(sorted(name for name in os.listdir(out)))


if __name__ == "__main__":
    main()
