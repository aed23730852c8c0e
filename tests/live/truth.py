# SPDX-License-Identifier: GPL-2.0-only
"""A cause's truth, and what the tool said, compared."""
import datetime
import errno
import json
import math
import pathlib
import re
import subprocess
import time

SEVERITIES = ["info", "warning", "critical"]
SKIPPED = 77
CAUSES = pathlib.Path(__file__).resolve().parent.parent / "causes"


def programs():
    """Those that make incidents: each file of tests/causes with a main()."""
    return [source.stem for source in sorted(CAUSES.glob("*.cpp")) if "\nint main(" in source.read_text()]


class Skipped(Exception):
    """This kernel cannot make the incident."""


class NotMade(AssertionError):
    """The cause says itself that the incident did not come about: the tool is not at fault."""


def make(causes, program, variant, limit_s=150):
    """Makes the incident and returns its truth."""
    began = time.time()
    done = subprocess.run([str(causes / program), "--variant", variant], capture_output=True, text=True, timeout=limit_s)
    if done.returncode == SKIPPED:
        raise Skipped(done.stderr.strip())
    if done.returncode != 0:
        raise NotMade(f"the cause {program} --variant {variant} failed ({done.returncode}), the tool is not at fault:\n"
                      f"{done.stdout}{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]), began=began)


def arguments(causes, program, variant):
    """What the tool needs to see the incident in its short time."""
    listed = subprocess.run([str(causes / program), "--arguments", variant], capture_output=True, text=True, check=True)
    return listed.stdout.split()


def rank(severity):
    return SEVERITIES.index(severity)


def epoch(text):
    # Python 3.11 reads at most microseconds, which is what the contract says.
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def same_addr(one, other):
    def plain(addr):
        return addr[7:] if addr.startswith("::ffff:") else addr
    return plain(one["addr"]) == plain(other["addr"]) and one["port"] == other["port"]


def ends_of(connection):
    """The two ends of a connection, whichever way round."""
    return frozenset((connection[side]["addr"].removeprefix("::ffff:"), connection[side]["port"]) for side in ("local", "remote"))


class Told:
    """All lines of one finding (one id)."""

    def __init__(self, lines):
        self.lines = lines
        self.last = lines[-1]
        self.id = self.last["id"]
        self.key = (self.last["finding"], self.last["cause"])
        self.severity = max((line["severity"] for line in lines), key=rank)
        self.phases = [line["phase"] for line in lines]
        self.count_total = max(line["count_total"] for line in lines)
        self.duration_ms = max(line["duration_ms"] for line in lines)

    def netns(self):
        out = set()
        for line in self.lines:
            for part in (line.get("connection"), line.get("listener"), (line.get("peer") or {}).get("connection")):
                if part and "netns" in part:
                    out.add(part["netns"])
        return out

    def connections(self):
        out = set()
        for line in self.lines:
            for connection in [line.get("connection"), *line.get("examples", [])]:
                if connection:
                    out.add(ends_of(connection))
        return out

    def pids(self):
        """(what, pid) of everybody it names."""
        out = set()
        for line in self.lines:
            out.add(("culprit", line["culprit"].get("pid")))
            out.add(("owner", (line.get("owner") or {}).get("pid")))
            out.add(("peer", ((line.get("peer") or {}).get("owner") or {}).get("pid")))
        return {(what, pid) for what, pid in out if pid is not None}

    def pid(self, what):
        found = {pid for kind, pid in self.pids() if kind == what}
        return found.pop() if len(found) == 1 else (sorted(found) or None)

    def at(self):
        service = self.last.get("service")
        return f"{service['addr']}:{service['port']}" if service else "no service"

    def __str__(self):
        last = self.last
        culprit = last["culprit"]
        who = culprit["kind"] + (f" {culprit.get('comm')}[{culprit['pid']}]" if "pid" in culprit else "")
        return (f"{self.id} {self.severity} {last['finding']} / {last['cause']} at {self.at()}; culprit {who}; "
                f"owner {self.pid('owner')}, peer {self.pid('peer')}; count_total {self.count_total}; "
                f"phases {','.join(self.phases)}{' ended ' + last['ended'] if 'ended' in last else ''}; "
                f"{self.duration_ms} ms; {last['role']} of {last['story']}; {last['confidence']}\n"
                f"        {last['summary']}\n        evidence {json.dumps(last['evidence'])}")


def gather(findings, truth):
    """The findings, one per id, that concern the truth's namespaces or name none.

    The inode of a namespace that died is used again: what began before the incident (or, where others run beside it,
    after its end) is another's.
    """
    namespaces = truth["netns"]
    by_id = {}
    for line in findings:
        # The kernel's own stamps, from which a begin is reckoned, are as coarse as its ticks.
        if not truth.get("began", 0) - 0.05 <= epoch(line["since"]) <= truth.get("over", float("inf")):
            continue
        by_id.setdefault(line["id"], []).append(line)
    told = [Told(lines) for lines in by_id.values()]
    return [one for one in told if not one.netns() or one.netns() & set(namespaces)]


def within(value, bounds):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bounds["min"] <= value <= bounds["max"]


def check_evidence(key, wanted, told):
    values = [line["evidence"][key] for one in told for line in one.lines if key in line["evidence"]]
    if not values:
        return f"evidence {key} is missing"
    if isinstance(wanted, dict) and "epoch_min" in wanted:
        wrong = [v for v in values if not wanted["epoch_min"] <= epoch(v) <= wanted["epoch_max"]]
        low, high = (datetime.datetime.fromtimestamp(wanted[k], datetime.timezone.utc).isoformat() for k in ("epoch_min", "epoch_max"))
        return f"evidence {key} is {wrong} and should be in {low} .. {high}" if wrong else None
    if key == "errno":
        values = [getattr(errno, v, v) if isinstance(v, str) else v for v in values]
    if isinstance(wanted, dict) and "contains" in wanted:
        word = rf"\b{re.escape(str(wanted['contains']))}\b"
        return None if any(re.search(word, json.dumps(v)) for v in values) else f"evidence {key} is {values}, should contain {wanted}"
    # A value may change while the finding is open: one of its lines must have the true one.
    if isinstance(wanted, dict):
        return None if any(within(v, wanted) for v in values) else f"evidence {key} is {values}, should be in {wanted}"
    return None if any(v == wanted and type(v) is type(wanted) for v in values) else f"evidence {key} is {values}, should be {wanted!r}"


def check_culprit(wanted, one):
    culprit = one.last["culprit"]
    kinds = wanted["kind"] if isinstance(wanted["kind"], list) else [wanted["kind"]]
    if culprit["kind"] not in kinds or ("pid" in wanted and culprit.get("pid") != wanted["pid"]):
        return f"culprit is {culprit}, should be {wanted}"
    return None


def check_phases(wanted, told):
    problems = []
    seen = {phase for one in told for phase in one.phases}
    missing = [phase for phase in wanted.get("phases", []) if phase not in seen]
    if missing:
        problems.append(f"phases {sorted(seen)}, missing {missing}")
    ended = [one.last.get("ended") for one in told if "ended" in one.last]
    if "ended" in wanted and not (ended and all(how in wanted["ended"] for how in ended)):
        problems.append(f"ended {ended}, should be {wanted['ended']}")
    return problems


def check_opened(wanted, told):
    """Each within its time."""
    due = wanted.get("opened_by", float("inf"))
    late = {one.id: epoch(one.lines[0]["time"]) - due for one in told if epoch(one.lines[0]["time"]) > due}
    worst = max(late, key=late.get, default=None)
    return [f"{len(late)} of {len(told)} opened too late, {worst} by {late[worst]:.1f} s"] if late else []


def check_numbers(wanted, told):
    problems = []
    if "count_total" in wanted:
        # Several findings may tell of the same connections (one an end) or of different ones (one after another).
        counts = [one.count_total for one in told]
        if max(counts) > wanted["count_total"]["max"] or sum(counts) < wanted["count_total"]["min"]:
            problems.append(f"count_total {counts}, should be {wanted['count_total']}")
    if "duration_ms" in wanted:
        duration = max(one.duration_ms for one in told)
        if not within(duration, wanted["duration_ms"]):
            problems.append(f"duration_ms {duration}, should be {wanted['duration_ms']}")
    severity = max((one.severity for one in told), key=rank)
    if wanted.get("severity", severity) != severity:
        problems.append(f"severity {severity}, should be {wanted['severity']}")
    return problems


def check_ends(wanted, one):
    problems = []
    for key, what in (("owner_pid", "owner"), ("peer_pid", "peer")):
        if key in wanted and one.pid(what) != wanted[key]:
            problems.append(f"{what} pid is {one.pid(what)}, should be {wanted[key]}")
    if "ends_pids" in wanted and {one.pid("owner"), one.pid("peer")} != set(wanted["ends_pids"]):
        problems.append(f"owner and peer are {one.pid('owner')} and {one.pid('peer')}, should be {wanted['ends_pids']}")
    if "connections" in wanted:
        true = {ends_of(connection) for connection in wanted["connections"]}
        said = one.connections()
        if not said or not said <= true:
            problems.append(f"connections {sorted(map(sorted, said - true)) or 'none'} are not among the true {sorted(map(sorted, true))}")
    if "role" in wanted and one.last["role"] != wanted["role"]:
        problems.append(f"role {one.last['role']}, should be {wanted['role']}")
    return problems


def matching(wanted, told):
    def fits(one):
        service = one.last.get("service")
        return (one.last["finding"] in wanted["finding"].split("|") and one.last["cause"] in wanted["cause"].split("|")
                and ("service" not in wanted or service is None or same_addr(service, wanted["service"])))
    return [one for one in told if fits(one)]


def check_expectation(wanted, told):
    title = f"{wanted['finding']} / {wanted['cause']}"
    found = matching(wanted, told)
    if not found:
        near = [f"{one.id} {one.key[1]} at {one.at()}" for one in told if one.last["finding"] in wanted["finding"].split("|")]
        more = f", {len(near) - 5} more" if len(near) > 5 else ""
        return [f"{title}: never said" + (f" (but {', '.join(near[:5])}{more})" if near else "")]
    problems = []
    ids = wanted.get("ids", {"min": 1, "max": 1})
    if not within(len(found), ids):
        problems.append(f"said by {len(found)} findings ({', '.join(one.id for one in found)}), should be {ids}")
    problems += check_phases(wanted, found) + check_numbers(wanted, found) + check_opened(wanted, found)
    for one in found:
        if "service" in wanted and not one.last.get("service"):
            problems.append(f"{one.id} names no service")
        if "culprit" in wanted:
            problems += filter(None, [check_culprit(wanted["culprit"], one)])
        problems += check_ends(wanted, one)
    problems += filter(None, (check_evidence(k, v, found) for k, v in wanted.get("evidence", {}).items()))
    return [f"{title}: {problem}" for problem in problems]


def check_stories(truth, told):
    problems = []
    letters = {}
    for wanted in truth["expect"]:
        if "story" in wanted:
            letters.setdefault(wanted["story"], []).extend(matching(wanted, told))
    by_id = {one.id: one for one in told}
    for letter, members in letters.items():
        stories = {one.last["story"] for one in members}
        if len(stories) > 1:
            problems.append(f"story {letter} is told as several: " + ", ".join(f"{one.id} in {one.last['story']}" for one in members))
        for story in stories:
            root = by_id.get(story)
            if root is None or root.last["role"] != "root":
                problems.append(f"story {story}: its root {'is not there' if root is None else 'calls itself ' + root.last['role']}")
            roots = [one.id for one in told if one.last["story"] == story and one.last["role"] == "root"]
            if len(roots) > 1:
                problems.append(f"story {story} has several roots: {roots}")
    return problems


def check_over(truth, told):
    """Where everything is over by a known time: no condition is open after it, or updated."""
    limit = truth.get("over_by")
    if limit is None:
        return []
    problems = []
    for one in told:
        late = epoch(one.last["time"]) - limit
        if "event" not in one.phases and one.phases[-1] != "closed":
            problems.append(f"{one.id} {one.key[0]} / {one.key[1]}: still open at the end")
        elif "event" not in one.phases and late > 0:
            problems.append(f"{one.id} {one.key[0]} / {one.key[1]}: {one.phases[-1]} {late:.1f} s after all was over")
        problems += too_many_lines(one)
    return problems if len(problems) <= 10 else [*problems[:10], f"{len(problems) - 10} more of the kind"]


def too_many_lines(one):
    """An update comes where the severity rises, the count doubles, or the duration does from 2 s on; no more often."""
    seconds = one.duration_ms / 1000
    most = 2 + 2 + math.ceil(math.log2(max(1, one.count_total))) + 1 + math.ceil(math.log2(max(1, seconds / 2)))
    if len(one.lines) <= most:
        return []
    return [f"{one.id} {one.key[0]} / {one.key[1]}: {len(one.lines)} lines, at most {most} for {one.count_total} connections "
            f"and {seconds:.1f} s"]


def check_rest(truth, told):
    """Nothing above info that is neither expected nor allowed, nothing that may never be said, and no innocent blamed."""
    problems = []
    innocents = set(truth["never_culprits"])
    expected = {id(one) for wanted in truth["expect"] for one in matching(wanted, told)}
    for one in told:
        loud = rank(one.severity) > rank("info")
        if loud and id(one) not in expected:
            if not any(entry["finding"] == one.last["finding"] and entry.get("cause", one.last["cause"]) == one.last["cause"]
                       and rank(one.severity) <= rank(entry.get("severity", "critical")) for entry in truth["allow"]):
                problems.append(f"{one.id} {one.severity} {one.key[0]} / {one.key[1]}: neither expected nor allowed")
        if one.key[0] in truth.get("never", []):
            problems.append(f"{one.id} {one.severity} {one.key[0]} / {one.key[1]}: may never be said")
        culprit = one.pid("culprit")
        only = truth.get("only_culprits", [])
        if loud and only and culprit and culprit not in only and "event" not in one.phases:
            problems.append(f"{one.id} {one.key[0]}: culprit is {culprit}, only {only} can be")
        for what, pid in one.pids():
            if pid in innocents and (loud or what == "culprit"):
                problems.append(f"{one.id} {one.key[0]}: {what} is the innocent {pid}")
    return problems


def differences(truth, findings):
    told = gather(findings, truth)
    problems = [problem for wanted in truth["expect"] for problem in check_expectation(wanted, told)]
    return problems + check_stories(truth, told) + check_rest(truth, told) + check_over(truth, told)


def report(truth, findings, problems, stderr=()):
    """What a person needs to understand a failure."""
    told = gather(findings, truth)
    lines = ["", "DIFFERENCES", *(f"  - {problem}" for problem in problems)]
    lines += ["TRUTH of " + truth["cause_program"] + " " + truth["variant"]]
    lines += [f"  {role}: {who['comm']}[{who['pid']}]" for role, who in truth["processes"].items()]
    lines += ["  measured " + json.dumps(truth.get("measured", {}))]
    lines += ["  expect   " + json.dumps(wanted) for wanted in truth["expect"]]
    lines += ["  allow    " + json.dumps(entry) for entry in truth["allow"]]
    lines += [f"  silent   {truth['silent']}"]
    lines += [f"THE TOOL SAID ({len(told)} findings of these namespaces)", *(f"  {one}" for one in told)]
    lines += ["ITS STDERR", *(f"  {line}" for line in list(stderr)[-20:])]
    return "\n".join(lines)
