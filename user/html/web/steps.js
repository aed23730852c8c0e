// SPDX-License-Identifier: GPL-2.0-only
// The steps of a connection as its ladder shows them: with their findings among them, placed on an axis of time.

// {t (us since the first event), end: 0 client, 1 server, 2 neither, kind, text, state, numbers, looks}
export function stepsOf(connection, ladder, findings) {
  const steps = ladder.steps.map(([t, end, kind, text, state, n, looks]) => ({
    t, end, kind, state, looks, text,
    numbers: n && { sent: n[0], acked: n[1], received: n[2], unacked: n[3], unread: n[4], sendWindow: n[5], receiveWindow: n[6] },
  }));
  if (ladder.left_out)
    steps.splice(ladder.left_out_after, 0, { t: steps[ladder.left_out_after].t, end: 2, kind: "left-out", text: `${ladder.left_out} steps are left out here` });
  for (const f of findings)
    for (const [i, line] of f.lines.entries()) {
      if (i > 0 && line.phase === "update") continue;
      const t = micro(line.time) - connection.first;
      const what = line.phase !== "closed" ? line.severity : line.ended === "forgotten" ? "no longer observed" : `over: ${line.ended}`;
      steps.push({ t, end: 2, kind: "finding", severity: line.severity, id: f.id, text: `${f.id} ${f.slug} (${what})` });
    }
  return causesFirst(steps.sort((a, b) => a.t - b.t));
}

// The kernel tells that an RST was sent after it has sent it: on one host it may have arrived by then.
function causesFirst(steps) {
  for (let i = 1; i < steps.length; ++i) {
    if (steps[i].kind !== "reset_sent") continue;
    const seen = steps.findIndex((s, at) => at < i && s.kind === "reset_received" && s.end !== steps[i].end && steps[i].t - s.t < 1000);
    if (seen >= 0) steps.splice(seen, 0, ...steps.splice(i, 1));
  }
  return steps;
}

const micro = (rfc3339) => {
  const [whole, fraction = "0"] = rfc3339.replace("Z", "").split(".");
  return Date.parse(`${whole}Z`) * 1000 + Number(fraction.padEnd(6, "0"));
};

const MOST_FOLDS = 4;

// From how long on gaps are folded: those that are three times as long as all shorter ones together would leave them no room.
export function foldedGaps(times) {
  const gaps = times.slice(1).map((t, i) => t - times[i]).filter((g) => g > 0).sort((a, b) => b - a);
  let rest = gaps.reduce((a, b) => a + b, 0);
  let limit = Infinity;
  for (const gap of gaps.slice(0, Math.min(MOST_FOLDS, gaps.length - 1))) {
    rest -= gap;
    if (gap < rest * 3) break;
    limit = gap;
  }
  return limit;
}

const FOLD = 40;

// Gives each step its y, and the stretches of the axis between them: {from, to, kind: "scale" | "stretched" | "folded", gap}.
// Within "scale" a pixel is always the same time; where labels need more room it is "stretched".
// With `shared` both sides write into one column.
export function place(steps, heightOf, top, shared) {
  const limit = foldedGaps(steps.map((s) => s.t));
  let unfolded = 0;
  for (let i = 1; i < steps.length; ++i) if (steps[i].t - steps[i - 1].t < limit) unfolded += steps[i].t - steps[i - 1].t;
  const room = Math.min(1800, Math.max(160, steps.reduce((sum, s) => sum + heightOf(s), 0) * 0.6));
  const scale = unfolded > 0 ? room / unfolded : 0; // px a us
  const stretches = [];
  const bottom = [top, top, top]; // of the labels so far: client, server, across
  let y = top;
  steps.forEach((step, i) => {
    let from = y;
    const gap = i > 0 ? Math.max(0, step.t - steps[i - 1].t) : 0;
    const folded = gap >= limit;
    if (folded) {
      // Its words need a line of their own.
      const clear = Math.max(...bottom);
      if (clear > y) stretches.push({ from, to: clear, gap: 0, kind: "stretched" });
      from = Math.max(y, clear);
    }
    y = folded ? from + FOLD : y + gap * scale;
    const sides = shared || step.end === 2 ? [0, 1, 2] : [step.end, 2];
    const needed = Math.max(...sides.map((side) => bottom[side]));
    const stretched = needed > y + 0.5;
    y = Math.max(y, needed);
    step.y = y;
    for (const side of step.end === 2 ? [0, 1, 2] : [step.end]) bottom[side] = y + heightOf(step);
    if (y > from) stretches.push({ from, to: y, gap, kind: folded ? "folded" : stretched ? "stretched" : "scale" });
  });
  return { stretches, height: Math.max(...bottom) + 12, scale };
}
