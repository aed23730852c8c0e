// SPDX-License-Identifier: GPL-2.0-only
// The report's data, unpacked, and what the page needs to know of it: findings out of their lines, stories, names.
import { endpoint, micros, plain, processName } from "./words.js";

export const SEVERITIES = ["critical", "warning", "info"];
export const rank = (severity) => (severity ? 3 - SEVERITIES.indexOf(severity) : 0);

async function unpack(id) {
  const text = atob(document.getElementById(id).textContent);
  const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

export const canUnpack = () => typeof DecompressionStream === "function";

let ladders;
// The steps of a connection; read only when the first is asked for.
export async function ladderOf(connection) {
  ladders ??= unpack("ladders");
  return (await ladders)[connection.index];
}

// Of the lines of one finding, the one that tells most: where it was worst and widest, and of those the last.
function telling(lines) {
  const worst = Math.max(...lines.map((l) => rank(l.severity)));
  const grave = lines.filter((l) => rank(l.severity) === worst);
  const most = Math.max(...grave.map((l) => l.count));
  return grave.filter((l) => l.count === most).at(-1);
}

function culpritName(c, several) {
  const where = several ? ` on ${plain(c.host)}` : "";
  if (c.kind === "local-process") return c.pid ? processName(c) + where : `unknown process${where}`;
  if (c.kind === "remote-host") return c.remote ? `${endpoint(c.remote.addr, c.remote.port)}, another host` : "the other host";
  if (c.kind === "local-firewall") return `the firewall of ${plain(c.host)}`;
  if (c.kind === "kernel-limit") return `a limit of the kernel of ${plain(c.host)}`;
  return c.kind === "network" ? "the network" : "unknown";
}

function findingOf(id, lines, sentences, several) {
  const shown = telling(lines);
  const last = lines.at(-1);
  const [cause, effect, evidence] = sentences[lines.indexOf(shown)];
  const since = micros(last.since);
  // What happened in an instant, and again, lasted until its last line.
  const again = lines[0].phase === "event" && lines.length > 1;
  const until = again ? micros(last.time) : since + last.duration_ms * 1000;
  return {
    id, lines, shown, last, cause, effect, evidence, since, until,
    from: since,
    slug: last.finding,
    severity: shown.severity,
    // What is over needs other steps than what goes on.
    advice: last.phase === "closed" && last.cause === shown.cause ? last.advice : shown.advice,
    story: last.story,
    role: last.role,
    instant: lines[0].phase === "event",
    over: last.phase === "closed" && !["trace-end", "forgotten"].includes(last.ended),
    culprit: culpritName(shown.culprit, several),
    count: Math.max(...lines.map((l) => l.count)),
    ports: new Set(),
  };
}

// Every end that a finding names, with the ports of it.
function endsOf(line) {
  return [line.connection, line.peer?.connection, ...(line.examples ?? [])].filter(Boolean);
}

function stories(findings) {
  const byId = new Map(findings.map((f) => [f.id, f]));
  const groups = new Map();
  for (const f of findings) {
    const key = byId.has(f.story) ? f.story : f.id; // its root may have been left out by --severity
    groups.set(key, [...(groups.get(key) ?? []), f]);
  }
  const all = [...groups].map(([id, members]) => {
    const root = byId.get(id);
    const worst = members.reduce((a, b) => (rank(b.severity) > rank(a.severity) ? b : a));
    return { root, symptoms: members.filter((f) => f !== root).sort((a, b) => rank(b.severity) - rank(a.severity) || a.since - b.since), severity: worst.severity, members };
  });
  // The worst first; of those the one that explains most, then the one that hit most connections.
  return all.sort((a, b) => rank(b.severity) - rank(a.severity) || b.members.length - a.members.length || b.root.count - a.root.count || a.root.since - b.root.since);
}

function connectionOf(row, index, people, withLadder) {
  const end = ([addr, port, process, state, sent, retransmits, errno, netns, host]) => ({
    addr, port, name: endpoint(addr, port), process: people[process], state, sent, retransmits, errno, netns, host,
  });
  const [id, first, last, events, severity, slug, client, server] = row;
  const c = { index, id, first, last, events, severity, slug, client: end(client), server: end(server), hasLadder: index < withLadder };
  c.retransmits = c.client.retransmits + c.server.retransmits;
  c.state = c.client.state || c.server.state;
  c.text = [c.client.name, c.server.name, c.client.process?.name, c.server.process?.name, c.slug, c.state, id].filter(Boolean).join(" ").toLowerCase();
  return c;
}

export async function read() {
  const data = await unpack("report");
  const summary = data.lines.at(-1);
  const hosts = [...new Set([summary.host, ...data.about.origins.map((o) => o.host)])];
  const several = hosts.length > 1;

  const processes = data.processes.map((p, index) => ({
    ...p, index, name: processName(p) + (several ? ` on ${plain(p.host)}` : ""), blamed: [], severity: "",
  }));
  const byLine = new Map();
  const sentences = new Map();
  data.lines.slice(0, -1).forEach((line, i) => {
    byLine.set(line.id, [...(byLine.get(line.id) ?? []), line]);
    sentences.set(line.id, [...(sentences.get(line.id) ?? []), data.sentences[i]]);
  });
  const findings = [...byLine].map(([id, lines]) => findingOf(id, lines, sentences.get(id), several));
  for (const f of findings) {
    const ends = f.lines.flatMap(endsOf);
    for (const e of ends) f.ports.add(e.local.port).add(e.remote.port);
    if (f.shown.service) f.ports.add(f.shown.service.port);
    if (f.shown.listener) f.ports.add(f.shown.listener.port);
    const owners = [f.shown.owner, f.shown.peer?.owner].filter(Boolean).map((p) => processName(p));
    f.processes = new Set([...(f.shown.culprit.pid ? [processName(f.shown.culprit)] : []), ...owners]);
    f.text = [f.id, f.slug, f.shown.cause, f.shown.summary, f.culprit, ...owners, ...ends.flatMap((e) => [endpoint(e.local.addr, e.local.port), endpoint(e.remote.addr, e.remote.port), e.id])].join(" ").toLowerCase();
  }
  for (const p of processes) {
    p.blamed = findings.filter((f) => f.shown.culprit.pid === p.pid && f.shown.culprit.comm === p.comm && f.shown.culprit.host === p.host);
    p.severity = p.blamed.reduce((worst, f) => (rank(f.severity) > rank(worst) ? f.severity : worst), "");
    p.text = [p.name, p.cgroup, p.host].filter(Boolean).join(" ").toLowerCase();
  }
  const connections = data.connections.map((row, i) => connectionOf(row, i, processes, data.about.with_ladder));
  const listeners = data.listeners.map((l, index) => {
    const owner = processes[l.owner];
    const at = endpoint(l.addr, l.port);
    const mine = findings.filter((f) => f.shown.listener && f.shown.listener.port === l.port && f.shown.listener.addr === l.addr && (!f.shown.listener.netns || f.shown.listener.netns === l.netns));
    const severity = mine.reduce((worst, f) => (rank(f.severity) > rank(worst) ? f.severity : worst), "");
    return { ...l, index, at, process: owner, findings: mine, severity, text: `${at} ${owner?.name ?? ""}`.toLowerCase() };
  });
  return {
    about: data.about, summary, hosts, several, processes, findings, stories: stories(findings), connections, listeners,
    activity: data.activity, explain: data.explain,
    started: micros(summary.started), ended: micros(summary.ended),
  };
}

// The findings that name this connection, at either end.
export function findingsOf(report, c) {
  const same = (e) =>
    (e.local.addr === c.client.addr && e.local.port === c.client.port && e.remote.addr === c.server.addr && e.remote.port === c.server.port) ||
    (e.local.addr === c.server.addr && e.local.port === c.server.port && e.remote.addr === c.client.addr && e.remote.port === c.client.port);
  // The same addresses may come again: what is another connection began elsewhere in time.
  return report.findings.filter((f) => f.lines.some((l) => endsOf(l).some((e) => (c.id && e.id === c.id) || same(e))) && f.until >= c.first - 1e6 && f.from <= c.last + 1e6);
}

// The row of an end that a finding names.
export function connectionOfEnd(report, end) {
  return report.connections.find((c) => c.id === end.id) ??
    report.connections.find((c) => (c.client.addr === end.local.addr && c.client.port === end.local.port && c.server.port === end.remote.port) ||
      (c.client.addr === end.remote.addr && c.client.port === end.remote.port && c.server.port === end.local.port));
}
