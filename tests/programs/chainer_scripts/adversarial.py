"""Written for Chainer: a generative adversarial network with an updater of two optimizers and pictures of samples."""

import os
import tempfile

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
from chainer import Variable, training
from chainer.training import extensions


def fill(link, seed):
    rng = np.random.RandomState(seed)
    for _, param in sorted(link.namedparams()):
        param.data[...] += rng.normal(0, 0.1, param.shape)


class Generator(chainer.Chain):
    def __init__(self, n_hidden=4, bottom_width=2, ch=8):
        super(Generator, self).__init__()
        self.n_hidden, self.ch, self.bottom_width = n_hidden, ch, bottom_width
        with self.init_scope():
            w = chainer.initializers.Constant(0.01)
            self.l0 = L.Linear(self.n_hidden, bottom_width * bottom_width * ch, initialW=w)
            self.dc1 = L.Deconvolution2D(ch, ch // 2, 4, 2, 1, initialW=w)
            self.dc2 = L.Deconvolution2D(ch // 2, 1, 3, 1, 1, initialW=w)
            self.bn0 = L.BatchNormalization(bottom_width * bottom_width * ch)
            self.bn1 = L.BatchNormalization(ch // 2)

    def make_hidden(self, batchsize):
        return np.random.uniform(-1, 1, (batchsize, self.n_hidden, 1, 1)).astype(np.float32)

    def __call__(self, z):
        h = F.reshape(F.relu(self.bn0(self.l0(z))), (len(z), self.ch, self.bottom_width, self.bottom_width))
        h = F.relu(self.bn1(self.dc1(h)))
        return F.sigmoid(self.dc2(h))


class Discriminator(chainer.Chain):
    def __init__(self, ch=8):
        super(Discriminator, self).__init__()
        w = chainer.initializers.Constant(0.01)
        with self.init_scope():
            self.c0 = L.Convolution2D(1, ch // 2, 3, 1, 1, initialW=w)
            self.c1 = L.Convolution2D(ch // 2, ch, 4, 2, 1, initialW=w)
            self.bn1 = L.BatchNormalization(ch, use_gamma=False)
            self.l4 = L.Linear(None, 1, initialW=w)

    def __call__(self, x):
        h = F.leaky_relu(self.c0(x))
        h = F.leaky_relu(self.bn1(self.c1(h)))
        return self.l4(h)


class Updater(training.updaters.StandardUpdater):
    def __init__(self, *args, **kwargs):
        self.gen, self.dis = kwargs.pop("models")
        super(Updater, self).__init__(*args, **kwargs)

    def loss_dis(self, dis, y_fake, y_real):
        batchsize = len(y_fake)
        loss = F.sum(F.softplus(-y_real)) / batchsize + F.sum(F.softplus(y_fake)) / batchsize
        chainer.report({"loss": loss}, dis)
        return loss

    def loss_gen(self, gen, y_fake):
        loss = F.sum(F.softplus(-y_fake)) / len(y_fake)
        chainer.report({"loss": loss}, gen)
        return loss

    def update_core(self):
        gen_optimizer = self.get_optimizer("gen")
        dis_optimizer = self.get_optimizer("dis")
        batch = self.get_iterator("main").next()
        x_real = Variable(self.converter(batch, self.device)) / 255.0
        xp = chainer.backend.get_array_module(x_real.array)
        gen, dis = self.gen, self.dis
        batchsize = len(batch)
        y_real = dis(x_real)
        z = Variable(xp.asarray(gen.make_hidden(batchsize)))
        x_fake = gen(z)
        y_fake = dis(x_fake)
        gen_optimizer.update(self.loss_gen, gen, y_fake)
        x_fake.unchain_backward()
        dis_optimizer.update(self.loss_dis, dis, y_fake, y_real)


def samples(gen, rows, cols, seed, out):
    @chainer.training.make_extension(trigger=(1, "epoch"))
    def make_image(trainer):
        np.random.seed(seed)
        xp = gen.xp
        z = Variable(xp.asarray(gen.make_hidden(rows * cols)))
        with chainer.using_config("train", False):
            x = gen(z)
        x = chainer.backends.cuda.to_cpu(x.array)
        np.random.seed(trainer.updater.iteration)
        x = np.asarray(np.clip(x * 255, 0.0, 255.0), dtype=np.uint8)
        _, _, height, width = x.shape
        x = x.reshape((rows, cols, 1, height, width)).transpose(0, 3, 1, 4, 2).reshape((rows * height, cols * width))
        print("picture", x.shape, x.dtype, 90 < x.mean() < 160)
        np.save(os.path.join(out, "image%08d.npy" % trainer.updater.iteration), x)

    return make_image


def make_optimizer(model, alpha=0.002, beta1=0.5):
    optimizer = chainer.optimizers.Adam(alpha=alpha, beta1=beta1)
    optimizer.setup(model)
    optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(0.0001), "hook_dec")
    return optimizer


def main(out):
    gen, dis = Generator(), Discriminator()
    opt_gen, opt_dis = make_optimizer(gen), make_optimizer(dis)
    train = np.random.RandomState(3).randint(0, 255, (20, 1, 4, 4)).astype("f")
    dis(train[:2])
    fill(gen, 0)
    fill(dis, 1)
    np.random.seed(0)
    train_iter = chainer.iterators.SerialIterator(train, 5)
    updater = Updater(
        models=(gen, dis), iterator=train_iter, optimizer={"gen": opt_gen, "dis": opt_dis}, device=chainer.get_device(-1)
    )
    trainer = training.Trainer(updater, (3, "epoch"), out=out)
    trainer.extend(extensions.snapshot(filename="snapshot_iter_{.updater.iteration}.npz"), trigger=(2, "epoch"))
    trainer.extend(extensions.snapshot_object(gen, "gen_iter_{.updater.iteration}.npz"), trigger=(2, "epoch"))
    log = extensions.LogReport(trigger=(2, "iteration"))
    trainer.extend(log)
    trainer.extend(extensions.PrintReport(["epoch", "iteration", "gen/loss", "dis/loss"], log_report=log), trigger=(99, "iteration"))
    trainer.extend(extensions.ProgressBar(update_interval=100))
    trainer.extend(samples(gen, 2, 3, 7, out))
    trainer.run()
    for entry in log.log:
        print(entry["iteration"], "%.3f %.3f" % (entry["gen/loss"], entry["dis/loss"]))
    print(sorted(os.listdir(out)))
    print(type(gen.bn0.N).__name__, np.asarray(gen.bn0.avg_mean).round(2).tolist()[:3])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(folder)
