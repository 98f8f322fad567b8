"""A variational auto-encoder: digits become distributions of a few numbers, and these digits again.

The encoder gives a normal distribution of the code for each image, the decoder a Bernoulli distribution of the image
for each code. Both are trained to make the images likely and the codes normal (the evidence lower bound, ELBO), through
a sample of the code: `jaxchain.distributions` samples so that gradients go through.

Source: Kingma and Welling 2013, Auto-Encoding Variational Bayes.
"""

import argparse
import os

import numpy as np

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import datasets, distributions, iterators, optimizers, training
from jaxchain.training import extensions


class Encoder(jaxchain.Chain):
    """Turns images (n, 64) into distributions of codes (n, n_code)."""

    def __init__(self, n_code, n_units):
        super().__init__()
        with self.init_scope():
            self.hidden = L.Linear(64, n_units)
            self.mean = L.Linear(n_units, n_code)
            self.log_scale = L.Linear(n_units, n_code)

    def forward(self, x):
        h = F.tanh(self.hidden(x))
        return distributions.Normal(loc=self.mean(h), log_scale=self.log_scale(h))


class Decoder(jaxchain.Chain):
    """Turns codes (..., n_code) into distributions of images (..., 64)."""

    def __init__(self, n_code, n_units):
        super().__init__()
        with self.init_scope():
            self.hidden = L.Linear(n_code, n_units)
            self.output = L.Linear(n_units, 64)

    def forward(self, z):
        n_batch_axes = z.ndim - 1
        h = F.tanh(self.hidden(z, n_batch_axes=n_batch_axes))
        return distributions.Independent(distributions.Bernoulli(logit=self.output(h, n_batch_axes=n_batch_axes)), 1)


class ELBO(jaxchain.Chain):
    """The negative evidence lower bound, for each image, estimated by `k` samples of the code."""

    def __init__(self, encoder, decoder, k):
        super().__init__()
        self.k = k
        with self.init_scope():
            self.encoder, self.decoder = encoder, decoder

    def forward(self, x):
        q = self.encoder(x)
        z = q.sample(self.k)
        prior = distributions.Normal(np.zeros(q.batch_shape, np.float32), np.ones(q.batch_shape, np.float32))
        targets = F.broadcast_to(F.expand_dims(x, 0), (self.k, *x.shape))
        reconstruction = F.mean(self.decoder(z).log_prob(targets))
        penalty = F.mean(F.sum(jaxchain.kl_divergence(q, prior), axis=-1))
        loss = penalty - reconstruction
        jaxchain.report({"loss": loss, "reconstruction": reconstruction, "kl": penalty}, self)
        return loss


def draw(path, model, images, rng):
    """Draw images, what the model makes of their codes, and images of random codes."""
    import matplotlib.pyplot as plt

    with jaxchain.using_config("train", False), jaxchain.no_backprop_mode():
        codes = model.encoder(images).mean
        random = rng.randn(*codes.shape).astype(np.float32)
        rows = [images, *(F.sigmoid(model.decoder(z).distribution.logit).array for z in (codes, random))]
    figure, axes = plt.subplots(1, 3, figsize=(11, 4.2), layout="tight")
    for axis, x, title in zip(axes, rows, ("held-out digits", "their reconstructions", "samples"), strict=True):
        x = np.pad(np.asarray(x).reshape(8, 8, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
        axis.imshow(x.transpose(0, 2, 1, 3).reshape(80, 80), cmap="gray_r", vmin=0, vmax=1)
        axis.set(title=title, xticks=[], yticks=[])
    figure.savefig(path)
    plt.close(figure)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mode", choices=("eager", "static"), default="eager")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--code", type=int, default=8, help="numbers in a code")
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--samples", type=int, default=1, help="samples of the code for each image")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="result", help="folder for the log and the pictures")
    parser.add_argument("--smoke", action="store_true", help="two epochs of a small model only")
    args = parser.parse_args(argv)
    if args.epochs < 1:
        parser.error("--epochs: at least 1")
    if args.smoke:
        args.epochs, args.batch, args.units, args.code = 2, 400, 16, 4

    jaxchain.seed(args.seed)
    np.random.seed(args.seed)
    train, test = datasets.get_digits(withlabel=False)
    model = ELBO(Encoder(args.code, args.units), Decoder(args.code, args.units), args.samples)
    optimizer = optimizers.Adam().setup(model)
    train_iterator = iterators.SerialIterator(train, args.batch)
    test_iterator = iterators.SerialIterator(test, len(test), repeat=False, shuffle=False)
    updater = training.updaters.StandardUpdater(train_iterator, optimizer, mode=args.mode)
    trainer = training.Trainer(updater, (args.epochs, "epoch"), out=args.out)
    trainer.extend(extensions.Evaluator(test_iterator, model, mode=args.mode))
    trainer.extend(extensions.LogReport())
    trainer.extend(extensions.PlotReport(["main/loss", "validation/main/loss"], "epoch", filename="loss.png"))
    columns = ["main/loss", "validation/main/loss", "main/reconstruction", "main/kl", "elapsed_time"]
    trainer.extend(extensions.PrintReport(["epoch", *columns]), trigger=(max(1, args.epochs // 20), "epoch"))
    trainer.extend(extensions.ProgressBar(update_interval=50))
    trainer.run()
    draw(os.path.join(args.out, "digits.png"), model, np.asarray(test[:64]), np.random.RandomState(args.seed))
    return trainer.get_extension("LogReport").log


if __name__ == "__main__":
    main()
