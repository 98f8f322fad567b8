"""Batch renormalisation, decorrelation, group normalisation and dropconnect layers, beyond their rows."""

import numpy as np
import pytest

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L

MODES = pytest.mark.parametrize("mode", ["eager", "static"])
X = np.random.RandomState(0).randn(12, 4).astype(np.float32) * [1, 2, 3, 4] + [4, 3, 2, 1]
X = X.astype(np.float32)


@MODES
def test_batch_renormalization_is_batch_normalization_at_first(mode):
    """With rmax 1 and dmax 0 there is no correction; wide bounds give what evaluation gives."""
    plain, renorm = L.BatchNormalization(4), L.BatchRenormalization(4)
    wide = L.BatchRenormalization(4, rmax=1e3, dmax=1e3)
    with jaxchain.using_config("mode", mode):
        np.testing.assert_allclose(renorm(X).array, plain(X).array, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(renorm.avg_mean, plain.avg_mean, rtol=1e-6)
        np.testing.assert_allclose(renorm.avg_var, plain.avg_var, rtol=1e-5)
        before = L.BatchRenormalization(4)
        with jaxchain.using_config("train", False):
            expected = before(X).array
        np.testing.assert_allclose(wide(X).array, expected, rtol=1e-4, atol=1e-5)


def test_batch_renormalization_initial_statistics():
    link = L.BatchRenormalization(4, initial_avg_mean=2, initial_avg_var=3)
    assert np.asarray(link.avg_mean).tolist() == [2] * 4 and np.asarray(link.avg_var).tolist() == [3] * 4


@pytest.mark.parametrize(
    "build", [lambda: L.BatchRenormalization(4, 3, 5), lambda: L.DecorrelatedBatchNormalization(4, 2)]
)
def test_forget_counts_a_batch_once(build):
    """A second run for the gradient leaves the statistics alone, and gives the gradient of the first."""
    gradients, means = [], []
    for forget in (False, True):
        link = build()
        x = jaxchain.Variable(X)
        y = F.forget(link, x) if forget else link(x)
        F.sum(y * y * np.arange(48, dtype=np.float32).reshape(12, 4)).backward()
        gradients.append(np.asarray(x.grad))
        means.append(np.asarray(link.avg_mean))
    np.testing.assert_allclose(means[0], means[1], rtol=1e-6)
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-4, atol=1e-4)


@MODES
def test_decorrelation_whitens(mode):
    link = L.DecorrelatedBatchNormalization(4, groups=1, decay=0.0, eps=0.0)
    mixed = (X @ np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1]])).astype(np.float32)
    with jaxchain.using_config("mode", mode):
        y = np.asarray(link(mixed).array)
        np.testing.assert_allclose(y.T @ y / 12, np.eye(4), atol=1e-3)
        np.testing.assert_allclose(np.ravel(link.avg_mean), mixed.mean(0), rtol=1e-5)


@MODES
def test_fine_tuning_averages_evenly(mode):
    link = L.DecorrelatedBatchNormalization(4, groups=4)
    with jaxchain.using_config("mode", mode):
        for i in range(3):
            link(X + i, finetune=True)
        np.testing.assert_allclose(np.ravel(link.avg_mean), X.mean(0) + 1, rtol=1e-5)
        assert int(link.N) == 3
        link.start_finetuning()
        assert link.N == 0


@pytest.mark.parametrize(("groups", "warned"), [(1, False), (2, True)])
def test_old_statistics_load(groups, warned):
    """Files of Chainer 4 have one group's mean and projection."""
    width = 4 // groups
    mean, projection = np.arange(width, dtype=np.float32), np.full((width, width), 2, np.float32)
    link = L.DecorrelatedBatchNormalization(4, groups=groups)
    source = jaxchain.serializers.NpzDeserializer({"avg_mean": mean, "avg_projection": projection, "N": np.array(3)})
    if warned:
        with pytest.warns(UserWarning, match="old DecorrelatedBatchNormalization"):
            source.load(link)
    else:
        source.load(link)
    assert link.avg_mean.shape == (groups, width) and link.avg_projection.shape == (groups, width, width)
    np.testing.assert_array_equal(link.avg_mean[-1], mean)
    np.testing.assert_array_equal(link.avg_projection[-1], projection)


def test_group_normalization_needs_channels():
    with pytest.raises(ValueError, match="at least 2"):
        L.GroupNormalization(2)(np.ones(4, np.float32))
    one = jaxchain.initializers.One()
    with jaxchain.using_config("dtype", jaxchain.mixed16 if hasattr(jaxchain, "mixed16") else np.float32):
        assert L.GroupNormalization(2, 4, initial_gamma=one).gamma.dtype == np.float32
    assert one.dtype is None


@MODES
def test_dropconnect_draws_and_keeps_a_given_mask(mode):
    link = L.SimplifiedDropconnect(4, 3)
    W = np.asarray(L.SimplifiedDropconnect(400, 300).W.array)
    assert W.std() == pytest.approx(400**-0.5, rel=0.02)
    with jaxchain.using_config("mode", mode):
        jaxchain.seed(0)
        first, second = np.asarray(link(X).array), np.asarray(link(X).array)
        assert not np.array_equal(first, second)
        jaxchain.seed(0)
        np.testing.assert_allclose(link(X).array, first, rtol=1e-5)
        np.testing.assert_array_equal(link(X, train=False).array, link(X, train=False).array)
    mask = np.ones((3, 4), np.float32)
    y = link(X, mask=mask, use_batchwise_mask=False)
    np.testing.assert_allclose(y.array, 2 * X @ np.asarray(link.W.array).T, rtol=1e-5, atol=1e-5)
    assert "mask" in jaxchain_entries(link)


def jaxchain_entries(link):
    serializer = jaxchain.serializers.DictionarySerializer()
    serializer.save(link)
    return serializer.target
