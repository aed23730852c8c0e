// SPDX-License-Identifier: GPL-2.0-only
// The page: reads its own data, says what is wrong, and shows the rest on demand.
import "uplot/dist/uPlot.min.css";
import "./page.css";
import { redraw } from "./charts.js";
import { byId, h } from "./dom.js";
import { canUnpack, read } from "./report.js";
import { Sheets } from "./sheet.js";
import { tables } from "./tables.js";
import { timeline } from "./timeline.js";
import { badge, facts, sentence, totals, verdict } from "./verdict.js";
import { clock, day, plain, usesUtc, useUtc, zone } from "./words.js";

const dark = () => document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

// A file that was opened from a disk may have no storage.
const stored = (key, value) => {
  try {
    if (value === undefined) return localStorage.getItem(key);
    localStorage.setItem(key, value);
  } catch {
    // as asked for until the page is closed
  }
  return null;
};

function themeButton() {
  const button = h("button", { type: "button", class: "plain", id: "theme" });
  const label = () => (button.textContent = dark() === "dark" ? "Light" : "Dark");
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() === "dark" ? "light" : "dark";
    stored("tcpwhy-theme", document.documentElement.dataset.theme);
    label();
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { label(); redraw(); });
  label();
  return button;
}

function heading(report, again) {
  const origin = report.about.origins;
  const kernels = [...new Set(origin.map((o) => o.kernel))].join(", ");
  const utc = (usesUtc() || zone(report.started) !== "UTC") && h("button", { type: "button", class: "plain", id: "utc", "aria-pressed": usesUtc(), onclick: () => { useUtc(!usesUtc()); again(); } }, usesUtc() ? "Local time" : "UTC");
  return [
    h("p", { class: "brand" }, h("strong", {}, "tcpwhy"), " ", report.hosts.map(plain).join(", ")),
    h("p", { class: "from" }, `${day(report.started)} ${clock(report.started).slice(0, 8)} to ${clock(report.ended).slice(0, 8)} ${zone(report.started)}`, h("span", { class: "more" }, ` · ${totals(report).join(" · ")} · Linux ${plain(kernels)}`)),
    h("p", { class: "tools" }, utc, themeButton()),
  ];
}

function footing(report) {
  const { about, summary } = report;
  return h("footer", {}, h("p", {}, `tcpwhy ${about.tool} from ${[...new Set(about.origins.map((o) => plain(o.file)))].join(", ")}. `,
    `Events: ${Object.entries(summary.events).map(([k, n]) => `${k.replaceAll("_", " ")} ${n.toLocaleString("en-US")}`).join(", ")}. Lost: ${summary.events_lost + summary.recorder_lost}. `,
    report.connections.length > about.with_ladder ? `${about.with_ladder.toLocaleString("en-US")} connections, the worst first, have their steps in this page. ` : "",
    "This file needs no network. It names hosts, processes and addresses."));
}

// What a printer gets: every finding in full, since nothing can be clicked on paper.
function printed(report) {
  const shown = report.findings.slice(0, 200);
  return [h("h2", {}, "All findings"), shown.map((f) => h("article", {}, h("h3", {}, badge(f.severity), ` ${f.id} ${f.slug}`), h("p", {}, sentence(f)), facts(f))),
    report.findings.length > shown.length && h("p", {}, `${report.findings.length - shown.length} more are in the file.`)];
}

function show(report) {
  document.title = `${report.stories[0] ? `${report.stories[0].severity}: ${sentence(report.stories[0].root)}` : "no finding"} - tcpwhy`;
  let sheets;
  const go = (fragment) => { if (location.hash === `#${fragment}`) sheets.follow(); else location.hash = fragment; };
  const render = () => {
    byId("top").replaceChildren(...heading(report, render));
    const inTables = tables(report, go);
    byId("main").replaceChildren(...[verdict(report), timeline(report), inTables, footing(report)].flat(2).filter(Boolean));
    byId("main").removeAttribute("aria-busy");
    return inTables;
  };
  render();
  sheets = new Sheets(report, (key, text) => byId("tables").filterBy(key, text));
  addEventListener("beforeprint", () => {
    byId("print").replaceChildren(...printed(report).flat(2).filter(Boolean));
    redraw();
  });
  addEventListener("afterprint", () => byId("print").replaceChildren());
}

const theme = stored("tcpwhy-theme");
if (theme) document.documentElement.dataset.theme = theme;
if (!canUnpack())
  byId("main").replaceChildren(h("p", { class: "wait" }, "This browser is too old for this page: Chrome 80, Firefox 113 or Safari 16.4 can read it. ", h("code", {}, "tcpwhy report FILE"), " prints the same as text."));
else
  read().then(show).catch((error) => {
    byId("main").replaceChildren(h("p", { class: "wait" }, `The file is damaged: its report cannot be read (${error.message}). Copy it anew, or make it again from the recording.`));
    console.error(error);
  });
