"""A chain as an nnx.Module and back."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Variable
from jaxchain.interop.flax import FlaxFunction, from_nnx, to_nnx

X = np.random.RandomState(0).randn(6, 3).astype(np.float32)


class Model(jaxchain.Chain):
    def __init__(self, ratio=0.0):
        super().__init__()
        self.ratio = ratio
        with self.init_scope():
            self.l1 = L.Linear(3, 5)
            self.norm = L.BatchNormalization(5)
            self.rest = jaxchain.Sequential(F.tanh, L.Linear(5, 2))

    def forward(self, x):
        return self.rest(F.dropout(self.norm(self.l1(x)), self.ratio))


def entries(link):
    serializer = jaxchain.serializers.DictionarySerializer()
    serializer.save(link)
    return {k: np.array(v) for k, v in serializer.target.items()}


def trained():
    model = Model()
    for _ in range(2):
        model(X * 2 + 1)
    return model


def test_the_same_numbers():
    model = trained()
    module = to_nnx(model)
    before = entries(model)
    module.eval()
    with jaxchain.using_config("train", False):
        expected = model(X).array
    for call in (module, functools.partial(nnx.jit(lambda m, x: m(x)), module)):
        np.testing.assert_allclose(call(X), expected, rtol=1e-5, atol=1e-6)
    module.train()
    np.testing.assert_allclose(module(X), model(X).array, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(module.norm.avg_mean[...], model.norm.avg_mean, rtol=1e-5, atol=1e-6)
    assert set(before) == set(entries(from_nnx(module)))
    assert module.l1.W[...].shape == (5, 3)


def test_trained_by_nnx_as_by_jaxchain():
    model = Model()
    module = to_nnx(model)
    rule = optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.1, momentum=0.9))
    optimizer = nnx.Optimizer(module, rule, wrt=nnx.Param)

    @nnx.jit
    def step(module, optimizer, x):
        loss, grads = nnx.value_and_grad(lambda m: jnp.mean(m(x) ** 2))(module)
        optimizer.update(module, grads)
        return loss

    ours = jaxchain.optimizers.Optax(rule).setup(model)
    for _ in range(4):
        ours.update(lambda: F.mean(model(X) ** 2))
        step(module, optimizer, X)
    back = entries(from_nnx(module))
    for key, value in entries(model).items():
        np.testing.assert_allclose(back[key], value, rtol=1e-4, atol=1e-5, err_msg=key)


def test_there_and_back():
    model = trained()
    module = to_nnx(model)
    back = from_nnx(nnx.clone(module))
    assert isinstance(back, Model) and back is not model
    for key, value in entries(model).items():
        np.testing.assert_array_equal(entries(back)[key], value)
    module.l1.W[...] = jnp.zeros((5, 3))
    assert float(jnp.abs(model.l1.W.array).max()) > 0
    assert float(jnp.abs(from_nnx(module).l1.W.array).max()) == 0
    F.sum(back(X)).backward()  # a link like any other
    assert back.l1.W.grad is not None


def test_the_chain_is_left_as_it_was():
    model = trained()
    module = to_nnx(model)
    inside = module.structure.chain
    before = entries(inside)
    nnx.grad(lambda m: jnp.sum(m(X)))(module)
    with pytest.raises(jaxchain.core.errors.InvalidType):
        module(np.ones((2, 7), np.float32))
    for key, value in entries(inside).items():
        np.testing.assert_array_equal(before[key], value)
    assert all(p.grad is None for p in inside.params())


def test_random_functions_draw_from_rngs():
    model = Model(0.5)
    one, same, other = to_nnx(model, 3), to_nnx(model, nnx.Rngs(3)), to_nnx(model, 4)
    call = nnx.jit(lambda m, x: m(x))
    first = [np.asarray(call(one, X)) for _ in range(2)]
    assert not np.allclose(first[0], first[1])
    np.testing.assert_array_equal(call(same, X), first[0])
    assert not np.allclose(call(other, X), first[0])
    one.eval()
    np.testing.assert_array_equal(call(one, X), call(one, X))


def test_names_that_modules_use():
    model = jaxchain.Chain(rngs=L.Linear(3, 2), eval=L.Linear(2, 2))
    model.forward = lambda x: model.eval(model.rngs(x))  # type: ignore[attr-defined]
    module = to_nnx(model)
    flat = dict(nnx.to_flat_state(nnx.state(module, nnx.Param)))
    assert sorted(".".join(path) for path in flat) == ["eval_.W", "eval_.b", "rngs_.W", "rngs_.b"]


def test_flax_modules_come_and_go():
    original = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    link = from_nnx(original)
    assert isinstance(link, FlaxFunction)
    np.testing.assert_allclose(link(Variable(X)).array, original(X), rtol=1e-6)
    module = to_nnx(link)
    np.testing.assert_allclose(module(X), original(X), rtol=1e-6)
    np.testing.assert_array_equal(jax.jit(module)(X), module(X))


def test_wrong_use():
    with pytest.raises(TypeError, match="expected a link, got int"):
        to_nnx(3)
    with pytest.raises(TypeError, match=r"module of flax\.nnx, got Linear"):
        from_nnx(L.Linear(3, 2))
    with pytest.raises(ValueError, match="/W are not initialised"):
        to_nnx(L.Linear(None, 2))
