// SPDX-License-Identifier: GPL-2.0-only
// What `tcpwhy explain` says of a finding, where it is needed.
import { h } from "./dom.js";

const span = (s) => (s.code !== undefined ? h("code", {}, s.code) : s.em !== undefined ? h("em", {}, s.em) : s.text);
const spans = (list) => list.map(span);

function blocks(list) {
  const out = [];
  for (const block of list) {
    if (block.bullet) {
      if (out.at(-1)?.tagName !== "UL") out.push(h("ul", {}));
      out.at(-1).append(h("li", {}, spans(block.bullet)));
    } else if (block.code !== undefined) out.push(h("pre", {}, block.code));
    else if (block.table) {
      const [head, ...rows] = block.table;
      out.push(h("div", { class: "wide-table" }, h("table", {}, h("thead", {}, h("tr", {}, head.map((c) => h("th", { scope: "col" }, spans(c))))), h("tbody", {}, rows.map((r) => h("tr", {}, r.map((c) => h("td", {}, spans(c)))))))));
    } else out.push(h("p", {}, spans(block.text)));
  }
  return out;
}

// What one does first, is open; how the kernel gets there can be unfolded.
const OPEN = new Set(["What to check", "What to change"]);

export function explanation(report, f) {
  const page = report.explain[f.slug];
  if (!page) return null;
  const rank = (s) => (OPEN.has(s.title) ? 0 : 1);
  return h("section", { class: "explain" }, h("h3", {}, `About ${f.slug}`), blocks(page.meaning),
    [...page.sections].sort((a, b) => rank(a) - rank(b)).map((s) => h("details", { open: OPEN.has(s.title) }, h("summary", {}, s.title), blocks(s.blocks))));
}
