// SPDX-License-Identifier: GPL-2.0-only
// Curves, drawn by uPlot, in the page's colours.
import uPlot from "uplot";
import { colour, h } from "./dom.js";
import { bytes, clockShort, duration, number } from "./words.js";

const live = new Set();

// A chart that fills its box: {title, x, series: [{label, values, colour, step, points, dash}], height, time, bytes, sync}.
// x in seconds: since 1970 with `time`, else since the connection began.
export function chart(spec) {
  const box = h("figure", { class: "chart" }, h("figcaption", {}, spec.title));
  const place = h("div", { class: "plot", role: "img", "aria-label": spec.aria ?? spec.title });
  box.append(place);
  const entry = { place, spec, plot: null };
  live.add(entry);
  new ResizeObserver(() => {
    if (!place.isConnected) return;
    if (!entry.plot) draw(entry);
    else if (entry.plot.width !== place.clientWidth && place.clientWidth > 0) entry.plot.setSize({ width: place.clientWidth, height: spec.height ?? 120 });
  }).observe(place);
  return box;
}

const value = (spec) => (spec.bytes ? bytes : number);

function axes(spec) {
  const common = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: `11px ${colour("--font")}` };
  const x = { ...common, grid: { show: false }, space: 90, size: 26, values: (_, splits) => splits.map((s) => (spec.time ? clockShort(s * 1e6) : `+${duration(s * 1e6).replace(/^0 us$/, "0 s")}`)) };
  const y = { ...common, size: spec.gutter ?? 64, space: 28, values: (_, splits) => splits.map((s) => (Number.isInteger(s) || spec.bytes ? value(spec)(s) : "")) };
  if (spec.bytes) y.incrs = [1, 2, 5, 10, 20, 50, 100, 256, 512].flatMap((n) => [n, n * 1024, n * 1024 ** 2, n * 1024 ** 3]).sort((a, b) => a - b);
  return [x, y];
}

function seriesOf(s, spec) {
  return {
    label: s.label, stroke: colour(s.colour), width: s.points ? 0 : 1.5, dash: s.dash,
    fill: s.bars ? colour(s.colour) : undefined,
    paths: s.bars ? uPlot.paths.bars({ size: [0.9, 24], gap: 0 }) : s.points ? () => null : uPlot.paths.stepped({ align: 1 }),
    points: s.points ? { show: true, size: 6, fill: colour(s.colour) } : { show: false },
    value: (_, v, __, at) => { const n = s.own && at !== null ? s.own[at] : v; return n === null || n === undefined ? "" : value(spec)(n); },
    spanGaps: true,
  };
}

// One upon another: uPlot draws later ones over earlier ones, so the highest sum comes first. The legend tells each its own.
function stack(series) {
  const sums = series[0].values.map(() => 0);
  const own = series.map((s) => s.values);
  const stacked = series.map((s, i) => ({ ...s, own: own[i], values: own[i].map((n, at) => (n ? (sums[at] += n) : null)) }));
  return stacked.reverse();
}

function draw(entry) {
  const { place, spec } = entry;
  if (place.clientWidth === 0) return;
  entry.plot?.destroy();
  const series = spec.stacked ? stack(spec.series) : spec.series;
  entry.plot = new uPlot({
    width: place.clientWidth, height: spec.height ?? 120,
    scales: { x: { time: false, range: spec.range ? () => spec.range : undefined }, y: { range: (_, low, high) => [0, Math.max(high * 1.05, spec.bytes ? 1 : 4)] } },
    axes: axes(spec),
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 }, sync: spec.sync ? { key: spec.sync } : undefined },
    legend: { live: true },
    padding: [8, 8, 0, 0],
    series: [{ label: "time", value: (_, v) => (v === null || v === undefined ? "" : spec.time ? clockShort(v * 1e6) : `+${duration(v * 1e6)}`) },
      ...series.map((s) => seriesOf(s, spec))],
  }, [spec.x, ...series.map((s) => s.values)], place);
}

// After a change of colours, or of the time zone.
export function redraw() {
  for (const entry of live) {
    if (!entry.place.isConnected) live.delete(entry);
    else if (entry.plot) draw(entry);
  }
}
