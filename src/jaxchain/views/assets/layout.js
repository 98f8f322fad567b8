"use strict";
// Layered layout of one frame: ranks along the edges, waypoints for edges that pass a layer, orders with few crossings,
// columns as straight as their neighbours allow. Edges run through waypoints, so they cross no box.
const Layout = (() => {
const GX = 18, GY = 34, PAD = 14, HEAD = 26, ROW = 660, LANE = 12, SWEEPS = 4, MOST = 6000, WEAK = 0.002, DRIFT = 8;

// Edges against the flow (frames can make cycles) are taken out: those from backward to what leads to it first of all.
function acyclic(items, links) {
  const known = new Set(items), state = new Map(), post = [], down = [], up = [], sources = new Map(), leads = new Set();
  for (const i of items) for (const t of links.get(i) || []) if (i.role !== "backward") { if (!sources.has(t)) sources.set(t, []); sources.get(t).push(i); }
  for (const reached = items.filter((i) => i.role === "backward"); reached.length; ) for (const s of sources.get(reached.pop()) || []) if (!leads.has(s)) { leads.add(s); reached.push(s); }
  for (const start of items) {
    const stack = [[start, null]];
    while (stack.length) {
      const top = stack[stack.length - 1], i = top[0];
      if (!top[1]) { if (state.get(i)) { stack.pop(); continue; } state.set(i, 1); top[1] = [...(links.get(i) || [])].filter((t) => known.has(t)).values(); }
      const next = top[1].next();
      if (next.done) { state.set(i, 2); post.push(i); stack.pop(); continue; }
      const t = next.value;
      if (state.get(t) === 1 || (i.role === "backward" && t.role !== "backward" && leads.has(t))) up.push([i, t]);
      else { down.push([i, t]); if (!state.get(t)) stack.push([t, null]); }
    }
  }
  return { order: post.reverse(), down, up };
}
// the place of each cell that is nearest to its wish, in this order and without overlap (pool adjacent violators)
function settle(layer, wish, weight) {
  const blocks = []; let offset = 0, before = null;
  for (const c of layer) {
    if (before) offset += (before.w + c.w) / 2 + (before.item && c.item ? GX : LANE);
    before = c; c.offset = offset;
    let b = { sum: (wish(c) - offset) * weight(c), weight: weight(c), cells: [c] };
    while (blocks.length && blocks[blocks.length - 1].sum / blocks[blocks.length - 1].weight > b.sum / b.weight) {
      const a = blocks.pop(); b = { sum: a.sum + b.sum, weight: a.weight + b.weight, cells: a.cells.concat(b.cells) };
    }
    blocks.push(b);
  }
  for (const b of blocks) for (const c of b.cells) c.x = b.sum / b.weight + c.offset;
}
// Each step of a long chain may lean to one side a little, and the chain would be about as wide as it is long: the slow part of
// what the middles of the boxes do is taken out, and waypoints come as near as the boxes are.
function upright(layers) {
  const boxes = layers.map((layer) => layer.filter((c) => c.item)), low = (cells) => Math.min(...cells.map((c) => c.x - c.w / 2)), high = (cells) => Math.max(...cells.map((c) => c.x + c.w / 2));
  const full = boxes.filter((cells) => cells.length), ends = () => [Math.min(...full.map(low)), Math.max(...full.map(high))], [left, right] = ends();
  if (!(right - left > 2 * Math.max(...full.map((cells) => high(cells) - low(cells))))) return;
  const sums = [[0, 0]];
  for (const cells of boxes) { const [sum, all] = sums[sums.length - 1]; sums.push(cells.length ? [sum + (low(cells) + high(cells)) / 2, all + 1] : [sum, all]); }
  layers.forEach((layer, k) => {
    const [s0, n0] = sums[Math.max(0, k - DRIFT)], [s1, n1] = sums[Math.min(layers.length, k + DRIFT + 1)];
    for (const c of layer) c.x -= n1 > n0 ? (s1 - s0) / (n1 - n0) : 0;
  });
  const [from, to] = ends();
  for (const layer of layers) settle(layer, (c) => (c.item ? c.x : Math.min(to + PAD, Math.max(from - PAD, c.x))), (c) => (c.item ? 400 : 1));
}
// items: what the frame shows, with w and h; links: item -> set of items; exits: item with edges out of the frame -> their pull;
// entries: items with edges into it
function arrange(frame, items, links, exits, entries) {
  const { order, down, up } = acyclic(items, links), ins = new Map(items.map((i) => [i, []])), outs = new Map(items.map((i) => [i, []]));
  for (const [s, t] of down) { outs.get(s).push(t); ins.get(t).push(s); }
  const rank = new Map(items.map((i) => [i, 0]));
  for (const i of order) for (const t of outs.get(i)) rank.set(t, Math.max(rank.get(t), rank.get(i) + 1));
  for (const i of order.slice().reverse()) if (!ins.get(i).length && outs.get(i).length && !entries.has(i)) rank.set(i, Math.min(...outs.get(i).map((t) => rank.get(t))) - 1);
  const deepest = Math.max(0, ...rank.values()), alone = (i) => !ins.get(i).length && !outs.get(i).length && !exits.has(i) && !entries.has(i);
  for (const i of items) if (alone(i)) rank.set(i, deepest);
  // layers; wide ones are broken into rows
  const place = new Map(items.map((i, k) => [i, k])), byRank = [], layers = [], at = new Map(), cellOf = new Map();
  for (const i of items) (byRank[rank.get(i)] ||= []).push(i);
  for (const layer of byRank.filter(Boolean)) {
    const wish = new Map(layer.map((i) => { const s = ins.get(i).filter((p) => at.has(p)); return [i, s.length ? s.reduce((a, p) => a + at.get(p), 0) / s.length : place.get(i) / items.length]; }));
    layer.sort((a, b) => wish.get(a) - wish.get(b) || place.get(a) - place.get(b));
    layer.forEach((i, k) => at.set(i, (k + 0.5) / layer.length));
    const all = layer.reduce((a, i) => a + i.w + GX, 0), most = Math.max(ROW, (Math.ceil(Math.sqrt(layer.length)) / layer.length) * all);
    const rows = Math.min(layer.length, Math.ceil(all / most)), first = layers.length;
    for (let k = 0; k < rows; k++) layers.push([]);
    layer.forEach((item, k) => { const c = { item, w: item.w, layer: first + (k % rows), ups: [], downs: [] }; cellOf.set(item, c); layers[c.layer].push(c); });
  }
  // waypoints in the layers that an edge passes
  let made = 0; const last = layers.length - 1, routes = new Map();
  const join = (a, b, pull) => { if (!a.downs.some(([c]) => c === b)) { a.downs.push([b, pull]); b.ups.push([a, pull]); } };
  // waypoints of one bundle are shared: many long edges to one box (or from one) are drawn as one line
  const lane = (from, to, start, end, bundle, pull) => {
    const cells = []; let before = start;
    if (to - from > 40 && made > MOST) return cells;
    for (let k = from; k <= to; k++) {
      let c = bundle.get(k);
      if (!c) { c = { item: null, w: 0, layer: k, ups: [], downs: [] }; bundle.set(k, c); layers[k].push(c); made++; }
      if (before) join(before, c, before.item ? pull : 3);
      cells.push(c); before = c;
    }
    if (before && end) join(before, end, before.item ? 4 * pull : pull);
    return cells;
  };
  const bundles = new Map(), far = down.filter(([s, t]) => cellOf.get(t).layer - cellOf.get(s).layer > 1), into = new Map(), from = new Map();
  for (const [s, t] of far) { into.set(t, (into.get(t) || 0) + 1); from.set(s, (from.get(s) || 0) + 1); }
  for (const [s, t] of down) {
    const a = cellOf.get(s), b = cellOf.get(t), hub = (into.get(t) || 0) >= (from.get(s) || 0) ? t : s;
    if (!routes.has(s)) routes.set(s, new Map());
    if (!bundles.has(hub)) bundles.set(hub, [new Map(), new Map()]);
    routes.get(s).set(t, lane(a.layer + 1, b.layer - 1, a, b, bundles.get(hub)[hub === t ? 0 : 1], s.role !== "backward" && t.role === "backward" ? WEAK : 1));
  }
  const goOut = new Map(), comeIn = new Map();
  for (const [i, pull] of exits) goOut.set(i, lane(cellOf.get(i).layer + 1, last, cellOf.get(i), null, new Map(), pull));
  for (const i of entries) comeIn.set(i, lane(0, cellOf.get(i).layer - 1, null, cellOf.get(i), new Map(), 1));
  // order: waypoints start where their edge wants them, then sweeps
  const spread = (layer) => layer.forEach((c, k) => { c.p = (k + 0.5) / layer.length; });
  const mean = (near, of, none) => { let sum = 0, all = 0; for (const [c, pull] of near) { sum += pull * of(c); all += pull; } return all ? sum / all : none; }, spot = (c) => c.p;
  for (const layer of layers) { layer.forEach((c, k) => { c.p = mean(c.ups, spot, c.item ? (k + 0.5) / layer.length : 0.5); }); layer.sort((a, b) => a.p - b.p); spread(layer); }
  for (let k = 0; k < SWEEPS; k++) {
    const downwards = k % 2 === 1;
    for (const layer of downwards ? layers : layers.slice().reverse()) {
      const wish = new Map(layer.map((c) => [c, mean(downwards ? c.ups : c.downs, spot, c.p)]));
      layer.sort((a, b) => wish.get(a) - wish.get(b)); spread(layer);
    }
  }
  // columns
  const column = (c) => c.x;
  for (const layer of layers) settle(layer, () => 0, () => 1);
  const linked = layers.flat().filter((c) => c.ups.length + c.downs.length);
  for (let k = 0; k < 2 * SWEEPS; k++) {
    const downwards = k % 2 === 0, middle = linked.reduce((a, c) => a + c.x, 0) / Math.max(1, linked.length);
    for (const layer of downwards ? layers : layers.slice().reverse()) {
      const near = (c) => mean(k >= 2 * SWEEPS - 2 ? [...c.ups, ...c.downs] : downwards ? c.ups : c.downs, column, c.ups.length + c.downs.length ? c.x : middle);
      settle(layer, near, (c) => (c.item ? (c.ups.length + c.downs.length ? 400 : 0.01) : 1));
    }
  }
  upright(layers);
  let left = Infinity, right = -Infinity;
  for (const c of layers.flat()) { left = Math.min(left, c.x - c.w / 2); right = Math.max(right, c.x + c.w / 2); }
  if (left > right) left = right = 0;
  const wide = Math.max(right - left, frame.least || 0), shift = PAD + (wide - right + left) / 2 - left;
  let top = HEAD;
  for (const layer of layers) {
    const tall = Math.max(0, ...layer.map((c) => (c.item ? c.item.h : 0)));
    for (const c of layer) { c.x += shift; c.top = top; c.bottom = top + tall; if (c.item) { c.item.dx = c.x - c.w / 2; c.item.dy = top; c.item.floor = top + tall; } }
    top += tall + GY;
  }
  frame.w = wide + 2 * PAD; frame.h = top - GY + PAD; frame.routes = routes; frame.goOut = goOut; frame.comeIn = comeIn;
}
const gate = (frame, c) => ({ x: frame.x + c.x, y0: frame.y + c.top, y1: frame.y + c.bottom });
// the path of an edge: x and y are the chains of frames from where they part to the two ends
function route(home, x, y) {
  const s = x[x.length - 1], t = y[y.length - 1], way = home.routes.get(x[0])?.get(y[0]);
  if (!way) return null;
  const gates = [], px0 = s.x + s.w / 2, floor = (f, i, at) => ({ x: at, y0: 0, y1: f.y + i.floor }); // first down to where the layer ends
  for (let k = x.length - 2; k >= 0; k--) { const f = x[k]; gates.push(floor(f, x[k + 1], gates.length ? gates[gates.length - 1].x : px0), ...(f.goOut.get(x[k + 1]) || []).map((c) => gate(f, c))); }
  gates.push(floor(home, x[0], gates.length ? gates[gates.length - 1].x : px0), ...way.map((c) => gate(home, c)));
  for (let k = 0; k < y.length - 1; k++) { const f = y[k]; gates.push(...(f.comeIn.get(y[k + 1]) || []).map((c) => gate(f, c))); }
  let px = s.x + s.w / 2, py = s.y + s.h, d = `M${px} ${py}`;
  const to = (qx, qy) => { const b = Math.max(4, (qy - py) / 2); d += Math.abs(px - qx) < 0.5 ? `L${qx} ${qy}` : `C${px} ${py + b} ${qx} ${qy - b} ${qx} ${qy}`; px = qx; py = qy; };
  for (const g of gates) { if (g.y0 > py) to(g.x, g.y0); if (g.y1 > py) { d += `L${g.x} ${g.y1}`; px = g.x; py = g.y1; } }
  to(t.x + t.w / 2, t.y - 1);
  return d;
}
// against the flow: dashed, from side to side
function aside(s, t) {
  const y1 = s.y + s.h / 2, y2 = t.y + t.h / 2, side = t.x >= s.x + s.w ? 1 : t.x + t.w <= s.x ? -1 : 0;
  const x1 = s.x + (side < 0 ? 0 : s.w), x2 = t.x + (side > 0 ? -1 : t.w + 1), d = side ? 18 : Math.min(56, 18 + Math.abs(y2 - y1) / 6);
  return `M${x1} ${y1}C${x1 + (side || 1) * d} ${y1} ${x2 + (side ? -side : 1) * d} ${y2} ${x2} ${y2}`;
}
return { arrange, route, aside, HEAD, WEAK };
})();
