# SPDX-License-Identifier: GPL-2.0-only
"""Each filter passes what it should and hides the rest: live, of a recording, and in `check`; a value that lets nothing through
is said, and is no healthy host."""
import json
import pathlib
import subprocess

import pytest

from actor import Actor, reset_incident
from tracer import Tracer

WAIT_S = 4
OPTIONS = ("--port", "--local", "--remote", "--pid", "--comm", "--cgroup", "--netns")
MOUNTS = (pathlib.Path("/sys/fs/cgroup"), pathlib.Path("/sys/fs/cgroup/unified"))
SAID = "no socket was seen that {} lets through"


@pytest.fixture(scope="module")
def cgroup():
    """A folder of cgroup v2, one below it, and one that nobody is in."""
    root = next((mount for mount in MOUNTS if (mount / "cgroup.controllers").exists()), None)
    if not root:
        pytest.skip("this host has no cgroup v2")
    folders = [root / "tcpwhy-flt", root / "tcpwhy-flt" / "below", root / "tcpwhy-flt-empty"]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    yield folders
    for folder in reversed(folders):
        folder.rmdir()


class Service:
    """A server and its client in a namespace of their own, and the reset that the server makes."""

    def __init__(self, name, addr, cgroup=None):
        self.client = Actor(f"flt-{name}-client")
        self.server = Actor(f"flt-{name}", netns_of=self.client)
        self.addr = addr
        self.port = 0
        if cgroup:
            (cgroup / "cgroup.procs").write_text(str(self.server.pid))

    def listen(self, but_not=0):
        self.port = but_not
        while self.port == but_not:
            self.port = int(self.server.do("listen", self.addr))

    def make(self):
        reset_incident(self.server, self.client, self.addr, self.port)

    def end(self):
        self.server.end()
        self.client.end()


class Stage:
    def __init__(self, cgroup):
        self.one = Service("one", "127.0.0.2", cgroup[1])
        self.other = Service("other", "127.0.0.1")
        self.cgroup, _, self.empty = cgroup
        self.one.listen()
        self.other.listen(but_not=self.one.port)

    def make(self):
        for service in (self.other, self.one):  # what must not be told comes first: it had its time
            service.make()

    def value(self, option):
        """One that lets the first service through, and not the other."""
        one = self.one
        return {"--port": one.port, "--local": one.addr, "--remote": one.addr, "--pid": one.server.pid,
                "--comm": one.server.comm, "--cgroup": self.cgroup, "--netns": one.server.netns}[option]

    def judge(self, findings, what):
        ports = {f["service"]["port"] for f in findings if f["finding"] == "reset" and f.get("service")}
        assert self.one.port in ports, f"{what} hides what it should let through"
        assert self.other.port not in ports, f"{what} lets through what it should hide"


@pytest.fixture(scope="module")
def stage(cgroup):
    stage = Stage(cgroup)
    yield stage
    stage.one.end()
    stage.other.end()


@pytest.fixture(scope="module")
def recording(tool, stage, tmp_path_factory):
    file = tmp_path_factory.mktemp("filters") / "both.tcpwhy"
    namespaces = f"{stage.one.server.netns},{stage.other.server.netns}".split(",")
    with Tracer(tool, "-o", file, *(word for netns in namespaces for word in ("--netns", netns)), command="record",
                json_lines=False) as tracer:
        stage.make()
        tracer.wait_for(lambda: False, 0.5)
        assert tracer.stop() == 0
    return file


def run(tool, *arguments):
    done = subprocess.run([str(tool), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    lines = map(json.loads, done.stdout.splitlines()) if "json" in arguments else ()
    return done, [line for line in lines if "finding" in line]


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("command", ["trace", "check"])
def test_live(tool, stage, command, option):
    bounded = ("--for", "3s") if command == "check" else ()
    with Tracer(tool, *bounded, option, stage.value(option), command=command) as tracer:
        stage.make()
        if command == "check":
            assert tracer.wait_end() == 2
        else:
            tracer.wait_for(lambda: any(f["finding"] == "reset" for f in tracer.findings()), WAIT_S)
            tracer.stop()
        stage.judge(tracer.findings(), f"{command} {option}")
        # Nobody has connected to it yet as the run begins.
        assert ("lets through" in "\n".join(tracer.err)) == (option == "--remote")


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("command", ["report", "check"])
def test_recorded(tool, stage, recording, command, option):
    done, findings = run(tool, command, recording, "--format", "json", option, stage.value(option))
    assert done.returncode == (2 if command == "check" else 0), done.stderr
    stage.judge(findings, f"{command} FILE {option}")
    assert "lets through" not in done.stderr


def empty_values(stage):
    """Of each option a value that is well formed, and that nothing here has."""
    return {"--port": 1, "--local": "203.0.113.9", "--remote": "203.0.113.9", "--comm": "nobody-has-this",
            "--cgroup": stage.empty, "--netns": 1}


@pytest.mark.parametrize("option", [option for option in OPTIONS if option != "--pid"])
def test_a_value_that_lets_nothing_through(tool, stage, recording, option):
    value = empty_values(stage)[option]
    said = SAID.format(option if option == "--cgroup" else f"{option} {value}")
    # On this host something may well listen at every address; a recording does not tell the cgroups of healthy connections.
    live, recorded = option != "--local", option != "--cgroup"
    for arguments in [*([("--for", "1s")] if live else []), *([(recording,)] if recorded else [])]:
        done, _ = run(tool, "check", "--format", "json", *arguments, option, value)
        assert done.returncode == 3, done.stdout
        assert said in json.loads(done.stdout.splitlines()[-1])["could_not_tell"]
    for arguments in (("trace", "--for", "1s"), ("report", recording))[0 if live else 1:]:
        done, _ = run(tool, *arguments, option, value)
        assert done.returncode == 0
        assert [line for line in done.stderr.splitlines() if said in line], done.stderr


def test_a_process_that_is_not_there(tool, recording):
    for arguments in (("--for", "1s"), (recording,)):
        done, _ = run(tool, "check", "--format", "json", *arguments, "--pid", 4194303)
        assert done.returncode == 3, done.stdout
        assert SAID.format("--pid 4194303") in json.loads(done.stdout.splitlines()[-1])["could_not_tell"]


def test_a_healthy_client_that_comes_and_goes_is_seen(tool, stage):
    """It is not there as the run begins or ends, and nothing is wrong with it."""
    one = stage.one
    with Tracer(tool, "--for", "3s", "--remote", one.addr, command="check") as tracer:
        one.client.do("connect", one.addr, one.port)
        one.client.do("send", 100)
        one.server.do("reply")
        one.client.do("read")
        one.client.do("close")
        rc = tracer.wait_end()
        assert rc == 0, "\n".join([*tracer.out, *tracer.err])


def test_one_of_two_values(tool, stage, recording):
    """What the other value lets through is told all the same."""
    done, findings = run(tool, "report", recording, "--format", "json", "--port", f"{stage.one.port},1")
    stage.judge(findings, "report --port")
    assert SAID.format("--port 1") in done.stderr


def test_cgroups_of_another_host_are_not_known(tool, stage):
    golden = next((pathlib.Path(__file__).resolve().parents[1] / "golden").glob("*.tcpwhy"))
    for command, code in (("check", 3), ("report", 2)):
        done, _ = run(tool, command, golden, "--format", "json", "--cgroup", stage.cgroup)
        assert done.returncode == code, done.stdout
        assert "recorded on another host" in done.stderr
