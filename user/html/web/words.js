// SPDX-License-Identifier: GPL-2.0-only
// Numbers, times and names as people read them: the same forms as tcpwhy's text.

let utc = false;
export const useUtc = (on) => (utc = on);
export const usesUtc = () => utc;

const two = (n) => String(n).padStart(2, "0");
const three = (n) => String(n).padStart(3, "0");

// us since 1970 of "2026-03-01T12:09:54.954123Z".
export function micros(rfc3339) {
  const [whole, fraction = "0Z"] = rfc3339.split(".");
  return Date.parse(whole.replace("Z", "") + "Z") * 1000 + Number(fraction.replace("Z", "").padEnd(6, "0"));
}

function parts(us) {
  const d = new Date(us / 1000);
  return utc
    ? { date: [d.getUTCFullYear(), d.getUTCMonth() + 1, d.getUTCDate()], time: [d.getUTCHours(), d.getUTCMinutes(), d.getUTCSeconds()], ms: d.getUTCMilliseconds() }
    : { date: [d.getFullYear(), d.getMonth() + 1, d.getDate()], time: [d.getHours(), d.getMinutes(), d.getSeconds()], ms: d.getMilliseconds() };
}

// 12:09:54.954
export function clock(us) {
  const p = parts(us);
  return `${p.time.map(two).join(":")}.${three(p.ms)}`;
}
export const clockShort = (us) => clock(us).slice(0, 8);
export function day(us) {
  const [year, month, date] = parts(us).date;
  return `${year}-${two(month)}-${two(date)}`;
}
export function zone(us) {
  if (utc) return "UTC";
  const minutes = -new Date(us / 1000).getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const size = Math.abs(minutes);
  return `UTC${minutes < 0 ? "-" : "+"}${Math.floor(size / 60)}${size % 60 ? ":" + two(size % 60) : ""}`;
}

const short = (n) => (n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2)).replace(/\.0+$|(\.\d*?)0+$/, "$1");

// "850 ms", "3.5 s", "2 min 5 s"
export function duration(us) {
  if (us < 1000) return `${Math.round(us)} us`;
  if (us < 1e6) return `${short(us / 1000)} ms`;
  if (us < 120e6) return `${short(us / 1e6)} s`;
  const s = Math.round(us / 1e6);
  if (s < 7200) return `${Math.floor(s / 60)} min${s % 60 ? ` ${s % 60} s` : ""}`;
  return `${Math.floor(s / 3600)} h${s % 3600 >= 60 ? ` ${Math.floor((s % 3600) / 60)} min` : ""}`;
}

export function bytes(n) {
  if (n < 1024) return `${n} B`;
  for (const unit of ["KiB", "MiB", "GiB"]) {
    n /= 1024;
    if (n < 1024) return `${n.toFixed(1)} ${unit}`;
  }
  return `${(n / 1024).toFixed(1)} TiB`;
}

export const number = (n) => n.toLocaleString("en-US");
export const count = (n, one, many = one + "s") => `${number(n)} ${n === 1 ? one : many}`;

export const endpoint = (addr, port) => `${addr.includes(":") ? `[${addr}]` : addr}:${port}`;
// What steers a terminal or turns the writing direction is shown, not obeyed.
export const plain = (text) =>
  text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (c) => `\\x${c.codePointAt(0).toString(16).padStart(2, "0")}`);
export const processName = (p) => plain(p.comm ? `${p.comm}[${p.pid}]` : `process ${p.pid}`);
