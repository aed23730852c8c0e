// SPDX-License-Identifier: GPL-2.0-only
// When what happened: a bar for each finding, in a lane for each culprit, over the counts of events on the same clock.
import { chart } from "./charts.js";
import { h } from "./dom.js";
import { rank } from "./report.js";
import { clock, clockShort, day, duration, number, zone } from "./words.js";
import { sentence, when } from "./verdict.js";

const MOST_LANES = 12;

const NAMES = {
  retransmit: ["retransmissions", "--c1"], synack_retransmit: ["SYN-ACKs sent again", "--c2"], reset_sent: ["RSTs sent", "--c3"],
  reset_received: ["RSTs received", "--c4"], drop: ["segments dropped", "--c5"], lost: ["events lost", "--c6"],
  connected: ["connections opened", "--c1"], accepted: ["connections accepted", "--c2"],
};

function lanes(report) {
  const by = new Map();
  for (const f of report.findings) by.set(f.culprit, [...(by.get(f.culprit) ?? []), f]);
  const worst = (fs) => Math.max(...fs.map((f) => rank(f.severity)));
  return [...by].map(([name, findings]) => ({ name, findings: findings.sort((a, b) => rank(b.severity) - rank(a.severity) || a.from - b.from) }))
    .sort((a, b) => worst(b.findings) - worst(a.findings) || b.findings.length - a.findings.length);
}

function bar(f, range) {
  const span = range[1] - range[0];
  const percent = (us) => Math.min(100, Math.max(0, ((us - range[0]) / span) * 100));
  const left = percent(f.from);
  const width = Math.max(0, percent(f.until) - left);
  const label = `${f.severity} ${f.slug}, ${when(f)}`;
  // Beyond the middle a name stands before its bar where there is no room behind it.
  const side = width > 30 ? "in" : left + width < 62 ? "after" : "before";
  return h("a", { class: `bar ${f.severity} ${side}${f.instant && width < 1 ? " instant" : ""}${f.over || f.instant ? "" : " open"}`, href: `#${f.id}`, style: `--from:${left}%;--long:${width}%`, title: sentence(f), "aria-label": label },
    h("span", { class: "mark" }), h("span", { class: "name" }, f.slug));
}

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400].map((s) => s * 1e6);

function ticks(range) {
  const span = range[1] - range[0];
  const step = STEPS.find((s) => span / s <= 7) ?? span / 6;
  const form = step < 1e6 ? clock : clockShort;
  const at = [];
  for (let us = Math.ceil(range[0] / step) * step; us <= range[1]; us += step) at.push(us);
  return h("div", { class: "ticks", "aria-hidden": "true" }, at.map((us) => h("span", { style: `left:${((us - range[0]) / span) * 100}%` }, form(us))));
}

function bars(report, range) {
  const all = lanes(report);
  const shown = all.slice(0, MOST_LANES);
  if (shown.length === 0) return null;
  return h("div", { class: "lanes" },
    shown.map((lane) => h("div", { class: "lane", role: "group", "aria-label": `Findings whose culprit is ${lane.name}` },
      h("div", { class: "who" }, lane.name),
      h("div", { class: "track" }, lane.findings.slice(0, 8).map((f) => bar(f, range)),
        lane.findings.length > 8 && h("p", { class: "note" }, `and ${number(lane.findings.length - 8)} more`)))),
    h("div", { class: "lane axis" }, h("div", { class: "who" }), h("div", { class: "track" }, ticks(range))),
    all.length > shown.length && h("p", { class: "note" }, `${number(all.length - shown.length)} more culprits are in the table of findings.`));
}

function counts(report, range, keys, title, height, bars) {
  const { begins, bucket_ms: width, series } = report.activity;
  const present = keys.filter((key) => series[key]);
  if (present.length === 0) return null;
  const buckets = series[present[0]].length;
  const x = Array.from({ length: buckets }, (_, i) => (begins + (i + 0.5) * width * 1000) / 1e6);
  const totals = present.map((key) => `${number(series[key].reduce((a, b) => a + b, 0))} ${NAMES[key][0]}`).join(", ");
  return chart({
    title: `${title}, in each ${duration(width * 1000)}`, aria: `${title}: ${totals}`, height, time: true, sync: "run", range: range.map((us) => us / 1e6), x,
    stacked: bars, series: present.map((key) => ({ label: NAMES[key][0], values: series[key], colour: NAMES[key][1], bars })),
  });
}

export function timeline(report) {
  const from = Math.min(report.started, ...report.findings.map((f) => f.from));
  const to = Math.max(report.ended, from + 1000);
  const range = [from, to];
  return h("section", { class: "timeline", "aria-label": "When" },
    h("h2", {}, "When ", h("small", {}, `${day(from)}, ${clockShort(from)} to ${clockShort(to)} (${duration(to - from)}), ${zone(from)}`)),
    from < report.started && h("p", { class: "note" }, `The recording began at ${clockShort(report.started)}; what began before it is known from the sockets themselves.`),
    bars(report, range),
    counts(report, range, ["retransmit", "synack_retransmit", "reset_sent", "reset_received", "drop", "lost"], "Trouble on the wire", 130, true),
    counts(report, range, ["connected", "accepted"], "New connections", 100, false));
}
