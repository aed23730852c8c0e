# SPDX-License-Identifier: GPL-2.0-only
"""Findings against the truth of a soak: right, false, late, missed."""
import collections
import dataclasses

import truth as truths

LATE_S = 3.0  # after onset and threshold
CLOCKS_S = 0.1  # the kernel's stamps are as coarse as its ticks


@dataclasses.dataclass(frozen=True)
class Truth:
    """A stall that was made, in a namespace that nothing else used meanwhile."""

    kind: str
    netns: int
    finding: str
    cause: str
    culprit_kind: str
    culprit_pid: int | None
    service: dict
    began: float  # of its processes; all times are of the epoch
    due: float  # onset and threshold
    over: float  # when it truly was over
    closes_within_s: float  # after that
    allowed: tuple = ()  # (finding, cause) that may truthfully appear as well, with the same culprit


@dataclasses.dataclass
class Count:
    right: int = 0
    false: int = 0
    late: int = 0
    missed: int = 0


@dataclasses.dataclass
class Verdict:
    counts: dict  # by finding
    notes: list  # what was not right, in words

    @property
    def good(self):
        return not any(count.false or count.missed for count in self.counts.values())


def netns_of(thing):
    """Every namespace that it names, however deep."""
    if isinstance(thing, dict):
        own = {thing["netns"]} if isinstance(thing.get("netns"), int) else set()
        return own.union(*map(netns_of, thing.values()))
    return set().union(*map(netns_of, thing)) if isinstance(thing, list) else set()


def judge(made, lines, ours):
    """`made` are the truths; `ours` all namespaces of the soak: what is told of others is not judged."""
    verdict = Verdict(collections.defaultdict(Count), [])
    by_id = collections.defaultdict(list)
    for line in lines:
        by_id[line["id"]].append(line)
    told = [one for one in map(truths.Told, by_id.values()) if netns_of(one.lines) & ours]
    rest = {one.id: one for one in told}
    for truth in made:
        near = [one for one in told if _belongs(truth, one)]
        for one in near:
            rest.pop(one.id, None)
        _judge_one(truth, near, verdict)
    for one in rest.values():
        if truths.rank(one.severity) > truths.rank("info"):
            _false(verdict, one, "nothing was wrong there")
    return verdict


def _belongs(truth, one):
    since = truths.epoch(one.lines[0]["since"])
    return truth.netns in netns_of(one.lines) and truth.began - CLOCKS_S <= since <= truth.over + truth.closes_within_s


def _judge_one(truth, told, verdict):
    expected = [one for one in told if one.last["finding"] == truth.finding and one.last["cause"] == truth.cause]
    true = [one for one in expected if not _wrong(truth, one)]
    for one in told:
        if one in true:
            continue
        reason = _wrong(truth, one) if one in expected or _names(one, truth.allowed) else "it is not what was wrong"
        if reason and truths.rank(one.severity) > truths.rank("info"):
            _false(verdict, one, f"{reason}: {truth.kind} by {truth.culprit_pid or truth.culprit_kind}")
    count = verdict.counts[truth.finding]
    if not true:
        count.missed += 1
        near = ", ".join(f"{one.key[0]}/{one.key[1]}" for one in told) or "nothing"
        verdict.notes.append(f"missed: {truth.finding} / {truth.cause} of a {truth.kind} at {truth.service['port']}; told was {near}")
        return
    late_s = min(truths.epoch(one.lines[0]["time"]) for one in true) - truth.due
    if late_s > LATE_S:
        count.late += 1
        verdict.notes.append(f"late: {true[0].id} {truth.finding} / {truth.cause} by {late_s:.1f} s")
    else:
        count.right += 1


def _names(one, pairs):
    return one.key in pairs


def _wrong(truth, one):
    """Why a finding that could be true is not."""
    culprit = one.last["culprit"]
    if one.key == (truth.finding, truth.cause) and culprit["kind"] != truth.culprit_kind:
        return f"culprit is {culprit}"
    if "pid" in culprit and truth.culprit_pid is not None and culprit["pid"] != truth.culprit_pid:
        return f"culprit is {culprit}"
    if "event" in one.phases:
        return None
    if one.phases[-1] != "closed":
        return "it was never closed"
    outlived_s = truths.epoch(one.last["time"]) - truth.over - truth.closes_within_s
    return f"it outlived its condition by {outlived_s:.1f} s" if outlived_s > 0 else None


def _false(verdict, one, why):
    verdict.counts[one.key[0]].false += 1
    verdict.notes.append(f"false: {why}\n  {one}")


def slope(samples):
    """KiB a minute over the second half of [(seconds, KiB)], by least squares; None of too few."""
    later = samples[len(samples) // 2:]
    if len(later) < 3:
        return None
    middle_s = sum(at for at, _ in later) / len(later)
    middle = sum(kib for _, kib in later) / len(later)
    spread = sum((at - middle_s) ** 2 for at, _ in later)
    return sum((at - middle_s) * (kib - middle) for at, kib in later) / spread * 60 if spread else None
