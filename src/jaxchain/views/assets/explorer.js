"use strict";
(() => {
const DATA = JSON.parse(document.getElementById("data").textContent);
const $ = (s) => document.querySelector(s), SVG = "http://www.w3.org/2000/svg";
const el = (tag, attrs = {}, text) => { const e = document.createElement(tag); for (const k in attrs) e.setAttribute(k, attrs[k]); if (text !== undefined) e.textContent = text; return e; };
const svg = (tag, attrs = {}, text) => { const e = document.createElementNS(SVG, tag); for (const k in attrs) e.setAttribute(k, attrs[k]); if (text !== undefined) e.textContent = text; return e; };
const shown = { forward: true, backward: true };
const W = 178, H = 40, GX = 16, GY = 30, PAD = 12, HEAD = 24, ROW = 4, SIDE = 48;
const short = (s, n) => (s.length > n ? s.slice(0, n - 1) + "…" : s);
let panes = [], held = null;

// down from box to box; against the flow (frames can make cycles) from side to side
function curve(s, t) {
  if (t.y >= s.y + s.h) {
    const x1 = s.x + s.w / 2, y1 = s.y + s.h, x2 = t.x + t.w / 2, y2 = t.y, d = Math.max(14, (y2 - y1) / 2.2);
    return `M${x1} ${y1}C${x1} ${y1 + d} ${x2} ${y2 - d} ${x2} ${y2 - 1}`;
  }
  const y1 = s.y + s.h / 2, y2 = t.y + t.h / 2, side = t.x >= s.x + s.w ? 1 : t.x + t.w <= s.x ? -1 : 0;
  const x1 = s.x + (side < 0 ? 0 : s.w), x2 = t.x + (side > 0 ? -1 : t.w + 1), d = side ? 14 : Math.min(SIDE, 14 + Math.abs(y2 - y1) / 6);
  return `M${x1} ${y1}C${x1 + (side || 1) * d} ${y1} ${x2 + (side ? -side : 1) * d} ${y2} ${x2} ${y2}`;
}
class Pane {
  constructor(data, host) {
    this.data = data; this.open = new Set(); this.nodes = new Map(); this.view = { x: 0, y: 0, k: 1 };
    const box = el("div", { class: "pane" }), bar = el("div"), title = el("h2", {}, data.name);
    title.append(el("small", {}, String(data.nodes.length)));
    bar.append(title);
    const button = (text, hint, run) => { const b = el("button", { title: hint }, text); b.onclick = run; bar.append(b); };
    button("+", "Open all frames", () => { this.openAll(); this.draw(true); });
    button("−", "Close all frames", () => { this.open.clear(); this.draw(true); });
    button("⤢", "Fit", () => this.fit());
    this.svg = svg("svg", { role: "img", "aria-label": data.name }); this.g = svg("g"); this.svg.append(this.g);
    box.append(bar, this.svg); host.append(box);
    this.tree(); this.gestures();
    if (data.nodes.length <= 24) this.openAll();
    else for (const f of this.root.items) if (f.frame && f.role !== "backward" && f.items.length <= 12 && f.items.some((i) => i.frame)) this.open.add(f.key);
  }
  tree() {
    this.root = { key: "", items: [], parent: null, count: 0, label: "" }; this.frames = new Map([["", this.root]]);
    for (const n of this.data.nodes) {
      let at = this.root;
      for (const part of n.group) {
        const key = at.key + "/" + part;
        if (!this.frames.has(key)) { const f = { key, label: part, items: [], parent: at, frame: true, count: 0, role: n.role }; this.frames.set(key, f); at.items.push(f); }
        at = this.frames.get(key);
      }
      n.parent = at; at.items.push(n); this.nodes.set(n.id, n);
    }
  }
  openAll() { if (this.data.nodes.length <= 1500) for (const k of this.frames.keys()) this.open.add(k); else for (const f of this.root.items) if (f.frame) this.open.add(f.key); }
  visible(n) { return n.role === "other" || shown[n.role]; }
  standIn(n) { let top = n; for (let f = n.parent; f; f = f.parent) if (f !== this.root && !this.open.has(f.key)) top = f; return top; }
  chain(item) { const c = [item]; for (let f = item.parent; f && f !== this.root; f = f.parent) c.push(f); return c.reverse(); }
  draw(fit) {
    for (const f of this.frames.values()) { f.count = 0; f.links = new Map(); }
    for (const n of this.data.nodes) if (this.visible(n)) for (let f = n.parent; f; f = f.parent) f.count++;
    const pairs = new Map();
    for (const [a, b] of this.data.edges) {
      const u = this.nodes.get(a), v = this.nodes.get(b);
      if (!u || !v || !this.visible(u) || !this.visible(v)) continue;
      const s = this.standIn(u), t = this.standIn(v);
      if (s === t) continue;
      if (!pairs.has(s)) pairs.set(s, new Set());
      if (pairs.get(s).has(t)) continue;
      pairs.get(s).add(t);
      const x = this.chain(s), y = this.chain(t); let k = 0;
      while (x[k] && x[k] === y[k]) k++;
      if (!x[k] || !y[k]) continue;
      const home = k ? x[k - 1] : this.root;
      if (!home.links.has(x[k])) home.links.set(x[k], new Set());
      home.links.get(x[k]).add(y[k]);
    }
    this.g.replaceChildren(); this.shapes = new Map();
    this.measure(this.root); this.place(this.root, 0, 0);
    const lines = svg("g"); 
    this.lines = [];
    this.paint(this.root, this.g);
    for (const [s, ts] of pairs) for (const t of ts) {
      const path = svg("path", { class: "edge" + (t.y < s.y + s.h ? " up" : ""), d: curve(s, t), "marker-end": "url(#tip)" });
      lines.append(path); this.lines.push([s, t, path]);
    }
    this.g.prepend(lines);
    if (fit) this.fit();
    light();
  }
  measure(frame) {
    const items = frame.items.filter((i) => (i.frame ? i.count : this.visible(i)));
    for (const i of items) { if (i.frame && this.open.has(i.key)) this.measure(i); else { i.w = W; i.h = H; i.layers = null; } }
    const rank = new Map(items.map((i) => [i, 0])), order = new Map(items.map((i, k) => [i, k])), ins = new Map(items.map((i) => [i, []]));
    // walk order is nearly topological; frames can make cycles, whose back edges do not count, nor what leads from backward to forward
    const flows = (i, t) => rank.has(t) && (i.role !== "backward" || t.role === "backward");
    const state = new Map(), post = [];
    for (const start of items) {
      const stack = [[start, null]];
      while (stack.length) {
        const top = stack[stack.length - 1], [i] = top;
        if (!top[1]) { if (state.get(i)) { stack.pop(); continue; } state.set(i, 1); top[1] = [...(frame.links.get(i) || [])].filter((t) => flows(i, t)).values(); }
        const next = top[1].next();
        if (next.done) { state.set(i, 2); post.push(i); stack.pop(); }
        else if (state.get(next.value) !== 1) { ins.get(next.value).push(i); if (!state.get(next.value)) stack.push([next.value, null]); }
      }
    }
    for (const i of post.reverse()) for (const s of ins.get(i)) rank.set(i, Math.max(rank.get(i), rank.get(s) + 1));
    const byRank = [];
    for (const i of items) (byRank[rank.get(i)] ||= []).push(i);
    const at = new Map(), layers = [];
    for (const layer of byRank.filter(Boolean)) {
      const want = (i) => { const s = ins.get(i).filter((p) => at.has(p)); return s.length ? s.reduce((a, p) => a + at.get(p), 0) / s.length : order.get(i) / items.length; };
      const wish = new Map(layer.map((i) => [i, want(i)]));
      layer.sort((a, b) => wish.get(a) - wish.get(b) || order.get(a) - order.get(b));
      const per = layer.some((i) => i.layers) ? 2 : Math.max(ROW, Math.ceil(Math.sqrt(layer.length)));
      for (let k = 0; k < layer.length; k += per) layers.push(layer.slice(k, k + per));
      layer.forEach((i, k) => at.set(i, (k + 0.5) / layer.length));
    }
    frame.layers = layers;
    const inner = Math.max(W, ...layers.map((l) => l.reduce((a, i) => a + i.w + GX, -GX)));
    frame.w = inner + 2 * PAD; frame.h = HEAD + PAD + layers.reduce((a, l) => a + Math.max(...l.map((i) => i.h)) + GY, -GY);
  }
  place(frame, x, y) {
    frame.x = x; frame.y = y; let top = y + HEAD;
    for (const layer of frame.layers) {
      let left = x + (frame.w - layer.reduce((a, i) => a + i.w + GX, -GX)) / 2;
      for (const i of layer) { if (i.layers) this.place(i, left, top); else { i.x = left; i.y = top; } left += i.w + GX; }
      top += Math.max(...layer.map((i) => i.h)) + GY;
    }
  }
  paint(frame, host) {
    for (const i of frame.layers.flat()) {
      if (i.frame) {
        const open = this.open.has(i.key), g = svg("g", { class: `frame ${open ? "open" : "closed"}${i.role === "backward" ? " back" : ""}`, "data-frame": i.key });
        g.append(svg("rect", { x: i.x, y: i.y, width: i.w, height: i.h, rx: 10 }));
        g.append(svg("text", { x: i.x + 11, y: i.y + (open ? 16 : 17) }, (open ? "▾ " : "▸ ") + short(i.label, 21)));
        if (!open) g.append(svg("text", { x: i.x + 24, y: i.y + 32, class: "sub" }, `${i.count} ${i.count === 1 ? "node" : "nodes"}`));
        const head = svg("rect", { class: "head", x: i.x, y: i.y, width: i.w, height: open ? HEAD : i.h, fill: "transparent", style: "fill:transparent;stroke:none" });
        head.append(svg("title", {}, i.label));
        g.append(head);
        head.onclick = () => { if (!this.moved) { open ? this.open.delete(i.key) : this.open.add(i.key); this.draw(false); } };
        head.onpointerenter = () => { if (!open) hover(this.under(i)); }; head.onpointerleave = () => hover(null);
        host.append(g); this.shapes.set(i, g);
        if (open) this.paint(i, host);
      } else {
        const kind = i.kind === "library call" ? "library" : i.kind === "no equation" ? "removed" : i.kind;
        const g = svg("g", { class: `node k-${kind}${i.role === "backward" ? " back" : ""}`, "data-id": i.id, tabindex: 0 });
        g.append(svg("rect", { x: i.x, y: i.y, width: i.w, height: i.h, rx: 8 }), svg("rect", { class: "bar", x: i.x + 5, y: i.y + 8, width: 3.5, height: i.h - 16, rx: 2 }));
        g.append(svg("text", { x: i.x + 15, y: i.y + 17 }, short(i.label.replace(/\n/g, " "), 25)), svg("text", { x: i.x + 15, y: i.y + 32, class: "sub" }, short(i.sub, 25)));
        g.append(svg("title", {}, i.label + "\n" + i.sub));
        g.onpointerenter = () => hover([i]); g.onpointerleave = () => hover(null);
        g.onclick = (e) => { e.stopPropagation(); if (!this.moved) hold(this, i); };
        g.onkeydown = (e) => { if (e.key === "Enter") hold(this, i); };
        host.append(g); this.shapes.set(i, g);
      }
    }
  }
  under(frame) { return this.data.nodes.filter((n) => { for (let f = n.parent; f; f = f.parent) if (f === frame) return true; return false; }); }
  transform() { const { x, y, k } = this.view; this.g.setAttribute("transform", `translate(${x} ${y}) scale(${k})`); }
  fit() {
    const b = this.svg.getBoundingClientRect(), w = this.root.w + (this.lines.some((l) => l[2].classList.contains("up")) ? SIDE : 0), h = this.root.h;
    const k = Math.max(0.05, Math.min(1.15, (b.width - 16) / w, Math.max((b.height - 16) / h, 0.55)));
    this.view = { k, x: (b.width - w * k) / 2, y: h * k < b.height ? Math.max(4, (b.height - h * k) / 3) : 2 }; this.transform();
  }
  show(n) {
    for (let f = n.parent; f; f = f.parent) this.open.add(f.key);
    this.draw(false);
    const b = this.svg.getBoundingClientRect(); this.view.k = Math.max(this.view.k, 0.8);
    this.view.x = b.width / 2 - (n.x + n.w / 2) * this.view.k; this.view.y = b.height / 2 - (n.y + n.h / 2) * this.view.k; this.transform();
  }
  gestures() {
    const s = this.svg; let from = null;
    s.addEventListener("wheel", (e) => {
      e.preventDefault(); const b = s.getBoundingClientRect(), px = e.clientX - b.left, py = e.clientY - b.top, v = this.view;
      const k = Math.min(4, Math.max(0.03, v.k * Math.exp(-e.deltaY * 0.0015)));
      v.x = px - (px - v.x) * (k / v.k); v.y = py - (py - v.y) * (k / v.k); v.k = k; this.transform();
    }, { passive: false });
    s.addEventListener("pointerdown", (e) => { from = [e.clientX - this.view.x, e.clientY - this.view.y, e.clientX, e.clientY]; this.moved = false; });
    s.addEventListener("pointermove", (e) => { if (!from) return; if (Math.hypot(e.clientX - from[2], e.clientY - from[3]) > 4) this.moved = true; if (this.moved) { this.view.x = e.clientX - from[0]; this.view.y = e.clientY - from[1]; this.transform(); } });
    addEventListener("pointerup", () => { from = null; });
    const defs = svg("defs"), tip = svg("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 6, markerHeight: 6, orient: "auto-start-reverse" });
    tip.append(svg("path", { d: "M0 0L8 4L0 8z", fill: "context-stroke" })); defs.append(tip); s.prepend(defs);
  }
}

let hovered = null, words = "";
function hover(nodes) { hovered = nodes; light(); }
function light() {
  const now = hovered || (held ? [held.node] : null), own = new Set(now ? now.flatMap((n) => n.own) : []), self = new Set(now || []);
  for (const p of panes) {
    const hot = new Set(), match = new Set();
    for (const n of p.data.nodes) {
      const is = self.has(n) || n.own.some((o) => own.has(o)), says = words && hit(n);
      if (is) for (let i = n; i; i = i.parent) hot.add(i);
      if (says) for (let i = n; i; i = i.parent) match.add(i);
    }
    for (const [i, g] of p.shapes || []) { g.classList.toggle("hot", hot.has(i)); g.classList.toggle("match", match.has(i)); }
    for (const [s, t, path] of p.lines || []) path.classList.toggle("hot", hot.has(s) && hot.has(t));
    p.svg.classList.toggle("dimming", Boolean(now));
  }
}
const hit = (n) => (n.label + " " + n.group.join("/") + " " + n.sub + " " + n.id + " " + (n.more.name || "")).toLowerCase().includes(words);
function hold(pane, node) { held = { pane, node }; card(node, pane.data.name); light(); }
function letGo() { held = null; $("#card").hidden = true; light(); }
function card(n, where) {
  const c = $("#card"); c.replaceChildren(); c.hidden = false;
  const shut = el("button", { class: "shut", "aria-label": "Close" }, "✕"); shut.onclick = letGo; c.append(shut);
  c.append(el("h3", {}, n.label)); const dl = el("dl");
  dl.append(el("dt", {}, "in"), el("dd", {}, where + (n.role === "backward" ? ", backward" : "")));
  for (const [k, v] of Object.entries(n.more)) dl.append(el("dt", {}, k), el("dd", {}, Array.isArray(v) ? v.join(", ") : String(v)));
  c.append(dl);
  if (n.code) {
    c.append(el("div", { class: "where" }, `${n.code.file}:${n.code.line}, in ${n.code.function}`));
    if (n.code.lines.length) { const pre = el("pre"); for (const [k, t] of n.code.lines) { const d = el("div", k === n.code.line ? { class: "at" } : {}); d.append(el("i", {}, String(k)), t); pre.append(d); } c.append(pre); }
  }
}
function choose(k) {
  letGo(); const d = DATA[k]; $("h1").textContent = d.name; $("#strip").replaceChildren();
  d.totals.forEach(([name, value], i) => {
    if (i === 1 || i === 2) $("#strip").append(el("span", { class: "arrow" }, "→"));
    const t = el("div", { class: "total" }); t.append(el("b", {}, value.toLocaleString("en")), el("span", {}, name)); $("#strip").append(t);
  });
  for (const [name, value] of d.facts) { const t = el("div", { class: "total" }); t.append(el("b", {}, value), el("span", {}, name)); $("#strip").append(t); }
  [...$("#tabs").children].forEach((b, i) => b.setAttribute("aria-selected", String(i === k)));
  $("#panes").replaceChildren(); panes = d.panes.map((p) => new Pane(p, $("#panes"))); panes.forEach((p) => p.draw(true));
}
if (DATA.length > 1) DATA.forEach((d, k) => { const b = el("button", { role: "tab" }, d.title); b.onclick = () => choose(k); $("#tabs").append(b); });
for (const b of document.querySelectorAll("#roles button")) b.onclick = () => { const r = b.dataset.role; shown[r] = !shown[r]; b.setAttribute("aria-pressed", String(shown[r])); panes.forEach((p) => p.draw(true)); };
$("#search").oninput = (e) => { words = e.target.value.trim().toLowerCase(); const n = words ? panes.reduce((a, p) => a + p.data.nodes.filter(hit).length, 0) : 0; $("#found").textContent = words ? `${n} found` : ""; light(); };
$("#search").onkeydown = (e) => { if (e.key === "Enter" && words) for (const p of panes) { const n = p.data.nodes.find((m) => hit(m) && p.visible(m)); if (n) p.show(n); } };
addEventListener("keydown", (e) => { if (e.key === "Escape") letGo(); if (e.key === "/" && document.activeElement !== $("#search")) { e.preventDefault(); $("#search").focus(); } });
$("#theme").onclick = () => document.documentElement.classList.toggle("dark");
if (matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.classList.add("dark");
// on paper a pane is as large as what is open in it: a page wide at most, and as long as it takes to be legible
const PAGE = { w: 670, h: 880, least: 0.45 };
addEventListener("beforeprint", () => { for (const p of panes) {
  const { w, h } = p.root, k = Math.min(1, PAGE.w / w, Math.max(PAGE.h / h, PAGE.least));
  for (const [name, value] of [["viewBox", `0 0 ${w} ${h}`], ["width", w * k], ["height", h * k]]) p.svg.setAttribute(name, value);
  p.svg.style.width = `${w * k}px`; p.g.removeAttribute("transform");
} });
addEventListener("afterprint", () => { for (const p of panes) { for (const name of ["viewBox", "width", "height", "style"]) p.svg.removeAttribute(name); p.transform(); } });
addEventListener("resize", () => panes.forEach((p) => p.fit()));
choose(0);
document.documentElement.dataset.ready = String(Math.round(performance.now()));
})();
