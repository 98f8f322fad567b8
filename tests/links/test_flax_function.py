"""A Flax module as a link: the same numbers as Flax, trained, saved and drawn like any link."""

from __future__ import annotations

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Variable
from jaxchain.core.explain import EagerFallback

MODES = ["eager", "static"]
X = np.random.RandomState(0).randn(6, 3).astype(np.float32)


class Linen(linen.Module):
    ratio: float = 0.0

    @linen.compact
    def __call__(self, x, train: bool):
        x = linen.Dense(5)(x)
        x = linen.BatchNorm(use_running_average=not train, momentum=0.5)(x)
        x = linen.Dropout(self.ratio, deterministic=not train)(linen.relu(x))
        return linen.Dense(2)(x)


class Nnx(nnx.Module):
    def __init__(self, ratio=0.0):
        rngs = nnx.Rngs(0)
        self.layers = nnx.List([nnx.Linear(3, 5, rngs=rngs), nnx.Linear(5, 2, rngs=rngs)])
        self.norm = nnx.BatchNorm(5, momentum=0.5, rngs=rngs)
        self.dropout = nnx.Dropout(ratio, rngs=rngs)

    def __call__(self, x):
        return self.layers[1](self.dropout(nnx.relu(self.norm(self.layers[0](x)))))


MAKE = {"linen": lambda ratio=0.0: L.FlaxFunction(Linen(ratio), X), "nnx": lambda ratio=0.0: L.FlaxFunction(Nnx(ratio))}


def entries(link):
    serializer = jaxchain.serializers.DictionarySerializer()
    serializer.save(link)
    return serializer.target


def stepper(model, mode, rate=0.1):
    optimizer = jaxchain.optimizers.SGD(rate).setup(model)

    def step(x):
        optimizer.update(lambda: F.mean(model(x) ** 2))

    return jaxchain.static(step) if mode == "static" else step


def by_linen(variables, steps):
    """The same training in Flax linen and optax."""
    params, stats = variables["params"], variables["batch_stats"]
    rule = optax.sgd(0.1)
    state = rule.init(params)

    def loss(params, stats):
        y, new = Linen().apply({"params": params, "batch_stats": stats}, X, True, mutable=["batch_stats"])
        return jnp.mean(y**2), new["batch_stats"]

    for _ in range(steps):
        grads, stats = jax.grad(loss, has_aux=True)(params, stats)
        updates, state = rule.update(grads, state)
        params = optax.apply_updates(params, updates)
    return {"params": params, "batch_stats": stats}


def by_nnx(module, steps):
    """The same training in Flax nnx."""
    module.train()
    optimizer = nnx.Optimizer(module, optax.sgd(0.1), wrt=nnx.Param)
    for _ in range(steps):
        optimizer.update(module, nnx.grad(lambda m: jnp.mean(m(X) ** 2))(module))
    module.eval()
    return module


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", MAKE)
def test_training_is_flaxs(kind, mode):
    jaxchain.seed(0)
    model = MAKE[kind]()
    start = model.to_flax()
    step = stepper(model, mode)
    for _ in range(3):
        step(Variable(X))
    if kind == "linen":
        expected = by_linen(start, 3)
        expected_y = Linen().apply(expected, X, False)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), model.to_flax(), dict(expected)
        )
    else:
        trained = by_nnx(start, 3)
        expected_y = trained(X)
        np.testing.assert_allclose(model.norm.mean, trained.norm.mean[...], rtol=1e-5, atol=1e-6)
    with jaxchain.using_config("train", False), jaxchain.using_config("mode", mode):
        np.testing.assert_allclose(model(X).array, expected_y, rtol=1e-5, atol=1e-6)
    if mode == "static":
        assert len(step.compiles) == 1


NAMES = {
    "linen": ["/BatchNorm_0/bias", "/BatchNorm_0/scale", "/Dense_0/bias", "/Dense_0/kernel"],
    "nnx": ["/layers/0/bias", "/layers/0/kernel", "/layers/1/bias", "/layers/1/kernel", "/norm/bias", "/norm/scale"],
}


@pytest.mark.parametrize("kind", MAKE)
def test_names_and_files(kind, tmp_path):
    model = MAKE[kind]()
    assert set(NAMES[kind]) <= {path for path, _ in model.namedparams()}
    norm = {"linen": "BatchNorm_0", "nnx": "norm"}[kind]
    assert {f"{norm}/mean", f"{norm}/var", f"{norm}/scale"} <= set(entries(model))
    model(X)  # the statistics are others now
    jaxchain.serializers.save_npz(tmp_path / "m.npz", model)
    other = MAKE[kind]()
    jaxchain.serializers.load_npz(tmp_path / "m.npz", other)
    with jaxchain.using_config("train", False):
        np.testing.assert_array_equal(other(X).array, model(X).array)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), model.copy()):
        with jaxchain.using_config("train", False):
            np.testing.assert_array_equal(again(X).array, model(X).array)


@pytest.mark.parametrize("kind", MAKE)
def test_statistics_stay_outside_of_training(kind):
    model = MAKE[kind]()
    before = entries(model)
    with jaxchain.using_config("train", False):
        model(X)
    after = entries(model)
    assert all(np.array_equal(before[k], after[k]) for k in before)
    model(X)
    assert any(not np.array_equal(before[k], v) for k, v in entries(model).items())


@pytest.mark.parametrize("kind", MAKE)
def test_dropout_draws_from_the_stream(kind):
    def draw(mode):
        jaxchain.seed(5)
        model = MAKE[kind](0.5)
        for p in model.params():
            p.array = jnp.ones_like(p.array)
        with jaxchain.using_config("mode", mode):
            jaxchain.seed(7)
            return [np.asarray(model(X).array) for _ in range(2)]

    eager, static = draw("eager"), draw("static")
    np.testing.assert_allclose(eager, static, rtol=1e-5, atol=1e-6)
    assert not np.allclose(eager[0], eager[1])


def test_parameters_of_linen_are_made_in_the_first_call():
    model = L.FlaxFunction(linen.Dense(2))
    assert list(model.params()) == []
    with jaxchain.using_config("mode", "static"):
        with pytest.warns(EagerFallback, match="example inputs"):
            first = model(X)
        np.testing.assert_allclose(model(X).array, first.array, rtol=1e-6)
    assert len(model._static.compiles) == 1
    assert [path for path, _ in model.namedparams()] == ["/bias", "/kernel"]
    shaped = L.FlaxFunction(linen.Dense(2), jax.ShapeDtypeStruct((1, 3), np.float32))
    assert shaped.kernel.shape == (3, 2)


def test_trained_variables_and_names_that_links_have():
    class Named(linen.Module):
        @linen.compact
        def __call__(self, x):
            return linen.Dense(2, name="copy")(x) + self.param("name", linen.initializers.ones, (2,))

    variables = Named().init(jax.random.key(0), X)
    model = L.FlaxFunction(Named(), variables=variables)
    assert sorted(path for path, _ in model.namedparams()) == ["/copy_/bias", "/copy_/kernel", "/name_"]
    np.testing.assert_allclose(model(X).array, Named().apply(variables, X), rtol=1e-6)


def test_gradients_reach_inputs_and_chains_around_it():
    class Around(jaxchain.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.first = L.Linear(3, 3)
                self.flax = L.FlaxFunction(linen.Dense(2), X)

        def forward(self, x):
            return self.flax(F.tanh(self.first(x)))

    model = Around()
    x = Variable(X)
    y = model(x)
    F.sum(y**2).backward()
    kernel = np.asarray(model.flax.kernel.array)
    h = np.tanh(X @ np.asarray(model.first.W.array).T)
    gy = 2 * np.asarray(y.array)
    np.testing.assert_allclose(model.flax.kernel.grad, h.T @ gy, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        x.grad, ((gy @ kernel.T) * (1 - h**2)) @ np.asarray(model.first.W.array), rtol=1e-4, atol=1e-5
    )
    (gx,) = jaxchain.grad([F.sum(y**2)], [x], enable_double_backprop=True)
    F.sum(gx**2).backward()
    assert y.creator.label == "Dense"


def test_structured_arguments_and_results():
    class Both(linen.Module):
        @linen.compact
        def __call__(self, pair, *, scale=1.0, mask=None, name_of="a"):
            a = linen.Dense(2, use_bias=False)(pair["a"]) * scale
            return {"a": a, "b": (pair["b"], a.shape if name_of == "a" else None)}

    model = L.FlaxFunction(Both())
    out = model({"a": X, "b": Variable(X)}, scale=2, name_of="b")
    assert isinstance(out["a"], Variable) and out["b"][1] is None
    np.testing.assert_array_equal(out["b"][0].array, X)
    np.testing.assert_allclose(out["a"].array, 2 * X @ np.asarray(model.Dense_0.kernel.array), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_it_shows_in_the_views(mode):
    model = jaxchain.Sequential(L.Linear(3, 3), MAKE["linen"]())
    with jaxchain.using_config("mode", mode):
        y = model(X)
    if mode == "eager":
        assert "Linen" in jaxchain.computational_graph.build_computational_graph([y]).dump()
    assert "Linen" in str(jaxchain.jaxpr(model, X))


def test_wrong_use():
    with pytest.raises(TypeError, match=r"flax\.linen or flax\.nnx, got int"):
        L.FlaxFunction(3)
    with pytest.raises(TypeError, match="no inputs"):
        L.FlaxFunction(Nnx(), X)
    with pytest.raises(RuntimeError, match="call the whole link"):
        MAKE["linen"]().Dense_0(X)
    assert str(MAKE["linen"]()) == "FlaxFunction(module=Linen)"
