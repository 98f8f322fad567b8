"""The explorer's page: what is in it, and how it behaves in a browser."""

import json
import re
from itertools import pairwise

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


@pytest.fixture(scope="module")
def step():
    model, x = Net(), np.ones((2, 4), np.float32)
    optimizer = jaxchain.optimizers.SGD().setup(model)

    def step(x):
        loss = F.sum(model(x) ** 2)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    step(x)
    return link(programs.program(step, x))


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


def test_a_loop_stands_where_its_ops_are():
    def run(xs):
        return jaxchain.scan(lambda total, x: (F.tanh(total + x), total * x), jaxchain.Variable(np.float32(0)), xs)

    report = jaxchain.contrast(run, np.arange(5, dtype=np.float32), repeats=1)
    both, forward = data_of(report.explorer())
    loops = [n for n in both["panes"][2]["nodes"] if n["label"] == "while"]
    assert [(n["group"], n["role"]) for n in loops] == [(["scan"], "forward"), (["backward", "scan"], "backward")]
    assert set(loops[0]["own"]) == {n["id"] for n in both["panes"][0]["nodes"]}
    assert dict(both["totals"])["kernels"] == report.backward.kernels
    assert dict(forward["totals"])["kernels"] == report.forward.kernels
    assert len(both["panes"][2]["nodes"]) + both["panes"][2]["inside"] == report.backward.kernels
    assert both["panes"][2]["inside"] > 0


def test_functions_that_a_gradient_runs_are_backward():
    class Square(jaxchain.FunctionNode):
        def forward(self, inputs):
            self.retain_inputs((0,))
            return (inputs[0] * inputs[0],)

        def backward(self, indexes, gradients):
            (x,) = self.get_retained_inputs()
            return (F.tanh(x) * gradients[0],)

    def step(x):
        F.sum(Square().apply((F.forget(F.exp, x),))[0]).backward()
        return x.grad

    eager = data_of(explorer.write({"step": link(programs.program(step, jaxchain.Variable(np.ones(3, "f"))))}))
    roles = [(n["label"], n["role"]) for n in eager[0]["panes"][0]["nodes"]]
    forward, backward = ("Forget", "exp", "Square", "Sum"), ("Tanh", "_ * _", "exp", "Identity")
    assert roles == [*((name, "forward") for name in forward), *((name, "backward") for name in backward)]


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
def test_search_tabs_and_the_card(linked, tmp_path):
    script = """
      const s = document.querySelector('#search'); s.value = 'relu'; s.dispatchEvent(new Event('input'));
      const found = document.querySelector('#found').textContent;
      const listed = document.querySelectorAll('.hit').length;
      document.querySelectorAll('#tabs button')[1].click();
      document.querySelector('.node[data-id="e1"]').dispatchEvent(new MouseEvent('click', {bubbles: true}));
      const card = document.querySelector('#card').textContent;
      const tab = document.querySelectorAll('#tabs button')[1].textContent;
      const named = [document.querySelector('.node[data-id="e1"]'), ...document.querySelectorAll('.pane button')];
      const names = named.map(e => e.getAttribute('aria-label'));
      s.value = 'linear'; s.dispatchEvent(new Event('input'));
      const kernels = document.querySelectorAll('#hits .pane-name ~ .pane-name ~ .pane-name ~ .hit b');
      const order = [...kernels].map(b => b.textContent.includes('Linear'));
      return [found, listed, card, document.title, tab, names, order];
    """
    page = explorer.write({"one": linked, HOSTILE: linked})
    found, listed, card, title, tab, names, order = run(page, script, tmp_path)
    words = [n for p in data_of(page)[0]["panes"] for n in p["nodes"]]
    number = sum(
        "relu" in " ".join((n["label"], "/".join(n["group"]), n["sub"], n["id"], n["more"].get("name", ""))).lower()
        for n in words
    )
    assert found == f"{number} found" and number >= 2 and listed == number
    assert "LinearFunction" in card and "l1" in card
    assert title != "broken" and tab == HOSTILE
    assert names[0].startswith("LinearFunction f32[2,8], ") and len(set(names)) == 1 + 9
    assert len(set(order)) == 2 and order == sorted(order, reverse=True)  # own names come before those of frames


@browser
def test_a_step_by_its_roles(step, tmp_path):
    script = """
      document.querySelectorAll('.pane button[title="Open all frames"]').forEach(b => b.click());
      const shown = {};
      for (const b of document.querySelectorAll('#roles button')) {
        b.click(); shown[b.dataset.role] = [...document.querySelectorAll('.node')].map(n => n.dataset.id);
        shown[b.dataset.role + ' empty'] = document.querySelectorAll('.empty:not([hidden])').length;
      }
      return shown;
    """
    page = explorer.write({"step": step})
    nodes = {n["id"]: n for p in data_of(page)[0]["panes"] for n in p["nodes"]}
    shown = run(page, script, tmp_path)
    assert set(shown["both"]) == set(nodes)
    assert set(shown["forward"]) == {k for k, n in nodes.items() if n["role"] != "backward"}
    gradients = {k for k, n in nodes.items() if n["role"] in ("backward", "other") or n.get("gradient")}
    assert set(shown["backward"]) == gradients and {k[0] for k in gradients} == {"e", "j", "h"}
    assert [shown[f"{role} empty"] for role in ("both", "forward", "backward")] == [0, 0, 0]


@browser
def test_it_can_be_used_without_a_mouse(step, tmp_path):
    script = """
      const press = (key, at) => (at || document.activeElement).dispatchEvent(
        new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
      const held = () => document.querySelector('#card h3').textContent;
      const focus = () => document.activeElement.dataset.id;
      press('/', document.body);
      const s = document.querySelector('#search'), searching = document.activeElement === s;
      s.value = 'linear'; s.dispatchEvent(new Event('input')); press('ArrowDown');
      const chosen = document.querySelector('.hit[aria-selected=true] b').textContent; press('Enter');
      const went = [held(), focus()]; press('ArrowUp'); press('ArrowUp');
      const above = focus(); press('Enter'); const now = held();
      press('3'); const kernel = focus(); press('Escape');
      const pane = document.querySelector('.pane svg'), stops = pane.querySelectorAll('[tabindex="0"]').length;
      return [searching, chosen, went, above, now, kernel, document.querySelector('#card').hidden, stops];
    """
    searching, chosen, went, above, now, kernel, let_go, stops = run(explorer.write({"s": step}), script, tmp_path)
    assert searching and chosen == "LinearFunction" and went == ["LinearFunction", "e3"]
    assert above == "e2" and now == "ReLU"  # above it are the frame of l2 and what l2 reads
    assert "e2" in step.owners[kernel] and let_go and stops == 1


def branching(x):
    """Return a sum next to a long side branch: one layer holds a tall frame and a low box."""
    h = F.relu(x)
    return F.sum(h) + F.sum(F.log_softmax(h)) if (h.array.mean() * 2 + 1) > 0 else h


@browser
@pytest.mark.parametrize("which", ["step", "branching"])
def test_edges_cross_no_box_and_boxes_do_not_overlap(which, step, tmp_path):
    script = """
      document.querySelectorAll('.pane button[title="Open all frames"]').forEach(b => b.click());
      const bad = []; let paths = 0;
      for (const pane of document.querySelectorAll('.pane svg')) {
        const boxes = [...pane.querySelectorAll('.node > rect:first-of-type')].map(r => r.getBBox());
        boxes.forEach((a, i) => boxes.slice(i + 1).forEach(b => {
          const apart = a.x >= b.x + b.width || b.x >= a.x + a.width || a.y >= b.y + b.height || b.y >= a.y + a.height;
          if (!apart) bad.push('boxes');
        }));
        for (const p of pane.querySelectorAll('.edge:not(.up)')) {
          paths++;
          const length = p.getTotalLength(), ends = [p.getPointAtLength(0), p.getPointAtLength(length)];
          for (let d = 3; d < length - 3; d += 4) {
            const q = p.getPointAtLength(d);
            const between = (v, low, size) => v >= low && v <= low + size;
            const inside = (p, b, m) => between(p.x, b.x, b.width) && between(p.y, b.y - m, b.height + 2 * m);
            if (boxes.some(b => inside(q, b, -0.1) && !ends.some(e => inside(e, b, 2)))) { bad.push('edge'); break; }
          }
        }
      }
      return [paths, bad];
    """
    linked = step if which == "step" else link(programs.program(branching, np.ones((4, 8), np.float32)))
    paths, bad = run(explorer.write({which: linked}), script, tmp_path)
    assert paths > 15 and bad == []


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
def test_fingers(linked, tmp_path):
    script = """
      const pane = document.querySelectorAll('.pane')[2], svg = pane.querySelector('svg');
      const button = pane.querySelectorAll('button')[2];
      pane.querySelector('small').textContent += ' and many more words'.repeat(9);
      pane.style.width = '250px';
      const inside = button.getBoundingClientRect().right < pane.getBoundingClientRect().right;
      const at = () => svg.querySelector(':scope > g').getAttribute('transform').match(/[-\\d.]+/g).map(Number);
      const finger = (type, pointerId, clientX, clientY = 400) =>
        svg.dispatchEvent(new PointerEvent('pointer' + type, {pointerId, clientX, clientY, bubbles: true}));
      const before = at();
      finger('down', 1, 100); finger('down', 2, 200); finger('move', 2, 250); finger('move', 1, 50);
      const pinched = at();
      finger('up', 1, 50); finger('move', 2, 260, 405);
      const dragged = at();
      finger('up', 2, 260, 405);
      finger('move', 2, 400);
      return [inside, pinched[2] / before[2], dragged.map((v, k) => v - pinched[k]), at().join() === dragged.join()];
    """
    inside, zoomed, dragged, let_go = run(explorer.write({"one": linked}), script, tmp_path)
    assert inside and let_go
    assert zoomed == pytest.approx(2) and dragged == pytest.approx([10, 5, 0])


@browser
def test_thousands_of_nodes_outside_frames_are_drawn_as_runs(linked, tmp_path):
    builder = Builder("jaxpr", "flat")
    nodes = [builder.node(f"add {k}", "equation", None, outputs=["float32[3]"]) for k in range(5000)]
    for a, b in pairwise(nodes):
        builder.edge(a, b)
    flat = {"jaxpr": builder.build(), "owners": {}, "outside": tuple(f"j{node}" for node in nodes)}
    script = """
      const pane = document.querySelectorAll('.pane')[1], drawn = () => pane.querySelectorAll('.node, .frame').length;
      const name = pane.querySelector('.frame').getAttribute('aria-label');
      const closed = [drawn(), name, pane.querySelector('small').textContent];
      const s = document.querySelector('#search'); s.value = 'add 4321'; s.dispatchEvent(new Event('input'));
      s.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'}));
      const found = [document.activeElement.dataset.id, drawn()];
      pane.querySelector('button[title="Open all frames"]').click();
      return [closed, found, drawn()];
    """
    closed, found, opened = run(explorer.write({"one": Linked(**{**vars(linked), **flat})}), script, tmp_path)
    assert closed == [1, "between the ops, 5,000 nodes", "5,000"]
    assert found == ["jn4322", 1 + 50 + 100]
    assert 1000 < opened < 1700


@browser
def test_a_graph_far_wider_than_its_pane_is_legible(linked, tmp_path):
    builder = Builder("jaxpr", "wide")
    nodes = [builder.node(f"add {k}", "equation", None, outputs=["float32[3]"]) for k in range(600)]
    for node in nodes[1:]:
        builder.edge(nodes[0], node)
    changed = {"jaxpr": builder.build(), "owners": {}, "outside": tuple(f"j{node}" for node in nodes)}
    page = explorer.write({"one": Linked(**{**vars(linked), **changed})})
    script = """
      const pane = document.querySelectorAll('.pane')[1];
      for (const title of ['Open all frames', 'Fit']) pane.querySelector(`button[title="${title}"]`).click();
      const [room, box] = ['svg', '.node'].map(s => pane.querySelector(s).getBoundingClientRect());
      return [box.height > 8, box.left > room.left && box.right < room.right];
    """
    assert run(page, script, tmp_path) == [True, True]


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
      const ours = '#strip b, #legend b', marks = document.querySelectorAll('b, script').length;
      return [document.title, document.images.length, marks - document.querySelectorAll(ours).length,
              document.body.textContent.includes("▾ <img src=x onerror=")];
    """
    title, images, marks, shown = run(report.explorer(), script, tmp_path)
    assert title != "broken" and images == 0 and shown
    assert marks == 4  # the scripts of the page and of this test
    assert HOSTILE not in report.explorer() and HOSTILE not in report._repr_html_()


@browser
def test_names_of_wide_letters_stay_in_their_boxes(tmp_path):
    class Named(jaxchain.Chain):
        def forward(self, x):
            for child in self.children():
                x = child(x)
            return x

    model = Named()
    for name in ("W" * 60, "\u6f22" * 20, "i" * 40):
        model.add_link(name, jaxchain.Sequential(L.Linear(4, 4), F.relu))
    x = jaxchain.Variable(np.ones((2, 4), np.float32))
    page = explorer.write({"forward": link(programs.program(model, x))})
    script = """
      const over = () => [...document.querySelectorAll('g.node, g.frame')].flatMap(g => {
        const box = g.querySelector('rect').getBBox(), right = t => t.getBBox().x + t.getBBox().width;
        return [...g.querySelectorAll('text')].filter(t => right(t) > box.x + box.width).map(t => t.textContent);
      });
      const press = s => document.querySelectorAll(`.pane button[title="${s} all frames"]`).forEach(b => b.click());
      const boxes = () => document.querySelectorAll('g.node, g.frame').length;
      press('Open'); const opened = over(), many = boxes();
      press('Close'); return [opened, over(), many > boxes(), document.body.textContent.includes('WWWWW…')];
    """
    assert run(page, script, tmp_path) == [[], [], True, True]


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


@browser
def test_a_long_chain_stands_upright(tmp_path):
    def deep(x):
        for _ in range(100):
            x = F.relu(F.tanh(x)) + x * 0.5
        return x

    page = explorer.write({"one": link(programs.program(deep, jaxchain.Variable(np.ones(3, np.float32))))})
    script = """
      return [...document.querySelectorAll('.pane svg > g')].map((g) => {
        const b = g.getBBox(), boxes = [...g.querySelectorAll('.node > rect:first-child')].map((r) => r.getBBox());
        const apart = boxes.every((a, k) => boxes.slice(k + 1).every(
          (c) => Math.abs(a.y - c.y) > 40 || Math.abs(a.x - c.x) > 190));
        return [b.width, b.height, +/scale\\((.*)\\)/.exec(g.getAttribute('transform'))[1], apart];
      });
    """
    panes = run(page, script, tmp_path)
    for width, height, scale, apart in panes[:2]:  # the HLO is a few fusions
        assert width < 900 < 10_000 < height and scale > 0.45 and apart
