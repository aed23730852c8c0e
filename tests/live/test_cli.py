# SPDX-License-Identifier: GPL-2.0-only
"""The command line of `tcpwhy trace`, on the running kernel: how it starts, filters, speaks and ends."""
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from actor import Actor, idle_reset, reset_incident
from tracer import Tracer, schema_errors

WAIT_S = 4


@pytest.fixture(scope="module")
def crowd():
    """Two servers and a client in one namespace, and a pair in another."""
    client = Actor("flt-client")
    actors = {
        "client": client,
        "a": Actor("flt-a", netns_of=client),
        "b": Actor("flt-b", netns_of=client),
        "far-client": (far := Actor("far-client")),
        "far": Actor("far-server", netns_of=far),
    }
    yield actors
    for actor in actors.values():
        actor.end()


class Incident:
    """A listener, and the reset that its server can make."""

    def __init__(self, crowd, server, client, addr, listen_addr=None):
        self.server, self.client, self.addr = crowd[server], crowd[client], addr
        self.port = int(self.server.do("listen", listen_addr or addr))

    def make(self):
        return reset_incident(self.server, self.client, self.addr, self.port)

    def told(self, tracer):
        return any(f["finding"] == "reset" and self.port in ports_of(f) for f in tracer.findings())


def ports_of(finding):
    connections = [finding.get("connection"), (finding.get("peer") or {}).get("connection"), *finding.get("examples", [])]
    return {connection[side]["port"] for connection in connections if connection for side in ("local", "remote")}


def narrowed(tool, wanted, unwanted, *arguments):
    """With these arguments, `wanted` is told and `unwanted` is not."""
    with Tracer(tool, *arguments) as tracer:
        for incident in [*unwanted, *wanted]:  # what must not be told comes first: it had its time
            incident.make()
        tracer.wait_for(lambda: all(incident.told(tracer) for incident in wanted), WAIT_S)
        tracer.stop()
        assert tracer.problems() == []
        said = "\n".join(tracer.out)
        for incident in wanted:
            assert incident.told(tracer), f"{arguments} hides :{incident.port}\n{said}"
        for incident in unwanted:
            assert not incident.told(tracer), f"{arguments} lets :{incident.port} through\n{said}"


def test_no_filter_tells_all(tool, crowd):
    narrowed(tool, [Incident(crowd, "a", "client", "127.0.0.1"), Incident(crowd, "b", "client", "::1"),
                    Incident(crowd, "far", "far-client", "127.0.0.1")], [])


def test_filter_port(tool, crowd):
    one, other = Incident(crowd, "a", "client", "127.0.0.1"), Incident(crowd, "b", "client", "127.0.0.1")
    narrowed(tool, [one], [other], "--port", one.port)


def test_filter_port_twice(tool, crowd):
    one, other = Incident(crowd, "a", "client", "127.0.0.1"), Incident(crowd, "b", "client", "127.0.0.1")
    far = Incident(crowd, "far", "far-client", "127.0.0.1")
    unwanted = [far] if far.port not in (one.port, other.port) else []
    narrowed(tool, [one, other], unwanted, "--port", one.port, "--port", other.port)


@pytest.mark.parametrize("option", ["--local", "--remote"])
@pytest.mark.parametrize(("wanted", "unwanted", "value"), [
    ("127.0.0.2", "127.0.0.1", "127.0.0.2"),
    ("127.1.0.2", "127.0.0.1", "127.1.0.0/16"),
    ("127.0.0.2", "127.0.0.1", "::ffff:127.0.0.2"),
    ("::1", "127.0.0.1", "::1"),
    ("::1", "127.0.0.1", "::/96"),
    ("127.0.0.1", "::1", "127.0.0.0/8"),
    ("127.0.0.1", "::1", "0.0.0.0/0"),
])
def test_filter_address(tool, crowd, option, wanted, unwanted, value):
    narrowed(tool, [Incident(crowd, "a", "client", wanted)], [Incident(crowd, "b", "client", unwanted)], option, value)


@pytest.mark.parametrize("option", ["--local", "--remote"])
def test_filter_address_of_a_v4_mapped_connection(tool, crowd, option):
    """The server listens on ::, the client comes over IPv4."""
    mapped = Incident(crowd, "a", "client", "127.0.0.2", listen_addr="::")
    narrowed(tool, [mapped], [Incident(crowd, "b", "client", "::1")], option, "127.0.0.2")


@pytest.mark.parametrize("option", ["--pid", "--comm"])
def test_filter_process(tool, crowd, option):
    one, other = Incident(crowd, "a", "client", "127.0.0.1"), Incident(crowd, "b", "client", "127.0.0.1")
    narrowed(tool, [one], [other], option, one.server.pid if option == "--pid" else one.server.comm)


@pytest.mark.parametrize("option", ["--pid", "--comm"])
def test_filter_process_of_the_client(tool, crowd, option):
    near, far = Incident(crowd, "a", "client", "127.0.0.1"), Incident(crowd, "far", "far-client", "127.0.0.1")
    narrowed(tool, [near], [far], option, near.client.pid if option == "--pid" else near.client.comm)


def test_filter_netns(tool, crowd):
    near, far = Incident(crowd, "a", "client", "127.0.0.1"), Incident(crowd, "far", "far-client", "127.0.0.1")
    narrowed(tool, [far], [near], "--netns", far.server.netns)


def test_filter_keeps_the_pair(tool, crowd):
    """A filter on one end's process does not hide who the other end is."""
    one = Incident(crowd, "a", "client", "127.0.0.1")
    with Tracer(tool, "--pid", one.server.pid) as tracer:
        one.make()
        tracer.wait_for(lambda: one.told(tracer), WAIT_S)
        tracer.stop()
        finding = next(f for f in tracer.findings() if f["finding"] == "reset")
        pids = {(finding["owner"] or {}).get("pid"), ((finding["peer"] or {}).get("owner") or {}).get("pid")}
        assert pids == {one.server.pid, one.client.pid}


def test_filters_join(tool, crowd):
    """Different filters must all hold."""
    one, other = Incident(crowd, "a", "client", "127.0.0.1"), Incident(crowd, "b", "client", "127.0.0.1")
    narrowed(tool, [], [one, other], "--port", one.port, "--pid", other.server.pid)


def test_service_of_a_listener_that_was_there_before(tool, crowd):
    """The service is the listening side, told by the listener that existed when the tool started."""
    one = Incident(crowd, "a", "client", "127.0.0.1")
    with Tracer(tool, "--netns", one.client.netns) as tracer:
        one.make()
        tracer.wait_for(lambda: one.told(tracer), WAIT_S)
        tracer.stop()
        told = [f["service"]["port"] for f in tracer.findings() if f["finding"] == "reset"]
        assert told and set(told) == {one.port}, told


def test_what_is_pending_is_told_at_the_end(tool, crowd):
    """An incident just before the end is in the output."""
    one = Incident(crowd, "a", "client", "127.0.0.1")
    with Tracer(tool, "--netns", one.client.netns) as tracer:
        one.make()
        tracer.stop()
        assert tracer.problems() == []
        assert one.told(tracer), "\n".join(tracer.out)


# ---------------------------------------------------------------- ends

def test_for_ends_by_itself(tool):
    with Tracer(tool, "--for", "1s") as tracer:
        start = time.monotonic()
        tracer.wait_end()
        assert 0.5 <= time.monotonic() - start <= 4
        assert tracer.problems() == []
        assert tracer.summary()["connections"] >= 0


def test_a_process_that_is_not_there_is_named(tool):
    done = run(tool, "trace", "--for", "1s", "--pid", f"{os.getpid()},4194303")
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if "no process" in line] == [
        "tcpwhy warning: no process 4194303 is here: nothing is told before one with this id comes"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_with_a_summary(tool, number):
    with Tracer(tool) as tracer:
        assert tracer.stop(number) == 0
        assert tracer.problems() == []


def test_text_ends_with_a_summary(tool, crowd):
    one = Incident(crowd, "a", "client", "127.0.0.1")
    with Tracer(tool, "--netns", one.client.netns, json_lines=False) as tracer:
        one.make()
        assert tracer.wait_for(lambda: any("reset" in line for line in tracer.out), WAIT_S), "\n".join(tracer.out)
        before_the_end = len(tracer.out)
        assert tracer.stop() == 0
        assert len(tracer.out) > before_the_end, "no summary"


def bpf_objects():
    """Whatever the kernel holds, whoever made it."""
    out = {}
    for kind in ("prog", "link", "map"):
        listed = subprocess.run(["bpftool", "-j", kind, "list"], capture_output=True, text=True, check=True).stdout
        out[kind] = {entry["id"] for entry in json.loads(listed or "[]")}
    return out


def bpf_objects_of(pid):
    """What this process holds: others on this host may trace meanwhile."""
    out = {"prog": set(), "link": set(), "map": set()}
    for info in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        for kind, number in re.findall(r"^(prog|link|map)_id:\t(\d+)$", info.read_text(), re.M):
            out[kind].add(int(number))
    return out


@pytest.mark.skipif(shutil.which("bpftool", path="/usr/sbin:/usr/bin:/sbin:/bin") is None, reason="needs bpftool")
@pytest.mark.parametrize("command", ["trace", "record"])
def test_nothing_stays_after_kill(tool, tmp_path, command):
    """No program, link or map, and nothing pinned."""
    pinned = sorted(os.listdir("/sys/fs/bpf"))
    record = {"trace": [], "record": ["-o", tmp_path / "run.tcpwhy"]}[command]
    with Tracer(tool, *record, command=command, json_lines=command == "trace") as tracer:
        mine, there = bpf_objects_of(tracer.pid), bpf_objects()
        for kind, numbers in mine.items():
            assert numbers, f"no {kind} was made"
            assert numbers <= there[kind], f"bpftool does not see each {kind}"
        assert sorted(os.listdir("/sys/fs/bpf")) == pinned
        os.kill(tracer.pid, signal.SIGKILL)
        tracer.wait_end()
    end = time.monotonic() + 5
    left = mine
    while any(left.values()) and time.monotonic() < end:
        now = bpf_objects()
        left = {kind: mine[kind] & now[kind] for kind in mine}
        time.sleep(0.05)
    assert not any(left.values()), f"still there: {left}"
    assert sorted(os.listdir("/sys/fs/bpf")) == pinned


# ---------------------------------------------------------------- errors

def run(tool, *arguments, **kwargs):
    return subprocess.run([str(tool), *arguments], capture_output=True, text=True, timeout=20, check=False, **kwargs)


def test_not_root(tool):
    """Says what it lacks and what to do, exit code 1, nothing on stdout."""
    folder = tempfile.mkdtemp()
    try:
        os.chmod(folder, 0o755)
        copy = shutil.copy(tool, folder)  # where nobody may read it
        os.chmod(copy, 0o755)
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", copy, "trace", "--for", "1s"],
                              capture_output=True, text=True, timeout=20, check=False)
    finally:
        shutil.rmtree(folder)
    assert done.returncode == 1, done.stderr
    assert "root" in done.stderr and "CAP_BPF" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("arguments", [
    ["trace", "--format", "yaml"],
    ["trace", "--bogus"],
    ["trace", "--remote", "300.1.2.3"],
    ["trace", "--remote", "10.0.0.0/33"],
    ["trace", "--local", "fd00::/129"],
    ["trace", "--port", "99999"],
    ["trace", "--port", "http!"],
    ["trace", "--pid", "-1"],
    ["trace", "--for", "banana"],
    ["trace", "--for", "0s"],
    ["trace", "--severity", "loud"],
    ["trace", "--threshold", "nonsense=1s"],
    ["trace", "--threshold", "stall-unacked"],
    ["trace", "--threshold", "stall-unacked=soon"],
    ["trace", "--without", "nonsense"],
    ["trace", "--without", "kfree_skb:9"],
    ["trace", "--config", "/no/such/file.toml"],
    ["trace", "--show-config", "--threshold", "nonsense=1s"],
    ["trace", "stray-word"],
    ["nosuchcommand"],
    [],
])
def test_wrong_usage(tool, arguments):
    done = run(tool, *arguments)
    assert done.returncode == 2, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.stderr.strip(), "says nothing"
    assert "terminate called" not in done.stderr
    offending = arguments[-1].split("=") if arguments else [""]
    assert any(word.lstrip("-") in done.stderr for word in offending), f"does not name {offending}: {done.stderr}"


@pytest.mark.parametrize("arguments", [["--help"], ["trace", "--help"]])
def test_help(tool, arguments):
    done = run(tool, *arguments)
    assert done.returncode == 0
    assert "trace" in done.stdout
    if arguments[0] == "trace":
        for option in ("--for", "--format", "--events", "--severity", "--threshold", "--config", "--show-config", "--port", "--local", "--remote", "--pid",
                       "--comm", "--cgroup", "--netns"):
            assert option in done.stdout


# ---------------------------------------------------------------- configuration

CONFIG = """
[thresholds]
stall-unacked = "5s"
accept-queue-overflow = "3s"
[port.5432.thresholds]
reset = "off"
"""


def test_show_config(tool, tmp_path):
    """Says what holds and who said so, attaches nothing, and takes back what it printed."""
    mine = tmp_path / "mine.toml"
    mine.write_text(CONFIG)
    first = run(tool, "trace", "--config", mine, "--threshold", "stall-unacked=2s", "--threshold", "443:reset=off", "--show-config")
    assert (first.returncode, first.stderr) == (0, "")
    settings = {line.split(" #")[0].strip(): line.partition(" # ")[2] for line in first.stdout.splitlines()}
    assert settings['stall-unacked = "2s"'].startswith("flag")
    assert settings['accept-queue-overflow = "3s"'].startswith("file")
    assert settings['synack-retransmit-unexpected = "200ms"'].startswith("default")
    assert '[port.443.thresholds]\nreset = "off"  # flag\n' in first.stdout
    assert '[port.5432.thresholds]\nreset = "off"  # file\n' in first.stdout
    again = tmp_path / "again.toml"
    again.write_text(first.stdout)
    second = run(tool, "trace", "--config", again, "--show-config")
    assert second.returncode == 0, second.stderr
    values = [[line.split("#")[0].strip() for line in text.splitlines()] for text in (first.stdout, second.stdout)]
    assert values[0] == values[1]


def test_show_config_needs_no_root(tool):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        copy = shutil.copy(tool, folder)
        os.chmod(copy, 0o755)
        done = run("/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", copy, "trace", "--show-config")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("[thresholds]") == 1


@pytest.mark.parametrize(("text", "place", "says"), [
    ("[thresholds]\nstall-unacked = 5s\n", "2:18", "expected digit"),
    ("[thresholds]\nstall-unackd = \"5s\"\n", "2:1", "did you mean stall-unacked?"),
    ("[thresholds]\nstall-unacked = 5\n", "2:17", 'write stall-unacked = "30s"'),
    ("[thresholds]\nreset = \"5s\"\n", "2:9", "only be switched off"),
    ("[port.70000.thresholds]\n", "1:7", "from 1 to 65535"),
    ("colour = true\n", "1:1", "there is no setting 'colour'"),
])
def test_wrong_config(tool, tmp_path, text, place, says):
    """Exit code 2, and where and what is wrong; nothing is attached."""
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    for command in (["--for", "1s"], ["--show-config"]):
        done = run(tool, "trace", "--config", path, *command)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(f"tcpwhy: {path}:{place}: ") and says in done.stderr, done.stderr
        assert done.stdout == ""
        assert "attached" not in done.stderr


def test_config_once(tool, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(CONFIG)
    done = run(tool, "trace", "--config", path, "--config", path, "--show-config")
    assert done.returncode == 2
    assert "--config" in done.stderr and "twice" in done.stderr


def test_threshold_off_for_a_port(tool, crowd, tmp_path):
    """Off for the service's port, by a flag or by the file, and on for the others."""
    one, other = Incident(crowd, "a", "client", "127.0.0.1"), Incident(crowd, "b", "client", "127.0.0.1")
    path = tmp_path / "mine.toml"
    path.write_text(f"[port.{other.port}.thresholds]\nreset = \"off\"\n")
    narrowed(tool, [one], [other], "--config", path)
    one, other = Incident(crowd, "a", "client", "127.0.0.1"), Incident(crowd, "b", "client", "127.0.0.1")
    narrowed(tool, [one], [other], "--threshold", f"{other.port}:reset=off")


# ---------------------------------------------------------------- what is shown

def test_events(tool, crowd):
    """--events shows what a healthy connection does, too; without it nothing is said."""
    quiet, loud = Incident(crowd, "a", "client", "127.0.0.1"), Incident(crowd, "b", "client", "127.0.0.1")
    with Tracer(tool, "--netns", quiet.client.netns, json_lines=False) as tracer:
        idle_reset(quiet.server, quiet.client, quiet.addr, quiet.port)
        tracer.wait_for(lambda: False, 0.5)
        tracer.stop()
        assert not any(str(quiet.port) in line for line in tracer.out), "\n".join(tracer.out)
    with Tracer(tool, "--netns", loud.client.netns, "--events", json_lines=False) as tracer:
        idle_reset(loud.server, loud.client, loud.addr, loud.port)
        seen = tracer.wait_for(lambda: any(str(loud.port) in line for line in tracer.out), WAIT_S)
        tracer.stop()
        assert seen, "\n".join(tracer.out)


def test_severity_of_text(tool, crowd):
    """Text hides info unless asked, and warnings when only critical is wanted."""
    one = Incident(crowd, "a", "client", "127.0.0.1")
    for arguments, shown in (((), False), (("--severity", "info"), True), (("--severity", "critical"), False)):
        with Tracer(tool, "--netns", one.client.netns, *arguments, json_lines=False) as tracer:
            idle_reset(one.server, one.client, one.addr, one.port)
            tracer.wait_for(lambda: any(str(one.port) in line for line in tracer.out), WAIT_S if shown else 0.7)
            tracer.stop()
            assert any(str(one.port) in line for line in tracer.out) == shown, f"{arguments}\n" + "\n".join(tracer.out)


def test_json_has_all_severities(tool, crowd):
    one = Incident(crowd, "a", "client", "127.0.0.1")
    with Tracer(tool, "--netns", one.client.netns) as tracer:
        idle_reset(one.server, one.client, one.addr, one.port)
        tracer.wait_for(lambda: one.told(tracer), WAIT_S)
        tracer.stop()
        assert tracer.problems() == []
        assert [f["severity"] for f in tracer.findings() if f["finding"] == "reset"][:1] == ["info"]


def test_threshold_off(tool, crowd):
    one = Incident(crowd, "a", "client", "127.0.0.1")
    narrowed(tool, [], [one], "--threshold", "reset=off")


def test_each_line_comes_at_once(tool, crowd):
    """Lines are there while it runs, not when it ends: stdout is a pipe here."""
    one = Incident(crowd, "a", "client", "127.0.0.1")
    with Tracer(tool, "--netns", one.client.netns) as tracer:
        one.make()
        assert tracer.wait_for(lambda: one.told(tracer), WAIT_S), "nothing came while it ran"
        assert not any(schema_errors(line) for line in tracer.out)


def read_terminal(master, until=None):
    """What comes until the other end closes, or until `until` is in it; bounded."""
    seen = b""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end and not (until and until in seen):
        if not select.select([master], [], [], 0.1)[0]:
            continue
        try:
            chunk = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        seen += chunk
    return seen


@pytest.mark.parametrize(("no_color", "coloured"), [(None, True), ("1", False)])
def test_colour_only_on_a_terminal(tool, crowd, no_color, coloured):
    one = Incident(crowd, "a", "client", "127.0.0.1")
    master, slave = pty.openpty()
    env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm-256color"}
    if no_color:
        env["NO_COLOR"] = no_color
    process = subprocess.Popen([str(tool), "trace", "--netns", str(one.client.netns)], stdout=slave, stderr=subprocess.PIPE, env=env)
    os.close(slave)
    try:
        for line in process.stderr:
            if b"attached" in line:
                break
        one.make()
        seen = read_terminal(master, until=str(one.port).encode())
        process.send_signal(signal.SIGINT)
        seen += read_terminal(master)
        process.wait(10)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stderr.close()
        os.close(master)
    assert str(one.port).encode() in seen
    assert (b"\x1b[" in seen) == coloured


def test_no_colour_in_a_pipe(tool, crowd):
    one = Incident(crowd, "a", "client", "127.0.0.1")
    with Tracer(tool, "--netns", one.client.netns, json_lines=False) as tracer:
        one.make()
        tracer.wait_for(lambda: any(str(one.port) in line for line in tracer.out), WAIT_S)
        tracer.stop()
        assert "\x1b" not in "\n".join(tracer.out)
