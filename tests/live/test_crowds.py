# SPDX-License-Identifier: GPL-2.0-only
"""Many connections that stall and recover together, seen by several tracers at once, and by a report later."""
import concurrent.futures
import contextlib
import pathlib
import subprocess
import tempfile

import pytest

import truth as truths
from conftest import causes_path
from tracer import Tracer

MOST_TEXT_LINES = 20
TRACERS = 4
TAIL_S = 1.0


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="tcpwhy-crowd-") as path:
        yield pathlib.Path(path)


def report(tool, file):
    done = subprocess.run([str(tool), "report", str(file), "--format", "json"], capture_output=True, text=True, check=False,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def judged(truth, tracer):
    """None, or the story of what this one got wrong."""
    problems = tracer.problems() + truths.differences(truth, tracer.findings())
    return truths.report(truth, tracer.findings(), problems, tracer.err) if problems else None


def test_several_tracers_see_the_same_end(tool, folder):
    """What one tracer's sweep tells must not keep another's from telling it; and a report says what its trace said."""
    with contextlib.ExitStack() as stack:
        # All start at once, as in the kernel matrix.
        tracers = [Tracer(tool, "--record", folder / f"{number}.tcpwhy") for number in range(TRACERS)]
        for tracer in tracers:
            stack.enter_context(tracer)
        truth = truths.make(causes_path(), "crowd", "200")
        tracers[0].wait_for(lambda: False, TAIL_S)
        with concurrent.futures.ThreadPoolExecutor(TRACERS) as pool:
            list(pool.map(Tracer.stop, tracers))
    failures = [failure for failure in (judged(truth, tracer) for tracer in tracers) if failure]
    assert not failures, f"{len(failures)} of {TRACERS} tracers were wrong\n" + "\n".join(failures)
    for number, tracer in enumerate(tracers):
        assert report(tool, folder / f"{number}.tcpwhy") == tracer.out, f"the report of tracer {number} differs"


def test_a_thousand_processes_are_few_lines(tool):
    """All connections are found; text stays short; JSON lines are as many as the findings ask for."""
    with Tracer(tool) as tracer, Tracer(tool, json_lines=False) as reader:
        truth = truths.make(causes_path(), "crowd", "processes")
        tracer.wait_for(lambda: False, TAIL_S)
        tracer.stop()
        reader.stop()
    failure = judged(truth, tracer)
    assert not failure, failure
    text = [line for line in reader.out if line.strip()]
    assert len(text) < MOST_TEXT_LINES, f"{len(text)} lines of text:\n" + "\n".join(text[:40])


def line_of(phase, time, **more):
    return {"id": "f-1", "finding": "stall-unread", "cause": "unknown", "severity": "critical", "phase": phase, "duration_ms": 0,
            "count_total": 400, "since": time, "time": time, "evidence": {}, "culprit": {"kind": "unknown"}, "summary": "",
            "role": "root", "story": "f-1", "confidence": "certain", **more}


SILENT = {"expect": [], "allow": [{"finding": "stall-unread"}], "never_culprits": [], "netns": [7], "silent": False}
AT = "1970-01-01T00:00:{:02}.000000Z".format


@pytest.mark.parametrize(("lines", "wrong"), [
    ([("open", 1), ("closed", 4)], []),
    ([("open", 1), ("closed", 6)], ["f-1 stall-unread / unknown: closed 1.0 s after all was over"]),
    ([("open", 1), ("update", 2)], ["f-1 stall-unread / unknown: still open at the end"]),
    ([("event", 9)], []),
])
def test_what_outlives_its_condition_is_wrong(lines, wrong):
    truth = dict(SILENT, over_by=5.0)
    assert truths.differences(truth, [line_of(phase, AT(second)) for phase, second in lines]) == wrong


def test_more_lines_than_the_findings_ask_for_are_wrong():
    many = [line_of("open", AT(1)), *(line_of("update", AT(2)) for _ in range(40)), line_of("closed", AT(3))]
    assert truths.differences(dict(SILENT, over_by=5.0), many) == [
        "f-1 stall-unread / unknown: 42 lines, at most 14 for 400 connections and 0.0 s"]


def test_a_finding_that_opens_late_is_wrong():
    wanted = {"finding": "stall-unread", "cause": "unknown", "opened_by": 2.0, "count_total": {"min": 1, "max": 400}}
    truth = dict(SILENT, expect=[wanted])
    assert truths.differences(truth, [line_of("open", AT(2))]) == []
    assert truths.differences(truth, [line_of("open", AT(4))]) == ["stall-unread / unknown: 1 of 1 opened too late, f-1 by 2.0 s"]

