"""A program of ChainerMN for two processes, run by `jaxchain run`. It fails, or prints ``done``."""

import os

import chainer
import chainer.functions as F
import chainer.links as L
import chainermn
import numpy as np
from chainer import training
from chainer.training import extensions
from chainermn.datasets import scatter_index

comm = chainermn.create_communicator("naive")
other = 1 - comm.rank
assert (comm.size, comm.intra_rank, comm.inter_rank) == (2, 0, comm.rank)

# messages
assert comm.allreduce_obj(comm.rank + 1) == 3 and comm.bcast_obj({"a": comm.rank}, root=1) == {"a": 1}
assert comm.gather([comm.rank], root=1) == (([0], [1]) if comm.rank == 1 else None)
assert comm.alltoall([10 * comm.rank, 10 * comm.rank + 1]) == (comm.rank, 10 + comm.rank)
assert comm.scatter("xy" if comm.rank == 0 else None) == "xy"[comm.rank]
assert [a.tolist() for a in comm.allgather(np.arange(1 + 3000 * comm.rank))] == [[0], list(range(3001))]
assert comm.split(0, comm.rank) is comm and scatter_index(5, comm) == ((0, 3), (2, 5))[comm.rank]
assert scatter_index(5, comm, force_equal_length=False) == ((0, 2), (2, 5))[comm.rank]
for wrong in (lambda: comm.send(1, other, 0), lambda: comm.recv(other, 0), lambda: comm.split(comm.rank, 0)):
    try:
        wrong()
    except RuntimeError:
        continue
    raise AssertionError("no error")

# data
random = np.random.RandomState(0)
X = random.standard_normal((24, 4)).astype(np.float32)
T = random.randint(0, 3, 24).astype(np.int32)
whole = chainer.datasets.TupleDataset(X, T)
part = chainermn.scatter_dataset(whole if comm.rank == 0 else None, comm, shuffle=True, seed=1)
order = np.random.RandomState(1).permutation(24)
assert [float(x[0]) for x, _ in part] == X[order[12 * comm.rank : 12 * comm.rank + 12], 0].tolist()
batches = chainermn.iterators.create_multi_node_iterator(
    chainer.iterators.SerialIterator(whole if comm.rank == 0 else [0], 16, repeat=False, shuffle=True), comm
)
seen = [[float(x[0]) for x, _ in batch] for batch in batches]
assert [len(batch) for batch in seen] == [16, 8] and comm.allgather(seen)[other] == seen and batches.epoch == 1
shuffled = chainer.iterators.SerialIterator(list(range(24)), 24, shuffle=True)
shuffled = chainermn.iterators.create_synchronized_iterator(shuffled, comm)
assert comm.allgather(next(shuffled))[other] != list(range(24))


def make(normalization):
    return L.Classifier(chainer.Sequential(L.Linear(4, 5), normalization, F.relu, L.Linear(5, 3)))


# training: as one process trains on the batches of both
model = chainermn.links.create_mnbn_model(make(L.BatchNormalization(5)), comm)
optimizer = chainermn.create_multi_node_optimizer(chainer.optimizers.MomentumSGD(0.1), comm).setup(model)
optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(1e-2))
iterator = chainer.iterators.SerialIterator(part, 4, shuffle=False)
updater = training.StandardUpdater(iterator, optimizer)
trainer = training.Trainer(updater, (2, "epoch"), out="out")
test = chainer.iterators.SerialIterator(part, 4, repeat=False, shuffle=False)
trainer.extend(chainermn.create_multi_node_evaluator(extensions.Evaluator(test, model), comm))
trainer.extend(chainermn.extensions.ObservationAggregator(comm, "main/loss", "mean"))
trainer.extend(chainermn.extensions.AllreducePersistent(model, comm))
snapshot = extensions.snapshot(filename="snapshot")
trainer.extend(chainermn.extensions.multi_node_snapshot(comm, snapshot, [range(2)]), trigger=(2, "epoch"))
updater.update()
assert optimizer.t == 0  # it has sent round the parameters of rank 0

single = make(L.BatchNormalization(5))
single.copyparams(model)
alone = chainer.optimizers.MomentumSGD(0.1).setup(single)
alone.add_hook(chainer.optimizer_hooks.WeightDecay(1e-2))

losses = []
trainer.extend(lambda t: losses.append(float(t.observation["mean"])), trigger=(1, "iteration"), priority=1)
trainer.run()
expected = []
for i in (1, 2, 0, 1, 2):
    at = [*order[4 * i : 4 * i + 4], *order[12 + 4 * i : 16 + 4 * i]]
    loss = single(X[at], T[at])
    single.cleargrads()
    loss.backward()
    alone.update()
    expected.append(float(loss.array))
np.testing.assert_allclose(losses, expected, rtol=1e-4)
for (name, p), q in zip(sorted(model.namedparams()), (q for _, q in sorted(single.namedparams())), strict=True):
    np.testing.assert_allclose(p.array, q.array, rtol=1e-3, atol=1e-5, err_msg=name)
    np.testing.assert_array_equal(*comm.allgather(p.array), err_msg=name)
np.testing.assert_allclose(model.predictor[1].avg_mean, single.predictor[1].avg_mean, rtol=1e-4, atol=1e-5)
assert comm.allgather(trainer.observation["validation/main/loss"])[other] == trainer.observation["validation/main/loss"]
assert os.path.exists("out/snapshot") == (comm.rank == 0) and optimizer.t == 5
print("done")
