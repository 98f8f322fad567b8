(() => {
const DATA = JSON.parse(document.getElementById("data").textContent);
const $ = (s) => document.querySelector(s), SVG = "http://www.w3.org/2000/svg";
const fill = (e, attrs, text) => { for (const k in attrs) e.setAttribute(k, attrs[k]); if (text !== undefined) e.textContent = text; return e; };
const el = (tag, attrs = {}, text) => fill(document.createElement(tag), attrs, text);
const svg = (tag, attrs = {}, text) => fill(document.createElementNS(SVG, tag), attrs, text);
const W = 196, H = 42, HEAD = Layout.HEAD, OPENED = 26, CROWD = 600, RUN = 100, DRAWN = 1500, FOUND = 60, LEAST = 0.2;
const FATES = [["library", "library call"], ["kernel", "own kernel"], ["fused", "fused"], ["free", "free"], ["removed", "removed"]], FATE = new Map(FATES);
const short = (s, n) => (s.length > n ? s.slice(0, n - 1) + "…" : s);
const pen = document.createElement("canvas").getContext("2d"), SANS = getComputedStyle(document.body).fontFamily, FONTS = { node: `12.5px ${SANS}`, closed: `620 12.5px ${SANS}`, open: `620 11.5px ${SANS}`, sub: '10.5px ui-monospace,Menlo,"DejaVu Sans Mono",monospace' };
const wide = (s, font) => { pen.font = FONTS[font]; return pen.measureText(s).width; };
// as much of a text as there is room for: letters are of all widths
const cut = (s, room, font) => { if (wide(s, font) <= room) return s; const all = [...s.slice(0, 200)]; let n = 0; for (let k = 128; k >= 1; k /= 2) if (n + k < all.length && wide(all.slice(0, n + k).join("") + "…", font) <= room) n += k; return all.slice(0, n).join("") + "…"; };
const counted = (n) => `${n.toLocaleString("en")} ${n === 1 ? "node" : "nodes"}`;
const line = (s) => s.replace(/\s*\n\s*/g, " ");
const calm = matchMedia("(prefers-reduced-motion:reduce)").matches;
let panes = [], held = null, role = "both", hovered = null, words = "", chosen = 0, hits = [];

class Pane {
  constructor(data, host) {
    this.data = data; this.open = new Set(); this.nodes = new Map(); this.view = { x: 0, y: 0, k: 1 };
    this.box = el("div", { class: "pane" }); const bar = el("div"), title = el("h2", {}, data.name);
    this.count = el("small"); title.append(" ", this.count); bar.append(title);
    const button = (text, hint, run) => { const b = el("button", { title: hint, "aria-label": `${hint}: ${data.name}` }, text); b.onclick = run; bar.append(b); };
    button("+", "Open all frames", () => { this.openAll(); this.draw(true); });
    button("−", "Close all frames", () => { this.open.clear(); this.draw(true); });
    button("⤢", "Fit", () => this.fit());
    this.svg = svg("svg", { role: "group", "aria-label": data.name }); this.g = svg("g"); this.svg.append(this.g);
    this.empty = el("div", { class: "empty", hidden: "" }, "Nothing to show here");
    this.box.append(bar, this.svg, this.empty); host.append(this.box);
    this.tree(); this.gestures();
    if (data.nodes.length <= OPENED) this.openAll();
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
      n.parent = at; n.pane = this; at.items.push(n); this.nodes.set(n.id, n);
    }
    for (const f of [...this.frames.values()]) while (f.items.length > CROWD) this.gather(f);
  }
  // too many boxes side by side can be neither drawn soon nor read: runs of them, in their order, are frames of their own
  gather(frame) {
    const first = (i) => i.first || i.number, last = (i) => i.last || i.number;
    frame.items.forEach((i, k) => { i.number ||= k + 1; });
    const runs = [];
    for (let k = 0; k < frame.items.length; k += RUN) {
      const items = frame.items.slice(k, k + RUN), from = first(items[0]), to = last(items[items.length - 1]), key = `${frame.key}/\n${from}-${to}`;
      const run = { key, label: `${from.toLocaleString("en")} – ${to.toLocaleString("en")}`, items, parent: frame, frame: true, count: 0, role: items[0].role, first: from, last: to };
      for (const i of items) i.parent = run;
      this.frames.set(key, run); runs.push(run);
    }
    frame.items = runs;
  }
  // frames from the outermost in, as long as the boxes can be drawn soon
  openAll() {
    let drawn = this.root.items.length;
    for (const reached = this.root.items.filter((i) => i.frame); reached.length; ) {
      const f = reached.shift();
      if (!this.open.has(f.key) && (drawn += f.items.length) > DRAWN) return;
      this.open.add(f.key); for (const i of f.items) if (i.frame) reached.push(i);
    }
  }
  visible(n) { return role === "both" || n.role === "other" || n.role === role || (role === "backward" && n.gradient === true); }
  standIn(n) { let top = n; for (let f = n.parent; f; f = f.parent) if (f !== this.root && !this.open.has(f.key)) top = f; return top; }
  chain(item) { const c = [item]; for (let f = item.parent; f && f !== this.root; f = f.parent) c.push(f); return c.reverse(); }
  draw(fit) {
    for (const f of this.frames.values()) { f.count = 0; f.links = new Map(); f.exits = new Map(); f.entries = new Set(); f.routes = null; }
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
      for (let m = x.length - 1; m > k; m--) x[m - 1].exits.set(x[m], Math.max(x[m - 1].exits.get(x[m]) || 0, u.role !== "backward" && v.role === "backward" ? Layout.WEAK : 1));
      for (let m = y.length - 1; m > k; m--) y[m - 1].entries.add(y[m]);
    }
    this.g.replaceChildren(); this.shapes = new Map();
    this.measure(this.root); this.place(this.root, 0, 0);
    const lines = svg("g"); this.lines = [];
    this.paint(this.root, this.g);
    for (const [s, ts] of pairs) for (const t of ts) {
      const x = this.chain(s), y = this.chain(t); let k = 0;
      while (x[k] && x[k] === y[k]) k++;
      const way = x[k] && y[k] ? Layout.route(k ? x[k - 1] : this.root, x.slice(k), y.slice(k)) : null;
      const path = svg("path", { class: `edge${way ? "" : " up"}${s.role !== "backward" && t.role === "backward" ? " kept" : ""}`, d: way || Layout.aside(s, t), "marker-end": "url(#tip)" });
      lines.append(path); this.lines.push([s, t, path]);
    }
    this.g.insertBefore(lines, this.front || null);
    this.empty.hidden = this.root.count > 0; this.count.textContent = this.root.count === this.data.nodes.length ? this.root.count.toLocaleString("en") : `${this.root.count.toLocaleString("en")} of ${this.data.nodes.length.toLocaleString("en")}`;
    if (this.data.inside) this.count.textContent += ` · ${this.data.inside.toLocaleString("en")} more inside them`;
    this.count.parentNode.title = this.count.parentNode.textContent;
    if (fit) this.fit();
    this.rove(); light();
  }
  measure(frame) {
    const items = frame.items.filter((i) => (i.frame ? i.count : this.visible(i)));
    for (const i of items) { if (i.frame && this.open.has(i.key)) this.measure(i); else { i.w = W; i.h = H; i.routes = null; } }
    frame.shown = items; frame.least = frame === this.root ? W : Math.max(W, wide("▾ " + short(frame.label, 200), "open") - 6);
    Layout.arrange(frame, items, frame.links, frame.exits, frame.entries);
  }
  place(frame, x, y) { frame.x = x; frame.y = y; for (const i of frame.shown) { if (i.routes) this.place(i, x + i.dx, y + i.dy); else { i.x = x + i.dx; i.y = y + i.dy; } } }
  paint(root, host) {
    const behind = svg("g"), front = svg("g"), stack = root.shown.slice().reverse();
    while (stack.length) {
      const i = stack.pop(), open = i.frame && this.open.has(i.key), g = i.frame ? this.frameShape(i, open) : this.nodeShape(i);
      (open ? behind : front).append(g); this.shapes.set(i, g);
      if (open) stack.push(...i.shown.slice().reverse());
    }
    host.append(behind, front); this.front = front;
  }
  frameShape(i, open) {
    const g = svg("g", { class: `frame ${open ? "open" : "closed"}${i.role === "backward" ? " back" : ""}`, "data-frame": i.key, tabindex: -1, role: "button", "aria-expanded": String(open), "aria-label": `${i.label}, ${counted(i.count)}` });
    if (!open) g.append(svg("rect", { x: i.x, y: i.y, width: i.w, height: i.h, rx: 9 }), svg("rect", { class: "under", x: i.x + 5, y: i.y + i.h, width: i.w - 10, height: 3, rx: 1.5 }));
    else g.append(svg("rect", { x: i.x, y: i.y, width: i.w, height: i.h, rx: 11 }));
    g.append(svg("text", { x: i.x + 11, y: i.y + 17.5 }, open ? "▾ " + short(i.label, 200) : cut("▸ " + i.label, i.w - 18, "closed")));
    if (!open) g.append(svg("text", { x: i.x + 25, y: i.y + 33, class: "sub" }, counted(i.count)));
    const head = svg("rect", { class: "head", x: i.x, y: i.y, width: i.w, height: open ? HEAD : i.h });
    head.append(svg("title", {}, i.label)); g.append(head);
    const flip = (focus) => { open ? this.open.delete(i.key) : this.open.add(i.key); this.stay(i, () => this.draw(false)); if (focus) this.focus(i); };
    head.onclick = () => { if (!this.moved) flip(false); };
    g.onkeydown = (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); flip(true); } };
    head.onpointerenter = () => { if (!open) hover(this.under(i)); }; head.onpointerleave = () => hover(null);
    return g;
  }
  nodeShape(i) {
    const g = svg("g", { class: `node k-${i.kind}${i.role === "backward" ? " back" : ""}`, "data-id": i.id, tabindex: -1, role: "button", "aria-label": [`${line(i.label)} ${i.sub}`, FATE.get(i.kind), i.role === "backward" && "backward", i.cost].filter(Boolean).join(", ") });
    g.append(svg("rect", { x: i.x, y: i.y, width: i.w, height: i.h, rx: 8 }), svg("rect", { class: "bar", x: i.x + 5, y: i.y + 8, width: 4, height: i.h - 16, rx: 2 }));
    if (i.heat) g.append(svg("rect", { class: "heat", x: i.x + 15, y: i.y + i.h - 4, width: Math.max(1, (i.w - 24) * i.heat), height: 2, rx: 1 }));
    g.append(svg("text", { x: i.x + 16, y: i.y + 17.5 }, cut(line(i.label), i.w - 22, "node")), svg("text", { x: i.x + 16, y: i.y + 33, class: "sub" }, cut(i.sub, i.w - 24 - (i.cost ? wide(i.cost, "sub") + 6 : 0), "sub")));
    if (i.cost) g.append(svg("text", { x: i.x + i.w - 8, y: i.y + 33, class: "sub cost" }, i.cost));
    g.append(svg("title", {}, i.label + "\n" + i.sub));
    g.onpointerenter = () => hover([i]); g.onpointerleave = () => hover(null);
    g.onclick = (e) => { e.stopPropagation(); if (!this.moved) hold(i); };
    g.onkeydown = (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); hold(i); this.focus(i); } };
    return g;
  }
  under(frame) { const found = [], stack = [frame]; while (stack.length) { const i = stack.pop(); if (i.frame) stack.push(...i.items); else if (this.visible(i)) found.push(i); } return found; }
  // one box of a pane is in the order of Tab; arrows go on from it
  rove(item) { const to = item && this.shapes.get(item) ? item : [...this.shapes.keys()].find((i) => i === this.at) || this.shapes.keys().next().value; if (this.at && this.shapes.get(this.at)) this.shapes.get(this.at).setAttribute("tabindex", -1); this.at = to; if (to) this.shapes.get(to).setAttribute("tabindex", 0); }
  focus(item) { this.rove(item); const g = this.shapes.get(this.at); if (g) { g.focus({ preventScroll: true }); this.reveal([this.at]); if (!this.at.frame) hover([this.at]); } }
  step(dx, dy) {
    const mid = (i) => [i.x + i.w / 2, i.y + (i.frame && this.open.has(i.key) ? HEAD / 2 : i.h / 2)], from = this.at && mid(this.at);
    if (!from) return;
    let best = null, least = Infinity;
    for (const i of this.shapes.keys()) {
      if (i === this.at) continue;
      const [x, y] = mid(i), along = (x - from[0]) * dx + (y - from[1]) * dy, across = Math.abs((x - from[0]) * dy) + Math.abs((y - from[1]) * dx);
      if (along > 1 && along + 2 * across < least) { least = along + 2 * across; best = i; }
    }
    if (best) this.focus(best);
  }
  transform(slow) { const v = this.view; this.g.style.transition = slow && !calm ? "transform .25s" : ""; this.g.setAttribute("transform", `translate(${v.x} ${v.y}) scale(${v.k})`); }
  size() { const b = this.svg.getBoundingClientRect(); return [b.width || 400, b.height || 500]; }
  fit() {
    const [bw, bh] = this.size(), { w, h } = this.root, k = Math.min(Math.max((bw - 12) / w, LEAST), 1.1, Math.max((bh - 8) / h, 0.62));
    const boxes = [...this.shapes.keys()].filter((i) => !this.open.has(i.key)), top = boxes.reduce((a, i) => (a && a.y <= i.y ? a : i), null), middle = top && w * k > bw ? top.x + top.w / 2 : w / 2; // too wide for the pane: its first boxes
    this.view = { k, x: bw / 2 - middle * k, y: h * k < bh ? Math.max(2, (bh - h * k) / 3 - 8) : -8 }; this.transform();
  }
  stay(item, change) { const x = item.x, y = item.y, k = this.view.k; change(); this.view.x += (x - item.x) * k; this.view.y += (y - item.y) * k; this.transform(); }
  zoom(factor, px, py) { const [w, h] = this.size(), v = this.view, k = Math.min(4, Math.max(0.03, v.k * factor)); px = px ?? w / 2; py = py ?? h / 2; v.x = px - (px - v.x) * (k / v.k); v.y = py - (py - v.y) * (k / v.k); v.k = k; this.transform(); }
  // bring boxes into sight, moving as little as possible
  reveal(items) {
    const boxes = items.filter((i) => this.shapes.get(i)); if (!boxes.length) return;
    const [w, h] = this.size(), v = this.view, pad = 18, small = Math.max(v.k, Math.min(0.7, (w - 2 * pad) / W));
    if (small > v.k) { const i = boxes[0]; this.zoom(small / v.k, v.x + (i.x + i.w / 2) * v.k, v.y + (i.y + i.h / 2) * v.k); }
    let x0 = Infinity, y0 = Infinity, x1 = -Infinity, y1 = -Infinity;
    for (const i of boxes) {
      const a = Math.min(x0, i.x), b = Math.min(y0, i.y), c = Math.max(x1, i.x + i.w), d = Math.max(y1, i.y + Math.min(i.h, 200));
      if (i !== boxes[0] && ((c - a) * v.k > w - 2 * pad || (d - b) * v.k > h - 2 * pad)) break;
      [x0, y0, x1, y1] = [a, b, c, d];
    }
    const shift = (at, low, high, room) => { const a = at + low * v.k, b = at + high * v.k; return a < pad ? at + pad - a : b > room - pad ? at - Math.min(b - room + pad, a - pad) : at; };
    v.x = shift(v.x, x0, x1, w); v.y = shift(v.y, y0, y1, h); this.transform(true);
  }
  show(n) { let shut = false; for (let f = n.parent; f && f !== this.root; f = f.parent) if (!this.open.has(f.key)) { this.open.add(f.key); shut = true; } if (shut) this.draw(false); this.reveal([n]); }
  gestures() {
    const s = this.svg, down = new Map(), place = (e) => [e.clientX, e.clientY], far = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
    s.addEventListener("wheel", (e) => { e.preventDefault(); const b = s.getBoundingClientRect(); this.zoom(Math.exp(-e.deltaY * (e.ctrlKey ? 0.008 : 0.0015)), e.clientX - b.left, e.clientY - b.top); }, { passive: false });
    s.addEventListener("pointerdown", (e) => { if (!down.size) this.moved = false; down.set(e.pointerId, place(e)); });
    s.addEventListener("pointermove", (e) => { // one finger drags, two pinch
      const from = down.get(e.pointerId), to = place(e), other = [...down].find(([id]) => id !== e.pointerId);
      if (!from || (!this.moved && far(from, to) <= 4)) return;
      this.moved = true; down.set(e.pointerId, to);
      if (other) { const b = s.getBoundingClientRect(); this.zoom(far(to, other[1]) / Math.max(1, far(from, other[1])), other[1][0] - b.left, other[1][1] - b.top); }
      else { this.view.x += to[0] - from[0]; this.view.y += to[1] - from[1]; this.transform(); }
    });
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, (e) => down.delete(e.pointerId));
    s.addEventListener("click", (e) => { if (e.target === s && !this.moved) letGo(); });
    s.addEventListener("dblclick", (e) => { if (e.target === s) this.fit(); });
    s.addEventListener("keydown", (e) => {
      const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
      if (arrow) { e.preventDefault(); this.step(...arrow); } else if (e.key === "+" || e.key === "=") this.zoom(1.25); else if (e.key === "-") this.zoom(0.8); else if (e.key === "f") this.fit();
    });
    s.addEventListener("focusout", () => hover(null));
    const defs = svg("defs"); s.prepend(defs);
    for (const id of ["tip", "faint"]) { const tip = svg("marker", { id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 6, markerHeight: 6, orient: "auto-start-reverse" }); tip.append(svg("path", { d: "M0 0L8 4L0 8z", fill: "context-stroke" })); defs.append(tip); }
  }
}

// highlights: the nodes pointed at or held, and in all panes what came from the same eager nodes
function related(nodes) { const own = new Set(nodes.flatMap((n) => n.own)), self = new Set(nodes); return (n) => self.has(n) || n.own.some((o) => own.has(o)); }
function hover(nodes) { hovered = nodes; light(); }
function light() {
  const now = hovered || (held ? [held] : null), is = now ? related(now) : () => false, self = new Set(now || []);
  for (const p of panes) {
    const hot = new Set(), match = new Set();
    for (const n of p.data.nodes) {
      if (now && is(n)) for (let i = n; i && !hot.has(i); i = i.parent) hot.add(i);
      if (words && hit(n)) for (let i = n; i && !match.has(i); i = i.parent) match.add(i);
    }
    for (const [i, g] of p.shapes || []) { g.classList.toggle("hot", hot.has(i)); g.classList.toggle("self", self.has(i)); g.classList.toggle("match", match.has(i)); }
    for (const [s, t, path] of p.lines || []) path.classList.toggle("hot", hot.has(s) && hot.has(t));
    p.svg.classList.toggle("dimming", Boolean(now));
  }
}
function hold(n, show = true) {
  const first = !held; held = n; hovered = null; card(n); light();
  if (first) for (const p of panes) p.size();
  const is = related([n]);
  for (const p of panes) {
    const here = p.data.nodes.filter((m) => is(m) && p.visible(m));
    if (p === n.pane) { if (show) p.reveal([n]); } else p.reveal([...new Set(here.map((m) => p.standIn(m)))]);
  }
}
function go(n) { if (!n.pane.visible(n)) setRole("both"); n.pane.show(n); hold(n); n.pane.rove(n); }
function letGo() { held = hovered = null; $("#card").hidden = true; light(); }
function chips(host, title, nodes) {
  if (!nodes.length) return;
  host.append(el("h4", {}, `${title} (${nodes.length.toLocaleString("en")})`)); const box = el("div", { class: "chips" });
  for (const n of nodes.slice(0, FOUND)) { const b = el("button", { class: `chip k-${n.kind}${n.role === "backward" ? " back" : ""}`, title: [n.group.join("/"), n.sub].join(" ") }); b.append(el("span", { class: "dot" }), short(line(n.label), 34)); b.onclick = () => go(n); box.append(b); }
  if (nodes.length > FOUND) box.append(el("span", {}, `… ${(nodes.length - FOUND).toLocaleString("en")} more`));
  host.append(box);
}
function card(n) {
  const c = $("#card"); c.replaceChildren(); c.hidden = false;
  const shut = el("button", { class: "shut", "aria-label": "Close" }, "✕"); shut.onclick = letGo;
  const facts = el("section"), code = el("section"), linked = el("section"), head = el("h3", { class: `k-${n.kind}` });
  head.append(el("span", { class: "dot" }), line(n.label)); facts.append(head);
  facts.append(el("p", {}, [n.pane.data.name, n.role === "backward" ? "backward" : "", n.group.join(" / ")].filter(Boolean).join(" · ")));
  if (n.fate) facts.append(el("p", { class: "fate" }, n.fate));
  const dl = el("dl"); for (const [k, v] of Object.entries(n.more)) dl.append(el("dt", {}, k), el("dd", {}, Array.isArray(v) ? v.join(", ") : String(v))); facts.append(dl);
  const source = n.code || n.own.map((o) => panes[0].nodes.get(o)?.code).find(Boolean);
  code.append(el("h4", {}, "Source"));
  if (source) {
    code.append(el("div", { class: "where" }, `${source.file}:${source.line}, in ${source.function}`));
    if (source.lines.length) { const pre = el("pre"); for (const [k, t] of source.lines) { const d = el("div", k === source.line ? { class: "at" } : {}); d.append(el("i", {}, String(k).padStart(String(source.lines[source.lines.length - 1][0]).length)), t); pre.append(d); } code.append(pre); }
  } else code.append(el("p", {}, n.own.length ? "not known" : "no line of yours: made on the way"));
  const is = related([n]);
  for (const p of panes) chips(linked, p.data.name, p.data.nodes.filter((m) => m !== n && is(m)));
  if (!linked.children.length) linked.append(el("h4", {}, "Linked"), el("p", {}, "nothing: no scope ties it to an eager node"));
  c.append(shut, facts, code, linked);
}

// search: a list of what was found, by pane
const hit = (n) => (n.text ||= [n.label, n.group.join("/"), n.sub, n.id, n.more.name || ""].join(" ").toLowerCase()).includes(words);
function search(text) {
  words = text.trim().toLowerCase(); hits = []; chosen = 0; let all = 0; const box = $("#hits"); box.replaceChildren();
  if (words) for (const p of panes) {
    const found = p.data.nodes.filter(hit), named = (n) => line(n.label).toLowerCase().includes(words); found.sort((a, b) => named(b) - named(a)); all += found.length;
    if (found.length) box.append(el("div", { class: "pane-name" }, `${p.data.name} · ${found.length.toLocaleString("en")}${found.length > FOUND / 3 ? `, the first ${FOUND / 3}` : ""}`));
    for (const n of found.slice(0, FOUND / 3)) {
      const d = el("div", { class: `hit k-${n.kind}`, role: "option", id: `hit${hits.length}` }); d.append(el("span", { class: "dot", style: "margin:0" }), el("b", {}, line(n.label)), el("i", {}, n.sub), el("span", {}, n.group.join(" / ")));
      d.onpointerdown = (e) => { e.preventDefault(); take(n); }; box.append(d); hits.push([n, d]);
    }
  }
  if (words && !all) box.append(el("div", { class: "pane-name" }, "nothing found"));
  $("#found").textContent = words ? `${all.toLocaleString("en")} found` : ""; box.hidden = !words; $("#search").setAttribute("aria-expanded", String(Boolean(words)));
  choosing(0); light();
}
function choosing(k) { if (!hits.length) return; chosen = (k + hits.length) % hits.length; hits.forEach(([, d], i) => d.setAttribute("aria-selected", String(i === chosen))); $("#search").setAttribute("aria-activedescendant", `hit${chosen}`); hits[chosen][1].scrollIntoView({ block: "nearest" }); }
function take(n) { $("#hits").hidden = true; $("#search").setAttribute("aria-expanded", "false"); go(n); n.pane.focus(n); }
$("#search").oninput = (e) => search(e.target.value);
$("#search").onfocus = () => { if (words) $("#hits").hidden = false; };
$("#search").onblur = () => { $("#hits").hidden = true; };
$("#search").onkeydown = (e) => {
  if (e.key === "ArrowDown" || e.key === "ArrowUp") { e.preventDefault(); $("#hits").hidden = !words; choosing(chosen + (e.key === "ArrowDown" ? 1 : -1)); }
  else if (e.key === "Enter" && hits.length) take(hits[chosen][0]);
  else if (e.key === "Escape") { e.stopPropagation(); e.target.value = ""; search(""); e.target.blur(); }
};

function number(box, name, value) { const t = el("div", { class: "total" }); t.append(el("b", {}, typeof value === "number" ? value.toLocaleString("en") : value), el("span", {}, name)); box.append(t); }
function choose(k) {
  letGo(); const d = DATA[k]; $("h1").textContent = d.name; $("h1").title = d.name;
  const strip = $("#strip"), flow = el("div", { id: "flow" }); strip.replaceChildren(flow);
  d.totals.forEach(([name, value], i) => { if (i) flow.append(el("span", { class: "arrow" }, "→")); number(flow, name, value); });
  for (const [name, value] of d.facts) number(strip, name, value);
  [...$("#tabs").children].forEach((b, i) => { b.setAttribute("aria-selected", String(i === k)); b.setAttribute("tabindex", i === k ? 0 : -1); });
  const gradients = d.panes.some((p) => p.nodes.some((n) => n.role === "backward")); $("#roles").hidden = !gradients; if (!gradients) role = "both"; pressed();
  $("#panes").replaceChildren(); panes = d.panes.map((p) => new Pane(p, $("#panes"))); panes.forEach((p) => { p.draw(true); if (p.view.k < 0.5 && p.open.size) { p.open.clear(); p.draw(true); } });
  legend(gradients); search($("#search").value); $("#hits").hidden = true;
}
function legend(gradients) {
  const box = $("#legend"); box.replaceChildren();
  const key = (kind, text, nodes, count) => { const b = el("button", { class: `key k-${kind} ${kind}` }); b.append(el("span", { class: "dot" }), text); if (count) b.append(el("b", {}, nodes.length.toLocaleString("en"))); b.onpointerenter = b.onfocus = () => hover(nodes); b.onpointerleave = b.onblur = () => hover(null); box.append(b); };
  for (const [kind, text] of FATES) { const nodes = panes[0].data.nodes.filter((n) => n.kind === kind); if (nodes.length) key(kind, text, nodes, true); }
  if (gradients) key("back", "backward", panes.slice(1).flatMap((p) => p.data.nodes.filter((n) => n.role === "backward")), false);
}
function pressed() { for (const b of document.querySelectorAll("#roles button")) b.setAttribute("aria-pressed", String(b.dataset.role === role)); }
function setRole(r) { role = r; pressed(); panes.forEach((p) => p.draw(true)); }
if (DATA.length > 1) DATA.forEach((d, k) => { const b = el("button", { role: "tab", title: d.title }, short(d.title, 60)); b.onclick = () => choose(k); b.onkeydown = (e) => { const s = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0; if (s) { const to = (k + s + DATA.length) % DATA.length; choose(to); $("#tabs").children[to].focus(); } }; $("#tabs").append(b); });
else $("#tabs").hidden = true;
for (const b of document.querySelectorAll("#roles button")) b.onclick = () => setRole(b.dataset.role);
addEventListener("keydown", (e) => {
  if (document.activeElement === $("#search") || $("#keys").open || e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.key === "Escape") letGo();
  else if (e.key === "/") { e.preventDefault(); $("#search").focus(); $("#search").select(); }
  else if (e.key === "?") $("#keys").showModal();
  else if (e.key === "t") theme();
  else if (held && "123".includes(e.key)) { const p = panes[+e.key - 1], is = related([held]), n = is(held) && held.pane === p ? held : p.data.nodes.find(is); if (n) { go(n); p.focus(n); } }
});
const theme = () => document.documentElement.classList.toggle("dark");
$("#theme").onclick = theme; $("#help").onclick = () => $("#keys").showModal();
if (matchMedia("(prefers-color-scheme: dark)").matches) theme();
// on paper a pane is as large as what is open in it: a page wide at most, and as long as it takes to be legible. The
// first page has the totals and the legend, too
const PAGE = { w: 670, h: 880, head: 150, least: 0.45 };
addEventListener("beforeprint", () => { $("#panes").before($("footer")); for (const p of panes) {
  const { w, h } = p.root, room = PAGE.h - (p === panes[0] ? PAGE.head : 0), k = Math.min(1, PAGE.w / w, Math.max(room / h, PAGE.least));
  for (const [name, value] of [["viewBox", `0 0 ${w} ${h}`], ["width", w * k], ["height", h * k]]) p.svg.setAttribute(name, value);
  p.svg.style.width = `${w * k}px`; p.g.removeAttribute("transform");
} });
addEventListener("afterprint", () => { $("#panes").after($("footer")); for (const p of panes) { for (const name of ["viewBox", "width", "height", "style"]) p.svg.removeAttribute(name); p.transform(); } });
let before = innerWidth; addEventListener("resize", () => { if (innerWidth !== before || !held) panes.forEach((p) => p.fit()); before = innerWidth; });
choose(0);
document.documentElement.dataset.ready = String(Math.round(performance.now()));
})();
