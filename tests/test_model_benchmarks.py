"""The models of benchmarks/models.py: the same weights and data give the same losses in every framework."""

import importlib.util
import pathlib
import sys

import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"
OURS = {"jaxchain static": "jax", "jaxchain eager": "jax"}
PEERS = {
    "Flax NNX, nnx.jit": "flax",
    "Flax NNX, split and merge in jax.jit": "flax",
    "Equinox, filter_jit": "equinox",
    "PyTorch eager, 1 thread": "torch",
}
MODELS = ("mlp", "resnet", "lstm", "block")
# The peers make the one model that compiles in a moment; jaxchain makes all.
# What the others do in eager mode goes with the slow sweeps.
CASES = [("mlp", name) for name in PEERS] + [
    pytest.param(model, name, marks=[pytest.mark.slow] * (model != "mlp" and name == "jaxchain eager"))
    for model in MODELS
    for name in OURS
]


@pytest.fixture(scope="module")
def rows():
    sys.path.insert(0, str(FOLDER))
    try:
        import model_rows

        yield model_rows
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def reference(rows):
    """Return a function: the losses of the hand-written program's first two steps of a model."""
    known = {}

    def losses(model):
        if model not in known:
            known[model] = rows.losses(model, "hand-written JAX", rows.model_spec.TINY[model])
        return known[model]

    return losses


@pytest.mark.parametrize(("model", "framework"), CASES)
def test_frameworks_agree(rows, reference, model, framework):
    needed = {**OURS, **PEERS}[framework]
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    found = rows.losses(model, framework, rows.model_spec.TINY[model])
    expected = reference(model)
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    # An NStepLSTM has two biases where the hand-written has one: from the second step on they differ a little.
    assert found[1] == pytest.approx(expected[1], rel=1e-3 if model == "lstm" else 1e-5)
    assert found[1] != found[0]


def test_every_row_is_built_by_a_module(rows):
    for module, _ in rows.FRAMEWORKS.values():
        assert (FOLDER / f"{module}.py").exists()
