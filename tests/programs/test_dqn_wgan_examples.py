"""The examples of reinforcement learning and of the gradient penalty run in both modes with the same losses."""

from __future__ import annotations

import numpy as np
import pytest
from example_files import EXAMPLES, load

import jaxchain
import jaxchain.links as L


@pytest.mark.slow
def test_wgan_gp(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    main = load("wgan_gp/train.py").main
    (eager, a), (static, b) = (
        main(["--smoke", "--mode", mode, "--out", str(tmp_path / mode)]) for mode in ("eager", "static")
    )
    assert len(eager) == 6
    distances, penalties = np.transpose(eager)
    assert distances[-1] > distances[0] and penalties[-1] < penalties[0]  # the critic learns, its gradient grows to one
    np.testing.assert_allclose(static, eager, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    for name in ("samples.png", "distance.png"):
        assert (tmp_path / "static" / name).stat().st_size > 1000


def test_gradient_penalty_of_a_linear_critic():
    pytest.importorskip("sklearn")
    w = np.array([[3.0, -4.0]], np.float32)
    critic = L.Linear(2, 1, initialW=w)
    real, fake, share = np.ones((5, 2), np.float32), np.zeros((5, 2), np.float32), np.full((5, 1), 0.3, np.float32)
    penalty = load("wgan_gp/train.py").gradient_penalty(critic, real, jaxchain.Variable(fake), share)
    critic.cleargrads()
    penalty.backward()
    np.testing.assert_allclose(penalty.array, (5 - 1) ** 2, rtol=1e-6)  # the gradient is w everywhere, its norm 5
    np.testing.assert_allclose(critic.W.grad, 2 * (5 - 1) * w / 5, rtol=1e-5)


def test_dqn(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(EXAMPLES / "dqn")  # the program imports the file beside it
    main = load("dqn/train.py").main
    (eager, a), (static, b) = (
        main(["--smoke", "--mode", mode, "--out", str(tmp_path / mode)]) for mode in ("eager", "static")
    )
    assert len(eager) > 100 and np.isfinite(eager).all() and min(eager) > 0
    np.testing.assert_allclose(static, eager, rtol=1e-3, atol=1e-5)
    assert len(a) == len(b) == 50 and 5 < a.min() and a.max() <= 500
    assert np.mean(a) == pytest.approx(np.mean(b), abs=2)  # where both actions are worth the same, rounding chooses
    assert (tmp_path / "static" / "returns.png").stat().st_size > 1000


def test_cart_pole_step():
    module = load("dqn/cart_pole.py")
    # Upright and at rest, a push of 10 N: with theta = 0 the equations are a = F / M = 10 / 1.1, the pole's angular
    # acceleration -a / (l (4/3 - m / M)) and the cart's a - m l (angular acceleration) / M; nothing moves yet.
    rate = -(10 / 1.1) / (0.5 * (4 / 3 - 0.1 / 1.1))
    still = [0.0, 0.02 * (10 / 1.1 - 0.05 * rate / 1.1), 0.0, 0.02 * rate]
    np.testing.assert_allclose(still, [0, 0.195121951, 0, -0.292682927], atol=1e-9)  # 8/41 and -12/41
    np.testing.assert_allclose(module.push(np.zeros(4), 1), still, atol=1e-12)
    np.testing.assert_allclose(module.push(np.zeros(4), 0), np.negative(still), atol=1e-12)
    # Moving: worked out with sin 0.1 = 0.0998334166 and cos 0.1 = 0.9950041653. Positions move with the old velocities.
    share = (-10 + 0.05 * 0.3**2 * 0.0998334166) / 1.1
    rate = (9.8 * 0.0998334166 - 0.9950041653 * share) / (0.5 * (4 / 3 - 0.1 * 0.9950041653**2 / 1.1))
    moved = [
        0.5 + 0.02 * -0.2,
        -0.2 + 0.02 * (share - 0.05 * rate * 0.9950041653 / 1.1),
        0.1 + 0.02 * 0.3,
        0.3 + 0.02 * rate,
    ]
    one = module.push([0.5, -0.2, 0.1, 0.3], 0)
    np.testing.assert_allclose(one, moved, rtol=1e-8)
    two = module.push([np.zeros(4), [0.5, -0.2, 0.1, 0.3]], [1, 0])  # side by side
    np.testing.assert_allclose(two, [still, one], rtol=1e-12)


def test_cart_pole_falls_at_the_limits():
    module = load("dqn/cart_pole.py")
    angles = np.deg2rad([11.9, -11.9, 12.1, -12.1])
    assert module.fallen([[0, 9, angle, 9] for angle in angles]).tolist() == [False, False, True, True]
    assert module.fallen([[x, 0, 0, 0] for x in (2.39, -2.39, 2.41, -2.41)]).tolist() == [False, False, True, True]
    starts = module.start(np.random.RandomState(0), 100)
    assert starts.shape == (100, 4) and 0.04 < np.abs(starts).max() <= 0.05 and not module.fallen(starts).any()
