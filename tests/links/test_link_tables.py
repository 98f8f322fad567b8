"""The rows of conformance/link_cases_*.py, by the walk that test_links.py takes over link_cases.py."""

import importlib

import pytest
import test_links as walk
from packed import Packed

TABLES = [path.stem for path in sorted(walk.CONFORMANCE.glob("link_cases_*.py"))]
ROWS = [pytest.param(table, case, id=case.name) for table in TABLES for case in importlib.import_module(table).CASES]


# Rows that give a link other arguments, or have it find them out: in static mode they go with the slow sweeps.
VARIANTS = (
    *("_lazy", "_short", "_groups", "_dilate", "_nobias", "_state", "_shuffled", "_transpose", "_max", "_proj"),
    *("_gamma", "_beta", "_eps", "_factor", "_bounds", "_finetune", "relu_none"),
)
IN_MODES = [
    pytest.param(
        *p.values,
        mode,
        id=f"{p.id}-{mode}",
        marks=pytest.mark.slow if mode == "static" and p.id.endswith(VARIANTS) else (),
    )
    for p in ROWS
    for mode in ("eager", "static")
]


GOLDEN = {t: Packed(walk.CONFORMANCE / "golden" / f"links_{t[len('link_cases_') :]}.npz") for t in TABLES}


@pytest.fixture
def golden(monkeypatch):
    """Return a function that makes the walk read a table's answers."""
    return lambda table: monkeypatch.setattr(walk, "GOLDEN", GOLDEN[table])


def test_no_row_has_the_name_of_another():
    names = [case.values[1].name for case in ROWS] + [case.name for case in walk.link_cases.CASES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("table", "case", "mode"), IN_MODES)
def test_against_chainer(table, case, mode, golden):
    golden(table)
    walk.test_against_chainer(case, mode)


@pytest.mark.parametrize(("table", "case"), ROWS)
def test_names_and_keys(table, case, golden):
    golden(table)
    walk.test_names_and_keys(case)


@pytest.mark.parametrize(("table", "case"), ROWS)
def test_lazy_initialisation_is_the_same_in_both_modes(table, case):
    walk.test_lazy_initialisation_is_the_same_in_both_modes(case)
