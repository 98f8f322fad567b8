"""Rows for links with hooks on them: what chainer.link_hooks do to the weight, and what they leave on the link."""

import importlib

from link_cases import IMAGES, VECTORS, case, floats, ids


def hooked(link, L, hook, **arguments):
    """Return a link with one of the framework's hooks."""
    hooks = importlib.import_module(L.__name__.split(".")[0] + ".link_hooks")
    return link.add_hook(getattr(hooks, hook)(**arguments))


def spectral(link, L, **arguments):
    """Return a link with spectral normalisation."""
    return hooked(link, L, "SpectralNormalization", **arguments)


def standard(link, L, **arguments):
    """Return a link with weight standardisation."""
    return hooked(link, L, "WeightStandardization", **arguments)


AGAIN = floats(9, 3, 4)
CASES = [
    case("spectral_linear", lambda L: spectral(L.Linear(4, 3), L), (VECTORS,), (AGAIN,)),
    case("spectral_gamma", lambda L: spectral(L.Linear(4, 3), L, use_gamma=True), (VECTORS,), (AGAIN,)),
    case("spectral_factor", lambda L: spectral(L.Linear(4, 3), L, factor=2.5, n_power_iteration=3), (VECTORS,)),
    case("spectral_eps", lambda L: spectral(L.Linear(4, 3, nobias=True), L, eps=0.1), (VECTORS,)),
    case("spectral_embed", lambda L: spectral(L.EmbedID(6, 3), L), (ids(3, 6, 4, 2),)),
    case("spectral_convolution", lambda L: spectral(L.Convolution2D(4, 3, 3), L), (IMAGES,), (IMAGES,)),
    case("spectral_deconvolution", lambda L: spectral(L.Deconvolution2D(4, 3, 3), L, use_gamma=True), (IMAGES,)),
    case("standard_linear", lambda L: standard(L.Linear(4, 3), L), (VECTORS,), (AGAIN,)),
    case("standard_convolution", lambda L: standard(L.Convolution2D(4, 3, 3), L, eps=1e-3), (IMAGES,)),
    case("standard_embed", lambda L: standard(L.EmbedID(6, 3), L), (ids(3, 6, 4, 2),)),
]
