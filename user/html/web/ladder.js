// SPDX-License-Identifier: GPL-2.0-only
// A connection's life as a ladder: the client at the left, the server at the right, time downwards.
import { colour, h, svg } from "./dom.js";
import { place, stepsOf } from "./steps.js";
import { count, duration, plain } from "./words.js";

const LINE = 15;

const KINDS = {
  retransmit: "again", synack_retransmit: "again", reset_sent: "reset", reset_received: "reset", drop: "drop", error: "reset",
  transition: "state", state: "state", sample: "look", finding: "found", "left-out": "left-out",
};

const offset = (t) => (t === 0 ? "0 s" : t < 1e6 ? `+${duration(t)}` : `+${(t / 1e6).toFixed(3)} s`);

const pen = document.createElement("canvas").getContext("2d");
const widthOf = (text) => pen.measureText(text).width;

// Words into lines that are no wider than so many pixels.
function wrap(text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last && widthOf(`${last} ${word}`) > width) lines.push(word);
    else lines[lines.length - 1] = last ? `${last} ${word}` : word;
  }
  return lines;
}

function geometry(width) {
  // Where there is no room beside the lines, what is said stands between them.
  const inside = width < 720;
  const left = inside ? 14 : Math.round(width * 0.4);
  const right = width - left;
  const text = inside ? right - left - 56 : left - 24;
  return { width, inside, left, right, text: Math.max(100, text) };
}

function labelled(step, g) {
  const looks = step.looks > 1 ? ` (seen so ${count(step.looks, "time")})` : "";
  step.lines = wrap(`${plain(step.text)}${looks}`, g.text);
  return step;
}

const heightOf = (g) => (step) => (step.end === 2 ? 30 : (step.lines.length + 1) * LINE + 8);

function label(step, g) {
  const x = g.inside ? (step.end === 0 ? g.left + 34 : g.right - 34) : step.end === 0 ? g.left - 16 : g.right + 16;
  const anchor = g.inside === (step.end === 0) ? "start" : "end";
  return svg("text", { class: "says", x, y: step.y + 4, "text-anchor": anchor },
    svg("tspan", { class: "time" }, offset(step.t)),
    step.lines.map((line) => svg("tspan", { x, dy: LINE }, line)));
}

// A segment: solid where its arrival was seen, dashed where only that it was sent.
function arrow(from, to, y, toY, name) {
  const way = Math.sign(to - from);
  const tip = to - way * 3;
  return [
    svg("line", { class: `segment ${name}`, x1: from, y1: y, x2: tip, y2: toY }),
    svg("path", { class: `head ${name}`, d: `M${tip},${toY} l${-way * 9},-4 v8 z` }),
  ];
}

function cross(x, y) {
  return svg("path", { class: "cross", d: `M${x - 5},${y - 5} l10,10 M${x - 5},${y + 5} l10,-10` });
}

function mark(step, g, arrivals) {
  const own = step.end === 0 ? g.left : g.right;
  const other = step.end === 0 ? g.right : g.left;
  const name = KINDS[step.kind] ?? "state";
  const dot = svg("circle", { class: `dot ${name}`, cx: own, cy: step.y, r: name === "look" ? 3 : 4.5 });
  const reach = own + (other - own) * (g.inside ? 26 / (g.right - g.left) : 1); // inside, words stand where the arrow would go
  if (step.kind === "retransmit" || step.kind === "synack_retransmit") return [arrow(own, reach, step.y, step.y + (g.inside ? 0 : 10), "again"), dot];
  if (step.kind === "reset_sent") {
    const seen = arrivals.get(step);
    return [arrow(own, reach, step.y, seen && !g.inside ? seen.y : step.y + (g.inside ? 0 : 10), seen ? "reset seen" : "reset"), dot];
  }
  // It came from the other side, and the kernel here threw it away.
  if (step.kind === "drop") return [svg("line", { class: "segment drop", x1: reach, y1: step.y - (g.inside ? 0 : 10), x2: own - Math.sign(own - other) * 9, y2: step.y }), cross(own - Math.sign(own - other) * 9, step.y)];
  return [dot];
}

function across(step, g) {
  const middle = g.width / 2;
  const rule = svg("line", { class: `across ${step.kind} ${step.severity ?? ""}`, x1: g.inside ? 0 : 8, x2: g.width - (g.inside ? 0 : 8), y1: step.y + 10, y2: step.y + 10 });
  const words = wrap(step.text, g.width - 40)[0];
  const wide = widthOf(words) + 22;
  const pill = [
    svg("rect", { class: `pill ${step.kind} ${step.severity ?? ""}`, x: middle - wide / 2, y: step.y, width: wide, height: 20, rx: 10 }),
    svg("text", { class: `pill ${step.severity ?? ""}`, x: middle, y: step.y + 14, "text-anchor": "middle" }, words),
  ];
  return [rule, step.id ? svg("a", { href: `#${step.id}` }, pill) : pill];
}

function lifeline(x, stretches, g) {
  return stretches.map((s) => {
    if (s.kind !== "folded") return svg("line", { class: `life ${s.kind}`, x1: x, y1: s.from, x2: x, y2: s.to });
    const middle = (s.from + s.to) / 2;
    return svg("path", { class: "life folded", d: `M${x},${s.from} V${middle - 8} l6,4 l-12,8 l6,4 V${s.to}` });
  });
}

function folds(stretches, g) {
  return stretches.filter((s) => s.kind === "folded").map((s) =>
    svg("text", { class: "fold", x: g.width / 2, y: (s.from + s.to) / 2 + 4, "text-anchor": "middle" }, `${duration(s.gap)}, folded`));
}

// The RST that this end sent and the other saw within a second.
function arrivalsOf(steps) {
  const found = new Map();
  const taken = new Set();
  for (const sent of steps.filter((s) => s.kind === "reset_sent")) {
    const seen = steps.find((s) => s.kind === "reset_received" && s.end !== sent.end && !taken.has(s) && s.t > sent.t - 1000 && s.t - sent.t < 1e6);
    if (seen) found.set(sent, seen), taken.add(seen);
  }
  return found;
}

function draw(steps, width) {
  const g = geometry(width);
  pen.font = `12px ${colour("--font")}`;
  for (const step of steps) labelled(step, g);
  const { stretches, height } = place(steps, heightOf(g), 12, g.inside);
  const arrivals = arrivalsOf(steps);
  return svg("svg", { class: "ladder", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Ladder diagram of ${count(steps.length, "step")}; the same as a table below it` },
    lifeline(g.left, stretches, g), lifeline(g.right, stretches, g), folds(stretches, g),
    steps.map((step) => (step.end === 2 ? across(step, g) : [mark(step, g, arrivals), label(step, g)])));
}

function table(steps) {
  const ends = ["client", "server", ""];
  return h("details", { class: "as-table" }, h("summary", {}, `The same as a table: ${count(steps.length, "step")}`),
    h("table", {}, h("thead", {}, h("tr", {}, ["Since the first event", "At", "What"].map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", {}, steps.map((s) => h("tr", {}, h("td", {}, offset(s.t)), h("td", {}, ends[s.end]), h("td", {}, plain(s.text), s.looks > 1 ? ` (seen so ${count(s.looks, "time")})` : ""))))));
}

export function ladderView(connection, ladder, findings) {
  const steps = stepsOf(connection, ladder, findings);
  const box = h("div", { class: "ladder-box" });
  let width = 0;
  new ResizeObserver(() => {
    const now = Math.floor(box.clientWidth);
    if (now < 200 || now === width) return;
    width = now;
    box.replaceChildren(draw(steps, width));
  }).observe(box);
  const name = (end) => [h("strong", {}, end.name), " ", end.process?.name ?? ""];
  return h("div", {},
    h("div", { class: "ladder-heads" }, h("div", {}, "client ", name(connection.client)), h("div", {}, "server ", name(connection.server))),
    box,
    h("p", { class: "legend" },
      h("span", { class: "key again" }, "sent again; whether it arrived was not seen"), h("span", { class: "key drop" }, "arrived and was dropped"),
      h("span", { class: "key reset" }, "RST"), h("span", { class: "key look" }, "looked at"),
      h("span", { class: "key life" }, "solid line: time to scale"), h("span", { class: "key stretched" }, "dotted: stretched to make room")),
    table(steps));
}

// What its curves are drawn from: each step's numbers, by end.
export const numbersOf = (ladder) => ladder.steps.filter((s) => s[5]).map(([t, end, kind, , , n]) => ({ t: t / 1e6, end, kind, n }));
