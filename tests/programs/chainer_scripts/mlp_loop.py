"""Written for Chainer: an MLP on random blobs with a loop of its own, --gpu and --out, as programs of 2019 had them."""

import argparse

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
from chainer import cuda, serializers


class MLP(chainer.Chain):
    def __init__(self, n_units, n_out):
        super().__init__()
        with self.init_scope():
            self.l1 = L.Linear(None, n_units, initialW=chainer.initializers.Constant(0.05))
            self.l2 = L.Linear(None, n_out, initialW=chainer.initializers.Constant(0.02))

    def __call__(self, x):
        return self.l2(F.relu(self.l1(x)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gpu", "-g", type=int, default=-1)
    parser.add_argument("--epoch", type=int, default=2)
    parser.add_argument("--out", default="")
    args = parser.parse_args()

    model = L.Classifier(MLP(5, 3))
    if args.gpu >= 0:
        cuda.get_device_from_id(args.gpu).use()
        model.to_gpu()
    xp = cuda.cupy if args.gpu >= 0 else np
    optimizer = chainer.optimizers.Adam(alpha=0.01)
    optimizer.setup(model)
    optimizer.add_hook(chainer.optimizer.WeightDecay(1e-3))

    rng = np.random.RandomState(0)
    x_all = rng.randn(60, 4).astype(np.float32)
    t_all = (np.abs(x_all).argmax(axis=1) % 3).astype(np.int32)
    train = chainer.datasets.TupleDataset(x_all, t_all)
    iterator = chainer.iterators.SerialIterator(train, 20, shuffle=False)
    while iterator.epoch < args.epoch:
        batch = iterator.next()
        x_array, t_array = chainer.dataset.concat_examples(batch, args.gpu)
        x, t = chainer.Variable(xp.asarray(x_array)), chainer.Variable(xp.asarray(t_array))
        loss = model(x, t)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        print("loss %.4f accuracy %.3f" % (float(loss.data), float(model.accuracy.data)))
    with chainer.no_backprop_mode(), chainer.using_config("train", False):
        y = model.predictor(x_all[:2])
    print("y", " ".join("%.4f" % v for v in cuda.to_cpu(y.data).ravel()))
    if args.out:
        serializers.save_npz(args.out, model)
        serializers.load_npz(args.out, model)
    print(isinstance(model, chainer.link.Chain), chainer.cuda.available, model.count_params())


if __name__ == "__main__":
    main()
