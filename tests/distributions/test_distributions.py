"""Distributions against Chainer's answers, in both modes; samples by their moments."""

import doctest
import importlib
import inspect
import pkgutil
import sys
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxchain
import jaxchain.distributions as D
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import Variable
from jaxchain.distribution import Distribution, cross_entropy, kl_divergence, register_kl

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import importlib.util  # noqa: E402

_spec = importlib.util.spec_from_file_location("distribution_rows", HERE / "rows.py")
rows = importlib.util.module_from_spec(_spec)
sys.modules["distribution_rows"] = rows
_spec.loader.exec_module(rows)

GOLDEN = dict(np.load(HERE / "golden.npz"))
ROWS = [pytest.param(row, id=row.name) for row in rows.CASES]


def first(params):
    """Return the rows, those that give a distribution other parameters ("Normal, one") for the slow sweeps."""
    return [pytest.param(*p.values, id=p.id, marks=[pytest.mark.slow] * (", " in p.id)) for p in params]


def everything(row, wrap=Variable, wrap_x=Variable):
    """Return {key: (value, gradients of parameters, the other's parameters, x)} as NumPy arrays or tracers."""
    d, params = row.make(D, wrap)
    e, others = row.make(D, wrap, row.other) if row.other is not None else (None, {})
    found = {}
    for name, compute, x in rows.quantities(row, d, e, wrap_x, kl_divergence):
        key = f"{row.name}/{name}"
        y = compute()
        inputs = [*params.values(), *others.values(), *([x] if isinstance(x, Variable) else [])]
        gs = [None] * len(inputs)
        if y.creator_node is not None:
            gs = jaxchain.grad([y], inputs, [Variable(rows.cotangent(key, y.shape))])
        found[key] = (y.array, [None if g is None else g.array for g in gs])
    return found


@pytest.mark.parametrize("row", ROWS)
def test_values_and_gradients_are_chainers(row):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        found = everything(row)
    assert found
    for key, (value, gradients) in found.items():
        expected = GOLDEN[key]
        assert value.shape == expected.shape and value.dtype == expected.dtype, key
        np.testing.assert_allclose(value, expected, rtol=2e-5, atol=2e-6, err_msg=key)
        better = key.split("/")[1] in row.better
        for i, g in enumerate(gradients):
            known = GOLDEN.get(f"{key}/g{i}")
            if known is None:
                assert g is None or not np.asarray(g).any(), f"{key}: gradient {i}"
                continue
            assert g is not None, f"{key}: gradient {i}"
            g = np.asarray(g)
            if better:
                assert np.isfinite(g).all()
                g, known = g[np.isfinite(known)], known[np.isfinite(known)]
            scale = np.abs(known[np.isfinite(known)]).max(initial=0)
            np.testing.assert_allclose(g, known, rtol=5e-5, atol=1e-5 * scale + 1e-7, err_msg=f"{key}: gradient {i}")


@pytest.mark.parametrize("row", first(ROWS))
def test_static_equals_eager(row):
    def run(values):
        queue = iter(values)
        found = everything(row, lambda _: Variable(next(queue)))
        return [a for value, gradients in found.values() for a in (value, *gradients) if a is not None]

    values = [np.array(v, "float32") for p in (row.params, row.other or {}) for v in p.values()]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        eager, static = run(values), jaxchain.static(run)(values)
    assert len(eager) == len(static)
    for a, b in zip(static, eager, strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-5, atol=1e-5)


@pytest.mark.parametrize("row", ROWS)
def test_shapes_support_and_parameters(row):
    d, params = row.make(D, Variable)
    assert str((d.batch_shape, d.event_shape)) == str(GOLDEN[f"{row.name}/shapes"])
    if f"{row.name}/support" in GOLDEN:
        assert d.support == str(GOLDEN[f"{row.name}/support"])
    else:
        with pytest.raises(NotImplementedError):
            _ = d.support
    if row.kind not in ("Bernoulli", "Categorical") and "log_scale" not in params:
        assert d.params.keys() == params.keys()
        assert all(d.params[k] is params[k] for k in params)


COUNT = 40_000
# rows that are there for what they are evaluated at would draw what others draw
ELSEWHERE = (", none", ", tails", ", at the mode", ", outside", ", checked")
SAMPLED = [p for p in ROWS if not p.values[0].name.endswith(ELSEWHERE)]


@pytest.mark.parametrize("row", first(SAMPLED))
def test_samples_have_the_moments(row):
    jaxchain.seed(1)
    d, _ = row.make(D, Variable)
    samples = np.asarray(d.sample(COUNT).array, "float64")
    assert samples.shape == (COUNT, *d.batch_shape, *d.event_shape)
    if row.undefined or row.kind == "Categorical":
        return
    mean = np.asarray(d.mean.array, "float64")
    spread = samples.std(0)
    np.testing.assert_array_less(np.abs(samples.mean(0) - mean), 5 * spread / np.sqrt(COUNT) + 1e-7)
    if row.kind == "MultivariateNormal":
        covariance = np.asarray(d.covariance.array).reshape(-1, *[d.covariance.shape[-1]] * 2)
        flat = samples.reshape(COUNT, len(covariance), -1)
        for i, c in enumerate(covariance):
            np.testing.assert_allclose(np.cov(flat[:, i].T), c, atol=0.1)
    elif row.second_moment:
        np.testing.assert_allclose(samples.var(0), d.variance.array, rtol=0.12, atol=1e-6)


@pytest.mark.parametrize("row", [p for p in ROWS if p.values[0].kind == "Categorical"])
def test_categories_come_as_often_as_they_should(row):
    jaxchain.seed(2)
    d, _ = row.make(D, Variable)
    samples = np.asarray(d.sample(COUNT).array)
    assert samples.dtype == np.int32
    shares = np.stack([(samples == k).mean(0) for k in range(d.p.shape[-1])], -1)
    np.testing.assert_allclose(shares, d.p.array, atol=0.015)


def test_cauchy_samples_have_the_quartiles():
    jaxchain.seed(3)
    d = D.Cauchy(np.float32([1.0]), np.float32([2.0]))
    samples = np.asarray(d.sample(COUNT).array)
    np.testing.assert_allclose(np.quantile(samples, [0.25, 0.5, 0.75]), [-1, 1, 3], atol=0.1)


@pytest.mark.parametrize("row", SAMPLED)
def test_gradients_flow_through_samples_to_the_parameters(row):
    d, params = row.make(D, Variable)
    y = d.sample((2, 3))
    assert y.shape == (2, 3, *d.batch_shape, *d.event_shape)
    reached = ()
    if y.creator_node is not None and y.dtype.kind == "f":
        gs = jaxchain.grad([F.sum(y * y)], list(params.values()))
        reached = tuple(k for k, g in zip(params, gs, strict=True) if g is not None and np.asarray(g.array).any())
    if not row.name.endswith("no moments"):
        assert reached == row.flows


def test_gradients_through_samples_are_those_of_the_formula():
    loc, scale = Variable(np.float32([1.0, -2.0])), Variable(np.float32([0.5, 3.0]))
    y = D.Normal(loc, scale).sample(4)
    eps = (np.asarray(y.array) - loc.array) / scale.array
    g_loc, g_scale = jaxchain.grad([F.sum(y)], [loc, scale])
    np.testing.assert_allclose(g_loc.array, [4, 4])
    np.testing.assert_allclose(g_scale.array, eps.sum(0), rtol=1e-4)


@pytest.mark.parametrize("row", first(SAMPLED))
def test_the_same_seed_samples_the_same_in_both_modes(row):
    values = [np.array(v, "float32") for v in row.params.values()]

    def draw(arrays):
        queue = iter(arrays)
        d, _ = row.make(D, lambda _: Variable(next(queue)))
        return d.sample((2, 3)).array  # of the shape of the test above, whose programs it shares

    jaxchain.seed(7)
    eager = [np.asarray(draw(values)) for _ in range(2)]
    step = jaxchain.static(draw)
    jaxchain.seed(7)
    static = [np.asarray(step(values)) for _ in range(2)]
    np.testing.assert_allclose(static, eager, rtol=2e-5, atol=1e-6)
    if eager[0].dtype.kind == "f" and row.kind not in ("OneHotCategorical", "Poisson", "Geometric"):
        assert not np.array_equal(eager[0], eager[1])


A, B = np.float32([0.5]), np.float32([2.0])


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda: D.Normal(A), ValueError, "`scale` or `log_scale`"),
        (lambda: D.Normal(A, A, log_scale=A), ValueError, "not both"),
        (lambda: D.Bernoulli(), ValueError, "`p` or `logit`"),
        (lambda: D.Bernoulli(A, A), ValueError, "not both"),
        (lambda: D.Categorical(), ValueError, "`p` or `logit`"),
        (lambda: D.MultivariateNormal(A), ValueError, "scale_tril"),
        (lambda: D.Uniform(low=A), ValueError, "low, high"),
        (lambda: D.Uniform(low=A, high=A, loc=A, scale=A), ValueError, "not both"),
        (lambda: D.Independent(D.Normal(A, A), 2), ValueError, "reinterpreted_batch_ndims"),
        (lambda: D.Independent(D.Normal(A, A)).icdf(A), RuntimeError, "not invertible"),
        (lambda: kl_divergence(D.Normal(A, A), D.Gamma(A, A)), KeyError, "Normal"),
        (
            lambda: kl_divergence(D.Independent(D.Normal(A, A), 1), D.Independent(D.Normal(A, A), 0)),
            ValueError,
            "do not match",
        ),
        (lambda: D.Gamma(A, A).cdf(A), NotImplementedError, None),
        (lambda: Distribution().mean, NotImplementedError, None),
        (lambda: Distribution().sample(), NotImplementedError, None),
    ],
)
def test_errors(make, kind, text):
    with pytest.raises(kind, match=text):
        make()


def test_cauchy_has_no_mean_and_says_so():
    d = D.Cauchy(A, B)
    with pytest.warns(RuntimeWarning, match="Mean of the cauchy distribution is undefined"):
        assert np.isnan(d.mean.array).all()
    with pytest.warns(RuntimeWarning, match="Variance of the cauchy"):
        assert np.isnan(d.variance.array).all()


def test_cross_entropy_is_entropy_plus_divergence():
    p, q = D.Normal(A, B), D.Normal(B, A)
    expected = -(p.log_prob(0.5).array)  # at its mean, of itself
    np.testing.assert_allclose(cross_entropy(p, p).array, expected + 0.5, rtol=1e-5)
    np.testing.assert_allclose(cross_entropy(p, q).array, p.entropy.array + kl_divergence(p, q).array, rtol=1e-6)


def test_register_kl_serves_own_distributions():
    class Point(Distribution):
        def __init__(self, at):
            self.at = at

    @register_kl(Point, D.Normal)
    def _(p, q):
        return -q.log_prob(p.at)

    np.testing.assert_allclose(kl_divergence(Point(A), D.Normal(A, np.float32([1.0]))).array, [0.9189385], rtol=1e-6)


def test_infinite_log_odds_are_certain_and_have_no_gradient():
    logit = Variable(np.float32([np.inf, -np.inf, np.inf, 200.0, -200.0]))
    y = D.Bernoulli(logit=logit).log_prob(np.float32([1, 0, 0, 1, 1]))
    np.testing.assert_allclose(y.array, [0, 0, -np.inf, 0, -200])
    (g,) = jaxchain.grad([y], [logit], [Variable(np.ones(5, np.float32))])
    np.testing.assert_allclose(g.array, [0, 0, 0, 0, 1], atol=1e-6)


def test_entropy_at_certainty_has_gradient_zero():
    p = Variable(np.float32([0.0, 1.0]))
    (g,) = jaxchain.grad([F.sum(D.Bernoulli(p).entropy)], [p])
    assert g.array.tolist() == [1.0, -1.0]  # 1 + log 1 of the other side: Chainer's, too


def test_a_distribution_keeps_its_parameters_and_follows_them():
    loc = Variable(np.float32([1.0]))
    d = D.Normal(loc, np.float32([2.0]))
    assert d.loc is loc and d.mean is loc and d.xp is jax.numpy
    loc.array = np.float32([3.0])
    assert d.mean.array.tolist() == [3.0] and float(d.prob(3.0).array[0]) == pytest.approx(0.19947, rel=1e-4)


def test_a_compiled_link_returns_a_distribution_that_gradients_flow_through():
    class Encoder(jaxchain.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.mean, self.scale = L.Linear(3, 2, initialW=0.5), L.Linear(3, 2, initialW=0.25)

        def forward(self, x):
            return D.Independent(D.Normal(self.mean(x), log_scale=self.scale(x)))

    class Decoder(jaxchain.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.logit = L.Linear(2, 3, initialW=0.5)

        def forward(self, q):
            return D.Bernoulli(logit=self.logit(q.mean))

    x, prior = np.float32([[1, 2, 3]]), D.Independent(D.Normal(np.zeros((1, 2), "f"), np.ones((1, 2), "f")))
    encoder, decoder, found = Encoder(), Decoder(), []
    for mode in ("eager", "static"):
        with jaxchain.using_config("mode", mode):
            for factor in (1, 2, 3):  # the last answer is that of a new input
                encoder.cleargrads(), decoder.cleargrads()
                q = encoder(x * np.float32(factor))
                p = decoder(q)
                (F.sum(jaxchain.kl_divergence(q, prior)) - F.sum(p.log_prob(np.ones((1, 3), "f")))).backward()
        assert type(q) is D.Independent and type(q.distribution) is D.Normal and type(p) is D.Bernoulli
        found.append([q.mean.array, p.mean.array, encoder.mean.W.grad, encoder.scale.W.grad, decoder.logit.W.grad])
    np.testing.assert_allclose(found[0][0], [[9.0, 9.0]])
    np.testing.assert_allclose(found[0][1], np.full((1, 3), 1 / (1 + np.exp(-9.0))), rtol=1e-6)
    for eager, static in zip(*found, strict=True):
        np.testing.assert_allclose(static, eager, rtol=1e-6)


@pytest.mark.parametrize(("name", "at", "value"), [("cdf", 0.0, 0.5), ("icdf", 0.5, 2.0)])
def test_second_gradient_of_laplace_at_its_mode(name, at, value):
    x = Variable(np.float32([at]))
    y = getattr(D.Laplace(np.float32([0]), np.float32([1])), name)(x)
    (gx,) = jaxchain.grad([y], [x], enable_double_backprop=True)
    assert gx.array == value and jaxchain.grad([gx], [x])[0].array == 0  # Chainer's: the mean of both sides


MODULES = ["jaxchain.distribution"] + [f"jaxchain.distributions.{m.name}" for m in pkgutil.iter_modules(D.__path__)]


@pytest.mark.parametrize("module", MODULES)
def test_examples(module):
    room = importlib.import_module(module)
    for example in doctest.DocTestFinder().find(room, globs={"D": D, "F": F, "np": np}):
        if example.examples:
            assert doctest.DocTestRunner(verbose=False).run(example).failed == 0, example.name


@pytest.mark.parametrize("name", [n for n in vars(D) if n[0].isupper()])
def test_every_distribution_has_rows_and_an_example(name):
    assert name in {row.kind for row in rows.CASES} | {"Independent"}
    assert ">>>" in inspect.getdoc(getattr(D, name))


def test_nothing_is_left_out():
    assert {n for n in vars(D) if n[0].isupper()} == set(
        "Bernoulli Beta Categorical Cauchy Chisquare Dirichlet Exponential Gamma Geometric Gumbel Independent Laplace "
        "LogNormal MultivariateNormal Normal OneHotCategorical Pareto Poisson Uniform".split()
    )
