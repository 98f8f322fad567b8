"""Written for Chainer: word vectors by skip-gram and continuous bags of words, three losses, shuffled batches."""

import collections

import chainer
import chainer.functions as F
import chainer.initializers as I
import chainer.links as L
import numpy as np
from chainer import reporter, training
from chainer.training import extensions


class ContinuousBoW(chainer.Chain):
    def __init__(self, n_vocab, n_units, loss_func):
        super(ContinuousBoW, self).__init__()
        with self.init_scope():
            self.embed = L.EmbedID(n_vocab, n_units, initialW=I.Constant(0.1))
            self.loss_func = loss_func

    def __call__(self, x, contexts):
        e = self.embed(contexts)
        h = F.sum(e, axis=1) * (1.0 / contexts.shape[1])
        loss = self.loss_func(h, x)
        reporter.report({"loss": loss}, self)
        return loss


class SkipGram(ContinuousBoW):
    def __call__(self, x, contexts):
        e = self.embed(contexts)
        batch_size, n_context, n_units = e.shape
        x = F.broadcast_to(x[:, None], (batch_size, n_context))
        e = F.reshape(e, (batch_size * n_context, n_units))
        x = F.reshape(x, (batch_size * n_context,))
        loss = self.loss_func(e, x)
        reporter.report({"loss": loss}, self)
        return loss


class SoftmaxCrossEntropyLoss(chainer.Chain):
    def __init__(self, n_in, n_out):
        super(SoftmaxCrossEntropyLoss, self).__init__()
        with self.init_scope():
            self.out = L.Linear(n_in, n_out, initialW=0)

    def __call__(self, x, t):
        return F.softmax_cross_entropy(self.out(x), t)


class WindowIterator(chainer.dataset.Iterator):
    def __init__(self, dataset, window, batch_size, repeat=True):
        self.dataset = np.array(dataset, np.int32)
        self.window, self.batch_size, self._repeat = window, batch_size, repeat
        self.order = np.random.permutation(len(dataset) - window * 2).astype(np.int32) + window
        self.current_position, self.epoch, self.is_new_epoch = 0, 0, False

    def __next__(self):
        if not self._repeat and self.epoch > 0:
            raise StopIteration
        i, i_end = self.current_position, self.current_position + self.batch_size
        position = self.order[i:i_end]
        w = np.random.randint(self.window - 1) + 1
        offset = np.concatenate([np.arange(-w, 0), np.arange(1, w + 1)])
        pos = position[:, None] + offset[None, :]
        contexts, center = self.dataset.take(pos), self.dataset.take(position)
        if i_end >= len(self.order):
            np.random.shuffle(self.order)
            self.epoch += 1
            self.is_new_epoch = True
            self.current_position = 0
        else:
            self.is_new_epoch = False
            self.current_position = i_end
        return center, contexts

    @property
    def epoch_detail(self):
        return self.epoch + float(self.current_position) / len(self.order)

    def serialize(self, serializer):
        self.current_position = serializer("current_position", self.current_position)
        self.epoch = serializer("epoch", self.epoch)
        self.is_new_epoch = serializer("is_new_epoch", self.is_new_epoch)
        if self.order is not None:
            serializer("order", self.order)


@chainer.dataset.converter()
def convert(batch, device):
    center, contexts = batch
    return device.send(center), device.send(contexts)


def main():
    text = np.array([(i * i) % 11 for i in range(120)], np.int32)
    counts = collections.Counter(text.tolist())
    n_vocab = int(text.max()) + 1
    for model_class in ContinuousBoW, SkipGram:
        for kind in "hsm", "original":
            if kind == "hsm":
                tree = L.BinaryHierarchicalSoftmax.create_huffman_tree(counts)
                loss_func = L.BinaryHierarchicalSoftmax(6, tree)
                loss_func.W.data[...] = 0
            else:
                loss_func = SoftmaxCrossEntropyLoss(6, n_vocab)
            model = model_class(n_vocab, 6, loss_func)
            device = chainer.get_device("@numpy")
            device.use()
            model.to_device(device)
            np.random.seed(0)  # initial values are drawn from this stream in Chainer only
            optimizer = chainer.optimizers.Adam()
            optimizer.setup(model)
            updater = training.updaters.StandardUpdater(
                WindowIterator(text[:100], 3, 16), optimizer, converter=convert, device=device
            )
            trainer = training.Trainer(updater, (3, "epoch"), out="result")
            trainer.extend(
                extensions.Evaluator(
                    WindowIterator(text[80:], 3, 16, repeat=False), model, converter=convert, device=device
                )
            )
            log = extensions.LogReport(filename=None)
            trainer.extend(log)
            trainer.run()
            for entry in log.log:
                print(model_class.__name__, kind, "%.3f %.3f" % (entry["main/loss"], entry["validation/main/loss"]))
            w = chainer.cuda.to_cpu(model.embed.W.array)
            w = w / np.sqrt((w * w).sum(1) + 1e-8)[:, None]
            print(np.argsort(-w.dot(w[3]), kind="stable")[:1])


if __name__ == "__main__":
    main()
