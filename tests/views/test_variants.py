"""The variants of a static function as tabs of the explorer."""

from types import SimpleNamespace

import numpy as np
import pytest
from browser import browser, run

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain.views import variants as variants_view
from jaxchain.views.variants import explore, facts, variants


@pytest.fixture(scope="module")
def step():
    model = L.Linear(3, 2)

    @jaxchain.static
    def step(x, unread):
        h = model(x)
        return F.sum(F.relu(h) if x.array.mean() > 0 else F.sigmoid(h))

    for sign in (1, -1, 1):
        step(jaxchain.Variable(np.full((2, 3), sign, np.float32)), np.zeros(3, np.float32))
    return step


def test_a_program_per_path(step):
    found = variants(step)
    assert [title.split(":")[0] for title in found] == ["1. test_variants.py", "2. test_variants.py"]
    assert [title.rsplit(" ", 1)[1] for title in found] == ["True", "False"]
    assert [[n[0] for n in p.nodes][1] for p in found.values()] == ["ReLU", "Sigmoid"]
    assert all(set(p.inputs) == {"model.W", "model.b", "x"} for p in found.values())
    told = [dict(f) for f in facts(step).values()]
    assert [f["calls"] for f in told] == ["2", "1"]
    assert [f["misses"] for f in told] == [str(c.variant.misses) for c in step.explain().compiles]
    assert all(f["memory: arguments"] for f in told)


@browser
def test_tabs(step, tmp_path):
    script = """
      const nodes = '.node[data-id^="e"] text:first-of-type';
      const seen = () => [...document.querySelectorAll(nodes)].map(t => t.textContent);
      const tabs = [...document.querySelectorAll('#tabs button')], first = seen();
      tabs[1].click();
      return [tabs.length, first, seen()];
    """
    number, first, second = run(explore(step, tmp_path / "paths.html").read_text(), script, tmp_path)
    assert number == 2
    assert "ReLU" in first and "Sigmoid" not in first and "Sigmoid" in second and "ReLU" not in second


def test_contrast_shows_them_too(step):
    report = jaxchain.contrast(
        step, jaxchain.Variable(np.ones((2, 3), np.float32)), np.zeros(3, np.float32), repeats=1, gradients=False
    )
    assert list(report.levels) == ["forward", *variants(step)]


def test_a_static_link():
    model = L.Linear(3, 2).static()
    with pytest.raises(ValueError, match="call it first"):
        explore(model, "nowhere.html")
    model(np.ones((1, 3), np.float32))
    model(np.ones((2, 3), np.float32))
    assert [p.jaxpr.out_avals[0].shape for p in variants(model).values()] == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("reason", "title"),
    [
        ("first call", "a.py:1 took True"),
        ("branch at a.py:1 took True", "a.py:1 took True"),
        ("arg x: float32[2] -> float32[3]", "arg x: float32[2] -> float32[3]; a.py:1 took True"),
    ],
)
def test_a_tab_tells_what_no_other_does(reason, title):
    traced = SimpleNamespace(guards=["branch at a.py:1 took True"])
    compiled = SimpleNamespace(reason=reason, variant=SimpleNamespace(traced=traced, hits=1))
    assert variants_view.title_of(compiled) == title


def test_only_static_functions():
    with pytest.raises(TypeError, match="got function"):
        variants(lambda x: x)
