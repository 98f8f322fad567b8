"""The models as modules of PyTorch: a module called with a batch returns its loss."""

import torch
from model_spec import MOMENTUM, RATE, Program, epoch_of, set_weights
from torch import nn
from torch.nn import functional as F


class MLP(nn.Module):
    def __init__(self, size):
        super().__init__()
        n_in, *hidden = size.widths
        self.l1 = nn.Linear(n_in, hidden[0])
        self.l2 = nn.Linear(*hidden)
        self.l3 = nn.Linear(hidden[1], size.classes)

    def forward(self, x, t):
        h = F.relu(self.l1(x))
        h = F.relu(self.l2(h))
        return F.cross_entropy(self.l3(h), t)


MODELS = {"mlp": MLP}
NAMES = {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias"}


def assign(owner, leaf, name, array):
    getattr(owner, leaf).data.copy_(torch.from_numpy(array))


def build(model, size, compiled=False, threads=1):
    """Return the program of a model; `threads` is what the caller runs it with, here for what is compiled."""
    torch.set_num_threads(threads)
    net = MODELS[model](size)
    set_weights(net, model, size, NAMES, assign)
    optimizer = torch.optim.SGD(net.parameters(), RATE, MOMENTUM)
    forward = torch.compile(net) if compiled else net

    def step(x, t):
        if not net.training:
            net.train()
        optimizer.zero_grad()
        loss = forward(x, t)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def evaluate(x, t):
        if net.training:
            net.eval()
        with torch.no_grad():
            return forward(x, t)

    def put(*batch):
        x, t = (torch.from_numpy(a) for a in batch)
        return x, t if t.is_floating_point() else t.long()

    return Program(step, evaluate, epoch_of(model, size, step, put), put)
