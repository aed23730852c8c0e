// SPDX-License-Identifier: GPL-2.0-only
// What is in the report, in four tables with one filter.
import { byId, h } from "./dom.js";
import { rank, SEVERITIES } from "./report.js";
import { Table } from "./table.js";
import { badge, sentence } from "./verdict.js";
import { bytes, clock, duration, number } from "./words.js";

const maybe = (severity) => (severity ? badge(severity) : "");
const dim = (text) => h("span", { class: "dim" }, text);

function findings(report, go) {
  return {
    key: "findings", name: "Findings", rows: report.findings, empty: "No finding.",
    table: new Table({
      name: "Findings", open: (f) => go(f.id), empty: "No finding is like this.",
      columns: [
        { key: "severity", name: "Severity", value: (f) => -rank(f.severity), cell: (f) => badge(f.severity), width: "92px" },
        { key: "slug", name: "Finding", value: (f) => f.slug, cell: (f) => f.slug, width: "minmax(170px,1.2fr)", prio: 2 },
        { key: "culprit", name: "At fault", value: (f) => f.culprit, cell: (f) => f.culprit, width: "minmax(150px,1fr)", prio: 3 },
        { key: "says", name: "What is wrong", value: (f) => f.shown.summary, cell: (f) => sentence(f), width: "minmax(160px,3fr)" },
        { key: "count", name: "Connections", align: "number", value: (f) => f.count, cell: (f) => number(f.count), width: "112px", prio: 3 },
        { key: "since", name: "Since", value: (f) => f.since, cell: (f) => clock(f.since), width: "116px", prio: 2 },
        { key: "long", name: "Lasted", align: "number", value: (f) => f.until - f.since, cell: (f) => (f.instant ? "-" : duration(f.until - f.since)), width: "88px", prio: 3 },
        { key: "id", name: "Id", value: (f) => Number(f.id.slice(2)), cell: (f) => dim(f.id), width: "60px", prio: 3 },
      ],
    }),
    of: { port: (f, port) => f.ports.has(port), process: (f, name) => f.processes.has(name) },
  };
}

function connections(report, go) {
  const who = (end) => end.process?.name ?? dim("-");
  return {
    key: "connections", name: "Connections", rows: report.connections,
    note: report.about.connections_left_out > 0 ? `${number(report.about.connections_left_out)} more are not in this page: tcpwhy report --connections lists them.` : "",
    table: new Table({
      name: "Connections", open: (c) => go(`c-${c.index}`), empty: report.connections.length ? "No connection is like this." : "The recording has no connection: a run of trace keeps only what went wrong.",
      columns: [
        { key: "severity", name: "Worst", value: (c) => -rank(c.severity), cell: (c) => maybe(c.severity), width: "92px" },
        { key: "first", name: "Began", value: (c) => c.first, cell: (c) => clock(c.first), width: "116px", prio: 2 },
        { key: "client", name: "Client", value: (c) => c.client.name, cell: (c) => [c.client.name, " ", dim(who(c.client))], width: "minmax(150px,2fr)" },
        { key: "server", name: "Server", value: (c) => c.server.name, cell: (c) => [c.server.name, " ", dim(who(c.server))], width: "minmax(130px,2fr)" },
        { key: "state", name: "State", value: (c) => c.state, cell: (c) => c.state || "-", width: "118px", prio: 3 },
        { key: "long", name: "Lasted", align: "number", value: (c) => c.last - c.first, cell: (c) => duration(c.last - c.first), width: "84px", prio: 2 },
        { key: "sent", name: "Sent", align: "number", value: (c) => c.client.sent, cell: (c) => bytes(c.client.sent), width: "84px", prio: 3 },
        { key: "received", name: "Received", align: "number", value: (c) => c.server.sent, cell: (c) => bytes(c.server.sent), width: "88px", prio: 3 },
        { key: "again", name: "Sent again", align: "number", value: (c) => c.retransmits, cell: (c) => number(c.retransmits), width: "92px", prio: 2 },
        { key: "slug", name: "Finding", value: (c) => c.slug, cell: (c) => c.slug, width: "minmax(110px,1fr)", prio: 3 },
      ],
    }),
    of: {
      port: (c, port) => c.client.port === port || c.server.port === port,
      process: (c, name) => c.client.process?.name === name || c.server.process?.name === name,
    },
  };
}

function listeners(report, go) {
  return {
    key: "listeners", name: "Listeners", rows: report.listeners,
    note: report.about.listeners_left_out > 0 ? "There were more listeners than this page has room for." : "",
    table: new Table({
      name: "Listeners", open: (l) => go(`l-${l.index}`), empty: "No listener is like this.",
      sort: ["fill", -1],
      columns: [
        { key: "severity", name: "Worst", value: (l) => -rank(l.severity), cell: (l) => maybe(l.severity), width: "92px" },
        { key: "at", name: "Listens at", value: (l) => l.at, cell: (l) => l.at, width: "minmax(140px,2fr)" },
        { key: "who", name: "Process", value: (l) => l.process?.name ?? "", cell: (l) => l.process?.name ?? dim("-"), width: "minmax(110px,2fr)", prio: 2 },
        { key: "fill", name: "Longest queue", align: "number", value: (l) => l.queue_max / (l.limit + 1), cell: (l) => `${number(l.queue_max)} of ${number(l.limit)}`, width: "124px" },
        { key: "refused", name: "Drops", align: "number", value: (l) => l.refused, cell: (l) => number(l.refused), width: "84px", prio: 2 },
        ...(report.several ? [{ key: "host", name: "Host", value: (l) => l.host, cell: (l) => l.host, width: "120px", prio: 3 }] : []),
      ],
    }),
    of: { port: (l, port) => l.port === port, process: (l, name) => l.process?.name === name },
  };
}

export const STATES = { R: "running", S: "sleeping", D: "in the kernel (disk)", T: "stopped", t: "traced", Z: "zombie", X: "dead" };

function processes(report, go) {
  return {
    key: "processes", name: "Processes", rows: report.processes,
    table: new Table({
      name: "Processes", open: (p) => go(`p-${p.index}`), empty: "No process is like this.", sort: ["severity", 1],
      columns: [
        { key: "severity", name: "Blamed for", value: (p) => -rank(p.severity) * 1e6 - p.blamed.length, cell: (p) => maybe(p.severity), width: "100px" },
        { key: "name", name: "Process", value: (p) => p.name, cell: (p) => p.name, width: "minmax(140px,2fr)" },
        { key: "findings", name: "Findings", align: "number", value: (p) => p.blamed.length, cell: (p) => number(p.blamed.length), width: "84px", prio: 2 },
        { key: "connections", name: "Connections", align: "number", value: (p) => p.connections, cell: (p) => number(p.connections), width: "104px" },
        { key: "sent", name: "Sent", align: "number", value: (p) => p.bytes_sent, cell: (p) => bytes(p.bytes_sent), width: "92px", prio: 2 },
        { key: "again", name: "Sent again", align: "number", value: (p) => p.retransmits, cell: (p) => number(p.retransmits), width: "92px", prio: 3 },
        { key: "state", name: "Last seen", value: (p) => p.state ?? "", cell: (p) => (p.state ? `${STATES[p.state] ?? p.state}${p.wait_channel && p.wait_channel !== "0" ? ` in ${p.wait_channel}` : ""}` : dim("-")), width: "minmax(110px,1.4fr)", prio: 3 },
      ],
    }),
    of: { port: () => true, process: (p, name) => p.name === name },
  };
}

export function tables(report, go) {
  const all = [findings, connections, listeners, processes].map((make) => make(report, go));
  const filter = { text: "", process: "", port: "", severity: "" };
  let chosen = all[0];
  if (report.findings.length === 0 && report.connections.length > 0) chosen = all[1];

  const passes = (view, row) =>
    (!filter.text || filter.text.split(/\s+/).every((word) => row.text.includes(word))) &&
    (!filter.process || view.of.process(row, filter.process)) &&
    (!filter.port || view.of.port(row, Number(filter.port))) &&
    (!filter.severity || rank(row.severity) >= rank(filter.severity));

  const apply = () => {
    for (const view of all) {
      view.shown = Object.values(filter).some(Boolean) ? view.rows.filter((row) => passes(view, row)) : view.rows;
      view.tab.querySelector(".many").textContent = number(view.shown.length);
    }
    chosen.table.show(chosen.shown, chosen.rows.length);
  };
  const choose = (view, focus) => {
    chosen = view;
    for (const v of all) {
      v.tab.setAttribute("aria-selected", v === view);
      v.tab.tabIndex = v === view ? 0 : -1;
      v.panel.hidden = v !== view;
    }
    if (focus) view.tab.focus();
    view.table.show(view.shown, view.rows.length);
  };

  for (const view of all) {
    view.tab = h("button", { type: "button", role: "tab", id: `tab-${view.key}`, "aria-controls": `panel-${view.key}`, onclick: () => choose(view) }, view.name, " ", h("span", { class: "many" }));
    view.panel = h("div", { role: "tabpanel", id: `panel-${view.key}`, "aria-labelledby": `tab-${view.key}`, hidden: true }, view.table.element,
      h("div", { class: "under" }, view.table.count, view.note && h("p", { class: "note" }, view.note)));
  }
  const keys = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(all[(all.indexOf(chosen) + step + all.length) % all.length], true);
  };

  let later = 0;
  const soon = () => { clearTimeout(later); later = setTimeout(apply, 80); };
  const field = (key, element) => {
    element.addEventListener("input", () => {
      filter[key] = key === "text" ? element.value.trim().toLowerCase() : element.value.trim();
      soon();
    });
    return element;
  };
  const names = [...new Set([...report.processes].sort((a, b) => rank(b.severity) - rank(a.severity) || b.connections - a.connections).map((p) => p.name))].slice(0, 500);
  const search = field("text", h("input", { type: "search", id: "search", placeholder: "Search: address, process, finding", "aria-label": "Search", autocomplete: "off", spellcheck: "false" }));
  const process = field("process", h("select", { id: "process", "aria-label": "Process" }, h("option", { value: "" }, "every process"), names.map((n) => h("option", { value: n }, n))));
  const port = field("port", h("input", { type: "number", id: "port", min: 1, max: 65535, placeholder: "port", "aria-label": "Port" }));
  const severity = field("severity", h("select", { id: "severity", "aria-label": "Severity" }, h("option", { value: "" }, "any severity"), SEVERITIES.map((s) => h("option", { value: s }, s === "critical" ? s : `${s} and above`))));
  const clear = h("button", { type: "button", class: "plain", onclick: () => {
    for (const element of [search, process, port, severity]) element.value = "";
    for (const key of Object.keys(filter)) filter[key] = "";
    apply();
  } }, "Clear");

  const section = h("section", { id: "tables", class: "tables", "aria-label": "Findings, connections, listeners, processes" },
    h("div", { class: "bar-of-tabs" },
      h("div", { role: "tablist", "aria-label": "Tables", onkeydown: keys }, all.map((v) => v.tab)),
      h("form", { class: "filter", role: "search", onsubmit: (event) => event.preventDefault() }, search, process, port, severity, clear)),
    all.map((v) => v.panel));
  queueMicrotask(() => { apply(); choose(chosen); });
  section.refresh = () => { for (const v of all) v.table.range = null; chosen.table.draw(); };
  // Shows one table with a filter: from a process to its connections.
  section.filterBy = (key, text) => {
    process.value = text;
    filter.process = text;
    apply();
    choose(all.find((v) => v.key === key));
    byId("tables").scrollIntoView();
  };
  return section;
}
