"""Test cases of distributions: what they compute against SciPy's."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxchain.core.variable import Variable
from jaxchain.testing.array import assert_allclose

TARGETS = {"batch_shape", "event_shape", "support", "cdf", "entropy", "icdf", "log_cdf", "log_prob", "log_survival"}
TARGETS |= {"mean", "prob", "sample", "stddev", "survival", "variance"}
DRAWS = 100_000


class distribution_unittest(unittest.TestCase):
    """Base class of a distribution's tests. Subclasses write `setUp_configure`, which sets the attributes.

    Attributes:
        dist: The distribution's class; `scipy_dist`, SciPy's.
        params: Its array arguments by name; `scipy_params`, SciPy's; `options`, further arguments.
        is_variable: Whether the arguments are made Variables.
        shape: Batch shape; `event_shape`; `sample_shape`, that of `sample_for_test`.
        test_targets: Which tests run: ``mean``, ``log_prob``, ``sample`` ...
        support: The expected support, 'real' if it is not set.
        continuous: Whether SciPy's has a density, not a mass.
        scipy_onebyone: Whether SciPy's takes the arguments of one distribution only.
    """

    scipy_onebyone = False
    dist: Any
    scipy_dist: Any
    params: dict[str, Any]
    scipy_params: dict[str, Any]
    is_variable: bool
    shape: tuple[int, ...]
    sample_shape: tuple[int, ...]
    event_shape: tuple[int, ...] = ()

    def setUp(self) -> None:
        """Ask `setUp_configure`, and check what it set."""
        self.support = "real"
        self.continuous = True
        self.test_targets: set[str] = set()
        self.options: dict[str, Any] = {}
        self.setUp_configure()
        unknown = set(self.test_targets) - TARGETS
        if unknown:
            raise ValueError(f"invalid target(s): {', '.join(sorted(unknown))}; there are {', '.join(sorted(TARGETS))}")
        if self.is_variable:
            self.params = {k: Variable(v) for k, v in self.params.items()}

    def setUp_configure(self) -> None:
        """Set the attributes; subclasses do."""
        raise NotImplementedError("setUp_configure() is not implemented")

    def sample_for_test(self) -> Any:
        """Return an array of values ``(*sample_shape, *shape, *event_shape)``; subclasses draw them."""
        raise NotImplementedError("sample_for_test() is not implemented")

    @property
    def cpu_dist(self) -> Any:
        """The distribution."""
        return self.dist(**self.params, **self.options)

    def scipy_onebyone_params_iter(self) -> Iterator[dict[str, Any]]:
        """Yield SciPy's arguments of each distribution of the batch."""
        for index in np.ndindex(*self.shape):
            yield {k: v[index] for k, v in self.scipy_params.items()}

    def _for(self, *targets: str) -> None:
        for target in targets:
            if target not in self.test_targets:
                self.skipTest(f"{target!r} does not exist in test_targets.")

    def _scipy(self, function: Callable[..., Any], shape: tuple[int, ...]) -> Any:
        """Return what SciPy's function of the arguments alone gives, in a shape."""
        if not self.scipy_onebyone:
            return function(**self.scipy_params)
        return np.vstack([function(**p) for p in self.scipy_onebyone_params_iter()]).reshape(shape)

    def _of_values(self, target: str, ours: str, scipys: str) -> None:
        """Compare functions of values."""
        self._for(target)
        x = self.sample_for_test()
        assert_allclose(getattr(self.cpu_dist, ours)(x).array, getattr(self.scipy_dist, scipys)(x, **self.scipy_params))

    def test_batch_shape_cpu(self) -> None:
        """Compare the batch shape."""
        self._for("batch_shape")
        self.assertEqual(self.cpu_dist.batch_shape, self.shape)

    def test_event_shape_cpu(self) -> None:
        """Compare the event shape."""
        self._for("event_shape")
        self.assertEqual(self.cpu_dist.event_shape, self.event_shape)

    def test_support_cpu(self) -> None:
        """Compare the support."""
        self._for("support")
        self.assertEqual(self.cpu_dist.support, self.support)

    def test_cdf_cpu(self) -> None:
        """Compare the cumulative distribution function."""
        self._of_values("cdf", "cdf", "cdf")

    def test_log_cdf_cpu(self) -> None:
        """Compare its logarithm."""
        self._of_values("log_cdf", "log_cdf", "logcdf")

    def test_survival_cpu(self) -> None:
        """Compare the survival function."""
        self._of_values("survival", "survival_function", "sf")

    def test_log_survival_cpu(self) -> None:
        """Compare its logarithm."""
        self._of_values("log_survival", "log_survival_function", "logsf")

    def test_prob_cpu(self) -> None:
        """Compare the density or mass."""
        self._of_values("prob", "prob", "pdf" if self.continuous else "pmf")

    def test_log_prob_cpu(self) -> None:
        """Compare its logarithm."""
        name = "logpdf" if self.continuous else "logpmf"
        if not self.scipy_onebyone:
            self._of_values("log_prob", "log_prob", name)
            return
        self._for("log_prob")
        x = self.sample_for_test()
        expected = np.empty(self.sample_shape + self.shape)
        lead = (slice(None),) * len(self.sample_shape)
        for index, arguments in zip(np.ndindex(*self.shape), self.scipy_onebyone_params_iter(), strict=True):
            expected[lead + index] = getattr(self.scipy_dist, name)(x[lead + index], **arguments)
        assert_allclose(self.cpu_dist.log_prob(x).array, expected)

    def test_icdf_cpu(self) -> None:
        """Compare the inverse of the cumulative distribution function."""
        self._for("icdf")
        p = np.random.uniform(1e-5, 1 - 1e-5, self.sample_shape + self.shape).astype(np.float32)
        assert_allclose(self.cpu_dist.icdf(p).array, self.scipy_dist.ppf(p, **self.scipy_params))

    def test_entropy_cpu(self) -> None:
        """Compare the entropy."""
        self._for("entropy")
        assert_allclose(self.cpu_dist.entropy.array, self._scipy(self.scipy_dist.entropy, self.shape))

    def test_mean_cpu(self) -> None:
        """Compare the mean."""
        self._for("mean")
        shape = self.shape + self.event_shape
        assert_allclose(self.cpu_dist.mean.array, self._scipy(self.scipy_dist.mean, shape))

    def test_stddev_cpu(self) -> None:
        """Compare the standard deviation."""
        self._for("stddev")
        assert_allclose(self.cpu_dist.stddev.array, self.scipy_dist.std(**self.scipy_params))

    def test_variance_cpu(self) -> None:
        """Compare the variance."""
        self._for("variance")
        shape = self.shape + self.event_shape
        assert_allclose(self.cpu_dist.variance.array, self._scipy(self.scipy_dist.var, shape))

    def test_sample_cpu(self) -> None:
        """Compare mean and standard deviation of many draws: within 0.03."""
        self._for("sample")
        size = (DRAWS, *self.sample_shape)
        ours = np.asarray(self.cpu_dist.sample(sample_shape=size).array)
        if self.scipy_onebyone:
            each = [self.scipy_dist.rvs(size=size, **p) for p in self.scipy_onebyone_params_iter()]
            batch = np.stack([np.reshape(e, size + self.event_shape) for e in each], len(size))
            scipys = batch.reshape(size + self.shape + self.event_shape)
        else:
            scipys = self.scipy_dist.rvs(size=size + self.shape, **self.scipy_params)
        for moment in (np.mean, np.std):
            assert_allclose(moment(ours, 0), moment(scipys, 0), atol=3e-2, rtol=3e-2)
