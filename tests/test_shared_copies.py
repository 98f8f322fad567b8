"""``link.copy()``: arrays that are the same now and later, gradients and states that are not. Chainer's answers."""

import copy
import pickle

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L

X = np.arange(6, dtype=np.float32).reshape(3, 2)


class Net(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l = L.Linear(2, 2, initialW=np.float32([[1, 2], [0, 1]]))
            self.bn = L.BatchNormalization(2)
            self.r = L.LSTM(2, 3)
            self.lazy = L.Linear(None, 2)

    def forward(self, x):
        return F.mean(F.square(self.lazy(self.r(self.bn(self.l(x)))) + 1))


def arrays(link):
    values = [(name, p.array) for name, p in link.namedparams()]
    values += [(name, getattr(link.bn, name)) for name in ("avg_mean", "avg_var")]
    return {name: np.asarray(a) for name, a in values}


def assert_same(one, other):
    one, other = arrays(one), arrays(other)
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


def train(link, optimizer):
    link.cleargrads()
    link.r.reset_state()
    loss = link(X)
    loss.backward()
    optimizer.update()
    return loss


@pytest.fixture
def pair():
    jaxchain.seed(0)
    net = Net()
    shared = net.copy()  # before lazy parameters have a shape
    return net, shared, jaxchain.optimizers.SGD(0.1).setup(net)


def test_updates_reach_the_copy_lazy_parameters_and_statistics_too(pair):
    net, shared, optimizer = pair
    before = np.asarray(net.l.W.array)
    train(net, optimizer)
    assert (np.asarray(net.l.W.array) != before).any() and net.bn.avg_mean.any()
    assert_same(net, shared)
    assert all(p.grad is None for p in shared.params()) and all(p.grad is not None for p in net.params())
    assert net.r.h is not None and shared.r.h is None
    again = shared.copy()
    train(net, optimizer)
    assert_same(net, again)


def test_assignments_and_files_reach_both_ways(pair, tmp_path):
    net, shared, _ = pair
    shared.l.W.array = np.full((2, 2), 5, np.float32)
    net.l.b.array = np.full(2, 6, np.float32)
    assert np.asarray(net.l.W.array).sum() == 20 and np.asarray(shared.l.b.array).sum() == 12
    other = L.BatchNormalization(2)
    other.avg_mean = np.full(2, 7, np.float32)
    shared.bn.copyparams(other)
    assert net.bn.avg_mean.tolist() == [7, 7]
    jaxchain.serializers.save_npz(tmp_path / "bn.npz", other)
    net.bn.avg_mean = np.zeros(2, np.float32)
    assert shared.bn.avg_mean.tolist() == [0, 0]
    jaxchain.serializers.load_npz(tmp_path / "bn.npz", shared.bn)
    assert net.bn.avg_mean.tolist() == [7, 7]


def test_a_statistic_that_is_lazy_is_shared_once_it_is_there():
    bn = L.BatchNormalization(axis=0)
    early = bn.copy()
    bn(X)
    late = bn.copy()
    bn(X)
    assert early.avg_mean is None
    np.testing.assert_array_equal(late.avg_mean, bn.avg_mean)
    early(X)
    assert (np.asarray(early.avg_mean) != np.asarray(bn.avg_mean)).any()


@pytest.mark.parametrize("duplicate", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy], ids=["pickle", "deep"])
def test_a_pair_stays_a_pair_and_one_alone_is_independent(pair, duplicate):
    net, shared, optimizer = pair
    train(net, optimizer)
    shared.r.reset_state()
    net.r.reset_state()
    net2, shared2 = duplicate((net, shared))
    alone = duplicate(shared)
    kept = arrays(net)
    train(net2, jaxchain.optimizers.SGD(0.1).setup(net2))
    assert_same(net2, shared2)
    assert_same(net, alone)
    assert all((kept[name] == a).all() for name, a in arrays(net).items())
    alone.l.b.array = np.ones(2, np.float32)
    assert not np.asarray(net.l.b.array).tolist() == [1, 1]


def test_gradients_add_up(pair):
    net, shared, optimizer = pair
    train(net, optimizer)
    shared.cleargrads()
    shared.addgrads(net)
    net.addgrads(shared)
    net.r.reset_state()
    once = net.l.W.grad
    shared.cleargrads()
    np.testing.assert_array_equal(once, net.l.W.grad)
    assert shared.l.W.grad is None


def program(mode):
    jaxchain.seed(0)
    net = Net()
    shared = net.copy()
    optimizer = jaxchain.optimizers.Adam().setup(net)

    def step():
        return train(net, optimizer)

    def evaluate():
        shared.r.reset_state()
        with jaxchain.using_config("train", False), jaxchain.no_backprop_mode():
            return shared(X)

    def both():
        return step(), evaluate()

    def backward_of_the_copy():
        shared.cleargrads()
        shared.r.reset_state()
        loss = shared(X)
        loss.backward()
        return loss, [p.grad for p in shared.params()]

    functions = [step, evaluate, both, backward_of_the_copy]
    if mode == "static":
        functions = [jaxchain.static(f) for f in functions]
    found = [f() for _ in range(3) for f in functions]
    return found, arrays(net), arrays(shared), functions


def test_static_equals_eager():
    (eager, *eager_arrays, _), (static, *static_arrays, functions) = program("eager"), program("static")
    for e, s in zip(eager, static, strict=True):
        for a, b in zip(flatten(e), flatten(s), strict=True):
            assert (a is None) == (b is None)
            np.testing.assert_allclose(0 if a is None else a, 0 if b is None else b, rtol=1e-4, atol=1e-6)
    for e, s in zip(eager_arrays, static_arrays, strict=True):
        for name in e:
            np.testing.assert_allclose(e[name], s[name], rtol=1e-4, atol=1e-6)
    assert max(len(f.explain().compiles) for f in functions) <= 2  # the LSTM's state is None at first


def flatten(value):
    if isinstance(value, tuple | list):
        return [w for v in value for w in flatten(v)]
    return [value.array if isinstance(value, jaxchain.Variable) else value]


@pytest.mark.parametrize("mode", ["eager", "static"])
def test_both_in_one_link_have_gradients_of_their_own(mode):
    class Product(jaxchain.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.a = L.Linear(2, 2, initialW=np.float32([[1, 2], [0, 1]]))
                self.b = self.a.copy()

        def forward(self, x):
            return F.sum(self.a(x) * F.sin(self.b(x)))

    net = Product()
    net._mode = mode
    net(X).backward()
    u = X @ np.float32([[1, 0], [2, 1]])
    np.testing.assert_allclose(net.a.b.grad, np.sin(u).sum(0), rtol=1e-5)
    np.testing.assert_allclose(net.b.b.grad, (u * np.cos(u)).sum(0), rtol=1e-5)
    np.testing.assert_allclose(net.b.W.grad, (u * np.cos(u)).T @ X, rtol=1e-5)


def test_a_step_updates_the_copy_s_array_once_per_owner():
    results = []
    for mode in ("eager", "static"):
        link = L.Linear(2, 2, initialW=np.float32([[1, 2], [0, 1]]))
        both = jaxchain.ChainList(link, link.copy())
        optimizer = jaxchain.optimizers.SGD(0.01).setup(both)

        def step(both=both, optimizer=optimizer):
            both.cleargrads()
            loss = F.sum(both[0](X) * F.sin(both[1](X)))
            loss.backward()
            optimizer.update()
            return loss

        run = jaxchain.static(step) if mode == "static" else step
        results.append([float(run().array) for _ in range(4)] + np.asarray(link.W.array).ravel().tolist())
        assert both[0].W.array is both[1].W.array
    np.testing.assert_allclose(*results, rtol=1e-5)
    assert len(set(results[0][:4])) == 4


def test_a_step_that_shares_a_chain_s_own_persistent_values_leaves_arrays():
    chain = jaxchain.Chain()
    chain.add_persistent("total", np.zeros(2, "f"))
    copies = jaxchain.static(lambda x: chain.copy().total + x)
    np.testing.assert_array_equal(copies(X[0]), X[0])
    np.testing.assert_array_equal(chain.total, [0, 0])


def test_a_property_that_fails_keeps_its_message():
    class Broken(jaxchain.Link):
        @property
        def size(self):
            return self.missing_attribute

    with pytest.raises(AttributeError, match="missing_attribute"):
        Broken().size


def test_contrast_and_export_of_a_copy(pair, tmp_path):
    net, shared, optimizer = pair
    train(net, optimizer)
    names = {g.name for g in jaxchain.contrast(shared, X).gradients}
    assert {"l.W", "lazy.b", "bn.gamma"} <= names
    shared.r.reset_state()
    jaxchain.export(shared.l, X).save(tmp_path / "l.jxc")
    np.testing.assert_allclose(jaxchain.load_exported(tmp_path / "l.jxc")(X).array, net.l(X).array, rtol=1e-6)
