"""The models as chains: one text for jaxchain and for Chainer itself."""

import importlib
import tempfile

import numpy as np
from model_spec import MOMENTUM, RATE, Program, data, first_batch, ordered, resnet_blocks, set_weights


def chains(library):
    """Return {model: class} in terms of `library`, which is jaxchain or Chainer; a chain's forward is its loss."""
    F, L = library.functions, library.links

    class MLP(library.Chain):
        def __init__(self, size):
            super().__init__()
            n_in, *hidden = size.widths
            with self.init_scope():
                self.l1 = L.Linear(n_in, hidden[0])
                self.l2 = L.Linear(*hidden)
                self.l3 = L.Linear(hidden[1], size.classes)

        def forward(self, x, t):
            h = F.relu(self.l1(x))
            h = F.relu(self.l2(h))
            return F.softmax_cross_entropy(self.l3(h), t)

    class Residual(library.Chain):
        def __init__(self, n_in, n_out, stride):
            super().__init__()
            with self.init_scope():
                self.conv1 = L.Convolution2D(n_in, n_out, 3, stride, 1, nobias=True)
                self.norm1 = L.BatchNormalization(n_out)
                self.conv2 = L.Convolution2D(n_out, n_out, 3, 1, 1, nobias=True)
                self.norm2 = L.BatchNormalization(n_out)
                if stride > 1:
                    self.shortcut = L.Convolution2D(n_in, n_out, 1, stride, nobias=True)
                    self.norm3 = L.BatchNormalization(n_out)

        def forward(self, x):
            h = F.relu(self.norm1(self.conv1(x)))
            h = self.norm2(self.conv2(h))
            return F.relu(h + (self.norm3(self.shortcut(x)) if hasattr(self, "shortcut") else x))

    class ResNet(library.Chain):
        def __init__(self, size):
            super().__init__()
            with self.init_scope():
                self.stem = L.Convolution2D(3, size.widths[0], 3, 1, 1, nobias=True)
                self.norm = L.BatchNormalization(size.widths[0])
                self.blocks = library.Sequential(*[Residual(*block) for block in resnet_blocks(size)])
                self.out = L.Linear(size.widths[-1], size.classes)

        def forward(self, x, t):
            h = self.blocks(F.relu(self.norm(self.stem(x))))
            return F.softmax_cross_entropy(self.out(F.mean(h, axis=(2, 3))), t)

    class LSTM(library.Chain):
        """The state of the streams is carried from batch to batch, cut off from the graph that made it."""

        def __init__(self, size):
            super().__init__()
            layers, units = len(size.widths), size.widths[0]
            for name in "hc":
                self.add_persistent(name, np.zeros((layers, size.batch, units), np.float32))
            with self.init_scope():
                self.embed = L.EmbedID(size.classes, units)
                self.lstm = L.NStepLSTM(layers, units, units, 0)
                self.out = L.Linear(units, size.classes)

        def forward(self, x, t):
            hy, cy, ys = self.lstm(self.h, self.c, F.separate(self.embed(x)))
            self.h, self.c = hy.array, cy.array
            return F.softmax_cross_entropy(self.out(F.concat(ys, axis=0)), t.ravel())

    class Block(library.Chain):
        def __init__(self, size):
            super().__init__()
            (d,) = size.widths
            self.heads = size.heads
            with self.init_scope():
                self.ln1, self.ln2 = L.LayerNormalization(d), L.LayerNormalization(d)
                self.qkv, self.proj = L.Linear(d, 3 * d), L.Linear(d, d)
                self.fc1, self.fc2 = L.Linear(d, 4 * d), L.Linear(4 * d, d)

        def attention(self, h, batch, tokens):
            h = F.reshape(self.qkv(h), (batch, tokens, 3, self.heads, -1))
            q, k, v = F.separate(F.transpose(h, (2, 0, 3, 1, 4)))
            a = F.softmax(F.matmul(q, k, transb=True) * (q.shape[-1] ** -0.5), axis=3)
            return self.proj(F.reshape(F.transpose(F.matmul(a, v), (0, 2, 1, 3)), (batch * tokens, -1)))

        def forward(self, x, t):
            batch, tokens, d = x.shape
            h = x.reshape(-1, d)
            h = h + self.attention(self.ln1(h), batch, tokens)
            h = h + self.fc2(F.relu(self.fc1(self.ln2(h))))
            return F.mean_squared_error(h, t.reshape(-1, d))

    return {"mlp": MLP, "resnet": ResNet, "lstm": LSTM, "block": Block}


def build(model, size, library="jaxchain", mode=None):
    """Return the program of a model; `mode` is None where there is no choice of one."""
    ours = library == "jaxchain"
    library = importlib.import_module(library)
    own = importlib.import_module("jax").device_put if ours else np.asarray

    def assign(owner, leaf, name, array):
        if leaf.startswith("w"):  # of an LSTM's gates, each a parameter: 0 to 3 of the input, 4 to 7 of the state
            layer, first = owner[int(leaf[2])], 4 * (leaf[1] == "h")
            for i, gate in enumerate(np.split(array, 4)):
                getattr(layer, f"w{first + i}").array = own(gate)
        elif leaf[-1] not in "01":  # an LSTM's biases are 0 from the start
            getattr(owner, leaf).array = own(array)

    net = chains(library)[model](size)
    set_weights(net, model, size, {}, assign)
    optimizer = library.optimizers.MomentumSGD(RATE, MOMENTUM).setup(net)

    def step(x, t):
        net.cleargrads()
        loss = net(x, t)
        loss.backward()
        optimizer.update()
        return loss

    def evaluate(x, t):
        with library.using_config("train", False), library.no_backprop_mode():
            return net(x, t)

    arrays = data(model, size)
    epoch = trained(library, net, optimizer, arrays, size.batch, not ordered(model), {"mode": mode} if ours else {})
    batch = first_batch(arrays, size, lambda *batch: tuple(map(own, batch)))
    if mode != "static":
        return Program(step, evaluate, epoch, batch, left=lambda: [p.array for p in net.params()])

    def compiled(*batch):
        from jaxchain.core.static import trace

        return trace(step, *batch).lower().compile()

    return Program(library.static(step), library.static(evaluate), epoch, batch, compiled)


def trained(library, net, optimizer, arrays, batch, shuffle, options):
    """Return a function that runs a Trainer for one epoch more."""
    training = library.training
    rows = library.datasets.TupleDataset(*arrays)
    iterator = library.iterators.SerialIterator(rows, batch, shuffle=shuffle)

    def loss(x, t):
        value = net(x, t)
        library.report({"loss": value}, net)
        return value

    updater = training.updaters.StandardUpdater(iterator, optimizer, loss_func=loss, **options)

    def epoch():
        with tempfile.TemporaryDirectory() as folder:
            trainer = training.Trainer(updater, (updater.epoch + 1, "epoch"), out=folder)
            trainer.extend(training.extensions.LogReport(trigger=(1, "epoch")))
            trainer.run()

    return epoch
