"""`graph.animate`: the page on which a graph grows."""

import re

import numpy as np
from browser import browser, run

import jaxchain
import jaxchain.functions as F
from jaxchain.views.computational_graph import build_computational_graph

HOSTILE = "</script><script>document.title='broken'</script>"


def page_of(tmp_path, graph):
    path = graph.animate(tmp_path / "grows.html", title=HOSTILE)
    return path.read_text()


def graph():
    x = jaxchain.Variable(np.ones((2, 3), np.float32), name=HOSTILE)
    w = jaxchain.Variable(np.ones((2, 3), np.float32), name="w")
    return build_computational_graph(F.sum(F.relu(x) + w))


def test_the_page_needs_nothing_else(tmp_path):
    page = page_of(tmp_path, graph())
    assert not re.search(r"""(?:src|href)\s*=|@import|url\((?!#)|fetch\(|XMLHttpRequest""", page)
    assert HOSTILE not in page


@browser
def test_it_grows(tmp_path):
    script = """
      const all = (s) => [...document.querySelectorAll('#picture ' + s + ':not(.later)')];
      const seen = () => all('g.node').map(g => g.querySelector('text').textContent);
      const found = [seen()];
      for (let k = 0; k < 3; k++) { document.querySelector('#on').click(); found.push(seen()); }
      const slider = document.querySelector('#slider'); slider.value = 1; slider.dispatchEvent(new Event('input'));
      return [found, seen(), document.querySelector('#now').textContent, all('.edge').length, document.title];
    """
    found, back, now, edges, title = run(page_of(tmp_path, graph()), script, tmp_path)
    data = "(2, 3), float32"
    assert found[0] == []
    assert sorted(found[1]) == sorted([f"{HOSTILE}: {data}", "ReLU", data])
    assert sorted(set(found[2]) - set(found[1])) == ["_ + _", f"w: {data}"] and len(found[2]) == 6
    assert set(found[3]) - set(found[2]) == {"Sum", "float32"} and len(found[3]) == 8
    assert back == found[1] and edges == 2
    assert now.startswith("ReLU") and "test_animation.py" in now and "F.relu(x) + w" in now
    assert title != "broken" and title.startswith("</script>")


@browser
def test_a_narrow_window(tmp_path):
    page = graph().animate(tmp_path / "narrow.html", title="w" * 80).read_text()
    script = """
      const picture = document.querySelector('#picture').getBoundingClientRect(), root = document.documentElement;
      const first = [...document.querySelectorAll('#picture g.work')].map(g => g.getBoundingClientRect())[0];
      return [innerWidth, root.scrollWidth, first.left > picture.left && first.right < picture.right];
    """
    assert run(page, script, tmp_path, width=500) == [500, 500, True]


@browser
def test_labels_stay_in_their_boxes(tmp_path):
    class Long(jaxchain.FunctionNode):
        label = "a label of many letters " * 20

        def forward(self, inputs):
            return (inputs[0] * 2,)

    x = jaxchain.Variable(np.ones(3, np.float32))
    script = """
      return [...document.querySelectorAll('#picture g.node')].map(g => {
        const [text, box] = ['text', 'polygon, ellipse, path'].map(s => g.querySelector(s).getBBox());
        return text.x >= box.x && text.x + text.width <= box.x + box.width;
      });
    """
    assert run(page_of(tmp_path, build_computational_graph(Long().apply((x,)))), script, tmp_path) == [True] * 3


@browser
def test_a_program_grows_too(tmp_path):
    x = np.ones((2, 3), np.float32)
    view = jaxchain.jaxpr(lambda x: F.softmax(x), jaxchain.Variable(x)).to_graph()
    script = """
      document.querySelector('#slider').value = 99; document.querySelector('#slider').dispatchEvent(new Event('input'));
      return [document.querySelectorAll('.later').length, document.querySelector('#count').textContent];
    """
    steps = sum(n.kind in ("equation", "control") for n in view.nodes)
    assert run(page_of(tmp_path, view), script, tmp_path) == [0, f"{steps} of {steps}"]
