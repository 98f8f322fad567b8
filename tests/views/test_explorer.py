"""The explorer's page: what is in it, and how it behaves in a browser."""

import json
import re

import numpy as np
import pytest
from browser import browser, run

import jaxchain
import jaxchain.functions as F
import jaxchain.links as L
from jaxchain.views import programs
from jaxchain.views.linked import Linked, link
from jaxchain.views.model import Builder
from jaxchain.views.writers import explorer

HOSTILE = "</script><script>document.title='broken'</script>"


class Net(jaxchain.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.l1, self.l2 = L.Linear(4, 8), L.Linear(8, 3)

    def forward(self, x):
        return self.l2(F.relu(self.l1(x)))


@pytest.fixture(scope="module")
def linked():
    return link(programs.program(Net(), np.ones((2, 4), np.float32)))


def data_of(page):
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S).group(1))


def test_the_page_needs_nothing_else(linked):
    page = explorer.write({"one": linked})
    assert "{{" not in page.split('<script id="data"')[0]
    assert not re.search(r"""(?:src|href)\s*=|@import|url\((?!#)|fetch\(|XMLHttpRequest""", page)
    assert [p["name"] for p in data_of(page)[0]["panes"]] == ["eager graph", "jaxpr", "optimised HLO"]


def test_ids_of_edges_and_owners_are_there(linked):
    eager, *others = data_of(explorer.write({"one": linked}))[0]["panes"]
    nodes = {n["id"] for n in eager["nodes"]}
    for pane in (eager, *others):
        own = {n["id"] for n in pane["nodes"]}
        assert all(a in own and b in own and a != b for a, b in pane["edges"])
        assert all(set(n["own"]) <= nodes for n in pane["nodes"])


def test_a_hostile_title_stays_text(linked):
    page = explorer.write({HOSTILE: linked}, {HOSTILE: [(HOSTILE, HOSTILE)]})
    assert HOSTILE not in page
    assert data_of(page)[0]["title"] == HOSTILE


def test_no_program_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        explorer.write({})


@browser
def test_highlights_connect_the_right_nodes(linked, tmp_path):
    script = """
      document.querySelectorAll('.pane button[title="Open all frames"]').forEach(b => b.click());
      const e = document.querySelector('.node[data-id="e2"]');
      e.dispatchEvent(new PointerEvent('pointerenter'));
      return [...document.querySelectorAll('.node.hot')].map(n => n.dataset.id);
    """
    hot = set(run(explorer.write({"one": linked}), script, tmp_path))
    panes = data_of(explorer.write({"one": linked}))[0]["panes"]
    assert hot == {n["id"] for p in panes for n in p["nodes"] if "e2" in n["own"]}
    assert {id_[0] for id_ in hot} == {"e", "j", "h"}


@browser
def test_search_tabs_roles_and_the_card(linked, tmp_path):
    script = """
      const s = document.querySelector('#search'); s.value = 'relu'; s.dispatchEvent(new Event('input'));
      const found = document.querySelector('#found').textContent;
      document.querySelectorAll('#tabs button')[1].click();
      document.querySelector('.node[data-id="e1"]').dispatchEvent(new MouseEvent('click', {bubbles: true}));
      const card = document.querySelector('#card').textContent;
      document.querySelector('[data-role=forward]').click();
      const left = document.querySelectorAll('.node[data-id^="e"]').length;
      return [found, card, left, document.title, document.querySelectorAll('#tabs button')[1].textContent];
    """
    page = explorer.write({"one": linked, HOSTILE: linked})
    found, card, left, title, tab = run(page, script, tmp_path)
    words = [n for p in data_of(page)[0]["panes"] for n in p["nodes"]]
    number = sum(
        "relu" in " ".join((n["label"], "/".join(n["group"]), n["sub"], n["id"], n["more"].get("name", ""))).lower()
        for n in words
    )
    assert found == f"{number} found" and number >= 2
    assert "LinearFunction" in card and "/l1" in card
    assert left == 0
    assert title != "broken" and tab == HOSTILE


@browser
def test_three_thousand_nodes_start_closed(linked, tmp_path):
    builder = Builder("jaxpr", "large")
    before = None
    for k in range(3000):
        node = builder.node(f"add {k}", "equation", None, scope=f"l{k}", outputs=["float32[3]"])
        if before is not None:
            builder.edge(before, node)
        before = node
    large = builder.build()
    many = Linked(**{**vars(linked), "jaxpr": large, "owners": {}, "outside": tuple("j" + n.id for n in large.nodes)})
    drawn, ready = run(
        explorer.write({"one": many}),
        "return [document.querySelectorAll('.node').length, +document.documentElement.dataset.ready]",
        tmp_path,
    )
    assert drawn < 300
    assert ready > 0


@browser
def test_hostile_names_of_variables_and_links(tmp_path):
    class Named(jaxchain.Chain):
        def __init__(self):
            super().__init__()
            self.add_link("<img src=x onerror=document.title='broken'>", L.Linear(4, 3))
            self.add_param("<b>", (3,), initializer=1)

        def forward(self, x):
            return F.relu(next(self.children())(x)) * next(self.params(include_uninit=False))[:3].array

    x = jaxchain.Variable(np.ones((3, 4), np.float32), name=HOSTILE)
    report = jaxchain.contrast(Named(), x, repeats=1)
    script = """
      document.querySelectorAll('.pane button[title="Open all frames"]').forEach(b => b.click());
      for (const n of document.querySelectorAll('.node')) n.dispatchEvent(new MouseEvent('click', {bubbles: true}));
      return [document.title, document.images.length, document.querySelectorAll('b, script').length,
              document.body.textContent.includes("▾ <img src=x onerror=")];
    """
    title, images, marks, shown = run(report.explorer(), script, tmp_path)
    assert title != "broken" and images == 0 and shown
    assert marks == 9 + 4  # the strip's totals and facts; the scripts of the page and of this test
    assert HOSTILE not in report.explorer() and HOSTILE not in report._repr_html_()


@browser
def test_on_paper_nothing_is_cut_off(linked, tmp_path):
    script = """
      const boxes = () => [...document.querySelectorAll('.pane svg')].map(s => s.getAttribute('viewBox'));
      const before = [...document.querySelectorAll('.pane svg > g')].map(g => g.getAttribute('transform'));
      dispatchEvent(new Event('beforeprint'));
      const sizes = [...document.querySelectorAll('.pane svg')].map(s => {
        const all = s.querySelector('g').getBBox(), [x, y, w, h] = s.getAttribute('viewBox').split(' ').map(Number);
        const inside = all.x >= x && all.y >= y && all.x + all.width <= w && all.y + all.height <= h;
        return inside && +s.getAttribute('width') <= 670;
      });
      dispatchEvent(new Event('afterprint'));
      const after = [...document.querySelectorAll('.pane svg > g')].map(g => g.getAttribute('transform'));
      return [sizes, boxes(), JSON.stringify(before) === JSON.stringify(after)];
    """
    assert run(explorer.write({"one": linked}), script, tmp_path) == [[True] * 3, [None] * 3, True]
