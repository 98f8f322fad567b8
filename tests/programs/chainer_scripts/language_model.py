"""Written for Chainer: a language model with truncated backpropagation, its own iterator and updater, and a resume."""

import argparse
import os
import tempfile

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
from chainer import training
from chainer.training import extensions


class Model(chainer.Chain):
    def __init__(self, n_vocab, n_units):
        super(Model, self).__init__()
        with self.init_scope():
            self.embed = L.EmbedID(n_vocab, n_units)
            self.l1 = L.LSTM(n_units, n_units)
            self.l2 = L.Linear(n_units, n_vocab)
        np.random.seed(1)  # initial values are drawn from this stream in Chainer only
        for param in self.params():
            param.data[...] = np.random.uniform(-0.1, 0.1, param.data.shape)

    def reset_state(self):
        self.l1.reset_state()

    def __call__(self, x):
        h = self.l1(F.dropout(self.embed(x), 0.0))
        return self.l2(h)


class Streams(chainer.dataset.Iterator):
    """A batch is one word from each of several places of the text, and the word after it."""

    def __init__(self, words, batch_size, repeat=True):
        self.words, self.batch_size, self.repeat = words, batch_size, repeat
        self.epoch, self.iteration, self.is_new_epoch = 0, 0, False
        self.offsets = [i * len(words) // batch_size for i in range(batch_size)]

    def at(self, iteration):
        return [self.words[(o + iteration) % len(self.words)] for o in self.offsets]

    def __next__(self):
        if not self.repeat and self.iteration * self.batch_size >= len(self.words):
            raise StopIteration
        now = self.at(self.iteration)
        self.iteration += 1
        epoch = self.iteration * self.batch_size // len(self.words)
        self.is_new_epoch = self.epoch < epoch
        self.epoch = epoch
        return list(zip(now, self.at(self.iteration)))

    @property
    def epoch_detail(self):
        return self.iteration * self.batch_size / len(self.words)

    def serialize(self, serializer):
        self.iteration = serializer("iteration", self.iteration)
        self.epoch = serializer("epoch", self.epoch)


class TruncatedUpdater(training.updaters.StandardUpdater):
    def __init__(self, iterator, optimizer, length, device):
        super(TruncatedUpdater, self).__init__(iterator, optimizer, device=device)
        self.length = length

    def update_core(self):
        loss = 0
        iterator = self.get_iterator("main")
        optimizer = self.get_optimizer("main")
        for _ in range(self.length):
            batch = iterator.__next__()
            x, t = self.converter(batch, self.device)
            loss += optimizer.target(chainer.Variable(x), chainer.Variable(t))
        optimizer.target.cleargrads()
        loss.backward()
        loss.unchain_backward()
        optimizer.update()


def perplexity(result):
    result["perplexity"] = np.exp(result["main/loss"])
    if "validation/main/loss" in result:
        result["val_perplexity"] = np.exp(result["validation/main/loss"])


def make_trainer(words, val, args, out, epochs):
    model = L.Classifier(Model(max(words) + 1, args.unit))
    model.compute_accuracy = False
    if args.gpu >= 0:
        chainer.backends.cuda.get_device_from_id(args.gpu).use()
        model.to_gpu()
    optimizer = chainer.optimizers.SGD(lr=1.0)
    optimizer.setup(model)
    optimizer.add_hook(chainer.optimizer_hooks.GradientClipping(0.5))
    updater = TruncatedUpdater(Streams(words, 4), optimizer, 5, args.gpu)
    trainer = training.Trainer(updater, (epochs, "epoch"), out=out)
    evaluated = model.copy()  # shares the parameters, has a state of its own
    trainer.extend(
        extensions.Evaluator(
            Streams(val, 1, repeat=False),
            evaluated,
            device=args.gpu,
            eval_hook=lambda _: evaluated.predictor.reset_state(),
        )
    )
    trainer.extend(extensions.LogReport(postprocess=perplexity, trigger=(5, "iteration")))
    trainer.extend(
        extensions.PrintReport(["epoch", "iteration", "perplexity", "val_perplexity"]), trigger=(5, "iteration")
    )
    trainer.extend(extensions.snapshot(filename="snapshot"), trigger=(1, "epoch"))
    trainer.extend(extensions.snapshot_object(model, "model_iter_{.updater.iteration}"), trigger=(1, "epoch"))
    return trainer, evaluated


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gpu", "-g", type=int, default=-1)
    parser.add_argument("--unit", "-u", type=int, default=8)
    args = parser.parse_args()
    words = np.array([(i * i + i // 3) % 7 for i in range(100)], dtype=np.int32)
    val = words[30:50]
    with tempfile.TemporaryDirectory() as out:
        trainer, _ = make_trainer(words, val, args, out, 2)
        trainer.run()
        print(sorted(name for name in os.listdir(out)))
        resumed, evaluated = make_trainer(words, val, args, out, 4)
        chainer.serializers.load_npz(os.path.join(out, "snapshot"), resumed)
        resumed.run()
        evaluated.predictor.reset_state()
        result = extensions.Evaluator(Streams(val, 1, repeat=False), evaluated, device=args.gpu)()
        print("test perplexity: %.4f" % np.exp(float(result["main/loss"])))
        chainer.serializers.save_npz(os.path.join(out, "rnn.npz"), evaluated)
        with np.load(os.path.join(out, "rnn.npz")) as saved:
            print(sorted(saved))


if __name__ == "__main__":
    main()
