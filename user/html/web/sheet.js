// SPDX-License-Identifier: GPL-2.0-only
// One finding, connection, listener or process in full, over the page; the page's fragment says which.
import { chart } from "./charts.js";
import { byId, h } from "./dom.js";
import { explanation } from "./explain.js";
import { ladderView, numbersOf } from "./ladder.js";
import { connectionOfEnd, findingsOf, ladderOf } from "./report.js";
import { STATES } from "./tables.js";
import { badge, facts, link, sentence, when } from "./verdict.js";
import { bytes, clock, count, duration, endpoint, number, plain, processName } from "./words.js";

const row = (term, ...what) => (what.flat().some((w) => w !== undefined && w !== null && w !== "" && w !== false) ? [h("dt", {}, term), h("dd", {}, ...what)] : []);

function listOf(findings) {
  return h("ul", { class: "found" }, findings.map((f) => h("li", {}, badge(f.severity), " ", link(f, sentence(f)), " ", h("span", { class: "slug" }, f.slug))));
}

const ERRNO = { 11: "EAGAIN", 32: "EPIPE", 101: "ENETUNREACH", 103: "ECONNABORTED", 104: "ECONNRESET", 110: "ETIMEDOUT", 111: "ECONNREFUSED", 113: "EHOSTUNREACH" };

function evidence(object) {
  const value = (v) => (typeof v === "object" && v !== null ? Object.entries(v).map(([k, n]) => `${k} ${n}`).join(", ") : String(v));
  const entries = Object.entries(object);
  return entries.length > 0 && h("details", {}, h("summary", {}, "Evidence as numbers"), h("dl", { class: "facts narrow" }, entries.map(([k, v]) => row(h("code", {}, k), plain(value(v))))));
}

function examples(report, f) {
  const seen = new Map();
  for (const line of f.lines)
    for (const end of [line.connection, ...(line.examples ?? [])].filter(Boolean)) {
      const c = connectionOfEnd(report, end);
      seen.set(c ? c.index : end.id, { end, c });
    }
  const all = [...seen.values()].slice(0, 12);
  return all.length > 0 && [
    h("h3", {}, f.count > all.length ? `Connections, ${all.length} of ${number(f.count)}` : "Connections"),
    h("ul", { class: "found" }, all.map(({ end, c }) => {
      const text = c ? `${c.client.name} → ${c.server.name}` : `${endpoint(end.local.addr, end.local.port)} → ${endpoint(end.remote.addr, end.remote.port)}`;
      return h("li", {}, c ? h("a", { href: `#c-${c.index}` }, text) : text, " ", h("span", { class: "dim" }, c ? [c.client.process?.name, c.server.process?.name].filter(Boolean).join(" to ") : end.state));
    })),
  ];
}

function told(f) {
  return f.lines.length > 1 && h("details", {}, h("summary", {}, `How it was told: ${count(f.lines.length, "line")}`),
    h("ol", { class: "history" }, f.lines.map((l) => h("li", {}, h("span", { class: "time" }, clock(Date.parse(l.time) * 1000)), " ", l.phase, " ", badge(l.severity), " ", plain(l.summary)))));
}

function findingSheet(report, f) {
  const story = report.stories.find((s) => s.members.includes(f));
  const others = story.members.filter((o) => o !== f);
  const listener = report.listeners.find((l) => l.findings.includes(f));
  return {
    title: sentence(f),
    over: [badge(f.severity), h("span", { class: "slug" }, f.slug), h("span", { class: "dim" }, f.id)],
    body: [
      facts(f),
      others.length > 0 && [h("h3", {}, f === story.root ? "What follows from it" : "The story that it belongs to"), listOf(others)],
      listener?.queue_max > 0 && [h("h3", {}, "Listener"), h("p", {}, h("a", { href: `#l-${listener.index}` }, listener.at), ` longest queue ${listener.queue_max} of ${listener.limit}`), queueChart(listener)],
      examples(report, f), told(f), evidence(f.shown.evidence), explanation(report, f),
    ],
  };
}

function end(name, e) {
  return h("div", {}, h("h3", {}, name), h("dl", { class: "facts narrow" },
    row("Address", e.name), row("Process", e.process?.name ?? "not known"), row("State", e.state || "not seen"),
    row("Acknowledged", bytes(e.sent)), row("Sent again", number(e.retransmits)),
    row("Error", e.errno ? `${ERRNO[e.errno] ?? "errno"} (${e.errno})` : ""), row("Host", e.host)));
}

function curves(numbers) {
  if (numbers.length < 2) return h("p", { class: "note" }, "The socket was looked at less than twice: there are no curves to draw. What was looked at and had not changed was not told.");
  const x = numbers.map((p) => p.t);
  const of = (side, value) => numbers.map((p) => (p.end === side ? value(p.n) : undefined) ?? null);
  const some = (series) => series.filter((s) => s.values.some((v) => v !== null && v > 0));
  const range = [Math.min(...x), Math.max(...x) || 1];
  const draw = (title, series) => {
    const present = some(series);
    return present.length > 0 && chart({ title, x, series: present, bytes: true, height: 130, sync: "connection", range });
  };
  return [
    draw("Sequence numbers", [
      { label: "client sent", values: of(0, (n) => n[0]), colour: "--c1" }, { label: "client's, acknowledged", values: of(0, (n) => n[1]), colour: "--c1", dash: [4, 4] },
      { label: "server sent", values: of(1, (n) => n[0]), colour: "--c2" }, { label: "server's, acknowledged", values: of(1, (n) => n[1]), colour: "--c2", dash: [4, 4] },
      { label: "sent again", values: numbers.map((p) => (p.kind === "retransmit" ? p.n[1] : null)), colour: "--c3", points: true },
    ]),
    draw("Queues", [
      { label: "client's unacknowledged", values: of(0, (n) => n[3]), colour: "--c1" }, { label: "client's unread", values: of(0, (n) => n[4]), colour: "--c4" },
      { label: "server's unacknowledged", values: of(1, (n) => n[3]), colour: "--c2" }, { label: "server's unread", values: of(1, (n) => n[4]), colour: "--c5" },
    ]),
    draw("Windows", [
      { label: "client may send", values: of(0, (n) => n[5]), colour: "--c1" }, { label: "client offers", values: of(0, (n) => n[6]), colour: "--c1", dash: [4, 4] },
      { label: "server may send", values: of(1, (n) => n[5]), colour: "--c2" }, { label: "server offers", values: of(1, (n) => n[6]), colour: "--c2", dash: [4, 4] },
    ]),
  ];
}

function connectionSheet(report, c) {
  const found = findingsOf(report, c);
  const life = h("section", { class: "life" }, h("p", { class: "wait" }, "Reading its steps..."));
  const show = async () => {
    if (!c.hasLadder) {
      life.replaceChildren(h("p", { class: "note" }, "This page has no room for the steps of this connection: it holds those of the worst ones. ", h("code", {}, `tcpwhy report FILE --connection ${c.id || c.client.name}`), " prints them."));
      return;
    }
    const ladder = await ladderOf(c);
    if (ladder.steps.length === 0) life.replaceChildren(h("p", { class: "note" }, "The recording has no step of it."));
    else life.replaceChildren(h("div", { class: "life-columns" }, h("div", {}, h("h3", {}, "Step by step"), ladderView(c, ladder, found)), h("div", { class: "curves" }, h("h3", {}, "Beside it"), curves(numbersOf(ladder)))));
  };
  return {
    title: `${c.client.name} → ${c.server.name}`, wide: true, shown: show,
    over: [c.severity ? badge(c.severity) : h("span", { class: "badge none" }, "no finding"), h("span", { class: "dim" }, `${clock(c.first)}, seen for ${duration(c.last - c.first)}, ${count(c.events, "event")}${c.id ? `, ${c.id}` : ""}`)],
    body: [found.length > 0 && [h("h3", {}, "Findings that name it"), listOf(found)], h("div", { class: "ends" }, end("Client", c.client), end("Server", c.server)), life],
  };
}

function queueChart(l) {
  if (l.points.length < 2) return h("p", { class: "note" }, "It was looked at once.");
  const x = l.points.map((p) => p[0] / 1e6);
  const common = { x, time: true, gutter: 48, sync: "listener", range: [x[0], x.at(-1)] };
  return [
    chart({ ...common, title: "Accept queue, as it was looked at", height: 140,
      series: [{ label: "waiting", values: l.points.map((p) => p[1]), colour: "--c1" }, { label: "limit", values: l.points.map((p) => p[2]), colour: "--c3", dash: [5, 4] }] }),
    l.refused > 0 && chart({ ...common, title: "Segments dropped so far", height: 100, series: [{ label: "dropped", values: l.points.map((p) => p[3]), colour: "--c2" }] }),
  ];
}

function listenerSheet(report, l) {
  return {
    title: `Listener ${l.at}`, over: [l.severity && badge(l.severity), h("span", { class: "dim" }, l.process?.name ?? "process not known")],
    body: [
      h("dl", { class: "facts" }, row("Process", l.process && h("a", { href: `#p-${l.process.index}` }, l.process.name)), row("Longest queue", `${number(l.queue_max)} of ${number(l.limit)}${l.queue_max > l.limit ? ": full" : ""}`),
        row("Drops", l.refused > 0 && `${number(l.refused)} segments while it was watched`), row("Namespace", l.netns || ""), row("Host", report.several && l.host)),
      queueChart(l), l.findings.length > 0 && [h("h3", {}, "Findings"), listOf(l.findings)],
    ],
  };
}

function processSheet(report, p, showIn) {
  const touched = report.findings.filter((f) => !p.blamed.includes(f) && f.processes.has(processName(p)));
  return {
    title: p.name, over: [p.severity && badge(p.severity), h("span", { class: "dim" }, p.host)],
    body: [
      h("dl", { class: "facts" }, row("Connections", number(p.connections)), row("Acknowledged", bytes(p.bytes_sent)), row("Sent again", number(p.retransmits)),
        row("State", p.state && `${STATES[p.state] ?? p.state}${p.wait_channel && p.wait_channel !== "0" ? ` in ${plain(p.wait_channel)}` : ""}, as it was last observed`),
        row("Threads", p.threads), row("Open files", p.open_fds !== undefined && `${number(p.open_fds)}${p.fd_limit ? ` of ${number(p.fd_limit)}` : ""}`), row("cgroup", p.cgroup && plain(p.cgroup))),
      p.blamed.length > 0 && [h("h3", {}, "Found to be at fault in"), listOf(p.blamed)],
      touched.length > 0 && [h("h3", {}, "Hit by"), listOf(touched)],
      p.connections > 0 && h("p", {}, h("button", { type: "button", onclick: () => showIn("connections", p.name) }, "Its connections in the table")),
    ],
  };
}

export class Sheets {
  constructor(report, showIn) {
    this.report = report;
    this.showIn = (key, name) => { this.close(); showIn(key, name); };
    this.dialog = byId("sheet");
    this.dialog.addEventListener("close", () => {
      document.body.classList.remove("has-sheet");
      if (location.hash.length > 1) forgetFragment();
    });
    // A click beside it closes it.
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.close(); });
    addEventListener("hashchange", () => this.follow());
    this.follow();
  }

  find(fragment) {
    const { report } = this;
    const [, kind, rest] = fragment.match(/^(f|c|l|p)-(.+)$/) ?? [];
    if (kind === "f") { const f = report.findings.find((x) => x.id === fragment); return f && findingSheet(report, f); }
    if (kind === "c") { const c = /^\d+$/.test(rest) ? report.connections[Number(rest)] : report.connections.find((x) => x.id === rest); return c && connectionSheet(report, c); }
    if (kind === "l") { const l = report.listeners[Number(rest)]; return l && listenerSheet(report, l); }
    if (kind === "p") { const p = report.processes[Number(rest)]; return p && processSheet(report, p, this.showIn); }
    return undefined;
  }

  follow() {
    const sheet = this.find(decodeURIComponent(location.hash.slice(1)));
    if (!sheet) {
      if (this.dialog.open) this.dialog.close();
      return;
    }
    const close = h("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => this.close() }, "✕");
    this.dialog.classList.toggle("wide", Boolean(sheet.wide));
    this.dialog.replaceChildren(h("div", { class: "sheet" }, close, h("p", { class: "over" }, sheet.over), h("h2", { id: "sheet-title", tabindex: "-1" }, sheet.title), sheet.body.flat(Infinity).filter(Boolean)));
    if (!this.dialog.open) this.dialog.showModal();
    document.body.classList.add("has-sheet");
    this.dialog.scrollTop = 0;
    byId("sheet-title").focus();
    sheet.shown?.();
  }

  close() {
    this.dialog.close();
  }
}

// Without the fragment, and without a jump to the top.
function forgetFragment() {
  history.replaceState(null, "", location.pathname + location.search);
}
