"""JAX's own transformations over our functions give our gradients, at ties and ends, too: rules go along."""

import os
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_functions import ROWS, rows, run

import jaxchain
import jaxchain.functions as F
from jaxchain import Variable

EVERY_CALL = bool(os.environ.get("JAXCHAIN_EVERY_CALL"))


def calls(case):
    found = [(key, sample) for key, sample, dtype in case.calls() if dtype == "float32"]
    if EVERY_CALL:
        return found
    edges = [c for c in found if c[0].rsplit("/")[-1] in ("edge0", "ties")]
    return [found[0], *edges[:1]]


@pytest.mark.slow
@pytest.mark.parametrize("case", ROWS)
def test_jax_differentiates_to_our_gradients(case):
    for key, sample in calls(case):
        with np.errstate(all="ignore"):
            jaxchain.seed(0)
            ys, inputs, gxs = run(case, key, sample, "float32")
        at = [i for i, y in enumerate(ys) if np.issubdtype(y.dtype, np.floating) and y.creator_node is not None]
        if not at or not inputs or all(g is None for g in gxs):
            continue

        def outputs(*arrays, key=key, sample=sample, at=at):
            jaxchain.seed(0)
            queue = iter(arrays)
            args, kwargs, _ = rows.materialise(key, sample, "float32", lambda _: Variable(next(queue)))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                found = rows.evaluate(case, F, args, kwargs)
            return tuple(found[i].array for i in at)

        gys = tuple(jnp.asarray(rows.cotangent(key, i, ys[i].shape, ys[i].dtype)) for i in at)
        try:
            _, pull = jax.vjp(outputs, *(x.array for x in inputs))
        except jax.errors.ConcretizationTypeError:
            pytest.skip("looks at values")
        for i, (expected, got) in enumerate(zip(gxs, pull(gys), strict=True)):
            if expected is None:
                assert not np.asarray(got).any(), f"{key}: gradient {i}"
                continue
            expected = np.asarray(expected.array, np.float64)
            scale = np.abs(expected[np.isfinite(expected)]).max(initial=0)
            np.testing.assert_allclose(
                np.asarray(got, np.float64), expected, rtol=2e-5, atol=2e-6 * min(scale, 1e4), err_msg=f"{key}: {i}"
            )
