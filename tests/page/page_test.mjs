#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-only
// page_test.mjs TCPWHY FOLDER CHROMIUM: what report --format html makes, as a file and in a browser.
//
// FOLDER holds node_modules (package-lock.json beside this file) and the program `scripted`; pictures/ is made in it.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import zlib from "node:zlib";

const [tcpwhy, folder, chromiumPath] = process.argv.slice(2);
const { chromium } = createRequire(path.join(folder, "page_test.mjs"))("playwright-core");
const golden = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "golden");
const pictures = path.join(folder, "pictures");
const work = fs.mkdtempSync(path.join(os.tmpdir(), "tcpwhy-page-"));
const at = (name) => path.join(work, name);
const recording = (name) => path.join(golden, `${name}.tcpwhy`);

const run = (...words) => spawnSync(tcpwhy, ["report", ...words], { encoding: "utf8", maxBuffer: 1 << 28, env: { ...process.env, TZ: "UTC" } });

function page(from, name, ...more) {
  const done = run(from, "--format", "html", "-o", at(name), ...more);
  assert.equal(done.status, 0, done.stderr);
  assert.equal(done.stdout, "");
  return at(name);
}

function unpack(file, id) {
  const [, text] = fs.readFileSync(file, "utf8").match(new RegExp(`<script type="application/octet-stream" id="${id}">([^<]*)</script>`));
  return JSON.parse(zlib.inflateSync(Buffer.from(text, "base64")));
}

function scripted(name, lines) {
  execFileSync(path.join(folder, "scripted"), [at(name)], { input: lines.join("\n") });
  return at(name);
}

let browser;
before(async () => {
  fs.mkdirSync(pictures, { recursive: true });
  browser = await chromium.launch({ executablePath: chromiumPath, args: ["--no-sandbox", "--disable-gpu"] });
});
after(async () => {
  await browser?.close();
  fs.rmSync(work, { recursive: true });
});

// Opens a page from the disk; nothing may be asked of a network, and no error may be said.
async function open(file, { fragment = "", width = 1400, dark = false } = {}) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: dark ? "dark" : "light", timezoneId: "UTC", reducedMotion: "reduce" });
  context.setDefaultTimeout(120_000); // on a busy machine, too
  const tab = await context.newPage();
  const wrong = [];
  tab.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  tab.on("pageerror", (error) => wrong.push(error.stack));
  tab.on("request", (request) => request.url().startsWith("file:") || wrong.push(`asked for ${request.url()}`));
  await tab.goto(pathToFileURL(file).href + fragment);
  await tab.waitForSelector("main:not([aria-busy])");
  tab.done = async () => {
    assert.deepEqual(wrong, []);
    await context.close();
  };
  return tab;
}

test("the findings in the page are those of --format json, for every recording", () => {
  const names = fs.readdirSync(golden).filter((name) => name.endsWith(".tcpwhy"));
  assert.ok(names.length >= 8);
  for (const name of names) {
    const file = page(path.join(golden, name), `${name}.html`);
    const lines = run(path.join(golden, name), "--format", "json").stdout.trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(unpack(file, "report").lines, lines, name);
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  }
  const some = page(recording("i3-stopped"), "narrowed.html", "--severity", "critical", "--since", "+5s", "--port", "8080");
  const lines = run(recording("i3-stopped"), "--format", "json", "--severity", "critical", "--since", "+5s", "--port", "8080").stdout.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(unpack(some, "report").lines, lines);
});

test("connections, ladders, queues and counts are those of the recording", () => {
  const file = page(recording("i1-ipv4"), "data.html");
  const data = unpack(file, "report");
  const ladders = unpack(file, "ladders");
  const rows = run(recording("i1-ipv4"), "--connections", "--format", "json").stdout.trim().split("\n").map((line) => JSON.parse(line));
  assert.equal(data.connections.length, rows.length);
  assert.equal(ladders.length, data.about.with_ladder);
  rows.forEach((row, i) => {
    const [id, , , events, worst, slug, client, server] = data.connections[i];
    assert.deepEqual([client[0], client[1], server[0], server[1], events, worst, slug], [row.client.addr, row.client.port, row.server.addr, row.server.port, row.events, row.worst ?? "", row.finding ?? ""]);
    if (id) assert.equal(id, row.id);
    // Each line of the ladder in text that is no finding is a step here.
    if (i > 2) return;
    const text = run(recording("i1-ipv4"), "--connection", `${row.client.addr}:${row.client.port}`).stdout.split("\n").slice(2).filter((line) => line && !line.includes("  == "));
    assert.equal(ladders[i].steps.reduce((sum, step) => sum + step[6], 0), text.length);
    for (const step of ladders[i].steps) assert.ok(text.some((line) => line.includes(step[3])), step[3]);
  });
  const counts = data.lines.at(-1).events;
  const sum = (key) => data.activity.series[key].reduce((a, b) => a + b, 0);
  assert.equal(sum("retransmit"), counts.retransmit);
  assert.equal(sum("drop"), counts.drop);
  assert.equal(sum("synack_retransmit"), counts.synack_retransmit);
  const finding = data.lines.find((line) => line.finding === "accept-queue-overflow");
  const queue = data.listeners.find((listener) => listener.port === finding.listener.port);
  assert.equal(queue.limit, finding.listener.limit);
  assert.ok(queue.queue_max > queue.limit && queue.points.length > 3);
});

test("a page is not overwritten, nor made in part, nor thrown at a terminal", () => {
  const file = page(recording("i1-ipv4"), "once.html");
  const again = run(recording("i1-ipv4"), "--format", "html", "-o", file);
  assert.equal(again.status, 1);
  assert.match(again.stderr, /File exists/);
  assert.match(again.stderr, /--force/);
  const before = fs.readFileSync(file);
  fs.chmodSync(file, 0o644);
  assert.equal(run(recording("i1-ipv4"), "--format", "html", "-o", file, "--force").status, 0);
  assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(fs.readFileSync(file), before);
  assert.equal(run(recording("i1-ipv4"), "--format", "html", "-o", "-").stdout, before.toString());
  assert.equal(run(recording("i1-ipv4"), "--format", "html").stdout, before.toString());

  const full = run(recording("i1-ipv4"), "--format", "html", "-o", "/dev/full", "--force");
  assert.equal(full.status, 1);
  assert.match(full.stderr, /No space left/);
  const nowhere = run(recording("i1-ipv4"), "--format", "html", "-o", at("none/x.html"));
  assert.equal(nowhere.status, 1);
  assert.match(nowhere.stderr, /No such file/);
  for (const wrong of [["-"], [recording("i1-ipv4"), "--events"], [recording("i1-ipv4"), "--connections"], [recording("i1-ipv4"), "--connection", "1.1.1.1:1"]]) {
    const done = run(...wrong, "--format", "html", "-o", at("wrong.html"));
    assert.equal(done.status, 2, wrong.join(" "));
    assert.ok(!fs.existsSync(at("wrong.html")));
  }
  assert.equal(run(recording("i1-ipv4"), "-o", at("wrong.txt")).status, 2);
  const trace = spawnSync(tcpwhy, ["trace", "--format", "html"], { encoding: "utf8" });
  assert.equal(trace.status, 2);
  assert.match(trace.stderr, /tcpwhy report/);
});

test("it opens with the verdict, and a click leads to the connection and its ladder", async () => {
  const file = page(recording("i1-ipv4"), "i1.html");
  const tab = await open(file);
  assert.match(await tab.textContent("h1"), /^queue-server\[\d+\] has accepted nothing on 127\.0\.0\.1:\d+ for /);
  assert.match(await tab.textContent(".lead"), /find what blocks queue-server/);
  assert.match(await tab.title(), /^critical: queue-server/);
  assert.equal(await tab.locator(".bar").count(), unpack(file, "report").lines.at(-1).findings ? 4 : 0);
  assert.ok((await tab.locator(".timeline canvas").count()) >= 1);
  await tab.screenshot({ path: path.join(pictures, "i1-light.png"), fullPage: true });

  const rows = tab.locator("[role=tabpanel]:not([hidden]) .inner .row");
  assert.equal(await rows.count(), 4);
  await tab.fill("#search", "stall-unacked");
  await tab.waitForFunction(() => document.querySelectorAll("#panel-findings .inner .row").length === 1);
  await tab.selectOption("#severity", "critical");
  await tab.fill("#port", "1");
  await tab.waitForFunction(() => document.querySelectorAll("#panel-findings .inner .row").length === 0);
  await tab.click("text=Clear");
  await tab.click("#tab-connections");
  const all = unpack(file, "report").connections;
  assert.equal(await tab.textContent("#tab-connections .many"), String(all.length));
  await rows.first().click();
  await tab.waitForSelector("svg.ladder");
  assert.ok((await tab.locator("svg.ladder .segment.again").count()) > 0);
  assert.match(await tab.textContent("svg.ladder"), /sent again/);
  assert.ok((await tab.locator(".curves canvas").count()) >= 1);
  assert.equal(new URL(tab.url()).hash, "#c-0");
  await tab.locator("#sheet").screenshot({ path: path.join(pictures, "i1-ladder.png") });
  await tab.keyboard.press("Escape");
  await tab.waitForFunction(() => !document.querySelector("#sheet").open && location.hash === "");
  await tab.done();
});

test("a fragment leads to a finding, in the dark and on a narrow screen, too", async () => {
  const file = page(recording("i3-stopped"), "i3.html");
  const tab = await open(file, { fragment: "#f-2", width: 400, dark: true });
  await tab.waitForSelector("#sheet[open]");
  assert.match(await tab.textContent("#sheet-title"), /cannot send .* the peer's window is shut/);
  assert.match(await tab.textContent("#sheet .explain"), /What to check/);
  await tab.locator("#sheet").screenshot({ path: path.join(pictures, "i3-finding-narrow-dark.png") });
  await tab.click("#sheet .close");
  await tab.waitForFunction(() => !document.querySelector("#sheet").open);
  assert.ok(await tab.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it is wider than the screen");
  const paper = () => tab.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await paper();
  await tab.screenshot({ path: path.join(pictures, "i3-narrow-dark.png"), fullPage: true });
  await tab.click("#theme");
  assert.notEqual(await paper(), dark);
  assert.equal(await tab.textContent("#theme"), "Dark");
  await tab.evaluate(() => { location.hash = "f-1"; });
  await tab.waitForSelector("#sheet[open]");
  assert.match(await tab.textContent("#sheet-title"), /stalled-proxy.* has not read/);
  // The process is gone: nobody can send it SIGCONT any more.
  assert.match(await tab.textContent("#sheet .advice"), /find out who had stopped stalled-proxy/);
  await tab.done();
});

test("keys alone reach a connection", async () => {
  const tab = await open(page(recording("i2-ipv4"), "keys.html"));
  await tab.focus("#tab-findings");
  await tab.keyboard.press("ArrowRight");
  assert.equal(await tab.evaluate(() => document.activeElement.id), "tab-connections");
  assert.equal(await tab.getAttribute("#tab-connections", "aria-selected"), "true");
  await tab.focus("#panel-connections .row[tabindex='0']");
  await tab.keyboard.press("End");
  const last = Number(await tab.evaluate(() => document.activeElement.dataset.i));
  assert.equal(last, Number((await tab.textContent("#tab-connections .many")).replace(",", "")) - 1);
  await tab.keyboard.press("Home");
  await tab.keyboard.press("ArrowDown");
  await tab.keyboard.press("Enter");
  await tab.waitForSelector("#sheet[open] .as-table");
  assert.equal(await tab.evaluate(() => document.activeElement.id), "sheet-title");
  await tab.done();
});

test("paper gets every finding in full", async () => {
  const tab = await open(page(recording("i3-stopped"), "print.html"));
  await tab.emulateMedia({ media: "print" });
  await tab.evaluate(() => dispatchEvent(new Event("beforeprint")));
  assert.equal(await tab.locator("#print article").count(), 4);
  assert.ok(await tab.isVisible("#print"));
  assert.ok(!(await tab.isVisible("#tables")));
  await tab.done();
});

test("what a process calls itself is text, whatever it is", async () => {
  const evil = "<script>x()//";
  const worse = "\"><img/src=x>";
  const file = page(scripted("evil.tcpwhy", [
    `at 0ms  listen srv 127.0.0.1:8080 by ${evil}[2112] limit 4`,
    `at 10ms connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by ${worse}[4410]`,
    "established cli",
    "at 1s   sample srv queue 5 head 990ms",
    "at 2s   overflow srv from cli",
    "process 2112 state S in futex_wait fds 100 fd-limit 1024",
    "until 4s",
  ]), "evil.html");
  assert.ok(!fs.readFileSync(file, "utf8").includes(evil));
  const tab = await open(file);
  assert.ok((await tab.textContent("h1")).startsWith(`${evil}[2112] has accepted nothing`));
  await tab.click("#tab-connections");
  await tab.click("#panel-connections .inner .row");
  await tab.waitForSelector("svg.ladder");
  assert.ok((await tab.textContent("#sheet")).includes(worse));
  await tab.evaluate(() => dispatchEvent(new Event("beforeprint")));
  assert.equal(await tab.locator("script").count(), 3);
  assert.equal(await tab.locator("img").count(), 0);
  await tab.done();
});

test("nothing found is said so", async () => {
  const tab = await open(page(scripted("quiet.tcpwhy", ["at 0ms connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]", "established cli", "until 2s"]), "quiet.html"));
  assert.equal(await tab.textContent("h1"), "Nothing wrong was found.");
  assert.equal(await tab.getAttribute("#tab-connections", "aria-selected"), "true");
  await tab.done();
});

test("what was lost stands above the answer, by its way", async () => {
  const tab = await open(page(scripted("lossy.tcpwhy", [
    "at 0ms connect cli 127.0.0.1:50000 -> 127.0.0.1:8080 by curl[4410]", "established cli",
    "at 1s lost 1200 state", "lost 1 sample not_swept", "lost 3 seed want_unanswered", "until 2s"]), "lossy.html"));
  assert.equal(await tab.textContent("h1"), "Nothing wrong was found.");
  const caveats = await tab.textContent(".caveats");
  assert.match(caveats, /1,200 events of the kernel were lost/);
  assert.match(caveats, /1 socket in trouble was not swept: the table of tracked sockets was full/);
  assert.match(caveats, /3 questions about processes or sockets were not answered in time/);
  await tab.done();
});

test("of 10,000 connections only those that are seen are in the document", async () => {
  const many = ["at 0ms listen srv 127.0.0.1:8080 by lighttpd[2112] limit 4"];
  for (let i = 0; i < 10_000; ++i) many.push(`at ${i}ms connect c${i} 127.0.0.1:${20_000 + i} -> 127.0.0.1:8080 by curl[${4000 + (i % 50)}]`, `established c${i}`);
  many.push("at 10.5s timeout c77", "until 11s");
  const file = page(scripted("many.tcpwhy", many), "many.html");
  const data = unpack(file, "report");
  assert.equal(data.connections.length, 10_000);
  assert.equal(data.about.connections_left_out, 0);
  const tab = await open(file);
  await tab.click("#tab-connections");
  assert.equal(await tab.textContent("#tab-connections .many"), "10,000");
  assert.ok((await tab.locator(".row").count()) < 120);
  await tab.click("#panel-connections [data-key=first] button");
  await tab.click("#panel-connections [data-key=first] button");
  await tab.waitForFunction(() => document.querySelector("#panel-connections .inner .row").textContent.includes("127.0.0.1:29999"));
  await tab.evaluate(() => { document.querySelector("#panel-connections .scroll").scrollTop = 1e9; });
  await tab.waitForFunction(() => document.querySelector("#panel-connections .inner").textContent.includes("127.0.0.1:20000"));
  assert.ok((await tab.locator(".row").count()) < 120);
  await tab.fill("#search", "127.0.0.1:20077");
  await tab.waitForFunction(() => document.querySelectorAll("#panel-connections .inner .row").length === 1);
  await tab.click("#panel-connections .inner .row");
  await tab.waitForSelector("svg.ladder .segment.again");
  await tab.done();
});
