"""The models as chains: one text for jaxchain and for Chainer itself."""

import tempfile

from model_spec import MOMENTUM, RATE, Program, data, ordered, set_weights


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

    return {"mlp": MLP}


def assign(owner, leaf, name, array):
    getattr(owner, leaf).array[...] = array


def build(model, size, library="jaxchain", mode=None):
    """Return the program of a model; `mode` is None where there is no choice of one."""
    ours = library == "jaxchain"
    library = __import__(library)
    from_numpy = assign
    if ours:
        import jax

        def from_numpy(owner, leaf, name, array):
            getattr(owner, leaf).array = jax.numpy.asarray(array)

    net = chains(library)[model](size)
    set_weights(net, model, size, {}, from_numpy)
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

    epoch = trained(library, net, optimizer, model, size, {"mode": mode} if ours else {})
    if not ours:
        return Program(step, evaluate, epoch, lambda *batch: batch)

    def put(*batch):
        return jax.device_put(batch)

    if mode == "eager":
        return Program(step, evaluate, epoch, put)

    def compiled(*batch):
        from jaxchain.core.static import trace

        return trace(step, *batch).lower().compile()

    return Program(library.static(step), library.static(evaluate), epoch, put, compiled)


def trained(library, net, optimizer, model, size, options):
    """Return a function that runs a Trainer for one epoch more."""
    training = library.training
    rows = library.datasets.TupleDataset(*data(model, size))
    iterator = library.iterators.SerialIterator(rows, size.batch, shuffle=not ordered(model))

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
