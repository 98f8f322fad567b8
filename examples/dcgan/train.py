"""A deep convolutional GAN: a generator and a discriminator that learn from each other, with an updater of one's own.

`GANUpdater` overrides `update_core`, as Chainer's programs with two models do: it takes a batch, and updates two
optimizers. With ``--mode static`` that update is one compiled program.

Source: Radford, Metz, Chintala 2015, Unsupervised Representation Learning with Deep Convolutional GANs.
"""

import argparse
import os

import numpy as np

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import datasets, initializers, iterators, optimizers, training
from jaxchain.training import extensions


class Generator(jaxchain.Chain):
    """Turns noise (n, n_noise) into images (n, 1, 8, 8) between 0 and 1."""

    def __init__(self, n_noise, width):
        super().__init__()
        self.n_noise = n_noise
        w = initializers.Normal(0.05)
        with self.init_scope():
            self.l0 = L.Linear(n_noise, 4 * width * 2 * 2, initialW=w)
            self.bn0 = L.BatchNormalization(4 * width * 2 * 2)
            self.dc1 = L.Deconvolution2D(4 * width, 2 * width, 4, 2, 1, initialW=w)
            self.bn1 = L.BatchNormalization(2 * width)
            self.dc2 = L.Deconvolution2D(2 * width, width, 4, 2, 1, initialW=w)
            self.bn2 = L.BatchNormalization(width)
            self.dc3 = L.Deconvolution2D(width, 1, 3, 1, 1, initialW=w)

    def forward(self, z):
        h = F.relu(self.bn0(self.l0(z)))
        h = F.reshape(h, (len(z), -1, 2, 2))
        h = F.relu(self.bn1(self.dc1(h)))
        h = F.relu(self.bn2(self.dc2(h)))
        return F.sigmoid(self.dc3(h))


class Discriminator(jaxchain.Chain):
    """Gives each image a logit: how likely it is a real one."""

    def __init__(self, width):
        super().__init__()
        w = initializers.Normal(0.05)
        with self.init_scope():
            self.c0 = L.Convolution2D(1, width, 3, 1, 1, initialW=w)
            self.c1 = L.Convolution2D(width, 2 * width, 4, 2, 1, initialW=w)
            self.bn1 = L.BatchNormalization(2 * width, use_gamma=False)
            self.c2 = L.Convolution2D(2 * width, 4 * width, 4, 2, 1, initialW=w)
            self.bn2 = L.BatchNormalization(4 * width, use_gamma=False)
            self.l3 = L.Linear(4 * width * 2 * 2, 1, initialW=w)

    def forward(self, x):
        h = F.leaky_relu(self.c0(x))
        h = F.leaky_relu(self.bn1(self.c1(h)))
        h = F.leaky_relu(self.bn2(self.c2(h)))
        return self.l3(F.dropout(h, 0.3))


class GANUpdater(training.updaters.StandardUpdater):
    """Updates both models on each batch of real images, with the optimizers ``"gen"`` and ``"dis"``."""

    def __init__(self, generator, discriminator, iterator, optimizers, mode):
        super().__init__(iterator, optimizers)
        self.gen, self.dis = generator, discriminator
        self.step = jaxchain.static(self.losses) if mode == "static" else self.losses

    def update_core(self):
        real = self.converter(self.get_iterator("main").next(), self.device)
        self.step(real, np.random.randn(len(real), self.gen.n_noise).astype(np.float32))

    def losses(self, real, z):
        """Update both models on real images and noise."""
        fake = self.gen(z)
        y_real, y_fake = self.dis(real), self.dis(fake)
        loss_gen = F.mean(F.softplus(-y_fake))
        loss_dis = F.mean(F.softplus(-y_real)) + F.mean(F.softplus(y_fake))
        self.gen.cleargrads()
        loss_gen.backward()
        self.get_optimizer("gen").update()
        fake.unchain_backward()
        self.dis.cleargrads()
        loss_dis.backward()
        self.get_optimizer("dis").update()
        jaxchain.report({"loss": loss_gen}, self.gen)
        jaxchain.report({"loss": loss_dis}, self.dis)


def draw_samples(generator, real, folder, seed, n=8):
    """Return an extension that draws generated digits beside real ones."""
    z = np.random.RandomState(seed).randn(n * n, generator.n_noise).astype(np.float32)

    @training.make_extension()
    def samples(trainer):
        import matplotlib.pyplot as plt

        with jaxchain.using_config("train", False), jaxchain.no_backprop_mode():
            fake = np.asarray(generator(z).array)
        both = np.concatenate([fake.reshape(n, n, 8, 8), np.zeros((n, 1, 8, 8)), real[: n * n].reshape(n, n, 8, 8)], 1)
        both = np.pad(both, ((0, 0), (0, 0), (1, 1), (1, 1)))  # generated digits, a gap, real ones
        image = both.transpose(0, 2, 1, 3).reshape(10 * n, -1)
        plt.imsave(os.path.join(folder, "samples.png"), image.repeat(4, 0).repeat(4, 1), cmap="gray_r", vmin=0, vmax=1)

    return samples


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mode", choices=("eager", "static"), default="eager")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--noise", type=int, default=32)
    parser.add_argument("--width", type=int, default=16, help="channels of the largest images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="result", help="folder for the log and the picture")
    parser.add_argument("--smoke", action="store_true", help="a few steps of a small model only")
    args = parser.parse_args(argv)
    if args.steps < 1:
        parser.error("--steps: at least 1")
    if args.smoke:
        args.steps, args.batch, args.noise, args.width = 4, 8, 4, 2

    jaxchain.seed(args.seed)
    np.random.seed(args.seed)
    train, _ = datasets.get_digits(withlabel=False, ndim=3)
    generator, discriminator = Generator(args.noise, args.width), Discriminator(args.width)
    both = {
        name: optimizers.Adam(alpha=alpha, beta1=0.5).setup(model)
        for name, model, alpha in (("gen", generator, 1e-3), ("dis", discriminator, 4e-4))
    }
    batches = iterators.SerialIterator(train, args.batch)
    updater = GANUpdater(generator, discriminator, batches, both, args.mode)
    trainer = training.Trainer(updater, (args.steps, "iteration"), out=args.out)
    every = (max(1, args.steps // 20), "iteration")
    trainer.extend(extensions.LogReport(["gen/loss", "dis/loss"], trigger=every))
    trainer.extend(extensions.PrintReport(["iteration", "gen/loss", "dis/loss", "elapsed_time"]), trigger=every)
    trainer.extend(extensions.snapshot(n_retains=1), trigger=(args.steps, "iteration"))
    trainer.extend(draw_samples(generator, train, args.out, args.seed), trigger=(args.steps // 4, "iteration"))
    trainer.extend(extensions.ProgressBar(update_interval=20))
    trainer.run()
    return trainer.get_extension("LogReport").log


if __name__ == "__main__":
    main()
