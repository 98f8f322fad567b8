"""`testing`: the cases here are written as programs for Chainer write them, and pass there, too."""

import sys
import unittest
import warnings

import numpy as np
import pytest

import jaxchain as chainer
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain import testing
from jaxchain.testing import attr, condition


@testing.parameterize(*testing.product({"shape": [(3, 2), ()], "dtype": [np.float32]}))
@testing.inject_backend_tests(None, [{}, {"use_cuda": True}])
class TestMultiply(testing.FunctionTestCase):
    def generate_inputs(self):
        return tuple(np.asarray(np.random.uniform(-1, 1, self.shape), self.dtype) for _ in range(2))

    def forward(self, inputs, device):
        return (inputs[0] * inputs[1],)

    def forward_expected(self, inputs):
        return (np.asarray(inputs[0] * inputs[1], self.dtype),)


class Linear:
    param_names = "W", "b"

    def generate_params(self):
        return chainer.initializers.Normal(1), np.random.randn(2).astype("f")

    def create_link(self, initializers):
        return L.Linear(3, 2, initialW=initializers[0], initial_bias=initializers[1])

    def generate_inputs(self):
        return (np.random.randn(4, 3).astype("f"),)


@testing.inject_backend_tests(None, [{}])
class TestLinear(Linear, testing.LinkTestCase):
    def forward_expected(self, link, inputs):
        return ((inputs[0] @ np.asarray(link.W.array).T + np.asarray(link.b.array)).astype("f"),)


class Initializers(Linear):
    def before_test(self, test_name):
        self.check_initializers_options.update(atol=0, rtol=0)

    def get_initializers(self):
        return [chainer.initializers.Constant(2), 3], [4, testing.InitializerArgument(None, 0)]


@testing.inject_backend_tests(None, [{}])
class TestInitializers(Initializers, testing.LinkInitializersTestCase):
    pass


def make_positive(shape, dtype):
    return tuple(np.asarray(np.random.uniform(0.5, 1, shape)).astype(dtype) for _ in range(3))


@testing.unary_math_function_unittest(F.log, make_data=make_positive)
class TestLog(unittest.TestCase):
    pass


class TestNormalDistribution(testing.distribution_unittest):
    def setUp_configure(self):
        from scipy import stats

        self.dist, self.scipy_dist, self.is_variable = chainer.distributions.Normal, stats.norm, True
        self.shape, self.sample_shape = (3, 2), (4,)
        loc, scale = np.random.randn(3, 2).astype("f"), np.random.uniform(1, 2, (3, 2)).astype("f")
        self.params, self.scipy_params = {"loc": loc, "scale": scale}, {"loc": loc, "scale": scale}
        self.test_targets = {"batch_shape", "cdf", "entropy", "event_shape", "icdf", "log_cdf", "log_prob", "mean"}
        self.test_targets |= {"log_survival", "prob", "sample", "stddev", "support", "survival", "variance"}

    def sample_for_test(self):
        return np.random.normal(size=(4, 3, 2)).astype("f")


class TestMultivariateNormal(testing.distribution_unittest):
    scipy_onebyone = True

    def setUp_configure(self):
        from scipy import stats

        self.dist, self.scipy_dist = chainer.distributions.MultivariateNormal, stats.multivariate_normal
        self.is_variable = False
        self.shape, self.sample_shape, self.event_shape = (3,), (4,), (2,)
        loc, tril = np.random.randn(3, 2).astype("f"), np.tril(np.random.uniform(0.5, 1, (3, 2, 2))).astype("f")
        self.params = {"loc": loc, "scale_tril": tril}
        self.scipy_params = {"mean": loc, "cov": tril @ tril.transpose(0, 2, 1)}
        self.test_targets = {"batch_shape", "entropy", "event_shape", "log_prob", "sample", "support"}
        self.support = "real"

    def sample_for_test(self):
        return np.random.normal(size=(4, 3, 2)).astype("f")


def run(case, name):
    result = unittest.TestResult()
    testing.inject_backend_tests(None, [{}])(case)[0](name).run(result)
    return result


def test_a_wrong_function_fails():
    class Wrong(testing.FunctionTestCase):
        def generate_inputs(self):
            return (np.ones(3, "f"),)

        def forward(self, inputs, device):
            return (F.exp(inputs[0]),)

        def forward_expected(self, inputs):
            return (inputs[0],)

    ((_, message),) = run(Wrong, "test_forward").failures
    assert "Wrong_backend_0: output 0 is not as expected" in message and "<BackendConfig {}>" in message
    assert run(Wrong, "test_backward").wasSuccessful()


def test_a_link_that_does_not_ask_its_initializer_fails():
    class Wrong(Initializers, testing.LinkInitializersTestCase):
        def create_link(self, initializers):
            return L.Linear(3, 2)

    ((_, message),) = run(Wrong, "test_initializers").failures
    assert "Wrong_backend_0: parameter 'W' is not as" in message
    with pytest.raises(ValueError, match="expected_initializer is None"):
        testing.InitializerArgument(0, None)


def test_unknown_targets_and_names_are_refused():
    case = TestNormalDistribution("test_mean_cpu")
    case.setUp_configure = lambda: setattr(case, "test_targets", {"mode"})
    with pytest.raises(ValueError, match=r"invalid target.*mode"):
        case.setUp()
    with pytest.raises(ValueError, match="NumPy has no function 'erfcx'"):
        testing.unary_math_function_unittest(F.erfcx)


@testing.fix_random()
class TestOther(unittest.TestCase):
    def setUp(self):
        self.runs = 0

    @condition.retry(3)
    def test_retry(self):
        type(self).tries = getattr(type(self), "tries", 0) + 1
        assert self.tries == 2 and self.runs == 0

    @condition.repeat(2)
    def test_repeat(self):
        self.runs += 1
        assert self.runs == 1  # set up anew

    @condition.retry(3)
    def test_retry_errors(self):  # an error of any kind is a run that did not pass
        type(self).errors = getattr(type(self), "errors", 0) + 1
        if self.errors < 3:
            raise np.linalg.LinAlgError("singular")

    def test_failure_of_repeats(self):
        def fails(self):
            runs.append(1)
            raise RuntimeError(f"run {len(runs)}")

        def skips(self):
            runs.append(1)
            self.skipTest("why")

        for decorate, n in ((condition.repeat(4), 1), (condition.retry(4), 4)):
            runs = []
            message = rf"(?s)Fail: {n}, Success: 0.*The first error message:.*in fails.*RuntimeError: run 1$"
            with self.assertRaisesRegex(AssertionError, message) as caught:
                decorate(fails)(self)
            assert len(runs) == n and isinstance(caught.exception.__cause__, RuntimeError)
            runs = []
            with self.assertRaisesRegex(unittest.SkipTest, "why"):
                decorate(skips)(self)
            assert len(runs) == 1

    @attr.gpu
    def test_gpu(self):
        raise AssertionError("CuPy is not there")

    def test_seed(self):
        assert round(np.random.rand(), 7) == 0.5488135

    def test_warnings(self):
        with testing.assert_warns(UserWarning):
            warnings.warn("x", UserWarning, stacklevel=1)
        with self.assertRaises(AssertionError), testing.assert_warns(DeprecationWarning):
            pass

    @testing.with_requires("numpy>=99")
    def test_requires(self):
        raise AssertionError("skipped")

    @testing.without_requires("nothing-of-this-name")
    def test_requires_not(self):
        pass

    def test_matrix(self):
        m = testing.generate_matrix((2, 4, 3), dtype="f", singular_values=[1, 2, 3])
        np.testing.assert_allclose(sorted(np.linalg.svd(m[0])[1]), [1, 2, 3], rtol=1e-4)
        with self.assertRaises(ValueError):
            testing.generate_matrix((2,), singular_values=[1])

    def test_trainer(self):
        seen = []
        trainer = testing.get_trainer_with_mock_updater((7, "iteration"), 3)
        count = lambda t: seen.append((t.updater.iteration, t.updater.epoch))  # noqa: E731
        trainer.extend(count, name="count", trigger=(1, "epoch"))
        trainer.run()
        assert seen == [(3, 1), (6, 2)]

    def test_files(self):
        a, b = L.Linear(2, 2), L.Linear(2, 2)
        testing.save_and_load_npz(a, b)
        testing.assert_allclose(a.W, b.W)
        with self.assertRaises(AssertionError):
            testing.assert_allclose(a.W, b.W.array + 1)


@testing.parameterize_pytest("a,b", [(1, 2), (3, 4)])
class TestPairs(unittest.TestCase):
    def test_pair(self):
        assert self.b == self.a + 1


def test_parameters():
    assert testing.product({"b": [1, 2], "a": [3]}) == [{"a": 3, "b": 1}, {"a": 3, "b": 2}]
    assert testing.product_dict([{"a": 1}], [{"b": 2}, {"b": 3}]) == [{"a": 1, "b": 2}, {"a": 1, "b": 3}]
    assert testing.from_pytest_parameterize("a", [1, 2]) == [{"a": 1}, {"a": 2}]
    names = [n for n in globals() if n.startswith(("TestMultiply", "TestPairs")) and isinstance(globals()[n], type)]
    assert names == [
        *(f"TestMultiply_backend_0_param_{n}" for n in range(2)),
        *(f"TestPairs_param_{n}" for n in range(2)),
    ]


def test_marks_need_pytest(monkeypatch):
    assert attr.check_available() is None
    monkeypatch.setitem(sys.modules, "pytest", None)
    with pytest.raises(RuntimeError, match="the marks are pytest's"):
        attr.check_available()
