"""The models as modules of PyTorch: a module called with a batch returns its loss."""

import torch
from model_spec import MOMENTUM, RATE, program, resnet_blocks, set_weights
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


class Residual(nn.Module):
    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out, 2e-5)
        self.conv2, self.norm2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out, 2e-5)
        self.shortcut = None
        if stride > 1:
            self.shortcut, self.norm3 = nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out, 2e-5)

    def forward(self, x):
        h = F.relu(self.norm1(self.conv1(x)))
        h = self.norm2(self.conv2(h))
        return F.relu(h + (self.norm3(self.shortcut(x)) if self.shortcut is not None else x))


class ResNet(nn.Module):
    def __init__(self, size):
        super().__init__()
        first = size.widths[0]
        self.stem, self.norm = nn.Conv2d(3, first, 3, 1, 1, bias=False), nn.BatchNorm2d(first, 2e-5)
        self.blocks = nn.Sequential(*[Residual(*block) for block in resnet_blocks(size)])
        self.out = nn.Linear(size.widths[-1], size.classes)

    def forward(self, x, t):
        h = self.blocks(F.relu(self.norm(self.stem(x))))
        return F.cross_entropy(self.out(h.mean((2, 3))), t)


class LSTM(nn.Module):
    def __init__(self, size):
        super().__init__()
        layers, units = len(size.widths), size.widths[0]
        self.state = torch.zeros(layers, size.batch, units), torch.zeros(layers, size.batch, units)
        self.embed = nn.Embedding(size.classes, units)
        self.lstm = nn.LSTM(units, units, layers, batch_first=True)
        self.out = nn.Linear(units, size.classes)

    def forward(self, x, t):
        h, (hy, cy) = self.lstm(self.embed(x), self.state)
        self.state = hy.detach(), cy.detach()
        return F.cross_entropy(self.out(h).flatten(0, 1), t.flatten())


class Block(nn.Module):
    def __init__(self, size):
        super().__init__()
        (d,) = size.widths
        self.heads = size.heads
        self.ln1, self.ln2 = nn.LayerNorm(d, 1e-6), nn.LayerNorm(d, 1e-6)
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.fc1, self.fc2 = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x, t):
        q, k, v = self.qkv(self.ln1(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        x = x + self.fc2(F.relu(self.fc1(self.ln2(x))))
        return F.mse_loss(x, t)


MODELS = {"mlp": MLP, "resnet": ResNet, "lstm": LSTM, "block": Block}
NAMES = {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias"}
NAMES |= {
    f"{k}{i}": f"{v}_l{i}" for k, v in (("wx", "weight_ih"), ("wh", "weight_hh"), ("b", "bias_ih")) for i in (0, 1)
}


def assign(owner, leaf, name, array):
    getattr(owner, leaf).data.copy_(torch.from_numpy(array))
    if leaf.startswith("bias_ih"):  # PyTorch has two of them
        getattr(owner, leaf.replace("ih", "hh")).data.zero_()


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
        x, t = (torch.as_tensor(a) for a in batch)
        return x, t if t.is_floating_point() else t.long()

    return program(model, size, step, evaluate, put)
