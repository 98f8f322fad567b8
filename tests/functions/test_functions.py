"""One walk over all rows of cases_*.py: Chainer's answers, second derivatives, static mode, compiles, errors."""

import contextlib
import functools
import importlib
import inspect
import warnings
from pathlib import Path

import calls
import jax
import numpy as np
import pytest
import rows
from packed import Packed

import jaxchain
import jaxchain.functions as F
from jaxchain import Variable

HERE = Path(__file__).parent
TABLES = [path.stem for path in sorted(HERE.glob("cases_*.py"))]
CASES = {case.name: (table[6:], case) for table in TABLES for case in importlib.import_module(table).CASES}
# The suite runs so many samples of a row, its edges and its dtypes; the slow sweeps run the other samples, too.
IN_SUITE = 2
LATER = {f"{name}/{i}" for name, (_, case) in CASES.items() for i in range(IN_SUITE, len(case.samples))}
CALLS = [
    pytest.param(name, key, id=key, marks=[pytest.mark.slow] * (key in LATER))
    for name, (_, case) in CASES.items()
    for key, *_ in case.calls()
]
ROWS = [pytest.param(case, id=name) for name, (_, case) in CASES.items()]
LIGHT_ROWS = [pytest.param(*p.values, id=p.id, marks=[pytest.mark.slow] * p.values[0].heavy) for p in ROWS]
# relative to the largest element: NumPy and XLA sum in another order, in float16 also at another precision
TOLERANCE = {"float16": 5e-3, "float32": 1.0, "float64": 1e-6}


@functools.cache
def golden(table):
    return Packed(HERE / "golden" / f"{table}.npz")


# The functions that test_calls.py runs in static mode, too: their rows there go with the slow sweeps.
CALLED = {calls.subject(line) for line in calls.LINES if not golden("calls").get(f"{line}/error")}
STATIC_ROWS = [
    pytest.param(*p.values, id=p.id, marks=[pytest.mark.slow] * (p.id in CALLED or p.values[0].heavy)) for p in ROWS
]


def precision(dtype):
    return jax.enable_x64(True) if dtype == "float64" else contextlib.nullcontext()


def run(case, key, sample, dtype, double=False):
    """Return (outputs, inputs, gradients of the inputs)."""
    args, kwargs, inputs = rows.materialise(key, sample, dtype, Variable)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        ys = rows.evaluate(case, F, args, kwargs)
    floating = [
        (y, Variable(rows.cotangent(key, k, y.shape, y.dtype)))
        for k, y in enumerate(ys)
        if np.issubdtype(y.dtype, np.floating) and y.creator_node is not None
    ]
    if not floating or not inputs:
        return ys, inputs, [None] * len(inputs)
    outputs, gys = zip(*floating, strict=True)
    return ys, inputs, jaxchain.grad(list(outputs), inputs, list(gys), enable_double_backprop=double)


def close(actual, expected, dtype, case, what):
    actual = np.asarray(actual)
    assert actual.shape == expected.shape, what
    if case.better:
        known = np.isfinite(expected)
        actual, expected = actual[known], expected[known]
    known = "float32" if dtype in case.borrowed and dtype != "float16" else dtype
    rtol = case.rtol * TOLERANCE[known] if known != "float16" else TOLERANCE[known]
    finite = np.abs(expected[np.isfinite(expected)].astype("float64"))
    scale = float(finite.max()) if finite.size else 0.0
    # edges go to 1e30: there each element counts by itself
    atol = rtol * (scale if scale < 1e4 else 1e-3)
    np.testing.assert_allclose(
        actual.astype("float64"), expected.astype("float64"), rtol=4 * rtol, atol=atol + 1e-37, err_msg=what
    )


@pytest.mark.parametrize(("name", "key"), CALLS)
def test_value_and_gradient_are_chainers(name, key):
    table, case = CASES[name]
    sample, dtype = next((s, d) for k, s, d in case.calls() if k == key)
    known = golden(table)
    with precision(dtype), np.errstate(all="ignore"):
        ys, inputs, gxs = run(case, key, sample, dtype)
        for k, y in enumerate(ys):
            expected = known.get(f"{key}/y{k}")
            assert y.dtype == expected.dtype or (dtype != "float64" and expected.dtype.itemsize == 8), key
            close(y.array, expected, dtype, case, f"{key}: output {k}")
        assert known.get(f"{key}/y{len(ys)}") is None
        has_gradients = any(known.get(f"{key}/g{i}") is not None for i in range(len(inputs)))
        for i, (x, g) in enumerate(zip(inputs, gxs, strict=True)):
            expected = known.get(f"{key}/g{i}")
            if expected is None:
                assert g is None or not has_gradients or not np.asarray(g.array).any(), f"{key}: gradient {i}"
                continue
            assert g is not None and g.dtype == x.dtype, f"{key}: gradient {i}"
            close(g.array, expected, dtype, case, f"{key}: gradient {i}")
    if case.label == "golden" and ys[0].creator is not None:
        assert ys[0].creator.label == known.get(f"{key}/label")


@pytest.mark.parametrize("case", [p for p in LIGHT_ROWS if p.values[0].order == 2])
def test_second_derivative(case):
    key, sample = f"{case.name}/0", case.samples[0]
    rng = np.random.RandomState(3)
    with precision("float64"):
        _, inputs, gxs = run(case, key, sample, "float64", double=True)
        used = [i for i, g in enumerate(gxs) if g is not None]
        weights = {i: rng.uniform(-1, 1, inputs[i].shape) for i in used}
        linked = [i for i in used if gxs[i].creator_node is not None]
        if not linked:
            return
        seconds = jaxchain.grad(
            [gxs[i] for i in linked], inputs, [Variable(weights[i]) for i in linked], enable_double_backprop=True
        )
        direction = [rng.uniform(-1, 1, x.shape) for x in inputs]
        got = sum(
            float((np.asarray(h.array) * d).sum()) for h, d in zip(seconds, direction, strict=True) if h is not None
        )

        def slope(eps):
            args, kwargs, moved = rows.materialise(key, sample, "float64", Variable)
            for x, d in zip(moved, direction, strict=True):
                x.array = np.asarray(x.array) + eps * d
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                ys = rows.evaluate(case, F, args, kwargs)
            floating = [
                (y, Variable(rows.cotangent(key, k, y.shape, y.dtype)))
                for k, y in enumerate(ys)
                if y.creator_node is not None
            ]
            outputs, gys = zip(*floating, strict=True)
            gs = jaxchain.grad(list(outputs), moved, list(gys))
            return sum(float((np.asarray(gs[i].array) * weights[i]).sum()) for i in linked)

        eps = 1e-5
        expected = (slope(eps) - slope(-eps)) / (2 * eps)
    assert got == pytest.approx(expected, rel=2e-5, abs=2e-6 * max(1, sum(x.size for x in inputs)))


@pytest.mark.parametrize("case", STATIC_ROWS)
def test_static_equals_eager(case):
    key, sample = f"{case.name}/0", case.samples[0]
    ys, inputs, gxs = run(case, key, sample, "float32")
    expected = [y.array for y in ys] + [g.array for g in gxs if g is not None]

    @jaxchain.static
    def step(values):
        queue = iter(values)
        args, kwargs, xs = rows.materialise(key, sample, "float32", lambda _: Variable(next(queue)))
        outs = rows.evaluate(case, F, args, kwargs)
        floating = [
            (y, Variable(rows.cotangent(key, k, y.shape, y.dtype)))
            for k, y in enumerate(outs)
            if np.issubdtype(y.dtype, np.floating) and y.creator_node is not None
        ]
        grads = []
        if floating and xs:
            tops, gys = zip(*floating, strict=True)
            grads = jaxchain.grad(list(tops), xs, list(gys))
        return [y.array for y in outs] + [g.array for g in grads if g is not None]

    values = [x.array for x in inputs]
    for _ in range(2):
        got = step(values)
        assert len(got) == len(expected)
        for a, b in zip(got, expected, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(np.asarray(a, "float64"), np.asarray(b, "float64"), rtol=2e-5, atol=2e-6)


@contextlib.contextmanager
def compiles():
    """Count compilations."""
    counted = []
    active = [True]

    def listen(event, duration, **_):
        if active[0] and "backend_compile" in event:
            counted.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield counted
    active[0] = False


@pytest.mark.parametrize("case", ROWS)
def test_a_second_call_and_another_float_do_not_compile(case):
    key, sample = f"{case.name}/0", case.samples[0]
    changed = rows.S(*sample.args, **sample.kwargs)
    for name, value in case.floats.items():
        if isinstance(name, int):
            changed.args = (*changed.args[:name], value, *changed.args[name + 1 :])
        else:
            changed.kwargs = {**changed.kwargs, name: value}
    run(case, key, sample, "float32")
    with compiles() as counted:
        run(case, key, sample, "float32")
        run(case, key, changed, "float32")
    assert not counted


ERRORS = [
    pytest.param(name, i, *error, id=f"{name}-{i}")
    for name, (_, case) in CASES.items()
    for i, error in enumerate(case.errors)
]
# What Chainer raises in the middle of a function that did not look at its inputs: the row says what is right.
ACCIDENTS = ("AttributeError", "IndexError", "LinAlgError", "RuntimeError", "ZeroDivisionError")
# Rows of errors where Chainer raises nothing, and what it does instead.
ACCEPTED_BY_CHAINER = {
    "batch_matmul": "broadcasts batches of one; then its gradient raises",
    "crf1d": "sequences that are not sorted by length get the loss of others",
    "huber_loss": "a negative delta; then its gradient raises",
    "discriminative_margin_based_clustering_loss": "broadcasts the labels of one row to all rows",
    "n_step_bigru": "a step with more rows than the one before starts them from the state of none",
    "n_step_bilstm": "the same",
    "n_step_gru": "the same",
    "n_step_lstm": "the same",
    "n_step_rnn": "the same",
    "sum_to": "a shape that does not fit gives the sum of something else",
}


@pytest.mark.parametrize(("name", "i", "sample", "kind", "text"), ERRORS)
def test_errors(name, i, sample, kind, text):
    table, case = CASES[name]
    error = rows.fault(case, F, sample, Variable)
    assert isinstance(error, kind)
    assert text in str(error)
    if type(error).__name__ in ("InvalidType", "InvalidValue"):
        assert "rows.py" in str(error) or "<string>" in str(error)  # the user's line
    chainers = golden(table).get(f"{name}/error{i}")
    if not chainers:
        assert name in ACCEPTED_BY_CHAINER
    elif chainers not in ACCIDENTS:
        assert chainers in [kind.__name__ for kind in type(error).__mro__]


NAMES = [name for name in vars(F) if not name.startswith("_") and callable(getattr(F, name))]


def test_every_function_has_a_row():
    assert {n for n in NAMES if n != "batch_normalization_with_statistics"} <= set(CASES)


WHOLE = [name for name in CASES if name in NAMES or name.startswith("operator")]


@pytest.mark.parametrize("name", WHOLE)
def test_a_row_is_whole(name):
    case = CASES[name][1]
    assert len(case.samples) >= 6
    assert {"float16", "float64"} <= set(case.dtypes)
    assert [row for title, (_, row) in CASES.items() if title.split(",")[0].split(" of ")[0] == name and row.errors]


def test_no_reason_is_left_over():
    """What `ACCEPTED_BY_CHAINER` names has a row of an error that Chainer does not raise."""
    rows_ = {name: [golden(t).get(f"{name}/error{i}") for i in range(len(c.errors))] for name, (t, c) in CASES.items()}
    assert {name for name, kinds in rows_.items() if "" in kinds} == set(ACCEPTED_BY_CHAINER)


RETAINS = [pytest.param(case, id=name) for name, (_, case) in CASES.items() if case.retains is not None]


@pytest.mark.parametrize("case", RETAINS)
def test_retains_what_the_gradient_reads(case):
    args, kwargs, _ = rows.materialise(f"{case.name}/0", case.samples[0], "float32", Variable)
    node = rows.evaluate(case, F, args, kwargs)[0].creator
    ins, outs = node.plan.retained(node.scalars)
    inputs = [p.name for p in node.plan.op.signature.parameters if p.kind in ("array", "optional")]
    assert tuple([inputs[i] for i in ins] + [f"y{i}" for i in outs]) == case.retains


@pytest.mark.parametrize("name", NAMES)
def test_docstring(name):
    text = inspect.getdoc(getattr(F, name))
    for section in ("Args:", "Returns:", "Source:", "Examples:"):
        assert section in text, section
