"use strict";
(() => {
const DATA = JSON.parse(document.getElementById("data").textContent);
const $ = (s) => document.querySelector(s);
const el = (tag, attrs = {}, text) => { const e = document.createElement(tag); for (const k in attrs) e.setAttribute(k, attrs[k]); if (text !== undefined) e.textContent = text; return e; };
const last = DATA.steps.length, shapes = [];
const calm = matchMedia("(prefers-reduced-motion:reduce)").matches;
let at = 0, timer = null;
for (const g of document.querySelectorAll("#picture g.node, #picture g.edge, #picture g.cluster")) {
  const name = g.querySelector("title").textContent;
  const ends = g.classList.contains("edge") ? name.split("->") : [name.replace(/^cluster_/, "")];
  const known = g.classList.contains("cluster") ? DATA.clusters : DATA.nodes;
  const step = Math.max(...ends.map((n) => known[n] ?? 0));
  if (g.classList.contains("node") && DATA.work.includes(name)) g.classList.add("work");
  shapes.push([g, step]);
}
// Graphviz has made the boxes for letters of another font: what is wider than its box is drawn narrower
for (const g of document.querySelectorAll("#picture g.node")) {
  const room = g.querySelector("polygon,ellipse,path")?.getBBox().width - 8;
  for (const t of g.querySelectorAll("text")) if (t.getComputedTextLength() > room) { t.setAttribute("textLength", room); t.setAttribute("lengthAdjust", "spacingAndGlyphs"); }
}
DATA.steps.forEach((s, k) => {
  const li = el("li"); li.append(el("b", {}, s.label), el("span", {}, s.where)); li.onclick = () => { stop(); go(k + 1); }; $("#steps").append(li);
});
// the middle of something into the middle of its box; what is around the box stays where it is
function into(box, e, behavior) { const a = box.getBoundingClientRect(), b = e.getBoundingClientRect(); box.scrollBy({ left: (b.left + b.right - a.left - a.right) / 2, top: (b.top + b.bottom - a.top - a.bottom) / 2, behavior }); }
function go(k) {
  at = Math.max(0, Math.min(last, k));
  for (const [g, step] of shapes) { g.classList.toggle("later", step > at); g.classList.toggle("new", at > 0 && step === at); }
  $("#slider").value = at; $("#count").textContent = `${at} of ${last}`;
  [...$("#steps").children].forEach((li, i) => { li.classList.toggle("done", i < at); li.classList.toggle("at", i === at - 1); });
  const shape = shapes.find(([g, step]) => step === Math.max(1, at) && g.classList.contains("work"));
  if (shape) into($("#picture"), shape[0], at && !calm ? "smooth" : "auto");
  const s = DATA.steps[at - 1], now = $("#now"); now.replaceChildren();
  if (!s) { now.append(el("h2", {}, "Before the first function"), el("p", {}, "Nothing has run yet. Press play, or drag the slider.")); return; }
  now.append(el("h2", {}, s.label), el("p", {}, [s.where, s.gives].filter(Boolean).join(" · ")));
  if (s.code) {
    now.append(el("p", {}, `${s.code.file}:${s.code.line}, in ${s.code.function}`));
    if (s.code.lines.length) { const pre = el("pre"); for (const [n, t] of s.code.lines) { const d = el("div", n === s.code.line ? { class: "at" } : {}); d.append(el("i", {}, String(n)), t); pre.append(d); } now.append(pre); }
  }
  into($("#steps"), $("#steps").children[at - 1], "auto");
}
function stop() { clearInterval(timer); timer = null; $("#play").textContent = "Play"; }
function play() {
  if (timer) return stop();
  if (at === last) go(0);
  $("#play").textContent = "Pause";
  timer = setInterval(() => { go(at + 1); if (at === last) stop(); }, Math.max(120, Math.min(900, 20000 / last)));
}
$("#slider").max = last; $("#slider").oninput = (e) => { stop(); go(+e.target.value); };
$("#play").onclick = play; $("#back").onclick = () => { stop(); go(at - 1); }; $("#on").onclick = () => { stop(); go(at + 1); };
addEventListener("keydown", (e) => {
  if (e.target.tagName === "INPUT" && e.key !== " ") return;
  if (e.key === "ArrowRight") { stop(); go(at + 1); } else if (e.key === "ArrowLeft") { stop(); go(at - 1); } else if (e.key === " ") { e.preventDefault(); play(); }
});
$("#theme").onclick = () => document.documentElement.classList.toggle("dark");
if (matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.classList.add("dark");
go(0);
document.documentElement.dataset.ready = "1";
})();
