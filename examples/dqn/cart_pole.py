"""A pole on a cart, to be kept upright by pushing the cart left or right.

Source: Barto, Sutton, Anderson 1983, Neuronlike adaptive elements that can solve difficult learning control problems;
without friction, with the constants, limits and time step of gym's CartPole-v1.
"""

import numpy as np

GRAVITY = 9.8
CART = 1.0  # mass
POLE = 0.1  # mass
HALF = 0.5  # half the length of the pole
FORCE = 10.0
TAU = 0.02  # seconds a step
MAX_POSITION = 2.4
MAX_ANGLE = np.deg2rad(12)
LIMIT = 500  # steps of an episode; that it stops there is no fall


def push(state, action):
    """Return the states after one step (explicit Euler).

    Args:
        state: Position and velocity of the cart, angle and angular velocity of the pole, (..., 4).
        action: 0 pushes to the left, 1 to the right, (...).
    """
    x, v, angle, spin = np.moveaxis(np.asarray(state), -1, 0)
    force = np.where(np.equal(action, 1), FORCE, -FORCE)
    sin, cos = np.sin(angle), np.cos(angle)
    share = (force + POLE * HALF * spin**2 * sin) / (CART + POLE)
    spin_rate = (GRAVITY * sin - cos * share) / (HALF * (4 / 3 - POLE * cos**2 / (CART + POLE)))
    v_rate = share - POLE * HALF * spin_rate * cos / (CART + POLE)
    return np.stack([x + TAU * v, v + TAU * v_rate, angle + TAU * spin, spin + TAU * spin_rate], axis=-1)


def fallen(state):
    """Return whether the cart left its track or the pole leans too far, (...)."""
    x, _, angle, _ = np.moveaxis(np.asarray(state), -1, 0)
    return (np.abs(x) > MAX_POSITION) | (np.abs(angle) > MAX_ANGLE)


def start(rng, n):
    """Return `n` states almost at rest, (n, 4)."""
    return rng.uniform(-0.05, 0.05, (n, 4))
