# SPDX-License-Identifier: GPL-2.0-only
"""Every incident of tests/causes: what the tool says is compared with what truly happened."""
import concurrent.futures
import os
import subprocess
import time

import pytest

import second_tries
import truth as truths
from conftest import causes_path
from tracer import Tracer

# How long the tool may take, after the incident, to have said everything; what comes with its end counts too.
TAIL_S = 2.0
# A healthy run is watched a little longer, for a false alarm that comes late.
SILENT_TAIL_S = 1.0
# These fill the machine, or change what is one for the whole host: they are made alone.
HEAVY = {("healthy", "ab"), ("healthy", "loss-short"), ("healthy", "loss-bulk"), ("healthy", "busy-loop"),
         ("i3", "memory"), ("i7", "busy"), ("i7", "busy-upload"), ("i7", "stopped"),
         ("crowd", "4000"), ("crowd", "processes-stopped"), ("flood", "one-port"), ("flood", "many-ports")}
# Made by test_crowds.py, for more than one tracer.
ELSEWHERE = {("crowd", "200"), ("crowd", "processes")}


def variants():
    causes = causes_path()
    for program in truths.programs():
        path = causes / program
        if not path.exists():
            yield pytest.param(program, None, id=program)
            continue
        listed = subprocess.run([str(path), "--list"], capture_output=True, text=True, check=True).stdout.split()
        for variant in listed:
            if (program, variant) in ELSEWHERE:
                continue
            yield pytest.param(program, variant, id=f"{program}-{variant}")


def pytest_generate_tests(metafunc):
    if "program" in metafunc.fixturenames:
        metafunc.parametrize(("program", "variant"), list(variants()))
    if "turn" in metafunc.fixturenames:
        metafunc.parametrize("turn", range(1, metafunc.config.getoption("--repeat") + 1))


def watch(tool, program, variant, alone=True):
    """Returns None, or the story of the failure."""
    with Tracer(tool, *truths.arguments(causes_path(), program, variant)) as tracer:
        truth = truths.make(causes_path(), program, variant)
        if not alone:
            truth["over"] = time.time()
        if truth["silent"]:
            tracer.wait_for(lambda: False, SILENT_TAIL_S)
        else:
            tracer.wait_for(lambda: not truths.differences(truth, tracer.findings()), TAIL_S)
        tracer.stop()
        problems = tracer.problems()
        problems += truths.differences(truth, tracer.findings())
        if problems:
            return truths.report(truth, tracer.findings(), problems, tracer.err)
        return None


@pytest.fixture(scope="session")
def ahead(request, tool):
    """With --jobs, the light incidents are made ahead, several at a time."""
    jobs = request.config.getoption("--jobs")
    if jobs <= 1:
        yield {}
        return
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        made = {}
        for item in request.session.items:
            params = getattr(getattr(item, "callspec", None), "params", {})
            key = (params.get("program"), params.get("variant"))
            if None in key or key in HEAVY or key[0] == "traps":
                continue
            made[item.nodeid] = pool.submit(watch, tool, *key, alone=False)
        concurrent.futures.wait(made.values())
        yield made


def test_incident(request, tool, ahead, program, variant, turn):
    assert variant is not None, f"{causes_path()} has no {program}: build it, or set TCPWHY_CAUSES"
    def first():
        made = ahead.get(request.node.nodeid)
        return made.result() if made else watch(tool, program, variant)

    made = True
    try:
        try:
            failure, again = first(), request.config.getoption("--second-try")
        except truths.NotMade as why:
            failure, again, made = str(why), True, False
        if failure and again:
            # On a busy machine a real incident can come out otherwise than it was meant to.
            story, failure = failure, watch(tool, program, variant)
            second_tries.note(f"{program} {variant}", story, failure, made=made)
    except truths.Skipped as why:
        pytest.skip(str(why))
    if failure:
        pytest.fail(failure, pytrace=False)


def test_help_and_usage_of_causes():
    """Every cause explains itself, and refuses a variant that it does not have."""
    for program in truths.programs():
        path = causes_path() / program
        assert "usage:" in subprocess.run([str(path), "--help"], capture_output=True, text=True, check=True).stdout
        assert subprocess.run([str(path), "--variant", "nonsense"], capture_output=True, check=False).returncode == 2
        assert os.access(path, os.X_OK)
