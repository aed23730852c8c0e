# SPDX-License-Identifier: GPL-2.0-only
"""The comparison itself: a tool that says the truth passes, and each kind of lie is caught."""
import copy

import pytest

import truth as truths
from tracer import schema_errors

CLIENT = {"addr": "127.0.0.1", "port": 40000}
SERVER = {"addr": "127.0.0.1", "port": 8080}
TRUTH = {
    "cause_program": "i1", "variant": "ipv4", "netns": [42], "silent": False, "never_culprits": [666],
    "processes": {"server": {"pid": 100, "comm": "s"}, "client": {"pid": 200, "comm": "c"}}, "measured": {},
    "never": ["half-open-risk"], "only_culprits": [100],
    "expect": [
        {"finding": "accept-queue-overflow", "cause": "not-accepting", "severity": "critical",
         "culprit": {"kind": "local-process", "pid": 100}, "service": SERVER, "story": "a",
         "evidence": {"limit": 4, "process_state": {"contains": "running"}}},
        {"finding": "stall-unacked", "cause": "accept-queue-full", "severity": "critical",
         "culprit": {"kind": "local-process", "pid": 100}, "service": SERVER, "owner_pid": 200, "peer_pid": 100,
         "count_total": {"min": 1, "max": 1}, "connections": [{"local": CLIENT, "remote": SERVER}], "story": "a",
         "role": "symptom", "phases": ["open", "closed"], "ended": ["recovered"], "duration_ms": {"min": 3000, "max": 5000},
         "evidence": {"unacked_bytes": {"min": 5, "max": 5}}},
    ],
    "allow": [{"finding": "accept-queue-overflow", "cause": "too-slow", "severity": "warning"}],
}


def process(pid, comm):
    return {"pid": pid, "comm": comm, "host": "h"}


def line(number, finding, cause, **changes):
    out = {
        "schema": "tcpwhy.finding/1", "id": f"f-{number}", "host": "h", "time": "2026-01-02T03:04:05.000001Z", "finding": finding,
        "cause": cause, "severity": "critical", "phase": "open", "since": "2026-01-02T03:04:05.000001Z", "duration_ms": 0,
        "culprit": {"kind": "local-process", "host": "h", "pid": 100, "comm": "s"}, "count": 1, "count_total": 1,
        "confidence": "certain", "story": "f-1", "role": "root" if number == 1 else "symptom", "service": SERVER,
        "evidence": {}, "summary": "s", "advice": ["a"],
    }
    out.update(changes)
    return out


def said():
    connection = {"id": "00000000-1", "host": "h", "family": "ipv4", "netns": 42, "local": CLIENT, "remote": SERVER,
                  "role": "client", "state": "ESTABLISHED"}
    listener = {"addr": "127.0.0.1", "port": 8080, "netns": 42, "queue": 5, "limit": 4, "owners": [process(100, "s")]}
    stall = line(2, "stall-unacked", "accept-queue-full", connection=connection, owner=process(200, "c"),
                 peer={"connection": dict(connection, local=SERVER, remote=CLIENT, role="server"), "owner": process(100, "s")},
                 evidence={"unacked_bytes": 5})
    return [
        line(1, "accept-queue-overflow", "not-accepting", listener=listener, evidence={"limit": 4, "process_state": "running, in select"}),
        stall,
        dict(copy.deepcopy(stall), phase="closed", ended="recovered", duration_ms=4200),
    ]


def test_the_truth_passes():
    assert not [error for one in said() for error in schema_errors(truths.json.dumps(one))]
    assert truths.differences(TRUTH, said()) == []


def change(index, **changes):
    def apply(lines):
        for one in lines[index] if isinstance(index, slice) else [lines[index]]:
            one.update(changes)
    return apply


STALL = slice(1, 3)


@pytest.mark.parametrize(("lie", "word"), [
    (change(STALL, cause="unknown"), "never said"),
    (change(0, severity="warning"), "severity"),
    (change(STALL, culprit={"kind": "network", "host": "h"}), "culprit"),
    (change(STALL, culprit={"kind": "local-process", "host": "h", "pid": 666}), "innocent"),
    (change(STALL, owner=None), "owner pid"),
    (change(STALL, peer=None), "peer pid"),
    (change(STALL, count_total=2), "count_total"),
    (change(2, ended="trace-end"), "ended"),
    (change(2, duration_ms=9000), "duration_ms"),
    (change(STALL, story="f-2", role="root"), "story"),
    (change(0, role="symptom"), "root"),
    (change(STALL, evidence={"unacked_bytes": 6}), "unacked_bytes"),
    (change(STALL, evidence={}), "missing"),
    (change(0, evidence={"limit": 4, "process_state": "blocked"}), "should contain"),
    (change(STALL, service={"addr": "127.0.0.1", "port": 8081}), "never said"),
    (lambda lines: lines.pop(), "phases"),
    (lambda lines: lines.clear(), "never said"),
    (lambda lines: lines.append(line(3, "reset", "linger-zero")), "neither expected nor allowed"),
    (lambda lines: lines.append(line(3, "accept-queue-overflow", "too-slow")), "neither expected nor allowed"),
    (lambda lines: lines.append(dict(said()[0], id="f-3")), "2 findings"),
    (lambda lines: lines.append(line(3, "half-open-risk", "no-keepalive", severity="info")), "may never be said"),
    (lambda lines: lines.append(line(3, "accept-queue-overflow", "too-slow", severity="warning",
                                     culprit={"kind": "local-process", "host": "h", "pid": 200})), "only [100] can be"),
])
def test_each_lie_is_caught(lie, word):
    lines = said()
    lie(lines)
    problems = truths.differences(TRUTH, lines)
    assert any(word in problem for problem in problems), problems
    assert word in truths.report(TRUTH, lines, problems)


@pytest.mark.parametrize("extra", [
    line(3, "reset", "linger-zero", severity="info"),
    line(3, "accept-queue-overflow", "too-slow", severity="warning", story="f-3", role="root"),
    line(3, "reset", "linger-zero", connection=dict(said()[1]["connection"], netns=43)),
])
def test_what_may_be_said_passes(extra):
    assert truths.differences(TRUTH, [*said(), extra]) == []
