# SPDX-License-Identifier: GPL-2.0-only
"""Least privilege: what a run needs to begin, and what it holds on to once it is attached."""
import os
import pathlib
import re
import signal
import subprocess

import pytest

from actor import Actor, reset_incident
from conftest import ROOT, causes_path
from tracer import Tracer

NOBODY = 65534
# linux/capability.h
DAC_OVERRIDE, DAC_READ_SEARCH, SYS_PTRACE, PERFMON, BPF = 1, 2, 19, 38, 39
TO_LOAD = ("bpf", "perfmon")
ALL_FOUR = (*TO_LOAD, "sys_ptrace", "dac_read_search")


def as_nobody(*capabilities):
    """Another user, with these and no others."""
    wanted = ",".join(["-all", *(f"+{one}" for one in capabilities)])
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", f"--inh-caps={wanted}",
            f"--ambient-caps={wanted}", f"--bounding-set={wanted}"]


def status_of(folder):
    lines = (folder / "status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def threads(pid):
    return {int(folder.name): status_of(folder) for folder in pathlib.Path(f"/proc/{pid}/task").iterdir()}


def settled_threads(tracer, writers):
    """The writer gives its rights up as the first thing that it does, but when that is, the scheduler says."""
    def settled():
        return all(int(status["CapPrm"], 16) == writers for pid, status in threads(tracer.pid).items() if pid != tracer.pid)

    tracer.wait_for(settled, 5)
    return threads(tracer.pid)


def mask(*capabilities):
    return sum(1 << one for one in capabilities)


def held(status):
    """Permitted; and that nothing else is left by which more could come back."""
    permitted = int(status["CapPrm"], 16)
    assert int(status["CapEff"], 16) == permitted
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    return permitted


def kept():
    """What reading about processes takes; and CAP_BPF where the kernel asks for it at each look into a map."""
    least, release = mask(SYS_PTRACE, DAC_READ_SEARCH), [int(n) for n in os.uname().release.split("-")[0].split(".")[:2]]
    return [least] if release >= [5, 19] else [least, least | mask(BPF)]


@pytest.mark.parametrize("command", ["trace", "record"])
@pytest.mark.parametrize("before", [(), tuple(as_nobody(*ALL_FOUR))], ids=["root", "nobody"])
def test_privileges_are_given_up(readable_tool, tmp_path, command, before):
    os.chmod(tmp_path, 0o777)
    for parent in tmp_path.parents[:2]:
        os.chmod(parent, 0o755)
    record = ["-o", tmp_path / "run.tcpwhy"] if command == "record" else []
    with Tracer(readable_tool, *record, command=command, json_lines=command == "trace", before=before) as tracer:
        statuses = settled_threads(tracer, 0)
        assert held(statuses.pop(tracer.pid)) in kept()
        assert len(statuses) == (1 if command == "record" else 0), "the recording has a thread of its own"
        assert [held(status) for status in statuses.values()] == [0] * len(statuses)
        assert tracer.stop() == 0


def test_flight_recorder_still_saves_where_only_root_may_write(tool, tmp_path):
    """Its writer makes files later, so it keeps that right; and only that."""
    folder = tmp_path / "saved"
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    with Tracer(tool, "--flight-recorder", "1min", "-o", folder, command="record", json_lines=False) as tracer:
        statuses = settled_threads(tracer, mask(DAC_OVERRIDE))
        assert held(statuses.pop(tracer.pid)) in kept()
        assert [held(status) for status in statuses.values()] == [mask(DAC_OVERRIDE)]
        os.kill(tracer.pid, signal.SIGUSR1)
        assert tracer.wait_for(lambda: any(folder.iterdir()), 10), tracer.err
        assert tracer.stop() == 0


def test_the_service_runs_with_what_its_unit_leaves_it(tool, tmp_path):
    unit = (ROOT / "scripts" / "systemd" / "tcpwhy-flight-recorder.service").read_text()
    assert not re.search(r"^(Nice=[1-9]|CPUSchedulingPolicy=|CPUWeight=|CPUQuota=)", unit, re.M)  # it must keep up with storms
    bounding = re.search(r"^CapabilityBoundingSet=(.*)", unit, re.M)[1].lower().replace("cap_", "+").split()
    _, command, *arguments = re.search(r"^ExecStart=(.*)", unit, re.M)[1].split()
    arguments[arguments.index("-o") + 1] = tmp_path
    with Tracer(tool, *arguments, command=command, json_lines=False,
                before=["setpriv", "--bounding-set=" + ",".join(["-all", *bounding]), "--no-new-privs"]) as tracer:
        os.kill(tracer.pid, signal.SIGUSR1)
        assert tracer.wait_for(lambda: any(tmp_path.iterdir()), 10), tracer.err
        assert tracer.stop() == 0
        assert [line for line in tracer.err if "error" in line or "warning" in line] == []


def said_of(tracer, slug):
    found = [f for f in tracer.findings() if f["finding"] == slug]
    assert found, f"no {slug}\n" + "\n".join(tracer.out + tracer.err)
    return found[-1]


def without_looks(listener):
    """How long its queue is changes from one look to the next; each tracer reads the clock for itself, to the microsecond."""
    owners = [{key: value for key, value in owner.items() if key != "start_time"} for owner in listener["owners"]]
    return dict(listener, queue=0, owners=owners)


def test_four_capabilities_tell_what_root_tells(readable_tool):
    """The same incident, watched by both: a listener whose process does not accept."""
    with Tracer(readable_tool) as root, Tracer(readable_tool, before=as_nobody(*ALL_FOUR)) as four, \
            Tracer(readable_tool, before=as_nobody(*TO_LOAD)) as two:
        subprocess.run([str(causes_path() / "i2"), "--variant", "ipv4"], check=True, capture_output=True, timeout=120)
        for tracer in (root, four, two):
            assert tracer.stop() == 0
            assert tracer.problems() == []
    by_root, by_four, by_two = (said_of(tracer, "accept-queue-overflow") for tracer in (root, four, two))
    for key in ("cause", "severity", "culprit"):
        assert by_four.get(key) == by_root.get(key), key
    assert without_looks(by_four["listener"]) == without_looks(by_root["listener"])
    # Whether a second look has met the same head of the queue yet differs from one tracer to the next.
    assert set(by_four["evidence"]) | {"accepted_nothing_ms"} == set(by_root["evidence"]) | {"accepted_nothing_ms"}
    assert "open_fds" in by_root["evidence"]
    # Two are enough to name the process, not to look into it.
    assert by_two["culprit"] == by_root["culprit"]
    assert "open_fds" not in by_two["evidence"]


@pytest.mark.parametrize("capabilities", [(), ("bpf",), ("perfmon",), ("sys_ptrace", "dac_read_search")])
def test_less_is_refused_in_words(readable_tool, capabilities):
    done = subprocess.run([*as_nobody(*capabilities), str(readable_tool), "trace", "--for", "1s"], capture_output=True,
                          text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "needs CAP_BPF and CAP_PERFMON" in done.stderr


def test_findings_in_another_namespace_are_named_without_root(readable_tool):
    server = Actor("cap-server")
    client = Actor("cap-client", netns_of=server)
    try:
        with Tracer(readable_tool, before=as_nobody(*ALL_FOUR)) as tracer:
            reset_incident(server, client, "127.0.0.1", int(server.do("listen", "127.0.0.1")))
            assert tracer.wait_for(lambda: any(f["finding"] == "reset" for f in tracer.findings()), 5), tracer.err
            assert tracer.stop() == 0
        assert said_of(tracer, "reset")["culprit"].get("pid") == server.pid
    finally:
        client.end()
        server.end()
