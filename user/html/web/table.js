// SPDX-License-Identifier: GPL-2.0-only
// A table of any length: only the rows that are seen are in the document. Sorted by its heads, walked by keys.
import { h } from "./dom.js";
import { number } from "./words.js";

const EXTRA = 8; // rows drawn beyond each edge

// columns: [{key, name, value(row) to sort by, cell(row), align, prio (3 leaves first), width}]
export class Table {
  constructor({ name, columns, open, empty, sort }) {
    Object.assign(this, { columns, open, empty });
    this.rows = [];
    this.sort = sort ?? null; // [key, 1 or -1]
    this.at = 0; // the row that the keys are on
    this.head = h("div", { class: "row head", role: "row", "aria-rowindex": 1 }, columns.map((c) => this.headOf(c)));
    this.inner = h("div", { class: "inner", role: "rowgroup" });
    this.body = h("div", { class: "scroll", tabindex: "-1" }, h("div", { role: "rowgroup", class: "heads" }, this.head), this.inner);
    this.count = h("p", { class: "note", role: "status" });
    this.element = h("div", { class: "table", role: "grid", "aria-label": name, "aria-colcount": columns.length,
      style: [1, 2, 3].map((prio) => `--columns-${prio}:${columns.filter((c) => (c.prio ?? 1) <= prio).map((c) => c.width).join(" ")}`).join(";") }, this.body);
    this.body.addEventListener("scroll", () => this.draw(), { passive: true });
    this.inner.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.body);
  }

  headOf(column) {
    return h("div", { class: `cell ${column.align ?? ""} p${column.prio ?? 1}`, role: "columnheader", "data-key": column.key },
      h("button", { type: "button", onclick: () => this.sortBy(column.key) }, column.name));
  }

  sortBy(key) {
    const column = this.columns.find((c) => c.key === key);
    // Names go up first, numbers down.
    const first = column.align === "number" ? -1 : 1;
    this.sort = this.sort?.[0] === key ? [key, -this.sort[1]] : [key, first];
    this.show(this.rows, this.total);
  }

  show(rows, total) {
    this.total = total;
    this.rows = rows;
    if (this.sort) {
      const [key, way] = this.sort;
      const value = this.columns.find((c) => c.key === key).value;
      const keyed = rows.map((row) => [value(row), row]);
      keyed.sort(([a], [b]) => (a < b ? -way : a > b ? way : 0));
      this.rows = keyed.map(([, row]) => row);
    }
    for (const head of this.head.children) {
      const mine = this.sort?.[0] === head.dataset.key;
      if (mine) head.setAttribute("aria-sort", this.sort[1] > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
    this.at = 0;
    this.body.scrollTop = 0;
    this.element.setAttribute("aria-rowcount", this.rows.length + 1);
    this.count.textContent = this.rows.length === total ? "" : `${number(this.rows.length)} of ${number(total)} shown`;
    this.range = null;
    this.draw();
  }

  get rowHeight() {
    return parseFloat(getComputedStyle(this.element).getPropertyValue("--row")) || 34;
  }

  draw() {
    const height = this.rowHeight;
    const view = this.body.clientHeight || 400;
    const begin = Math.max(0, Math.floor(this.body.scrollTop / height) - EXTRA);
    const end = Math.min(this.rows.length, Math.ceil((this.body.scrollTop + view) / height) + EXTRA);
    if (this.range && this.range[0] === begin && this.range[1] === end) return;
    this.range = [begin, end];
    const focused = this.inner.contains(document.activeElement);
    this.inner.style.height = `${Math.max(1, this.rows.length) * height}px`;
    this.inner.replaceChildren(...this.rows.slice(begin, end).map((row, i) => this.rowOf(row, begin + i, height)));
    if (this.rows.length === 0) this.inner.append(h("p", { class: "note" }, this.empty));
    if (focused) this.focus();
  }

  rowOf(row, i, height) {
    return h("div", { class: `row ${row.severity ?? ""}`, role: "row", "aria-rowindex": i + 2, tabindex: i === this.at ? 0 : -1, "data-i": i,
      style: `transform:translateY(${i * height}px)`, onclick: () => { this.at = i; this.open(row); } },
      this.columns.map((c) => h("div", { class: `cell ${c.align ?? ""} p${c.prio ?? 1}`, role: "gridcell" }, c.cell(row))));
  }

  focus() {
    this.inner.querySelector(`[data-i="${this.at}"]`)?.focus({ preventScroll: true });
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.body.clientHeight / this.rowHeight) - 2);
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (this.rows[this.at]) this.open(this.rows[this.at]);
    }
    if (by === undefined) return;
    event.preventDefault();
    this.at = Math.min(this.rows.length - 1, Math.max(0, this.at + by));
    const height = this.rowHeight;
    const head = this.head.offsetHeight;
    const top = this.at * height;
    if (top < this.body.scrollTop) this.body.scrollTop = top;
    else if (top + height > this.body.scrollTop + this.body.clientHeight - head) this.body.scrollTop = top + height - this.body.clientHeight + head;
    this.range = null;
    this.draw();
    this.focus();
  }
}
