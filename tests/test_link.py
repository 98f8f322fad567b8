"""Link, Chain, ChainList, Sequential: Chainer's behaviour (answers taken from Chainer 7.8.1), in both modes."""

from __future__ import annotations

import copy
import pickle

import jax
import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Chain, ChainList, Link, LinkHook, Parameter, Sequential
from jaxchain.device_resident import DeviceResidentsVisitor
from jaxchain.serializers import DictionarySerializer, NpzDeserializer

MODES = pytest.mark.parametrize("mode", ["eager", "static"])


class Scale(Link):
    def __init__(self, size=3):
        super().__init__()
        self.factor = 2.0
        with self.init_scope():
            self.W = Parameter(np.ones(size, np.float32))
            self.b = Parameter(0.5, (size,))
        self.add_persistent("mean", np.zeros(size, np.float32))
        self.add_persistent("count", 0)

    def forward(self, x):
        return x * self.W * self.factor + self.b


class Model(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.z = Scale()
            self.items = ChainList(Scale(), Scale())
            self.a = Scale()
            self.p = Parameter(1.0, (2,))

    def forward(self, x):
        for item in self.items:
            x = item(x)
        return self.a(self.z(x))


X = np.ones((2, 3), np.float32)
PATHS = ["/p"] + [f"/{c}/{n}" for c in ("a", "items/0", "items/1", "z") for n in ("W", "b")]


# -- what is in a link -------------------------------------------------------------------------------------------------


def test_names_come_in_order():
    model = Model()
    assert [path for path, _ in model.namedparams()] == PATHS
    assert [p for _, p in model.namedparams()] == list(model.params())
    assert [path for path, _ in model.namedlinks()] == ["/", "/a", "/items", "/items/0", "/items/1", "/z"]
    assert [link for _, link in model.namedlinks(skipself=True)] == list(model.links(skipself=True))
    assert [child.name for child in model.children()] == ["a", "items", "z"]
    assert [child.name for child in model.items.children()] == ["0", "1"]
    assert model.name is None and model["a"] is model.a
    assert model.count_params() == 2 + 8 * 3


def test_only_user_attributes_are_in_dict():
    assert set(vars(Scale())) == {"factor", "W", "b", "mean", "count"}


def test_parameters_by_keyword():
    link = Link(W=(2, 3), b=((2,), np.float16), c=None)
    assert [(n, p.array is None or p.dtype) for n, p in link.namedparams()] == [
        ("/W", np.float32),
        ("/b", np.float16),
        ("/c", True),
    ]
    assert np.isnan(np.asarray(link.W.array)).all()
    assert [n for n, _ in link.namedparams(include_uninit=False)] == ["/W", "/b"]
    with pytest.warns(UserWarning, match="'/c' has not been initialized"):
        assert link.count_params() == 8


def test_existing_names_are_refused():
    link = Scale()
    with pytest.raises(AttributeError, match="new parameter W: attribute exists"):
        link.add_param("W")
    with pytest.raises(AttributeError, match="persistent value W: attribute exists"):
        link.add_persistent("W", 0)
    with pytest.raises(AttributeError, match="non-existent attribute nope"):
        link.register_persistent("nope")
    model = Model()
    with pytest.raises(AttributeError, match="new link a: attribute exists"):
        model.add_link("a", Scale())
    with pytest.raises(AttributeError, match="new link factor: attribute exists"), model.init_scope():
        model.factor = 1
        model.factor = Scale()
    with pytest.raises(TypeError, match="non-link"):
        model.add_link("x", 3)
    with pytest.raises(TypeError, match="chainlist"), model.items.init_scope():
        model.items.x = Scale()


def test_a_parameter_outside_the_scope_is_an_attribute():
    link = Scale()
    link.extra = Parameter(0.0, (1,))
    assert "/extra" not in dict(link.namedparams())
    assert not link.within_init_scope
    with link.init_scope():
        assert link.within_init_scope
    del link.W
    assert [n for n, _ in link.namedparams()] == ["/b"]


def test_persistent_values_are_jax_arrays():
    link = Scale()
    source = np.ones(3, np.float32)
    link.add_persistent("var", source)
    source[:] = 7
    assert isinstance(link.var, jax.Array) and float(link.var[0]) == 1
    link.var = np.zeros(3, np.float32)
    assert isinstance(link.var, jax.Array)
    link.later = np.arange(2)
    link.register_persistent("later")
    assert isinstance(link.later, jax.Array)
    link.register_persistent("W")
    assert [n for n, _ in link.namedparams()] == ["/b"]


def test_without_super_init_the_error_says_so():
    class Forgot(Link):
        def __init__(self):
            pass

        def forward(self, x):
            return x

    with pytest.raises(RuntimeError, match=r"Link.__init__\(\) has not been called"):
        Forgot()(1)
    with pytest.raises(RuntimeError, match=r"Link.__init__\(\) has not been called"), Forgot().init_scope():
        pass


def test_without_forward_the_error_says_so():
    with pytest.raises(AttributeError, match="'Link' object has no attribute 'forward'"):
        Link()(1)


def test_text():
    assert str(Sequential(L.Linear(2, 3))) == "Sequential(\n  (0): Linear(in_size=2, out_size=3, nobias=False),\n)"
    chain = Chain(b=L.Linear(2, 3), a=ChainList(L.Linear(3, 4)))
    assert str(chain) == (
        "Chain(\n  (a): ChainList(\n    (0): Linear(in_size=3, out_size=4, nobias=False),\n  ),\n"
        "  (b): Linear(in_size=2, out_size=3, nobias=False),\n)"
    )
    assert str(ChainList()) == "ChainList()"


# -- calls -------------------------------------------------------------------------------------------------------------


@MODES
def test_calls_give_the_same_in_both_modes(mode):
    model = Model()
    expected = X
    for _ in range(4):
        expected = expected * 2 + 0.5
    with jaxchain.using_config("mode", mode):
        y = model(X)
    np.testing.assert_allclose(y.array, expected)
    F.sum(y).backward()
    assert all((p.grad is not None) == (path != "/p") for path, p in model.namedparams())


def test_scopes_have_the_names_of_the_links():
    y = Model()(X)
    assert y.creator.link_path == "/a" and y.creator.ordinal == 2


def test_a_call_method_of_the_class_is_the_forward():
    class Old(Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.a = Scale()

        def __call__(self, x):
            return self.a(x)

    class Older(Old):
        def __call__(self, x, twice=False):
            y = super().__call__(x)
            return super().__call__(y) if twice else y

    seen = []

    class Hook(LinkHook):
        def forward_preprocess(self, args):
            seen.append((type(args.link).__name__, args.kwargs))

    model = Older()
    with Hook():
        y = model(X, twice=True)
    assert seen == [("Older", {"twice": True}), ("Scale", {}), ("Scale", {})]
    with jaxchain.using_config("mode", "static"):
        np.testing.assert_allclose(model(X, twice=True).array, y.array)


def test_mixins():
    class Callable:
        def __call__(self, x):
            return self.forward(x) + 1

    class Before(Callable, Scale):
        pass

    class After(Scale, Callable):
        pass

    plain = np.asarray(Scale()(X).array)
    for kind in (Before, After):  # Chainer prefers a mixin's __call__ wherever it stands
        np.testing.assert_allclose(kind()(X).array, plain + 1)


def test_recursion_opens_a_scope_each():
    class Nested(Scale):
        def forward(self, x, depth=2):
            return super().forward(x) if depth == 0 else self(x, depth - 1)

    calls = []

    class Hook(LinkHook):
        def forward_postprocess(self, args):
            calls.append(args.out.shape)

    with Hook():
        Nested()(X)
    assert calls == [(2, 3)] * 3


def test_modes_per_link():
    model = Model().static()
    y = model(X)
    assert type(y.creator).__name__ == "LinkNode" and y.creator.label == "Model" and "1 variant" in str(model.explain())
    with jaxchain.using_config("mode", "static"):
        assert Model().eager()(X).creator.label != "Model"


# -- hooks -------------------------------------------------------------------------------------------------------------


def test_hooks_of_a_link():
    events = []

    class Hook(LinkHook):
        name = "events"

        def added(self, link):
            events.append(("added", link))

        def deleted(self, link):
            events.append(("deleted", link))

        def forward_preprocess(self, args):
            events.append(("before", args.link, args.forward_name, len(args.args)))

        def forward_postprocess(self, args):
            events.append(("after", args.link, args.out.shape))

    model, hook = Model(), Hook()
    assert model.a.add_hook(hook) is model.a
    with pytest.raises(KeyError, match="already exists"):
        model.a.add_hook(hook)
    with pytest.raises(TypeError, match="LinkHook"):
        model.a.add_hook(print)
    model(X)
    assert list(model.a.local_link_hooks) == ["events"]
    model.a.delete_hook("events")
    with pytest.raises(KeyError, match="does not exist"):
        model.a.delete_hook("events")
    model(X)
    a = model.a
    assert events == [("added", a), ("before", a, "forward", 1), ("after", a, (2, 3)), ("deleted", a)]
    with hook, pytest.raises(KeyError, match="already exists"), hook:
        pass
    assert events[4:] == [("added", None), ("deleted", None)]


# -- copies ------------------------------------------------------------------------------------------------------------


def test_copies():
    model = Model()
    model.a.W.grad = np.ones(3, np.float32)
    shared, copied, fresh = (model.copy(mode) for mode in ("share", "copy", "init"))
    for other in (shared, copied, fresh):
        assert [path for path, _ in other.namedparams()] == PATHS
        assert other.name is None and other.a.name == "a" and other.items[1].name == "1"
        assert other.a.W is not model.a.W
        np.testing.assert_allclose(other(X).array, model(X).array)
    assert shared.a.W.array is model.a.W.array and shared.a.W.grad is None
    assert copied.a.W.grad is not None
    copied.a.W.array = np.zeros(3, np.float32)
    assert float(model.a.W.array[0]) == 1
    shared.items.append(Scale())
    assert len(model.items) == 2
    with pytest.raises(ValueError, match="'mode' argument"):
        model.copy("other")


def test_init_draws_anew():
    link = L.Linear(3, 4)
    assert (np.asarray(link.copy("init").W.array) != np.asarray(link.W.array)).any()


def test_repeat():
    repeated = L.Linear(3, 3).repeat(2)
    assert isinstance(repeated, Sequential) and [link.name for link in repeated] == ["0", "1"]
    assert (np.asarray(repeated[0].W.array) != np.asarray(repeated[1].W.array)).any()
    same = L.Linear(3, 3).repeat(2, "copy")
    np.testing.assert_array_equal(same[0].W.array, same[1].W.array)
    assert len(Scale().repeat(0)) == 0
    with pytest.raises(ValueError, match="'mode' argument"):
        Scale().repeat(1, "other")


@pytest.mark.parametrize("duplicate", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy], ids=["pickle", "deep"])
@MODES
def test_pickle_and_deepcopy(duplicate, mode):
    model = Model()
    with jaxchain.using_config("mode", mode):
        expected = model(X)
        other = duplicate(model)
        np.testing.assert_array_equal(other(X).array, expected.array)
    assert [path for path, _ in other.namedparams()] == PATHS
    other.a.W.array = np.zeros(3, np.float32)
    np.testing.assert_array_equal(model(X).array, expected.array)


def test_slots_of_user_classes_are_kept():
    class Slotted(Scale):
        __slots__ = ("extra",)

    link = Slotted()
    link.extra = 5
    assert copy.deepcopy(link).extra == 5 and Slotted._walk_slots[-1] == "extra"


# -- arrays, gradients, files ------------------------------------------------------------------------------------------


def test_copyparams_and_addgrads():
    one, two = Model(), Model()
    for p in two.params():
        p.array = p.array + 1
        p.grad = np.ones(p.shape, np.float32)
    two.a.mean, two.a.count = np.full(3, 5, np.float32), 9
    one.copyparams(two)
    for (_, p), (_, q) in zip(one.namedparams(), two.namedparams(), strict=True):
        np.testing.assert_array_equal(p.array, q.array)
        p.grad = np.full(p.shape, 2, np.float32)
    assert float(one.a.mean[0]) == 5 and one.a.count == 9
    one.addgrads(two)
    assert all(float(p.grad[0]) == 3 for p in one.params())
    one.cleargrads()
    assert all(p.grad is None for p in one.params())
    with pytest.warns(DeprecationWarning):
        one.zerograds()
    assert all(float(p.grad[0]) == 0 for p in one.params())


def test_serialize():
    model = Model()
    model.a.count = 3
    model.a.W.array = np.full(3, 7, np.float32)
    saver = DictionarySerializer()
    saver.save(model)
    assert set(saver.target) == {p[1:] for p in PATHS} | {
        f"{c}/{n}" for c in ("a", "items/0", "items/1", "z") for n in ("mean", "count")
    }
    other = Model()
    NpzDeserializer(saver.target).load(other)
    assert other.a.count == 3 and float(other.a.W.array[0]) == 7 and isinstance(other.a.mean, jax.Array)


def test_saving_writes_nothing_back():
    """Another thread may have set something since it was read."""

    class Slow(DictionarySerializer):
        def __call__(self, key, value):
            if key == "W":
                link.W.array = np.ones(2)
            else:
                link.mean = jax.numpy.ones(2)
            return super().__call__(key, value)

    link = L.Linear(1, 2, nobias=True)
    link.W.array = np.zeros(2)
    link.add_persistent("mean", np.zeros(2, np.float32))
    link.serialize(Slow())
    assert float(link.W.array[0]) == float(link.mean[0]) == 1


def test_loading_initialises():
    saver = DictionarySerializer()
    saver.save(L.Linear(3, 4))
    lazy = L.Linear(None, 4)
    NpzDeserializer(saver.target).load(lazy)
    np.testing.assert_array_equal(lazy.W.array, saver.target["W"])


def test_devices():
    model = Model()
    assert model.to_cpu() is model and model.to_device(jax.devices()[0]) is model and model.to_chx() is model
    assert model.device == jax.devices()[0] and model.xp is jax.numpy
    assert model.to_device("@numpy") is model and model.to_device(jaxchain.get_device(-1)) is model
    with pytest.raises(ValueError, match="must be followed by a module name"):
        model.to_device("@gpu")
    if jax.default_backend() == "cpu":
        with pytest.raises(RuntimeError):
            model.to_gpu()


class Moving(Link):
    """As programs wrote them for Chainer 5: what is no parameter moves in a method of its own."""

    moves = 0

    def to_cpu(self):
        self.moves += 1
        return super().to_cpu()


def test_links_that_move_more_are_asked():
    link = Moving()
    outer = ChainList(ChainList(link))
    for moved, count in ((outer.to_cpu, 1), (lambda: outer.to_device(jax.devices("cpu")[0]), 2), (link.to_cpu, 3)):
        moved()
        assert link.moves == count


class Shifted(Scale):
    def __init__(self):
        super().__init__()
        self.shift = np.zeros(3, np.float32)

    def device_resident_accept(self, visitor):
        super().device_resident_accept(visitor)
        self.shift = visitor.visit_array(self.shift)


def test_a_visitor_sees_every_array_in_the_tree():
    class Sizes(DeviceResidentsVisitor):
        def __init__(self):
            self.kinds, self.names, self.shapes = [], [], []

        def visit_device_resident(self, device_resident):
            self.kinds.append(type(device_resident))

        def visit_variable(self, param):
            self.names.append(param.name)

        def visit_array(self, arr):
            self.shapes.append(arr.shape)
            return arr + 1

    lstm = L.LSTM(2, 3)
    lstm(np.ones((1, 2), np.float32))
    model, visitor = Chain(a=Shifted(), lstm=lstm), Sizes()
    model.device_resident_accept(visitor)
    assert visitor.kinds[:2] == [Chain, Shifted] and visitor.shapes == [(3,), (3,)]
    assert set(visitor.names) == {"W", "b", None} and visitor.names.count(None) == 2  # c and h
    assert model.a.shift[0] == 1 and float(model.a.mean[0]) == 1
    assert isinstance(model.to_device("cpu").a.shift, jax.Array)


def test_a_cpu_device_moves_the_state_of_layers_within():
    lstm = L.LSTM(2, 3)
    model = Chain(lstm=lstm)
    lstm(np.ones((1, 2), np.float32))
    model.to_device("@numpy")
    assert model.lstm.h.array.devices() == {jax.devices("cpu")[0]}


# -- lists -------------------------------------------------------------------------------------------------------------


def test_chain_list_is_a_list():
    a, b, c, d = (Scale() for _ in range(4))
    links = ChainList(a, b)
    links.append(c)
    links.insert(0, d)
    assert [link.name for link in links] == ["0", "1", "2", "3"] and list(links) == [d, a, b, c]
    assert links.index(b) == 2 and c in links and links[1:3] == [a, b]
    assert links.pop() is c and len(links) == 3
    links[0] = c
    del links[1]
    links.reverse()
    assert list(links) == [b, c] and [link.name for link in links] == ["0", "1"]
    links[:] = [a]
    links.extend([d])
    links.remove(a)
    assert list(links) == [d] and d.name == "0"
    with pytest.raises(TypeError, match="indices must be integers"):
        links["a"] = a


def test_sequential():
    first, second = L.Linear(3, 4), L.Linear(4, 2)
    model = Sequential(first, F.relu, second)
    np.testing.assert_allclose(model(X).array, second(F.relu(first(X))).array, rtol=1e-6)
    assert len(model) == 3 and model[1] is F.relu and F.relu in model and next(reversed(model)) is second
    assert [path for path, _ in model.namedlinks()] == ["/", "/0", "/1"]
    assert model.count_by_layer_type("Linear") == 2 and model.count_by_layer_type("relu") == 1
    assert model.index(second) == 2 and model.count(F.relu) == 1
    model.remove_by_layer_type("relu")
    assert list(model) == [first, second]
    model += Sequential(F.tanh)
    both = model + Sequential(F.relu)
    assert len(model) == 3 and len(both) == 4
    assert model.pop() is F.tanh
    model[0] = F.relu
    assert list(model.children()) == [second] and second.name == "0"
    model.clear()
    assert len(model) == 0 and list(model.children()) == []
    for bad in (lambda: model.append(3), lambda: model + 3, lambda: model.remove(3), lambda: model.copyparams(Scale())):
        with pytest.raises(ValueError):
            bad()
    with pytest.raises(IndexError):
        model.insert(5, F.relu)
    with pytest.raises(RuntimeError, match="does not have any layer"):
        model(X)


def test_sequential_numbers_links_as_chainer_does():
    model = Sequential(L.Linear(1, 2), F.relu, L.Linear(2, 3), L.Linear(3, 4), F.relu, L.Linear(4, 5))
    assert [link.name for link in model if isinstance(link, Link)] == ["0", "3", "2", "1"]
    shapes = {path: p.shape for path, p in model.namedparams()}
    assert (shapes["/0/W"], shapes["/1/W"], shapes["/2/W"], shapes["/3/W"]) == ((2, 1), (5, 4), (4, 3), (3, 2))


def test_sequential_unpacks_tuples_and_flattens():
    model = Sequential(lambda x: (x, x), lambda x, y: x + y, Sequential(F.relu, Sequential(F.relu)))
    np.testing.assert_array_equal(np.asarray(jaxchain.as_array(model(X))), X * 2)
    assert len(model.flatten()) == 4
    assert "lambda x: (x, x)" in str(model)
    assert len(model.copy()) == 3
    copy.deepcopy(model)
    with pytest.raises(ValueError, match="lambda"):
        pickle.dumps(model)


def test_sequential_takes_chainers_keywords():
    model, layer = Sequential(F.relu), L.Linear(1, 2)
    model.insert(i=0, layer=layer)
    model.append(layer=F.tanh)
    model.extend(sequential=Sequential(F.relu))
    assert list(model) == [layer, F.relu, F.tanh, F.relu]
    assert model.index(layer=F.relu, start=2, end=4) == 1 and model.count(layer=F.relu) == 2
    model.remove(layer=F.relu)
    assert model.pop(i=0) is layer and list(model) == [F.tanh, F.relu]
    links = ChainList()
    links.insert(index=0, link=layer)
    assert links[0] is layer


def test_sequential_prints_lambdas_without_source():
    namespace = {"Sequential": Sequential}
    exec("model = Sequential(lambda x: x)", namespace)  # as typed at a prompt
    assert str(namespace["model"]).startswith("Sequential(\n  (0): <function <lambda> at ")


@MODES
def test_changes_of_a_list_are_seen(mode):
    model = Sequential(Scale(), Scale())
    with jaxchain.using_config("mode", mode):
        model(X)
        model.append(Scale())
        y = model(X)
    expected = X
    for _ in range(3):
        expected = expected * 2 + 0.5
    np.testing.assert_allclose(y.array, expected)


@pytest.mark.parametrize("mode", ["eager", "static"])
def test_a_link_asks_its_device_for_the_array_module(mode):
    class Shifted(Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.l = L.Linear(2, 1, initialW=1)

        def forward(self, x):
            return self.l(x + self.device.send(np.ones(2, "f")) + self.device.xp.ones(2, "f"))

    link = Shifted()
    with jaxchain.using_config("mode", mode):
        assert [link(np.zeros((1, 2), "f")).array.tolist() for _ in range(2)] == [[[4.0]]] * 2
    kind = jaxchain.backend.CpuDevice if jax.default_backend() == "cpu" else jaxchain.backend.GpuDevice
    assert isinstance(link.device, kind) and link.device.jax_device == jax.devices()[0]
    assert isinstance(Link().device, kind)
    last = jax.devices()[-1]
    assert link.to_device(last).device.jax_device == last


@pytest.mark.cpu
def test_the_device_number_of_old_programs():
    link = L.Linear(2, 1)
    assert link._device_id is None
    with jaxchain.backends.cuda.get_device_from_id(link._device_id):
        assert link(np.ones((1, 2), "f")).shape == (1, 1)


def test_copyparams_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"cannot put shape \(2, 4\) into \(2, 3\)"):
        L.Linear(3, 2).copyparams(L.Linear(4, 2))


def test_a_link_with_a_state_in_the_graph_can_be_pickled():
    lstm = L.LSTM(3, 2)
    lstm(np.ones((2, 3), np.float32))
    copied = pickle.loads(pickle.dumps(lstm))
    assert copied.h.creator is None
    np.testing.assert_array_equal(copied.h.array, lstm.h.array)
