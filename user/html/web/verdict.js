// SPDX-License-Identifier: GPL-2.0-only
// The answer, in words, before anything else.
import { h } from "./dom.js";
import { bytes, clock, count, duration, number, plain } from "./words.js";

export const badge = (severity) => h("span", { class: `badge ${severity}` }, severity);
export const link = (f, text = f.id) => h("a", { href: `#${f.id}` }, text);

const ENDED = {
  recovered: "it recovered", drained: "the queue drained", reset: "it was reset", closed: "the socket was closed",
  "timed-out": "the kernel gave up", "process-exit": "the process ended", "trace-end": "still so when the recording ended",
  forgotten: "no longer observed, as tcpwhy's table had no room; whether it still holds is unknown",
};

// "17:45:39.704 for 7.6 s; the process ended"
export function when(f) {
  if (f.instant) return f.until - f.from < 1000 ? `at ${clock(f.from)}` : `${clock(f.from)} to ${clock(f.until)}`;
  const ended = f.last.phase === "closed" ? ENDED[f.last.ended] ?? f.last.ended : "still so when the recording ended";
  return `from ${clock(f.since)}, for ${duration(f.until - f.since)}; ${ended}`;
}

const row = (term, ...what) => (what.flat().some(Boolean) ? [h("dt", {}, term), h("dd", {}, ...what)] : []);

// What a finding says, as text's block has it.
export function facts(f) {
  const unsure = f.shown.confidence === "certain" ? "" : ` (${f.shown.confidence})`;
  return h("dl", { class: "facts" },
    row("At fault", h("strong", {}, f.culprit), unsure),
    row("Cause", f.cause && plain(f.cause)),
    row("Effect", f.effect && plain(f.effect)),
    row("How it is known", f.evidence && plain(f.evidence)),
    row("When", when(f)),
    row("What to do", f.advice.length > 0 && h("ul", { class: "advice" }, f.advice.map((a) => h("li", {}, plain(a))))));
}

export const sentence = (f) => plain(f.shown.summary);

function symptoms(story) {
  if (story.symptoms.length === 0) return null;
  return h("div", { class: "symptoms" },
    h("h3", {}, story.symptoms.length === 1 ? "What follows from it" : `What follows from it (${story.symptoms.length})`),
    h("ul", {}, story.symptoms.map((f) => h("li", {}, badge(f.severity), " ", link(f, sentence(f)), " ", h("span", { class: "slug" }, f.slug)))));
}

function lead(story) {
  const f = story.root;
  return h("article", { class: `lead ${story.severity}`, "aria-labelledby": "verdict" },
    h("p", { class: "over" }, badge(story.severity), h("span", { class: "slug" }, f.slug), link(f)),
    h("h1", { id: "verdict" }, sentence(f)),
    facts(f), symptoms(story));
}

function other(story) {
  const f = story.root;
  return h("li", { class: `other ${story.severity}` },
    h("details", {},
      h("summary", {}, badge(story.severity), h("span", { class: "says" }, sentence(f)), h("span", { class: "slug" }, f.slug)),
      facts(f), symptoms(story), h("p", {}, link(f, `All about ${f.id}`))));
}

function quiet(report) {
  const s = report.summary;
  return h("article", { class: "lead none", "aria-labelledby": "verdict" },
    h("p", { class: "over" }, h("span", { class: "badge none" }, "no finding")),
    h("h1", { id: "verdict" }, "Nothing wrong was found."),
    h("p", {}, `In ${duration(report.ended - report.started)} ${count(s.connections, "connection")} began, and no condition that tcpwhy knows opened a finding.`));
}

// Losses that lose no event, by way: of one, of several. A way of a later version is in the summary alone.
const LOST = {
  iterator_failed: ["read of a socket iterator failed: the sockets after that point were not visited", "reads of a socket iterator failed: the sockets after that point were not visited"],
  walk_incomplete: ["walk over the files of processes was incomplete", "walks over the files of processes were incomplete"],
  table_full: ["entry of a kernel-side table was lost: the table was full", "entries of kernel-side tables were lost: a table was full"],
  not_swept: ["socket in trouble was not swept: the table of tracked sockets was full", "sockets in trouble were not swept: the table of tracked sockets was full"],
  queue_not_shown: ["connection in an accept queue was not reported: a sweep reports a bounded number for each listener", "connections in accept queues were not reported: a sweep reports a bounded number for each listener"],
  want_unanswered: ["question about a process or a socket was not answered in time", "questions about processes or sockets were not answered in time"],
};

// What keeps the answer from being the whole truth.
function caveats(report) {
  const s = report.summary;
  const all = [...report.about.notes, ...report.about.clocks];
  if (s.events_lost > 0) all.push(`${count(s.events_lost, "event")} of the kernel were lost: findings may be missing, and those that are told may lack evidence`);
  for (const [way, n] of Object.entries(s.losses ?? {}))
    if (LOST[way]) all.push(`${number(n)} ${LOST[way][n === 1 ? 0 : 1]}`);
  if (s.recorder_lost > 0) all.push(`${count(s.recorder_lost, "record")} found no room in the recorder`);
  if (s.connections_evicted > 0) all.push(`${count(s.connections_evicted, "connection")} were forgotten for want of room`);
  const evicted = Object.entries(s.evictions ?? {});
  if (evicted.length > 0) all.push(`full tables evicted entries (${evicted.map(([table, n]) => `${number(n)} of ${table}`).join(", ")}): what they held is unknown`);
  if (s.behind_ms > 0) all.push(`verdicts were up to ${duration(s.behind_ms * 1000)} late`);
  return all.length > 0 && h("aside", { class: "caveats", "aria-label": "What to know of the recording" }, h("ul", {}, all.map((t) => h("li", {}, plain(t)))));
}

export function verdict(report) {
  const [first, ...rest] = report.stories;
  // What is worth knowing and no more must not look like an incident.
  const shown = rest.slice(0, 20);
  return [
    caveats(report),
    first ? lead(first) : quiet(report),
    rest.length > 0 && h("section", { class: "others", "aria-label": "Other findings" },
      h("h2", {}, `${rest.length === 1 ? "One more" : `${number(rest.length)} more`}, of other causes`),
      h("ul", {}, shown.map(other)),
      rest.length > shown.length && h("p", { class: "note" }, `${number(rest.length - shown.length)} more are in the table of findings below.`)),
  ];
}

export const totals = (report) => [
  count(report.summary.connections, "connection"),
  ...(report.findings.length > 0 ? [count(report.findings.length, "finding")] : []),
  bytes(report.connections.reduce((sum, c) => sum + c.client.sent + c.server.sent, 0)) + " acknowledged",
];
